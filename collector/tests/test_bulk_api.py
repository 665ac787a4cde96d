"""`POST /_bulk` of the embedded store: what agents send, and what anybody else might."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, HTTPException, Request
from fastapi.testclient import TestClient

from collector.tests.store_documents import DAY, log, part, prediction
from modelward_collector.api import bulk
from modelward_collector.api.bulk import bulk_router
from modelward_collector.store.protocol import Alias, Document
from modelward_collector.store.sqlite import SqliteStore

NDJSON = {"content-type": "application/x-ndjson", "authorization": "ApiKey right"}


def _authorize(request: Request) -> None:
    if request.headers.get("authorization") != "ApiKey right":
        raise HTTPException(401, "Send the agents' key.")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "modelward.db")
    opened.setup()
    yield opened
    opened.close()


@pytest.fixture
def client(store: SqliteStore) -> Iterator[TestClient]:
    app = FastAPI()
    app.include_router(bulk_router(store, _authorize))
    with TestClient(app, headers=NDJSON) as opened:
        yield opened


def body(*documents: Document, index: str | None = None) -> bytes:
    lines = []
    for document in documents:
        lines.append(json.dumps({"create": {"_index": index or document.alias, "_id": document.id}}))
        lines.append(json.dumps(document.source))
    return ("\n".join(lines) + "\n").encode()


def statuses(answer: Any) -> list[int]:
    return [item["create"]["status"] for item in answer["items"]]


def test_each_item_is_answered_for_itself_in_order(client: TestClient, store: SqliteStore) -> None:
    bad = Document(Alias.LOGS, "bad", {"message": "without a moment"})
    first = client.post("/_bulk", content=body(log("1"), bad, prediction("2")))
    assert first.status_code == 200
    answer = first.json()
    assert answer["errors"] is True
    assert statuses(answer) == [201, 400, 201]
    assert answer["items"][0]["create"] == {
        "_index": "modelward-logs-000001",
        "_id": "1",
        "result": "created",
        "status": 201,
    }
    assert answer["items"][1]["create"]["error"]["type"] == "document_parsing_exception"
    assert "@timestamp" in answer["items"][1]["create"]["error"]["reason"]
    again = client.post("/_bulk", content=body(log("1"), log("3"))).json()
    assert statuses(again) == [409, 201]
    assert again["items"][0]["create"]["error"]["type"] == "version_conflict_engine_exception"
    assert {item["_id"] for item in store.events(Alias.LOGS, DAY).items} == {"1", "3"}


def test_without_errors_the_answer_says_so(client: TestClient) -> None:
    assert client.post("/_bulk", content=body(log("1"))).json()["errors"] is False


def test_profiles_arrive_as_bytes(client: TestClient, store: SqliteStore) -> None:
    assert statuses(client.post("/_bulk", content=body(part("1"))).json()) == [201]
    assert [content[:3] for _, content in store.payloads(["1"])] == [b"MWP"]


def test_gzip_is_understood_and_the_backing_index_may_be_named(client: TestClient, store: SqliteStore) -> None:
    content = gzip.compress(body(log("1"), index="modelward-logs-000001")) + gzip.compress(body(log("2")))
    answer = client.post("/_bulk", content=content, headers={"content-encoding": "gzip"})
    assert statuses(answer.json()) == [201, 201]
    assert len(store.events(Alias.LOGS, DAY).items) == 2


def test_the_query_that_agents_send_is_understood(client: TestClient) -> None:
    answer = client.post("/_bulk?filter_path=errors,items.*.status", content=body(log("1"))).json()
    assert statuses(answer) == [201]


def test_an_alias_says_which_index_it_writes_to(client: TestClient) -> None:
    assert client.get("/_alias/modelward-events").json() == {
        "modelward-events-000001": {"aliases": {"modelward-events": {"is_write_index": True}}}
    }
    missing = client.get("/_alias/other")
    assert (missing.status_code, missing.json()["status"]) == (404, 404)


@pytest.mark.parametrize("authorization", ["", "ApiKey wrong", "Basic cmlnaHQ="])
def test_without_the_right_credentials_nothing_is_read_or_stored(
    client: TestClient, store: SqliteStore, authorization: str
) -> None:
    headers = {"authorization": authorization}
    assert client.post("/_bulk", content=body(log("1")), headers=headers).status_code == 401
    assert client.get("/_alias/modelward-events", headers=headers).status_code == 401
    assert not store.events(Alias.LOGS, DAY).items


@pytest.mark.parametrize("alias", [Alias.RESULTS, Alias.INCIDENTS, Alias.AUDIT])
def test_an_agent_writes_no_verdicts_and_nothing_into_the_audit_trail(
    client: TestClient, store: SqliteStore, alias: Alias
) -> None:
    for index in (alias.value, f"{alias.value}-000001"):
        answer = client.post("/_bulk", content=body(log("1", kind="acceptance"), index=index)).json()
        assert statuses(answer) == [404]
    assert not store.events(alias, DAY).items


def test_an_unknown_index_is_refused_by_name_and_keeps_out_no_other(client: TestClient) -> None:
    elsewhere = body(log("1"), index="modelward-results-000002")
    answer = client.post("/_bulk", content=elsewhere + body(log("2"))).json()
    assert statuses(answer) == [404, 201]
    assert "modelward-results-000002" in answer["items"][0]["create"]["error"]["reason"]


@pytest.mark.parametrize("source", [b"{broken", b"[1]", b'"text"', b'{"a": "\xff"}', b""])
def test_a_document_that_is_no_json_object_is_one_bad_item(client: TestClient, source: bytes) -> None:
    line = b'{"create":{"_index":"modelward-logs","_id":"bad"}}\n'
    answer = client.post("/_bulk", content=line + source + b"\n" + body(log("good"))).json()
    assert statuses(answer) == [400, 201]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no json\n{}\n",
        b'{"index":{"_index":"modelward-logs","_id":"1"}}\n{}\n',
        b'{"delete":{"_index":"modelward-logs","_id":"1"}}\n',
        b'{"create":{"_index":"modelward-logs"}}\n{}\n',
        b'{"create":{"_index":"modelward-logs","_id":7}}\n{}\n',
        b'{"create":null}\n{}\n',
        b"[]\n{}\n",
        b'{"create":{"_index":"modelward-logs","_id":"1"}}\n',
        b'{"create":{"_index":"modelward-logs","_id":"1"}}\n{"@timestamp":"2026-03-01T00:00:00Z"}',
    ],
)
def test_a_request_that_cannot_be_read_is_refused_as_a_whole(
    client: TestClient, store: SqliteStore, content: bytes
) -> None:
    before = body(log("before")) if content else b""
    answer = client.post("/_bulk", content=before + content)
    assert answer.status_code == 400
    assert answer.json()["error"]["reason"]
    assert not store.events(Alias.LOGS, DAY).items


@pytest.mark.parametrize("content", [b"no gzip", gzip.compress(b"x" * 1000, mtime=0)[:-20]])
def test_a_body_that_is_no_gzip_is_refused(client: TestClient, content: bytes) -> None:
    answer = client.post("/_bulk", content=content, headers={"content-encoding": "gzip"})
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "parse_exception")


def test_another_encoding_is_refused(client: TestClient) -> None:
    assert client.post("/_bulk", content=b"x", headers={"content-encoding": "br"}).status_code == 415


def test_a_body_beyond_the_bound_is_refused_whether_it_says_its_length_or_not(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "MAX_BODY_BYTES", 1_000)
    content = body(*(log(str(number)) for number in range(100)))
    assert client.post("/_bulk", content=content).status_code == 413
    streamed = client.post("/_bulk", content=iter([content[:500], content[500:]]))
    assert streamed.status_code == 413


def test_a_gzip_bomb_is_refused_before_it_unfolds(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "MAX_CONTENT_BYTES", 1_000_000)
    bomb = gzip.compress(b"x" * 50_000_000)
    answer = client.post("/_bulk", content=bomb, headers={"content-encoding": "gzip"})
    assert (answer.status_code, answer.json()["error"]["type"]) == (413, "content_too_long_exception")


def test_when_the_store_is_away_agents_are_told_to_come_back(client: TestClient, store: SqliteStore) -> None:
    store.close()
    answer = client.post("/_bulk", content=body(log("1")))
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert "is closed" in answer.json()["error"]["reason"]


def test_a_thousand_events_at_once(client: TestClient, store: SqliteStore) -> None:
    documents = [prediction(str(number), DAY.start + number * timedelta(seconds=1)) for number in range(1_000)]
    answer = client.post("/_bulk", content=gzip.compress(body(*documents)), headers={"content-encoding": "gzip"})
    assert set(statuses(answer.json())) == {201}
    assert store.labelled(DAY, model="delay").total == 1_000
