"""What the bytes of a followed file mean: how they fall into entries, and what each entry says."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

from modelward_agent.journal.parse import Malformed, Record, parse_lines


@dataclass(frozen=True, slots=True)
class Entries:
    """Entries of one stretch of a file: `offsets[i]` is where in the stretch `records[i]` starts, both as long.

    `consumed` is how much of the stretch they take; the rest may belong to an entry that is not complete.
    """

    offsets: list[int]
    records: list[Record | Malformed]
    consumed: int


class Source(Protocol):
    """One way to read files."""

    def entries(self, stretch: bytes, *, final: bool) -> Entries:
        """Read whole lines; `final` says that nothing more is expected to belong to the last entry."""


class JournalSource:
    """Journal lines: each line is an entry."""

    def entries(self, stretch: bytes, *, final: bool) -> Entries:
        """Read whole lines (the last one may lack its newline)."""
        del final
        lines = stretch.split(b"\n")
        if not lines[-1]:
            lines.pop()
        offsets = list(accumulate((len(line) + 1 for line in lines), initial=0))
        offsets.pop()
        if b"" in lines or b"\r" in lines:
            kept = [(offset, line) for offset, line in zip(offsets, lines, strict=True) if line.strip()]
            offsets, lines = [offset for offset, _ in kept], [line for _, line in kept]
        return Entries(offsets, parse_lines(lines), len(stretch))
