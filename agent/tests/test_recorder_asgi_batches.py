"""A request with several rows is recorded row by row, in the shapes that model servers speak."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from agent.tests.recorded import only, recorded
from agent.tests.served import client, watched
from modelward_agent import Recorder
from modelward_agent.recorder.asgi import ID_KEY, RecorderMiddleware
from modelward_agent.recorder.asgi.shapes import features_and_predictions

ROWS = [{"amount": 1, "country": "DE"}, {"amount": 2, "country": "FR"}]


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder("fraud", "7", journal=tmp_path)


def test_rows_have_the_request_s_id_and_their_share_of_its_latency(recorder: Recorder, tmp_path: Path) -> None:
    app = FastAPI()

    @app.post("/predict")
    async def predict(request: Request) -> dict[str, Any]:
        return {"predictions": [row["amount"] / 10 for row in await request.json()], "id": request.scope[ID_KEY]}

    app.add_middleware(RecorderMiddleware, recorder=recorder, segment=lambda scope: {"shop": "s1"})
    answered = client(app).post("/predict", json=ROWS).json()
    lines = recorded(tmp_path)
    assert [line["id"] for line in lines] == [f"{answered['id']}-0", f"{answered['id']}-1"]
    assert [line["features"] for line in lines] == ROWS
    assert [line["prediction"] for line in lines] == [0.1, 0.2]
    assert [line["segment"] for line in lines] == [{"shop": "s1"}] * 2
    assert lines[0]["latency_ms"] == lines[1]["latency_ms"] > 0


@pytest.mark.parametrize(
    ("request_body", "response_body", "predictions"),
    [
        pytest.param(ROWS, {"prediction": [1, 0]}, [1, 0], id="list"),
        pytest.param(ROWS, [1, 0], [1, 0], id="list-for-list"),
        pytest.param(ROWS, [{"prediction": "a"}, {"prediction": "b"}], ["a", "b"], id="list-of-responses"),
        pytest.param(
            ROWS, [{"prediction": 1, "id": "r1"}, {"prediction": 0, "id": "r2"}], [1, 0], id="list-of-wide-responses"
        ),
        pytest.param({"instances": ROWS}, {"predictions": [[0.9], [0.2]]}, [0.9, 0.2], id="tensorflow-rows"),
        pytest.param(
            {"instances": [{"amount": [1], "country": ["DE"]}, {"amount": [2], "country": ["FR"]}]},
            {"predictions": [[0.25, 0.75], [0.5, 0.5]]},
            [{"0": 0.25, "1": 0.75}, {"0": 0.5, "1": 0.5}],
            id="tensorflow-tensors-of-one",
        ),
        pytest.param(
            {"signature_name": "serving_default", "inputs": {"amount": [1, 2], "country": [["DE"], ["FR"]]}},
            {"outputs": {"score": [[0.9], [0.2]]}},
            [0.9, 0.2],
            id="tensorflow-columns",
        ),
        pytest.param(
            {"instances": ROWS, "parameters": {"threshold": 0.5}},
            {"predictions": [0.9, 0.2], "deployedModelId": "1"},
            [0.9, 0.2],
            id="vertex",
        ),
        pytest.param(
            {
                "dataframe_split": {
                    "index": [0, 1],
                    "columns": ["amount", "country"],
                    "data": [[1, "DE"], [2, "FR"]],
                },
                "params": {"a": 1},
            },
            {"predictions": [0.9, 0.2]},
            [0.9, 0.2],
            id="mlflow-split",
        ),
        pytest.param(
            {"columns": ["amount", "country"], "data": [[1, "DE"], [2, "FR"]]}, [0.9, 0.2], [0.9, 0.2], id="mlflow-1"
        ),
        pytest.param(
            {"dataframe_records": ROWS}, {"predictions": [{"0": 0.9}, {"0": 0.2}]}, [0.9, 0.2], id="mlflow-records"
        ),
        pytest.param({"inputs": ROWS}, {"predictions": [1, 0]}, [1, 0], id="mlflow-inputs"),
        pytest.param(
            {"amount": [1, 2], "country": ["DE", "FR"]}, {"predictions": [1, 0]}, [1, 0], id="columns-without-envelope"
        ),
        pytest.param(
            {
                "id": "42",
                "inputs": [
                    {"name": "amount", "shape": [2, 1], "datatype": "INT64", "data": [1, 2]},
                    {"name": "country", "shape": [2], "datatype": "BYTES", "data": ["DE", "FR"]},
                ],
            },
            {"outputs": [{"name": "p", "shape": [2, 2], "datatype": "FP32", "data": [0.25, 0.75, 0.5, 0.5]}]},
            [{"0": 0.25, "1": 0.75}, {"0": 0.5, "1": 0.5}],
            id="open-inference",
        ),
    ],
)
def test_the_common_shapes(
    recorder: Recorder, tmp_path: Path, request_body: Any, response_body: Any, predictions: list[Any]
) -> None:
    assert client(watched(recorder, answer=response_body)).post("/predict", json=request_body).json() == response_body
    lines = recorded(tmp_path)
    assert [line["features"] for line in lines] == ROWS
    assert [line["prediction"] for line in lines] == predictions


@pytest.mark.parametrize(
    ("request_body", "features"),
    [
        ({"inputs": [[1, "DE"], [2, "FR"]]}, [{"x0": 1, "x1": "DE"}, {"x0": 2, "x1": "FR"}]),
        ({"instances": [1.0, 5.0]}, [{"x0": 1.0}, {"x0": 5.0}]),
        ({"instances": [[[1, 2]], [[3, 4]]]}, [{"x0": [1, 2]}, {"x0": [3, 4]}]),
        ([[1, 2], [3, 4]], [{"x0": 1, "x1": 2}, {"x0": 3, "x1": 4}]),
        ([{"a": 1}, {"b": 2}], [{"a": 1, "b": None}, {"a": None, "b": 2}]),
        (
            {"inputs": [{"name": "v", "shape": [2, 2], "data": [1, 2, 3, 4]}]},
            [{"v": [1, 2]}, {"v": [3, 4]}],
        ),
    ],
)
def test_rows_without_names_and_vectors(
    recorder: Recorder, tmp_path: Path, request_body: Any, features: list[Any]
) -> None:
    client(watched(recorder, answer={"predictions": [1, 0]})).post("/predict", json=request_body)
    assert [line["features"] for line in recorded(tmp_path)] == features


@pytest.mark.parametrize(
    ("request_body", "response_body", "features", "prediction"),
    [
        pytest.param(ROWS[0], {"prediction": 1}, ROWS[0], 1, id="the-usual"),
        pytest.param(ROWS[0], {"predictions": [0.5]}, ROWS[0], 0.5, id="a-list-of-one"),
        pytest.param(ROWS[0], {"prediction": [[0.25, 0.75]]}, ROWS[0], {"0": 0.25, "1": 0.75}, id="predict-proba"),
        pytest.param(ROWS[0], {"prediction": {"a": 0.5, "b": 0.5}}, ROWS[0], {"a": 0.5, "b": 0.5}, id="classes"),
        pytest.param([ROWS[0]], {"prediction": 1}, ROWS[0], 1, id="one-row-in-a-list"),
        pytest.param({"instances": [ROWS[0]]}, {"prediction": 1}, ROWS[0], 1, id="one-row-in-an-envelope"),
        pytest.param({"inputs": ROWS[0]}, {"prediction": 1}, ROWS[0], 1, id="inputs-of-one-row"),
        pytest.param({"inputs": [1, 2, 3]}, {"prediction": 1}, {"inputs": [1, 2, 3]}, 1, id="a-vector-named-inputs"),
        pytest.param(
            {"inputs": 3, "amount": 4}, {"prediction": 1}, {"inputs": 3, "amount": 4}, 1, id="a-feature-named-inputs"
        ),
        pytest.param(
            {"embedding": [0.5, 1, 2]}, {"prediction": [2]}, {"embedding": [0.5, 1, 2]}, 2, id="one-row-with-a-vector"
        ),
    ],
)
def test_one_row_is_one_row(
    recorder: Recorder, tmp_path: Path, request_body: Any, response_body: Any, features: Any, prediction: Any
) -> None:
    client(watched(recorder, answer=response_body)).post("/predict", json=request_body)
    line = only(tmp_path)
    assert (line["features"], line["prediction"]) == (features, prediction)
    assert not line["id"].endswith("-0")


@pytest.mark.parametrize("answer", [[1, 2, 3], [1], 1, "fraud", {"a": 0.5}])
def test_rows_and_predictions_that_differ_in_number_are_counted(
    recorder: Recorder, caplog: pytest.LogCaptureFixture, answer: Any
) -> None:
    app = watched(recorder, extract=lambda request, response: (request, answer))
    assert client(app).post("/predict", json=ROWS).status_code == 200
    assert (recorder.stats.written, recorder.stats.failed) == (0, 2)
    assert f"rows: 2, predictions: {len(answer) if isinstance(answer, list) else 1}" in caplog.text


def test_an_empty_batch_is_nothing(recorder: Recorder, tmp_path: Path) -> None:
    client(watched(recorder, answer={"predictions": []})).post("/predict", json={"instances": []})
    assert (recorded(tmp_path), recorder.stats.failed) == ([], 0)


def test_a_row_that_cannot_be_recorded_loses_only_itself(recorder: Recorder, tmp_path: Path) -> None:
    client(watched(recorder, answer={"predictions": [[3, 4], 0]})).post("/predict", json=ROWS)
    assert only(tmp_path)["features"] == ROWS[1]
    assert recorder.stats.failed == 1


def test_extract_may_answer_a_batch(recorder: Recorder, tmp_path: Path) -> None:
    def extract(request: Any, response: Any) -> tuple[Any, Any]:
        return [one["input"] for one in request["calls"]], [one["score"] for one in response["results"]]

    app = watched(recorder, answer={"results": [{"score": 1}, {"score": 0}]}, extract=extract)
    client(app).post("/predict", json={"calls": [{"input": row} for row in ROWS]})
    assert [(line["features"], line["prediction"]) for line in recorded(tmp_path)] == list(
        zip(ROWS, [1, 0], strict=True)
    )


def test_extract_may_answer_a_data_frame(recorder: Recorder, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    app = watched(
        recorder,
        answer={"results": [1, 0]},
        extract=lambda request, response: (pandas.DataFrame(request), pandas.Series(response["results"])),
    )
    client(app).post("/predict", json=ROWS)
    assert [(line["features"], line["prediction"]) for line in recorded(tmp_path)] == list(
        zip(ROWS, [1, 0], strict=True)
    )


def test_a_batch_that_fails_is_one_error(recorder: Recorder, tmp_path: Path) -> None:
    app = FastAPI()

    @app.post("/predict")
    async def predict() -> None:
        raise KeyError("no model")

    app.add_middleware(RecorderMiddleware, recorder=recorder)
    client(app).post("/predict", json=ROWS)
    assert only(tmp_path)["kind"] == "error"


names = st.text(min_size=1, max_size=5)
cells = st.integers() | st.floats(allow_nan=False) | st.text(max_size=5) | st.none()


@given(st.data())
def test_every_envelope_says_the_same(data: st.DataObject) -> None:
    columns = data.draw(st.lists(names, min_size=1, max_size=4, unique=True))
    rows = data.draw(st.lists(st.tuples(*(cells for _ in columns)), min_size=2, max_size=4))
    predictions = data.draw(st.lists(st.integers() | st.text(), min_size=len(rows), max_size=len(rows)))
    records = [dict(zip(columns, row, strict=True)) for row in rows]
    by_column = {name: [row[name] for row in records] for name in columns}
    split = {"columns": columns, "data": [list(row) for row in rows]}
    for envelope in (
        records,
        {"instances": records},
        {"inputs": by_column},
        {"dataframe_records": records},
        {"dataframe_split": split},
    ):
        for answer in (predictions, {"predictions": predictions}, {"outputs": predictions}):
            assert features_and_predictions(envelope, answer) == (records, predictions)


json_values = st.recursive(
    cells,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            names
            | st.sampled_from(
                ["inputs", "instances", "name", "data", "shape", "columns", "dataframe_split", "outputs"]
            ),
            inner,
            max_size=3,
        )
    ),
)


@given(json_values, json_values)
def test_any_bodies_are_features_and_predictions_or_an_exception_that_is_told(request: Any, response: Any) -> None:
    try:
        features, _ = features_and_predictions(request, {"predictions": response})
    except (ValueError, TypeError, KeyError, IndexError):
        return
    assert isinstance(features, dict | list) or features is request
