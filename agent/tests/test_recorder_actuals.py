"""Labels, one at a time and by thousands: what is missing is no label."""

from __future__ import annotations

import enum
import math
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from agent.tests.recorded import only, recorded
from modelward_agent import Recorder


class Outcome(enum.Enum):
    PAID = "paid"


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder("fraud", "7", journal=tmp_path)


MISSING = [
    None,
    math.nan,
    np.float32("nan"),
    np.array([np.nan]),
    Decimal("NaN"),
    pd.NA,
    pd.NaT,
    np.datetime64("NaT"),
    pa.scalar(None),
    pd.Series([None]),
    pl.Series([None]),
]


@pytest.mark.parametrize("value", MISSING)
def test_what_is_missing_is_no_label(
    value: Any, recorder: Recorder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recorder.actual("1", value)
    recorder.actual_batch(["1", "2"], [value, 1])
    assert (recorder.stats.written, recorder.stats.failed) == (1, 2)
    assert only(tmp_path)["id"] == "2"
    assert "is not what became true: it is missing; record it once it is known" in caplog.text
    assert "rows without an id or a value are left out, 1 of 2; record a label once it is known" in caplog.text


@pytest.mark.parametrize("id", [None, pd.NA, math.nan, ""])
def test_a_label_without_an_id_is_of_nothing(
    id: Any,  # noqa: A002
    recorder: Recorder,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    recorder.actual(id, 1)
    recorder.actual_batch([id, "2"], [0, 1])
    assert (recorder.stats.written, recorder.stats.failed) == (1, 2)
    assert only(tmp_path)["id"] == "2"
    assert "id: it is missing; give the id that the prediction was recorded with" in caplog.text


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (np.float32(0.5), 0.5),
        (np.int64(1), 1),
        (np.bool_(True), "true"),
        (np.str_("paid"), "paid"),
        (Decimal("1.5"), 1.5),
        (Outcome.PAID, "paid"),
        (pd.Series([1], index=[9]), 1),
        (pd.Series([True]), "true"),
        (np.array([[2]]), 2),
        (pl.Series(["paid"]), "paid"),
        (pa.scalar(3), 3),
        (date(2026, 3, 1), 1772323200.0),
        ("2026-03-01", "2026-03-01"),
        (math.inf, "Infinity"),
    ],
)
def test_a_label_of_any_library(value: Any, written: Any, recorder: Recorder, tmp_path: Path) -> None:
    recorder.actual("1", value)
    recorder.actual_batch(["1"], [value])
    assert [line["actual"] for line in recorded(tmp_path)] == [written] * 2


def frame(values: list[Any]) -> Any:
    return pd.DataFrame({"only": values})


@pytest.mark.parametrize("make", [list, tuple, iter, np.array, pd.Series, pd.Categorical, pl.Series, pa.array, frame])
def test_labels_of_any_column(make: Any, recorder: Recorder, tmp_path: Path) -> None:
    at = make([1772323200, 1772323201])
    recorder.actual_batch(make([1.0, 2.0]), make(["paid", "lost"]), timestamps=at, model="m")
    lines = recorded(tmp_path)
    assert [(line["id"], line["actual"], line["model"]) for line in lines] == [("1", "paid", "m"), ("2", "lost", "m")]
    assert [line["@timestamp"][17:19] for line in lines] == ["00", "01"]
    assert {line["kind"] for line in lines} == {"actual"}


def test_labels_join_their_predictions_by_a_frames_index(recorder: Recorder, tmp_path: Path) -> None:
    orders = pd.DataFrame({"x": [1.0, 2.0, 3.0]}, index=pd.Index([10, 11, 12]))
    ids = recorder.predict_batch(orders, [0, 1, 0], ids=orders.index)
    late = pd.Series([1.0, np.nan, 0.0], index=[12.0, 11.0, 10.0])
    recorder.actual_batch(late.index, late)
    labels = {line["id"]: line["actual"] for line in recorded(tmp_path) if line["kind"] == "actual"}
    assert labels == {"12": 1.0, "10": 0.0}
    assert labels.keys() < set(ids)
    assert (recorder.stats.written, recorder.stats.failed) == (5, 1)


def test_thousands_of_labels_go_in_few_writes(recorder: Recorder, tmp_path: Path) -> None:
    recorder.actual_batch(np.arange(20_000), np.arange(20_000) % 3, timestamps="2026-03-01T00:00:00Z")
    lines = recorded(tmp_path)
    assert [line["id"] for line in lines] == [str(n) for n in range(20_000)]
    assert {line["@timestamp"] for line in lines} == {"2026-03-01T00:00:00.000000Z"}
    assert recorder.stats.written == 20_000


@pytest.mark.parametrize(
    ("arguments", "says", "failed"),
    [
        ((["1"], [1, 2]), "ids: there are 1 for 2 rows", 2),
        (("1", [1, 2]), "ids: a str is no column; give one value a row", 2),
        ((["1", "2"], 1), "values: a int is no column; give one value a row", 2),
        ((["1", "2"], np.zeros((2, 2))), "values: there are 2 columns; give one", 2),
        ((["1", "2"], pl.LazyFrame({"v": [1, 2]})), "values: a LazyFrame has no rows yet", 2),
        ((["1", "2"], [{"a": 1}, 1]), "actual: a dict is not what became true", 1),
        ((["1", "2"], [[1, 2], 1]), "2 values without names are not one outcome", 1),
    ],
)
def test_what_is_no_label_is_said_and_counted(
    arguments: Any, says: str, failed: int, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    recorder.actual_batch(*arguments)
    assert says in caplog.text
    assert (recorder.stats.written, recorder.stats.failed) == (2 - failed, failed)
