"""Learning on all blocks of time but one: what a model of past rows is worth on rows that it has not seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelward_collector.stats.boosting import Binned, BoostedTrees

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BLOCKS = 5
CELLS = 200_000
"""Rows times features that are learned from: a few seconds of one core, whatever the width."""

FEWEST_ROWS = 2_000
MOST_SHRUNK = 2.0


def blocks_of(n: int) -> Ints:
    """Each row's block, shape (n,): rows in time order make `BLOCKS` stretches of time.

    Rows of one hour or day are alike beyond what their features say, so to leave out single rows would flatter.
    Source: Roberts et al. (2017), "Cross-validation strategies for data with temporal, spatial, hierarchical, or
    phylogenetic structure".
    """
    return np.arange(n) * BLOCKS // n


def thinned(n: int, most: int) -> Ints:
    """At most so many of n rows, evenly spread, in order."""
    return np.arange(n) if n <= most else np.linspace(0, n - 1, most).astype(np.int64)


def rows_to_learn(n: int, width: int) -> Ints:
    """The rows that `CELLS` allows."""
    return thinned(n, max(FEWEST_ROWS, CELLS // max(width, 1)))


@dataclass(frozen=True, slots=True)
class Learned:
    """Trees of all rows, and for each row what trees of the other blocks say: `held`, shape (n,)."""

    trees: BoostedTrees
    held: Floats

    @classmethod
    def of(cls, binned: Binned, target: Floats, count: int) -> Learned:
        """Learn `target` (n,) with `count` trees."""
        block = blocks_of(len(target))
        held = np.empty(len(target))
        for index in range(BLOCKS):
            mine = block == index
            held[mine] = binned.predicted(binned.fit(target, count, ~mine), mine)
        return cls(binned.fit(target, count), held)

    def slope(self, target: Floats) -> Slope:
        """The target's slope on `held`, through 0."""
        block = blocks_of(len(target))
        along = np.bincount(block, weights=self.held * target, minlength=BLOCKS)
        size = np.bincount(block, weights=np.square(self.held), minlength=BLOCKS)
        if not size.sum() > 0 or (size.sum() - size <= 0).any():
            return Slope(0.0, 0.0)
        without = (along.sum() - along) / (size.sum() - size)
        error = np.sqrt((BLOCKS - 1) / BLOCKS * np.square(without - without.mean()).sum())
        return Slope(float(along.sum() / size.sum()), float(error))


@dataclass(frozen=True, slots=True)
class Slope:
    """By how much answers are borne out on blocks that they were not learned from, with its jackknife error.

    Source: Efron and Tibshirani (1993), "An introduction to the bootstrap", chapter 11.
    """

    value: float
    error: float

    @property
    def shrunk(self) -> float:
        """The multiple, from 0 to `MOST_SHRUNK`, with the least expected squared error.

        Above 1 where the trees, grown slowly, have not learned all of it.
        """
        if self.value <= 0:
            return 0.0
        return min(MOST_SHRUNK, self.value**3 / (self.value**2 + self.error**2))

    @property
    def cautious(self) -> float:
        """One standard error less, from 0 to 1: the rule of Breiman et al. (1984)."""
        return min(1.0, max(0.0, self.value - self.error))


def wander(difference: Floats, chance: Floats) -> float:
    """The standard deviation between blocks, beyond chance: `difference` (blocks,) from 0, of variance `chance`."""
    return float(np.sqrt(max(0.0, float(np.square(difference).sum()) / (BLOCKS - 1) - float(chance.mean()))))
