"""A feature unfolded for comparison, and the tests that compare two."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from modelward_agent.profile import FeatureProfile, NumericSketch
from modelward_collector.stats.categories import CategoryScatter, CategoryView, category_tests, two_in_all
from modelward_collector.stats.combine import cauchy_combination
from modelward_collector.stats.effect import FLOOR
from modelward_collector.stats.identities import IdentityScatter, IdentityView, identity_tests
from modelward_collector.stats.ks import ks_test
from modelward_collector.stats.moments import mean_test, variance_test
from modelward_collector.stats.outcome import NOT_APPLICABLE, Outcome
from modelward_collector.stats.psi import decile_edges, psi_test
from modelward_collector.stats.shares import share_test
from modelward_collector.stats.text import TextScatter, TextView, text_tests
from modelward_collector.stats.view import NumericView
from modelward_collector.stats.wasserstein import sliced_wasserstein_distance, wasserstein_distance

NUMERIC, CATEGORICAL, BOOLEAN, EMBEDDING, TEXT, MIXED, EMPTY = (
    "numeric",
    "categorical",
    "boolean",
    "embedding",
    "text",
    "other",
    "empty",
)

MANY = "many"
"""Categories of which there are too many to know each, and whose usual novelty the reference's windows tell."""

MANY_KINDS = 256
"""From so many different strings on they are taken for ids."""

WEIGHTS: Mapping[str, Mapping[str, float]] = {
    NUMERIC: {"mean": 0.35, "variance": 0.25, "ks": 0.2, "psi": 0.1, "zeros": 0.05, "missing": 0.04, "type": 0.01},
    EMBEDDING: {"mean": 0.45, "variance": 0.25, "ks": 0.25, "missing": 0.04, "type": 0.01},
    CATEGORICAL: {"chi_squared": 0.45, "linf": 0.5, "missing": 0.04, "type": 0.01},
    MANY: {
        "chi_squared": 0.25,
        "linf": 0.3,
        "new_values": 0.18,
        "distinct": 0.14,
        "hashed": 0.08,
        "missing": 0.04,
        "type": 0.01,
    },
    BOOLEAN: {"linf": 0.95, "missing": 0.04, "type": 0.01},
    TEXT: {
        "length_mean": 0.2,
        "length_ks": 0.15,
        "characters": 0.2,
        "words": 0.35,
        "texts": 0.05,
        "missing": 0.04,
        "type": 0.01,
    },
    MIXED: {"missing": 0.5, "type": 0.5},
    EMPTY: {"missing": 0.5, "type": 0.5},
}
"""What each test gets of a feature's error probability; fixed, whatever the data. Mean and variance are exact at any
number of rows and get most; a changed type or missing share is rarely subtle and needs little. What has two values on
both sides together, whether numbers, strings or booleans, is judged as a boolean."""

BOOLEAN_NAMES = {"0": "false", "1": "true"}
"""Booleans and the numbers 0 and 1 are the same two values."""

_WHOLE = 0.01
"""A count that is computed from a mean is a whole number to within rounding; more than this off it is none."""

_ROUNDING = 1e-9
"""Relative rounding of a sum of squares: fewer than one row of a billion could hide in it."""


@dataclass(frozen=True, slots=True)
class FeatureScatter:
    """How the reference's own windows of a feature differ beyond sampling noise; zeros when not known."""

    mean: float = 0.0
    log_variance: float = 0.0
    gap: float = 0.0
    distance: float = 0.0
    zeros: float = 0.0
    missing: float = 0.0
    categories: CategoryScatter = field(default_factory=CategoryScatter)
    projections: tuple[FeatureScatter, ...] = ()
    text: TextScatter = field(default_factory=TextScatter)
    identities: IdentityScatter | None = None


@dataclass(frozen=True, slots=True, eq=False)
class FeatureView:
    """A feature's rows by what they hold. `kind` is what most present rows are; `missing` counts nulls and NaN.

    Strings are text when most look like it and most are different from each other, else categories. `types` counts
    present rows by type, `examined` strings of which it is known whether they look like text. `edges` are the bins of
    the index when this is the reference. `pair` are the values of numbers and booleans when there are at most two of
    them, exactly known; then `categories` are these two. `identities` are what is known of strings beside the names.
    """

    kind: str
    rows: int
    missing: int
    types: Mapping[str, int]
    numeric: NumericView | None = None
    categories: CategoryView | None = None
    projections: tuple[NumericView, ...] = ()
    dimension: int = 0
    edges: NDArray[np.float64] | None = None
    text: TextView | None = None
    examined: int = 0
    pair: tuple[float, ...] = ()
    identities: IdentityView | None = None

    @classmethod
    def of(cls, feature: FeatureProfile) -> FeatureView:
        """Unfold a feature's profile."""
        types = type_counts(feature)
        kind = max(types, key=lambda name: types[name]) if any(types.values()) else EMPTY
        if kind == CATEGORICAL and is_text(feature):
            kind = TEXT
        numeric = NumericView.of(feature.numeric) if feature.numeric is not None and feature.numeric.n else None
        categories: CategoryView | None = None
        pair: tuple[float, ...] = ()
        if kind in (NUMERIC, BOOLEAN):
            pair, categories = two_values(feature)
        if kind == BOOLEAN and categories is None:
            categories = boolean_view(feature)
        elif categories is None and feature.categorical is not None and feature.categorical.n:
            categories = CategoryView.of(feature.categorical)
        projections: tuple[NumericView, ...] = ()
        vector = feature.vector
        if vector is not None and vector.n:
            projections = tuple(NumericView.of(sketch) for sketch in (*vector.projections, vector.norm))
        return cls(
            kind=kind,
            rows=feature.rows,
            missing=feature.missing + feature.nan,
            types=types,
            numeric=numeric,
            categories=categories,
            projections=projections,
            dimension=vector.dimension if vector is not None else 0,
            edges=decile_edges(numeric) if numeric is not None else None,
            text=TextView.of(feature.text) if feature.text is not None and feature.text.n else None,
            examined=max(0, feature.strings - feature.unexamined),
            pair=pair,
            identities=IdentityView.of(feature.categorical) if kind == CATEGORICAL and feature.categorical else None,
        )

    @property
    def present(self) -> int:
        """Rows with a value that is not NaN."""
        return sum(self.types.values())

    @property
    def texts(self) -> tuple[int, int]:
        """Strings that look like text, of all that were examined; older agents did not."""
        return self.text.lengths.n if self.text is not None else 0, self.examined


def is_text(feature: FeatureProfile) -> bool:
    """Whether a feature of strings is free text: most look like it, and not a few of them come again and again."""
    text, strings = feature.text, feature.categorical
    if text is None or strings is None or 2 * text.n < strings.n - feature.unexamined:
        return False
    return strings.error > 0 or strings.distinct >= strings.n / 2


def boolean_view(feature: FeatureProfile) -> CategoryView:
    """The booleans as two categories, with exact counts; with the numbers when those are all 0 or 1."""
    numbers = two_numbers(feature.numeric) if feature.numeric is not None else {}
    if not numbers or not numbers.keys() <= {0.0, 1.0}:
        numbers = {}
    true, false = feature.true + numbers.get(1.0, 0), feature.false + numbers.get(0.0, 0)
    return CategoryView(true + false, {"true": true, "false": false})


def two_numbers(sketch: NumericSketch) -> dict[float, int]:
    """How often each value came, when there are at most two different ones; nothing when there are more, or none.

    Values between a and b have at most the variance (b - mean) (mean - a), and that only when all are a or b (Bhatia
    and Davis, 2000), so that count, mean, variance, zeros and extremes tell, and tell how many are which, to within the
    rounding of float64: a third value may be within a billionth of their difference from one of the two. Of two values
    that are close to each other and far from 0 nothing is told; their mean is rounded too much.
    """
    n, low, high = sketch.n, sketch.minimum, sketch.maximum
    if n == 0:
        return {}
    if low == high:
        return {low: n}
    width = high - low
    upper = n * ((sketch.moments.mean - low) / width)
    if not math.isfinite(upper) or abs(upper - round(upper)) > _WHOLE:
        return {}
    high_n = round(upper)
    largest = high_n * (n - high_n) / n
    if not abs(sketch.moments.m2 / width / width - largest) <= _ROUNDING * largest:
        return {}
    counts = {low: n - high_n, high: high_n}
    return counts if counts.get(0.0, 0) == sketch.zeros else {}


def two_values(feature: FeatureProfile) -> tuple[tuple[float, ...], CategoryView | None]:
    """The different values of numbers and booleans, ascending, and them as categories; nothing when more than two."""
    numbers = two_numbers(feature.numeric) if feature.numeric is not None else {}
    if feature.booleans:
        if feature.numeric is not None and feature.numeric.n and not (numbers and numbers.keys() <= {0.0, 1.0}):
            return (), None
        view = boolean_view(feature)
        return tuple(value for value, name in ((0.0, "false"), (1.0, "true")) if view.counts[name]), view
    if not numbers:
        return (), None
    counts = {_named(value): count for value, count in numbers.items()}
    return tuple(sorted(numbers)), CategoryView(sum(numbers.values()), counts)


def _named(value: float) -> str:
    return f"{int(value)}" if value == int(value) and abs(value) < 2**53 else repr(value)


def two_valued(reference: FeatureView, current: FeatureView) -> bool:
    """Whether numbers and booleans of both sides together have two different values; not when each has one number."""
    if not (reference.pair and current.pair) or len({*reference.pair, *current.pair}) > 2:
        return False
    return reference.numeric is None or current.numeric is None or len(reference.pair) + len(current.pair) > 2


def _named_alike(reference: CategoryView, current: CategoryView) -> CategoryView:
    """The current one with the names of the reference, where one has booleans and the other 0 and 1."""
    theirs = {*reference.counts, *current.counts}
    if theirs <= {"0", "1"} or theirs <= {"false", "true"} or not theirs <= {"0", "1", "false", "true"}:
        return current
    names = BOOLEAN_NAMES if "false" in reference.counts else {name: digit for digit, name in BOOLEAN_NAMES.items()}
    return replace(current, counts={names.get(name, name): count for name, count in current.counts.items()})


def type_counts(feature: FeatureProfile) -> dict[str, int]:
    """Present rows by type; infinities and embeddings of another dimension are of no type that can be compared."""
    vector = feature.vector
    return {
        NUMERIC: feature.numeric.n if feature.numeric is not None else 0,
        CATEGORICAL: feature.strings,
        BOOLEAN: feature.booleans,
        EMBEDDING: vector.n if vector is not None else 0,
        MIXED: feature.other
        + feature.positive_infinity
        + feature.negative_infinity
        + (vector.wrong_dimension if vector is not None else 0),
    }


@dataclass(frozen=True, slots=True)
class Comparison:
    """All tests of one feature, and their p-values combined (`p`); `kind` is the reference's, or the current one's."""

    kind: str
    outcomes: tuple[Outcome, ...]
    p: float
    weights: Mapping[str, float]


def compare(
    reference: FeatureView, current: FeatureView, scatter: FeatureScatter | None = None, floor: float = FLOOR
) -> Comparison:
    """Run the tests that fit the feature's kind and combine them (Cauchy combination, `WEIGHTS`).

    A test whose effect is not above its floor takes part with p = 1, so that a small combined p-value always means
    that some test found both a significant and a non-trivial difference.
    """
    scatter = scatter or FeatureScatter()
    kind = reference.kind if reference.kind != EMPTY else current.kind
    two = two_valued(reference, current)
    if scatter.identities is not None:
        usual = scatter.identities
        clusters = max(1.0, usual.cells) * usual.excess
        scatter = replace(scatter, categories=replace(scatter.categories, other=usual.share, design=clusters))
    many = scatter.identities is not None and is_many(reference)
    if two and reference.categories is not None and current.categories is not None:
        current = replace(current, categories=_named_alike(reference.categories, current.categories))
    outcomes = [
        *_by_kind(BOOLEAN if two else kind, reference, current, scatter, floor),
        share_test(
            "missing", (reference.missing, reference.rows), (current.missing, current.rows), scatter.missing, floor
        ),
        _type_test(kind, reference, current, floor),
    ]
    if many and scatter.identities and reference.identities and current.identities:
        outcomes += identity_tests(reference.identities, current.identities, scatter.identities, floor)
    weights = WEIGHTS[BOOLEAN if two or _two_strings(kind, reference, current) else MANY if many else kind]
    judged = [outcome for outcome in outcomes if outcome.name in weights]
    p = cauchy_combination([outcome.counted_p for outcome in judged], [weights[outcome.name] for outcome in judged])
    return Comparison(kind, tuple(outcomes), p, weights)


def is_many(view: FeatureView) -> bool:
    """Whether it is of strings of so many kinds that windows may bring new ones all the time."""
    if view.kind != CATEGORICAL or view.categories is None:
        return False
    return view.categories.error > 0 or len(view.categories.counts) > MANY_KINDS


def _two_strings(kind: str, reference: FeatureView, current: FeatureView) -> bool:
    """Whether it is of strings, and both sides together have at most two different ones."""
    if kind != CATEGORICAL or reference.categories is None or current.categories is None:
        return False
    return two_in_all(reference.categories, current.categories)


def _by_kind(
    kind: str, reference: FeatureView, current: FeatureView, scatter: FeatureScatter, floor: float
) -> list[Outcome]:
    if kind == NUMERIC and reference.numeric is not None and current.numeric is not None:
        return _numeric_tests(reference.numeric, current.numeric, reference.edges, scatter, floor)
    if kind in (CATEGORICAL, BOOLEAN) and reference.categories is not None and current.categories is not None:
        return list(category_tests(reference.categories, current.categories, scatter.categories, floor))
    comparable = reference.dimension == current.dimension
    if kind == EMBEDDING and comparable and reference.projections and current.projections:
        return _embedding_tests(reference.projections, current.projections, scatter, floor)
    if kind == TEXT and reference.text is not None:
        texts = share_test("texts", reference.texts, current.texts, 0.0, floor)
        tests = text_tests(reference.text, current.text, scatter.text, floor) if current.text is not None else ()
        return [*tests, texts]
    return []


def _numeric_tests(
    reference: NumericView,
    current: NumericView,
    edges: NDArray[np.float64] | None,
    scatter: FeatureScatter,
    floor: float,
) -> list[Outcome]:
    bins = edges if edges is not None else decile_edges(reference)
    distance = wasserstein_distance(reference, current)
    return [
        mean_test(reference, current, scatter.mean, floor),
        variance_test(reference, current, scatter.log_variance, floor),
        ks_test(reference, current, scatter.gap, floor),
        *psi_test(reference, current, bins, scatter.distance, floor),
        share_test("zeros", (reference.zeros, reference.n), (current.zeros, current.n), scatter.zeros, floor),
        Outcome("wasserstein", distance, None, 0.0, floor),
    ]


def _embedding_tests(
    reference: tuple[NumericView, ...], current: tuple[NumericView, ...], scatter: FeatureScatter, floor: float
) -> list[Outcome]:
    known = scatter.projections or (FeatureScatter(),) * len(reference)
    sides = list(zip(reference, current, known, strict=True))
    outcomes: list[Outcome] = []
    for name, each in (
        ("mean", [mean_test(r, c, s.mean, floor) for r, c, s in sides]),
        ("variance", [variance_test(r, c, s.log_variance, floor) for r, c, s in sides]),
        ("ks", [ks_test(r, c, s.gap, floor) for r, c, s in sides]),
    ):
        p = cauchy_combination([outcome.counted_p for outcome in each], [1 / len(each)] * len(each))
        best = min(each, key=lambda outcome: (outcome.counted_p, -outcome.effect))
        outcomes.append(Outcome(name, best.value, p, best.effect, best.floor))
    distance = sliced_wasserstein_distance(reference[:-1], current[:-1])
    outcomes.append(Outcome("sliced_wasserstein", distance, None, 0.0, floor))
    return outcomes


def _type_test(kind: str, reference: FeatureView, current: FeatureView, floor: float) -> Outcome:
    """Share of present rows that are not of the feature's type; an embedding of another dimension is not.

    False and true are the numbers 0 and 1 where a side has nothing else: a model is given the same.
    """
    if reference.present == 0 or current.present == 0:
        return Outcome("type", 0.0, NOT_APPLICABLE, 0.0, floor)
    kind = CATEGORICAL if kind == TEXT else kind
    alike = {kind}
    if kind in (NUMERIC, BOOLEAN) and all(side.pair and {*side.pair} <= {0.0, 1.0} for side in (reference, current)):
        alike = {NUMERIC, BOOLEAN}
    before, same = (sum(side.types.get(name, 0) for name in alike) for side in (reference, current))
    if kind == EMBEDDING and reference.dimension != current.dimension:
        same = 0
    return share_test(
        "type",
        (reference.present - before, reference.present),
        (current.present - same, current.present),
        0.0,
        floor,
    )
