"""Hours stay as long as what drifts is compared with them, and go when they are needed no more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from collector.tests.hourly import DAY, HOUR, MODEL
from collector.tests.store_documents import NOON, part, result
from modelward_collector.checks.drift_memory import Episode, Memory, to_document
from modelward_collector.checks.result import CheckKind, Status
from modelward_collector.maintenance import Maintenance, MaintenanceSettings
from modelward_collector.models import ReferenceRolling
from modelward_collector.registry import Registry
from modelward_collector.span import Span
from modelward_collector.store.normal_past import reaches_back
from modelward_collector.store.protocol import Alias
from modelward_collector.store.sqlite import SqliteStore

FIRST = NOON.replace(hour=0)
REFERENCE = ReferenceRolling(kind="rolling", window=4 * DAY)
SETTINGS = MaintenanceSettings(
    minutes_for=6 * HOUR,
    hours_for=6 * DAY,
    keep=dict.fromkeys(Alias, 400 * DAY),
    max_documents=1_000,
    max_age=7 * DAY,
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "modelward.db")
    opened.setup()
    for model in (MODEL, "other"):
        opened.create([part(f"{model}{n}", FIRST + n * 6 * HOUR, model=model, seconds=3_600) for n in range(40 * 4)])
    yield opened
    opened.close()


@pytest.fixture
def upkeep(store: SqliteStore, tmp_path: Path) -> Maintenance:
    (tmp_path / "delay.yml").write_text(f"model: {MODEL}\nreference: {{kind: rolling, window: 4d}}\n")
    return Maintenance(store, SETTINGS, Registry(tmp_path, store))


def drifts(start: int, end: int | None = None, *, accepted: str = "") -> Episode:
    """Of noon of those days."""
    begun = FIRST + start * DAY + 12 * HOUR
    return Episode(
        begun, begun, begun, HOUR, 0.3, 400, end=None if end is None else FIRST + end * DAY, accepted=accepted
    )


def remember(
    store: SqliteStore,
    day: int,
    *episodes: Episode,
    version: str = "1",
    check: CheckKind = CheckKind.DRIFT,
    key: str = "features/x",
) -> None:
    kept = result(FIRST + day * DAY, model=MODEL, version=version, check=check)
    store.save_result(replace(kept, memory=to_document(Memory({key: episodes} if episodes else {}))))


def days_of_hours(store: SqliteStore, model: str = MODEL) -> list[int]:
    """The days of which hours are there."""
    parts = store.parts(Span(FIRST, FIRST + 100 * DAY), model=model)
    return sorted({(one.start - FIRST) // DAY for one in parts if one.seconds == 3_600})


def test_without_a_drift_hours_go_when_they_are_old(store: SqliteStore, upkeep: Maintenance) -> None:
    remember(store, 20)
    upkeep.run(FIRST + 20 * DAY + HOUR)
    assert days_of_hours(store) == days_of_hours(store, "other") == list(range(14, 40))


def test_what_drifts_has_the_hours_from_before_it_however_long_it_lasts(
    store: SqliteStore, upkeep: Maintenance
) -> None:
    for day in range(13, 36):
        remember(store, day, drifts(12))
        upkeep.run(FIRST + day * DAY + HOUR)
    assert set(range(8, 12)) < set(days_of_hours(store))
    assert min(days_of_hours(store)) == 7
    assert days_of_hours(store, "other") == list(range(29, 40))


def test_after_a_restart_they_stay_too(store: SqliteStore, upkeep: Maintenance, tmp_path: Path) -> None:
    for day in range(13, 36, 4):
        remember(store, day, drifts(12))
        Maintenance(store, SETTINGS, Registry(tmp_path, store)).run(FIRST + day * DAY + HOUR)
    assert min(days_of_hours(store)) == 7


def test_when_it_is_over_and_nothing_reaches_back_to_them_they_go(store: SqliteStore, upkeep: Maintenance) -> None:
    for day in range(13, 30):
        remember(store, day, drifts(12))
        upkeep.run(FIRST + day * DAY + HOUR)
    remember(store, 30, drifts(12, 30))
    upkeep.run(FIRST + 30 * DAY + HOUR)
    assert min(days_of_hours(store)) == 7
    remember(store, 33, drifts(12, 30))
    upkeep.run(FIRST + 33 * DAY + HOUR)
    assert min(days_of_hours(store)) in (9, 10)
    remember(store, 36, drifts(12, 30))
    upkeep.run(FIRST + 36 * DAY + HOUR)
    assert days_of_hours(store) == list(range(30, 40))


def test_a_check_that_failed_deletes_nothing(store: SqliteStore, upkeep: Maintenance) -> None:
    remember(store, 13, drifts(12))
    for day in range(13, 36):
        for hour in range(1, 9):
            store.save_result(result(FIRST + day * DAY + hour * HOUR, model=MODEL, status=Status.ERROR))
        upkeep.run(FIRST + day * DAY + 9 * HOUR)
    assert min(days_of_hours(store)) == 7


def test_of_several_versions_and_checks_the_one_that_reaches_back_furthest_counts(
    store: SqliteStore, upkeep: Maintenance
) -> None:
    remember(store, 30, drifts(20))
    remember(store, 30, drifts(15), version="2")
    remember(store, 30, drifts(12), check=CheckKind.QUALITY, key="traffic/traffic")
    upkeep.run(FIRST + 30 * DAY + HOUR)
    assert min(days_of_hours(store)) == 7


def test_a_version_that_is_checked_no_more_keeps_nothing(store: SqliteStore, upkeep: Maintenance) -> None:
    remember(store, 13, drifts(12))
    remember(store, 30, version="2")
    upkeep.run(FIRST + 30 * DAY + HOUR)
    assert min(days_of_hours(store)) == 24


def test_minutes_go_all_the_same(store: SqliteStore, upkeep: Maintenance) -> None:
    store.create([part(f"m{n}", FIRST + 11 * DAY + n * timedelta(minutes=1)) for n in range(3)])
    remember(store, 30, drifts(12))
    upkeep.run(FIRST + 30 * DAY + HOUR)
    seconds = {one.seconds for one in store.parts(Span(FIRST, FIRST + 40 * DAY), model=MODEL)}
    assert seconds == {3_600, 86_400}


def test_a_rolling_reference_that_is_longer_than_hours_are_kept_keeps_them(store: SqliteStore, tmp_path: Path) -> None:
    (tmp_path / "delay.yml").write_text(f"model: {MODEL}\nreference: {{kind: rolling, window: 10d, gap: 2d}}\n")
    remember(store, 20)
    Maintenance(store, SETTINGS, Registry(tmp_path, store)).run(FIRST + 20 * DAY + HOUR)
    assert min(days_of_hours(store)) == 7


@pytest.mark.parametrize(
    ("episodes", "day"),
    [
        ((), 26),
        ((drifts(20),), 16),
        ((drifts(20, 22),), 26),
        ((drifts(28),), 24),
        ((drifts(26, 28),), 24),
        ((drifts(17, 18), drifts(20)), 15),
        ((drifts(24, 25), drifts(27, 28)), 25),
        ((drifts(20, 30, accepted="id"),), 26),
    ],
)
def test_a_reference_reaches_back_over_what_is_left_out_of_it(episodes: tuple[Episode, ...], day: int) -> None:
    """`day` is of the fourth newest window of any hour that nothing has drifted in."""
    now = FIRST + 30 * DAY + 5 * HOUR
    found = reaches_back(Memory({"features/x": episodes} if episodes else {}), REFERENCE, now)
    assert 0 <= (FIRST + day * DAY - found) / DAY < 4
