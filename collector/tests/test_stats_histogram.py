"""Two distributions in the same bins."""

from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import ArrayLike

from modelward_agent.profile import CategoricalSketch, FeatureProfile, NumericSketch, VectorSketch
from modelward_collector.stats.histogram import OTHER, PairedHistogram, paired_histogram


def numbers(values: ArrayLike) -> FeatureProfile:
    feature = FeatureProfile()
    feature.numeric = NumericSketch()
    feature.numeric.update(np.asarray(values, dtype=np.float64))
    return feature


def strings(counts: Mapping[str, int]) -> FeatureProfile:
    feature = FeatureProfile()
    feature.categorical = CategoricalSketch()
    feature.categorical.update_counts(counts)
    return feature


def drawn(reference: FeatureProfile, current: FeatureProfile, bins: int = 40) -> PairedHistogram:
    shown = paired_histogram(reference, current, bins)
    assert shown is not None
    return shown


def edges_of(shown: PairedHistogram) -> tuple[float, ...]:
    assert shown.edges is not None
    return shown.edges


def test_shares_are_those_of_numpy_and_the_tails_are_in_the_outermost_bins() -> None:
    draw = np.random.default_rng(1)
    a, b = draw.normal(0, 1, 20_000), np.append(draw.normal(2, 1, 9_999), 1e9)
    shown = drawn(numbers(a), numbers(b), bins=20)
    edges = edges_of(shown)
    assert shown.kind == "numeric"
    assert len(edges) == 21
    assert -3 < edges[0] < -2
    assert 4 < edges[-1] < 5
    bounds = [-np.inf, *edges[1:-1], np.inf]
    for side, values in ((shown.reference, a), (shown.current, b)):
        assert side == pytest.approx(np.histogram(values, bounds)[0] / len(values), abs=0.015)
        assert side.sum() == pytest.approx(1)


def test_whole_numbers_get_bins_around_them() -> None:
    shown = drawn(numbers([1, 2, 2, 3]), numbers([2, 3, 3, 5]))
    assert edges_of(shown) == (0.5, 1.5, 2.5, 3.5, 4.5, 5.5)
    assert shown.reference == pytest.approx([0.25, 0.5, 0.25, 0, 0])
    assert shown.current == pytest.approx([0, 0.25, 0.5, 0, 0.25])


def test_many_whole_numbers_get_bins_of_whole_width() -> None:
    shown = drawn(numbers(np.arange(1_000)), numbers(np.arange(1_000)), bins=40)
    edges = edges_of(shown)
    assert len(set(np.diff(edges))) == 1
    assert (edges[1] - edges[0]) % 1 == 0
    assert len(shown.reference) <= 40


def test_a_constant_has_one_bin_around_it() -> None:
    shown = drawn(numbers([0.25] * 5), numbers([0.25] * 3))
    assert edges_of(shown) == (-0.25, 0.75)
    assert shown.current == pytest.approx([1])


def test_a_value_that_nearly_all_rows_have_does_not_hide_the_others() -> None:
    shown = drawn(numbers([0.0] * 999 + [0.5]), numbers([0.0] * 999 + [3.5]))
    assert edges_of(shown)[-1] >= 3.5


def test_categories_are_shown_largest_first_and_the_rest_together() -> None:
    shown = drawn(strings({"a": 50, "b": 30, "c": 15, "d": 5}), strings({"b": 80, "e": 20}), bins=4)
    assert shown.kind == "categorical"
    assert shown.names == ("b", "a", "e", OTHER)
    assert shown.reference == pytest.approx([0.3, 0.5, 0, 0.2])
    assert shown.current == pytest.approx([0.8, 0, 0.2, 0])


def test_booleans_are_false_then_true() -> None:
    a, b = FeatureProfile(), FeatureProfile()
    a.true, a.false, b.true, b.false = 1, 3, 2, 2
    shown = drawn(a, b)
    assert (shown.kind, shown.names) == ("boolean", ("false", "true"))
    assert shown.reference == pytest.approx([0.75, 0.25])
    assert shown.current == pytest.approx([0.5, 0.5])


def test_embeddings_are_drawn_by_their_norm() -> None:
    a, b = FeatureProfile(), FeatureProfile()
    a.vector, b.vector = VectorSketch(3), VectorSketch(3)
    a.vector.update(np.eye(3))
    b.vector.update(2 * np.eye(3))
    shown = drawn(a, b)
    assert shown.kind == "vector"
    assert shown.reference == pytest.approx([1, 0])
    assert shown.current == pytest.approx([0, 1])


def test_a_side_without_rows_is_flat() -> None:
    shown = drawn(FeatureProfile(), numbers([1, 2]))
    assert shown.reference == pytest.approx([0, 0])
    assert shown.current == pytest.approx([0.5, 0.5])
    assert drawn(strings({"a": 2}), FeatureProfile()).current == pytest.approx([0])
    assert paired_histogram(FeatureProfile(), FeatureProfile()) is None
