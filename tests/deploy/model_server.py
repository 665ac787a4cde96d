"""A model server outside of the stack: a real agent, from nothing but the bundle that `make add-agent` makes."""

from __future__ import annotations

import contextlib
import json
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from modelward_agent import Recorder
from modelward_appliance.host.docker import docker
from tests.deploy.deployment import Deployment
from tests.servers.ports import free_port
from tests.servers.process import Child


def address_from_inside(deployment: Deployment) -> str:
    """How the stack's containers reach this machine."""
    network = json.loads(docker("network", "inspect", f"{deployment.project}_edge"))[0]
    return str(network["IPAM"]["Config"][0]["Gateway"])


class ModelServer:
    """`folder` stands for the host's file system."""

    def __init__(self, deployment: Deployment, folder: Path, host: str = "scoring-1") -> None:
        self.deployment = deployment
        self.folder = folder
        self.host = host
        self.address = f"{address_from_inside(deployment)}:{free_port()}"
        self.journal = folder / "var/lib/modelward/journal"
        self.configuration = folder / "etc/modelward-agent"

    def enrol(self) -> str:
        """`make add-agent`, and what the README says; what the command printed."""
        said = self.deployment.run("add-agent", self.host, "--address", self.address).stdout
        with tarfile.open(said.splitlines()[-1]) as bundle:
            bundle.extractall(self.folder, filter="data")
        # The paths of a host of its own, below this folder.
        config = self.configuration / "agent.yml"
        content: dict[str, Any] = yaml.safe_load(
            config.read_text()
            .replace("/etc/modelward-agent", str(self.configuration))
            .replace("/var/lib/modelward", str(self.folder / "var/lib/modelward"))
        )
        quick = {"window": "1s", "commit_interval": "1s", "heartbeat_interval": "2s"}
        config.write_text(yaml.safe_dump(content | quick))
        self.journal.mkdir(parents=True, exist_ok=True)
        return said

    @contextlib.contextmanager
    def running(self) -> Iterator[Child]:
        """With its agent."""
        program = Path(sys.executable).with_name("modelward-agent")
        config = self.configuration / "agent.yml"
        agent = Child([program, "run", "--config", config], self.folder / "agent.log")
        try:
            yield agent
        finally:
            agent.stop()

    def record(self, model: str, rows: int, *, first: int = 0) -> None:
        """So many predictions."""
        with Recorder(model, "1", journal=self.journal) as recorder:
            for number in range(first, first + rows):
                recorder.predict({"number": number % 7}, 0.5, id=f"{model}-{number}", latency_ms=1.0)
