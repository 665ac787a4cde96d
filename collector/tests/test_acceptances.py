"""What was accepted is kept in the audit trail and read back, on the embedded store and on a real Elasticsearch."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from collector.tests.store_documents import NOON, log, result
from modelward_collector.checks.acceptance import Acceptance, AcceptanceKind
from modelward_collector.span import Span
from modelward_collector.store import shape
from modelward_collector.store.acceptances import AcceptanceRefusedError, accept, acceptances, new_id, renew
from modelward_collector.store.protocol import Alias, Document, Store
from modelward_collector.store.sqlite import SqliteStore

HOUR = timedelta(hours=1)
ALWAYS = Span(shape.EPOCH, shape.LATEST)
ODD = 'ünï "quoted" \\ 漢字 🛫 a~b/c?d#e'


@pytest.fixture(params=["sqlite", pytest.param("elasticsearch", marks=pytest.mark.server("elasticsearch"))])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    opened: Store
    if request.param == "sqlite":
        opened = SqliteStore(tmp_path / "modelward.db")
    else:
        from collector.tests.elastic import emptied

        opened = emptied(request.getfixturevalue("elasticsearch"))
    opened.setup()
    yield opened
    opened.close()


def an_acceptance(**changes: Any) -> Acceptance:
    made = Acceptance(
        id=new_id(),
        model="delay",
        since=NOON - 22 * HOUR,
        by="ada",
        at=NOON,
        feature="distance",
        version="3",
        reason="the new routes",
    )
    return replace(made, **changes)


def stored(store: Store, its_id: str) -> dict[str, Any]:
    (found,) = (item for item in store.events(Alias.AUDIT, ALWAYS).items if item["_id"] == its_id)
    return dict(found)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"feature": None, "version": None, "reason": ""},
        {"version": ""},
        {"feature": "(joint)", "since": NOON - timedelta(days=40, microseconds=-123456)},
        {"feature": ODD, "version": ODD, "reason": ODD, "by": ODD, "model": ODD},
        {"kind": AcceptanceKind.PUT_BACK, "window": Span(NOON - 22 * HOUR, NOON - 2 * HOUR)},
    ],
)
def test_what_was_accepted_is_read_back_as_it_was(store: Store, changes: dict[str, Any]) -> None:
    said = an_acceptance(**changes)
    accept(store, said)
    assert acceptances(store, said.model) == [said]


def test_an_acceptance_is_a_line_of_the_audit_trail(store: Store) -> None:
    said = an_acceptance()
    accept(store, said)
    line = stored(store, said.id)
    assert abs(shape.moment(line["@timestamp"]) - datetime.now(UTC)) < HOUR
    assert (line["kind"], line["event"]["action"], line["user"]["name"], line["by"]) == (
        "acceptance",
        "accept",
        "ada",
        "ada",
    )
    assert line["event"] == {"action": "accept", "outcome": "success", "reason": "the new routes"}
    assert line["message"] == ("delay: new normal of distance of version 3 since 2026-02-28 14:00 UTC: the new routes")
    (found,) = store.events(Alias.AUDIT, ALWAYS, text="distance").items
    assert found["_id"] == said.id


def test_a_window_that_was_put_back_says_so(store: Store) -> None:
    window = Span(datetime(2026, 2, 3, tzinfo=UTC), datetime(2026, 2, 4, tzinfo=UTC))
    said = an_acceptance(
        kind=AcceptanceKind.PUT_BACK, window=window, since=window.start, feature=None, version=None, reason=""
    )
    accept(store, said)
    assert stored(store, said.id)["message"] == (
        "delay: 2026-02-03 00:00 to 2026-02-04 00:00 UTC belongs to the reference of everything again"
    )


def test_acceptances_are_of_one_model_and_oldest_first(store: Store) -> None:
    first, second, third = (an_acceptance(at=NOON + hours * HOUR) for hours in range(3))
    accept(store, second, third)
    accept(store, first, an_acceptance(model="fraud"))
    store.create([replace(log("other", model="delay"), alias=Alias.AUDIT)])
    assert acceptances(store, "delay") == [first, second, third]
    assert acceptances(store, "unknown") == []


def test_acceptances_of_one_moment_are_in_the_order_they_were_made_in(store: Store) -> None:
    said = [an_acceptance(feature=f"f{number}") for number in range(5)]
    accept(store, *said)
    assert acceptances(store, "delay") == said


def test_until_a_moment_are_those_that_were_made_by_it(store: Store) -> None:
    early, late = an_acceptance(at=NOON), an_acceptance(at=NOON + HOUR)
    accept(store, early)
    accept(store, late)
    assert acceptances(store, "delay", until=NOON - shape.MICROSECOND) == []
    assert acceptances(store, "delay", until=NOON) == [early]
    assert acceptances(store, "delay", until=NOON + HOUR) == [early, late]


def test_more_than_a_page_of_acceptances_is_read_whole(store: Store) -> None:
    said = [an_acceptance(at=NOON + number * timedelta(seconds=1)) for number in range(1_203)]
    accept(store, *said)
    assert acceptances(store, "delay") == said


def test_the_same_acceptance_again_changes_nothing(store: Store) -> None:
    said = an_acceptance()
    accept(store, said)
    accept(store, replace(said, reason="another"))
    assert acceptances(store, "delay") == [said]


@pytest.mark.parametrize("changes", [{"id": ""}, {"id": "x" * 513}])
def test_what_the_store_refuses_is_an_error_and_not_accepted(store: Store, changes: dict[str, Any]) -> None:
    with pytest.raises(AcceptanceRefusedError, match="the store refuses the acceptance of delay"):
        accept(store, an_acceptance(**changes))
    assert acceptances(store, "delay") == []


def test_a_record_that_does_not_fit_is_left_out_and_said_once(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    from modelward_collector.store.acceptances import _document

    good = an_acceptance()
    sound = _document(good)
    said = sound["acceptance"]
    bad = [
        {**sound, "acceptance": "all of it"},
        {**sound, "acceptance": {}},
        {**sound, "acceptance": {**said, "kind": "of tomorrow"}},
        {**sound, "acceptance": {**said, "since": "yesterday"}},
        {**sound, "acceptance": {**said, "since": "0900-01-01T00:00:00Z"}},
        {**sound, "acceptance": {**said, "at": None}},
        {**sound, "acceptance": {**said, "feature": 5}},
        {**sound, "acceptance": {**said, "kind": "put_back"}},
        {**sound, "acceptance": {**said, "kind": ["put_back"]}},
        {**sound, "acceptance": {**said, "window": {"start": said["since"], "end": said["since"]}}},
        {**sound, "by": ""},
        {**sound, "by": None},
        {**sound, "version": 3},
        {**sound, "event": {"reason": ["one"]}},
    ]
    ids = [f"bad-{number}-{new_id()}" for number in range(len(bad))]
    store.create([Document(Alias.AUDIT, its_id, source) for its_id, source in zip(ids, bad, strict=True)])
    accept(store, good)
    with caplog.at_level(logging.WARNING):
        assert acceptances(store, "delay") == [good]
        assert acceptances(store, "delay") == [good]
    lines = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert len(lines) == len(bad)
    assert all(sum(its_id in line for line in lines) == 1 for its_id in ids)
    assert any("acceptance.since" in line for line in lines)


def test_an_acceptance_outlives_the_audit_trail(store: Store) -> None:
    said = [an_acceptance(feature=f"f{number}") for number in range(3)]
    accept(store, *said)
    before = datetime.now(UTC) + shape.MICROSECOND
    assert renew(store, before - HOUR) == 0
    assert renew(store, before) == 3
    # The copies are of now, and there is one of each, however often it is asked for.
    assert renew(store, before) == 0
    assert acceptances(store, "delay") == said
    records = store.events(Alias.AUDIT, ALWAYS, kind="acceptance").items
    assert [item["event"]["action"] for item in records] == ["renew"] * 3 + ["accept"] * 3
    store.retain({Alias.AUDIT: timedelta(0)}, shape.moment(records[0]["@timestamp"]))
    assert acceptances(store, "delay") == said
    assert renew(store, datetime.now(UTC) + shape.MICROSECOND) == 0


def test_acceptances_survive_a_restart(tmp_path: Path) -> None:
    said = an_acceptance()
    for _ in range(2):
        store = SqliteStore(tmp_path / "modelward.db")
        store.setup()
        accept(store, said)
        store.close()
    store = SqliteStore(tmp_path / "modelward.db")
    store.setup()
    assert acceptances(store, "delay") == [said]
    store.close()


def test_reading_them_is_cheap_beside_a_long_audit_trail(store: Store) -> None:
    others = [
        Document(
            Alias.AUDIT, f"login-{number}", {"@timestamp": shape.rfc3339(NOON), "kind": "access", "model": "delay"}
        )
        for number in range(20_000)
    ]
    store.create(others)
    said = [an_acceptance(at=NOON + number * HOUR) for number in range(20)]
    for one in said:
        accept(store, one)
    store.save_result(result())
    times = []
    for _ in range(20):
        begun = time.perf_counter()
        assert len(acceptances(store, "delay")) == 20
        times.append(time.perf_counter() - begun)
    print(f"acceptances: {sorted(times)[10] * 1000:.2f} ms")
    assert min(times) < 0.05
