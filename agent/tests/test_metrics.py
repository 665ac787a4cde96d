"""`/metrics` and `/healthz` as Prometheus and an operator see them."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from agent.tests.agents import append, configuration, lines, prediction, predictions, recorder_file, running
from agent.tests.bulk_server import BulkServer, wait_for
from modelward_agent.daemon import Agent
from modelward_agent.metrics import AgentMetrics
from modelward_agent.profile.fold import Tally
from modelward_agent.shown import ShownVersions
from tests.servers.certificates import Authority


@pytest.fixture
def server() -> Iterator[BulkServer]:
    server = BulkServer()
    yield server
    server.close()


def scraped(agent: Agent) -> dict[str, dict[tuple[str, ...], float]]:
    assert agent.metrics_port is not None
    connection = http.client.HTTPConnection("127.0.0.1", agent.metrics_port, timeout=5)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    series: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            by_name = tuple(value for _, value in sorted(sample.labels.items()))
            series.setdefault(sample.name, {})[by_name] = sample.value
    return series


def test_what_is_recorded_shows_within_two_seconds(tmp_path: Path, server: BulkServer) -> None:
    config = configuration(tmp_path, server, metrics={"listen": "127.0.0.1:0"})
    path = append(recorder_file(config), predictions(0, 1))
    with running(config) as agent:
        wait_for(lambda: scraped(agent).get("modelward_predictions_total") == {("fraud", "1"): 1})
        at = prediction(0)["@timestamp"]
        append(
            path,
            lines(
                prediction(1, features={"amount": None, "country": "DE"}, latency_ms=700),
                {"@timestamp": at, "kind": "error", "model": "fraud", "version": "1", "message": "it broke"},
                {"@timestamp": at, "kind": "actual", "model": "fraud", "version": "1", "id": "p1", "actual": 1},
                {"no": "kind"},
            ),
        )
        appended = time.monotonic()
        wait_for(lambda: scraped(agent)["modelward_predictions_total"] == {("fraud", "1"): 2})
        assert time.monotonic() - appended < 2
        series = scraped(agent)
        assert series["modelward_prediction_errors_total"] == {("fraud", "1"): 1}
        assert series["modelward_actuals_total"] == {("fraud", "1"): 1}
        assert series["modelward_feature_missing_total"] == {("amount", "fraud"): 1}
        assert series["modelward_events_quarantined_total"] == {("missing_field:kind",): 1}
        buckets = series["modelward_prediction_latency_seconds_bucket"]
        assert buckets["0.0025", "fraud", "1"] == 1
        assert buckets["0.5", "fraud", "1"] == 1
        assert buckets["1.0", "fraud", "1"] == buckets["+Inf", "fraud", "1"] == 2
        assert series["modelward_prediction_latency_seconds_sum"]["fraud", "1"] == pytest.approx(0.7025)
        wait_for(lambda: scraped(agent)["modelward_journal_lag_bytes"] == {(): 0})
        wait_for(lambda: scraped(agent)["modelward_events_shipped_total"][()] >= 4)


def test_the_number_of_series_is_bounded() -> None:
    metrics = AgentMetrics(max_models=2, max_features=3)
    for number in range(10):
        tally = Tally()
        tally.predictions[f"m{number}", "1"] = 1
        for feature in range(10):
            tally.missing[f"m{number}", f"f{feature}"] = 1
        metrics.add(tally)
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in metrics.collect()
        for sample in family.samples
    }
    assert samples["modelward_predictions_total", "other", "other"] == 8
    assert samples["modelward_feature_missing_total", "m0", "other"] == 7
    assert samples["modelward_feature_missing_total", "other", "other"] == 80
    assert sum(1 for name, *_ in samples if name == "modelward_feature_missing_total") == 2 * 4 + 1


def series_of(metrics: AgentMetrics, name: str) -> dict[tuple[str, ...], float]:
    return {
        tuple(sample.labels.values()): sample.value
        for family in metrics.collect()
        for sample in family.samples
        if sample.name == name
    }


def predicted(*versions: tuple[str, str]) -> Tally:
    tally = Tally()
    for pair in versions:
        tally.predictions[pair] += 1
    return tally


def test_a_flood_of_versions_takes_no_series_from_other_models() -> None:
    metrics = AgentMetrics(max_models=10, max_features=3)
    for number in range(1000):
        metrics.add(predicted(("flooded", f"2026-07-01T00:00:{number}")))
    metrics.add(predicted(("calm", "1"), ("calm", "2")))
    shown = series_of(metrics, "modelward_predictions_total")
    assert shown["calm", "1"] == shown["calm", "2"] == 1
    assert shown["flooded", "other"] == 990
    assert len(shown) <= 11


def test_an_idle_version_gives_its_series_to_a_new_one() -> None:
    now = 0.0
    gone: list[tuple[str, str]] = []
    versions = ShownVersions(3, gone.append, lambda: now)
    for number in range(20):
        now = number * 3600.0
        assert versions.shown(("deployed", f"{number}")) == ("deployed", f"{number}")
        assert versions.shown(("steady", "1")) == ("steady", "1")
    assert gone == [("deployed", f"{number}") for number in range(18)]


def test_what_is_shown_no_longer_leaves_nothing_behind() -> None:
    metrics = AgentMetrics(max_models=2, max_features=3)
    business = {"model": "b", "version": "1", "event": "sold", "value": 1.0, "currency": "EUR"}
    metrics.add(predicted(("a", "1")))
    tally = predicted(("b", "1"), ("b", "2"), ("b", "3"))
    tally.missing["b", "x"] = 1
    tally.business.append(business)
    metrics.add(tally)
    metrics._forget(("b", "1"))
    assert not any(key[:2] == ("b", "1") for key in series_of(metrics, "modelward_business_value_total"))


def test_labels_are_short_and_still_tell_apart() -> None:
    metrics = AgentMetrics(max_models=10, max_features=10)
    tally = predicted(("m", "1"))
    for number in range(2):
        tally.missing["m", "long" * 1000 + str(number)] = 1 + number
    metrics.add(tally)
    shown = series_of(metrics, "modelward_feature_missing_total")
    assert sorted(shown.values()) == [1, 2]
    assert all(len(feature) == 200 for _, feature in shown)


def test_what_is_beyond_the_bounds_is_said_once_and_shown(
    tmp_path: Path, server: BulkServer, caplog: pytest.LogCaptureFixture
) -> None:
    config = configuration(tmp_path, server, metrics={"listen": "127.0.0.1:0"}, max_features=2, max_versions=2)
    row = {"a": 1, "b": 2, "c": 3, "d": 4}
    path = append(recorder_file(config), lines(prediction(0, features=row)))
    with running(config) as agent:
        wait_for(lambda: scraped(agent).get("modelward_features_beyond_limit") == {("fraud",): 2})
        append(path, lines(*(prediction(n, features=row, version=f"v{n}") for n in range(1, 6))))
        wait_for(lambda: ("fraud", "other") in scraped(agent)["modelward_predictions_total"])
        assert agent.status()["features_beyond_limit"] == {"fraud": 2}
    said = [record.message for record in caplog.records if record.message.startswith("fraud: it has")]
    assert [message.partition("; ")[0] for message in said] == [
        "fraud: it has 4 features or more",
        "fraud: it has more than 2 versions with traffic in an hour",
    ]
    assert "max_features in agent.yml" in said[0]
    assert "max_versions in agent.yml" in said[1]


def test_tls_and_a_password_keep_others_out(tmp_path: Path, server: BulkServer, authority: Authority) -> None:
    issued = authority.issue()
    secret = tmp_path / "password"
    secret.write_text("of prometheus\n")
    secret.chmod(0o600)
    tls = {"certificate": issued.certificate, "key_file": issued.key}
    metrics = {"listen": "127.0.0.1:0", "tls": tls, "username": "prometheus", "password_file": secret}
    trust = ssl.create_default_context(cafile=str(authority.path))
    with running(configuration(tmp_path, server, metrics=metrics)) as agent:

        def status(path: str, credential: str | None) -> int:
            assert agent.metrics_port is not None
            connection = http.client.HTTPSConnection("127.0.0.1", agent.metrics_port, timeout=5, context=trust)
            headers = {}
            if credential is not None:
                headers["authorization"] = "Basic " + base64.b64encode(credential.encode()).decode()
            connection.request("GET", path, headers=headers)
            answered = connection.getresponse().status
            connection.close()
            return answered

        assert status("/metrics", "prometheus:of prometheus") == 200
        assert status("/metrics", "prometheus:of grafana") == 401
        assert status("/metrics", None) == 401
        assert status("/healthz", None) == 200
        assert status("/other", "prometheus:of prometheus") == 404


def test_health_says_when_the_loop_is_stuck(tmp_path: Path, server: BulkServer) -> None:
    config = configuration(tmp_path, server, metrics={"listen": "127.0.0.1:0"})
    with running(config) as agent:
        assert agent.metrics_port is not None

        def health() -> tuple[int, float]:
            assert agent.metrics_port is not None
            connection = http.client.HTTPConnection("127.0.0.1", agent.metrics_port, timeout=5)
            connection.request("GET", "/healthz")
            answer = connection.getresponse()
            content = json.load(answer)
            connection.close()
            return answer.status, content["silent_seconds"]

        assert health()[0] == 200
        held = agent._handover.changed
        with held:
            append(recorder_file(config), predictions(0, 1))
            wait_for(lambda: health()[1] > 0.5)


def test_heartbeats_tell_how_the_agent_is(tmp_path: Path, server: BulkServer) -> None:
    config = configuration(tmp_path, server, heartbeat_interval="1s")
    append(recorder_file(config), predictions(0, 3) + b"{\n")
    with running(config):

        def beats() -> list[dict[str, object]]:
            return [log for _, log in server.of("modelward-logs") if log["kind"] == "heartbeat"]

        wait_for(lambda: beats() and beats()[-1]["shipped"] and beats()[-1]["quarantined"])
    last = beats()[-1]
    assert last["host"] == {"name": "serving-1"}
    assert last["quarantined"] == 1
    assert last["lag_bytes"] == 0
    assert last["last_error"] == ""
    assert set(last) >= {"@timestamp", "agent", "dropped", "spooled", "profile_format"}
