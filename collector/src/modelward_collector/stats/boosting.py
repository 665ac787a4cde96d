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
    def fit(cls, features: Floats, target: Floats) -> BoostedTrees:
        """Learn `target` (n,) from `features` (n, width), deterministically."""
        edges = tuple(_edges(column) for column in features.T)
        binned = _binned(features, edges)
        mean = float(target.mean())
        fitted = np.full(len(target), mean)
        trees = []
        if features.shape[1]:
            for _ in range(TREES):
                tree = _grow(binned, target - fitted)
                trees.append(tree)
                fitted += tree.of(binned)
        return cls(edges, mean, tuple(trees))

    def of(self, features: Floats) -> Floats:
        """Predictions, shape (n,)."""
        binned = _binned(features, self.edges)
        fitted = np.full(len(features), self.mean)
        for tree in self.trees:
            fitted += tree.of(binned)
        return fitted


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


def _grow(binned: NDArray[np.int64], residual: Floats) -> _Tree:
    n, width = binned.shape
    inner = 2**DEPTH - 1
    feature, cut = np.zeros(inner, dtype=np.int64), np.full(inner, BINS + 1, dtype=np.int64)
    node = np.zeros(n, dtype=np.int64)
    bins = BINS + 2
    columns = np.arange(width) * bins
    for level in range(DEPTH):
        first, side = 2**level - 1, 2**level
        # one histogram of (node, feature, bin) a level
        place = ((node - first)[:, None] * (width * bins) + columns + binned).ravel()
        size = side * width * bins
        counts = np.bincount(place, minlength=size).reshape(side, width, bins)
        sums = np.bincount(place, weights=np.repeat(residual, width), minlength=size).reshape(side, width, bins)
        left_n, left = counts.cumsum(axis=2), sums.cumsum(axis=2)
        right_n, right = left_n[:, :, -1:] - left_n, left[:, :, -1:] - left
        gain = left**2 / (left_n + PRIOR_ROWS) + right**2 / (right_n + PRIOR_ROWS)
        gain[(left_n < LEAF_ROWS) | (right_n < LEAF_ROWS)] = -np.inf
        best = gain.reshape(side, -1).argmax(axis=1)
        splits = np.isfinite(gain.reshape(side, -1)[np.arange(side), best])
        here = first + np.flatnonzero(splits)
        feature[here], cut[here] = best[splits] // bins, best[splits] % bins
        node = 2 * node + 1 + (binned[np.arange(n), feature[node]] > cut[node])
    leaf = node - inner
    rows = np.bincount(leaf, minlength=2**DEPTH)
    totals = np.bincount(leaf, weights=residual, minlength=2**DEPTH)
    return _Tree(feature, cut, RATE * totals / (rows + PRIOR_ROWS))
