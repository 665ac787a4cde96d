"""The JSON of a body that passes by: bounded, decompressed, and read as Python's own json module reads it."""

from __future__ import annotations

import json
import zlib
from typing import Any

import orjson

_DEFLATED = {"gzip": (47,), "x-gzip": (47,), "deflate": (47, -15)}
"""By its name, zlib's words for an encoding: 47 is gzip or zlib by its head, -15 has none, as some servers send it."""

_MOST_DIGITS = 4300
"""Python makes no int of more; as a float it is infinite."""


class Body:
    """The chunks of a body as they pass; at most `max_bytes` are kept, and at most as many come of decompressing them.

    `encoding` is the body's Content-Encoding.
    """

    def __init__(self, max_bytes: int, encoding: str = "") -> None:
        self._chunks: list[bytes] = []
        self._bytes = 0
        self._max_bytes = max_bytes
        self.encoding = encoding

    def add(self, chunk: bytes) -> None:
        """Keep a chunk, as long as there is room for all of them."""
        self._bytes += len(chunk)
        if self._bytes <= self._max_bytes:
            self._chunks.append(chunk)
        else:
            self._chunks.clear()

    def json(self) -> Any:
        """What the body says, None when it is empty. Raises ValueError when that cannot be known."""
        if not self._bytes:
            return None
        if self._bytes > self._max_bytes:
            raise ValueError(f"a body of {self._bytes:,} bytes is longer than max_body_bytes, {self._max_bytes:,}")
        return json_of(self._decoded(b"".join(self._chunks)))

    def _decoded(self, content: bytes) -> bytes:
        encoding = self.encoding.strip().lower()
        if encoding in ("", "identity"):
            return content
        if encoding not in _DEFLATED:
            raise ValueError(f"the body is encoded ({encoding}): add this middleware inside the encoding one")
        for words in _DEFLATED[encoding]:
            try:
                decoded = zlib.decompressobj(words).decompress(content, self._max_bytes + 1)
            except zlib.error:
                continue
            if len(decoded) > self._max_bytes:
                raise ValueError(f"a body is decompressed longer than max_body_bytes, {self._max_bytes:,}")
            return decoded
        return content  # a middleware on the way has decoded it and left the header


def json_of(content: bytes) -> Any:
    """JSON, or what Python's json module takes for it: NaN and infinities, lone surrogates, a BOM, UTF-16 and UTF-32.

    Raises ValueError, and RecursionError for what is nested too deep.
    """
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return json.loads(content, parse_int=_whole)


def _whole(text: str) -> int | float:
    return int(text) if len(text) <= _MOST_DIGITS else float(text)
