"""The directory asked from a few threads, so that a slow one holds up nothing else, and nobody for long."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, TypeVar

from modelward_collector.auth.directory import Directory
from modelward_collector.auth.person import DirectoryUnavailableError, Person

T = TypeVar("T")

AT_A_TIME: Final = 16
"""Questions under way; with a directory that hangs, more would only wait too."""


class DirectoryPool:
    """`Directory`'s questions as coroutines; each has its own thread, which ends with the directory's time-outs."""

    def __init__(self, directory: Directory, at_a_time: int = AT_A_TIME) -> None:
        self.directory = directory
        self._places = threading.Semaphore(at_a_time)
        self._seconds = directory.longest_seconds

    async def authenticate(self, typed: str, password: str) -> Person:
        """As `Directory.authenticate`; `DirectoryUnavailableError` also when no answer came in time."""
        return await self._asked(lambda: self.directory.authenticate(typed, password))

    async def look_up(self, login: str) -> Person | None:
        """As `Directory.look_up`, likewise."""
        return await self._asked(lambda: self.directory.look_up(login))

    async def _asked(self, question: Callable[[], T]) -> T:
        if not self._places.acquire(blocking=False):
            raise DirectoryUnavailableError("the directory is slow, and too many questions wait for it already")
        answer: Future[T] = Future()

        def run() -> None:
            try:
                answer.set_result(question())
            except BaseException as error:
                answer.set_exception(error)
            finally:
                self._places.release()

        # Daemons, so that one that hangs does not keep the process from ending.
        threading.Thread(target=run, name="ldap", daemon=True).start()
        try:
            return await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(answer)), self._seconds)
        except TimeoutError:
            raise DirectoryUnavailableError(f"the directory gave no answer in {self._seconds:g} s") from None
