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
from modelward_agent.profile.categorical import (
    BY_NAME_MAX,
    HASH_BUCKETS,
    MAX_CATEGORY_LENGTH,
    category_name,
    hash_bucket,
)
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


# -- numbers that float32 cannot tell apart ----------------------------------------------------------------------------

BEYOND_FLOAT32: dict[str, Callable[[np.random.Generator, int], NDArray[np.float64]]] = {
    "seconds of a minute since 1970": lambda rng, n: 1.7e9 + 50 * rng.normal(size=n),
    "a day of them": lambda rng, n: 1.7e9 + 86_400 * rng.uniform(size=n),
    "with a default of 0": lambda rng, n: np.where(rng.uniform(size=n) < 0.2, 0.0, 1.7e9 + 50 * rng.normal(size=n)),
    "numbers of orders": lambda rng, n: 4e12 + rng.integers(0, 5_000, size=n).astype(float),
    "money": lambda rng, n: 123_456_789 + rng.integers(0, 1_000, size=n) / 100,
}
AS_BEFORE: dict[str, Callable[[np.random.Generator, int], NDArray[np.float64]]] = {
    "normal": lambda rng, n: rng.normal(size=n),
    "uniform": lambda rng, n: rng.uniform(size=n),
    "prices": lambda rng, n: rng.choice([9.99, 19.99, 5.49], size=n),
    "one outlier": lambda rng, n: np.append(rng.normal(size=n - 1), 1e30),
    "whole numbers": lambda rng, n: rng.integers(-(2**24), 2**24, size=n).astype(float),
    "few of them": lambda rng, n: rng.integers(100, 110, size=n).astype(float),
    "constant": lambda rng, n: np.full(n, 1.7e9 + 1),
    "a year of seconds": lambda rng, n: 1.7e9 + 365 * 86_400 * rng.uniform(size=n),
}


def off_by(sketch: NumericSketch, values: NDArray[np.float64]) -> float:
    """The largest error of the cdf, just below and at every hundredth."""
    points = np.quantile(values, np.linspace(0, 1, 101), method="inverted_cdf")
    points = np.unique(np.concatenate((points, np.nextafter(points, -np.inf))))
    exact = np.searchsorted(np.sort(values), points, side="right") / len(values)
    assert sketch.cdf_at(points) == pytest.approx(sketch.cdf(points), abs=1e-12)
    return float(np.abs(sketch.cdf(points) - exact).max())


@pytest.mark.parametrize("shape", BEYOND_FLOAT32)
@pytest.mark.parametrize(("n", "pieces"), [(300, 3), (300, 300), (20_000, 7), (20_000, 4_000)])
def test_numbers_that_float32_cannot_tell_apart_keep_their_shape(shape: str, n: int, pieces: int) -> None:
    values = BEYOND_FLOAT32[shape](np.random.default_rng(n + pieces), n)
    sketch = numeric(values, pieces if shape != "with a default of 0" else max(1, pieces // 50))
    assert sketch.double
    assert sketch.rounded_share <= 0.01
    assert off_by(sketch, values) <= 2.5 * sketch.rank_error + 0.01
    assert len(sketch.kll.serialize()) < 9_800


@pytest.mark.parametrize("shape", AS_BEFORE)
@pytest.mark.parametrize(("n", "pieces"), [(300, 3), (20_000, 7), (20_000, 1)])
def test_others_take_no_more_memory_than_they_need(shape: str, n: int, pieces: int) -> None:
    sketch = numeric(AS_BEFORE[shape](np.random.default_rng(n + pieces), n), pieces)
    assert not sketch.double
    assert len(sketch.kll.serialize()) < 4_900


@given(st.integers(0, 2**32 - 1), st.integers(1, 2_000), st.integers(1, 2_000))
@settings(max_examples=60, deadline=None)
def test_a_sketch_of_float32_and_one_of_float64_merge_into_one_of_all_rows(seed: int, n: int, m: int) -> None:
    rng = np.random.default_rng(seed)
    rounded, kept = rng.normal(size=n), 1.7e9 + rng.normal(size=m)
    for first, second in ((rounded, kept), (kept, rounded)):
        total, other = NumericSketch(), NumericSketch()
        total.update(first)
        other.update(second)
        before = other.kll.serialize()
        total.merge(other)
        assert other.kll.serialize() == before
        assert total.n == n + m
        assert (total.minimum, total.maximum) == (min(rounded.min(), kept.min()), max(rounded.max(), kept.max()))
        assert float(total.cdf([1e9])[0]) == pytest.approx(n / (n + m), abs=2 * total.rank_error + 1e-9)


def test_widening_changes_no_rank() -> None:
    values = np.random.default_rng(3).normal(size=100_000)
    sketch = numeric(values, 20)
    wide = sketch.copy().widen()
    assert (sketch.double, wide.double) == (False, True)
    assert wide.rank_error == sketch.rank_error
    assert [a.tolist() for a in wide.sorted_view()] == [a.tolist() for a in sketch.sorted_view()]
    wide.merge(sketch)
    assert wide.rounded_share == 1  # what came as float32 is compared as such
    assert wide.cdf([0.0])[0] == pytest.approx(0.5, abs=0.02)


@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=60), st.integers(0, 60))
@settings(max_examples=200, deadline=None)
def test_the_two_ways_to_a_cdf_agree_whatever_the_numbers(values: list[float], cut: int) -> None:
    total, other = NumericSketch(), NumericSketch()
    total.update(np.array(values[:cut]))
    other.update(np.array(values[cut:]))
    total.merge(other)
    points = np.unique(np.array(values))
    assert total.n == len(values)
    assert total.cdf_at(points) == pytest.approx(total.cdf(points))
    for rounded in (0.0, 1.0):
        cdf = total.cdf_at(points, rounded)
        assert (np.diff(cdf) >= 0).all()
        assert cdf[-1] == pytest.approx(1.0)


# -- strings of too many kinds to know each by name ------------------------------------------------------------------


def by_hash(counts: Counter[str]) -> list[int]:
    found = [0] * HASH_BUCKETS
    for name, count in counts.items():
        found[hash_bucket(category_name(name))] += count
    return found


@given(st.lists(st.lists(st.integers(0, 2_000), max_size=900), min_size=1, max_size=6))
@settings(max_examples=40, deadline=None)
def test_rows_by_hash_are_exact_however_they_were_cut_and_merged(parts: list[list[int]]) -> None:
    total, everything = CategoricalSketch(), Counter[str]()
    for part in parts:
        counts = Counter(f"u{value}" for value in part)
        everything += counts
        other = CategoricalSketch()
        other.update_counts(counts)
        before = None if other.hashed_apart is None else other.hashed_apart.copy()
        total.merge(other)
        assert (before is None) == (other.hashed_apart is None)
        assert before is None or (before == other.hashed_apart).all()
    assert total.by_hash is not None
    assert total.by_hash.tolist() == by_hash(everything)
    assert (total.hashed_apart is not None) or len(everything) <= BY_NAME_MAX
    one_by_one = CategoricalSketch()
    for part in parts:
        one_by_one.update(f"u{value}" for value in part)
    assert one_by_one.by_hash is not None
    assert one_by_one.by_hash.tolist() == total.by_hash.tolist()


def test_few_categories_cost_nothing_more() -> None:
    total = CategoricalSketch()
    for start in range(0, BY_NAME_MAX, 64):
        for _ in range(3):
            part = CategoricalSketch()
            part.update(f"c{index}" for index in range(start, start + 64))
            total.merge(part)
            total.update(f"c{index}" for index in range(start, start + 64))
    assert total.hashed_apart is None
    assert total.error == 0


def test_rows_that_were_not_counted_by_hash_are_not_guessed() -> None:
    older = CategoricalSketch()
    older.update(f"u{index}" for index in range(5_000))
    older.hashed_apart = None  # as agents of before wrote it
    assert older.by_hash is None
    total = CategoricalSketch()
    total.update(f"u{index}" for index in range(5_000))
    total.merge(older)
    assert total.by_hash is None
    assert total.n == 10_000


@pytest.mark.parametrize("first", [0, 7, 1_000_000])
def test_numbered_names_are_spread_as_evenly_as_chance_does_and_no_more(first: int) -> None:
    rows = np.bincount([hash_bucket(f"user-{first + index}") for index in range(10_000)], minlength=HASH_BUCKETS)
    expected = 10_000 / HASH_BUCKETS
    assert 160 <= ((rows - expected) ** 2 / expected).sum() <= 360  # chi-squared of 255 degrees of freedom


@given(st.lists(st.integers(0, 5_000), max_size=1_500), st.lists(st.integers(0, 5_000), max_size=1_500))
@settings(max_examples=40, deadline=None)
def test_the_larger_registers_of_two_are_those_of_their_union(left: list[int], right: list[int]) -> None:
    sides = []
    for values in (left, right, left + right):
        sketch = CategoricalSketch()
        sketch.update(f"u{value}" for value in values)
        sides.append(sketch.registers())
    assert (np.maximum(sides[0], sides[1]) == sides[2]).all()
    assert (sides[2] > 0).sum() <= len({*left, *right})


def test_registers_of_a_few_strings_are_those_of_many() -> None:
    few, many = CategoricalSketch(), CategoricalSketch()
    for size in (1, 5, 40, 300, 3_000):
        few.update(f"u{index}" for index in range(size))
        alone = CategoricalSketch()
        alone.update(f"u{index}" for index in range(size))
        assert (alone.registers() == few.registers()).all()
        many.merge(alone)
    assert (many.registers() == few.registers()).all()
