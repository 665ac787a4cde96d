"""A log line's level, in the names of Python's logging."""

from __future__ import annotations

import re
from typing import Any

_NAMES = {
    "trace": "trace",
    "debug": "debug",
    "info": "info",
    "information": "info",
    "notice": "notice",
    "warn": "warning",
    "warning": "warning",
    "err": "error",
    "error": "error",
    "severe": "error",
    "crit": "critical",
    "critical": "critical",
    "fatal": "critical",
    "alert": "critical",
    "emerg": "critical",
    "panic": "critical",
}
_WORDS = "|".join(sorted(_NAMES, key=len, reverse=True))
_IN_TEXT = re.compile(
    rf"\blevel=\"?(?P<pair>{_WORDS})\b"
    rf"|\[(?P<bracket>{_WORDS})\]"
    rf"|^(?P<start>{_WORDS}):"
    rf"|\b(?P<upper>{_WORDS.upper()})\b",
)
_ANY_CASE = re.compile(rf"\[(?P<bracket>{_WORDS})\]|^(?P<start>{_WORDS})(?=[:\s])", re.IGNORECASE)
_SYSLOG_PRIORITY = re.compile(r"<(\d{1,3})>")
_SYSLOG = ("critical", "critical", "critical", "error", "warning", "notice", "info", "debug")
_PINO = {10: "trace", 20: "debug", 30: "info", 40: "warning", 50: "error", 60: "critical"}
_LOOKED_AT = 160
"""Characters from the start in which a level stands; further on the word is the message's."""


def level_of_text(line: str) -> str | None:
    """The level that a line names, None when it names none."""
    if priority := _SYSLOG_PRIORITY.match(line):
        return _SYSLOG[int(priority[1]) % 8]
    head = line[:_LOOKED_AT]
    match = _IN_TEXT.search(head) or _ANY_CASE.search(head)
    return _NAMES[next(word for word in match.groups() if word).lower()] if match else None


def level_of_value(value: Any) -> str | None:
    """The level that a JSON log's field gives: a name, or a number as pino and bunyan have them."""
    if isinstance(value, str):
        return _NAMES.get(value.strip().lower(), value.strip().lower()[:32] or None)
    return _PINO.get(value) if type(value) is int else None
