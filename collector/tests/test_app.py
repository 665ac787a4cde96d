"""What every request passes: headers, host names, cross-site requests, keys, compression, the log."""

from __future__ import annotations

import gzip
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from collector.tests.collecting import a_collector, send_traffic
from collector.tests.store_documents import NOON, log
from modelward_collector.app import create_app

HERE = "http://127.0.0.1:8321"
RUN = "/api/v1/models/delay/checks/health/run"


@contextmanager
def serving(folder: Path, base_url: str = HERE, **settings: Any) -> Iterator[TestClient]:
    collector = a_collector(folder, {"delay": ""}, **settings)
    send_traffic(collector.context.store, NOON, 2)
    with TestClient(create_app(collector), base_url=base_url) as client:
        yield client


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    with serving(tmp_path) as opened:
        yield opened


@pytest.mark.parametrize("path", ["/", "/api/v1/models", "/nothing", "/metrics"])
def test_every_answer_has_the_security_headers(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert "server" not in headers


def test_a_foreign_host_name_is_refused_so_that_no_rebound_name_reaches_it(client: TestClient) -> None:
    assert client.get("/healthz", headers={"host": "evil.example:8321"}).status_code == 421
    for good in ("localhost:8321", "127.0.0.1", "[::1]:8321"):
        assert client.get("/healthz", headers={"host": good}).status_code == 200


def test_a_name_that_is_configured_is_served(tmp_path: Path) -> None:
    with serving(tmp_path, listen={"names": ["models.example.org"]}) as client:
        assert client.get("/healthz", headers={"host": "models.example.org"}).status_code == 200
        assert client.get("/healthz", headers={"host": "other.example.org"}).status_code == 421


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"sec-fetch-site": "same-origin", "origin": HERE}, 200),
        ({"origin": HERE}, 200),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
    ],
)
def test_what_changes_something_must_come_from_here(client: TestClient, headers: dict[str, str], status: int) -> None:
    assert client.post(RUN, headers=headers).status_code == status
    assert client.get("/api/v1/models", headers=headers).status_code == 200


def test_with_a_key_configured_a_script_must_send_it(tmp_path: Path) -> None:
    key = tmp_path / "api.key"
    key.write_text("sesame\n")
    key.chmod(0o600)
    with serving(tmp_path, api={"api_key_file": str(key)}) as client:
        assert client.post(RUN).status_code == 401
        assert client.post(RUN, headers={"authorization": "ApiKey wrong"}).status_code == 401
        assert client.post(RUN, headers={"authorization": "ApiKey sesame"}).status_code == 200
        assert client.post(RUN, headers={"sec-fetch-site": "same-origin"}).status_code == 200
        assert client.post(RUN, headers={"sec-fetch-site": "cross-site"}).status_code == 403


def test_only_agents_with_the_key_deliver(tmp_path: Path) -> None:
    key = tmp_path / "agent.key"
    key.write_text("agents\n")
    key.chmod(0o600)
    document = log("l1")
    body = "\n".join([json.dumps({"create": {"_index": document.alias, "_id": "l1"}}), json.dumps(document.source), ""])
    with serving(tmp_path, agents={"api_key_file": str(key)}) as client:
        assert client.post("/_bulk", content=body).status_code == 401
        answer = client.post(
            "/_bulk",
            content=gzip.compress(body.encode()),
            headers={"authorization": "ApiKey agents", "content-encoding": "gzip"},
        )
        assert answer.status_code == 200, answer.text
        assert answer.json()["errors"] is False


def test_long_answers_are_compressed(client: TestClient) -> None:
    answer = client.get("/api/v1/openapi.json", headers={"accept-encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"


def test_requests_are_logged_without_what_people_searched_for(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="modelward.requests"):
        client.get("/api/v1/logs?text=hunter2", headers={"authorization": "ApiKey hunter2"})
        client.get("/healthz")
    assert "GET /api/v1/logs 200" in caplog.text
    assert "hunter2" not in caplog.text
    assert "healthz" not in caplog.text


def test_a_browser_gets_a_page_for_what_is_not_there_and_a_program_a_problem(client: TestClient) -> None:
    page = client.get("/nothing", headers={"accept": "text/html"})
    assert (page.status_code, page.headers["content-type"].split(";")[0]) == (404, "text/html")
    assert client.get("/nothing").headers["content-type"] == "application/problem+json"
    assert client.get("/api/v1/x", headers={"accept": "text/html"}).headers["content-type"].startswith("application/p")


def test_behind_a_prefix_paths_work_with_and_without_it(tmp_path: Path) -> None:
    with serving(tmp_path, listen={"base_path": "/modelward"}) as client:
        assert client.get("/modelward/healthz").status_code == 200
        assert client.get("/healthz").status_code == 200


def test_the_metrics_are_served(client: TestClient) -> None:
    client.post(RUN)
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "# TYPE modelward_check_runs_total counter" in answer.text
