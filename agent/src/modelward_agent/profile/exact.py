"""The different numbers of a stream and how often each came, while they are few: codes, flags, grades, hours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MAX_VALUES = 256
"""More different numbers than this are a quantity and no code, and are not told one by one."""

_WAITING = 64
"""Streams that are merged wait for each other: one sort of many costs less than many of two."""

Numbers = NDArray[np.float64]
Counts = NDArray[np.int64]


class ExactValues:
    """Exact counts of at most `MAX_VALUES` different finite numbers; `None` of more, for good. Merges without loss."""

    __slots__ = ("_counts", "_few", "_values")

    def __init__(self) -> None:
        self._values: list[Numbers] = []
        self._counts: list[Counts] = []
        self._few = True

    def update(self, ascending: NDArray[np.floating]) -> None:
        """Fold numbers in ascending order, shape (n,), n > 0."""
        if not self._few:
            return
        starts = np.flatnonzero(ascending[1:] != ascending[:-1]) + 1
        if len(starts) >= MAX_VALUES:
            self.forget()
            return
        first = np.concatenate(([0], starts))
        self._add(ascending[first].astype(np.float64) + 0.0, np.diff(first, append=len(ascending)))

    def add(self, values: Numbers, counts: Counts) -> None:
        """Fold different numbers, each as often as its count says; both shape (k,)."""
        if self._few:
            self._add(values + 0.0, counts)

    def merge(self, other: ExactValues) -> None:
        """Add the other's numbers to these; the other stays as it is."""
        if not self._few:
            return
        if not other._few:
            self.forget()
        else:
            self._values += other._values
            self._counts += other._counts
            self._settle_when_many()

    def forget(self) -> None:
        """There are too many, or it is not known which they were."""
        self._few = False
        self._values, self._counts = [], []

    @property
    def few(self) -> bool:
        """Whether they may still be told one by one."""
        return self._few

    @property
    def table(self) -> tuple[Numbers, Counts] | None:
        """The numbers, ascending, and their counts, both shape (k,); None when they are not told one by one."""
        self._settle()
        if not self._few:
            return None
        return (self._values[0], self._counts[0]) if self._values else (np.empty(0), np.empty(0, np.int64))

    def copy(self) -> ExactValues:
        """Another one of the same numbers."""
        copied = ExactValues()
        copied._values, copied._counts, copied._few = [*self._values], [*self._counts], self._few
        return copied

    def _add(self, values: Numbers, counts: Counts) -> None:
        self._values.append(values)
        self._counts.append(counts)
        self._settle_when_many()

    def _settle_when_many(self) -> None:
        if len(self._values) > _WAITING:
            self._settle()

    def _settle(self) -> None:
        if len(self._values) < 2:
            return
        values, where = np.unique(np.concatenate(self._values), return_inverse=True)
        if len(values) > MAX_VALUES:
            self.forget()
            return
        counts = np.zeros(len(values), dtype=np.int64)
        np.add.at(counts, where, np.concatenate(self._counts))
        self._values, self._counts = [values], [counts]


NOT_TOLD = ExactValues()
"""Of what is not told one by one. Nothing changes it, so that any number of sketches may share it."""
NOT_TOLD.forget()
