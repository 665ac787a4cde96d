"""A log line's level, in the names of Python's logging."""

from __future__ import annotations

import re
from collections import defaultdict
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
    "emergency": "critical",
    "panic": "critical",
}
_SHORT = {
    "trce": "trace",
    "vrb": "trace",
    "dbg": "debug",
    "dbug": "debug",
    "inf": "info",
    "note": "info",
    "wrn": "warning",
    "eror": "error",
    "fail": "error",
    "ftl": "critical",
}
"""Short forms, of .NET, Serilog, log15 and MySQL: believed between brackets, after `level=` and before a colon."""

_ONLY_VALUES = {
    **dict.fromkeys(("t", "finer", "finest"), "trace"),
    **dict.fromkeys(("d", "verbose", "fine"), "debug"),
    **dict.fromkeys(("i", "config", "default", "log"), "info"),
    "n": "notice",
    "w": "warning",
    "e": "error",
    **dict.fromkeys(("f", "dpanic"), "critical"),
}
"""Names that are believed where a field is known to be the level."""

_ALL = _NAMES | _SHORT
_VALUES = _ONLY_VALUES | _ALL
_LETTERS = {"D": "debug", "I": "info", "W": "warning", "E": "error", "F": "critical"}
_LOGRUS = {word[:4]: _NAMES[word] for word in ("trace", "debug", "info", "warning", "error", "fatal", "panic")}


def _any_of(words: list[str] | dict[str, str]) -> str:
    return "|".join(sorted(words, key=len, reverse=True))


def _capitals() -> str:
    """Capital words by their first letter, which is already read: `(?<=\\bI)(?:NFORMATION|NFO)`, and so on."""
    rests: dict[str, list[str]] = defaultdict(list)
    for word in map(str.upper, _NAMES):
        rests[word[0]].append(word[1:])
    return "|".join(rf"(?<=\b{first})(?:{_any_of(rest)})" for first, rest in rests.items())


_AT_START = re.compile(
    rf"(?P<start>(?i:{_any_of(_ALL)}))(?=:)"
    r"|(?P<sentence>(?i:debug|info|warning|warn|error|critical|fatal|severe))(?=\s)"
    r"|(?P<letter>[DIWEF])(?:\d{4}){1,2} {1,2}\d\d:\d\d:\d\d"
    rf"|(?P<logrus>(?i:{_any_of(_LOGRUS)}))\[\d+\]"
)
_IN_TEXT = re.compile(
    # One set of characters first, so that all others are passed over fast.
    r"[ACDEFINPSTW\[=\t:](?:"
    rf"(?:{_capitals()})\b"
    rf"|(?<=\[)(?:[\w.]{{1,40}}:|\d\d:\d\d:\d\d )?(?P<bracket>(?i:{_any_of(_ALL)}))\d?\]"
    rf"|(?:(?<=level=)|(?<=lvl=)|(?<=severity=))\"?(?P<pair>(?i:{_any_of(_ALL)}))\b"
    rf"|(?<=\t)(?P<tab>{_any_of(_NAMES)})\t"
    r"|(?<=:) (?P<letter>[DIWEF]) \S+:\d+\]"
    r")"
)
_ACCESS = re.compile(r'\[\d\d?/[A-Z][a-z]{2}/\d{4}:[\d:]{8} [+-]\d{4}\] "(?:[^"\\]|\\.)*+" (\d{3})\b', re.DOTALL)
_POSTGRES = re.compile(r"\b(?:LOG|STATEMENT|HINT|DETAIL|CONTEXT): {2}")
_SYSLOG_PRIORITY = re.compile(r"<(\d{1,3})>")
_SYSLOG = ("critical", "critical", "critical", "error", "warning", "notice", "info", "debug")
_PINO = {10: "trace", 20: "debug", 30: "info", 40: "warning", 50: "error", 60: "critical"}
_LOOKED_AT = 160
"""Characters from the start in which a level stands; further on the word is the message's."""


def level_of_text(line: str) -> str | None:
    """The level that a line names, None when it names none.

    A line of a web server's access log names none; one whose status is 500 or more tells of an error.
    """
    if line.startswith("<") and (priority := _SYSLOG_PRIORITY.match(line)):
        return level_of_syslog(int(priority[1]))
    if match := _AT_START.match(line):
        kind, word = str(match.lastgroup), match[0]
        if kind == "letter":
            return _LETTERS[match["letter"]]
        return _LOGRUS[match["logrus"].lower()] if kind == "logrus" else _ALL[word.lower()]
    head = line[:_LOOKED_AT]
    if '] "' in head and (access := _ACCESS.search(line)):
        return "error" if access[1][0] == "5" else None
    if match := _IN_TEXT.search(head):
        if match.lastgroup is None:
            return _NAMES[match[0].lower()]
        return _LETTERS[match["letter"]] if match["letter"] else _ALL[match[match.lastgroup].lower()]
    return "info" if ":  " in head and _POSTGRES.search(head) else None


def begins_with_level(line: str) -> bool:
    """Whether a line's first word is a level in capitals, as it is at the start of an entry."""
    match = _AT_START.match(line)
    return match is not None and match[0].isupper()


def level_of_value(value: Any) -> str | None:
    """The level that a JSON log's field gives: a name, a letter, or a number as pino and bunyan have them."""
    if isinstance(value, str):
        name = value.strip().lower()
        if name.isdecimal() and name.isascii():
            return _PINO.get(int(name[:4]), name[:32])
        return _VALUES.get(name, name[:32] or None)
    return _PINO.get(value) if type(value) is int else None


def level_of_syslog(priority: int) -> str:
    """The level of a syslog priority or severity."""
    return _SYSLOG[priority % 8]
