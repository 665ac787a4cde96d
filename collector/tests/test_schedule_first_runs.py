"""A model that has only just begun: it is looked at again soon, and less and less often while nothing comes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from collector.tests.collecting import a_collector, send_traffic, wait_until
from modelward_collector import schedule as schedule_module
from modelward_collector.app import Collector
from modelward_collector.checks.result import CheckKind, CheckResult, Status
from modelward_collector.context import Entry
from modelward_collector.span import Span

OFF = "{enabled: false}"
HOURLY_QUALITY = f"checks: {{quality: {{every: 1h, window: 1h}}, drift: {OFF}, health: {OFF}, performance: {OFF}}}"
EVER = Span(datetime.fromtimestamp(0, UTC), datetime(2100, 1, 1, tzinfo=UTC))


@pytest.fixture
def collector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """Its first run is a window of a second after its start."""
    monkeypatch.setattr(schedule_module, "FIRST_RUNS_WITHIN", timedelta(0))
    made = a_collector(tmp_path, {"delay": HOURLY_QUALITY}, agents={"window": "1s", "delay": "0s"})
    made.context.scheduler.start()
    wait_until(made.context.scheduler.entries, "the schedule")
    yield made
    made.stop()


def quality(collector: Collector) -> Entry:
    (one,) = [entry for entry in collector.context.scheduler.entries() if entry.check is CheckKind.QUALITY]
    return one


def runs(collector: Collector) -> list[CheckResult]:
    found = collector.context.store.results(EVER, model="delay", check=CheckKind.QUALITY, limit=1000).items
    return sorted(found, key=lambda result: result.ran_at)


def test_traffic_that_comes_after_the_first_look_is_not_left_until_the_next_interval(collector: Collector) -> None:
    wait_until(lambda: quality(collector).last_status is Status.NO_DATA, "a first run without traffic")
    minutes_ago = (datetime.now(UTC) - timedelta(minutes=10)).replace(second=0, microsecond=0)
    send_traffic(collector.context.store, minutes_ago, 5, seconds=60)
    wait_until(lambda: quality(collector).last_status not in (None, Status.NO_DATA), "a verdict on the traffic")
    # Once judged, it is the interval's turn: no run stands before the next full hour's.
    wait_until(lambda: (due := quality(collector).next_run) and due > datetime.now(UTC), "the next run")
    assert len({result.ran_at for result in runs(collector) if result.status is not Status.NO_DATA}) == 1


def test_while_nothing_comes_each_look_waits_twice_as_long_as_the_one_before(collector: Collector) -> None:
    looked: list[datetime] = []

    def look() -> bool:
        last = quality(collector).last_run
        if last is not None and last not in looked:
            looked.append(last)
        return len(looked) >= 3

    wait_until(look, "three looks")
    first, second = [after - before for before, after in pairwise(looked)]
    assert first >= timedelta(seconds=1)
    assert second >= timedelta(seconds=2)
