"""`POST /_bulk` and `GET /_alias/{alias}` as Elasticsearch speaks them, so that agents need not know the store.

Of the bulk API there is what delivering needs: `create` into the known aliases, or into the backing index that an alias
is said to have. Every item is answered for itself.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any, Final

import anyio.to_thread
import orjson
from anyio import CapacityLimiter
from fastapi import APIRouter, Request, Response

from modelward_collector.store.protocol import Alias, Created, Document, Outcome, Store, StoreUnavailableError

MAX_BODY_BYTES: Final = 64 * 1024 * 1024
"""Of a request as it comes; agents send far less at a time."""

MAX_CONTENT_BYTES: Final = 128 * 1024 * 1024
"""Of a request once decompressed."""

AT_A_TIME: Final = 2
"""Requests that are being read or stored; the store has one writer, and each may hold `MAX_CONTENT_BYTES`."""

RETRY_AFTER_SECONDS: Final = 5

_SHIPPED: Final = (Alias.EVENTS, Alias.LOGS, Alias.PROFILES)
"""What agents write; verdicts, and who accepted what, are the collector's alone."""

_ALIASES: Final = {name: alias for alias in _SHIPPED for name in (alias.value, f"{alias.value}-000001")}
"""The alias by each name that a document may be created under."""


class _RefusedError(Exception):
    """The request as a whole is refused, with this status and Elasticsearch's name for the error."""

    def __init__(self, status: int, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.kind = kind
        self.reason = reason


def bulk_router(store: Store, authorize: Callable[[Request], None]) -> APIRouter:
    """The two routes; `authorize` raises for a request without the right credentials."""
    router = APIRouter(include_in_schema=False)
    limiter = CapacityLimiter(AT_A_TIME)

    @router.post("/_bulk")
    async def bulk(request: Request) -> Response:
        authorize(request)
        try:
            body = await _body(request)
            encoding = request.headers.get("content-encoding", "identity").strip().lower()
            answer = await anyio.to_thread.run_sync(_stored, store, body, encoding, limiter=limiter)
        except _RefusedError as refused:
            return _error(refused.status, refused.kind, refused.reason)
        except StoreUnavailableError as error:
            return _error(503, "unavailable_shards_exception", str(error))
        return Response(answer, media_type="application/json")

    @router.get("/_alias/{alias}")
    async def alias(alias: str, request: Request) -> Response:
        authorize(request)
        if alias not in set(Alias):
            return _json(404, {"error": f"alias [{alias}] missing", "status": 404})
        return _json(200, {f"{alias}-000001": {"aliases": {alias: {"is_write_index": True}}}})

    return router


async def _body(request: Request) -> bytes:
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > MAX_BODY_BYTES:
        raise _too_large(MAX_BODY_BYTES)
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise _too_large(MAX_BODY_BYTES)
        chunks.append(chunk)
    return b"".join(chunks)


def _stored(store: Store, body: bytes, encoding: str) -> bytes:
    begun = monotonic()
    entries = list(_entries(_decoded(body, encoding)))
    documents = [entry for entry in entries if isinstance(entry, Document)]
    outcomes = iter(store.create(documents))
    items = [_item(entry, next(outcomes)) if isinstance(entry, Document) else {"create": entry} for entry in entries]
    errors = any("error" in item["create"] for item in items)
    return orjson.dumps({"took": int((monotonic() - begun) * 1000), "errors": errors, "items": items})


def _decoded(body: bytes, encoding: str) -> bytes:
    if encoding in ("", "identity"):
        return body
    if encoding != "gzip":
        raise _RefusedError(415, "content_type_header_exception", f"content-encoding {encoding!r:.40} is not gzip")
    parts: list[bytes] = []
    left = MAX_CONTENT_BYTES + 1
    while body:
        # A gzip body may be several members one after another.
        inflater = zlib.decompressobj(wbits=31)
        try:
            part = inflater.decompress(body, left)
        except zlib.error as error:
            raise _RefusedError(400, "parse_exception", f"the body is not gzip: {error}") from error
        left -= len(part)
        if left <= 0:
            raise _too_large(MAX_CONTENT_BYTES)
        if not inflater.eof:
            raise _RefusedError(400, "parse_exception", "the gzip body is cut short")
        parts.append(part)
        body = inflater.unused_data
    return b"".join(parts)


def _entries(content: bytes) -> Iterator[Document | dict[str, Any]]:
    """Of each operation its document, or the answer to one that cannot be read or has no place to go."""
    if not content:
        raise _RefusedError(400, "parse_exception", "request body is required")
    if not content.endswith(b"\n"):
        reason = "The bulk request must be terminated by a newline [\\n]"
        raise _RefusedError(400, "illegal_argument_exception", reason)
    lines = iter(enumerate(content[:-1].split(b"\n"), 1))
    for number, line in lines:
        if not line.strip():
            continue
        target, document_id = _operation(number, line)
        _, source = next(lines, (number, None))
        if source is None:
            raise _RefusedError(400, "illegal_argument_exception", f"line {number}: the operation has no document")
        alias = _ALIASES.get(target)
        if alias is None:
            reason = f"no such index [{target}]; agents write to {', '.join(_SHIPPED)}"
            yield _failed(target, document_id, 404, "index_not_found_exception", reason)
            continue
        try:
            fields = orjson.loads(source)
            if not isinstance(fields, dict):
                raise ValueError("it is not an object")
        except ValueError as error:
            reason = f"line {number + 1}: failed to parse the document: {error}"
            yield _failed(target, document_id, 400, "document_parsing_exception", reason)
            continue
        yield Document(alias, document_id, fields)


def _operation(number: int, line: bytes) -> tuple[str, str]:
    try:
        ((name, about),) = orjson.loads(line).items()
        target, document_id = about["_index"], about["_id"]
        if name != "create" or not isinstance(target, str) or not isinstance(document_id, str):
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError):
        raise _RefusedError(
            400,
            "illegal_argument_exception",
            f'line {number}: expected {{"create":{{"_index":…,"_id":…}}}}, not {line[:80].decode("utf-8", "replace")}',
        ) from None
    return target, document_id


def _item(document: Document, created: Created) -> dict[str, Any]:
    index = f"{document.alias}-000001"
    if created.outcome is Outcome.CREATED:
        return {"create": {"_index": index, "_id": document.id, "result": "created", "status": 201}}
    if created.outcome is Outcome.CONFLICT:
        reason = f"[{document.id}]: version conflict, document already exists"
        return {"create": _failed(index, document.id, 409, "version_conflict_engine_exception", reason)}
    return {"create": _failed(index, document.id, 400, "document_parsing_exception", created.reason)}


def _failed(index: str, document_id: str, status: int, kind: str, reason: str) -> dict[str, Any]:
    return {"_index": index, "_id": document_id, "status": status, "error": {"type": kind, "reason": reason}}


def _too_large(limit: int) -> _RefusedError:
    return _RefusedError(413, "content_too_long_exception", f"the request is larger than {limit} bytes; send less")


def _error(status: int, kind: str, reason: str) -> Response:
    error = {"type": kind, "reason": reason}
    headers = {"retry-after": str(RETRY_AFTER_SECONDS)} if status == 503 else None
    return _json(status, {"error": {"root_cause": [error], **error}, "status": status}, headers)


def _json(status: int, content: object, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(content), status, headers, media_type="application/json")
