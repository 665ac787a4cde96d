"""Files are followed as content, not as names: through rotation, truncation, deletion and restarts."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.tests.agents import (
    append,
    configuration,
    ids,
    lines,
    prediction,
    predictions,
    recorder_file,
    rows,
    running,
)
from agent.tests.bulk_server import BulkServer, wait_for
from modelward_agent.config import AgentConfig
from modelward_agent.journal import follow
from modelward_agent.journal.follow import READ_BYTES, Block, Cursor
from modelward_agent.journal.parse import MAX_LINE


@pytest.fixture
def server() -> Iterator[BulkServer]:
    server = BulkServer()
    yield server
    server.close()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    return tmp_path / "logs" / "app.log"


def following(tmp_path: Path, server: BulkServer, pattern: str = "app.log", **changes: Any) -> AgentConfig:
    logs = [{"path": str(tmp_path / "logs" / pattern), "format": "journal"}]
    return configuration(tmp_path, server, logs=logs, **changes)


def there_once(server: BulkServer, count: int) -> bool:
    return ids(server) == sorted(f"p{number}" for number in range(count)) and rows(server) == count


# -- the cursor ----------------------------------------------------------------------------------------------------


def blocks(path: Path, limit: int | None = None) -> list[Block]:
    read = []
    with path.open("rb") as file:
        cursor = Cursor(0)
        while (block := cursor.read(file.fileno(), limit)) is not None:
            if block.end > block.start:
                read.append(block)
                cursor.advance(block.end)
    return read


@pytest.mark.parametrize("limited", [False, True])
def test_a_cursor_gives_every_whole_line_once(tmp_path: Path, limited: bool) -> None:
    content = b"".join(b"%d %s\n" % (number, b"x" * (number * 97 % 5000)) for number in range(3000))
    path = append(tmp_path / "file", content)
    read = blocks(path, len(content) if limited else None)
    assert b"".join(block.data for block in read) == content
    assert all(block.data.endswith(b"\n") and len(block.data) <= READ_BYTES for block in read)


def test_the_longest_line_is_read_and_one_byte_more_is_too_long(tmp_path: Path) -> None:
    longest, longer = b"a" * MAX_LINE + b"\n", b"b" * (MAX_LINE + 1) + b"\n"
    path = append(tmp_path / "file", longest + longer + b"c\n")
    first, second, third = blocks(path)
    assert first.data == longest
    assert second.too_long == b"b" * 8192
    assert (second.start, second.end) == (len(longest), len(longest + longer))
    assert third.data == b"c\n"


def test_an_unfinished_line_waits_and_at_the_limit_it_ends(tmp_path: Path) -> None:
    path = append(tmp_path / "file", b"one\ntwo")
    assert [block.data for block in blocks(path)] == [b"one\n"]
    assert [block.data for block in blocks(path, 7)] == [b"one\n", b"two"]


# -- rotation, truncation, deletion --------------------------------------------------------------------------------


def test_a_file_rotated_by_renaming_is_read_to_its_end(
    tmp_path: Path, server: BulkServer, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "ROTATED_SECONDS", 0.5)
    append(log, predictions(0, 10))
    with running(following(tmp_path, server)) as agent:
        wait_for(lambda: len(server.events()) == 10)
        with log.open("ab") as writer:
            log.rename(log.with_name("rotated"))
            append(log, predictions(20, 30))
            # Its writer has not looked at the name yet.
            writer.write(predictions(10, 20))
        wait_for(lambda: there_once(server, 30))
        wait_for(lambda: agent.status()["files_followed"] == 1)


def test_a_rotated_file_is_recognised_under_its_new_name(tmp_path: Path, server: BulkServer, log: Path) -> None:
    append(log, predictions(0, 10))
    with running(following(tmp_path, server, "app.log*")):
        wait_for(lambda: len(server.events()) == 10)
        log.rename(log.with_name("app.log.1"))
        append(log, predictions(10, 20))
        wait_for(lambda: there_once(server, 20))


def test_a_file_rotated_while_the_agent_was_down_is_read_on(tmp_path: Path, server: BulkServer, log: Path) -> None:
    append(log, predictions(0, 10))
    with running(following(tmp_path, server)):
        wait_for(lambda: len(server.events()) == 10)
    append(log, predictions(10, 20))
    log.rename(log.with_name("rotated"))
    append(log, predictions(20, 30))
    with running(following(tmp_path, server)):
        wait_for(lambda: there_once(server, 30))


def test_a_copied_and_truncated_file_is_a_new_one(tmp_path: Path, server: BulkServer, log: Path) -> None:
    append(log, predictions(0, 20))
    with running(following(tmp_path, server)) as agent:
        wait_for(lambda: len(server.events()) == 20)
        shutil.copy(log, log.with_name("copy"))
        os.truncate(log, 0)
        append(log, predictions(20, 30))
        wait_for(lambda: there_once(server, 30))
        assert not agent.metrics.dropped


def test_a_truncated_file_that_has_outgrown_its_old_size_is_recognised_by_its_beginning(
    tmp_path: Path, server: BulkServer, log: Path
) -> None:
    append(log, predictions(0, 5))
    config = following(tmp_path, server)
    with running(config):
        wait_for(lambda: len(server.events()) == 5)
    os.truncate(log, 0)
    append(log, predictions(5, 50))
    with running(config):
        wait_for(lambda: there_once(server, 50))


def test_a_deleted_file_is_read_to_its_end(tmp_path: Path, server: BulkServer, log: Path) -> None:
    append(log, predictions(0, 10))
    with running(following(tmp_path, server)) as agent:
        wait_for(lambda: len(server.events()) == 10)
        with log.open("ab") as writer:
            log.unlink()
            writer.write(predictions(10, 20))
        wait_for(lambda: there_once(server, 20))
        assert not agent.metrics.dropped


def test_what_was_deleted_unread_while_the_agent_was_down_is_counted(
    tmp_path: Path, server: BulkServer, log: Path
) -> None:
    config = following(tmp_path, server)
    append(log, predictions(0, 10))
    append(log.with_name("keeps-the-folder-from-being-empty"), b"")
    server.close()
    with running(config) as agent:
        wait_for(lambda: agent.status()["files_followed"] == 1)
    log.unlink()
    with running(config) as agent:
        wait_for(lambda: agent.metrics.dropped == {"deleted": 1})
        assert agent.metrics.lost_bytes == {"deleted": len(predictions(0, 10))}


def test_a_folder_that_is_not_mounted_for_a_while_is_not_read_again(
    tmp_path: Path, server: BulkServer, log: Path
) -> None:
    config = following(tmp_path, server)
    append(log, predictions(0, 10))
    with running(config):
        wait_for(lambda: there_once(server, 10))
    (tmp_path / "logs").rename(tmp_path / "elsewhere")
    with running(config) as agent:
        wait_for(lambda: agent.status()["files_followed"] == 0)
        append(recorder_file(config), predictions(10, 11))
        wait_for(lambda: agent.metrics.commits > 0)
    (tmp_path / "elsewhere").rename(tmp_path / "logs")
    append(log, predictions(11, 20))
    with running(config):
        wait_for(lambda: there_once(server, 20))


def test_equal_lines_of_two_files_are_two_events(tmp_path: Path, server: BulkServer, log: Path) -> None:
    line = lines(prediction(0))
    append(log, line)
    append(log.with_name("app.log.other"), line)
    with running(following(tmp_path, server, "app.log*")):
        wait_for(lambda: len(server.events()) == 2 and rows(server) == 2)


def test_many_writers_are_read_in_turn(tmp_path: Path, server: BulkServer) -> None:
    config = configuration(tmp_path, server)
    for writer in range(20):
        append(recorder_file(config, writer=f"app-{writer}-17a1b2c3"), predictions(writer * 100, writer * 100 + 100))
    with running(config):
        wait_for(lambda: there_once(server, 2000))


# -- the bound on the disk -----------------------------------------------------------------------------------------


def test_over_the_bound_the_oldest_files_go_counted_and_profiles_stay(tmp_path: Path, server: BulkServer) -> None:
    server.close()
    config = configuration(tmp_path, server, journal={"path": tmp_path / "journal", "max_bytes": 100_000})
    (tmp_path / "journal").mkdir(exist_ok=True)
    content = predictions(0, 100)
    paths = [append(recorder_file(config, sequence), content) for sequence in range(1, 11)]
    for age, path in enumerate(paths):
        os.utime(path, (1_700_000_000 + age, 1_700_000_000 + age))
    with paths[0].open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_SH)  # being written: never deleted
        with running(config) as agent:
            wait_for(lambda: sum(path.stat().st_size for path in paths if path.exists()) <= 100_000)
            left = [path.exists() for path in paths]
            gone = left.count(False)
            assert left[0]
            assert left[1 : gone + 1] == [False] * gone
            # What was handed to the shipper in time is in its memory, and still goes.
            assert agent.metrics.dropped["disk_bound"] <= gone * 100
            assert "over journal.max_bytes" in agent.last_error
    back = BulkServer()
    try:
        with running(configuration(tmp_path, back)):
            wait_for(lambda: rows(back) == 1000)
    finally:
        back.close()
