"""The store's disk is full for a while: what is recorded meanwhile waits where it was written, and arrives."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelward_appliance.host.docker import docker
from tests.deploy.deployment import Deployment, wait_for

MODEL = "full-disk"
DISK_MB = 384
WITHIN_SECONDS = 240.0
"""Elasticsearch looks at its disk every 30 s, and agents wait up to 30 s between attempts."""


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A small disk of its own, in memory."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a disk")
    folder = tmp_path_factory.mktemp("disk")
    options = f"size={DISK_MB}m,mode=0775,uid=1000,gid=0"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture(scope="module")
def deployment(stand_ins: dict[str, str], disk: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A deployment whose store is on that disk."""
    made = Deployment(tmp_path_factory.mktemp("full-disk"), "mw-test-full-disk", stand_ins)
    made.destroy()
    made.write()
    labels = {"com.docker.compose.project": made.project, "com.docker.compose.volume": "elasticsearch"}
    docker(
        "volume", "create", "--opt", "type=none", "--opt", "o=bind", "--opt", f"device={disk}",
        *(word for name, value in labels.items() for word in ("--label", f"{name}={value}")),
        f"{made.project}_elasticsearch",
    )  # fmt: skip
    try:
        made.deploy("--no-verify")
        yield made
    finally:
        made.destroy()


def test_a_full_disk_of_the_store_loses_nothing(deployment: Deployment, disk: Path) -> None:
    application = deployment.application(MODEL)
    try:
        wait_for(lambda: deployment.stored(MODEL).get("events"), "first events")
        before = _refusals(deployment)
        ballast = disk / "ballast"
        with ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, _free(disk) - (4 << 20))
        wait_for(lambda: _refusals(deployment) >= before + 2, "halt of the store", WITHIN_SECONDS)
        stuck = deployment.stored(MODEL).get("events", 0)
        ballast.unlink()
        wait_for(lambda: deployment.stored(MODEL).get("events", 0) > stuck, "recovery", WITHIN_SECONDS)
        recorded = application.stop()
    finally:
        application.remove()
    wanted = {"events": recorded, "rows": recorded}
    wait_for(lambda: deployment.stored(MODEL) == wanted, f"{wanted}; there is {deployment.stored(MODEL)}")
    deployment.wait_until_well()
    deployment.verify("prediction", "snapshot")


def _free(disk: Path) -> int:
    status = os.statvfs(disk)
    return status.f_bavail * status.f_frsize


def _refusals(deployment: Deployment) -> float:
    """How often deliveries of the agent failed."""
    script = (
        "import ssl, urllib.request, base64, re\n"
        "word = open('/etc/modelward/secrets/agent-metrics-password').read().strip()\n"
        "trust = ssl.create_default_context(cafile='/etc/modelward/tls/ca.crt')\n"
        "asked = urllib.request.Request('https://agent:9478/metrics')\n"
        "login = base64.b64encode(b'prometheus:' + word.encode()).decode()\n"
        "asked.add_header('Authorization', 'Basic ' + login)\n"
        "text = urllib.request.urlopen(asked, context=trust, timeout=10).read().decode()\n"
        "print(sum(float(n) for n in re.findall(r'(?m)^modelward_ship_failures_total.* (\\S+)$', text)))\n"
    )
    return float(deployment.compose.run("exec", "-T", "agent", "python", "-", given=script))
