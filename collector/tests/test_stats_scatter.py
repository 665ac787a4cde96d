"""What the reference's own windows teach: nothing from chance, and enough from a pattern."""

from collections.abc import Iterable

import numpy as np
import pytest
from numpy.typing import ArrayLike
from scipy import stats

from modelward_agent.profile import CategoricalSketch, FeatureProfile, NumericSketch
from modelward_collector.stats.feature import FeatureScatter, FeatureView, compare
from modelward_collector.stats.feature_scatter import feature_scatter
from modelward_collector.stats.normal import two_sided_quantile
from modelward_collector.stats.scatter import margin, process_distance, process_gap, process_sd

LEVEL = 0.01 / 30


def numbers(values: ArrayLike) -> FeatureProfile:
    feature = FeatureProfile()
    feature.numeric = NumericSketch()
    feature.numeric.update(np.asarray(values, dtype=np.float64))
    return feature


def strings(values: Iterable[str]) -> FeatureProfile:
    feature = FeatureProfile()
    feature.categorical = CategoricalSketch()
    feature.categorical.update(values)
    return feature


def merged(features: Iterable[FeatureProfile]) -> FeatureView:
    total = FeatureProfile()
    for feature in features:
        total.merge(feature)
    return FeatureView.of(total)


def test_chance_alone_teaches_nothing_nine_times_of_ten() -> None:
    draw = np.random.default_rng(1)
    runs = 2_000
    learned = sum(process_sd(draw.normal(0, 0.1, 20), np.full(20, 0.01), 0.0, LEVEL) > 0 for _ in range(runs))
    assert learned <= stats.binom.ppf(0.999, runs, 0.1)


@pytest.mark.parametrize("windows", [7, 14, 28, 100])
def test_the_next_window_of_a_varying_process_stays_within_what_was_learned(windows: int) -> None:
    """Normal day effects, ten times the sampling noise: exceeded about as rarely as the level says."""
    draw = np.random.default_rng(2)
    runs = 4_000
    exceeded = 0
    for _ in range(runs):
        days = draw.normal(0, 1, windows + 1) + draw.normal(0, 0.1, windows + 1)
        sd = process_sd(days[:-1], np.full(windows, 0.01), days[:-1].mean(), LEVEL)
        exceeded += abs(days[-1] - days[:-1].mean()) > two_sided_quantile(LEVEL) * np.hypot(sd, 0.1)
    # The cap that a pattern's bounded deviations give costs some of the level from few windows, never much.
    assert exceeded / runs < 0.005


def test_a_weekend_is_within_what_two_weeks_taught_and_thrice_as_far_is_not() -> None:
    weekend = np.tile([0.0, 0, 0, 0, 0, 1, 1], 2)
    sd = process_sd(weekend, np.full(14, 1e-4), weekend.mean(), LEVEL)
    allowed = two_sided_quantile(LEVEL) * sd
    deviation = 1 - weekend.mean()
    assert deviation < allowed < 3.1 * deviation


def test_a_day_like_the_oddest_of_the_reference_is_allowed_however_rare() -> None:
    odd = np.zeros(60)
    odd[17] = 1.0
    allowed = two_sided_quantile(LEVEL) * process_sd(odd, np.full(60, 1e-4), 0.0, LEVEL)
    assert allowed == pytest.approx(1.0, abs=0.01)


def test_fewer_than_three_windows_teach_nothing() -> None:
    far = np.array([0.0, 9.0])
    assert process_sd(far, np.full(2, 1e-4), 0.0, LEVEL) == 0
    assert process_gap(far, np.full(2, 1e-4)) == 0
    assert process_distance(far, 3, np.full(2, 1e-4)) == 0
    assert feature_scatter(merged([numbers([1.0, 2.0])]), [numbers([1.0]), numbers([2.0])], LEVEL) == FeatureScatter()


def test_little_beyond_noise_counts_where_windows_are_known_to_vary() -> None:
    noises = np.full(14, 1e-3)
    within_noise = np.sqrt(0.9 * noises)  # of noise alone the mean square is 0.82 of it
    assert process_gap(within_noise, noises, LEVEL) == 0
    assert 0 < process_gap(within_noise, noises, LEVEL, varies=True) < 3 * within_noise[0]
    assert process_gap(np.sqrt(0.8 * noises), noises, LEVEL, varies=True) == 0
    assert process_distance(10 * noises, 9, noises, LEVEL) == 0
    assert 0 < process_distance(10 * noises, 9, noises, LEVEL, varies=True) < 5 * np.sqrt(noises[0])
    means = np.tile([0.03, -0.03], 7)
    assert process_sd(means, np.full(14, 8e-4), 0.0, LEVEL) == 0
    assert 0 < process_sd(means, np.full(14, 8e-4), 0.0, LEVEL, varies=True) < 0.03


def test_two_measures_that_show_it_tell_the_others_that_windows_vary() -> None:
    """Seldom by chance alone (1 of 400 such draws, this one) a feature's gaps hide what its distances show."""
    draw = np.random.default_rng(392)

    def window(shift: float) -> FeatureProfile:
        return numbers(np.where(draw.random(450) < 0.7, 0.0, draw.exponential(size=450) * np.exp(shift)))

    windows = [window(shift) for shift in draw.normal(0, 0.2, 13)]
    reference = merged(windows)
    scatter = feature_scatter(reference, windows, LEVEL)
    assert scatter.distance > 0
    assert compare(reference, FeatureView.of(window(draw.normal(0, 0.2))), scatter).p > LEVEL


def test_the_margin_shrinks_with_what_is_known() -> None:
    assert margin(3) == 3
    assert margin(1_000) == pytest.approx(1.262)


def test_a_weekly_pattern_of_the_reference_is_not_drift_and_more_than_it_is() -> None:
    draw = np.random.default_rng(3)
    days = [numbers(draw.normal(0.8 * (day % 7 > 4), 1, 3_000)) for day in range(28)]
    reference = merged(days)
    scatter = feature_scatter(reference, days, LEVEL)
    monday, saturday, shifted = (FeatureView.of(numbers(draw.normal(mean, 1, 3_000))) for mean in (0, 0.8, 1.8))

    assert compare(reference, saturday).p < 1e-50
    assert compare(reference, saturday, scatter).p > LEVEL
    assert compare(reference, monday, scatter).p > LEVEL
    assert compare(reference, shifted, scatter).p < LEVEL / 10


def test_a_weekly_pattern_of_categories_is_not_drift() -> None:
    draw = np.random.default_rng(4)

    def day(leisure: float) -> FeatureProfile:
        return strings(draw.choice(["work", "leisure", "travel"], 2_000, p=[0.9 - leisure, leisure, 0.1]))

    days = [day(0.5 if number % 7 > 4 else 0.1) for number in range(28)]
    reference = merged(days)
    scatter = feature_scatter(reference, days, LEVEL)
    assert compare(reference, FeatureView.of(day(0.5))).p < 1e-50
    assert compare(reference, FeatureView.of(day(0.5)), scatter).p > LEVEL
    assert compare(reference, FeatureView.of(day(0.89)), scatter).p < LEVEL / 10


def test_missing_values_that_come_and_go_in_the_reference_are_not_drift() -> None:
    draw = np.random.default_rng(5)

    def day(share: float) -> FeatureProfile:
        feature = numbers(draw.normal(size=2_000))
        feature.missing = int(share * 2_000)
        return feature

    days = [day(share) for share in draw.uniform(0, 0.1, 28)]
    reference = merged(days)
    scatter = feature_scatter(reference, days, LEVEL)
    assert compare(reference, FeatureView.of(day(0.1))).p < LEVEL
    assert compare(reference, FeatureView.of(day(0.1)), scatter).p > LEVEL
    assert compare(reference, FeatureView.of(day(0.5)), scatter).p < LEVEL
