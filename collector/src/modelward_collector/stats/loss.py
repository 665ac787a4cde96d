"""How large a regression's errors are where the inputs are such: learned from labelled rows, for others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from modelward_collector.stats.blocks import BLOCKS, Learned, blocks_of, rows_to_learn, wander
from modelward_collector.stats.boosting import Binned, BoostedTrees
from modelward_collector.stats.intervals import CONFIDENCE, Interval

Floats = NDArray[np.float64]

FEWEST = 100
BIAS_TREES = 40
SCALE_TREES = 80

LEAST_SCALE = 0.05
"""No row's error is taken to be smaller than this part of the mean."""


@dataclass(frozen=True, slots=True)
class _Standard:
    """Errors without bias, in units of their scale: sorted, with running sums, and the moments one to four."""

    z: Floats
    sums: Floats
    moments: tuple[float, float, float, float]

    @classmethod
    def of(cls, z: Floats) -> _Standard:
        ordered = np.sort(z)
        sums = np.concatenate([[0.0], ordered.cumsum()])
        first, second, third, fourth = (float((ordered**power).mean()) for power in (1, 2, 3, 4))
        return cls(ordered, sums, (first, second, third, fourth))

    def losses(self, bias: Floats, scale: Floats) -> dict[str, tuple[Floats, Floats]]:
        """Expected absolute and squared error of each row, and the variances of both."""
        first, second, third, fourth = self.moments
        squared = bias**2 + 2 * bias * scale * first + scale**2 * second
        n = len(self.z)
        below = np.searchsorted(self.z, -bias / scale)
        # the sum of |bias + scale z|: the terms above the sign change, less those below
        over = (n - below) * bias + scale * (self.sums[-1] - self.sums[below])
        under = below * bias + scale * self.sums[below]
        absolute = (over - under) / n
        fourth_power = (
            bias**4
            + 4 * bias**3 * scale * first
            + 6 * bias**2 * scale**2 * second
            + 4 * bias * scale**3 * third
            + scale**4 * fourth
        )
        return {
            "mae": (absolute, np.maximum(squared - absolute**2, 0.0)),
            "mse": (squared, np.maximum(fourth_power - squared**2, 0.0)),
        }


@dataclass(frozen=True, slots=True)
class _Mean:
    """What the expected loss's mean is to be multiplied by, and how far off it is, relatively, from time to time."""

    ratio: float
    wander: float
    chance: float


@dataclass(frozen=True, slots=True)
class ErrorModel:
    """The distribution of the error of each row: a bias, and a scale times one standard shape.

    Direct loss estimation models the loss; its trees have seen no loss beyond the reference's, so they can promise
    none. An error that is modelled by bias and spread can: where the inputs say that the model is off by 20, the loss
    is at least that. The bias is believed as far as it was borne out in stretches of time that it had not seen.
    Sources: NannyML's documentation of direct loss estimation; Koenker and Bassett (1982) for location and scale.
    """

    bias: BoostedTrees
    trust: float
    scale: BoostedTrees
    least: float
    standard: _Standard
    means: dict[str, _Mean]

    @classmethod
    def fit(cls, inputs: Floats, predicted: Floats, actual: Floats) -> ErrorModel | None:
        """From rows in time order: inputs (n, width), NaN for missing, categories as any numbers; None of fewer than
        `FEWEST` rows.
        """
        if len(actual) < FEWEST:
            return None
        rows = rows_to_learn(len(actual), inputs.shape[1] + 1)
        binned = Binned.of(np.column_stack([inputs, predicted])[rows])
        error = (predicted - actual)[rows]
        bias = Learned.of(binned, error, BIAS_TREES)
        trust = bias.slope(error).shrunk
        rest = error - trust * bias.held
        scale = Learned.of(binned, np.abs(rest), SCALE_TREES)
        least = max(LEAST_SCALE * float(np.abs(rest).mean()), float(np.finfo(np.float32).tiny))
        held = np.maximum(scale.held, least)
        standard = _Standard.of(rest / held)
        expected = standard.losses(trust * bias.held, held)
        realised = {"mae": np.abs(error), "mse": np.square(error)}
        means = {name: _mean(realised[name], *expected[name]) for name in realised}
        return cls(bias.trees, trust, scale.trees, least, standard, means)

    def of(self, inputs: Floats, predicted: Floats, confidence: float = CONFIDENCE) -> dict[str, Interval]:
        """`mae` and `rmse` of rows without labels, in the target's unit, and where they will lie.

        The interval holds chance, of the reference and of these rows, and how much the truth left the estimate from
        one stretch of the reference's time to another. It holds no concept drift.
        """
        rows = np.column_stack([inputs, predicted])
        scale = np.maximum(self.scale.of(rows), self.least)
        losses = self.standard.losses(self.trust * self.bias.of(rows), scale)
        found = {}
        for name, (expected, variance) in losses.items():
            known = self.means[name]
            mean = known.ratio * float(expected.mean())
            chance = known.chance**2
            if mean > 0:
                chance += known.ratio**2 * float(variance.mean()) / len(expected) / mean**2
            z, t = float(special.ndtri(0.5 + confidence / 2)), float(special.stdtrit(BLOCKS - 1, 0.5 + confidence / 2))
            half = mean * float(np.sqrt(z * z * chance + (t * known.wander) ** 2))
            found[name] = Interval(mean, max(0.0, mean - half), mean + half)
        ends = (float(np.sqrt(end)) for end in (found["mse"].estimate, found["mse"].low, found["mse"].high))
        return {"mae": found["mae"], "rmse": Interval(*ends)}


def _mean(realised: Floats, expected: Floats, variance: Floats) -> _Mean:
    total = float(expected.mean())
    if not total > 0:
        return _Mean(1.0, 0.0, 0.0)
    ratio = float(realised.mean()) / total
    block = blocks_of(len(realised))
    rows = np.bincount(block, minlength=BLOCKS)
    came, stood = (np.bincount(block, weights=one, minlength=BLOCKS) / rows for one in (realised, expected))
    spread = np.bincount(block, weights=variance, minlength=BLOCKS) / rows
    if not ratio > 0:
        return _Mean(0.0, 0.0, 0.0)
    off = came / (ratio * stood) - 1
    chance = spread / rows / stood**2
    return _Mean(ratio, wander(off, chance), float(np.sqrt(variance.mean() / len(realised))) / total)
