"""Cron expressions: what they mean, when they are due, over changes of the clock too, and what is none."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from modelward_collector.crontab import MACROS, Crontab, CrontabError, CrontabTrigger

BERLIN = ZoneInfo("Europe/Berlin")
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def due(expression: str, after: datetime, zone: ZoneInfo = BERLIN) -> Iterator[datetime]:
    """As APScheduler asks for it."""
    trigger = CrontabTrigger(Crontab.parse(expression), zone)
    previous = None
    while True:
        previous = trigger.get_next_fire_time(previous, after)
        yield previous


def shown(expression: str, after: str, count: int, zone: str = "UTC") -> list[str]:
    place = ZoneInfo(zone)
    moments = islice(due(expression, datetime.fromisoformat(after).replace(tzinfo=place), place), count)
    return [f"{moment.astimezone(place):%a %d %b %H:%M}" for moment in moments]


# -- what they mean ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        # 29 November 2026 is a Sunday.
        ("0 6 * * 0", ["Sun 29 Nov 06:00", "Sun 06 Dec 06:00"]),
        ("0 6 * * 7", ["Sun 29 Nov 06:00", "Sun 06 Dec 06:00"]),
        ("0 6 * * sun", ["Sun 29 Nov 06:00", "Sun 06 Dec 06:00"]),
        ("0 6 * * 1", ["Mon 30 Nov 06:00", "Mon 07 Dec 06:00"]),
        ("0 6 * * MON", ["Mon 30 Nov 06:00", "Mon 07 Dec 06:00"]),
        ("0 6 * * 1-5", ["Mon 30 Nov 06:00", "Tue 01 Dec 06:00"]),
        ("0 6 * * mon-fri", ["Mon 30 Nov 06:00", "Tue 01 Dec 06:00"]),
        ("0 6 * * mon,wed,fri", ["Mon 30 Nov 06:00", "Wed 02 Dec 06:00"]),
        ("0 6 * * 5-7", ["Sun 29 Nov 06:00", "Fri 04 Dec 06:00"]),
        ("0 6 * * sat-sun", ["Sun 29 Nov 06:00", "Sat 05 Dec 06:00"]),
        ("0 6 * * sun-tue/2", ["Sun 29 Nov 06:00", "Tue 01 Dec 06:00"]),
        ("0 6 * * */7", ["Sun 29 Nov 06:00", "Sun 06 Dec 06:00"]),
        # Of two restricted kinds of day one is enough; */2 restricts nothing of that kind.
        ("0 0 1 * 1", ["Mon 30 Nov 00:00", "Tue 01 Dec 00:00"]),
        ("0 0 2,4 * wed", ["Wed 02 Dec 00:00", "Fri 04 Dec 00:00"]),
        ("0 0 */2 * mon", ["Mon 07 Dec 00:00", "Mon 21 Dec 00:00"]),
        ("0 0 13 * */7", ["Sun 13 Dec 00:00", "Sun 13 Jun 00:00"]),
        ("  0\t6  *  jan-mar/2  * ", ["Fri 01 Jan 06:00", "Sat 02 Jan 06:00"]),
        ("30 4 1,15 * *", ["Tue 01 Dec 04:30", "Tue 15 Dec 04:30"]),
        ("0-59/20 6 * * *", ["Sun 29 Nov 06:00", "Sun 29 Nov 06:20"]),
        ("50/5 6 * * *", ["Sun 29 Nov 06:50", "Sun 29 Nov 06:55"]),
        ("*/90 6 * * *", ["Sun 29 Nov 06:00", "Mon 30 Nov 06:00"]),
        ("0 0 29 2 *", ["Tue 29 Feb 00:00", "Sun 29 Feb 00:00"]),
        ("0 0 30 2 mon", ["Mon 01 Feb 00:00", "Mon 08 Feb 00:00"]),
        ("@hourly", ["Sun 29 Nov 00:00", "Sun 29 Nov 01:00"]),
        ("@daily", ["Sun 29 Nov 00:00", "Mon 30 Nov 00:00"]),
        ("@Midnight", ["Sun 29 Nov 00:00", "Mon 30 Nov 00:00"]),
        ("@weekly", ["Sun 29 Nov 00:00", "Sun 06 Dec 00:00"]),
        ("@monthly", ["Tue 01 Dec 00:00", "Fri 01 Jan 00:00"]),
        ("@yearly", ["Fri 01 Jan 00:00", "Sat 01 Jan 00:00"]),
        ("@annually", ["Fri 01 Jan 00:00", "Sat 01 Jan 00:00"]),
    ],
)
def test_an_expression_means_what_it_means_in_a_crontab(expression: str, expected: list[str]) -> None:
    assert shown(expression, "2026-11-29", 2) == expected


def test_a_day_of_february_may_be_decades_away() -> None:
    (first,) = islice(due("0 0 29 2 */7", datetime(2088, 3, 1, tzinfo=UTC), ZoneInfo("UTC")), 1)
    assert first == datetime(2128, 2, 29, tzinfo=UTC)


# -- what is none --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("", "it has 0 fields; write five: minute, hour, day of the month, month and day of the week"),
        ("0 6 * *", "it has 4 fields; write five"),
        ("0 0 6 * * *", "it has 6 fields; write five (none for seconds or years)"),
        ("60 6 * * *", '"60" is no minute; write * or a number from 0 to 59'),
        ("0 24 * * *", '"24" is no hour; write * or a number from 0 to 23'),
        ("0 6 0 * *", '"0" is no day of the month; write * or a number from 1 to 31'),
        ("0 6 * 13 *", '"13" is no month; write * or a number from 1 to 12, or jan, feb'),
        ("0 6 * * 8", '"8" is no day of the week; write * or a number from 0 to 7, or sun, mon'),
        ("0 6 * * 1-8", '"8" in 1-8 is no day of the week'),
        ("0 6 * * monday", '"monday" is no day of the week'),
        ("0 6 mon * *", '"mon" is no day of the month'),
        ("0 6 ? * 1", '"?" is no day of the month'),
        ("0 6 L * *", '"L" is no day of the month'),
        ("0 6 * * 5#2", '"5#2" is no day of the week'),
        ("*/0 * * * *", "*/0 has no step; write a whole number above 0"),
        ("*/ * * * *", "*/ has no step"),
        ("*/-5 * * * *", "*/-5 has no step"),
        ("1,,2 * * * *", '"" is no minute'),
        ("-1 * * * *", '"" in -1 is no minute'),
        ("1.5 * * * *", '"1.5" is no minute'),
        ("\u0663 * * * *", '"\u0663" is no minute'),
        ("0 6 * * fri-mon", "the range fri-mon runs backwards; write fri-7,1"),
        ("0 6 * * 7-2", "the range 7-2 runs backwards; write 0-2"),
        ("0 22-4 * * *", "the range 22-4 runs backwards; write 22-23,0-4"),
        ("0 6 * nov-feb *", "the range nov-feb runs backwards; write nov-12,1-feb"),
        ("0 0 30 2 *", "month 2 never has a day 30; write a day from 1 to 29"),
        ("0 0 31 apr,jun *", "month apr,jun never has a day 31; write a day from 1 to 30"),
        ("0 0 30-31 2 */2", "month 2 never has a day 30"),
        ("@reboot", "@reboot is no time, and checks outlive a restart; write for example @hourly"),
        ("@every 5m", "there is no @every 5m; write one of @yearly, @annually"),
        ("x" * 600, "it is longer than 500 characters"),
    ],
)
def test_what_is_no_crontab_is_named_with_what_to_write(expression: str, said: str) -> None:
    with pytest.raises(CrontabError) as error:
        Crontab.parse(expression)
    assert str(error.value).startswith(f'"{expression[:500]}')
    assert said in str(error.value)


@given(st.text(alphabet="0123456789*/,-@ adefjlmnorstuwy#?L", max_size=30))
def test_whatever_is_typed_is_a_crontab_or_refused(typed: str) -> None:
    try:
        crontab = Crontab.parse(typed)
    except CrontabError:
        return
    assert crontab.next_after(datetime(2026, 1, 1, tzinfo=UTC), BERLIN) > datetime(2026, 1, 1, tzinfo=UTC)


@given(st.integers(1, 7), st.integers(0, 6))
def test_what_is_offered_for_a_backward_range_is_that_range(first: int, last: int) -> None:
    text = f"{first}-{last}"
    try:
        meant = Crontab.parse(f"0 0 * * {text}").weekdays
    except CrontabError as error:
        offered = str(error).rpartition("write ")[2]
        meant = Crontab.parse(f"0 0 * * {offered}").weekdays
    length = (last - first) % 7 + 1
    assert meant == {(first + step) % 7 for step in range(length)}


# -- changes of the clock ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "zone", "after", "expected"),
    [
        # Berlin: 29 March 2026, 02:00 is 03:00; 25 October 2026, 03:00 is 02:00.
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00", ["29 03:00+0200", "30 02:30+0200"]),
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00", ["25 02:30+0200", "26 02:30+0100"]),
        ("0 2,3 * * *", "Europe/Berlin", "2026-03-28T12:00", ["29 03:00+0200", "30 02:00+0200"]),
        ("15,45 2 * * *", "Europe/Berlin", "2026-03-28T12:00", ["29 03:00+0200", "30 02:15+0200"]),
        ("0 3 * * *", "Europe/Berlin", "2026-10-24T12:00", ["25 03:00+0100", "26 03:00+0100"]),
        ("30 * * * *", "Europe/Berlin", "2026-03-29T01:00", ["29 01:30+0100", "29 03:30+0200"]),
        (
            "30 * * * *",
            "Europe/Berlin",
            "2026-10-25T01:00",
            ["25 01:30+0200", "25 02:30+0200", "25 02:30+0100", "25 03:30+0100"],
        ),
        # Midnight is left out in Santiago and Cairo, and half an hour on Lord Howe.
        ("@daily", "America/Santiago", "2026-09-05T12:00", ["06 01:00-0300", "07 00:00-0300"]),
        ("@daily", "Africa/Cairo", "2026-04-23T12:00", ["24 01:00+0300", "25 00:00+0300"]),
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00", ["04 02:30+1100", "05 02:15+1100"]),
        ("30 * * * *", "Australia/Lord_Howe", "2026-10-04T01:00", ["04 01:30+1030", "04 02:30+1100"]),
    ],
)
def test_an_hour_that_is_left_out_or_comes_twice_has_its_run_once(
    expression: str, zone: str, after: str, expected: list[str]
) -> None:
    place = ZoneInfo(zone)
    moments = islice(due(expression, datetime.fromisoformat(after).replace(tzinfo=place), place), len(expected))
    assert [f"{moment.astimezone(place):%d %H:%M%z}" for moment in moments] == expected


def test_who_asks_within_the_hour_that_comes_again_is_not_told_of_what_has_run() -> None:
    second_time = datetime(2026, 10, 25, 2, 15, tzinfo=BERLIN, fold=1)
    assert next(due("30 2 * * *", second_time)) == datetime(2026, 10, 26, 2, 30, tzinfo=BERLIN)


@pytest.mark.parametrize("day", [datetime(2026, 3, 29, tzinfo=BERLIN), datetime(2026, 10, 25, tzinfo=BERLIN)])
def test_every_quarter_of_an_hour_stays_that(day: datetime) -> None:
    moments = list(islice(due("*/15 * * * *", day), 100))
    assert moments == [day.astimezone(UTC) + step * 15 * MINUTE for step in range(100)]


# -- every minute of some weeks, one by one ------------------------------------------------------------------------

WEEKS = [
    ("UTC", "2026-02-25"),
    ("Europe/Berlin", "2026-03-25"),
    ("Europe/Berlin", "2026-10-21"),
    ("America/New_York", "2026-10-28"),
    ("America/Santiago", "2026-04-01"),
    ("America/Santiago", "2026-09-02"),
    ("Africa/Cairo", "2026-04-20"),
    ("Australia/Lord_Howe", "2026-04-01"),
    ("Australia/Lord_Howe", "2026-09-30"),
    # Where the clock went back over midnight, from 00:01 to 23:01.
    ("America/St_Johns", "2010-11-03"),
]
WEEK = 7 * 24 * 60


@lru_cache
def clock(zone: str, start: str) -> list[tuple[datetime, datetime]]:
    """Each minute of a week, in UTC and as the clock on the wall shows it."""
    begin = datetime.fromisoformat(start).replace(tzinfo=UTC)
    minutes = [begin + number * MINUTE for number in range(WEEK)]
    return [(moment, moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)) for moment in minutes]


def a_field(low: int, high: int) -> st.SearchStrategy[tuple[str, frozenset[int]]]:
    """The text of a field, and what it names."""
    number = st.integers(low, high)
    every = st.integers(1, high)
    some = st.lists(number, min_size=1, max_size=3).map(lambda some: (",".join(map(str, some)), frozenset(some)))
    ranges = st.tuples(number, number, every).map(
        lambda three: (
            f"{min(three[:2])}-{max(three[:2])}/{three[2]}",
            frozenset(range(min(three[:2]), max(three[:2]) + 1, three[2])),
        )
    )
    steps = every.map(lambda step: (f"*/{step}", frozenset(range(low, high + 1, step))))
    return st.one_of(st.just(("*", frozenset(range(low, high + 1)))), some, ranges, steps)


Fields = list[tuple[str, frozenset[int]]]
FIELDS = st.tuples(a_field(0, 59), a_field(0, 23), a_field(1, 31), a_field(0, 7)).map(list)


def by_looking(fields: Fields, minutes: list[tuple[datetime, datetime]]) -> list[datetime]:
    """When crontab(5) and cron(8) say that it is due, of those minutes."""
    (minute, at_minutes), (hour, at_hours), (day, on_days), (weekday, on_weekdays) = fields

    def named(wall: datetime) -> bool:
        by_month = wall.day in on_days
        by_week = not on_weekdays.isdisjoint({wall.isoweekday(), wall.isoweekday() % 7})
        starred = day[0] == "*" or weekday[0] == "*"
        on = (by_month and by_week) if starred else (by_month or by_week)
        return on and wall.hour in at_hours and wall.minute in at_minutes

    if minute[0] == "*" or hour[0] == "*":
        return [moment for moment, wall in minutes if named(wall)]
    found = set()
    latest = minutes[0][1] - MINUTE
    for moment, wall in minutes:
        # What the clock shows for the first time now, or has passed over to here.
        while latest < wall:
            latest += MINUTE
            if named(latest):
                found.add(moment)
    return sorted(found)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(WEEKS), FIELDS, st.integers(0, WEEK - 1))
@example(("Europe/Berlin", "2026-03-25"), [("30", {30}), ("2", {2}), ("*", set(range(32))), ("*", set(range(8)))], 0)
def test_it_is_due_when_looking_at_the_clock_every_minute_says_so(
    week: tuple[str, str], fields: Fields, begin: int
) -> None:
    minutes = clock(*week)
    expression = f"{fields[0][0]} {fields[1][0]} {fields[2][0]} * {fields[3][0]}"
    # Begin within the week: where an hour comes again, what it showed before must be known to the one who looks.
    expected = [moment for moment in by_looking(fields, minutes) if moment > minutes[begin][0]]
    moments = []
    after = minutes[begin][0]
    crontab = Crontab.parse(expression)
    while (after := crontab.next_after(after, ZoneInfo(week[0]))) <= minutes[-1][0]:
        moments.append(after)
    assert moments == expected


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(WEEKS), FIELDS, st.integers(0, WEEK - 1))
def test_the_latest_is_the_one_before_the_next(week: tuple[str, str], fields: Fields, minute: int) -> None:
    moment, zone = clock(*week)[minute][0], ZoneInfo(week[0])
    crontab = Crontab.parse(f"{fields[0][0]} {fields[1][0]} {fields[2][0]} * {fields[3][0]}")
    latest = crontab.latest(moment, zone)
    assert latest <= moment < crontab.next_after(latest, zone)


# -- intervals -----------------------------------------------------------------------------------------------------


def interval(expression: str, at: datetime) -> timedelta:
    return CrontabTrigger(Crontab.parse(expression), BERLIN).interval(at)


def test_the_interval_of_what_is_evenly_apart_is_that() -> None:
    any_time = datetime(2026, 6, 10, 12, 34, 56, tzinfo=UTC)
    assert interval("0 6 * * *", any_time) == timedelta(days=1)
    assert interval("@weekly", any_time) == timedelta(days=7)
    assert interval("*/15 * * * *", any_time) == 15 * MINUTE


def test_two_intervals_after_a_run_the_second_after_it_was_due() -> None:
    in_working_hours = "0 9-17 * * mon-fri"
    friday_evening = datetime(2026, 6, 12, 17, tzinfo=BERLIN)
    monday_morning = datetime(2026, 6, 15, 10, tzinfo=BERLIN)
    assert friday_evening + 2 * interval(in_working_hours, friday_evening) == monday_morning
    assert interval(in_working_hours, monday_morning) == HOUR


@pytest.mark.parametrize("macro", MACROS)
def test_a_macro_is_what_it_stands_for(macro: str) -> None:
    assert Crontab.parse(macro) == Crontab.parse(MACROS[macro])
