"""Kolmogorov-Smirnov statistic of two sketches."""

from __future__ import annotations

import math

import numpy as np
from scipy import special

from modelward_collector.stats.effect import FLOOR, cdf_gap_distance
from modelward_collector.stats.outcome import Outcome
from modelward_collector.stats.scatter import GAP_SQUARE
from modelward_collector.stats.view import NumericView, alike, difference_noise


def ks_statistic(reference: NumericView, current: NumericView) -> float:
    """Largest distance of the two cdfs, in [0, 1]; off by at most the two sketches' errors together."""
    reference, current = alike(reference, current)
    points = np.concatenate((reference.values, current.values))
    return float(np.abs(reference.cdf(points) - current.cdf(points)).max())


def kolmogorov_p(gap: float, noise: float) -> float:
    """P(sup |F - G| >= gap) when the difference is as uncertain as a sample of 1/noise rows.

    Kolmogorov's limit with Stephens' (1970) correction for the sample size. Conservative for ties.
    """
    if gap <= 0 or noise <= 0:
        return 1.0
    root = math.sqrt(1 / noise)
    return float(special.kolmogorov((root + 0.12 + 0.11 / root) * gap))


def ks_test(reference: NumericView, current: NumericView, process_gap: float = 0.0, floor: float = FLOOR) -> Outcome:
    """Kolmogorov-Smirnov test; `value` is the statistic.

    Approximate: the sketches' error enters as if it were that of a smaller sample (`NumericView.noise`), which the
    test of its calibration shows to be conservative. `process_gap` is how far windows' cdfs lie from the reference's
    beyond sampling noise; only what exceeds it counts.
    """
    gap = ks_statistic(reference, current)
    noise = difference_noise(reference, current)
    debiased = math.sqrt(max(0.0, gap**2 - GAP_SQUARE * noise))
    floor = max(floor, cdf_gap_distance(process_gap))
    return Outcome("ks", gap, kolmogorov_p(gap - process_gap, noise), cdf_gap_distance(debiased), floor)
