"""Statistics of numeric sketches against their definitions on the raw values."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from modelward_agent.profile import NumericSketch
from modelward_collector.stats.ks import kolmogorov_p, ks_statistic, ks_test
from modelward_collector.stats.moments import mean_test, variance_test
from modelward_collector.stats.outcome import Outcome
from modelward_collector.stats.psi import bin_shares, decile_edges, psi, psi_test
from modelward_collector.stats.view import NumericView, difference_noise
from modelward_collector.stats.wasserstein import sliced_wasserstein_distance, wasserstein_distance


def p_of(outcome: Outcome) -> float:
    assert outcome.p is not None
    return outcome.p


def view(values: ArrayLike, parts: int = 1) -> NumericView:
    sketch = NumericSketch()
    for part in np.array_split(np.asarray(values, dtype=np.float64), parts):
        piece = NumericSketch()
        piece.update(part)
        sketch.merge(piece)
    return NumericView.of(sketch)


@pytest.fixture
def draw() -> np.random.Generator:
    return np.random.default_rng(20130101)


SHAPES: dict[str, Callable[[np.random.Generator, int], NDArray[np.float64] | NDArray[np.int64]]] = {
    "normal": lambda draw, n: draw.normal(10, 3, n),
    "lognormal": lambda draw, n: draw.lognormal(0, 1, n),
    "t with 3 degrees of freedom": lambda draw, n: draw.standard_t(3, n),
    "poisson": lambda draw, n: draw.poisson(2, n),
    "zero-inflated": lambda draw, n: np.where(draw.random(n) < 0.7, 0, draw.exponential(1, n)),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_statistics_of_exact_sketches_are_those_of_the_values(draw: np.random.Generator, shape: str) -> None:
    a, b = SHAPES[shape](draw, 390).astype(np.float32), SHAPES[shape](draw, 300).astype(np.float32) * 1.3
    r, c = view(a, parts=3), view(b, parts=2)

    assert ks_statistic(r, c) == pytest.approx(stats.ks_2samp(a, b).statistic, abs=1e-12)
    assert wasserstein_distance(r, c) * a.astype(float).std(ddof=1) == pytest.approx(
        stats.wasserstein_distance(a, b), rel=1e-6
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_statistics_of_merged_sketches_are_within_the_sketches_error(draw: np.random.Generator, shape: str) -> None:
    a, b = SHAPES[shape](draw, 60_000), SHAPES[shape](draw, 40_000) * 1.05
    r, c = view(a, parts=50), view(b, parts=20)

    # The stated error is at 99% for one point; twice that of both covers the largest over all points.
    bound = 2 * (r.rank_error + c.rank_error)
    assert abs(ks_statistic(r, c) - stats.ks_2samp(a, b).statistic) <= bound
    truth = stats.wasserstein_distance(a, b) / a.std(ddof=1)
    spread = np.quantile(np.concatenate((a, b)), 0.999) - min(a.min(), b.min())
    assert abs(wasserstein_distance(r, c) - truth) <= bound * spread / a.std(ddof=1) + 0.02


def test_psi_on_exact_sketches_is_that_of_the_reference_deciles(draw: np.random.Generator) -> None:
    a, b = draw.normal(0, 1, 390).astype(np.float32), draw.normal(0.4, 1.2, 380).astype(np.float32)
    r, c = view(a), view(b)
    edges = decile_edges(r)
    bounds = np.concatenate(([-np.inf], edges, [np.inf]))
    p = np.array([np.mean((a > low) & (a <= high)) for low, high in itertools.pairwise(bounds)])
    q = np.array([np.mean((b > low) & (b <= high)) for low, high in itertools.pairwise(bounds)])

    assert bin_shares(r, edges) == pytest.approx(p)
    index, distance = psi_test(r, c, edges)
    floor_p, floor_q = np.maximum(p, 0.5 / 390), np.maximum(q, 0.5 / 380)
    assert index.value == pytest.approx(float(((floor_q - floor_p) * np.log(floor_q / floor_p)).sum()))
    m = (p + q) / 2
    divergence = 0.5 * (stats.entropy(p, m, base=2) + stats.entropy(q, m, base=2))
    assert distance.value == pytest.approx(math.sqrt(divergence))


def test_psi_counts_an_empty_bin_as_half_a_row() -> None:
    reference, current = np.array([50.0, 50.0, 0.0]), np.array([40.0, 40.0, 20.0])
    expected = 2 * (0.4 - 0.5) * math.log(0.4 / 0.5) + (0.2 - 0.005) * math.log(0.2 / 0.005)
    assert psi(reference, current) == pytest.approx(expected)


def test_a_value_that_fills_several_deciles_gets_a_bin_of_its_own(draw: np.random.Generator) -> None:
    r = view(np.where(draw.random(300) < 0.5, 0.0, draw.normal(0, 1, 300)))
    edges = decile_edges(r)
    shares = bin_shares(r, edges)
    zero = int(np.searchsorted(edges, 0.0))
    assert edges[zero] == 0.0
    assert shares[zero] == pytest.approx(r.zeros / r.n)


def test_the_mean_test_is_students_when_the_variances_agree(draw: np.random.Generator) -> None:
    a, b = draw.normal(0, 1, 300), draw.normal(0.3, 1, 200)
    b = (b - b.mean()) / b.std(ddof=1) * a.std(ddof=1) + b.mean()

    outcome = mean_test(view(a), view(b))

    reference = stats.ttest_ind(a, b, equal_var=False)
    assert outcome.p == pytest.approx(reference.pvalue, rel=1e-6)
    assert outcome.value == pytest.approx((b.mean() - a.mean()) / a.std(ddof=1))


def test_the_mean_test_counts_in_the_reference_own_sampling_error(draw: np.random.Generator) -> None:
    current = view(draw.normal(0.15, 1, 1_000))
    sure, unsure = (p_of(mean_test(view(draw.normal(0, 1, n)), current)) for n in (100_000, 500))
    assert sure < 1e-3 < unsure


def test_the_standard_error_of_the_variance_is_that_of_the_kurtosis(draw: np.random.Generator) -> None:
    exponential = draw.exponential(1, (2_000, 1_000)).var(axis=1, ddof=1)
    measured = np.log(exponential).std()
    a = draw.exponential(1, 200_000)
    outcome = variance_test(view(a), view(draw.exponential(1.25, 1_000)))
    implied = abs(math.log(outcome.value)) / stats.norm.isf(p_of(outcome) / 2)
    assert implied == pytest.approx(measured, rel=0.35)


@pytest.mark.parametrize(
    ("reference", "current"),
    [([5.0] * 500, [5.0] * 400), ([0.1] * 500, [0.1] * 400), ([1e300, 2e300] * 300, [1e300, 2e300] * 200)],
    ids=["constant", "constant that floats cannot hold", "near the largest float"],
)
def test_unchanged_degenerate_features_have_no_small_p_value(reference: list[float], current: list[float]) -> None:
    r, c = view(reference), view(current)
    for outcome in (mean_test(r, c), variance_test(r, c), ks_test(r, c), *psi_test(r, c, decile_edges(r))):
        assert outcome.p is None or outcome.p > 0.5
        assert outcome.effect == 0


def test_a_constant_that_becomes_another_constant_is_as_far_as_can_be() -> None:
    r, c = view([3.0] * 500), view([4.0] * 400)
    outcome = ks_test(r, c)
    assert outcome.value == 1
    assert p_of(outcome) < 1e-50
    assert outcome.effect > 0.99


def test_one_gross_outlier_is_no_drift_of_mean_or_variance(draw: np.random.Generator) -> None:
    values = draw.normal(0, 1, 5_000)
    values[17] = 1e6
    r, c = view(draw.normal(0, 1, 50_000)), view(values)
    assert p_of(mean_test(r, c)) > 0.1
    assert p_of(variance_test(r, c)) == 1


def test_what_windows_vary_anyway_is_not_significant(draw: np.random.Generator) -> None:
    r, c = view(draw.normal(0, 1, 50_000)), view(draw.normal(0.5, 1, 50_000))
    assert p_of(mean_test(r, c)) < 1e-100
    assert p_of(mean_test(r, c, process_sd=0.3)) > 0.05
    assert mean_test(r, c, process_sd=0.3).floor > mean_test(r, c).effect
    assert p_of(ks_test(r, c, process_gap=0.25)) > 0.5
    assert p_of(psi_test(r, c, decile_edges(r), process_distance=0.3)[0]) > 0.5


def test_kolmogorov_p_values_are_scipys_for_exact_samples(draw: np.random.Generator) -> None:
    a, b = draw.normal(0, 1, 350), draw.normal(0.15, 1, 390)
    outcome = ks_test(view(a), view(b))
    assert outcome.p == pytest.approx(stats.ks_2samp(a, b, method="exact").pvalue, rel=0.15)
    assert kolmogorov_p(0.0, 1e-4) == 1


def test_the_sketches_error_makes_ks_conservative_not_wrong(draw: np.random.Generator) -> None:
    """Rank errors of merged sketches alone, at a size where they exceed the sampling noise."""
    levels = np.zeros(3)
    runs = 120
    for _ in range(runs):
        r, c = view(draw.random(50_000), parts=10), view(draw.random(50_000), parts=10)
        assert difference_noise(r, c) > 1 / r.n + 1 / c.n
        p = p_of(ks_test(r, c))
        levels += [p <= 0.1, p <= 0.02, p <= 0.002]
    # Binomial upper bounds (99.9%) of what may be seen at those levels.
    assert (levels <= stats.binom.ppf(0.999, runs, [0.1, 0.02, 0.002])).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_p_values_hold_their_level(draw: np.random.Generator, shape: str) -> None:
    """Null windows of 500 rows: mean, variance, KS and the index flag no more than they should at 1%."""
    runs = 1_200
    r = view(SHAPES[shape](draw, 50_000), parts=5)
    edges = decile_edges(r)
    flagged = np.zeros(4)
    for _ in range(runs):
        c = view(SHAPES[shape](draw, 500))
        outcomes = (mean_test(r, c), variance_test(r, c), ks_test(r, c), psi_test(r, c, edges)[0])
        flagged += [p_of(outcome) <= 0.01 for outcome in outcomes]
    assert (flagged <= stats.binom.ppf(0.9995, runs, 0.01)).all(), flagged / runs


def test_sliced_wasserstein_is_the_mean_over_the_projections(draw: np.random.Generator) -> None:
    a, b = draw.normal(0, 1, (3, 300)), draw.normal(0.5, 1, (3, 350))
    r, c = [view(row) for row in a], [view(row) for row in b]
    expected = np.mean([stats.wasserstein_distance(x, y) / x.std(ddof=1) for x, y in zip(a, b, strict=True)])
    assert sliced_wasserstein_distance(r, c) == pytest.approx(expected, rel=1e-5)
