"""A row is recorded the same alone and in a batch, by pandas, polars and Arrow."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from modelward_agent import Recorder

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
integers = st.integers(-(2**53), 2**53)  # a row of a frame of numbers is floats
moments = st.datetimes(pd.Timestamp("1700-01-01"), pd.Timestamp("2200-01-01"))  # what nanoseconds reach
durations = st.timedeltas(timedelta(days=-10_000), timedelta(days=10_000))


def column(values: st.SearchStrategy[Any], dtype: str, gaps: bool) -> Callable[[int], st.SearchStrategy[Any]]:
    cells = st.none() | values if gaps else values

    def of_length(rows: int) -> st.SearchStrategy[Any]:
        return st.lists(cells, min_size=rows, max_size=rows).map(lambda cells: pd.Series(cells, dtype=dtype))

    return of_length


COLUMNS = [
    column(integers, "int64", gaps=False),
    column(st.integers(-128, 127), "int8", gaps=False),
    column(st.floats(), "float64", gaps=True),
    column(st.floats(width=32), "float32", gaps=True),
    column(st.booleans(), "bool", gaps=False),
    column(texts, "str", gaps=True),
    column(texts, "object", gaps=True),
    column(texts, "category", gaps=True),
    column(integers, "category", gaps=True),
    column(integers, "Int64", gaps=True),
    column(st.floats(allow_nan=False), "Float64", gaps=True),
    column(st.booleans(), "boolean", gaps=True),
    column(texts, "string", gaps=True),
    column(moments, "datetime64[ns]", gaps=True),
    column(moments, "datetime64[us, Europe/Berlin]", gaps=True),
    column(durations, "timedelta64[us]", gaps=True),
    column(integers, "int64[pyarrow]", gaps=True),
    column(moments, "timestamp[ns][pyarrow]", gaps=True),
]


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    rows = draw(st.integers(1, 4))
    kinds = draw(st.lists(st.sampled_from(COLUMNS), min_size=1, max_size=6))
    return pd.DataFrame({f"c{place}": draw(kind(rows)) for place, kind in enumerate(kinds)})


def features(record: Callable[[Recorder], object], rows: int) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        with Recorder("m", journal=folder) as recorder:
            record(recorder)
        assert recorder.stats.written == rows
        lines = b"".join(path.read_bytes() for path in Path(folder).glob("*.jsonl")).splitlines()
    return [json.loads(line)["features"] for line in lines]


def typed(rows: list[dict[str, Any]], *, whole_as_float: bool = False) -> list[dict[str, Any]]:
    """Values that are only equal when their types are: for Python, true is 1."""

    def told(value: Any) -> Any:
        if type(value) is int and whole_as_float:
            value = float(value)
        return type(value).__name__, value

    return [{name: told(value) for name, value in row.items()} for row in rows]


def batch(table: Any, rows: int) -> list[dict[str, Any]]:
    return features(lambda recorder: recorder.predict_batch(table, range(rows)), rows)


def one_by_one(rows: list[Any]) -> list[dict[str, Any]]:
    return features(lambda recorder: [recorder.predict(row, 1) for row in rows], len(rows))


@settings(max_examples=200, deadline=None)
@given(frames())
def test_rows_alone_are_as_in_a_batch(frame: pd.DataFrame) -> None:
    expected = batch(frame, len(frame))
    # Not iterrows: pandas 3 makes numbers of the gaps in a category of integers there.
    rows = one_by_one([frame.iloc[place] for place in range(len(frame))])
    # A row of a frame of numbers has one type, float: pandas makes floats of its integers.
    assert typed(rows, whole_as_float=True) == typed(expected, whole_as_float=True)
    if not frame.isna().any(axis=None):
        assert typed(
            one_by_one([dict(zip(frame, row, strict=True)) for row in frame.itertuples(index=False)])
        ) == typed(expected)


@settings(max_examples=200, deadline=None)
@given(frames())
def test_what_is_missing_is_null_and_never_its_name(frame: pd.DataFrame) -> None:
    missing = frame.isna().to_numpy().tolist()
    found = [[value is None for value in row.values()] for row in batch(frame, len(frame))]
    assert found == missing


@settings(max_examples=200, deadline=None)
@given(frames())
def test_a_table_is_the_same_in_every_library(frame: pd.DataFrame) -> None:
    rows = len(frame)
    expected = typed(batch(frame, rows))
    table = pa.Table.from_pandas(frame, preserve_index=False)  # what is NaN to pandas is null to Arrow
    polars = pl.DataFrame(table)
    columns = dict(zip(table.column_names, table.columns, strict=True))
    for other in (table, *table.to_batches(), polars, columns):
        assert typed(batch(other, rows)) == expected
    assert typed(one_by_one(list(polars.iter_rows(named=True)))) == expected
