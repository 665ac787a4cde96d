"""Drift over days and weeks, through engine, store and maintenance as in use: what lasts is said while it lasts."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from collector.tests.columns import Column
from collector.tests.hourly import (
    DAY,
    HOUR,
    MODEL,
    Draw,
    Watched,
    document,
    fill,
    flagged,
    found,
    hours,
    normal,
    profile_of,
)
from modelward_agent.profile.reference import write_reference
from modelward_collector import engine as engine_module
from modelward_collector.checks.drift_memory import ADOPTED_BY, newest_memory
from modelward_collector.checks.result import CheckKind, CheckResult, Status
from modelward_collector.store.acceptances import acceptances

Watch = Callable[..., Watched]
"""A collector over a store of its own."""

FIRST = datetime(2026, 1, 5, tzinfo=UTC)
"""A Monday."""


def steady(x: float = 0.0, y: float = 0.0) -> Draw:
    """Two features of standard deviation 1, as far from 0 as is said."""

    def draw(rng: np.random.Generator, at: datetime) -> Mapping[str, Column]:
        return {"x": normal(rng, x), "y": normal(rng, y)}

    return draw


def with_weekends(holidays: tuple[int, ...] = (), alone: tuple[int, ...] = ()) -> Draw:
    """Two features and the rows are otherwise at weekends and holidays; on days `alone` one feature is."""

    def draw(rng: np.random.Generator, at: datetime) -> Mapping[str, Column]:
        day = (at - FIRST) // DAY
        free = at.weekday() > 4 or day in holidays
        rows = 100 if free else 200
        return {
            "x": normal(rng, 1.0 * (free or day in alone), rows),
            "y": normal(rng, -1.0 * free, rows),
            "z": normal(rng, 0.0, rows),
        }

    return draw


def each_hour(watched: Watched, number: int, draw: Draw) -> list[CheckResult]:
    made = []
    for _ in range(number):
        watched.feed(HOUR, draw)
        made.append(watched.check())
    return made


@pytest.fixture(scope="module")
def twelve_days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of as many days of steady traffic, to begin with a copy of."""
    folder = tmp_path_factory.mktemp("twelve")
    watched = Watched(folder, FIRST)
    watched.feed(12 * DAY, steady())
    watched.collector.stop()
    return folder / "modelward.db"


@pytest.fixture
def watch(tmp_path: Path, twelve_days: Path) -> Iterator[Watch]:
    opened: list[Watched] = []

    def made(yaml: str = "", name: str = "store", *, begin: datetime = FIRST, **settings: object) -> Watched:
        folder = tmp_path / name
        folder.mkdir()
        if begin == STEADY_UNTIL:
            shutil.copy(twelve_days, folder / twelve_days.name)
        opened.append(Watched(folder, begin, yaml, **settings))
        return opened[-1]

    yield made
    for one in opened:
        one.collector.stop()


STEADY_UNTIL = FIRST + 12 * DAY
"""A collector that begins then has twelve days of steady traffic behind it."""

THREE_WEEKS = "reference: {kind: rolling, window: 21d}"
TEN_DAYS = "reference: {kind: rolling, window: 10d}"
"""Shorter than by default, so that it takes less time to fill them, and drift can last for longer."""


# -- still learning -----------------------------------------------------------------------------------------------
def nights_and_weekends(rng: np.random.Generator, at: datetime) -> Mapping[str, Column]:
    """Traffic as it is in use."""
    wave = np.cos(2 * np.pi * (at.hour - 15) / 24)
    rows = int(150 + 40 * wave)
    weekend = float(at.weekday() > 4)
    return {
        "x": normal(rng, 0.5 * wave + 0.4 * weekend, rows),
        "y": normal(rng, 0.0, rows),
        "word": np.where(rng.random(rows) < 0.5 + 0.1 * wave, "a", "b"),
    }


def test_unchanged_traffic_is_no_worse_than_still_learning_in_its_first_week(watch: Watch) -> None:
    watched = watch()
    watched.now = FIRST + 3 * DAY + 15 * HOUR
    for _ in range(24):
        watched.feed(7 * HOUR, nights_and_weekends)
        result = watched.check()
        assert flagged(result) == set()
        assert result.status in (Status.LEARNING, Status.NO_DATA)
        assert result.numbers.get("drifted", 0) == 0
    for _ in range(14):
        watched.feed(9 * HOUR, nights_and_weekends)
        result = watched.check()
        assert flagged(result) == set()
    assert result.status is Status.OK


def test_it_is_said_what_is_learnt_and_until_when(watch: Watch) -> None:
    watched = watch()
    watched.now = FIRST + 3 * DAY + 15 * HOUR
    watched.feed(2 * DAY, nights_and_weekends)
    result = watched.check()
    known = "weekends from 14:00 to 15:00 are known from Saturday 17 January on"
    assert result.summary.endswith(f"still learning: {known}")
    assert found(result, "x").status is Status.LEARNING
    assert found(result, "x").message == f"x is still being learnt ({known})"
    assert "kinds" not in found(result, "x").detail


def test_what_is_gross_is_shown_while_learning_and_pages_nobody(watch: Watch) -> None:
    watched = watch()
    watched.feed(3 * DAY, steady())
    watched.feed(2 * HOUR, steady(x=6.0))
    result = watched.check()
    assert "from 01:00 to 02:00 are known from" in found(result, "x").message
    assert flagged(result) == {"x"}
    assert found(result, "x").status is Status.WARNING
    assert (result.numbers["drifted"], result.numbers["odd"], result.numbers["learning"]) == (0, 1, 2)


def test_a_type_that_changes_on_the_second_day_is_flagged(watch: Watch) -> None:
    def as_text(rng: np.random.Generator, at: datetime) -> Mapping[str, Column]:
        return {"x": normal(rng).round(3).astype(np.str_), "y": normal(rng)}

    watched = watch()
    watched.feed(DAY + 5 * HOUR, steady())
    assert flagged(watched.check()) == set()
    watched.feed(HOUR, as_text)
    result = watched.check()
    assert flagged(result) == {"x"}
    assert result.numbers["drifted"] == 0


# -- days of another kind -----------------------------------------------------------------------------------------
def midnights(watched: Watched, draw: Draw, number: int) -> list[CheckResult]:
    """The checks after each of so many days."""
    made = []
    for _ in range(number):
        watched.feed(DAY, draw)
        made.append(watched.check())
    return made


def test_a_holiday_that_is_like_a_sunday_in_all_is_no_drift_and_a_third_in_a_week_is(watch: Watch) -> None:
    holidays = with_weekends(holidays=(22, 23, 24))
    watched = watch(THREE_WEEKS)
    watched.feed(22 * DAY, holidays)
    first, second, third = midnights(watched, holidays, 3)
    assert (flagged(first), flagged(second)) == (set(), set())
    assert "like weekends" in first.summary
    assert {"x", "y"} <= flagged(third)


def test_the_hours_of_a_holiday_are_no_drift_either(watch: Watch) -> None:
    holidays = with_weekends(holidays=(22,))
    watched = watch(THREE_WEEKS)
    watched.feed(22 * DAY + 9 * HOUR, holidays)
    for result in each_hour(watched, 4, holidays):
        assert flagged(result) == set()
        assert "like weekends" in result.summary


def test_one_feature_that_is_as_on_sundays_is_drift(watch: Watch) -> None:
    alone = with_weekends(alone=(22,))
    watched = watch(THREE_WEEKS)
    watched.feed(22 * DAY, alone)
    (result,) = midnights(watched, alone, 1)
    assert flagged(result) == {"x"}
    assert "like weekends" not in result.summary


# -- it lasts -----------------------------------------------------------------------------------------------------
def test_a_drift_is_said_for_as_long_as_it_lasts_and_only_what_drifts_keeps_its_old_reference(watch: Watch) -> None:
    """Longer than its reference is, and than hours are kept."""
    watched = watch(TEN_DAYS, begin=STEADY_UNTIL, roll_up={"hours_after": "11d"})
    began = watched.now
    (first, *_) = each_hour(watched, 3, steady(x=0.8))
    assert flagged(first) == {"x"}
    for days in range(2, 25, 2):
        watched.feed(2 * DAY, steady(x=0.8))
        result = watched.check()
        assert flagged(result) == {"x"}
        finding = found(result, "x")
        assert finding.since is not None
        assert abs(finding.since - began) <= HOUR
        assert f"for {days} day" in finding.message
    assert "10 days from 02:00 to 03:00" in finding.detail["compared_with"]
    assert finding.detail["left_out"] == 10
    episode = newest_memory([result]).open("features/x")
    assert episode is not None
    assert abs(episode.start - began) <= HOUR
    assert found(result, "y").detail["left_out"] == 0
    assert list(newest_memory([result]).episodes) == ["features/x"]


def test_what_else_drifts_later_is_compared_with_what_was_until_then(watch: Watch) -> None:
    watched = watch(TEN_DAYS, begin=STEADY_UNTIL)
    watched.feed(HOUR, steady(x=0.8))
    watched.check()
    for _ in range(4):
        watched.feed(3 * DAY, steady(x=0.8))
        assert flagged(watched.check()) == {"x"}
    watched.feed(DAY, steady(x=0.8, y=0.8))
    result = watched.check()
    assert flagged(result) == {"x", "y"}
    assert found(result, "y").since is not None
    assert found(result, "x").since < found(result, "y").since - 11 * DAY  # type: ignore[operator]


def test_it_ends_when_a_window_shows_that_it_is_over_and_the_time_after_it_is_quiet(watch: Watch) -> None:
    watched = watch(begin=STEADY_UNTIL)
    for result in [*each_hour(watched, 2, steady(x=1.5)), *(midnights(watched, steady(x=1.5), 2))]:
        assert flagged(result) == {"x"}
    (last,) = each_hour(watched, 1, steady())
    assert flagged(last) == set()
    for result in each_hour(watched, 2, steady()) + midnights(watched, steady(), 9):
        assert flagged(result) == set(), result.summary
    relapse, *_ = each_hour(watched, 1, steady(x=1.5))
    assert flagged(relapse) == {"x"}
    before, again = newest_memory([relapse]).episodes["features/x"]
    assert before.end is not None
    assert abs(before.start - STEADY_UNTIL) <= HOUR
    assert abs(again.start - (relapse.end - HOUR)) <= HOUR


def test_values_that_were_missing_for_days_are_told_no_longer_than_that_though_each_day_has_its_own_weather(
    watch: Watch,
) -> None:
    gone = range(28, 31)

    def weather(rng: np.random.Generator, at: datetime) -> Mapping[str, Column]:
        day = (at - FIRST) // DAY
        x = normal(rng, np.random.default_rng([5, day]).normal(0.0, 0.7), 100)
        x[: 5 * (day in gone)] = np.nan
        return {"x": x, "y": normal(rng, 0.0, 100)}

    watched = watch()
    watched.feed(28 * DAY, weather)
    for result in midnights(watched, weather, len(gone)):
        assert "x is missing more often: 0% → 5%" in found(result, "x").message
    first, *later = midnights(watched, weather, 9)
    for result in later:
        assert flagged(result) == set(), result.summary
    assert newest_memory([first]).episodes["features/x"][-1].end == FIRST + 31 * DAY


@pytest.mark.parametrize("rainy", [(30,), ()])
def test_weeks_with_an_odd_day_and_weeks_without_are_both_normal(watch: Watch, rainy: tuple[int, ...]) -> None:
    def rain(rng: np.random.Generator, at: datetime) -> Mapping[str, Column]:
        day = (at - FIRST) // DAY
        fell = day in (2, 11, 17, 20, *rainy)
        return {"x": normal(rng, 2.0 * fell, 100), "y": normal(rng, 0.0, 100)}

    watched = watch("checks: {drift: {window: 7d}}")
    watched.feed(28 * DAY, rain)
    for result in midnights(watched, rain, 8):
        assert flagged(result) == set(), result.summary
    last = midnights(watched, steady(x=0.5), 7)[-1]
    assert flagged(last) == {"x"}


def test_it_lasts_through_nights_that_have_too_few_rows_to_show_it(watch: Watch) -> None:
    def nights(x: float) -> Draw:
        def draw(rng: np.random.Generator, at: datetime) -> Mapping[str, Column]:
            rows = 120 if at.hour < 6 else 400
            return {"x": normal(rng, x, rows), "y": normal(rng, 0.0, rows)}

        return draw

    watched = watch()
    watched.feed(16 * DAY + 12 * HOUR, nights(0.0))
    shown = each_hour(watched, 3, nights(0.5))
    assert flagged(shown[-1]) == {"x"}
    for result in each_hour(watched, 16, nights(0.5)):
        assert flagged(result) == {"x"}
    assert len(newest_memory([result]).episodes["features/x"]) == 1


def test_a_trend_is_said_with_its_slope_and_its_beginning(watch: Watch) -> None:
    def rising(rng: np.random.Generator, at: datetime) -> Mapping[str, Column]:
        return {"x": normal(rng, 0.03 * max(0.0, (at - FIRST) / DAY - 5)), "y": normal(rng)}

    watched = watch()
    watched.feed(15 * DAY, rising)
    said = midnights(watched, rising, 9)
    first = next(index for index, result in enumerate(said) if "x" in flagged(result))
    assert first <= 5
    assert [flagged(result) for result in said[first:]] == [{"x"}] * len(said[first:])
    assert any("x rises by" in found(result, "x").message for result in said[first:])
    since = found(said[first], "x").since
    assert since is not None
    assert abs(since - (FIRST + 5 * DAY)) <= 4 * DAY


# -- accepted -----------------------------------------------------------------------------------------------------
def drifting(watch: Watch) -> Watched:
    """Two days of drift after twelve without."""
    watched = watch(begin=STEADY_UNTIL)
    each_hour(watched, 1, steady(x=1.0))
    midnights(watched, steady(x=1.0), 1)
    watched.feed(23 * HOUR, steady(x=1.0))
    assert flagged(watched.check()) == {"x"}
    return watched


def test_what_is_accepted_is_quiet_at_once_and_its_reference_begins_anew(watch: Watch) -> None:
    watched = drifting(watch)
    watched.accept(STEADY_UNTIL, "x")
    result = watched.check()
    assert flagged(result) == set()
    assert newest_memory([result]).open_keys() == []
    assert (found(result, "x").status, found(result, "y").status) == (Status.LEARNING, Status.OK)
    for result in each_hour(watched, 2, steady(x=1.0)) + midnights(watched, steady(x=1.0), 3):
        assert flagged(result) == set()
    watched.feed(5 * DAY, steady(x=1.0))
    result = watched.check()
    assert flagged(result) == set()
    assert found(result, "x").status is Status.OK
    back = each_hour(watched, 2, steady())
    assert flagged(back[-1]) == {"x"}


def test_everything_may_be_accepted_drifting_or_not(watch: Watch) -> None:
    watched = drifting(watch)
    watched.accept(STEADY_UNTIL)
    result = watched.check()
    assert flagged(result) == set()
    assert found(result, "y").status is Status.LEARNING


def test_an_acceptance_of_another_feature_changes_nothing(watch: Watch) -> None:
    watched = drifting(watch)
    watched.accept(STEADY_UNTIL, "y")
    assert flagged(watched.check()) == {"x"}


def test_an_acceptance_is_of_one_version_where_it_says_so(watch: Watch) -> None:
    watched = watch(begin=STEADY_UNTIL)
    fill(watched.store, FIRST + 4 * DAY, 8 * 24, steady(), version="2")
    fill(watched.store, watched.now, 25, steady(x=1.0), version="2")
    watched.feed(25 * HOUR, steady(x=1.0))
    assert flagged(watched.check()) == flagged(watched.check(version="2")) == {"x"}
    watched.accept(STEADY_UNTIL, "x", version="2")
    assert flagged(watched.check(version="2")) == set()
    assert flagged(watched.check()) == {"x"}
    watched.accept(STEADY_UNTIL, "x")
    assert flagged(watched.check()) == set()


def test_what_is_compared_with_a_file_may_be_accepted_too(watch: Watch, tmp_path: Path) -> None:
    path = tmp_path / "reference.jsonl"
    write_reference(path, (dict(one.source) for one in hours(FIRST - 20 * DAY, 14 * 24, steady(), seed=7)))
    watched = watch(f"reference: {{kind: file, path: {path}}}")
    watched.feed(2 * DAY, steady())
    assert flagged(watched.check()) == set()
    each_hour(watched, 1, steady(x=1.0))
    midnights(watched, steady(x=1.0), 2)
    result = watched.check()
    assert flagged(result) == {"x"}
    watched.accept(FIRST + 2 * DAY, "x")
    result = watched.check()
    assert flagged(result) == set()
    assert (found(result, "x").status, found(result, "y").status) == (Status.LEARNING, Status.OK)
    for _ in range(2):
        watched.feed(4 * DAY, steady(x=1.0))
        assert flagged(watched.check()) == set()
    assert flagged(each_hour(watched, 1, steady())[-1]) == {"x"}


def together(r: float) -> Draw:
    def draw(rng: np.random.Generator, at: datetime) -> Mapping[str, Column]:
        x = normal(rng, number=300)
        return {"x": x, "y": r * x + np.sqrt(1 - r**2) * normal(rng, number=300)}

    return draw


def test_how_features_move_together_drifts_lasts_and_is_accepted(watch: Watch) -> None:
    watched = watch(TEN_DAYS)
    watched.feed(10 * DAY, together(0.0))
    began = watched.now
    for result in each_hour(watched, 1, together(0.7)) + midnights(watched, together(0.7), 2):
        assert flagged(result) == {"(joint)"}
    watched.feed(9 * DAY, together(0.7))
    result = watched.check()
    assert flagged(result) == {"(joint)"}
    assert newest_memory([result]).open_keys() == ["(joint)"]
    watched.accept(began, "(joint)")
    assert flagged(watched.check()) == set()
    for result in each_hour(watched, 1, together(0.7)) + midnights(watched, together(0.7), 2):
        assert flagged(result) == set()
    assert "(joint)" in flagged(each_hour(watched, 1, together(0.0))[-1])


def test_what_lasts_is_adopted_after_a_while_where_that_is_asked_for_and_it_is_said(watch: Watch) -> None:
    watched = watch("checks: {drift: {adopt_after: 2d}}", begin=STEADY_UNTIL)
    hours_of = each_hour(watched, 1, steady(x=1.0)) + midnights(watched, steady(x=1.0), 1)
    assert [flagged(result) for result in hours_of] == [{"x"}] * 2
    assert acceptances(watched.store, MODEL) == []
    midnights(watched, steady(x=1.0), 1)
    (adopted,) = acceptances(watched.store, MODEL)
    assert (adopted.feature, adopted.by) == ("x", ADOPTED_BY)
    assert abs(adopted.since - STEADY_UNTIL) <= HOUR
    assert "drifted for 2 days" in adopted.describe()
    for result in each_hour(watched, 2, steady(x=1.0)) + midnights(watched, steady(x=1.0), 2):
        assert flagged(result) == set()
    assert len(acceptances(watched.store, MODEL)) == 1


def test_nothing_is_adopted_where_nobody_asks_for_it(watch: Watch) -> None:
    watched = drifting(watch)
    midnights(watched, steady(x=1.0), 3)
    assert acceptances(watched.store, MODEL) == []


# -- nothing is lost ----------------------------------------------------------------------------------------------
def test_checks_that_fail_in_between_lose_nothing(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = drifting(watch)
    before = newest_memory([watched.check()])

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("no rows at all")

    with monkeypatch.context() as patched:
        patched.setattr(engine_module, "check_looks", broken)
        failures = each_hour(watched, 24, steady(x=1.0))
        assert {result.status for result in failures} == {Status.ERROR}
    (result,) = each_hour(watched, 1, steady(x=1.0))
    assert flagged(result) == {"x"}
    after = newest_memory([result])
    assert after.episodes["features/x"][0].start == before.episodes["features/x"][0].start


def test_a_stretch_without_traffic_loses_nothing(watch: Watch) -> None:
    watched = drifting(watch)
    before = newest_memory([watched.check()])
    for _ in range(5):
        watched.now += 6 * HOUR
        fill(watched.store, watched.now, 0, steady())
        assert watched.check().status is not Status.ERROR
    (result,) = each_hour(watched, 1, steady(x=1.0))
    assert flagged(result) == {"x"}
    assert newest_memory([result]).episodes["features/x"][0].start == before.episodes["features/x"][0].start


def told(result: CheckResult) -> dict[str, object]:
    """What a result says of each subject. Sketches that are merged draw lots, so that p-values differ a little."""
    episodes = newest_memory([result]).episodes
    return {
        "status": result.status,
        "findings": {one.subject: one.status for one in result.findings},
        "episodes": {key: [(one.start, one.end, one.said, one.seen) for one in mine] for key, mine in episodes.items()},
    }


def test_a_restart_another_collector_and_checks_on_demand_change_nothing(watch: Watch) -> None:
    undisturbed, disturbed = watch(name="one", begin=STEADY_UNTIL), watch(name="two", begin=STEADY_UNTIL)
    said: list[list[dict[str, object]]] = [[], []]
    for step in range(6):
        draw = steady(x=1.0) if 1 <= step < 4 else steady()
        for index, watched in enumerate((undisturbed, disturbed)):
            watched.feed(7 * HOUR, draw)
            if watched is disturbed:
                watched.check(on_demand=True)
                if step % 2:
                    watched.restart()
                else:
                    other = watched.another()
                    other.context.engine.run(MODEL, CheckKind.DRIFT, watched.now)
                    other.stop()
            said[index].append(told(watched.check()))
            if watched is disturbed:
                watched.check(on_demand=True)
                assert told(watched.check()) == said[index][-1]
    assert said[0] == said[1]
    statuses = [one["status"] for one in said[0]]
    assert statuses == [Status.OK, *[Status.WARNING] * 3, *[Status.OK] * 2]


def test_what_drifts_in_a_segment_does_not_become_its_normal(watch: Watch) -> None:
    watched = watch()
    change = FIRST + 20 * DAY

    def feed(days: int) -> None:
        for day in range(days):
            documents = []
            rng = np.random.default_rng([7, int(watched.now.timestamp())])
            for region, shift in (("eu", 1.0 * (watched.now >= change)), ("us", 0.0), ("jp", 0.0)):
                made = profile_of({"x": normal(rng, shift, 1_000), "y": normal(rng, 0.0, 1_000)})
                documents.append(document(watched.now, made, length=DAY, segment=(("region", region),)))
            watched.store.create(documents)
            watched.now += DAY
            fill(watched.store, watched.now, 0, steady())
            watched.collector.maintenance.run(watched.now + timedelta(minutes=10))
            if day % 5 == 2 or day == days - 1:
                result = watched.check()
        segments = [dict(finding.segment or {}) for finding in result.findings if finding.segment]
        said.append({"region": "eu"} in segments)
        assert {"region": "us"} not in segments

    said: list[bool] = []
    watched.now = FIRST
    feed(20)
    feed(3)
    feed(34)
    assert said == [False, True, True]


def test_a_segment_that_drifts_is_said_on_days_on_which_it_has_hardly_a_row(watch: Watch) -> None:
    watched = watch()

    def feed(shift: float, rows: int) -> set[str]:
        documents = []
        rng = np.random.default_rng([8, int(watched.now.timestamp())])
        for region, off, number in (("eu", shift, rows), ("us", 0.0, 1_000), ("jp", 0.0, 1_000)):
            made = profile_of({"x": normal(rng, off, number), "y": normal(rng, 0.0, number)})
            documents.append(document(watched.now, made, length=DAY, segment=(("region", region),)))
        watched.store.create(documents)
        watched.now += DAY
        fill(watched.store, watched.now, 0, steady())
        return {value for one in watched.check().findings for value in (one.segment or {}).values()}

    for _ in range(16):
        assert feed(0.0, 1_000) == set()
    assert feed(1.0, 1_000) == {"eu"}
    assert feed(1.0, 1_000) == {"eu"}
    assert feed(0.0, 20) == {"eu"}
    assert feed(0.0, 20) == {"eu"}
    assert feed(0.0, 1_000) == set()


# -- a creep that was there from the first row on -------------------------------------------------------------------
def test_a_creep_from_the_first_row_on_is_said_until_it_ends(watch: Watch) -> None:
    """Weeks have nothing that they could be compared with then, so none of them tells that it is over."""

    def creeping(rng: np.random.Generator, at: datetime) -> Mapping[str, Column]:
        return {"x": normal(rng, 0.02 * ((at - FIRST) / DAY)), "y": normal(rng)}

    watched = watch()
    watched.feed(14 * DAY, creeping)
    said = []
    for _ in range(13):
        watched.feed(DAY, creeping)
        said.append("x" in flagged(watched.check()))
    first = said.index(True)
    assert first < 6
    assert all(said[first:])


# -- nights without traffic -----------------------------------------------------------------------------------------
def test_a_drift_stays_said_through_hours_with_hardly_a_row(watch: Watch) -> None:
    """It would else be over every night, and a new alert every morning."""

    def asleep(rng: np.random.Generator, at: datetime) -> Mapping[str, Column]:
        return {"x": normal(rng, 0.0, 1), "y": normal(rng, 0.0, 1)}

    watched = watch("checks: {drift: {window: 6h}}", begin=STEADY_UNTIL)
    watched.now = STEADY_UNTIL
    watched.feed(6 * HOUR, steady(1.0))
    assert flagged(watched.check()) == {"x"}
    for _ in range(3):
        watched.feed(12 * HOUR, asleep)
        result = watched.check()
        assert flagged(result) == {"x"}
        assert result.numbers["drifted"] == 1
    assert found(result, "x").message == (
        "x drifted when last told; nothing that came since shows that this is over, for 1 day"
    )
    assert STEADY_UNTIL - HOUR <= (found(result, "x").since or FIRST) <= STEADY_UNTIL
    assert result.summary.startswith("6 rows in the window; drift is judged from")
    watched.feed(6 * HOUR, steady())
    assert flagged(watched.check()) == set()
    watched.feed(12 * HOUR, asleep)
    assert watched.check().status is Status.NO_DATA
