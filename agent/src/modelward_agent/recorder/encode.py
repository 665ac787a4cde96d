"""A journal line as JSON, from whatever values an application has."""

from __future__ import annotations

from math import isfinite
from typing import Any

import orjson

from modelward_agent.recorder.value import fallback, plain
from modelward_agent.values import number_or_word

MAX_LINE_BYTES = 1 << 20
"""No line is longer, its end included."""

# orjson would write moments and numpy's values its own way, text and single precision: they come to `fallback`.
_OPTIONS = orjson.OPT_APPEND_NEWLINE | orjson.OPT_PASSTHROUGH_DATETIME


class LineTooLongError(ValueError):
    """A line of more than `MAX_LINE_BYTES`."""


def encode(line: dict[str, Any]) -> bytes:
    """The line as UTF-8 JSON with one newline, at its end. Raises LineTooLongError, or TypeError when nothing helps."""
    try:
        encoded = orjson.dumps(line, fallback, _OPTIONS)
        # A null may be a float that JSON does not know. rfind is twice as fast as `in` here.
        if encoded.rfind(b"null") >= 0:
            encoded = _without_false_nulls(line, encoded)
    except TypeError:
        encoded = orjson.dumps(plain(line), fallback, _OPTIONS)
    if len(encoded) > MAX_LINE_BYTES:
        raise LineTooLongError(
            f"a line may have {MAX_LINE_BYTES:,} bytes and this one has {len(encoded):,}; record less in one line"
        )
    return encoded


def _without_false_nulls(line: dict[str, Any], encoded: bytes) -> bytes:
    """Encoded again with every float named that JSON does not know; as it is when each null is a None."""
    nones = _nones(line)
    if encoded.count(b"null") == nones:
        return encoded
    features = line.get("features")
    if type(features) is dict:
        named = {
            name: number_or_word(value) if isinstance(value, float) and not isfinite(value) else value
            for name, value in features.items()
        }
        encoded = orjson.dumps({**line, "features": named}, fallback, _OPTIONS)
        if encoded.count(b"null") == nones:
            return encoded
    return orjson.dumps(plain(line), fallback, _OPTIONS)


def _nones(line: dict[str, Any]) -> int:
    features = line.get("features")
    values = [*line.values(), *features.values()] if type(features) is dict else list(line.values())
    return sum([value is None for value in values])
