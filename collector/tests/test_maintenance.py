"""Maintenance does what is due, once, and one bad model keeps nothing else from being done."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from collector.tests.store_documents import DAY, NOON, log, part
from modelward_collector import maintenance
from modelward_collector.checks.acceptance import Acceptance
from modelward_collector.config import CollectorConfig
from modelward_collector.maintenance import Maintenance, MaintenanceSettings
from modelward_collector.span import Span
from modelward_collector.store.acceptances import accept, acceptances
from modelward_collector.store.protocol import Alias, Document, StoreUnavailableError
from modelward_collector.store.rollup import RolledUp, roll_up
from modelward_collector.store.shape import rfc3339
from modelward_collector.store.sqlite import SqliteStore

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
ONE_DAY = timedelta(days=1)

SETTINGS = MaintenanceSettings(
    minutes_for=6 * HOUR,
    hours_for=30 * ONE_DAY,
    keep=dict.fromkeys(Alias, 400 * ONE_DAY),
    max_documents=1_000,
    max_age=7 * ONE_DAY,
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "modelward.db")
    opened.setup()
    yield opened
    opened.close()


def test_every_model_is_rolled_up_and_what_is_too_old_goes(store: SqliteStore) -> None:
    for model in ("delay", "fraud"):
        store.create([part(f"{model}{n}", NOON + n * MINUTE, model=model) for n in range(3)])
    store.create([log("old", NOON - 500 * ONE_DAY), log("new", NOON)])
    report = Maintenance(store, SETTINGS).run(NOON + 8 * HOUR)
    assert (report.models, report.rolled_up, report.expired, report.failed) == (2, RolledUp(2, 6), 1, {})
    assert report.describe() == ("2 models: 2 roll-ups written, 6 parts deleted; 0 new indices, 1 expired")
    for model in ("delay", "fraud"):
        assert [one.seconds for one in store.parts(DAY, model=model)] == [3600]


def test_what_was_accepted_holds_however_short_the_trail_is_kept(store: SqliteStore) -> None:
    said = Acceptance("1", "delay", NOON, "ada", NOON)
    accept(store, said)
    upkeep = Maintenance(store, replace(SETTINGS, keep=dict.fromkeys(Alias, 2 * ONE_DAY)))
    upkeep.run(datetime.now(UTC) + 1.5 * ONE_DAY)
    assert acceptances(store, "delay") == [said]
    store.create([Document(Alias.AUDIT, "login", {"@timestamp": rfc3339(datetime.now(UTC) - 3 * ONE_DAY)})])
    assert upkeep.run(datetime.now(UTC)).expired == 1
    assert acceptances(store, "delay") == [said]


def test_a_second_run_finds_nothing_to_do(store: SqliteStore) -> None:
    store.create([part("1", NOON), log("old", NOON - 500 * ONE_DAY)])
    upkeep = Maintenance(store, SETTINGS)
    upkeep.run(NOON + 8 * HOUR)
    again = upkeep.run(NOON + 8 * HOUR)
    assert (again.rolled_up, again.expired) == (RolledUp(), 0)


def test_after_a_start_all_is_looked_at_and_then_only_what_is_recent(store: SqliteStore) -> None:
    store.create([part("ancient", NOON)])
    upkeep = Maintenance(store, SETTINGS)
    later = NOON + 100 * ONE_DAY
    upkeep.run(later)
    everything = Span(DAY.start, later)
    assert [one.seconds for one in store.parts(everything, model="delay")] == [86_400]
    store.create([part("ancient and late", NOON + HOUR)])
    assert upkeep.run(later).rolled_up == RolledUp()
    assert Maintenance(store, SETTINGS).run(later).rolled_up.deleted == 2
    assert [one.seconds for one in store.parts(everything, model="delay")] == [86_400, 86_400]


def test_a_model_that_fails_is_named_and_the_others_are_done(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.create([part("1", NOON, model="alpha"), part("2", NOON, model="beta"), log("old", NOON - 500 * ONE_DAY)])

    def fails_on_alpha(store: SqliteStore, model: str, *rest: object, **named: object) -> RolledUp:
        if model == "alpha":
            raise RuntimeError("its sketch is beyond repair")
        return roll_up(store, model, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(maintenance, "roll_up", fails_on_alpha)
    report = Maintenance(store, SETTINGS).run(NOON + 8 * HOUR)
    assert report.failed == {"alpha": "RuntimeError: its sketch is beyond repair"}
    assert (report.rolled_up, report.expired) == (RolledUp(1, 1), 1)
    assert report.describe().endswith("; failed: alpha")


def test_a_store_that_is_away_is_the_callers_to_handle(store: SqliteStore) -> None:
    store.close()
    with pytest.raises(StoreUnavailableError):
        Maintenance(store, SETTINGS).run(NOON)


def test_the_settings_are_those_of_the_configuration() -> None:
    config = CollectorConfig.model_validate({"roll_up": {"minutes_after": "3h"}, "retention": {"logs": "9d"}})
    settings = MaintenanceSettings.of(config)
    assert settings.minutes_for == 3 * HOUR
    assert settings.keep[Alias.LOGS] == 9 * ONE_DAY
    assert replace(settings, max_documents=1).max_documents == 1
