"""When a series' level changed: the likeliest moment, and an interval that holds the true one as often as it says."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

ANY_CHANGE = 5.0
"""The largest log-likelihood ratio of any moment is less in 95% of series of up to 300 steps that have one level."""

CONFIDENCE = 0.95

FEWEST_STEPS = 4
"""With fewer there is no noise to be learned."""

MOST_ALIKE = 0.8
"""Neighbours' correlation is not believed to be more: it is learned from few steps, and from what the model misses."""


@dataclass(frozen=True, slots=True)
class ChangePoint:
    """The change is at the beginning of step `first`, and with `CONFIDENCE` at that of one of `low` to `high`.

    0 means before the first step, which has the new level already.
    """

    first: int
    low: int
    high: int


def change_point(values: Values, weights: Values, before: tuple[float, float]) -> ChangePoint | None:
    """Of steps' `values` with `weights` (1 / sampling variance), both (t,), whose level changed once, and stayed.

    `before` is what is known of the old level from elsewhere, as (value, weight); the new level is unknown. With
    weight 0 so is the old, and where all steps may have one level, the change may be before the first. None of fewer
    than four steps with a weight.

    The moment is the one of maximal likelihood. The interval is the likelihood-ratio set: all moments whose
    log-likelihood is within `-log(1 - sqrt(confidence))` of the best, 3.68 for 95%. Left and right of the true moment
    the log-likelihood ratio is a random walk that drifts downwards, whose maximum is exponential in the limit of small
    steps; there are two of them. Source: Siegmund (1988), "Confidence sets in change-point problems"; Eo and Morley
    (2015), "Likelihood-ratio-based confidence sets for the timing of structural breaks", whose 7.35 is twice this.
    Steps that vary more than they sample, or together with their neighbours, widen it (quasi-likelihood): by the
    variance about both levels, and by (1 + r) / (1 - r) of its correlation from one step to the next.
    """
    known = np.isfinite(values) & np.isfinite(weights) & (weights > 0)
    steps = np.flatnonzero(known)
    t = len(steps)
    if t < FEWEST_STEPS:
        return None
    y, w = values[known], weights[known]
    # What was learned elsewhere counts at most as much as all that is seen here: today may differ a little from then.
    level, prior = before[0], min(before[1], float(w.sum()))
    y = y - level  # sums of squares of small numbers
    total, total_y, total_yy = (float(part.sum()) for part in (w, w * y, w * y * y))
    w_before = prior + np.concatenate(([0.0], np.cumsum(w)[:-1]))
    y_before = np.concatenate(([0.0], np.cumsum(w * y)[:-1]))
    # Of the squares about both levels only this part depends on the moment.
    w_after = total + prior - w_before
    explained = y_before**2 / np.where(w_before > 0, w_before, 1.0) + (total_y - y_before) ** 2 / w_after
    best = int(explained.argmax())
    left = max(0.0, total_yy - float(explained[best]))
    levels = np.where(
        np.arange(t) < best,
        y_before[best] / w_before[best] if w_before[best] > 0 else 0.0,
        (total_y - y_before[best]) / w_after[best],
    )
    noise = max(1.0, left / (t - 1)) * _together((y - levels) * np.sqrt(w))
    allowed = -math.log(1 - math.sqrt(CONFIDENCE))
    behind = (explained[best] - explained) / (2 * noise)
    if not prior and behind[0] <= ANY_CHANGE:
        behind[0] = 0.0
    likely = np.flatnonzero(behind <= allowed)
    return ChangePoint(int(steps[best]), _first(steps, int(likely[0])), _first(steps, int(likely[-1])))


def _first(steps: NDArray[np.intp], index: int) -> int:
    """A change before the first step that has rows may be before all."""
    return 0 if index == 0 else int(steps[index])


def _together(residuals: Values) -> float:
    """By how much neighbours that move together widen what is known of a level; at least 1."""
    square = float(residuals @ residuals)
    if square <= 0:
        return 1.0
    r = min(MOST_ALIKE, max(0.0, float(residuals[1:] @ residuals[:-1]) / square))
    return (1 + r) / (1 - r)
