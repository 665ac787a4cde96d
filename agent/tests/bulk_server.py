"""A server on 127.0.0.1 that speaks `_bulk` and `_alias`, keeps what it is given, and misbehaves when told to."""

from __future__ import annotations

import gzip
import http.server
import json
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

ALIASES = ("modelward-events", "modelward-logs", "modelward-profiles")


@dataclass
class Request:
    """What arrived: headers in lower case, and (action, document) pairs of a bulk."""

    path: str
    headers: dict[str, str]
    operations: list[tuple[dict[str, str], dict[str, Any]]] = field(default_factory=list)


Misbehaviour = Callable[["Handler", Request], bool]
"""Answers in its own way and returns True, or returns False to let the server answer."""


class BulkServer:
    """Holds `documents[index][id]`. The next requests (but heartbeats) meet `misbehaviours`, one
    each; the others meet `always`."""

    def __init__(self, port: int = 0) -> None:
        self.documents: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
        self.write_index = {alias: f"{alias}-000001" for alias in ALIASES}
        self.indices = {alias: {index} for alias, index in self.write_index.items()}
        self.requests: list[Request] = []
        self.misbehaviours: deque[Misbehaviour] = deque()
        self.always: Misbehaviour | None = None
        self.item_errors: Callable[[str, dict[str, Any]], tuple[int, str, str] | None] = lambda item_id, document: None
        self.lock = threading.Lock()
        server = self

        class Bound(Handler):
            owner = server

        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", port), Bound)
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._http.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def roll_over(self, alias: str) -> None:
        with self.lock:
            number = len(self.indices[alias]) + 1
            self.write_index[alias] = f"{alias}-{number:06d}"
            self.indices[alias].add(self.write_index[alias])

    def remove(self, index: str) -> None:
        with self.lock:
            for behind in self.indices.values():
                behind.discard(index)
            self.documents.pop(index, None)

    def of(self, alias: str) -> list[tuple[str, dict[str, Any]]]:
        """Every (id, document) behind the alias, copies in several indices counted as often."""
        with self.lock:
            return [
                (item_id, document)
                for index in sorted(self.indices[alias])
                for item_id, document in self.documents.get(index, {}).items()
            ]

    def events(self) -> list[tuple[str, dict[str, Any]]]:
        return self.of("modelward-events")

    def logs(self) -> list[tuple[str, dict[str, Any]]]:
        return [(item_id, log) for item_id, log in self.of("modelward-logs") if log["kind"] != "heartbeat"]

    def profiles(self) -> list[tuple[str, dict[str, Any]]]:
        return self.of("modelward-profiles")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: BulkServer

    def do_GET(self) -> None:
        alias = self.path.removeprefix("/_alias/")
        with self.owner.lock:
            write, behind = self.owner.write_index.get(alias), sorted(self.owner.indices.get(alias, ()))
        if not behind:
            self.answer(404, {"error": f"alias [{alias}] missing", "status": 404})
            return
        self.answer(200, {index: {"aliases": {alias: {"is_write_index": index == write}}} for index in behind})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        request = Request(self.path, {name.lower(): value for name, value in self.headers.items()})
        lines = [json.loads(line) for line in body.splitlines()]
        request.operations = [(lines[i]["create"], lines[i + 1]) for i in range(0, len(lines), 2)]
        with self.owner.lock:
            self.owner.requests.append(request)
            misbehave = self.owner.always
            if any(document["kind"] != "heartbeat" for _, document in request.operations) and self.owner.misbehaviours:
                misbehave = self.owner.misbehaviours.popleft()
        if misbehave is not None and misbehave(self, request):
            return
        self.answer(200, self.create(request))

    def create(self, request: Request) -> dict[str, Any]:
        items = []
        with self.owner.lock:
            existing = set().union(*self.owner.indices.values())
            for action, document in request.operations:
                index, item_id = action["_index"], action["_id"]
                item: dict[str, Any] = {"_index": index, "_id": item_id, "status": 201}
                error = self.owner.item_errors(item_id, document)
                if index not in existing:
                    error = (404, "index_not_found_exception", f"no such index [{index}]")
                if error is not None:
                    item |= {"status": error[0], "error": {"type": error[1], "reason": error[2]}}
                elif item_id in self.owner.documents[index]:
                    reason = "document already exists"
                    item |= {"status": 409, "error": {"type": "version_conflict_engine_exception", "reason": reason}}
                else:
                    self.owner.documents[index][item_id] = document
                items.append({"create": item})
        return {"errors": any(item["create"]["status"] > 299 for item in items), "items": items}

    def answer(self, status: int, content: Any) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        pass


def answering(status: int, content: Any = None) -> Misbehaviour:
    """Answer so, and store nothing."""

    def misbehave(handler: Handler, request: Request) -> bool:
        handler.answer(status, content if content is not None else {"error": {"type": "told_to", "reason": "told to"}})
        return True

    return misbehave


def storing_then_cutting(handler: Handler, request: Request) -> bool:
    """Store everything, and break the connection in the middle of the answer."""
    body = json.dumps(handler.create(request)).encode()
    handler.send_response(200)
    handler.send_header("content-length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body[: len(body) // 2])
    handler.close_connection = True
    return True


def storing_then_silent(seconds: float) -> Misbehaviour:
    """Store everything, and answer too late."""

    def misbehave(handler: Handler, request: Request) -> bool:
        handler.create(request)
        time.sleep(seconds)
        handler.close_connection = True
        return True

    return misbehave


def wait_for(ready: Callable[[], object], seconds: float = 10.0) -> None:
    """Return when `ready` answers something true; AssertionError when it does not in time."""
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, f"not in {seconds:g} s: {ready}"
        time.sleep(0.01)
