"""Small gradient-boosted regression trees on binned features, in numpy: enough to learn where a model errs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BINS = 32
TREES = 80
DEPTH = 3
RATE = 0.1
LEAF_ROWS = 20
"""A leaf of fewer rows would learn them by heart."""

PRIOR_ROWS = 5
"""So many rows of no effect are added to each leaf, which draws small leaves towards 0."""


@dataclass(frozen=True, slots=True)
class _Tree:
    """A full binary tree of `DEPTH` levels: a feature and a bin for each inner node, a value for each leaf."""

    feature: NDArray[np.int64]
    bin: NDArray[np.int64]
    value: Floats

    def of(self, binned: NDArray[np.int64]) -> Floats:
        node = np.zeros(len(binned), dtype=np.int64)
        rows = np.arange(len(binned))
        for _ in range(DEPTH):
            right = binned[rows, self.feature[node]] > self.bin[node]
            node = 2 * node + 1 + right
        answer: Floats = self.value[node - (2**DEPTH - 1)]
        return answer


@dataclass(frozen=True, slots=True)
class BoostedTrees:
    """A regression learned by `fit`; `of` predicts. Features (n, width) may hold NaN, which sorts below everything.

    Source: Friedman (2001), "Greedy function approximation: a gradient boosting machine", for squared loss, with the
    histograms of Ke et al. (2017), "LightGBM".
    """

    edges: tuple[Floats, ...]
    mean: float
    trees: tuple[_Tree, ...]

    @classmethod
    def fit(cls, features: Floats, target: Floats, trees: int = TREES) -> BoostedTrees:
        """Learn `target` (n,) from `features` (n, width) with so many trees, deterministically."""
        return Binned.of(features).fit(target, trees)

    def of(self, features: Floats) -> Floats:
        """Predictions, shape (n,)."""
        return self.of_bins(_binned(features, self.edges))

    def of_bins(self, bins: NDArray[np.int64]) -> Floats:
        """Predictions of features that are in these trees' bins already."""
        fitted = np.full(len(bins), self.mean)
        for tree in self.trees:
            fitted += tree.of(bins)
        return fitted


@dataclass(frozen=True, slots=True)
class Binned:
    """Features in bins, to learn several targets from, each perhaps on some of the rows only."""

    edges: tuple[Floats, ...]
    bins: NDArray[np.int64]

    @classmethod
    def of(cls, features: Floats) -> Binned:
        """Of shape (n, width)."""
        edges = tuple(_edges(column) for column in features.T)
        return cls(edges, _binned(features, edges))

    def fit(self, target: Floats, trees: int = TREES, rows: NDArray[np.bool_] | None = None) -> BoostedTrees:
        """Learn `target` (n,), from the rows of the mask alone if there is one."""
        bins = self.bins if rows is None else self.bins[rows]
        wanted = target if rows is None else target[rows]
        mean = float(wanted.mean())
        fitted = np.full(len(wanted), mean)
        grown = []
        if bins.shape[1]:
            places = bins + np.arange(bins.shape[1]) * (BINS + 2)
            for _ in range(trees):
                tree = _grow(bins, places, wanted - fitted)
                grown.append(tree)
                fitted += tree.of(bins)
        return BoostedTrees(self.edges, mean, tuple(grown))

    def predicted(self, trees: BoostedTrees, rows: NDArray[np.bool_]) -> Floats:
        """What trees that were fitted here answer for the rows of the mask."""
        return trees.of_bins(self.bins[rows])


def _edges(column: Floats) -> Floats:
    known = column[np.isfinite(column)]
    if len(known) == 0:
        return np.empty(0)
    return np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1], method="lower")).astype(np.float64)


def _binned(features: Floats, edges: tuple[Floats, ...]) -> NDArray[np.int64]:
    """Bin 0 for NaN, then by how many edges are below the value."""
    binned = np.zeros(features.shape, dtype=np.int64)
    for index, cuts in enumerate(edges):
        column = features[:, index]
        binned[:, index] = np.where(np.isnan(column), 0, 1 + np.searchsorted(cuts, column, side="left"))
    return binned


def _grow(binned: NDArray[np.int64], places: NDArray[np.int64], residual: Floats) -> _Tree:
    """One tree; `places` are the bins numbered through over the features."""
    n, width = binned.shape
    inner = 2**DEPTH - 1
    feature, cut = np.zeros(inner, dtype=np.int64), np.full(inner, BINS + 1, dtype=np.int64)
    node = np.zeros(n, dtype=np.int64)
    bins = BINS + 2
    size = width * bins
    weights = np.repeat(residual, width)
    counts, sums = _histogram(places, weights, size)
    counts, sums = counts[None], sums[None]
    for level in range(DEPTH):
        first, side = 2**level - 1, 2**level
        left_n = counts.reshape(side, width, bins).cumsum(axis=2)
        left = sums.reshape(side, width, bins).cumsum(axis=2)
        right_n, right = left_n[:, :, -1:] - left_n, left[:, :, -1:] - left
        gain = left**2 / (left_n + PRIOR_ROWS) + right**2 / (right_n + PRIOR_ROWS)
        gain[(left_n < LEAF_ROWS) | (right_n < LEAF_ROWS)] = -np.inf
        best = gain.reshape(side, -1).argmax(axis=1)
        splits = np.isfinite(gain.reshape(side, -1)[np.arange(side), best])
        here = first + np.flatnonzero(splits)
        feature[here], cut[here] = best[splits] // bins, best[splits] % bins
        goes_right = binned[np.arange(n), feature[node]] > cut[node]
        if level < DEPTH - 1:
            # only the rows that go left are counted; the others are what is left of their parent
            rows = ~goes_right
            place = (places[rows] + ((node[rows] - first) * size)[:, None]).ravel()
            left_counts, left_sums = _histogram(place, np.repeat(residual[rows], width), side * size)
            left_counts, left_sums = left_counts.reshape(side, size), left_sums.reshape(side, size)
            counts = np.stack([left_counts, counts - left_counts], axis=1).reshape(2 * side, size)
            sums = np.stack([left_sums, sums - left_sums], axis=1).reshape(2 * side, size)
        node = 2 * node + 1 + goes_right
    leaf = node - inner
    rows_of_leaf = np.bincount(leaf, minlength=2**DEPTH)
    totals = np.bincount(leaf, weights=residual, minlength=2**DEPTH)
    return _Tree(feature, cut, RATE * totals / (rows_of_leaf + PRIOR_ROWS))


def _histogram(place: NDArray[np.int64], weights: Floats, size: int) -> tuple[NDArray[np.int64], Floats]:
    flat = place.ravel()
    counts = np.bincount(flat, minlength=size).astype(np.int64)
    return counts, np.bincount(flat, weights=weights, minlength=size).astype(np.float64)
