"""Columns of a batch into rows of plain values, without knowing pandas, polars or numpy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, repeat
from math import isfinite
from typing import Any

from modelward_agent.recorder.encode import fallback, name_of, number
from modelward_agent.recorder.redact import Action, Redaction

_JSON_TYPES = {int, str, bool, type(None)}


class BatchShapeError(ValueError):
    """Features, predictions, ids, timestamps, latencies or segments that do not have the same number of rows."""


def values_of(column: Any, nan_is_missing: bool = False) -> list[Any]:
    """A column as a list of what JSON knows: of an array, a Series, a categorical, or any iterable."""
    if getattr(getattr(column, "dtype", None), "kind", "") in ("M", "m") and hasattr(column, "astype"):
        column = fallback(column) if not hasattr(column, "to_list") else column
    for method in ("tolist", "to_list"):
        if callable(convert := getattr(column, method, None)):
            values = convert()
            break
    else:
        values = list(column)
    kinds = set(map(type, values))
    if kinds <= _JSON_TYPES or (kinds == {float} and all(map(isfinite, values))):
        return values if isinstance(values, list) else list(values)
    return [value if type(value) in _JSON_TYPES else _cell(value, nan_is_missing) for value in values]


def _cell(value: Any, nan_is_missing: bool) -> Any:
    if isinstance(value, float):
        return None if nan_is_missing and value != value else number(float(value))
    return value


def rows_of(
    features: Any, names: Sequence[str] | None, redaction: Redaction | None, rows: int
) -> Iterable[dict[str, Any]]:
    """Each row's features, redacted.

    `features` is a DataFrame, a mapping of name to column, a list of mappings, or a 2-D array or list of rows with
    `names`. In a DataFrame NaN means missing, as it does to pandas, and becomes null; in arrays it stays NaN. Raises
    BatchShapeError unless there are as many rows as it says.
    """
    kept: dict[str, list[Any]] = {}
    for name, column, nan_is_missing in _columns(features, names):
        _same(f"feature {name}", len(column), rows)
        action = redaction.action(name) if redaction else None
        if action is Action.DROP:
            continue
        values = values_of(column, nan_is_missing)
        kept[name] = list(map(redaction.hashed, values)) if redaction and action is Action.HASH else values
    if not kept:
        return repeat({}, rows)
    keys = tuple(kept)
    return (dict(zip(keys, row, strict=True)) for row in zip(*kept.values(), strict=True))


def _columns(features: Any, names: Sequence[str] | None) -> list[tuple[str, Any, bool]]:
    if hasattr(features, "columns") and hasattr(features, "__getitem__"):
        labels = list(features.columns)
        shown = labels if names is None else list(names)
        _same("names", len(shown), len(labels), "columns")
        return [(name_of(name), features[label], True) for name, label in zip(shown, labels, strict=True)]
    if isinstance(features, Mapping):
        return [(name_of(name), column, False) for name, column in features.items()]
    if isinstance(features, list | tuple) and all(isinstance(row, Mapping) for row in features):
        return [(name_of(name), [row.get(name) for row in features], False) for name in dict.fromkeys(chain(*features))]
    if names is None:
        raise TypeError(f"features: a {type(features).__name__} has no names; give names=[…], a DataFrame or a dict")
    labels = [name_of(name) for name in names]
    if hasattr(features, "shape") and hasattr(features, "T"):
        if len(features.shape) != 2:
            raise BatchShapeError(f"features: the array has {len(features.shape)} dimensions; give one of rows x names")
        columns: list[Any] = list(features.T)
    else:
        widths = {len(row) for row in features}
        if len(widths) > 1:
            raise BatchShapeError(f"features: the rows differ in length: {sorted(widths)}")
        columns = list(zip(*features, strict=True)) if widths else [[] for _ in labels]
    _same("names", len(labels), len(columns), "columns")
    return [(name, column, False) for name, column in zip(labels, columns, strict=True)]


def outcomes_of(predictions: Any, classes: Any) -> list[Any]:
    """One prediction a row; with `classes`, each row of a 2-D array is {class: probability}."""
    if not hasattr(predictions, "__iter__") or isinstance(predictions, str | bytes):
        raise BatchShapeError(f"predictions: a {type(predictions).__name__} has no rows; give one prediction a row")
    values = values_of(predictions)
    if classes is None:
        return values
    labels = [name_of(label) for label in values_of(classes)]
    _same("classes", len(labels), len(values[0]) if values else len(labels), "probabilities a row")
    return [dict(zip(labels, values_of(row), strict=True)) for row in values]


def column_of(name: str, given: Any, rows: int) -> Iterable[Any]:
    """One value a row: the given column, or the given scalar for every row."""
    if given is None or isinstance(given, str | bytes | Mapping) or not hasattr(given, "__len__"):
        return repeat(given, rows)
    values = values_of(given)
    _same(name, len(values), rows)
    return values


def segments_of(segment: Mapping[str, Any] | None, rows: int) -> Iterable[dict[str, Any] | None]:
    """One segment a row, of {name: string or a column of strings}; None a row when there is none."""
    if not segment:
        return repeat(None, rows)
    names = list(segment)
    columns = [column_of(f"segment {name}", segment[name], rows) for name in names]
    return (dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True))


def _same(name: str, given: int, wanted: int, of: str = "rows") -> None:
    if given != wanted:
        raise BatchShapeError(f"{name}: there are {given:,} for {wanted:,} {of}; give one for each")
