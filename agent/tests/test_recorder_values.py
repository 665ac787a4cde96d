"""One meaning for each value, whatever library it is of and whether it comes alone or in a column."""

from __future__ import annotations

import array
import enum
import json
import uuid
from collections import deque
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from scipy import sparse

from agent.tests.recorded import only, recorded
from modelward_agent import Recorder
from modelward_agent.recorder.encode import encode

MIDNIGHT = 1772323200.0  # 2026-03-01
MOMENT = 1772326923.456789  # 2026-03-01T01:02:03.456789Z
NAIVE = datetime(2026, 3, 1, 1, 2, 3, 456789)  # noqa: DTZ001 - naive on purpose
BERLIN = NAIVE.replace(tzinfo=UTC).astimezone(timezone(timedelta(hours=1)))


class Size(enum.Enum):
    LARGE = 3


class Colour(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 2


@dataclass
class Point:
    x: float


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder("fraud", "7", journal=tmp_path)


VALUES = [
    # numbers
    (np.float16(0.5), 0.5),
    (np.float32(0.1), float(np.float32(0.1))),
    (np.longdouble(0.25), 0.25),
    (np.float16("inf"), "Infinity"),
    (np.longdouble("nan"), "NaN"),
    (np.uint8(7), 7),
    (np.array(2.5), 2.5),
    (np.array(3), 3),
    (Decimal("1.10"), 1.1),
    (Decimal("NaN"), "NaN"),
    (Decimal("sNaN"), "NaN"),
    (Decimal("1e400"), "Infinity"),
    (Decimal("-1e400"), "-Infinity"),
    (Fraction(10**400), "Infinity"),
    (2**64, 2.0**64),
    (-(2**80), -(2.0**80)),
    (Size.LARGE, 3),
    (Level.HIGH, 2),
    (pa.scalar(1.5), 1.5),
    (pa.scalar(Decimal("1.5")), 1.5),
    # moments
    (NAIVE, MOMENT),
    (BERLIN, MOMENT),
    (date(2026, 3, 1), MIDNIGHT),
    (datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), -1e-6),
    (datetime(1, 1, 1, tzinfo=UTC), -62135596800.0),
    (pd.Timestamp(NAIVE), MOMENT),
    (pd.Timestamp("2026-03-01T01:02:03.456789999"), MOMENT),
    (pd.Timestamp(BERLIN), MOMENT),
    (np.datetime64("2026-03-01T01:02:03.456789999", "ns"), MOMENT),
    (np.datetime64("2026-03-01", "D"), MIDNIGHT),
    (np.datetime64("2026-03", "M"), MIDNIGHT),
    (np.array("2026-03-01", dtype="datetime64[ns]"), MIDNIGHT),
    (pa.scalar(NAIVE), MOMENT),
    (pa.scalar(1772326923456789999, pa.timestamp("ns", "Europe/Berlin")), MOMENT),
    (pa.scalar(date(2026, 3, 1)), MIDNIGHT),
    (pa.scalar(date(2026, 3, 1), pa.date64()), MIDNIGHT),
    (pd.Period("2026-03"), MIDNIGHT),
    ("2026-03-01T01:02:03", "2026-03-01T01:02:03"),
    (time(1, 2, 3, 500000), 3723.5),
    (pa.scalar(time(1, 2, 3)), 3723.0),
    (timedelta(days=-1, microseconds=1), -86399.999999),
    (pd.Timedelta("1500ms"), 1.5),
    (np.timedelta64(1500, "ms"), 1.5),
    (pa.scalar(timedelta(seconds=1.5)), 1.5),
    # text
    (Colour.RED, "red"),
    (np.str_("x"), "x"),
    (np.bytes_(b"x"), "x"),
    (b"caf\xc3\xa9", "café"),
    (bytearray(b"x"), "x"),
    (memoryview(b"x"), "x"),
    (PurePosixPath("a/b"), "a/b"),
    (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    (pa.scalar("x"), "x"),
    (pa.scalar("x").cast(pa.dictionary(pa.int8(), pa.string())), "x"),
    # booleans
    (np.bool_(False), False),
    (pa.scalar(True), True),
    # nothing
    (None, None),
    (pd.NA, None),
    (pd.NaT, None),
    (np.datetime64("NaT"), None),
    (np.timedelta64("NaT"), None),
    (pa.scalar(None), None),
    (pa.scalar(None, pa.float64()), None),
    (pa.scalar(None, pa.timestamp("us")), None),
    # lists of numbers
    ((1, 2.5), [1, 2.5]),
    (np.array([0.1], dtype=np.float32), [float(np.float32(0.1))]),
    (np.array([0.5, np.nan], dtype=np.float16), [0.5, "NaN"]),
    (np.array([1, 2], dtype=np.int8), [1, 2]),
    (np.array([[1.0], [2.0]]), [[1.0], [2.0]]),
    (np.array(["2026-03-01", "NaT"], dtype="datetime64[ns]"), [MIDNIGHT, None]),
    (pa.scalar([1.0, 2.0]), [1.0, 2.0]),
    (pa.array([1.0, None]), [1.0, None]),
    (pl.Series([1.0, 2.0]), [1.0, 2.0]),
    (pd.Series([1.0, 2.0]), [1.0, 2.0]),
    (pd.Categorical([1, 2]), [1, 2]),
    (array.array("d", [1.0]), [1.0]),
    (deque([1]), [1]),
    (range(2), [0, 1]),
    (sparse.csr_array([[0.0, 1.5]]), [0.0, 1.5]),
    ([date(2026, 3, 1), pd.NA, np.float32(0.5)], [MIDNIGHT, None, 0.5]),
    (Point(1.0), {"x": 1.0}),
]


@pytest.mark.parametrize(("value", "written"), VALUES)
def test_a_value_alone(value: Any, written: Any) -> None:
    found = json.loads(encode({"features": {"value": value}}))["features"]["value"]
    assert (type(found), found) == (type(written), written)


@pytest.mark.parametrize(("value", "written"), VALUES)
def test_the_same_in_a_batch_and_beside_what_takes_the_slow_way(
    value: Any, written: Any, recorder: Recorder, tmp_path: Path
) -> None:
    recorder.predict_batch({"value": [value, value], "other": [1, 2**70]}, [1, 2])
    recorder.predict_batch([{"value": value}], [1])
    recorder.predict({"value": value, "other": 2**70}, 1)
    found = [line["features"]["value"] for line in recorded(tmp_path)]
    assert [(type(value), value) for value in found] == [(type(written), written)] * 4


def test_what_is_missing_in_a_row_of_a_frame_is_null(recorder: Recorder, tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [np.nan], "b": ["x"], "c": pd.array([pd.NA], "Int64"), "d": [np.array([np.nan])]})
    recorder.predict(frame.iloc[0], 1)
    recorder.predict(frame, 1)
    recorder.predict_batch(frame, [1])
    for line in recorded(tmp_path):
        assert line["features"] == {"a": None, "b": "x", "c": None, "d": ["NaN"]}


class Row(NamedTuple):
    a: float
    when: datetime


@pytest.mark.parametrize(
    "row",
    [
        pd.DataFrame({"a": [1.5], "when": [NAIVE]}).iloc[0],
        pd.DataFrame({"a": [1.5], "when": [NAIVE]}),
        pl.DataFrame({"a": [1.5], "when": [NAIVE]}),
        pa.table({"a": [1.5], "when": [NAIVE]}),
        pa.scalar({"a": 1.5, "when": NAIVE}),
        np.array([(1.5, NAIVE)], dtype=[("a", "f4"), ("when", "M8[ns]")])[0],
        np.array([(1.5, NAIVE)], dtype=[("a", "f4"), ("when", "M8[ns]")]),
        Row(1.5, NAIVE),
    ],
)
def test_one_row_of_anything_with_names(row: Any, recorder: Recorder, tmp_path: Path) -> None:
    recorder.predict(row, 1)
    assert only(tmp_path)["features"] == {"a": 1.5, "when": MOMENT}


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (pd.DataFrame({"a": [1, 2]}), "features: 2 rows (column a) are not one"),
        (pl.DataFrame({"a": [1, 2]}).lazy(), "features: a LazyFrame has no rows yet; give what its collect() returns"),
        (pd.Series([1, 2], index=["a", "a"]), "features: 2 columns are named a; give each column a name of its own"),
        (np.array([1.0]), "features: a ndarray has no names"),
    ],
)
def test_what_is_not_one_row_is_refused(
    row: Any, says: str, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    recorder.predict(row, 1)
    assert says in caplog.text
    assert (recorder.stats.written, recorder.stats.failed) == (0, 1)


@pytest.mark.parametrize(
    ("prediction", "written"),
    [
        (np.float32(0.5), 0.5),
        (Size.LARGE, 3),
        (Colour.RED, "red"),
        (Decimal("0.5"), 0.5),
        (NAIVE, MOMENT),
        (np.datetime64("2026-03-01", "ns"), MIDNIGHT),
        (np.array(["2026-03-01"], dtype="datetime64[ns]"), MIDNIGHT),
        (pa.scalar(True), "true"),
        (np.array([True]), "true"),
        (np.array("spam"), "spam"),
        (pd.Series([0.5], index=[9]), 0.5),
        (pd.Series([np.nan]), None),
        (pl.Series(["spam"]), "spam"),
        (pa.array([1]), 1),
        (pd.DataFrame({"prediction": [0.5]}), 0.5),
        (pd.DataFrame({"cat": [np.nan], "dog": [np.nan]}), None),
        (pd.DataFrame({"cat": [0.25], "dog": [0.75]}), {"cat": 0.25, "dog": 0.75}),
        (pl.DataFrame({"cat": [0.25], "dog": [0.75]}), {"cat": 0.25, "dog": 0.75}),
        (pa.table({"cat": [0.25], "dog": [0.75]}), {"cat": 0.25, "dog": 0.75}),
        (pa.scalar({"cat": 0.25}), {"cat": 0.25}),
        ({0.0: np.float32(0.25), np.int64(1): Decimal("0.75")}, {"0": 0.25, "1": 0.75}),
        ({True: 0.25, np.False_: 0.75}, {"true": 0.25, "false": 0.75}),
        ({np.str_("a"): None, "b": np.nan}, {"a": "NaN", "b": "NaN"}),
        ({"a": None}, None),
        (pd.NA, None),
        (pa.scalar(None), None),
    ],
)
def test_a_prediction_of_any_library(prediction: Any, written: Any, recorder: Recorder, tmp_path: Path) -> None:
    recorder.predict({"x": 1}, prediction)
    recorder.predict_batch({"x": [1]}, [prediction])
    assert [line["prediction"] for line in recorded(tmp_path)] == [written] * 2


@pytest.mark.parametrize(
    "prediction",
    [{}, {"label": "spam", "score": 0.9}, {1: 0.5, "1": 0.5}, {None: 1.0}, np.zeros((1, 2)), pd.Series([1, 2])],
)
def test_what_is_no_prediction_is_counted(prediction: Any, recorder: Recorder, tmp_path: Path) -> None:
    recorder.predict({"x": 1}, prediction)
    assert (recorder.stats.written, recorder.stats.failed) == (0, 1)
    assert recorded(tmp_path) == []


@pytest.mark.parametrize(
    ("latency", "written"),
    [
        (np.float32(0.5), 0.5),
        (Decimal("0.5"), 0.5),
        (timedelta(milliseconds=2.5), 2.5),
        (np.timedelta64(2500, "us"), 2.5),
        (pd.Timedelta("2.5ms"), 2.5),
        (np.int8(3), 3.0),
        (pd.NA, None),
        (pd.NaT, None),
        (np.float32("nan"), None),
    ],
)
def test_a_latency_of_any_library(latency: Any, written: Any, recorder: Recorder, tmp_path: Path) -> None:
    recorder.predict({"x": 1}, 1, latency_ms=latency)
    recorder.predict_batch({"x": [1]}, [1], latency_ms=[latency])
    assert [line.get("latency_ms") for line in recorded(tmp_path)] == [written] * 2


def test_an_id_is_one_text_whatever_pandas_made_of_it(recorder: Recorder, tmp_path: Path) -> None:
    spellings = [1, 1.0, "1", np.int64(1), np.float32(1), Decimal("1.0"), pa.scalar(1)]
    assert {recorder.predict({"x": 1}, 1, id=id) for id in spellings} == {"1"}  # noqa: A001
    for id in spellings:  # noqa: A001
        recorder.actual(id, 0)
    assert recorder.predict_batch({"x": [1, 2]}, [1, 2], ids=pd.Series([1, 2], dtype=float)) == ["1", "2"]
    assert {line["id"] for line in recorded(tmp_path)} == {"1", "2"}
    assert recorder.predict({"x": 1}, 1, id=uuid.UUID(int=1)) == str(uuid.UUID(int=1))
    assert recorder.predict({"x": 1}, 1, id=2**100 + 1) == str(2**100 + 1)
    assert recorder.predict({"x": 1}, 1, id=Decimal("12345678901234567891.0")) == "12345678901234567891"
    assert recorder.predict({"x": 1}, 1, id=("shop", np.int64(1))) == "('shop', 1)"


def test_a_prediction_whose_id_is_missing_gets_one(recorder: Recorder, tmp_path: Path) -> None:
    made = [recorder.predict({"x": 1}, 1, id=id) for id in (None, pd.NA, float("nan"), np.float32("nan"))]  # noqa: A001
    made += recorder.predict_batch({"x": [1, 2]}, [1, 2], ids=pd.Series(["order-9", None]))
    assert len(set(made)) == 6
    assert made[4] == "order-9"
    assert [line["id"] for line in recorded(tmp_path)] == made


def test_segments_are_texts_as_people_write_them(recorder: Recorder, tmp_path: Path) -> None:
    values: dict[str, Any] = {
        "store": 12.0,
        "day": date(2026, 3, 1),
        "hour": pd.Timestamp(NAIVE),
        "new": np.True_,
        "none": np.nan,
        "na": pd.NA,
        "arrow": pa.scalar("eu"),
    }
    recorder.predict({"x": 1}, 1, segment=values)
    recorder.predict_batch({"x": [1]}, [1], segment={name: [value] for name, value in values.items()})
    recorder.predict_batch({"x": [1]}, [1], segment={name: pd.Series([value]) for name, value in values.items()})
    told = [line["segment"] for line in recorded(tmp_path)]
    day = {"store": "12", "day": "2026-03-01", "hour": "2026-03-01 01:02:03.456789", "new": "true", "arrow": "eu"}
    assert told == [day] * 3


def test_moments_in_logs_stay_text(recorder: Recorder, tmp_path: Path) -> None:
    fields = {"event.start": NAIVE, "event.end": np.datetime64("2026-03-01"), "event.none": pd.NaT, "day": date.min}
    recorder.log("x", fields=fields)
    line = only(tmp_path)
    assert line["event.start"] == "2026-03-01T01:02:03.456789"
    assert (line["event.end"], line["day"]) == ("2026-03-01T00:00:00", "0001-01-01")
    assert line["event.none"] is None
