"""At which lengths a check looks: the hour, day and week that are over, as far as the reference tells hours apart."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelward_collector.checks.drift_looks import DAY, HOUR, SHARES, WEEK, Length, lengths_of
from modelward_collector.models import Checks, DriftCheck, ModelSpec, ReferenceFile, ReferenceRolling, ReferenceSpan
from modelward_collector.span import Span

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LAST_DAY = Span(NOON - DAY, NOON)
LONG_AGO = NOON - 90 * DAY

ROLLING = ModelSpec(model="delay")
BY_FILE = ModelSpec(model="delay", reference=ReferenceFile.model_construct(kind="file", path=Path(__file__)))


def lengths(found: list[Length]) -> list[timedelta]:
    return [one.span.length for one in found]


def looked_at(spec: ModelSpec, born: datetime | None = LONG_AGO, *, known: list[Span] | None = None) -> list[Length]:
    return list(lengths_of(spec, LAST_DAY, born, known))


def windows_of(length: timedelta, number: int) -> list[Span]:
    start = LONG_AGO
    return [Span(start + n * length, start + (n + 1) * length) for n in range(number)]


def test_by_default_the_last_hour_day_and_week_share_one_false_alarm_rate() -> None:
    found = looked_at(ROLLING)
    assert lengths(found) == [HOUR, DAY, WEEK]
    assert [one.share for one in found] == list(SHARES.values())
    assert math.isclose(sum(one.share for one in found), 1.0)
    assert [one.trends for one in found] == [False, True, False]


@given(minutes=st.integers(0, 2 * 24 * 60))
def test_hours_are_whole_hours_and_days_whole_days_that_are_over(minutes: int) -> None:
    asked = Span(NOON - DAY + timedelta(minutes=minutes), NOON + timedelta(minutes=minutes))
    hour, day, week = lengths_of(ROLLING, asked, LONG_AGO)
    assert (hour.span.end.minute, day.span.end.hour, week.span.end) == (0, 0, day.span.end)
    assert asked.end - HOUR < hour.span.end <= asked.end
    assert asked.end - DAY < day.span.end <= asked.end


@pytest.mark.parametrize(
    ("age", "wanted"),
    [
        (timedelta(minutes=5), [HOUR]),
        (timedelta(hours=23), [HOUR]),
        (timedelta(hours=37), [HOUR, DAY]),
        (timedelta(days=14), [HOUR, DAY]),
        (timedelta(days=15), [HOUR, DAY, WEEK]),
    ],
)
def test_a_young_version_is_looked_at_in_as_much_as_it_has(age: timedelta, wanted: list[timedelta]) -> None:
    assert lengths(looked_at(ROLLING, NOON - age)) == wanted


def test_a_version_that_was_never_seen_is_looked_at_as_if_it_were_old() -> None:
    assert lengths(looked_at(ROLLING, None)) == [HOUR, DAY, WEEK]


def test_a_length_that_was_chosen_is_looked_at_alone() -> None:
    spec = ModelSpec(model="delay", checks=Checks(drift=DriftCheck(window=6 * HOUR)))
    asked = Span(NOON - 6 * HOUR, NOON)
    assert list(lengths_of(spec, asked, LONG_AGO)) == [Length(asked, 1.0)]
    assert list(lengths_of(spec, asked, NOON - HOUR)) == [Length(Span(NOON - HOUR, NOON), 1.0)]


def test_a_version_younger_than_the_moment_asked_for_has_no_time_at_all() -> None:
    spec = ModelSpec(model="delay", checks=Checks(drift=DriftCheck(window=DAY)))
    assert list(lengths_of(spec, LAST_DAY, NOON + HOUR)) == [Length(Span(NOON, NOON), 1.0)]


@pytest.mark.parametrize(
    ("spec", "known", "wanted"),
    [
        (ModelSpec(model="delay", reference=ReferenceRolling(kind="rolling", window=6 * DAY)), None, [DAY]),
        (ModelSpec(model="delay", reference=ReferenceRolling(kind="rolling", window=WEEK)), None, [HOUR, DAY, WEEK]),
        (
            ModelSpec(model="delay", reference=ReferenceSpan(kind="span", start=LONG_AGO, end=LONG_AGO + 6 * DAY)),
            None,
            [DAY],
        ),
        (
            ModelSpec(model="delay", reference=ReferenceSpan(kind="span", start=LONG_AGO, end=LONG_AGO + WEEK)),
            None,
            [HOUR, DAY, WEEK],
        ),
        (BY_FILE, None, [DAY]),
        (BY_FILE, [], [DAY]),
        (BY_FILE, windows_of(DAY, 28), [DAY]),
        (BY_FILE, windows_of(HOUR, 6 * 24), [DAY]),
        (BY_FILE, windows_of(HOUR, 7 * 24), [HOUR, DAY, WEEK]),
    ],
)
def test_where_the_reference_does_not_tell_hours_apart_for_a_week_the_day_is_looked_at_alone(
    spec: ModelSpec, known: list[Span] | None, wanted: list[timedelta]
) -> None:
    assert lengths(looked_at(spec, known=known)) == wanted
