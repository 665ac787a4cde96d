"""Results as Prometheus series."""

from __future__ import annotations

from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from collector.tests.store_documents import NOON, result
from modelward_collector.checks.result import CheckKind, Finding, Status
from modelward_collector.metrics import Metrics, drift_scores


def series(metrics: Metrics) -> dict[str, float]:
    lines = [line for line in metrics.render().decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def drift(feature: str, value: float, status: Status = Status.OK, segment: dict[str, str] | None = None) -> Finding:
    tests = {"ks": {"value": value / 2, "p": 0.5}, "psi": {"value": None, "p": None}}
    return Finding(feature, "drift", status, "", value, 0.1, segment=segment, detail={"tests": tests})


def test_a_drift_result_becomes_scores_and_a_count() -> None:
    metrics = Metrics(max_features=50)
    findings = (drift("a", 0.4, Status.CRITICAL), drift("b", 0.01), drift("a", 0.9, segment={"region": "eu"}))
    metrics.ran([replace(result(), findings=findings, numbers={"drifted": 1.0}, status=Status.CRITICAL)])
    shown = series(metrics)
    assert shown['modelward_drift_score{feature="a",model="delay",test="effect",version="1"}'] == 0.4
    assert shown['modelward_drift_score{feature="a",model="delay",test="ks",version="1"}'] == 0.2
    assert shown['modelward_drift_score{feature="b",model="delay",test="effect",version="1"}'] == 0.01
    assert not [name for name in shown if 'test="psi"' in name]
    assert shown['modelward_drift_detected{model="delay",version="1"}'] == 1
    assert shown['modelward_check_status{check="drift",model="delay",version="1"}'] == Status.CRITICAL.code
    assert shown['modelward_check_runs_total{check="drift",status="critical"}'] == 1
    assert shown['modelward_check_duration_seconds_count{check="drift"}'] == 1
    assert shown['modelward_check_last_success_timestamp_seconds{check="drift",model="delay"}'] > NOON.timestamp()


def test_quality_and_performance_have_their_own_series() -> None:
    metrics = Metrics(max_features=50)
    bad = Finding("a", "missing", Status.WARNING, "", 0.5, 0.1)
    metrics.ran([replace(result(check=CheckKind.QUALITY), findings=(bad, bad, drift("b", 0.1)))])
    numbers = {"mae": 3.0, "mae.low": 2.5, "mae.high": 3.5, "labels": 40.0, "labels_share": 0.5, "predictions": 80.0}
    metrics.ran([replace(result(check=CheckKind.PERFORMANCE), findings=(), numbers=numbers)])
    shown = series(metrics)
    assert shown['modelward_quality_violations{model="delay",version="1"}'] == 2
    assert shown['modelward_performance_labels{model="delay",version="1"}'] == 40
    performance = {name: value for name, value in shown.items() if name.startswith("modelward_performance{")}
    assert performance == {'modelward_performance{metric="mae",model="delay",version="1"}': 3.0}


def test_a_performance_metric_shows_with_its_interval_and_its_segments() -> None:
    metrics = Metrics(max_features=50)
    found = (
        Finding("accuracy", "accuracy", Status.WARNING, "", 0.8, 0.85),
        Finding("accuracy", "estimated", Status.OK, "", 0.86, 0.85),
        Finding("accuracy", "accuracy", Status.OK, "", 0.7, 0.85, segment={"region": "eu"}),
    )
    numbers = {"accuracy": 0.8, "accuracy.low": 0.78, "accuracy.high": 0.82}
    numbers |= {"estimated.accuracy": 0.86, "estimated.accuracy.low": 0.84, "estimated.accuracy.high": 0.88}
    metrics.ran([replace(result(check=CheckKind.PERFORMANCE), findings=found, numbers=numbers)])
    shown = series(metrics)
    of = 'metric="accuracy",model="delay"'
    assert shown[f'modelward_performance_interval{{bound="low",{of},version="1"}}'] == 0.78
    assert shown[f'modelward_performance_interval{{bound="high",{of},version="1"}}'] == 0.82
    assert shown[f'modelward_performance_estimated_interval{{bound="high",{of},version="1"}}'] == 0.88
    assert shown[f'modelward_segment_performance{{{of},segment="region=eu",version="1"}}'] == 0.7


def test_segments_that_drift_are_counted_by_feature() -> None:
    metrics = Metrics(max_features=50)
    inside = [drift(name, 0.4, Status.WARNING, segment={"region": "eu"}) for name in ("a", "b")]
    metrics.ran([replace(result(), findings=(drift("a", 0.1), *inside), numbers={"drifted": 0.0})])
    shown = series(metrics)
    assert shown['modelward_segment_drift_detected{model="delay",segment="region=eu",version="1"}'] == 2


def test_only_the_worst_features_are_series() -> None:
    findings = [drift(f"f{number:03}", number / 1000) for number in range(100)]
    findings.append(drift("flagged", 0.001, Status.WARNING))
    kept = {feature for feature, _, _ in drift_scores(findings, 3)}
    assert kept == {"flagged", "f099", "f098"}


def test_what_the_latest_run_does_not_give_is_no_longer_shown() -> None:
    metrics = Metrics(max_features=50)
    metrics.ran([result(version="1"), result(version="2")])
    metrics.ran([result(version="2")])
    assert not [name for name in series(metrics) if 'version="1"' in name]
    metrics.forget("delay")
    assert not [name for name in series(metrics) if 'model="delay"' in name]


def test_a_failed_run_is_shown_but_gives_no_scores_and_is_no_success() -> None:
    metrics = Metrics(max_features=50)
    metrics.ran([result(status=Status.ERROR)])
    shown = series(metrics)
    assert shown['modelward_check_status{check="drift",model="delay",version="1"}'] == Status.ERROR.code
    assert not [name for name in shown if name.startswith(("modelward_drift_score", "modelward_check_last_success"))]


def test_after_a_restart_the_latest_results_are_shown_but_not_counted() -> None:
    metrics = Metrics(max_features=50)
    metrics.restore([result(version="old", end=NOON.replace(hour=1)), result(version="new")])
    shown = series(metrics)
    assert 'modelward_check_status{check="drift",model="delay",version="new"}' in shown
    assert not [name for name in shown if 'version="old"' in name]
    assert shown['modelward_check_runs_total{check="drift",status="ok"}'] == 0


def test_an_older_result_does_not_replace_a_newer_one() -> None:
    metrics = Metrics(max_features=50)
    metrics.ran([result(status=Status.WARNING)])
    metrics.restore([result(end=NOON.replace(hour=1))])
    shown = series(metrics)
    assert shown['modelward_check_status{check="drift",model="delay",version="1"}'] == Status.WARNING.code


def test_names_of_any_kind_are_read_back_as_they_are() -> None:
    odd = 'a "quoted" \\ name\nover two lines, {ünï}'
    metrics = Metrics(max_features=50)
    metrics.ran([replace(result(model=odd), findings=(drift(odd, 0.5),))])
    families = {family.name: family for family in text_string_to_metric_families(metrics.render().decode())}
    (effect,) = [sample for sample in families["modelward_drift_score"].samples if sample.labels["test"] == "effect"]
    assert (effect.labels["model"], effect.labels["feature"], effect.value) == (odd, odd, 0.5)
    assert families["modelward_check_runs"].type == "counter"


def versions(metrics: Metrics) -> list[str]:
    return [
        name.partition('version="')[2].rstrip('"}')
        for name in series(metrics)
        if name.startswith("modelward_check_rows{")
    ]


def test_of_many_versions_those_that_are_flagged_and_large_are_series(caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics(max_features=50, max_versions=3)
    many = [replace(result(), version=f"{number}", rows=number, status=Status.OK) for number in range(1000)]
    many[7] = replace(many[7], status=Status.WARNING)
    for _ in range(2):
        metrics.ran(many)
    assert sorted(versions(metrics)) == ["7", "998", "999"]
    assert sum("delay: 3 of 1000 versions" in record.message for record in caplog.records) == 1


def test_there_is_a_bound_on_all_series_and_each_model_keeps_one_version() -> None:
    metrics = Metrics(max_features=50, max_versions=3, most_lines=10)
    for model in ("a", "b", "c", "d", "e", "f"):
        metrics.ran([replace(result(), model=model, version=f"{number}") for number in range(3)])
    shown = [name for name in series(metrics) if name.startswith("modelward_check_rows{")]
    assert len({name.partition('model="')[2].partition('"')[0] for name in shown}) == 6
    assert len(shown) < 6 * 2
    metrics.forget("a")
    metrics.ran([replace(result(), model="f", version="0")])
    assert len([name for name in series(metrics) if 'model="f"' in name and "check_rows" in name]) == 1


def test_label_values_are_short_and_segments_few() -> None:
    metrics = Metrics(max_features=50)
    long = [drift("x" * 5000 + str(number), 0.5, Status.WARNING) for number in range(2)]
    parts = [drift("a", 0.9, Status.WARNING, segment={"user": str(number)}) for number in range(500)]
    metrics.ran([replace(result(), findings=(*long, *parts), status=Status.WARNING)])
    found = [
        Finding("accuracy", "accuracy", Status.OK, "", 0.7, 0.85, segment={"user": str(number)})
        for number in range(500)
    ]
    metrics.ran([replace(result(check=CheckKind.PERFORMANCE), findings=tuple(found))])
    shown = series(metrics)
    assert len([name for name in shown if "xxx" in name and 'test="effect"' in name]) == 2
    assert all(len(name) < 1000 for name in shown)
    assert len([name for name in shown if name.startswith("modelward_segment_drift_detected{")]) == 64
    assert len([name for name in shown if name.startswith("modelward_segment_performance{")]) == 64
