"""Performance that labels do not show yet: estimated from labelled rows of the reference and a sample of the window.

A model of the reference's errors, or of what its stated probabilities were worth, is learned once (`learn`) and asked
for any window's rows (`Estimator.estimate`). Three windows meet in a result: the *newest*, whose labels are not in,
gets estimates; the *judged* one, whose labels are in, gets the realised metrics and, from the very rows that have
labels, an estimate too; and the *reference*, whose realised metrics both are compared with.

**Data drift and concept drift told apart.** An estimate knows the inputs of a window and not its labels, so what it
says beyond the reference's own metric is what inputs explain: data drift. Where the realised metric is worse than the
estimate of the same rows, and the two 95% intervals do not meet, the rest is not explained by inputs: what is true of a
row has changed, concept drift. A change of inputs that the model does not get looks the same, and is the same to the
person who must act: the model no longer fits.

An estimate alone is never worse than a warning.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from modelward_agent.profile import Profile
from modelward_collector.checks.answers import (
    HIGHER_IS_BETTER,
    Answers,
    ClassificationAnswers,
    RegressionAnswers,
    classification,
    probability_matrix,
    regression,
)
from modelward_collector.checks.classes import MAX_CLASSES, Reader, task_of, values_of
from modelward_collector.checks.inputs import Inputs
from modelward_collector.checks.result import Finding, Status
from modelward_collector.models import ModelSpec, Task, Threshold
from modelward_collector.span import Span
from modelward_collector.stats.blocks import BLOCKS, blocks_of, wander
from modelward_collector.stats.estimate import ConfidenceModel, estimate_accuracy
from modelward_collector.stats.intervals import Interval
from modelward_collector.stats.loss import ErrorModel
from modelward_collector.stats.performance import codes_of
from modelward_collector.stats.view import NumericView
from modelward_collector.store.protocol import Sampled

REFERENCE_ROWS = 20_000
WINDOW_ROWS = 5_000
"""Rows of a window that are looked at: what is left to chance is then about 1% of a mean absolute error."""

FEWEST_ROWS = 100
DRAWS = 60
PAST = 30
"""Earlier errors of the estimates that are averaged."""

MARGIN = 0.05
"""A metric that is worse than the reference's by less than this part of the loss is not worth a word."""

WANDERS = 3.0
"""Standard deviations of the reference's own ups and downs that a window may be off."""


@dataclass(frozen=True, slots=True)
class Estimator(ABC):
    """What was learned from the reference's `rows` labelled rows.

    `realised` are their metrics, `wander` how far each went up and down in their time beyond chance (one standard
    deviation, in the metric's unit).
    """

    rows: int
    inputs: Inputs
    realised: Mapping[str, Interval]
    wander: Mapping[str, float]

    @abstractmethod
    def estimate(self, sampled: Sampled, rows: NDArray[np.intp]) -> dict[str, Interval]:
        """The metrics that these rows of a sample will have, whether they have labels or not."""

    def from_scores(self, profile: Profile) -> dict[str, Interval]:
        """The metrics of a window whose rows are not kept, from its profile; {} where that tells nothing."""
        return {}

    def gap(self, sampled: Sampled, rows: NDArray[np.intp]) -> Interval | None:
        """How far calibrated probabilities are off on labelled rows; None where there are none to calibrate."""
        return None


def learn(spec: ModelSpec, reference: Sampled) -> Estimator | None:
    """From a sample of the reference, in time order; None when too few of its rows have labels to learn from.

    A classifier needs probabilities: of labels alone nobody knows how sure they were.
    """
    labelled = reference.labelled
    told = labelled.labelled
    task = spec.task or task_of(labelled, told)
    if task is None or np.count_nonzero(told) < FEWEST_ROWS:
        return None
    if task is Task.REGRESSION:
        return _learned_losses(spec, reference, regression(spec, labelled, told, None))
    return _learned_confidence(spec, reference, classification(spec, labelled, told, None))


def _features(sampled: Sampled, rows: NDArray[np.int64]) -> list[Mapping[str, object]]:
    return [sampled.features[row] for row in rows.tolist()]


def _inputs(spec: ModelSpec, rows: Sequence[Mapping[str, object]]) -> Inputs:
    return Inputs.of(rows, {name: schema.importance or 0.0 for name, schema in spec.features.items()})


def _wandering(answers: Answers, realised: Mapping[str, Interval]) -> dict[str, float]:
    """How far each metric of the reference's blocks of time is from the whole's, beyond chance."""
    block = blocks_of(answers.n)
    parts = [answers.metrics(np.flatnonzero(block == index)) for index in range(BLOCKS)]
    found = {}
    for name, whole in realised.items():
        mine = [part[name] for part in parts if name in part and part[name].defined]
        if len(mine) == BLOCKS:
            off = np.array([part.estimate - whole.estimate for part in mine])
            found[name] = wander(off, np.array([((part.high - part.low) / 3.92) ** 2 for part in mine]))
    return found


# -- regression -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Losses(Estimator):
    model: ErrorModel

    def estimate(self, sampled: Sampled, rows: NDArray[np.intp]) -> dict[str, Interval]:
        predicted = values_of(sampled.labelled.predicted_value, sampled.labelled.predicted_label)
        usable = rows[np.isfinite(predicted[rows])]
        if len(usable) < FEWEST_ROWS:
            return {}
        return self.model.of(self.inputs.matrix(_features(sampled, usable)), predicted[usable])


def _learned_losses(spec: ModelSpec, reference: Sampled, answers: RegressionAnswers) -> Estimator | None:
    rows = _features(reference, answers.rows)
    inputs = _inputs(spec, rows)
    model = ErrorModel.fit(inputs.matrix(rows), answers.predicted, answers.actual)
    if model is None:
        return None
    realised = answers.metrics()
    return _Losses(answers.n, inputs, realised, _wandering(answers, realised), model)


# -- classification -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Confidence(Estimator):
    reader: Reader
    classes: Sequence[str]
    positive: int | None
    model: ConfidenceModel
    top: NDArray[np.float64]
    right: NDArray[np.bool_]

    def estimate(self, sampled: Sampled, rows: NDArray[np.intp]) -> dict[str, Interval]:
        usable, predicted, stated = self._stated(sampled, rows)
        if len(usable) < FEWEST_ROWS:
            return {}
        inputs = self.inputs.matrix(_features(sampled, usable))
        return self.model.of(stated, predicted, self.positive, inputs=inputs, draws=DRAWS)

    def from_scores(self, profile: Profile) -> dict[str, Interval]:
        found = profile.outputs.get("score")
        if found is None or found.numeric is None or found.numeric.moments.n < FEWEST_ROWS:
            return {}
        view = NumericView.of(found.numeric)
        share = np.diff(view.cumulative, prepend=0.0)
        return {"accuracy": estimate_accuracy(self.top, self.right, view.values, share, view.n, draws=DRAWS)}

    def gap(self, sampled: Sampled, rows: NDArray[np.intp]) -> Interval | None:
        usable, _, stated = self._stated(sampled, rows)
        truth = [self.reader.truth(sampled.labelled, row) for row in usable.tolist()]
        actual = codes_of(truth, self.classes)
        known = actual >= 0
        if np.count_nonzero(known) < FEWEST_ROWS:
            return None
        inputs = self.inputs.matrix(_features(sampled, usable[known]))
        return self.model.gap(stated[known], actual[known], inputs)

    def _stated(
        self, sampled: Sampled, rows: NDArray[np.intp]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """The rows with probabilities of classes that the reference has, their answers' codes, and the matrix."""
        known = set(self.classes)
        kept, answers, stated = [], [], []
        for row in rows.tolist():
            answer, probabilities = self.reader.answer(sampled.labelled, row)
            if answer in known and probabilities is not None and known >= probabilities.keys():
                kept.append(row)
                answers.append(answer)
                stated.append(probabilities)
        matrix = probability_matrix(stated, self.classes)
        return np.array(kept, dtype=np.int64), codes_of(answers, self.classes), matrix


def _learned_confidence(spec: ModelSpec, reference: Sampled, answers: ClassificationAnswers) -> Estimator | None:
    if answers.probabilities is None or not 2 <= len(answers.classes) <= MAX_CLASSES:
        return None
    told = np.flatnonzero(~np.isnan(answers.probabilities).any(axis=1))
    if len(told) < FEWEST_ROWS:
        return None
    stated, actual = answers.probabilities[told], answers.actual[told]
    rows = _features(reference, answers.rows[told])
    inputs = _inputs(spec, rows)
    realised = answers.metrics(told)
    return _Confidence(
        rows=len(told),
        inputs=inputs,
        realised=realised,
        wander=_wandering(answers, realised),
        reader=answers.reader,
        classes=answers.keys,
        positive=answers.positive,
        model=ConfidenceModel.fit(stated, actual, inputs.matrix(rows)),
        top=stated.max(axis=1),
        right=answers.predicted[told] == actual,
    )


# -- what the check says --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Estimates:
    """All that a performance result says beyond its labels.

    `newest` are the metrics estimated of the window `span`; `judged` those of the labelled rows of the window whose
    labels are in; `earlier` what was said of that window before they were, and `errors` by how much earlier estimates
    turned out wrong, the newest first.
    """

    span: Span
    newest: Mapping[str, Interval]
    judged: Mapping[str, Interval]
    realised: Mapping[str, Interval]
    wander: Mapping[str, float]
    rows: int
    gap: Interval | None = None
    earlier: Mapping[str, float] = field(default_factory=dict)
    errors: Mapping[str, Sequence[float]] = field(default_factory=dict)

    def numbers(self, realised: Mapping[str, Interval]) -> dict[str, float]:
        """`estimated.<metric>` with its `.low` and `.high`, and where labels have come `.error` and `.past_error`."""
        found: dict[str, float] = {}
        for name, interval in self.newest.items():
            found[f"estimated.{name}"] = interval.estimate
            found |= {f"estimated.{name}.low": interval.low, f"estimated.{name}.high": interval.high}
        for name in self.earlier.keys() & realised.keys():
            found[f"estimated.{name}.error"] = abs(realised[name].estimate - self.earlier[name])
        for name in self.newest:
            error = found.get(f"estimated.{name}.error")
            past = [*([] if error is None else [error]), *self.errors.get(name, ())][:PAST]
            if past:
                found[f"estimated.{name}.past_error"] = float(np.mean(past))
        return {name: value for name, value in found.items() if math.isfinite(value)}

    def findings(
        self, judged_span: Span, metrics: Mapping[str, Interval], thresholds: Mapping[str, Threshold], main: str
    ) -> list[Finding]:
        """Estimates against thresholds, realised metrics against the reference's, and what of it is concept drift."""
        wanted = sorted({main, *thresholds})
        numbers = self.numbers(metrics)
        found = []
        for name in self.newest:
            # where labels of the same window are in, they decide
            decided = self.span == judged_span and name in metrics
            past = numbers.get(f"estimated.{name}.past_error")
            found.append(_estimate(name, self.newest[name], None if decided else thresholds.get(name), self, past))
        found += [_against_reference(name, metrics[name], self) for name in wanted if self._comparable(name, metrics)]
        found += [
            _concept(name, metrics[name], self.judged[name], self.realised[name])
            for name in wanted
            if name in self.judged and name in metrics and metrics[name].defined and name in self.realised
        ]
        if self.gap is not None:
            found.append(_calibration(self.gap))
        return found

    def _comparable(self, name: str, metrics: Mapping[str, Interval]) -> bool:
        return name in metrics and metrics[name].defined and name in self.realised and self.realised[name].defined


def _said(interval: Interval) -> str:
    return f"{interval.estimate:.4g} ({interval.low:.4g} to {interval.high:.4g})"


def _ends(interval: Interval) -> dict[str, float]:
    ends = {"value": interval.estimate, "low": interval.low, "high": interval.high}
    return {name: value for name, value in ends.items() if math.isfinite(value)}


def _estimate(
    name: str, interval: Interval, threshold: Threshold | None, estimates: Estimates, past: float | None
) -> Finding:
    status, bound = Status.OK, None
    said = f"{name} is estimated at {_said(interval)} before labels are in"
    if past is not None:
        said += f"; past estimates were off by {past:.3g}"
    if threshold is not None:
        if threshold.min is not None and interval.high < threshold.min:
            status, bound = Status.WARNING, threshold.min
        elif threshold.max is not None and interval.low > threshold.max:
            status, bound = Status.WARNING, threshold.max
        else:
            bound = threshold.min if threshold.max is None else threshold.max
        if status is Status.WARNING:
            said += f"; the threshold is {bound:g}"
    detail = {
        "low": interval.low,
        "high": interval.high,
        "start": estimates.span.start.isoformat(),
        "end": estimates.span.end.isoformat(),
        "reference_rows": estimates.rows,
    }
    if past is not None:
        detail["past_error"] = past
    return Finding(name, "estimated", status, said, value=interval.estimate, threshold=bound, detail=detail)


def _worse_than(name: str, interval: Interval, bound: float) -> bool:
    """The whole interval is on the bad side of the bound."""
    return interval.high < bound if name in HIGHER_IS_BETTER else interval.low > bound


def _against_reference(name: str, here: Interval, estimates: Estimates) -> Finding:
    """Worse by more than chance, the reference's own ups and downs, and a margin: then it is a warning."""
    known = estimates.realised[name]
    sign = -1.0 if name in HIGHER_IS_BETTER else 1.0
    loss = 1 - known.estimate if sign < 0 else abs(known.estimate)
    slack = WANDERS * estimates.wander.get(name, 0.0) + MARGIN * loss
    bound = (known.low if sign < 0 else known.high) + sign * slack
    worse = _worse_than(name, here, bound)
    said = f"{name} {_said(here)}; in the reference {_said(known)}"
    said += ", which is worse than chance and the reference's own ups and downs allow" if worse else ""
    detail = {"reference": _ends(known), **_ends(here), "higher_is_better": sign < 0}
    status = Status.WARNING if worse else Status.OK
    return Finding(name, "reference", status, said, value=here.estimate, threshold=bound, detail=detail)


def _concept(name: str, here: Interval, expected: Interval, reference: Interval) -> Finding:
    """See the module's docstring for the rule."""
    end = expected.low if name in HIGHER_IS_BETTER else expected.high
    drifted = _worse_than(name, here, end)
    data, concept = expected.estimate - reference.estimate, here.estimate - expected.estimate
    if drifted:
        said = (
            f"{name} is {_said(here)} where the inputs explain {_said(expected)}: concept drift, {concept:+.3g} beside "
            f"{data:+.3g} that the inputs explain"
        )
    else:
        said = f"{name} is {_said(here)}, as the inputs explain: {_said(expected)}"
    detail = {
        "expected": _ends(expected),
        "data_drift": data,
        "concept_drift": concept,
        **_ends(here),
        "higher_is_better": name in HIGHER_IS_BETTER,
    }
    status = Status.WARNING if drifted else Status.OK
    return Finding(name, "concept_drift", status, said, value=concept, threshold=0.0, detail=detail)


def _calibration(gap: Interval) -> Finding:
    """Told, not judged: where it matters the realised metrics show it."""
    holds = gap.low <= 0 <= gap.high
    said = "the calibration of the estimates holds" if holds else "the calibration of the estimates no longer holds"
    said += f": outcomes came {gap.estimate:+.1%} ({gap.low:+.1%} to {gap.high:+.1%}) against what was estimated"
    detail = {**_ends(gap), "holds": holds}
    return Finding("calibration", "calibration", Status.OK, said, value=gap.estimate, detail=detail)


def names_of(numbers: Collection[str]) -> list[str]:
    """The metrics that a result's numbers hold an estimate of, sorted."""
    return sorted(name.split(".", 1)[1] for name in numbers if name.startswith("estimated.") and name.count(".") == 1)
