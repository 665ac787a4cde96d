"""What goes into the journal arrives: events as documents, rows in profiles, each exactly once."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.tests.agents import (
    append,
    configuration,
    ids,
    lines,
    prediction,
    predictions,
    profile,
    quarantined,
    recorder_file,
    rows,
    running,
)
from agent.tests.bulk_server import BulkServer, wait_for
from modelward_agent.journal.checkpoint import StateError


@pytest.fixture
def server() -> Iterator[BulkServer]:
    server = BulkServer()
    yield server
    server.close()


def wait_for_events(server: BulkServer, count: int) -> None:
    wait_for(lambda: len(server.events()) == count)


def test_events_and_profiles_arrive(tmp_path: Path, server: BulkServer) -> None:
    config = configuration(tmp_path, server)
    append(recorder_file(config), predictions(0, 500))
    with running(config):
        wait_for(lambda: len(server.events()) == 500 and rows(server) == 500)
    assert ids(server) == sorted(f"p{number}" for number in range(500))
    merged = profile(server)
    assert merged.features["amount"].numeric is not None
    assert merged.features["amount"].numeric.n == 500
    assert merged.features["amount"].numeric.moments.mean == pytest.approx(249.5)


def test_a_clean_stop_commits_and_delivers_what_is_there(tmp_path: Path, server: BulkServer) -> None:
    config = configuration(tmp_path, server, commit_interval="1h")
    append(recorder_file(config), predictions(0, 10))
    with running(config):
        wait_for_events(server, 10)
        assert not server.profiles()
        append(recorder_file(config), predictions(10, 20))
    assert len(server.events()) == 20
    assert rows(server) == 20


def test_a_restart_counts_nothing_twice(tmp_path: Path, server: BulkServer) -> None:
    config = configuration(tmp_path, server)
    path = recorder_file(config)
    for start in range(0, 50, 10):
        append(path, predictions(start, start + 10))
        # The application lives on: its file stays.
        with path.open("rb") as held:
            fcntl.flock(held, fcntl.LOCK_SH)
            with running(config):
                wait_for_events(server, start + 10)
    assert len(server.events()) == len(set(ids(server))) == rows(server) == 50


def test_a_file_is_deleted_when_it_is_delivered_and_its_writer_is_gone(tmp_path: Path, server: BulkServer) -> None:
    config = configuration(tmp_path, server)
    held, left = recorder_file(config), recorder_file(config, writer="app-1-17a1b2c3d4e5f608")
    other = config.journal.path / "cobol.jsonl"
    for path, start in ((held, 0), (left, 10), (other, 20)):
        append(path, predictions(start, start + 10))
    with held.open("rb") as writer:
        fcntl.flock(writer, fcntl.LOCK_SH)
        with running(config):
            wait_for(lambda: not left.exists())
    assert held.exists()
    assert other.exists()
    assert len(server.events()) == rows(server) == 30


def test_two_agents_cannot_use_one_state_folder(tmp_path: Path, server: BulkServer) -> None:
    config = configuration(tmp_path, server)
    with running(config), pytest.raises(StateError, match="used by another agent"):
        running(config).__enter__()


def test_a_malformed_line_is_quarantined_and_blocks_nothing(tmp_path: Path, server: BulkServer) -> None:
    config = configuration(tmp_path, server)
    content = predictions(0, 1) + b"{not json\n" + b'{"kind":"\xff"}\n' + b"[]\n" + predictions(1, 2)
    append(recorder_file(config), content)
    with running(config) as agent:
        wait_for(lambda: len(server.events()) == 2 and rows(server) == 2)
        assert sum(agent.metrics.quarantined.values()) == 3
    kept = quarantined(config)
    assert [entry["reason"] for entry in kept] == ["not_json", "not_utf8", "not_an_object"]
    assert kept[0]["head"] == "{not json"
    assert kept[0]["offset"] == len(predictions(0, 1))
    assert "head_base64" in kept[1]


def test_a_line_of_ten_megabytes_is_skipped(tmp_path: Path, server: BulkServer) -> None:
    config = configuration(tmp_path, server)
    content = predictions(0, 1) + b'{"x":"' + b"y" * 10_000_000 + b'"}\n' + predictions(1, 2)
    append(recorder_file(config), content)
    with running(config) as agent:
        wait_for(lambda: len(server.events()) == 2 and rows(server) == 2)
        assert agent.metrics.quarantined == {"too_long": 1}
    (kept,) = quarantined(config)
    assert kept["head"].startswith('{"x":"yyy')
    assert len(kept["head"]) == 4096


def test_a_line_waits_for_its_newline_while_its_writer_lives(tmp_path: Path, server: BulkServer) -> None:
    config = configuration(tmp_path, server)
    path = recorder_file(config)
    whole = lines(prediction(1))
    append(path, whole[:40])
    with path.open("rb") as writer:
        fcntl.flock(writer, fcntl.LOCK_SH)
        with running(config) as agent:
            wait_for(lambda: agent.metrics.commits or agent.status()["files_followed"] == 1)
            append(path, whole[40:])
            wait_for_events(server, 1)
    assert not quarantined(config)


def test_a_torn_line_is_quarantined_once_its_writer_is_gone(tmp_path: Path, server: BulkServer) -> None:
    config = configuration(tmp_path, server)
    path = append(recorder_file(config), predictions(0, 2) + lines(prediction(3))[:40])
    with running(config) as agent:
        wait_for(lambda: agent.metrics.quarantined == {"torn": 1})
        wait_for(lambda: not path.exists())
    assert len(server.events()) == rows(server) == 2
    assert [entry["reason"] for entry in quarantined(config)] == ["torn"]
