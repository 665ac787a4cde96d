"""What a document must look like to be stored: the same rule for every store, as the index mappings have it.

Only what would make a document useless is refused: no readable moment, a text where an object belongs, a profile that
cannot be found again. Values of an unexpected kind are kept; readers leave them out.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from modelward_agent.values import FLOAT_WORDS
from modelward_collector.store.protocol import Alias, Document

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2262, 1, 1, tzinfo=UTC)
"""Elasticsearch keeps moments in nanoseconds, which end in 2262."""

MAX_ID_BYTES: Final = 512
MAX_WINDOW_SECONDS: Final = 366 * 86_400
MAX_ROWS: Final = 2**53
MICROSECOND: Final = timedelta(microseconds=1)

_OBJECTS: Final = (
    "host",
    "agent",
    "features",
    "segment",
    "prediction",
    "actual",
    "log",
    "error",
    "business",
    "stage",
    "window",
)
_KEYWORDS: Final = ("kind", "model", "version")


class ShapeError(ValueError):
    """The document can never be stored; the message names the field."""


def check(document: Document) -> datetime:
    """The document's moment; ShapeError when it can never be stored."""
    if not 0 < len(_utf8(document.id)) <= MAX_ID_BYTES:
        raise ShapeError(f"an id must have from 1 to {MAX_ID_BYTES} bytes")
    source = document.source
    for name in _OBJECTS:
        value = source.get(name)
        if value is not None and not isinstance(value, Mapping):
            raise ShapeError(f"field [{name}] must be an object, not {value!r:.60}")
    for name in _KEYWORDS:
        if isinstance(source.get(name), (Mapping, list)):
            raise ShapeError(f"field [{name}] must be text, not {source[name]!r:.60}")
    at = moment(source.get("@timestamp"))
    if document.alias is Alias.PROFILES:
        _check_profile(source)
    return at


def moment(value: object, name: str = "@timestamp") -> datetime:
    """An RFC 3339 text as an aware UTC moment, UTC when it names no zone; else ShapeError with the field's name."""
    try:
        if not isinstance(value, str) or value[4:5] != "-":
            raise ValueError
        parsed = datetime.fromisoformat(value)
        at = parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ShapeError(f"field [{name}] is {value!r:.60}; write for example 2026-03-01T12:00:00.000000Z") from None
    if not EPOCH <= at < LATEST:
        raise ShapeError(f"field [{name}] is {value!r:.60}, which is not from 1970 to 2261")
    return at


def microseconds(at: datetime) -> int:
    """Since 1970, exactly."""
    return (at - EPOCH) // MICROSECOND


def from_microseconds(count: int) -> datetime:
    """The inverse of `microseconds`."""
    return EPOCH + count * MICROSECOND


def rfc3339(at: datetime) -> str:
    """The moment in UTC with microseconds, as documents have it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def text(value: object) -> str:
    """A keyword's text: itself, or as JSON writes it; "" for none."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return ("false", "true")[value] if isinstance(value, bool) else str(value)


def number(value: object) -> float | None:
    """A JSON number, or one of the strings that stand for what JSON has not; None for everything else."""
    if isinstance(value, str):
        return FLOAT_WORDS.get(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    return None


def answer(field: object) -> tuple[float | None, str | None]:
    """The value and the label of a `prediction` or an `actual`; None for what it has not.

    Elasticsearch indexes no number that is not finite, so agents ship those under their names, as labels.
    """
    if not isinstance(field, Mapping):
        return None, None
    value, label = number(field.get("value")), field.get("label")
    if value is None and isinstance(label, str) and label in FLOAT_WORDS and not field.get("probabilities"):
        return FLOAT_WORDS[label], None
    return value, None if label is None else text(label)


def probabilities(field: object) -> dict[str, float] | None:
    """The probabilities of a `prediction`, by class; None when it has none."""
    found = field.get("probabilities") if isinstance(field, Mapping) else None
    if not isinstance(found, Mapping) or not found:
        return None
    return {name: math.nan if (p := number(value)) is None else p for name, value in found.items()}


def segment(source: Mapping[str, Any]) -> dict[str, str]:
    """The document's segment, its names sorted."""
    found = source.get("segment") or {}
    return {name: text(found[name]) for name in sorted(found)}


def payload(source: Mapping[str, Any]) -> bytes:
    """A profile document's bytes; ShapeError when they are not base64."""
    try:
        return base64.b64decode(source["profile"], validate=True)
    except (KeyError, TypeError, ValueError, binascii.Error):
        raise ShapeError("field [profile] is not base64") from None


def _utf8(content: str) -> bytes:
    try:
        return content.encode("utf-8")
    except UnicodeEncodeError:
        raise ShapeError("the id is not valid Unicode") from None


def _whole(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _check_profile(source: Mapping[str, Any]) -> None:
    if not isinstance((source.get("host") or {}).get("name"), str):
        raise ShapeError("field [host.name] must be the name of the host that made the profile")
    for name in ("model", "version"):
        if not isinstance(source.get(name), str):
            raise ShapeError(f"field [{name}] must be text, not {source.get(name)!r:.60}")
    seconds, rows = (source.get("window") or {}).get("seconds"), source.get("rows")
    if not _whole(seconds, 1, MAX_WINDOW_SECONDS):
        raise ShapeError(f"field [window.seconds] must be a whole number from 1 to {MAX_WINDOW_SECONDS}")
    if not _whole(rows, 0, MAX_ROWS):
        raise ShapeError(f"field [rows] must be a whole number from 0 to {MAX_ROWS}, not {rows!r:.60}")
    if source.get("until") is not None:
        moment(source["until"], "until")
    covers = source.get("covers") or []
    if not isinstance(covers, list) or not all(isinstance(item, str) for item in covers):
        raise ShapeError("field [covers] must be a list of ids")
