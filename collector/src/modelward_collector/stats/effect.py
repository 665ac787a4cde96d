"""One scale for every effect: the Jensen-Shannon distance, from 0 (the same) to 1 (nothing in common), base 2.

A test's natural effect (a shift in standard deviations, a ratio of variances, a distance of two distribution functions)
becomes the distance of the two normal distributions that are just so far apart, so that features, tests and types can
be ranked together and share one floor.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import special

FLOOR = 0.025
"""Smaller distances are trivial however significant: 0.06 standard deviations, variance x 1.09, 2.7 points of 30%."""

SHARE_FLOOR = 0.005
"""Shares that moved by less than half a point are trivial too: near 0 the distance alone is too strict …"""

SHARE_FACTOR = 2.0
"""… unless their odds changed by this factor at least, either way: 0.05% to 0.5% is a matter, to 0.08% is not …"""

SHARE_ROWS = 20
"""… and so many rows of the window are there, or are missing, because of it: fewer are one burst of a rare thing."""


def normal_shift_distance(shift: float) -> float:
    """Jensen-Shannon distance of N(0, 1) and N(`shift`, 1), in [0, 1]; `shift` of either sign, or infinite."""
    shifts, distances = _shift_table()
    return float(np.interp(abs(shift), shifts, distances))


def normal_scale_distance(log_ratio: float) -> float:
    """Jensen-Shannon distance of two centred normals whose variances' log ratio is given, in [0, 1]."""
    ratios, distances = _scale_table()
    return float(np.interp(abs(log_ratio), ratios, distances))


def normal_scale_distances(log_ratios: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same of many log ratios, of any shape."""
    ratios, distances = _scale_table()
    return np.interp(np.abs(log_ratios), ratios, distances)


def cdf_gap_distance(gap: float) -> float:
    """Jensen-Shannon distance of two unit normals whose distribution functions are at most `gap` apart, in [0, 1]."""
    return 1.0 if gap >= 1 else normal_shift_distance(2 * float(special.ndtri((1 + max(gap, 0.0)) / 2)))


_ROUNDING = 1e-12


def share_distance(reference: float, current: float) -> float:
    """Jensen-Shannon distance of two shares (Bernoulli distributions), in [0, 1]."""
    middle = (reference + current) / 2
    divergence = _entropy(middle) - (_entropy(reference) + _entropy(current)) / 2
    return math.sqrt(max(0.0, divergence))


def share_is_trivial(reference: float, current: float, rows: int) -> bool:
    """Whether shares of a reference and of a window of so many `rows` are too near to each other to matter.

    The same for a share and for its complement: odds tell by what factor either has changed.
    """
    moved = abs(current - reference)
    if moved >= SHARE_FLOOR - _ROUNDING:  # a share's complement is rounded
        return False
    low, high = sorted((_odds(reference), _odds(current)))
    return high < SHARE_FACTOR * low or moved * rows < SHARE_ROWS


def _odds(share: float) -> float:
    return share / (1 - share) if share < 1 else math.inf


def _entropy(share: float) -> float:
    return 0.0 if share <= 0 or share >= 1 else -(share * math.log2(share) + (1 - share) * math.log2(1 - share))


def _grid() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    # Evenly spaced on the inverse hyperbolic sine: as fine for a narrow density at 0 as wide for its tails.
    u = np.linspace(-19, 19, 8001)
    return np.sinh(u), np.cosh(u) * (u[1] - u[0])


def _distance(p: NDArray[np.float64], q: NDArray[np.float64], weight: NDArray[np.float64]) -> float:
    m = np.maximum((p + q) / 2, np.finfo(np.float64).tiny)  # halving the smallest numbers gives 0
    divergence = float(((special.rel_entr(p, m) + special.rel_entr(q, m)) * weight).sum()) / (2 * math.log(2))
    return math.sqrt(min(1.0, max(0.0, divergence)))


def _normal(x: NDArray[np.float64], mean: float, sd: float) -> NDArray[np.float64]:
    density: NDArray[np.float64] = np.exp(-0.5 * ((x - mean) / sd) ** 2) / (sd * math.sqrt(2 * math.pi))
    return density


@cache
def _shift_table() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    shifts = np.concatenate((np.linspace(0, 3, 31), np.linspace(3.25, 14, 44)))
    # Centred between the two, where the grid is finest.
    x = np.linspace(-20, 20, 4001)
    weight = np.full_like(x, x[1] - x[0])
    table = [_distance(_normal(x, -s / 2, 1), _normal(x, s / 2, 1), weight) for s in shifts]
    return shifts, np.array(table)


@cache
def _scale_table() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    ratios = np.concatenate((np.linspace(0, 3, 31), np.linspace(3.25, 30, 108)))
    x, weight = _grid()
    table = [_distance(_normal(x, 0, math.exp(-r / 4)), _normal(x, 0, math.exp(r / 4)), weight) for r in ratios]
    return ratios, np.array(table)
