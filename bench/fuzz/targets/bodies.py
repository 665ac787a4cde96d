"""What passes through the middleware: the bytes are a request's body, a line `---`, and the response's."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from modelward_agent import Recorder
from modelward_agent.journal.parse import Kind, Record, parse_lines
from modelward_agent.recorder.asgi import RecorderMiddleware
from modelward_agent.recorder.asgi.body import Body
from modelward_agent.recorder.asgi.middleware import Scope
from modelward_agent.recorder.asgi.shapes import features_and_predictions

SEPARATOR = b"\n---\n"
_MAX_BYTES = 1 << 16

Message = MutableMapping[str, Any]


def bodies(data: bytes) -> None:
    """The bodies pass unchanged, nothing raises, and each row is a line that the agent can read, or counted."""
    request, _, response = data.partition(SEPARATOR)
    for encoding in ("", "gzip"):
        with suppress(ValueError, RecursionError):
            body = Body(_MAX_BYTES, encoding)
            body.add(request[:7])
            body.add(request[7:])
            body.json()
    journal, recorder = _recorder()
    for path in journal.glob("*.jsonl"):
        path.write_bytes(b"")
    before = recorder.stats
    assert _passed(recorder, request, response) == response
    after = recorder.stats
    lines = b"".join(path.read_bytes() for path in sorted(journal.glob("*.jsonl"))).splitlines(keepends=True)
    records = parse_lines(lines)
    for line, record in zip(lines, records, strict=True):
        assert isinstance(record, Record), (record, line[:500])
        assert record.kind is Kind.PREDICTION
    assert after.written - before.written == len(records)
    assert len(records) + after.failed - before.failed >= _rows(request, response)


def _rows(request: bytes, response: bytes) -> int:
    """How many rows there are to record, 0 when that cannot be told."""
    try:
        bodies = Body(_MAX_BYTES), Body(_MAX_BYTES)
        for body, content in zip(bodies, (request, response), strict=True):
            body.add(content)
        features, _ = features_and_predictions(*(body.json() for body in bodies))
    except Exception:
        return 1
    return len(features) if isinstance(features, list) else 1


def _passed(recorder: Recorder, request: bytes, response: bytes) -> bytes:
    """What a client gets."""

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": response[:9], "more_body": True})
        await send({"type": "http.response.body", "body": response[9:]})

    sent: list[Message] = []
    chunks = [
        {"type": "http.request", "body": request[at : at + 4096], "more_body": True}
        for at in range(0, len(request), 4096)
    ]
    chunks.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> Message:
        return chunks.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/predict", "headers": []}
    watched = RecorderMiddleware(app, recorder, max_body_bytes=_MAX_BYTES)
    _loop().run_until_complete(watched(scope, receive, send))
    return b"".join(message.get("body", b"") for message in sent)


@cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


@cache
def _folder() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="modelward-fuzz-")


@cache
def _recorder() -> tuple[Path, Recorder]:
    journal = Path(_folder().name)
    return journal, Recorder("fuzzed", "1", journal=journal)
