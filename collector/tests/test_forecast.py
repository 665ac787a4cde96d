"""Forecasts: bands that hold what they promise, and p-values that are rare when they say so."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from modelward_collector.stats.forecast import (
    ERRORS_KEPT,
    FEWEST_ERRORS,
    ForecastState,
    Measure,
    Rarity,
    TooLittleHistoryError,
    assess,
    fit,
    forecast,
    update,
)
from modelward_collector.stats.seasonal import HOUR, SHIFT_RUN, Array, Season

START = 1_772_323_200
TEN_MINUTES = 600


def moments(n: int, step: int = HOUR) -> NDArray[np.int64]:
    return START + step * np.arange(n)


def simulated(noise: str, n: int, step: int, seed: int, season: Season = Season.DAY) -> Array:
    rng = np.random.default_rng(seed)
    t = moments(n, step)
    errors = rng.standard_t(3, size=n) if noise == "heavy" else rng.normal(size=n)
    correlation = {"autocorrelated": 0.7, "wandering": 1.0}.get(noise, 0.0)
    for i in range(1, n):
        errors[i] += correlation * errors[i - 1]
    hour, day = t / HOUR % 24, t // 86_400 % 7
    shape = 3 * np.sin(2 * np.pi * hour / 24) + 1.5 * np.cos(4 * np.pi * hour / 24)
    if season is Season.WEEK:
        shape = np.where((day == 2) | (day == 3), 0.3 * shape - 2, shape)
    return 10 + errors + (0 if season is Season.NONE else shape)


def followed(
    values: Array, step: int, horizon: int, learned: int, measure: Measure
) -> tuple[dict[float, float], Array]:
    """Shares of later points within each band of the forecast `horizon` steps ahead, and the p-values of all."""
    t = moments(len(values), step)
    state = fit(t[:learned], values[:learned], step, horizon, measure=measure)
    within: dict[float, list[bool]] = {}
    p_values = []
    for i in range(learned, len(values)):
        p_values.append(assess(state, int(t[i]), values[i]).p_value)
        if i + horizon - 1 < len(values):
            for coverage, (low, high) in forecast(state, horizon).bands.items():
                within.setdefault(coverage, []).append(bool(low <= values[i + horizon - 1] <= high))
        state = update(state, int(t[i]), values[i])
    return {coverage: float(np.mean(inside)) for coverage, inside in within.items()}, np.array(p_values)


@pytest.mark.parametrize(
    ("noise", "season", "step", "horizon", "learned"),
    [
        ("normal", Season.NONE, HOUR, 1, 672),
        ("normal", Season.WEEK, HOUR, 1, 672),
        ("normal", Season.DAY, HOUR, 1, 100),
        ("heavy", Season.DAY, HOUR, 1, 672),
        ("autocorrelated", Season.DAY, HOUR, 3, 672),
        ("autocorrelated", Season.DAY, TEN_MINUTES, 6, 600),
        ("wandering", Season.DAY, HOUR, 1, 672),
    ],
)
def test_bands_cover_what_they_say_and_alarms_are_as_rare_as_they_say(
    noise: str, season: Season, step: int, horizon: int, learned: int
) -> None:
    covered, p_values = [], []
    for seed in range(4):
        shares, ps = followed(
            simulated(noise, learned + 500, step, seed, season), step, horizon, learned, Measure.NUMBER
        )
        covered.append((shares[0.8], shares[0.95]))
        p_values.append(ps)
    # 2,000 points, and errors that hang together: two and a half points are about three standard errors.
    eighty, ninety_five = np.mean(covered, axis=0)
    assert eighty == pytest.approx(0.80, abs=0.04)
    assert ninety_five == pytest.approx(0.95, abs=0.02)
    rare = np.concatenate(p_values)
    assert 0.03 <= np.mean(rare < 0.05) <= 0.07
    assert 0.003 <= np.mean(rare < 0.01) <= 0.02
    assert np.mean(rare < 0.001) <= 0.004


def test_counts_that_are_mostly_nothing_are_covered_and_never_negative() -> None:
    rng = np.random.default_rng(5)
    values = np.where(rng.random(1500) < 0.15, rng.poisson(6, size=1500), 0).astype(float)
    shares, p_values = followed(values, HOUR, 1, 700, Measure.COUNT)
    assert shares[0.95] >= 0.93
    assert np.mean(p_values < 0.01) <= 0.02
    assert forecast(fit(moments(700), values[:700], HOUR, 1, measure=Measure.COUNT), 1).bands[0.95][0] == 0


def test_shares_stay_within_what_they_can_be() -> None:
    rng = np.random.default_rng(6)
    values = rng.binomial(50, 0.02, size=900) / 50
    state = fit(moments(900), values, HOUR, 1, measure=Measure.SHARE)
    ahead = forecast(state, 1)
    assert 0 <= ahead.bands[0.95][0] <= ahead.bands[0.8][0] <= ahead.median <= ahead.bands[0.8][1] <= 0.2


def test_a_constant_series_is_expected_to_stay_and_any_change_is_news() -> None:
    t = moments(500)
    state = fit(t, np.zeros(500), HOUR, 1, measure=Measure.SHARE)
    ahead = forecast(state, 1)
    assert (ahead.median, *ahead.bands[0.95]) == pytest.approx((0, 0, 0))
    assert assess(state, int(t[-1]) + HOUR, 0.0).p_value == 1
    assert assess(state, int(t[-1]) + HOUR, 0.5).score > 5


def test_too_little_history_is_said_and_not_guessed() -> None:
    values = simulated("normal", 60, HOUR, 1, Season.NONE)
    t = moments(60)
    state = fit(t[:10], values[:10], HOUR, 1)
    with pytest.raises(TooLittleHistoryError, match=f"7 forecasts 1 steps ahead .* {FEWEST_ERRORS} are needed"):
        forecast(state, 1)
    with pytest.raises(TooLittleHistoryError):
        assess(state, int(t[10]), 0.0)
    assert state.points_missing == FEWEST_ERRORS - 7
    for i in range(10, 10 + state.points_missing):
        state = update(state, int(t[i]), values[i])
    assert state.points_missing == 0
    assert forecast(state, 1).bands[0.95][0] < 10 < forecast(state, 1).bands[0.95][1]


def test_no_point_at_all_is_too_little() -> None:
    with pytest.raises(TooLittleHistoryError, match="none of the 2 points"):
        fit(moments(2), np.array([np.nan, np.inf]), HOUR, 1)


@pytest.fixture(scope="module")
def steady() -> ForecastState:
    return fit(moments(672), simulated("normal", 672, HOUR, 3), HOUR, 3)


def test_a_spike_is_an_anomaly_upwards_and_a_drop_one_downwards(steady: ForecastState) -> None:
    following = steady.seconds + HOUR
    expected = assess(steady, following, 0.0).expected
    assert assess(steady, following, expected + 8).score > 3.5
    assert assess(steady, following, expected - 8).score < -3.5
    assert abs(assess(steady, following, expected).score) < 0.5
    assert abs(assess(steady, following, 1e12).score) < 9


def test_after_a_shift_of_level_forecasts_are_of_the_new_one(steady: ForecastState) -> None:
    state = steady
    for i, value in enumerate(simulated("normal", 672 + 12, HOUR, 3)[672:] + 40):
        following = state.seconds + HOUR
        anomaly = assess(state, following, value)
        assert (anomaly.score > 3.5) if i < SHIFT_RUN - 1 else True
        state = update(state, following, value)
    assert abs(anomaly.score) < 3
    ahead = forecast(state, 1)
    assert 40 < ahead.median < 60
    assert ahead.bands[0.95][1] - ahead.bands[0.95][0] < 8, "the way there does not widen the band"


def test_a_trend_is_gone_on_with() -> None:
    values = 0.5 * np.arange(600) + np.random.default_rng(1).normal(size=600)
    assert forecast(fit(moments(600), values, HOUR, 3), 3).median == pytest.approx(0.5 * 602, abs=1.5)


def test_further_ahead_is_less_sure() -> None:
    state = fit(moments(700), np.cumsum(np.random.default_rng(1).normal(size=700)), HOUR, 6)
    low, high = forecast(state, 1).bands[0.95]
    further_low, further_high = forecast(state, 6).bands[0.95]
    assert further_high - further_low > 1.7 * (high - low)
    assert forecast(state, 6).seconds == state.seconds + 6 * HOUR
    with pytest.raises(ValueError, match="forecasts 1 to 6"):
        forecast(state, 7)


def test_what_is_not_a_new_number_changes_nothing(steady: ForecastState) -> None:
    assert update(steady, steady.seconds + HOUR, np.nan) is steady
    assert update(steady, steady.seconds, 3.0) is steady
    with pytest.raises(ValueError, match="not after the newest"):
        assess(steady, steady.seconds, 3.0)


@pytest.mark.parametrize("gap", [2, 3, 4, 100])
def test_gaps_are_stepped_over(steady: ForecastState, gap: int) -> None:
    values = simulated("normal", 672 + 200, HOUR, 3)
    state = steady
    for i in range(672, 675):
        state = update(state, state.seconds + HOUR, values[i])
    following = state.seconds + gap * HOUR
    assert abs(assess(state, following, values[674 + gap]).score) < 3.5
    state = update(state, following, values[674 + gap])
    assert np.isfinite(state.errors[-1]).sum() == max(0, 3 - gap + 1)
    assert abs(forecast(state, 2).median - values[674 + gap + 2]) < 5


def test_an_update_leaves_the_state_before_as_it_was_and_grows_nothing(steady: ForecastState) -> None:
    before = {name: getattr(steady, name).copy() for name in ("errors", "squares", "products", "made")}
    state = steady
    for _ in range(50):
        state = update(state, state.seconds + HOUR, 10.0)
    for name, array in before.items():
        np.testing.assert_array_equal(getattr(steady, name), array)
        assert getattr(state, name).shape == array.shape
    assert len(state.errors) == ERRORS_KEPT


def test_point_by_point_forecasts_as_well_as_a_new_fit() -> None:
    values = simulated("autocorrelated", 1400, HOUR, 8)
    t = moments(1400)
    online = fit(t[:700], values[:700], HOUR, 2)
    for at, value in zip(t[700:].tolist(), values[700:].tolist(), strict=True):
        online = update(online, at, value)
    one, other = forecast(online, 2), forecast(fit(t, values, HOUR, 2), 2)
    assert one.median == pytest.approx(other.median, abs=0.5)
    assert one.bands[0.95] == pytest.approx(other.bands[0.95], abs=0.8)


@pytest.mark.parametrize("measure", list(Measure))
def test_every_measure_can_be_undone(measure: Measure) -> None:
    values = np.array([0.0, 0.01, 0.5, 1.0])
    np.testing.assert_allclose(measure.restore(measure.transform(values)), values, atol=1e-8)


@settings(max_examples=25, deadline=None)
@given(
    values=st.lists(st.floats(-1e9, 1e9) | st.sampled_from([0.0, 1.0, float("nan")]), min_size=2, max_size=120),
    measure=st.sampled_from(Measure),
)
def test_whatever_comes_the_answer_is_a_number_or_too_little_history(values: list[float], measure: Measure) -> None:
    array = np.array(values)
    half = len(values) // 2
    t = moments(len(values))
    try:
        state = fit(t[:half], array[:half], HOUR, 2, measure=measure)
    except TooLittleHistoryError:
        return
    for at, value in zip(t[half:].tolist(), values[half:], strict=True):
        try:
            if np.isfinite(value):
                assert 0 < assess(state, at, value).p_value <= 1
            ahead = forecast(state, 2)
            low, high = ahead.bands[0.95]
            assert low <= ahead.median <= high
        except TooLittleHistoryError:
            pass
        state = update(state, at, value)


def test_rare_points_that_are_not_so_rare_make_later_p_values_larger_and_never_smaller() -> None:
    rng = np.random.default_rng(7)
    uniform = Rarity().seen(rng.random(4_000))
    for p in (0.9, 0.2, 0.04, 1e-3, 1e-6):
        assert p <= uniform.calibrated(p) <= 1.6 * p

    # A tail whose excess is twice what is nominal: of such points p < 0.001 came in one of 140 times, not of 1,000.
    heavy = np.where(rng.random(20_000) < 0.05, 0.05 * np.exp(-2 * rng.exponential(size=20_000)), 0.5)
    learned = Rarity().seen(heavy)
    calibrated = np.array([learned.calibrated(float(p)) for p in heavy])
    assert np.mean(heavy < 1e-3) > 5e-3
    assert np.mean(calibrated < 1e-3) <= 2e-3
    order = np.sort(heavy)
    assert (np.diff([learned.calibrated(float(p)) for p in order]) >= 0).all()


def test_one_outage_does_not_teach_that_outages_are_common() -> None:
    learned = Rarity().seen(np.random.default_rng(7).random(1_000)).seen(np.full(3, 1e-15))
    assert learned.calibrated(1e-12) < 1e-7


def test_of_real_noise_with_stormy_days_few_points_alarm() -> None:
    """Every tenth day the noise is three times as large; what is nominal is one in a thousand."""
    rng = np.random.default_rng(11)
    seconds = np.arange(200 * 24) * 3_600
    storm = np.repeat(rng.random(200) < 0.1, 24)
    values = 10 + np.where(storm, 3.0, 1.0) * rng.normal(size=len(seconds))
    state = fit(seconds[:1_200], values[:1_200], 3_600, 1)
    alarms = 0
    for at, value in zip(seconds[1_200:].tolist(), values[1_200:].tolist(), strict=True):
        alarms += assess(state, at, value).p_value < 1e-3
        state = update(state, at, value)
    assert alarms / (len(seconds) - 1_200) <= 3e-3
    assert assess(state, int(seconds[-1]) + 3_600, 40.0).p_value < 1e-5


def test_a_value_after_a_gap_is_judged_with_wider_errors() -> None:
    rng = np.random.default_rng(3)
    seconds, values = np.arange(600) * 3_600, rng.normal(size=600)
    state = fit(seconds, values, 3_600, 1)
    last = int(seconds[-1])
    scores = [assess(state, last + hours * 3_600, 4.0).score for hours in (1, 4, 9, 50)]
    assert scores[0] > scores[1] > scores[2]
    assert scores[2] == pytest.approx(scores[3], rel=0.2)
