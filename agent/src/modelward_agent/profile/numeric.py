"""Summary of a stream of numbers: exact moments and extremes, and a quantile sketch of the distribution."""

from __future__ import annotations

import math
import struct
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import datasketches
import numpy as np
from numpy.typing import ArrayLike, NDArray

from modelward_agent.profile.exact import MAX_VALUES, ExactValues

KLL_K = 400
"""Size of the quantile sketch: a rank is off by about 0.35% of the rows (one standard error), exact below 400 rows."""

_FLOAT32_MAX = float(np.finfo(np.float32).max)
_FLOAT32_STEP = float(np.finfo(np.float32).eps)

NARROW = 1024
"""A range of fewer float32 numbers than this is kept in float64."""

PROBED = 256
PROBED_SHARE = 64
"""So are values of which, looked at in so many places, more than one in 64 is the same float32 as its neighbour."""

ROUNDED_MAX = 0.005
"""Values that only one of two sketches has rounded, of so small a share of the rows, are no difference that matters."""


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

    `rank_error` bounds the error of `cdf` (99% confidence, one point). Values are kept as float32, which takes 4.8 kB
    at a million rows, where that tells them apart; as float64 (9.6 kB) where it does not: seconds since 1970 are 128
    apart in float32. A sketch decides that by what it is given and stays with float64 once it has begun. `rounded` is
    of how many rows the value that is kept is not the value that came.
    """

    __slots__ = ("exact", "kll", "maximum", "minimum", "moments", "rounded", "zeros")

    def __init__(self) -> None:
        self.kll = datasketches.kll_floats_sketch(KLL_K)
        self.moments = Moments()
        self.minimum = math.inf
        self.maximum = -math.inf
        self.zeros = 0
        self.rounded = 0
        self.exact = ExactValues()

    def update(self, values: NDArray[np.float64]) -> None:
        """Fold finite values, shape (n,)."""
        if len(values) == 0:
            return
        low, high = float(values.min()), float(values.max())
        if not self.double:
            single = np.clip(values, -_FLOAT32_MAX, _FLOAT32_MAX).astype(np.float32)
            rounded = int(np.count_nonzero(single != values))
            single.sort()  # the sketch sorts what it compacts, and much faster what is sorted already
            if not rounded:
                self.exact.update(single)
            elif self.exact.few:
                self._find_exact(values, single)
            if rounded and (_narrow(min(low, self.minimum), max(high, self.maximum)) or _hides(values, single)):
                self.widen()
            else:
                self.kll.update(single)
                self.rounded += rounded
            ordered = None
        else:
            ordered = np.sort(values)
            self.exact.update(ordered)
        if self.double:
            self.kll.update(np.sort(values) if ordered is None else ordered)
        self.moments.merge(Moments.of(values))
        self.minimum, self.maximum = min(self.minimum, low), max(self.maximum, high)
        self.zeros += len(values) - int(np.count_nonzero(values))

    def _find_exact(self, values: NDArray[np.float64], single: NDArray[np.float32]) -> None:
        """Of values that float32 rounds; different ones are seldom one float32 number, so that many show before."""
        if np.count_nonzero(single[1:] != single[:-1]) >= MAX_VALUES:
            self.exact.forget()
        else:
            self.exact.update(np.sort(values))

    def merge(self, other: NumericSketch) -> None:
        """Add the other's values to this one's; the other stays as it is."""
        if other.n == 0:
            return
        self.exact.merge(other.exact)
        low, high = min(self.minimum, other.minimum), max(self.maximum, other.maximum)
        rounded = other.rounded
        if self.double or other.double or ((self.rounded or rounded) and _narrow(low, high)):
            self.widen()
            known = other if other.double else other.copy().widen()
            self.kll.merge(known.kll)
            rounded = known.rounded
        else:
            self.kll.merge(other.kll)
        self.rounded += rounded
        self.moments.merge(other.moments)
        self.minimum, self.maximum = low, high
        self.zeros += other.zeros

    @property
    def double(self) -> bool:
        """Whether values are kept as float64."""
        return isinstance(self.kll, datasketches.kll_doubles_sketch)

    @property
    def values(self) -> dict[float, int] | None:
        """The different values, ascending, and how often each came; None when there are more than `MAX_VALUES`."""
        table = self.exact.table
        return None if table is None else dict(zip(table[0].tolist(), table[1].tolist(), strict=True))

    @property
    def rounded_share(self) -> float:
        """Share of the rows whose value is known only as the nearest float32; of a constant it is known."""
        return self.rounded / self.n if self.minimum != self.maximum else 0.0

    def copy(self) -> NumericSketch:
        """Another sketch of the same values."""
        copied = NumericSketch()
        copied.kll = copy(self.kll)
        copied.moments = replace(self.moments)
        copied.minimum, copied.maximum = self.minimum, self.maximum
        copied.zeros, copied.rounded = self.zeros, self.rounded
        copied.exact = self.exact.copy()
        return copied

    def widen(self) -> NumericSketch:
        """Keep float64 from now on; what is kept stays rounded, but for one value or two, which the extremes tell."""
        if not self.double:
            self.kll = _as_double(self.kll, self.minimum, self.maximum)
            if self.n <= 2 or self.minimum == self.maximum:
                self.rounded = 0
        return self

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
        if self.rounded_share and not self.double:
            wanted = as_single(wanted)
        return np.concatenate(([0.0], cumulative))[np.searchsorted(values, wanted, side="right")]

    def cdf_at(self, points: NDArray[np.float64], rounded: float | None = None) -> NDArray[np.float64]:
        """The same of ascending points, shape (m,), without unfolding the sketch: a tenth of the time; n > 0.

        `rounded` is the rounded share of the values that the points were taken from: when it is another than this
        sketch's, all are compared as float32 numbers, so that the same value is the same on both sides.
        """
        mine = self.rounded_share
        single = rounded is not None and unlike(rounded, mine)
        if self.minimum == self.maximum:
            ends = _upper_ends(points) if single else points
            return (self.minimum <= ends).astype(np.float64)
        asked: NDArray[np.float64] | NDArray[np.float32]
        if self.double:
            asked = _upper_ends(points) if single else points
        else:
            asked = as_single(points).astype(np.float32)
            if not (single or mine):
                asked = np.where(asked > points, np.nextafter(asked, np.float32(-np.inf)), asked)
        different, where = np.unique(asked, return_inverse=True)
        cdf: NDArray[np.float64] = np.asarray(self.kll.get_cdf(different, True))[:-1][where]
        return cdf

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
        if self.minimum == self.maximum:
            return np.array([self.minimum]), np.ones(1)
        distinct, index = np.unique(values, return_inverse=True)
        cumulative = np.cumsum(np.bincount(index, weights=weights, minlength=len(distinct)))
        return distinct, cumulative / cumulative[-1]


def unlike(rounded: float, other: float) -> bool:
    """Whether of two sketches such shares of the values were rounded that their values have to be compared as float32.

    Two sketches that round alike are compared as they are.
    """
    return abs(rounded - other) > ROUNDED_MAX


def as_single(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each value's nearest float32, of any shape."""
    return np.clip(values, -_FLOAT32_MAX, _FLOAT32_MAX).astype(np.float32).astype(np.float64)


def _upper_ends(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The largest values that are rounded to the same float32 as each point."""
    nearest = as_single(points).astype(np.float32)
    with np.errstate(over="ignore"):  # the largest stands for all that is beyond
        above = np.nextafter(nearest, np.float32(np.inf)).astype(np.float64)
    ends: NDArray[np.float64] = (nearest + above) / 2
    return ends


def _narrow(low: float, high: float) -> bool:
    """Whether only so few float32 numbers lie between two different values that a shape between them is lost."""
    return 0 < high - low < NARROW * max(abs(low), abs(high)) * _FLOAT32_STEP


def _hides(values: NDArray[np.float64], single: NDArray[np.float32]) -> bool:
    """Whether different values often are one float32 number; `single` are the values as such, ascending.

    Looks at up to 512 values evenly spaced in rank: finer than that the sketch does not tell ranks apart either.
    """
    step = max(1, len(single) // PROBED)
    probe = single[::step]
    if PROBED_SHARE * np.count_nonzero(probe[1:] == probe[:-1]) <= len(probe):
        return False
    ordered = np.sort(values[::step])
    nearest = as_single(ordered)
    hidden = np.count_nonzero((nearest[1:] == nearest[:-1]) & (ordered[1:] != ordered[:-1]))
    return bool(PROBED_SHARE * hidden > len(probe))


def _as_double(kll: Any, minimum: float, maximum: float) -> Any:
    """A sketch of float32 values as one of float64 values: the same levels, weights and ranks, the extremes exact."""
    if kll.is_empty():
        return datasketches.kll_doubles_sketch(KLL_K)
    content = kll.serialize()
    if content[3] & _SINGLE_ITEM:
        return datasketches.kll_doubles_sketch.deserialize(content[:8] + struct.pack("<d", minimum))
    *_, levels = _PREAMBLE.unpack_from(content)
    head = _PREAMBLE.size + 4 * levels
    values = np.frombuffer(content, "<f4", offset=head + 8).astype("<f8")
    values = np.array([minimum, maximum]) if kll.n == 2 else np.clip(values, minimum, maximum)
    extremes = struct.pack("<dd", minimum, maximum)
    return datasketches.kll_doubles_sketch.deserialize(content[:head] + extremes + values.tobytes())


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
    item = np.dtype("<f8" if isinstance(kll, datasketches.kll_doubles_sketch) else "<f4")
    if content[3] & _SINGLE_ITEM:
        return np.frombuffer(content, item, count=1, offset=8).astype(np.float64), np.ones(1)
    *_, n, _, levels = _PREAMBLE.unpack_from(content)
    starts = np.frombuffer(content, "<u4", count=levels, offset=_PREAMBLE.size).astype(np.int64)
    offset = _PREAMBLE.size + 4 * levels + 2 * item.itemsize
    values = np.frombuffer(content, item, offset=offset).astype(np.float64)
    sizes = np.diff(starts, append=starts[0] + len(values))
    weights = np.repeat(2.0 ** np.arange(levels), sizes)
    if weights.sum() != n:
        raise ValueError(f"the sketch's {len(values)} values stand for {weights.sum():.0f} rows, not {n}")
    return values, weights
