"""What all pages share: the context, what was read a moment ago, the templates, and what now means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2

import modelward_collector
from modelward_collector.auth.current import current_session, outside
from modelward_collector.auth.role import Role
from modelward_collector.checks.result import CheckKind, Status
from modelward_collector.console import assets, human
from modelward_collector.console.comparison import Comparisons
from modelward_collector.console.history import History
from modelward_collector.console.links import Links
from modelward_collector.console.traffic import Traffic
from modelward_collector.context import Context
from modelward_collector.store.protocol import StoreUnavailableError

STATE_WORDS = {
    Status.OK: "Healthy",
    Status.WARNING: "Warning",
    Status.CRITICAL: "Critical",
    Status.ERROR: "Check failed",
    Status.LEARNING: "Still learning",
    Status.NO_DATA: "No data",
}
"""A model's state, in words."""

VERDICT_WORDS = {**STATE_WORDS, Status.OK: "OK", Status.ERROR: "Failed"}
"""A check's or a finding's status, in words."""

CHECK_WORDS = {
    CheckKind.DRIFT: "Drift",
    CheckKind.QUALITY: "Data quality",
    CheckKind.PERFORMANCE: "Performance",
    CheckKind.HEALTH: "Health",
}

_METRIC_WORDS = {
    "mae": "MAE",
    "rmse": "RMSE",
    "mape": "MAPE",
    "r2": "R²",
    "bias": "Bias",
    "median_ae": "Median absolute error",
    "roc_auc": "ROC AUC",
    "auc": "ROC AUC",
    "f1": "F1",
    "f1_macro": "F1, macro",
    "brier": "Brier score",
    "missing_share.max": "Missing share, of the worst feature",
    "max_score": "Largest score",
    "odd": "Drifted, not yet persistent",
    "learning": "Still being learnt",
    "p50_ms": "Latency p50, ms",
    "p95_ms": "Latency p95, ms",
    "p99_ms": "Latency p99, ms",
}

_OF_ESTIMATES = {
    "": "estimated",
    "error": "how far the estimate was off",
    "past_error": "how far past estimates were off",
}


def metric_words(name: str) -> str:
    """A metric's, or another number's, name as people write it: `MAE, estimated` for `estimated.mae`."""
    if name.startswith("estimated."):
        metric, _, of = name.removeprefix("estimated.").partition(".")
        return f"{metric_words(metric)}, {_OF_ESTIMATES.get(of, of)}"
    words = _METRIC_WORDS.get(name)
    return words or (name[:1].upper() + name[1:]).replace("_", " ")


@dataclass(frozen=True, slots=True)
class Moment:
    """When a page is drawn: `now` of the collector's clock, and the wall's year, which dates leave out."""

    now: datetime
    year: int
    describe: str
    drawn: datetime


@dataclass(frozen=True, slots=True)
class PageView:
    """A page to be drawn: its template, title, values, and HTTP status."""

    template: str
    title: str
    values: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200
    section: str = ""


class Site:
    """One console. Its pages are functions of it; all state is what was read a moment ago."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.links = Links(context.config.listen.base_path)
        self.history = History(context.store)
        self.comparisons = Comparisons(context)
        self.traffic = Traffic(context.store)
        self.assets = assets.load()
        self._templates = self._environment()

    def warm(self) -> None:
        """Compile every template now, so that no visitor waits for it."""
        for name in self._templates.list_templates():
            self._templates.get_template(name)

    def moment(self) -> Moment:
        """What now means to a page that is drawn now."""
        wall = datetime.now(UTC)
        now = self.context.clock.now()
        return Moment(now, wall.year, self.context.clock.describe(), wall)

    def draw(self, page: PageView, moment: Moment | None = None) -> str:
        """The page as HTML."""
        moment = moment or self._moment_anyhow()
        session = current_session.get()
        # Nobody's page says nothing of the models, not even how many need attention.
        nobody = outside.get() and session is None
        template = self._templates.get_template(page.template)
        return template.render(
            **page.values,
            title=page.title,
            section=page.section,
            moment=moment,
            attention=0 if nobody else self._attention(),
            registry_errors={} if nobody else self.context.registry.errors,
            session=session,
            outside=nobody,
            may_run=session is None or session.role.may(Role.EDITOR),
        )

    def _attention(self) -> int:
        try:
            return sum(entry.overdue or bool(entry.last_error) for entry in self.context.scheduler.entries())
        except StoreUnavailableError:
            return 0

    def asset(self, name: str) -> str:
        """The address of a file of `static/`."""
        return self.links.to(f"/static/{name}", v=self.assets[name].digest)

    def _moment_anyhow(self) -> Moment:
        try:
            return self.moment()
        except StoreUnavailableError:
            wall = datetime.now(UTC)
            return Moment(wall, wall.year, "the store does not answer", wall)

    def _environment(self) -> jinja2.Environment:
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters |= {
            "count": human.count,
            "exact": human.exact,
            "number": human.number,
            "percent": human.percent,
            "score": human.score,
            "milliseconds": human.milliseconds,
            "data_size": human.data_size,
            "p_value": human.p_value,
            "chance": human.chance,
            "took": human.length,
            "short": human.short,
            "metric": metric_words,
            "sentence": human.sentence,
        }
        environment.globals |= {
            "links": self.links,
            "asset": self.asset,
            "human": human,
            "state_words": STATE_WORDS,
            "verdict_words": VERDICT_WORDS,
            "check_words": CHECK_WORDS,
            "product_version": modelward_collector.__version__,
        }
        return environment
