"""Whether bytes are a sketch of Apache DataSketches, before its library reads them.

That library believes what it reads: lengths, levels and slots that do not fit each other end the process, or take all
of its memory. So what comes over the wire is looked at first; each check costs a few microseconds. What a sketch *says*
may still be untrue. The forms are those of https://datasketches.apache.org (HLL/HLL.html, KLL/KLLSketch.html,
Frequency/FrequentItemsOverview.html) as version 5 writes them, little-endian.
"""

from __future__ import annotations

import math
import struct
from functools import lru_cache

import numpy as np

MOST = 2**53
"""Rows that are counted at most: beyond it a float is not exact."""

_KLL_FAMILY, _HLL_FAMILY, _FREQUENT_FAMILY = 15, 7, 10
_LARGEST_K = 1 << 15
_MOST_LEVELS = 60

_KLL = struct.Struct("<BBBBHBxQHBx")
_KLL_EMPTY, _KLL_SINGLE = 1, 4
"""Bits of the flags."""

_HLL = struct.Struct("<BBBBBBBB")
_HLL_ARRAY = struct.Struct("<ddd2I")
_LIST, _SET, _ARRAY = 0, 1, 2
_HLL_EMPTY, _HLL_COMPACT, _HLL_OUT_OF_ORDER = 4, 8, 16
_COUPON_SIZE = 4
_SMALLEST_SET, _SMALLEST_AUXILIARY = 5, 2

_FREQUENT = struct.Struct("<BBBBBBxxI4xQQ")
_SMALLEST_MAP = 3


def check_kll(content: bytes, n: int, *, double: bool) -> None:
    """ValueError unless it is a quantile sketch of n numbers, of float64 when `double`, else of float32."""
    if len(content) < 8 or content[2] != _KLL_FAMILY:
        raise ValueError("no KLL sketch")
    size, flags = 8 if double else 4, content[3]
    if flags & _KLL_EMPTY:
        seen, values = (0, 8) if (content[0], content[1], len(content)) == (2, 1, 8) else _UNFIT
    elif flags & _KLL_SINGLE:
        seen, values = (1, 8) if (content[0], content[1], len(content)) == (2, 2, 8 + size) else _UNFIT
    else:
        seen, values = _kll_levels(content, size)
    if seen != n:
        raise ValueError(f"a damaged KLL sketch, or one of {seen} values for {n}")
    if n:
        kept = np.frombuffer(content, "<f8" if double else "<f4", offset=values)
        if math.isnan(np.minimum.reduce(kept)):  # by which nothing can be sorted
            raise ValueError("a KLL sketch with NaN in it")


_UNFIT = (-1, 0)


def _kll_levels(content: bytes, size: int) -> tuple[int, int]:
    """How many values the levels stand for, and where the extremes and those that are kept begin."""
    if len(content) < _KLL.size:
        return _UNFIT
    preamble, version, _, _, k, m, n, _, levels = _KLL.unpack_from(content)
    head = _KLL.size + 4 * levels
    if preamble != 5 or version != 1 or m != 8 or not 8 <= k <= _LARGEST_K or not 0 < levels <= _MOST_LEVELS:
        return _UNFIT
    if len(content) < head:
        return _UNFIT
    starts = (*struct.unpack_from(f"<{levels}I", content, _KLL.size), _capacity(k, levels))
    if len(content) != head + (2 + starts[-1] - starts[0]) * size:
        return _UNFIT
    stood_for, weight, start = 0, 1, starts[0]
    for end in starts[1:]:
        if end < start:
            return _UNFIT
        stood_for += (end - start) * weight
        weight, start = 2 * weight, end
    return (n, head) if stood_for == n else _UNFIT


@lru_cache(maxsize=256)
def _capacity(k: int, levels: int) -> int:
    """How many values a sketch of so many levels has room for: the top one k, and each below it two thirds of that."""
    return sum(max(8, ((2 * k << depth) // 3**depth + 1) >> 1) for depth in range(levels))


def check_hll(content: bytes, lg_k: int) -> None:
    """ValueError unless it is a compact HLL_4 sketch of 2**lg_k registers."""
    if len(content) < _HLL.size:
        raise ValueError("no HLL sketch")
    preamble, version, family, its_lg_k, lg_array, flags, count, mode = _HLL.unpack_from(content)
    if (version, family, its_lg_k) != (1, _HLL_FAMILY, lg_k) or mode >> 2:
        raise ValueError(f"no HLL sketch of 2**{lg_k} registers")
    empty = _HLL_EMPTY if mode == _LIST and not count else 0
    if flags & ~_HLL_OUT_OF_ORDER != _HLL_COMPACT | empty:
        raise ValueError(f"an HLL sketch with the flags {flags:#x}")
    if mode == _LIST:
        fits = preamble == 2 and count < 8 and len(content) == 8 + _COUPON_SIZE * count
        coupons = content[8:]
    elif mode == _SET and preamble == 3 and len(content) >= 12:
        (count,) = struct.unpack_from("<I", content, 8)
        fits = _SMALLEST_SET <= lg_array <= lg_k - 3 and _has_room(lg_array, count)
        fits = fits and len(content) == 12 + _COUPON_SIZE * count
        coupons = content[12:]
    else:
        fits, coupons = mode == _ARRAY and preamble == 10 and _is_array(content, lg_k, lg_array, count), b""
    # The high six bits of each are how long a run of zeros was.
    if not fits or (coupons and np.minimum.reduce(np.frombuffer(coupons, "<u4")) >> 26 == 0):
        raise ValueError("a damaged HLL sketch")


def _is_array(content: bytes, lg_k: int, lg_auxiliary: int, lowest: int) -> bool:
    """Whether half a byte a register, and those that do not fit into it, are whole."""
    registers = 40 + (1 << lg_k - 1)
    if len(content) < registers or lowest > 63:
        return False
    hip, kxq0, kxq1, at_lowest, apart = _HLL_ARRAY.unpack_from(content, 8)
    if len(content) != registers + _COUPON_SIZE * apart or not np.isfinite((hip, kxq0, kxq1)).all():
        return False
    halves = np.frombuffer(content, np.uint8, 1 << lg_k - 1, 40)
    found = np.bincount(halves & 15, minlength=16) + np.bincount(halves >> 4, minlength=16)
    if found[0] != at_lowest or found[15] != apart:
        return False
    if not apart:
        return True
    coupons = np.frombuffer(content, "<u4", offset=registers)
    slots, values = coupons & ((1 << 26) - 1), coupons >> 26
    if not _SMALLEST_AUXILIARY <= lg_auxiliary <= lg_k or not _has_room(lg_auxiliary, apart):
        return False
    if len(np.unique(slots)) != apart or slots.max() >= 1 << lg_k or (values < lowest + 15).any():
        return False
    nibbles = np.where(slots & 1, halves[slots >> 1] >> 4, halves[slots >> 1] & 15)
    return bool((nibbles == 15).all())


def _has_room(lg_size: int, count: int) -> bool:
    return 4 * count <= 3 << lg_size


def check_frequent(content: bytes, lg_max: int) -> None:
    """ValueError unless it is a sketch of frequent strings that keeps at most three quarters of 2**lg_max."""
    if len(content) < 8 or content[1] != 1 or content[2] != _FREQUENT_FAMILY or content[3] != lg_max:
        raise ValueError(f"no sketch of frequent strings of 2**{lg_max}")
    if content[0] == 1 and len(content) == 8 and content[5] and _SMALLEST_MAP <= content[4] <= lg_max:
        return
    if len(content) < _FREQUENT.size:
        raise ValueError("a sketch of frequent strings that is cut short")
    preamble, _, _, _, lg_now, flags, kept, total, offset = _FREQUENT.unpack_from(content)
    names = _FREQUENT.size + 8 * kept
    if (preamble, flags) != (4, 0) or not _SMALLEST_MAP <= lg_now <= lg_max or not _has_room(lg_now, kept):
        raise ValueError("a damaged sketch of frequent strings")
    if len(content) < names or not 0 <= offset <= total <= MOST:
        raise ValueError("a damaged sketch of frequent strings")
    if kept and int(np.frombuffer(content, "<u8", kept, _FREQUENT.size).max()) > MOST:
        raise ValueError("a sketch of frequent strings that came more often than anyone counts")
    _check_names(content[names:], kept)


def _check_names(content: bytes, kept: int) -> None:
    """ValueError, as UnicodeDecodeError is one, unless all are UTF-8; that lengths fit the library sees itself."""
    if content.isascii():
        return
    at = 0
    for _ in range(kept):
        end = at + 4 + int.from_bytes(content[at : at + 4], "little")
        content[at + 4 : end].decode("utf-8")
        at = end
