"""Sketches answer within their stated error, however they were cut and merged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from modelward_agent.profile import CategoricalSketch, NumericSketch, VectorSketch
from modelward_agent.profile.categorical import MAX_CATEGORY_LENGTH, category_name
from modelward_agent.profile.vector import PROJECTIONS, directions

SHAPES: dict[str, Callable[[np.random.Generator, int], NDArray[np.float64]]] = {
    "normal": lambda rng, n: rng.normal(size=n),
    "log-normal": lambda rng, n: rng.lognormal(sigma=2, size=n),
    "few values": lambda rng, n: rng.integers(0, 12, size=n).astype(float),
    "sorted": lambda rng, n: np.sort(rng.uniform(size=n)),
    "two modes": lambda rng, n: rng.normal(size=n) + 20 * (rng.uniform(size=n) < 0.3),
}


def numeric(values: NDArray[np.float64], pieces: int) -> NumericSketch:
    total = NumericSketch()
    for piece in np.array_split(values, pieces):
        part = NumericSketch()
        part.update(piece)
        total.merge(part)
    return total


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("n", "pieces"), [(300, 3), (20_000, 60), (200_000, 1), (200_000, 40)])
def test_a_cdf_is_within_the_rank_error_of_the_exact_one(shape: str, n: int, pieces: int) -> None:
    values = SHAPES[shape](np.random.default_rng(n + pieces), n)
    sketch = numeric(values, pieces)
    points = np.quantile(values, np.linspace(0, 1, 101))
    exact = np.searchsorted(np.sort(values), np.nextafter(points.astype(np.float32), np.inf), side="right") / n
    # The bound is for one point in 99 of 100; among 101 points a few may be up to twice as far.
    off = np.abs(sketch.cdf(points) - exact)
    assert off.max() <= 2 * sketch.rank_error + 1e-6
    assert np.quantile(off, 0.9) <= sketch.rank_error + 1e-6


@pytest.mark.parametrize("shape", SHAPES)
def test_a_quantiles_rank_is_within_the_rank_error(shape: str) -> None:
    values = SHAPES[shape](np.random.default_rng(5), 100_000)
    sketch = numeric(values, 20)
    ranks = np.linspace(0.01, 0.99, 50)
    answers = sketch.quantiles(ranks)
    ordered = np.sort(values.astype(np.float32))
    low = np.searchsorted(ordered, answers.astype(np.float32), side="left") / len(values)
    high = np.searchsorted(ordered, answers.astype(np.float32), side="right") / len(values)
    assert np.all(low - 2 * sketch.rank_error <= ranks)
    assert np.all(ranks <= high + 2 * sketch.rank_error)


def test_extremes_zeros_and_counts_stay_exact() -> None:
    values = np.random.default_rng(1).normal(size=50_000)
    values[::10] = 0.0
    sketch = numeric(values, 13)
    assert (sketch.n, sketch.zeros) == (50_000, 5_000)
    assert (sketch.minimum, sketch.maximum) == (values.min(), values.max())
    assert sketch.quantiles([0, 1]).tolist() == [values.min(), values.max()]


def test_a_sketch_that_holds_every_value_has_no_error() -> None:
    values = np.arange(300, dtype=np.float64)
    sketch = numeric(values, 3)
    assert sketch.rank_error == 0.0
    assert sketch.cdf([-1.0, 0.0, 149.0, 299.0]).tolist() == [0.0, 1 / 300, 0.5, 1.0]
    assert sketch.quantiles([0.5]).tolist() == [149.0]


def test_numbers_beyond_float32_are_folded_and_their_extremes_kept() -> None:
    sketch = NumericSketch()
    sketch.update(np.array([-1e300, 0.0, 1e300]))
    assert (sketch.minimum, sketch.maximum) == (-1e300, 1e300)
    assert sketch.cdf([0.0]).tolist() == [pytest.approx(2 / 3)]


def test_an_empty_sketch_answers_with_nan() -> None:
    sketch = NumericSketch()
    sketch.update(np.array([]))
    assert np.isnan(sketch.cdf([0.0, 1.0])).all()
    assert np.isnan(sketch.quantiles([0.5])).all()


@given(st.lists(st.sampled_from(["a", "b", "c", "", "é", "x" * 500]), max_size=60), st.integers(0, 60))
@settings(max_examples=60, deadline=None)
def test_few_categories_are_counted_exactly(values: list[str], cut: int) -> None:
    left, right = CategoricalSketch(), CategoricalSketch()
    left.update(values[:cut])
    right.update(values[cut:])
    left.merge(right)
    assert left.n == len(values)
    assert left.error == 0
    assert left.counts() == Counter(category_name(value) for value in values)
    assert left.distinct == pytest.approx(len(set(values)), abs=0.01)


def test_categories_beyond_the_bound_keep_the_frequent_ones_within_the_stated_error() -> None:
    rng = np.random.default_rng(11)
    values = [f"user-{value}" for value in rng.zipf(1.3, size=100_000)]
    exact = Counter(values)
    total = CategoricalSketch()
    for start in range(0, len(values), 5_000):
        part = CategoricalSketch()
        part.update(values[start : start + 5_000])
        total.merge(part)
    counts = total.counts()
    assert len(counts) <= 768
    assert 0 < total.error <= 3.5 * 100_000 / 1024
    for name, count in counts.items():
        assert exact[name] <= count <= exact[name] + total.error
    assert all(name in counts for name, count in exact.items() if count > total.error)


@pytest.mark.parametrize("distinct", [10, 1_000, 100_000])
def test_the_number_of_different_categories_is_within_five_standard_errors(distinct: int) -> None:
    total = CategoricalSketch()
    for start in range(4):
        part = CategoricalSketch()
        part.update(f"c{index}" for index in range(start, distinct, 2))
        total.merge(part)
    assert total.distinct == pytest.approx(distinct, rel=5 * 0.0163)


def test_long_categories_are_shortened_but_stay_apart() -> None:
    one, two = "x" * 1_000 + "1", "x" * 1_000 + "2"
    assert category_name(one) != category_name(two)
    assert len(category_name(one)) <= MAX_CATEGORY_LENGTH
    assert category_name("short") == "short"


def test_directions_are_unit_and_the_same_everywhere() -> None:
    drawn = directions(8)
    assert drawn.shape == (8, PROJECTIONS)
    assert np.allclose(np.linalg.norm(drawn, axis=0), 1.0)
    # A change of these numbers would make old and new profiles incomparable.
    assert drawn[0, :3] == pytest.approx([0.177904517079174, 0.6505781266308496, 0.5433094168737841], abs=1e-12)


def test_projections_are_those_of_the_embeddings() -> None:
    vectors = np.random.default_rng(2).normal(size=(200, 8))
    left, right = VectorSketch(8), VectorSketch(8)
    left.update(vectors[:50])
    right.update(vectors[50:])
    left.merge(right)
    assert left.n == 200
    projected = vectors @ directions(8)
    for index, sketch in enumerate(left.projections):
        assert sketch.moments.mean == pytest.approx(projected[:, index].mean(), abs=1e-12)
        assert sketch.maximum == pytest.approx(projected[:, index].max(), rel=1e-12)
    assert left.norm.moments.mean == pytest.approx(np.linalg.norm(vectors, axis=1).mean())


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (2, 0, 1)])
def test_of_embeddings_of_two_dimensions_the_usual_one_stays_whatever_the_order(order: tuple[int, ...]) -> None:
    rng = np.random.default_rng(4)
    parts = []
    for dimension, n in ((8, 10), (4, 90), (8, 20)):
        part = VectorSketch(dimension)
        part.update(rng.normal(size=(n, dimension)))
        parts.append(part)
    total = VectorSketch(4)
    for index in order:
        total.merge(parts[index])
    assert total.n + total.wrong_dimension == 120
    assert (total.dimension, total.n) == (4, 90)


@given(st.lists(st.integers(0, 3_000), min_size=1, max_size=12), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_kept_values_stand_for_every_row(sizes: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    total = NumericSketch()
    for size in sizes:
        part = NumericSketch()
        part.update(np.sort(rng.normal(size=size)))
        total.merge(part)
    points = [-1.0, 0.0, 0.5]
    expected = [total.kll.get_rank(point, True) for point in points] if total.n else [np.nan] * 3
    assert total.cdf(points) == pytest.approx(expected, nan_ok=True)


def test_a_merge_that_leaves_the_lowest_level_empty_answers_like_any_other() -> None:
    values = np.sort(np.random.default_rng(5).uniform(size=100_000))
    sketch = numeric(values, 20)
    assert sketch.cdf([0.1, 0.5, 0.9]) == pytest.approx([0.1, 0.5, 0.9], abs=2 * sketch.rank_error)
