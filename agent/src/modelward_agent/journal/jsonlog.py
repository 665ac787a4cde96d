"""A JSON log line's fields in ECS names, whatever the library that wrote it called them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import tzinfo
from typing import Any

import orjson

from modelward_agent.journal.encoding import UTF8_BOM
from modelward_agent.journal.loglevel import level_of_syslog, level_of_value
from modelward_agent.journal.logtime import time_of_value
from modelward_agent.journal.parse import MAX_LINE, OLDEST
from modelward_agent.values import number_or_word

_TIMES: tuple[str, ...] = (
    "@timestamp",
    "timestamp",
    "asctime",
    "time",
    "ts",
    "datetime",
    "created",
    "@t",
    "t",
    "instant",
)
_TIMES += ("timemillis", "timeunixnano", "time_iso8601", "time_local", "__realtime_timestamp")
_LEVELS: tuple[str, ...] = (
    "log.level",
    "level",
    "levelname",
    "severity",
    "lvl",
    "loglevel",
    "log_level",
    "level_name",
    "@l",
)
_LEVELS += ("severitytext", "severity_text", "error_severity")
_MESSAGES = ("message", "msg", "event", "text", "log", "short_message", "@m", "@mt", "body", "renderedmessage")
_LOGGERS = ("log.logger", "logger", "logger_name", "loggername", "name", "sourcecontext")
_TRACES: tuple[str, ...] = (
    "error.stack_trace",
    "exc_info",
    "exc_text",
    "exception",
    "stack_trace",
    "stacktrace",
    "stack",
    "traceback",
)
_TRACES += ("err.stack", "error.stack", "@x", "thrown", "throwable")
_ERRORS = {"error.type": ("error.type", "err.type", "error.name"), "error.message": ("error.message", "err.message")}
_MONGODB = ("F", "E", "W", "I", "D")
_NESTED = ("log", "error", "err")
_OWN = ("kind", "model", "version", "id")
"""Names that the journal gives a meaning: another log's fields of that name are kept as `<name>_text`."""
_TYPED = ("message", "log.level", "log.logger", "error.type", "error.message", "error.stack_trace")
"""Names that stand for texts: anything else would have the whole entry refused."""

_LONGEST_INTEGER = 18
"""Digits of an integer that is certainly one of 64 bits."""

_MESSAGE_CHARACTERS = 1024
"""How much of a line without a message of its own is its message."""


def json_object(line: bytes) -> dict[str, Any] | None:
    """The JSON object that a line is, None when it is none.

    What other writers take for JSON is read as well: NaN and Infinity become the strings of that name, single
    surrogates and bytes that are not UTF-8 become U+FFFD, and control characters in strings stay.
    """
    line = line.strip(b" \t\r\n\x00").removeprefix(UTF8_BOM)
    if not (line.startswith(b"{") and line.endswith(b"}")):
        return None
    try:
        document = orjson.loads(line)
    except orjson.JSONDecodeError:
        document = _lenient(line) if len(line) <= MAX_LINE else None
    return document if isinstance(document, dict) else None


def _lenient(line: bytes) -> Any:
    try:
        read = json.loads(
            line.decode("utf-8", "replace"),
            strict=False,
            parse_constant=str,
            parse_float=_finite,
            parse_int=lambda digits: int(digits) if len(digits) <= _LONGEST_INTEGER else _finite(digits),
        )
        # As text once more, where a single surrogate can be replaced wherever it stands.
        text = json.dumps(read, ensure_ascii=False)
        return orjson.loads(text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"))
    except (ValueError, RecursionError):
        return None


def _finite(digits: str) -> float | str:
    return number_or_word(float(digits))


def ecs_of_json(
    document: dict[str, Any], now: float, zone: tzinfo | None = None
) -> tuple[float | None, dict[str, Any]]:
    """The line's time, None when it has none, and its fields: the known ones by their ECS names, the others kept."""
    left = dict(document)
    for name in _NESTED:
        if isinstance(left.get(name), dict):
            left |= {f"{name}.{inner}": value for inner, value in left.pop(name).items()}
    spelled = {name.lower(): name for name in reversed(left)}
    at = _time(left, spelled, now, zone)
    named: dict[str, Any] = {}
    if (level := _level(left, spelled)) is not None:
        named["log.level"] = level
    if (message := _take(left, spelled, _MESSAGES, _text)) is not None:
        named["message"] = message.rstrip("\n")
    if (logger := _take(left, spelled, _LOGGERS, _text)) is not None:
        named["log.logger"] = logger
    if (trace := _take(left, spelled, _TRACES, _trace)) is not None:
        named["error.stack_trace"] = trace
    for name, names in _ERRORS.items():
        if (text := _take(left, spelled, names, _text)) is not None:
            named[name] = text
    if isinstance(left.get("error"), str):
        named.setdefault("error.message", left.pop("error"))
    for name in _OWN:
        if name in left and (name == "kind" or not isinstance(left[name], str)):
            _keep_as_text(left, name)
    for name in _TYPED:
        if name in left:
            _keep_as_text(left, name)
    left.pop("@timestamp", None)
    if "message" not in named and "error.stack_trace" not in named:
        named["message"] = named.get("error.message") or orjson.dumps(document)[:_MESSAGE_CHARACTERS].decode(
            "utf-8", "ignore"
        )
    return at, {**left, **named}


def _time(left: dict[str, Any], spelled: dict[str, str], now: float, zone: tzinfo | None) -> float | None:
    """The first time that may be when the line was written: `time` may be a duration, `date` a day long ago."""
    for name in _TIMES:
        if name in spelled and (at := time_of_value(left[spelled[name]], now, zone)) is not None and at >= OLDEST:
            return at
    return None


def _level(left: dict[str, Any], spelled: dict[str, str]) -> str | None:
    if "short_message" in left and type(left.get("level")) is int:
        return level_of_syslog(left.pop("level"))  # GELF
    if (level := _take(left, spelled, _LEVELS, level_of_value)) is not None:
        return level
    mongodb = left.get("s")
    return level_of_value(left.pop("s")) if isinstance(mongodb, str) and mongodb in _MONGODB else None


def _take(
    left: dict[str, Any], spelled: dict[str, str], names: Sequence[str], read: Callable[[Any], str | None]
) -> str | None:
    """What the first of these fields that can be read says; that field is taken away."""
    for name in names:
        if name in spelled and spelled[name] in left and (value := read(left[spelled[name]])) is not None:
            del left[spelled[name]]
            return value
    return None


def _keep_as_text(left: dict[str, Any], name: str) -> None:
    value = left.pop(name)
    left[f"{name}_text"] = value if isinstance(value, str) else orjson.dumps(value).decode()


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _trace(value: Any) -> str | None:
    """A stack trace: a text, or a list of its lines; a structured one as its JSON."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, list) and value and all(isinstance(line, str) for line in value):
        return "\n".join(line.rstrip("\n") for line in value)
    if isinstance(value, dict | list) and value:
        return orjson.dumps(value).decode()
    return None
