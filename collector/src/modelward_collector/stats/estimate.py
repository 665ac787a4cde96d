"""Performance before the labels are in: what the realised metrics will probably be, and between which bounds.

Both estimates learn from labelled reference rows and rest on one assumption: that a row that looks the same, to the
model's probabilities or to the inputs, is still as likely to be right. Data drift keeps to it as a rule; concept drift,
or noise that no reference row had, does not. Where labels do arrive, compare.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from modelward_collector.stats.blocks import BLOCKS, Learned, blocks_of, rows_to_learn, thinned, wander
from modelward_collector.stats.boosting import Binned, BoostedTrees
from modelward_collector.stats.calibration import Reliability
from modelward_collector.stats.intervals import CONFIDENCE, Interval
from modelward_collector.stats.loss import ErrorModel

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MAX_ROWS = 20_000
"""More rows are thinned out evenly: the labels' own chance is then below half a percentage point."""

DRAWS = 200
TREES = 40
FEWEST_TO_LEARN = 200
"""Fewer reference rows are only calibrated on: what inputs add, and how levels wander, cannot be told."""

LEAST_WRONG = 20
SHARPNESS = (0.05, 5.0)

SUREST = 0.001
"""No row is taken to be surer than this: a reference in which all such rows were right does not show more."""

MOST_TILT = 0.8
"""Whatever happens, a higher probability is still a higher one."""


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
    """`ConfidenceModel` of the reference, asked once, by the probabilities alone."""
    if len(reference_actual) == 0 or len(predicted) == 0:
        return {}
    model = ConfidenceModel.fit(reference_probabilities, reference_actual)
    return model.of(probabilities, predicted, positive, confidence, draws=draws, seed=seed)


@dataclass(frozen=True, slots=True)
class ConfidenceModel:
    """What a classifier's stated probabilities are worth, by the probability and by the inputs.

    The probabilities are calibrated on the reference; what the inputs tell beyond that is added as far as it was borne
    out in stretches of time that it was not learned from. A row then is of each class with its probability. Source:
    confidence-based performance estimation, Białek et al. (2024), "Estimating model performance under covariate shift
    without their labels", with the inputs' part by the trees of `stats.boosting`.
    """

    bearing: _Bearing
    trees: BoostedTrees | None
    trust: float
    wander: _Wander

    @classmethod
    def fit(cls, probabilities: Floats, actual: Ints, inputs: Floats | None = None) -> ConfidenceModel:
        """From rows in time order, at least one: probabilities (m, classes), actual codes (m,), inputs (m, width)."""
        told = thinned(len(actual), MAX_ROWS)
        bearing = _Bearing.of(probabilities[told], actual[told])
        if len(told) < FEWEST_TO_LEARN:
            return cls(bearing, None, 0.0, _Wander(0.0, 0.0, 0.0))
        score, outcome = _outcomes(probabilities[told], actual[told])
        p = bearing.curve.calibration().of(score)
        trees, trust = None, 0.0
        if inputs is not None:
            rows = rows_to_learn(len(told), inputs.shape[1] + 1)
            rest = (outcome - p)[rows]
            learned = Learned.of(Binned.of(np.column_stack([inputs[told], score])[rows]), rest, TREES)
            # a shift that is wrong makes rows look surer than they are, never less sure: hence the caution
            trees, trust = learned.trees, learned.slope(rest).cautious
        return cls(bearing, trees, trust, _Wander.of(p, outcome))

    def of(
        self,
        probabilities: Floats,
        predicted: Ints,
        positive: int | None = None,
        confidence: float = CONFIDENCE,
        *,
        inputs: Floats | None = None,
        draws: int = DRAWS,
        seed: int = 0,
    ) -> dict[str, Interval]:
        """`accuracy`, `precision_macro`, `recall_macro`, `f1_macro`, `roc_auc`, and with a positive class its
        `precision`, `recall` and `f1`, as `stats.performance` defines them.

        Probabilities (n, classes) with predicted codes (n,). The interval is where the metric of these very rows will
        lie: it draws the reference anew, as the calibration is uncertain, the labels, as they are, and the level and
        the sharpness, as they changed in the reference's time. The estimate is the mean over calibrations and
        sharpness, at the reference's own level: a level is up as often as down.
        """
        if len(predicted) == 0:
            return {}
        kept = thinned(len(predicted), MAX_ROWS)
        stated, answers = probabilities[kept], predicted[kept]
        classes = stated.shape[1]
        random = np.random.default_rng(seed)
        shift = self._shift(stated, None if inputs is None else inputs[kept])
        scores = _auc_scores(stated, positive)
        expected: dict[str, list[float]] = {}
        drawn: dict[str, list[float]] = {}
        for wandered in self.wander.drawn(random, draws):
            bearing = self.bearing.resampled(random)
            _note(expected, bearing.calibrated(stated, shift, replace(wandered, level=0.0)), answers, scores, positive)
            p = bearing.calibrated(stated, shift, wandered)
            labels = np.minimum((p.cumsum(axis=1) < random.random(len(p))[:, None]).sum(axis=1), classes - 1)
            _note(drawn, np.eye(classes)[labels], answers, scores, positive)
        means = {name: np.array(values) for name, values in expected.items()}
        return {
            name: _interval(float(np.nanmean(values)), np.array(drawn[name]), confidence)
            for name, values in means.items()
            if not np.isnan(values).all()
        }

    def _shift(self, stated: Floats, inputs: Floats | None) -> Floats:
        if self.trees is None or inputs is None:
            return np.zeros(len(stated))
        score, _ = _outcomes(stated, np.zeros(len(stated), dtype=np.int64))
        shift: Floats = self.trust * self.trees.of(np.column_stack([inputs, score]))
        return shift

    def gap(
        self,
        probabilities: Floats,
        actual: Ints,
        inputs: Floats | None = None,
        confidence: float = CONFIDENCE,
    ) -> Interval:
        """How much oftener the outcome came (of two classes the second, of more the top one) than was estimated.

        A difference of shares, in [-1, 1], of labelled rows, with the chance of both samples' labels and of how the
        level went up and down in the reference's time: what shows that the calibration holds. Undefined without rows.
        """
        if len(actual) == 0:
            return Interval.undefined()
        score, outcome = _outcomes(probabilities, actual)
        p = np.clip(self.bearing.curve.calibration().of(score) + self._shift(probabilities, inputs), SUREST, 1 - SUREST)
        spread = float((p * (1 - p)).mean())
        rows = 1 / len(p) + 1 / float(self.bearing.curve.rows.sum())
        chance = float(special.ndtri(0.5 + confidence / 2)) * np.sqrt(spread * rows)
        level = float(special.stdtrit(BLOCKS - 1, 0.5 + confidence / 2)) * self.wander.level * spread
        half, middle = float(np.hypot(chance, level)), float((outcome - p).mean())
        return Interval(middle, middle - half, middle + half)


def _note(
    noted: dict[str, list[float]], truth: Floats, answers: Ints, scores: list[_Scores], positive: int | None
) -> None:
    values = _metrics(_confusion(truth, answers)[None], positive)
    values["roc_auc"] = np.array([_expected_auc(truth, scores)])
    for name, value in values.items():
        noted.setdefault(name, []).append(float(value[0]))


def _outcomes(probabilities: Floats, actual: Ints) -> tuple[Floats, Floats]:
    """What `_Bearing` calibrates: of two classes the second's probability and whether it came, else the top one's."""
    if probabilities.shape[1] == 2:
        return probabilities[:, 1], (actual == 1).astype(np.float64)
    return probabilities.max(axis=1), (probabilities.argmax(axis=1) == actual).astype(np.float64)


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
    told = thinned(len(reference_score), MAX_ROWS)
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


@dataclass(frozen=True, slots=True)
class _Wander:
    """How calibrated log-odds change from one stretch of time to another: standard deviations beyond chance.

    `level` is added to them, `tilt` times their distance from `centre` too. One step of Newton's for each block, of the
    recalibration of Cox (1958), "Two further applications of a model for binary regression".
    """

    level: float
    tilt: float
    centre: float

    @classmethod
    def of(cls, p: Floats, outcome: Floats) -> _Wander:
        """From calibrated probabilities and outcomes, 0 or 1, of rows in time order, shapes (n,)."""
        p = np.clip(p, SUREST, 1 - SUREST)
        block, information = blocks_of(len(p)), p * (1 - p)
        odds = special.logit(p)
        centre = float(np.average(odds, weights=information))
        found = []
        for along in (np.ones(len(p)), odds - centre):
            known = np.bincount(block, weights=information * along**2, minlength=BLOCKS)
            if not (known > 0).all():
                return cls(0.0, 0.0, 0.0)
            step = np.bincount(block, weights=(outcome - p) * along, minlength=BLOCKS) / known
            found.append(wander(step - step.mean(), 1 / known))
        return cls(found[0], found[1], centre)

    def drawn(self, random: np.random.Generator, count: int) -> list[_Wander]:
        """Levels and tilts that a window may have; Student's t, since few blocks tell how far they go.

        A Latin hypercube, McKay et al. (1979), so that few draws have the mean of many.
        """
        places = np.array([random.permutation(count) for _ in range(2)])
        t = special.stdtrit(BLOCKS - 1, (places + 0.5) / count)
        levels, tilts = self.level * t[0], np.clip(self.tilt * t[1], -MOST_TILT, MOST_TILT)
        return [_Wander(float(level), float(tilt), self.centre) for level, tilt in zip(levels, tilts, strict=True)]

    def moved(self, p: Floats) -> Floats:
        """Probabilities where this level and this tilt hold, shape (n,)."""
        odds = special.logit(np.clip(p, SUREST, 1 - SUREST))
        moved: Floats = special.expit(odds + self.level + self.tilt * (odds - self.centre))
        return moved


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

    def calibrated(self, probabilities: Floats, shift: Floats, wander: _Wander) -> Floats:
        """Class probabilities, shape (n, classes), each row adding up to 1.

        `shift` (n,) is added to what is calibrated, which then goes where the world has wandered.
        """
        calibration = self.curve.calibration()
        if probabilities.shape[1] == 2:
            p = wander.moved(calibration.of(probabilities[:, 1]) + shift)
            return np.column_stack([1 - p, p])
        rows, top = np.arange(len(probabilities)), probabilities.argmax(axis=1)
        p = wander.moved(calibration.of(probabilities[rows, top]) + shift)
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


# -- regression ------------------------------------------------------------------------------------------------------


def estimate_regression(
    reference_inputs: Floats,
    reference_predicted: Floats,
    reference_actual: Floats,
    inputs: Floats,
    predicted: Floats,
    confidence: float = CONFIDENCE,
) -> dict[str, Interval]:
    """`mae` and `rmse` of the window, in the target's unit; `ErrorModel` says how.

    Inputs (m, width) and (n, width) are numbers, NaN for missing, categories as any numbers; reference rows in time
    order. At least 100 reference rows, else nothing is answered.
    """
    model = ErrorModel.fit(reference_inputs, reference_predicted, reference_actual)
    if model is None or len(predicted) == 0:
        return {}
    kept = thinned(len(predicted), MAX_ROWS)
    return model.of(inputs[kept], predicted[kept], confidence)
