"""Summary of free texts without regard to language: their lengths, what characters they are of, which words they have.

What looks like free text is decided text by text, so that nothing has to be agreed on between hosts or minutes: some
words, or a run of a script that is written without spaces. Whether a feature *is* free text, or has a few long
categories, is for whoever reads the profile.

A word counts once a text, however often it is there, so that texts are the rows that a test can count. Words fall into
`BUCKETS` by their hash: how many texts have any word of a bucket is exact and merges without loss; what the frequent
words are called is kept beside it, approximately.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence

import datasketches
import numpy as np
from numpy.typing import NDArray

from modelward_agent.profile.numeric import Moments, NumericSketch

BUCKETS = 1024

CLASSES = ("capitals", "digits", "spaces", "punctuation", "beyond ASCII")
"""Classes of characters; of each text the share of its characters. Small Latin letters are the rest."""

NAMES_LG_MAX = 9
"""At most 384 words are known by name."""

ALL_LOOKED_AT = 4_000
EVERY = 8
"""Of the texts after the first so many of a sketch every eighth is looked at: words cost 50 µs a text, which no busy
server should pay for each. Lengths are taken of all."""

_BATCH = 256
"""Texts whose characters are counted at once."""

CHARACTERS_MAX = 2_000
"""Beyond so many characters a text is not looked at."""

WORD_MAX = 24

_WITHOUT_SPACES = "\u0e00-\u0eff\u2e80-\ua4cf\uf900-\ufaff\U00020000-\U0003ffff"
"""Thai, Lao, Chinese, Japanese: a character of them is a word."""

_WORD = re.compile(rf"[{_WITHOUT_SPACES}]|[^\W_{_WITHOUT_SPACES}]+|[^\w\s]")
_RUN = re.compile(rf"[{_WITHOUT_SPACES}]{{8}}")
_DIGITS = str.maketrans("123456789", "000000000")
"""Numbers differ from text to text; how many digits they have is what repeats."""

_ASCII = np.full(128, -1, dtype=np.int64)
for _character in range(128):
    _text = chr(_character)
    if _text.isupper():
        _ASCII[_character] = 0
    elif _text.isdigit():
        _ASCII[_character] = 1
    elif _text.isspace():
        _ASCII[_character] = 2
    elif not _text.isalpha():
        _ASCII[_character] = 3
_BEYOND = len(CLASSES) - 1


def looks_like_text(text: str) -> bool:
    """Four words or more in at least twenty characters, or eight characters in a row of a script without spaces."""
    if len(text) < 8:
        return False
    if text.isascii():
        return len(text) >= 20 and text.count(" ") >= 3
    return (len(text) >= 20 and text.count(" ") >= 3) or _RUN.search(text) is not None


def words_of(text: str) -> set[str]:
    """The text's different words, case folded and with every digit as 0; signs are words too."""
    return {word[:WORD_MAX] for word in _WORD.findall(text[:CHARACTERS_MAX].translate(_DIGITS).casefold())}


def bucket_of(word: str) -> int:
    """Where a word is counted, in [0, `BUCKETS`); the same on every host."""
    return zlib.crc32(word.encode("utf-8", "surrogatepass")) % BUCKETS


class TextSketch:
    """Texts, summarised: `lengths` in characters of all, the rest of those `looked` at.

    `characters` has for each of `CLASSES` the moments of its share in a text, `buckets` (`BUCKETS`,) how many texts
    have a word of each, `words` the frequent words and about how many texts have them. Merges are exact but for `words`
    and the lengths' quantiles.
    """

    __slots__ = ("buckets", "characters", "lengths", "looked", "words")

    def __init__(self) -> None:
        self.lengths = NumericSketch()
        self.looked = 0
        self.characters = tuple(Moments() for _ in CLASSES)
        self.buckets: NDArray[np.int64] = np.zeros(BUCKETS, dtype=np.int64)
        self.words = datasketches.frequent_strings_sketch(NAMES_LG_MAX)

    @property
    def n(self) -> int:
        """How many texts there were."""
        return self.lengths.n

    def update_counts(self, counts: Mapping[str, int]) -> None:
        """Fold each text as often as its count says."""
        texts, repeats = list(counts), np.fromiter(counts.values(), np.int64, len(counts))
        self.lengths.update(np.repeat(np.fromiter(map(len, texts), np.float64, len(texts)), repeats))
        whole = max(0, ALL_LOOKED_AT - self.looked)
        if len(texts) > whole:
            texts = texts[:whole] + texts[whole::EVERY]
            repeats = np.concatenate((repeats[:whole], repeats[whole::EVERY]))
        self.looked += int(repeats.sum())
        for start in range(0, len(texts), _BATCH):
            self._look_at(texts[start : start + _BATCH], repeats[start : start + _BATCH])

    def _look_at(self, texts: Sequence[str], repeats: NDArray[np.int64]) -> None:
        for moments, share in zip(self.characters, character_shares(texts), strict=True):
            moments.merge(Moments.of(np.repeat(share, repeats)))
        update = self.words.update
        for text, repeat in zip(texts, repeats.tolist(), strict=True):
            words = words_of(text)
            self.buckets[[*{bucket_of(word) for word in words}]] += repeat
            for word in words:
                update(word, repeat)

    def merge(self, other: TextSketch) -> None:
        """Add the other's texts to this one's; the other stays as it is."""
        self.lengths.merge(other.lengths)
        self.looked += other.looked
        for mine, theirs in zip(self.characters, other.characters, strict=True):
            mine.merge(theirs)
        self.buckets = self.buckets + other.buckets
        self.words.merge(other.words)

    def names(self) -> dict[str, int]:
        """The frequent words and about how many texts have them, most frequent first."""
        items = self.words.get_frequent_items(datasketches.frequent_items_error_type.NO_FALSE_NEGATIVES)
        return {name: int(estimate) for name, estimate, _, _ in items}


def character_shares(texts: Sequence[str]) -> NDArray[np.float64]:
    """Share of each class among every text's characters, shape (classes, texts), in [0, 1]; 0 of an empty text."""
    cut = [text[:CHARACTERS_MAX] for text in texts]
    lengths = np.fromiter(map(len, cut), np.int64, len(cut))
    codes = np.frombuffer("".join(cut).encode("utf-32-le", "surrogatepass"), "<u4")
    kinds = np.where(codes < 128, _ASCII[np.minimum(codes, 127)], _BEYOND)
    row = np.repeat(np.arange(len(cut)), lengths)
    found = kinds >= 0
    counts = np.bincount(kinds[found] * len(cut) + row[found], minlength=len(CLASSES) * len(cut))
    return counts.reshape(len(CLASSES), len(cut)) / np.maximum(lengths, 1)
