"""From any log file to records of kind `log` in ECS names: text or JSON, plain or as container runtimes wrap it.

A `LogParser` groups lines into entries and is pure: lines with their offsets go in, entries with the offset of their
first line come out. A `LogSource` is the same for a stretch of a followed file.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from itertools import accumulate
from typing import Any, NamedTuple

import orjson

from modelward_agent.journal.container import Wrapped, of_cri, of_docker
from modelward_agent.journal.encoding import UTF8_BOM, encoding_of, may_be_utf16, utf16_lines
from modelward_agent.journal.jsonlog import ecs_of_json, json_object
from modelward_agent.journal.loglevel import begins_with_level, level_of_text
from modelward_agent.journal.logtime import time_of_text
from modelward_agent.journal.parse import FUTURE_SECONDS, MAX_LINE, OLDEST, Kind, Malformed, Record
from modelward_agent.journal.source import Entries

MAX_GROUP_LINES = 500
MAX_GROUP_BYTES = 256 * 1024
"""An entry of more lines or bytes is cut; what follows is an entry of its own."""

APART_SECONDS = 5.0
APART_BYTES = 64 * 1024
"""What a stream of a container has not gone on with, while others went on for so long, is complete."""

_DIGITS = frozenset(b"%d" % digit for digit in range(10))
_BEFORE_JSON = frozenset((b"{", b" ", b"\t", b"\x00", UTF8_BOM[:1]))
_BEFORE_TEXT = frozenset((b"\x00", UTF8_BOM[:1]))
_COLOURS = re.compile(r"\x1b\[[\d;:?]{0,40}[ -/]?[@-~]")

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
    """Lines of one entry, from `offset` to `end` in the file.

    `at` is the time that the first line names, `got` when the container runtime got it. `trace` is where the stack
    trace begins, `ended` whether a Python one has had its last line.
    """

    offset: int
    end: int
    lines: list[str]
    size: int
    level: str | None
    at: float | None
    got: float | None
    fields: Mapping[str, Any]
    trace: int | None = None
    python: bool = False
    ended: bool = False


class Found(NamedTuple):
    """An entry, and the stretch of the file that its lines span; lines of other streams may stand in between."""

    start: int
    end: int
    record: Record | Malformed


@dataclass(slots=True)
class _Stream:
    """What one stream of a container, or the file itself, is in the middle of.

    `parts` are those of an unfinished line that began at `offset`. `end` is where the last line ended, and `at` is when
    the container runtime got it.
    """

    fields: dict[str, Any] = field(default_factory=dict)
    group: _Group | None = None
    parts: list[bytes] = field(default_factory=list)
    offset: int = 0
    size: int = 0
    end: int = 0
    at: float | None = None

    @property
    def open(self) -> int | None:
        """Where what may go on begins."""
        if self.group is not None:
            return self.group.offset
        return self.offset if self.parts else None


@dataclass(slots=True)
class LogParser:
    """Groups lines into entries.

    A line that is a JSON object is an entry, and anything else is text. With `first_line`, a regular expression, an
    entry of text begins where a line matches it, and only with `json` are objects looked for beside. Without, what
    belongs to the line before is recognised: indented lines, Python tracebacks to their last line, Java stack traces,
    chained exceptions. Lines of container runtimes are unwrapped first, and each stream is grouped by itself.

    `fields` are added to every entry. A timestamp without a zone is one of `zone`, by default the machine's; an entry
    without one has the time at which the container runtime got it, or else the moment it is read at, `now()`.
    """

    json: bool = False
    first_line: re.Pattern[str] | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    now: Callable[[], float] = time.time
    zone: tzinfo | None = None
    _plain: _Stream = field(default_factory=_Stream)
    _streams: dict[str, _Stream] = field(default_factory=dict)

    @property
    def open(self) -> int | None:
        """The offset of the first entry that may go on, None when there is none."""
        return min((at for stream in self._all() if (at := stream.open) is not None), default=None)

    @property
    def mixed(self) -> bool:
        """Whether entries may lie within each other."""
        return bool(self._streams)

    def feed(self, lines: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, Record | Malformed]]:
        """Take lines, each with its offset; give the entries that they complete."""
        for found in self.find(lines):
            yield found.start, found.record

    def flush(self) -> Iterator[tuple[int, Record | Malformed]]:
        """Give the entries that may have gone on; nothing more is expected to belong to them."""
        for found in self.rest():
            yield found.start, found.record

    def find(self, lines: Iterable[tuple[int, bytes]]) -> Iterator[Found]:
        """As `feed`, with what each entry spans."""
        plain = self._plain
        for offset, line in lines:
            end = offset + len(line)
            if len(line) > MAX_LINE:
                yield from self.rest()
                yield Found(offset, end, _too_long(len(line)))
                continue
            first = line[:1]
            document = wrapped = None
            if first in _BEFORE_JSON:
                document = json_object(line)
                wrapped = None if document is None else of_docker(document)
            elif first in _DIGITS:
                wrapped = of_cri(line)
            if wrapped is not None:
                yield from self._wrapped(wrapped, offset, end)
            else:
                if self._streams:
                    yield from self._left_behind(plain, offset, None)
                yield from self._line(plain, offset, end, line, document)

    def rest(self) -> Iterator[Found]:
        """As `flush`, with what each entry spans."""
        for stream in self._all():
            if stream.parts:
                yield from self._joined(stream)
            yield from self._flush(stream)

    def _all(self) -> tuple[_Stream, ...]:
        return (self._plain, *self._streams.values())

    # -- streams of containers ----------------------------------------------------------------------------------
    def _wrapped(self, wrapped: Wrapped, offset: int, end: int) -> Iterator[Found]:
        stream = self._streams.get(wrapped.stream)
        if stream is None:
            stream = self._streams[wrapped.stream] = _Stream({"stream": wrapped.stream})
        at = time_of_text(wrapped.time, 0.0)
        yield from self._left_behind(stream, offset, at)
        if stream.parts and _apart(stream.at, at):
            yield from self._joined(stream)  # its container died in the middle of a line
        if not stream.parts:
            stream.offset, stream.size = offset, 0
            stream.fields = {"stream": wrapped.stream} | ({"attrs": wrapped.attrs} if wrapped.attrs else {})
        stream.end, stream.at = end, at
        stream.size += len(wrapped.text)
        if stream.size <= MAX_LINE:
            stream.parts.append(wrapped.text)
        if not wrapped.partial:
            yield from self._joined(stream)

    def _joined(self, stream: _Stream) -> Iterator[Found]:
        """The line whose parts are there."""
        line, stream.parts = b"".join(stream.parts), []
        if stream.size > MAX_LINE:
            yield from self._flush(stream)
            yield Found(stream.offset, stream.end, _too_long(stream.size))
        else:
            document = json_object(line) if line[:1] in _BEFORE_JSON else None
            yield from self._line(stream, stream.offset, stream.end, line, document)

    def _left_behind(self, stream: _Stream, offset: int, at: float | None) -> Iterator[Found]:
        """End what other streams have not gone on with for long: the entries after it wait for it."""
        for other in self._all():
            if other is not stream and (offset - other.end > APART_BYTES or _apart(other.at, at)):
                if other.parts:
                    yield from self._joined(other)
                yield from self._flush(other)

    # -- lines of one stream ------------------------------------------------------------------------------------
    def _line(
        self, stream: _Stream, offset: int, end: int, line: bytes, document: dict[str, Any] | None
    ) -> Iterator[Found]:
        group = stream.group
        if document is not None and (self.json or self.first_line is None):
            yield from self._flush(stream)
            stream.end = end
            yield Found(offset, end, self._entry_of_json(document, stream))
            return
        text = _text(line)
        if group is not None and self._continues(group, text):
            if len(group.lines) < MAX_GROUP_LINES and group.size + len(line) <= MAX_GROUP_BYTES:
                self._add(group, text, len(line))
                group.end = stream.end = end
                return
        elif not text.strip():
            return
        yield from self._flush(stream)
        at = time_of_text(text, self.now() if stream.at is None else stream.at, self.zone)
        group = _Group(offset, end, [text], len(line), level_of_text(text), at, stream.at, stream.fields)
        stream.group, stream.end = group, end
        if text == _TRACEBACK:
            group.trace, group.python = 0, True
        elif group.level is None and _JAVA_ERROR.fullmatch(text):
            group.trace = 0

    def _flush(self, stream: _Stream) -> Iterator[Found]:
        if (group := stream.group) is not None:
            stream.group = None
            yield Found(group.offset, group.end, self._entry_of_group(group))

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
        if group.trace is not None and group.at is not None:
            # An exception's message may have several lines.
            return time_of_text(text, self.now()) is None and not begins_with_level(text)
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
        return self._record((group.at, group.got), {**group.fields, **document})

    def _entry_of_json(self, document: dict[str, Any], stream: _Stream) -> Record:
        at, named = ecs_of_json(document, self.now(), self.zone)
        if "stream" in named and stream.fields:
            named["stream_text"] = _words(named["stream"])
        named |= stream.fields
        trace = named.get("error.stack_trace")
        if isinstance(trace, str):
            lines = trace.splitlines() or [""]
            named = error_of_trace(lines, before=lines[0]) | named
            named.setdefault("message", _first_words(named) or lines[0])
        return self._record((at, stream.at), named)

    def _record(self, times: Iterable[float | None], document: dict[str, Any]) -> Record:
        """The entry, at the first of these times that can be, or now."""
        now = self.now()
        at = next((at for at in times if at is not None and OLDEST <= at <= now + FUTURE_SECONDS), now)
        stamp = datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds")[:26] + "Z"
        return Record(Kind.LOG, at, {"@timestamp": stamp, "kind": "log", **document, **self.fields})


@dataclass(frozen=True, slots=True)
class LogSource:
    """A followed log file: `fields` are added to every entry; the rest is `LogParser`'s.

    `encoding` is UTF-16's when the file begins with its mark; without it is told by a stretch's NUL bytes.
    """

    json: bool = False
    first_line: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    encoding: str | None = None

    def entries(self, stretch: bytes, *, final: bool) -> Entries:
        """Read whole lines; the last entry is left for the next call unless it is `final`."""
        first_line = None if self.first_line is None else re.compile(self.first_line)
        parser = LogParser(self.json, first_line, self.fields)
        lines, consumed = self._lines(stretch, final=final)
        found = list(parser.find(lines))
        if final:
            found += parser.rest()
        elif (left := parser.open) is not None:
            consumed = left
        if not parser.mixed:
            return Entries([one.start for one in found], [one.record for one in found], consumed)
        # A line of UTF-16 may be longer in UTF-8, by which its end is reckoned.
        size = consumed if final else len(stretch)
        return Entries.of_mixed([(one.start, min(one.end, size), one.record) for one in found], consumed)

    def _lines(self, stretch: bytes, *, final: bool) -> tuple[Iterable[tuple[int, bytes]], int]:
        """Lines with their offsets, and how much of the stretch they take."""
        # In the middle of a file the two bytes of a mark are those of a line, unless there is more of UTF-16 in it.
        believed = may_be_utf16(stretch) if self.encoding is not None else b"\x00" in stretch
        if believed and (encoding := self.encoding or encoding_of(stretch)) is not None:
            return utf16_lines(stretch, encoding, final=final)
        lines = stretch.split(b"\n")
        if not lines[-1]:
            lines.pop()
        offsets = accumulate((len(line) + 1 for line in lines), initial=0)
        return zip(offsets, lines, strict=False), len(stretch)

    def beginning(self, head: bytes) -> LogSource:
        """This source, for a file that begins so."""
        encoding = encoding_of(head)
        return self if encoding == self.encoding else replace(self, encoding=encoding)


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


def _too_long(size: int) -> Malformed:
    return Malformed("too_long", f"{size} bytes; a line has at most {MAX_LINE}")


def _apart(before: float | None, at: float | None) -> bool:
    return before is not None and at is not None and at - before > APART_SECONDS


def _words(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _text(line: bytes) -> str:
    """A line as it is read, without what is not text: a hole, a byte order mark, colours."""
    if line[:1] in _BEFORE_TEXT:
        # A file that was truncated while its writer held it open begins with a hole of NUL bytes.
        line = line.lstrip(b"\x00").removeprefix(UTF8_BOM)
    text = line.rstrip(b"\r\n").decode("utf-8", "replace")
    if "\x1b" in text:
        text = _COLOURS.sub("", text)
    return text.replace("\x00", "\ufffd") if "\x00" in text else text
