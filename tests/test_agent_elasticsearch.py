"""The agent and a real Elasticsearch with the collector's templates, over TLS, as a user with few rights."""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import Elasticsearch as Client

from agent.tests.agents import append, configuration, lines, prediction, quarantined, recorder_file, running
from agent.tests.bulk_server import wait_for
from modelward_agent.config import AgentConfig
from modelward_agent.profile.profile import merged
from modelward_agent.profile.wire import profile_of_document
from modelward_collector.store.protocol import Alias
from modelward_collector.store.templates import component_templates, index_template
from tests.servers.elasticsearch import Elasticsearch


@pytest.fixture
def client(elasticsearch: Elasticsearch) -> Iterator[Client]:
    """An administrator's client, and empty indices made from the collector's templates."""
    client = Client(elasticsearch.url, ca_certs=str(elasticsearch.ca), basic_auth=elasticsearch.admin.auth)
    for alias in (Alias.EVENTS, Alias.LOGS, Alias.PROFILES):
        indices = client.indices.get(index=f"{alias}-*", ignore_unavailable=True)
        for index in indices:
            client.indices.delete(index=index)
    for name, component in component_templates().items():
        client.cluster.put_component_template(name=name, template=component)
    for alias in (Alias.EVENTS, Alias.LOGS, Alias.PROFILES):
        client.indices.put_index_template(name=alias, **index_template(alias))
        client.indices.create(index=f"{alias}-000001", aliases={alias: {"is_write_index": True}})
    yield client
    client.close()


def agent_of(tmp_path: Path, node: Elasticsearch, **changes: Any) -> AgentConfig:
    secret = tmp_path / "password"
    secret.touch(0o600)
    secret.write_text(node.agent.password + "\n")
    access = {"ca_file": node.ca, "username": node.agent.name, "password_file": secret, "backoff_seconds": 1.0}
    return configuration(tmp_path, node.url, elasticsearch=access, **changes)


def stored(client: Client, alias: Alias) -> list[dict[str, Any]]:
    client.indices.refresh(index=alias)
    found = client.search(index=alias, size=10_000, sort=["_doc"])
    return [hit["_source"] for hit in found["hits"]["hits"] if hit["_source"]["kind"] != "heartbeat"]


def rows(client: Client) -> int:
    return merged(profile_of_document(document) for document in stored(client, Alias.PROFILES)).rows


def test_every_kind_of_line_is_taken(tmp_path: Path, elasticsearch: Elasticsearch, client: Client) -> None:
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    log = tmp_path / "app.log"
    append(log, b"2026-03-01T12:00:00Z ERROR it broke\nTraceback (most recent call last):\n  File x\nKeyError: 'a'\n")
    json_log = tmp_path / "app.json"
    append(
        json_log,
        json.dumps({"ts": at, "level": "warn", "msg": "slow", "error": "text", "service": "x"}).encode() + b"\n",
    )
    logs = [{"path": str(log), "model": "fraud"}, {"path": str(json_log), "format": "json", "fields": {"team": "risk"}}]
    config = agent_of(tmp_path, elasticsearch, logs=logs)
    every = [
        prediction(1),
        prediction(2, features={"a": "NaN", "b": None, "c": True, "d": [0.5, 1.5], "e": {"f": 1}, "g": [1, "x"]}),
        prediction(3, prediction="NaN", latency_ms=None, segment={"region": "eu"}),
        prediction(4, prediction="Infinity"),
        prediction(5, prediction={"yes": 0.25, "no": 0.75}),
        prediction(6, prediction={"yes": "NaN", "no": "NaN"}),
        prediction(7, prediction="approve", features={"long": "x" * 40_000}),
        {"@timestamp": at, "kind": "actual", "model": "fraud", "id": "p1", "actual": 1},
        {"@timestamp": at, "kind": "actual", "model": "fraud", "id": "p2", "actual": "NaN"},
        {"@timestamp": at, "kind": "actual", "model": "fraud", "id": "p7", "actual": "decline"},
        {"@timestamp": at, "kind": "error", "model": "fraud", "message": "it broke", "error.type": "KeyError"},
        {"@timestamp": at, "kind": "error", "model": "fraud", "error": "just text"},
        {"@timestamp": at, "kind": "stage", "pipeline": "p", "stage": "train", "status": "ok", "duration_ms": 1.5},
        {"@timestamp": at, "kind": "business", "event": "revenue", "value": 3.5, "currency": "EUR", "source": "shop"},
        {"@timestamp": at, "kind": "log", "log.level": "info", "message": "hello", "log": "text"},
    ]
    append(recorder_file(config), lines(*every))
    with running(config) as agent:
        wait_for(lambda: len(stored(client, Alias.EVENTS)) == 14 and len(stored(client, Alias.LOGS)) == 3, 30)
        wait_for(lambda: rows(client) == 7, 30)
        assert not agent.last_error
    assert quarantined(config) == []
    events = {event["id"]: event for event in stored(client, Alias.EVENTS) if event["kind"] == "prediction"}
    assert events["p1"]["prediction"] == {"value": 0.001}
    assert events["p2"]["vectors"]["d"] == [0.5, 1.5]
    assert events["p3"]["prediction"] == {"label": "NaN"}
    assert events["p5"]["prediction"] == {"probabilities": {"yes": 0.25, "no": 0.75}, "label": "no", "score": 0.75}
    assert events["p6"]["prediction"] == {"probabilities": {"yes": "NaN", "no": "NaN"}}
    assert {event["host"]["name"] for event in events.values()} == {"serving-1"}
    found = client.search(index=Alias.EVENTS, query={"term": {"features.country": "DE"}})
    assert found["hits"]["total"]["value"] == 5
    assert any("KeyError" in entry.get("error.stack_trace", "") for entry in stored(client, Alias.LOGS))
    beats = client.search(index=Alias.LOGS, query={"term": {"kind": "heartbeat"}})
    assert beats["hits"]["total"]["value"] >= 1


def test_what_cannot_be_stored_is_quarantined_with_elasticsearchs_reason(
    tmp_path: Path, elasticsearch: Elasticsearch, client: Client
) -> None:
    config = agent_of(tmp_path, elasticsearch)
    bad = prediction(2, log={"level": {"of": "an object"}})
    append(recorder_file(config), lines(prediction(1), bad, prediction(3)))
    with running(config):
        wait_for(lambda: len(stored(client, Alias.EVENTS)) == 2 and rows(client) == 3, 30)
    (kept,) = quarantined(config)
    assert kept["reason"] == "rejected"
    assert "[log.level]" in kept["detail"]


def test_a_rollover_between_sends_and_a_dead_elasticsearch_make_no_copy(
    tmp_path: Path, elasticsearch: Elasticsearch, client: Client
) -> None:
    config = agent_of(tmp_path, elasticsearch)
    path = recorder_file(config)
    append(path, lines(*(prediction(number) for number in range(100))))
    with path.open("rb") as writer, running(config, look_up_seconds=0.2) as agent:
        fcntl.flock(writer, fcntl.LOCK_SH)
        wait_for(lambda: len(stored(client, Alias.EVENTS)) == 100, 30)
        elasticsearch.kill()
        append(path, lines(*(prediction(number) for number in range(100, 200))))
        wait_for(lambda: "connection" in agent.status()["failures"], 30)
        elasticsearch.start()
        client.indices.rollover(alias=Alias.EVENTS)
        client.indices.rollover(alias=Alias.PROFILES)
        wait_for(lambda: len(stored(client, Alias.EVENTS)) == 200, 60)
        wait_for(lambda: rows(client) == 200, 60)

        def used_by_now() -> bool:
            append(path, lines(prediction(int(time.monotonic() * 1000))))
            client.indices.refresh(index=Alias.EVENTS)
            return bool(client.count(index=f"{Alias.EVENTS}-000002")["count"])

        wait_for(used_by_now, 30)
    ids = [event["id"] for event in stored(client, Alias.EVENTS)]
    assert len(ids) == len(set(ids))
    assert rows(client) == len(ids)
