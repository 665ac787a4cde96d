"""A log file: the bytes are the file's, which every kind of source reads, whole and in stretches."""

from __future__ import annotations

import zlib
from itertools import pairwise
from random import Random

from bench.fuzz.targets.journal import shipped
from modelward_agent.journal.parse import Malformed, Record
from modelward_agent.journal.source import Entries
from modelward_agent.journal.textlog import LogSource

_SOURCES = (LogSource(), LogSource(json=True), LogSource(first_line=r"^\d{4}-\d\d-\d\d"))
_OWN = ("@timestamp", "kind", "message", "log.level", "log.logger", "error.type", "error.message", "error.stack_trace")


def logs(data: bytes) -> None:
    """No bytes raise, entries are where they say, each can be stored, and stretches make no difference."""
    for source in _SOURCES:
        begun = source.beginning(data)
        whole = begun.entries(data, final=True)
        assert len(data) - whole.consumed <= _half(data)
        in_order(whole, len(data))
        in_stretches(begun, data, whole)
        for record in whole.records:
            if isinstance(record, Record):
                assert all(isinstance(record.document.get(name, ""), str) for name in _OWN), record
        shipped(whole)


def in_order(entries: Entries, size: int) -> None:
    """Offsets ascend, as cursors do."""
    assert len(entries.offsets) == len(entries.records)
    assert 0 <= entries.consumed <= size
    assert all(before < after for before, after in pairwise([-1, *entries.offsets, size]) if entries.offsets)


def in_stretches(source: LogSource, data: bytes, whole: Entries) -> None:
    """As the follower reads a file that grows: whole lines, as many as there are, and the rest of before again."""
    random = Random(zlib.crc32(data))
    ends = [at + 1 for at, byte in enumerate(data) if byte == 0x0A]
    cuts = sorted(random.sample(ends, min(len(ends), 3))) if ends else []
    at, found = 0, 0
    for end in [*cuts, len(data)]:
        entries = source.entries(data[at:end], final=end == len(data))
        in_order(entries, end - at)
        at += entries.consumed
        found += len(entries.records)
    assert len(data) - at <= _half(data)
    # Lines of containers' streams that lie within each other may be cut otherwise, and what a stretch shows of UTF-16
    # may be too little to believe it, so only plain files are compared.
    if whole.ends is None and not _half(data):
        assert found == len(whole.records), (found, [_shown(record) for record in whole.records])


def _half(data: bytes) -> int:
    """The last byte may be half a character of UTF-16, which waits for its other half."""
    return int(b"\x00" in data)


def _shown(record: Record | Malformed) -> object:
    return record.document.get("message") if isinstance(record, Record) else record.reason
