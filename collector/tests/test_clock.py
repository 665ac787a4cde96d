"""What now is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from collector.tests.store_documents import NOON, part
from modelward_collector.clock import ReplayClock, WallClock
from modelward_collector.store.sqlite import SqliteStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "modelward.db")
    opened.setup()
    yield opened
    opened.close()


def test_the_wall_clock_is_utc() -> None:
    assert abs(WallClock().now() - datetime.now(UTC)) < timedelta(seconds=5)
    assert WallClock().now().tzinfo is UTC


def test_a_replay_is_at_the_watermark(store: SqliteStore) -> None:
    clock = ReplayClock(store)
    assert clock.now() == datetime.fromtimestamp(0, UTC)
    assert clock.describe() == "replaying, no data yet"
    store.create([part("p1", NOON), part("p2", NOON + timedelta(hours=2))])
    assert clock.now() == store.watermark()
    assert NOON <= clock.now() <= NOON + timedelta(hours=2, minutes=1)
    assert "2026-03-01 14:0" in clock.describe()


def test_a_replay_never_goes_back(store: SqliteStore) -> None:
    clock = ReplayClock(store)
    store.create([part("p1", NOON)])
    before = clock.now()
    store.delete_parts(["p1"])
    assert clock.now() == before
