"""Summary of a stream of embeddings: their length, and their distribution along fixed random directions."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from modelward_agent.profile.numeric import NumericSketch

PROJECTIONS = 16
"""Directions an embedding is projected on; the sliced Wasserstein distance averages over them."""

_SEED = 20130101


@cache
def directions(dimension: int) -> NDArray[np.float64]:
    """The fixed unit directions for embeddings of this dimension, shape (dimension, PROJECTIONS); same everywhere."""
    drawn = np.random.Generator(np.random.PCG64([_SEED, dimension])).standard_normal((dimension, PROJECTIONS))
    unit: NDArray[np.float64] = drawn / np.linalg.norm(drawn, axis=0)
    return unit


class VectorSketch:
    """Embeddings of the first dimension seen; those of another are counted in `wrong_dimension` and left out."""

    __slots__ = ("dimension", "norm", "projections", "wrong_dimension")

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self.wrong_dimension = 0
        self.norm = NumericSketch()
        self.projections = [NumericSketch() for _ in range(PROJECTIONS)]

    @property
    def n(self) -> int:
        """How many embeddings were folded."""
        return self.norm.n

    def update(self, vectors: NDArray[np.float64]) -> None:
        """Fold finite embeddings, shape (n, dimension)."""
        self.update_projected(self.project(vectors))

    def project(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Norm and projections of embeddings, shape (n, dimension) to (1 + PROJECTIONS, n); not finite on overflow."""
        projected = np.empty((1 + PROJECTIONS, len(vectors)))
        with np.errstate(over="ignore", invalid="ignore"):
            projected[0] = np.linalg.norm(vectors, axis=1)
            projected[1:] = (vectors @ directions(self.dimension)).T
        return projected

    def update_projected(self, projected: NDArray[np.float64]) -> None:
        """Fold what `project` made; every number is finite."""
        self.norm.update(projected[0])
        for sketch, values in zip(self.projections, projected[1:], strict=True):
            sketch.update(values)

    def merge(self, other: VectorSketch) -> None:
        """Add the other's embeddings; of two dimensions the one with more embeddings stays (the smaller of equals)."""
        if other.dimension != self.dimension:
            mine, theirs = (self.n, -self.dimension), (other.n, -other.dimension)
            if theirs > mine:
                self.wrong_dimension, lost = other.wrong_dimension, self.n + self.wrong_dimension
                self.dimension = other.dimension
                self.norm, self.projections = NumericSketch(), [NumericSketch() for _ in range(PROJECTIONS)]
                self._add(other)
                self.wrong_dimension += lost
            else:
                self.wrong_dimension += other.n + other.wrong_dimension
            return
        self.wrong_dimension += other.wrong_dimension
        self._add(other)

    def _add(self, other: VectorSketch) -> None:
        self.norm.merge(other.norm)
        for sketch, added in zip(self.projections, other.projections, strict=True):
            sketch.merge(added)
