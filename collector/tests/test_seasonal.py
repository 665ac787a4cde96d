"""Taking a series apart: what is found, what is left alone, and that point by point comes to the same as at once."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from modelward_collector.stats.seasonal import (
    HOUR,
    SHIFT_RUN,
    Array,
    Season,
    SeasonalState,
    decompose,
    robust_scale,
)

START = 1_772_323_200 // (7 * 86_400) * 7 * 86_400
"""A whole number of weeks since 1970, so that tables and series begin alike."""
TEN_MINUTES = 600


def hours(n: int, step: int = HOUR) -> NDArray[np.int64]:
    return START + step * np.arange(n)


def daily(seconds: NDArray[np.int64]) -> Array:
    return 3 * np.sin(2 * np.pi * ((seconds + HOUR / 2) % 86_400) / 86_400)


def weekly(seconds: NDArray[np.int64]) -> Array:
    """Like the day, but flat and low on two days."""
    day = seconds // 86_400 % 7
    return np.where(day >= 5, -3.0, daily(seconds))


def noise(n: int, seed: int = 1) -> Array:
    return np.random.default_rng(seed).normal(size=n)


def after(state: SeasonalState, seconds: NDArray[np.int64], values: Array) -> SeasonalState:
    for at, value in zip(seconds.tolist(), values.tolist(), strict=True):
        state = state.advance(at, value)
    return state


def test_a_daily_profile_is_found_and_is_the_one_that_was_put_in() -> None:
    t = hours(28 * 24)
    state = decompose(t, 10 + daily(t) + noise(len(t)), HOUR).state
    assert state.profile.kind is Season.DAY
    assert np.abs(state.profile.at(t[:24].astype(float), HOUR) - daily(t[:24])).max() < 0.6
    assert state.level == pytest.approx(10, abs=1)
    assert state.scale == pytest.approx(1, abs=0.25)


def test_a_weekly_profile_is_found_when_days_differ() -> None:
    t = hours(35 * 24)
    values = weekly(t) + 0.5 * noise(len(t))
    profile = decompose(t, values, HOUR).state.profile
    assert profile.kind is Season.WEEK
    week = weekly(hours(168))
    assert np.abs(profile.table - (week - week.mean())).mean() < 0.25


def test_points_of_ten_minutes_have_the_season_of_their_hours() -> None:
    t = hours(8 * 144, TEN_MINUTES)
    profile = decompose(t, daily(t) + 0.3 * noise(len(t)), TEN_MINUTES).state.profile
    assert profile.kind is Season.DAY
    assert np.abs(profile.at(t[:144].astype(float), TEN_MINUTES) - daily(t[:144])).max() < 0.5


@pytest.mark.parametrize("correlation", [0.0, 0.8, 0.97])
def test_no_season_is_made_of_noise(correlation: float) -> None:
    found = []
    t = hours(28 * 24)
    for seed in range(30):
        values = noise(len(t), seed)
        for i in range(1, len(values)):
            values[i] += correlation * values[i - 1]
        found.append(decompose(t, values, HOUR).state.profile.kind)
    assert sum(kind is not Season.NONE for kind in found) <= 1


def test_two_days_are_too_few_for_a_season() -> None:
    t = hours(2 * 24)
    assert decompose(t, daily(t), HOUR).state.profile.kind is Season.NONE


def test_a_constant_series_has_its_level_and_nothing_else() -> None:
    t = hours(10 * 24)
    state = decompose(t, np.full(len(t), 7.0), HOUR).state
    assert (state.level, state.trend, state.scale, state.profile.kind) == (7.0, 0.0, 0.0, Season.NONE)
    assert state.advance(int(t[-1]) + HOUR, 7.0).scale == 0.0


def test_wild_outliers_move_neither_the_season_nor_the_scale_by_much() -> None:
    t = hours(28 * 24)
    values = 10 + daily(t) + noise(len(t))
    wild = values.copy()
    wild[np.random.default_rng(2).choice(len(t), 20, replace=False)] += 1e6
    clean, dirty = decompose(t, values, HOUR).state, decompose(t, wild, HOUR).state
    assert dirty.profile.kind is Season.DAY
    assert np.abs(clean.profile.table - dirty.profile.table).max() < 0.5
    assert dirty.scale == pytest.approx(clean.scale, rel=0.35)


def test_one_outlier_moves_the_level_by_a_bounded_amount_however_large() -> None:
    t = hours(20 * 24)
    state = decompose(t, noise(len(t)), HOUR).state
    moved = [state.advance(int(t[-1]) + HOUR, size).level - state.level for size in (100.0, 1e9)]
    assert moved[0] == pytest.approx(moved[1])
    assert moved[0] < state.scale / 4


def test_a_shift_of_level_is_taken_over_after_a_run_of_points() -> None:
    t = hours(20 * 24 + 12)
    values = noise(len(t))
    values[-12:] += 40
    state = decompose(t[:-12], values[:-12], HOUR).state
    early = after(state, t[-12:-9], values[-12:-9])
    assert early.level < 5
    late = after(state, t[-12 : -12 + SHIFT_RUN], values[-12 : -12 + SHIFT_RUN])
    assert late.shifted
    assert late.level == pytest.approx(40, abs=2)
    assert decompose(t, values, HOUR).stretch[-1] == 1


def test_a_trend_has_its_slope() -> None:
    t = hours(28 * 24)
    state = decompose(t, 0.2 * np.arange(len(t)) + noise(len(t)), HOUR).state
    assert state.trend == pytest.approx(0.2, rel=0.1)


def test_gaps_are_left_out_and_the_season_is_still_found() -> None:
    t = hours(28 * 24)
    values = daily(t) + noise(len(t))
    kept = np.ones(len(t), bool)
    kept[100:220] = False
    kept[np.random.default_rng(3).choice(len(t), 150, replace=False)] = False
    state = decompose(t[kept], values[kept], HOUR).state
    assert state.profile.kind is Season.DAY
    assert np.abs(state.profile.at(t[:24].astype(float), HOUR) - daily(t[:24])).max() < 0.8


def test_hours_that_never_have_a_point_do_not_move_the_others() -> None:
    t = hours(28 * 24)
    awake = t // HOUR % 24 >= 8
    values = 50 + 10 * daily(t) + noise(len(t))
    state = decompose(t[awake], values[awake], HOUR).state
    assert state.profile.kind is Season.DAY
    shown = state.level + state.profile.at(t[awake].astype(float), HOUR)
    assert np.abs(shown - (50 + 10 * daily(t[awake]))).max() < 4


def test_merged_hours_count_for_the_season_and_fine_points_for_the_rest() -> None:
    fine_from = 20 * 24
    coarse = hours(fine_from)
    fine = START + fine_from * HOUR + TEN_MINUTES * np.arange(144)
    t = np.concatenate((coarse, fine))
    lengths = np.concatenate((np.full(len(coarse), HOUR), np.full(len(fine), TEN_MINUTES)))
    values = daily(t) + np.concatenate((0.1 * noise(len(coarse)), noise(len(fine), 2)))
    parts = decompose(t, values, TEN_MINUTES, lengths=lengths)
    assert len(parts.seconds) == len(fine)
    assert parts.state.profile.kind is Season.DAY
    assert parts.state.scale == pytest.approx(1, abs=0.3)


def test_point_by_point_comes_to_the_same_as_all_at_once() -> None:
    t = hours(56 * 24)
    values = 10 + weekly(t) + 0.5 * noise(len(t))
    half = len(t) // 2
    online = after(decompose(t[:half], values[:half], HOUR).state, t[half:], values[half:])
    batch = decompose(t, values, HOUR).state
    assert online.profile.kind is batch.profile.kind is Season.WEEK
    assert np.abs(online.profile.table - batch.profile.table).mean() < 0.2
    assert online.scale == pytest.approx(batch.scale, rel=0.2)
    assert online.level == pytest.approx(batch.level, abs=0.3)
    assert np.abs(online.spread - batch.spread).max() < 0.5
    assert (online.seconds, online.points) == (batch.seconds, batch.points)


def test_a_state_is_of_one_size_however_much_it_has_seen() -> None:
    t = hours(60 * 24)
    values = daily(t) + noise(len(t))
    early = after(decompose(t[:480], values[:480], HOUR).state, t[480:500], values[480:500])
    late = after(early, t[500:], values[500:])
    assert late.residuals.shape == early.residuals.shape
    assert late.profile.table.shape == early.profile.table.shape
    assert early.points == 500, "the state before is not changed"


def test_an_hour_that_moves_is_learned_when_it_repeats_itself() -> None:
    """A timetable (or daylight saving) moves one hour's traffic; two days later the season has most of it."""
    t = hours(32 * 24)
    values = daily(t) + 0.3 * noise(len(t))
    changed = (t // HOUR % 24 == 9) & (np.arange(len(t)) >= 28 * 24)
    values[changed] += 20
    state = decompose(t[: 28 * 24], values[: 28 * 24], HOUR).state
    before = state.profile.at(np.array([float(t[9])]), HOUR)[0]
    state = after(state, t[28 * 24 :], values[28 * 24 :])
    assert state.profile.at(np.array([float(t[9])]), HOUR)[0] - before > 14


def test_the_scale_of_normal_residuals_is_their_standard_deviation() -> None:
    assert robust_scale(noise(20_000)) == pytest.approx(1, abs=0.03)
    mostly_nothing = np.where(np.arange(100) % 10 == 0, 5.0, 0.0)
    assert robust_scale(mostly_nothing) == pytest.approx(0.5 * 1.2533)
    assert robust_scale(np.empty(0)) == 0


def test_nothing_cannot_be_taken_apart() -> None:
    with pytest.raises(ValueError, match="without points"):
        decompose(hours(0), np.empty(0), HOUR)
