"""When recording fails: nothing is raised, everything is counted, and one warning says what to do."""

from __future__ import annotations

import errno
import logging
import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from agent.tests.recorded import recorded
from modelward_agent import Recorder
from modelward_agent.journal.parse import Record, parse_line

Disk = tuple[Path, Callable[[], None], Callable[[], None]]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Disk]:
    """A directory on a file system of 64 KiB, what fills it, and what makes room.

    Without the right to mount, a bound on the size of this process's files stands in: it cuts writes short likewise.
    """
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if shutil.which("mount") and subprocess.run(mount, capture_output=True).returncode == 0:
        try:
            yield disk, lambda: fill(disk / "filler"), (disk / "filler").unlink
        finally:
            subprocess.run(["umount", "--lazy", disk], check=True)
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    bound = 20_500  # in the middle of a line
    try:
        yield (
            disk,
            lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (bound, hard)),
            lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard)),
        )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def fill(filler: Path) -> None:
    """Take all room but what the last begun page still has."""
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith("modelward_agent.recorder")]


def test_a_full_disk_is_counted_and_warned_about_once_and_again_after_recovery(
    small_disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    disk, take_room, make_room = small_disk
    recorder = Recorder("fraud", journal=disk)
    sent: list[str] = []

    def predict(times: int) -> None:
        sent.extend(recorder.predict({"text": "x" * 700}, 1) for _ in range(times))

    predict(1)
    for failures in (1, 2):
        take_room()
        predict(60)
        assert recorder.stats.failed > 0
        assert sum("not recorded" in text for text in warnings(caplog)) == failures
        make_room()
        predict(1)
        assert sum("recording again" in text for text in warnings(caplog)) == failures
    assert recorder.path is not None
    lines = recorder.path.read_bytes().splitlines(keepends=True)
    good = [parsed.document["id"] for line in lines if isinstance(parsed := parse_line(line), Record)]
    # A write that was cut short left a piece of a line; it is a line of its own and took no other with it.
    assert len(lines) - len(good) <= 4
    assert len(good) == recorder.stats.written
    assert recorder.stats.written + recorder.stats.failed == len(sent) == 123
    assert set(good) <= set(sent)
    assert sent[-1] in good


def test_a_batch_on_a_full_disk_counts_what_went_in(small_disk: Disk) -> None:
    disk, take_room, make_room = small_disk
    recorder = Recorder("fraud", journal=disk)
    recorder.predict({"text": "x" * 100}, 1)
    take_room()
    ids = recorder.predict_batch({"text": ["x" * 300] * 1000}, [1] * 1000)
    make_room()
    last = recorder.predict({"x": 1}, 1)
    assert recorder.path is not None
    lines = [parse_line(line) for line in recorder.path.read_bytes().splitlines(keepends=True)]
    good = [parsed.document["id"] for parsed in lines if isinstance(parsed, Record)]
    assert len(lines) - len(good) <= 2
    assert good[-1] == last
    assert good[1:-1] == ids[: len(good) - 2]
    assert recorder.stats.written == len(good)
    assert recorder.stats.failed == 1002 - len(good)


def test_a_torn_line_is_ended_before_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every place where a write can be cut: the lines before and after are whole."""
    length = len(Recorder("m", journal=tmp_path / "one").predict({"x": 1}, 1)) + 120
    for cut in range(1, length, 7):
        journal = tmp_path / str(cut)
        recorder = Recorder("m", journal=journal)
        first = recorder.predict({"x": 1}, 1)
        writes = iter([cut, 0])

        def write(fd: int, block: bytes, writes: Iterator[int] = writes) -> int:
            size = next(writes, len(block))
            if size == 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return os.write(fd, block[:size])

        with monkeypatch.context() as patch:
            patch.setattr("modelward_agent.recorder.writer.write", write)
            recorder.predict({"x": 2}, 1)
            last = recorder.predict({"x": 3}, 1)
        assert recorder.path is not None
        lines = recorder.path.read_bytes().splitlines(keepends=True)
        assert len(lines) == 3
        good = [parsed.document["id"] for line in lines if isinstance(parsed := parse_line(line), Record)]
        assert good == [first, last]
        assert (recorder.stats.written, recorder.stats.failed) == (2, 1)


def test_a_short_write_whose_rest_finds_room_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder("m", journal=tmp_path)
    writes = iter([900, 50])

    def write(fd: int, block: bytes) -> int:
        return os.write(fd, block[: next(writes, len(block))])

    monkeypatch.setattr("modelward_agent.recorder.writer.write", write)
    recorder.predict_batch({"x": [1, 2, 3, 4]}, [1, 2, 3, 4])
    recorder.predict({"x": 5}, 5)
    assert recorder.path is not None
    lines = [parse_line(line) for line in recorder.path.read_bytes().splitlines(keepends=True)]
    good = [parsed.document["prediction"] for parsed in lines if isinstance(parsed, Record)]
    assert len(good) == recorder.stats.written
    assert recorder.stats.written + recorder.stats.failed == 5
    assert good[-1] == 5


def test_a_journal_that_cannot_be_opened_is_survived_until_it_can(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "journal").write_text("a file where the directory should be")
    recorder = Recorder("fraud", journal=tmp_path / "journal")
    for _ in range(3):
        assert recorder.predict({"x": 1}, 1)
    recorder.actual("1", 1)
    assert recorder.stats.failed == 4
    (warning,) = warnings(caplog)
    assert str(tmp_path / "journal") in warning
    assert "Not a directory" in warning
    (tmp_path / "journal").unlink()
    recorder.predict({"x": 1}, 1)
    assert len(recorded(tmp_path / "journal")) == 1
    assert "4 lines were lost" in warnings(caplog)[-1]


def test_a_directory_without_the_right_to_write_is_survived(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tmp_path.chmod(0o500)
    user = os.geteuid()
    recorder = Recorder("fraud", journal=tmp_path)
    try:
        if user == 0:
            os.seteuid(65534)  # root may write everywhere
        recorder.predict({"x": 1}, 1)
    finally:
        os.seteuid(user)
    assert recorder.stats.failed == 1
    assert "Permission denied" in caplog.text


def test_a_line_of_more_than_a_mebibyte_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder("fraud", journal=tmp_path)
    recorder.predict({"text": "x" * (1 << 20)}, 1)
    recorder.predict({"text": "x" * ((1 << 20) - 500)}, 1)
    recorder.predict({"text": "x" * (1 << 20)}, 1)
    assert (recorder.stats.written, recorder.stats.failed) == (1, 2)
    assert len(recorded(tmp_path)) == 1
    (warning,) = warnings(caplog)
    assert "a line may have 1,048,576 bytes" in warning


def test_what_is_recorded_after_close_is_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Recorder("fraud", journal=tmp_path) as recorder:
        recorder.predict({"x": 1}, 1)
    recorder.close()
    assert recorder.predict({"x": 1}, 1)
    assert recorder.predict_batch({"x": [1, 2]}, [1, 2])
    assert (recorder.stats.written, recorder.stats.failed) == (1, 3)
    (warning,) = warnings(caplog)
    assert "the recorder is closed" in warning


def test_wrong_arguments_are_counted_and_named_and_raise_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder("fraud", journal=tmp_path)
    recorder.predict([1, 2, 3], 1)
    recorder.predict(None, 1)
    recorder.predict({"x": 1}, [1, 2])
    recorder.predict({"x": 1}, 1, timestamp="yesterday")
    recorder.predict({"x": 1}, 1, latency_ms="fast")  # type: ignore[arg-type]
    recorder.predict({"x": 1}, 1, segment="eu")  # type: ignore[arg-type]
    recorder.actual("1", None)
    recorder.actual("1", {"a": 1})
    recorder.business("revenue", float("nan"))
    recorder.log("x", fields=3)  # type: ignore[arg-type]
    assert (recorder.stats.written, recorder.stats.failed) == (0, 10)
    assert recorded(tmp_path) == []
    told = "\n".join(warnings(caplog))
    assert "features: a list has no names; give a dict" in told
    assert "2 values without names are not one outcome" in told
    assert "timestamp: not a moment: 'yesterday'" in told
    assert "actual: a NoneType is not what became true" in told
    assert "business revenue: nan is not an amount" in told
    recorder.predict([1, 2, 3], 1)
    recorder.predict({"x": 1}, 1, timestamp="today")
    assert "\n".join(warnings(caplog)) == told


def test_ever_new_failures_are_not_ever_new_warnings(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder("fraud", journal=tmp_path)
    for n in range(1000):
        recorder.missed(ValueError(f"{n} is odd"))
    assert recorder.stats.failed == 1000
    assert len(warnings(caplog)) == 20


def test_a_logging_handler_that_raises_does_not_reach_the_caller(tmp_path: Path) -> None:
    class Broken(logging.Handler):
        def handle(self, record: logging.LogRecord) -> bool:
            raise RuntimeError("the log server is down")

    handler = Broken()
    logging.getLogger().addHandler(handler)
    try:
        recorder = Recorder("fraud", journal=tmp_path)
        recorder.predict(3, 1)
    finally:
        logging.getLogger().removeHandler(handler)
    assert recorder.stats.failed == 1
