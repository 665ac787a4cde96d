"""How good predictions were, against what came true: metrics of arrays, each with its confidence interval.

Every function is pure; metrics that are not defined on the given rows (an area under the ROC curve of one class, R² of
a constant) are left out of the answer rather than made up.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from modelward_collector.stats.intervals import (
    CONFIDENCE,
    Area,
    Interval,
    auc_interval,
    bootstrap_counts,
    delong_auc,
    log_scale,
    mean_t,
    median,
    mover_mean,
    resampled_means,
    roc_area,
    wilson,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CALIBRATION_BINS = 15
"""Equal-width bins of confidence of the calibration error, as Guo et al. (2017) have them."""

SMALLEST_PROBABILITY = float(np.finfo(np.float64).eps)
"""Probabilities are kept this far from 0 and 1 in the log loss, as scikit-learn does."""


def _defined(metrics: dict[str, Interval]) -> dict[str, Interval]:
    return {name: metric for name, metric in metrics.items() if not np.isnan(metric.estimate)}


# -- regression -----------------------------------------------------------------------------------------------------


def regression_metrics(actual: Floats, predicted: Floats, confidence: float = CONFIDENCE) -> dict[str, Interval]:
    """`mae`, `rmse`, `median_ae` and `bias` (predicted - actual) in the target's unit; `r2`; `mape` as a share.

    Finite values, shapes (n,). `mape` is over the rows whose actual is not 0.
    """
    if len(actual) == 0:
        return {}
    error = predicted - actual
    absolute = np.abs(error)
    told = actual != 0
    return _defined(
        {
            "mae": _not_negative(mean_t(absolute, confidence)),
            "rmse": rmse(error, confidence),
            "r2": r2(actual, error, confidence),
            "mape": _not_negative(mean_t(absolute[told] / np.abs(actual[told]), confidence)),
            "bias": mean_t(error, confidence),
            "median_ae": median(absolute, confidence),
        }
    )


def _not_negative(interval: Interval) -> Interval:
    return Interval(interval.estimate, max(0.0, interval.low), interval.high)


def rmse(error: Floats, confidence: float = CONFIDENCE) -> Interval:
    """Root of the mean squared error, shape (n,), with the delta method on the log scale."""
    squared = np.square(error)
    mean = float(squared.mean())
    if mean == 0:
        return Interval(0.0, 0.0, 0.0)
    return log_scale(float(np.sqrt(mean)), (squared / mean - 1) / 2, confidence)


def r2(actual: Floats, error: Floats, confidence: float = CONFIDENCE) -> Interval:
    """Share of the actuals' variance that is explained, at most 1; undefined for constant actuals.

    Its interval is the delta method on log(1 - R²), the log of a ratio of two means. Shapes (n,).
    """
    spread = np.square(actual - actual.mean())
    variance = float(spread.mean())
    squared = np.square(error)
    mean = float(squared.mean())
    if variance <= 0 or len(actual) < 2:
        return Interval.undefined()
    if mean == 0:
        return Interval(1.0, 1.0, 1.0)
    left = log_scale(mean / variance, squared / mean - spread / variance, confidence)
    return Interval(1 - left.estimate, 1 - left.high, 1 - left.low)


# -- classification -------------------------------------------------------------------------------------------------


def confusion_matrix(actual: Ints, predicted: Ints, classes: int) -> Ints:
    """Rows counted by actual (first axis) and predicted class, shape (classes, classes); codes from 0."""
    counted = np.bincount(actual * classes + predicted, minlength=classes * classes)
    return counted.reshape(classes, classes).astype(np.int64)


def label_metrics(
    confusion: Ints,
    positive: int | None = None,
    confidence: float = CONFIDENCE,
    *,
    macro: bool = True,
    seed: int = 0,
) -> dict[str, Interval]:
    """`accuracy`, `precision_macro`, `recall_macro`, `f1_macro`; with a positive class also its `precision`,
    `recall` and `f1`. All are shares in [0, 1].

    From the confusion matrix alone; `macro` False leaves the means out. They are over the classes that occur, as actual
    or as prediction; a class that was never predicted has precision 0, one that never was true recall 0, as in
    scikit-learn.
    """
    total = int(confusion.sum())
    if total == 0:
        return {}
    metrics = {"accuracy": wilson(int(np.trace(confusion)), total, confidence)}
    present = np.flatnonzero(confusion.sum(axis=0) + confusion.sum(axis=1))
    within = confusion[np.ix_(present, present)]
    if positive is not None:
        metrics |= _positive_metrics(confusion, positive, confidence)
    if macro:
        metrics |= _macro_metrics(within, confidence, seed)
    return _defined(metrics)


def _positive_metrics(confusion: Ints, positive: int, confidence: float) -> dict[str, Interval]:
    hits = int(confusion[positive, positive])
    predicted, actual = int(confusion[:, positive].sum()), int(confusion[positive, :].sum())
    return {
        "precision": wilson(hits, predicted, confidence),
        "recall": wilson(hits, actual, confidence),
        "f1": f1(hits, predicted, actual, confidence),
    }


def f1(hits: int, predicted: int, actual: int, confidence: float = CONFIDENCE) -> Interval:
    """F1 of one class, in [0, 1], of its `hits`, `predicted` and `actual` rows.

    Given how many rows have the class as actual or as prediction, the hits among them are binomial, with share J
    (Jaccard's index), and F1 = 2 J / (1 + J) rises with J; so Wilson's interval of J, mapped, is F1's.
    """
    share = wilson(hits, predicted + actual - hits, confidence)
    return Interval(*(2 * end / (1 + end) for end in (share.estimate, share.low, share.high)))


def _macro_metrics(confusion: Ints, confidence: float, seed: int) -> dict[str, Interval]:
    hits = np.diagonal(confusion)
    predicted, actual = confusion.sum(axis=0), confusion.sum(axis=1)
    parts = {
        "precision_macro": _shares(hits, predicted, confidence),
        "recall_macro": _shares(hits, actual, confidence),
        "f1_macro": [f1(int(h), int(p), int(a), confidence) for h, p, a in zip(hits, predicted, actual, strict=True)],
    }
    macro = {name: mover_mean(intervals) for name, intervals in parts.items()}
    # The classes' F1 share rows, so their intervals alone would be too narrow; the bootstrap sees the sharing, but
    # collapses when nothing is wrong. The wider of the two is neither.
    side = len(confusion)
    kinds = np.flatnonzero(confusion)
    rows, columns = kinds // side, kinds % side

    def f1_mean(counts: Floats) -> Floats:
        return _f1_mean(counts, rows, columns, side)

    resampled = bootstrap_counts(confusion.ravel()[kinds], f1_mean, confidence, seed=seed)
    alone = macro["f1_macro"]
    macro["f1_macro"] = Interval(alone.estimate, min(alone.low, resampled.low), max(alone.high, resampled.high))
    return macro


def _shares(hits: Ints, of: Ints, confidence: float) -> list[Interval]:
    # a share of no rows is 0, as in scikit-learn, but nothing is known about it
    nothing = Interval(0.0, 0.0, 1.0)
    return [wilson(int(h), int(n), confidence) if n else nothing for h, n in zip(hits, of, strict=True)]


def _f1_mean(counts: Floats, rows: NDArray[np.intp], columns: NDArray[np.intp], side: int) -> Floats:
    """Macro F1, shape (m,), of counts (m, kinds), each of an actual and a predicted class."""
    right = np.where(rows == columns, counts, 0.0)
    of_actual = (rows[:, None] == np.arange(side)).astype(np.float64)
    of_predicted = (columns[:, None] == np.arange(side)).astype(np.float64)
    hits, both = right @ of_actual, counts @ (of_actual + of_predicted)
    # a resample may lack a class; it then does not count, as in the estimate
    scores = np.divide(2 * hits, both, out=np.full_like(hits, np.nan), where=both > 0)
    mean: Floats = np.nanmean(scores, axis=1)
    return mean


def probability_metrics(
    actual: Ints,
    probabilities: Floats,
    positive: int | None = None,
    confidence: float = CONFIDENCE,
    *,
    calibration: bool = True,
    seed: int = 0,
) -> dict[str, Interval]:
    """`roc_auc`, `log_loss` (nats), `brier` and `calibration_error` of class probabilities.

    `actual` (n,) holds codes, `probabilities` (n, classes). With a `positive` class of two, `roc_auc` and `brier` are
    that class's; otherwise `roc_auc` is the mean over the classes of one against the rest (of those that occur) and
    `brier` the sum over classes, in [0, 2]. `calibration_error`, which
    alone takes more than a few milliseconds, is of the most probable class; `calibration` False leaves it out.
    """
    n = len(actual)
    if n == 0:
        return {}
    told = np.clip(probabilities[np.arange(n), actual], SMALLEST_PROBABILITY, 1.0)
    metrics = {"log_loss": _not_negative(mean_t(-np.log(told), confidence))}
    if positive is not None and probabilities.shape[1] == 2:
        score, is_positive = probabilities[:, positive], actual == positive
        metrics["roc_auc"] = delong_auc(is_positive, score, confidence)
        metrics["brier"] = _not_negative(mean_t(np.square(score - is_positive), confidence))
    else:
        metrics["roc_auc"] = macro_auc(actual, probabilities, confidence)
        truth = np.arange(probabilities.shape[1]) == actual[:, None]
        metrics["brier"] = _not_negative(mean_t(np.square(probabilities - truth).sum(axis=1), confidence))
    if calibration:
        top = probabilities.argmax(axis=1)
        stated = probabilities[np.arange(n), top]
        metrics["calibration_error"] = calibration_error(stated, top == actual, confidence, seed=seed)
    return _defined(metrics)


def macro_auc(actual: Ints, probabilities: Floats, confidence: float = CONFIDENCE) -> Interval:
    """The mean, over the classes that occur, of each one's area under the ROC curve against the rest, in [0, 1].

    Its variance is DeLong's, of the mean of the rows' influences.
    """
    areas: list[Area] = []
    smallest = len(actual)
    for code in range(probabilities.shape[1]):
        positive = actual == code
        area = roc_area(positive, probabilities[:, code])
        if area is not None:
            areas.append(area)
            smallest = min(smallest, int(positive.sum()))
    if not areas:
        return Interval.undefined()
    mean = Area(sum(area.value for area in areas) / len(areas), np.mean([area.influence for area in areas], axis=0))
    return auc_interval(mean, smallest, len(actual) - smallest, confidence)


def calibration_error(
    confidence_of_top: Floats, right: NDArray[np.bool_], confidence: float = CONFIDENCE, *, seed: int = 0
) -> Interval:
    """Expected calibration error in [0, 1]: the mean gap, by bin, of stated probability and share right. Shapes (n,).

    Source: Guo et al. (2017), "On calibration of modern neural networks", eq. 3. It is biased upwards on few rows; the
    interval is the basic bootstrap's, which takes the bias out, so it may lie mostly below the estimate.
    """
    n = len(right)
    if n < 2:
        return Interval.undefined()
    bins = np.minimum((confidence_of_top * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    gaps = np.zeros((n, CALIBRATION_BINS))
    gaps[np.arange(n), np.maximum(bins, 0)] = confidence_of_top - right
    estimate = float(np.abs(gaps.mean(axis=0)).sum())
    drawn = np.abs(resampled_means(gaps, seed=seed)).sum(axis=1)
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(estimate, max(0.0, 2 * estimate - float(high)), max(estimate, 2 * estimate - float(low)))


def codes_of(labels: Sequence[str], classes: Sequence[str]) -> Ints:
    """Each label's place in `classes`, -1 for one that is not in it; shape (n,)."""
    place = {name: code for code, name in enumerate(classes)}
    return np.fromiter((place.get(label, -1) for label in labels), dtype=np.int64, count=len(labels))
