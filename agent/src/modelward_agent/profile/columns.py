"""Columns of a table, as arrays that fold into a feature's profile without a look at single rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from modelward_agent.profile.feature import FeatureProfile
from modelward_agent.profile.fold import FALSE_HASH, TRUE_HASH, Hashes, Numbers, hash_numbers, hash_text, hash_vectors
from modelward_agent.profile.vector import VectorSketch
from modelward_agent.values import number_in_text, number_or_word

Mask = NDArray[np.bool_]
Rows = NDArray[np.intp]


class Column(Protocol):
    """One column of n rows."""

    def fold(self, feature: FeatureProfile, rows: Rows) -> Hashes:
        """Fold the values of these rows; answers their hashes, 0 where there is no value, shape (rows,)."""

    def numbers(self, rows: Rows) -> Numbers | None:
        """These rows' values with NaN where there is none, shape (rows,); None when they are no numbers or booleans."""


@dataclass(frozen=True, slots=True)
class NumberColumn:
    """Numbers, finite or not; `valid` is false where there is none. Both shape (n,)."""

    values: Numbers
    valid: Mask

    def fold(self, feature: FeatureProfile, rows: Rows) -> Hashes:
        """Fold the values of these rows, and answer their hashes."""
        values, valid = self.values[rows], self.valid[rows]
        feature.missing += len(rows) - int(np.count_nonzero(valid))
        feature.update_numbers(values[valid])
        return np.where(valid, hash_numbers(values), np.uint64(0))

    def numbers(self, rows: Rows) -> Numbers:
        """These rows' values, NaN where there is none."""
        return np.where(self.valid[rows], self.values[rows], np.nan)


@dataclass(frozen=True, slots=True)
class BooleanColumn:
    """True and false, shape (n,); `valid` is false where there is neither."""

    values: Mask
    valid: Mask

    def fold(self, feature: FeatureProfile, rows: Rows) -> Hashes:
        """Fold the values of these rows, and answer their hashes."""
        values, valid = self.values[rows], self.valid[rows]
        present = int(np.count_nonzero(valid))
        true = int(np.count_nonzero(values & valid))
        feature.missing += len(rows) - present
        feature.true += true
        feature.false += present - true
        hashes = np.where(values, np.uint64(TRUE_HASH), np.uint64(FALSE_HASH))
        return np.where(valid, hashes, np.uint64(0))

    def numbers(self, rows: Rows) -> Numbers:
        """These rows' values, NaN where there is none."""
        return np.where(self.valid[rows], self.values[rows], np.nan)


@dataclass(frozen=True, slots=True)
class CategoryColumn:
    """Strings by their position in `categories`, shape (n,); -1 where there is none. `read` says which are numbers."""

    codes: NDArray[np.int64]
    categories: Sequence[str]
    read: Callable[[str], float | None] = number_in_text

    def fold(self, feature: FeatureProfile, rows: Rows) -> Hashes:
        """Fold the values of these rows, and answer their hashes."""
        codes = self.codes[rows]
        present, counts = np.unique(codes[codes >= 0], return_counts=True)
        feature.missing += len(rows) - int(counts.sum())
        hashes = np.zeros(len(self.categories) + 1, dtype=np.uint64)  # the last, which -1 finds, stays 0
        if len(present):
            names = [self.categories[code] for code in present]
            texts = dict(zip(names, counts.tolist(), strict=True))
            for name, number in [(name, number) for name in names if (number := self.read(name)) is not None]:
                feature.update_numbers(np.full(texts.pop(name), number))
            if texts:
                feature.update_counts(texts)
            hashes[present] = [hash_text(name) for name in names]
        return hashes[codes]

    def texts(self) -> list[str | None]:
        """Every row's string."""
        return [self.categories[code] if code >= 0 else None for code in self.codes.tolist()]

    def numbers(self, rows: Rows) -> None:
        """None: these are not numbers."""


@dataclass(frozen=True, slots=True)
class VectorColumn:
    """Embeddings of one dimension, shape (n, dimension), and masks of the rows that are something else, shape (n,)."""

    vectors: Numbers
    missing: Mask
    wrong_dimension: Mask
    other: Mask

    def fold(self, feature: FeatureProfile, rows: Rows) -> Hashes:
        """Fold the values of these rows, and answer their hashes."""
        vectors = self.vectors[rows]
        sketch = VectorSketch(vectors.shape[1])
        sketch.wrong_dimension = int(np.count_nonzero(self.wrong_dimension[rows]))
        feature.missing += int(np.count_nonzero(self.missing[rows]))
        feature.other += int(np.count_nonzero(self.other[rows]))
        usual = ~(self.missing | self.wrong_dimension | self.other)[rows]
        sketch.update(vectors[usual])
        if feature.vector is not None:
            feature.vector.merge(sketch)
        elif sketch.n or sketch.wrong_dimension:
            feature.vector = sketch
        return np.where(usual, hash_vectors(vectors), np.uint64(0))

    def numbers(self, rows: Rows) -> None:
        """None: these are not numbers."""


@dataclass(frozen=True, slots=True)
class OtherColumn:
    """Values of a type that no sketch knows, only counted; shape (n,)."""

    valid: Mask

    def fold(self, feature: FeatureProfile, rows: Rows) -> Hashes:
        """Fold the values of these rows, and answer their hashes."""
        present = int(np.count_nonzero(self.valid[rows]))
        feature.other += present
        feature.missing += len(rows) - present
        return np.zeros(len(rows), dtype=np.uint64)

    def numbers(self, rows: Rows) -> None:
        """None: these are not numbers."""


@dataclass(frozen=True, slots=True)
class MixedColumn:
    """Values of several types: each row has one in one of the columns, which have as many rows, or none."""

    columns: tuple[Column, ...]

    def fold(self, feature: FeatureProfile, rows: Rows) -> Hashes:
        """Fold the values of these rows, and answer their hashes."""
        hashes = np.zeros(len(rows), dtype=np.uint64)
        for column in self.columns:
            hashes += column.fold(feature, rows)
        feature.missing -= (len(self.columns) - 1) * len(rows)  # each column misses the others' values
        return hashes

    def numbers(self, rows: Rows) -> None:
        """None: these are not all numbers."""


def vector_column(lists: Sequence[Sequence[Any] | None]) -> VectorColumn:
    """Lists as embeddings of the dimension that most of them have."""
    n = len(lists)
    missing, wrong, other = np.zeros(n, np.bool_), np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    lengths = np.array([-1 if item is None else len(item) for item in lists])
    present = lengths[lengths > 0]
    dimension = int(np.bincount(present).argmax()) if len(present) else 1
    vectors = np.zeros((n, dimension))
    missing[:] = lengths == -1
    other[:] = lengths == 0
    wrong[:] = (lengths > 0) & (lengths != dimension)
    usual = np.flatnonzero(lengths == dimension)
    if len(usual):
        vectors[usual] = np.array([lists[index] for index in usual.tolist()], dtype=np.float64)  # a null becomes NaN
        unusable = usual[~np.isfinite(vectors[usual]).all(axis=1)]
        vectors[unusable] = 0.0
        other[unusable] = True
    return VectorColumn(vectors, missing, wrong, other)


def json_values(column: Column) -> list[Any]:
    """JSON values of numbers, booleans and categories; [] of a column of anything else, which is not sampled."""
    if isinstance(column, CategoryColumn):
        return column.texts()
    if isinstance(column, BooleanColumn):
        return [bool(v) if ok else None for v, ok in zip(column.values.tolist(), column.valid.tolist(), strict=True)]
    if isinstance(column, MixedColumn):
        rows = zip(*map(json_values, column.columns), strict=True)
        return [next((value for value in values if value is not None), None) for values in rows]
    if isinstance(column, NumberColumn):
        return [
            number_or_word(v) if ok else None
            for v, ok in zip(column.values.tolist(), column.valid.tolist(), strict=True)
        ]
    return []
