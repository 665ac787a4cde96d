"""What the bytes of a followed file mean: how they fall into entries, and what each entry says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

from modelward_agent.journal.encoding import UTF8_BOM, encoding_of, may_be_utf16
from modelward_agent.journal.parse import Malformed, Record, parse_lines


@dataclass(frozen=True, slots=True)
class Entries:
    """Entries of one stretch of a file: `offsets[i]` is where in the stretch `records[i]` starts, both as long.

    `consumed` is how much of the stretch they take; the rest may belong to an entry that is not complete. `ends` is
    where each entry's last line ends, when entries lie within each other.
    """

    offsets: list[int]
    records: list[Record | Malformed]
    consumed: int
    ends: list[int] | None = None

    @classmethod
    def of_mixed(cls, found: Sequence[tuple[int, int, Record | Malformed]], consumed: int) -> Entries:
        """Entries as (start, end, record) in any order: as many of the first as lie before `consumed` with all lines.

        Reading goes on from there, and what is read again must be whole.
        """
        cut = _cut([start for start, _, _ in found], [end for _, end, _ in found], consumed)
        kept = sorted((one for one in found if one[0] < cut), key=lambda one: one[0])
        return cls([one[0] for one in kept], [one[2] for one in kept], cut, [one[1] for one in kept])

    def before(self, index: int) -> Entries:
        """The entries before this one, and fewer when one of them goes on after it."""
        cut = self.offsets[index]
        if self.ends is not None:
            cut = _cut(self.offsets, self.ends, cut)
            index = next(number for number, offset in enumerate(self.offsets) if offset >= cut)
        ends = None if self.ends is None else self.ends[:index]
        return Entries(self.offsets[:index], self.records[:index], cut, ends)


def _cut(starts: Sequence[int], ends: Sequence[int], cut: int) -> int:
    """The last place up to this one that no entry begins before and ends after."""
    for end, start in sorted(zip(ends, starts, strict=True), reverse=True):
        if end <= cut:
            break
        cut = min(cut, start)
    return cut


class Source(Protocol):
    """One way to read files."""

    def entries(self, stretch: bytes, *, final: bool) -> Entries:
        """Read whole lines; `final` says that nothing more is expected to belong to the last entry."""

    def beginning(self, head: bytes) -> Source:
        """The same for a file that begins so."""


class JournalSource:
    """Journal lines: each line is an entry."""

    def entries(self, stretch: bytes, *, final: bool) -> Entries:
        """Read whole lines (the last one may lack its newline)."""
        del final
        if may_be_utf16(stretch) and (encoding := encoding_of(stretch)) is not None:
            refused = Malformed("not_utf8", f"the file is in {encoding.upper()}; write the journal in UTF-8")
            return Entries([0], [refused], len(stretch))
        lines = stretch.split(b"\n")
        if not lines[-1]:
            lines.pop()
        offsets = list(accumulate((len(line) + 1 for line in lines), initial=0))
        offsets.pop()
        if lines and lines[0].startswith(UTF8_BOM):
            lines[0] = lines[0].removeprefix(UTF8_BOM)
        if b"" in lines or b"\r" in lines:
            kept = [(offset, line) for offset, line in zip(offsets, lines, strict=True) if line.strip()]
            offsets, lines = [offset for offset, _ in kept], [line for _, line in kept]
        return Entries(offsets, parse_lines(lines), len(stretch))

    def beginning(self, head: bytes) -> JournalSource:
        """This source: a journal is UTF-8."""
        del head
        return self
