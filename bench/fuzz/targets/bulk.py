"""The collector's `_bulk`: the bytes are a request's body, and each line of theirs the document of a good request."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import logging
import sqlite3
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson

from modelward_collector.app import Collector, build, create_app
from modelward_collector.config import CollectorConfig, SqliteSettings
from modelward_collector.span import Span
from modelward_collector.store.protocol import Alias
from modelward_collector.store.shape import EPOCH, LATEST
from modelward_collector.store.windows import load_window

_GOOD = {"@timestamp": "2026-03-01T12:00:00Z", "kind": "log", "message": "good"}
_ALL = Span(EPOCH, LATEST)
_DAY = Span(EPOCH.replace(year=2026, month=3), EPOCH.replace(year=2026, month=3) + timedelta(days=1))
_TABLES = ("documents", "predictions", "actuals", "repeats", "parts", "payloads", "models", "heartbeats")
_PAGES = ("/api/v1/models", "/api/v1/agents", "/api/v1/logs", "/", "/metrics")

Message = MutableMapping[str, Any]
App = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]


def bulk(data: bytes) -> None:
    """No request fails the collector, every item is answered, none takes its neighbours, and all can be read again."""
    collecting = _collecting()
    collecting.empty()
    status, answer = collecting.ask("POST", "/_bulk", data)
    assert status in (200, 400, 413), (status, answer)
    assert status != 200 or isinstance(orjson.loads(answer)["items"], list)
    if data:
        again, _ = collecting.ask("POST", "/_bulk", gzip.compress(data, 1), encoding="gzip")
        assert again == status
    for alias in ("modelward-events", "modelward-logs", "modelward-profiles"):
        collecting.between_good_ones(alias, [line for line in data.split(b"\n") if line.strip()])
    collecting.read_all()


class _Collecting:
    """A collector over a store. Nothing of it is started: no schedule, no upkeep."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="modelward-fuzz-")
        self._path = Path(self._folder.name) / "modelward.db"
        config = CollectorConfig(
            store=SqliteSettings(kind="sqlite", path=self._path), models_dir=Path(self._folder.name) / "models.d"
        )
        self._collector: Collector = build(config)
        self._collector.context.store.setup()
        self._app: App = create_app(self._collector)
        logging.disable(logging.ERROR)  # of profiles that cannot be read, and are left out

    def empty(self) -> None:
        """As if nothing had been stored: a store of its own would take longer than an input."""
        with contextlib.closing(sqlite3.connect(self._path)) as connection, connection:
            for table in _TABLES:
                connection.execute(f"DELETE FROM {table}")

    def ask(self, method: str, path: str, body: bytes = b"", encoding: str = "identity") -> tuple[int, bytes]:
        """The answer's status and body."""
        headers = [(b"host", b"localhost"), (b"content-encoding", encoding.encode())]
        return _loop().run_until_complete(_asked(self._app, method, path, headers, body))

    def between_good_ones(self, alias: str, documents: list[bytes]) -> None:
        good = orjson.dumps(_GOOD)
        lines = [_action("modelward-logs", f"{alias}-first"), good]
        for number, document in enumerate(documents):
            lines += [_action(alias, f"id-{number}"), document]
        lines += [_action("modelward-logs", f"{alias}-last"), good, b""]
        status, answer = self.ask("POST", "/_bulk", b"\n".join(lines))
        assert status == 200, answer
        items = [item["create"]["status"] for item in orjson.loads(answer)["items"]]
        assert len(items) == len(documents) + 2
        assert items[0] == items[-1] == 201, items

    def read_all(self) -> None:
        store = self._collector.context.store
        for alias in Alias:
            store.events(alias, _ALL, text="a", limit=1000)
        store.heartbeats()
        store.watermark()
        for model in {seen.model for seen in store.seen_models()} | {"fraud"}:
            store.labelled(_ALL, model=model)
            store.sampled(_ALL, model=model)
            store.duplicate_ids(_ALL, model=model)
            store.strangers(_ALL, model=model)
            load_window(store, model, _DAY).profile(None, {})
        for page in _PAGES:
            status, answer = self.ask("GET", page)
            assert status == 200, (page, status, answer[:500])


def _action(index: str, document_id: str) -> bytes:
    return orjson.dumps({"create": {"_index": index, "_id": document_id}})


async def _asked(
    app: App, method: str, path: str, headers: list[tuple[bytes, bytes]], body: bytes
) -> tuple[int, bytes]:
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http",
        "method": method,
        "root_path": "",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("localhost", 8321),
    }
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


@cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


@cache
def _collecting() -> _Collecting:
    return _Collecting()
