"""Summary of a stream of categories: how many different, and how often the frequent ones came."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping

import datasketches

HLL_LG_K = 12
"""2**12 registers: the number of different categories is off by about 1.6% (one standard error)."""

FREQUENT_LG_MAX = 10
"""At most 768 categories are kept; counts are exact until there are more."""

MAX_CATEGORY_LENGTH = 128
"""Longer strings are shortened to a prefix and a digest, so that a sketch's size stays bounded."""

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


class CategoricalSketch:
    """Strings, summarised: `n` is exact, `distinct` estimated, `counts` exact up to `error` rows a category."""

    __slots__ = ("frequent", "hll", "n")

    def __init__(self) -> None:
        self.n = 0
        self.hll = datasketches.hll_union(HLL_LG_K)
        self.frequent = datasketches.frequent_strings_sketch(FREQUENT_LG_MAX)

    def update(self, values: Iterable[str]) -> None:
        """Fold strings in any number."""
        self.update_counts(Counter(values))

    def update_counts(self, counts: Mapping[str, int]) -> None:
        """Fold each string as often as its count says."""
        for text, count in counts.items():
            name = category_name(text)
            self.n += count
            self.hll.update(name or _EMPTY)
            self.frequent.update(name, count)

    def merge(self, other: CategoricalSketch) -> None:
        """Add the other's strings to this one's; the other stays as it is."""
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

    def counts(self) -> dict[str, int]:
        """The kept categories and how often each came, most frequent first."""
        items = self.frequent.get_frequent_items(datasketches.frequent_items_error_type.NO_FALSE_NEGATIVES)
        return {name: int(estimate) for name, estimate, _, _ in items}
