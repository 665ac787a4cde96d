"""Each file of the state folder, damaged: the agent starts all the same, or says what may go and what that costs.

What it says is then done, and costs that and no more.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import orjson
import pytest
import yaml

from agent.tests.agents import (
    append,
    configuration,
    ids,
    predictions,
    quarantined,
    recorder_file,
    rows,
    running,
)
from agent.tests.bulk_server import BulkServer, wait_for
from modelward_agent.cli import main
from modelward_agent.config import AgentConfig
from modelward_agent.daemon import Agent
from modelward_agent.journal.checkpoint import Offsets, StateError
from modelward_agent.journal.parse import Kind, Record
from modelward_agent.profile.fold import Folder
from modelward_agent.ship.spool import Spool

OF_OTHER_TYPES = {
    "format": 1,
    "files": {"a": {"path": 3}},
    "offsets": {"a": 7},
    "indices": {"b": None},
    "counts": [1],
    "sequence": "x",
    "unrecorded": [3],
}


def damaged(good: bytes) -> dict[str, bytes]:
    """What may become of a file's content."""
    contents = {
        "empty": b"",
        "cut": good[: len(good) * 2 // 3],
        "null": b"null",
        "a list": b"[1]",
        "no format": b"{}",
        "nothing in it": b'{"format": 1}',
        "of other types": orjson.dumps(OF_OTHER_TYPES),
        "below 0": good.replace(b'":[', b'":[-', 1),
        "binary": random.Random(1).randbytes(300),
        "zeros": bytes(len(good)),
    }
    return {damage: bad for damage, bad in contents.items() if bad != good}


REFUSED = {
    "committed.json": "rows that are still in them are counted twice; events are not",
    "shipped.json": "events that are still in the followed files are then sent again",
    "files.json": "what is still in them is stored and counted twice",
    "key.host": "write into it, as one line, the host",
    "spool/000000000099.ndjson": "the profiles of one commit are lost with it, or, when it is the newest there, made",
}
STARTED = (
    "log_matches.json",
    "status.json",
    "lock",
    "quarantine/000000000001.jsonl",
    "spool/000000000098.ndjson.aside",
)


@pytest.fixture
def server() -> Iterator[BulkServer]:
    server = BulkServer()
    yield server
    server.close()


def a_config(folder: Path, server: BulkServer) -> AgentConfig:
    return configuration(folder, server, logs=[{"path": str(folder / "app.log")}])


def a_run(folder: Path, server: BulkServer) -> AgentConfig:
    """What an agent leaves that has read and shipped a journal of 20 rows, a bad line, and a log of 3 errors."""
    config = a_config(folder, server)
    append(recorder_file(config), predictions(0, 20) + b"{no line\n")
    append(folder / "app.log", b"".join(b"2026-03-01T12:00:0%dZ ERROR it broke\n" % n for n in range(3)))
    with running(config):
        wait_for(lambda: rows(server) == 20 and len(ids(server)) == 20 and len(server.logs()) == 3)
        wait_for(lambda: not waiting(config))
    return config


def has_rows(server: BulkServer, total: int) -> bool:
    """Whether profiles and events are of so many rows."""
    return rows(server) == total and len(ids(server)) == total


def waiting(config: AgentConfig) -> list[Path]:
    """The commits in the spool."""
    return list((config.state / "spool").glob("*.ndjson"))


def a_commit(config: AgentConfig, sequence: int, start: int = 1_800_000_000) -> Path:
    """A commit of one row that waits in the spool."""
    folder = Folder("serving-1")
    document = {"model": "fraud", "version": "1", "features": {"amount": 1.0}, "prediction": 0.5, "id": "w"}
    folder.fold([Record(Kind.PREDICTION, start, document)])
    spool = Spool(config.state)
    offsets = spool.offsets if spool.offsets.state() else Offsets()
    spool._sequence = sequence - 1
    spool.commit(folder.take(), offsets)
    return config.state / "spool" / f"{sequence:012d}.ndjson"


@pytest.mark.parametrize("name", REFUSED)
def test_a_damaged_file_is_named_with_what_may_go_and_what_that_costs(
    tmp_path: Path, server: BulkServer, name: str
) -> None:
    config = a_run(tmp_path, server)
    a_commit(config, 99)
    path = config.state / name
    good = path.read_bytes()
    for damage, bad in damaged(good).items():
        if name == "key.host" and damage not in ("empty", "cut", "binary", "zeros"):
            continue  # that is a name as good as any
        if name.startswith("spool") and damage == "cut":
            continue  # some of its profiles are as they were
        path.write_bytes(bad)
        with pytest.raises(StateError) as refused:
            Agent(config)
        assert str(refused.value).startswith(f"{path} is damaged ("), damage
        assert REFUSED[name] in str(refused.value), damage
    path.write_bytes(good)
    with running(config):
        wait_for(lambda: rows(server) == 21)
    assert len(ids(server)) == 20


@pytest.mark.parametrize("name", STARTED)
def test_what_is_not_needed_stops_no_agent(
    tmp_path: Path, server: BulkServer, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    config = a_run(tmp_path, server)
    path = config.state / name
    good = path.read_bytes() if path.exists() else b'{"format": 1, "sequence": 98}'
    bad = damaged(good)
    for total, damage in enumerate(("empty", "cut", "of other types", "binary"), 21):
        path.write_bytes(bad[damage])
        caplog.clear()
        with running(config):
            append(recorder_file(config), predictions(total - 1, total) + b"{no line either\n")
            wait_for(partial(has_rows, server, total))
        assert orjson.loads((config.state / "status.json").read_bytes())["host"] == "serving-1", damage
        if name == "log_matches.json":
            assert "the counts of log filters start from 0" in caplog.text, damage


# -- what is said is done, and costs what was said --------------------------------------------------------------------


def more(config: AgentConfig, server: BulkServer, logs: int = 3) -> None:
    """Run again, with ten rows more."""
    append(recorder_file(config), predictions(20, 30))
    with running(config):
        wait_for(lambda: len(set(ids(server))) == 30 and len(server.logs()) >= logs)
        wait_for(lambda: not waiting(config))
        wait_for(lambda: rows(server) >= 30)


def test_without_committed_json_rows_count_twice_and_events_once(tmp_path: Path, server: BulkServer) -> None:
    config = a_run(tmp_path, server)
    (config.state / "committed.json").unlink()
    more(config, server)
    assert (rows(server), len(ids(server)), len(server.logs())) == (50, 30, 3)


def test_without_shipped_json_nothing_is_twice(tmp_path: Path, server: BulkServer) -> None:
    config = a_run(tmp_path, server)
    (config.state / "shipped.json").unlink()
    more(config, server)
    assert (rows(server), len(ids(server)), len(server.logs())) == (30, 30, 3)


def test_without_files_json_log_files_are_stored_again_and_recorders_files_are_not(
    tmp_path: Path, server: BulkServer
) -> None:
    config = a_run(tmp_path, server)
    (config.state / "files.json").unlink()
    more(config, server, logs=6)
    assert (rows(server), len(ids(server)), len(server.logs())) == (30, 30, 6)


def test_with_the_hosts_name_written_again_nothing_is_twice(tmp_path: Path, server: BulkServer) -> None:
    config = a_run(tmp_path, server)
    (config.state / "key.host").unlink()
    more(config, server)
    assert (rows(server), len(ids(server)), len(server.logs())) == (30, 30, 3)


def test_without_the_whole_folder_all_that_is_there_is_stored_and_counted_again(
    tmp_path: Path, server: BulkServer
) -> None:
    config = a_run(tmp_path, server)
    config.state.rename(tmp_path / "away")
    more(config, server, logs=6)
    assert (rows(server), len(ids(server)), len(server.logs())) == (
        50,
        30,
        6,
    )


def test_the_newest_commit_moved_away_is_made_again_under_ids_of_its_own(tmp_path: Path, server: BulkServer) -> None:
    config = a_run(tmp_path, server)
    append(recorder_file(config), predictions(20, 30))
    server.item_errors = lambda item_id, document: (503, "busy", "busy") if document["kind"] == "profile" else None
    with running(config):
        wait_for(lambda: waiting(config))
        [commit] = waiting(config)
        wait_for(lambda: len(ids(server)) == 30)
    server.item_errors = lambda item_id, document: None
    commit.rename(tmp_path / commit.name)
    with running(config):
        wait_for(lambda: rows(server) == 30)
    assert (rows(server), len(ids(server))) == (30, 30)


def test_a_commit_whose_profiles_are_damaged_costs_those_alone(
    tmp_path: Path, server: BulkServer, caplog: pytest.LogCaptureFixture
) -> None:
    config = a_run(tmp_path, server)
    path = a_commit(config, 99)
    header, profile = path.read_bytes().splitlines(keepends=True)
    several = orjson.dumps({**orjson.loads(header), "profiles": 5}) + b"\n"
    cut = profile[: len(profile) // 2]
    path.write_bytes(several + b"\xff" * 40 + b"\n" + profile[:33] + b"{]\n" + b"\n" + profile + cut)
    with running(config):
        wait_for(lambda: rows(server) == 21)
        wait_for(lambda: not path.exists())
    assert f"{path} is damaged: 4 profiles of it are lost; events are not touched" in caplog.text
    assert [entry["reason"] for entry in quarantined(config)] == ["not_json"]


def test_a_commit_that_goes_while_it_waits_stops_nothing(tmp_path: Path, server: BulkServer) -> None:
    config = a_run(tmp_path, server)
    server.item_errors = lambda item_id, document: (503, "busy", "busy") if document["kind"] == "profile" else None
    append(recorder_file(config), predictions(20, 30))
    with running(config) as agent:
        wait_for(lambda: waiting(config))
        [commit] = waiting(config)
        commit.unlink()
        server.item_errors = lambda item_id, document: None
        append(recorder_file(config), predictions(30, 40))
        wait_for(lambda: len(ids(server)) == 40)
        wait_for(lambda: agent._spool.profiles == 0)
        assert not agent.last_error


def test_what_is_kept_in_the_spool_under_another_name_is_nobodys(tmp_path: Path, server: BulkServer) -> None:
    config = a_run(tmp_path, server)
    path = a_commit(config, 99)
    path.rename(path.with_name("damaged-99.ndjson"))
    with running(config):
        append(recorder_file(config), predictions(20, 21))
        wait_for(lambda: rows(server) == 21)
    assert path.with_name("damaged-99.ndjson").exists()


# -- what people see --------------------------------------------------------------------------------------------------


def written(config: AgentConfig, folder: Path, server: BulkServer) -> Path:
    path = folder / "agent.yml"
    content = {
        "state": str(config.state),
        "journal": {"path": str(config.journal.path)},
        "elasticsearch": {"urls": [server.url]},
        "metrics": {"listen": None},
    }
    path.write_text(yaml.safe_dump(content))
    return path


def test_the_command_says_it_on_one_line(
    tmp_path: Path, server: BulkServer, capsys: pytest.CaptureFixture[str]
) -> None:
    config = a_run(tmp_path, server)
    path = written(config, tmp_path, server)
    (config.state / "committed.json").write_bytes(b"")
    assert main(["run", "--config", str(path)]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"modelward: {path}: {config.state}/committed.json is damaged (")


@pytest.mark.parametrize("name", ["spool", "quarantine"])
def test_a_file_in_the_place_of_a_folder_is_named(
    tmp_path: Path, server: BulkServer, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = a_config(tmp_path, server)
    config.state.mkdir()
    (config.state / name).write_text("x")
    assert main(["run", "--config", str(written(config, tmp_path, server))]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert f"state: {config.state / name} cannot be used (" in line
    assert "move away what is in its place" in line


@pytest.mark.parametrize("json", [[], ["--json"]])
def test_a_status_that_is_damaged_is_said(
    tmp_path: Path, server: BulkServer, json: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    config = a_config(tmp_path, server)
    config.state.mkdir()
    path = written(config, tmp_path, server)
    for damage, bad in damaged(orjson.dumps({"at": "2026-03-01T00:00:00+00:00", "pid": 1})).items():
        (config.state / "status.json").write_bytes(bad)
        assert main(["status", "--config", str(path), *json]) == 1
        assert "it is damaged (" in capsys.readouterr().err, damage
