"""Whole lines into one process's own files: `<app>-<pid>-<start>.<seq>.jsonl` in the journal directory.

A line is one `write(2)` on a file opened for appending: threads need no lock, and a process that is killed leaves whole
lines. While a file is written it holds a shared `flock`, which tells the agent, and other writers, that it lives.
"""

from __future__ import annotations

import fcntl
import os
import re
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from os import write
from pathlib import Path
from time import monotonic

DIRECTORY_MODE = 0o750
FILE_MODE = 0o640

_NAME = re.compile(r".+\.\d{6,}\.jsonl")
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_ATTEMPTS = 100
_SECONDS_BETWEEN_LOOKS = 1.0  # how long lines may go into a file that somebody has deleted
_ROTATION_DELAY_BYTES = 1 << 20  # how much more goes into the old file when a new one cannot be opened
_READ_BYTES = 1 << 20
_CLOSED = -1

# Held while a file is opened, rotated or closed, and around a fork, so that no child inherits a half-opened file. One
# for all writers: it is never taken on the way of an ordinary line. Reentrant, for signal handlers that record.
_switching = threading.RLock()
_writers: weakref.WeakSet[JournalWriter] = weakref.WeakSet()


class JournalClosedError(OSError):
    """Something was written after `close()`."""


class TornWriteError(OSError):
    """The disk took only a part; `lines` whole lines of it are there."""

    def __init__(self, path: Path, lines: int, cause: str) -> None:
        super().__init__(f"{path}: only a part could be written ({cause})")
        self.lines = lines


@dataclass(frozen=True, slots=True)
class Dropped:
    """A closed file that went because the directory had reached its bound."""

    file: str
    bytes: int
    lines: int


class JournalWriter:
    """Appends blocks of whole lines, starts a new file at `max_file_bytes`, and keeps the directory below `max_bytes`.

    `dropped` is called with each file that had to go for the bound: the oldest first, and only files that no living
    process writes. Nothing is opened before the first line. A forked child starts its own file.
    """

    def __init__(
        self, directory: Path, app: str, *, max_bytes: int, max_file_bytes: int, dropped: Callable[[Dropped], None]
    ) -> None:
        self.directory = directory
        self._app = app
        self._max_bytes = max_bytes
        self._max_file_bytes = max_file_bytes
        self._dropped = dropped
        self._closed = False
        self._parked = _CLOSED
        self._forget()
        _writers.add(self)

    def _forget(self) -> None:
        self._fd = _CLOSED
        self._path = self.directory
        self._name = ""
        self._sequence = 0
        self._bytes = 0
        self._rotate_at = self._max_file_bytes
        self._look_at = 0.0
        self._torn = False

    @property
    def path(self) -> Path | None:
        """The file that is being written, None before the first line and after `close`."""
        return self._path if self._fd != _CLOSED else None

    def append(self, block: bytes) -> None:
        """Write whole lines; OSError when the disk does not take them, `TornWriteError` when it takes a part."""
        fd = self._fd
        if fd == _CLOSED or monotonic() >= self._look_at:
            fd = self._ready()
        if self._torn:
            self._append_after_torn(fd, block)
            return
        written = write(fd, block)
        self._bytes += written
        if written != len(block):
            self._finish(fd, block, written)
        if self._bytes >= self._rotate_at:
            self._rotate()

    def _append_after_torn(self, fd: int, block: bytes) -> None:
        """End the torn line first, in the same write, so that it takes no other line with it."""
        written = write(fd, b"\n" + block)
        self._bytes += written
        self._torn = written == 0
        if written <= len(block):
            self._finish(fd, block, max(written - 1, 0))

    def _finish(self, fd: int, block: bytes, written: int) -> None:
        """Try once more with what the disk did not take, from the start of the line that is torn."""
        whole = block.rfind(b"\n", 0, written) + 1
        lines = block.count(b"\n", 0, whole)
        self._torn = self._torn or whole != written
        rest = b"\n" * self._torn + block[whole:]
        try:
            more = write(fd, rest)
        except OSError as error:
            raise TornWriteError(self._path, lines, error.strerror or str(error)) from error
        self._bytes += more
        if more == len(rest):
            self._torn = False
            return
        lines += max(rest.count(b"\n", 0, more) - self._torn, 0)
        self._torn = self._torn if more == 0 else not rest[:more].endswith(b"\n")
        raise TornWriteError(self._path, lines, "the disk is full")

    def close(self) -> None:
        """Release the file and its lock. Later lines are refused."""
        with _switching:
            self._closed = True
            fd, self._fd = self._fd, _CLOSED
            if fd == _CLOSED:
                return
            # Another thread may be about to write to this number: it must not become somebody's socket while the
            # writer is alive. Writing to a file opened for reading is refused.
            refusing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
            os.dup2(refusing, fd, inheritable=False)
            os.close(refusing)
            self._parked = fd

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        for fd in (getattr(self, "_fd", _CLOSED), getattr(self, "_parked", _CLOSED)):
            if fd != _CLOSED:
                close(fd)

    # -- files --------------------------------------------------------------------------------------------------
    def _ready(self) -> int:
        """An open file that is still in the directory."""
        dropped: list[Dropped] = []
        with _switching:
            if self._closed:
                raise JournalClosedError(f"{self.directory}: the recorder is closed; record before close()")
            if self._fd == _CLOSED or os.fstat(self._fd).st_nlink == 0:
                self._open_next()
                dropped = self._keep_bound()
            self._look_at = monotonic() + _SECONDS_BETWEEN_LOOKS
            fd = self._fd
        for file in dropped:
            self._dropped(file)
        return fd

    def _rotate(self) -> None:
        if not _switching.acquire(blocking=False):
            return  # another thread is at it; the old file takes lines until then
        try:
            if self._closed or self._bytes < self._rotate_at:
                return
            try:
                self._open_next()
            except OSError:
                self._rotate_at = self._bytes + _ROTATION_DELAY_BYTES
                return
            dropped = self._keep_bound()
        finally:
            _switching.release()
        for file in dropped:
            self._dropped(file)

    def _open_next(self) -> None:
        fd, path = self._new_file()
        if self._fd == _CLOSED:
            self._fd = fd
        else:
            # Under the same number: a thread that has read it writes to the old file or the new one, never elsewhere.
            os.dup2(fd, self._fd, inheritable=False)
            os.close(fd)
        self._path = path
        self._bytes = 0
        self._rotate_at = self._max_file_bytes
        self._torn = False

    def _new_file(self) -> tuple[int, Path]:
        if not self._name:
            self._name = f"{self._app}-{os.getpid()}-{time.time_ns():x}"
        for _ in range(_OPEN_ATTEMPTS):
            self._sequence += 1
            path = self.directory / f"{self._name}.{self._sequence:06d}.jsonl"
            try:
                fd = os.open(path, _FLAGS, FILE_MODE)
            except FileExistsError:
                continue
            except FileNotFoundError:
                _make_directory(self.directory)
                continue
            os.fchmod(fd, FILE_MODE)  # whatever the umask: the agent reads by its group
            # Between opening and locking, the agent may have taken the empty file for an abandoned one.
            if _hold(fd) and os.fstat(fd).st_nlink:
                return fd, path
            os.close(fd)
        raise FileExistsError(f"{self.directory}: no new file could be opened in {_OPEN_ATTEMPTS} attempts")

    def _keep_bound(self) -> list[Dropped]:
        """Delete the oldest closed files until there is room for one whole file more."""
        files: list[tuple[int, str, int]] = []
        total = self._max_file_bytes
        try:
            with os.scandir(self.directory) as entries:
                for entry in entries:
                    if entry.is_file(follow_symlinks=False):
                        status = entry.stat(follow_symlinks=False)
                        total += status.st_size
                        if _NAME.fullmatch(entry.name):
                            files.append((status.st_mtime_ns, entry.name, status.st_size))
        except OSError:
            return []  # the bound is kept at the next file
        dropped = []
        for _, name, size in sorted(files):
            if total <= self._max_bytes:
                break
            if (lines := _delete_abandoned(self.directory / name)) is not None:
                total -= size
                dropped.append(Dropped(name, size, lines))
        return dropped


def _make_directory(directory: Path) -> None:
    directory.parent.mkdir(parents=True, exist_ok=True)
    try:
        directory.mkdir(DIRECTORY_MODE)
    except FileExistsError:
        return
    mode = directory.stat().st_mode  # keeps a set-group-id bit, undoes the umask
    directory.chmod(mode | DIRECTORY_MODE)


def _hold(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False  # somebody is about to delete it
    except OSError:
        return True  # a file system without locks
    return True


def _delete_abandoned(path: Path) -> int | None:
    """Delete a file that no living process writes; how many lines it had, None when it stays."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        lines = 0
        while chunk := os.read(fd, _READ_BYTES):
            lines += chunk.count(b"\n")
        path.unlink()
    except OSError:
        return None
    finally:
        os.close(fd)
    return lines


def _after_fork_in_child() -> None:
    for writer in list(_writers):
        # The parent's lock lives as long as any copy of its descriptor.
        if writer._fd != _CLOSED:
            os.close(writer._fd)
        writer._forget()
    _switching.release()


os.register_at_fork(before=_switching.acquire, after_in_parent=_switching.release, after_in_child=_after_fork_in_child)
