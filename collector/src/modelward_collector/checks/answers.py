"""Labelled predictions as arrays of one task: what was answered, what came true, and which metrics that gives."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from modelward_collector.checks.window import ReferenceProfile
from modelward_collector.models import ModelSpec, Task
from modelward_collector.stats.intervals import CONFIDENCE, Interval, wilson
from modelward_collector.stats.performance import (
    codes_of,
    confusion_matrix,
    label_metrics,
    probability_metrics,
    regression_metrics,
)
from modelward_collector.store.protocol import Labelled

TOP_CLASSES = 20
"""Classes of the confusion matrix that is shown; the rest is one."""

MAX_CLASSES = 200
"""More different answers than this are taken to be free text, of which only accuracy is told."""

RESIDUAL_BINS = 30
HIGHER_IS_BETTER = frozenset(
    {"accuracy", "precision", "recall", "f1", "precision_macro", "recall_macro", "f1_macro", "roc_auc", "r2"}
)
YES = ("1", "true", "True", "yes", "Yes", "positive", "Y")

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Answers(ABC):
    """The labelled predictions that can be judged, as columns of equal length `n`, and how many cannot."""

    n: int
    unusable: int
    rows: Rows
    """Which of the labelled predictions that were given they are."""
    timestamp: Floats
    segment: Sequence[Mapping[str, str]]

    main: ClassVar[str]
    """The metric that stands for all."""
    why_unusable: ClassVar[str]

    @property
    @abstractmethod
    def possible(self) -> frozenset[str]:
        """The metrics that such answers can have, though these rows may not define all."""

    @abstractmethod
    def metrics(
        self, rows: Rows | None = None, confidence: float = CONFIDENCE, wanted: Collection[str] | None = None
    ) -> dict[str, Interval]:
        """The metrics that these rows (all by default) define; with `wanted`, at least those of them."""

    @abstractmethod
    def detail(self, metric: str) -> dict[str, Any]:
        """What is drawn beside the metric, JSON values only."""


def task_of(labelled: Labelled, told: NDArray[np.bool_]) -> Task | None:
    """What the model does, from its labelled rows: words or probabilities make a classifier, so do only 0 and 1."""
    rows = np.flatnonzero(told)
    if len(rows) == 0:
        return None
    if any(labelled.actual_label[i] or labelled.probabilities[i] is not None for i in rows):
        return Task.CLASSIFICATION
    actual, predicted = labelled.actual_value[rows], labelled.predicted_value[rows]
    known = actual[np.isfinite(actual)]
    binary = len(known) > 0 and bool(np.isin(known, (0.0, 1.0)).all())
    with np.errstate(invalid="ignore"):
        shares = bool(((predicted >= 0) & (predicted <= 1) | ~np.isfinite(predicted)).all())
    return Task.CLASSIFICATION if binary and shares else Task.REGRESSION


# -- regression -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RegressionAnswers(Answers):
    """Numbers that were predicted and that came, finite, shape (n,)."""

    actual: Floats
    predicted: Floats

    main: ClassVar[str] = "mae"
    why_unusable: ClassVar[str] = "prediction or actual is not a finite number"

    @property
    def possible(self) -> frozenset[str]:
        """As `Answers` has it."""
        return frozenset({"mae", "rmse", "r2", "mape", "bias", "median_ae"})

    def metrics(
        self, rows: Rows | None = None, confidence: float = CONFIDENCE, wanted: Collection[str] | None = None
    ) -> dict[str, Interval]:
        """As `Answers` has it."""
        chosen = slice(None) if rows is None else rows
        return regression_metrics(self.actual[chosen], self.predicted[chosen], confidence)

    def detail(self, metric: str) -> dict[str, Any]:
        """As `Answers` has it."""
        if metric == "mape":
            return {"zeros_left_out": int(np.count_nonzero(self.actual == 0))}
        if metric != "bias":
            return {}
        residuals = self.predicted - self.actual
        # the tails are in the outermost bins, or one wild row would leave a single bar
        low, high = (float(end) for end in np.quantile(residuals, [0.005, 0.995]))
        if low == high:
            low, high = low - 0.5, high + 0.5
        edges = np.linspace(low, high, RESIDUAL_BINS + 1)
        counts, _ = np.histogram(np.clip(residuals, low, high), edges)
        return {"residuals": {"edges": edges.tolist(), "counts": counts.tolist()}}


def regression(
    spec: ModelSpec, labelled: Labelled, told: NDArray[np.bool_], reference: ReferenceProfile | None
) -> RegressionAnswers:
    """The rows in which prediction and actual are finite numbers."""
    usable = told & np.isfinite(labelled.predicted_value) & np.isfinite(labelled.actual_value)
    rows = np.flatnonzero(usable)
    return RegressionAnswers(
        n=len(rows),
        unusable=int(np.count_nonzero(told)) - len(rows),
        rows=rows,
        timestamp=labelled.timestamp[rows],
        segment=[labelled.segment[i] for i in rows],
        actual=labelled.actual_value[rows],
        predicted=labelled.predicted_value[rows],
    )


# -- classification -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ClassificationAnswers(Answers):
    """Codes of the classes that were answered and that came, shape (n,)."""

    classes: Sequence[str]
    positive: int | None
    actual: Rows
    predicted: Rows
    probabilities: Floats | None
    """(n, classes), NaN in rows without."""

    main: ClassVar[str] = "accuracy"
    why_unusable: ClassVar[str] = "prediction or actual has no class"

    @property
    def possible(self) -> frozenset[str]:
        """As `Answers` has it."""
        if len(self.classes) > MAX_CLASSES:
            return frozenset({"accuracy"})
        names = {"accuracy", "precision_macro", "recall_macro", "f1_macro"}
        names |= {"precision", "recall", "f1"} if self.positive is not None else set()
        stated = self.probabilities is not None
        return frozenset(names | ({"roc_auc", "log_loss", "brier", "calibration_error"} if stated else set()))

    def metrics(
        self, rows: Rows | None = None, confidence: float = CONFIDENCE, wanted: Collection[str] | None = None
    ) -> dict[str, Interval]:
        """As `Answers` has it."""
        chosen: Rows = np.arange(self.n) if rows is None else rows
        actual, predicted = self.actual[chosen], self.predicted[chosen]
        if len(self.classes) > MAX_CLASSES:
            return {"accuracy": wilson(int(np.count_nonzero(actual == predicted)), len(chosen), confidence)}
        confusion = confusion_matrix(actual, predicted, len(self.classes))
        macro = wanted is None or not {"precision_macro", "recall_macro", "f1_macro"}.isdisjoint(wanted)
        metrics = label_metrics(confusion, self.positive, confidence, macro=macro)
        if self.probabilities is not None:
            stated = self.probabilities[chosen]
            told = ~np.isnan(stated).any(axis=1)
            calibration = wanted is None or "calibration_error" in wanted
            metrics |= probability_metrics(
                actual[told], stated[told], self.positive, confidence, calibration=calibration
            )
        return metrics

    def detail(self, metric: str) -> dict[str, Any]:
        """As `Answers` has it."""
        if metric in ("precision", "recall", "f1") and self.positive is not None:
            return {"positive": self.classes[self.positive]}
        if metric != "accuracy" or len(self.classes) > MAX_CLASSES:
            return {}
        matrix = confusion_matrix(self.actual, self.predicted, len(self.classes))
        return {"confusion": _shown(matrix, self.classes)}


def _shown(matrix: NDArray[np.int64], classes: Sequence[str]) -> dict[str, Any]:
    """The matrix of the most frequent classes, those left over as one; rows are actuals."""
    order = np.argsort(-(matrix.sum(axis=0) + matrix.sum(axis=1)), kind="stable")
    kept = np.sort(order[:TOP_CLASSES])
    names = [classes[code] for code in kept]
    group = np.full(len(classes), len(kept))
    group[kept] = np.arange(len(kept))
    side = len(kept) + (len(classes) > len(kept))
    shown = np.zeros((side, side), dtype=np.int64)
    np.add.at(shown, (group[:, None], group[None, :]), matrix)
    return {"classes": names + ["(other)"] * (side - len(kept)), "counts": shown.tolist()}


def classification(
    spec: ModelSpec, labelled: Labelled, told: NDArray[np.bool_], reference: ReferenceProfile | None
) -> ClassificationAnswers:
    """The rows with a class as prediction and as actual.

    A prediction's class is its label, its most probable class, or its number; a number between 0 and 1, where actuals
    are 0 and 1, is the probability of 1.
    """
    candidates = np.flatnonzero(told)
    score = is_score(labelled, candidates)
    rows, actual, predicted, stated = [], [], [], []
    for i in candidates.tolist():
        truth = labelled.actual_label[i] or class_of(labelled.actual_value[i])
        answer, probabilities = answer_of(labelled, i, score)
        if truth and answer:
            rows.append(i)
            actual.append(truth)
            predicted.append(answer)
            stated.append(probabilities)
    classes = _classes(spec, reference, actual, predicted, stated)
    return ClassificationAnswers(
        n=len(rows),
        unusable=len(candidates) - len(rows),
        rows=np.array(rows, dtype=np.int64),
        timestamp=labelled.timestamp[rows],
        segment=[labelled.segment[i] for i in rows],
        classes=classes,
        positive=_positive(spec, classes),
        actual=codes_of(actual, classes),
        predicted=codes_of(predicted, classes),
        probabilities=probability_matrix(stated, classes) if len(classes) <= MAX_CLASSES and any(stated) else None,
    )


def answer_of(labelled: Labelled, row: int, score: bool) -> tuple[str, dict[str, float] | None]:
    """A classifier's answer, "" for none, and its probabilities; of a `score`, numbers are the probability of 1."""
    probabilities = _finite(labelled.probabilities[row])
    value = float(labelled.predicted_value[row])
    if score and math.isfinite(value):
        probabilities = {"0": 1 - value, "1": value}
    answer = labelled.predicted_label[row] or (
        max(probabilities, key=probabilities.__getitem__) if probabilities else class_of(value)
    )
    return answer, probabilities


def is_score(labelled: Labelled, rows: NDArray[np.intp]) -> bool:
    """Whether numeric predictions are probabilities of 1: not all whole, within [0, 1], of actuals 0 and 1."""
    predicted, actual = labelled.predicted_value[rows], labelled.actual_value[rows]
    predicted, actual = predicted[np.isfinite(predicted)], actual[np.isfinite(actual)]
    if len(predicted) == 0 or len(actual) == 0 or not np.isin(actual, (0.0, 1.0)).all():
        return False
    return bool((predicted >= 0).all() and (predicted <= 1).all() and (predicted % 1 != 0).any())


def class_of(value: float) -> str:
    """A number as a class: `1` for 1.0, nothing for what is not finite."""
    if not math.isfinite(value):
        return ""
    return str(int(value)) if value == int(value) else repr(float(value))


def _finite(probabilities: Mapping[str, float] | None) -> dict[str, float] | None:
    """Finite probabilities that are not all 0, divided by their sum; None when there are none."""
    if not probabilities:
        return None
    if not all(isinstance(p, int | float) and math.isfinite(p) and p >= 0 for p in probabilities.values()):
        return None
    total = sum(probabilities.values())
    return {name: p / total for name, p in probabilities.items()} if total > 0 else None


def _classes(
    spec: ModelSpec,
    reference: ReferenceProfile | None,
    actual: Sequence[str],
    predicted: Sequence[str],
    stated: Sequence[Mapping[str, float] | None],
) -> list[str]:
    seen = {*actual, *predicted}
    if spec.checks.performance.positive is not None:
        seen.add(spec.checks.performance.positive)
    for probabilities in stated:
        seen.update(probabilities or ())
    if spec.output.classes is not None:
        # in the order that the model's file gives them, others after
        return [*spec.output.classes, *sorted(seen - set(spec.output.classes))]
    if reference is not None and len(seen) < 2:
        for name in ("prediction", "actual"):
            feature = reference.total.outputs.get(name)
            if feature is not None and feature.categorical is not None:
                seen.update(list(feature.categorical.counts())[:MAX_CLASSES])
    return sorted(seen)


def _positive(spec: ModelSpec, classes: Sequence[str]) -> int | None:
    """The positive class of two: the configured one, one that says yes, or the last, as scikit-learn has it."""
    configured = spec.checks.performance.positive
    if configured is not None:
        return list(classes).index(configured)
    if len(classes) != 2:
        return None
    return next((code for code, name in enumerate(classes) if name in YES), 1)


def probability_matrix(stated: Sequence[Mapping[str, float] | None], classes: Sequence[str]) -> Floats:
    """Shape (n, classes), NaN in rows without probabilities; KeyError for a class that is not among them."""
    place = {name: code for code, name in enumerate(classes)}
    matrix = np.zeros((len(stated), len(classes)))
    for row, probabilities in enumerate(stated):
        if probabilities is None:
            matrix[row] = np.nan
        else:
            for name, p in probabilities.items():
                matrix[row, place[name]] = p
    return matrix
