"""Knowing a file's content when it is met again in another file, as logrotate's copytruncate leaves it.

What was read is summed up as its length and its CRC-32, which can be gone on with from any place and after a restart.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from dataclasses import dataclass

HEAD_BYTES = 1024
"""How much of a file's beginning tells it from another one."""

_PIECE_BYTES = 1 << 20
_TAIL_BYTES = 4096

CATCH_UP_BYTES = 256 << 20
"""How much is read again to know the sum of what was read; of more it stays unknown, and a copy is read as a file."""


def hash_head(head: bytes) -> str:
    """The hash of a file's beginning."""
    return hashlib.blake2b(head, digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Content:
    """Content that was read and is gone from its file.

    `head` is the hash of its first `head_bytes` bytes, `crc` the CRC-32 of its first `read`. It had at least `size`
    bytes, of which `folded` were read.
    """

    head_bytes: int
    head: str
    read: int
    crc: int
    folded: int
    size: int

    def begins(self, descriptor: int) -> bool:
        """Whether the file begins with all that is known of this content. OSError when it cannot be read."""
        if not self.head_bytes or os.fstat(descriptor).st_size < max(self.size, self.read, self.head_bytes):
            return False
        if hash_head(os.pread(descriptor, self.head_bytes, 0)) != self.head:
            return False
        if not self.read:
            return self.folded <= self.head_bytes
        return crc_at(descriptor, self.read) == self.crc


def crc_at(descriptor: int, offset: int, known: tuple[int, int] = (0, 0)) -> int:
    """The CRC-32 of the file up to this offset; `known` is an offset not beyond it and the CRC-32 up to there."""
    at, crc = known
    while at < offset and (piece := os.pread(descriptor, min(_PIECE_BYTES, offset - at), at)):
        crc = zlib.crc32(piece, crc)
        at += len(piece)
    return crc


def crc_caught_up(descriptor: int, offset: int, known: tuple[int, int]) -> int | None:
    """As `crc_at`, from the beginning when `known` is beyond the offset; None when that were too much to read."""
    if known[0] > offset:
        known = (0, 0)
    return crc_at(descriptor, offset, known) if offset - known[0] <= CATCH_UP_BYTES else None


def may_copy(copy: int, original: int) -> bool:
    """Whether one file is, by its beginning and its end, a copy of the other's beginning. OSError as they are read."""
    size = os.fstat(copy).st_size
    if not 0 < size <= os.fstat(original).st_size:
        return False
    places = ((0, min(size, HEAD_BYTES)), (max(0, size - _TAIL_BYTES), min(size, _TAIL_BYTES)))
    return all(os.pread(copy, length, at) == os.pread(original, length, at) for at, length in places)
