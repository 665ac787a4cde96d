"""Data quality against a model's own past, through engine and store: what lasts is said for as long as it does."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from collector.tests.collecting import HOUR, a_collector
from modelward_agent.profile import FeatureProfile, Profile, ProfileKey
from modelward_agent.profile.wire import to_document
from modelward_collector.accepting import Asked, NothingDriftsError, accept, proposed
from modelward_collector.app import Collector
from modelward_collector.checks.quality.traffic import expected_rows, like_days, reference_rows, usual_week
from modelward_collector.checks.result import CheckKind, CheckResult, Finding
from modelward_collector.span import Span
from modelward_collector.store.acceptances import acceptances
from modelward_collector.store.protocol import Alias, Document, Store

DAY = timedelta(days=1)
MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
JUMP = MONDAY + 30 * DAY + 9 * HOUR
QUIET = "checks: {quality: {freshness: null, duplicates_max: 1}}"


@dataclass(frozen=True)
class Hour:
    rows: int = 1000
    missing: float = 0.01
    cities: Mapping[str, float] = field(default_factory=lambda: {"Ulm": 0.6, "Bonn": 0.4})


Usual = Callable[[datetime], Hour]


def jumping(at: datetime) -> Hour:
    """From the jump on every fifth value is missing, a new city is there and traffic is a tenth."""
    return Hour(100, 0.2, {"Ulm": 0.5, "Bonn": 0.3, "Rom": 0.2}) if at >= JUMP else Hour()


def profile(hour: Hour, seed: int, scale: int = 1) -> Profile:
    chance = np.random.default_rng(seed)
    made = Profile()
    made.rows = int(chance.poisson(hour.rows * scale))
    income, city = FeatureProfile(), FeatureProfile()
    income.missing = int(chance.binomial(made.rows, hour.missing))
    income.update_numbers(chance.normal(size=made.rows - income.missing))
    counts = chance.multinomial(made.rows, list(hour.cities.values()))
    city.update_counts({name: int(count) for name, count in zip(hour.cities, counts, strict=True) if count})
    made.features = {"city": city, "income": income}
    return made


def send(store: Store, usual: Usual, start: datetime, steps: int, seconds: int = 3600) -> None:
    documents = []
    for number in range(steps):
        at = start + number * timedelta(seconds=seconds)
        key = ProfileKey("web-1", "m", "1", (), int(at.timestamp()), seconds)
        made = profile(usual(at), int(at.timestamp()) // 3600, seconds // 3600)
        documents.append(Document(Alias.PROFILES, f"{at:%Y%m%d%H}-{seconds}", to_document(key, made, part=f"{at}")))
    store.create(documents)


def send_months(store: Store, usual: Usual, days: int = 91) -> None:
    """By the day, as maintenance leaves it, and by the hour around the jump, on day 60 and on the last two days."""
    hourly = {*range(24, 33), 60, 61, days - 2, days - 1}
    for day in range(days):
        start = MONDAY + day * DAY
        send(store, usual, start, 24 if day in hourly else 1, 3600 if day in hourly else 86_400)


def check(collector: Collector, at: datetime) -> CheckResult:
    (result,) = collector.context.engine.run("m", CheckKind.QUALITY, at)
    return result


def flagged(result: CheckResult) -> dict[str, Finding]:
    return {finding.subject: finding for finding in result.findings if finding.status.flagged}


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., Collector]]:
    """A collector over the same store each time, as after a restart."""
    made: list[Collector] = []

    def start(rest: str = QUIET) -> Collector:
        made.append(a_collector(tmp_path, {"m": rest}, clock="replay"))
        return made[-1]

    yield start
    for collector in made:
        collector.stop()


Started = Callable[..., Collector]


# -- what lasts -------------------------------------------------------------------------------------------------------
def test_what_is_not_as_in_the_past_is_said_until_it_is_accepted(started: Started) -> None:
    collector = started()
    send_months(collector.context.store, jumping)
    assert not flagged(check(collector, JUMP)), "not yet"
    first = flagged(check(collector, JUMP + HOUR))
    assert first.keys() == {"income", "city", "traffic"}
    assert {finding.since for finding in first.values()} == {JUMP}
    for day in (31, 32, 60, 90):
        collector = started()  # it goes on from the store
        at = MONDAY + day * DAY + 12 * HOUR
        result = check(collector, at)
        said = flagged(result)
        assert said.keys() == first.keys(), (day, result.summary)
        assert {finding.since for finding in said.values()} == {JUMP}
    assert "for 60d, since 4 Feb 09:00 UTC" in said["income"].message
    assert said["income"].threshold == pytest.approx(0.03, abs=0.005), "nothing of it is in the reference"
    assert re.search(r"(9|10)\.\d% of the reference's (9|10)\d\d;", said["traffic"].message)
    asked = Asked("m", "ada", reason="the new shop")
    context = collector.context
    one = proposed(context, replace(asked, feature="income"))
    assert [(item.feature, item.since) for item in one] == [("income", JUMP)]
    accepted = accept(context, one)
    assert [result.check for result in accepted.results] == [CheckKind.DRIFT, CheckKind.QUALITY]
    assert flagged(accepted.results[1]).keys() == {"city", "traffic"}
    everything = proposed(context, asked)
    assert {item.feature for item in everything} == {"city", "traffic"}
    assert not flagged(accept(context, everything).results[1])
    assert not flagged(check(started(), MONDAY + 91 * DAY))


def test_it_is_over_when_a_window_shows_it_is_and_its_return_is_said_at_once(started: Started) -> None:
    back, again = MONDAY + 60 * DAY, MONDAY + 90 * DAY + 6 * HOUR

    def comes_and_goes(at: datetime) -> Hour:
        return jumping(at) if JUMP <= at < back or at >= again else Hour()

    collector = started()
    send_months(collector.context.store, comes_and_goes)
    for at in (JUMP + HOUR, MONDAY + 32 * DAY):
        assert flagged(check(collector, at)).keys() == {"income", "city", "traffic"}
    assert not flagged(check(collector, back + HOUR)), "the first whole hour that is as before"
    assert not flagged(check(collector, again))
    said = flagged(check(collector, again + HOUR))
    assert said.keys() >= {"income", "city"}
    assert {said["income"].since, said["city"].since} == {again}


def test_a_window_of_few_rows_ends_nothing(started: Started) -> None:
    night = JUMP + 16 * HOUR

    def with_a_night(at: datetime) -> Hour:
        hour = jumping(at)
        return replace(hour, rows=6) if night <= at < night + 4 * HOUR else hour

    collector = started()
    send_months(collector.context.store, with_a_night, days=33)
    for hours in (1, 10, 18, 19, 20, 22):
        said = flagged(check(collector, JUMP + hours * HOUR))
        assert said["income"].since == said["city"].since == JUMP, hours
    assert check(collector, night + 3 * HOUR).rows < 20


def test_what_the_schema_forbids_is_not_accepted(started: Started) -> None:
    collector = started(f"features: {{income: {{type: numeric, missing_max: 0.05}}}}\n{QUIET}")
    send_months(collector.context.store, lambda at: replace(Hour(), missing=jumping(at).missing), days=32)
    at = MONDAY + 32 * DAY
    finding = flagged(check(collector, at))["income"]
    assert "missing_max" in finding.message
    with pytest.raises(NothingDriftsError):
        proposed(collector.context, Asked("m", "ada"))


def test_what_lasts_for_long_enough_is_adopted_where_that_is_asked_for(started: Started) -> None:
    collector = started("checks: {drift: {adopt_after: 2d}, quality: {freshness: null, duplicates_max: 1}}")
    send_months(collector.context.store, jumping, days=33)
    assert flagged(check(collector, JUMP + HOUR))
    assert not acceptances(collector.context.store, "m")
    assert flagged(check(collector, JUMP + 2 * DAY + HOUR))
    assert {one.feature for one in acceptances(collector.context.store, "m")} == {"city", "income", "traffic"}
    assert not flagged(check(collector, JUMP + 2 * DAY + 2 * HOUR))


# -- unchanged traffic ------------------------------------------------------------------------------------------------
def seasonal(at: datetime) -> Hour:
    """Nights with another city and less traffic, weekends with hardly any, and a gap in the data every night at two."""
    rows = 400 + 390 * math.sin(2 * math.pi * (at.hour - 9) / 24)
    rests = at.weekday() >= 5
    cities = {"Ulm": 0.5, "Bonn": 0.3, "Night": 0.2} if at.hour < 5 else {"Ulm": 0.6, "Bonn": 0.4}
    return Hour(round(rows * (0.12 if rests else 1)) + 3, 0.4 if at.hour == 2 else 0.01, cities)


def test_unchanged_traffic_with_nights_and_weekends_is_never_flagged(started: Started) -> None:
    collector = started()
    start = MONDAY + 9 * HOUR
    send(collector.context.store, seasonal, start, 24 * 12)
    for hour in (*range(1, 24), *range(24, 24 * 6, 3), *range(24 * 6, 24 * 12, 7)):
        said = flagged(check(collector, start + hour * HOUR))
        assert not said, (hour, said)


# -- volumes ----------------------------------------------------------------------------------------------------------
def hours(rows_at: Callable[[datetime], int], days: int) -> list[tuple[Span, int]]:
    moments = [MONDAY + number * HOUR for number in range(24 * days)]
    return [(Span(at, at + HOUR), rows_at(at)) for at in moments]


def test_a_day_is_held_against_its_own_weekday_and_else_against_days_of_its_kind() -> None:
    volumes = hours(lambda at: 10 if at.weekday() >= 5 else 100 + at.weekday(), 28)
    for days, usual, count in ((28, 100, 4), (33, 10, 4), (15, 100, 11)):
        span = Span(MONDAY + days * DAY + 12 * HOUR, MONDAY + days * DAY + 13 * HOUR)
        known = volumes[: 24 * days]
        stretches = reference_rows(known, span)
        assert stretches is not None
        like = like_days(stretches, span, frozenset())
        assert (float(np.median(like.rows)) // 5 * 5, like.known, len(like.rows)) == (usual, True, count)
    holiday = Span(MONDAY + 28 * DAY + 12 * HOUR, MONDAY + 28 * DAY + 13 * HOUR)
    stretches = reference_rows(volumes, holiday)
    assert stretches is not None
    assert set(like_days(stretches, holiday, {holiday.start.date()}).rows) == {10}


def test_a_usual_week_is_as_it_mostly_was() -> None:
    outage = Span(MONDAY + 8 * DAY, MONDAY + 8 * DAY + 12 * HOUR)
    volumes = hours(lambda at: 0 if outage.start <= at < outage.end else 10 if at.weekday() >= 5 else 100, 28)
    week = usual_week(volumes, frozenset())
    assert week == [100] * 120 + [10] * 48
    middle = Span(MONDAY + 4 * DAY + 22 * HOUR + HOUR / 2, MONDAY + 5 * DAY + HOUR)
    assert expected_rows(week, middle, frozenset()) == 160
    assert usual_week(volumes[:24], frozenset()) == [None] * 168
    assert expected_rows([None] * 168, middle, frozenset()) is None
