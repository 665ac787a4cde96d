"""Any frame, profiled as a file and recorded row by row or in a batch, gives the same profile."""

from __future__ import annotations

import datetime as dt
import math
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from modelward_agent import Recorder
from modelward_agent.journal.parse import Malformed, parse_lines
from modelward_agent.profile import FeatureProfile, Profile, merged
from modelward_agent.profile.answers import Prediction
from modelward_agent.profile.fold import Folder
from modelward_agent.profile.reference import profile_file
from modelward_agent.profile.wire import from_bytes, profile_of_document, to_bytes

ODD_WORDS = ("NaN", "Infinity", "-Infinity", "nan", "None", "null", "NA", "", " ", "true", "1", "1.0", "01067", "ünï")
MOMENTS = ("2026-03-01", "2026-03-01T12:00:00Z", "2026-13-01")
WORDS = st.text(max_size=8) | st.sampled_from([*ODD_WORDS, *MOMENTS, "long " * 40, "a,b", '"q"', "x\ny"])
FLOATS = st.floats(-1e6, 1e6, allow_nan=False)
DATES = st.dates(dt.date(1950, 1, 1), dt.date(2100, 1, 1))
DATETIMES = st.datetimes(dt.datetime(1950, 1, 1), dt.datetime(2100, 1, 1))  # noqa: DTZ001 - zones are added

COLUMNS: dict[str, tuple[Any, Any]] = {
    "int64": (st.integers(-(2**53), 2**53), "int64"),
    "uint8": (st.integers(0, 255), "uint8"),
    "float64": (FLOATS | st.just(math.nan) | st.just(math.inf), "float64"),
    "float32": (st.floats(-1e6, 1e6, width=32), "float32"),
    "bool": (st.booleans(), "bool"),
    "Int64": (st.integers(-100, 100) | st.none(), "Int64"),
    "Float64": (FLOATS | st.none(), "Float64"),
    "boolean": (st.booleans() | st.none(), "boolean"),
    "string": (WORDS | st.none(), "string"),
    "object": (WORDS | st.none(), "object"),
    "category": (st.sampled_from(["a", "b", "NaN"]) | st.none(), "category"),
    "category of numbers": (st.integers(0, 5), "category"),
    "dates": (DATES, "object"),
    "datetime64": (DATETIMES | st.none(), "datetime64[us]"),
    "with a zone": (DATETIMES, "datetime64[us, UTC]"),
    "durations": (st.timedeltas(dt.timedelta(-1000), dt.timedelta(1000)), "timedelta64[us]"),
    "decimals": (st.decimals(-1000, 1000, places=2), "object"),
    "embeddings": (st.lists(FLOATS, min_size=3, max_size=3), "object"),
}


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    n = draw(st.integers(1, 12))
    kinds = draw(st.lists(st.sampled_from(sorted(COLUMNS)), min_size=1, max_size=5))
    columns = {}
    for index, kind in enumerate(kinds):
        values, dtype = COLUMNS[kind]
        drawn = draw(st.lists(values, min_size=n, max_size=n))
        if kind == "decimals":
            drawn = [Decimal(value) for value in drawn]
        columns[f"{index}"] = pd.Series(drawn, dtype=dtype)
    return pd.DataFrame(columns)


def of_file(path: Path, **options: Any) -> Profile:
    return merged(profile_of_document(document) for document in profile_file(path, model="m", **options))


def of_lines(journal: Path) -> Profile:
    folder = Folder("h", 86_400)
    lines = [line for path in sorted(journal.glob("*")) for line in path.read_bytes().splitlines()]
    records = parse_lines(lines)
    assert not [record for record in records if isinstance(record, Malformed)]
    folder.fold(record for record in records if not isinstance(record, Malformed))
    return merged(from_bytes(to_bytes(profile)) for _, profile in folder.take())


def same(one: Profile, other: Profile) -> None:
    assert one.rows == other.rows
    assert one.features.keys() == other.features.keys()
    for name, feature in one.features.items():
        assert described(feature) == described(other.features[name]), name
    assert one.distinct_rows.get_estimate() == other.distinct_rows.get_estimate()
    assert (one.joint is None) == (other.joint is None)
    if one.joint is not None and other.joint is not None:
        assert one.joint.names == other.joint.names


def described(feature: FeatureProfile) -> dict[str, Any]:
    found: dict[str, Any] = {name: getattr(feature, name) for name in FeatureProfile.COUNTS}
    if feature.numeric is not None:
        found["numbers"] = feature.numeric.values
        found["zeros"] = feature.numeric.zeros
    if feature.categorical is not None:
        found["texts"] = dict(sorted(feature.categorical.counts().items()))
    if feature.text is not None:
        found["long texts"] = feature.text.n
    if feature.vector is not None:
        found["vectors"] = (feature.vector.n, feature.vector.dimension, feature.vector.wrong_dimension)
        found["norms"] = feature.vector.norm.values
    return found


@settings(max_examples=150, deadline=None)
@given(frames())
def test_a_frame_is_the_same_as_a_file_in_a_batch_and_row_by_row(frame: pd.DataFrame) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        frame.to_parquet(path / "rows.parquet")
        file = of_file(path / "rows.parquet")
        batch = Recorder("m", journal=path / "batch")
        batch.predict_batch(frame, [0.0] * len(frame))
        same(file, of_lines(path / "batch"))
        rows = Recorder("m", journal=path / "rows")
        for index in range(len(frame)):
            rows.predict(frame.iloc[index], 0.0)
        same(file, of_lines(path / "rows"))
        assert (batch.stats.failed, rows.stats.failed) == (0, 0)


@settings(max_examples=60, deadline=None)
@given(frames())
def test_arrow_is_the_same_as_a_file_and_in_a_batch(frame: pd.DataFrame) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        table = pa.Table.from_pandas(frame, preserve_index=False)
        parquet.write_table(table, path / "rows.parquet")
        Recorder("m", journal=path / "batch").predict_batch(table, [0.0] * table.num_rows)
        same(of_file(path / "rows.parquet"), of_lines(path / "batch"))


CSV_COLUMNS = ["int64", "float64", "bool", "datetime64", "string"]


@st.composite
def plain_frames(draw: st.DrawFn) -> pd.DataFrame:
    """Frames whose types a file without types can tell: texts are words."""
    n = draw(st.integers(1, 10))
    words = st.text(st.characters(categories=["L"]), min_size=1, max_size=8).map(lambda word: f"w{word}")
    columns = {}
    for index, kind in enumerate(draw(st.lists(st.sampled_from(CSV_COLUMNS), min_size=1, max_size=4))):
        values, dtype = COLUMNS[kind]
        drawn = st.lists(words if kind == "string" else values, min_size=n, max_size=n)
        columns[f"{index}"] = pd.Series(draw(drawn), dtype=dtype)
    return pd.DataFrame(columns)


@settings(max_examples=60, deadline=None)
@given(plain_frames())
def test_a_csv_of_plain_types_is_the_same_as_the_frame_in_a_batch(frame: pd.DataFrame) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        frame.to_csv(path / "rows.csv", index=False)
        if not all(frame[name].notna().any() for name in frame):
            return  # nothing tells the type of an empty column
        Recorder("m", journal=path / "batch").predict_batch(frame, [0.0] * len(frame))
        same(of_file(path / "rows.csv"), of_lines(path / "batch"))


def test_probabilities_are_the_same_in_a_file_and_in_lines(tmp_path: Path) -> None:
    chances = np.random.default_rng(0).dirichlet([1, 1, 1], 50).round(3)
    frame = pd.DataFrame(chances, columns=["a", "b", "c"]).assign(x=1.0)
    frame.to_parquet(tmp_path / "rows.parquet")
    prediction = Prediction(probabilities={"a": "a", "b": "b", "c": "c"})
    file = of_file(tmp_path / "rows.parquet", prediction=prediction)
    Recorder("m", journal=tmp_path / "batch").predict_batch(frame[["x"]], frame[["a", "b", "c"]])
    lines = of_lines(tmp_path / "batch")
    for name in ("prediction", "score", "probability_sum"):
        assert described(file.outputs[name]) == described(lines.outputs[name]), name
