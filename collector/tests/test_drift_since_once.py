"""What drifts without a break began once: later windows tell that moment better, and never a later one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest

from collector.tests.columns import rows
from modelward_agent.profile import Profile, Segment
from modelward_collector.checks.drift import check_drift
from modelward_collector.checks.drift_since import Since, from_detail
from modelward_collector.checks.result import CheckResult, Status
from modelward_collector.checks.window import ReferenceProfile, Window
from modelward_collector.models import ModelSpec
from modelward_collector.span import Span

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
START = datetime(2026, 5, 1, tzinfo=UTC)
BEGINS, DAYS = 3.5, 24
SPEC = ModelSpec.model_validate({"model": "weather"})


def summer() -> dict[datetime, Profile]:
    """Hours of a temperature that begins to rise half-way through the fourth day, and rises on for weeks."""
    draw = np.random.default_rng(20260501)
    risen = [max(0.0, hour / 24 - BEGINS) * 0.4 for hour in range(24 * DAYS)]
    return {START + hour * HOUR: rows({"temp": draw.normal(mean, 1, 200)}) for hour, mean in enumerate(risen)}


@pytest.fixture(scope="module")
def results() -> list[CheckResult]:
    """Of each day's check."""
    hours = summer()

    def steps(span: Span, step: timedelta) -> list[tuple[Span, Mapping[Segment, Profile]]]:
        assert step <= HOUR or step == DAY
        inside = [(at, made) for at, made in hours.items() if span.start <= at < span.end]
        return [(Span(at, at + HOUR), {(): made}) for at, made in inside]

    reference = ReferenceProfile("April", rows({"temp": np.random.default_rng(1).normal(0, 1, 20_000)}), (), {})
    found: list[CheckResult] = []
    for day in range(DAYS):
        span = Span(START + day * DAY, START + (day + 1) * DAY)
        current = Profile()
        for at, made in hours.items():
            if span.start <= at < span.end:
                current.merge(made)
        window = Window("weather", span, {("v1", ()): current})
        found.append(check_drift(SPEC, "v1", reference, window, found, steps))
    return found


def test_a_slow_change_has_begun_when_it_was_first_seen_to(results: list[CheckResult]) -> None:
    drifting = [result for result in results if result.status is not Status.OK]
    assert len(drifting) > 15
    told = [from_detail(result.findings[0].detail["change"]) for result in drifting]
    first = told[0]
    assert first.at is not None
    assert abs(first.at - (START + BEGINS * DAY)) <= DAY
    for before, after in pairwise(told):
        assert after == before or after.narrows(before)
    assert {result.findings[0].since for result in drifting[5:]} == {told[5].at}


@pytest.mark.parametrize(
    ("known", "new", "better"),
    [
        ((10, 8, 12), (11, 10, 12), True),
        ((10, 8, 12), (11, 9, 14), False),
        ((10, 8, 12), (15, 14, 16), False),
        ((10, 8, 12), (7, 6, 8), False),
        ((None, None, 12), (11, 10, 12), True),
        ((None, None, 12), (15, 14, 16), False),
        ((10, 8, 12), (None, None, 11), False),
    ],
)
def test_only_a_moment_that_was_held_possible_takes_the_place_of_another(
    known: tuple[int | None, int | None, int], new: tuple[int | None, int | None, int], *, better: bool
) -> None:
    def since(moments: tuple[int | None, int | None, int]) -> Since:
        at, low, high = (None if hour is None else START + hour * HOUR for hour in moments)
        assert high is not None
        return Since(at, low, high)

    assert since(new).narrows(since(known)) is better


@pytest.mark.parametrize(
    ("low", "said"),
    [
        (9, "since about 10:00 (09:00 to 12:00)"),
        (-15, "since about 10:00 (30 Apr 09:00 to 1 May 12:00)"),
        (None, "since about 10:00 (before 29 Apr 00:00 to 12:00)"),
    ],
)
def test_after_a_day_that_is_named_a_time_alone_would_be_of_that_day(low: int | None, said: str) -> None:
    since = Since(START + 10 * HOUR, None if low is None else START + low * HOUR, START + 12 * HOUR)
    assert since.says(START + 13 * HOUR, START - 2 * DAY) == said
