"""What a stated probability is worth: the share of such rows that came true in the reference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Calibration:
    """A rising map from score to probability, both in [0, 1]: `shares` at `points`, straight between, flat outside."""

    points: Floats
    shares: Floats

    def of(self, score: Floats) -> Floats:
        """The probability that each score is worth; any shape."""
        return np.interp(score, self.points, self.shares)


@dataclass(frozen=True, slots=True)
class Reliability:
    """Outcomes by score: distinct scores, ascending, and how many rows and how many positive ones each has."""

    score: Floats
    rows: Floats
    positive: Floats

    @classmethod
    def of(cls, score: Floats, outcome: NDArray[np.bool_]) -> Reliability:
        """From rows, shapes (n,), at least one."""
        distinct, place = np.unique(score, return_inverse=True)
        rows = np.bincount(place, minlength=len(distinct)).astype(np.float64)
        positive = np.bincount(place, weights=outcome.astype(np.float64), minlength=len(distinct)).astype(np.float64)
        return cls(distinct, rows, positive)

    def calibration(self) -> Calibration:
        """Centred isotonic regression: each block of equal share stands at its mean score.

        Source: Oron and Flournoy (2017), "Centered isotonic regression: point and interval estimation for dose-response
        studies"; for probabilities, Zadrozny and Elkan (2002).
        """
        fitted = isotonic_regression(self.positive / self.rows, weights=self.rows)
        starts = np.asarray(fitted.blocks)[:-1]
        rows = np.add.reduceat(self.rows, starts)
        points = np.add.reduceat(self.rows * self.score, starts) / rows
        return Calibration(points, np.clip(np.add.reduceat(self.positive, starts) / rows, 0.0, 1.0))

    def resampled(self, random: np.random.Generator) -> Reliability:
        """As many rows drawn anew, with replacement."""
        total = int(self.rows.sum())
        misses = self.rows - self.positive
        drawn = random.multinomial(total, np.concatenate([self.positive, misses]) / total).astype(np.float64)
        positive, rows = drawn[: len(self.score)], drawn[: len(self.score)] + drawn[len(self.score) :]
        kept = rows > 0
        return Reliability(self.score[kept], rows[kept], positive[kept])
