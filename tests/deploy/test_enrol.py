"""A model server is enrolled, delivers from outside, is scraped, may nothing else, and is removed."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
import zipfile
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelward_appliance.host.verify.site import Site
from tests.deploy.deployment import Deployment, wait_for
from tests.deploy.model_server import ModelServer

MODEL = "enrolled"
ROWS = 200


@pytest.fixture(scope="module")
def server(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    made = ModelServer(deployment, tmp_path_factory.mktemp("scoring-1"))
    made.enrol()
    with made.running():
        yield made


def ask(
    server: ModelServer,
    method: str,
    path: str,
    body: bytes | None = None,
    *,
    certificate: bool = True,
    password: str = "",
) -> int:
    """The status that the ingest port answers to the server's credentials."""
    folder = server.configuration
    trust = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    if certificate:
        trust.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    secret = password or (folder / "password").read_text().strip()
    port = server.deployment.environment.ingest_port
    request = urllib.request.Request(f"https://localhost:{port}{path}", body, method=method)
    request.add_header("Authorization", "Basic " + b64encode(f"agent_{server.host}:{secret}".encode()).decode())
    request.add_header("Content-Type", "application/x-ndjson")
    try:
        with urllib.request.urlopen(request, timeout=20, context=trust) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def bulk(identifier: str) -> bytes:
    line = {"create": {"_index": "modelward-events", "_id": identifier}}
    document = {"@timestamp": "2031-01-01T00:00:00Z", "kind": "prediction", "model": "forged"}
    return b"".join(json.dumps(item).encode() + b"\n" for item in (line, document))


def test_the_bundle_brings_the_agent_itself(server: ModelServer) -> None:
    [wheel] = server.configuration.glob("modelward_agent-*.whl")
    assert f"pip install /etc/modelward-agent/{wheel.name}\n" in (server.configuration / "README").read_text()
    with zipfile.ZipFile(wheel) as package:
        assert "modelward_agent/cli.py" in package.namelist()


def test_what_it_records_arrives_from_outside(deployment: Deployment, server: ModelServer) -> None:
    server.record(MODEL, ROWS)
    wait_for(lambda: deployment.stored(MODEL) == {"events": ROWS, "rows": ROWS}, "delivery", 90)


def test_prometheus_finds_it_without_a_restart(deployment: Deployment, server: ModelServer) -> None:
    def up() -> bool:
        found = Site(deployment.environment).prometheus("query?query=up%7Bjob%3D%22agents%22%7D%3D%3D1")["result"]
        return [series["metric"]["host"] for series in found] == [server.host]

    wait_for(up, "scrape of the model server", 90)


def test_nothing_was_restarted_for_it(deployment: Deployment, server: ModelServer) -> None:
    before = {name: item.started for name, item in deployment.containers().items()}
    deployment.deploy("--no-verify")
    assert {name: item.started for name, item in deployment.containers().items()} == before


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/modelward-events/_search"),
        ("GET", "/_cat/indices"),
        ("DELETE", "/modelward-events-000001"),
        ("GET", "/_security/user"),
        ("POST", "/modelward-events/_delete_by_query"),
    ],
)
def test_it_can_only_deliver(server: ModelServer, method: str, path: str) -> None:
    assert ask(server, method, path, b"{}" if method == "POST" else None) in (401, 403, 404, 405)


def test_the_password_alone_is_not_enough(server: ModelServer) -> None:
    assert ask(server, "POST", "/_bulk", bulk("forged-1"), certificate=False) in (400, 401, 403)


def test_the_certificate_alone_is_not_enough(server: ModelServer) -> None:
    assert ask(server, "POST", "/_bulk", bulk("forged-2"), password="wrong") == 401


def test_enrolled_again_the_old_password_is_worth_nothing(
    deployment: Deployment, server: ModelServer, tmp_path: Path
) -> None:
    old = (server.configuration / "password").read_text().strip()
    assert ask(server, "POST", "/_bulk", bulk("allowed"), password=old) == 200
    again = ModelServer(deployment, tmp_path, server.host)
    again.address = server.address
    assert "again" in again.enrol()
    wait_for(lambda: ask(server, "POST", "/_bulk", bulk("late"), password=old) == 401, "refusal", 30)
    wait_for(lambda: ask(again, "POST", "/_bulk", bulk("new")) == 200, "delivery", 30)


def test_a_removed_one_is_refused_and_scraped_no_more(deployment: Deployment, server: ModelServer) -> None:
    deployment.run("remove-agent", server.host)
    wait_for(lambda: ask(server, "POST", "/_bulk", bulk("removed")) == 401, "refusal", 30)

    def forgotten() -> bool:
        targets = Site(deployment.environment).prometheus("targets?state=active")["activeTargets"]
        return all(target["labels"]["job"] != "agents" for target in targets)

    wait_for(forgotten, "end of the scrape", 90)
    assert deployment.stored(MODEL) == {"events": ROWS, "rows": ROWS}


def test_a_name_that_is_none_is_refused(deployment: Deployment) -> None:
    done = deployment.run("add-agent", "$(reboot)", check=False)
    assert done.returncode == 1
    assert "is not a host name" in done.stdout
