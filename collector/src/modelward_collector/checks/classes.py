"""Which class an answer or a label is, however it was written, and whether a number is a class, a score or a value."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelward_agent.values import class_of, number_name, number_of
from modelward_collector.checks.window import ReferenceProfile
from modelward_collector.models import LabelSpelling, ModelSpec, Task
from modelward_collector.store.protocol import Labelled

YES = frozenset({"1", "yes", "y", "t", "positive", "pos"})
"""Names, without regard to case, that say that a class is the positive one of two."""

MAX_CLASSES = 200
"""More different answers than this are taken to be free text, of which only accuracy is told."""

BINARY = ("0", "1")

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads a classifier's answers and labels as class keys, `modelward_agent.values.class_of`.

    `score` are the two classes (negative, positive) of which numeric answers are the probability of the second; None
    when numbers are classes themselves.
    """

    loose: bool = False
    score: tuple[str, str] | None = None

    @classmethod
    def of(cls, spec: ModelSpec, labelled: Labelled, rows: Rows, reference: ReferenceProfile | None = None) -> Reader:
        """How these rows are to be read, from what the model's file says and from what they hold."""
        reader = cls(spec.output.labels is LabelSpelling.LOOSE)
        return cls(reader.loose, _score(spec, labelled, rows, reference, reader))

    def key(self, name: str) -> str:
        """The class that is written so."""
        return class_of(name, loose=self.loose)

    def truth(self, labelled: Labelled, row: int) -> str:
        """What came true, "" for nothing that is a class."""
        return self.key(written(labelled.actual_value[row], labelled.actual_label[row]))

    def answer(self, labelled: Labelled, row: int) -> tuple[str, dict[str, float] | None]:
        """What was answered, "" for no class, and the finite probabilities by class, which add up to 1."""
        probabilities = self._finite(labelled.probabilities[row])
        value, label = float(labelled.predicted_value[row]), labelled.predicted_label[row]
        if self.score is not None and probabilities is None:
            stated = value if math.isfinite(value) else number_of(label)
            if stated is not None and 0.0 <= stated <= 1.0:
                probabilities = {self.score[0]: 1 - stated, self.score[1]: stated}
                label = ""
        if label:
            return self.key(label), probabilities
        if probabilities:
            return max(probabilities, key=probabilities.__getitem__), probabilities
        return self.key(number_name(value)), probabilities

    def _finite(self, stated: Mapping[str, float] | None) -> dict[str, float] | None:
        if not stated:
            return None
        if not all(isinstance(p, int | float) and math.isfinite(p) and p >= 0 for p in stated.values()):
            return None
        total = sum(stated.values())
        if not total > 0:
            return None
        found: dict[str, float] = {}
        for name, p in stated.items():
            key = self.key(name)
            found[key] = found.get(key, 0.0) + p / total
        return found


def written(value: float, label: str) -> str:
    """A label as it was written: its text, or its number as one."""
    return label or number_name(float(value))


def values_of(values: NDArray[np.float64], labels: Sequence[str]) -> NDArray[np.float64]:
    """Numbers, also those that were sent as text; NaN for anything else. Shape (n,)."""
    if not any(labels):
        return values
    read = [number_of(label) if label else None for label in labels]
    return np.where(np.isnan(values), np.array([math.nan if one is None else one for one in read], np.float64), values)


def task_of(labelled: Labelled, told: NDArray[np.bool_]) -> Task | None:
    """What the model does, from its labelled rows.

    Words, booleans or probabilities make a classifier; so do only 0 and 1, answered by numbers from 0 to 1, and whole
    numbers that were written as text.
    """
    rows = np.flatnonzero(told)
    if len(rows) == 0:
        return None
    texts = {labelled.actual_label[i] for i in rows} | {labelled.predicted_label[i] for i in rows}
    words = any(text and number_of(text) is None for text in texts)
    if words or any(labelled.probabilities[i] is not None for i in rows):
        return Task.CLASSIFICATION
    actual = values_of(labelled.actual_value, labelled.actual_label)[rows]
    predicted = values_of(labelled.predicted_value, labelled.predicted_label)[rows]
    known = actual[np.isfinite(actual)]
    with np.errstate(invalid="ignore"):
        shares = bool(((predicted >= 0) & (predicted <= 1) | ~np.isfinite(predicted)).all())
        whole = bool((known % 1 == 0).all()) and bool((predicted[np.isfinite(predicted)] % 1 == 0).all())
    binary = len(known) > 0 and bool(np.isin(known, (0.0, 1.0)).all())
    if any(texts) and whole and len(np.unique(known)) <= MAX_CLASSES:
        return Task.CLASSIFICATION
    return Task.CLASSIFICATION if binary and shares else Task.REGRESSION


def _score(
    spec: ModelSpec, labelled: Labelled, rows: Rows, reference: ReferenceProfile | None, reader: Reader
) -> tuple[str, str] | None:
    """The classes of a score: answers are numbers from 0 to 1, not all whole, and the labels are of two classes."""
    answers = values_of(labelled.predicted_value, labelled.predicted_label)[rows]
    answers = answers[np.isfinite(answers)]
    if len(answers) == 0 or not ((answers >= 0) & (answers <= 1)).all() or not (answers % 1 != 0).any():
        return None
    seen = {key for row in rows.tolist() if (key := reader.truth(labelled, row))}
    seen |= {reader.key(name) for name in spec.output.classes or ()}
    if spec.checks.performance.positive is not None:
        seen.add(reader.key(spec.checks.performance.positive))
    if len(seen) < 2:
        seen |= set(reference_classes(reference, reader, ("actual",)))
    if seen <= set(BINARY):
        return BINARY
    if len(seen) != 2:
        return None
    keys = in_order(seen, [reader.key(name) for name in spec.output.classes or ()])
    positive = positive_of(spec, keys, reader)
    assert positive is not None
    return keys[1 - positive], keys[positive]


def reference_classes(
    reference: ReferenceProfile | None, reader: Reader, outputs: Iterable[str] = ("prediction", "actual")
) -> list[str]:
    """The classes that the reference's answers and labels have, at most `MAX_CLASSES` of each."""
    found: dict[str, None] = {}
    for name in outputs:
        feature = reference.total.outputs.get(name) if reference is not None else None
        if feature is None:
            continue
        names = list(feature.categorical.counts())[:MAX_CLASSES] if feature.categorical is not None else []
        if feature.numeric is not None and (exact := feature.numeric.values) is not None:
            names += [number_name(value) for value in exact]
        names += ["true"] * bool(feature.true) + ["false"] * bool(feature.false)
        found |= dict.fromkeys(map(reader.key, names))
    return list(found)


def in_order(keys: Collection[str], first: Sequence[str] = ()) -> list[str]:
    """Those that the model's file names in its order, then numbers by size, then texts."""
    known = list(dict.fromkeys(first))
    numbers = {key: number for key in keys if (number := number_of(key)) is not None}
    rest = sorted(set(keys) - set(known), key=lambda key: (key not in numbers, numbers.get(key, 0.0), key))
    return [*known, *rest]


def positive_of(spec: ModelSpec, keys: Sequence[str], reader: Reader) -> int | None:
    """The positive class of two: the configured one, one that says yes, or the last, as scikit-learn has it."""
    configured = spec.checks.performance.positive
    if configured is not None:
        return list(keys).index(reader.key(configured))
    if len(keys) != 2:
        return None
    return next((code for code, key in enumerate(keys) if key.casefold() in YES), 1)


def spellings(keys: Sequence[str], counts: Mapping[str, Counter[str]], configured: Iterable[str]) -> list[str]:
    """Each class as people see it: as the model's file spells it, else as it came most often."""
    known = dict(zip(keys, configured, strict=False))
    return [
        known.get(key) or min(counts.get(key) or {key: 1}, key=lambda name: (-counts[key][name], len(name), name))
        for key in keys
    ]
