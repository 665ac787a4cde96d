"""What a table's columns and a column's cells are, of pandas, polars, Arrow, numpy or plain Python, by their looks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import isfinite
from typing import Any

from modelward_agent.recorder.moment import in_seconds
from modelward_agent.recorder.value import is_nan, is_pandas, name_of, plain

Table = Sequence[tuple[str, Any]]
"""Columns by their names, which differ."""

_JSON_TYPES = {int, str, bool, type(None)}
_UNREAD = {"toPandas": "toPandas()", "collect": "collect()", "compute": "compute()", "read_all": "read_all()"}
"""Methods of what still has to be computed or read, and what to call."""


class BatchShapeError(ValueError):
    """Features, predictions, ids, timestamps, latencies or segments that do not fit each other, or a batch."""


def is_column(given: Any) -> bool:
    """Whether it has one value a row, and no columns of its own."""
    if isinstance(given, str | bytes | bytearray | Mapping) or getattr(given, "shape", None) == ():
        return False
    return not is_table(given) and hasattr(given, "__iter__") and not hasattr(given, "as_py")


def rows_in(given: Any) -> int | None:
    """How many rows a table, a column or a mapping of columns has; None when it does not say."""
    if isinstance(given, Mapping):
        return next((rows_in(column) for column in given.values()), None)
    if shape := getattr(given, "shape", None):
        return int(shape[0])
    return len(given) if hasattr(given, "__len__") and not isinstance(given, str | bytes) else None


def cells_of(column: Any) -> list[Any]:
    """A column's cells as Python has them: of an array, a Series, a categorical, or any iterable."""
    dtype_kind = getattr(getattr(column, "dtype", None), "kind", "")
    if dtype_kind in ("M", "m") and hasattr(column, "itemsize"):  # numpy's nanoseconds would become bare integers
        column = column.astype("datetime64[us]" if dtype_kind == "M" else "timedelta64[us]")
    if hasattr(column, "tocsr"):
        column = column.toarray()
    for method in ("tolist", "to_list", "to_pylist", "__array__"):
        if callable(convert := getattr(column, method, None)):
            cells = convert()
            return cells if isinstance(cells, list) else list(cells.tolist())
    return list(column)


def values_of(column: Any) -> list[Any]:
    """A column's cells as the journal has them. What is nested in a cell stays as it is, for `encode`."""
    if type(column) is list:
        cells = column
    elif isinstance(seconds := in_seconds(column), list):
        return seconds
    else:
        cells = cells_of(column)
    kinds = set(map(type, cells))
    if kinds <= _JSON_TYPES or (kinds == {float} and all(map(isfinite, cells))):
        return cells
    nan_is_missing = is_pandas(column)
    return [cell if type(cell) in _JSON_TYPES else _value(cell, nan_is_missing) for cell in cells]


def _value(cell: Any, nan_is_missing: bool) -> Any:
    if type(cell) is float and isfinite(cell):
        return cell
    if nan_is_missing and is_nan(cell):
        return None
    return cell if isinstance(cell, list | tuple | Mapping) or getattr(cell, "shape", None) else plain(cell)


def column(name: str, given: Any) -> Any:
    """The one column that it is or has. Raises BatchShapeError when it is none, or has several."""
    if not is_column(found := one_column(name, given)):
        raise BatchShapeError(f"{name}: a {type(given).__name__} is no column; give one value a row")
    return list(found) if isinstance(found, Iterator) else found


def one_column(name: str, given: Any) -> Any:
    """The column that a table or an array of one column is; what has no columns as it is."""
    if not isinstance(given, Mapping) and (table := table_of(name, given)) is not None:
        return _only(name, [cells for _, cells in table])
    if len(getattr(given, "shape", ())) > 1:
        return _only(name, (given.toarray() if hasattr(given, "tocsr") else given).T)
    return given


def _only(name: str, columns: Sequence[Any]) -> Any:
    if len(columns) != 1:
        raise BatchShapeError(f"{name}: there are {len(columns)} columns; give one")
    return columns[0]


def is_table(given: Any) -> bool:
    """Whether it has columns that have names."""
    if getattr(getattr(given, "dtype", None), "names", None) or isinstance(given, Mapping):
        return True
    return _unread(given) is not None or (hasattr(type(given), "columns") and hasattr(given, "__getitem__"))


def _unread(given: Any) -> str | None:
    return next((call for method, call in _UNREAD.items() if hasattr(type(given), method)), None)


def table_of(
    what: str, given: Any, names: Iterable[Any] | None = None, named: Callable[[Any], str] = name_of
) -> Table | None:
    """Name and column of what has named columns, renamed when there are `names`; None when it has none.

    It is a DataFrame of any library, an Arrow table or batch, a structured array or a mapping. Raises BatchShapeError
    when two columns have one name, when there are not as many names, and for what has still to be computed or read.
    """
    kind = type(given).__name__
    if (call := _unread(given)) is not None and not isinstance(given, Mapping):
        raise BatchShapeError(f"{what}: a {kind} has no rows yet; give what its {call} returns")
    if not is_table(given):
        return None
    labels, columns = _labels_and_columns(given)
    return named_columns(what, columns, labels if names is None else list(names), named)


def _labels_and_columns(given: Any) -> tuple[list[Any], list[Any]]:
    if isinstance(given, Mapping):
        return list(given), list(given.values())
    if fields := getattr(getattr(given, "dtype", None), "names", None):  # a structured array
        return list(fields), [given[field] for field in fields]
    if hasattr(given, "iloc"):  # by position: pandas finds several columns under one label
        return list(given.columns), [given.iloc[:, index] for index in range(len(given.columns))]
    if hasattr(given, "schema") and hasattr(given.schema, "metadata"):  # Arrow's columns are arrays
        return list(given.schema.names), list(given.columns)
    labels = list(given.columns)
    return labels, [given[label] for label in labels]


def named_columns(
    what: str, columns: Sequence[Any], labels: Sequence[Any], named: Callable[[Any], str] = name_of
) -> Table:
    """The columns under their names. Raises BatchShapeError when two have one name, or when there are not as many."""
    same("names", len(labels), len(columns), f"columns of {what}")
    names = list(map(named, labels))
    if len(set(names)) < len(names):
        name, times = Counter(names).most_common(1)[0]
        raise BatchShapeError(f"{what}: {times} columns are named {name}; give each column a name of its own")
    return list(zip(names, columns, strict=True))


def same(name: str, given: int, wanted: int, of: str = "rows") -> None:
    """Raises BatchShapeError unless there are as many as wanted."""
    if given != wanted:
        raise BatchShapeError(f"{name}: there are {given:,} for {wanted:,} {of}; give one for each")
