"""Serving an application over HTTP from a thread, so that the main thread decides when and in which order to end."""

from __future__ import annotations

import errno
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

import uvicorn
from fastapi import FastAPI

from modelward_collector.config import Listen

CLOSE_WITHIN_SECONDS = 3
"""How long requests that are under way may take to end."""


class ListenError(Exception):
    """The address cannot be listened on; the message says why and what to do."""


def bind(listen: Listen) -> socket.socket:
    """A socket that listens there; `ListenError` when that cannot be."""
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    where = f"{listen.host}:{listen.port}"
    # Named in full, since only then asyncio switches Nagle's algorithm off, which costs 40 ms an answer.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((listen.host, listen.port))
        listener.listen(512)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            advice = "is in use; stop what listens there, or choose another port (--port, or listen.port)"
        elif error.errno == errno.EACCES:
            advice = "needs a right that this user lacks; choose a port above 1023 (--port, or listen.port)"
        else:
            advice = f"cannot be listened on ({error.strerror or error}); correct listen.host and listen.port"
        raise ListenError(f"modelward: {where} {advice}") from error
    return listener


class Server:
    """One application on one socket."""

    def __init__(self, app: FastAPI, listener: socket.socket, listen: Listen) -> None:
        self.url = listen.url(listener.getsockname()[1])
        self._listener = listener
        tls = listen.tls
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                lifespan="on",
                ssl_certfile=None if tls is None else str(tls.certificate),
                ssl_keyfile=None if tls is None else str(tls.key_file),
                timeout_graceful_shutdown=CLOSE_WITHIN_SECONDS,
            )
        )
        self._thread = threading.Thread(target=self._server.run, args=([listener],), name="http", daemon=True)

    def start(self) -> bool:
        """Begin to serve; whether that worked, else the log says why."""
        self._thread.start()
        while self._thread.is_alive() and not self._server.started:
            time.sleep(0.01)
        return self._server.started

    @property
    def alive(self) -> bool:
        """It still serves."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """End within seconds."""
        self._server.should_exit = True
        self._thread.join()
        self._listener.close()


def end_process(code: int, *, unfinished: bool) -> int:
    """The exit code; does not come back when threads that are left behind would keep the process from ending."""
    if unfinished:
        logging.shutdown()
        sys.stdout.flush()
        os._exit(code)
    return code


class Signals:
    """SIGINT and SIGTERM ask to end, SIGHUP to reload; only usable in the main thread."""

    def __init__(self, on_hangup: Callable[[], None]) -> None:
        self._asked = threading.Event()
        signal.signal(signal.SIGINT, self._end)
        signal.signal(signal.SIGTERM, self._end)
        signal.signal(signal.SIGHUP, lambda _number, _frame: on_hangup())

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        self._asked.set()

    def wait(self, seconds: float) -> bool:
        """Wait until asked to end, or for so long; whether asked."""
        return self._asked.wait(seconds)
