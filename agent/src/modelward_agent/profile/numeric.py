"""Summary of a stream of numbers: exact moments and extremes, and a quantile sketch of the distribution."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any

import datasketches
import numpy as np
from numpy.typing import ArrayLike, NDArray

KLL_K = 400
"""Size of the quantile sketch: a rank is off by about 0.35% of the rows (one standard error), exact below 400 rows."""

_FLOAT32_MAX = float(np.finfo(np.float32).max)


@dataclass(slots=True)
class Moments:
    """Exact count, mean and central power sums M2, M3, M4 of a stream; merges without loss.

    A sum beyond what float64 holds (values beyond about 1e77) is infinite or NaN; nothing raises.

    Source: Pébay (2008), "Formulas for robust, one-pass parallel computation of covariances and arbitrary-order
    statistical moments", eqs. 2.1 to 2.10.
    """

    n: int = 0
    mean: float = 0.0
    m2: float = 0.0
    m3: float = 0.0
    m4: float = 0.0

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> Moments:
        """Moments of finite values, shape (n,)."""
        n = len(values)
        if n == 0:
            return cls()
        with np.errstate(over="ignore", invalid="ignore"):
            mean = float(values.mean())
            centred = values - mean
            # A mean far from zero is rounded; what it is off by shows in the deviations' own mean.
            off = float(centred.mean())
            centred -= off
            squared = centred * centred
            m2, m3, m4 = float(squared.sum()), float(squared @ centred), float(squared @ squared)
        return cls(n, mean + off, m2, m3, m4)

    def merge(self, other: Moments) -> None:
        """Add the other stream's moments to this one's."""
        if other.n == 0:
            return
        if self.n == 0:
            self.n, self.mean, self.m2, self.m3, self.m4 = other.n, other.mean, other.m2, other.m3, other.m4
            return
        a, b = self.n, other.n
        n = a + b
        delta = other.mean - self.mean
        shift = delta / n
        cross = delta * shift * a * b
        self.m4 += (
            other.m4
            + cross * shift * shift * (a * a - a * b + b * b)
            + 6 * shift * shift * (a * a * other.m2 + b * b * self.m2)
            + 4 * shift * (a * other.m3 - b * self.m3)
        )
        self.m3 += other.m3 + cross * shift * (a - b) + 3 * shift * (a * other.m2 - b * self.m2)
        self.m2 += other.m2 + cross
        self.mean += shift * b
        self.n = n

    @property
    def variance(self) -> float:
        """Unbiased variance (ddof 1); NaN below two values."""
        return self.m2 / (self.n - 1) if self.n > 1 else math.nan

    @property
    def skewness(self) -> float:
        """Population skewness; NaN without spread."""
        return math.sqrt(self.n) * (self.m3 / self.m2 / math.sqrt(self.m2)) if self.m2 > 0 else math.nan

    @property
    def kurtosis(self) -> float:
        """Population kurtosis, 3 for a normal distribution; NaN without spread."""
        return self.n * (self.m4 / self.m2 / self.m2) if self.m2 > 0 else math.nan


class NumericSketch:
    """Finite numbers, summarised: `moments`, `minimum`, `maximum`, `zeros` are exact, `cdf` and `quantiles` are not.

    `rank_error` bounds the error of `cdf` (99% confidence, one point). Values are kept as float32 in the sketch.
    """

    __slots__ = ("kll", "maximum", "minimum", "moments", "zeros")

    def __init__(self) -> None:
        self.kll = datasketches.kll_floats_sketch(KLL_K)
        self.moments = Moments()
        self.minimum = math.inf
        self.maximum = -math.inf
        self.zeros = 0

    def update(self, values: NDArray[np.float64]) -> None:
        """Fold finite values, shape (n,)."""
        if len(values) == 0:
            return
        self.moments.merge(Moments.of(values))
        self.minimum = min(self.minimum, float(values.min()))
        self.maximum = max(self.maximum, float(values.max()))
        self.zeros += len(values) - int(np.count_nonzero(values))
        single = np.clip(values, -_FLOAT32_MAX, _FLOAT32_MAX).astype(np.float32)
        single.sort()  # the sketch sorts what it compacts, and much faster what is sorted already
        self.kll.update(single)

    def merge(self, other: NumericSketch) -> None:
        """Add the other's values to this one's; the other stays as it is."""
        self.kll.merge(other.kll)
        self.moments.merge(other.moments)
        self.minimum = min(self.minimum, other.minimum)
        self.maximum = max(self.maximum, other.maximum)
        self.zeros += other.zeros

    @property
    def n(self) -> int:
        """How many values were folded."""
        return self.moments.n

    @property
    def rank_error(self) -> float:
        """How far a value of `cdf` may be off, 0 while the sketch still holds every value."""
        return float(self.kll.normalized_rank_error(False)) if self.kll.is_estimation_mode() else 0.0

    def cdf(self, points: ArrayLike) -> NDArray[np.float64]:
        """Share of values at or below each point, in [0, 1]; NaN when empty. Points in any order, shape (m,)."""
        wanted = np.asarray(points, dtype=np.float64)
        values, cumulative = self.sorted_view()
        if len(values) == 0:
            return np.full(wanted.shape, np.nan)
        position = np.searchsorted(values, wanted.astype(np.float32).astype(np.float64), side="right")
        return np.concatenate(([0.0], cumulative))[position]

    def quantiles(self, ranks: ArrayLike) -> NDArray[np.float64]:
        """Smallest kept value whose `cdf` reaches each rank in [0, 1]; NaN when empty. Shape (m,)."""
        wanted = np.asarray(ranks, dtype=np.float64)
        values, cumulative = self.sorted_view()
        if len(values) == 0:
            return np.full(wanted.shape, np.nan)
        position = np.searchsorted(cumulative, wanted - 1e-12, side="left")
        answer = values[np.minimum(position, len(values) - 1)]
        answer = np.where(wanted <= 0, self.minimum, answer)
        return np.where(wanted >= 1, self.maximum, answer)

    def sorted_view(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The distinct kept values, ascending, and the share of rows at or below each; both shape (kept,)."""
        values, weights = _retained(self.kll)
        if len(values) == 0:
            return values, values
        distinct, index = np.unique(values, return_inverse=True)
        cumulative = np.cumsum(np.bincount(index, weights=weights, minlength=len(distinct)))
        return distinct, cumulative / cumulative[-1]


_PREAMBLE = struct.Struct("<BBBBHBxQHBx")
_SINGLE_ITEM = 4
"""Bit of the flags: one value follows eight bytes of preamble."""


def _retained(kll: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The sketch's values and how many each stands for, both shape (kept,).

    Read from the serialised form (https://datasketches.apache.org/docs/KLL/KLLSketch.html, version 1: preamble, one
    offset a level, minimum, maximum, values), because datasketches 5.2 iterates with a weight of 1 for every value
    whenever the lowest level is empty.
    """
    if kll.is_empty():
        return np.empty(0), np.empty(0)
    content = kll.serialize()
    if content[3] & _SINGLE_ITEM:
        return np.frombuffer(content, "<f4", count=1, offset=8).astype(np.float64), np.ones(1)
    *_, n, _, levels = _PREAMBLE.unpack_from(content)
    starts = np.frombuffer(content, "<u4", count=levels, offset=_PREAMBLE.size).astype(np.int64)
    values = np.frombuffer(content, "<f4", offset=_PREAMBLE.size + 4 * (levels + 2)).astype(np.float64)
    sizes = np.diff(starts, append=starts[0] + len(values))
    weights = np.repeat(2.0 ** np.arange(levels), sizes)
    if weights.sum() != n:
        raise ValueError(f"the sketch's {len(values)} values stand for {weights.sum():.0f} rows, not {n}")
    return values, weights
