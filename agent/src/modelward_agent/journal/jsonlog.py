"""A JSON log line's fields in ECS names, whatever the library that wrote it called them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo
from typing import Any

import orjson

from modelward_agent.journal.loglevel import level_of_value
from modelward_agent.journal.logtime import time_of_value

_TIMES = ("@timestamp", "timestamp", "asctime", "time", "ts", "datetime", "created")
_LEVELS = ("log.level", "level", "levelname", "severity", "lvl", "loglevel", "log_level", "level_name")
_MESSAGES = ("message", "msg", "event", "text", "log")
_LOGGERS = ("log.logger", "logger", "logger_name", "loggerName", "name")
_TRACES = ("error.stack_trace", "exc_info", "exc_text", "exception", "stack_trace", "stackTrace", "stack", "traceback")
_NESTED = ("log", "error")
_OWN = ("kind", "model", "version", "id")
"""Names that the journal gives a meaning: another log's fields of that name are kept as `<name>_text`."""


def ecs_of_json(
    document: dict[str, Any], now: float, zone: tzinfo | None = None
) -> tuple[float | None, dict[str, Any]]:
    """The line's time, None when it has none, and its fields: the known ones by their ECS names, the others kept."""
    left = dict(document)
    for name in _NESTED:
        if isinstance(left.get(name), dict):
            left |= {f"{name}.{inner}": value for inner, value in left.pop(name).items()}
    at = next((at for name in _TIMES if (at := time_of_value(left.get(name), now, zone)) is not None), None)
    named: dict[str, Any] = {}
    if (level := _take(left, _LEVELS, level_of_value)) is not None:
        named["log.level"] = level
    if (message := _take(left, _MESSAGES, _text)) is not None:
        named["message"] = message.rstrip("\n")
    if (logger := _take(left, _LOGGERS, _text)) is not None:
        named["log.logger"] = logger
    if (trace := _take(left, _TRACES, _trace)) is not None:
        named["error.stack_trace"] = trace
    if isinstance(left.get("error"), str):
        named["error.message"] = left.pop("error")
    for name in _OWN:
        if name in left and (name == "kind" or not isinstance(left[name], str)):
            value = left.pop(name)
            left[f"{name}_text"] = value if isinstance(value, str) else orjson.dumps(value).decode()
    left.pop("@timestamp", None)
    return at, {**left, **named}


def _take(left: dict[str, Any], names: Sequence[str], read: Any) -> Any:
    """What the first of these fields that can be read says; that field is taken away."""
    for name in names:
        if name in left and (value := read(left[name])) is not None:
            del left[name]
            return value
    return None


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
