"""Profiles read as what their features are: by the model's file, else by the reference file.

An application may send 7 for the category "7", 1 for true, or "12.5" for a number; a table may hold either. What a
value is to be is decided here, once, when profiles are loaded, so that every check and page sees the same. What cannot
be read without loss stays as it came, and is then told as another type.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field, replace

import numpy as np

from modelward_agent.profile import CategoricalSketch, FeatureProfile, NumericSketch, Profile
from modelward_agent.values import class_of, number_name, number_of
from modelward_collector.checks.window import ReferenceProfile, Window
from modelward_collector.models import FeatureType, LabelSpelling, ModelSpec, Task
from modelward_collector.stats.feature import two_numbers

CLASSES = ("prediction", "actual")
"""The outputs that are classes when the model is a classifier."""

MOST_UNFOLDED = 5_000_000
"""Rows of texts that are numbers, or of booleans, which become numbers one by one: 40 MB for a moment."""

_BOOLEANS = ("true", "false")
_WORDS = {"nan": "NaN", "positive_infinity": "Infinity", "negative_infinity": "-Infinity"}


@dataclass(frozen=True, slots=True)
class Reading:
    """The types of features, and whether answers are classes.

    `declared` are those of `types` that a person gave: of a category the words NaN and Infinity are then names.
    `spelled` is how classes are shown, by `class_of`; empty where answers are not classes.
    """

    types: Mapping[str, FeatureType] = field(default_factory=dict)
    declared: frozenset[str] = frozenset()
    classes: bool = False
    loose: bool = False
    spelled: Mapping[str, str] = field(default_factory=dict)
    categories: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """How a feature's categories are spelled in the reference, by `class_of`; where it has few."""

    @classmethod
    def of(cls, spec: ModelSpec, file: Profile | None = None) -> Reading:
        """What the model's file says, and where that is silent what the reference `file` holds."""
        declared = {name: schema.type for name, schema in spec.features.items()}
        loose = spec.output.labels is LabelSpelling.LOOSE
        spelled = {class_of(name, loose=loose): name for name in spec.output.classes or ()}
        classes = spec.task is Task.CLASSIFICATION or bool(spelled)
        listed = {
            name: {class_of(value): value for value in schema.values}
            for name, schema in spec.features.items()
            if schema.values is not None
        }
        if file is None:
            return cls(declared, frozenset(declared), classes, loose, spelled, listed)
        known = {name: kind for name, feature in file.features.items() if (kind := _kind(feature)) is not None}
        categories = {
            name: _spellings(feature, False)
            for name, feature in file.features.items()
            if feature.categorical is not None
        }
        classes = classes or (spec.task is None and _answers_classes(file))
        if classes:
            for name in CLASSES:
                if (output := file.outputs.get(name)) is not None:
                    spelled = {**_spellings(as_classes(output, spelled, loose), loose), **spelled}
        return cls({**known, **declared}, frozenset(declared), classes, loose, spelled, {**categories, **listed})

    def window(self, window: Window) -> Window:
        """The window's traffic, so read."""
        return replace(window, profiles={key: self.profile(profile) for key, profile in window.profiles.items()})

    def reference(self, reference: ReferenceProfile) -> ReferenceProfile:
        """The reference, so read."""
        return replace(
            reference,
            total=self.profile(reference.total),
            windows=tuple((span, self.profile(profile)) for span, profile in reference.windows),
            segments={segment: self.profile(profile) for segment, profile in reference.segments.items()},
        )

    def profile(self, profile: Profile) -> Profile:
        """A profile so read; itself when all of it is as it should be."""
        features = {}
        for name, kind in self.types.items():
            feature = profile.features.get(name)
            if feature is not None:
                read = read_as(feature, kind, self.categories.get(name, {}), words=name in self.declared)
                if read is not feature:
                    features[name] = read
        outputs = {}
        for name in CLASSES if self.classes else ():
            output = profile.outputs.get(name)
            if output is not None:
                read = as_classes(output, self.spelled, self.loose)
                if read is not output:
                    outputs[name] = read
        if not features and not outputs:
            return profile
        other = copy(profile)
        other.features = {**profile.features, **features}
        other.outputs = {**profile.outputs, **outputs}
        return other


def read_as(
    feature: FeatureProfile, kind: FeatureType, spelled: Mapping[str, str] | None = None, *, words: bool = False
) -> FeatureProfile:
    """A feature's values as of that type; itself when they are, or cannot be read so without loss."""
    match kind:
        case FeatureType.CATEGORICAL:
            return _as_categories(feature, spelled or {}, words)
        case FeatureType.BOOLEAN:
            return _as_booleans(feature)
        case FeatureType.NUMERIC:
            return _as_numbers(feature)
        case FeatureType.EMBEDDING:
            return feature


def as_classes(output: FeatureProfile, spelled: Mapping[str, str], loose: bool) -> FeatureProfile:
    """Answers or labels as classes, one spelling for each; itself when they are so, or are scores and no classes."""
    numbers = _exact(output)
    if numbers is None or any(value % 1 and class_of(number_name(value)) not in spelled for value in numbers):
        return output
    counts = _named(output, numbers)
    texts = output.categorical
    if texts is not None and texts.n:
        if texts.error:  # too many to know them all: free text, and no classes
            return output
        counts.update(texts.counts())
    one: Counter[str] = Counter()
    for name, count in counts.items():
        key = class_of(name, loose=loose)
        # Nobody who answers true wants to read 1.
        one[spelled.get(key) or (name.casefold() if name.casefold() in _BOOLEANS else key)] += count
    if not numbers and not output.booleans and one == counts:
        return output
    read = copy(output)
    read.numeric = read.text = None
    read.true = read.false = read.unexamined = 0
    read.categorical = CategoricalSketch()
    read.categorical.update_counts(one)
    return read


def are_scores(output: FeatureProfile) -> bool:
    """Whether all are numbers from 0 to 1, not all whole."""
    numbers = output.numeric
    if numbers is None or not numbers.n or output.numbers != output.present:
        return False
    return numbers.minimum >= 0 and numbers.maximum <= 1 and not set(two_numbers(numbers) or {0.5}) <= {0.0, 1.0}


def classes_against_scores(one: FeatureProfile, other: FeatureProfile) -> bool:
    """Whether the one has classes and the other the probability of one of them, which cannot be compared."""

    def classes(output: FeatureProfile) -> bool:
        return bool(output.present) and output.strings + output.booleans == output.present

    return (classes(one) and are_scores(other)) or (classes(other) and are_scores(one))


def _as_categories(feature: FeatureProfile, spelled: Mapping[str, str], words: bool) -> FeatureProfile:
    numbers = _exact(feature)
    told = sum(getattr(feature, count) for count in _WORDS) if words else 0
    if numbers is None or not (numbers or feature.booleans or told):
        return feature
    named: Counter[str] = Counter()
    for name, count in _named(feature, numbers).items():
        named[spelled.get(class_of(name), name)] += count
    if words:
        for slot, word in _WORDS.items():
            named[word] += getattr(feature, slot)
    read = copy(feature)
    read.numeric, read.true, read.false = None, 0, 0
    if words:
        for slot in _WORDS:
            setattr(read, slot, 0)
    read.categorical = CategoricalSketch()
    if feature.categorical is not None:
        read.categorical.merge(feature.categorical)
    read.categorical.update_counts(+named)
    return read


def _named(feature: FeatureProfile, numbers: Mapping[float, int]) -> Counter[str]:
    """Numbers and booleans by the names that they have as categories."""
    counts = Counter({number_name(value): count for value, count in numbers.items()})
    return counts + Counter(true=feature.true, false=feature.false)


def _as_booleans(feature: FeatureProfile) -> FeatureProfile:
    numbers = two_numbers(feature.numeric) if feature.numeric is not None else {}
    if feature.numeric is not None and feature.numeric.n and not (numbers and numbers.keys() <= {0.0, 1.0}):
        return feature
    counts = {"1": numbers.get(1.0, 0), "0": numbers.get(0.0, 0)}
    texts = feature.categorical
    if texts is not None and texts.n:
        if texts.error or not {class_of(name) for name in texts.counts()} <= {"0", "1"}:
            return feature
        for name, count in texts.counts().items():
            counts[class_of(name)] += count
    if not any(counts.values()):
        return feature
    read = copy(feature)
    read.numeric = read.categorical = read.text = None
    read.unexamined = 0
    read.true, read.false = feature.true + counts["1"], feature.false + counts["0"]
    return read


def _as_numbers(feature: FeatureProfile) -> FeatureProfile:
    counts: Counter[float] = Counter()
    texts = feature.categorical
    if texts is not None and texts.n:
        read_texts = {name: number_of(name) for name in texts.counts()}
        if texts.error or None in read_texts.values() or texts.n > MOST_UNFOLDED:
            return feature
        for name, count in texts.counts().items():
            value = read_texts[name]
            assert value is not None
            counts[value] += count
    counts[1.0] += feature.true
    counts[0.0] += feature.false
    if not any(counts.values()) or feature.booleans > MOST_UNFOLDED:
        return feature
    read = copy(feature)
    read.categorical = read.text = None
    read.unexamined = read.true = read.false = 0
    numeric = feature.numeric.copy() if feature.numeric is not None else NumericSketch()
    numeric.update(np.repeat(np.array(list(counts)), np.array(list(counts.values()))))
    read.numeric = numeric
    return read


def _exact(feature: FeatureProfile) -> dict[float, int] | None:
    """The numbers by how often they came; None when they are too many to be told one by one."""
    if feature.numeric is None or not feature.numeric.n:
        return {}
    return feature.numeric.values or two_numbers(feature.numeric) or None


def _kind(feature: FeatureProfile) -> FeatureType | None:
    """What all of a reference's values are; None when they are of several kinds, which no reading mends."""
    kinds = {
        FeatureType.NUMERIC: feature.numbers,
        FeatureType.CATEGORICAL: feature.strings,
        FeatureType.BOOLEAN: feature.booleans,
    }
    found = [kind for kind, count in kinds.items() if count]
    return found[0] if len(found) == 1 and not feature.vectors and not feature.other else None


def _spellings(feature: FeatureProfile, loose: bool) -> dict[str, str]:
    """By `class_of`, how each class is spelled most often."""
    spelled: defaultdict[str, Counter[str]] = defaultdict(Counter)
    if feature.categorical is not None and not feature.categorical.error:
        for name, count in feature.categorical.counts().items():
            spelled[class_of(name, loose=loose)][name] += count
    return {key: max(names, key=lambda name: (names[name], name)) for key, names in spelled.items()}


def _answers_classes(file: Profile) -> bool:
    """Whether a reference file's answers are classes: texts, booleans, probabilities by class, or only 0 and 1."""
    if (score := file.outputs.get("score")) is not None and score.numbers:
        return True
    prediction = file.outputs.get("prediction") or file.outputs.get("actual")
    if prediction is None:
        return False
    if prediction.strings or prediction.booleans:
        return not prediction.numbers
    numbers = two_numbers(prediction.numeric) if prediction.numeric is not None else {}
    return bool(numbers) and numbers.keys() <= {0.0, 1.0}
