"""A small HTTPS server in a thread: it answers from a table, and keeps what it is posted."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

Answer = Callable[[], str]


class Web:
    """Listens on 127.0.0.1 as long as the context lasts. `posted` is (path, JSON body) of every POST, oldest first."""

    def __init__(self, context: ssl.SSLContext, port: int, pages: Mapping[str, Answer] | None = None) -> None:
        self.posted: list[tuple[str, Any]] = []
        self.authorizations: list[str] = []
        self._pages = pages or {}
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = True
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._server.serve_forever, name="web", daemon=True)

    def __enter__(self) -> Web:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                web.authorizations.append(self.headers.get("authorization", ""))
                page = web._pages.get(self.path.partition("?")[0])
                self._answer(404 if page is None else 200, "" if page is None else page())

            def do_POST(self) -> None:
                web.authorizations.append(self.headers.get("authorization", ""))
                length = int(self.headers.get("content-length", "0"))
                web.posted.append((self.path, json.loads(self.rfile.read(length))))
                self._answer(204, "")

            def _answer(self, status: int, text: str) -> None:
                body = text.encode()
                self.send_response(status)
                self.send_header("content-type", "text/plain; version=0.0.4; charset=utf-8")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class has it
                pass

        return Handler
