"""Columns of a declared type: a table's values are read as the agent reads those of a journal. Needs pyarrow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelward_agent.profile.arrow import column_of
from modelward_agent.profile.columns import (
    BooleanColumn,
    CategoryColumn,
    Column,
    MixedColumn,
    NumberColumn,
    json_values,
)
from modelward_agent.values import ValueType, number_in_text, read_as

Codes = NDArray[np.int64]

_SETTLED = {
    ValueType.CATEGORICAL: CategoryColumn,
    ValueType.NUMERIC: NumberColumn,
    ValueType.BOOLEAN: BooleanColumn,
}


def column_as(array: Any, kind: ValueType) -> Column:
    """The column with its values read as of that type; those that cannot be read so stay what they are."""
    column = column_of(_exactly(array) if kind is ValueType.CATEGORICAL else array, _literally)
    if isinstance(column, _SETTLED[kind]):
        return column
    codes, values = _different(column)
    if not np.any(codes >= 0):
        return column
    read = [read_as(value, kind) for value in values]
    if kind is ValueType.CATEGORICAL:
        return CategoryColumn(codes, read, _literally)
    return _by_type(codes, [_number_in(value) for value in read])


def _exactly(array: Any) -> Any:
    """Integers as the texts that they are as categories: as numbers those beyond 2^53 are not told apart."""
    import pyarrow as pa
    from pyarrow import types

    kind = array.type.value_type if types.is_dictionary(array.type) else array.type
    return array.cast(kind).cast(pa.string()) if types.is_integer(kind) else array


def _literally(text: str) -> None:
    """No text is a number."""


def _number_in(value: Any) -> Any:
    number = number_in_text(value) if isinstance(value, str) else None
    return value if number is None else number


def _different(column: Column) -> tuple[Codes, Sequence[Any]]:
    """By row which of the different values it has, -1 for none, and these as in JSON; nothing of other columns."""
    match column:
        case CategoryColumn():
            return column.codes, column.categories
        case NumberColumn():
            numbers, codes = np.unique(column.values, return_inverse=True)
            values = json_values(NumberColumn(numbers, np.ones(len(numbers), np.bool_)))
            return np.where(column.valid, codes, -1), values
        case BooleanColumn():
            return np.where(column.valid, column.values.astype(np.int64), -1), (False, True)
        case _:
            return np.empty(0, np.int64), ()


def _by_type(codes: Codes, values: Sequence[Any]) -> Column:
    """One column, or one for each type that values have."""
    columns: list[Column] = []
    if (where := _are(values, str)[codes]).any():
        texts = [value if isinstance(value, str) else "" for value in values]
        columns.append(CategoryColumn(np.where(where, codes, -1), texts, _literally))
    if (where := _are(values, bool)[codes]).any():
        columns.append(BooleanColumn(np.array([value is True for value in values] + [False])[codes], where))
    if (where := _are(values, int, float)[codes]).any():
        numbers = [0.0 if isinstance(value, str) else float(value) for value in values]
        columns.append(NumberColumn(np.array([*numbers, 0.0])[codes], where))
    return columns[0] if len(columns) == 1 else MixedColumn(tuple(columns))


def _are(values: Sequence[Any], *types: type) -> NDArray[np.bool_]:
    """Of each value whether it is of these types, and no for the last, which -1 finds."""
    return np.array([type(value) in types for value in values] + [False])
