"""Confidence intervals of shares, means, medians and areas under the ROC curve.

All are two-sided at `confidence` (0.95 unless said otherwise), pure and deterministic; a bootstrap is seeded.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special, stats

CONFIDENCE = 0.95
DRAWS = 1_000
"""Resamples of a bootstrap: the 2.5% quantile is then known to about half a percentage point of probability."""

NORMAL_MEANS = 5_000
"""From this many rows on, resampled means are drawn from their normal limit: it costs nothing per row."""

_CELLS = 2_000_000
"""Largest resampling matrix held at once, in elements (16 MB of float64)."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A point estimate and the two ends of its confidence interval, in the estimate's unit; NaN when not defined."""

    estimate: float
    low: float
    high: float

    @classmethod
    def undefined(cls) -> Interval:
        """Nothing can be said: too few rows."""
        return cls(math.nan, math.nan, math.nan)

    @property
    def defined(self) -> bool:
        """Whether there is an estimate and an interval."""
        return not (math.isnan(self.estimate) or math.isnan(self.low) or math.isnan(self.high))


def _z(confidence: float) -> float:
    return float(special.ndtri(0.5 + confidence / 2))


def _t(confidence: float, degrees: int) -> float:
    return float(special.stdtrit(degrees, 0.5 + confidence / 2))


def wilson(successes: float, n: float, confidence: float = CONFIDENCE) -> Interval:
    """A share of `successes` in `n` trials, in [0, 1]; the score interval. Undefined when n is 0.

    Source: Wilson (1927), "Probable inference, the law of succession, and statistical inference".
    """
    if n <= 0:
        return Interval.undefined()
    z = _z(confidence)
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low = 0.0 if successes <= 0 else max(0.0, centre - half)
    high = 1.0 if successes >= n else min(1.0, centre + half)
    return Interval(share, low, high)


def clopper_pearson(successes: int, n: int, confidence: float = CONFIDENCE) -> Interval:
    """A share in [0, 1]; the exact interval, which covers at least as often as it says. Undefined when n is 0.

    Source: Clopper and Pearson (1934), "The use of confidence or fiducial limits".
    """
    if n <= 0:
        return Interval.undefined()
    tail = (1 - confidence) / 2
    low = 0.0 if successes == 0 else float(special.betaincinv(successes, n - successes + 1, tail))
    high = 1.0 if successes == n else float(special.betaincinv(successes + 1, n - successes, 1 - tail))
    return Interval(successes / n, low, high)


def newcombe_difference(
    successes: float, n: float, reference_successes: float, reference_n: float, confidence: float = CONFIDENCE
) -> Interval:
    """The first share minus the second, of independent samples, in [-1, 1]. Undefined when either n is 0.

    Source: Newcombe (1998), "Interval estimation for the difference between independent proportions", method 10.
    """
    first, second = wilson(successes, n, confidence), wilson(reference_successes, reference_n, confidence)
    if not (first.defined and second.defined):
        return Interval.undefined()
    difference = first.estimate - second.estimate
    below = math.hypot(first.estimate - first.low, second.high - second.estimate)
    above = math.hypot(first.high - first.estimate, second.estimate - second.low)
    return Interval(difference, max(-1.0, difference - below), min(1.0, difference + above))


def share_above(successes: int, n: int, bound: float) -> float:
    """P-value, in [0, 1], of "the share is at most `bound`" against "it is above"; 1 when n is 0.

    The exact binomial tail, so a handful of rows never shows more than they can.
    """
    if n <= 0 or successes <= 0:
        return 1.0
    return float(special.betainc(successes, n - successes + 1, min(max(bound, 0.0), 1.0)))


def mean_t(values: ArrayLike, confidence: float = CONFIDENCE) -> Interval:
    """The mean of independent values, shape (n,), by Student's t; undefined below two values.

    Source: Student (1908), "The probable error of a mean".
    """
    sample = np.asarray(values, dtype=np.float64)
    n = len(sample)
    if n < 2:
        return Interval(float(sample[0]), math.nan, math.nan) if n else Interval.undefined()
    mean = float(sample.mean())
    half = _t(confidence, n - 1) * float(sample.std(ddof=1)) / math.sqrt(n)
    return Interval(mean, mean - half, mean + half)


def log_scale(estimate: float, influence: NDArray[np.float64], confidence: float = CONFIDENCE) -> Interval:
    """A positive statistic whose logarithm has these influences, shape (n,): the delta method on the log scale.

    Source: van der Vaart (1998), "Asymptotic statistics", chapters 3 and 20.
    """
    n = len(influence)
    if n < 2:
        return Interval(estimate, math.nan, math.nan)
    half = _t(confidence, n - 1) * float(influence.std(ddof=1)) / math.sqrt(n)
    half = min(half, 700.0)  # exp overflows beyond
    return Interval(estimate, estimate * math.exp(-half), estimate * math.exp(half))


def median(values: ArrayLike, confidence: float = CONFIDENCE) -> Interval:
    """The median of independent values, shape (n,), between two order statistics; covers at least as it says.

    Undefined when so few values (fewer than six at 95%) cannot hold the confidence. Source: David and Nagaraja
    (2003), "Order statistics", section 7.1.
    """
    sample = np.sort(np.asarray(values, dtype=np.float64))
    n = len(sample)
    if n == 0:
        return Interval.undefined()
    centre = float(np.median(sample))
    below = int(stats.binom.ppf((1 - confidence) / 2, n, 0.5))  # the smallest r with P(X <= r) >= tail
    if below < 1:
        return Interval(centre, math.nan, math.nan)
    return Interval(centre, float(sample[below - 1]), float(sample[n - below]))


@dataclass(frozen=True, slots=True)
class Area:
    """An area under the ROC curve in [0, 1], and the influence of each row on it, shape (n,), summing to 0 by kind."""

    value: float
    influence: NDArray[np.float64]


def roc_area(positive: NDArray[np.bool_], score: NDArray[np.float64]) -> Area | None:
    """The chance that a positive row scores above a negative one, a tie counting half; None without both kinds.

    Shapes (n,). O(n log n) by mid-ranks. Sources: DeLong, DeLong and Clarke-Pearson (1988), "Comparing the areas under
    two or more correlated receiver operating characteristic curves"; Sun and Xu (2014) for the mid-ranks.
    """
    n = len(score)
    n_positive = int(np.count_nonzero(positive))
    n_negative = n - n_positive
    if n_positive == 0 or n_negative == 0:
        return None
    ranks = stats.rankdata(score)
    place = np.empty(n)
    place[positive] = (ranks[positive] - stats.rankdata(score[positive])) / n_negative
    place[~positive] = 1.0 - (ranks[~positive] - stats.rankdata(score[~positive])) / n_positive
    value = float(place[positive].mean())
    return Area(value, (place - value) * np.where(positive, _weight(n, n_positive), _weight(n, n_negative)))


def _weight(n: int, kind: int) -> float:
    """A kind's share of the influence, with Bessel's correction so that the variance is DeLong's own."""
    return n / kind * math.sqrt(kind / (kind - 1)) if kind > 1 else n / kind


def delong_auc(positive: ArrayLike, score: ArrayLike, confidence: float = CONFIDENCE) -> Interval:
    """The area under the ROC curve with DeLong's variance on the logit scale, so that it stays in [0, 1].

    `positive` bool and `score` float, shapes (n,). Where DeLong's variance is 0 (a perfect or perfectly wrong
    ranking), Newcombe's score interval stands in, which does not collapse. Undefined without both kinds of rows.
    """
    labels = np.asarray(positive, dtype=np.bool_)
    area = roc_area(labels, np.asarray(score, dtype=np.float64))
    if area is None:
        return Interval.undefined()
    n_positive = int(np.count_nonzero(labels))
    return auc_interval(area, n_positive, len(labels) - n_positive, confidence)


def auc_interval(area: Area, n_positive: int, n_negative: int, confidence: float = CONFIDENCE) -> Interval:
    """The interval of an area, or of a mean of areas, from its influences; see `delong_auc`."""
    # the sum of squared influences over n squared is DeLong's S10 / m + S01 / n
    variance = float(np.square(area.influence).sum()) / (n_positive + n_negative) ** 2
    if variance <= 0 or min(n_positive, n_negative) < 2 or area.value <= 0 or area.value >= 1:
        return _newcombe_auc(area.value, n_positive, n_negative, confidence)
    logit = math.log(area.value / (1 - area.value))
    half = _z(confidence) * math.sqrt(variance) / (area.value * (1 - area.value))
    return Interval(area.value, _expit(logit - half), _expit(logit + half))


def _expit(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > -700 else 0.0


def _newcombe_auc(value: float, n_positive: int, n_negative: int, confidence: float) -> Interval:
    """Source: Newcombe (2006), "Confidence intervals for an effect size measure based on the Mann-Whitney statistic.
    Part 2", method 5.
    """
    z = _z(confidence)
    partners = (n_positive + n_negative) / 2 - 1

    def excess(theta: float) -> float:
        factor = 1 + partners * (1 - theta) / (2 - theta) + partners * theta / (1 + theta)
        return (value - theta) ** 2 - z * z * theta * (1 - theta) * factor / (n_positive * n_negative)

    low = 0.0 if value <= 0 else float(optimize.brentq(excess, 0.0, value - 1e-9)) if excess(0.0) > 0 else 0.0
    high = 1.0 if value >= 1 else float(optimize.brentq(excess, value + 1e-9, 1.0)) if excess(1.0) > 0 else 1.0
    return Interval(value, low, high)


def mover_mean(parts: list[Interval]) -> Interval:
    """The mean of independent estimates, from their own intervals; undefined of none or with an undefined part.

    Source: Zou and Donner (2008), "Construction of confidence limits about effect measures: a general approach"
    (the method of variance estimates recovery).
    """
    if not parts or not all(part.defined for part in parts):
        return Interval.undefined()
    n = len(parts)
    mean = sum(part.estimate for part in parts) / n
    below = math.sqrt(sum((part.estimate - part.low) ** 2 for part in parts)) / n
    above = math.sqrt(sum((part.high - part.estimate) ** 2 for part in parts)) / n
    return Interval(mean, mean - below, mean + above)


def resampled_means(columns: NDArray[np.float64], draws: int = DRAWS, seed: int = 0) -> NDArray[np.float64]:
    """Means of `draws` resamples, with replacement, of the rows of `columns` (n, k): shape (draws, k).

    Up to `NORMAL_MEANS` rows they are resampled; above, drawn from the normal limit that the resamples have.
    """
    random = np.random.default_rng(seed)
    n, width = columns.shape
    if n > NORMAL_MEANS:
        covariance = np.atleast_2d(np.cov(columns, rowvar=False, ddof=0)) / n
        # eigh rather than cholesky: columns may be constant, or depend on each other
        values, vectors = np.linalg.eigh(covariance)
        root = vectors * np.sqrt(np.clip(values, 0, None))
        drawn: NDArray[np.float64] = columns.mean(axis=0) + random.standard_normal((draws, width)) @ root.T
        return drawn
    batch = max(1, _CELLS // max(n, 1))
    means = np.empty((draws, width))
    for start in range(0, draws, batch):
        size = min(batch, draws - start)
        picked = random.integers(0, n, size=(size, n))
        picked += np.arange(size)[:, None] * n
        weights = np.bincount(picked.ravel(), minlength=size * n).reshape(size, n)
        means[start : start + size] = weights @ columns / n
    return means


def bootstrap(
    columns: NDArray[np.float64],
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    confidence: float = CONFIDENCE,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> Interval:
    """The percentile bootstrap of a statistic of column means: `statistic` maps means (m, k) to values (m,).

    `columns` (n, k) is resampled by rows, vectorised. Source: Efron and Tibshirani (1993), "An introduction to the
    bootstrap", chapter 13.
    """
    if len(columns) < 2:
        return Interval.undefined()
    estimate = float(statistic(columns.mean(axis=0, keepdims=True))[0])
    drawn = statistic(resampled_means(columns, draws, seed))
    low, high = np.nanquantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(estimate, float(low), float(high))


def bootstrap_counts(
    counts: NDArray[np.int64],
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    confidence: float = CONFIDENCE,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> Interval:
    """The percentile bootstrap of a statistic of counts: `statistic` maps counts (m, cells) to values (m,).

    `counts` (cells,) says how often each kind of row occurs, so resampling the rows is one multinomial draw and costs
    nothing per row. Undefined when there is no row.
    """
    total = int(counts.sum())
    if total == 0:
        return Interval.undefined()
    estimate = float(statistic(counts[None, :].astype(np.float64))[0])
    drawn = np.random.default_rng(seed).multinomial(total, counts / total, size=draws)
    low, high = np.nanquantile(statistic(drawn.astype(np.float64)), [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(estimate, float(low), float(high))
