"""A child process that a test started: its output in a file, an end by process id, none left behind."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Child:
    """A started program whose standard output and error go to `log`; it ends when this process does."""

    def __init__(
        self,
        command: Sequence[str | Path],
        log: Path,
        *,
        env: Mapping[str, str] | None = None,
        user: int | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.log = log
        as_user = {} if user is None else {"user": user, "group": user, "extra_groups": []}
        with log.open("ab") as output:
            self.popen: subprocess.Popen[bytes] = self._started(command, output, env, cwd, as_user)

    @staticmethod
    def _started(
        command: Sequence[str | Path],
        output: IO[bytes],
        env: Mapping[str, str] | None,
        cwd: Path | None,
        as_user: Mapping[str, object],
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # type: ignore[call-overload,no-any-return]  # user and group come as a mapping
            [str(item) for item in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=None if env is None else dict(env),
            cwd=cwd,
            # A terminal's Ctrl-C is for the test run, which then ends its servers in order.
            start_new_session=True,
            preexec_fn=_die_with_parent,
            **as_user,
        )

    def wait_until(self, ready: Callable[[], bool], seconds: float, what: str) -> None:
        """Return when `ready` answers true; AssertionError with the end of the log when it does not in time."""
        deadline = time.monotonic() + seconds
        while not ready():
            if self.popen.poll() is not None:
                raise AssertionError(f"{what} ended with {self.popen.returncode}:\n{self.tail()}")
            if time.monotonic() > deadline:
                raise AssertionError(f"{what} was not ready in {seconds:g} s:\n{self.tail()}")
            time.sleep(0.1)

    def tail(self, lines: int = 40) -> str:
        """The last lines it printed."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self, seconds: float = 30) -> None:
        """End it by SIGTERM, or after a while by SIGKILL; nothing happens to one that has ended."""
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """End it by SIGKILL."""
        self.popen.kill()
        self.popen.wait(30)


class Server(ABC):
    """A program that is started on entering, and ended with what it leaves behind: also where starting fails."""

    @abstractmethod
    def start(self) -> None:
        """Start it; returns when it answers."""

    @abstractmethod
    def close(self) -> None:
        """End it; nothing happens to one that has ended."""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def kill_pid(pid: int, number: int = signal.SIGKILL) -> None:
    """Send a signal to a process that may have ended already."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
