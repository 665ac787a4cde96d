"""Dependence that no correlation shows: false alarms of the joint verdict, what it finds, and what it costs.

Beside it what was tried first: a mean embedding of whole rows by random Fourier features, with every feature's scale
known, which agents that do not know of each other do not have.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.columns import FALSE_ALARMS, FEATURES, NUMERIC, Count, profile, reference_of, verdict
from bench.rows import Row
from modelward_agent.profile import Profile, to_bytes
from modelward_collector.checks.drift_reference import PreparedReference

POWER = 0.95
SIZE = 0.1
"""A profile may be so much larger."""

NAMES = [f"x{index:02d}" for index in range(FEATURES)]
KINDS = {"y = x²": NAMES[0:2], "z = sign(xy)": NAMES[2:5], "x² + y² = 1": NAMES[5:7]}
_OTHERS = [one for name, one in NUMERIC.items() if name != "constant"] * 4
_AT_ONCE = 1_000
"""Rows of a batch, as the agent folds a minute's."""

Matrix = NDArray[np.float64]


def rows(draw: np.random.Generator, n: int, apart: Sequence[str] = ()) -> Matrix:
    """Features of many kinds, shape (features, n), some of which depend on each other unless they are told `apart`.

    Marginal distributions are always the same, and every correlation of those that depend is zero.
    """
    made = draw.normal(size=(FEATURES, n))
    source = {kind: draw.normal(size=n) if kind in apart else None for kind in KINDS}
    x = source["y = x²"]
    made[1] = (made[0] if x is None else x) ** 2 + 0.3 * made[1]
    x = source["z = sign(xy)"]
    made[4] = np.sign(made[2] * made[3] if x is None else x) * np.abs(made[4])
    angle = draw.uniform(0, 2 * np.pi, size=(2, n))
    made[5], made[6] = np.cos(angle[0]), np.sin(angle[1 if "x² + y² = 1" in apart else 0])
    made[7:10] = 20 + 0.8 * made[7] + 0.6 * made[7:10]
    for index, one in enumerate(_OTHERS[: FEATURES - 10]):
        made[10 + index] = one(draw, n)
    return made


def folded(columns: Matrix) -> Profile:
    """Their profile."""
    made = profile(dict(zip(NAMES, columns, strict=True)))
    for start in range(0, columns.shape[1], _AT_ONCE):
        made.fold_together(NAMES, columns[:, start : start + _AT_ONCE])
    return made


def said(reference: PreparedReference, current: Profile) -> list[list[str]]:
    """The features of every dependence and pair that is said to have changed."""
    found = next(finding for finding in verdict(reference, current).findings if finding.test == "joint")
    pairs = [[pair["a"], pair["b"]] for pair in found.detail["contributors"]]
    return pairs + [one["features"] for one in found.detail["dependences"]]


def dependence(n: int, runs: int, seed: int) -> list[Row]:
    """Windows of n rows: unchanged, and with one dependence gone, or come."""
    draw = np.random.default_rng(seed)
    everything = reference_of([folded(rows(draw, 10_000)) for _ in range(10)])
    nothing = reference_of([folded(rows(draw, 10_000, [*KINDS])) for _ in range(10)])
    unchanged = Count()
    for run in range(runs):
        reference, apart = ((everything, []), (nothing, [*KINDS]))[run % 2]
        unchanged.add(bool(said(reference, folded(rows(draw, n, apart)))))
    found, words = Count(), []
    for kind, names in KINDS.items():
        mine = Count()
        for run in range(max(10, runs // 10)):
            gone = run % 2 == 0
            apart = [kind] if gone else [other for other in KINDS if other != kind]
            told = said(everything if gone else nothing, folded(rows(draw, n, apart)))
            mine.add(told == [names])
        words.append(f"{kind} {mine.share:.0%}")
        found.hits, found.runs = found.hits + mine.hits, found.runs + mine.runs
    tried = ", ".join(f"{kind} {share:.0%}" for kind, share in embedded(n, 40, draw).items())
    return [
        Row(
            f"{FEATURES} features, some of which depend on each other, unchanged, n = {n:,}: windows with joint drift",
            unchanged.says(),
            f"at most {FALSE_ALARMS:.0%}",
            unchanged.few_enough(),
        ),
        Row(
            f"one dependence without correlation gone or come, n = {n:,}: these features named, and no others",
            "; ".join(words),
            f"at least {POWER:.0%} of all",
            found.enough(POWER),
        ),
        Row(
            f"the same by 256 random Fourier features of whole rows, scale known, n = {n:,}: noticed", tried, "-", True
        ),
    ]


FREQUENCIES = 256
_NOTICED_SDS = 3.1
"""Of the statistic's normal approximation in unchanged windows: 0.1%, a tenth of the false alarm rate."""


def embedded(n: int, runs: int, draw: np.random.Generator) -> dict[str, float]:
    """How often the mean embedding of a window differs from the reference's: the better of its length (MMD) and
    Hotelling's statistic; the width of the kernel is the median distance of two rows.
    """
    many = rows(draw, 20_000)
    middle = np.median(many, axis=1)
    scale = np.median(np.abs(many - middle[:, np.newaxis]), axis=1) / 0.6745
    scale[scale == 0] = 1.0
    standard = (many - middle[:, np.newaxis]) / scale[:, np.newaxis]
    width = float(np.median(np.linalg.norm(standard[:, :500] - standard[:, 500:1_000], axis=0)))
    frequencies, phases = draw.normal(size=(FREQUENCIES, FEATURES)) / width, draw.uniform(0, 2 * np.pi, FREQUENCIES)

    def embedding(columns: Matrix) -> Matrix:
        standard = (columns - middle[:, np.newaxis]) / scale[:, np.newaxis]
        answer: Matrix = np.cos(frequencies @ standard + phases[:, np.newaxis])
        return answer

    known = embedding(many)
    mean, inverse = known.mean(axis=1), np.linalg.pinv(np.cov(known), rcond=1e-6)

    def statistics(apart: Sequence[str]) -> Matrix:
        found = []
        for _ in range(runs):
            gap = embedding(rows(draw, n, apart)).mean(axis=1) - mean
            found.append((gap @ gap, gap @ inverse @ gap))
        return np.array(found)

    unchanged = statistics([])
    noticed = unchanged.mean(axis=0) + _NOTICED_SDS * unchanged.std(axis=0)
    return {kind: float((statistics([kind]) > noticed).mean(axis=0).max()) for kind in KINDS}


def size(seed: int) -> list[Row]:
    """How much larger a minute's profile is, of a model that is asked often and of one that is not."""
    draw, found = np.random.default_rng(seed), {}
    for n in (167, 1_000, 10_000):
        made = folded(rows(draw, n))
        whole = len(to_bytes(made))
        made.dependence = None
        found[n] = (whole, whole / len(to_bytes(made)) - 1)
    return [
        Row(
            f"the profile of a minute, {FEATURES} features: how much larger with third and fourth co-moments",
            "; ".join(f"{n:,} rows: {share:.1%} of {whole / 1000:.0f} kB" for n, (whole, share) in found.items()),
            f"at most {SIZE:.0%} from 1,000 rows on",
            all(share <= SIZE for n, (_, share) in found.items() if n >= 1_000),
        )
    ]


if __name__ == "__main__":
    import sys

    from bench.rows import report

    sys.exit(report([*dependence(1_000, 200, 1), *dependence(10_000, 50, 2), *size(3)]))
