"""Performance before the labels are in: what the realised metrics will probably be, and between which bounds.

Both estimates learn from labelled reference rows and rest on one assumption: that a row that looks the same, to the
model's probabilities or to the inputs, is still as likely to be right. Data drift keeps to it as a rule; concept drift,
or noise that no reference row had, does not. Where labels do arrive, compare.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from modelward_collector.stats.boosting import BoostedTrees
from modelward_collector.stats.calibration import Reliability
from modelward_collector.stats.intervals import CONFIDENCE, Interval

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MAX_ROWS = 20_000
"""More rows are thinned out evenly: the labels' own chance is then below half a percentage point."""

DRAWS = 200
FOLDS = 5

LEAST_WRONG = 20
SHARPNESS = (0.05, 5.0)


# -- classifiers: confidence-based performance estimation -----------------------------------------------------------


def estimate_classifier(
    reference_probabilities: Floats,
    reference_actual: Ints,
    probabilities: Floats,
    predicted: Ints,
    positive: int | None = None,
    confidence: float = CONFIDENCE,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, Interval]:
    """`accuracy`, `precision_macro`, `recall_macro`, `f1_macro`, `roc_auc`, and with a positive class its `precision`,
    `recall` and `f1`, as `stats.performance` defines them.

    Probabilities (m, classes) with actual codes (m,) of the reference, and probabilities (n, classes) with predicted
    codes (n,) of the window. The probabilities are calibrated on the reference; a row then is of each class with its
    probability. The interval is where the metric of these very rows will lie: it draws the reference anew, as the
    calibration is uncertain, and the labels, as they are. Source: confidence-based performance estimation, Białek et
    al. (2024), "Estimating model performance under covariate shift without labels".
    """
    if len(reference_actual) == 0 or len(predicted) == 0:
        return {}
    classes = probabilities.shape[1]
    told = _thinned(len(reference_actual))
    kept = _thinned(len(predicted))
    stated, answers = probabilities[kept], predicted[kept]
    bearing = _Bearing.of(reference_probabilities[told], reference_actual[told])
    random = np.random.default_rng(seed)
    calibrated = bearing.calibrated(stated)
    scores = _auc_scores(stated, positive)
    estimates = _metrics(_confusion(calibrated, answers)[None], positive)
    estimates["roc_auc"] = np.array([_expected_auc(calibrated, scores)])
    drawn: dict[str, list[float]] = {name: [] for name in estimates}
    for _ in range(draws):
        p = bearing.resampled(random).calibrated(stated)
        labels = np.minimum((p.cumsum(axis=1) < random.random(len(p))[:, None]).sum(axis=1), classes - 1)
        truth = np.eye(classes)[labels]
        values = _metrics(_confusion(truth, answers)[None], positive)
        values["roc_auc"] = np.array([_expected_auc(truth, scores)])
        for name, value in values.items():
            drawn[name].append(float(value[0]))
    return {
        name: _interval(float(estimate[0]), np.array(drawn[name]), confidence)
        for name, estimate in estimates.items()
        if not np.isnan(estimate[0])
    }


def estimate_accuracy(
    reference_score: Floats,
    reference_right: NDArray[np.bool_],
    score: Floats,
    share: Floats,
    n: int,
    confidence: float = CONFIDENCE,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> Interval:
    """The accuracy that `n` rows will have, from the distribution of their top probability alone, as a sketch keeps it.

    `reference_score` and `reference_right` (m,) are top probabilities and whether they were right; `score` (k,) the
    window's distinct top probabilities with the `share` (k,) of rows that each has.
    """
    if len(reference_score) == 0 or n <= 0 or len(score) == 0:
        return Interval.undefined()
    told = _thinned(len(reference_score))
    curve = Reliability.of(reference_score[told], reference_right[told])
    random = np.random.default_rng(seed)
    drawn = np.empty(draws)
    for index in range(draws):
        p = curve.resampled(random).calibration().of(score)
        noise = np.sqrt(float((share * p * (1 - p)).sum()) / n)
        drawn[index] = float((share * p).sum()) + noise * random.standard_normal()
    return _interval(float((share * curve.calibration().of(score)).sum()), np.clip(drawn, 0, 1), confidence)


def _interval(estimate: float, drawn: Floats, confidence: float) -> Interval:
    known = drawn[~np.isnan(drawn)]
    if len(known) == 0:
        return Interval.undefined()
    low, high = np.quantile(known, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(estimate, min(estimate, float(low)), max(estimate, float(high)))


def _thinned(n: int) -> Ints:
    if n <= MAX_ROWS:
        return np.arange(n)
    return np.linspace(0, n - 1, MAX_ROWS).astype(np.int64)


@dataclass(frozen=True, slots=True)
class _Bearing:
    """What the reference bears out of stated probabilities: of two classes the second's, of more the top one's.

    `sharpness` is the power to which the others' probabilities are to be raised. Calibrating each class against the
    rest and scaling to 1 instead was tried: with 70 reference rows a class it put the accuracy five points too low.
    """

    curve: Reliability
    sharpness: float

    @classmethod
    def of(cls, probabilities: Floats, actual: Ints) -> _Bearing:
        if probabilities.shape[1] == 2:
            return cls(Reliability.of(probabilities[:, 1], actual == 1), 1.0)
        top = probabilities.argmax(axis=1)
        wrong = top != actual
        curve = Reliability.of(probabilities.max(axis=1), ~wrong)
        return cls(curve, _sharpness(_others(probabilities[wrong], top[wrong]), actual[wrong]))

    def resampled(self, random: np.random.Generator) -> _Bearing:
        return _Bearing(self.curve.resampled(random), self.sharpness)

    def calibrated(self, probabilities: Floats) -> Floats:
        """Class probabilities, shape (n, classes), each row adding up to 1."""
        calibration = self.curve.calibration()
        if probabilities.shape[1] == 2:
            p = calibration.of(probabilities[:, 1])
            return np.column_stack([1 - p, p])
        rows, top = np.arange(len(probabilities)), probabilities.argmax(axis=1)
        p = calibration.of(probabilities[rows, top])
        shares = (1 - p)[:, None] * _softmax(_others(probabilities, top) * self.sharpness)
        shares[rows, top] = p
        return shares


def _others(probabilities: Floats, top: Ints) -> Floats:
    """Logarithms of the probabilities, with the top class ruled out."""
    logs = np.log(np.maximum(probabilities, np.finfo(np.float64).tiny))
    logs[np.arange(len(top)), top] = -np.inf
    return logs


def _softmax(logs: Floats) -> Floats:
    raised = np.exp(logs - logs.max(axis=1, keepdims=True))
    shares: Floats = raised / raised.sum(axis=1, keepdims=True)
    return shares


def _sharpness(others: Floats, actual: Ints) -> float:
    """The power that makes the actual classes of rows whose top class was wrong likeliest; 1 where there are few.

    Source: Guo et al. (2017), "On calibration of modern neural networks", section 4.2 (temperature scaling).
    """
    if len(actual) < LEAST_WRONG:
        return 1.0
    rows = np.arange(len(actual))

    def loss(power: float) -> float:
        return -float(np.log(np.maximum(_softmax(others * power)[rows, actual], 1e-300)).sum())

    return float(optimize.minimize_scalar(loss, bounds=SHARPNESS, method="bounded").x)


def _confusion(truth: Floats, answers: Ints) -> Floats:
    """Expected rows by actual class (first axis) and answer; `truth` (n, classes) are probabilities."""
    classes = truth.shape[1]
    columns = [np.bincount(answers, weights=truth[:, code], minlength=classes) for code in range(classes)]
    return np.array(columns)


def _metrics(confusion: Floats, positive: int | None) -> dict[str, Floats]:
    """Metrics (draws,) of confusion matrices (draws, actual, predicted)."""
    hits = np.diagonal(confusion, axis1=1, axis2=2)
    actual, predicted = confusion.sum(axis=2), confusion.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        by_class = {"precision": hits / predicted, "recall": hits / actual, "f1": 2 * hits / (actual + predicted)}
    occurs = actual + predicted > 0
    metrics: dict[str, Floats] = {"accuracy": hits.sum(axis=1) / confusion.sum(axis=(1, 2))}
    for name, values in by_class.items():
        told = np.where(occurs, np.nan_to_num(values), 0.0)
        metrics[f"{name}_macro"] = told.sum(axis=1) / occurs.sum(axis=1)
        if positive is not None:
            metrics[name] = values[:, positive]
    return metrics


@dataclass(frozen=True, slots=True)
class _Scores:
    """A class's distinct scores by place, ascending, to rank by."""

    code: int
    place: Ints
    distinct: int


def _auc_scores(probabilities: Floats, positive: int | None) -> list[_Scores]:
    codes = [positive] if positive is not None and probabilities.shape[1] == 2 else range(probabilities.shape[1])
    found = []
    for code in codes:
        distinct, place = np.unique(probabilities[:, code], return_inverse=True)
        found.append(_Scores(code, place.astype(np.int64), len(distinct)))
    return found


def _expected_auc(truth: Floats, scores: list[_Scores]) -> float:
    """The mean over the classes of their expected area under the ROC curve, rows being each class by `truth`."""
    areas = []
    for one in scores:
        p = truth[:, one.code]
        itself = float((p * (1 - p)).sum())  # a row is no partner of its own
        pairs = float(p.sum() * (1 - p).sum()) - itself
        if pairs <= 0:
            continue
        positive = np.bincount(one.place, weights=p, minlength=one.distinct)
        negative = np.bincount(one.place, weights=1 - p, minlength=one.distinct)
        below = np.cumsum(negative) - negative / 2
        areas.append((float(positive @ below) - itself / 2) / pairs)
    return float(np.mean(areas)) if areas else float("nan")


# -- regression: direct loss estimation -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Loss:
    """How large a loss is where the inputs are such: the trees' answer times `ratio`, scattering by `spread`."""

    trees: BoostedTrees
    least: float
    ratio: float
    spread: float
    rows: int

    @classmethod
    def fit(cls, inputs: Floats, loss: Floats) -> _Loss:
        n = len(loss)
        least = max(0.05 * float(loss.mean()), float(np.finfo(np.float64).tiny))
        fold = np.arange(n) % FOLDS
        held = np.empty(n)
        for index in range(FOLDS):
            mine = fold == index
            held[mine] = BoostedTrees.fit(inputs[~mine], loss[~mine]).of(inputs[mine])
        held = np.maximum(held, least)
        # rows that the trees have not seen tell how far they are off, and how much chance is left
        ratio = float(loss.sum() / held.sum())
        spread = float(np.sqrt(np.mean(np.square(loss / held - ratio))))
        return cls(BoostedTrees.fit(inputs, loss), least, ratio, spread, n)

    def of(self, inputs: Floats, confidence: float) -> Interval:
        expected = np.maximum(self.trees.of(inputs), self.least)
        mean = self.ratio * float(expected.mean())
        chance = float(np.square(expected).mean()) / len(expected) + float(expected.mean()) ** 2 / self.rows
        half = float(stats.norm.ppf(0.5 + confidence / 2)) * self.spread * float(np.sqrt(chance))
        return Interval(mean, max(0.0, mean - half), mean + half)


def estimate_regression(
    reference_inputs: Floats,
    reference_predicted: Floats,
    reference_actual: Floats,
    inputs: Floats,
    predicted: Floats,
    confidence: float = CONFIDENCE,
) -> dict[str, Interval]:
    """`mae` and `rmse` of the window, in the target's unit, from models of the absolute and the squared error.

    Inputs (m, width) and (n, width) are numbers, NaN for missing, categories as any numbers; the prediction is used as
    one more. At least 100 reference rows, else nothing is answered. The interval is where the metric of these rows will
    lie. Source: direct loss estimation, as NannyML documents it; the loss's scatter is taken to grow with its size.
    """
    if len(reference_actual) < 100 or len(predicted) == 0:
        return {}
    told, kept = _thinned(len(reference_actual)), _thinned(len(predicted))
    known = np.column_stack([reference_inputs, reference_predicted])[told]
    seen = np.column_stack([inputs, predicted])[kept]
    error = (reference_predicted - reference_actual)[told]
    mae = _Loss.fit(known, np.abs(error)).of(seen, confidence)
    squared = _Loss.fit(known, np.square(error)).of(seen, confidence)
    ends = (float(np.sqrt(end)) for end in (squared.estimate, squared.low, squared.high))
    return {"mae": mae, "rmse": Interval(*ends)}
