"""What a deploy refuses: each with a message for the person who must act, and with nothing changed."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from modelward_appliance.host import images
from modelward_appliance.host.docker import docker
from modelward_appliance.host.environment import TOP
from tests.deploy.deployment import Deployment
from tests.servers.certificates import Authority

LDAP = {
    "MODELWARD_LDAP_BASE_DN": "dc=example,dc=org",
    "MODELWARD_LDAP_BIND_DN": "cn=modelward,dc=example,dc=org",
    "MODELWARD_LDAP_ADMIN_GROUPS": "cn=admins,dc=example,dc=org",
}


@pytest.fixture
def refused(stand_ins: dict[str, str], tmp_path: Path) -> Iterator[Deployment]:
    """A site that is not deployed, and of which nothing may be there afterwards."""
    made = Deployment(tmp_path, "mw-test-refusals", stand_ins)
    try:
        yield made
        label = f"label=com.docker.compose.project={made.project}"
        assert not docker("ps", "--all", "--quiet", "--filter", label).split()
        assert not docker("volume", "ls", "--quiet", "--filter", label).split()
        assert not docker("network", "ls", "--quiet", "--filter", label).split()
        assert not (made.state / "secrets").exists()
    finally:
        made.write()
        made.run("destroy", "--yes", "--with-backups", check=False)


@contextmanager
def listener(context: ssl.SSLContext | None = None) -> Iterator[int]:
    """A port that is taken, on every address; with a context its TLS handshakes are answered."""
    with socket.create_server(("0.0.0.0", 0)) as server:
        server.settimeout(0.2)
        going = threading.Event()

        def serve() -> None:
            while not going.is_set():
                try:
                    accepted, _ = server.accept()
                except TimeoutError:
                    continue
                with accepted:
                    if context is not None:
                        try:
                            context.wrap_socket(accepted, server_side=True).close()
                        except OSError:
                            continue

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            going.set()
            thread.join()


def refusal(deployment: Deployment) -> str:
    done = deployment.deploy("--no-verify", check=False)
    assert done.returncode != 0, done.stdout
    return done.stdout


def test_a_port_that_is_in_use(refused: Deployment) -> None:
    with listener() as port:
        refused.write(MODELWARD_PORT=str(port))
        said = refusal(refused)
    assert f"{port} (MODELWARD_PORT) is taken" in said
    assert "set MODELWARD_PORT to another port" in said
    assert "nothing was changed" in said


def test_too_little_memory(refused: Deployment) -> None:
    refused.write(ELASTICSEARCH_MEMORY="4096g")
    said = refusal(refused)
    assert "the services may take 40" in said
    assert "lower the *_MEMORY variables" in said


def test_all_findings_come_at_once(refused: Deployment) -> None:
    refused.state.mkdir(mode=0o755)
    refused.write(ELASTICSEARCH_MEMORY="4096g", GATEWAY_IMAGE="localhost:1/nowhere/nginx:1")
    with listener() as port:
        refused.write(MODELWARD_PORT=str(port))
        said = refusal(refused)
    for finding in ("memory", "ports", "state folder", "images"):
        assert f"\nERROR    {finding}" in said
    assert f"chmod 700 {refused.state}" in said


def test_a_mistyped_variable(refused: Deployment) -> None:
    refused.write(MODELWARD_SITE_NAM="x")
    assert "MODELWARD_SITE_NAM is not known; did you mean MODELWARD_SITE_NAME?" in refusal(refused)
    del refused.variables["MODELWARD_SITE_NAM"]


def test_a_variable_that_setup_refuses(refused: Deployment) -> None:
    refused.write(MODELWARD_TIME_ZONE="Europe/Berlinn", MODELWARD_BACKUP_KEEP_DAYS="none")
    said = refusal(refused)
    assert '"Europe/Berlinn" is not a time zone; write for example Europe/Berlin' in said
    assert "MODELWARD_BACKUP_KEEP_DAYS" in said
    assert "nothing was changed" in said


def test_a_directory_that_is_not_there(refused: Deployment) -> None:
    with listener() as port:
        pass
    refused.write(MODELWARD_LDAP_URLS=f"ldaps://127.0.0.1:{port}", **LDAP)
    said = refusal(refused)
    assert f"ldaps://127.0.0.1:{port} cannot be reached from here: Connection refused" in said
    assert "correct MODELWARD_LDAP_URLS" in said


def test_a_directory_of_another_authority(refused: Deployment, tmp_path: Path) -> None:
    subnet = docker("network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Subnet}}").strip()
    bridge = str(next(ipaddress.ip_network(subnet).hosts()))
    issued = Authority(tmp_path / "theirs").issue("directory", addresses=(bridge,))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.certificate, issued.key)
    site = refused.state / "site"
    site.mkdir(parents=True, mode=0o700)
    refused.state.chmod(0o700)
    password = site / "ldap-bind-password"
    password.touch(0o600)
    password.write_text("a $password with spaces\n")
    (site / "ldap-ca.crt").write_bytes(Authority(tmp_path / "other").path.read_bytes())
    with listener(context) as port:
        refused.write(MODELWARD_LDAP_URLS=f"ldaps://{bridge}:{port}", **LDAP)
        said = refusal(refused)
    assert f"ldaps://{bridge}:{port}" in said
    assert "site/ldap-ca.crt" in said
    assert "nothing was changed" in said
    assert "a $password with spaces" not in said


def test_a_missing_password_file(refused: Deployment) -> None:
    with listener() as port:
        refused.write(MODELWARD_LDAP_URLS=f"ldaps://127.0.0.1:{port}", **LDAP)
        said = refusal(refused)
    assert "MODELWARD_LDAP_BIND_DN: needs the file site/ldap-bind-password" in said


def test_destroy_asks(refused: Deployment) -> None:
    done = refused.run("destroy", check=False, given="yes\n")
    assert done.returncode == 1
    assert "nothing was removed" in done.stdout


def test_the_image_is_built_of_what_its_dockerfile_copies() -> None:
    listed = {source for built in images.BUILT for source in built.sources}
    ignored = (TOP / ".dockerignore").read_text().splitlines()
    copied = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    assert all(any(source == item or source.startswith(f"{item}/") for item in copied) for source in listed)
    assert all(any(source == item or source.startswith(f"{item}/") for source in listed) for item in copied)
