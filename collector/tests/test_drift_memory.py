"""What a drift check remembers: a drift lasts until a window shows that it is over, or somebody accepts it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.tests.store_documents import result
from modelward_collector.checks.acceptance import Acceptance, AcceptanceKind
from modelward_collector.checks.drift_memory import (
    ADOPTED_BY,
    EPOCH,
    Episode,
    Memory,
    Seen,
    Shape,
    accepted_keys,
    accepted_now,
    adoptions,
    explained,
    from_document,
    new_normal,
    newest_memory,
    over_since,
    put_back,
    remembered,
    to_document,
)
from modelward_collector.checks.result import CheckResult, Status
from modelward_collector.checks.window import JOINT
from modelward_collector.span import Span

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY = "features/x"
LONG_AGO = NOON - 90 * DAY


def hour(number: int) -> Span:
    """The hour that ends so many hours after noon."""
    return Span(NOON + (number - 1) * HOUR, NOON + number * HOUR)


def last_day(number: int) -> Span:
    return Span(NOON + number * HOUR - DAY, NOON + number * HOUR)


def drift(span: Span, effect: float = 0.3, *, rows: int = 1_000, needed: int | None = 400, sure: bool = True) -> Seen:
    return Seen(span, True, effect, rows, needed, sure=sure)


def calm(span: Span, effect: float = 0.02, rows: int = 1_000) -> Seen:
    return Seen(span, False, effect, rows)


class Remembering:
    """One subject, check after check."""

    def __init__(self, memory: Memory | None = None) -> None:
        self.memory = memory or Memory()

    def check(self, now: datetime, *looks: Seen, state: bool | None = None) -> tuple[Episode, ...]:
        drifts = any(one.drifts for one in looks)
        found = remembered(self.memory, KEY, looks, drifts if state is None else state, now, LONG_AGO)
        # As a result has it.
        kept = json.loads(json.dumps(to_document(Memory({KEY: found}))))
        self.memory = from_document(kept)
        assert self.memory.episodes.get(KEY, ()) == found
        return found

    def hours(self, looks: Sequence[Seen]) -> tuple[Episode, ...]:
        found: tuple[Episode, ...] = ()
        for look in looks:
            found = self.check(look.span.end, look)
        return found

    @property
    def open(self) -> Episode | None:
        return self.memory.open(KEY)


# -- an episode begins --------------------------------------------------------------------------------------------
def test_a_drift_that_is_sure_begins_an_episode_at_the_start_of_its_window() -> None:
    mind = Remembering()
    (begun,) = mind.check(NOON, drift(hour(0)))
    assert begun == Episode(hour(0).start, NOON, NOON, HOUR, 0.3, 400, measured=NOON)
    assert mind.open == begun
    assert mind.memory.open_keys() == [KEY]


def test_it_begins_when_the_change_began_as_far_as_that_is_known() -> None:
    since = NOON - 3 * HOUR
    (begun,) = Remembering().check(NOON, replace(drift(hour(0)), since=since))
    assert begun.start == since
    (begun,) = Remembering().check(NOON, replace(drift(last_day(0)), since=since))
    assert begun.start == last_day(0).start


def test_of_several_lengths_it_is_that_of_the_shortest_that_drifts() -> None:
    (begun,) = Remembering().check(NOON, calm(hour(0)), drift(last_day(0), 0.1, rows=24_000, needed=9_000))
    assert (begun.length, begun.effect, begun.rows_needed) == (DAY, 0.1, 9_000)
    (begun,) = Remembering().check(NOON, drift(hour(0), 0.3), drift(last_day(0), 0.1))
    assert (begun.length, begun.effect) == (HOUR, 0.3)


def test_without_the_state_nothing_begins() -> None:
    assert Remembering().check(NOON, drift(hour(0)), state=False) == ()
    assert Remembering().check(NOON, calm(hour(0))) == ()


def test_a_drift_that_may_be_chance_is_one_windows_until_the_next_shows_it_too() -> None:
    mind = Remembering()
    (one,) = mind.check(NOON, drift(hour(0), sure=False))
    assert (one.end, one.sure, mind.open) == (hour(0).end, False, None)
    (one,) = mind.check(NOON + HOUR, drift(hour(1), sure=False))
    assert (one.start, one.end, one.sure) == (hour(0).start, None, True)
    assert mind.open is not None


def test_one_that_the_next_window_does_not_show_stays_one_windows() -> None:
    mind = Remembering()
    mind.check(NOON, drift(hour(0), sure=False))
    mind.check(NOON + HOUR, calm(hour(1)))
    mind.check(NOON + 2 * HOUR, calm(hour(2)))
    first, second = mind.check(NOON + 3 * HOUR, drift(hour(3), sure=False))
    assert first.end == hour(0).end
    assert second.end == hour(3).end


def test_the_same_day_seen_again_an_hour_later_is_no_second_window() -> None:
    mind = Remembering()
    day = Span(NOON - 36 * HOUR, NOON - 12 * HOUR)
    for later in range(24):
        mind.check(NOON + later * HOUR, calm(hour(later)), drift(day, 0.05, rows=24_000, needed=None, sure=False))
        assert mind.open is None
    next_day = Span(day.end, day.end + DAY)
    mind.check(NOON + 24 * HOUR, calm(hour(24)), drift(next_day, 0.05, rows=24_000, needed=None, sure=False))
    assert mind.open is not None


def day_after(number: int) -> Span:
    """The day that begins so many hours after noon."""
    return Span(NOON + number * HOUR, NOON + number * HOUR + DAY)


def far_off(span: Span, effect: float = 0.2, measure: str = "mean") -> Seen:
    """A day that does not drift by itself, and is far off in that measure."""
    return Seen(span, False, effect, 24_000, measure="ks", effects={"mean": effect}, much=frozenset([measure]))


def one_hours(measure: str = "mean", *, sure: bool = False) -> Remembering:
    """What drifted in the hour up to noon, by a measure."""
    mind = Remembering()
    mind.check(NOON, replace(drift(hour(0), sure=sure), measure=measure))
    return mind


def test_the_day_after_it_confirms_it_when_it_is_far_off_too() -> None:
    mind = one_hours()
    (one,) = mind.check(NOON + 31 * HOUR, calm(hour(31)), far_off(day_after(7)))
    assert (one.start, one.end, one.sure, one.beyond_chance) == (hour(0).start, None, True, False)
    assert (one.length, one.effect, one.rows_needed) == (DAY, 0.2, 24_000)


@pytest.mark.parametrize(
    "day",
    [
        far_off(day_after(7), 0.1),  # less than half of it
        far_off(day_after(7), measure="ks"),  # in something else
        replace(far_off(day_after(7)), much=frozenset()),  # as days are now and then
        far_off(day_after(-1)),  # begins within it
        far_off(day_after(25)),  # days later
    ],
)
def test_other_days_after_it_confirm_nothing(day: Seen) -> None:
    mind = one_hours()
    mind.check(day.span.end, day)
    assert mind.open is None


def test_a_day_that_is_far_off_begins_nothing_and_confirms_nothing_that_is_over() -> None:
    assert Remembering().check(NOON + 31 * HOUR, far_off(day_after(7))) == ()
    mind = one_hours(sure=True)
    mind.check(NOON + HOUR, calm(hour(1)))
    assert mind.open is None
    mind.check(NOON + 32 * HOUR, far_off(day_after(8)))
    assert mind.open is None


# -- it lasts -----------------------------------------------------------------------------------------------------
def test_it_lasts_through_windows_that_have_too_few_rows_to_show_it() -> None:
    mind = Remembering()
    mind.check(NOON, drift(hour(0), needed=400))
    for number in range(1, 8):
        (one,) = mind.check(NOON + number * HOUR, calm(hour(number), 0.05, rows=100))
        assert one.open
        assert one.seen == NOON
    (one,) = mind.check(NOON + 8 * HOUR, drift(hour(8)))
    assert (one.start, one.seen) == (hour(0).start, NOON + 8 * HOUR)


def test_it_lasts_through_a_check_without_any_window() -> None:
    mind = Remembering()
    mind.check(NOON, drift(hour(0)))
    (one,) = mind.check(NOON + HOUR)
    assert one.open


def test_it_lasts_while_windows_show_half_of_it_however_many_rows_they_have() -> None:
    mind = Remembering()
    mind.check(NOON, drift(hour(0), 0.3))
    for number in range(1, 50):
        mind.check(NOON + number * HOUR, calm(hour(number), 0.16, rows=1_000_000))
    assert mind.open is not None


@pytest.mark.parametrize(("rows", "over"), [(399, False), (400, True)])
def test_it_ends_by_a_window_that_would_have_shown_it(rows: int, over: bool) -> None:
    mind = Remembering()
    mind.check(NOON, drift(hour(0), 0.3, needed=400))
    (one,) = mind.check(NOON + HOUR, calm(hour(1), 0.1, rows))
    assert (one.end == hour(1).start) == over
    assert one.open == (not over)


def test_it_ends_by_several_calm_windows_that_have_twice_the_rows_together() -> None:
    mind = Remembering()
    mind.check(NOON, drift(hour(0), 0.3, needed=400))
    for number in (1, 2, 3):
        (one,) = mind.check(NOON + number * HOUR, calm(hour(number), 0.1, rows=250))
        assert one.open
    (one,) = mind.check(NOON + 4 * HOUR, calm(hour(4), 0.1, rows=250))
    assert one.end == hour(1).start


def test_a_window_in_between_that_shows_half_of_it_begins_the_calm_anew() -> None:
    mind = Remembering()
    mind.check(NOON, drift(hour(0), 0.3, needed=400))
    for number in (1, 2, 3):
        mind.check(NOON + number * HOUR, calm(hour(number), 0.1, rows=250))
    mind.check(NOON + 4 * HOUR, calm(hour(4), 0.2, rows=250))
    for number in (5, 6, 7):
        (one,) = mind.check(NOON + number * HOUR, calm(hour(number), 0.1, rows=250))
        assert one.open
    (one,) = mind.check(NOON + 8 * HOUR, calm(hour(8), 0.1, rows=250))
    assert one.end == hour(5).start


def test_the_same_calm_window_counts_once() -> None:
    mind = Remembering()
    mind.check(NOON, drift(hour(0), 0.3, needed=400))
    for minutes in range(0, 50, 5):
        (one,) = mind.check(NOON + HOUR + minutes * timedelta(minutes=1), calm(hour(1), 0.1, rows=250))
        assert one.open


def test_a_window_that_reaches_back_before_it_tells_nothing_of_its_end() -> None:
    mind = Remembering()
    mind.check(NOON, drift(hour(0), 0.3, needed=400))
    (one,) = mind.check(NOON + HOUR, calm(last_day(1), 0.02, rows=24_000))
    assert one.open


def test_a_window_much_shorter_than_those_that_show_it_does_not_end_it() -> None:
    mind = Remembering()
    mind.check(NOON, drift(last_day(0), 0.1, rows=24_000, needed=500))
    (one,) = mind.check(NOON + HOUR, calm(hour(1), 0.01, rows=1_000))
    assert one.open
    (one,) = mind.check(NOON + 24 * HOUR, calm(last_day(24), 0.01, rows=24_000))
    assert one.end == last_day(24).start


def test_a_drift_that_a_shorter_window_shows_later_is_as_that_shows_it() -> None:
    mind = Remembering()
    mind.check(NOON, calm(hour(0)), drift(last_day(0), 0.1, rows=24_000, needed=9_000))
    (one,) = mind.check(NOON + HOUR, drift(hour(1), 0.4, needed=300), drift(last_day(1), 0.2))
    assert (one.start, one.length, one.effect, one.rows_needed) == (last_day(0).start, HOUR, 0.4, 300)


def test_a_trend_that_becomes_a_step_is_one_episode() -> None:
    trend = replace(drift(last_day(0), 0.05, needed=None), shape=Shape.CREEP, since=NOON - 20 * DAY)
    mind = Remembering()
    (one,) = mind.check(NOON, trend)
    assert (one.start, one.shape) == (NOON - 20 * DAY, Shape.CREEP)
    (one,) = mind.check(NOON + DAY, replace(trend, span=last_day(24)))
    assert one.shape is Shape.CREEP
    (one,) = mind.check(NOON + 2 * DAY, drift(last_day(48), 0.1, rows=24_000, needed=8_000))
    assert (one.start, one.shape, one.effect) == (NOON - 20 * DAY, Shape.CREEP, 0.1)


def test_a_window_with_by_far_enough_rows_ends_it_though_longer_ones_that_reach_back_into_it_show_it_still() -> None:
    mind = Remembering()
    mind.hours([drift(hour(n), 0.3, needed=400) for n in range(4)])
    still = drift(last_day(4), 0.3, rows=24_000)
    assert over_since(mind.open, [calm(hour(4), 0.1, rows=800), still]) == hour(4).start
    assert over_since(mind.open, [calm(hour(4), 0.1, rows=799), still]) is None
    assert over_since(mind.open, [calm(hour(4), 0.16, rows=9_000), still]) is None
    assert over_since(mind.open, [drift(hour(4)), still]) is None
    assert over_since(mind.open, [calm(hour(4), 0.1)]) is None
    assert over_since(None, [calm(hour(4), 0.1), still]) is None


def test_a_calm_window_that_is_older_than_one_that_shows_it_ends_nothing() -> None:
    mind = Remembering()
    mind.hours([drift(hour(n), 0.3, needed=400) for n in range(4)])
    assert over_since(mind.open, [drift(hour(6)), calm(last_day(6), 0.1, rows=24_000)]) is None
    assert over_since(mind.open, [calm(hour(5), 0.1), drift(hour(6))]) is None


@pytest.mark.parametrize("shape", list(Shape))
def test_an_hour_that_may_be_chance_tells_not_how_large_a_drift_is_that_days_show(shape: Shape) -> None:
    shown = replace(drift(last_day(0), 0.06, rows=24_000, needed=9_000), shape=shape)
    mind = Remembering()
    mind.check(NOON, calm(hour(0)), shown)
    (one,) = mind.check(NOON + HOUR, drift(hour(1), 0.12, needed=600, sure=False), replace(shown, span=last_day(1)))
    assert (one.length, round(one.effect, 9), one.rows_needed) == (DAY, 0.06, 9_000)
    (one,) = mind.check(NOON + 2 * HOUR, drift(hour(2), 0.12, needed=600, sure=False))
    assert (one.length, round(one.effect, 9), one.seen) == (DAY, 0.06, NOON + 2 * HOUR)
    (one,) = mind.check(NOON + 3 * HOUR, calm(hour(3), 0.0, rows=2_000))
    assert one.open


def test_a_day_that_confirms_an_hour_tells_how_large_it_is() -> None:
    mind = Remembering()
    mind.check(NOON, drift(hour(0), 0.12, needed=600, sure=False))
    trend = replace(drift(last_day(20), 0.05, rows=24_000, needed=None), shape=Shape.CREEP)
    (one,) = mind.check(NOON + 20 * HOUR, calm(hour(20)), trend)
    assert (one.start, one.end, one.length, one.effect, one.shape) == (hour(0).start, None, DAY, 0.05, Shape.CREEP)


@pytest.mark.parametrize("shape", list(Shape))
def test_a_drift_near_the_floor_lasts_while_windows_show_half_of_it(shape: Shape) -> None:
    mind = Remembering()
    mind.check(NOON, replace(drift(last_day(0), 0.1, rows=24_000, needed=9_000), shape=shape))
    (one,) = mind.check(NOON + DAY, calm(last_day(24), 0.06, rows=24_000))
    assert one.open
    (one,) = mind.check(NOON + 2 * DAY, calm(last_day(48), 0.04, rows=24_000))
    assert not one.open


def test_each_window_tells_once_how_large_it_is_however_often_it_is_looked_at() -> None:
    mind = Remembering()
    mind.check(NOON, drift(last_day(0), 0.2, rows=24_000))
    for later in range(1, 24):
        (one,) = mind.check(NOON + later * HOUR, drift(last_day(24), 0.1, rows=24_000, needed=900))
    assert one.effect == pytest.approx(0.18)
    assert one.rows_needed == 500


def test_a_longer_window_that_reaches_back_before_it_does_not_make_it_smaller() -> None:
    mind = Remembering()
    mind.check(NOON, drift(last_day(0), 0.2, rows=24_000))
    week = Span(NOON - 6 * DAY, NOON + DAY)
    (one,) = mind.check(NOON + DAY, calm(last_day(24), 0.12, rows=300), drift(week, 0.05, rows=168_000, needed=9_000))
    assert (one.effect, one.rows_needed) == (0.2, 400)
    week = Span(NOON - DAY, NOON + 6 * DAY)
    (one,) = mind.check(NOON + 6 * DAY, drift(week, 0.15, rows=168_000, needed=900))
    assert one.effect == pytest.approx(0.19)
    assert one.rows_needed == 500


def test_a_small_drift_that_only_days_show_is_not_ended_by_hours() -> None:
    mind = Remembering()
    mind.check(NOON, calm(hour(0)), drift(last_day(0), 0.1, rows=24_000, needed=500))
    assert over_since(mind.open, [calm(hour(1), 0.01), drift(last_day(0), 0.1, rows=24_000)]) is None


# -- after it -----------------------------------------------------------------------------------------------------
def test_longer_windows_that_reach_into_what_is_over_are_explained() -> None:
    mind = Remembering()
    mind.hours([drift(hour(n)) for n in range(4)])
    assert not explained(mind.memory, [], "1", KEY, last_day(4))
    mind.check(NOON + 4 * HOUR, calm(hour(4)))
    assert explained(mind.memory, [], "1", KEY, last_day(5))
    assert explained(mind.memory, [], "1", KEY, last_day(26))
    assert not explained(mind.memory, [], "1", KEY, last_day(27))
    assert not explained(mind.memory, [], "1", KEY, hour(5))
    assert not explained(mind.memory, [], "1", "features/y", last_day(5))


def test_one_window_that_may_have_been_chance_explains_nothing() -> None:
    mind = Remembering()
    mind.check(NOON, drift(hour(0), sure=False))
    assert not explained(mind.memory, [], "1", KEY, last_day(1))


def test_a_relapse_is_a_new_episode() -> None:
    mind = Remembering()
    mind.check(NOON, drift(hour(0)))
    mind.check(NOON + HOUR, calm(hour(1)))
    first, second = mind.check(NOON + 10 * DAY, drift(hour(240)))
    assert first.end == hour(1).start
    assert (second.start, second.open) == (hour(240).start, True)


def test_episodes_do_not_overlap() -> None:
    mind = Remembering()
    mind.check(NOON, drift(hour(0)))
    mind.check(NOON + HOUR, calm(hour(1)))
    mind.hours([calm(hour(n)) for n in range(2, 5)])
    first, second = mind.check(NOON + 5 * HOUR, replace(drift(hour(5)), since=NOON - 5 * HOUR))
    assert first.end is not None
    assert second.start == first.end


def test_what_ended_before_any_reference_reaches_is_forgotten() -> None:
    mind = Remembering()
    mind.check(NOON, drift(hour(0)))
    mind.check(NOON + HOUR, calm(hour(1)))
    later = NOON + 100 * DAY
    looks = [calm(hour(2_400))]
    assert len(remembered(mind.memory, KEY, looks, False, later, NOON)) == 0
    assert len(remembered(mind.memory, KEY, looks, False, later, NOON - 5 * HOUR)) == 1


def test_what_goes_on_is_never_forgotten() -> None:
    mind = Remembering()
    mind.check(NOON, drift(hour(0)))
    (one,) = remembered(mind.memory, KEY, [drift(hour(9_000))], True, NOON + 375 * DAY, NOON + 300 * DAY)
    assert one.open


def test_what_drifts_is_in_no_reference_while_it_lasts_and_what_is_over_stays_out() -> None:
    mind = Remembering()
    mind.check(NOON, drift(hour(0)))
    ((open_end,),) = mind.memory.left_out([], "1", []).values()
    assert (open_end.start, open_end.end.year) == (hour(0).start, 9999)
    mind.check(NOON + HOUR, calm(hour(1)))
    assert mind.memory.left_out([], "1", []) == {KEY: (Span(hour(0).start, hour(1).start),)}


def test_what_was_over_within_hours_and_may_be_chance_stays_in_the_reference() -> None:
    mind = Remembering()
    mind.check(NOON, drift(hour(0), sure=False))
    assert mind.memory.left_out([], "1", []) == {}
    mind.check(NOON + HOUR, drift(hour(1), sure=False))
    assert mind.memory.left_out([], "1", [])[KEY][0].start == hour(0).start
    mind.check(NOON + 2 * HOUR, calm(hour(2)))
    assert mind.open is None
    assert mind.memory.left_out([], "1", []) == {}


@pytest.mark.parametrize(("first", "lasts"), [(True, 2), (False, 26)])
def test_what_was_beyond_chance_or_lasted_for_a_day_stays_out(first: bool, lasts: int) -> None:
    mind = Remembering()
    for number in range(lasts):
        mind.check(NOON + number * HOUR, drift(hour(number), sure=first))
    mind.check(NOON + lasts * HOUR, calm(hour(lasts)))
    assert mind.open is None
    assert mind.memory.left_out([], "1", []) == {KEY: (Span(hour(0).start, hour(lasts).start),)}


def test_a_window_beyond_chance_makes_sure_of_what_went_on_before_it() -> None:
    mind = Remembering()
    mind.check(NOON, drift(hour(0), sure=False))
    mind.check(NOON + HOUR, drift(hour(1), sure=False))
    (one,) = mind.check(NOON + 2 * HOUR, drift(hour(2)))
    assert (one.start, one.beyond_chance) == (hour(0).start, True)


def test_a_longer_window_around_confirms_it_when_the_newest_shows_it_too() -> None:
    """Checks once a day see one hour of each day, and the day between."""
    mind = Remembering()
    mind.check(NOON, drift(hour(0), sure=False))
    (one,) = mind.check(NOON + DAY, drift(hour(24), sure=False), drift(last_day(23), rows=24_000, sure=False))
    assert (one.start, one.end) == (hour(0).start, None)


def test_a_longer_window_around_alone_confirms_nothing() -> None:
    mind = Remembering()
    mind.check(NOON, drift(hour(0), sure=False))
    (one,) = mind.check(NOON + 20 * HOUR, calm(hour(20)), drift(last_day(20), rows=24_000, sure=False))
    assert one.end == hour(0).end


# -- what is accepted ---------------------------------------------------------------------------------------------
def said(since: datetime, at: datetime, **fields: object) -> Acceptance:
    return replace(Acceptance("id", "delay", since, "ada", at), **fields)  # type: ignore[arg-type]


OPEN = Memory(
    {
        KEY: (Episode(NOON, NOON, NOON, HOUR, 0.3, 400),),
        "features/y": (Episode(NOON, NOON, NOON, HOUR, 0.3, 400),),
        "outputs/x": (Episode(NOON, NOON, NOON, HOUR, 0.3, 400),),
        JOINT: (Episode(NOON, NOON, NOON, DAY, 0.3, 400),),
    }
)


@pytest.mark.parametrize(
    ("fields", "over"),
    [
        ({}, {KEY, "features/y", "outputs/x", JOINT}),
        ({"feature": "x"}, {KEY, "outputs/x"}),
        ({"feature": "y"}, {"features/y"}),
        ({"feature": JOINT}, {JOINT}),
        ({"feature": "y", "version": "1"}, {"features/y"}),
        ({"feature": "y", "version": "2"}, set()),
        ({"feature": "nobody"}, set()),
        ({"kind": AcceptanceKind.PUT_BACK, "window": hour(0)}, set()),
    ],
)
def test_what_is_accepted_is_over_at_once(fields: dict[str, object], over: set[str]) -> None:
    acceptance = said(NOON, NOON + 5 * HOUR, **fields)
    after = accepted_now(OPEN, [acceptance], "1")
    assert set(after.episodes) - set(after.open_keys()) == over
    for key in over:
        (one,) = after.episodes[key]
        assert (one.start, one.end, one.accepted) == (NOON, NOON, "id")


def test_the_reference_begins_anew_where_the_new_normal_did() -> None:
    since = NOON + HOUR
    acceptance = said(since, NOON + 5 * HOUR, feature="x")
    after = accepted_now(OPEN, [acceptance], "1")
    out = after.left_out([acceptance], "1", [])
    assert out[KEY] == out["outputs/x"] == (Span(EPOCH, since),)
    assert out["features/y"][0].start == NOON
    assert after.episodes[KEY][0].end == since


def test_what_never_drifted_begins_anew_too_when_it_is_named() -> None:
    acceptance = said(NOON, NOON + HOUR, feature="calm")
    keys = accepted_keys([acceptance], "1")
    assert keys == {"features/calm", "outputs/calm"}
    assert Memory().left_out([acceptance], "1", keys)["features/calm"] == (Span(EPOCH, NOON),)
    assert accepted_keys([replace(acceptance, version="2")], "1") == set()
    assert accepted_keys([replace(acceptance, feature=JOINT)], "1") == {JOINT}
    assert accepted_keys([replace(acceptance, feature=None)], "1") == set()


def test_a_drift_that_begins_after_the_acceptance_is_a_new_one() -> None:
    acceptance = said(NOON, NOON + HOUR, feature="x")
    later = Episode(NOON + 2 * HOUR, NOON + 3 * HOUR, NOON + 3 * HOUR, HOUR, 0.3, 400)
    mind = Memory({KEY: (later,)})
    after = accepted_now(mind, [acceptance], "1")
    assert after.open(KEY) == later
    out = after.left_out([acceptance], "1", [])[KEY]
    assert [span.start for span in out] == [EPOCH, later.start]


def test_windows_that_reach_back_before_a_new_normal_are_explained() -> None:
    acceptance = said(NOON, NOON + HOUR, feature="x")
    assert explained(Memory(), [acceptance], "1", KEY, last_day(3))
    assert not explained(Memory(), [acceptance], "1", KEY, hour(1))
    assert not explained(Memory(), [acceptance], "2", "features/y", last_day(3))


def test_of_several_acceptances_the_one_said_last_counts() -> None:
    first, second = said(NOON, NOON + HOUR, id="1"), said(NOON - DAY, NOON + 2 * HOUR, id="2")
    assert new_normal([second, first], "1", KEY) == second
    assert new_normal([replace(second, feature="y"), first], "1", KEY) == first
    assert new_normal([], "1", KEY) is None


def test_what_was_put_back_is_known_by_subject() -> None:
    back = said(NOON, NOON + DAY, kind=AcceptanceKind.PUT_BACK, window=hour(0), feature="x")
    assert put_back([back], "1", [KEY, "features/y", JOINT]) == {KEY: (hour(0),)}
    assert put_back([replace(back, feature=None)], "1", [KEY, JOINT]) == {KEY: (hour(0),), JOINT: (hour(0),)}
    assert put_back([replace(back, version="2")], "1", [KEY]) == {}
    assert new_normal([back], "1", KEY) is None


def with_memory(memory: Memory, end: datetime = NOON, **fields: object) -> CheckResult:
    return replace(result(end), memory=to_document(memory), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(("lasted", "adopted"), [(DAY - HOUR, 0), (DAY, 4), (9 * DAY, 4)])
def test_what_lasts_long_enough_is_adopted_where_that_is_asked_for(lasted: timedelta, adopted: int) -> None:
    found = adoptions(with_memory(OPEN, NOON + lasted), DAY)
    assert len(found) == adopted
    if found:
        assert {one.feature for one in found} == {"x", "y", JOINT}
        assert {(one.since, one.at, one.by, one.version) for one in found} == {(NOON, NOON + lasted, ADOPTED_BY, "1")}
        assert found == adoptions(with_memory(OPEN, NOON + lasted), DAY)
        assert accepted_now(OPEN, found, "1").open_keys() == []


def test_what_is_over_is_not_adopted() -> None:
    over = Memory({KEY: (Episode(NOON, NOON, NOON, HOUR, 0.3, 400, end=NOON + HOUR),)})
    assert adoptions(with_memory(over, NOON + 9 * DAY), DAY) == []


# -- as part of a result ------------------------------------------------------------------------------------------
MOMENTS = st.integers(0, 4_000_000_000_000_000).map(lambda us: EPOCH + timedelta(microseconds=us))
EPISODES = st.builds(
    Episode,
    start=MOMENTS,
    said=MOMENTS,
    seen=MOMENTS,
    length=st.integers(0, 10**7).map(lambda seconds: timedelta(seconds=seconds)),
    effect=st.floats(0, 1),
    rows_needed=st.integers(0, 10**12),
    shape=st.sampled_from(Shape),
    end=st.none() | MOMENTS,
    sure=st.booleans(),
    beyond_chance=st.booleans(),
    calm=st.integers(0, 10**12),
    calm_since=st.none() | MOMENTS,
    calm_until=st.none() | MOMENTS,
    accepted=st.text(),
)
MEMORIES = st.builds(
    Memory,
    st.dictionaries(st.text(), st.lists(EPISODES, min_size=1, max_size=3).map(tuple), max_size=4),
    st.lists(MOMENTS, max_size=3).map(tuple),
)


@given(MEMORIES)
def test_a_memory_comes_back_from_json_as_it_was(memory: Memory) -> None:
    assert from_document(json.loads(json.dumps(to_document(memory)))) == memory


@given(MEMORIES)
def test_a_memory_comes_back_from_a_stored_result_as_it_was(memory: Memory) -> None:
    stored = json.loads(json.dumps(with_memory(memory).to_document()))
    assert newest_memory([CheckResult.from_document(stored)]) == memory


def test_a_memory_of_a_newer_format_is_none() -> None:
    assert from_document({**to_document(OPEN), "format": 2}) == Memory()
    assert from_document({}) == Memory()


def test_the_newest_result_that_remembers_is_gone_on_from() -> None:
    old = with_memory(Memory(), NOON)
    newest = with_memory(OPEN, NOON + HOUR)
    failures = [result(NOON + n * HOUR, status=Status.ERROR) for n in range(2, 40)]
    assert newest_memory([*failures, old, newest]) == OPEN
    assert newest_memory(failures) == Memory()
    assert newest_memory([]) == Memory()


# -- what it is of ----------------------------------------------------------------------------------------------------
def missing(span: Span, share: float, mean: float, *, drifts: bool) -> Seen:
    effects = {"missing": share, "mean": mean}
    # The measure that stands out most is told where none drifts.
    measure, effect = ("missing", share) if drifts else max(effects.items(), key=lambda item: item[1])
    return Seen(span, drifts, effect, 1_000, 400, sure=drifts, measure=measure, effects=effects)


def test_it_is_over_when_what_drifted_is_whatever_else_varies() -> None:
    subject = Remembering()
    subject.check(NOON, missing(hour(0), 0.05, 0.3, drifts=True))
    (goes_on,) = subject.check(NOON + HOUR, missing(hour(1), 0.04, 0.3, drifts=False))
    assert goes_on.open
    (over,) = subject.check(NOON + 2 * HOUR, missing(hour(2), 0.0, 0.3, drifts=False))
    assert over.end == hour(2).start


def test_it_is_of_the_same_as_long_as_that_is_there_and_then_of_what_it_became() -> None:
    def both(number: int, share: float, mean: float) -> Seen:
        effects = {"missing": share, "mean": mean}
        return Seen(hour(number), True, mean, 1_000, 400, sure=True, measure="mean", effects=effects)

    subject = Remembering()
    subject.check(NOON, missing(hour(0), 0.05, 0.0, drifts=True))
    (same,) = subject.check(NOON + HOUR, both(1, 0.05, 0.4))
    assert same.measure == "missing"
    assert same.effect == pytest.approx(0.05)
    (other,) = subject.check(NOON + 2 * HOUR, both(2, 0.0, 0.4))
    assert other.measure == "mean"
    assert other.effect == pytest.approx(0.4)


def test_what_an_earlier_version_remembered_is_of_all_there_is() -> None:
    subject = Remembering()
    subject.check(NOON, missing(hour(0), 0.05, 0.3, drifts=True))
    document = to_document(subject.memory)
    for mine in document["episodes"].values():
        for one in mine:
            del one["measure"]
    subject.memory = from_document(document)
    (goes_on,) = subject.check(NOON + HOUR, missing(hour(1), 0.0, 0.3, drifts=False))
    assert goes_on.open
