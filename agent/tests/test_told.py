"""Business lines and stages as series."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from modelward_agent.journal.parse import Kind, Record, parse_lines
from modelward_agent.metrics import AgentMetrics
from modelward_agent.profile.fold import Folder
from modelward_agent.recorder import Recorder
from modelward_agent.told import MOST_EVENTS, MOST_STAGES

NOON = 1_780_000_000.0
Samples = dict[tuple[str, ...], float]


def shown(metrics: AgentMetrics) -> dict[str, Samples]:
    series: dict[str, Samples] = {}
    for family in metrics.collect():
        for sample in family.samples:
            series.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return series


def told(*records: Record, max_models: int = 200) -> dict[str, Samples]:
    metrics = AgentMetrics(max_models, max_features=50)
    metrics.add(Folder("host").fold(records))
    return shown(metrics)


def business(event: str, value: float, **others: Any) -> Record:
    return Record(Kind.BUSINESS, NOON, {"kind": "business", "event": event, "value": value, **others})


def stage(name: str, status: str, at: float = NOON, **others: Any) -> Record:
    document = {"kind": "stage", "pipeline": "nightly", "stage": name, "status": status, **others}
    return Record(Kind.STAGE, at, document)


def test_what_a_model_brings_is_summed_by_event_and_currency() -> None:
    of_fraud = {"model": "fraud", "version": "3"}
    series = told(
        business("revenue", 100.5, currency="EUR", **of_fraud),
        business("revenue", 20, currency="EUR", **of_fraud),
        business("revenue", 7, currency="USD", **of_fraud),
        business("satisfaction", 4, **of_fraud),
    )
    assert series["modelward_business_value_total"] == {
        ("fraud", "3", "revenue", "EUR"): 120.5,
        ("fraud", "3", "revenue", "USD"): 7.0,
        ("fraud", "3", "satisfaction", ""): 4.0,
    }
    assert series["modelward_business_events_total"]["fraud", "3", "revenue", "EUR"] == 2


def test_a_refund_does_not_make_a_counter_shrink() -> None:
    series = told(business("revenue", 100, model="m"), business("revenue", -30, model="m"))
    assert series["modelward_business_value_total"] == {("m", "", "revenue", ""): 100.0}
    assert series["modelward_business_negative_value_total"] == {("m", "", "revenue", ""): 30.0}


def test_events_beyond_the_bound_share_one_series() -> None:
    series = told(*(business(f"event {number}", 1, model="m") for number in range(MOST_EVENTS + 5)))
    assert len(series["modelward_business_value_total"]) == MOST_EVENTS + 1
    assert series["modelward_business_value_total"]["m", "", "other", "other"] == 5


def test_models_beyond_the_bound_share_one_series() -> None:
    series = told(*(business("cost", 1, model=f"m{number}") for number in range(4)), max_models=2)
    assert series["modelward_business_value_total"]["other", "other", "cost", ""] == 2


@pytest.mark.parametrize("model", [None, 3, {"a": 1}])
def test_a_model_that_is_no_text_is_no_models(model: Any) -> None:
    assert told(business("cost", 1, model=model))["modelward_business_events_total"] == {("", "", "cost", ""): 1}


def test_stages_are_counted_by_outcome_whatever_word_says_it() -> None:
    words = ("started", "Succeeded", "ok", "failed", "error", "paused by hand")
    series = told(*(stage("score", word) for word in words))
    assert series["modelward_stage_runs_total"] == {
        ("nightly", "score", "started"): 1,
        ("nightly", "score", "succeeded"): 2,
        ("nightly", "score", "failed"): 2,
        ("nightly", "score", "other"): 1,
    }


def test_a_stages_duration_and_rows_and_last_success_show() -> None:
    series = told(
        stage("score", "ok", NOON, duration_ms=400, rows=10),
        stage("score", "ok", NOON - 60, duration_ms=20_000, rows=5),
        stage("score", "failed", NOON + 60, duration_ms=1e9),
    )
    buckets = series["modelward_stage_duration_seconds_bucket"]
    named = ("nightly", "score")
    assert [buckets[*named, bound] for bound in ("1.0", "15.0", "60.0", "43200.0", "+Inf")] == [1, 1, 2, 2, 3]
    assert series["modelward_stage_duration_seconds_sum"][named] == pytest.approx(1_000_020.4)
    assert series["modelward_stage_rows_total"][named] == 15
    assert series["modelward_stage_last_success_timestamp_seconds"][named] == NOON


def test_stages_beyond_the_bound_share_one_series() -> None:
    series = told(*(stage(f"stage {number}", "ok") for number in range(MOST_STAGES + 7)))
    assert series["modelward_stage_runs_total"]["other", "other", "succeeded"] == 7


def test_what_the_recorder_writes_is_what_shows(tmp_path: Path) -> None:
    with Recorder("fraud", "3", journal=tmp_path) as recorder:
        recorder.business("revenue", 129.9, currency="EUR", source="shop")
        recorder.stage("nightly", "2026-03-01", "score", "succeeded", 1200.5, 30)
        assert recorder.path is not None
        parsed = parse_lines(recorder.path.read_bytes().splitlines())
    series = told(*(record for record in parsed if isinstance(record, Record)))
    assert series["modelward_business_value_total"] == {("fraud", "3", "revenue", "EUR"): 129.9}
    assert series["modelward_stage_runs_total"] == {("nightly", "score", "succeeded"): 1}
