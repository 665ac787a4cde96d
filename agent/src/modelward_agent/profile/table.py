"""Parquet and CSV files as batches of typed columns, read in bounded memory. Needs pyarrow (the extra `parquet`)."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from modelward_agent.profile.arrow import (
    booleans_of,
    categories_of,
    column_of,
    first_that_is_no_time,
    is_text,
    numbers_of,
    text_as_times,
)
from modelward_agent.profile.columns import Column
from modelward_agent.profile.csv_table import CsvFormat, TableError, csv_batches, csv_names
from modelward_agent.profile.declared import column_as
from modelward_agent.profile.fold import Numbers
from modelward_agent.values import ValueType

__all__ = ["Batch", "CsvFormat", "TableError", "Types", "read_batches"]

BATCH_ROWS = 1 << 16
BATCH_VALUES = 1 << 23
"""At most so many rows, and values, are taken up at once: 64 MiB as numbers, however wide the table is."""

_log = logging.getLogger(__name__)

_UNNAMED = re.compile(r"|Unnamed: \d+|__index_level_\d+__")
"""What a data frame's index becomes when it is written without a name."""

_YEAR_1990, _YEAR_2200 = 631_152_000.0, 7_258_118_400.0
_UNITS = (1.0, 1e3, 1e6, 1e9)
"""Of Unix times: seconds, milliseconds, microseconds, nanoseconds."""


@dataclass(frozen=True, slots=True)
class Types:
    """Columns whose type is not to be guessed.

    What is `declared` of a model is read as in traffic, and may name what the table has not; the others come first.
    """

    categorical: frozenset[str] = frozenset()
    numeric: frozenset[str] = frozenset()
    boolean: frozenset[str] = frozenset()
    declared: Mapping[str, ValueType] = field(default_factory=dict)

    def names(self) -> frozenset[str]:
        """Every column that must be there."""
        return self.categorical | self.numeric | self.boolean

    def categories(self) -> frozenset[str]:
        """Every column that is declared a category."""
        return frozenset(name for name, kind in self.declared.items() if kind is ValueType.CATEGORICAL)


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of a table, as Arrow arrays by column name."""

    path: Path
    rows: int
    arrays: Mapping[str, Any]
    types: Types = field(default_factory=Types)

    def column(self, name: str) -> Column:
        """The column, typed by the override if there is one, else by what it holds."""
        array = self.arrays[name]
        try:
            if name in self.types.categorical:
                return categories_of(array)
            if name in self.types.numeric:
                return numbers_of(array)
            if name in self.types.boolean:
                return booleans_of(array)
            if name in self.types.declared:
                return column_as(array, self.types.declared[name])
            return column_of(array)
        except _arrow().ArrowException as error:
            raise TableError(f"{self.path}: column {name!r}: {error}") from error

    def taken(self, rows: Any) -> Batch:
        """These rows alone, in that order."""
        indices = _arrow().array(rows)
        arrays = {name: _without_views(array).take(indices) for name, array in self.arrays.items()}
        return Batch(self.path, len(rows), arrays, self.types)

    def categories(self, name: str) -> list[str]:
        """Every row's text, "" for none."""
        try:
            return [text or "" for text in categories_of(self.arrays[name]).texts()]
        except _arrow().ArrowException as error:
            raise TableError(f"{self.path}: column {name!r} cannot be a segment: {error}") from error

    def times(self, name: str) -> Numbers:
        """The column as Unix seconds, shape (rows,); `TableError` when it is no time or has gaps.

        Numbers are Unix seconds, or milliseconds, microseconds or nanoseconds where they are too large for seconds.
        """
        pa = _arrow()
        array = self.arrays[name]
        texts = is_text(array)
        try:
            column = numbers_of(text_as_times(_as_strings(array)) if texts else array)
        except pa.ArrowException as error:
            why = first_that_is_no_time(_as_strings(array)) if texts else None
            raise TableError(f"{self.path}: column {name!r} is no time: {why or error}") from error
        gaps = self.rows - int(np.count_nonzero(column.valid & np.isfinite(column.values)))
        if gaps:
            raise TableError(f"{self.path}: column {name!r} has no time in {gaps} rows; fill or drop them first")
        if not self.rows:
            return column.values
        low, high = float(column.values.min()), float(column.values.max())
        if low < 0:
            raise TableError(f"{self.path}: column {name!r} has times before 1970; drop or correct those rows")
        for unit in _UNITS:
            if high / unit < _YEAR_2200 and (unit == 1.0 or low / unit >= _YEAR_1990):
                return column.values / unit
        raise TableError(
            f"{self.path}: column {name!r} goes from {low:g} to {high:g}, which are no Unix times; write dates, or "
            "seconds since 1970"
        )


def read_batches(
    path: Path,
    wanted: Collection[str],
    excluded: Collection[str],
    types: Types,
    written: CsvFormat | None = None,
    warn: Callable[[str], object] = _log.warning,
) -> Iterator[Batch]:
    """The file's rows, at most `BATCH_ROWS` at a time, without the excluded columns.

    Parquet, or CSV (also `.tsv`, `.gz`, `.bz2`, `.zst`) with a header line, as `written`. An index of a data frame is
    no column unless it is `wanted`; `warn` is told of what is left out. Raises `TableError`, also when one of the
    `wanted` or overridden columns is not there.
    """
    if not path.is_file():
        raise TableError(f"{path}: no such file")
    pa = _arrow()
    written = written or CsvFormat()
    parquet = _is_parquet(path)
    named = {*wanted, *types.names()}
    try:
        here, index = _parquet_names(path) if parquet else (csv_names(path, written), frozenset())
        for name in sorted({*named, *excluded} - set(here)):
            raise TableError(f"{path}: no column {name!r}; it has {', '.join(here)}")
        if twice := sorted({name for name in here if here.count(name) > 1}):
            raise TableError(f"{path}: several columns are named {twice[0]!r}; rename them")
        told = named | types.declared.keys()
        passed = [name for name in here if (name in index or _UNNAMED.fullmatch(name)) and name not in told]
        if said := [name for name in passed if name not in excluded and not name.startswith("__index_level_")]:
            names = ", ".join(repr(name) for name in said)
            warn(
                f"{path}: {names} is the index of a data frame and no feature (--numeric or --categorical makes it one)"
            )
        kept = [name for name in here if name not in excluded and name not in passed]
        if not kept:
            raise TableError(f"{path}: no column is left; it has {', '.join(map(repr, here)) or 'none'}")
        batches = (
            _parquet_batches(path, kept)
            if parquet
            else csv_batches(path, kept, types.names(), types.categories(), written)
        )
        for arrays in batches:
            yield Batch(path, arrays.num_rows, dict(zip(arrays.schema.names, arrays.columns, strict=True)), types)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise TableError(f"{path}: {error}") from error


def _arrow() -> Any:
    try:
        import pyarrow as pa
    except ImportError as error:
        raise TableError("reading tables needs pyarrow: pip install 'pyarrow>=20'") from error
    return pa


def _without_views(array: Any) -> Any:
    """Texts and bytes as arrays that rows can be taken of, which Arrow cannot of views."""
    pa = _arrow()
    kind = array.type
    if pa.types.is_string_view(kind):
        return array.cast(pa.large_string())
    return array.cast(pa.large_binary()) if pa.types.is_binary_view(kind) else array


def _as_strings(array: Any) -> Any:
    return array.cast(_arrow().string())


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def _parquet_names(path: Path) -> tuple[list[str], frozenset[str]]:
    """The file's columns, and which of them are the index of the pandas frame that was written."""
    from pyarrow import parquet

    schema = parquet.read_schema(path)
    try:
        told = json.loads((schema.metadata or {}).get(b"pandas", b"{}")).get("index_columns", ())
    except (ValueError, AttributeError):
        told = ()
    return schema.names, frozenset(name for name in told if isinstance(name, str))


def _parquet_batches(path: Path, names: list[str]) -> Iterator[Any]:
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        rows = max(1, min(BATCH_ROWS, BATCH_VALUES // max(1, len(names))))
        yield from file.iter_batches(batch_size=rows, columns=names)
