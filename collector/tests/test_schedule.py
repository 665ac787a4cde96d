"""When checks run: on the wall clock, in a replay, and with two collectors on one store."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from apscheduler.events import EVENT_JOB_MAX_INSTANCES

from collector.tests.collecting import HOUR, a_collector, send_traffic, wait_until
from modelward_collector import engine as engine_module
from modelward_collector import schedule as schedule_module
from modelward_collector.app import Collector
from modelward_collector.checks.result import CheckKind, CheckResult, Status
from modelward_collector.context import Entry
from modelward_collector.lease import Lease
from modelward_collector.span import Span

DAY = timedelta(days=1)
OFF = "{enabled: false}"
ONLY_HEALTH = f"checks: {{health: {{every: 1s}}, drift: {OFF}, quality: {OFF}, performance: {OFF}}}"
NOTHING = f"checks: {{health: {OFF}, drift: {OFF}, quality: {OFF}, performance: {OFF}}}"

Make = Callable[..., Collector]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Collector] = []

    def one(*given: object, **settings: object) -> Collector:
        made.append(a_collector(tmp_path, *given, **settings))  # type: ignore[arg-type]
        return made[-1]

    yield one
    for collector in made:
        collector.stop()


def entry(collector: Collector, model: str, check: CheckKind) -> Entry | None:
    found = [one for one in collector.context.scheduler.entries() if (one.model, one.check) == (model, check)]
    return found[0] if found else None


def results(collector: Collector, model: str = "delay", check: CheckKind | None = None) -> list[CheckResult]:
    always = Span(datetime.fromtimestamp(0, UTC), datetime.now(UTC) + DAY)
    return list(reversed(collector.context.store.results(always, model=model, check=check, limit=1000).items))


# -- the wall clock ------------------------------------------------------------------------------------------------


def test_a_check_runs_at_its_interval_and_its_entry_says_how_it_went(make: Make) -> None:
    collector = make({"delay": ONLY_HEALTH}, agents={"delay": "0s"})
    collector.context.scheduler.start()
    wait_until(lambda: (one := entry(collector, "delay", CheckKind.HEALTH)) and one.last_success, "a first run")
    first = entry(collector, "delay", CheckKind.HEALTH)
    assert first is not None
    assert first.schedule == "every 1s"
    assert first.last_status is not None
    assert not first.overdue
    assert first.last_error == ""
    wait_until(lambda: entry(collector, "delay", CheckKind.HEALTH).last_run > first.last_run, "a second run")  # type: ignore
    assert collector.context.scheduler.running
    assert [one.check for one in collector.context.scheduler.entries()] == [CheckKind.HEALTH]


def test_a_run_is_not_begun_again_before_it_has_ended(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    collector = make({"delay": ONLY_HEALTH}, agents={"delay": "0s"})
    skipped, under_way, most = [0], [0], [0]
    run = collector.context.engine.run

    def slow(*given: object, **named: object) -> list[CheckResult]:
        under_way[0] += 1
        most[0] = max(most[0], under_way[0])
        wait_until(lambda: skipped[0] >= 2, "two due times to pass")
        under_way[0] -= 1
        return run(*given, **named)  # type: ignore[arg-type]

    def count(_: object) -> None:
        skipped[0] += 1

    monkeypatch.setattr(collector.context.engine, "run", slow)
    collector.context.scheduler.start()
    collector.context.scheduler._jobs.add_listener(count, EVENT_JOB_MAX_INSTANCES)
    wait_until(lambda: results(collector), "a run")
    assert most == [1]


def test_models_are_picked_up_changed_and_dropped_without_a_restart(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule_module, "SYNC_EVERY_SECONDS", 0.1)
    collector = make({"delay": ONLY_HEALTH})
    collector.context.scheduler.start()
    wait_until(lambda: entry(collector, "delay", CheckKind.HEALTH), "the model")
    path = tmp_path / "models.d" / "0.yml"
    path.write_text(f"model: delay\n{NOTHING.replace('drift: {enabled: false}', 'drift: {cron: 0 6 * * *}')}\n")
    wait_until(lambda: entry(collector, "delay", CheckKind.DRIFT), "the changed model")
    changed = entry(collector, "delay", CheckKind.DRIFT)
    assert changed is not None
    assert changed.schedule == "cron 0 6 * * *"
    assert changed.next_run is not None
    assert entry(collector, "delay", CheckKind.HEALTH) is None
    path.unlink()
    wait_until(lambda: not collector.context.scheduler.entries(), "the model to go")
    send_traffic(collector.context.store, datetime.now(UTC) - HOUR, 5, model="unknown")
    collector.context.registry._seen_at = float("-inf")
    wait_until(lambda: len(collector.context.scheduler.entries()) == 4, "the unconfigured model's default checks")


def test_a_fleet_does_not_fire_at_once_and_each_keeps_its_place(make: Make) -> None:
    collector = make({f"m{number}": "" for number in range(40)})
    scheduler = collector.context.scheduler
    scheduler.start()
    wait_until(lambda: len(scheduler.entries()) == 160, "the schedule")
    drift = [one.next_run for one in scheduler.entries() if one.check is CheckKind.DRIFT]
    assert all(moment is not None for moment in drift)
    assert len(set(drift)) == 40
    assert schedule_module._share(("m1", CheckKind.DRIFT)) == schedule_module._share(("m1", CheckKind.DRIFT))


def test_a_failing_check_is_shown_with_its_error_and_the_schedule_goes_on(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("this cannot be")

    monkeypatch.setattr(engine_module, "check_health", broken)
    collector = make({"delay": ONLY_HEALTH}, agents={"delay": "0s"})
    collector.context.scheduler.start()
    wait_until(lambda: (one := entry(collector, "delay", CheckKind.HEALTH)) and one.last_error, "a failed run")
    shown = entry(collector, "delay", CheckKind.HEALTH)
    assert shown is not None
    assert shown.last_status is Status.ERROR
    assert "ValueError: this cannot be" in shown.last_error
    assert shown.last_success is None
    monkeypatch.undo()
    wait_until(lambda: (one := entry(collector, "delay", CheckKind.HEALTH)) and one.last_success, "it to mend")
    assert entry(collector, "delay", CheckKind.HEALTH).last_error == ""  # type: ignore[union-attr]


def test_a_check_without_success_for_two_intervals_and_a_grace_is_overdue(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule_module, "GRACE", timedelta(0))
    collector = make({"delay": ONLY_HEALTH})
    monkeypatch.setattr(collector.context.engine, "run", lambda *_, **__: 1 / 0)
    collector.context.scheduler.start()
    wait_until(lambda: (one := entry(collector, "delay", CheckKind.HEALTH)) and one.overdue, "it to be overdue")
    series = collector.metrics.render().decode()
    assert "modelward_checks_overdue 1.0" in series
    assert "modelward_checks_failing 1.0" in series
    assert "modelward_scheduler_leading 1.0" in series
    assert "ZeroDivisionError" in entry(collector, "delay", CheckKind.HEALTH).last_error  # type: ignore[union-attr]


def test_what_was_known_before_a_restart_is_known_after_it(make: Make) -> None:
    before = make({"delay": ""})
    send_traffic(before.context.store, datetime.now(UTC) - HOUR, 30)
    ran = before.context.engine.run("delay", CheckKind.DRIFT)
    after = make({"delay": ""})
    after.context.scheduler.start()
    wait_until(lambda: entry(after, "delay", CheckKind.DRIFT), "the schedule")
    shown = entry(after, "delay", CheckKind.DRIFT)
    assert shown is not None
    assert shown.last_run == ran[0].ran_at
    assert 'modelward_check_status{check="drift",model="delay",version="1"}' in after.metrics.render().decode()


def test_it_stops_within_seconds_and_then_runs_nothing(make: Make) -> None:
    collector = make({f"m{number}": ONLY_HEALTH for number in range(20)})
    collector.context.scheduler.start()
    wait_until(lambda: any(one.last_run for one in collector.context.scheduler.entries()), "a run")
    begun = datetime.now(UTC)
    collector.context.scheduler.stop()
    assert datetime.now(UTC) - begun < timedelta(seconds=5)
    assert not collector.context.scheduler.running


def test_a_check_that_hangs_keeps_nothing_from_ending(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule_module, "ENDS_WITHIN_SECONDS", 0.2)
    hung, release = threading.Event(), threading.Event()

    def hang(*_: object, **__: object) -> list[CheckResult]:
        hung.set()
        release.wait(30)
        return []

    collector = make({"delay": ONLY_HEALTH}, agents={"delay": "0s"})
    monkeypatch.setattr(collector.context.engine, "run", hang)
    collector.context.scheduler.start()
    assert hung.wait(20)
    collector.context.scheduler.stop()
    assert collector.context.scheduler.unfinished
    release.set()


# -- two collectors ------------------------------------------------------------------------------------------------


def test_of_two_collectors_one_schedules_and_the_other_takes_over(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule_module, "RENEW_EVERY_SECONDS", 0.2)
    monkeypatch.setattr(schedule_module, "FOLLOW_EVERY_SECONDS", 0.2)
    first = make({"delay": ONLY_HEALTH}, agents={"delay": "0s"})
    second = make({"delay": ONLY_HEALTH}, agents={"delay": "0s"})
    for collector in (first, second):
        collector.context.scheduler._lease = Lease(collector.context.store, "scheduler", timedelta(seconds=1))
    first.context.scheduler.start()
    wait_until(lambda: first.context.scheduler.holds_lease, "the first to schedule")
    second.context.scheduler.start()
    ran_by_second: list[object] = []
    run = second.context.engine.run

    def watched(*given: object, **named: object) -> list[CheckResult]:
        ran_by_second.append(given)
        return run(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(second.context.engine, "run", watched)
    wait_until(lambda: (one := entry(second, "delay", CheckKind.HEALTH)) and one.last_success, "the second to follow")
    assert not second.context.scheduler.holds_lease
    assert not ran_by_second
    # The first dies: it renews no more, and gives nothing up.
    first.context.scheduler._stopping.set()
    wait_until(lambda: ran_by_second, "the second to take over")
    assert second.context.scheduler.holds_lease
    assert not first.context.scheduler.holds_lease


# -- replay --------------------------------------------------------------------------------------------------------

DAILY = f"checks: {{drift: {{every: 1d, window: 1d}}, health: {OFF}, quality: {OFF}, performance: {OFF}}}"
START = datetime(2013, 2, 1, tzinfo=UTC)


def test_in_a_replay_every_due_time_of_the_data_runs_once_in_order(make: Make) -> None:
    collector = make({"delay": DAILY, "other": DAILY}, clock="replay", agents={"window": "1h"})
    store = collector.context.store
    for model in ("delay", "other"):
        send_traffic(store, START, 24 * 10 + 1, model=model, rows=5, seconds=3600)
    order: list[tuple[datetime, str]] = []
    run = collector.context.engine.run

    def watched(model: str, check: CheckKind, at: datetime | None = None, **named: bool) -> list[CheckResult]:
        assert at is not None
        order.append((at, model))
        return run(model, check, at, **named)

    collector.context.engine.run = watched  # type: ignore[method-assign]
    collector.context.scheduler.start()
    wait_until(lambda: len(results(collector, "other")) == 10, "ten days")
    assert order == sorted(order)
    for model in ("delay", "other"):
        assert [result.end for result in results(collector, model)] == [START + (day + 1) * DAY for day in range(10)]
        assert all(result.rows == 24 * 5 for result in results(collector, model))
    # Nothing runs again while time stands still; a further day runs when it is complete.
    send_traffic(store, START + 10 * DAY + HOUR, 24, rows=5, seconds=3600)
    wait_until(lambda: len(results(collector)) == 11, "the eleventh day")
    assert len(order) == 22


def test_a_replay_goes_on_where_it_ended(make: Make) -> None:
    first = make({"delay": DAILY}, clock="replay", agents={"window": "1h"})
    send_traffic(first.context.store, START, 24 * 3 + 1, rows=5, seconds=3600)
    first.context.scheduler.start()
    wait_until(lambda: len(results(first)) == 3, "three days")
    first.stop()
    again = make({"delay": DAILY}, clock="replay", agents={"window": "1h"})
    ran_before = [result.ran_at for result in results(again)]
    send_traffic(again.context.store, START + 3 * DAY + HOUR, 24, rows=5, seconds=3600)
    again.context.scheduler.start()
    wait_until(lambda: len(results(again)) == 4, "the fourth day")
    assert [result.ran_at for result in results(again)][:3] == ran_before


def test_in_a_replay_nothing_finer_than_a_window_is_run(make: Make) -> None:
    every_minute = DAILY.replace("every: 1d, window: 1d", "every: 1m, window: 1h")
    collector = make({"delay": every_minute}, clock="replay", agents={"window": "1h"})
    send_traffic(collector.context.store, START, 6, rows=5, seconds=3600)
    collector.context.scheduler.start()
    wait_until(lambda: len(results(collector)) == 5, "five hours")
    assert [result.end for result in results(collector)] == [START + (hour + 1) * HOUR for hour in range(5)]


def test_a_replay_that_is_far_behind_takes_bigger_steps_but_skips_no_day(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    hourly = DAILY.replace("every: 1d, window: 1d", "every: 1h, window: 1h")
    collector = make({"delay": hourly}, clock="replay", agents={"window": "1h"})
    send_traffic(collector.context.store, START, 1, rows=5, seconds=3600)
    send_traffic(collector.context.store, START + 60 * DAY, 1, rows=5, seconds=3600)
    monkeypatch.setattr(schedule_module, "CATCH_UP", 100)
    collector.context.scheduler.start()
    wait_until(lambda: (done := results(collector)) and done[-1].end == START + 60 * DAY, "the end")
    ends = [result.end for result in results(collector)]
    steps = [after - before for before, after in pairwise(ends)]
    assert max(steps) <= DAY
    assert 60 <= len(ends) < 60 * 24 / 2
