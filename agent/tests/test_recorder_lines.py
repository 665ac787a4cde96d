"""What each call of the Recorder puts into the journal."""

from __future__ import annotations

import enum
import json
import math
import re
import subprocess
import sys
import tempfile
import uuid
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.tests.recorded import only, recorded
from modelward_agent import Recorder
from modelward_agent.recorder.encode import encode
from modelward_agent.recorder.stamp import new_id, rfc3339


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder("fraud", "7", journal=tmp_path)


def test_a_prediction_is_one_line_with_the_contracts_names(recorder: Recorder, tmp_path: Path) -> None:
    before = datetime.now(UTC)
    made = recorder.predict({"amount": 12.5, "country": "DE", "new": True, "age": None}, 0.07, latency_ms=3.25)
    line = only(tmp_path)
    moment = datetime.fromisoformat(line.pop("@timestamp"))
    assert before - timedelta(milliseconds=1) <= moment <= datetime.now(UTC)
    assert line == {
        "kind": "prediction",
        "model": "fraud",
        "version": "7",
        "id": made,
        "features": {"amount": 12.5, "country": "DE", "new": True, "age": None},
        "prediction": 0.07,
        "latency_ms": 3.25,
    }


def test_a_timestamp_always_has_six_digits_and_z(recorder: Recorder, tmp_path: Path) -> None:
    for _ in range(50):
        recorder.predict({}, 1)
    for line in recorded(tmp_path):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line["@timestamp"])


def test_an_id_that_is_made_is_a_uuid_of_version_7_in_the_order_of_time() -> None:
    ids = [new_id() for _ in range(10_000)]
    assert len(set(ids)) == len(ids)
    assert {uuid.UUID(text).version for text in ids} == {7}
    assert {uuid.UUID(text).variant for text in ids} == {uuid.RFC_4122}
    milliseconds = [uuid.UUID(text).int >> 80 for text in ids]
    assert milliseconds == sorted(milliseconds)
    assert abs(milliseconds[0] / 1000 - datetime.now(UTC).timestamp()) < 60


def test_what_the_caller_gives_is_kept(recorder: Recorder, tmp_path: Path) -> None:
    at = datetime(2026, 3, 1, 13, 0, 0, 42, tzinfo=timezone(timedelta(hours=1)))
    assert recorder.predict({"x": 1}, "yes", id="order-9", timestamp=at, model="churn", version="2") == "order-9"
    line = only(tmp_path)
    assert (line["id"], line["model"], line["version"]) == ("order-9", "churn", "2")
    assert line["@timestamp"] == "2026-03-01T12:00:00.000042Z"


@pytest.mark.parametrize(
    ("given", "written"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (1_772_366_400.5, "2026-03-01T12:00:00.500000Z"),
        (datetime(2026, 3, 1, 12), "2026-03-01T12:00:00.000000Z"),  # noqa: DTZ001 - naive on purpose
        ("2026-03-01T13:00:00+01:00", "2026-03-01T12:00:00.000000Z"),
        (np.datetime64("2026-03-01T12:00:00.000000123", "ns"), "2026-03-01T12:00:00.000000Z"),
        (pd.Timestamp("2026-03-01T13:00:00", tz="Europe/Berlin"), "2026-03-01T12:00:00.000000Z"),
        (datetime(987, 1, 2, tzinfo=UTC), "0987-01-02T00:00:00.000000Z"),
    ],
)
def test_a_moment_may_be_given_in_any_usual_form(given: Any, written: str) -> None:
    assert rfc3339(given) == written


@pytest.mark.parametrize("given", [pd.NaT, np.datetime64("NaT"), "yesterday", math.nan, math.inf, object(), 1e300])
def test_what_is_no_moment_is_refused(given: Any) -> None:
    with pytest.raises(ValueError, match="not a moment"):
        rfc3339(given)


def test_segments_are_strings_and_add_to_the_recorders_own(tmp_path: Path) -> None:
    recorder = Recorder("fraud", journal=tmp_path, segment={"region": "eu", "tier": "gold"})
    recorder.predict({"x": 1}, 1)
    recorder.predict({"x": 1}, 1, segment={"tier": 3, "new": True, "shop": None})
    first, second = recorded(tmp_path)
    assert first["segment"] == {"region": "eu", "tier": "gold"}
    assert second["segment"] == {"region": "eu", "tier": "3", "new": "true"}


def test_nan_and_infinities_survive_as_strings(recorder: Recorder, tmp_path: Path) -> None:
    features = {"a": math.nan, "b": math.inf, "c": -math.inf, "d": None, "e": [1.0, math.nan], "f": np.float32("nan")}
    recorder.predict(features, {"x": math.nan, "y": 0.5})
    recorder.predict({"a": np.array([1.0, np.inf])}, np.float64("nan"))
    recorder.actual("1", -math.inf)
    first, second, third = recorded(tmp_path)
    assert first["features"] == {
        "a": "NaN",
        "b": "Infinity",
        "c": "-Infinity",
        "d": None,
        "e": [1.0, "NaN"],
        "f": "NaN",
    }
    assert first["prediction"] == {"x": "NaN", "y": 0.5}
    assert (second["features"], second["prediction"]) == ({"a": [1.0, "Infinity"]}, "NaN")
    assert third["actual"] == "-Infinity"


def test_a_string_that_says_null_is_no_nan(recorder: Recorder, tmp_path: Path) -> None:
    recorder.predict({"null": "null", "x": None, "y": math.nan}, "null")
    assert only(tmp_path)["features"] == {"null": "null", "x": None, "y": "NaN"}


class Colour(enum.Enum):
    RED = "red"


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no")


class Named(dict[str, Any]):
    pass


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (np.float64(1.5), 1.5),
        (np.float32(0.5), 0.5),
        (np.float16(0.5), 0.5),
        (np.longdouble(0.5), 0.5),
        (np.int8(-3), -3),
        (np.uint64(2**64 - 1), 2**64 - 1),
        (np.bool_(True), True),
        (np.str_("x"), "x"),
        (np.array([1, 2]), [1, 2]),
        (np.array([1.0, 2.0, 3.0])[::2], [1.0, 3.0]),
        (np.array(["a", None], dtype=object), ["a", None]),
        (np.array([0.5], dtype=np.longdouble), [0.5]),
        (np.datetime64("2026-03-01"), 1772323200.0),
        (np.datetime64("NaT"), None),
        (np.timedelta64(1500, "ms"), 1.5),
        (pd.NA, None),
        (pd.NaT, None),
        (pd.Timestamp("2026-03-01"), 1772323200.0),
        (pd.Series([1, 2]), [1, 2]),
        (datetime(2026, 3, 1, tzinfo=UTC), 1772323200.0),
        (date(2026, 3, 1), 1772323200.0),
        (timedelta(minutes=1), 60.0),
        (Decimal("1.25"), 1.25),
        (Fraction(1, 4), 0.25),
        (2**70, float(2**70)),
        (10**400, "Infinity"),
        (Colour.RED, "red"),
        (b"raw \xff", "raw \ufffd"),
        ({1}, [1]),
        ((1, 2), [1, 2]),
        (Named(a=1), {"a": 1}),
        ("lone \ud800", "lone \\ud800"),
        (1 + 2j, "(1+2j)"),
        (Unprintable(), "<Unprintable>"),
    ],
)
def test_a_value_of_any_type_becomes_json(value: Any, written: Any) -> None:
    assert json.loads(encode({"features": {"value": value}}))["features"]["value"] == written


def test_an_unknown_object_is_text_of_bounded_length() -> None:
    class Verbose:
        def __str__(self) -> str:
            return "x" * 10_000_000

    assert json.loads(encode({"features": {"v": Verbose()}}))["features"]["v"] == "x" * 1024


def test_a_structure_that_contains_itself_is_text_below_some_depth(recorder: Recorder, tmp_path: Path) -> None:
    circle: list[Any] = []
    circle += [circle, circle]
    recorder.predict({"circle": circle}, 1)
    assert recorder.stats.written == 1
    assert "[...]" in json.dumps(only(tmp_path)["features"])


def test_names_that_are_no_strings_become_strings(recorder: Recorder, tmp_path: Path) -> None:
    recorder.predict({2.5: "b", True: "c", None: "d", np.int64(7): "e", Colour.RED: "f", ("x", 1): "g"}, 1)
    assert list(only(tmp_path)["features"]) == ["2.5", "true", "None", "7", "red", "('x', 1)"]


def test_features_may_be_a_row_of_a_frame_or_a_model_of_pydantic(recorder: Recorder, tmp_path: Path) -> None:
    class Payment(pydantic.BaseModel):
        amount: float

    class Row(NamedTuple):
        amount: float

    recorder.predict(pd.DataFrame({"amount": [1.5], "n": [2]}).iloc[0], 1)
    recorder.predict(Payment(amount=2.5), 1)
    recorder.predict(Row(3.5), 1)
    assert [line["features"]["amount"] for line in recorded(tmp_path)] == [1.5, 2.5, 3.5]


@pytest.mark.parametrize(
    ("prediction", "written"),
    [
        (np.array([3.5]), 3.5),
        (np.array([["spam"]]), "spam"),
        ([4], 4),
        (True, "true"),
        (np.bool_(False), "false"),
        ({"a": np.float32(0.25), 1: 0.75}, {"a": 0.25, "1": 0.75}),
        (Decimal("0.5"), 0.5),
        (None, None),
    ],
)
def test_a_prediction_is_a_number_a_string_or_probabilities(
    recorder: Recorder, tmp_path: Path, prediction: Any, written: Any
) -> None:
    recorder.predict({"x": 1}, prediction)
    assert only(tmp_path)["prediction"] == written


def test_a_latency_that_is_none_is_left_out(recorder: Recorder, tmp_path: Path) -> None:
    for latency in (-1.0, math.nan, math.inf, None):
        recorder.predict({"x": 1}, 1, latency_ms=latency)
    assert not any("latency_ms" in line for line in recorded(tmp_path))
    assert recorder.stats.written == 4


def test_actuals_errors_stages_and_business_have_their_lines(recorder: Recorder, tmp_path: Path) -> None:
    recorder.actual("order-9", True)
    recorder.error("no such model", id="order-9", fields={"url.path": "/predict"})
    recorder.stage("nightly", "2026-03-01", "score", "succeeded", 1200.5, 30)
    recorder.business("revenue", 129.9, currency="EUR", source="shop")
    recorder.log("loaded", level="warning", fields={"labels.file": Path("m.bin")})
    lines = recorded(tmp_path)
    for line in lines:
        del line["@timestamp"]
        assert (line.pop("model"), line.pop("version")) == ("fraud", "7")
    assert lines == [
        {"kind": "actual", "id": "order-9", "actual": "true"},
        {
            "kind": "error",
            "log.level": "error",
            "message": "no such model",
            "id": "order-9",
            "url.path": "/predict",
        },
        {
            "kind": "stage",
            "pipeline": "nightly",
            "run": "2026-03-01",
            "stage": "score",
            "status": "succeeded",
            "duration_ms": 1200.5,
            "rows": 30,
        },
        {"kind": "business", "event": "revenue", "value": 129.9, "currency": "EUR", "source": "shop"},
        {"kind": "log", "log.level": "warning", "message": "loaded", "labels.file": "m.bin"},
    ]


def test_a_field_of_the_caller_cannot_pass_for_one_of_the_contract(recorder: Recorder, tmp_path: Path) -> None:
    recorder.log("x", fields={"kind": "prediction", "model": "other", "@timestamp": "never", "message": "y"})
    line = only(tmp_path)
    assert (line["kind"], line["model"], line["message"]) == ("log", "fraud", "x")


def test_measure_times_the_block_and_records_its_prediction(recorder: Recorder, tmp_path: Path) -> None:
    with recorder.measure({"x": 1}, segment={"region": "eu"}) as call:
        call.features["y"] = 2
        call.prediction = 0.5
    line = only(tmp_path)
    assert (line["id"], line["features"], line["prediction"]) == (call.id, {"x": 1, "y": 2}, 0.5)
    assert 0 <= line["latency_ms"] < 10_000
    assert line["segment"] == {"region": "eu"}


def test_measure_records_the_exception_and_lets_it_go_on(recorder: Recorder, tmp_path: Path) -> None:
    raised = pd.errors.ParserError("bad row 7")
    with pytest.raises(pd.errors.ParserError) as caught, recorder.measure({"x": 1}) as call:
        raise raised
    assert caught.value is raised
    line = only(tmp_path)
    assert (line["kind"], line["id"], line["message"]) == ("error", call.id, "bad row 7")
    assert line["error.type"] == "pandas.errors.ParserError"
    assert line["error.stack_trace"].endswith("ParserError: bad row 7\n")
    assert line["log.level"] == "error"


def test_a_cancelled_request_is_no_failure_of_the_model(recorder: Recorder, tmp_path: Path) -> None:
    with pytest.raises(SystemExit), recorder.measure({"x": 1}):
        raise SystemExit
    assert recorded(tmp_path) == []


def test_an_endless_stack_trace_keeps_its_end(recorder: Recorder, tmp_path: Path) -> None:
    def deep(n: int) -> None:
        if n == 0:
            raise ValueError("y" * 200_000)
        deep(n - 1)

    try:
        deep(100)
    except ValueError as error:
        recorder.error(error)
    line = only(tmp_path)
    assert len(line["error.stack_trace"]) == 64 * 1024
    assert len(line["message"]) == 1024


names = st.one_of(st.text(max_size=20), st.integers(), st.floats(), st.booleans(), st.none(), st.binary(max_size=8))
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.binary(max_size=20),
    st.decimals(),
    st.complex_numbers(),
    st.datetimes(),
    st.timedeltas(),
    st.uuids(),
    st.just(object()),
    st.just(Unprintable()),
    st.floats().map(np.float64),
    st.floats(width=32).map(np.float32),
    st.text(alphabet=st.characters(categories=["Cs", "L"]), max_size=5),
)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3))


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(names, values, max_size=6), scalars)
def test_any_features_and_any_prediction_make_one_valid_line_and_raise_nothing(
    features: dict[Any, Any], prediction: Any
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        recorder = Recorder("fraud", journal=folder)
        recorder.predict(features, prediction)
        recorder.close()
        assert recorder.stats.written == 1
        (file,) = Path(folder).iterdir()
        content = file.read_bytes()
        assert content.count(b"\n") == 1
        line = only(Path(folder))
        assert len(line["features"]) <= len(features)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text(max_size=20), st.floats(), max_size=8))
def test_every_float_comes_back_as_it_was(features: dict[str, float]) -> None:
    words = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
    written = json.loads(encode({"features": features}))["features"]
    assert list(written) == [name.encode("utf-8", "backslashreplace").decode() for name in features]
    for value, back in zip(features.values(), written.values(), strict=True):
        assert repr(words.get(back, back)) == repr(value)


@pytest.mark.parametrize(
    "arguments", [{"model": ""}, {"model": "m", "max_bytes": 0}, {"model": "m", "max_file_bytes": -1}]
)
def test_a_recorder_with_unusable_arguments_is_refused_at_once(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Recorder(**arguments)


def test_importing_and_recording_loads_neither_numpy_nor_pydantic_nor_yaml(tmp_path: Path) -> None:
    program = """
import sys
from modelward_agent import Recorder
UNWANTED = ["numpy", "pandas", "polars", "pyarrow", "scipy", "pydantic", "yaml", "datasketches", "starlette"]
recorder = Recorder("edge", journal=sys.argv[1])
recorder.predict({"t": 20.5, "when": object()}, float("nan"))
recorder.predict_batch({"t": [20.5, None]}, [[0.5, 0.5], [0.25, 0.75]], classes=[0, 1])
recorder.actual_batch([1, 2], [True, None])
assert recorder.stats.written == 4
print([name for name in UNWANTED if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_edge_process_needs_nothing_but_the_file(tmp_path: Path) -> None:
    """No agent, no collector, no network: hours later the lines are there, in the order of the readings."""
    recorder = Recorder("pump", journal=tmp_path, max_file_bytes=20_000)
    start = datetime(2026, 3, 1, tzinfo=UTC)
    for minute in range(600):
        recorder.predict({"pressure": 2.0 + minute % 7}, 0.1, timestamp=start + timedelta(minutes=minute))
    recorder.close()
    lines = recorded(tmp_path)
    assert [line["@timestamp"] for line in lines] == [rfc3339(start + timedelta(minutes=n)) for n in range(600)]
    assert len(list(tmp_path.iterdir())) > 1
