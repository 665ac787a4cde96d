"""How much windows of an unchanged process differ beyond sampling noise: weekdays, hours, weather.

What the reference's own windows show is not drift. From few windows little is known, so the allowance is large: what
Student's t gives for the estimated scatter, at most a few times the largest deviation that was seen, and never less
than that. Kinds of days and odd windows are told apart before (`phases`).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import special

from modelward_collector.stats.normal import two_sided_quantile

WINDOWS_MIN = 3
"""Below this many windows nothing is learned."""

FEW_WINDOWS = 7

LONG_TAIL = 1.8
"""Windows whose largest deviation is more than so many times their root mean square vary at random; of a pattern of a
few levels (weekends) it is less."""

LEVEL = 1e-4
"""The error probability at which the scatter of distances must cover the next window, where none is given."""

ALLOWED_SDS = 3.5
"""Effects within so many standard deviations of the process are below the floor."""

_HETEROGENEITY_P = 0.1
"""Windows that differ no more than by chance (larger p) add no scatter."""

_SOME_EXCESS_P = 0.05
"""A window whose distance is explained by noise with this probability, over all windows, adds none …"""

_ALL_EXCESS_P = 0.05
"""… unless all windows together are not, with this one."""

GAP_SQUARE = math.pi**2 / 12
GAP_SQUARE_VARIANCE = 7 * math.pi**4 / 720 - GAP_SQUARE**2
"""Mean and variance of the square of a gap that is nothing but noise, times 1/noise: sup |B|^2 of a Brownian bridge."""


def margin(windows: int) -> float:
    """Factor on the largest deviation of this many windows that the next one hardly exceeds; from 3 down to 1.25."""
    return min(3.0, 1.25 + 12.0 / windows)


def process_sd(
    values: NDArray[np.float64],
    variances: NDArray[np.float64],
    centre: float | NDArray[np.float64],
    level: float,
    kinds: int = 1,
    alike: int | None = None,
    *,
    varies: bool = False,
) -> float:
    """Standard deviation of windows' `values` (w,) about the reference's (`centre`) beyond sampling `variances` (w,).

    DerSimonian and Laird's (1986) estimate with a known centre, enlarged so that a normal tail of probability `level`
    covers the next window although the estimate is from few. 0 when chance explains the differences. About the
    reference, and not about their mean: the variance of all rows, say, is larger than that of any window's.

    Of windows of several `kinds` of days the scatter is pooled, each about the centre of its own kind (`centre` (w,)),
    and the next one is compared with the `alike` of its kind. `varies` is whether it is known that they do, so that
    what chance might explain too is taken for scatter.
    """
    known = np.isfinite(values) & np.isfinite(variances) & (variances > 0)
    deviation, v = (values - centre)[known], variances[known]
    windows = len(deviation)
    free = windows - (kinds - 1)
    if windows < WINDOWS_MIN or free < 2:
        return 0.0
    q = float((deviation**2 / v).sum())
    if not varies and special.chdtrc(free, q) > _HETEROGENEITY_P:
        return 0.0
    between = (q - free) / float((1 / v).sum()) * windows / free
    if not between > 0:
        return 0.0
    largest = math.sqrt(max(0.0, float((deviation**2 - v).max())))
    uncertain = math.sqrt(between * (1 + 1 / (alike or windows)))
    return max(largest, _next(largest, math.sqrt(between), uncertain, free, level)) / two_sided_quantile(level)


def process_gap(
    gaps: NDArray[np.float64], noises: NDArray[np.float64], level: float = LEVEL, *, varies: bool = False
) -> float:
    """How far windows' cdfs lie from the reference's beyond noise, with margin; gaps (w,), noises (w,) in 1/rows.

    0 while noise explains them: each alone, and all together (the mean of their squares, by its normal limit). Of gaps
    that it does not explain the noise's own part is taken off, and not its extreme: a weekend that is as far off as
    noise is would else be taken for half as far. Where it is known that windows vary (`varies`) what they do beyond
    noise on average counts however little it is.
    """
    windows = len(gaps)
    if windows < WINDOWS_MIN:
        return 0.0
    squares = gaps**2 / noises
    alone = float(squares.max()) <= special.kolmogi(_SOME_EXCESS_P / windows) ** 2
    together = (float(squares.mean()) - GAP_SQUARE) / math.sqrt(GAP_SQUARE_VARIANCE / windows)
    explained = alone and special.ndtr(-together) > _ALL_EXCESS_P
    return _allowed(gaps**2 - GAP_SQUARE * noises, level, explained, varies)


def _allowed(excess: NDArray[np.float64], level: float, explained: bool, varies: bool) -> float:
    """What the next window hardly exceeds, from the squares of windows' distances without what noise adds (w,).

    Of windows that noise might have `explained` the largest distance is as good as nothing but noise.
    """
    if explained and not varies:
        return 0.0
    windows = len(excess)
    largest = math.sqrt(max(0.0, float(excess.max())))
    usual = math.sqrt(max(0.0, float(excess.mean())))
    following = _next(largest, usual, usual * math.sqrt(1 + 1 / windows), windows, level)
    return following if explained else max(margin(windows) * largest, following)


def _next(largest: float, usual: float, uncertain: float, windows: int, level: float) -> float:
    """How far off the next window may be, by Student's t, and never more than some times the `largest` deviation.

    Levels of windows that vary at random have longer tails than a normal's, and shares and counts lean to one side: t
    is of half the degrees of freedom, and the largest may be exceeded by more. Of 28 such windows it is three times
    exceeded hardly ever; of 7 it may have been small by luck. Of fewer t would allow so much that nothing were found.
    """
    random = largest > LONG_TAIL * usual
    t = -float(special.stdtrit((windows - 1) * (0.5 if random else 1.0), level / 2))
    if windows < FEW_WINDOWS:
        most = margin(windows)
    elif random:
        most = max(3.0, min(5.0, 1 + 50 / windows))
    else:
        most = max(2.0, min(5.0, 1 + 28 / windows))
    return min(t * uncertain, most * largest)


def process_distance(
    squares: NDArray[np.float64],
    freedom: int,
    noises: NDArray[np.float64],
    level: float = LEVEL,
    *,
    varies: bool = False,
) -> float:
    """Same for distances whose `squares` (w,) are `noises` (w,) times chi-squared when nothing but chance is there."""
    windows = len(squares)
    if windows < WINDOWS_MIN or freedom < 1:
        return 0.0
    statistics = squares / noises
    alone = float(statistics.max()) <= special.chdtri(freedom, _SOME_EXCESS_P / windows)
    explained = alone and special.chdtrc(freedom * windows, float(statistics.sum())) > _ALL_EXCESS_P
    return _allowed(squares - freedom * noises, level, explained, varies)
