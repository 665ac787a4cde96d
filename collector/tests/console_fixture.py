"""A store as months of three models leave it: real profiles, and the results that the real checks make of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from fastapi import FastAPI

from modelward_agent.profile import (
    CategoricalSketch,
    FeatureProfile,
    NumericSketch,
    Profile,
    ProfileKey,
    Segment,
    merged,
)
from modelward_agent.profile.wire import to_document
from modelward_collector.checks.drift import check_drift
from modelward_collector.checks.drift_reference import prepare_reference
from modelward_collector.checks.estimated import Estimates
from modelward_collector.checks.performance import check_performance
from modelward_collector.checks.result import CheckKind, CheckResult, Finding, Status
from modelward_collector.checks.window import ReferenceProfile, Window
from modelward_collector.console import console_router
from modelward_collector.context import Context, Entry
from modelward_collector.models import ModelSpec
from modelward_collector.probes import ProbeResult
from modelward_collector.probing import result_of as probes_result
from modelward_collector.span import Span
from modelward_collector.stats.intervals import Interval
from modelward_collector.store.protocol import Alias, Document, Labelled, Store
from modelward_collector.store.sqlite import SqliteStore

NOW = datetime(2013, 11, 20, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

FLIGHTS = "flight-delay"
CREDIT = "credit-risk"
STRANGE = 'checkout/fraud <script>alert("x")</script> 100%?'
STRANGE_FEATURE = "<b onmouseover=alert(1)>größe / höhe</b> " + "x" * 160
CARRIERS = ("AA", "B6", "DL", "EV", "UA", "WN")

Draw = Callable[[np.random.Generator, int, float], Any]
"""(random, rows, day of the year) -> a column."""


def flights_columns(extra: int) -> dict[str, Draw]:
    """A year of flights: delays grow in summer, a carrier takes over in autumn, sensors go missing in November."""

    def season(day: float) -> float:
        return max(0.0, float(np.sin((day - 100) / 365 * 2 * np.pi)))

    def carrier(random: np.random.Generator, rows: int, day: float) -> list[str]:
        shares = np.array([0.2, 0.2, 0.2, 0.2, 0.15, 0.05])
        if day > 270:
            shares = shares + np.array([-0.06, 0.0, 0.0, -0.1, 0.04, 0.12])
        names = list(CARRIERS)
        if day > 300:
            names[:2] = ["Æroflot", "B7"]
        return [names[int(index)] for index in random.choice(6, rows, p=shares / shares.sum())]

    def visibility(random: np.random.Generator, rows: int, day: float) -> Any:
        values = random.gamma(8, 1.2, rows)
        values[random.random(rows) < (0.3 if day > 310 else 0.02)] = np.nan
        return values

    columns: dict[str, Draw] = {
        "dep_delay": lambda random, rows, day: random.gamma(2, 6 * (1 + season(day)), rows) - 5,
        "temperature": lambda random, rows, day: random.normal(8 + 18 * season(day), 5, rows),
        "carrier": carrier,
        "visibility": visibility,
        "distance": lambda random, rows, day: random.lognormal(6.7, 0.6, rows),
        "hour": lambda random, rows, day: random.integers(5, 23, rows).astype(float),
        "international": lambda random, rows, day: random.random(rows) < 0.14,
        "wind_gust": lambda random, rows, day: random.weibull(2, rows) * (18 if day > 330 else 15),
    }
    for index in range(extra):
        columns[f"sensor_{index:02d}"] = steady(float(index))
    return columns


def steady(mean: float) -> Draw:
    return lambda random, rows, day: random.normal(mean, 1, rows)


def credit_columns() -> dict[str, Draw]:
    return {
        "income": lambda random, rows, day: random.lognormal(10.4, 0.5, rows),
        "term": lambda random, rows, day: random.choice([12.0, 24.0, 36.0, 60.0], rows),
        "purpose": lambda random, rows, day: random.choice(["car", "house", "study", "other"], rows).tolist(),
        "age": lambda random, rows, day: random.normal(41, 11, rows),
    }


def strange_columns() -> dict[str, Draw]:
    return {
        STRANGE_FEATURE: lambda random, rows, day: random.normal(3 if day > 310 else 0, 1, rows),
        "a/b c?d=e&f#g": lambda random, rows, day: random.exponential(2, rows),
        "..": lambda random, rows, day: random.choice(["ja", "nein", '"quoted" & <i>'], rows).tolist(),
    }


def feature_of(column: Any) -> FeatureProfile:
    """A column as the agent would fold it."""
    feature = FeatureProfile()
    if isinstance(column, list):
        feature.categorical = CategoricalSketch()
        feature.categorical.update(column)
    elif column.dtype == bool:
        feature.true = int(column.sum())
        feature.false = len(column) - feature.true
    else:
        missing = np.isnan(column)
        feature.missing = int(missing.sum())
        feature.numeric = NumericSketch()
        feature.numeric.update(column[~missing])
    return feature


def profile_of(columns: Mapping[str, Draw], random: np.random.Generator, rows: int, day: float) -> Profile:
    profile = Profile()
    profile.rows = rows
    profile.features = {name: feature_of(draw(random, rows, day)) for name, draw in columns.items()}
    profile.outputs["prediction"] = feature_of(random.normal(10, 8, rows))
    profile.outputs["latency_ms"] = feature_of(random.gamma(3, 1.4, rows))
    return profile


@dataclass(frozen=True)
class Watched:
    """One model as the fixture plays it."""

    spec: ModelSpec
    columns: Mapping[str, Draw]
    rows: int
    days: int
    segments: Sequence[Segment] = ((),)
    second_version_from: int = 10_000


def watched(days: int, extra: int) -> list[Watched]:
    flights = ModelSpec.model_validate(
        {
            "model": FLIGHTS,
            "task": "regression",
            "owner": "operations",
            "tier": 1,
            "description": "Arrival delay in minutes of domestic flights out of New York, when they push back.",
            "reference": {"kind": "rolling", "window": "28d"},
            "checks": {
                "drift": {"every": "1d"},
                "performance": {"every": "1d", "thresholds": {"mae": {"max": 16}}},
                "health": {"every": "6h"},
            },
        }
    )
    credit = ModelSpec.model_validate(
        {
            "model": CREDIT,
            "task": "classification",
            "owner": "risk",
            "tier": 2,
            "description": "Probability that a loan is repaid.",
            "checks": {"drift": {"every": "1d"}, "performance": {"every": "1d"}, "health": {"every": "6h"}},
        }
    )
    origins: list[Segment] = [(("origin", origin),) for origin in ("EWR", "JFK", "LGA")]
    return [
        Watched(flights, flights_columns(extra), 400, days, origins, second_version_from=days * 2 // 3),
        Watched(credit, credit_columns(), 300, min(days, 90)),
        Watched(ModelSpec.unconfigured(STRANGE), strange_columns(), 300, min(days, 20)),
    ]


class Filled:
    """The store and what stands around it, filled for `days` before `NOW`."""

    def __init__(self, path: Path, *, days: int = 60, extra: int = 6, seed: int = 7, only: str = "") -> None:
        self.store = SqliteStore(path)
        self.store.setup()
        self.random = np.random.default_rng(seed)
        self.profiles: dict[tuple[str, str, Segment, datetime, int], Profile] = {}
        self.references: dict[str, ReferenceProfile] = {}
        models = [item for item in watched(days, extra) if only in ("", item.spec.model)]
        self.specs = {item.spec.model: item.spec for item in models}
        for item in models:
            self._fill(item)
        self._heartbeats()
        self._logs()
        self._probes()

    # -- what is stored -----------------------------------------------------------------------------------------
    def _fill(self, item: Watched) -> None:
        spec = item.spec
        random = self.random
        windows = []
        for index in range(4):
            span = Span(NOW - DAY * (item.days + 8 - index), NOW - DAY * (item.days + 7 - index))
            day = (NOW - DAY * item.days).timetuple().tm_yday - 4.0 + index
            windows.append(
                (span, {segment: profile_of(item.columns, random, item.rows, day) for segment in item.segments})
            )
        segments = {segment: merged(parts[segment] for _, parts in windows) for segment in item.segments}
        reference = ReferenceProfile(
            "the 4 days before it went live",
            merged(segments.values()),
            tuple((span, merged(parts.values())) for span, parts in windows),
            segments if len(item.segments) > 1 else {},
        )
        self.references[spec.model] = reference
        prepared = prepare_reference(reference)
        history: list[CheckResult] = []
        documents: list[Document] = []
        for index in range(item.days):
            end = NOW - DAY * (item.days - 1 - index)
            span = Span(end - DAY, end)
            version = "2013.2" if index >= item.second_version_from else "2013.1"
            parts = self._day(item, span, version, documents)
            window = Window(spec.model, span, {(version, segment): profile for segment, profile in parts.items()})
            mine = [result for result in history if result.version == version][-7:]
            drift = replace(check_drift(spec, version, prepared, window, mine), ran_at=end, duration_seconds=0.041)
            history.append(drift)
            self.store.save_result(drift)
            for result in self._others(spec, version, span, index):
                self.store.save_result(result)
        self.store.create(documents)

    def _day(self, item: Watched, span: Span, version: str, documents: list[Document]) -> dict[Segment, Profile]:
        """The day's profiles by segment: one for a day long past, one an hour for the last two."""
        parts: dict[Segment, Profile] = {}
        day = float(span.start.timetuple().tm_yday)
        recent = span.end > NOW - 2 * DAY
        for segment in item.segments:
            made = []
            for hour in range(24) if recent else [0]:
                rows = max(20, int(item.rows / 24 * (1 + np.sin(hour / 24 * 2 * np.pi)) * 2)) if recent else item.rows
                profile = profile_of(item.columns, self.random, rows, day)
                made.append(profile)
                start = span.start + timedelta(hours=hour)
                key = ProfileKey(
                    "web1", item.spec.model, version, segment, int(start.timestamp()), 3600 if recent else 86400
                )
                part = f"{item.spec.model}-{version}-{segment}-{start:%Y%m%d%H}"
                documents.append(Document(Alias.PROFILES, part, to_document(key, profile, part=part)))
            parts[segment] = merged(made)
            self.profiles[(item.spec.model, version, segment, span.start, 0)] = parts[segment]
        return parts

    def _others(self, spec: ModelSpec, version: str, span: Span, index: int) -> list[CheckResult]:
        day = span.start.timetuple().tm_yday
        quality = CheckResult(
            spec.model,
            version,
            CheckKind.QUALITY,
            Status.WARNING if spec.model == FLIGHTS and day > 310 else Status.OK,
            "visibility is missing in 30% of rows, was 2%"
            if spec.model == FLIGHTS and day > 310
            else "no issues in 6 rules",
            span.start,
            span.end,
            1_200,
            (
                *(
                    [
                        Finding(
                            "visibility",
                            "missing",
                            Status.WARNING,
                            "missing in 30% of rows, was 2%",
                            0.3,
                            0.04,
                            since=span.start,
                        )
                    ]
                    if spec.model == FLIGHTS and day > 310
                    else []
                ),
                Finding("rows", "volume", Status.OK, "50 rows an hour, the reference has 50", 50.0),
                Finding("rows", "duplicates", Status.OK, "1.2% of rows are equal to an earlier one", 0.012, 0.05),
            ),
            ran_at=span.end,
            duration_seconds=0.012,
        )
        health = [
            CheckResult(
                spec.model,
                "",
                CheckKind.HEALTH,
                Status.OK,
                "0.2% of 312 requests failed, p99 12 ms",
                moment - timedelta(minutes=15),
                moment,
                312,
                numbers={
                    "rows": 312.0,
                    "error_rate": 0.002 + 0.004 * float(self.random.random() < 0.1),
                    "p50_ms": 3.1 + float(self.random.normal(0, 0.2)),
                    "p99_ms": 12.4 + float(self.random.normal(0, 1)),
                },
                ran_at=moment,
            )
            for moment in (span.end - timedelta(hours=6 * step) for step in range(4))
        ]
        performance = []
        if spec.model == FLIGHTS:
            performance.append(self._performance(spec, version, span, index))
        return [quality, *health, *performance]

    def _performance(self, spec: ModelSpec, version: str, span: Span, index: int) -> CheckResult:
        n = 500
        predicted = self.random.normal(12, 9, n)
        spread = 9 + 6 * max(0.0, float(np.sin((span.start.timetuple().tm_yday - 100) / 365 * 2 * np.pi)))
        if version == "2013.2":
            spread += 4
        labelled = self.random.random(n) < 0.93
        read = Labelled(
            timestamp=np.linspace(span.start.timestamp(), span.end.timestamp() - 1, n),
            version=[version] * n,
            segment=[{"origin": ("EWR", "JFK", "LGA")[i % 3]} for i in range(n)],
            predicted_value=predicted,
            predicted_label=[""] * n,
            probabilities=[None] * n,
            labelled=labelled,
            actual_value=np.where(labelled, predicted + self.random.normal(0, spread * 1.25, n), np.nan),
            actual_label=[""] * n,
            total=n,
            total_labelled=int(labelled.sum()),
        )
        expected = 0.8 * spread * 1.25
        mae = Interval(expected, expected * 0.8, expected * 1.2)
        estimates = Estimates(span, {"mae": mae}, {}, {}, {}, 10_000, errors={"mae": [0.4, 0.6]})
        judged = check_performance(spec, version, span, read, None, estimates)
        return replace(judged, ran_at=span.end, duration_seconds=0.02)

    def _heartbeats(self) -> None:
        wall = datetime.now(UTC)
        for host, at, extra in (
            ("web1.flights", wall, {"lag_bytes": 18_400, "shipped": 1_284_220, "spooled": 2}),
            ("web2.flights", wall - timedelta(hours=3), {"shipped": 902_113, "dropped": 12, "quarantined": 4,
                "last_error": "https://collector:8321/_bulk: connection refused; is the collector running?"}),
        ):  # fmt: skip
            source = {
                "@timestamp": at.isoformat().replace("+00:00", "Z"),
                "kind": "heartbeat",
                "host": {"name": host},
                "agent": {"version": "0.1.0"},
                "lag_bytes": 0, "shipped": 0, "dropped": 0, "quarantined": 0, "spooled": 0, "last_error": "", **extra,
            }  # fmt: skip
            self.store.create([Document(Alias.LOGS, f"beat-{host}", source)])

    def _logs(self) -> None:
        for index in range(6):
            at = NOW - timedelta(minutes=7 * index)
            source: dict[str, Any] = {
                "@timestamp": at.isoformat().replace("+00:00", "Z"),
                "kind": "error" if index % 3 == 0 else "log",
                "model": FLIGHTS,
                "host": {"name": "web1.flights"},
                "log.level": "error" if index % 3 == 0 else "info",
                "message": f"<i>request {index}</i> took long",
            }
            if index % 3 == 0:
                source |= {
                    "error.type": "ValueError",
                    "error.stack_trace": 'Traceback:\n  File "x.py", line 1\nValueError',
                }
            alias = Alias.EVENTS if index % 3 == 0 else Alias.LOGS
            self.store.create([Document(alias, f"log-{index}", source)])

    def _probes(self) -> None:
        wall = datetime.now(UTC)
        found = [
            ProbeResult("model server", "http", True, Status.OK, 0.012, "https://m:8443/healthz answered 200", at=wall),
            ProbeResult(
                "certificate", "tls", True, Status.WARNING, 0.031, "m:8443: expires in 9 days", wall + 9 * DAY, wall
            ),
        ]
        self.store.save_result(probes_result(found))

    # -- what stands around it ----------------------------------------------------------------------------------
    def context(self) -> Context:
        return context_of(self.store, list(self.specs.values()), FilledEngine(self), self.entries())

    def entries(self) -> list[Entry]:
        def entry(model: str, check: CheckKind, **changed: Any) -> Entry:
            plain = Entry(
                model=model, check=check, schedule="every 1d", next_run=NOW + timedelta(hours=9), last_run=NOW,
                last_success=NOW, last_status=Status.OK, last_duration=timedelta(seconds=0.041), running=False,
                overdue=False, last_error="",
            )  # fmt: skip
            return replace(plain, **changed)

        return [
            entry(FLIGHTS, CheckKind.DRIFT, last_status=Status.CRITICAL),
            entry(FLIGHTS, CheckKind.QUALITY, last_status=Status.WARNING),
            entry(FLIGHTS, CheckKind.PERFORMANCE, running=True),
            entry(CREDIT, CheckKind.DRIFT),
            entry(
                CREDIT,
                CheckKind.PERFORMANCE,
                overdue=True,
                last_status=Status.NO_DATA,
                last_run=NOW - 3 * DAY,
                last_success=NOW - 3 * DAY,
            ),
            entry(
                STRANGE,
                CheckKind.DRIFT,
                last_status=Status.ERROR,
                last_error="reference file /etc/modelward/r.mwp: it was not written whole",
                last_success=NOW - 5 * DAY,
                overdue=True,
            ),
        ]


class FilledEngine:
    """Loads what the fixture made, and answers a run with the latest result, on demand."""

    def __init__(self, filled: Filled) -> None:
        self._filled = filled
        self.runs: list[tuple[str, CheckKind]] = []

    def run(
        self, model: str, check: CheckKind, at: datetime | None = None, *, on_demand: bool = False
    ) -> list[CheckResult]:
        if model not in self._filled.specs:
            raise KeyError(model)
        self.runs.append((model, check))
        latest = [item for item in self._filled.store.latest_results() if item.model == model and item.check is check]
        made = [replace(item, on_demand=True, ran_at=NOW) for item in latest[:1]]
        for result in made:
            self._filled.store.save_result(result)
        return made

    def span(self, model: str, check: CheckKind, at: datetime | None = None) -> Span:
        return Span(NOW - DAY, NOW)

    def window(self, model: str, span: Span) -> Window:
        found = {
            (version, segment): profile
            for (mine, version, segment, start, _), profile in self._filled.profiles.items()
            if mine == model and start == span.start
        }
        return Window(model, span, found, frozenset({"web1"}), span.end)

    def reference(self, model: str, version: str, span: Span) -> ReferenceProfile | None:
        return self._filled.references.get(model)


class StillClock:
    """A clock that stands at `NOW`."""

    replays = True

    def now(self) -> datetime:
        return NOW

    def describe(self) -> str:
        return "replaying, data up to 2013-11-20 12:00 UTC"


class ListedRegistry:
    """The models it is given."""

    def __init__(self, specs: Sequence[ModelSpec], errors: Mapping[str, Sequence[str]] | None = None) -> None:
        self._specs = sorted(specs, key=lambda spec: spec.model)
        self.errors = dict(errors or {})

    def specs(self) -> Sequence[ModelSpec]:
        return self._specs

    def spec(self, model: str) -> ModelSpec | None:
        return next((spec for spec in self._specs if spec.model == model), None)


class ListedScheduler:
    """The entries it is given."""

    running = True
    holds_lease = True

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = entries

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def entries(self) -> Sequence[Entry]:
        return self._entries


def context_of(
    store: Store, specs: Sequence[ModelSpec], engine: Any, entries: Sequence[Entry] = (), base_path: str = ""
) -> Context:
    config = cast(
        Any,
        SimpleNamespace(
            listen=SimpleNamespace(base_path=base_path), agents=SimpleNamespace(window=timedelta(minutes=1))
        ),
    )
    registry: Any = ListedRegistry(specs)
    scheduler: Any = ListedScheduler(entries)
    return Context(config, store, registry, engine, scheduler, StillClock())


def app_of(context: Context) -> FastAPI:
    """The console alone, under the policy that the collector sends."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(console_router(context))

    @app.middleware("http")
    async def policy(request: Any, call_next: Any) -> Any:
        response = await call_next(request)
        response.headers["Content-Security-Policy"] = CSP
        return response

    return app
