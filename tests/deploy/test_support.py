"""The support bundle has what is needed, and none of the secrets that there are."""

from __future__ import annotations

import base64
import json
import tarfile
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.deploy.deployment import Deployment

PLANTED = 'pl$nted pass"word of the directory'


@pytest.fixture(scope="module")
def bundle(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """By name in the bundle: its text."""
    planted = deployment.state / "site" / "smtp-password"
    planted.touch(0o600)
    planted.write_text(f"{PLANTED}\n")
    # Into a log, by someone who tries to log in with it in the wrong place.
    deployment.compose.exec("agent", "sh", "-c", 'printf "%s\\n" "$0" > /proc/1/fd/1', f"login {PLANTED}")
    password = (deployment.state / "secrets" / "elasticsearch-agent-password").read_text().strip()
    deployment.compose.exec("agent", "sh", "-c", 'printf "%s\\n" "$0" > /proc/1/fd/1', f"sent {password}")
    folder = tmp_path_factory.mktemp("bundle")
    try:
        deployment.run("support-bundle", "--to", str(folder), "--no-verify")
    finally:
        planted.unlink()
    (path,) = folder.iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    found = {}
    with tarfile.open(path) as tar:
        for member in tar:
            content = tar.extractfile(member)
            assert content is not None
            found[member.name.partition("/")[2]] = content.read().decode()
    return found


def secrets_of(state: Path) -> dict[str, str]:
    found = {path.name: path.read_text().strip() for path in (state / "secrets").iterdir()}
    for path in (state / "tls").glob("*.key"):
        found |= {f"{path.name} {n}": line for n, line in enumerate(path.read_text().splitlines()[1:-1])}
    return found | {"planted": PLANTED}


def test_no_secret_is_in_it_in_any_form(deployment: Deployment, bundle: dict[str, str]) -> None:
    text = "\n".join(bundle.values())
    for name, value in secrets_of(deployment.state).items():
        for form in (value, quote(value, safe=""), base64.b64encode(value.encode()).decode().rstrip("=")):
            assert form not in text, name
    assert "PRIVATE KEY" not in text
    assert "{PBKDF2" not in text


def test_what_was_taken_out_is_named(bundle: dict[str, str]) -> None:
    assert "sent <redacted secrets/elasticsearch-agent-password>" in bundle["logs/agent.log"]
    assert "login <redacted site/smtp-password>" in bundle["logs/agent.log"]


def test_it_tells_what_who_helps_must_know(deployment: Deployment, bundle: dict[str, str]) -> None:
    services = set(deployment.containers())
    assert {f"logs/{name}.log" for name in services} <= set(bundle)
    assert {item["service"] for item in json.loads(bundle["containers.json"])} >= services
    assert "elasticsearch" in json.loads(bundle["versions.json"])["images"]
    assert "configuration/collector/collector.yml" in bundle
    assert "configuration/gateway/nginx.conf" in bundle
    assert json.loads(bundle["server.json"])["processors"] >= 1
    broken = [name for name, text in bundle.items() if text.startswith("could not be had")]
    assert broken == []
