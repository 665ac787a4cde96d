"""The agent's own state folder: full, damaged, of a newer agent; and its configuration, taken over while it runs."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
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
    recorder_file,
    rows,
    running,
)
from agent.tests.bulk_server import BulkServer, wait_for
from modelward_agent.config import AgentConfig
from modelward_agent.daemon import Agent
from modelward_agent.journal.checkpoint import StateError
from modelward_agent.settings import SettingsError


@pytest.fixture
def server() -> Iterator[BulkServer]:
    server = BulkServer()
    yield server
    server.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "state"
    folder.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("a small disk is mounted by root alone")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=False)
    if mounted.returncode:
        pytest.skip("this container may not mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)


def test_on_a_full_disk_commits_wait_and_nothing_is_lost(tmp_path: Path, server: BulkServer, small_disk: Path) -> None:
    config = configuration(tmp_path, server)
    path = append(recorder_file(config), predictions(0, 10))
    with running(config) as agent:
        wait_for(lambda: rows(server) == 10)
        filler = small_disk / "filler"
        fill(filler)
        append(path, predictions(10, 500))
        wait_for(lambda: agent.metrics.commit_failures >= 2)
        wait_for(lambda: len(server.events()) == 500)
        assert "make room" in agent.last_error
        append(path, predictions(500, 1000))
        filler.unlink()
        wait_for(lambda: rows(server) == 1000 and len(server.events()) == 1000)
        wait_for(lambda: not agent.last_error)
    with running(config):
        pass
    assert rows(server) == 1000


def test_damaged_state_is_named_and_not_guessed_at(tmp_path: Path, server: BulkServer) -> None:
    config = configuration(tmp_path, server)
    append(recorder_file(config), predictions(0, 10))
    with running(config):
        wait_for(lambda: rows(server) == 10)
    committed = config.state / "committed.json"
    good = committed.read_bytes()
    committed.write_bytes(good[:20])
    with pytest.raises(StateError, match=r"committed\.json is damaged \(.*\); put an earlier copy back, or remove it"):
        Agent(config)
    committed.write_bytes(good.replace(b'"format":1', b'"format":9'))
    with pytest.raises(StateError, match="newer agent"):
        Agent(config)
    committed.write_bytes(good)
    with running(config):
        pass
    assert rows(server) == 10


def test_what_a_crash_left_half_written_is_no_commit(tmp_path: Path, server: BulkServer) -> None:
    config = configuration(tmp_path, server)
    append(recorder_file(config), predictions(0, 10))
    with running(config):
        wait_for(lambda: rows(server) == 10)
    half = config.state / "spool" / "000000000009.ndjson.aside"
    half.write_bytes(b'{"format":1,"sequence":9')
    append(recorder_file(config, 2), predictions(10, 20))
    with running(config):
        wait_for(lambda: rows(server) == 20)
    assert not half.exists()


def test_a_reload_takes_over_what_can_change(tmp_path: Path, server: BulkServer) -> None:
    config = configuration(tmp_path, server)
    path = append(recorder_file(config), predictions(0, 10))
    log = tmp_path / "app.log"
    append(log, b"2026-03-01T12:00:00Z ERROR it broke\n")
    with running(config) as agent:
        wait_for(lambda: len(server.events()) == 10)
        changed = configuration(tmp_path, server, events={"default": "none"}, logs=[{"path": str(log)}], window="1h")
        agent.reload(lambda: changed)
        wait_for(lambda: len(server.logs()) == 1)
        append(path, predictions(10, 20))
        wait_for(lambda: rows(server) == 20)
        assert agent.config.window.total_seconds() == 60
    assert len(server.events()) == 10


def test_types_that_are_taken_over_hold_from_then_on(tmp_path: Path, server: BulkServer) -> None:
    config = configuration(tmp_path, server, commit_interval="1h", types={"other": {"amount": "categorical"}})
    path = append(recorder_file(config), predictions(0, 10))
    typed = configuration(tmp_path, server, commit_interval="1h", types={"fraud": {"amount": "categorical"}})
    with running(config) as agent:
        wait_for(lambda: len(server.events()) == 10)
        agent.reload(lambda: typed)
        wait_for(lambda: agent.config is not config)
        append(path, predictions(10, 25))
        wait_for(lambda: len(server.events()) == 25)
    amount = profile(server).features["amount"]
    assert (amount.numbers, amount.strings) == (10, 15)
    assert {type(document["features"]["amount"]) for _, document in server.events()} == {float}


def test_a_bad_reload_keeps_the_old_configuration_and_says_so(tmp_path: Path, server: BulkServer) -> None:
    config = configuration(tmp_path, server)

    def bad() -> AgentConfig:
        raise SettingsError(["modelward: agent.yml: windw: is not a key here; did you mean window?"])

    path = recorder_file(config)
    with running(config) as agent:
        agent.reload(bad)
        wait_for(lambda: "check-config" in agent.last_error)
        append(path, predictions(0, 10))
        wait_for(lambda: rows(server) == 10)
        agent.reload(lambda: config)
        wait_for(lambda: not agent.last_error)


def test_a_clock_that_jumps_back_stops_no_commit(
    tmp_path: Path, server: BulkServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configuration(tmp_path, server)
    path = append(recorder_file(config), predictions(0, 10))
    real = time.time
    with running(config):
        wait_for(lambda: rows(server) == 10)
        monkeypatch.setattr(time, "time", lambda: real() - 5 * 3600)
        append(path, lines(*(prediction(number, at=real() - 5 * 3600) for number in range(10, 20))))
        wait_for(lambda: rows(server) == 20)
    assert len(ids(server)) == 20


def test_a_backlog_of_many_windows_is_committed_bit_by_bit(tmp_path: Path, server: BulkServer) -> None:
    config = configuration(tmp_path, server, commit_interval="1h")
    start = time.time() - 86_400
    documents = [prediction(number, at=start + 60 * number) for number in range(1000)]
    append(recorder_file(config), lines(*documents))
    with running(config) as agent:
        wait_for(lambda: len(server.events()) == 1000)
        wait_for(lambda: agent.metrics.commits >= 10)
    assert rows(server) == len(server.profiles()) == 1000
