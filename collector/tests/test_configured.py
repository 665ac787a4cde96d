"""What models.d says, and how the store is, as series for the alert rules."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from collector.tests.collecting import a_collector, send_traffic, wait_until
from collector.tests.store_documents import NOON
from modelward_agent.metrics import LATENCY_BUCKETS
from modelward_collector.app import Collector
from modelward_collector.configured import objective_bucket, performance_bounds, series_bounds
from modelward_collector.models import ModelSpec
from modelward_collector.store.health import StoreHealth
from modelward_collector.store.protocol import Health
from modelward_collector.store.sqlite import SqliteStore


def shown(collector: Collector, name: str) -> list[tuple[dict[str, str], float]]:
    families = text_string_to_metric_families(collector.metrics.render().decode())
    return [(dict(s.labels), s.value) for family in families for s in family.samples if s.name == name]


def spec(**checks: object) -> ModelSpec:
    return ModelSpec.model_validate({"model": "fraud", "checks": checks})


# -- models --------------------------------------------------------------------------------------------------------
def test_every_version_seen_says_whose_the_model_is_and_a_model_without_traffic_too(tmp_path: Path) -> None:
    collector = a_collector(tmp_path, {"fraud": "owner: risk@example.org\ntier: 1", "idle": "owner: nobody yet"})
    for hour, version in enumerate(("1", "2")):
        send_traffic(collector.context.store, NOON + timedelta(hours=hour), 1, model="fraud", version=version)
    send_traffic(collector.context.store, NOON, 1, model="stray")
    collector.context.registry.seen()
    assert [labels for labels, _ in shown(collector, "modelward_model_info")] == [
        {"model": "fraud", "version": "2", "owner": "risk@example.org", "tier": "1"},
        {"model": "fraud", "version": "1", "owner": "risk@example.org", "tier": "1"},
        {"model": "idle", "version": "", "owner": "nobody yet", "tier": "3"},
        {"model": "stray", "version": "1", "owner": "", "tier": "3"},
    ]


def test_a_scrape_asks_the_store_for_nothing(tmp_path: Path) -> None:
    collector = a_collector(tmp_path, {"fraud": ""})
    collector.context.registry.seen()
    collector.context.store.close()
    assert shown(collector, "modelward_model_info")


def test_a_model_file_that_cannot_be_used_is_counted(tmp_path: Path) -> None:
    collector = a_collector(tmp_path, {"fraud": ""})
    assert shown(collector, "modelward_model_files_invalid") == [({}, 0)]
    (tmp_path / "models.d" / "bad.yml").write_text("model: [")
    collector.context.registry.poll()
    assert shown(collector, "modelward_model_files_invalid") == [({}, 1)]


def test_accuracy_has_a_default_threshold_until_the_model_sets_one() -> None:
    assert performance_bounds(spec()) == [("accuracy", "min", 0.85)]
    assert performance_bounds(ModelSpec.model_validate({"model": "delay", "task": "regression"})) == []
    own = spec(performance={"thresholds": {"f1": {"min": 0.6}, "brier": {"max": 0.2}}})
    assert performance_bounds(own) == [("f1", "min", 0.6), ("brier", "max", 0.2)]


def test_what_is_forecast_has_thresholds_in_the_series_own_units() -> None:
    own = spec(health={"error_rate_max": 0.02, "latency_p99_ms_max": 120})
    assert series_bounds(own) == [
        ("error_rate", "max", 0.02),
        ("latency_p99_seconds", "max", 0.12),
        ("performance_accuracy", "min", 0.85),
    ]
    assert ("latency_p99_seconds", "max", 0.5) in series_bounds(spec())


def test_the_latency_objective_is_a_bucket_that_agents_count(tmp_path: Path) -> None:
    collector = a_collector(tmp_path, {"fraud": "checks: {health: {latency_p99_ms_max: 900}}"})
    send_traffic(collector.context.store, NOON, 1, model="stray")
    collector.context.registry.seen()
    assert shown(collector, "modelward_latency_objective") == [
        ({"model": "fraud", "le": "1.0"}, 1),
        ({"model": "stray", "le": "0.5"}, 1),
    ]


@pytest.mark.parametrize(
    ("milliseconds", "bucket"),
    [
        (None, "0.5"),
        (0.01, "0.0005"),
        (120, "0.25"),
        (500.1, "1.0"),
        (10_000, "10.0"),
        (10_001, "+Inf"),
    ],
)
def test_the_objective_is_the_smallest_bucket_that_is_not_below_the_bound(
    milliseconds: float | None, bucket: str
) -> None:
    assert objective_bucket(spec(health={"latency_p99_ms_max": milliseconds})) == bucket


@pytest.mark.parametrize("seconds", LATENCY_BUCKETS)
def test_a_bound_that_is_a_bucket_is_its_own_objective(seconds: float) -> None:
    assert objective_bucket(spec(health={"latency_p99_ms_max": seconds * 1000})) == str(seconds)


def test_each_check_says_how_often_it_runs(tmp_path: Path) -> None:
    collector = a_collector(tmp_path, {"fraud": 'checks: {drift: {cron: "0 6 * * *"}}'})
    collector.context.scheduler.sync()
    intervals = {labels["check"]: value for labels, value in shown(collector, "modelward_check_interval_seconds")}
    assert intervals == {"drift": 86_400, "quality": 300, "performance": 3_600, "health": 60}


# -- the store -----------------------------------------------------------------------------------------------------
def exported(health: StoreHealth) -> dict[str, float]:
    return {
        sample.name + "".join(sample.labels.values()): sample.value
        for family in health.collect()
        for sample in family.samples
    }


def test_a_store_that_answers_is_up_and_one_that_does_not_is_down(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "modelward.db")
    health = StoreHealth(store, cluster=False)
    assert exported(health) == {}
    store.setup()
    assert health.ask() is Health.GREEN
    assert exported(health) == {"modelward_store_up": 1}
    store.close()
    (tmp_path / "modelward.db").unlink()
    (tmp_path / "modelward.db").mkdir()
    assert health.ask() is None
    assert exported(health) == {"modelward_store_up": 0}


def test_a_cluster_has_one_colour(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "modelward.db")
    store.setup()
    health = StoreHealth(store, cluster=True)
    health.ask()
    assert exported(health) == {
        "modelward_store_up": 1,
        "modelward_elasticsearch_healthgreen": 1,
        "modelward_elasticsearch_healthyellow": 0,
        "modelward_elasticsearch_healthred": 0,
    }
    store.close()


def test_a_store_that_never_ends_answering_is_down(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "modelward.db")
    store.setup()
    passed = 0.0
    health = StoreHealth(store, cluster=False, monotonic=lambda: passed)
    health.ask()
    passed = 35.0
    assert exported(health) == {"modelward_store_up": 1}
    passed = 60.0
    assert exported(health) == {"modelward_store_up": 0}
    store.close()


def test_the_collector_asks_by_itself_from_start_to_stop(tmp_path: Path) -> None:
    collector = a_collector(tmp_path)
    collector.start()
    wait_until(lambda: shown(collector, "modelward_store_up") == [({}, 1)], "the store's health")
    collector.stop()
