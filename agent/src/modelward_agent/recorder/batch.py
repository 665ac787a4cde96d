"""A batch's columns into rows of plain values, without knowing pandas, polars, Arrow, scipy or numpy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice, repeat
from typing import Any

from modelward_agent.recorder.columns import (
    BatchShapeError,
    Table,
    cells_of,
    column,
    is_column,
    is_table,
    named_columns,
    one_column,
    rows_in,
    same,
    table_of,
    values_of,
)
from modelward_agent.recorder.encode import MAX_LINE_BYTES
from modelward_agent.recorder.features import features_of, has_names
from modelward_agent.recorder.outcome import class_of
from modelward_agent.recorder.redact import Action, Redaction
from modelward_agent.recorder.value import name_of

__all__ = ["BatchShapeError", "column_of", "outcomes_of", "rows_of", "segments_of"]

_BLOCK_CELLS = 1 << 20
"""Cells of a sparse matrix that are dense at one time."""

_MIN_FEATURE_BYTES = len('"":0,')
_SCALARS = frozenset({float, int, str, bool, type(None)})
_ONE_MODEL = "record each output as a model of its own, with model=…"


def rows_of(
    features: Any, names: Sequence[str] | None, redaction: Redaction | None, rows: int
) -> Iterable[dict[str, Any]]:
    """Each row's features, redacted.

    `features` is a DataFrame, an Arrow table, a mapping of name to column, a list of mappings, or with `names` a 2-D
    array, a sparse matrix or a list of rows. In pandas' columns NaN means missing, as it does to pandas, and becomes
    null; elsewhere it stays NaN. Raises BatchShapeError unless there are as many rows as it says.
    """
    if isinstance(features, Iterator):
        features = list(islice(features, rows + 1))
    if hasattr(features, "tocsr"):
        return _rows_of_sparse(features, names, redaction, rows)
    kept: dict[str, list[Any]] = {}
    for name, cells in _columns(features, names):
        action = redaction.action(name) if redaction else None
        if action is Action.DROP:
            continue
        values = values_of(_feature(name, cells))
        same(f"feature {name}", len(values), rows)
        kept[name] = list(map(redaction.hashed, values)) if redaction and action is Action.HASH else values
    if not kept:
        return repeat({}, rows)
    keys = tuple(kept)
    return (dict(zip(keys, row, strict=True)) for row in zip(*kept.values(), strict=True))


def _feature(name: str, given: Any) -> Any:
    if not is_column(given):
        raise BatchShapeError(f"feature {name}: a {type(given).__name__} is no column; give one value a row")
    return list(given) if isinstance(given, Iterator) else given


def _columns(features: Any, names: Sequence[str] | None) -> Table:
    table = table_of("features", features, None if isinstance(features, Mapping) else names)
    if table is not None:
        _narrow(len(table))
        return table
    shape = _shape(features)
    if len(shape) > 2:
        raise BatchShapeError(f"features: the array has {len(shape)} dimensions; give one of rows x names")
    if len(shape) == 2 and hasattr(features, "T"):
        return named_columns("features", list(features.T), _names(features, names, shape[1]))
    if not is_column(features):
        raise BatchShapeError(f"features: a {type(features).__name__} has no rows; give names=[…] and a 2-D array")
    rows = features if isinstance(features, list | tuple) else cells_of(features)
    if all(map(has_names, rows)):
        return _columns_of_mappings([row if isinstance(row, Mapping) else features_of(row) for row in rows])
    if all(map(_is_row, rows)):
        return _columns_of_rows(rows, _names(features, names, 0))
    if names is None and (label := getattr(features, "name", None)) is not None:  # a Series is one feature
        names = [label]
    labels = _names(features, names, 1)
    if len(labels) > 1:
        raise BatchShapeError(f"features: the array has 1 dimensions for {len(labels)} names; give rows x names")
    return named_columns("features", [features], labels)


def _names(features: Any, names: Sequence[str] | None, width: int) -> list[Any]:
    if names is None:
        raise TypeError(f"features: a {type(features).__name__} has no names; give names=[…], a DataFrame or a dict")
    _narrow(width)
    return list(names)


def _narrow(width: int) -> None:
    if width * _MIN_FEATURE_BYTES > MAX_LINE_BYTES:
        raise BatchShapeError(
            f"features: {width:,} columns do not fit a line of {MAX_LINE_BYTES:,} bytes; record what they were made of"
        )


def _is_row(cell: Any) -> bool:
    return type(cell) is list or (is_column(cell) and rows_in(cell) is not None)


def _columns_of_mappings(mappings: Sequence[Mapping[str, Any]]) -> Table:
    names = list(dict.fromkeys(chain.from_iterable(mappings)))
    return named_columns("features", [[row.get(name) for row in mappings] for name in names], names)


def _columns_of_rows(cells: Sequence[Any], labels: Sequence[Any]) -> Table:
    rows = [cells_of(row) for row in cells]
    widths = {len(row) for row in rows}
    if len(widths) > 1:
        raise BatchShapeError(f"features: the rows differ in length: {sorted(widths)}")
    return named_columns("features", list(zip(*rows, strict=True)) if rows else [[] for _ in labels], labels)


def _rows_of_sparse(
    matrix: Any, names: Sequence[str] | None, redaction: Redaction | None, rows: int
) -> Iterator[dict[str, Any]]:
    """Rows of a sparse matrix, a block of them dense at one time; what it does not hold is 0.0."""
    height, width = matrix.shape
    same("features", height, rows)
    keys = [name for name, _ in named_columns("features", range(width), _names(matrix, names, width))]

    def dense() -> Iterator[dict[str, Any]]:
        by_rows = matrix.tocsr()
        block = max(1, _BLOCK_CELLS // max(1, width))
        for start in range(0, rows, block):
            for row in by_rows[start : start + block].toarray().tolist():
                features = dict(zip(keys, values_of(row), strict=True))
                yield features if redaction is None else redaction.apply(features)

    return dense()


def outcomes_of(predictions: Any, classes: Any) -> list[Any]:
    """One prediction a row; of a table of several columns, and with `classes`, each row is {class: probability}.

    The columns' names are the classes, unless `classes` names as many. Raises BatchShapeError for what has no rows, or
    several values a row that nothing names.
    """
    if isinstance(predictions, Iterator):
        predictions = list(predictions)
    labels = None if classes is None else _labels_of(classes)
    if (table := table_of("predictions", predictions, labels, class_of)) is not None:
        return _outcomes_of_table(table, labels)
    if not is_column(predictions):
        raise BatchShapeError(f"predictions: a {type(predictions).__name__} has no rows; give one prediction a row")
    if _has_outputs(predictions):
        raise BatchShapeError(f"predictions: there are several outputs, an array each; {_ONE_MODEL}")
    values = values_of(predictions.toarray() if hasattr(predictions, "tocsr") else predictions)
    if labels is None and _SCALARS.issuperset(map(type, values)):
        return values
    values = [value[0] if len(_shape(value)) > 1 and not is_table(value) else value for value in values]
    widths = {len(row) if _is_row(row) else 0 for row in values}
    if len(widths) == 1 and (width := widths.pop()) and (labels is not None or width > 1):
        return _named_rows(values, labels, width)
    if labels is not None and not all(isinstance(value, Mapping) for value in values):
        raise BatchShapeError(
            f"classes: there are {len(labels)} and not as many probabilities a row; give one for each"
        )
    return values


def _has_outputs(predictions: Any) -> bool:
    """Whether it has more than one array of rows."""
    if isinstance(predictions, list | tuple):
        return any(len(shape) > 1 and shape[0] != 1 for part in predictions if (shape := _shape(part)))
    return len(_shape(predictions)) > 2


def _shape(array: Any) -> tuple[int, ...]:
    shape: tuple[int, ...] = getattr(array, "shape", ())
    return shape


def _labels_of(classes: Any) -> list[str]:
    cells = cells_of(classes)
    if any(map(is_column, cells)):
        raise BatchShapeError(f"classes: there are those of several outputs; {_ONE_MODEL}")
    labels = list(map(class_of, cells))
    if len(set(labels)) < len(labels):
        raise BatchShapeError(f"classes: two have one name, of {', '.join(labels)}; give each a name of its own")
    return labels


def _outcomes_of_table(table: Table, labels: list[str] | None) -> list[Any]:
    columns = {name: values_of(column(f"predictions: column {name}", cells)) for name, cells in table}
    if len(table) == 1 and labels is None:
        return next(iter(columns.values()))
    rows = len(next(iter(columns.values()), ()))
    for name, values in columns.items():
        same(f"predictions: column {name}", len(values), rows)
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _named_rows(rows: Sequence[Any], labels: list[str] | None, width: int) -> list[Any]:
    if labels is None:
        raise BatchShapeError(
            f"predictions: {width} values a row that nothing names; if they are the probabilities of classes, give "
            f"classes=[…], else {_ONE_MODEL}"
        )
    same("classes", len(labels), width, "probabilities a row")
    return [dict(zip(labels, values_of(row), strict=True)) for row in rows]


def column_of(name: str, given: Any, rows: int, read: Callable[[Any], list[Any]] = cells_of) -> Iterable[Any]:
    """One cell a row: of the given column, as `read` reads it, or the given scalar for every row."""
    if isinstance(given, Iterator):
        given = list(islice(given, rows + 1))
    if not is_column(found := one_column(name, given)):
        return repeat(found, rows)
    cells = read(found)
    same(name, len(cells), rows)
    return cells


def segments_of(segment: Mapping[str, Any] | None, rows: int) -> Iterable[dict[str, Any] | None]:
    """One segment a row, of {name: string or a column of strings}; None a row when there is none."""
    if not segment:
        return repeat(None, rows)
    names = list(segment)
    columns = [column_of(f"segment {name_of(name)}", segment[name], rows) for name in names]
    return (dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True))
