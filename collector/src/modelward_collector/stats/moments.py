"""Tests of mean and variance from exact moments: what keeps its power at any number of rows, sketch or not."""

from __future__ import annotations

import math

from scipy import special

from modelward_collector.stats.effect import FLOOR, normal_scale_distance, normal_shift_distance
from modelward_collector.stats.normal import two_sided
from modelward_collector.stats.outcome import NOT_APPLICABLE, Outcome
from modelward_collector.stats.scatter import ALLOWED_SDS
from modelward_collector.stats.view import NumericView

CARRIED_BY_FEW = 1 / 16
"""A variance with a larger relative sampling variance is carried by fewer than 16 rows: its log is not near normal."""

HEAVY_KURTOSIS = 5.0
HEAVY_CARRIED_BY_FEW = 1 / 64
"""Of heavy tails a sample shows too small a kurtosis, so that they need more rows before it can be trusted."""

SECOND_ORDER_ROWS = 16.0
"""The sample variance of a two-point distribution at 1/2 has no first-order error; this covers the second order's."""


def mean_test(reference: NumericView, current: NumericView, process_sd: float = 0.0, floor: float = FLOOR) -> Outcome:
    """Two-sample t test of the means; `value` is the shift in reference standard deviations (signed).

    Both samples get the larger of the two variances. The usual (Welch, 1947) statistic rejects too often in the light
    tail of a skewed distribution, the one with the reference's variance in the heavy tail (Chen, 1995); with the larger
    of both, each guards the tail where the other fails, so that the level holds for heavy-tailed and zero-inflated
    features, where it is conservative. `process_sd` is the standard deviation of window means beyond sampling noise.
    """
    shift = current.mean - reference.mean
    unit = reference.sd if reference.variance > 0 else current.sd
    if unit > 0 and process_sd > 0:
        floor = max(floor, normal_shift_distance(ALLOWED_SDS * process_sd / unit))
    if shift == 0 or not math.isfinite(shift):
        return Outcome("mean", 0.0, NOT_APPLICABLE, 0.0, floor)
    if not (math.isfinite(unit) and unit > 0):
        return Outcome("mean", 0.0, NOT_APPLICABLE, 1.0 if unit == 0 else 0.0, floor)
    a, b = 1 / reference.n, 1 / current.n
    variance = max(reference.variance, current.variance if math.isfinite(current.variance) else 0.0)
    sampling = variance * (a + b)
    freedom = (a + b) ** 2 / (a**2 / max(reference.n - 1, 1) + b**2 / max(current.n - 1, 1))
    t = shift / math.sqrt(sampling + process_sd**2)
    debiased = math.sqrt(max(0.0, shift**2 - sampling)) / unit
    p = min(1.0, 2 * float(special.stdtr(freedom, -abs(t))))
    return Outcome("mean", shift / unit, p, normal_shift_distance(debiased), floor)


def variance_test(
    reference: NumericView, current: NumericView, process_sd: float = 0.0, floor: float = FLOOR
) -> Outcome:
    """Test of the log ratio of the variances with the standard error that the kurtosis gives; `value` is the ratio.

    Var(log s2) = (kurtosis - 1) / n + O(1 / n^2) (Layard, 1973), with the larger kurtosis of the two for both. Where
    the kurtosis says that few rows carry the variance (infinite fourth moment, an outlier) the test does not apply.
    `process_sd` is the standard deviation of windows' log variances beyond sampling noise.
    """
    floor = max(floor, normal_scale_distance(ALLOWED_SDS * process_sd))
    if not (reference.variance > 0 and current.variance > 0):
        return Outcome("variance", 1.0, NOT_APPLICABLE, 0.0, floor)
    log_ratio = math.log(current.variance) - math.log(reference.variance)
    ratio = math.exp(max(-700.0, min(700.0, log_ratio)))
    kurtosis = max(reference.kurtosis, current.kurtosis)
    inverse = 1 / reference.n + 1 / current.n
    first_order = (kurtosis - 1) * inverse
    few = CARRIED_BY_FEW if kurtosis <= HEAVY_KURTOSIS else HEAVY_CARRIED_BY_FEW
    if not (math.isfinite(log_ratio) and first_order <= few):
        return Outcome("variance", ratio if math.isfinite(log_ratio) else 1.0, NOT_APPLICABLE, 0.0, floor)
    sampling = first_order + SECOND_ORDER_ROWS * (1 / reference.n**2 + 1 / current.n**2)
    p = two_sided(log_ratio / math.sqrt(sampling + process_sd**2))
    debiased = math.sqrt(max(0.0, log_ratio**2 - sampling))
    return Outcome("variance", ratio, p, normal_scale_distance(debiased), floor)
