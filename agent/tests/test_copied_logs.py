"""logrotate's copytruncate: the copy is the file that was read, and is read on from where that had got."""

from __future__ import annotations

import os
import shutil
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.tests.agents import append, configuration, ids, predictions, rows, running
from agent.tests.bulk_server import BulkServer, wait_for
from modelward_agent.config import AgentConfig
from modelward_agent.journal import follow
from modelward_agent.journal.checkpoint import FileKeys, Offsets
from modelward_agent.journal.follow import READ_BYTES, Cursor, Followed, Follower
from modelward_agent.journal.source import JournalSource


@pytest.fixture
def server() -> Iterator[BulkServer]:
    server = BulkServer()
    yield server
    server.close()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    return tmp_path / "logs" / "app.log"


@pytest.fixture(params=["app.log*", "app.log"])
def config(request: pytest.FixtureRequest, tmp_path: Path, server: BulkServer) -> AgentConfig:
    """The copies are looked for, or only the file itself is."""
    logs = [{"path": str(tmp_path / "logs" / request.param), "format": "journal"}]
    return configuration(tmp_path, server, logs=logs)


def copy_and_truncate(log: Path, before: bytes = b"") -> None:
    """As logrotate does it; `before` is written just before, so nobody has read it."""
    for number in range(5, 0, -1):
        if (older := log.with_name(f"app.log.{number}")).exists():
            older.rename(log.with_name(f"app.log.{number + 1}"))
    append(log, before)
    shutil.copyfile(log, log.with_name("app.log.1"))
    os.truncate(log, 0)


def there_once(server: BulkServer, count: int) -> bool:
    return ids(server) == sorted(f"p{number}" for number in range(count)) and rows(server) == count


def test_a_copy_is_not_read_twice_and_what_was_unread_is_read_in_it(
    server: BulkServer, log: Path, config: AgentConfig
) -> None:
    append(log, predictions(0, 10))
    with running(config) as agent:
        wait_for(lambda: len(server.events()) == 10)
        copy_and_truncate(log, before=predictions(10, 20))
        append(log, predictions(20, 30))
        wait_for(lambda: there_once(server, 30))
        copy_and_truncate(log, before=predictions(30, 40))
        append(log, predictions(40, 50))
        wait_for(lambda: there_once(server, 50))
        assert not agent.metrics.dropped
    with running(config) as agent:
        append(log, predictions(50, 60))
        wait_for(lambda: there_once(server, 60))
        assert not agent.metrics.dropped


def test_a_copy_that_was_made_while_the_agent_was_down_is_known(
    server: BulkServer, log: Path, config: AgentConfig
) -> None:
    append(log, predictions(0, 10))
    with running(config):
        wait_for(lambda: there_once(server, 10))
    append(log, predictions(10, 20))
    copy_and_truncate(log, before=predictions(20, 30))
    append(log, predictions(30, 40))
    with running(config) as agent:
        wait_for(lambda: there_once(server, 40))
        assert not agent.metrics.dropped
    with running(config):
        append(log, predictions(40, 50))
        wait_for(lambda: there_once(server, 50))


def test_a_copy_that_is_seen_before_its_original_is_truncated_waits(
    tmp_path: Path, server: BulkServer, log: Path
) -> None:
    logs = [{"path": str(log) + "*", "format": "journal"}]
    config = configuration(tmp_path, server, logs=logs)
    append(log, predictions(0, 500))
    with running(config) as agent:
        wait_for(lambda: there_once(server, 500))
        content = log.read_bytes()
        copy = append(log.with_name("app.log.1"), b"")
        for start in range(0, len(content), len(content) // 3):
            append(copy, content[start : start + len(content) // 3])
            wait_for(lambda: agent.status()["files_followed"] == 2)
        more = predictions(500, 510)
        append(log, more)
        wait_for(lambda: there_once(server, 510))
    with running(config) as agent:
        wait_for(lambda: agent.status()["files_followed"] == 2)
        append(copy, more)
        os.truncate(log, 0)
        append(log, predictions(510, 520))
        wait_for(lambda: there_once(server, 520))
        assert not agent.metrics.dropped


@pytest.mark.parametrize("same", [1, 40])
def test_another_file_with_the_same_beginning_is_read(tmp_path: Path, server: BulkServer, log: Path, same: int) -> None:
    config = configuration(tmp_path, server, logs=[{"path": str(log) + "*", "format": "journal"}])
    append(log, predictions(0, 50, latency_ms=1.0))
    with running(config):
        wait_for(lambda: there_once(server, 50))
        append(log.with_name("app.log.worker"), predictions(0, same, latency_ms=1.0) + predictions(50, 60))
        wait_for(lambda: len(server.events()) == 50 + same + 10)
        os.truncate(log, 0)
        append(log, predictions(60, 70))
        wait_for(lambda: len(server.events()) == 50 + same + 20)
    assert rows(server) == 50 + same + 20


def test_a_copy_whose_original_stays_is_a_file_of_its_own(
    tmp_path: Path, server: BulkServer, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "COPIED_SECONDS", 0.5)
    config = configuration(tmp_path, server, logs=[{"path": str(log) + "*", "format": "journal"}])
    append(log, predictions(0, 10))
    with running(config):
        wait_for(lambda: there_once(server, 10))
        shutil.copyfile(log, log.with_name("app.log.bak"))
        wait_for(lambda: len(server.events()) == 20)


def test_what_was_truncated_without_a_copy_is_counted(server: BulkServer, log: Path, config: AgentConfig) -> None:
    server.close()
    append(log, predictions(0, 10))
    with running(config) as agent:
        wait_for(lambda: agent.status()["files_followed"] == 1)
    os.truncate(log, 0)
    with running(config) as agent:
        wait_for(lambda: agent.metrics.lost_bytes == {"truncated": len(predictions(0, 10))})


def test_compressed_copies_stay_unread(tmp_path: Path, server: BulkServer, log: Path) -> None:
    config = configuration(tmp_path, server, logs=[{"path": str(log) + "*", "format": "journal"}])
    append(log, predictions(0, 10))
    with running(config) as agent:
        wait_for(lambda: there_once(server, 10))
        shutil.copyfile(log, log.with_name("app.log.1.gz"))
        os.truncate(log, 0)
        append(log, predictions(10, 20))
        wait_for(lambda: there_once(server, 20))
        assert agent.status()["files_followed"] == 1


# -- the cursor's sum --------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 3 * READ_BYTES // 2), max_size=4), st.booleans(), st.randoms(use_true_random=False))
@settings(max_examples=20, deadline=None)
def test_a_cursor_knows_the_sum_of_what_it_passed(lengths: list[int], limited: bool, chance: Any) -> None:
    content = b"".join(bytes([97 + number]) * length + b"\n" for number, length in enumerate(lengths))
    with TemporaryDirectory() as folder:
        path = append(Path(folder) / "file", content)
        with path.open("rb") as file:
            cursor = Cursor(0, 0)
            while (block := cursor.read(file.fileno(), len(content) if limited else None)) is not None:
                if block.end > block.start:
                    part = block.data.find(b"\n") + 1
                    cursor.advance(block.start + part if part and chance.random() < 0.5 else block.end)
                    assert cursor.crc == zlib.crc32(content[: cursor.offset])
    assert cursor.offset == len(content)


# -- whatever happens, in any order ------------------------------------------------------------------------------------


class Reader:
    """The agent's reading without the rest: what it reads is known by file key and offset, as events are."""

    def __init__(self, folder: Path, pattern: str) -> None:
        self.folder, self.pattern = folder, pattern
        self.read: dict[tuple[str, int], bytes] = {}
        self.lost = 0
        self.committed: dict[str, int] = {}
        (folder / "state").mkdir()
        self.start()

    def start(self) -> None:
        offsets = Offsets()
        offsets.note(self.committed)
        logs = [Followed(str(self.folder / self.pattern), JournalSource())]
        keys = FileKeys(self.folder / "state")
        self.follower = Follower(self.folder / "none", logs, keys, offsets, offsets, "host", self._lost)

    def _lost(self, reason: str, path: str, count: int) -> None:
        self.lost += count

    def look(self) -> None:
        """As the agent's loop does for a second."""
        self.follower.discover()
        for _ in range(2):
            for file in self.follower.grown():
                while (block := file.cursor.read(file.descriptor)) is not None:
                    at = block.start
                    for line in block.data.splitlines(keepends=True):
                        self.read[file.key, at] = line
                        at += len(line)
                    file.cursor.advance(block.end)
                    file.handed = block.end
            self.follower.discover()
        self.follower.close_forgotten()

    def commit(self) -> None:
        self.committed |= self.follower.folded()
        for key in (gone := self.follower.gone()):
            self.committed.pop(key, None)
        for key, file in self.follower.files.items():
            file.committed = self.committed[key]
        self.follower.gone_is_committed(gone)
        self.follower.save_identities()

    def restart(self) -> None:
        self.follower.close()
        self.start()


steps = st.lists(st.sampled_from(["write", "write", "long", "look", "commit", "rotate", "restart"]), max_size=25)


@given(steps, st.sampled_from(["app.log*", "app.log"]))
@settings(max_examples=150, deadline=None)
def test_every_line_is_read_once_whatever_happens_in_which_order(steps: list[str], pattern: str) -> None:
    written: Counter[bytes] = Counter()
    with TemporaryDirectory() as folder:
        log = Path(folder) / "app.log"
        log.touch()
        reader = Reader(Path(folder), pattern)
        unseen = True
        for number, step in enumerate(steps):
            if step in ("write", "long"):
                # Of another length each time: a clock's tick hides a file that has its old size again.
                lines = [b"%d %d%s\n" % (number, at, b"." * number) for at in range(3 if step == "write" else 500)]
                append(log, b"".join(lines))
                written.update(lines)
            elif step == "rotate" and not unseen:
                copy_and_truncate(log)
                # Of a copy that is not looked for as much must have been read that it is known.
                unseen = pattern == "app.log"
            elif step == "look":
                reader.look()
                unseen = pattern == "app.log" and log.stat().st_size == 0
            elif step == "commit":
                reader.commit()
            elif step == "restart":
                reader.restart()
                unseen = True
        reader.look()
        reader.commit()
        reader.look()
        found = Counter(reader.read.values())
        reader.follower.close()
    assert found == written
    assert not reader.lost
