"""Batch scoring: whole tables of predictions, in few large writes of whole lines."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from agent.tests.recorded import recorded
from modelward_agent import Recorder


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder("fraud", "7", journal=tmp_path)


def test_a_frame_of_every_kind_of_column(recorder: Recorder, tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "float": [1.5, math.nan, math.inf],
            "int": [1, 2, 3],
            "bool": [True, False, True],
            "text": pd.Series(["a", None, "c"], dtype="str"),
            "object": pd.Series(["a", math.nan, 3], dtype=object),
            "category": pd.Series(["x", None, "x"], dtype="category"),
            "nullable": pd.Series([1, pd.NA, 3], dtype="Int64"),
            "when": pd.Series([pd.Timestamp("2026-03-01"), pd.NaT, pd.Timestamp("2026-03-02", tz=None)]),
            "took": pd.Series([pd.Timedelta("1s"), pd.NaT, pd.Timedelta("2s")]),
            7: np.array([1, 2, 3], dtype=np.int8),
        }
    )
    ids = recorder.predict_batch(frame, pd.Series([0.25, 0.5, 0.75]))
    lines = recorded(tmp_path)
    assert [line["id"] for line in lines] == ids
    assert len(set(ids)) == 3
    assert [line["prediction"] for line in lines] == [0.25, 0.5, 0.75]
    assert [line["features"] for line in lines] == [
        {
            "float": 1.5,
            "int": 1,
            "bool": True,
            "text": "a",
            "object": "a",
            "category": "x",
            "nullable": 1,
            "when": 1772323200.0,
            "took": 1.0,
            "7": 1,
        },
        {
            "float": None,
            "int": 2,
            "bool": False,
            "text": None,
            "object": None,
            "category": None,
            "nullable": None,
            "when": None,
            "took": None,
            "7": 2,
        },
        {
            "float": "Infinity",
            "int": 3,
            "bool": True,
            "text": "c",
            "object": 3,
            "category": "x",
            "nullable": 3,
            "when": 1772409600.0,
            "took": 2.0,
            "7": 3,
        },
    ]


def test_nan_of_an_array_stays_nan(recorder: Recorder, tmp_path: Path) -> None:
    recorder.predict_batch({"a": np.array([1.0, np.nan]), "b": [math.nan, "x"]}, [1, np.nan])
    first, second = recorded(tmp_path)
    assert (first["features"], second["features"]) == ({"a": 1.0, "b": "NaN"}, {"a": "NaN", "b": "x"})
    assert second["prediction"] == "NaN"


@pytest.mark.parametrize(
    "rows",
    [
        np.array([[1.0, 2.0], [3.0, 4.0]]),
        [[1.0, 2.0], (3.0, 4.0)],
        {"a": (1.0, 3.0), "b": np.array([2.0, 4.0], dtype=np.float32)},
        [{"a": 1.0, "b": 2.0}, {"b": 4.0, "a": 3.0}],
    ],
)
def test_rows_come_in_any_form(recorder: Recorder, tmp_path: Path, rows: Any) -> None:
    recorder.predict_batch(rows, ["x", "y"], names=None if isinstance(rows, dict) else ["a", "b"])
    assert [line["features"] for line in recorded(tmp_path)] == [{"a": 1.0, "b": 2.0}, {"a": 3.0, "b": 4.0}]


def test_embeddings_and_datetimes_of_arrays(recorder: Recorder, tmp_path: Path) -> None:
    features = {
        "embedding": np.array([[1.0, np.nan], [3.0, 4.0]]),
        "when": np.array(["2026-03-01", "NaT"], dtype="datetime64[ns]"),
    }
    recorder.predict_batch(features, [1, 2])
    assert [line["features"] for line in recorded(tmp_path)] == [
        {"embedding": [1.0, "NaN"], "when": 1772323200.0},
        {"embedding": [3.0, 4.0], "when": None},
    ]


def test_probabilities_are_named_by_their_classes(recorder: Recorder, tmp_path: Path) -> None:
    recorder.predict_batch({"x": [1, 2]}, np.array([[0.25, 0.75], [0.5, 0.5]]), classes=np.array([0, 1]))
    assert [line["prediction"] for line in recorded(tmp_path)] == [{"0": 0.25, "1": 0.75}, {"0": 0.5, "1": 0.5}]


def test_ids_moments_latencies_and_segments_by_row_or_for_all(recorder: Recorder, tmp_path: Path) -> None:
    ids = recorder.predict_batch(
        {"x": [1, 2]},
        [1, 2],
        ids=np.array([10, 11]),
        timestamps=np.array(["2026-03-01T00:00:00", "2026-03-01T00:01:00"], dtype="datetime64[s]"),
        latency_ms=0.5,
        segment={"region": ["eu", "us"], "job": "nightly"},
        version="8",
    )
    assert ids == ["10", "11"]
    first, second = recorded(tmp_path)
    assert (first["id"], first["version"], first["latency_ms"]) == ("10", "8", 0.5)
    assert (first["@timestamp"], second["@timestamp"]) == ("2026-03-01T00:00:00.000000Z", "2026-03-01T00:01:00.000000Z")
    assert (first["segment"], second["segment"]) == (
        {"region": "eu", "job": "nightly"},
        {"region": "us", "job": "nightly"},
    )


def test_a_large_batch_goes_in_writes_of_whole_lines_of_at_most_a_mebibyte(
    recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks: list[bytes] = []

    def write(fd: int, block: bytes) -> int:
        blocks.append(block)
        return os.write(fd, block)

    monkeypatch.setattr("modelward_agent.recorder.writer.write", write)
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(20_000, 10)), columns=list("abcdefghij"))
    ids = recorder.predict_batch(frame, np.zeros(len(frame)))
    assert [line["id"] for line in recorded(tmp_path)] == ids
    assert all(block.endswith(b"\n") and len(block) <= 1 << 20 for block in blocks)
    assert len(blocks) <= sum(map(len, blocks)) / (1 << 20) * 1.1 + 1
    assert recorder.stats.written == 20_000


def test_a_row_that_cannot_be_recorded_loses_only_itself(recorder: Recorder, tmp_path: Path) -> None:
    texts = ["a", "b" * (1 << 20), "c"]
    ids = recorder.predict_batch({"text": texts}, [1, 2, 3])
    assert [line["id"] for line in recorded(tmp_path)] == [ids[0], ids[2]]
    ids = recorder.predict_batch({"x": [1, 2]}, [[1, 2], 3], timestamps=[0, 1_772_366_400])
    assert recorded(tmp_path)[-1]["id"] == ids[1]
    assert (recorder.stats.written, recorder.stats.failed) == (3, 2)


@pytest.mark.parametrize(
    ("features", "options", "named"),
    [
        ({"x": [1, 2, 3]}, {}, "feature x: there are 3 for 2 rows"),
        ({"x": [1, 2]}, {"ids": ["a"]}, "ids: there are 1 for 2 rows"),
        ({"x": [1, 2]}, {"latency_ms": [1.0]}, "latency_ms: there are 1 for 2 rows"),
        ({"x": [1, 2]}, {"segment": {"region": ["eu"]}}, "segment region: there are 1 for 2 rows"),
        (np.zeros((2, 3)), {"names": ["a"]}, "names: there are 1 for 3 columns"),
        (np.zeros((2, 3)), {}, "give names="),
        (np.zeros(2), {"names": ["a", "b"]}, "1 dimensions"),
        ([[1], [1, 2]], {"names": ["a"]}, "differ in length"),
        (3, {}, "give names="),
    ],
)
def test_arguments_that_do_not_fit_lose_the_batch_and_are_named(
    recorder: Recorder,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    features: Any,
    options: dict[str, Any],
    named: str,
) -> None:
    assert recorder.predict_batch(features, [1, 2], **options) == []
    assert named in caplog.text
    assert (recorder.stats.written, recorder.stats.failed) == (0, 2)
    assert recorded(tmp_path) == []


def test_an_empty_batch_is_nothing(recorder: Recorder, tmp_path: Path) -> None:
    assert recorder.predict_batch(pd.DataFrame({"x": []}), []) == []
    assert recorder.predict_batch([], []) == []
    assert (recorder.stats.written, recorder.stats.failed) == (0, 0)


def test_redaction_holds_for_columns(tmp_path: Path) -> None:
    recorder = Recorder("fraud", journal=tmp_path, redact={"name": "drop", "*_id": "drop"})
    recorder.predict_batch(pd.DataFrame({"name": ["Ada"], "x": [1]}), [1])
    recorder.predict_batch([{"card_id": "4711", "x": 1}], [1])
    recorder.predict_batch({"name": ["Ada"]}, [1])
    assert [line["features"] for line in recorded(tmp_path)] == [{"x": 1}, {"x": 1}, {}]
    assert b"Ada" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())
