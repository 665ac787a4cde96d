"""How features depend on each other beyond correlations: co-moments of third and fourth order of sampled rows.

y = x² and z = sign(xy) leave every correlation at zero. The first is in the mean of (x - x̄)² (y - ȳ), the second in
that of (x - x̄) (y - ȳ) (z - z̄). So of every three features, one of them possibly twice, the mean product of deviations
is kept, and of every two that of their squared deviations. Products of deviations are what a summary can keep when
neither a unit nor an offset is agreed on: no other finite set of functions than polynomials is mapped onto itself by
every change of unit and origin. So parts merge exactly, each about its own means, and whoever reads standardises.

Values are squashed as for correlations (`comoments`): it commutes with a change of unit, and tails do not decide.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from modelward_agent.profile.comoments import FEATURES_MAX, Matrix, squash

ROWS_AT_ONCE = 512
"""About so many rows of a batch are folded: a row of 30 features costs 3 µs."""

THINNED = 16
"""At least one row of so many is. Dependence is no rare event: it is in every row, and few show it."""

_STEP = 0.5
"""What is shipped is rounded to this share of unrelated features' sampling noise, which adds 2% to its variance."""

_ROUNDING = 1e-9
"""A standard deviation below this share of the mean is rounding: the feature is constant."""

Indices = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things are, of p features: pairs i <= j and triples a <= b <= c, in the order of these arrays.

    Among the pairs `diagonal` are those of a feature with itself, `bc`, `ac` and `ab` those of every triple; among the
    triples `iij` and `ijj` are those of every pair. `pair` and `triple` are flat positions in arrays of shape (p, p)
    and (p, p, p); `where_pair` and `where_triple` are such arrays, and go the other way, whatever the order of indices.
    """

    i: Indices
    j: Indices
    a: Indices
    b: Indices
    c: Indices
    diagonal: Indices
    bc: Indices
    ac: Indices
    ab: Indices
    iij: Indices
    ijj: Indices
    pair: Indices
    triple: Indices
    where_pair: Indices
    where_triple: Indices


@lru_cache(maxsize=64)
def layout(p: int) -> Layout:
    """The layout of p features."""
    i, j = np.triu_indices(p)
    where_pair = np.zeros((p, p), dtype=np.intp)
    where_pair[i, j] = where_pair[j, i] = np.arange(len(i))
    of, c = np.nonzero(np.arange(p) >= j[:, np.newaxis])
    a, b = i[of], j[of]
    where = np.zeros((p, p, p), dtype=np.intp)
    for x, y, z in ((a, b, c), (a, c, b), (b, a, c), (b, c, a), (c, a, b), (c, b, a)):
        where[x, y, z] = np.arange(len(a))
    return Layout(
        *(i, j, a, b, c),
        diagonal=where_pair.diagonal(),
        bc=where_pair[b, c],
        ac=where_pair[a, c],
        ab=where_pair[a, b],
        iij=where[i, i, j],
        ijj=where[i, j, j],
        pair=i * p + j,
        triple=(a * p + b) * p + c,
        where_pair=where_pair,
        where_triple=where,
    )


class Dependence:
    """Mean products of the deviations of squashed features, two, three and four at a time; merges without loss.

    `names` are sorted, p of them, `n` the rows that were taken. `mean` and `present` (rows with a finite value) have
    shape (p,). Sums over rows of products of deviations from `mean`: `second` and `fourth` of pairs (xy and x²y²),
    `third` of triples (xyz), in the order of `layout`. A value that is missing counts as the mean of its part, so
    that it adds to no product; of a name that a part does not know all values are missing.

    Merging is associative and commutative but for rounding, and for gaps where the means of parts differ.
    """

    __slots__ = ("fourth", "mean", "n", "names", "present", "second", "third")

    def __init__(self, names: Sequence[str] = ()) -> None:
        self.names = tuple(sorted(names)[:FEATURES_MAX])
        p = len(self.names)
        at = layout(p)
        self.n = 0
        self.mean, self.present = np.zeros(p), np.zeros(p)
        self.second, self.fourth = np.zeros(len(at.i)), np.zeros(len(at.i))
        self.third = np.zeros(len(at.a))

    def update(self, names: Sequence[str], matrix: Matrix) -> None:
        """Fold raw values, shape (names, rows), in any order of names; what is not finite is missing."""
        rows = matrix.shape[1]
        sample = matrix[:, _taken(rows)] if rows > ROWS_AT_ONCE else matrix
        seen = [index for index in range(len(names)) if np.isfinite(sample[index]).any()]
        order = sorted(seen, key=names.__getitem__)[:FEATURES_MAX]
        if len(order) < 2:
            return
        for start in range(0, sample.shape[1], ROWS_AT_ONCE):
            part = Dependence([names[index] for index in order])
            part._fill(sample[order, start : start + ROWS_AT_ONCE])
            self.merge(part)

    def _fill(self, matrix: Matrix) -> None:
        p, rows = matrix.shape
        at = layout(p)
        finite = np.isfinite(matrix)
        self.n = rows
        with np.errstate(over="ignore", invalid="ignore"):
            if finite.all():
                y = squash(matrix)
                self.present[:] = rows
                self.mean = y.mean(axis=1)
                y -= self.mean[:, np.newaxis]
            else:
                y = squash(np.where(finite, matrix, 0.0))
                self.present = np.count_nonzero(finite, axis=1).astype(np.float64)
                self.mean = y.sum(axis=1) / np.maximum(self.present, 1.0)
                y -= self.mean[:, np.newaxis]
                y *= finite
            sd = np.sqrt(np.einsum("ij,ij->i", y, y) / rows)
            sd[sd <= _ROUNDING * np.abs(self.mean)] = 0.0
            # In single precision at unit variance: sums of so few rows lose nothing that sampling noise does not hide.
            u = (y * np.divide(1.0, sd, out=np.zeros(p), where=sd > 0)[:, np.newaxis]).astype(np.float32)
            second, third, fourth = _sums(u)
            scale = sd[at.i] * sd[at.j]
            self.second = second.take(at.pair) * scale
            self.third = third.take(at.triple) * (scale[at.ab] * sd[at.c])
            self.fourth = fourth.take(at.pair) * (scale * scale)

    def merge(self, other: Dependence) -> None:
        """Add the other's rows to this one's; the other stays as it is."""
        if not other.n:
            return
        if not self.n:
            for field in self.__slots__:
                setattr(self, field, getattr(other, field))  # never changed in place
            return
        mine: Dependence = self
        if self.names != other.names:
            names = sorted({*self.names, *other.names})[:FEATURES_MAX]
            mine, other = self.over(names), other.over(names)
        n = mine.n + other.n
        with np.errstate(over="ignore", invalid="ignore"):
            # Where one side has no value there is no other mean than the other side's.
            a = np.where(mine.present > 0, mine.mean, other.mean)
            b = np.where(other.present > 0, other.mean, a)
            mean = a + (b - a) * (other.n / n)
            left, right = mine._about(a - mean), other._about(b - mean)
        answer = (x + y for x, y in zip(left, right, strict=True))
        present = mine.present + other.present
        self.names, self.n, self.mean, self.present = mine.names, n, mean, present
        self.second, self.third, self.fourth = answer

    def about(self, mean: Matrix) -> tuple[Matrix, Matrix, Matrix]:
        """`second`, `third` and `fourth` of deviations from other means, shape (p,)."""
        return self._about(np.where(self.present > 0, self.mean - mean, 0.0))

    def _about(self, d: Matrix) -> tuple[Matrix, Matrix, Matrix]:
        """Second, third and fourth about other means, from which the own ones are `d` away."""
        at = layout(len(self.names))
        c, t, di, dj = self.second, self.third, d[at.i], d[at.j]
        dij = di * dj
        moved = c + self.n * dij
        da, db, dc = d[at.a], d[at.b], d[at.c]
        third = t + da * c[at.bc] + db * c[at.ac] + dc * moved[at.ab]
        variance = c[at.diagonal]
        fourth = self.fourth + 2 * (dj * t[at.iij] + di * t[at.ijj]) + (4 * c + self.n * dij) * dij
        fourth += dj * dj * variance[at.i] + di * di * variance[at.j]
        return moved, third, fourth

    def over(self, names: Sequence[str]) -> Dependence:
        """The same of these names; of a name that is not known all values are missing. Other names are left out."""
        answer = Dependence(names)
        answer.n = self.n
        known = {name: index for index, name in enumerate(self.names)}
        of = np.array([known.get(name, -1) for name in answer.names], dtype=np.intp)
        if not len(of) or not self.names:
            return answer
        mine, at, there = layout(len(self.names)), layout(len(answer.names)), of >= 0
        answer.mean, answer.present = np.where(there, self.mean[of], 0.0), np.where(there, self.present[of], 0.0)
        pairs, triples = there[at.i] & there[at.j], there[at.a] & there[at.b] & there[at.c]
        where = mine.where_pair[of[at.i], of[at.j]]
        answer.second, answer.fourth = (
            np.where(pairs, self.second[where], 0.0),
            np.where(pairs, self.fourth[where], 0.0),
        )
        where = mine.where_triple[of[at.a], of[at.b], of[at.c]]
        answer.third = np.where(triples, self.third[where], 0.0)
        return answer

    def deviation(self) -> Matrix:
        """Standard deviation of each squashed feature, shape (p,); 0 of a constant."""
        with np.errstate(over="ignore", invalid="ignore"):
            variance = self.second[layout(len(self.names)).diagonal] / max(self.n, 1)
            sd = np.sqrt(np.maximum(variance, 0.0))
        return np.where(sd > _ROUNDING * np.abs(self.mean), sd, 0.0)

    def standardised(self) -> tuple[Matrix, Matrix, Matrix]:
        """`second`, `third` and `fourth` as means over rows of standardised deviations; NaN of constants."""
        at = layout(len(self.names))
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            unit = np.where((sd := self.deviation()) > 0, 1 / sd, math.nan)
            pairs = unit[at.i] * unit[at.j]
            n = max(self.n, 1)
            return (
                self.second / n * pairs,
                self.third / n * (pairs[at.ab] * unit[at.c]),
                self.fourth / n * pairs * pairs,
            )

    def to_bytes(self) -> bytes:
        """Means and variances exactly; the rest standardised, rounded to a share of sampling noise, and packed."""
        p = len(self.names)
        at = layout(p)
        variance = self.second[at.diagonal]
        exact = np.concatenate(([self.n], self.present, self.mean, variance)).astype("<f8").tobytes()
        off = at.i != at.j
        second, third, fourth = self.standardised()
        values = np.concatenate((second[off], third, fourth - 1.0)) * (math.sqrt(self.n) / _STEP)
        whole = np.rint(np.clip(np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0), -_MOST, _MOST)).astype(np.int64)
        signless = ((whole << 1) ^ (whole >> 63)).astype("<u4")  # small numbers of either sign are small
        low, *high = signless.view(np.uint8).reshape(-1, 4).T
        packer = zlib.compressobj(1, strategy=zlib.Z_HUFFMAN_ONLY)  # noise: nothing repeats, but small is frequent
        packed = packer.compress(low.tobytes()) + packer.flush()
        return zlib.compress(exact, 1) + packed + zlib.compress(b"".join(plane.tobytes() for plane in high), 1)

    @classmethod
    def from_bytes(cls, names: Sequence[str], content: bytes) -> Dependence:
        """Read `to_bytes`'s form of these names; ValueError when it is of something else."""
        answer = cls(names)
        p = len(answer.names)
        if list(answer.names) != list(names):
            raise ValueError(f"dependence of {len(names)} features that are not sorted, or more than {FEATURES_MAX}")
        at = layout(p)
        off = at.i != at.j
        count = int(np.count_nonzero(off)) + len(at.a) + len(at.i)
        exact, rest = _opened(content, 8 * (1 + 3 * p))
        low, rest = _opened(rest, count)
        high, rest = _opened(rest, 3 * count)
        if rest:
            raise ValueError(f"dependence of {p} features with {len(rest)} bytes too many")
        n, present, mean, variance = np.split(np.frombuffer(exact, "<f8").astype(np.float64), [1, 1 + p, 1 + 2 * p])
        signless = np.frombuffer(low + high, np.uint8).reshape(4, -1).T.copy().view("<u4").ravel().astype(np.int64)
        values = ((signless >> 1) ^ -(signless & 1)) * (_STEP / math.sqrt(max(n[0], 1.0)))
        answer.n, answer.present, answer.mean = int(n[0]), present, mean
        answer.second[at.diagonal] = variance
        sd = answer.deviation()
        pairs = sd[at.i] * sd[at.j] * answer.n
        second, third, fourth = np.split(values, [np.count_nonzero(off), np.count_nonzero(off) + len(at.a)])
        with np.errstate(over="ignore", invalid="ignore"):
            answer.second[off] = second * pairs[off]
            answer.third = third * (sd[at.a] * sd[at.b] * sd[at.c] * answer.n)
            answer.fourth = (fourth + 1.0) * pairs * sd[at.i] * sd[at.j]
        return answer


def _sums(u: NDArray[np.float32]) -> tuple[Matrix, Matrix, Matrix]:
    """Sums over rows of products of two, three and two squared of u (p, rows), filled in where i <= j <= k."""
    p, rows = u.shape
    second, fourth, third = np.zeros((p, p)), np.zeros((p, p)), np.zeros((p, p, p))
    with_ones = np.concatenate((u, np.ones((1, rows), dtype=np.float32)))
    for i in range(p):
        products = u[i:] * u[i]
        total = np.zeros((p - i, p - i + 1), dtype=np.float32)
        for start in range(0, rows, _PIECE):
            piece = slice(start, start + _PIECE)
            total += products[:, piece] @ with_ones[i:, piece].T
        third[i, i:, i:] = total[:, :-1]
        second[i, i:] = total[:, -1]
        fourth[i, i:] = np.einsum("ij,ij->i", products, products)
    return second, third, fourth


_PIECE = 240
"""Rows of a matrix product: so small that BLAS does not wake its threads, which costs more than they save."""

_MOST = float((1 << 31) - 1)
"""Larger multiples of sampling noise are cut off."""


@lru_cache(maxsize=16)
def _taken(rows: int) -> Indices:
    """Which of so many rows are folded: one at random of each few that follow each other, the same on every host."""
    step = min(THINNED, -(-rows // ROWS_AT_ONCE))
    first = np.arange(0, rows - step + 1, step)
    return first + np.random.Generator(np.random.PCG64(rows)).integers(0, step, len(first))


def _opened(content: bytes, size: int) -> tuple[bytes, bytes]:
    opened = zlib.decompressobj()
    try:
        raw = opened.decompress(content, size + 1)
    except zlib.error as error:
        raise ValueError(f"dependence that cannot be unpacked: {error}") from error
    if len(raw) != size or not opened.eof:
        raise ValueError(f"dependence of {len(raw)} bytes instead of {size}")
    return raw, opened.unused_data
