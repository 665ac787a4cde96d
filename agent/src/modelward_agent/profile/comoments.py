"""How a model's numeric and boolean features move together: exact, mergeable co-moments of every pair.

Before it is counted every value is squashed to sign(x) * |x|^(1/4). A correlation of raw values is carried by a few
rows where tails are heavy; of fourth roots even a Cauchy distribution has one. A power, and not a logarithm: it
commutes with a change of unit (cents for euros), so that no scale has to be agreed on between hosts, and as two square
roots it is rounded the same on every machine. The correlation of squashed values has the sign of the usual one and is
mostly a little smaller.

Each pair is counted over the rows where both are finite, so that a feature that is often missing costs the others
nothing, and merging takes the union of names and loses nothing either.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FEATURES_MAX = 32
"""The first so many names, sorted, are kept: the first of a union are among the first of each part, so that merging
stays associative. Complete rows of all take about 4 kB, rows with gaps up to 25 kB."""

_SPREAD_MIN = 1e-9
"""A standard deviation below this share of the mean is rounding: the feature is constant."""

Matrix = NDArray[np.float64]


def squash(values: Matrix) -> Matrix:
    """The signed fourth root of every value, of any shape; NaN stays NaN."""
    root = np.abs(values)
    np.sqrt(root, out=root)
    np.sqrt(root, out=root)
    return np.copysign(root, values, out=root)


class CoMoments:
    """Counts, means and central sums of squashed features, pair by pair; merges without loss.

    `names` are sorted, p of them. Of the rows where features i and j are both finite, `n[i, j]` is the number,
    `mean[i, j]` the mean of i, `m2[i, j]` its sum of squared deviations and `cross[i, j]` the sum of products of both
    features' deviations, all of shape (p, p); `m3` and `m4`, shape (p,), are central sums of each feature by itself.

    Merging is associative and commutative but for rounding. Source: Pébay (2008), "Formulas for robust, one-pass
    parallel computation of covariances and arbitrary-order statistical moments", eqs. 2.1 to 2.10 and 3.10.
    """

    __slots__ = ("cross", "m2", "m3", "m4", "mean", "n", "names")

    def __init__(self, names: Sequence[str] = ()) -> None:
        self.names = tuple(sorted(names)[:FEATURES_MAX])
        p = len(self.names)
        self.n, self.mean, self.m2, self.cross = (np.zeros((p, p)) for _ in range(4))
        self.m3, self.m4 = np.zeros(p), np.zeros(p)

    def update(self, names: Sequence[str], matrix: Matrix) -> None:
        """Fold raw values, shape (names, rows), in any order of names; what is not finite is not there."""
        seen = [index for index in range(len(names)) if np.isfinite(matrix[index]).any()]
        order = sorted(seen, key=names.__getitem__)[:FEATURES_MAX]
        part = CoMoments([names[index] for index in order])
        if order:
            part._fill(matrix[order])
            self.merge(part)

    def _fill(self, matrix: Matrix) -> None:
        p, rows = matrix.shape
        finite = np.isfinite(matrix)
        with np.errstate(over="ignore", invalid="ignore"):
            if finite.all():
                y = squash(matrix)
                centre = y.mean(axis=1)
                y -= centre[:, np.newaxis]
                off = y.mean(axis=1)  # a mean far from zero is rounded
                y -= off[:, np.newaxis]
                self.n[:] = rows
                self.mean[:] = (centre + off)[:, np.newaxis]
                self.cross = y @ y.T
                self.m2[:] = self.cross.diagonal()[:, np.newaxis]
            else:
                y = squash(np.where(finite, matrix, 0.0))
                there = finite.astype(np.float64)
                count = np.maximum(there.sum(axis=1), 1.0)
                for _ in range(2):
                    off = y.sum(axis=1) / count
                    self.mean += off[:, np.newaxis]
                    y -= off[:, np.newaxis]
                    y *= there
                self.n = there @ there.T
                some = np.maximum(self.n, 1.0)
                total = y @ there.T
                self.mean += total / some
                self.mean[self.n == 0] = 0.0
                self.cross = y @ y.T - total * total.T / some
                self.m2 = np.maximum((y * y) @ there.T - total * total / some, 0.0)
                self.m2[np.diag_indices(p)] = self.cross.diagonal()
            squared = y * y
            self.m3 = np.einsum("ij,ij->i", squared, y)
            self.m4 = np.einsum("ij,ij->i", squared, squared)

    def merge(self, other: CoMoments) -> None:
        """Add the other's rows to this one's; the other stays as it is."""
        if not other.names:
            return
        if self.names != other.names:
            names = sorted({*self.names, *other.names})[:FEATURES_MAX]
            self._take(self.over(names))
            other = other.over(names)
        a, b = self.n, other.n
        n = a + b
        with np.errstate(over="ignore", invalid="ignore"):
            share = b / np.maximum(n, 1.0)
            delta = np.where(b > 0, other.mean - self.mean, 0.0)
            self._merge_higher(other, delta.diagonal(), a.diagonal(), b.diagonal())
            self.cross = self.cross + other.cross + delta * delta.T * a * share
            self.m2 = self.m2 + other.m2 + delta * delta * a * share
            self.mean = self.mean + delta * share
        self.n = n

    def _merge_higher(self, other: CoMoments, delta: Matrix, a: Matrix, b: Matrix) -> None:
        shift = delta / np.maximum(a + b, 1.0)
        product = delta * shift * a * b
        mine, theirs = self.m2.diagonal(), other.m2.diagonal()
        self.m4 = (
            self.m4
            + other.m4
            + product * shift * shift * (a * a - a * b + b * b)
            + 6 * shift * shift * (a * a * theirs + b * b * mine)
            + 4 * shift * (a * other.m3 - b * self.m3)
        )
        self.m3 = self.m3 + other.m3 + product * shift * (a - b) + 3 * shift * (a * theirs - b * mine)

    def over(self, names: Sequence[str]) -> CoMoments:
        """The same of these names; of a name that is not known there are no rows. Other names are left out."""
        answer = CoMoments(names)
        known = {name: index for index, name in enumerate(self.names)}
        to = [index for index, name in enumerate(answer.names) if name in known]
        of = [known[answer.names[index]] for index in to]
        for field in ("n", "mean", "m2", "cross"):
            getattr(answer, field)[np.ix_(to, to)] = getattr(self, field)[np.ix_(of, of)]
        answer.m3[to], answer.m4[to] = self.m3[of], self.m4[of]
        return answer

    def _take(self, other: CoMoments) -> None:
        for field in self.__slots__:
            setattr(self, field, getattr(other, field))

    def correlation(self) -> Matrix:
        """Pearson's r of every pair over its rows, in [-1, 1], shape (p, p); NaN where one of both has no spread."""
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            spread = self.m2 > np.maximum(self.n, 1.0) * (_SPREAD_MIN * self.mean) ** 2
            r = np.clip(self.cross / np.sqrt(self.m2 * self.m2.T), -1.0, 1.0)
            answer: Matrix = np.where(spread & spread.T, r, np.nan)
        return answer

    def kurtosis(self) -> Matrix:
        """Population kurtosis of each squashed feature, shape (p,), 3 for a normal distribution; NaN without spread."""
        m2 = self.m2.diagonal()
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            answer: Matrix = np.where(m2 > 0, self.n.diagonal() * (self.m4 / m2 / m2), np.nan)
        return answer

    def to_bytes(self) -> bytes:
        """The numbers, little-endian float64, compressed: of complete rows most repeat each other."""
        upper = np.triu_indices(len(self.names))
        parts = (self.n[upper], self.mean.ravel(), self.m2.ravel(), self.cross[upper], self.m3, self.m4)
        return zlib.compress(np.concatenate(parts).astype("<f8").tobytes(), 1)

    @classmethod
    def from_bytes(cls, names: Sequence[str], content: bytes) -> CoMoments:
        """Read `to_bytes`'s form of these names; ValueError when it is of something else."""
        answer = cls(names)
        p = len(answer.names)
        if list(answer.names) != list(names):
            raise ValueError(f"co-moments of {len(names)} features that are not sorted, or more than {FEATURES_MAX}")
        triangle = p * (p + 1) // 2
        sizes = [triangle, p * p, p * p, triangle, p, p]
        opened = zlib.decompressobj()
        try:
            raw = opened.decompress(content, 8 * sum(sizes) + 1)
        except zlib.error as error:
            raise ValueError(f"co-moments that cannot be unpacked: {error}") from error
        if len(raw) != 8 * sum(sizes):
            raise ValueError(f"co-moments of {p} features in {len(raw)} bytes instead of {8 * sum(sizes)}")
        parts = np.split(np.frombuffer(raw, "<f8").astype(np.float64), np.cumsum(sizes)[:-1])
        upper = np.triu_indices(p)
        for matrix, values in ((answer.n, parts[0]), (answer.cross, parts[3])):
            matrix[upper] = values
            matrix.T[upper] = values
        answer.mean, answer.m2 = parts[1].reshape(p, p).copy(), parts[2].reshape(p, p).copy()
        answer.m3, answer.m4 = parts[4].copy(), parts[5].copy()
        return answer
