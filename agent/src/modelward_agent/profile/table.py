"""Parquet and CSV files as batches of typed columns, read in bounded memory. Needs pyarrow (the extra `parquet`)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from modelward_agent.profile.columns import (
    BooleanColumn,
    CategoryColumn,
    Column,
    NumberColumn,
    OtherColumn,
    vector_column,
)
from modelward_agent.profile.fold import Numbers

BATCH_ROWS = 1 << 16
BATCH_VALUES = 1 << 23
"""At most so many rows, and values, are taken up at once: 64 MiB as numbers, however wide the table is."""

_CSV_BLOCK = 8 << 20

_NULL_WORDS = ("", "NA", "N/A", "#N/A", "null", "NULL", "None")
"""What a CSV column of numbers, booleans or times may have in the place of a value; in a column of strings only ""."""

_TRUE_WORDS, _FALSE_WORDS = ("true", "True", "TRUE"), ("false", "False", "FALSE")


class TableError(ValueError):
    """The file cannot be read as asked; the message names the file, the column and what to do."""


@dataclass(frozen=True, slots=True)
class Types:
    """Columns whose type is not to be guessed."""

    categorical: frozenset[str] = frozenset()
    numeric: frozenset[str] = frozenset()
    boolean: frozenset[str] = frozenset()

    def names(self) -> frozenset[str]:
        """Every column that is named."""
        return self.categorical | self.numeric | self.boolean


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
                return _categories(_as_text(array))
            if name in self.types.numeric:
                return _numbers(array)
            if name in self.types.boolean:
                return _booleans(array)
            return _column(array)
        except _arrow().ArrowException as error:
            raise TableError(f"{self.path}: column {name!r}: {error}") from error

    def taken(self, rows: Any) -> Batch:
        """These rows alone, in that order."""
        indices = _arrow().array(rows)
        arrays = {name: array.take(indices) for name, array in self.arrays.items()}
        return Batch(self.path, len(rows), arrays, self.types)

    def categories(self, name: str) -> list[str]:
        """Every row's text, "" for none."""
        return [text or "" for text in _categories(_as_text(self.arrays[name])).texts()]

    def times(self, name: str) -> Numbers:
        """The column as Unix seconds, shape (rows,); `TableError` when it is no time or has gaps."""
        pa = _arrow()
        array = self.arrays[name]
        try:
            array = _decoded(array)
            if _is_text(array.type):
                array = _text_as_times(array)
            column = _numbers(array)
        except pa.ArrowException as error:
            why = _first_that_is_no_time(array) if _is_text(array.type) else None
            raise TableError(f"{self.path}: column {name!r} is no time: {why or error}") from error
        gaps = self.rows - int(np.count_nonzero(column.valid & np.isfinite(column.values)))
        if gaps:
            raise TableError(f"{self.path}: column {name!r} has no time in {gaps} rows; fill or drop them first")
        if self.rows and not 0 <= column.values.min() <= column.values.max() < _YEAR_2200:
            raise TableError(
                f"{self.path}: column {name!r} goes from {column.values.min():g} to {column.values.max():g}, which are "
                "not Unix seconds; divide milliseconds by 1000, or write dates"
            )
        return column.values


_YEAR_2200 = 7_258_118_400.0


def read_batches(path: Path, wanted: Collection[str], excluded: Collection[str], types: Types) -> Iterator[Batch]:
    """The file's rows, at most `BATCH_ROWS` at a time, without the excluded columns.

    Parquet, or CSV (also `.tsv`, `.gz`, `.bz2`, `.zst`) with a header line. Raises `TableError`, also when one of the
    `wanted` or overridden columns is not there.
    """
    if not path.is_file():
        raise TableError(f"{path}: no such file")
    pa = _arrow()
    names = _parquet_names if _is_parquet(path) else _csv_names
    batches = _parquet_batches if _is_parquet(path) else _csv_batches
    try:
        here = names(path)
        for name in sorted({*wanted, *excluded, *types.names()} - set(here)):
            raise TableError(f"{path}: no column {name!r}; it has {', '.join(here)}")
        if twice := sorted({name for name in here if here.count(name) > 1}):
            raise TableError(f"{path}: several columns are named {twice[0]!r}; rename them")
        kept = [name for name in here if name not in excluded]
        for arrays in batches(path, kept, types):
            yield Batch(path, arrays.num_rows, dict(zip(arrays.schema.names, arrays.columns, strict=True)), types)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise TableError(f"{path}: {error}") from error


def _arrow() -> Any:
    try:
        import pyarrow as pa
    except ImportError as error:
        raise TableError("reading tables needs pyarrow: pip install 'pyarrow>=20'") from error
    return pa


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def _parquet_names(path: Path) -> list[str]:
    from pyarrow import parquet

    names: list[str] = parquet.read_schema(path).names
    return [name for name in names if not name.startswith("__index_level_")]


def _parquet_batches(path: Path, names: list[str], _: Types) -> Iterator[Any]:
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        rows = max(1, min(BATCH_ROWS, BATCH_VALUES // max(1, len(names))))
        yield from file.iter_batches(batch_size=rows, columns=names)


def _csv_options(path: Path) -> dict[str, Any]:
    from pyarrow import csv

    delimiter = "\t" if ".tsv" in path.suffixes else ","
    return {
        "read_options": csv.ReadOptions(block_size=_CSV_BLOCK),
        "parse_options": csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
    }


def _csv_names(path: Path) -> list[str]:
    from pyarrow import csv

    with csv.open_csv(path, **_csv_options(path)) as reader:
        names: list[str] = reader.schema.names
    return names


def _csv_text(path: Path, names: list[str]) -> Iterator[Any]:
    import pyarrow as pa
    from pyarrow import csv

    convert = csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()),
        include_columns=names,
        strings_can_be_null=True,
        null_values=[""],
        quoted_strings_can_be_null=True,
    )
    with csv.open_csv(path, convert_options=convert, **_csv_options(path)) as reader:
        yield from reader


def _csv_batches(path: Path, names: list[str], types: Types) -> Iterator[Any]:
    """Two passes: the first finds what every value of a column can be read as, since its first rows may mislead."""
    import pyarrow as pa

    readings: dict[str, dict[str, Any]] = {name: dict(_READINGS) if name not in types.names() else {} for name in names}
    for batch in _csv_text(path, names):
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            for reading, read in list(readings[name].items()):
                try:
                    read(column)
                except (pa.ArrowException, ValueError):
                    del readings[name][reading]
    chosen = {name: next(iter(left.values())) for name, left in readings.items() if left}
    for batch in _csv_text(path, names):
        columns = [
            chosen[name](column) if name in chosen else column
            for name, column in zip(batch.schema.names, batch.columns, strict=True)
        ]
        yield pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _without_null_words(array: Any) -> Any:
    import pyarrow as pa
    from pyarrow import compute

    trimmed = compute.utf8_trim_whitespace(array)
    none = compute.is_in(trimmed, value_set=pa.array(_NULL_WORDS))
    return compute.if_else(none, pa.scalar(None, array.type), trimmed)


def _text_as_booleans(array: Any) -> Any:
    import pyarrow as pa
    from pyarrow import compute

    words = _without_null_words(array)
    true = compute.is_in(words, value_set=pa.array(_TRUE_WORDS))
    known = compute.or_(true, compute.is_in(words, value_set=pa.array(_FALSE_WORDS)))
    if not compute.all(compute.or_(known, words.is_null()), min_count=0).as_py():
        raise pa.ArrowInvalid("some values are neither true nor false")
    return compute.if_else(words.is_valid(), true, pa.scalar(None, pa.bool_()))


def _text_as_numbers(array: Any) -> Any:
    import pyarrow as pa

    return _without_null_words(array).cast(pa.float64())


def _text_as_times(array: Any) -> Any:
    """ISO 8601 texts; without a zone they are UTC."""
    import pyarrow as pa

    words = _without_null_words(array)
    try:
        return words.cast(pa.timestamp("us"))
    except pa.ArrowInvalid:
        return words.cast(pa.timestamp("us", tz="UTC"))


def _first_that_is_no_time(array: Any) -> str:
    """What to correct in a column that cannot be read as times, in words that are not the reader's own."""
    example = "write ISO 8601, for example 2026-03-01 14:30:00Z"
    for word in _without_null_words(array).unique().drop_null().to_pylist():
        try:
            datetime.fromisoformat(word)
        except ValueError:
            return f"{word[:60]!r}; {example}"
    return f"some have a zone and some have none; {example} for all"


_READINGS = {"boolean": _text_as_booleans, "number": _text_as_numbers, "time": _text_as_times}
"""How a CSV column may be read, the first that fits every value; none of them: a category."""


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _is_list(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _is_numeric(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))


def _decoded(array: Any) -> Any:
    from pyarrow import types

    return array.cast(array.type.value_type) if types.is_dictionary(array.type) else array


def _valid(array: Any) -> Any:
    return array.is_valid().to_numpy(zero_copy_only=False)


def _column(array: Any) -> Column:
    from pyarrow import types

    kind = array.type
    if types.is_dictionary(kind):
        return _categories(array) if _is_text(kind.value_type) else _column(_decoded(array))
    if types.is_null(kind):
        return OtherColumn(np.zeros(len(array), dtype=np.bool_))
    if types.is_boolean(kind):
        return _booleans(array)
    if _is_numeric(kind) or types.is_temporal(kind):
        return _numbers(array)
    if _is_text(kind):
        return _categories(array)
    if _is_list(kind) and _is_numeric(kind.value_type):
        return vector_column(array.to_pylist())
    return OtherColumn(_valid(array))


def _numbers(array: Any) -> NumberColumn:
    """Numbers; dates and timestamps as Unix seconds, times of day and durations as seconds, true as 1."""
    import pyarrow as pa
    from pyarrow import types

    array = _decoded(array)
    kind = array.type
    scale = 1.0
    if types.is_date(kind):
        array = array.cast(pa.timestamp("s"))
    elif types.is_timestamp(kind) or types.is_time(kind) or types.is_duration(kind):
        scale = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}[kind.unit]
    elif _is_text(kind):
        array = _text_as_numbers(array)
    if types.is_temporal(array.type):
        array = array.cast(pa.int32() if types.is_time32(array.type) else pa.int64())
    valid = _valid(array)
    if not types.is_floating(array.type) or array.type != pa.float64():
        array = array.cast(pa.float64(), safe=False)
    values = array.fill_null(0.0).to_numpy(zero_copy_only=False)
    return NumberColumn(values / scale if scale != 1.0 else values, valid)


def _booleans(array: Any) -> BooleanColumn:
    """True and false; of numbers, 1 and 0."""
    import pyarrow as pa
    from pyarrow import compute, types

    array = _decoded(array)
    if _is_text(array.type):
        array = _text_as_booleans(array)
    elif not types.is_boolean(array.type):
        ones = array.cast(pa.float64(), safe=False)
        if not compute.all(compute.is_in(ones.drop_null(), value_set=pa.array([0.0, 1.0])), min_count=0).as_py():
            raise pa.ArrowInvalid("some values are neither 0 nor 1")
        array = compute.equal(ones, 1.0)
    return BooleanColumn(array.fill_null(False).to_numpy(zero_copy_only=False), _valid(array))


def _as_text(array: Any) -> Any:
    """Texts of any values; of whole numbers without a decimal point, as a service would name the category."""
    import pyarrow as pa
    from pyarrow import compute, types

    if types.is_dictionary(array.type) and not _is_text(array.type.value_type):
        array = _decoded(array)
    if types.is_floating(array.type):
        numbers = array.cast(pa.float64())
        present = numbers.drop_null()
        if compute.all(compute.equal(compute.floor(present), present), min_count=0).as_py():
            array = numbers.cast(pa.int64())
    if types.is_dictionary(array.type) or _is_text(array.type):
        return array
    return array.cast(pa.string())


def _categories(array: Any) -> CategoryColumn:
    import pyarrow as pa
    from pyarrow import types

    encoded = array if types.is_dictionary(array.type) else array.dictionary_encode()
    codes = encoded.indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
    names = encoded.dictionary.to_pylist()
    if None in names:
        codes = np.where(np.array([name is None for name in names] + [False])[codes], -1, codes)
    return CategoryColumn(codes, [name or "" for name in names])
