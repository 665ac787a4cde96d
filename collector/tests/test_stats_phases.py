"""Kinds of days are learnt where days differ, and windows unlike the others are named, up to a quarter of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from modelward_collector.stats.phases import (
    ALL_ALIKE,
    EACH_DAY,
    ODD_SHARE,
    WEEKEND,
    Partition,
    odd_windows,
    partition_of,
    said,
    two_kinds,
)

Values = NDArray[np.float64]

SAMPLED = 0.03**2
"""The sampling variance of each window's characteristic: that of the mean of 1,000 rows."""


def a_month(first: int = 0, days: int = 28) -> NDArray[np.int64]:
    return np.array([(first + day) % 7 for day in range(days)], dtype=np.int64)


def drawn(days: NDArray[np.int64], seed: int, level: Callable[[int], float], columns: int = 1) -> Values:
    """Windows that scatter as they sample, about the level of their day."""
    chance = np.random.default_rng(seed).normal(0.0, np.sqrt(SAMPLED), (len(days), columns))
    chance[:, 0] += [level(day) for day in days.tolist()]
    return chance


def kinds_of(values: Values, days: NDArray[np.int64]) -> Partition:
    return partition_of(values, np.full(values.shape, SAMPLED), days, float(len(days)))


def odd_of(
    values: Values, days: NDArray[np.int64], partition: Partition = ALL_ALIKE, trivial: float = 0.06
) -> set[int]:
    beyond = odd_windows(values, np.full(values.shape, SAMPLED), days, partition, np.full(values.shape[1], trivial))
    return set(np.flatnonzero(beyond.max(axis=1) > 0).tolist())


# -- kinds of days ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("kind", "named"),
    [(WEEKEND, "weekends"), ((4, 5), "Fridays and Saturdays"), ((0,), "Mondays"), ((6,), "Sundays")],
)
def test_kinds_of_days_that_differ_are_learnt_from_four_weeks(kind: tuple[int, ...], named: str) -> None:
    days = a_month()
    for seed in range(10):
        learnt = kinds_of(drawn(days, seed, lambda day: 1.0 * (day in kind), columns=5), days)
        assert learnt == two_kinds(kind)
        assert said(learnt.of(kind[0])) == named


def test_days_that_all_differ_are_each_a_kind() -> None:
    days = a_month(days=56)
    for seed in range(5):
        assert kinds_of(drawn(days, seed, lambda day: 0.7 * ((3 * day) % 7)), days) == EACH_DAY


def test_of_days_that_do_not_differ_no_kinds_are_learnt() -> None:
    days = a_month()
    assert sum(kinds_of(drawn(days, seed, lambda day: 0.0, columns=8), days).matters for seed in range(300)) <= 3


def test_days_that_vary_from_one_to_the_next_are_of_no_kind() -> None:
    days = a_month()
    learnt = 0
    for seed in range(200):
        weather = np.random.default_rng([9, seed]).normal(0.0, 1.0, len(days))
        learnt += kinds_of(drawn(days, seed, lambda day: 0.0) + weather[:, None], days).matters
    assert learnt <= 4


@pytest.mark.parametrize("odd", [5, 6, 0, 16])
def test_one_odd_day_makes_no_kind(odd: int) -> None:
    days = a_month()
    for seed in range(10):
        values = drawn(days, seed, lambda day: 0.0, columns=5)
        values[odd] += 5.0
        assert kinds_of(values, days) == ALL_ALIKE


def test_two_odd_mondays_of_four_make_no_kind() -> None:
    days = a_month()
    for seed in range(10):
        values = drawn(days, seed, lambda day: 0.0, columns=5)
        values[[0, 14]] += 5.0
        assert kinds_of(values, days) == ALL_ALIKE


@pytest.mark.parametrize(
    "odd",
    [
        {8: 1.0, 12: -1.0, 19: 1.0, 20: -1.0},
        {2: 1.0, 12: -1.0, 17: 1.0, 20: -1.0, 21: 1.0, 22: 1.0, 23: -1.0},
        {1: 2.0, 3: -2.0, 6: -2.0, 20: -2.0, 26: 2.0},
    ],
)
def test_weekends_are_learnt_though_three_of_eight_are_odd(odd: dict[int, float]) -> None:
    days = a_month()
    for seed in range(10):
        values = drawn(days, seed, lambda day: 0.5 * (day in WEEKEND))
        values[list(odd), 0] += list(odd.values())
        learnt = kinds_of(values, days)
        assert learnt == two_kinds(WEEKEND)
        assert odd_of(values, days, learnt) == set(odd)


def test_of_kinds_the_one_is_learnt_that_leaves_fewest_windows_unexplained() -> None:
    """Sundays with three odd Mondays of four lie further apart from the rest than weekends do."""
    days, odd = a_month(), [4, 7, 10, 12, 14, 21, 24]
    for seed in range(10):
        values = drawn(days, seed, lambda day: 0.5 * (day in WEEKEND), columns=6)
        values[odd, 0] += 3.0
        assert kinds_of(values, days) == two_kinds(WEEKEND)


@pytest.mark.parametrize("number", [5, 7, 8, 9])
def test_from_few_days_no_kind_is_learnt(number: int) -> None:
    days = a_month(first=2, days=number)
    assert kinds_of(drawn(days, 1, lambda day: 3.0 * (day in WEEKEND)), days) == ALL_ALIKE


def test_weekends_are_learnt_once_there_were_two() -> None:
    days = a_month(days=14)
    assert kinds_of(drawn(days, 1, lambda day: 2.0 * (day in WEEKEND)), days) == two_kinds(WEEKEND)


def test_a_kind_that_never_came_is_not_learnt_from_half_of_it() -> None:
    days = np.array([day for day in a_month(days=42).tolist() if day != 6], dtype=np.int64)
    learnt = kinds_of(drawn(days, 1, lambda day: 2.0 * (day == 5)), days)
    assert learnt == two_kinds((5,))


def test_a_column_that_does_not_apply_tells_of_no_kind() -> None:
    days = a_month()
    values = np.column_stack([drawn(days, 1, lambda day: 0.0), np.full(len(days), np.nan)])
    assert kinds_of(values, days) == ALL_ALIKE


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (range(7), "days"),
        (WEEKEND, "weekends"),
        (range(5), "weekdays"),
        ((2,), "Wednesdays"),
        ((6, 0, 1, 2, 3), "Sundays to Thursdays"),
        ((1, 2, 3, 4, 5), "Tuesdays to Saturdays"),
        ((4, 5), "Fridays and Saturdays"),
    ],
)
def test_kinds_are_said_as_people_do(kind: Sequence[int], words: str) -> None:
    assert said(kind) == words


@pytest.mark.parametrize("partition", [ALL_ALIKE, EACH_DAY, two_kinds(WEEKEND), two_kinds((6, 0))])
def test_each_day_is_of_one_kind(partition: Partition) -> None:
    assert sorted(day for kind in partition.kinds for day in kind) == list(range(7))
    assert all(day in partition.of(day) for day in range(7))


# -- odd windows --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("number", [1, 3, 7])
@pytest.mark.parametrize("size", [1.0, 3.0])
def test_odd_windows_are_named_up_to_a_quarter(number: int, size: float) -> None:
    days = a_month()
    for seed in range(10):
        odd = {(3 + 4 * index) % 28 for index in range(number)}
        values = drawn(days, seed, lambda day: 0.0)
        values[sorted(odd), 0] += size
        assert odd_of(values, days) == odd


def test_more_than_a_quarter_is_how_the_feature_varies() -> None:
    days = a_month()
    values = drawn(days, 1, lambda day: 0.0)
    values[[0, 3, 6, 9, 12, 15, 18, 21], 0] += 4.0
    assert ODD_SHARE < 8 / 28
    assert odd_of(values, days) == set()


def test_several_odd_windows_stand_apart_from_all_others_or_are_the_tail_of_them() -> None:
    """Days of fog are of all degrees; of outages none is small."""
    days = a_month()
    for seed in range(10):
        values = drawn(days, seed, lambda day: 0.0)
        values[[2, 9], 0] -= 2.0
        assert odd_of(values, days) == {2, 9}
        values[[5, 13, 20, 24], 0] -= [0.16, 0.35, 0.7, 1.3]
        assert odd_of(values, days) == set()
        values[[2, 9], 0] -= 4.0
        assert odd_of(values, days) == {2, 9}
        values[27, 0] += 4.0  # on the other side it is alone
        assert odd_of(values, days) == {2, 9, 27}


def test_windows_of_which_half_differ_more_or_less_are_not_odd() -> None:
    """The same on most days, as far as one can see, and never the same on the others."""
    days = a_month()
    odd = 0
    for seed in range(100):
        rain = np.random.default_rng([8, seed])
        fell = np.where(rain.random(len(days)) < 0.45, rain.exponential(1.0, len(days)), 0.0)
        odd += len(odd_of(drawn(days, seed, lambda day: 0.0) + fell[:, None], days))
    assert odd <= 0.03 * 100 * len(days)


def test_more_than_a_quarter_odd_in_one_thing_hides_no_odd_window_in_another() -> None:
    days = a_month()
    values = drawn(days, 1, lambda day: 0.0, columns=2)
    values[[0, 3, 6, 9, 12, 15, 18, 21], 0] += 4.0
    values[10, 1] += 4.0
    assert odd_of(values, days) == {10}


@pytest.mark.parametrize("day", range(7))
def test_all_windows_of_one_day_of_the_week_are_never_odd(day: int) -> None:
    days = a_month()
    values = drawn(days, 1, lambda one: 4.0 * (one == day))
    assert odd_of(values, days) == set()


def test_three_windows_of_one_day_of_the_week_are_odd_when_the_fourth_is_as_the_rest() -> None:
    days = a_month()
    values = drawn(days, 1, lambda one: 0.0)
    values[[1, 8, 15], 0] += 4.0
    assert odd_of(values, days) == {1, 8, 15}


def test_a_window_is_odd_among_those_of_its_own_kind() -> None:
    days = a_month()
    values = drawn(days, 1, lambda one: 2.0 * (one in WEEKEND))
    values[12, 0] -= 2.0  # a Saturday like a weekday
    assert odd_of(values, days, two_kinds(WEEKEND)) == {12}


def test_what_is_trivial_is_never_odd() -> None:
    days = a_month()
    values = drawn(days, 1, lambda one: 0.0)
    values[4, 0] += 3.0
    assert odd_of(values, days, trivial=5.0) == set()
    assert odd_of(values, days, trivial=2.0) == {4}


@pytest.mark.parametrize("number", [2, 5])
def test_of_few_windows_none_is_odd(number: int) -> None:
    days = a_month(days=number)
    values = drawn(days, 1, lambda one: 0.0)
    values[0, 0] += 50.0
    assert odd_of(values, days) == set()


def test_unchanged_windows_are_hardly_ever_odd() -> None:
    days = a_month()
    flagged = sum(bool(odd_of(drawn(days, seed, lambda one: 0.0, columns=8), days, trivial=0.0)) for seed in range(300))
    assert flagged <= 3


def test_windows_that_vary_from_one_to_the_next_are_hardly_ever_odd() -> None:
    days = a_month()
    flagged = 0
    for seed in range(300):
        weather = np.random.default_rng([9, seed]).normal(0.0, 1.0, (len(days), 1))
        flagged += bool(odd_of(drawn(days, seed, lambda one: 0.0) + weather, days))
    assert flagged <= 6


def test_a_window_of_few_rows_is_as_uncertain_as_its_rows_make_it() -> None:
    days = a_month()
    values = drawn(days, 1, lambda one: 0.0)
    values[3, 0] = 0.8
    variances = np.full(values.shape, SAMPLED)
    trivial = np.full(1, 0.06)
    assert odd_windows(values, variances, days, ALL_ALIKE, trivial)[3, 0] > 0
    variances[3] = 0.5
    assert not odd_windows(values, variances, days, ALL_ALIKE, trivial).any()
