"""From any log file to records of kind `log` in ECS names: plain text or JSON lines, with stack traces kept whole.

A `LogParser` groups lines into entries and is pure: lines with their offsets go in, entries with the offset of their
first line come out. A `LogSource` is the same for a stretch of a followed file.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from itertools import accumulate
from typing import Any

import orjson

from modelward_agent.journal.jsonlog import ecs_of_json
from modelward_agent.journal.loglevel import level_of_text
from modelward_agent.journal.logtime import time_of_text
from modelward_agent.journal.parse import FUTURE_SECONDS, MAX_LINE, OLDEST, Kind, Malformed, Record
from modelward_agent.journal.source import Entries

MAX_GROUP_LINES = 500
MAX_GROUP_BYTES = 256 * 1024
"""An entry of more lines or bytes is cut; what follows is an entry of its own."""

_TRACEBACK = "Traceback (most recent call last):"
_CHAINED = re.compile(
    r"During handling of the above exception, another exception occurred:"
    r"|The above exception was the direct cause of the following exception:"
    r"|Caused by: |\.\.\. \d+ more|Suppressed: "
)
_PYTHON_ERROR = re.compile(r"(?P<type>[A-Za-z_][\w.]*)(?:: (?P<message>.*)|:)?")
_JAVA_ERROR = re.compile(
    r"(?:Exception in thread \".*?\" )?"
    r"(?P<type>(?:[\w$]+\.)+[\w$]*(?:Exception|Error|Throwable)[\w$]*)(?:: (?P<message>.*))?"
)
_TROUBLED = frozenset({None, "warning", "error", "critical"})
"""Levels of a line whose exception may follow on lines of its own."""


@dataclass(slots=True)
class _Group:
    """Lines of one entry.

    `timed` says that the first has a timestamp, `trace` is where the stack trace begins, `ended` whether a Python one
    has had its last line.
    """

    offset: int
    lines: list[str]
    size: int
    level: str | None
    timed: bool
    trace: int | None = None
    python: bool = False
    ended: bool = False


@dataclass(slots=True)
class LogParser:
    """Groups lines into entries.

    With `first_line`, a regular expression, an entry begins where a line matches it. Without, what belongs to the line
    before is recognised: indented lines, Python tracebacks to their last line, Java stack traces, chained exceptions.
    With `json`, a line that is a JSON object is an entry, and anything else is text. `fields` are added to every entry.
    A timestamp without a zone is one of `zone`, by default the machine's; an entry without one has the moment it is
    read at, `now()`.
    """

    json: bool = False
    first_line: re.Pattern[str] | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    now: Callable[[], float] = time.time
    zone: tzinfo | None = None
    _group: _Group | None = None

    @property
    def open(self) -> int | None:
        """The offset of the entry that may go on, None when there is none."""
        return None if self._group is None else self._group.offset

    def feed(self, lines: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, Record | Malformed]]:
        """Take lines, each with its offset; give the entries that they complete."""
        for offset, line in lines:
            if len(line) > MAX_LINE:
                yield from self.flush()
                yield offset, Malformed("too_long", f"{len(line)} bytes; a line has at most {MAX_LINE}")
                continue
            if self.json and (document := _object(line)) is not None:
                yield from self.flush()
                yield offset, self._entry_of_json(document)
                continue
            # A file that was truncated while its writer held it open begins with a hole of NUL bytes.
            text = line.rstrip(b"\r\n").lstrip(b"\x00").decode("utf-8", "replace")
            group = self._group
            if group is not None and self._continues(group, text):
                if len(group.lines) < MAX_GROUP_LINES and group.size + len(line) <= MAX_GROUP_BYTES:
                    self._add(group, text, len(line))
                    continue
            elif not text.strip():
                continue
            yield from self.flush()
            self._group = _Group(offset, [text], len(line), level_of_text(text), time_of_text(text, 0.0) is not None)
            if text == _TRACEBACK:
                self._group.trace, self._group.python = 0, True
            elif self._group.level is None and _JAVA_ERROR.fullmatch(text):
                self._group.trace = 0

    def flush(self) -> Iterator[tuple[int, Record]]:
        """Give the entry that may have gone on; nothing more is expected to belong to it."""
        if (group := self._group) is not None:
            self._group = None
            yield group.offset, self._entry_of_group(group)

    def _continues(self, group: _Group, text: str) -> bool:
        if self.first_line is not None:
            return not self.first_line.search(text)
        if not text.strip():
            return group.trace is not None
        if text[0] in " \t" or _CHAINED.match(text):
            return True
        if text == _TRACEBACK:
            # The same entry when it is chained, or when the line before said that something went wrong.
            chained = group.trace is not None and bool(_CHAINED.match(_last_text(group)))
            return chained or (group.trace is None and group.level in _TROUBLED)
        if group.python and not group.ended:
            return _PYTHON_ERROR.fullmatch(text) is not None
        if group.trace is not None and group.timed:
            return time_of_text(text, 0.0) is None  # an exception's message may have several lines
        if group.trace is None and len(group.lines) == 1 and group.level in _TROUBLED:
            return _JAVA_ERROR.fullmatch(text) is not None
        return False

    def _add(self, group: _Group, text: str, size: int) -> None:
        if text == _TRACEBACK:
            group.python, group.ended = True, False
            group.trace = len(group.lines) if group.trace is None else group.trace
        elif text and text[0] not in " \t":
            group.ended = group.python
            if group.trace is None and _JAVA_ERROR.fullmatch(text):
                group.trace = len(group.lines)
        elif group.trace is None and text.startswith(("\tat ", "    at ")):
            group.trace = len(group.lines)
        group.lines.append(text)
        group.size += size

    def _entry_of_group(self, group: _Group) -> Record:
        lines = group.lines
        while len(lines) > 1 and not lines[-1].strip():
            lines.pop()
        document: dict[str, Any] = {}
        trace = group.trace
        if trace is None and self.first_line is not None:
            trace = next((index for index, line in enumerate(lines) if line == _TRACEBACK), None)
        if trace is not None:
            document["error.stack_trace"] = "\n".join(lines[trace:])
            document |= error_of_trace(lines[trace:], before=lines[0])
        if trace == 0:
            document["message"] = _first_words(document) or lines[0]
        else:
            document["message"] = "\n".join(lines[:trace])
        level = group.level or ("error" if trace is not None else None)
        if level is not None:
            document["log.level"] = level
        return self._record(time_of_text(lines[0], self.now(), self.zone), document)

    def _entry_of_json(self, document: dict[str, Any]) -> Record:
        at, named = ecs_of_json(document, self.now(), self.zone)
        trace = named.get("error.stack_trace")
        if isinstance(trace, str):
            lines = trace.splitlines() or [""]
            named = error_of_trace(lines, before=lines[0]) | named
            named.setdefault("message", _first_words(named) or lines[0])
        return self._record(at, named)

    def _record(self, at: float | None, document: dict[str, Any]) -> Record:
        now = self.now()
        if at is None or not OLDEST <= at <= now + FUTURE_SECONDS:
            at = now
        stamp = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return Record(Kind.LOG, at, {"@timestamp": stamp, "kind": "log", **document, **self.fields})


@dataclass(frozen=True, slots=True)
class LogSource:
    """A followed log file: `fields` are added to every entry; the rest is `LogParser`'s."""

    json: bool = False
    first_line: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)

    def entries(self, stretch: bytes, *, final: bool) -> Entries:
        """Read whole lines; the last entry is left for the next call unless it is `final`."""
        lines = stretch.split(b"\n")
        if not lines[-1]:
            lines.pop()
        offsets = list(accumulate((len(line) + 1 for line in lines), initial=0))
        first_line = None if self.first_line is None else re.compile(self.first_line)
        parser = LogParser(self.json, first_line, self.fields)
        found = list(parser.feed(zip(offsets, lines, strict=False)))
        if final:
            found += parser.flush()
        consumed = len(stretch) if parser.open is None else parser.open
        return Entries([offset for offset, _ in found], [record for _, record in found], consumed)


def error_of_trace(lines: list[str], *, before: str = "") -> dict[str, str]:
    """`error.type` and `error.message` of a stack trace's lines: Python's last line, or Java's first."""
    if any(line.strip() == _TRACEBACK for line in lines):
        candidates = [line for line in lines if line and line[0] not in " \t" and not _CHAINED.match(line)]
        match = _PYTHON_ERROR.fullmatch(candidates[-1]) if candidates and candidates[-1] != _TRACEBACK else None
    else:
        match = _JAVA_ERROR.fullmatch(lines[0]) or _JAVA_ERROR.search(before)
    if match is None:
        return {}
    return {"error.type": match["type"]} | ({"error.message": match["message"]} if match["message"] else {})


def _first_words(document: Mapping[str, Any]) -> str | None:
    kind, message = document.get("error.type"), document.get("error.message")
    return f"{kind}: {message}" if kind and message else kind


def _last_text(group: _Group) -> str:
    return next((line for line in reversed(group.lines) if line.strip()), "")


def _object(line: bytes) -> dict[str, Any] | None:
    if not line.lstrip(b" \t\x00").startswith(b"{"):
        return None
    try:
        document = orjson.loads(line.strip(b" \t\r\n\x00"))
    except orjson.JSONDecodeError:
        return None
    return document if isinstance(document, dict) else None
