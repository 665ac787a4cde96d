"""Which series a model version has, and how they are read from its profiles and results."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from collector.tests.store_documents import NOON, part, result
from modelward_agent.profile import FeatureProfile, NumericSketch, Profile, ProfileKey
from modelward_agent.profile.wire import to_document
from modelward_collector.checks.result import CheckKind, Status
from modelward_collector.series import HOUR, MOST_METRICS, measure_of, results, traffic
from modelward_collector.span import Span
from modelward_collector.stats.forecast import Measure
from modelward_collector.store.protocol import Alias, Document
from modelward_collector.store.rollup import roll_up
from modelward_collector.store.sqlite import SqliteStore

MINUTE = timedelta(minutes=1)
STEP = 10 * MINUTE
SPAN = Span(NOON, NOON + HOUR)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "modelward.db")
    opened.setup()
    yield opened
    opened.close()


def served(
    latencies: list[float], *, errors: int = 0, missing: int = 0, predictions: list[float] | None = None
) -> Profile:
    """A profile of as many rows as latencies, with two features of which the first misses some values."""
    profile = Profile()
    profile.rows, profile.errors = len(latencies), errors
    for name, values in (("latency_ms", latencies), ("prediction", predictions or [])):
        profile.outputs[name] = FeatureProfile()
        profile.outputs[name].numeric = NumericSketch()
        profile.outputs[name].update_numbers(np.array(values, np.float64))
    for name, gone in (("distance", missing), ("hour", 0)):
        profile.features[name] = FeatureProfile()
        profile.features[name].missing = gone
        profile.features[name].update_numbers(np.ones(len(latencies) - gone))
    return profile


def document(name: str, start: datetime, profile: Profile) -> Document:
    key = ProfileKey("web1", "delay", "1", (), int(start.timestamp()), 60)
    return Document(Alias.PROFILES, name, to_document(key, profile, part=name))


def test_a_step_has_its_rows_errors_latency_predictions_and_missing_share(store: SqliteStore) -> None:
    one = served([float(ms) for ms in range(1, 101)], errors=25, missing=20, predictions=[3.0] * 100)
    store.create([document("a", NOON + MINUTE, one)])
    found = traffic(store, "delay", "1", Span(NOON, NOON + STEP), STEP)
    values = {name: points.values.tolist() for name, points in found.items()}
    assert values == {
        "rows": [100.0],
        "error_rate": [0.2],
        "latency_p50_seconds": [0.05],
        "latency_p99_seconds": [0.099],
        "prediction_mean": [3.0],
        "missing_share": [0.1],
    }
    assert {tuple(points.seconds) for points in found.values()} == {(int(NOON.timestamp()),)}


def test_silence_is_no_rows_and_a_gap_of_all_else(store: SqliteStore) -> None:
    store.create([part("a", NOON + STEP, [1.0] * 8), part("b", NOON + 3 * STEP, [1.0] * 6)])
    found = traffic(store, "delay", "1", SPAN, STEP)
    assert found["rows"].values.tolist() == [8, 0, 6, 0, 0], "from the first profile on"
    assert len(found["missing_share"].values) == 2
    filled = traffic(store, "delay", "1", SPAN, STEP, filled=True)
    assert filled["rows"].values.tolist() == [0, 8, 0, 6, 0, 0]
    assert traffic(store, "delay", "2", SPAN, STEP) == {}


def test_a_few_rows_have_no_share_worth_telling(store: SqliteStore) -> None:
    store.create([part("a", NOON, [1.0] * 4)])
    assert list(traffic(store, "delay", "1", Span(NOON, NOON + STEP), STEP)) == ["rows"]


def test_hours_that_minutes_were_merged_into_are_rows_per_step(store: SqliteStore) -> None:
    store.create([part(str(minute), NOON + minute * MINUTE, [1.0] * 6) for minute in range(60)])
    roll_up(store, "delay", NOON + 9 * HOUR)
    for stride in (None, HOUR):
        rows = traffic(store, "delay", "1", Span(NOON, NOON + 2 * HOUR), STEP, stride=stride)["rows"]
        assert rows.values[0] == 60
        assert rows.lengths[0] == 3600
        assert rows.seconds[1] == int(NOON.timestamp()) + 3600
        assert not rows.values[1:].any()


def test_results_are_series_by_the_hour_without_those_on_demand_or_failed(store: SqliteStore) -> None:
    for hour, numbers in ((0, {"max_score": 0.25}), (1, {"max_score": 0.5})):
        store.save_result(replace(result(NOON + hour * HOUR + 7 * MINUTE), numbers=numbers))
    store.save_result(replace(result(NOON + 2 * HOUR, on_demand=True), numbers={"max_score": 0.9}))
    store.save_result(replace(result(NOON + 3 * HOUR, status=Status.ERROR), numbers={"max_score": 0.9}))
    found = results(store, "delay", "1", CheckKind.DRIFT, Span(NOON, NOON + 9 * HOUR))
    assert found["drift_score"].values.tolist() == [0.25, 0.5]
    assert found["drift_score"].seconds.tolist() == [int(NOON.timestamp()), int(NOON.timestamp()) + 3600]


def test_performance_metrics_are_series_up_to_a_bound(store: SqliteStore) -> None:
    numbers = {f"m{number:02}": float(number) for number in range(20)} | {"labels": 9.0, "m00.low": 0.0}
    store.save_result(replace(result(check=CheckKind.PERFORMANCE), numbers=numbers))
    found = results(store, "delay", "1", CheckKind.PERFORMANCE, Span(NOON, NOON + HOUR))
    assert sorted(found) == [f"performance_m{number:02}" for number in range(MOST_METRICS)]


def test_every_series_is_counted_as_what_it_is() -> None:
    assert measure_of("rows") is Measure.COUNT
    assert measure_of("error_rate") is Measure.SHARE
    assert measure_of("latency_p99_seconds") is Measure.POSITIVE
    assert measure_of("performance_mae") is Measure.NUMBER
