"""What went into one prediction, by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from modelward_agent.recorder.columns import BatchShapeError, cells_of, named_columns, table_of
from modelward_agent.recorder.value import is_nan, name_of

_METHODS = ("model_dump", "_asdict", "as_py", "to_dict")


def has_names(row: Any) -> bool:
    """Whether it is one row whose values have names."""
    if isinstance(row, Mapping) or _is_series(row) or _is_record(row) or dataclasses.is_dataclass(row):
        return True
    return any(hasattr(row, method) for method in _METHODS) and not hasattr(type(row), "columns")


def features_of(features: Any) -> dict[str, Any]:
    """The features as a dict with plain names.

    They are a mapping, a row of a DataFrame or a table of one row, a pydantic model, a dataclass or a namedtuple. In
    pandas' rows NaN means missing and becomes None. Raises TypeError for anything else, since without names there are
    no features, and BatchShapeError for a table of several rows and for a name that several have.
    """
    if isinstance(features, Mapping):
        return {name_of(name): value for name, value in features.items()}
    if _is_series(features):
        cells = [None if is_nan(cell) else cell for cell in cells_of(features)]
        return dict(named_columns("features", cells, list(features.index)))
    if _is_record(features):
        return {name_of(name): features[name] for name in features.dtype.names}
    if (table := table_of("features", features)) is not None:
        return {name: _only_cell(name, column) for name, column in table}
    if dataclasses.is_dataclass(features) and not isinstance(features, type):
        return {field.name: getattr(features, field.name) for field in dataclasses.fields(features)}
    for method in _METHODS:
        if callable(convert := getattr(features, method, None)) and isinstance(named := convert(), Mapping):
            return features_of(named)
    if hasattr(features, "keys") and hasattr(features, "__getitem__"):  # a database's row
        return features_of(dict(features))
    raise TypeError(f"features: a {type(features).__name__} has no names; give a dict of name to value")


def _is_series(row: Any) -> bool:
    return hasattr(row, "iloc") and hasattr(row, "index") and not hasattr(type(row), "columns")


def _is_record(row: Any) -> bool:
    """A row of numpy's structured arrays."""
    return getattr(getattr(row, "dtype", None), "names", None) is not None and getattr(row, "shape", None) == ()


def _only_cell(name: str, column: Any) -> Any:
    cells = cells_of(column)
    if len(cells) != 1:
        raise BatchShapeError(f"features: {len(cells):,} rows (column {name}) are not one; use predict_batch")
    return None if hasattr(column, "iloc") and is_nan(cells[0]) else cells[0]
