"""Columns of every kind that a model has, their profiles, and what the drift check says of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from modelward_agent.profile import FeatureProfile, NumericSketch, Profile, Segment, merged
from modelward_collector.checks.drift import check_drift
from modelward_collector.checks.drift_reference import PreparedReference, prepare_reference
from modelward_collector.checks.result import CheckResult, Status
from modelward_collector.checks.window import ReferenceProfile, Window
from modelward_collector.models import ModelSpec
from modelward_collector.span import Span

Values = NDArray[Any]
Draw = Callable[[np.random.Generator, int], Values]

FEATURES = 30
FALSE_ALARMS = 0.01
REFERENCE_ROWS = 100_000

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
START = datetime(2026, 3, 2, tzinfo=UTC)
SPEC = ModelSpec.model_validate({"model": "bench", "checks": {"drift": {"min_rows": 50}}})
WORDS = np.array(["a", "b", "c", "d", "e"])
SHARES = [0.30, 0.25, 0.20, 0.15, 0.10]


def words(shares: Sequence[float]) -> Draw:
    """Categories with these shares."""
    return lambda draw, n: draw.choice(WORDS, n, p=shares)


def raised(points: float) -> Draw:
    """The first category takes so much of all the others."""
    rest = 1 - SHARES[0]
    return words([SHARES[0] + points, *[share * (rest - points) / rest for share in SHARES[1:]]])


NUMERIC: dict[str, Draw] = {
    "normal": lambda draw, n: draw.normal(0, 1, n),
    "uniform": lambda draw, n: draw.random(n),
    "lognormal": lambda draw, n: draw.lognormal(0, 1, n),
    "t, 3 degrees of freedom": lambda draw, n: draw.standard_t(3, n),
    "Poisson": lambda draw, n: draw.poisson(2, n).astype(np.float64),
    "zero-inflated": lambda draw, n: np.where(draw.random(n) < 0.7, 0.0, draw.exponential(1, n)),
    "constant": lambda draw, n: np.full(n, 0.1),
}
MIXED: list[Draw] = [
    *[NUMERIC["normal"]] * 8,
    *[draw for name, draw in NUMERIC.items() if name not in ("normal", "constant")] * 3,
    NUMERIC["constant"],
    *[words(SHARES)] * 3,
    *[words([0.9, 0.05, 0.03, 0.015, 0.005])] * 3,
]
assert len(MIXED) == FEATURES

KINDS: dict[str, tuple[Draw, ...]] = {
    "numeric": (NUMERIC["normal"], NUMERIC["uniform"]),
    "heavy-tailed": (NUMERIC["lognormal"], NUMERIC["t, 3 degrees of freedom"]),
    "discrete": (NUMERIC["Poisson"], lambda draw, n: draw.integers(1, 7, n).astype(np.float64)),
    "zero-inflated": (NUMERIC["zero-inflated"], lambda draw, n: np.where(draw.random(n) < 0.98, 0.0, draw.random(n))),
    "constant": (NUMERIC["constant"], lambda draw, n: np.zeros(n)),
    "categorical": (words(SHARES), words([0.9, 0.05, 0.03, 0.015, 0.005])),
}
"""Two distributions of each kind that features have."""

CHANGED: dict[str, tuple[str, Callable[[float], Draw]]] = {
    "numeric": ("by {:.2g} sd", lambda s: lambda draw, n: draw.normal(0.2 * s, 1, n)),
    "heavy-tailed": ("scale × {:.2g}", lambda s: lambda draw, n: draw.lognormal(0.2 * s, 1, n)),
    "discrete": ("mean 2 to {:.2g}", lambda s: lambda draw, n: draw.poisson(2 + 0.3 * s, n).astype(np.float64)),
    "zero-inflated": (
        "zeros 70% to {:.0f}%",
        lambda s: lambda draw, n: np.where(draw.random(n) < 0.7 - 0.1 * s, 0.0, draw.exponential(1, n)),
    ),
    "constant": (
        "{:.2g}% are another value",
        lambda s: lambda draw, n: np.where(draw.random(n) < 0.05 * s, 0.2, 0.1),
    ),
    "categorical": ("one + {:.0f} points", lambda s: raised(0.1 * s)),
}
"""Of each kind's first distribution: what its change by a strength is called, and the change."""

SAID: dict[str, Callable[[float], float]] = {
    "numeric": lambda s: 0.2 * s,
    "heavy-tailed": lambda s: math.exp(0.2 * s),
    "discrete": lambda s: 2 + 0.3 * s,
    "zero-inflated": lambda s: 70 - 10 * s,
    "constant": lambda s: 5 * s,
    "categorical": lambda s: 10 * s,
}


def change(kind: str, strength: float) -> tuple[str, Draw]:
    """What the change is called, and the changed column."""
    what, after = CHANGED[kind]
    return what.format(SAID[kind](strength)), after(strength)


def feature(values: Values) -> FeatureProfile:
    """What the agent makes of a column; NaN and None are missing."""
    made = FeatureProfile()
    if values.dtype.kind == "f":
        there = values[~np.isnan(values)]
        made.missing = len(values) - len(there)
        made.numeric = NumericSketch()
        made.numeric.update(there)
    else:
        names, counts = np.unique(values.astype(str), return_counts=True)
        made.update_counts({str(name): int(count) for name, count in zip(names, counts, strict=True)})
    return made


def profile(columns: Sequence[Values] | Mapping[str, Values]) -> Profile:
    """What the agent makes of rows; columns without names are x0, x1, …"""
    named = columns if isinstance(columns, Mapping) else {f"x{index}": values for index, values in enumerate(columns)}
    made = Profile()
    made.rows = len(next(iter(named.values())))
    made.features = {name: feature(values) for name, values in named.items()}
    return made


def reference_of(days: Sequence[Profile], numbers: Sequence[int] | None = None) -> PreparedReference:
    """A reference of one window a day; `numbers` are the days since a Monday, one after the other by default."""
    spans = [Span(START + n * DAY, START + (n + 1) * DAY) for n in (numbers or range(len(days)))]
    return prepare_reference(ReferenceProfile("bench", merged(days), tuple(zip(spans, days, strict=True))))


def drawn_reference(draw: np.random.Generator, draws: Sequence[Draw], n: int) -> tuple[PreparedReference, list[Values]]:
    """`REFERENCE_ROWS` rows in days of n rows (at least 10, at most 50 of them), and the rows."""
    columns = [one(draw, REFERENCE_ROWS) for one in draws]
    days = min(50, REFERENCE_ROWS // min(n, 10_000))
    pieces = [np.array_split(column, days) for column in columns]
    return reference_of([profile([column[day] for column in pieces]) for day in range(days)]), columns


def verdict(reference: PreparedReference, current: Profile, days: float = 1, number: int = 0) -> CheckResult:
    """The drift check of one window of so many days, long after the reference, so many days after a Monday."""
    start = START + (1_001 + number) * DAY
    span = Span(start, start + days * DAY)
    return check_drift(SPEC, "v1", reference, Window("bench", span, {("v1", ()): current}))


def verdict_since(
    reference: PreparedReference, minutes: Mapping[datetime, Mapping[Segment, Profile]], span: Span
) -> CheckResult:
    """The same of a window in minutes, with since when; what is before the window is read for that alone."""

    def segments(wanted: Span) -> dict[Segment, list[tuple[datetime, Profile]]]:
        found: dict[Segment, list[tuple[datetime, Profile]]] = {}
        for at, by_segment in minutes.items():
            if wanted.start <= at < wanted.end:
                for segment, made in by_segment.items():
                    found.setdefault(segment, []).append((at, made))
        return found

    def steps(wanted: Span, step: timedelta) -> list[tuple[Span, dict[Segment, Profile]]]:
        found: dict[datetime, dict[Segment, Profile]] = {}
        for segment, parts in segments(wanted).items():
            for at, made in parts:
                start = datetime.fromtimestamp(at.timestamp() // step.total_seconds() * step.total_seconds(), UTC)
                found.setdefault(start, {}).setdefault(segment, Profile()).merge(made)
        return [(Span(start, start + step), by_segment) for start, by_segment in sorted(found.items())]

    inside = {("v1", segment): merged(made for _, made in parts) for segment, parts in segments(span).items()}
    return check_drift(SPEC, "v1", reference, Window("bench", span, inside), (), steps)


def flagged(result: CheckResult) -> set[str]:
    """The features that were found drifting."""
    return {finding.subject for finding in result.findings if finding.status in (Status.WARNING, Status.CRITICAL)}


def plain_ks(sorted_reference: Values, values: Values) -> float:
    """The usual two-sample Kolmogorov-Smirnov p-value on raw rows, asymptotic."""
    points = np.concatenate((sorted_reference, values))
    n, m = len(sorted_reference), len(values)
    gap = np.abs(
        np.searchsorted(sorted_reference, points, side="right") / n
        - np.searchsorted(np.sort(values), points, side="right") / m
    ).max()
    return float(special.kolmogorov(gap * math.sqrt(n * m / (n + m))))


def plain_test(reference: Values, values: Values) -> float:
    """The p-value that a textbook takes: Kolmogorov-Smirnov of numbers, chi-squared of categories, on raw rows."""
    if reference.dtype.kind == "f":
        return plain_ks(np.sort(reference[~np.isnan(reference)]), values[~np.isnan(values)])
    names = np.unique(np.concatenate((reference, values)).astype(str))
    table = np.array([[np.count_nonzero(side.astype(str) == name) for name in names] for side in (reference, values)])
    return 1.0 if len(names) < 2 else float(stats.chi2_contingency(table).pvalue)


@dataclass(slots=True)
class Count:
    """Windows in which something was flagged, of how many."""

    hits: int = 0
    runs: int = 0

    def add(self, hit: bool) -> None:
        """Count one window."""
        self.hits += hit
        self.runs += 1

    @property
    def share(self) -> float:
        """Of the windows."""
        return self.hits / self.runs

    def interval(self) -> tuple[float, float]:
        """Clopper and Pearson's 95% interval of the share."""
        low = stats.beta.ppf(0.025, self.hits, self.runs - self.hits + 1) if self.hits else 0.0
        high = stats.beta.ppf(0.975, self.hits + 1, self.runs - self.hits) if self.hits < self.runs else 1.0
        return float(low), float(high)

    def says(self) -> str:
        """The share with its interval."""
        low, high = self.interval()
        return f"{self.share:.1%} of {self.runs:,} ({low:.1%} to {high:.1%})"

    def few_enough(self) -> bool:
        """At most one window in a hundred; from few windows: not shown to be more."""
        return self.share <= FALSE_ALARMS or (self.runs < 500 and self.interval()[0] <= FALSE_ALARMS)

    def enough(self, share: float) -> bool:
        """At least that share was found; from few windows: not shown to be less."""
        return self.share >= share or (self.runs < 100 and self.interval()[1] >= share)
