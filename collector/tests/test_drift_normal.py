"""What a window is compared with: its like, without odd windows; and what is not known yet, said and allowed for."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.tests.columns import column
from modelward_agent.profile import FeatureProfile
from modelward_collector.checks.drift_normal import (
    KIND_UNSEEN_FLOOR,
    LEARNT_WINDOWS,
    ONCE_FLOOR,
    UNSEEN_FLOOR,
    Normal,
    day_of,
    normal_of,
)
from modelward_collector.span import Span
from modelward_collector.stats.effect import FLOOR
from modelward_collector.stats.feature import FeatureView, compare
from modelward_collector.stats.phases import ALL_ALIKE, WEEKEND, two_kinds

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
LEVEL = 0.01 / 30
"""What one of 30 features may use of the false alarm rate."""

Windows = list[tuple[Span, FeatureProfile]]
Level = Callable[[Span], float]


def unchanged(_: Span) -> float:
    return 0.0


def higher_at_weekends(span: Span) -> float:
    return 0.5 * (day_of(span, frozenset()) in WEEKEND)


def days_from(start: datetime, number: int, length: timedelta = DAY) -> list[Span]:
    return [Span(start + day * DAY, start + day * DAY + length) for day in range(number)]


def drawn(spans: Sequence[Span], level: Level, seed: int, rows: int = 2_000) -> Windows:
    rng = np.random.default_rng(seed)
    return [(span, column(rng.normal(level(span), 1.0, rows))) for span in spans]


def p_of(normal: Normal, shift: float, seed: int, rows: int = 10_000) -> float:
    now = FeatureView.of(column(np.random.default_rng([seed, 77]).normal(shift, 1.0, rows)))
    return compare(normal.view, now, normal.scatter, normal.floor).p


# -- like with like -----------------------------------------------------------------------------------------------
def test_a_weekday_is_compared_with_weekdays_and_a_weekend_with_weekends_where_they_differ() -> None:
    windows = drawn(days_from(MONDAY, 28), higher_at_weekends, seed=1)
    tuesday, saturday = (Span(MONDAY + n * DAY, MONDAY + (n + 1) * DAY) for n in (29, 33))
    weekday, weekend = (normal_of(windows, span, LEVEL) for span in (tuesday, saturday))
    assert weekday.partition == weekend.partition == two_kinds(WEEKEND)
    assert weekday.differ
    assert weekday.said(DAY) == "20 weekdays"
    assert weekend.said(DAY) == "8 weekends"
    assert {span.start.weekday() for span in weekend.alike} == {5, 6}
    assert weekday.view.numeric is not None
    assert weekday.view.numeric.mean == pytest.approx(0.0, abs=0.03)
    assert weekend.view.numeric is not None
    assert weekend.view.numeric.mean == pytest.approx(0.5, abs=0.03)


def test_weekdays_are_compared_with_weekdays_also_where_nothing_shows_that_days_differ() -> None:
    windows = drawn(days_from(MONDAY, 28), unchanged, seed=2)
    normal = normal_of(windows, Span(MONDAY + 28 * DAY, MONDAY + 29 * DAY), LEVEL)
    assert not normal.differ
    assert normal.said(DAY) == "20 weekdays"
    assert (normal.floor, normal.missing, normal.learning) == (FLOOR, "", False)


@pytest.mark.parametrize(("number", "compared_with"), [(12, "12 days"), (14, "10 weekdays")])
def test_while_there_were_few_weekends_days_that_do_not_differ_are_compared_with_all(
    number: int, compared_with: str
) -> None:
    windows = drawn(days_from(MONDAY, number), unchanged, seed=2)
    assert normal_of(windows, Span(MONDAY + 14 * DAY, MONDAY + 15 * DAY), LEVEL).said(DAY) == compared_with


def test_weekends_hide_nothing_of_a_weekday() -> None:
    tuesday = Span(MONDAY + 29 * DAY, MONDAY + 30 * DAY)
    found = 0
    for seed in range(20):
        normal = normal_of(drawn(days_from(MONDAY, 28), higher_at_weekends, seed), tuesday, LEVEL)
        found += p_of(normal, 0.2, seed) <= LEVEL
        assert p_of(normal, 0.0, seed) > LEVEL
    assert found >= 19


def test_a_holiday_is_a_sunday() -> None:
    wednesday = Span(MONDAY + 30 * DAY, MONDAY + 31 * DAY)
    windows = drawn(days_from(MONDAY, 28), higher_at_weekends, seed=3)
    holiday = normal_of(windows, wednesday, LEVEL, holidays=frozenset([wednesday.start.date()]))
    assert holiday.said(DAY) == "8 weekends"
    assert normal_of(windows, wednesday, LEVEL, day=6).alike == holiday.alike


def test_of_a_kind_that_came_once_a_window_is_compared_with_all() -> None:
    spans = [span for span in days_from(MONDAY, 26) if span.start.weekday() != 6]
    windows = drawn(spans, lambda span: 2.0 * (span.start.weekday() == 5), seed=4)
    saturdays = [one for one in windows if one[0].start.weekday() == 5]
    assert len(saturdays) == 3
    kept = [one for one in windows if one[0] not in {span for span, _ in saturdays[1:]}]
    normal = normal_of(kept, Span(MONDAY + 33 * DAY, MONDAY + 34 * DAY), LEVEL)
    assert normal.partition == ALL_ALIKE


def test_windows_of_hours_are_said_with_their_hours() -> None:
    at_two = days_from(MONDAY + 14 * HOUR, 28, HOUR)
    windows = drawn(at_two, higher_at_weekends, seed=5)
    normal = normal_of(windows, Span(MONDAY + 28 * DAY + 14 * HOUR, MONDAY + 28 * DAY + 15 * HOUR), LEVEL)
    assert normal.said(HOUR) == "20 weekdays from 14:00 to 15:00"


def test_weeks_are_said_as_stretches_and_have_no_kinds() -> None:
    weeks = [Span(MONDAY + n * 7 * DAY, MONDAY + (n + 1) * 7 * DAY) for n in range(12)]
    normal = normal_of(drawn(weeks, unchanged, seed=6), Span(MONDAY + 84 * DAY, MONDAY + 91 * DAY), LEVEL)
    assert normal.said(7 * DAY) == "12 stretches of 7 days"
    assert normal.partition == ALL_ALIKE


# -- odd windows --------------------------------------------------------------------------------------------------
def with_odd(number: int, size: float, seed: int, rows: int = 2_000) -> tuple[Windows, set[int]]:
    """Weekends half a standard deviation higher, and odd days among the 28, none of them the whole of a weekday."""
    odd = {(3 + 4 * index) % 28 for index in range(number)}
    spans = days_from(MONDAY, 28)
    starts = {spans[index].start for index in odd}
    return drawn(spans, lambda span: higher_at_weekends(span) + size * (span.start in starts), seed, rows), odd


@pytest.mark.parametrize("number", [1, 4, 7])
@pytest.mark.parametrize("size", [1.0, 3.0])
def test_odd_days_are_named_and_left_out_and_leave_the_verdict_its_power(number: int, size: float) -> None:
    tuesday = Span(MONDAY + 29 * DAY, MONDAY + 30 * DAY)
    found = alarms = 0
    runs = 20
    for seed in range(runs):
        windows, odd = with_odd(number, size, seed)
        normal = normal_of(windows, tuesday, LEVEL)
        assert {one.span for one in normal.odd} == {windows[index][0] for index in odd}
        assert not {one.span for one in normal.odd} & set(normal.alike)
        found += p_of(normal, 0.2, seed) <= LEVEL
        alarms += p_of(normal, 0.0, seed) <= LEVEL
    assert found >= runs - 1
    assert alarms == 0


def test_it_is_said_in_what_a_day_is_odd() -> None:
    windows, _ = with_odd(1, 3.0, seed=1)
    gaps = np.where(np.arange(2_000) < 1_000, np.nan, np.random.default_rng(9).normal(size=2_000))
    windows[10] = (windows[10][0], column(gaps))
    normal = normal_of(windows, Span(MONDAY + 28 * DAY, MONDAY + 29 * DAY), LEVEL)
    assert [(one.span.start, one.what) for one in normal.odd] == [
        (MONDAY + 3 * DAY, "mean"),
        (MONDAY + 10 * DAY, "missing"),
    ]
    assert all(one.beyond > 0 for one in normal.odd)


def test_more_odd_days_than_a_quarter_are_how_the_feature_varies() -> None:
    tuesday = Span(MONDAY + 29 * DAY, MONDAY + 30 * DAY)
    for seed in range(5):
        spans = days_from(MONDAY, 28)
        starts = {spans[3 * index].start for index in range(9)}
        windows = drawn(spans, lambda span, starts=starts: 1.0 * (span.start in starts), seed)  # type: ignore[misc]
        normal = normal_of(windows, tuesday, LEVEL)
        assert normal.odd == ()
        assert p_of(normal, 1.0, seed) > LEVEL


def test_odd_days_that_were_put_back_belong_to_the_reference() -> None:
    windows, odd = with_odd(2, 3.0, seed=1)
    first, second = (windows[index][0] for index in sorted(odd))
    tuesday = Span(MONDAY + 29 * DAY, MONDAY + 30 * DAY)
    normal = normal_of(windows, tuesday, LEVEL, put_back=[first])
    assert [one.span for one in normal.odd] == [second]
    assert first in normal.alike
    longer = Span(first.start - HOUR, first.end + HOUR)
    assert normal_of(windows, tuesday, LEVEL, put_back=[longer]).alike == normal.alike
    shorter = Span(first.start + HOUR, first.end)
    assert first not in normal_of(windows, tuesday, LEVEL, put_back=[shorter]).alike


def weeks_of(days: Windows) -> Windows:
    """Stretches of seven days each."""
    weeks = []
    for first in range(0, len(days), 7):
        stretch = FeatureProfile()
        for _, feature in days[first : first + 7]:
            stretch.merge(feature)
        weeks.append((Span(days[first][0].start, days[first + 6][0].end), stretch))
    return weeks


def test_a_week_is_also_compared_with_the_days_of_others_without_odd_ones() -> None:
    days, odd = with_odd(1, 3.0, seed=1)
    (day,) = (days[index][0] for index in odd)
    week = Span(MONDAY + 28 * DAY, MONDAY + 35 * DAY)
    normal = normal_of(weeks_of(days), week, LEVEL, pieces=days)
    assert normal.odd == ()
    assert normal.said(7 * DAY) == "4 stretches of 7 days"
    assert normal.view.numeric is not None
    assert normal.view.numeric.sd > 1.1
    without = normal.without
    assert without is not None
    assert [(one.span, one.what) for one in without.odd] == [(day, "mean")]
    assert without.said(7 * DAY) == "4 stretches of 7 days"
    assert without.view.numeric is not None
    assert without.view.numeric.sd == pytest.approx(np.sqrt(1 + 0.25 * 10 / 49), abs=0.01)

    assert normal_of(weeks_of(days), week, LEVEL, pieces=days, put_back=[day]).without is None
    clean, _ = with_odd(0, 3.0, seed=1)
    assert normal_of(weeks_of(clean), week, LEVEL, pieces=clean).without is None


@pytest.mark.parametrize("number", [1, 2])
def test_weekends_keep_their_share_of_a_week_that_misses_odd_weekdays(number: int) -> None:
    levels = dict.fromkeys([2, 10][:number], 40.0)
    spans = days_from(MONDAY, 14)
    days = drawn(spans, lambda span: levels.get((span.start - MONDAY).days, 10 * higher_at_weekends(span)), seed=3)
    without = normal_of(weeks_of(days), Span(MONDAY + 14 * DAY, MONDAY + 21 * DAY), LEVEL, pieces=days).without
    assert without is not None
    assert [(one.span.start - MONDAY).days for one in without.odd] == list(levels)
    # Each has the day before it in its place, which is the nearest weekday.
    assert [one.instead for one in without.odd] == [spans[day - 1] for day in levels]
    assert without.view.numeric is not None
    assert without.view.numeric.mean == pytest.approx(5 * 2 / 7, abs=0.02)
    assert without.view.rows == 14 * 2_000


def test_the_windows_in_between_stay_in_the_series_that_trends_are_told_from() -> None:
    windows, odd = with_odd(3, 3.0, seed=1)
    normal = normal_of(windows, Span(MONDAY + 28 * DAY, MONDAY + 29 * DAY), LEVEL)
    assert normal.series is not None
    assert list(normal.series.spans) == [span for span, _ in windows]
    assert set(np.flatnonzero(~normal.series.fair).tolist()) == odd


# -- still learning -----------------------------------------------------------------------------------------------
def learnt_on(begun: datetime, span: Span) -> Normal:
    """Of a model that has had traffic of one level since then."""
    stride = max(DAY, span.length)
    starts = []
    start = span.start - stride
    while start >= begun:
        starts.append(start)
        start -= stride
    windows = [(Span(one, one + span.length), ONE_LEVEL) for one in reversed(starts[:28])]
    return normal_of(windows, span, LEVEL, begun=begun)


ONE_LEVEL = column(np.random.default_rng(1).normal(size=100))


@pytest.mark.parametrize(
    ("day", "floor"),
    [
        (0, UNSEEN_FLOOR),
        (1, ONCE_FLOOR),
        (2, KIND_UNSEEN_FLOOR),
        (5, KIND_UNSEEN_FLOOR),
        (6, KIND_UNSEEN_FLOOR),
        (7, 1 / 7),
        (8, 1 / 8),
        (10, 1 / 10),
        (12, 0.5 / 2),
        (13, 0.5 / 3),
        (LEARNT_WINDOWS, FLOOR),
        (27, FLOOR),
    ],
)
def test_the_less_is_known_the_more_is_allowed(day: int, floor: float) -> None:
    span = Span(MONDAY + day * DAY + 9 * HOUR, MONDAY + day * DAY + 10 * HOUR)
    assert learnt_on(MONDAY + 9 * HOUR, span).floor == floor


def test_what_is_complete_as_it_was_given_has_nothing_to_learn() -> None:
    windows = drawn(days_from(MONDAY, 2), unchanged, seed=1)
    normal = normal_of(windows, Span(MONDAY + 2 * DAY, MONDAY + 3 * DAY), LEVEL, begun=None)
    assert (normal.floor, normal.missing) == (FLOOR, "")


def test_other_hours_tell_only_of_what_is_gross() -> None:
    windows = drawn(days_from(MONDAY, 5, HOUR), unchanged, seed=1)
    span = Span(MONDAY + 5 * DAY + 7 * HOUR, MONDAY + 5 * DAY + 8 * HOUR)
    assert normal_of(windows, span, LEVEL, begun=MONDAY, same_hours=False).floor == UNSEEN_FLOOR


def test_it_is_said_from_when_on_it_is_known() -> None:
    thursday = datetime(2026, 1, 8, 15, tzinfo=UTC)

    def missing(start: datetime, length: timedelta = HOUR) -> str:
        return learnt_on(thursday, Span(start, start + length)).missing

    assert (
        missing(thursday.replace(day=10, hour=14))
        == "weekends from 14:00 to 15:00 are known from Saturday 17 January on"
    )
    assert (
        missing(thursday.replace(day=9, hour=16))
        == "weekdays from 16:00 to 17:00 are known from Thursday 15 January on"
    )
    assert missing(thursday.replace(day=10, hour=0), DAY) == "weekends are known from Saturday 17 January on"
    assert missing(thursday.replace(day=15, hour=0), 7 * DAY) == "stretches of 7 days are known from 22 January on"


SAID = re.compile(r"(weekends|weekdays)(?: from (\d\d:\d\d) to (\d\d:\d\d))? are known from (\w+) (\d+) (\w+) on")


@settings(max_examples=150, deadline=None)
@given(
    begun=st.integers(0, 14 * 24 - 1),
    later=st.integers(0, 24 * 9),
    length=st.sampled_from([HOUR, 3 * HOUR, DAY]),
)
def test_it_is_known_on_the_day_that_was_said_and_not_before(begun: int, later: int, length: timedelta) -> None:
    """By brute force, over first rows at all hours of two weeks: each later day of its kind is tried at that hour."""
    first = MONDAY + begun * HOUR
    start = first + later * HOUR
    if length == DAY:
        start = start.replace(hour=0)
        start += DAY if start < first else timedelta(0)
    normal = learnt_on(first, Span(start, start + length))
    if not normal.learning:
        return
    found = SAID.fullmatch(normal.missing)
    assert found is not None, normal.missing
    weekend = day_of(Span(start, start + length), frozenset()) in WEEKEND
    assert found[1] == ("weekends" if weekend else "weekdays")
    assert (found[2] is None) == (length == DAY)
    day = start
    while True:
        day += DAY
        span = Span(day, day + length)
        if (day_of(span, frozenset()) in WEEKEND) == weekend and not learnt_on(first, span).learning:
            break
    assert found[4] == f"{day:%A}"
    assert (found[5], found[6]) == (str(day.day), f"{day:%B}")


def test_a_phase_is_known_once_it_was_seen_twice_and_a_week_is_over() -> None:
    for first in (MONDAY + hour * HOUR for hour in range(0, 7 * 24, 5)):
        for ahead in range(3, 24 * 16, 17):
            start = first + ahead * HOUR
            span = Span(start, start + HOUR)
            seen = [start - n * DAY for n in range(1, ahead // 24 + 1)]
            twice = sum((one.weekday() in WEEKEND) == (start.weekday() in WEEKEND) for one in seen) >= 2
            assert learnt_on(first, span).learning == (not (twice and ahead >= 7 * 24))
