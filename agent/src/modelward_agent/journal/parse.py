"""From a journal's bytes to records: every line becomes a `Record`, or a `Malformed` that says why not.

Nothing here raises on any bytes. One line costs about 3 µs, nearly all of it the JSON decoder's.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple

import orjson

from modelward_agent.values import FLOAT_WORDS

MAX_LINE = 1 << 20
"""Longest line, in bytes, without its newline."""

MAX_NAME = 200
"""Longest model, version, and segment name or value, in characters."""

MAX_ID = 512
"""Longest prediction id, in characters."""

OLDEST = datetime(1990, 1, 1, tzinfo=UTC).timestamp()
FUTURE_SECONDS = 86_400.0
"""A timestamp may be this far ahead of the reader's clock; beyond it the writer's clock is wrong."""

_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)", re.ASCII)
_SECONDS_CACHED = 4096


class Kind(StrEnum):
    """What a journal line is about."""

    PREDICTION = "prediction"
    ACTUAL = "actual"
    ERROR = "error"
    LOG = "log"
    STAGE = "stage"
    BUSINESS = "business"


class Record(NamedTuple):
    """A valid journal line: `at` is its `@timestamp` in Unix seconds, `document` the object as it was written."""

    kind: Kind
    at: float
    document: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Malformed:
    """A line that is no record.

    `reason` is short and stable, fit for a metric's label: `not_json`, `not_utf8`, `too_long`, `not_an_object`,
    `unknown_kind`, `bad_timestamp`, `missing_field:<name>`, `wrong_type:<name>`, `too_long:<name>`. `detail` is for
    the person who mends the writer.
    """

    reason: str
    detail: str = ""


class _RefusedError(Exception):
    def __init__(self, reason: str, detail: str = "") -> None:
        self.malformed = Malformed(reason, detail)


class _Clock:
    """Reads timestamps; the whole seconds seen lately are remembered, since lines of one second come together."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def epoch(self, text: Any) -> float:
        """Unix time of an RFC 3339 timestamp; raises `_RefusedError`."""
        if type(text) is not str:
            raise _RefusedError(
                "missing_field:@timestamp" if text is None else "bad_timestamp", f"@timestamp is {_shown(text)}"
            )
        # A Recorder's timestamp, in a second seen before; the general way costs five times as much.
        if len(text) == 27 and text[26] == "Z" and text[19] == ".":
            whole = self.seconds.get(text[:19])
            fraction = text[20:26]
            if whole is not None and fraction.isdecimal() and fraction.isascii():
                return whole + int(fraction) * 1e-6
        if not _TIMESTAMP.fullmatch(text):
            detail = (
                f"@timestamp {text[:80]!r} is not RFC 3339 with a zone; write for example 2026-07-01T12:34:56.123456Z"
            )
            raise _RefusedError("bad_timestamp", detail)
        try:
            whole = datetime.fromisoformat(text[:19] + "+00:00").timestamp()
            at = datetime.fromisoformat(text).timestamp()
        except (ValueError, OverflowError) as error:
            raise _RefusedError("bad_timestamp", f"@timestamp {text!r}: {error}") from error
        if len(self.seconds) >= _SECONDS_CACHED:
            self.seconds.clear()
        self.seconds[text[:19]] = whole
        return at


_clock = _Clock()


def parse_line(line: bytes, *, now: float | None = None) -> Record | Malformed:
    """One line, with or without its newline. `now` is the reader's clock in Unix seconds, the wall's by default."""
    return parse_lines([line], now=now)[0]


def parse_lines(lines: Iterable[bytes], *, now: float | None = None) -> list[Record | Malformed]:
    """All lines, in their order; the answer is as long as the question."""
    latest = (time.time() if now is None else now) + FUTURE_SECONDS
    parsed: list[Record | Malformed] = []
    append, loads, epoch = parsed.append, orjson.loads, _clock.epoch
    kinds, validators = _KINDS, _VALIDATORS
    new = tuple.__new__
    for line in lines:
        try:
            if len(line) > MAX_LINE and len(line.rstrip(b"\r\n")) > MAX_LINE:
                raise _RefusedError("too_long", f"{len(line)} bytes; a line has at most {MAX_LINE}")
            document = loads(line)
            if type(document) is not dict:
                raise _RefusedError("not_an_object", f"the line is a JSON {type(document).__name__}")
            word = document.get("kind")
            kind = kinds.get(word) if type(word) is str else None
            if kind is None:
                raise _unknown_kind(document)
            at = epoch(document.get("@timestamp"))
            if not OLDEST <= at <= latest:
                raise _out_of_range(document["@timestamp"], at)
            validators[kind](document)
        except orjson.JSONDecodeError as error:
            append(_undecodable(line, error))
        except _RefusedError as refused:
            append(refused.malformed)
        else:
            append(new(Record, (kind, at, document)))
    return parsed


def _shown(value: Any) -> str:
    """A value as a message shows it; a deep object is not walked."""
    if type(value) is dict or type(value) is list:
        return "an object" if type(value) is dict else "a list"
    return f"{value!r:.80}"


def _unknown_kind(document: dict[str, Any]) -> _RefusedError:
    if "kind" not in document:
        return _RefusedError("missing_field:kind", f"a line has a kind, one of {', '.join(Kind)}")
    return _RefusedError("unknown_kind", f"kind {_shown(document['kind'])} is none of {', '.join(Kind)}")


def _out_of_range(text: str, at: float) -> _RefusedError:
    if at < OLDEST:
        return _RefusedError("bad_timestamp", f"@timestamp {text} is before 1990; is the writer's clock set?")
    return _RefusedError("bad_timestamp", f"@timestamp {text} is more than a day ahead of this host's clock")


def _undecodable(line: bytes, error: orjson.JSONDecodeError) -> Malformed:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError as undecodable:
        return Malformed("not_utf8", f"byte {undecodable.start}: {undecodable.reason}")
    detail = str(error)
    if b"NaN" in line or b"Infinity" in line:
        detail += '; JSON has no NaN or Infinity: write the strings "NaN", "Infinity", "-Infinity"'
    return Malformed("not_json", detail)


def _is_number(value: Any) -> bool:
    return type(value) is float or type(value) is int


def _is_count(value: Any) -> bool:
    return _is_number(value) and value >= 0


def _wrong_type(document: dict[str, Any], name: str, wanted: str) -> _RefusedError:
    if document.get(name) is None:
        return _RefusedError(f"missing_field:{name}", f"{name} is missing; it is {wanted}")
    return _RefusedError(f"wrong_type:{name}", f"{name} is {_shown(document[name])}; it is {wanted}")


def _check_text(document: dict[str, Any], name: str, *, required: bool, longest: int) -> None:
    value = document.get(name)
    if type(value) is str:
        if len(value) > longest:
            raise _RefusedError(f"too_long:{name}", f"{name} has {len(value)} characters; it has at most {longest}")
        if value or not required:
            return
        raise _RefusedError(f"missing_field:{name}", f"{name} is empty")
    if value is not None or required:
        raise _wrong_type(document, name, "a string")


def _check_number(document: dict[str, Any], name: str) -> None:
    value = document.get(name)
    if value is not None and not _is_number(value):
        raise _wrong_type(document, name, "a number")


def _check_count(document: dict[str, Any], name: str) -> None:
    value = document.get(name)
    if value is not None and not _is_count(value):
        raise _wrong_type(document, name, "a number, 0 or more")


def _check_model(document: dict[str, Any]) -> None:
    _check_text(document, "model", required=True, longest=MAX_NAME)
    _check_text(document, "version", required=False, longest=MAX_NAME)
    if document.get("segment") is not None:
        _check_segment(document)


def _check_segment(document: dict[str, Any]) -> None:
    segment = document["segment"]
    if type(segment) is not dict:
        raise _wrong_type(document, "segment", "an object of strings")
    for name, value in segment.items():
        if type(value) is not str:
            raise _RefusedError("wrong_type:segment", f"segment.{name:.80} is {_shown(value)}; it is a string")
        if len(name) > MAX_NAME or len(value) > MAX_NAME:
            raise _RefusedError("too_long:segment", f"segment.{name:.80} is longer than {MAX_NAME} characters")


def _check_class_probabilities(probabilities: dict[str, Any]) -> None:
    for name, value in probabilities.items():
        if not (_is_number(value) or (type(value) is str and value in FLOAT_WORDS)):
            raise _RefusedError("wrong_type:prediction", f"prediction.{name:.80} is {_shown(value)}; it is a number")
    if not probabilities:
        raise _RefusedError("wrong_type:prediction", "prediction is an object without any class")


def _check_prediction(document: dict[str, Any]) -> None:
    get = document.get
    model, version, ident = get("model"), get("version", ""), get("id", "")
    # The usual line passes on these comparisons alone; anything else is looked at name by name.
    if not (
        type(model) is type(version) is type(ident) is str
        and 0 < len(model) <= MAX_NAME
        and len(version) <= MAX_NAME
        and len(ident) <= MAX_ID
    ):
        _check_model(document)
        _check_text(document, "id", required=False, longest=MAX_ID)
    elif "segment" in document and document["segment"] is not None:
        _check_segment(document)
    if type(get("features")) is not dict:
        raise _wrong_type(document, "features", "an object")
    prediction = get("prediction")
    if type(prediction) is dict:
        _check_class_probabilities(prediction)
    elif type(prediction) is list:
        raise _wrong_type(document, "prediction", "a number, a string, or {class: probability}")
    latency = get("latency_ms", 0.0)
    if latency is not None and not ((type(latency) is float or type(latency) is int) and latency >= 0):
        raise _wrong_type(document, "latency_ms", "a number of milliseconds, 0 or more")


def _check_actual(document: dict[str, Any]) -> None:
    _check_model(document)
    _check_text(document, "id", required=True, longest=MAX_ID)
    actual = document.get("actual")
    if actual is None or type(actual) is dict or type(actual) is list:
        raise _wrong_type(document, "actual", "a number or a string")


def _check_log(document: dict[str, Any]) -> None:
    _check_text(document, "message", required=False, longest=MAX_LINE)


def _check_stage(document: dict[str, Any]) -> None:
    for name in ("pipeline", "stage", "status"):
        _check_text(document, name, required=True, longest=MAX_NAME)
    _check_text(document, "run", required=False, longest=MAX_ID)
    _check_count(document, "duration_ms")
    _check_count(document, "rows")


def _check_business(document: dict[str, Any]) -> None:
    _check_text(document, "event", required=True, longest=MAX_NAME)
    _check_number(document, "value")
    _check_text(document, "currency", required=False, longest=MAX_NAME)
    _check_text(document, "source", required=False, longest=MAX_NAME)


_KINDS: dict[Any, Kind] = {str(kind): kind for kind in Kind}
_VALIDATORS: dict[Kind, Callable[[dict[str, Any]], None]] = {
    Kind.PREDICTION: _check_prediction,
    Kind.ACTUAL: _check_actual,
    Kind.ERROR: _check_model,
    Kind.LOG: _check_log,
    Kind.STAGE: _check_stage,
    Kind.BUSINESS: _check_business,
}
