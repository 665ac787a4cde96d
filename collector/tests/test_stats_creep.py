"""Trends over weeks are found with the day they began; steps, wandering and chance are not taken for one."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from modelward_collector.stats.creep import RISING_MIN, WINDOWS_MIN, Creep, creep_of

Values = NDArray[np.float64]

LEVEL = 1e-5
"""About what one of 30 features has of a day's false alarm rate."""

SAMPLED = 0.03**2
"""The mean of 1,000 rows of standard deviation 1."""


def trend_of(values: Values, kinds: NDArray[np.int64] | None = None, sampled: float = SAMPLED) -> Creep | None:
    """Of one value a day."""
    days = len(values)
    kinds = np.zeros(days, dtype=np.int64) if kinds is None else kinds
    return creep_of(np.arange(days, dtype=np.float64), values, np.full(days, sampled), kinds)


def found(creep: Creep | None) -> bool:
    return creep is not None and creep.p <= LEVEL


def noise(days: int, seed: int, sampled: float = SAMPLED) -> Values:
    return np.random.default_rng(seed).normal(0.0, np.sqrt(sampled), days)


def wandering(days: int, seed: int, kept: float, sd: float) -> Values:
    """A first-order autoregression about 0."""
    rng = np.random.default_rng(seed)
    values = np.empty(days)
    level = rng.normal(0.0, sd)
    for day in range(days):
        level = kept * level + np.sqrt(1 - kept**2) * rng.normal(0.0, sd)
        values[day] = level
    return values


@pytest.mark.parametrize("slope", [0.02, -0.02])
@pytest.mark.parametrize("began", [0, 10, 17])
def test_a_trend_is_found_with_its_slope_and_the_day_it_began(slope: float, began: int) -> None:
    days = 36
    off = []
    for seed in range(20):
        creep = trend_of(noise(days, seed) + slope * np.maximum(0, np.arange(days) - began))
        assert creep is not None
        assert creep.p <= LEVEL
        assert creep.slope == pytest.approx(slope, rel=0.35)
        assert creep.total == pytest.approx(slope * (days - 1 - began), rel=0.3)
        off.append(abs(creep.began - began))
    assert max(off) <= 5
    assert np.mean(off) <= 2.5


def test_a_hundredth_of_a_standard_deviation_a_day_is_found_within_25_days() -> None:
    of_the_day = 1 / 24_000
    for seed in range(20):
        assert found(trend_of(noise(25, seed, of_the_day) + 0.01 * np.arange(25), sampled=of_the_day))


@pytest.mark.parametrize("at", [5, 14, 20, 26])
@pytest.mark.parametrize("size", [0.1, 0.5, 3.0])
def test_a_step_is_no_trend(at: int, size: float) -> None:
    taken = sum(found(trend_of(noise(28, seed) + size * (np.arange(28) >= at))) for seed in range(20))
    assert taken == 0


@pytest.mark.parametrize(("kept", "at_most"), [(0.0, 0), (0.5, 0), (0.8, 2)])
@pytest.mark.parametrize("sd", [0.03, 0.3])
def test_wandering_is_no_trend(kept: float, at_most: int, sd: float) -> None:
    taken = sum(found(trend_of(wandering(28, seed, kept, sd))) for seed in range(400))
    assert taken <= at_most


def test_chance_is_a_trend_as_seldom_as_its_p_value_says() -> None:
    taken = sum(creep is not None and creep.p <= 0.01 for creep in (trend_of(noise(28, seed)) for seed in range(2_000)))
    assert taken <= 30


def test_a_trend_that_is_over_is_no_trend_of_now() -> None:
    for seed in range(10):
        values = noise(40, seed) + 0.05 * np.minimum(20, np.maximum(0, np.arange(40) - 5))
        values[25:] = noise(15, 100 + seed)
        assert not found(trend_of(values))


@pytest.mark.parametrize("number", [WINDOWS_MIN - 1, 5])
def test_few_days_tell_of_no_trend(number: int) -> None:
    assert trend_of(noise(number, 1) + 0.1 * np.arange(number)) is None


def test_a_trend_has_gone_on_for_days_before_it_is_one() -> None:
    for seed in range(20):
        creep = trend_of(noise(28, seed) + 0.2 * np.maximum(0, np.arange(28) - 25))
        assert creep is None or creep.began <= 28 - RISING_MIN


def test_kinds_of_days_have_levels_of_their_own() -> None:
    """Weekends lie far off; the trend within both is what is found, and they are none."""
    kinds = np.array([int(day % 7 in (5, 6)) for day in range(28)], dtype=np.int64)
    for seed in range(20):
        weekends = noise(28, seed) + 1.0 * kinds
        assert not found(trend_of(weekends, kinds))
        assert found(trend_of(weekends + 0.02 * np.arange(28), kinds))


def test_days_without_a_value_are_passed_over_and_counted_all_the_same() -> None:
    values = noise(36, 3) + 0.03 * np.maximum(0, np.arange(36) - 14)
    values[[2, 9, 20]] = np.nan
    creep = trend_of(values)
    assert creep is not None
    assert found(creep)
    assert abs(creep.began - 14) <= 4
    assert creep.slope == pytest.approx(0.03, rel=0.3)


def test_what_never_varies_has_no_trend() -> None:
    assert not found(creep_of(np.arange(28.0), np.full(28, 2.0), np.zeros(28), np.zeros(28, dtype=np.int64)))
