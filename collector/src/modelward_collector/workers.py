"""Runs checks in a pool of processes, each with its own connection to the store."""

from __future__ import annotations

import atexit
import logging
import multiprocessing
import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection

from modelward_collector.checks.result import CheckResult
from modelward_collector.config import ElasticsearchSettings, SqliteSettings
from modelward_collector.engine import Loader, Task
from modelward_collector.stores import open_store

logger = logging.getLogger(__name__)

_loader: Loader | None = None


class WorkerPool:
    """A `Runner` over processes. One that dies fails its tasks; the pool is made anew for the next."""

    def __init__(self, settings: SqliteSettings | ElasticsearchSettings, workers: int) -> None:
        self._settings = settings
        self._workers = workers
        self._lock = threading.Lock()
        self._pool = self._start()

    def _start(self) -> ProcessPoolExecutor:
        # Spawned, not forked: the collector has threads, and a fork would copy their locks as they are.
        return ProcessPoolExecutor(
            self._workers,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_open,
            initargs=(self._settings,),
        )

    def run(self, task: Task) -> list[CheckResult]:
        """The task's results, neither stored nor exported; `RuntimeError` when its process died, twice."""
        try:
            return self._run(task)
        except BrokenProcessPool:
            # Every task under way fails with the one that killed its process; this may not be that one.
            try:
                return self._run(task)
            except BrokenProcessPool as error:
                why = "perhaps for want of memory; see the system's log"
                raise RuntimeError(f"the worker process died, {why}") from error

    def _run(self, task: Task) -> list[CheckResult]:
        with self._lock:
            pool = self._pool
        try:
            return pool.submit(_run, task).result()
        except BrokenProcessPool:
            with self._lock:
                if self._pool is pool:
                    logger.error("a worker process died; starting the workers again")
                    pool.shutdown(wait=False, cancel_futures=True)
                    self._pool = self._start()
            raise

    def close(self, *, wait: bool = True) -> None:
        """End the processes, after the task that each has under way; without `wait` they end with this process."""
        with self._lock:
            self._pool.shutdown(wait=wait, cancel_futures=True)


def _open(settings: SqliteSettings | ElasticsearchSettings) -> None:
    global _loader
    # Ctrl-C goes to the whole group; the parent ends its workers in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    _loader = Loader(open_store(settings))
    atexit.register(_close)


def _close() -> None:
    """Sketches that outlive the interpreter's end are complained about by their library."""
    global _loader
    _loader = None


def _end_with_parent() -> None:
    """A parent that is killed cannot end its workers, and their queue would never tell them."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _run(task: Task) -> list[CheckResult]:
    assert _loader is not None
    return _loader.run(task)
