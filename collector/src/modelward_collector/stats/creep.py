"""Creep: a trend over many windows, each of which is within the others' scatter."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

Values = NDArray[np.float64]

WINDOWS_MIN = 14
"""A trend is told from at least so many windows."""

RISING_MIN = 10
"""So many of them must be after the moment at which it began."""

_STARTS = 4.0
"""The moment at which it began is looked for: by so much that makes chance findings more frequent (Bonferroni)."""

_DEPENDENCE_MAX = 0.9

_WORTH_A_LOOK = 1.5
"""Standard errors that the halves must lie apart before starts are searched for; a trend that is found has many."""


@dataclass(frozen=True, slots=True)
class Creep:
    """A trend: `slope` a day, the index of the window at which it `began`, what it has come to, and its p-value."""

    slope: float
    began: int
    total: float
    p: float


def creep_of(times: Values, values: Values, variances: Values, kinds: NDArray[np.int64]) -> Creep | None:
    """The trend that the newest windows are in; None when there are too few, or one step tells them as well.

    Shapes (w,): `times` in days, ascending, `values` with sampling `variances`, and the kind of day of each, whose
    level is its own. A line that bends once, from level to slope, is fitted by least squares. Its p-value is by
    Student's t, for windows that depend on the ones before (first-order autoregression; its coefficient from the
    residuals, corrected for its bias and enlarged by its standard error, so that wandering is not taken for a trend).
    """
    known = np.isfinite(values) & np.isfinite(variances)
    index = np.flatnonzero(known)
    t, y, v, k = times[known], values[known], variances[known], kinds[known]
    windows = len(t)
    if windows < WINDOWS_MIN or not _wanders(y, v, k):
        return None
    best: tuple[float, int, float, Values, float] | None = None
    for start in range(windows - RISING_MIN + 1):
        ramp = np.maximum(0.0, t - t[start])
        slope, residuals, spread = _fit(ramp, y, k)
        squares = float(residuals @ residuals)
        if best is None or squares < best[0]:
            best = squares, start, slope, residuals, spread
    assert best is not None
    squares, start, slope, residuals, spread = best
    if squares >= min(float(r @ r) for _, r, _ in (_fit((t >= t[at]).astype(float), y, k) for at in range(1, windows))):
        return None
    free = windows - len(set(k.tolist())) - 2
    if free < 2 or spread <= 0:
        return None
    dependence = _dependence(residuals)
    inflation = (1 + dependence) / (1 - dependence)
    error = math.sqrt(max(squares / free, float(v.mean())) / spread * inflation)
    p = 2 * float(special.stdtr(max(2.0, free / inflation), -abs(slope) / error)) if error > 0 else 0.0
    return Creep(slope, int(index[start]), slope * float(t[-1] - t[start]), min(1.0, _STARTS * p))


def _wanders(y: Values, variances: Values, kinds: NDArray[np.int64]) -> bool:
    """Whether the windows differ by more than chance, or their newer half from the older: else nothing can be found."""
    level = y - _levels(y, kinds)
    half = len(y) // 2
    apart = abs(float(level[half:].mean()) - float(level[:half].mean()))
    return apart > _WORTH_A_LOOK * math.sqrt(4 * max(float(variances.mean()), float(level.var()) / 4) / len(y))


def _levels(y: Values, kinds: NDArray[np.int64]) -> Values:
    answer = np.empty_like(y)
    for kind in set(kinds.tolist()):
        members = kinds == kind
        answer[members] = y[members].mean()
    return answer


def _fit(column: Values, y: Values, kinds: NDArray[np.int64]) -> tuple[float, Values, float]:
    """Slope on the column with a level of each kind of its own, residuals, and the column's sum of squares."""
    x, z = column.copy(), y.copy()
    for kind in set(kinds.tolist()):
        members = kinds == kind
        x[members] -= x[members].mean()
        z[members] -= z[members].mean()
    spread = float(x @ x)
    slope = float(x @ z) / spread if spread > 0 else 0.0
    return slope, z - slope * x, spread


def _dependence(residuals: Values) -> float:
    n = len(residuals)
    squares = float(residuals @ residuals)
    if squares <= 0:
        return 0.0
    first = float(residuals[1:] @ residuals[:-1]) / squares
    # Kendall's (1954) bias of a fitted series, and one standard error.
    return min(_DEPENDENCE_MAX, max(0.0, first + (1 + 4 * max(first, 0.0)) / n + 1 / math.sqrt(n)))
