"""Equality of correlations: p-values hold on data that is not normal, real changes are found and ranked."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special, stats

from modelward_agent.profile import CoMoments
from modelward_agent.profile.comoments import squash
from modelward_collector.stats import correlation
from modelward_collector.stats.correlation import correlation_changes, correlation_scatter, variance_factor
from modelward_collector.stats.effect import normal_scale_distance, normal_scale_distances

Values = NDArray[np.float64]

GRID = np.linspace(-6, 6, 2_001)
POISSON = stats.poisson.cdf(np.arange(40), 2)
FAMILIES: dict[str, Callable[[Values], Values]] = {
    "normal": lambda g: g,
    "far from zero": lambda g: 10 + g,
    "lognormal": np.exp,
    "t with 3 degrees": lambda g: np.interp(g, GRID, stats.t.ppf(special.ndtr(GRID), 3)),
    "discrete": lambda g: np.searchsorted(POISSON, special.ndtr(g)).astype(float),
    "zero-inflated": lambda g: np.where(g < 0.5, 0.0, np.exp(g)),
    "of one varying scale": lambda g: g * np.exp(0.7 * np.random.default_rng(1).normal(size=g.shape[-1])),
    "boolean": lambda g: (g > 0.5).astype(float),
}
FEATURES = 12


@pytest.fixture
def draw() -> np.random.Generator:
    return np.random.default_rng(20260302)


def of(matrix: Values | Sequence[Values], names: Sequence[str] | None = None) -> CoMoments:
    made = CoMoments()
    made.update(names or [f"x{index:02d}" for index in range(len(matrix))], np.asarray(matrix, dtype=float))
    return made


def related(draw: np.random.Generator, rho: float, n: int | tuple[int, int], features: int = 2) -> Values:
    """Normal rows of which every pair has the correlation rho."""
    shared, own = draw.normal(size=n), draw.normal(size=(features, *np.atleast_1d(n)))
    return math.sqrt(rho) * shared + math.sqrt(1 - rho) * own


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("rho", [0.0, 0.5, 0.85])
def test_p_values_of_unchanged_pairs_are_no_smaller_than_chance_makes_them(
    draw: np.random.Generator, monkeypatch: pytest.MonkeyPatch, family: str, rho: float
) -> None:
    monkeypatch.setattr(correlation, "FLOOR", -1.0)
    monkeypatch.setattr(correlation, "CHANGE_FLOOR", 0.0)
    monkeypatch.setattr(correlation, "benjamini_hochberg", np.array)
    found: list[float] = []
    for _ in range(4):
        reference = of(FAMILIES[family](related(draw, rho, 4_000, FEATURES)))
        for _ in range(25):
            current = of(FAMILIES[family](related(draw, rho, 1_000, FEATURES)))
            found += [change.p for change in correlation_changes(reference, current)]
    p = np.array(found)
    assert len(p) > 6_000
    # Pairs of one window depend on each other: room for three times the chance in the tail.
    assert (p <= 0.05).mean() <= 0.06
    assert (p <= 0.001).mean() <= 0.003


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("n", [200, 1_000])
def test_no_unchanged_window_is_found_at_the_rate_that_a_check_gives_them(
    draw: np.random.Generator, family: str, n: int
) -> None:
    found = 0
    for rho in (0.0, 0.6):
        reference = of(FAMILIES[family](related(draw, rho, 10_000, FEATURES)))
        for _ in range(40):
            changes = correlation_changes(reference, of(FAMILIES[family](related(draw, rho, n, FEATURES))))
            found += any(change.p <= 0.01 for change in changes)
    assert found <= 4  # 0.8 are expected at most, 5 or more in 1 of 700


def test_a_flipped_correlation_with_equal_marginals_is_found_and_ranked_first(draw: np.random.Generator) -> None:
    reference = related(draw, 0.62, 20_000, 10)
    current = related(draw, 0.62, 1_000, 10)
    current[3] = draw.permutation(current[3])
    first = correlation_changes(of(reference), of(current))[0]
    assert "x03" in (first.a, first.b)
    assert first.p < 1e-6
    assert first.reference > 0.4
    assert abs(first.current) < 0.1
    assert first.effect > 5 * first.floor
    changed = [change for change in correlation_changes(of(reference), of(current)) if change.p <= 0.001]
    assert len(changed) == 9
    assert all("x03" in (change.a, change.b) for change in changed)


def test_a_trivial_change_of_a_million_rows_is_none(draw: np.random.Generator) -> None:
    [change] = correlation_changes(of(related(draw, 0.50, 1_000_000)), of(related(draw, 0.55, 1_000_000)))
    assert abs(change.current - change.reference) > 0.03
    assert change.p == 1.0


def test_what_few_rows_carry_is_not_judged(draw: np.random.Generator) -> None:
    rare = (draw.random((2, 1_000)) < 0.01).astype(float)
    assert correlation_changes(of(rare), of(np.roll(rare, 1))) == []
    assert correlation_changes(of(draw.normal(size=(2, 1_000))), of(draw.normal(size=(2, 199)))) == []


def test_pairs_that_one_side_does_not_know_are_left_out(draw: np.random.Generator) -> None:
    reference = of(draw.normal(size=(3, 500)), ["a", "b", "c"])
    current = of([*draw.normal(size=(2, 500)), np.ones(500)], ["b", "d", "c"])
    assert correlation_changes(reference, current) == []
    assert correlation_changes(CoMoments(), CoMoments()) == []
    both = of(draw.normal(size=(3, 500)), ["b", "c", "z"])
    assert [(one.a, one.b) for one in correlation_changes(reference, both)] == [("b", "c")]
    assert correlation_changes(reference, both, ignored={"c"}) == []


@pytest.mark.parametrize("share", [0.5, 0.2])
@pytest.mark.parametrize("alike", [0.0, 0.4, 0.8])
def test_the_allowance_is_exact_for_two_valued_features_that_agree_in_a_share_of_rows(
    share: float, alike: float
) -> None:
    """Against Browne's (1984) formula on the exact distribution of the four outcomes."""
    q = 1 - share
    values = np.array([-share, q]) / math.sqrt(share * q)
    chance = alike * np.diag([q, share]) + (1 - alike) * np.outer([q, share], [q, share])
    a, b = np.meshgrid(values, values, indexing="ij")
    r = float((chance * a * b).sum())
    exact = float((chance * (a * b - r / 2 * (a * a + b * b)) ** 2).sum()) / (1 - r * r) ** 2
    kurtosis = float((chance * a**4).sum())
    assert r == pytest.approx(alike)
    assert variance_factor(np.array([r]), np.array([kurtosis]))[0] == pytest.approx(
        max(exact, min(kurtosis, 1.2), kurtosis / 3)
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_the_allowance_covers_what_samples_show(draw: np.random.Generator, family: str) -> None:
    for rho in (0.0, 0.5, 0.85):
        y = squash(FAMILIES[family](related(draw, rho, (400, 1_000))))
        y -= y.mean(axis=2, keepdims=True)
        y /= np.sqrt((y * y).mean(axis=2, keepdims=True))
        r, kurtosis = (y[0] * y[1]).mean(axis=1), (y**4).mean()
        # The sampling error of a variance of 400 is 7%.
        assert np.arctanh(r).var() * 997 <= 1.2 * variance_factor(np.array([r.mean()]), np.array([kurtosis]))[0]


def test_many_scale_distances_are_each_one() -> None:
    ratios = np.array([[-1.0, 0.0], [0.3, 40.0]])
    expected = [[normal_scale_distance(value) for value in row] for row in ratios.tolist()]
    assert normal_scale_distances(ratios).tolist() == expected


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9, 0.95])
def test_windows_that_differ_by_chance_alone_teach_nothing_however_related_they_are(
    draw: np.random.Generator, rho: float
) -> None:
    windows = [of(related(draw, rho, 5_000)) for _ in range(10)]
    total = CoMoments()
    for one in windows:
        total.merge(one)
    assert correlation_scatter(total, windows, 1e-6) == {}
    half = of(related(draw, rho / 2, 5_000))
    assert rho == 0.0 or correlation_changes(total, half, (), correlation_scatter(total, windows, 1e-6))[0].p < 1e-6


def test_windows_that_differ_by_chance_teach_little_and_a_weekly_pattern_is_allowed(draw: np.random.Generator) -> None:
    def day(number: int) -> CoMoments:
        return of(related(draw, 0.2 if number % 7 > 4 else 0.6, 2_000))

    days = [day(number) for number in range(28)]
    total = CoMoments()
    for one in days:
        total.merge(one)
    scatter = correlation_scatter(total, days, 1e-6)
    assert all(
        change.p == 1.0 for number in range(28, 42) for change in correlation_changes(total, day(number), (), scatter)
    )
    assert correlation_changes(total, day(5))[0].p < 1e-6
    flipped = related(draw, 0.6, 2_000) * [[1], [-1]]
    assert correlation_changes(total, of(flipped), (), scatter)[0].p < 1e-6
    assert correlation_scatter(total, days[:2], 1e-6) == {}
