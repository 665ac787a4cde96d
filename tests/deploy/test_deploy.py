"""What `make deploy` brings up: that it works, what it may, and that doing it again changes nothing."""

from __future__ import annotations

import hashlib
import json
import signal
import ssl
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from modelward_appliance.host.docker import ONE_SHOTS, docker
from tests.deploy.deployment import Deployment, wait_for


def inspected(deployment: Deployment) -> dict[str, dict[str, Any]]:
    containers = deployment.compose.containers()
    found = json.loads(docker("inspect", *(item.id for item in containers)))
    return {item["Config"]["Labels"]["com.docker.compose.service"]: item for item in found}


def digest(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "backups" not in path.parts
    }


def test_it_works_from_outside(deployment: Deployment) -> None:
    deployment.verify()


def test_status_says_that_all_is_well(deployment: Deployment) -> None:
    assert "gateway" in deployment.run("status").stdout
    listed = json.loads(deployment.run("status", "--json").stdout)
    assert all(item["well"] for item in listed)


def test_deploying_again_changes_nothing(deployment: Deployment) -> None:
    def seen() -> dict[str, tuple[str, str]]:
        return {name: (item.id, str(item.started)) for name, item in deployment.containers().items()}

    before, files = seen(), digest(deployment.state)
    said = deployment.deploy("--no-verify").stdout
    assert "images: up to date" in said
    assert "setup: nothing to change" in said
    assert seen() == before
    assert digest(deployment.state) == files


def test_services_have_no_more_rights_than_they_need(deployment: Deployment) -> None:
    for name, item in inspected(deployment).items():
        host = item["HostConfig"]
        assert host["ReadonlyRootfs"], name
        assert host["CapDrop"] == ["ALL"], name
        assert "no-new-privileges:true" in host["SecurityOpt"], name
        assert host["Memory"] > 0, name
        assert host["PidsLimit"] > 0, name
        assert not host["Privileged"], name
        assert host["LogConfig"]["Config"]["max-size"], name
        if name not in ONE_SHOTS:
            assert item["Config"]["User"].split(":")[0] not in ("", "0", "root"), name
            assert not host["CapAdd"], name
            assert item["Config"]["Healthcheck"]["Test"], name
            assert host["RestartPolicy"]["Name"] == "unless-stopped", name


def test_only_the_gateway_is_published(deployment: Deployment) -> None:
    published = {name for name, item in inspected(deployment).items() if item["HostConfig"]["PortBindings"]}
    assert published == {"gateway"}


def test_the_store_has_no_way_out(deployment: Deployment) -> None:
    networks = inspected(deployment)["elasticsearch"]["NetworkSettings"]["Networks"]
    assert list(networks) == [f"{deployment.project}_data"]
    assert json.loads(docker("network", "inspect", f"{deployment.project}_data"))[0]["Internal"]


def test_no_secret_can_be_read_from_outside_a_container(deployment: Deployment) -> None:
    secrets = {path.name: path.read_text().strip() for path in (deployment.state / "secrets").iterdir()}
    assert len(secrets) > 10
    containers = deployment.compose.containers()
    said = docker("inspect", *(item.id for item in containers)) + docker("image", "inspect", containers[0].image)
    said += deployment.run("logs", "--lines", "100000").stdout
    for name, secret in secrets.items():
        assert secret not in said, name


def test_state_is_the_owners_alone(deployment: Deployment) -> None:
    assert deployment.state.stat().st_mode & 0o077 == 0
    for name in ("secrets", "tls"):
        for path in (deployment.state / name).iterdir():
            if path.suffix != ".crt":
                assert path.stat().st_mode & 0o077 == 0, path


def test_each_service_sees_its_own_secrets_only(deployment: Deployment) -> None:
    seen = set(deployment.compose.exec("agent", "ls", "/etc/modelward/secrets").split())
    assert seen == {"agent-metrics-password", "elasticsearch-agent-password"}


@pytest.mark.parametrize("service", ["prometheus", "alertmanager", "node-exporter", "blackbox-exporter"])
def test_metrics_are_for_those_with_a_certificate(deployment: Deployment, service: str) -> None:
    port = {"prometheus": 9090, "alertmanager": 9093, "node-exporter": 9100, "blackbox-exporter": 9115}[service]
    script = (
        "import ssl, urllib.request\n"
        "trust = ssl.create_default_context(cafile='/etc/modelward/tls/ca.crt')\n"
        f"try: urllib.request.urlopen('https://{service}:{port}/metrics', context=trust, timeout=10)\n"
        "except (OSError, ssl.SSLError) as error: print('refused', error)\n"
        "else: print('answered')\n"
    )
    said = deployment.compose.run("exec", "-T", "agent", "python", "-", given=script)
    # An alert of the server's, and not that ours does not trust it.
    assert said.startswith("refused")
    assert "BAD_CERTIFICATE" in said or "CERTIFICATE_REQUIRED" in said


def test_a_changed_variable_reaches_those_whom_it_concerns(deployment: Deployment) -> None:
    before = {name: item.started for name, item in deployment.containers().items()}
    deployment.write(MODELWARD_SITE_NAME='Fraud & risk "watch" # 1')
    said = deployment.deploy("--no-verify").stdout
    after = {name: item.started for name, item in deployment.containers().items()}
    restarted = {name for name in before if before[name] != after[name]}
    assert "prometheus" in restarted, said
    assert "elasticsearch" not in restarted, said
    trust = ssl.create_default_context(cafile=str(deployment.state / "tls" / "ca.crt"))
    with urllib.request.urlopen(f"{deployment.environment.url}/login", context=trust, timeout=10) as page:
        assert page.status == 200


def test_stop_keeps_everything_and_deploy_starts_it_again(deployment: Deployment) -> None:
    volumes = deployment.compose.volumes()
    deployment.run("stop")
    assert all(item.state == "exited" for item in deployment.containers().values())
    assert deployment.compose.volumes() == volumes
    assert deployment.run("status", check=False).returncode == 1
    deployment.deploy("--no-verify")
    deployment.verify("prediction", "login-*")


def test_an_interrupted_deploy_is_completed_by_the_next(deployment: Deployment) -> None:
    deployment.compose.run("rm", "--stop", "--force", "collector", "gateway", "backup", "agent")
    with deployment.started("deploy", "--accept", "vm.max_map_count", "--accept", "disk", "--no-verify") as running:
        wait_for(lambda: "agent" in deployment.containers(), "the agent's container")
        running.send_signal(signal.SIGINT)
        said, _ = running.communicate(timeout=120)
    assert running.returncode == 130, said
    assert "interrupted; running the same again completes it" in said
    assert not deployment.is_well()
    (deployment.state / "applied.json").unlink()
    deployment.deploy("--no-verify")
    assert deployment.is_well()
    deployment.verify("prediction", "login-*")


def test_a_service_that_cannot_start_is_told_with_its_last_words(deployment: Deployment) -> None:
    was = deployment.variables["ALERTMANAGER_IMAGE"]
    deployment.write(ALERTMANAGER_IMAGE=deployment.variables["NODE_EXPORTER_IMAGE"])
    done = deployment.deploy("--no-verify", check=False)
    deployment.write(ALERTMANAGER_IMAGE=was)
    assert done.returncode == 1
    assert "alertmanager is not well" in done.stdout
    assert "unknown long flag" in done.stdout
    assert "make logs SERVICE=alertmanager" in done.stdout
    deployment.deploy("--no-verify")
    assert deployment.is_well()
