"""What becomes of a record on its way into a document."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agent.tests.agents import lines, prediction
from modelward_agent.config import Events
from modelward_agent.journal.parse import Malformed, parse_line
from modelward_agent.ship.documents import EVENTS, LOGS, Documents, outcome

AT = "2026-03-01T12:00:00.000001Z"


def document(line: dict[str, Any]) -> dict[str, Any]:
    (item,) = Documents("serving-1", Events()).items("k", [(0, parse_line(lines(line)))])
    stored: dict[str, Any] = json.loads(item.body)
    assert stored.pop("host") == {"name": "serving-1"}
    return stored


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (0.5, {"value": 0.5}),
        (3, {"value": 3}),
        ("approve", {"label": "approve"}),
        ("NaN", {"label": "NaN"}),
        ("-Infinity", {"label": "-Infinity"}),
        (True, {"label": "true"}),
        (None, None),
        ({"a": 0.2, "b": 0.8}, {"probabilities": {"a": 0.2, "b": 0.8}, "label": "b", "score": 0.8}),
        ({"a": "NaN", "b": 0.1}, {"probabilities": {"a": "NaN", "b": 0.1}, "label": "b", "score": 0.1}),
        ({"a": "Infinity"}, {"probabilities": {"a": "Infinity"}, "label": "a"}),
        ({"a": "NaN"}, {"probabilities": {"a": "NaN"}}),
    ],
)
def test_an_outcome_is_a_value_or_a_label(value: Any, stored: dict[str, Any] | None) -> None:
    assert outcome(value) == stored


def test_lists_of_numbers_are_kept_apart_from_the_features() -> None:
    stored = document(prediction(1, features={"amount": 1.5, "embedding": [0.25, 0.5], "country": None}))
    assert stored["features"] == {"amount": 1.5, "country": None}
    assert stored["vectors"] == {"embedding": [0.25, 0.5]}


def test_the_parts_of_a_segment_can_be_chosen_from_whatever_their_names_are() -> None:
    stored = document(prediction(1, segment={"region": "eu", "tier": "gold"}))
    assert stored["segment"] == {"region": "eu", "tier": "gold"}
    assert stored["segments"] == ["region=eu", "tier=gold"]
    assert "segments" not in document(prediction(1))
    actual = {"@timestamp": AT, "kind": "actual", "model": "m", "id": "p1", "actual": 1, "segment": {"region": "us"}}
    assert document(actual)["segments"] == ["region=us"]
    error = {"@timestamp": AT, "kind": "error", "model": "m", "message": "it broke", "segment": {"region": "us"}}
    assert document(error)["segments"] == ["region=us"]


def test_what_an_application_calls_segments_itself_is_kept_under_another_name() -> None:
    stored = document(prediction(1, segments={"a": {"b": 1}}))
    assert "segments" not in stored
    assert stored["segments_text"] == {"a": {"b": 1}}


def test_business_and_stage_fields_are_gathered() -> None:
    business = {"@timestamp": AT, "kind": "business", "event": "revenue", "value": 2.5, "model": "m"}
    assert document(business) == {
        "@timestamp": AT,
        "kind": "business",
        "model": "m",
        "business": {"event": "revenue", "value": 2.5},
    }
    stage = {"@timestamp": AT, "kind": "stage", "pipeline": "p", "stage": "train", "status": "ok", "rows": 3}
    assert document(stage) == {
        "@timestamp": AT,
        "kind": "stage",
        "stage": {"name": "train", "pipeline": "p", "status": "ok", "rows": 3},
    }


def test_a_text_where_ecs_has_an_object_is_kept_under_another_name() -> None:
    stored = document({"@timestamp": AT, "kind": "log", "message": "m", "error": "text", "log": {"level": "info"}})
    assert stored["error_text"] == "text"
    assert stored["log"] == {"level": "info"}


def test_ids_come_from_file_and_offset_and_logs_have_their_own_alias() -> None:
    log = {"@timestamp": AT, "kind": "log", "message": "m"}
    entries = [(0, parse_line(lines(prediction(1)))), (300, Malformed("not_json")), (4096, parse_line(lines(log)))]
    items = Documents("serving-1", Events()).items("00ff", entries)
    assert [(item.alias, item.id) for item in items] == [(EVENTS, "00ff-0"), (LOGS, "00ff-1000")]


def test_a_prediction_and_its_actual_are_sampled_together() -> None:
    documents = Documents("serving-1", Events.model_validate({"default": "sample 0.3"}))
    kept: dict[str, set[int]] = {"prediction": set(), "actual": set()}
    for number in range(2000):
        actual = {"@timestamp": AT, "kind": "actual", "model": "fraud", "id": f"p{number}", "actual": 1}
        for line in (prediction(number), actual):
            for item in documents.items("k", [(number, parse_line(lines(line)))]):
                kept[json.loads(item.body)["kind"]].add(number)
    assert kept["prediction"] == kept["actual"]
    assert 500 <= len(kept["actual"]) <= 700


STORED_AS_OBJECTS = {"agent": "a", "error": ["x"], "log": "x", "stage": "prod", "window": 60, "business": True}


@pytest.mark.parametrize(
    "line",
    [
        {"kind": "prediction", "model": "m", "features": {"a": 1}, "prediction": 0.5, "actual": "yes"},
        {"kind": "actual", "model": "m", "id": "1", "actual": "yes", "prediction": 0.5},
        {"kind": "error", "model": "m", "message": "x", "prediction": 0.5, "actual": 1},
        {"kind": "log", "message": "scored", "prediction": 0.5, "actual": 1, "model": {"name": "m"}, "version": [1]},
        {
            "kind": "stage",
            "pipeline": "p",
            "stage": "s",
            "status": "ok",
            "features": "f",
            "segment": "eu",
            "model": [1],
        },
        {"kind": "business", "event": "sale", "prediction": 0.5, "features": [1]},
    ],
    ids=lambda line: str(line["kind"]),
)
def test_what_a_store_has_as_objects_may_be_anything_in_a_line(line: dict[str, Any]) -> None:
    stored = document({"@timestamp": AT, **{name: STORED_AS_OBJECTS[name] for name in STORED_AS_OBJECTS}, **line})
    kind = line["kind"]
    for name in (*STORED_AS_OBJECTS, "prediction", "actual", "features", "segment"):
        assert isinstance(stored.get(name, {}), dict), name
    assert stored["window_text"] == 60
    if kind not in ("prediction", "actual"):
        assert stored.get("prediction_text") == line.get("prediction")
    assert isinstance(stored.get("model", ""), str)
    if kind == "log":
        assert (stored["model_text"], stored["version_text"]) == ({"name": "m"}, [1])
