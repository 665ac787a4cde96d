"""Summary of a stream of categories: how many different, and how often the frequent ones came.

Of few categories everything is known by name. Of many (ids, say) the frequent ones are, how many different there were
is estimated, and every row is counted by its category's hash.
"""

from __future__ import annotations

import hashlib
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping

import datasketches
import numpy as np
from numpy.typing import NDArray

HLL_LG_K = 12
"""2**12 registers: the number of different categories is off by about 1.6% (one standard error)."""

FREQUENT_LG_MAX = 10
BY_NAME_MAX = 768
"""Three quarters of 2**10: so many categories are kept at most; counts are exact until there are more, and until then
no rows are kept by hash."""

MAX_CATEGORY_LENGTH = 128
"""Longer strings are shortened to a prefix and a digest, so that a sketch's size stays bounded."""

HASH_BUCKETS = 256

_SPREAD, _TO_BUCKETS = np.uint32(2654435761), np.uint32(24)
"""2**32 over the golden ratio (Knuth, The Art of Computer Programming 3, 6.4)."""

_NEVER_SEEN = "\x00" * (MAX_CATEGORY_LENGTH + 1)
"""Longer than any category's name; how often it may have come is by how much any count may be off."""

_EMPTY = "\x00"
"""Stands for the empty string, which an HLL passes over."""


def category_name(text: str) -> str:
    """The text itself, or for a long one its first 100 characters and a digest of the whole."""
    if len(text) <= MAX_CATEGORY_LENGTH:
        return text
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    return f"{text[:100]}…{digest}"


def hash_bucket(name: str) -> int:
    """Where a category's rows are counted, in [0, `HASH_BUCKETS`); the same on every host.

    The checksum alone would spread numbered names more evenly than chance does, and hide that others came.
    """
    return int(_buckets([name])[0])


class CategoricalSketch:
    """Strings, summarised: `n` is exact, `distinct` estimated, `counts` exact up to `error` rows a category.

    `by_hash` is exact and merges without loss. It takes 2 kB, about 0.5 kB on the wire, and nothing while there are few
    categories, whose rows are then counted from their names.
    """

    __slots__ = ("frequent", "hashed_apart", "hll", "n")

    def __init__(self) -> None:
        self.n = 0
        self.hll = datasketches.hll_union(HLL_LG_K)
        self.frequent = datasketches.frequent_strings_sketch(FREQUENT_LG_MAX)
        self.hashed_apart: NDArray[np.int64] | None = None

    def update(self, values: Iterable[str]) -> None:
        """Fold strings in any number."""
        self.update_counts(Counter(values))

    def update_counts(self, counts: Mapping[str, int]) -> None:
        """Fold each string as often as its count says."""
        names = list(map(category_name, counts))
        if self.hashed_apart is None and self._many_with(names, len(names)):
            self.hashed_apart = self._by_name()
        if self.hashed_apart is not None:
            self.hashed_apart += _hashed(names, counts.values())
        update, count_distinct = self.frequent.update, self.hll.update
        for name, count in zip(names, counts.values(), strict=True):
            self.n += count
            count_distinct(name or _EMPTY)
            update(name, count)

    def merge(self, other: CategoricalSketch) -> None:
        """Add the other's strings to this one's; the other stays as it is."""
        mine, theirs = self.hashed_apart, other.hashed_apart
        size = int(other.frequent.num_active_items)
        if mine is not None or theirs is not None or self._many_with(other.frequent_names(), size):
            left = self._by_name() if mine is None else mine
            self.hashed_apart = left + (other._by_name() if theirs is None else theirs)
        self.n += other.n
        self.hll.update(other.hll.get_result())
        self.frequent.merge(other.frequent)

    @property
    def distinct(self) -> float:
        """Estimated number of different strings."""
        return float(self.hll.get_estimate())

    @property
    def error(self) -> int:
        """By how many rows a count of `counts` may be too high; 0 while every category is kept."""
        return int(self.frequent.get_upper_bound(_NEVER_SEEN))

    @property
    def by_hash(self) -> NDArray[np.int64] | None:
        """Rows by their category's hash, shape (`HASH_BUCKETS`,); None where agents did not count all of them yet."""
        found = self._by_name() if self.hashed_apart is None else self.hashed_apart
        return found if int(found.sum()) == self.n else None

    def registers(self) -> NDArray[np.uint8]:
        """Of each of the HLL's registers the longest run of zeros, plus 1, of the hashes of its strings; 0 of none.

        Shape (2**`HLL_LG_K`,). The maximum of two sketches' is that of their union. Read from the serialised form
        (https://datasketches.apache.org/docs/HLL/HLL.html): an array, or until there are many strings a list of
        coupons, the register in the low bits and its value above 26.
        """
        content = self.hll.get_result(datasketches.tgt_hll_type.HLL_8).serialize_compact()
        size = 1 << HLL_LG_K
        if content[7] & 3 == _ARRAY:
            return np.frombuffer(content, np.uint8, size, offset=40)
        coupons = np.frombuffer(content, "<u4", offset=8 if content[7] & 3 == _LIST else 12)
        found = np.zeros(size, dtype=np.uint8)
        np.maximum.at(found, coupons & (size - 1), (coupons >> 26).astype(np.uint8))
        return found

    def _by_name(self) -> NDArray[np.int64]:
        """Rows by hash as far as names tell: all, while every category is kept."""
        if self.error:
            return np.zeros(HASH_BUCKETS, dtype=np.int64)
        counts = self.counts()
        return _hashed(counts, counts.values())

    def _many_with(self, others: Iterable[str], size: int) -> bool:
        """Whether there are more categories than are kept by name, with so many others."""
        if int(self.frequent.num_active_items) + size <= BY_NAME_MAX:
            return False
        return size > BY_NAME_MAX or len({*self.counts(), *others}) > BY_NAME_MAX

    def frequent_names(self) -> Iterator[str]:
        """The kept categories; read when the first is asked for."""
        yield from self.counts()

    def counts(self) -> dict[str, int]:
        """The kept categories and how often each came, most frequent first."""
        items = self.frequent.get_frequent_items(datasketches.frequent_items_error_type.NO_FALSE_NEGATIVES)
        return {name: int(estimate) for name, estimate, _, _ in items}


_LIST, _ARRAY = 0, 2
"""What an HLL is kept as; 1 is a set."""


def _buckets(names: Collection[str]) -> NDArray[np.uint32]:
    try:
        encoded = list(map(str.encode, names))
    except UnicodeEncodeError:
        encoded = [name.encode("utf-8", "surrogatepass") for name in names]
    found: NDArray[np.uint32] = np.fromiter(map(zlib.crc32, encoded), np.uint32, len(encoded)) * _SPREAD >> _TO_BUCKETS
    return found


def _hashed(names: Collection[str], counts: Collection[int]) -> NDArray[np.int64]:
    rows = np.fromiter(counts, np.float64, len(counts))  # exact as far as anyone counts
    return np.bincount(_buckets(names), rows, HASH_BUCKETS).astype(np.int64)
