"""Of two collectors on one store one schedules."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from modelward_collector.lease import LEASE_TTL, RENEW_EVERY_SECONDS, Lease
from modelward_collector.store.sqlite import SqliteStore


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[tuple[SqliteStore, SqliteStore]]:
    opened = SqliteStore(tmp_path / "modelward.db"), SqliteStore(tmp_path / "modelward.db")
    opened[0].setup()
    yield opened
    for store in opened:
        store.close()


def test_a_dead_holder_is_replaced_within_fifteen_seconds() -> None:
    assert LEASE_TTL.total_seconds() + RENEW_EVERY_SECONDS <= 15


def test_only_one_holds_it_until_it_is_given_up(stores: tuple[SqliteStore, SqliteStore]) -> None:
    first, second = Lease(stores[0], "scheduler"), Lease(stores[1], "scheduler")
    assert first.renew()
    assert not second.renew()
    assert first.renew()
    assert first.held
    assert not second.held
    first.release()
    assert not first.held
    assert second.renew()


def test_it_lapses_for_a_holder_that_could_not_renew(stores: tuple[SqliteStore, SqliteStore]) -> None:
    lease = Lease(stores[0], "scheduler", timedelta(seconds=0.2))
    assert lease.renew()
    deadline = time.monotonic() + 5
    while lease.held and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not lease.held
    assert Lease(stores[1], "scheduler").renew()
