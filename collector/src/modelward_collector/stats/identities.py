"""Tests of strings of which there are too many to know each: ids, addresses, names.

What such a feature can do is bring other values than ever, many more or far fewer different ones, or the same ones in
another mix. How much of each is usual only the reference's own windows tell: session ids are all new every day, and a
shop gains customers. Without such windows nothing is said.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from modelward_agent.profile import CategoricalSketch
from modelward_collector.stats.effect import FLOOR, share_distance
from modelward_collector.stats.homogeneity import homogeneity
from modelward_collector.stats.jensen_shannon import PER_CHI_SQUARED
from modelward_collector.stats.normal import two_sided, two_sided_quantile
from modelward_collector.stats.outcome import NOT_APPLICABLE, Outcome
from modelward_collector.stats.scatter import ALLOWED_SDS, margin, process_sd

TESTS = ("new_values", "distinct", "hashed")

WINDOWS_MIN = 4
"""From so many windows on: of each but the first it is known what was new in it, and a scatter needs three."""

ROWS_MIN = 100
"""Windows with fewer strings say little of how many different ones there are."""

HLL_ERROR = 1.04 / 64
"""Relative standard error of a number of different values: 1.04 over the root of 4,096 registers."""

NEW_FLOOR = 0.05
"""Shares of never-seen values that differ by less than five points are no matter."""

DISTINCT_FACTOR = 1.25
"""Numbers of different values that differ by less than this factor are no matter."""

HASHED_FLOOR = 0.05
"""Distances of rows by hash up to this are no matter: sets of values wander a little."""

CELL_ROWS = 8
"""Buckets are taken together until a side has so many rows in each."""

CELLS_MIN = 16

GAP = 3
"""So many windows just before one may not be in the reference that it is compared with."""

NAMED = 20
"""The values whose shares in windows tell how far that of any one moves."""

CLUSTERED = 1.5
"""Rows by hash that vary so many times as much as chance come in clusters."""

_SEES_MIN = 10.0
"""Registers that would change if all were new; with fewer nothing can be told."""

_COVERED = 0.99
"""Windows are all of the reference when they have so many of its registers."""

_COUNTED_AGAIN = 2.0
"""Values that come in many windows raise the same registers each time, which then tell less than their number."""

_SHARES = np.linspace(0.0, 1.25, 126)
_MEDIAN_VARIANCE = math.pi / 2
"""Variance of a median of many normal values, times their number, over that of one."""

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class IdentityView:
    """`n` strings, about `distinct` different ones, HLL `registers` (4096,) and rows `by_hash` (256,), if known."""

    n: int
    distinct: float
    registers: NDArray[np.uint8]
    by_hash: NDArray[np.int64] | None

    @classmethod
    def of(cls, sketch: CategoricalSketch) -> IdentityView:
        """Unfold a sketch."""
        return cls(sketch.n, sketch.distinct, sketch.registers(), sketch.by_hash)


@dataclass(frozen=True, slots=True, eq=False)
class IdentityScatter:
    """What the reference's own windows show, by which one that is checked is measured.

    `rows` and `distinct` (windows,) of each. Of values that no earlier window had the usual share `new`, the one when
    some windows between are not known (`new_after`), how many registers told it, and its standard deviation beyond
    chance; `covered` when the windows are all of the reference.
    `distinct_sd` is that of the logarithm. `cells` are how many times chance's variance rows by hash have, with
    `excess` of the window that was furthest off, at so many effective rows (`cell_rows`); 0 cells when not known. They
    vary as if there were `free` of them, which `cell_windows` told. `share` is the standard deviation of the share of
    any one value beyond chance: a session's is that of all its rows.
    """

    rows: Array
    distinct: Array
    distinct_sd: float
    new: float = 0.0
    new_after: float = 0.0
    new_seen: float = 0.0
    new_sd: float = 0.0
    covered: bool = False
    cells: float = 0.0
    excess: float = 1.0
    cell_rows: float = 0.0
    free: float = math.inf
    cell_windows: int = 0
    share: float = 0.0


def never_seen(known: NDArray[np.uint8], view: IdentityView) -> tuple[float, float, float]:
    """Share of the view's different values that those of the `known` registers have not, in [0, 1].

    Also its sampling variance, and how many registers would change if all were new. A value that is new raises the
    register it falls on with the probability 2^-(what the register is), so that the number of registers that the view
    raises tells how many are new, whatever the sizes; the answer is the share that makes this number the expected one.
    """
    rate = view.distinct / len(known)
    levels = np.bincount(known, minlength=64)
    chance = rate * 0.5 ** np.arange(len(levels))
    kept = np.exp(-np.outer(_SHARES, chance))  # of a register at each level, by share
    expected = (levels * (1 - kept)).sum(axis=1)
    raised = int(np.count_nonzero(view.registers > known))
    seen = float((levels * -np.expm1(-chance)).sum())
    if seen <= 0:
        return 0.0, math.inf, 0.0
    share = min(1.0, float(np.interp(raised, expected, _SHARES)))
    at = max(share, min(1.0, 1 / seen))
    survives = np.exp(-at * chance)
    slope = float((levels * chance * survives).sum())
    variance = float((levels * survives * (1 - survives)).sum()) / max(slope, 1e-9) ** 2
    return share, variance + (HLL_ERROR * share) ** 2, seen


def identity_scatter(
    reference: IdentityView | None, windows: Sequence[CategoricalSketch], level: float
) -> IdentityScatter | None:
    """What is usual of a feature of many strings, from the reference's windows in the order of time; None of too few.

    `level` is the error probability at which the scatter over few windows must cover the next.
    """
    views = [IdentityView.of(window) for window in windows if window.n >= ROWS_MIN]
    if reference is None or len(views) < WINDOWS_MIN:
        return None
    rows = np.array([view.n for view in views], dtype=np.float64)
    distinct = np.array([max(view.distinct, 1.0) for view in views])
    off = np.array([_off(n, d, rows, distinct) for n, d in zip(rows, distinct, strict=True)])
    distinct_sd = process_sd(off, 1 / distinct + HLL_ERROR**2, 0.0, level)
    return IdentityScatter(
        rows,
        distinct,
        distinct_sd,
        *_usually_new(reference, views, level),
        *_usual_cells(reference, views),
        _usual_share([window for window in windows if window.n >= ROWS_MIN], level),
    )


def identity_tests(
    reference: IdentityView, current: IdentityView, scatter: IdentityScatter, floor: float = FLOOR
) -> tuple[Outcome, ...]:
    """`new_values`, `distinct` and `hashed`; what cannot be told here has no say.

    The `value` of the first is by how much the share of never-seen values differs from the usual one, of the second
    the ratio of the numbers of different values, of the third the chi-squared statistic of rows by hash.
    """
    return (
        _new_test(reference, current, scatter, floor),
        _distinct_test(current, scatter, floor),
        _hashed_test(reference, current, scatter, floor),
    )


def nested_distance(ratio: float) -> float:
    """Jensen-Shannon distance of all of some values, evenly, and a part of them of the size `ratio` <= 1, in [0, 1]."""
    inside = math.log2(2 / (1 + ratio)) + (ratio * math.log2(2 * ratio / (1 + ratio)) if ratio > 0 else 0.0)
    return math.sqrt(max(0.0, (inside + 1 - ratio) / 2))


# -- values that were never seen --------------------------------------------------------------------------------------


def _usually_new(
    reference: IdentityView, views: Sequence[IdentityView], level: float
) -> tuple[float, float, float, float, bool]:
    """Of the later half of the windows, what was new to all before them: the first ones meet an empty memory.

    Also with the last ones before them unknown: between the reference and a window there may be a weekend, or days that
    were left out.
    """
    known = list(np.maximum.accumulate([view.registers for view in views]))
    later = range(_first(len(views)), len(views))
    found = [never_seen(known[index - 1], views[index]) for index in later]
    apart = [never_seen(known[max(0, index - 1 - min(GAP, index // 2))], views[index])[0] for index in later]
    shares, variances, seen = (np.array(column) for column in zip(*found, strict=True))
    told = seen >= _SEES_MIN
    if np.count_nonzero(told) < 3:
        return 0.0, 0.0, 0.0, 0.0, False
    after = float(np.average(np.array(apart)[told], weights=seen[told]))
    shares, variances, seen = shares[told], variances[told], seen[told]
    usual = float(np.average(shares, weights=seen))
    sd = process_sd(shares, variances, usual, level)
    there = np.count_nonzero(reference.registers)
    missed = np.count_nonzero(known[-1] < reference.registers)
    return usual, max(usual, after), float(seen.sum()), sd, bool(missed <= (1 - _COVERED) * there)


def _new_test(reference: IdentityView, current: IdentityView, scatter: IdentityScatter, floor: float) -> Outcome:
    nothing = Outcome("new_values", 0.0, NOT_APPLICABLE, 0.0, floor)
    if current.n < ROWS_MIN or scatter.new_seen <= 0:
        return nothing
    share, variance, seen = never_seen(reference.registers, current)
    usual = min(max(share, scatter.new), scatter.new_after)
    moved = share - usual
    if seen < _SEES_MIN or moved == 0 or (moved < 0 and not scatter.covered):
        return nothing  # windows that are not all of the reference find more new than it does
    edge = min(1.0, max(0.0, usual + math.copysign(max(NEW_FLOOR, ALLOWED_SDS * scatter.new_sd), moved)))
    floor = max(floor, share_distance(usual, edge))
    pooled = (share * seen + usual * scatter.new_seen) / (seen + scatter.new_seen)
    sampling = _COUNTED_AGAIN * (max(variance, pooled / seen) + pooled / scatter.new_seen)
    p = max(
        _rates_p(share * seen, seen, usual * scatter.new_seen, scatter.new_seen),
        two_sided(moved / math.sqrt(sampling + scatter.new_sd**2)),
    )
    certain = math.copysign(math.sqrt(max(0.0, moved**2 - sampling)), moved)
    return Outcome("new_values", moved, p, share_distance(usual, usual + certain), floor)


def _rates_p(hits: float, seen: float, usual: float, usual_seen: float) -> float:
    """Two-sided p-value of two equal Poisson rates, given the total of hits (Przyborowski and Wilenski, 1940)."""
    total, y = round(hits / _COUNTED_AGAIN) + round(usual / _COUNTED_AGAIN), round(hits / _COUNTED_AGAIN)
    part = seen / (seen + usual_seen)
    tail = special.bdtrc(y - 1, total, part) if y > total * part else special.bdtr(y, total, part)
    return min(1.0, 2 * float(tail)) if total else 1.0


# -- one value ---------------------------------------------------------------------------------------------------------


def _usual_share(windows: Sequence[CategoricalSketch], level: float) -> float:
    """Standard deviation of one value's share in windows beyond chance, so that `level` covers the next; new ones' too.

    Of the later half of the windows, each against all before it, the one that moved most.
    """
    before, moved = CategoricalSketch(), [0.0]
    for index, window in enumerate(windows):
        if index >= _first(len(windows)):
            r, c, n, m = before.counts(), window.counts(), before.n, window.n
            names = {*list(r)[:NAMED], *list(c)[:NAMED]}
            then, now = (np.array([side.get(name, 0) for name in names], dtype=np.float64) for side in (r, c))
            pooled = (then + now) / (n + m)
            chance = ALLOWED_SDS * np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
            gap = np.abs(now / m - then / n) - chance - before.error / n - window.error / m
            moved.append(float(gap.max(initial=0.0)))
        before.merge(window)
    return margin(len(moved) - 1) * max(moved) / two_sided_quantile(level) if len(moved) > 1 else 0.0


# -- how many different ones ------------------------------------------------------------------------------------------


def _off(n: float, distinct: float, rows: Array, usual: Array) -> float:
    """By how much the logarithm of `distinct` of n rows is beyond what windows of other sizes may show.

    Twice the rows have at least as many different values, and at most twice as many.
    """
    low, high = _expected(n, rows, usual)
    log = math.log(distinct)
    return log - high if log > high else min(0.0, log - low)


def _expected(n: float, rows: Array, usual: Array) -> tuple[float, float]:
    logs, scale = np.log(usual), np.log(n / rows)
    return float(np.median(logs + np.minimum(scale, 0.0))), float(np.median(logs + np.maximum(scale, 0.0)))


def _distinct_test(current: IdentityView, scatter: IdentityScatter, floor: float) -> Outcome:
    if current.n < ROWS_MIN:
        return Outcome("distinct", 1.0, NOT_APPLICABLE, 0.0, floor)
    distinct = max(current.distinct, 1.0)
    off = _off(current.n, distinct, scatter.rows, scatter.distinct)
    allowed = max(math.log(DISTINCT_FACTOR), ALLOWED_SDS * scatter.distinct_sd)
    floor = max(floor, nested_distance(math.exp(-allowed)))
    usual = _MEDIAN_VARIANCE / len(scatter.rows) * float((1 / scatter.distinct + HLL_ERROR**2).mean())
    sampling = 1 / distinct + HLL_ERROR**2 + usual
    p = two_sided(off / math.sqrt(sampling + scatter.distinct_sd**2)) if off else 1.0
    certain = math.sqrt(max(0.0, off**2 - sampling))
    return Outcome("distinct", math.exp(off), p, nested_distance(math.exp(-certain)), floor)


# -- rows by hash -----------------------------------------------------------------------------------------------------


def _usual_cells(reference: IdentityView, views: Sequence[IdentityView]) -> tuple[float, float, float, float, int]:
    """How many times chance's variance windows have, of the furthest how many times that beyond chance, and rows.

    Each of the later half is compared with all before it, as the one that is checked will be: sets of values wander.
    Where one customer makes many rows in a row, rows are not drawn one by one; windows show by how much.
    """
    nothing = 0.0, 1.0, 0.0, math.inf, 0
    found = []
    before = np.zeros_like(views[0].by_hash) if views[0].by_hash is not None else None
    for index, view in enumerate(views):
        if before is None or view.by_hash is None or reference.by_hash is None:
            return nothing
        if index >= _first(len(views)):
            statistic, freedom = _cells(before, view.by_hash)
            if freedom:
                found.append((statistic / freedom, freedom, 1 / (1 / before.sum() + 1 / view.n)))
        before = before + view.by_hash
    if len(found) < 3:
        return nothing
    ratios, freedoms, rows = (np.array(column) for column in zip(*found, strict=True))
    windows = len(ratios)
    usual = max(1.0, float(ratios.mean()))
    free = float(np.median(freedoms))
    if usual > CLUSTERED:  # few large clusters vary more than many rows
        varied = float(ratios.var(ddof=1)) / usual**2 * (windows - 1) / special.chdtri(windows - 1, 0.9)
        free = min(free, 2 / varied)
    largest = special.fdtri(free, windows * free, 1 - 0.05 / windows)
    return usual, max(1.0, float(ratios.max()) / usual / float(largest)), float(rows.mean()), free, windows


def _first(windows: int) -> int:
    """The first window of the later half, which has enough before it to be compared with; three are left at least."""
    return max(1, min(windows // 2, windows - 3))


def _cells(reference: NDArray[np.int64], current: NDArray[np.int64]) -> tuple[float, int]:
    cells = len(reference)
    while cells > CELLS_MIN and min(reference.sum(), current.sum()) < CELL_ROWS * cells:
        cells //= 2
    folded = [side.reshape(-1, cells).sum(axis=0).astype(np.float64) for side in (reference, current)]
    return homogeneity(folded[0], folded[1])


def _hashed_test(reference: IdentityView, current: IdentityView, scatter: IdentityScatter, floor: float) -> Outcome:
    floor = max(floor, HASHED_FLOOR)
    if current.n < ROWS_MIN or scatter.cells <= 0 or reference.by_hash is None or current.by_hash is None:
        return Outcome("hashed", 0.0, NOT_APPLICABLE, 0.0, floor)
    statistic, freedom = _cells(reference.by_hash, current.by_hash)
    if freedom < 1:
        return Outcome("hashed", 0.0, NOT_APPLICABLE, 0.0, floor)
    noise = 1 / reference.n + 1 / current.n
    # What is beyond chance grows with the rows of a window.
    usual = (1 + (scatter.cells - 1) * max(1.0, 1 / noise / scatter.cell_rows)) * scatter.excess
    windows = scatter.cell_windows
    free = min(float(freedom), scatter.free)
    p = float(special.fdtrc(free, windows * free, statistic / freedom / usual))
    effect = math.sqrt(PER_CHI_SQUARED * max(0.0, statistic - usual * freedom) * noise)
    return Outcome("hashed", statistic, p, min(1.0, effect), floor)
