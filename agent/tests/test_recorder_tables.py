"""Batches as people have them: tables and columns of pandas, polars, Arrow, numpy, scipy and plain Python."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from scipy import sparse

from agent.tests.recorded import recorded
from modelward_agent import Recorder

MIDNIGHT = 1772323200.0  # 2026-03-01
DAY = date(2026, 3, 1)
NOON = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)

COLUMNS: dict[str, list[Any]] = {
    "number": [1.5, 2.5],
    "whole": [1, 2],
    "text": ["a", "b"],
    "new": [True, False],
    "day": [DAY, DAY],
    "at": [NOON, NOON],
    "embedding": [[1.0, 2.0], [3.0, 4.0]],
    "gap": ["x", None],
}
ROWS = [
    {
        "number": number,
        "whole": whole,
        "text": text,
        "new": new,
        "day": MIDNIGHT,
        "at": MIDNIGHT + 43200.25,
        "embedding": embedding,
        "gap": gap,
    }
    for number, whole, text, new, _, _, embedding, gap in zip(*COLUMNS.values(), strict=True)
]


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder("fraud", "7", journal=tmp_path)


def polars_table() -> Any:
    return pl.DataFrame(COLUMNS).with_columns(pl.col("text").cast(pl.Categorical), pl.col("embedding").list.to_array(2))


def array_of_objects(values: list[Any]) -> Any:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


TABLES: dict[str, Callable[[], Any]] = {
    "pandas": lambda: pd.DataFrame(COLUMNS, index=[7, 7]),
    "pandas on Arrow": lambda: pa.table(COLUMNS).to_pandas(types_mapper=pd.ArrowDtype),
    "polars": polars_table,
    "an Arrow table": lambda: pa.table(COLUMNS),
    "an Arrow table of chunks": lambda: pa.concat_tables([pa.table(COLUMNS).slice(0, 1), pa.table(COLUMNS).slice(1)]),
    "an Arrow batch": lambda: pa.RecordBatch.from_pydict(COLUMNS),
    "lists": lambda: COLUMNS,
    "tuples": lambda: {name: tuple(values) for name, values in COLUMNS.items()},
    "generators": lambda: {name: iter(values) for name, values in COLUMNS.items()},
    "Series": lambda: {name: pd.Series(values) for name, values in COLUMNS.items()},
    "arrays of objects": lambda: {name: array_of_objects(values) for name, values in COLUMNS.items()},
    "Arrow arrays": lambda: {name: pa.array(values) for name, values in COLUMNS.items()},
    "chunked Arrow arrays": lambda: {name: pa.chunked_array([values]) for name, values in COLUMNS.items()},
    "polars' Series": lambda: {name: pl.Series(values) for name, values in COLUMNS.items()},
    "dicts": lambda: pa.table(COLUMNS).to_pylist(),
    "rows of a frame": lambda: [row for _, row in pd.DataFrame(COLUMNS).iterrows()],
    "namedtuples": lambda: list(pd.DataFrame(COLUMNS, dtype=object).itertuples(index=False)),
    "a generator of dicts": lambda: iter(pa.table(COLUMNS).to_pylist()),
    "a Series of dicts": lambda: pd.Series(pa.table(COLUMNS).to_pylist()),
    "an Arrow struct array": lambda: pa.table(COLUMNS).to_struct_array(),
    "a polars struct": lambda: pl.DataFrame(COLUMNS).to_struct("row"),
}


@pytest.mark.parametrize("name", TABLES)
def test_features_of_any_table(name: str, recorder: Recorder, tmp_path: Path) -> None:
    ids = recorder.predict_batch(TABLES[name](), [1, 2])
    lines = recorded(tmp_path)
    assert [line["id"] for line in lines] == ids
    assert [line["features"] for line in lines] == ROWS
    assert [[type(value) for value in line["features"].values()] for line in lines] == [
        [type(value) for value in row.values()] for row in ROWS
    ]


def test_nan_is_missing_in_pandas_and_nan_elsewhere(recorder: Recorder, tmp_path: Path) -> None:
    values = [math.nan, math.inf]
    for column in (pd.Series(values), pd.array(values, "Float64"), pl.Series(values), pa.array(values), values):
        recorder.predict_batch({"x": column}, [1, 2])
    recorder.predict_batch(pd.DataFrame({"x": pd.Series([Decimal("NaN"), "y"], dtype=object)}), [1, 2])
    found = [line["features"]["x"] for line in recorded(tmp_path)]
    assert found[::2] == [None, None, "NaN", "NaN", "NaN", None]
    assert found[1::2] == ["Infinity"] * 5 + ["y"]


def test_categories_are_their_values(recorder: Recorder, tmp_path: Path) -> None:
    for column in (
        pd.Categorical([3, 1, None], categories=[1, 3]),
        pd.Series([3, 1, None], dtype=pd.CategoricalDtype([1, 3])),
        pd.Index([3, 1, None], dtype=pd.CategoricalDtype([1, 3])),
        pa.array([3, 1, None]).dictionary_encode(),
    ):
        recorder.predict_batch({"x": column}, [1, 2, 3])
    recorder.predict_batch({"x": pl.Series(["b", "a", None], dtype=pl.Enum(["a", "b"]))}, [1, 2, 3])
    recorder.predict_batch({"x": pd.cut(pd.Series([1.0, 9.0, np.nan]), [0, 5, 10])}, [1, 2, 3])
    found = [line["features"]["x"] for line in recorded(tmp_path)]
    assert found == [3, 1, None] * 4 + ["b", "a", None] + ["(0.0, 5.0]", "(5.0, 10.0]", None]


def test_moments_finer_than_microseconds_and_outside_pythons_years(recorder: Recorder, tmp_path: Path) -> None:
    ticks = [1772323200_123456_789, -1, None]
    for column in (
        pa.array(ticks, pa.timestamp("ns")),
        pa.array(ticks, pa.timestamp("ns", "Europe/Berlin")),
        pa.array(ticks, pa.duration("ns")),
        pl.Series(ticks, dtype=pl.Datetime("ns")),
        pl.Series(ticks, dtype=pl.Duration("ns")),
        pa.array(ticks, pa.timestamp("ns")).to_pandas(),
        pa.array(ticks, pa.timestamp("ns")).to_pandas().to_numpy(),
        pa.array(ticks, pa.duration("ns")).to_pandas(),
        pa.array(ticks, pa.duration("ns")).to_pandas().to_numpy(),
    ):
        recorder.predict_batch({"x": column}, [1, 2, 3])
    found = [line["features"]["x"] for line in recorded(tmp_path)]
    assert found == [1772323200.123456, -1e-06, None] * 9
    recorder.predict_batch({"x": np.array(["20000-01-01"], dtype="datetime64[s]")}, [1])
    recorder.predict_batch({"x": pl.Series([18262]).cast(pl.Date), "t": pl.Series([1_500_000_000]).cast(pl.Time)}, [1])
    recorder.predict_batch({"x": pa.array([3], pa.time32("s"))}, [1])
    assert [list(line["features"].values()) for line in recorded(tmp_path)[-3:]] == [
        [568971820800.0],
        [1577836800.0, 1.5],
        [3.0],
    ]


@pytest.mark.parametrize(
    "rows",
    [
        np.array([[1.0, 0.0], [0.0, 4.0]]),
        np.array([[1, 0], [0, 4]], dtype=object),
        np.asfortranarray([[1.0, 0.0], [0.0, 4.0]]),
        np.array([(1.0, 0.0), (0.0, 4.0)], dtype=[("p", "f4"), ("q", "f8")]),
        np.array([(1.0, 0.0), (0.0, 4.0)], dtype=[("p", "f4"), ("q", "f8")]).view(np.recarray),
        sparse.csr_array([[1.0, 0.0], [0.0, 4.0]]),
        sparse.csc_matrix([[1.0, 0.0], [0.0, 4.0]]),
        sparse.coo_array([[1.0, 0.0], [0.0, 4.0]]),
        [np.array([1.0, 0.0]), np.array([0.0, 4.0])],
        iter([[1.0, 0.0], [0.0, 4.0]]),
        pd.DataFrame({"p": [1.0, 0.0], "q": [0.0, 4.0]}),
        pd.DataFrame({"p": pd.arrays.SparseArray([1.0, 0.0]), "q": pd.arrays.SparseArray([0.0, 4.0])}),
        pl.DataFrame({"p": [1.0, 0.0], "q": [0.0, 4.0]}),
        pa.table({"p": [1.0, 0.0], "q": [0.0, 4.0]}),
    ],
)
@pytest.mark.parametrize("names", [["a", "b"], np.array(["a", "b"]), pd.Index(["a", "b"])])
def test_rows_with_names_beside_them(rows: Any, names: Any, recorder: Recorder, tmp_path: Path) -> None:
    if isinstance(rows, type(iter([]))):
        rows = iter([[1.0, 0.0], [0.0, 4.0]])
    recorder.predict_batch(rows, [1, 2], names=names)
    assert [line["features"] for line in recorded(tmp_path)] == [{"a": 1.0, "b": 0.0}, {"a": 0.0, "b": 4.0}]


def test_a_structured_array_has_names_of_its_own(recorder: Recorder, tmp_path: Path) -> None:
    recorder.predict_batch(np.array([(1, "x", "2026-03-01")], dtype=[("n", "i4"), ("t", "U1"), ("at", "M8[ns]")]), [1])
    assert recorded(tmp_path)[0]["features"] == {"n": 1, "t": "x", "at": MIDNIGHT}


def test_a_large_sparse_matrix_is_dense_by_blocks_only(
    recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelward_agent.recorder.batch._BLOCK_CELLS", 100)
    matrix = sparse.random_array((55, 40), density=0.1, rng=np.random.default_rng(0), format="csr")
    largest = 0
    toarray = type(matrix).toarray

    def watched(self: Any, *args: Any, **options: Any) -> Any:
        nonlocal largest
        largest = max(largest, math.prod(self.shape))
        return toarray(self, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(type(matrix), "toarray", watched)
        recorder.predict_batch(matrix, np.zeros(55), names=[f"w{n}" for n in range(40)])
    assert [list(line["features"].values()) for line in recorded(tmp_path)] == matrix.toarray().tolist()
    assert largest <= 100


def test_redaction_holds_in_a_sparse_matrix(tmp_path: Path) -> None:
    recorder = Recorder("fraud", journal=tmp_path, redact={"b": "drop"})
    recorder.predict_batch(sparse.csr_array([[1.0, 2.0]]), [1], names=["a", "b"])
    assert recorded(tmp_path)[0]["features"] == {"a": 1.0}


def test_names_that_are_no_strings(recorder: Recorder, tmp_path: Path) -> None:
    frame = pd.DataFrame([[1, 2, 3]], columns=[1, 2.5, pd.Timestamp("2026-03-01")])
    recorder.predict_batch(frame, [1])
    levels = pd.MultiIndex.from_tuples([("sum", np.int64(1)), ("sum", np.int64(2))])
    recorder.predict_batch(pd.DataFrame([[1, 2]], columns=levels), [1])
    first, second = (list(line["features"]) for line in recorded(tmp_path))
    assert first == ["1", "2.5", "2026-03-01 00:00:00"]
    assert second == ["('sum', 1)", "('sum', 2)"]


SEVERAL: dict[str, Any] = {
    "a frame": pd.DataFrame([[1, 2], [3, 4]], columns=["a", "a"]),
    "levels": pd.DataFrame([[1, 2], [3, 4]], columns=pd.MultiIndex.from_tuples([("a", 1), ("a", 1)])),
    "a number and its text": pd.DataFrame([[1, 2], [3, 4]], columns=[1, "1"]),
    "an Arrow table": pa.table([[1, 3], [2, 4]], names=["a", "a"]),
    "a dict": {1: [1, 3], "1": [2, 4]},
    "dicts": [{1: 1, "1": 2}] * 2,
}


@pytest.mark.parametrize("name", SEVERAL)
def test_columns_of_one_name_are_refused_by_name(
    name: str, recorder: Recorder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert recorder.predict_batch(SEVERAL[name], [0, 1]) == []
    assert "features: 2 columns are named " in caplog.text
    assert (recorder.stats.written, recorder.stats.failed) == (0, 2)
    assert recorded(tmp_path) == []


LABELS = ["x", "y"]
PREDICTIONS: dict[str, Any] = {
    "a list": [0.25, 0.5],
    "an array": np.array([0.25, 0.5], dtype=np.float32),
    "one column": np.array([[0.25], [0.5]]),
    "a list of one column": [[0.25], [0.5]],
    "arrays of one": [np.array([0.25]), np.array([[0.5]])],
    "a Series": pd.Series([0.25, 0.5], index=[5, 5]),
    "an Arrow-backed Series": pd.Series([0.25, 0.5], dtype="double[pyarrow]"),
    "a polars Series": pl.Series([0.25, 0.5]),
    "an Arrow array": pa.array([0.25, 0.5]),
    "a chunked Arrow array": pa.chunked_array([[0.25], [0.5]]),
    "decimals": [Decimal("0.25"), Decimal("0.5")],
    "a frame of one column": pd.DataFrame({"p": [0.25, 0.5]}),
    "a polars frame of one column": pl.DataFrame({"p": [0.25, 0.5]}),
    "an Arrow table of one column": pa.table({"p": [0.25, 0.5]}),
    "a sparse column": sparse.csr_array([[0.25], [0.5]]),
}


@pytest.mark.parametrize("name", PREDICTIONS)
def test_predictions_of_any_column(name: str, recorder: Recorder, tmp_path: Path) -> None:
    recorder.predict_batch({"x": [1, 2]}, PREDICTIONS[name])
    assert [line["prediction"] for line in recorded(tmp_path)] == [0.25, 0.5]


def test_predictions_of_a_generator(recorder: Recorder, tmp_path: Path) -> None:
    recorder.predict_batch({"x": [1, 2]}, (value for value in ("a", "b")))
    assert [line["prediction"] for line in recorded(tmp_path)] == ["a", "b"]


CAT, DOG = [0.25, 0.875], [0.75, 0.125]
PROBABILITIES: dict[str, tuple[Any, Any]] = {
    "a frame": (pd.DataFrame({"cat": CAT, "dog": DOG}), None),
    "a polars frame": (pl.DataFrame({"cat": CAT, "dog": DOG}), None),
    "an Arrow table": (pa.table({"cat": CAT, "dog": DOG}), None),
    "a dict of columns": ({"cat": np.array(CAT), "dog": pd.Series(DOG)}, None),
    "dicts": ([{"cat": 0.25, "dog": 0.75}, {"cat": 0.875, "dog": 0.125}], None),
    "a polars struct": (pl.DataFrame({"cat": CAT, "dog": DOG}).to_struct("p"), None),
    "a frame and classes": (pd.DataFrame({0: CAT, 1: DOG}), ["cat", "dog"]),
    "a polars frame and classes": (pl.DataFrame({"p0": CAT, "p1": DOG}), np.array(["cat", "dog"])),
    "an Arrow table and classes": (pa.table({"p0": CAT, "p1": DOG}), pa.array(["cat", "dog"])),
    "an array and classes": (np.array([CAT, DOG]).T, pd.Index(["cat", "dog"])),
    "a list and classes": ([[0.25, 0.75], (0.875, 0.125)], pl.Series(["cat", "dog"])),
    "arrays and classes": (list(np.array([CAT, DOG]).T), ["cat", "dog"]),
    "arrays of one row and classes": ([np.array([[0.25, 0.75]]), np.array([[0.875, 0.125]])], ["cat", "dog"]),
    "Arrow lists and classes": (pa.array([[0.25, 0.75], [0.875, 0.125]]), ["cat", "dog"]),
    "polars' arrays and classes": (pl.Series([[0.25, 0.75], [0.875, 0.125]]), ["cat", "dog"]),
}


@pytest.mark.parametrize("name", PROBABILITIES)
def test_probabilities_of_any_table(name: str, recorder: Recorder, tmp_path: Path) -> None:
    predictions, classes = PROBABILITIES[name]
    recorder.predict_batch({"x": [1, 2]}, predictions, classes=classes)
    assert [line["prediction"] for line in recorded(tmp_path)] == [
        {"cat": 0.25, "dog": 0.75},
        {"cat": 0.875, "dog": 0.125},
    ]


@pytest.mark.parametrize(
    ("classes", "names"),
    [
        ([0.0, 1.0], ["0", "1"]),
        (np.array([0, 1]), ["0", "1"]),
        (np.array([False, True]), ["false", "true"]),
        (np.array(["a", "b"]), ["a", "b"]),
        (np.array([0.5, 1.5]), ["0.5", "1.5"]),
    ],
)
def test_classes_of_any_type(classes: Any, names: list[str], recorder: Recorder, tmp_path: Path) -> None:
    recorder.predict_batch({"x": [1]}, np.array([[0.25, 0.75]]), classes=classes)
    recorder.predict_batch({"x": [1]}, pd.DataFrame([[0.25, 0.75]], columns=classes))
    assert [line["prediction"] for line in recorded(tmp_path)] == [dict(zip(names, (0.25, 0.75), strict=True))] * 2


def test_a_missing_prediction_is_an_abstention(recorder: Recorder, tmp_path: Path) -> None:
    recorder.predict_batch({"x": [1, 2]}, pd.Series([np.nan, 1.0]))
    recorder.predict_batch({"x": [1, 2]}, pl.DataFrame({"a": [None, 0.25], "b": [None, 0.75]}))
    assert [line["prediction"] for line in recorded(tmp_path)] == [None, 1.0, None, {"a": 0.25, "b": 0.75}]


REFUSED: list[tuple[dict[str, Any], str]] = [
    (
        {"predictions": np.zeros((2, 3))},
        "predictions: 3 values a row that nothing names; if they are the probabilities",
    ),
    ({"predictions": np.zeros((2, 3))}, "classes=[…]"),
    ({"predictions": [[0.5, 0.5], [0.5, 0.5]]}, "predictions: 2 values a row that nothing names"),
    ({"predictions": np.zeros((2, 2, 2))}, "predictions: there are several outputs, an array each; record each output"),
    ({"predictions": [np.zeros((2, 2)), np.zeros((2, 2))]}, "predictions: there are several outputs"),
    ({"predictions": np.zeros((2, 2)), "classes": [np.zeros(2), np.zeros(2)]}, "those of several outputs"),
    ({"predictions": np.zeros((2, 2)), "classes": ["a"]}, "classes: there are 1 for 2 probabilities a row"),
    ({"predictions": np.zeros((2, 2)), "classes": ["a", "a"]}, "classes: two have one name, of a, a"),
    ({"predictions": [0.5, 0.5], "classes": ["a", "b"]}, "classes: there are 2 and not as many probabilities a row"),
    ({"predictions": pd.DataFrame({"a": [1, 2]}), "classes": ["a", "b"]}, "names: there are 2 for 1 columns of predic"),
    ({"predictions": pd.DataFrame({"l": ["a", "b"], "p": [0.5, 0.5]})}, "prediction: l is a; give a number"),
    ({"predictions": {"a": 0.5, "b": 0.5}}, "predictions: column a: a float is no column"),
    ({"predictions": {"a": [0.5, 0.5], "b": [0.5]}}, "predictions: column b: there are 1 for 2 rows"),
    ({"predictions": "ab"}, "predictions: a str has no rows"),
    ({"features": pl.LazyFrame({"x": [1, 2]})}, "features: a LazyFrame has no rows yet; give what its collect() ret"),
    ({"features": {"x": [1, 2], "country": "DE"}}, "feature country: a str is no column; give one value a row"),
    ({"features": {"x": [1, 2], "n": 5}}, "feature n: a int is no column; give one value a row"),
    ({"features": sparse.csr_array((2, 2))}, "has no names; give names="),
    ({"features": sparse.csr_array((2, 2)), "names": ["a"]}, "names: there are 1 for 2 columns of features"),
    ({"features": sparse.csr_array((2, 1 << 20)), "names": ["a"]}, "features: 1,048,576 columns do not fit a line"),
    ({"features": iter([{"x": 1}])}, "feature x: there are 1 for 2 rows"),
    ({"ids": pd.DataFrame({"a": [1, 2], "b": [1, 2]})}, "ids: there are 2 columns; give one"),
    ({"timestamps": [1772323200, None]}, "timestamp: not a moment: 'None'"),
]


@pytest.mark.parametrize(("arguments", "says"), REFUSED)
def test_what_does_not_fit_is_refused_in_words(
    arguments: dict[str, Any], says: str, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    recorder.predict_batch(**{"features": {"x": [1, 2]}, "predictions": [1, 2], **arguments})
    assert says in caplog.text
    stats = recorder.stats
    assert stats.written + stats.failed == 2
    assert stats.failed >= 1


def table(values: list[Any]) -> Any:
    return pd.DataFrame({"only": values})


def chunked(values: list[Any]) -> Any:
    return pa.chunked_array([values])


@pytest.mark.parametrize(
    "make", [list, tuple, iter, np.array, pd.Index, pd.Series, pl.Series, pa.array, chunked, table]
)
def test_ids_moments_latencies_and_segments_of_any_column(
    make: Callable[[list[Any]], Any], recorder: Recorder, tmp_path: Path
) -> None:
    at = [datetime(2026, 3, 1, 0, 0, 0, 1), datetime(2026, 3, 2)]  # noqa: DTZ001 - naive on purpose
    ids = recorder.predict_batch(
        {"x": [1, 2]},
        [1, 2],
        ids=make([10, 11]),
        timestamps=make(at),
        latency_ms=make([0.5, 1.5]),
        segment={"region": make(["eu", "us"]), "store": make([1.0, 2.0])},
    )
    assert ids == ["10", "11"]
    lines = recorded(tmp_path)
    assert [line["@timestamp"] for line in lines] == ["2026-03-01T00:00:00.000001Z", "2026-03-02T00:00:00.000000Z"]
    assert [line["latency_ms"] for line in lines] == [0.5, 1.5]
    assert [line["segment"] for line in lines] == [{"region": "eu", "store": "1"}, {"region": "us", "store": "2"}]


@pytest.mark.parametrize(
    "given",
    [
        DAY,
        np.datetime64("2026-03-01", "ns"),
        pd.Timestamp("2026-03-01"),
        pa.scalar(DAY),
        MIDNIGHT,
        Decimal("1772323200"),
        np.int64(1772323200),
        "2026-03-01",
        [DAY],
        np.array(["2026-03-01"], dtype="datetime64[ns]"),
        pl.Series([DAY]),
        pa.array([1772323200 * 10**9 + 1], pa.timestamp("ns")),
    ],
)
def test_a_moment_of_any_library(given: Any, recorder: Recorder, tmp_path: Path) -> None:
    recorder.predict_batch({"x": [1]}, [1], timestamps=given)
    assert recorded(tmp_path)[0]["@timestamp"] == "2026-03-01T00:00:00.000000Z"
