import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from modelward_collector.stats import intervals
from modelward_collector.stats.intervals import Interval

SHARES = [(0, 1), (1, 1), (0, 10), (3, 10), (10, 10), (1, 1000), (500, 1000), (999, 1000)]


@pytest.mark.parametrize(("k", "n"), SHARES)
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.999])
def test_wilson_and_clopper_pearson_are_scipys(k: int, n: int, confidence: float) -> None:
    test = stats.binomtest(k, n)
    for ours, method in ((intervals.wilson, "wilson"), (intervals.clopper_pearson, "exact")):
        theirs = test.proportion_ci(confidence, method)
        answer = ours(k, n, confidence)
        assert (answer.low, answer.high) == pytest.approx((theirs.low, theirs.high), abs=1e-10)
        assert answer.estimate == k / n


def test_an_interval_of_nothing_is_undefined() -> None:
    assert not intervals.wilson(0, 0).defined
    assert not intervals.clopper_pearson(0, 0).defined
    assert not intervals.newcombe_difference(0, 0, 1, 5).defined
    assert not intervals.mean_t([]).defined
    assert not intervals.mean_t([1.0]).defined
    assert not intervals.median([]).defined
    assert not intervals.mover_mean([]).defined
    assert not intervals.delong_auc([True, True], [0.1, 0.2]).defined
    assert not intervals.bootstrap_counts(np.zeros(3, np.int64), lambda counts: counts[:, 0]).defined


def test_clopper_pearson_covers_at_least_as_it_says_by_enumeration() -> None:
    n = 25
    answers = [intervals.clopper_pearson(k, n) for k in range(n + 1)]
    for share in np.linspace(0.01, 0.99, 45):
        mass = stats.binom.pmf(np.arange(n + 1), n, share)
        covered = sum(m for m, answer in zip(mass, answers, strict=True) if answer.low <= share <= answer.high)
        assert covered >= 0.95


def test_newcombes_published_examples() -> None:
    # Newcombe (1998), table II, method 10, without continuity correction
    for counts, expected in {
        (56, 70, 48, 80): (0.0524, 0.3339),
        (9, 10, 3, 10): (0.1705, 0.8090),
        (5, 56, 0, 29): (-0.0381, 0.1926),
        (10, 10, 0, 20): (0.6791, 1.0000),
        (10, 10, 0, 10): (0.6075, 1.0000),
    }.items():
        answer = intervals.newcombe_difference(*counts)
        assert (answer.low, answer.high) == pytest.approx(expected, abs=6e-5)


def test_newcombe_covers_by_enumeration() -> None:
    n, m = 30, 40
    answers = np.array(
        [
            [(a := intervals.newcombe_difference(j, n, k, m)).low, a.high]
            for j, k in itertools.product(range(n + 1), range(m + 1))
        ]
    )
    coverage = []
    for first, second in itertools.product((0.05, 0.2, 0.5, 0.9), (0.1, 0.3, 0.6)):
        mass = np.outer(stats.binom.pmf(np.arange(n + 1), n, first), stats.binom.pmf(np.arange(m + 1), m, second))
        inside = (answers[:, 0] <= first - second) & (first - second <= answers[:, 1])
        coverage.append(float(mass.ravel()[inside].sum()))
    assert min(coverage) > 0.92
    assert 0.94 < np.mean(coverage) < 0.97


@given(st.integers(1, 200), st.integers(0, 200), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_the_share_tail_is_the_exact_binomial_test(n: int, k: int, bound: float) -> None:
    k = min(k, n)
    expected = stats.binomtest(k, n, bound, alternative="greater").pvalue
    assert intervals.share_above(k, n, bound) == pytest.approx(expected, abs=1e-9)


def test_one_row_is_never_significant_on_its_own_above_a_share_of_one_in_a_thousand() -> None:
    assert intervals.share_above(1, 1, 0.001) >= 0.001
    assert intervals.share_above(0, 0, 0.1) == 1.0


def test_the_mean_is_scipys_t_interval() -> None:
    sample = np.random.default_rng(1).gamma(2, size=37)
    expected = stats.ttest_1samp(sample, 0).confidence_interval(0.9)
    answer = intervals.mean_t(sample, 0.9)
    assert (answer.low, answer.high) == pytest.approx((expected.low, expected.high))
    assert answer.estimate == pytest.approx(sample.mean())


def test_the_median_lies_between_the_order_statistics_that_hold_the_confidence() -> None:
    for n in (6, 7, 20, 51, 400):
        answer = intervals.median(np.arange(n, dtype=float))
        below = int(answer.low) + 1
        assert answer.high == n - below
        missed = 2 * stats.binom.cdf(below - 1, n, 0.5)
        assert missed <= 0.05
        assert 2 * stats.binom.cdf(below, n, 0.5) > 0.05  # one further in would be too narrow
    assert math.isnan(intervals.median([1.0, 2.0, 3.0, 4.0, 5.0]).low)


@given(st.lists(st.tuples(st.booleans(), st.integers(-4, 4)), min_size=2, max_size=40))
@settings(max_examples=100, deadline=None)
def test_the_area_and_its_variance_are_delongs_by_enumeration_of_all_pairs(rows: list[tuple[bool, int]]) -> None:
    positive = np.array([kind for kind, _ in rows])
    score = np.array([float(value) for _, value in rows])
    m, n = int(positive.sum()), int((~positive).sum())
    area = intervals.roc_area(positive, score)
    if not (m and n):
        assert area is None
        return
    assert area is not None
    wins = (score[positive][:, None] > score[~positive]) + 0.5 * (score[positive][:, None] == score[~positive])
    assert area.value == pytest.approx(wins.mean())
    assert area.value == pytest.approx(roc_auc_score(positive, score))
    if min(m, n) > 1:
        delong = wins.mean(axis=1).var(ddof=1) / m + wins.mean(axis=0).var(ddof=1) / n
        assert np.square(area.influence).sum() / (m + n) ** 2 == pytest.approx(delong, abs=1e-12)


def test_the_area_interval_covers() -> None:
    random = np.random.default_rng(5)
    for shift, m, n in ((0.5, 40, 60), (1.5, 30, 300), (2.5, 50, 50)):
        truth = stats.norm.cdf(shift / math.sqrt(2))
        covered = 0
        for _ in range(400):
            score = np.concatenate([random.normal(shift, 1, m), random.normal(0, 1, n)])
            answer = intervals.delong_auc(np.arange(m + n) < m, score)
            covered += answer.low <= truth <= answer.high
            assert 0 <= answer.low <= answer.estimate <= answer.high <= 1
        assert 0.92 <= covered / 400 <= 0.98


def test_a_perfect_ranking_of_few_rows_is_not_certain() -> None:
    perfect = intervals.delong_auc([True] * 5 + [False] * 5, np.arange(10.0)[::-1])
    assert perfect.estimate == perfect.high == 1.0
    assert 0.5 < perfect.low < 0.9
    wrong = intervals.delong_auc([True] * 5 + [False] * 5, np.arange(10.0))
    assert (wrong.estimate, wrong.low, wrong.high) == pytest.approx((0, 0, 1 - perfect.low), abs=1e-6)
    more = intervals.delong_auc([True] * 500 + [False] * 500, np.arange(1000.0)[::-1])
    assert more.low > 0.99


def test_resampled_means_have_the_means_and_covariance_of_resampling() -> None:
    random = np.random.default_rng(2)
    for n in (400, intervals.NORMAL_MEANS + 1):
        columns = np.column_stack([random.exponential(size=n), random.normal(size=n), np.ones(n)])
        columns[:, 1] += columns[:, 0]
        drawn = intervals.resampled_means(columns, 4000, seed=3)
        expected = np.cov(columns, rowvar=False, ddof=0) / n
        assert drawn.mean(axis=0) == pytest.approx(columns.mean(axis=0), abs=5 * math.sqrt(2 / n / 4000))
        assert np.cov(drawn, rowvar=False) * n == pytest.approx(expected * n, abs=0.15)
        assert drawn[:, 2] == pytest.approx(1.0)
        assert np.array_equal(drawn, intervals.resampled_means(columns, 4000, seed=3))


def test_the_bootstrap_agrees_with_scipys() -> None:
    sample = np.random.default_rng(4).exponential(size=200)
    columns = np.column_stack([sample, sample**2])

    def deviation(means: np.ndarray) -> np.ndarray:
        spread: np.ndarray = np.sqrt(np.maximum(means[:, 1] - means[:, 0] ** 2, 0))
        return spread

    ours = intervals.bootstrap(columns, deviation, draws=4000)
    theirs = stats.bootstrap(
        (sample,), np.std, method="percentile", n_resamples=4000, vectorized=True, rng=np.random.default_rng(0)
    ).confidence_interval
    assert ours.estimate == pytest.approx(sample.std())
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=0.02)


def test_the_bootstrap_of_counts_is_that_of_the_rows() -> None:
    counts = np.array([30, 5, 15])
    answer = intervals.bootstrap_counts(counts, lambda drawn: drawn[:, 0] / drawn.sum(axis=1), draws=20_000)
    exact = stats.binom.ppf([0.025, 0.975], 50, 0.6) / 50
    assert (answer.estimate, answer.low, answer.high) == pytest.approx((0.6, *exact), abs=0.02)


def test_the_mean_of_independent_shares_covers() -> None:
    random = np.random.default_rng(6)
    shares, sizes = np.array([0.9, 0.5, 0.99]), np.array([30, 50, 200])
    covered = 0
    for _ in range(1000):
        parts = [intervals.wilson(int(k), int(n)) for k, n in zip(random.binomial(sizes, shares), sizes, strict=True)]
        answer = intervals.mover_mean(parts)
        covered += answer.low <= shares.mean() <= answer.high
    assert 0.93 <= covered / 1000 <= 0.98


def test_an_interval_with_a_missing_end_is_not_defined() -> None:
    assert not Interval(1.0, math.nan, 2.0).defined
    assert Interval(1.0, 0.5, 2.0).defined
