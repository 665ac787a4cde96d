"""The journal's files: names, modes, locks, rotation, the bound, and what happens when they go away."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import stat
import threading
from pathlib import Path

import pytest

from agent.tests.recorded import recorded
from modelward_agent import Recorder
from modelward_agent.recorder import writer
from modelward_agent.recorder.recorder import default_journal


def locked(path: Path) -> bool:
    """Whether some process holds the file, as the agent asks."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def test_a_files_name_says_who_writes_it(tmp_path: Path) -> None:
    recorder = Recorder("credit risk/eu", journal=tmp_path)
    assert recorder.path is None
    recorder.predict({"x": 1}, 1)
    assert recorder.path is not None
    assert re.fullmatch(rf"credit-risk-eu-{os.getpid()}-[0-9a-f]{{16}}\.000001\.jsonl", recorder.path.name)
    other = Recorder("m", journal=tmp_path, app="shop")
    other.predict({"x": 1}, 1)
    assert other.path is not None
    assert other.path.name.startswith(f"shop-{os.getpid()}-")


def test_nothing_is_made_before_the_first_line(tmp_path: Path) -> None:
    Recorder("m", journal=tmp_path / "journal").close()
    assert not (tmp_path / "journal").exists()


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o000])
def test_only_owner_and_group_may_look(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        recorder = Recorder("m", journal=tmp_path / "a" / "journal")
        recorder.predict({"x": 1}, 1)
    finally:
        os.umask(before)
    assert recorder.path is not None
    assert stat.S_IMODE(recorder.path.stat().st_mode) == 0o640
    assert stat.S_IMODE(recorder.journal.stat().st_mode) == 0o750


def test_the_journals_place_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELWARD_JOURNAL", str(tmp_path / "j"))
    Recorder("m").predict({"x": 1}, 1)
    assert len(recorded(tmp_path / "j")) == 1
    monkeypatch.delenv("MODELWARD_JOURNAL")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr("modelward_agent.recorder.recorder.SYSTEM_JOURNAL", tmp_path / "absent")
    assert default_journal() == tmp_path / "state" / "modelward" / "journal"


def test_the_file_is_locked_while_it_is_written_and_no_longer(tmp_path: Path) -> None:
    recorder = Recorder("m", journal=tmp_path, max_file_bytes=1000)
    recorder.predict({"x": 1}, 1)
    first = recorder.path
    assert first is not None
    assert locked(first)
    while recorder.path == first:
        recorder.predict({"x": 1}, 1)
    assert recorder.path is not None
    assert not locked(first)
    assert locked(recorder.path)
    last = recorder.path
    recorder.close()
    assert not locked(last)


def test_a_full_file_is_followed_by_the_next(tmp_path: Path) -> None:
    recorder = Recorder("m", journal=tmp_path, max_file_bytes=5000)
    ids = [recorder.predict({"x": n}, 1) for n in range(200)]
    files = sorted(tmp_path.iterdir())
    assert [path.name[-12:] for path in files] == [f"{n:06d}.jsonl" for n in range(1, len(files) + 1)]
    assert len(files) > 3
    assert all(5000 <= path.stat().st_size < 5400 for path in files[:-1])
    assert [line["id"] for line in recorded(tmp_path)] == ids


def test_the_oldest_files_go_when_the_directory_is_full_and_the_journal_says_so(tmp_path: Path) -> None:
    recorder = Recorder("m", journal=tmp_path, max_bytes=40_000, max_file_bytes=5000)
    ids = [recorder.predict({"x": n}, 1) for n in range(1000)]
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 40_000 + 400
    lines = recorded(tmp_path)
    kept = [line["id"] for line in lines if line["kind"] == "prediction"]
    assert kept == ids[-len(kept) :]
    notices = [line for line in lines if line["kind"] == "log"]
    assert all(line["log.level"] == "error" and "the journal is full" in line["message"] for line in notices)
    assert not any((tmp_path / line["journal.dropped.file"]).exists() for line in notices)
    assert all(line["journal.dropped.bytes"] >= 5000 for line in notices)
    # Notices are dropped with the oldest files too; those that are there account for their own.
    assert 0 < sum(line["journal.dropped.lines"] for line in notices) <= recorder.stats.dropped
    assert recorder.stats.written == recorder.stats.dropped + len(lines)


def test_a_file_that_another_writer_holds_is_never_dropped(tmp_path: Path) -> None:
    idle = Recorder("idle", journal=tmp_path)
    idle.predict({"x": 1}, 1)
    busy = Recorder("busy", journal=tmp_path, max_bytes=20_000, max_file_bytes=5000)
    for n in range(500):
        busy.predict({"x": n}, 1)
    assert busy.stats.dropped > 0
    assert idle.path is not None
    assert idle.path.exists()
    idle.close()
    for n in range(50):
        busy.predict({"x": n}, 1)
    assert not list(tmp_path.glob("idle-*"))


def test_files_of_other_names_count_and_are_never_deleted(tmp_path: Path) -> None:
    (tmp_path / "by-hand.jsonl").write_bytes(b"x" * 30_000)
    recorder = Recorder("m", journal=tmp_path, max_bytes=40_000, max_file_bytes=4000)
    for n in range(500):
        recorder.predict({"x": n}, 1)
    assert (tmp_path / "by-hand.jsonl").exists()
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 40_400


def test_a_deleted_directory_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = tmp_path / "journal"
    recorder = Recorder("m", journal=journal)
    recorder.predict({"x": 1}, 1)
    shutil.rmtree(journal)
    monkeypatch.setattr(writer, "monotonic", lambda: float("inf"))  # the next second
    recorder.predict({"x": 2}, 1)
    assert [line["features"]["x"] for line in recorded(journal)] == [2]
    assert recorder.stats.failed == 0


def test_a_file_that_the_agent_takes_before_it_is_locked_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Path] = []
    hold = writer._hold

    def late(fd: int) -> bool:
        if not taken:
            (path,) = tmp_path.iterdir()
            path.unlink()
            taken.append(path)
        return hold(fd)

    monkeypatch.setattr(writer, "_hold", late)
    recorder = Recorder("m", journal=tmp_path)
    recorder.predict({"x": 1}, 1)
    assert len(recorded(tmp_path)) == 1
    assert recorder.path != taken[0]


def test_a_rotation_that_fails_goes_on_in_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder("m", journal=tmp_path, max_file_bytes=1000)
    recorder.predict({"x": 1}, 1)

    def refuse(self: writer.JournalWriter) -> None:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(writer.JournalWriter, "_new_file", refuse)
        for _ in range(20):
            recorder.predict({"x": 1}, 1)
    assert (recorder.stats.written, recorder.stats.failed) == (21, 0)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_descriptor_is_never_another_files_while_threads_record_through_rotations_and_close(tmp_path: Path) -> None:
    """Every line is in a journal file or counted as failed; none is in a file opened meanwhile under a freed number."""
    journal, others = tmp_path / "journal", tmp_path / "others"
    others.mkdir()
    recorder = Recorder("m", journal=journal, max_file_bytes=2000)
    start = threading.Barrier(5)
    done = threading.Event()

    def record() -> None:
        start.wait()
        for n in range(2000):
            recorder.predict({"x": n}, 1)

    def open_files() -> None:
        start.wait()
        n = 0
        while not done.is_set():
            n += 1
            descriptor = os.open(others / str(n % 50), os.O_RDWR | os.O_CREAT | os.O_APPEND)
            os.close(descriptor)

    recording = [threading.Thread(target=record) for _ in range(3)]
    opening = threading.Thread(target=open_files)
    for thread in [*recording, opening]:
        thread.start()
    start.wait()
    while recorder.stats.written < 3000:
        pass
    recorder.close()
    for thread in recording:
        thread.join()
    done.set()
    opening.join()
    assert all(path.stat().st_size == 0 for path in others.iterdir())
    lines = recorded(journal)
    assert len({line["id"] for line in lines}) == len(lines) == recorder.stats.written
    assert recorder.stats.written + recorder.stats.failed == 6000


def test_no_descriptor_stays_open_after_the_recorder_is_gone(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for closing in (True, False):
        for _ in range(10):
            recorder = Recorder("m", journal=tmp_path, max_file_bytes=500)
            for _ in range(10):
                recorder.predict({"x": 1}, 1)
            if closing:
                recorder.close()
        del recorder
    assert len(list(Path("/proc/self/fd").iterdir())) == before
