"""An HTTPS server in another's place, that records what reaches it."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any


@dataclass(frozen=True, slots=True)
class Recorded:
    """One request; `headers` in their order, names in lower case, repeated ones as they came."""

    method: str
    target: str
    headers: Sequence[tuple[str, str]]
    body: bytes
    client: str = ""

    def header(self, name: str) -> str | None:
        """The header's only value; None without it."""
        values = [value for key, value in self.headers if key == name.lower()]
        assert len(values) < 2, f"{name} came {len(values)} times"
        return values[0] if values else None

    @property
    def names(self) -> set[str]:
        """Of its headers."""
        return {name for name, _ in self.headers}


@dataclass
class Recorder:
    """Listens with a certificate; with `clients` it asks for one of that authority. `answer` is what it answers."""

    certificate: Path
    key: Path
    clients: Path | None = None
    status: int = 200
    body: bytes = b"recorded"
    answered: Mapping[str, str] = field(default_factory=dict)
    requests: list[Recorded] = field(default_factory=list)

    def __enter__(self) -> Recorder:
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except (ConnectionError, ssl.SSLError):
                    self.close_connection = True

            def _record(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                body = self.rfile.read(length) if length else b""
                if self.headers.get("transfer-encoding", "").lower() == "chunked":
                    while size := int(self.rfile.readline(), 16):
                        body += self.rfile.read(size)
                        self.rfile.readline()
                    self.rfile.readline()
                shown: dict[str, Any] = {}
                if isinstance(self.connection, ssl.SSLSocket):
                    shown = self.connection.getpeercert() or {}
                names = {key: value for part in shown.get("subject", ()) for key, value in part}
                headers = [(name.lower(), value) for name, value in self.headers.items()]
                recorder.requests.append(Recorded(self.command, self.path, headers, body, names.get("commonName", "")))
                if self.headers.get("upgrade", "").lower() == "websocket":
                    self.send_response(101)
                    self.send_header("Upgrade", "websocket")
                    self.send_header("Connection", "upgrade")
                    self.end_headers()
                    self.wfile.write(self.rfile.read(4).upper())
                    self.close_connection = True
                    return
                self.send_response(recorder.status)
                for name, value in recorder.answered.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(recorder.body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(recorder.body)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_OPTIONS = do_PATCH = _record  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        if self.clients is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.clients)
        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def last(self) -> Recorded:
        """The latest request."""
        return self.requests[-1]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        pass
