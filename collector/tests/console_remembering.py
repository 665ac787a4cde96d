"""A store as five weeks of two models leave it, judged by the engine itself: one that drifts, one that is young.

`CHURN` has a step that lasts, a day that was odd, a slow trend and weekends unlike weekdays; `OFFERS` went live on
Sunday. Both are checked at noon, as is everything in the console's fixture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from collector.tests.console_fixture import NOW, Draw, ListedRegistry, StillClock, context_of, profile_of
from modelward_agent.profile import ProfileKey
from modelward_agent.profile.wire import to_document
from modelward_collector.checks.result import CheckKind, CheckResult, Status
from modelward_collector.context import Context
from modelward_collector.engine import Engine
from modelward_collector.metrics import Metrics
from modelward_collector.models import ModelSpec
from modelward_collector.store.protocol import Alias, Document
from modelward_collector.store.sqlite import SqliteStore

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
CHURN = "churn"
OFFERS = "price-offers"

TODAY = NOW.replace(hour=0)
BORN = TODAY - 38 * DAY
STEP = TODAY - 12 * DAY
ODD = TODAY - 15 * DAY
CREEP = TODAY - 30 * DAY
LIVE = TODAY - 3 * DAY

CHECKED_FROM = TODAY - 13 * DAY
"""Before it nobody looked."""


def _age(now: datetime) -> float:
    return 41.0 + (8.0 if now >= STEP else 0.0)


def _amount(now: datetime) -> float:
    return 120.0 + (60.0 if ODD <= now < ODD + DAY else 0.0)


def _tenure(now: datetime) -> float:
    return 30.0 + 0.12 * max(0.0, (now - CREEP) / DAY)


def _visits(now: datetime) -> float:
    return 5.0 + (3.0 if now.weekday() >= 5 else 0.0)


def _about(mean: Callable[[datetime], float], sd: float) -> Callable[[datetime], Draw]:
    return lambda now: lambda random, rows, day: random.normal(mean(now), sd, rows)


def _plan(now: datetime) -> Draw:
    def draw(random: np.random.Generator, rows: int, day: float) -> Any:
        return random.choice(["basic", "family", "business"], rows, p=[0.5, 0.3, 0.2]).tolist()

    return draw


COLUMNS: dict[str, Callable[[datetime], Draw]] = {
    "age": _about(_age, 11.0),
    "amount": _about(_amount, 30.0),
    "tenure": _about(_tenure, 10.0),
    "visits": _about(_visits, 2.0),
    "plan": _plan,
}


class Remembering:
    """The store, and the engine over it that has checked both models; `every` so long, until now."""

    def __init__(self, path: Path, *, rows: int = 120, every: timedelta = 3 * DAY) -> None:
        self.store = SqliteStore(path)
        self.store.setup()
        self._random = np.random.default_rng(11)
        self.specs = [
            ModelSpec.model_validate({"model": model, "owner": "customers", "tier": 2, "checks": {}})
            for model in (CHURN, OFFERS)
        ]
        self._fill(CHURN, BORN, rows)
        self._fill(OFFERS, LIVE, rows)
        registry: Any = ListedRegistry(self.specs)
        clock: Any = StillClock()
        self.engine = Engine(self.store, registry, clock, Metrics(100), agent_window=HOUR)
        moments = [NOW - number * every for number in range((NOW - CHECKED_FROM) // every + 1)]
        for at in reversed(moments):
            self.engine.run(CHURN, CheckKind.DRIFT, at)
            if at > LIVE + DAY:
                self.engine.run(OFFERS, CheckKind.DRIFT, at)

    def _fill(self, model: str, start: datetime, rows: int) -> None:
        documents = []
        while start < NOW:
            columns = {name: draw(start) for name, draw in COLUMNS.items()}
            profile = profile_of(columns, self._random, rows, 0.0)
            key = ProfileKey("web1", model, "7", (), int(start.timestamp()), 3600)
            part = f"{model}-{start:%Y%m%d%H}"
            documents.append(Document(Alias.PROFILES, part, to_document(key, profile, part=part)))
            start += HOUR
        self.store.create(documents)

    def context(self) -> Context:
        """What pages of it need."""
        return context_of(self.store, self.specs, self.engine)

    def drift(self, model: str) -> CheckResult:
        """The newest verdict."""
        return next(one for one in self.store.latest_results() if one.model == model and one.check is CheckKind.DRIFT)


def noted(result: CheckResult) -> CheckResult:
    """The verdict on `CHURN` with what the last whole day says: the odd day, kinds of days, the trend."""
    day = {"start": _rfc3339(TODAY - DAY), "end": _rfc3339(TODAY)}
    odd = [{"start": _rfc3339(ODD), "end": _rfc3339(ODD + DAY), "what": "mean"}]
    more: dict[str, dict[str, Any]] = {
        "amount": {"window": day, "compared_with": "27 days", "odd": odd},
        "visits": {"window": day, "compared_with": "20 weekdays", "kinds": [[0, 1, 2, 3, 4], [5, 6]]},
        "tenure": {
            "window": day,
            "compared_with": "28 days",
            "left_out": 0,
            "creep": {"per_day": 0.12, "total": 3.6, "since": _rfc3339(CREEP)},
        },
    }
    findings = []
    for finding in result.findings:
        changed = replace(finding, detail={**finding.detail, **more.get(finding.subject, {})})
        if finding.subject == "tenure":
            detail = {name: value for name, value in changed.detail.items() if name not in ("change", "episode")}
            changed = replace(
                changed,
                status=Status.WARNING,
                message=f"tenure rises by 0.012 sd a day since {CREEP.day} {CREEP:%b} (0.36 sd in all), for 28 days",
                since=CREEP,
                p_value=2.4e-8,
                detail=detail,
            )
        findings.append(changed)
    return replace(result, findings=tuple(findings))


def _rfc3339(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
