"""What a model answered in a table's rows, in any form that people keep it in: one value, or probabilities by class.

One column of numbers, texts or booleans; a column of {class: probability} (structs or maps); a column of lists of
probabilities, whose classes are named beside; or a column of probabilities for each class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from modelward_agent.profile.arrow import categories_of, column_of, is_list, numbers_of
from modelward_agent.profile.columns import BooleanColumn, CategoryColumn, Column, Rows, json_values
from modelward_agent.profile.csv_table import TableError
from modelward_agent.profile.feature import FeatureProfile
from modelward_agent.profile.fold import Numbers
from modelward_agent.profile.table import Batch
from modelward_agent.values import FLOAT_WORDS, number_or_word


@dataclass(frozen=True, slots=True)
class Prediction:
    """Where a table has its predictions.

    `column`, or `probabilities`: the class of each column that has one's probability. `classes` are those of a column
    of lists, in their order.
    """

    column: str | None = None
    classes: tuple[str, ...] = ()
    probabilities: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.column is not None and self.probabilities:
            raise TableError(
                "--prediction and --probability exclude each other; give the form that the Recorder records, and "
                "--exclude for the other's columns"
            )
        if len(self.probabilities) == 1:
            raise TableError("--probability: one class is given; give each class's, CLASS=COLUMN")
        if len(set(self.probabilities.values())) < len(self.probabilities):
            raise TableError("--probability: two columns are of one class; give each class once")
        if self.classes and self.column is None:
            raise TableError("--class names the classes of a column of lists; name it with --prediction")

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that it is read from."""
        return tuple(self.probabilities) if self.column is None else (self.column,)

    def __bool__(self) -> bool:
        return bool(self.columns)

    def of(self, batch: Batch) -> Answers:
        """A batch's answers; `TableError` names the column that cannot be read as it is to be."""
        try:
            if self.column is None:
                read = [numbers_of(batch.arrays[name]) for name in self.probabilities]
                matrix = np.column_stack([np.where(one.valid, one.values, np.nan) for one in read])
                present = np.logical_or.reduce([one.valid for one in read])
                return Probabilities(tuple(self.probabilities.values()), matrix, present)
            return self._of_column(batch, self.column, batch.arrays[self.column])
        except _arrow_errors() as error:
            name = self.column or ", ".join(self.probabilities)
            raise TableError(f"{batch.path}: column {name!r}: {error}") from error

    def _of_column(self, batch: Batch, name: str, array: Any) -> Answers:
        from pyarrow import types

        kind = array.type
        if types.is_struct(kind) or types.is_map(kind):
            return _of_mappings([None if row is None else dict(row) for row in array.to_pylist()])
        if is_list(kind):
            return self._of_lists(batch, name, array.to_pylist())
        if self.classes:
            raise TableError(f"{batch.path}: column {name!r} holds no lists, whose classes --class names; leave it out")
        return Values(answer_column(batch, name))

    def _of_lists(self, batch: Batch, name: str, rows: Sequence[Sequence[Any] | None]) -> Answers:
        lengths = {len(row) for row in rows if row is not None}
        if not self.classes and lengths <= {1}:
            import pyarrow as pa

            single = {name: pa.array([None if row is None else row[0] for row in rows])}
            return Values(answer_column(Batch(batch.path, batch.rows, single, batch.types), name))
        if not self.classes:
            raise TableError(
                f"{batch.path}: column {name!r} holds lists of {max(lengths)} probabilities; name their classes in "
                "order with --class, once for each"
            )
        if lengths - {len(self.classes)}:
            raise TableError(
                f"{batch.path}: column {name!r} holds lists of {', '.join(map(str, sorted(lengths)))} probabilities, "
                f"and --class names {len(self.classes)}; name each class once"
            )
        return _of_mappings([None if row is None else dict(zip(self.classes, row, strict=True)) for row in rows])


class Answers(Protocol):
    """The answers of n rows."""

    def fold(self, outputs: dict[str, FeatureProfile], rows: Rows) -> None:
        """Fold those of these rows into the outputs that traffic has of such answers."""

    def values(self) -> list[Any]:
        """Each row's as a journal line has it; None where there is none."""


@dataclass(frozen=True, slots=True)
class Values:
    """One value a row."""

    column: Column

    def fold(self, outputs: dict[str, FeatureProfile], rows: Rows) -> None:
        """As `Answers` has it."""
        self.column.fold(outputs.setdefault("prediction", FeatureProfile()), rows)

    def values(self) -> list[Any]:
        """As `Answers` has it."""
        return json_values(self.column)


@dataclass(frozen=True, slots=True)
class Probabilities:
    """Probabilities of `classes`, shape (n, classes), NaN where one is not told; `present` where a row has any."""

    classes: tuple[str, ...]
    matrix: Numbers
    present: NDArray[np.bool_]

    def fold(self, outputs: dict[str, FeatureProfile], rows: Rows) -> None:
        """The most probable class as the prediction, its probability as the score, and the sum of all."""
        present = self.present[rows]
        stated = self.matrix[rows]
        known = ~np.isnan(stated)
        some = known.any(axis=1)
        top = np.where(known, stated, -np.inf).argmax(axis=1) if len(rows) else np.zeros(0, dtype=np.int64)
        codes = np.where(present & some, top, -1)
        CategoryColumn(codes, self.classes, FLOAT_WORDS.get).fold(
            outputs.setdefault("prediction", FeatureProfile()), np.arange(len(rows))
        )
        scores = np.where(some, stated[np.arange(len(rows)), top], np.nan)
        outputs.setdefault("score", FeatureProfile()).update_numbers(scores[present])
        outputs.setdefault("probability_sum", FeatureProfile()).update_numbers(stated.sum(axis=1)[present])

    def values(self) -> list[Any]:
        """As `Answers` has it."""
        return [
            dict(zip(self.classes, map(number_or_word, row), strict=True)) if there else None
            for row, there in zip(self.matrix.tolist(), self.present.tolist(), strict=True)
        ]


def answer_column(batch: Batch, name: str) -> Column:
    """A column of answers or labels: booleans as the texts that the Recorder writes, numbers and texts as they are."""
    try:
        array = batch.arrays[name]
        column = batch.column(name) if name in batch.types.names() else column_of(array, FLOAT_WORDS.get)
        return categories_of(array, FLOAT_WORDS.get) if isinstance(column, BooleanColumn) else column
    except _arrow_errors() as error:
        raise TableError(f"{batch.path}: column {name!r}: {error}") from error


def _of_mappings(rows: Sequence[Mapping[str, Any] | None]) -> Probabilities:
    classes = tuple(dict.fromkeys(str(name) for row in rows if row is not None for name in row))
    place = {name: index for index, name in enumerate(classes)}
    matrix = np.full((len(rows), max(1, len(classes))), np.nan)
    present = np.zeros(len(rows), dtype=np.bool_)
    for index, row in enumerate(rows):
        for name, p in (row or {}).items():
            matrix[index, place[str(name)]] = _probability(p)
            present[index] = True
    return Probabilities(classes or ("",), matrix, present)


def _probability(value: Any) -> float:
    """NaN of none. TypeError of what is no number."""
    try:
        return np.nan if value is None else float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{value!r:.60} is no probability; the column holds texts or other values") from None


def _arrow_errors() -> Any:
    import pyarrow as pa

    return (pa.ArrowException, TypeError)
