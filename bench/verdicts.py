"""False alarms and power of the drift verdict, beside plain KS at p < 0.05, peers' defaults and the best possible test.

Everything goes through `check_drift` on merged sketches; the reference is 100,000 rows kept in windows. False alarms:
the share of unchanged windows in which any of 30 features is flagged. Power: one of 30 features is changed; found is
when that feature is flagged. The likelihood-ratio test knows the family and the kind of change, sees the raw rows, and
has the same false alarm rate (1% over 30 features).
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from bench.rows import PEERS, Row, ask_peer, report
from modelward_agent.profile import CategoricalSketch, FeatureProfile, NumericSketch, Profile, merged
from modelward_collector.checks.drift import check_drift
from modelward_collector.checks.drift_reference import PreparedReference, prepare_reference
from modelward_collector.checks.result import CheckResult, Status
from modelward_collector.checks.window import ReferenceProfile, Window
from modelward_collector.models import ModelSpec
from modelward_collector.span import Span

FEATURES = 30
FALSE_ALARMS = 0.01
POWER = 0.95
BEHIND_THE_BEST = 0.05
REFERENCE_ROWS = 100_000

Values = NDArray[Any]
Draw = Callable[[np.random.Generator, int], Values]
DAY = timedelta(days=1)
START = datetime(2026, 3, 2, tzinfo=UTC)
SPEC = ModelSpec(model="bench")
WORDS = np.array(["a", "b", "c", "d", "e"])
SHARES = [0.30, 0.25, 0.20, 0.15, 0.10]


def words(shares: Sequence[float]) -> Draw:
    """Categories with these shares."""
    return lambda draw, n: draw.choice(WORDS, n, p=shares)


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
KINDS: dict[str, list[Draw]] = {
    "of mixed kinds": MIXED,
    "normal": [NUMERIC["normal"]] * FEATURES,
    "lognormal and t with 3 degrees of freedom": [NUMERIC["lognormal"], NUMERIC["t, 3 degrees of freedom"]] * 15,
    "Poisson and zero-inflated": [NUMERIC["Poisson"], NUMERIC["zero-inflated"]] * 15,
}


def feature(values: Values) -> FeatureProfile:
    """What the agent makes of a column."""
    made = FeatureProfile()
    if values.dtype.kind == "f":
        made.numeric = NumericSketch()
        made.numeric.update(values)
    else:
        names, counts = np.unique(values, return_counts=True)
        made.categorical = CategoricalSketch()
        made.categorical.update_counts({str(name): int(count) for name, count in zip(names, counts, strict=True)})
    return made


def profile(columns: Sequence[Values]) -> Profile:
    """What the agent makes of rows."""
    made = Profile()
    made.rows = len(columns[0])
    made.features = {f"x{index}": feature(values) for index, values in enumerate(columns)}
    return made


def reference_of(days: Sequence[Profile]) -> PreparedReference:
    """A reference of one window a day."""
    spans = [Span(START + index * DAY, START + (index + 1) * DAY) for index in range(len(days))]
    return prepare_reference(ReferenceProfile("bench", merged(days), tuple(zip(spans, days, strict=True))))


def verdict(reference: PreparedReference, current: Profile) -> CheckResult:
    """The drift check of one window."""
    span = Span(START + 1_000 * DAY, START + 1_001 * DAY)
    return check_drift(SPEC, "v1", reference, Window("bench", span, {("v1", ()): current}))


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


@dataclass(slots=True)
class Count:
    """Windows in which something was flagged, of how many."""

    hits: int = 0
    runs: int = 0

    def add(self, hit: bool) -> None:
        """Count one window."""
        self.hits += hit
        self.runs += 1


def interval(hits: int, runs: int) -> tuple[float, float]:
    """Clopper and Pearson's 95% interval of a share."""
    low = stats.beta.ppf(0.025, hits, runs - hits + 1) if hits else 0.0
    high = stats.beta.ppf(0.975, hits + 1, runs - hits) if hits < runs else 1.0
    return float(low), float(high)


def says(hits: int, runs: int) -> str:
    """A share with its interval."""
    low, high = interval(hits, runs)
    return f"{hits / runs:.1%} of {runs:,} ({low:.1%} to {high:.1%})"


def few_enough(hits: int, runs: int) -> bool:
    """At most one window in a hundred; from few windows: not shown to be more."""
    return hits / runs <= FALSE_ALARMS or (runs < 500 and interval(hits, runs)[0] <= FALSE_ALARMS)


def enough(count: Count, share: float) -> bool:
    """At least that share was found; from few windows: not shown to be less."""
    return count.hits / count.runs >= share or (count.runs < 100 and interval(count.hits, count.runs)[1] >= share)


# -- false alarms ---------------------------------------------------------------------------------------------------


def false_alarms(
    draw: np.random.Generator, draws: Sequence[Draw], n: int, runs: int, references: int
) -> tuple[Count, Count]:
    """Windows of n rows that differ by chance only: ours, and plain KS on the numeric features of the first few."""
    ours, plain = Count(), Count()
    for _ in range(references):
        columns = [one(draw, REFERENCE_ROWS) for one in draws]
        days = REFERENCE_ROWS // min(n, 10_000)
        days = min(days, 50)
        pieces = [np.array_split(column, days) for column in columns]
        reference = reference_of([profile([column[day] for column in pieces]) for day in range(days)])
        ordered = [np.sort(column) if column.dtype.kind == "f" else None for column in columns]
        for run in range(runs // references):
            current = [one(draw, n) for one in draws]
            ours.add(bool(flagged(verdict(reference, profile(current)))))
            if run < 10:
                plain.add(
                    any(
                        plain_ks(known, values) < 0.05
                        for known, values in zip(ordered, current, strict=True)
                        if known is not None
                    )
                )
    return ours, plain


def weekly(draw: np.random.Generator, n: int, weeks: int) -> Count:
    """Half the features shift by half a standard deviation at weekends, in the reference and after it."""

    def day(number: int) -> Profile:
        shift = 0.5 if number % 7 > 4 else 0.0
        return profile([draw.normal(shift * (index % 2), 1, n) for index in range(FEATURES)])

    ours = Count()
    reference = reference_of([day(number) for number in range(28)])
    for number in range(7 * weeks):
        ours.add(bool(flagged(verdict(reference, day(number)))))
    return ours


# -- power ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Change:
    """What one feature becomes, and the likelihood-ratio test's p-value of raw rows (reference, current)."""

    what: str
    n: int
    before: Draw
    after: Draw
    best: Callable[[Values, Values], float]


def likelihood_of_means(reference: Values, current: Values) -> float:
    """Of normal rows whose mean may have changed: Student's t."""
    return float(stats.ttest_ind(reference, current).pvalue)


def likelihood_of_variances(reference: Values, current: Values) -> float:
    """Of normal rows whose variance may have changed, by the chi-squared limit."""
    n, m = len(reference), len(current)
    a, b = float(reference.var()), float(current.var())
    pooled = (n * a + m * b) / (n + m)
    return float(stats.chi2.sf((n + m) * math.log(pooled) - n * math.log(a) - m * math.log(b), 1))


def likelihood_of_shares(reference: Values, current: Values) -> float:
    """Of the first category's share, by the chi-squared limit."""
    table = [[int((side == WORDS[0]).sum()), int((side != WORDS[0]).sum())] for side in (reference, current)]
    return float(stats.chi2_contingency(table, correction=False, lambda_="log-likelihood").pvalue)


def raised(points: float) -> Draw:
    """The first category takes so much of all the others."""
    rest = 1 - SHARES[0]
    return words([SHARES[0] + points, *[share * (rest - points) / rest for share in SHARES[1:]]])


NORMAL = NUMERIC["normal"]
CHANGES = [
    Change("0.2 sd", 1_000, NORMAL, lambda draw, n: draw.normal(0.2, 1, n), likelihood_of_means),
    Change("variance × 1.5", 1_000, NORMAL, lambda draw, n: draw.normal(0, math.sqrt(1.5), n), likelihood_of_variances),
    Change("a category + 10 points", 1_000, words(SHARES), raised(0.10), likelihood_of_shares),
    Change("0.1 sd", 10_000, NORMAL, lambda draw, n: draw.normal(0.1, 1, n), likelihood_of_means),
    Change(
        "variance × 1.2", 10_000, NORMAL, lambda draw, n: draw.normal(0, math.sqrt(1.2), n), likelihood_of_variances
    ),
    Change("a category + 5 points", 10_000, words(SHARES), raised(0.05), likelihood_of_shares),
]


def power(draw: np.random.Generator, change: Change, runs: int) -> tuple[Count, Count, Count]:
    """How often ours, the likelihood-ratio test, and plain KS (numeric only) find the changed feature."""
    ours, best, plain = Count(), Count(), Count()
    draws = [change.before, *MIXED[1:]]
    columns = [one(draw, REFERENCE_ROWS) for one in draws]
    days = REFERENCE_ROWS // change.n
    pieces = [np.array_split(column, days) for column in columns]
    reference = reference_of([profile([column[day] for column in pieces]) for day in range(days)])
    ordered = np.sort(columns[0])
    others = [profile([one(draw, change.n) for one in draws]) for _ in range(10)]
    for run in range(runs):
        values = change.after(draw, change.n)
        current = others[run % len(others)]
        current.features["x0"] = feature(values)
        ours.add("x0" in flagged(verdict(reference, current)))
        best.add(change.best(columns[0], values) <= FALSE_ALARMS / FEATURES)
        if values.dtype.kind == "f":
            plain.add(plain_ks(ordered, values) < 0.05)
    return ours, best, plain


# -- together -------------------------------------------------------------------------------------------------------


def together(draw: np.random.Generator, n: int, runs: int) -> tuple[Count, Count]:
    """Windows said to move together differently: when nothing changed, and when one pair's correlation is gone.

    Numeric features of every family come in pairs with a rank correlation of about 0.6; marginals never change.
    """
    draws = [one for name, one in NUMERIC.items() if name != "constant"] * 5
    names = [f"x{index:02d}" for index in range(FEATURES)]

    def rows(count: int, *, apart: bool = False) -> Profile:
        columns = [one(draw, count) for one in draws]
        for left, right in zip(columns[::2], columns[1::2], strict=True):
            hidden = draw.normal(size=(2, count))
            hidden[1] = 0.62 * hidden[0] + math.sqrt(1 - 0.62**2) * hidden[1]
            for column, order in zip((left, right), hidden, strict=True):
                column.sort()
                column[:] = column[order.argsort().argsort()]
        if apart:
            columns[0] = draw.permutation(columns[0])
        made = profile(columns)
        made.fold_together(names, np.array(columns))
        return made

    def pairs(current: Profile) -> list[dict[str, Any]]:
        found = next(finding for finding in verdict(reference, current).findings if finding.test == "joint")
        contributors: list[dict[str, Any]] = found.detail["contributors"]
        return contributors

    unchanged, flipped = Count(), Count()
    reference = reference_of([rows(10_000) for _ in range(10)])
    for run in range(runs):
        unchanged.add(bool(pairs(rows(n))))
        if run < 100:
            flipped.add([(pair["a"], pair["b"]) for pair in pairs(rows(n, apart=True))] == [("x00", "x01")])
    return unchanged, flipped


# -- the table ------------------------------------------------------------------------------------------------------


def ask_peers(draw: np.random.Generator, draws: Sequence[Draw], after: Draw, n: int, windows: int) -> dict[str, Values]:
    """Flags (windows, columns) of each peer's defaults; the first column's windows are drawn from `after`."""
    reference = np.column_stack([one(draw, 20_000) for one in draws])
    current = np.array([np.column_stack([one(draw, n) for one in (after, *draws[1:])]) for _ in range(windows)])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.npz"
        np.savez(path, reference=reference, windows=current)
        return {name: np.array(rows) for name, rows in ask_peer("verdicts.py", str(path)).items()}


def peer_rows(draw: np.random.Generator, quick: bool) -> list[Row]:
    """Peers on the numeric features of the rows above; nothing when their environment is not there."""
    if not PEERS.exists():
        return []
    windows = 10 if quick else 30
    draws = [NORMAL] * 10 + [one for one in NUMERIC.values() if one is not NORMAL] * 3 + [NORMAL] * 2
    cases = [(f"unchanged, n = {n:,}: windows flagged", NORMAL, n, True) for n in (1_000, 10_000)]
    cases += [
        (f"changed by {change.what}, n = {change.n:,}: found", change.after, change.n, False)
        for change in CHANGES
        if change.before is NORMAL
    ]
    rows = []
    for what, after, n, anything in cases:
        _progress(f"peers, {what}")
        flags = ask_peers(draw, draws, after, n, windows)
        shares = {name: (flag.any(axis=1) if anything else flag[:, 0] > 0) for name, flag in flags.items()}
        measured = "; ".join(f"{name} {share.mean():.0%}" for name, share in shares.items())
        rows.append(
            Row(f"peers' defaults, {FEATURES} numeric features, {what}", measured, "for comparison", holds=True)
        )
    return rows


def _progress(what: str) -> None:
    print(f"measuring {what} …", file=sys.stderr, flush=True)


QUICK = ((1_000, 100, 2), (10_000, 40, 2), (100_000, 10, 1))
FULL = ((1_000, 1_500, 10), (10_000, 400, 5), (100_000, 60, 4))
"""Rows of a window, how many windows, against how many references."""


def rows_of(quick: bool) -> list[Row]:
    """Measure everything."""
    draw = np.random.default_rng(20260302)
    rows = []
    sizes = QUICK if quick else FULL
    for kind, draws in KINDS.items():
        for n, runs, references in sizes:
            apart = draws is not MIXED
            if apart and n > 1_000:
                continue
            _progress(f"unchanged features {kind}, n = {n:,}")
            runs, references = (runs // 3, references // 2) if apart and not quick else (runs, references)
            ours, plain = false_alarms(draw, draws, n, runs, references)
            measured = f"{says(ours.hits, ours.runs)}; plain KS p < 0.05: {plain.hits / plain.runs:.0%}"
            rows.append(
                Row(
                    f"unchanged, {FEATURES} features {kind}, n = {n:,}: windows flagged",
                    measured,
                    f"at most {FALSE_ALARMS:.0%}",
                    few_enough(ours.hits, ours.runs),
                )
            )
    _progress("a weekend pattern")
    pattern = weekly(draw, 2_000, 4 if quick else 72)
    rows.append(
        Row(
            "unchanged, a weekend pattern of 0.5 sd, n = 2,000, 4 weeks of reference: windows flagged",
            says(pattern.hits, pattern.runs),
            f"at most {FALSE_ALARMS:.0%}",
            few_enough(pattern.hits, pattern.runs),
        )
    )
    for change in CHANGES:
        _progress(f"{change.what}, n = {change.n:,}")
        ours, best, plain = power(draw, change, 60 if quick else 300)
        found, possible = ours.hits / ours.runs, best.hits / best.runs
        measured = f"{found:.1%}; likelihood-ratio test {possible:.1%}"
        if plain.runs:
            measured += f"; plain KS p < 0.05 {plain.hits / plain.runs:.1%}"
        rows.append(
            Row(
                f"one of {FEATURES} features changed by {change.what}, n = {change.n:,}: found",
                measured,
                f"at least {POWER:.0%}, and at most {100 * BEHIND_THE_BEST:.0f} points below the best",
                enough(ours, POWER) and enough(ours, possible - BEHIND_THE_BEST),
            )
        )
    _progress("features that move together")
    for n, runs in ((1_000, 40 if quick else 500), (10_000, 20 if quick else 100)):
        unchanged, flipped = together(draw, n, runs)
        rows.append(
            Row(
                f"{FEATURES} features in 15 correlated pairs, unchanged, n = {n:,}: windows with joint drift",
                says(unchanged.hits, unchanged.runs),
                f"at most {FALSE_ALARMS:.0%}",
                few_enough(unchanged.hits, unchanged.runs),
            )
        )
        rows.append(
            Row(
                f"the correlation of one pair gone, marginals kept, n = {n:,}: that pair named, and no other",
                says(flipped.hits, flipped.runs),
                f"at least {POWER:.0%}",
                enough(flipped, POWER),
            )
        )
    return rows + peer_rows(draw, quick)


def main() -> int:
    """0 when every row holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer windows, for CI")
    return report(rows_of(parser.parse_args().quick))


if __name__ == "__main__":
    sys.exit(main())
