"""Log files that are not UTF-8: what Windows writes, and how it is read.

A stretch of a file always begins after a byte 0x0A, or at the file's beginning. In UTF-16 of the order that Intel's
processors have, that byte is the first half of a newline, so all stretches but the first begin with its other half.
"""

from __future__ import annotations

from collections.abc import Iterator

UTF8_BOM = b"\xef\xbb\xbf"
LITTLE, BIG = "utf-16-le", "utf-16-be"
_BOMS = {b"\xff\xfe": LITTLE, b"\xfe\xff": BIG}
_LOOKED_AT = 4096
_FEWEST = 8
"""Characters that must be there before a text without a byte order mark is believed to be UTF-16."""

_SHARE = 0.5
"""At least this share of such a text's characters has a NUL as its one half, and next to none as the other."""


def may_be_utf16(stretch: bytes) -> bool:
    """Whether it is worth looking: all UTF-16 that is a log has a NUL in each newline."""
    return b"\x00" in stretch or stretch[:2] in _BOMS


def encoding_of(head: bytes) -> str | None:
    """UTF-16's name in Python, of a text that begins so; None for all that is read as UTF-8."""
    if (named := _BOMS.get(head[:2])) is not None:
        return named
    head = head[:_LOOKED_AT]
    units = len(head) // 2
    if units < _FEWEST or b"\x00" not in head:
        return None
    first, second = head[0::2].count(0), head[1::2].count(0)
    many, few = units * _SHARE, units // 50
    if second >= many and first <= few:
        return LITTLE
    return BIG if first >= many and second <= few + 1 else None


def utf16_lines(stretch: bytes, encoding: str, *, final: bool) -> tuple[list[tuple[int, bytes]], int]:
    """The stretch's lines in UTF-8, each with where it begins, and how much of the stretch they take.

    What follows the last newline that is certain to be one is a line only when it is `final`.
    """
    lines: list[tuple[int, bytes]] = []
    start = 0
    for end in _newlines(stretch, encoding):
        lines.append((start, _utf8(stretch, start, end, encoding)))
        start = end
    if final and start < len(stretch):
        end = len(stretch)
        if encoding == BIG and end - start > 1:
            end -= (end - start) % 2  # the 0x0A that the stretch ends with is the first half of a character
        lines.append((start, _utf8(stretch, start, end, encoding)))
        start = end
    return lines, start


def _newlines(stretch: bytes, encoding: str) -> Iterator[int]:
    """What follows each byte 0x0A that is half of a newline and not of another character."""
    newline, half = (b"\n\x00", 1) if encoding == LITTLE else (b"\x00\n", 2)
    begin = _skipped(stretch, 0, encoding)
    at = stretch.find(newline, begin)
    while at >= 0:
        if (at - begin) % 2 == 0:
            yield at + half
        at = stretch.find(newline, at + 1)


def _skipped(stretch: bytes, start: int, encoding: str) -> int:
    """Where a line's first character is: its predecessor's newline may have left its other half."""
    return start + 1 if encoding == LITTLE and stretch.startswith(b"\x00", start) else start


def _utf8(stretch: bytes, start: int, end: int, encoding: str) -> bytes:
    line = stretch[_skipped(stretch, start, encoding) : end]
    if encoding == LITTLE and len(line) % 2:
        line += b"\x00"
    return line.decode(encoding, "replace").removeprefix("\ufeff").encode("utf-8", "replace")
