"""Labelled predictions as arrays of one task: what was answered, what came true, and which metrics that gives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from modelward_agent.values import class_of
from modelward_collector.checks.classes import (
    BINARY,
    MAX_CLASSES,
    Reader,
    in_order,
    positive_of,
    reference_classes,
    spellings,
    values_of,
    written,
)
from modelward_collector.checks.result import Finding, Status
from modelward_collector.checks.window import ReferenceProfile
from modelward_collector.models import ModelSpec
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

RESIDUAL_BINS = 30
STRANGE = "classes"
"""The test of labels that no answer of the model could be right about."""

NAMED = 5

HIGHER_IS_BETTER = frozenset(
    {"accuracy", "precision", "recall", "f1", "precision_macro", "recall_macro", "f1_macro", "roc_auc", "r2"}
)

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

    def doubts(self) -> list[Finding]:
        """What is wrong with the labels themselves; of the test `STRANGE` when no metric of them means anything."""
        return []

    @abstractmethod
    def detail(self, metric: str) -> dict[str, Any]:
        """What is drawn beside the metric, JSON values only."""


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
    predicted = values_of(labelled.predicted_value, labelled.predicted_label)
    actual = values_of(labelled.actual_value, labelled.actual_label)
    rows = np.flatnonzero(told & np.isfinite(predicted) & np.isfinite(actual))
    return RegressionAnswers(
        n=len(rows),
        unusable=int(np.count_nonzero(told)) - len(rows),
        rows=rows,
        timestamp=labelled.timestamp[rows],
        segment=[labelled.segment[i] for i in rows],
        actual=actual[rows],
        predicted=predicted[rows],
    )


# -- classification -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ClassificationAnswers(Answers):
    """Codes of the classes that were answered and that came, shape (n,)."""

    reader: Reader
    keys: Sequence[str]
    classes: Sequence[str]
    """As people see the `keys`."""
    answerable: frozenset[str]
    """Keys of the classes that the model is known to be able to answer."""
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

    def doubts(self) -> list[Finding]:
        """As `Answers` has it: labels of classes that nobody answers, and spellings that are nearly alike."""
        names = dict(zip(self.keys, self.classes, strict=True))
        labels = {self.keys[code] for code in np.unique(self.actual)}
        answers = {self.keys[code] for code in np.unique(self.predicted)}
        alike = _nearly_alike(labels - self.answerable, self.answerable)
        if labels and not labels & self.answerable:
            hint = "labels: loose under output makes such spellings one" if alike else "name them as the model does"
            said = (
                f"labels are {_names(labels, names)} and answers {_names(answers, names)}: no class is in both; {hint}"
            )
            return [Finding("labels", STRANGE, Status.WARNING, said, value=1.0)]
        if not alike:
            return []
        one, other = alike
        share = float(np.mean(np.isin(self.actual, [self.keys.index(one)])))
        said = (
            f'"{names[one]}" of labels and "{names.get(other, other)}" of answers count as two classes; '
            "labels: loose under output makes them one"
        )
        return [Finding("labels", "spelling", Status.WARNING, said, value=share)]

    def detail(self, metric: str) -> dict[str, Any]:
        """As `Answers` has it."""
        if metric in ("precision", "recall", "f1") and self.positive is not None:
            return {"positive": self.classes[self.positive]}
        if metric != "accuracy" or len(self.classes) > MAX_CLASSES:
            return {}
        matrix = confusion_matrix(self.actual, self.predicted, len(self.classes))
        return {"confusion": _shown(matrix, self.classes)}


def _names(keys: Collection[str], names: Mapping[str, str]) -> str:
    shown = sorted(names[key] for key in keys)
    return ", ".join(f'"{name:.40}"' for name in shown[:NAMED]) + (", …" if len(shown) > NAMED else "")


def _nearly_alike(strange: Collection[str], known: Collection[str]) -> tuple[str, str] | None:
    """Two classes that differ in case or blanks only, the first of the strange ones."""
    loose = {class_of(key, loose=True): key for key in sorted(known)}
    return next(((key, loose[same]) for key in sorted(strange) if (same := class_of(key, loose=True)) in loose), None)


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
    are of two classes, is the probability of the positive one.
    """
    candidates = np.flatnonzero(told)
    reader = Reader.of(spec, labelled, candidates, reference)
    rows, actual, predicted, stated = [], [], [], []
    names: list[str] = []
    for i in candidates.tolist():
        truth = reader.truth(labelled, i)
        answer, probabilities = reader.answer(labelled, i)
        if truth and answer:
            rows.append(i)
            actual.append(truth)
            predicted.append(answer)
            stated.append(probabilities)
            names.append(written(labelled.actual_value[i], labelled.actual_label[i]))
            if reader.score is None or probabilities is None:
                names.append(written(labelled.predicted_value[i], labelled.predicted_label[i]))
    written_as: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for name, count in Counter(names).items():
        written_as[reader.key(name)][name] += count
    keys = _classes(spec, reference, reader, actual, predicted, stated)
    return ClassificationAnswers(
        n=len(rows),
        unusable=len(candidates) - len(rows),
        rows=np.array(rows, dtype=np.int64),
        timestamp=labelled.timestamp[rows],
        segment=[labelled.segment[i] for i in rows],
        reader=reader,
        keys=keys,
        classes=spellings(keys, written_as, spec.output.classes or ()),
        answerable=_answerable(spec, reference, reader, predicted, stated),
        positive=positive_of(spec, keys, reader),
        actual=codes_of(actual, keys),
        predicted=codes_of(predicted, keys),
        probabilities=probability_matrix(stated, keys) if len(keys) <= MAX_CLASSES and any(stated) else None,
    )


def _classes(
    spec: ModelSpec,
    reference: ReferenceProfile | None,
    reader: Reader,
    actual: Sequence[str],
    predicted: Sequence[str],
    stated: Sequence[Mapping[str, float] | None],
) -> list[str]:
    seen = {*actual, *predicted}
    if spec.checks.performance.positive is not None:
        seen.add(reader.key(spec.checks.performance.positive))
    for probabilities in stated:
        seen.update(probabilities or ())
    if reference is not None and len(seen) < 2 and spec.output.classes is None:
        seen.update(reference_classes(reference, reader))
    return in_order(seen, [reader.key(name) for name in spec.output.classes or ()])


def _answerable(
    spec: ModelSpec,
    reference: ReferenceProfile | None,
    reader: Reader,
    predicted: Sequence[str],
    stated: Sequence[Mapping[str, float] | None],
) -> frozenset[str]:
    """The classes that the model is known to be able to answer."""
    known = {*predicted, *map(reader.key, spec.output.classes or ()), *reference_classes(reference, reader)}
    for probabilities in stated:
        known.update(probabilities or ())
    return frozenset(known | set(BINARY) if known & set(BINARY) else known)


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
