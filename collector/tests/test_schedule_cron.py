"""Checks on a cron schedule: in whose time zone, over changes of the clock, and when one is late."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from apscheduler.schedulers.background import BackgroundScheduler

from collector.tests.collecting import HOUR, a_collector, send_traffic, wait_until
from modelward_collector.app import Collector
from modelward_collector.checks.result import CheckKind
from modelward_collector.context import Entry
from modelward_collector.crontab import Crontab, CrontabTrigger
from modelward_collector.span import Span

BERLIN = ZoneInfo("Europe/Berlin")
DAY = timedelta(days=1)
HALF_AN_HOUR = timedelta(minutes=30)
OFF = "{enabled: false}"
EVER = Span(datetime.fromtimestamp(0, UTC), datetime(2100, 1, 1, tzinfo=UTC))

Make = Callable[..., Collector]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Collector] = []

    def one(model: str, **settings: object) -> Collector:
        made.append(a_collector(tmp_path, {"delay": model}, **settings))
        return made[-1]

    yield one
    for collector in made:
        collector.stop()


def on(cron: str, zone: str | None = None) -> str:
    """A model whose drift check alone runs, at those times."""
    place = f"timezone: {zone}\n" if zone else ""
    checks = f"drift: {{cron: '{cron}', window: 1h}}, health: {OFF}, quality: {OFF}, performance: {OFF}"
    return f"{place}checks: {{{checks}}}"


def the_entry(collector: Collector) -> Entry:
    (entry,) = collector.context.scheduler.entries()
    return entry


def replayed(collector: Collector, start: datetime, until: datetime) -> list[datetime]:
    """When its check ran, by the data's clock."""
    send_traffic(collector.context.store, start, int((until - start) / HALF_AN_HOUR), rows=5, seconds=1800)
    collector.context.scheduler.start()
    found: list[datetime] = []

    def done() -> bool:
        results = collector.context.store.results(EVER, model="delay", check=CheckKind.DRIFT, limit=1000).items
        found[:] = sorted({result.end for result in results})
        due = the_entry(collector).next_run if collector.context.scheduler.entries() else None
        return due is not None and due > collector.context.clock.now()

    wait_until(done, "the end of the data")
    return found


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (datetime(2026, 3, 27, 12, tzinfo=UTC), ["28 02:30+0100", "29 03:00+0200", "30 02:30+0200"]),
        (datetime(2026, 10, 23, 12, tzinfo=UTC), ["24 02:30+0200", "25 02:30+0200", "26 02:30+0100"]),
    ],
)
def test_a_daily_check_runs_once_a_day_when_the_clock_is_changed_too(
    make: Make, start: datetime, expected: list[str]
) -> None:
    collector = make(on("30 2 * * *", "Europe/Berlin"), clock="replay", agents={"window": "30m"})
    ran = replayed(collector, start, start + 3 * DAY)
    assert [f"{moment.astimezone(BERLIN):%d %H:%M%z}" for moment in ran] == expected


def test_an_hourly_check_goes_on_every_hour_when_the_clock_is_changed(make: Make) -> None:
    collector = make(on("0 * * * *", "Europe/Berlin"), clock="replay", agents={"window": "30m"})
    start = datetime(2026, 10, 24, 20, tzinfo=UTC)
    ran = replayed(collector, start, start + 12 * HOUR)
    assert [after - before for before, after in pairwise(ran)] == [HOUR] * (len(ran) - 1)
    assert len(ran) >= 11


@pytest.mark.parametrize(
    ("model", "site", "hour", "said"),
    [
        (None, None, 6, "cron 0 6 * * 1"),
        (None, "Europe/Berlin", 5, "cron 0 6 * * 1 in Europe/Berlin"),
        ("Asia/Tokyo", "Europe/Berlin", 21, "cron 0 6 * * 1 in Asia/Tokyo"),
    ],
)
def test_the_time_is_that_of_the_models_zone_or_else_of_the_sites(
    make: Make, model: str | None, site: str | None, hour: int, said: str
) -> None:
    collector = make(on("0 6 * * 1", model), **({"calendar": {"timezone": site}} if site else {}))
    # In winter, so that Berlin is an hour ahead.
    now = datetime(2026, 1, 7, tzinfo=UTC)
    trigger = trigger_of(collector)
    following = trigger.get_next_fire_time(None, now)
    assert following.hour == hour
    assert following.astimezone(ZoneInfo(model or site or "UTC")).strftime("%a %H:%M") == "Mon 06:00"
    assert the_entry(collector).schedule == said


def trigger_of(collector: Collector) -> CrontabTrigger:
    collector.context.scheduler.sync()
    (line,) = collector.context.scheduler._lines.values()
    assert isinstance(line.trigger, CrontabTrigger)
    return line.trigger


def test_the_next_run_that_is_shown_is_the_next_that_is_due(make: Make) -> None:
    collector = make(on("0 6 * * 1", "Asia/Tokyo"))
    # An hour with no first run of a new model in it.
    collector.context.scheduler._first_run_after = 30 * DAY
    collector.context.scheduler.start()
    wait_until(collector.context.scheduler.entries, "the schedule")
    shown = the_entry(collector).next_run
    assert shown is not None
    assert shown.astimezone(ZoneInfo("Asia/Tokyo")).strftime("%a %H:%M") == "Mon 06:00"
    assert datetime.now(UTC) < shown <= datetime.now(UTC) + 7 * DAY


def test_another_time_zone_counts_without_a_restart(make: Make, tmp_path: Path) -> None:
    collector = make(on("0 6 * * *", "Europe/Berlin"))
    before = trigger_of(collector)
    (tmp_path / "models.d" / "0.yml").write_text(f"model: delay\n{on('0 6 * * *', 'Asia/Tokyo')}\n")
    assert trigger_of(collector) is not before
    assert the_entry(collector).schedule == "cron 0 6 * * * in Asia/Tokyo"


def test_a_check_is_late_when_the_second_run_after_its_last_success_is_due(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    collector = make(on("0 9-17 * * mon-fri", "Europe/Berlin"))
    friday_evening = datetime(2026, 6, 12, 17, tzinfo=BERLIN)

    def at(moment: datetime) -> None:
        monkeypatch.setattr(collector.context.clock, "now", lambda: moment.astimezone(UTC))

    at(friday_evening)
    collector.context.scheduler.sync()
    for moment, late in [
        (datetime(2026, 6, 14, 12, tzinfo=BERLIN), False),
        (datetime(2026, 6, 15, 9, 30, tzinfo=BERLIN), False),
        (datetime(2026, 6, 15, 10, 1, tzinfo=BERLIN), False),
        (datetime(2026, 6, 15, 10, 3, tzinfo=BERLIN), True),
    ]:
        at(moment)
        assert the_entry(collector).overdue is late
        # The alert is of the same opinion, by the series.
        (length,) = collector.context.scheduler.intervals().values()
        assert (moment - friday_evening > 2 * length + timedelta(minutes=2)) is late


def test_apscheduler_runs_a_job_at_the_triggers_times() -> None:
    scheduler = BackgroundScheduler(timezone=BERLIN)
    scheduler.start(paused=True)
    try:
        job = scheduler.add_job(print, CrontabTrigger(Crontab.parse("30 2 * * *"), BERLIN))
        job.modify(next_run_time=datetime(2026, 10, 25, 0, 30, tzinfo=UTC))
        due = job._get_run_times(datetime(2026, 10, 26, 12, tzinfo=BERLIN))
        assert due == [datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 26, 1, 30, tzinfo=UTC)]
    finally:
        scheduler.shutdown()
