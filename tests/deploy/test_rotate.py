"""New certificates, secrets and a new authority, while an application records and a model server delivers."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator

import pytest

from tests.deploy.deployment import Application, Deployment, wait_for
from tests.deploy.model_server import ModelServer

INSIDE, OUTSIDE = "rotated", "rotated-outside"
ROWS = 50


@pytest.fixture(scope="module")
def application(deployment: Deployment) -> Iterator[Application]:
    running = deployment.application(INSIDE)
    yield running
    running.remove()


@pytest.fixture(scope="module")
def server(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> ModelServer:
    made = ModelServer(deployment, tmp_path_factory.mktemp("scoring-1"))
    made.enrol()
    return made


def delivers(server: ModelServer, recorded: list[int]) -> None:
    """So many more predictions arrive."""
    first = sum(recorded)
    recorded.append(ROWS)
    with server.running():
        server.record(OUTSIDE, ROWS, first=first)
        wanted = {"events": first + ROWS, "rows": first + ROWS}
        wait_for(lambda: server.deployment.stored(OUTSIDE) == wanted, "delivery from outside", 120)


@pytest.fixture(scope="module")
def recorded() -> list[int]:
    return []


def shown(deployment: Deployment) -> bytes:
    """The gateway's certificate, to who trusts what the state folder says."""
    trust = ssl.create_default_context(cafile=str(deployment.state / "tls" / "ca.crt"))
    address = ("127.0.0.1", deployment.environment.port)
    with (
        socket.create_connection(address, 20) as plain,
        trust.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        certificate = secure.getpeercert(binary_form=True)
        assert certificate is not None
        return certificate


def test_certificates_are_new_and_all_works(
    deployment: Deployment, application: Application, server: ModelServer, recorded: list[int]
) -> None:
    delivers(server, recorded)
    before = shown(deployment)
    deployment.run("rotate-certs")
    assert shown(deployment) != before
    deployment.verify()
    delivers(server, recorded)


def test_secrets_are_new_and_all_works(
    deployment: Deployment, application: Application, server: ModelServer, recorded: list[int]
) -> None:
    before = {path.name: path.read_text() for path in (deployment.state / "secrets").iterdir()}
    said = deployment.run("rotate-secrets").stdout
    after = {path.name: path.read_text() for path in (deployment.state / "secrets").iterdir()}
    same = {name for name in before if before[name] == after[name]}
    assert "elasticsearch-collector-password" not in same
    assert all(f"{name} stays: " in said for name in same)
    deployment.verify()
    delivers(server, recorded)


def test_a_new_authority_waits_for_the_model_servers(
    deployment: Deployment, application: Application, server: ModelServer, recorded: list[int]
) -> None:
    said = deployment.run("rotate-certs", "--authority").stdout
    assert "two authorities are trusted now" in said
    deployment.verify()
    delivers(server, recorded)
    refused = deployment.run("rotate-certs", "--authority", check=False)
    assert refused.returncode == 1
    assert server.host in refused.stdout
    server.enrol()
    delivers(server, recorded)
    assert "the old authority is trusted no more" in deployment.run("rotate-certs", "--authority").stdout
    assert (deployment.state / "tls" / "ca.crt").read_text().count("BEGIN CERTIFICATE") == 1
    deployment.verify()
    delivers(server, recorded)


def test_nothing_was_lost_and_nothing_counted_twice(deployment: Deployment, application: Application) -> None:
    count = application.stop()
    assert count > 1000
    wanted = {"events": count, "rows": count}
    try:
        wait_for(lambda: deployment.stored(INSIDE) == wanted, "delivery", 180)
    except AssertionError as error:
        raise AssertionError(f"{json.dumps(deployment.stored(INSIDE))} of {json.dumps(wanted)}") from error
