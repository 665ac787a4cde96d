"""The audit trail waits for the store, and loses nothing in silence."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from collector.tests.collecting import wait_until
from modelward_collector.auth.audit import Action, AuditTrail, Record, field
from modelward_collector.span import Span
from modelward_collector.store.protocol import Alias, Created, Document, Outcome, StoreUnavailableError
from modelward_collector.store.sqlite import SqliteStore

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAY = Span(NOW - timedelta(days=1), NOW + timedelta(days=1))


class Flaky(SqliteStore):
    """The real store, which does not answer while `away`, and refuses what names `refused`."""

    away = False
    refused = ""

    def create(self, documents: Sequence[Document]) -> list[Created]:
        if self.away:
            raise StoreUnavailableError("the store is away")
        if self.refused:
            return [Created(Outcome.REJECTED, self.refused) for _ in documents]
        return super().create(documents)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Flaky]:
    opened = Flaky(tmp_path / "modelward.db")
    opened.setup()
    yield opened
    opened.close()


def login(user: str) -> Record:
    return Record(Action.LOGIN, True, user, "10.1.2.3", role="viewer", message=f"{user} logged in as viewer.")


def users(store: Flaky) -> list[str]:
    return [field(item, "user", "name") for item in store.events(Alias.AUDIT, DAY, limit=1000).items]


def test_a_record_is_stored_with_who_from_where_and_what(store: Flaky) -> None:
    trail = AuditTrail(store)
    trail.start()
    trail.record(Record(Action.LOGIN, False, "ada", "10.1.2.3", "wrong_password", "Invalid credentials"), NOW)
    trail.stop()
    (stored,) = store.events(Alias.AUDIT, DAY).items
    assert {name: value for name, value in stored.items() if name != "_id"} == {
        "@timestamp": "2026-11-21T12:00:00.000000Z",
        "kind": "access",
        "event": {"action": "login", "outcome": "failure", "reason": "wrong_password"},
        "user": {"name": "ada"},
        "source": {"ip": "10.1.2.3"},
        "message": "Invalid credentials",
    }


def test_while_the_store_is_away_records_wait_in_order_and_then_are_stored(store: Flaky) -> None:
    store.away = True
    trail = AuditTrail(store)
    trail.start()
    for number in range(3):
        trail.record(login(f"user{number}"), NOW + timedelta(seconds=number))
    assert trail.waiting == 3
    assert users(store) == []
    store.away = False
    wait_until(lambda: trail.waiting == 0, "the trail to be written")
    trail.stop()
    assert users(store) == ["user2", "user1", "user0"]


def test_every_record_is_in_the_log_at_once(store: Flaky, caplog: pytest.LogCaptureFixture) -> None:
    store.away = True
    trail = AuditTrail(store)
    with caplog.at_level(logging.INFO, logger="modelward.audit"):
        trail.record(login("ada"), NOW)
    assert '"user":{"name":"ada"' in caplog.text


def test_what_does_not_fit_goes_oldest_first_counted_and_said(store: Flaky, caplog: pytest.LogCaptureFixture) -> None:
    store.away = True
    trail = AuditTrail(store, most_waiting=3)
    for number in range(5):
        trail.record(login(f"user{number}"), NOW + timedelta(seconds=number))
    assert (trail.waiting, trail.dropped) == (3, 2)
    assert "the oldest records are now in this log alone" in caplog.text
    store.away = False
    trail.start()
    trail.stop()
    assert users(store) == ["user4", "user3", "user2"]


def test_what_the_store_refuses_for_good_blocks_nothing_and_is_counted(
    store: Flaky, caplog: pytest.LogCaptureFixture
) -> None:
    store.refused = "no such field"
    trail = AuditTrail(store)
    trail.start()
    trail.record(login("ada"), NOW)
    wait_until(lambda: trail.dropped == 1, "the refusal to be counted")
    store.refused = ""
    trail.record(login("bob"), NOW)
    trail.stop()
    assert users(store) == ["bob"]
    assert "no such field" in caplog.text


def test_the_end_writes_what_waits_and_does_not_wait_for_a_store_that_is_away(store: Flaky) -> None:
    trail = AuditTrail(store)
    trail.start()
    for number in range(700):
        trail.record(login(f"user{number}"), NOW)
    trail.stop()
    assert len(users(store)) == 700
    store.away = True
    trail = AuditTrail(store)
    trail.record(login("ada"), NOW)
    trail.start()
    trail.stop(seconds=2)
    assert trail.waiting == 1
