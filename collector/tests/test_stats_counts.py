"""Tests of shares, counts and categories against scipy, and of how p-values are combined."""

import math
from collections.abc import Callable, Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon

from modelward_agent.profile import CategoricalSketch
from modelward_collector.stats.categories import CategoryView, category_tests, new_categories, vanished_categories
from modelward_collector.stats.combine import benjamini_hochberg, cauchy_combination
from modelward_collector.stats.effect import (
    FLOOR,
    cdf_gap_distance,
    normal_scale_distance,
    normal_shift_distance,
    share_distance,
)
from modelward_collector.stats.homogeneity import chi_squared_p, homogeneity
from modelward_collector.stats.jensen_shannon import PER_CHI_SQUARED, jensen_shannon_distance
from modelward_collector.stats.outcome import Outcome
from modelward_collector.stats.shares import hypergeometric_p, share_test


def named(outcomes: Iterable[Outcome], name: str) -> Outcome:
    return next(outcome for outcome in outcomes if outcome.name == name)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 3_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
    st.integers(1, 3_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
)
def test_the_share_test_is_twice_the_smaller_exact_tail(reference: tuple[int, int], current: tuple[int, int]) -> None:
    (x, n), (y, m) = reference, current
    exact = stats.hypergeom(n + m, x + y, m)
    smaller = min(exact.cdf(y), exact.sf(y - 1))
    # On the side of the deviation, which is the smaller tail but for ties at the centre.
    assert hypergeometric_p(x, n, y, m) == pytest.approx(min(1.0, 2 * smaller), rel=1e-6, abs=1e-290) or (
        hypergeometric_p(x, n, y, m) > 0.9
    )


def test_the_share_test_is_exact_far_out_and_at_any_size() -> None:
    expected = 2 * stats.binom.sf(1_299, 1_000_000, 0.001)  # the reference is so large that its share is known
    assert hypergeometric_p(10**9, 10**12, 1_300, 10**6) == pytest.approx(expected, rel=0.02)
    assert hypergeometric_p(500_000, 10**6, 0, 10**5) == 0


def counted(reference: float, current: float, rows: int = 10**6) -> float:
    return share_test("missing", (round(reference * rows), rows), (round(current * rows), rows)).counted_p


def test_shares_that_moved_by_less_than_half_a_point_and_did_not_double_are_trivial() -> None:
    outcome = share_test("missing", (10_000, 10**6), (14_800, 10**6))
    assert outcome.p is not None
    assert outcome.p < 1e-100
    assert outcome.counted_p == 1
    assert counted(0.0005, 0.0008) == 1


@pytest.mark.parametrize(("before", "after"), [(0.0005, 0.005), (0.002, 0.0065), (0.0, 0.003)])
def test_a_rare_value_that_became_much_more_or_less_frequent_is_no_trifle(before: float, after: float) -> None:
    assert counted(before, after) < 1e-100
    assert counted(after, before) < 1e-100


def test_a_few_rows_of_a_rare_value_are_a_trifle() -> None:
    assert share_test("missing", (10, 10**6), (15, 4_000)).counted_p == 1
    assert share_test("missing", (10, 10**6), (25, 8_000)).counted_p < 1e-20


@given(st.integers(0, 10_000), st.integers(0, 10_000))
@settings(max_examples=100, deadline=None)
def test_a_share_and_its_rest_give_the_same_answer(hits: int, now: int) -> None:
    one, rest = (
        share_test("a", (hits, 10_000), (now, 10_000)),
        share_test("b", (10_000 - hits, 10_000), (10_000 - now, 10_000)),
    )
    assert one.value == pytest.approx(-rest.value)
    assert one.effect == pytest.approx(rest.effect, abs=1e-6)
    assert one.counted_p == pytest.approx(rest.counted_p, rel=1e-6, abs=1e-290)


def test_homogeneity_is_pearsons_or_the_likelihood_ratio_whichever_is_smaller() -> None:
    r, c = np.array([500.0, 300.0, 200.0]), np.array([120.0, 50.0, 30.0])
    pearson = stats.chi2_contingency(np.array([r, c]), correction=False)
    likelihood = stats.chi2_contingency(np.array([r, c]), correction=False, lambda_="log-likelihood")
    statistic, freedom = homogeneity(r, c)
    assert freedom == 2
    assert statistic == pytest.approx(min(pearson.statistic, likelihood.statistic))
    assert chi_squared_p(statistic, freedom) == pytest.approx(stats.chi2.sf(statistic, 2))
    assert chi_squared_p(30.0, 4, 6.0) == pytest.approx(stats.ncx2.sf(30.0, 4, 6.0), rel=1e-6)


def test_cells_that_expect_few_rows_are_pooled() -> None:
    r, c = np.array([900.0, 60.0, 1.0, 1.0, 1.0, 37.0]), np.array([880.0, 80.0, 0.0, 1.0, 2.0, 37.0])
    _, freedom = homogeneity(r, c)
    assert freedom == 2


def test_the_chi_squared_test_holds_its_level_with_rare_categories() -> None:
    draw = np.random.default_rng(7)
    shares = np.array([0.5, 0.3, 0.1, 0.05] + [0.005] * 10)
    runs = 4_000
    reference = draw.multinomial(5_000, shares, runs)
    current = draw.multinomial(300, shares, runs)
    p = np.array(
        [chi_squared_p(*homogeneity(r.astype(float), c.astype(float))) for r, c in zip(reference, current, strict=True)]
    )
    assert (p <= 0.01).sum() <= stats.binom.ppf(0.9995, runs, 0.01)
    assert (p <= 0.001).sum() <= stats.binom.ppf(0.9995, runs, 0.001)
    assert (p <= 0.01).sum() >= stats.binom.ppf(0.0005, runs, 0.005)


def test_jensen_shannon_is_scipys_in_bits_and_near_zero_a_multiple_of_chi_squared() -> None:
    r, c = np.array([500.0, 300.0, 200.0]), np.array([510.0, 280.0, 210.0])
    assert jensen_shannon_distance(r, c) == pytest.approx(float(jensenshannon(r, c, base=2)))
    statistic = stats.chi2_contingency(np.array([r, c]), correction=False).statistic
    assert jensen_shannon_distance(r, c) ** 2 == pytest.approx(PER_CHI_SQUARED * statistic * (2 / 1_000), rel=0.01)


def test_new_and_vanished_categories_are_named_most_frequent_first() -> None:
    reference = CategoryView(1_000, {"a": 700, "b": 200, "c": 97, "rare": 3})
    current = CategoryView(500, {"a": 300, "b": 100, "x": 20, "y": 80})
    assert new_categories(reference, current) == ["y", "x"]
    assert vanished_categories(reference, current) == ["c"]  # "rare" was not expected to come


def test_a_new_category_decides_alone() -> None:
    reference = CategoryView(10_000, {"a": 5_000, "b": 3_000, "c": 2_000})
    current = CategoryView(1_000, {"a": 490, "b": 300, "c": 190, "x": 20})
    largest = named(category_tests(reference, current), "linf")
    assert largest.subject == "x"
    assert largest.value == pytest.approx(0.02)
    assert largest.p is not None
    assert largest.p < 1e-15


def test_ever_new_names_are_no_drift() -> None:
    draw = np.random.default_rng(3)
    views = []
    for _ in range(2):
        sketch = CategoricalSketch()
        sketch.update(f"{number:x}" for number in draw.integers(0, 2**40, 20_000))
        views.append(CategoryView.of(sketch))
    reference, current = views
    for outcome in category_tests(reference, current):
        assert outcome.p is None or outcome.p > 0.5
        assert outcome.effect <= FLOOR
    assert new_categories(reference, current) == []


def test_a_change_is_found_among_more_categories_than_the_sketch_keeps() -> None:
    draw = np.random.default_rng(4)
    views = []
    for share in (0.1, 0.2):
        sketch = CategoricalSketch()
        frequent = ["frequent"] * int(20_000 * share)
        sketch.update(frequent + [f"{n:x}" for n in draw.integers(0, 2**40, 20_000 - len(frequent))])
        views.append(CategoryView.of(sketch))
    reference, current = views
    largest = named(category_tests(reference, current), "linf")
    assert largest.subject == "frequent"
    assert largest.counted_p < 1e-20


def test_the_normal_effects_are_the_distances_of_the_densities() -> None:
    x = np.linspace(-12, 12, 200_001)
    base = stats.norm.pdf(x)
    for distance, density in (
        (normal_shift_distance(0.7), stats.norm.pdf(x, 0.7)),
        (normal_scale_distance(math.log(2.25)), stats.norm.pdf(x, 0, 1.5)),
        (cdf_gap_distance(2 * stats.norm.cdf(0.5) - 1), stats.norm.pdf(x, 1.0)),
    ):
        assert distance == pytest.approx(jensen_shannon_distance(base, density), abs=2e-4)
    assert normal_shift_distance(-0.7) == normal_shift_distance(0.7)
    assert normal_shift_distance(math.inf) == pytest.approx(1, abs=1e-3)
    assert share_distance(0.2, 0.4) == pytest.approx(
        jensen_shannon_distance(np.array([0.2, 0.8]), np.array([0.4, 0.6]))
    )


@pytest.mark.parametrize("distance", [normal_shift_distance, normal_scale_distance])
def test_effects_rise_with_the_difference_from_0_to_1(distance: Callable[[float], float]) -> None:
    effects = [distance(difference) for difference in np.linspace(0, 30, 400)]
    assert effects[0] == 0
    assert np.all(np.diff(effects) >= -1e-6)
    assert 0.98 < effects[-1] <= 1


def test_benjamini_hochberg_is_scipys() -> None:
    p = np.random.default_rng(5).random(50) ** 3
    assert benjamini_hochberg(list(p)) == pytest.approx(stats.false_discovery_control(p))
    assert len(benjamini_hochberg([])) == 0


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.95])
def test_combined_p_values_hold_their_level_whatever_their_dependence(correlation: float) -> None:
    draw = np.random.default_rng(6)
    runs = 40_000
    shared = draw.normal(size=(runs, 1))
    z = math.sqrt(correlation) * shared + math.sqrt(1 - correlation) * draw.normal(size=(runs, 4))
    p_values = 2 * stats.norm.sf(np.abs(z))
    combined = np.array([cauchy_combination(list(row), [0.4, 0.3, 0.2, 0.1]) for row in p_values])
    assert (combined <= 0.001).sum() <= stats.binom.ppf(0.9995, runs, 0.001 * 1.1)
    assert (combined <= 0.001).sum() >= stats.binom.ppf(0.0005, runs, 0.001 * 0.7)


def test_one_certain_test_is_not_outvoted() -> None:
    assert cauchy_combination([1e-300, 1.0, 1.0], [0.1, 0.5, 0.4]) == pytest.approx(1e-299, rel=0.01)
    assert cauchy_combination([0.0, 1.0], [0.5, 0.5]) == 0
    assert cauchy_combination([1.0, 1.0], [0.5, 0.5]) > 0.9


@pytest.mark.parametrize("kinds", [1_500, 5_000, 50_000])
def test_what_full_sketches_cannot_tell_is_no_change(kinds: int) -> None:
    """Counts of rare names are too high by the sketch's error, and what is left for all others is too low by that."""
    draw = np.random.default_rng(kinds)
    for _ in range(3):
        reference = CategoricalSketch()
        for _ in range(10):
            part = CategoricalSketch()
            part.update(f"u{value}" for value in draw.integers(0, kinds, 5_000))
            reference.merge(part)
        current = CategoricalSketch()
        current.update(f"u{value}" for value in draw.integers(0, kinds, 5_000))
        outcomes = category_tests(CategoryView.of(reference), CategoryView.of(current))
        assert named(outcomes, "chi_squared").counted_p == 1
        assert named(outcomes, "linf").counted_p > 0.001


def test_what_full_sketches_do_tell_is_found() -> None:
    draw = np.random.default_rng(8)
    sides = []
    for share in (0.2, 0.3):
        sketch = CategoricalSketch()
        rare = [f"u{value}" for value in draw.integers(0, 10**6, 10_000)]
        sketch.update(np.where(draw.random(10_000) < share, "often", rare).tolist())
        sides.append(CategoryView.of(sketch))
    outcomes = category_tests(sides[0], sides[1])
    assert named(outcomes, "linf").subject == "often"
    assert named(outcomes, "linf").counted_p < 1e-20
