"""False alarms and power of the drift verdict, beside a textbook test, peers' defaults and the best possible test.

Everything goes through `check_drift` on merged sketches. False alarms: the share of unchanged windows in which any
feature is flagged. Power: one of 30 features is changed; found is when that feature is flagged. The likelihood-ratio
test knows the family and the kind of change, sees the raw rows, and has the same false alarm rate (1% over 30
features). Real rows are in `verdicts_real.py`, peers on the same rows as ours in `verdicts_peers.py`. The cases run
side by side on all cores, each with draws of its own, so that the table is the same at any number of them.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy import stats

from bench import verdicts_dependence, verdicts_peers, verdicts_real, verdicts_since, verdicts_text
from bench.columns import (
    FALSE_ALARMS,
    FEATURES,
    KINDS,
    MIXED,
    NUMERIC,
    SHARES,
    WORDS,
    Count,
    Draw,
    Values,
    change,
    drawn_reference,
    feature,
    flagged,
    plain_test,
    profile,
    raised,
    reference_of,
    verdict,
    words,
)
from bench.rows import Row, report
from modelward_agent.profile import Profile

POWER = 0.95
BEHIND_THE_BEST = 0.05
PLAIN_WINDOWS = 5
"""Windows of a reference that the textbook test judges too."""

# -- false alarms ---------------------------------------------------------------------------------------------------


def false_alarms(what: str, draws: Sequence[Draw], n: int, runs: int, references: int, seed: int) -> list[Row]:
    """Windows of n rows that differ by chance only: ours, and the textbook test on a few."""
    draw = np.random.default_rng(seed)
    ours, plain = Count(), Count()
    for _ in range(references):
        reference, columns = drawn_reference(draw, draws, n)
        for run in range(runs // references):
            current = [one(draw, n) for one in draws]
            ours.add(bool(flagged(verdict(reference, profile(current)))))
            if run < PLAIN_WINDOWS and n < 1_000_000:
                plain.add(any(plain_test(known, mine) < 0.05 for known, mine in zip(columns, current, strict=True)))
    measured = ours.says() + (f"; each at p < 0.05: {plain.share:.0%}" if plain.runs else "")
    return [
        Row(
            f"unchanged, {what}, n = {n:,}: windows flagged", measured, f"at most {FALSE_ALARMS:.0%}", ours.few_enough()
        )
    ]


def weekly(n: int, weeks: int, references: int, seed: int) -> list[Row]:
    """Half the features shift by half a standard deviation at weekends, in the reference and after it."""
    draw = np.random.default_rng(seed)

    def day(number: int) -> Profile:
        shift = 0.5 if number % 7 > 4 else 0.0
        return profile([draw.normal(shift * (index % 2), 1, n) for index in range(FEATURES)])

    ours = Count()
    for _ in range(references):
        reference = reference_of([day(number) for number in range(28)])
        for number in range(7 * weeks):
            ours.add(bool(flagged(verdict(reference, day(number), number=number))))
    what = f"unchanged, {FEATURES} features, half of them 0.5 sd higher at weekends, n = {n:,}, 4 weeks of reference"
    return [Row(f"{what}: windows flagged", ours.says(), f"at most {FALSE_ALARMS:.0%}", ours.few_enough())]


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


def power(change: Change, runs: int, seed: int) -> list[Row]:
    """How often ours, the likelihood-ratio test, and the textbook test find the changed feature."""
    draw = np.random.default_rng(seed)
    ours, best, plain = Count(), Count(), Count()
    draws = [change.before, *MIXED[1:]]
    reference, columns = drawn_reference(draw, draws, change.n)
    others = [profile([one(draw, change.n) for one in draws]) for _ in range(10)]
    for run in range(runs):
        values = change.after(draw, change.n)
        current = others[run % len(others)]
        current.features["x0"] = feature(values)
        ours.add("x0" in flagged(verdict(reference, current)))
        best.add(change.best(columns[0], values) <= FALSE_ALARMS / FEATURES)
        if run < 100:
            plain.add(plain_test(columns[0], values) < 0.05)
    return [
        Row(
            f"one of {FEATURES} features changed by {change.what}, n = {change.n:,}: found",
            f"{ours.share:.1%}; likelihood-ratio test {best.share:.1%}; p < 0.05: {plain.share:.0%}",
            f"at least {POWER:.0%}, and at most {100 * BEHIND_THE_BEST:.0f} points below the best",
            ours.enough(POWER) and ours.enough(best.share - BEHIND_THE_BEST),
        )
    ]


def every_kind(n: int, strength: float, runs: int, seed: int) -> list[Row]:
    """One of 30 features, of each kind in turn, changed by a strength: found; and nothing else flagged."""
    draw = np.random.default_rng(seed)
    draws = [pair[0] for pair in KINDS.values()] + MIXED[len(KINDS) :]
    reference, _ = drawn_reference(draw, draws, n)
    said, found = [], Count()
    for index, kind in enumerate(KINDS):
        what, after = change(kind, strength)
        mine = Count()
        current = profile([one(draw, n) for one in draws])
        for _ in range(runs):
            current.features[f"x{index}"] = feature(after(draw, n))
            mine.add(flagged(verdict(reference, current)) == {f"x{index}"})
        said.append(f"{kind} ({what}) {mine.share:.0%}")
        found.hits, found.runs = found.hits + mine.hits, found.runs + mine.runs
    what = f"one of {FEATURES} features changed, n = {n:,}: it and no other flagged"
    return [Row(what, "; ".join(said), f"at least {POWER:.0%} of all", found.enough(POWER))]


def no_matter(n: int, runs: int, seed: int) -> list[Row]:
    """At many rows everything is significant: a change of 0.02 standard deviations is none to be told of."""
    draw = np.random.default_rng(seed)
    reference, columns = drawn_reference(draw, [NORMAL] * FEATURES, n)
    ours, plain = Count(), Count()
    current = profile([NORMAL(draw, 1_000) for _ in range(FEATURES)])
    for _ in range(runs):
        values = draw.normal(0.02, 1, n)
        current.features["x0"] = feature(values)
        ours.add("x0" in flagged(verdict(reference, current)))
        plain.add(plain_test(columns[0], values) < 0.05)
    what = f"changed by 0.02 sd, which is no matter, n = {n:,}: flagged"
    return [Row(what, f"{ours.share:.0%}; p < 0.05: {plain.share:.0%}", "none", ours.hits == 0)]


# -- together -------------------------------------------------------------------------------------------------------


def together(n: int, runs: int, seed: int) -> list[Row]:
    """Windows said to move together differently: when nothing changed, and when one pair's correlation is gone.

    Numeric features of every family come in pairs with a rank correlation of about 0.6; marginals never change.
    """
    draw = np.random.default_rng(seed)
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
    return [
        Row(
            f"{FEATURES} features in 15 correlated pairs, unchanged, n = {n:,}: windows with joint drift",
            unchanged.says(),
            f"at most {FALSE_ALARMS:.0%}",
            unchanged.few_enough(),
        ),
        Row(
            f"the correlation of one pair gone, marginals kept, n = {n:,}: that pair named, and no other",
            flipped.says(),
            f"at least {POWER:.0%}",
            flipped.enough(POWER),
        ),
    ]


# -- cost -----------------------------------------------------------------------------------------------------------

FLAT, LINEAR = 2.0, 1.5


def cost(seed: int) -> list[Row]:
    """Processor seconds of a check by traffic and by width; the best of ten, since what else runs only adds."""
    draw = np.random.default_rng(seed)

    def seconds(width: int, n: int) -> float:
        draws = (MIXED * math.ceil(width / len(MIXED)))[:width]
        reference, _ = drawn_reference(draw, draws, 10_000)
        current = profile([one(draw, n) for one in draws])
        verdict(reference, current)
        taken = []
        for _ in range(10):
            begun = time.process_time()
            verdict(reference, current)
            taken.append(time.process_time() - begun)
        return min(taken)

    quiet, busy = seconds(FEATURES, 10_000), seconds(FEATURES, 1_000_000)
    narrow, wide = seconds(30, 1_000), seconds(300, 1_000)
    return [
        Row(
            f"a check of {FEATURES} features, n = 10,000 and 1,000,000",
            f"{1e3 * quiet:.0f} and {1e3 * busy:.0f} ms, {busy / quiet:.2f} times",
            f"flat: at most {FLAT:g} times",
            busy <= FLAT * quiet,
        ),
        Row(
            "a check of 30 and of 300 features, n = 1,000",
            f"{1e3 * narrow:.0f} and {1e3 * wide:.0f} ms, {wide / narrow:.1f} times",
            f"linear: at most {10 * LINEAR:g} times",
            wide <= 10 * LINEAR * narrow,
        ),
    ]


# -- the table ------------------------------------------------------------------------------------------------------

Case = Callable[[], list[Row]]


def cases(quick: bool) -> list[Case]:
    """Everything that is measured, in the table's order; each with a seed of its own."""
    seeds = iter(range(20260302, 20260402))

    def case(measure: Callable[..., list[Row]], *arguments: Any) -> Case:
        return partial(measure, *arguments, next(seeds))

    few = 10 if quick else 1
    mixed = f"{FEATURES} features of mixed kinds"
    found = [
        # Rows of a window, how many windows, against how many references.
        *(
            case(false_alarms, mixed, MIXED, n, runs // few, max(1, references // few))
            for n, runs, references in ((200, 2_000, 10), (1_000, 2_000, 10), (10_000, 1_000, 10), (100_000, 200, 5))
        ),
        case(false_alarms, mixed, MIXED, 1_000_000, 10 // min(few, 5), 1),
        *(
            case(false_alarms, f"{FEATURES} {kind} features", list(pair) * 15, n, 1_000 // few, max(1, 20 // few))
            for kind, pair in KINDS.items()
            for n in (200, 1_000)
        ),
        case(false_alarms, "1 feature", [NORMAL], 1_000, 4_000 // few, 20),
        case(false_alarms, "300 features of mixed kinds", MIXED * 10, 200, 300 // few, 2),
        case(false_alarms, "300 features of mixed kinds", MIXED * 10, 1_000, 300 // few, 2),
        case(weekly, 200, 10 // few, 10),
        case(weekly, 2_000, 10 // few, 10),
        case(weekly, 20_000, 10 // few, 3),
        *(case(power, change, 500 // few) for change in CHANGES),
        *(
            case(every_kind, n, strength, runs // few)
            for n, strength, runs in ((200, 3.0, 50), (1_000, 1.3, 50), (10_000, 0.5, 50), (100_000, 0.5, 20))
        ),
        case(no_matter, 1_000_000, 20 // few),
        case(together, 1_000, 600 // few),
        case(together, 10_000, 200 // few),
        case(verdicts_text.text, 1_000, 200 // few),
        case(verdicts_since.since_when, 80 // few),
    ]
    sizes = verdicts_peers.CASES if not quick else (1_000,)
    found += [case(verdicts_peers.by_kind, n) for n in sizes]
    if not quick:
        found += [case(verdicts_peers.weekly), verdicts_real.by_month, verdicts_real.by_day]
        found += [case(verdicts_real.injected)]
    found += [
        case(verdicts_dependence.dependence, 1_000, 600 // few),
        case(verdicts_dependence.dependence, 10_000, 100 // few),
        case(verdicts_dependence.size),
    ]
    return found


def run(number: int, quick: bool) -> list[Row]:
    """One case, by its place: draws are functions without a name that another process would know."""
    one = cases(quick)[number]
    begun = time.monotonic()
    rows = one()
    for row in rows:
        print(f"{time.monotonic() - begun:.0f} s: {row.what}: {row.measured}", file=sys.stderr, flush=True)
    return rows


def main() -> int:
    """0 when every row holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer windows, for CI")
    quick = parser.parse_args().quick
    os.environ["OMP_NUM_THREADS"] = "1"  # every core has a case of its own
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        answers = list(pool.map(run, range(len(cases(quick))), [quick] * len(cases(quick))))
    # Alone, so that nothing else is timed.
    return report([row for rows in (*answers, cost(1)) for row in rows])


if __name__ == "__main__":
    sys.exit(main())
