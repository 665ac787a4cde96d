"""One run of one check: what it looks at, what it stores, and what a failure becomes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from collector.tests.collecting import HOUR, MINUTE, a_collector, send_traffic
from collector.tests.store_documents import NOON
from modelward_collector import engine as engine_module
from modelward_collector.app import Collector
from modelward_collector.checks.result import CheckKind, Status
from modelward_collector.checks.window import ReferenceProfile
from modelward_collector.engine import Loader
from modelward_collector.span import Span, floor
from modelward_collector.store.protocol import StoreUnavailableError
from modelward_collector.store.windows import NormalSpans, load_past

LAST_MONTH = "reference: {kind: span, start: 2026-02-01T00:00:00Z, end: 2026-02-02T00:00:00Z}"
REFERENCE_DAY = datetime(2026, 2, 1, tzinfo=UTC)


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    made = a_collector(tmp_path, {"delay": LAST_MONTH, "silent": ""}, clock="replay")
    send_traffic(made.context.store, NOON, 1, model="later")  # so that it is noon
    yield made
    made.stop()


def test_a_moment_is_floored_to_whole_steps() -> None:
    assert floor(NOON + timedelta(seconds=59), MINUTE) == NOON
    assert floor(NOON, MINUTE) == NOON
    assert floor(NOON + 5 * HOUR, timedelta(days=1)) == NOON - 12 * HOUR


def test_on_the_wall_clock_the_window_ends_before_what_may_still_be_on_its_way(tmp_path: Path) -> None:
    made = a_collector(tmp_path, {"delay": ""})
    try:
        span = made.context.engine.span("delay", CheckKind.DRIFT)
        age = datetime.now(UTC) - span.end
        assert timedelta(seconds=90) <= age <= timedelta(seconds=155)
        assert span.end.second == 0
        assert span.length == timedelta(days=1)
        past = made.context.engine.span("delay", CheckKind.DRIFT, NOON)
        assert past.end == NOON
    finally:
        made.stop()


def test_labels_get_their_time_to_come_in(tmp_path: Path) -> None:
    made = a_collector(tmp_path, {"delay": "checks: {performance: {label_delay: 2d, window: 7d}}"})
    try:
        span = made.context.engine.span("delay", CheckKind.PERFORMANCE, NOON)
        assert span == Span(NOON - timedelta(days=9), NOON - timedelta(days=2))
    finally:
        made.stop()


def test_there_is_one_result_a_version_with_traffic(collector: Collector) -> None:
    store, engine = collector.context.store, collector.context.engine
    send_traffic(store, REFERENCE_DAY, 60)
    send_traffic(store, NOON - HOUR, 30, version="1")
    send_traffic(store, NOON - HOUR / 2, 30, version="2", mean=3.0)
    results = engine.run("delay", CheckKind.DRIFT, NOON)
    assert [(result.version, result.rows) for result in results] == [("1", 1500), ("2", 1500)]
    assert results[0].status is Status.OK
    assert results[1].status.rank >= Status.WARNING.rank
    assert all(result.end == NOON and not result.on_demand for result in results)
    assert [store.result(result.id) for result in results] == results


def test_a_version_younger_than_the_window_is_judged_over_its_life(collector: Collector) -> None:
    store, engine = collector.context.store, collector.context.engine
    send_traffic(store, REFERENCE_DAY, 60)
    send_traffic(store, NOON - HOUR, 30, version="2")
    (result,) = engine.run("delay", CheckKind.DRIFT, NOON)
    assert (result.start, result.end) == (NOON - HOUR, NOON)
    assert result.rows == 1500


def test_the_same_run_twice_is_one_result_and_one_on_demand_is_another(collector: Collector) -> None:
    store, engine = collector.context.store, collector.context.engine
    send_traffic(store, NOON - HOUR, 30)
    engine.run("delay", CheckKind.HEALTH, NOON)
    engine.run("delay", CheckKind.HEALTH, NOON)
    engine.run("delay", CheckKind.HEALTH, NOON, on_demand=True)
    kept = store.results(Span(NOON - HOUR, NOON), model="delay").items
    assert sorted(result.on_demand for result in kept) == [False, True]


def test_without_traffic_the_result_is_of_the_version_seen_last(collector: Collector) -> None:
    store, engine = collector.context.store, collector.context.engine
    send_traffic(store, NOON - HOUR, 5, version="1")
    send_traffic(store, NOON + HOUR, 5, version="2")
    send_traffic(store, NOON + 6 * HOUR, 1, model="other")
    (result,) = engine.run("delay", CheckKind.QUALITY, NOON + 6 * HOUR)
    assert (result.version, result.rows) == ("2", 0)
    (result,) = engine.run("silent", CheckKind.DRIFT, NOON)
    assert (result.version, result.status) == ("", Status.NO_DATA)


def test_another_calendar_counts_at_once_whatever_is_kept_of_the_reference(collector: Collector) -> None:
    loader = Loader(collector.context.store)
    send_traffic(collector.context.store, NOON - 25 * HOUR, 60, model="silent")
    spec = collector.context.registry.spec("silent")
    assert spec is not None
    for given in (spec, spec.model_copy(update={"timezone": "Europe/Berlin", "holidays": (NOON.date(),)})):
        prepared = loader._prepared(given, "1", Span(NOON - HOUR, NOON), NormalSpans())
        assert prepared is not None
        assert (str(prepared.reference.zone), prepared.reference.holidays) == (
            given.timezone,
            frozenset(given.holidays),
        )


@pytest.mark.parametrize("check", list(CheckKind))
def test_every_check_runs_on_a_model_that_nobody_configured(collector: Collector, check: CheckKind) -> None:
    send_traffic(collector.context.store, NOON - HOUR, 60, model="a/b ü")
    results = collector.context.engine.run("a/b ü", check, NOON)
    assert results
    assert all(result.status is not Status.ERROR for result in results)


def test_a_model_that_is_not_there_is_a_key_error(collector: Collector) -> None:
    with pytest.raises(KeyError):
        collector.context.engine.run("nobody", CheckKind.DRIFT)


def test_a_check_that_raises_is_a_result_that_says_so(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("no rows at all")

    send_traffic(collector.context.store, NOON - HOUR, 30)
    monkeypatch.setattr(engine_module, "check_looks", broken)
    (result,) = collector.context.engine.run("delay", CheckKind.DRIFT, NOON)
    assert result.status is Status.ERROR
    assert result.summary == "The check failed: ZeroDivisionError: no rows at all"
    assert collector.context.store.result(result.id) == result
    series = collector.metrics.render().decode()
    assert 'modelward_check_status{check="drift",model="delay",version="1"} 4.0' in series
    assert 'modelward_check_runs_total{check="drift",status="error"} 1.0' in series


def test_a_store_that_is_down_is_raised_to_whoever_asked(tmp_path: Path) -> None:
    made = a_collector(tmp_path, {"delay": ""})
    made.stop()
    (tmp_path / "modelward.db").unlink()
    (tmp_path / "modelward.db").mkdir()
    with pytest.raises(StoreUnavailableError):
        made.context.engine.run("delay", CheckKind.DRIFT, NOON)


def test_a_reference_is_read_once_until_its_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = a_collector(tmp_path, {"delay": LAST_MONTH}, clock="replay")
    try:
        send_traffic(made.context.store, REFERENCE_DAY, 60)
        read = []

        def watched(*given: Any) -> ReferenceProfile | None:
            read.append(given)
            return load_past(*given)

        monkeypatch.setattr(engine_module, "load_past", watched)
        first = made.context.engine.reference("delay", "1", Span(NOON - HOUR, NOON))
        again = made.context.engine.reference("delay", "1", Span(NOON, NOON + HOUR))
        assert first is not None
        assert first.total.rows == 3000
        assert again is first
        assert len(read) == 1
    finally:
        made.stop()


def test_checks_run_in_processes_that_a_death_does_not_stop(tmp_path: Path) -> None:
    made = a_collector(tmp_path, {"delay": LAST_MONTH}, clock="replay", executor={"workers": 1})
    try:
        send_traffic(made.context.store, REFERENCE_DAY, 60)
        send_traffic(made.context.store, NOON - HOUR, 30)
        send_traffic(made.context.store, NOON, 1, model="later")
        (result,) = made.context.engine.run("delay", CheckKind.DRIFT, NOON)
        assert (result.status, result.rows) == (Status.OK, 1500)
        workers = [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())]
        assert workers
        for worker in workers:
            os.kill(worker.pid, signal.SIGKILL)
        psutil.wait_procs(workers, timeout=10)
        (result,) = made.context.engine.run("delay", CheckKind.DRIFT, NOON)
        assert result.status is Status.OK
    finally:
        made.stop()
    assert not [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())]
