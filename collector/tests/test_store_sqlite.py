"""What is the embedded store's own: its file, its durability, its one writer."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from collector.tests.store_documents import DAY, log, part, prediction
from modelward_collector.span import Span
from modelward_collector.store.database import MIGRATIONS
from modelward_collector.store.protocol import Alias, Outcome, StoreUnavailableError
from modelward_collector.store.sqlite import SqliteStore

_WRITER = """
import sys
from collector.tests.store_documents import log, part
from modelward_collector.store.sqlite import SqliteStore

store = SqliteStore(sys.argv[1])
store.setup()
number = int(sys.argv[2])
while True:
    store.create([log(f"{number}-{i}") for i in range(20)] + [part(f"{number}-part")])
    print(number, flush=True)
    number += 1
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "modelward.db"


@pytest.fixture
def store(path: Path) -> SqliteStore:
    opened = SqliteStore(path)
    opened.setup()
    return opened


def test_a_writer_killed_in_the_middle_loses_nothing_that_it_acknowledged(path: Path) -> None:
    acknowledged: set[int] = set()
    for round_number in range(3):
        command = [sys.executable, "-c", _WRITER, str(path), str(round_number * 1_000)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            for line in writer.stdout:
                acknowledged.add(int(line))
                if len(acknowledged) % 10 == 0:
                    os.kill(writer.pid, signal.SIGKILL)
                    acknowledged.update(int(rest) for rest in writer.stdout.read().split())
                    break
    store = SqliteStore(path)
    store.setup()
    stored = {item["_id"] for item in store.events(Alias.LOGS, DAY, limit=1_000_000).items}
    parts = {one.id for one in store.parts(DAY, model="delay")}
    assert len(acknowledged) >= 30
    for number in acknowledged:
        assert {f"{number}-{i}" for i in range(20)} <= stored
        assert f"{number}-part" in parts
    # A batch is there as a whole or not at all.
    assert len(stored) == 20 * len(parts)
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    store.close()


def test_the_file_is_for_its_owner_only(store: SqliteStore, path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    store.close()


def test_a_file_of_a_newer_version_is_refused_and_left_alone(store: SqliteStore, path: Path) -> None:
    store.create([log("1")])
    store.close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    newer = SqliteStore(path)
    with pytest.raises(StoreUnavailableError, match=r"modelward\.db was written by a newer Modelward .* upgrade"):
        newer.setup()
    newer.close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS) + 1,)


@pytest.mark.parametrize("damage", ["another file", "cut", "zeros", "noise"])
def test_a_damaged_file_is_named_with_what_may_go_and_what_that_costs(
    store: SqliteStore, path: Path, damage: str
) -> None:
    store.create([log(f"{number}") for number in range(500)])
    store.close()
    good = path.read_bytes()
    noise = random.Random(1).randbytes(len(good))
    contents = {
        "another file": b"something else entirely " * 100,
        "cut": good[: len(good) // 2],
        "zeros": bytes(len(good)),
        "noise": good[:4096] + noise[4096:],
    }
    path.write_bytes(contents[damage])
    damaged = SqliteStore(path)

    def used() -> None:
        damaged.setup()
        damaged.events(Alias.LOGS, DAY)

    with pytest.raises(StoreUnavailableError) as refused:
        used()
    damaged.close()
    assert str(refused.value).startswith(f"{path}: ")
    assert "restore the file from a backup, or move it away with its -wal and -shm to begin anew" in str(refused.value)
    for one in path.parent.iterdir():
        one.rename(path.with_name(f"away-{one.name}"))
    anew = SqliteStore(path)
    anew.setup()
    assert [one.outcome for one in anew.create([log("1")])] == [Outcome.CREATED]
    anew.close()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = SqliteStore(tmp_path / "file" / "modelward.db")
    with pytest.raises(StoreUnavailableError, match="file"):
        store.setup()


def test_before_setup_the_store_says_what_is_missing(path: Path) -> None:
    store = SqliteStore(path)
    with pytest.raises(StoreUnavailableError, match="check that the file exists"):
        store.ping()


def test_a_closed_store_is_unavailable(store: SqliteStore) -> None:
    store.close()
    with pytest.raises(StoreUnavailableError, match="is closed"):
        store.events(Alias.LOGS, DAY)
    with pytest.raises(StoreUnavailableError, match="is closed"):
        store.create([log("1")])


def test_a_full_disk_undoes_the_whole_batch_and_later_all_goes_on(store: SqliteStore) -> None:
    store.create([log("before")])
    with store._database.write() as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
    assert store._database._writer is not None
    store._database._writer.execute(f"PRAGMA max_page_count = {pages + 5}")
    with pytest.raises(StoreUnavailableError, match="full; free space on its disk"):
        store.create([log(str(number), message="x" * 1_000) for number in range(1_000)])
    assert [item["_id"] for item in store.events(Alias.LOGS, DAY).items] == ["before"]
    store._database._writer.execute("PRAGMA max_page_count = 1073741823")
    assert {one.outcome for one in store.create([log(str(number)) for number in range(1_000)])} == {Outcome.CREATED}
    store.close()


def test_readers_do_not_wait_for_the_writer(store: SqliteStore) -> None:
    store.create([log("1")])
    answered = threading.Event()

    def read() -> None:
        if [item["_id"] for item in store.events(Alias.LOGS, DAY).items] == ["1"]:
            answered.set()

    with store._database.write() as connection:
        connection.execute("UPDATE pings SET count = count + 1")
        reader = threading.Thread(target=read)
        reader.start()
        assert answered.wait(10)
        reader.join()
    store.close()


def test_a_second_process_may_write_too(store: SqliteStore, path: Path) -> None:
    script = (
        "import sys; from collector.tests.store_documents import log;"
        "from modelward_collector.store.sqlite import SqliteStore;"
        "store = SqliteStore(sys.argv[1]); store.setup(); store.create([log('theirs')]); store.close()"
    )
    store.create([log("mine")])
    subprocess.run([sys.executable, "-c", script, str(path)], check=True, timeout=60)
    store.create([log("mine too")])
    assert {item["_id"] for item in store.events(Alias.LOGS, DAY).items} == {"mine", "theirs", "mine too"}
    store.close()


def test_deleted_space_is_given_back(store: SqliteStore, path: Path) -> None:
    store.create([part(str(number), values=list(range(300))) for number in range(2_000)])
    with store._database.write() as connection:
        (before,) = connection.execute("PRAGMA page_count").fetchone()
    store.retain({Alias.PROFILES: timedelta(days=1)}, DAY.end + timedelta(days=10))
    with store._database.write() as connection:
        (after,) = connection.execute("PRAGMA page_count").fetchone()
    assert after < before / 4
    assert store.seen_models() == []
    store.close()


def test_a_sample_does_not_change_when_more_is_asked_for_around_it(store: SqliteStore) -> None:
    store.create([prediction(f"{number}", value=float(number)) for number in range(500)])
    small = store.labelled(DAY, model="delay", limit=50)
    large = store.labelled(Span(DAY.start, DAY.end), model="delay", limit=100)
    assert len(small.version) == 50
    assert set(small.predicted_value.tolist()) < set(large.predicted_value.tolist())
    store.close()
