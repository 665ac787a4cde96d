"""One appliance, deployed by the real commands into a project of its own, and taken away again."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from modelward_appliance.host.docker import ONE_SHOTS, Compose, Container, DockerError, docker
from modelward_appliance.host.environment import Environment
from tests.servers.ports import free_ports

ROOT: Final = Path(__file__).resolve().parents[2]
PROFILES: Final = "openldap"
"""Kibana, Grafana and Logstash are in no registry of packages, so that there is nothing to stand in for them."""

WELL_SECONDS: Final = 600.0
"""For a machine with much else to do; on an idle one a minute is enough."""

RECORD: Final = """
import signal, time
from modelward_agent import Recorder

going = True

def end(*_):
    global going
    going = False

signal.signal(signal.SIGTERM, end)
count = 0
with Recorder({model!r}, "1", journal="/var/lib/modelward/journal") as recorder:
    while going:
        features = {{"number": count % 7, "word": "abc"[count % 3]}}
        recorder.predict(features, 0.5, id=f"{model}-{{count}}", latency_ms=1.0)
        count += 1
        time.sleep(0.02)
print(count, flush=True)
"""

COUNT: Final = """
import json, sys
from contextlib import closing
from pathlib import Path
from elasticsearch import Elasticsearch
from modelward_agent.settings import read_secret
from modelward_collector.config import load_config

model = sys.argv[1]
store = load_config(Path("/etc/modelward/collector.yml")).store
with closing(
    Elasticsearch(
        store.urls, ca_certs=str(store.ca_file), basic_auth=(store.username, read_secret(store.password_file))
    )
) as client:
    client.indices.refresh(index="modelward-events,modelward-profiles")
    wanted = {"bool": {"filter": [{"term": {"model": model}}]}}
    # An hour's profile is merged from its minutes', which stay beside it for a while.
    folded = {"bool": {**wanted["bool"], "must_not": [{"range": {"window.seconds": {"gte": 3600}}}]}}
    found = client.search(index="modelward-profiles", query=folded, size=10000, source_includes=["rows"])
    print(
        json.dumps(
            {
                "events": client.count(index="modelward-events", query=wanted)["count"],
                "rows": sum(hit["_source"]["rows"] for hit in found["hits"]["hits"]),
            }
        )
    )
"""


def wait_for(wanted: Callable[[], Any], what: str, seconds: float = WELL_SECONDS) -> Any:
    """The first answer that is true; AssertionError when there was none in time."""
    deadline = time.monotonic() + seconds
    while True:
        if found := wanted():
            return found
        assert time.monotonic() < deadline, f"no {what} within {seconds:g} s"
        time.sleep(0.5)


class Deployment:
    """`folder` gets its variables and state; `images` are variables that name the stand-ins."""

    def __init__(self, folder: Path, project: str, images: Mapping[str, str], **variables: str) -> None:
        self.folder = folder
        self.project = project
        self.file = folder / "env"
        port, grafana_port, ingest_port = free_ports(3)
        self.variables = {
            "COMPOSE_PROJECT_NAME": project,
            "COMPOSE_PROFILES": PROFILES,
            "MODELWARD_STATE": str(folder / "state"),
            "MODELWARD_HOSTS": "localhost,127.0.0.1",
            "MODELWARD_PORT": str(port),
            "MODELWARD_GRAFANA_PORT": str(grafana_port),
            "MODELWARD_INGEST_PORT": str(ingest_port),
            "ELASTICSEARCH_MEMORY": "1g",
            **images,
            **variables,
        }
        self._first = dict(self.variables)
        self.write()

    def reset(self) -> None:
        """Write the variables as they were at first."""
        self.variables = dict(self._first)
        self.write()

    def write(self, **changed: str) -> None:
        """Write the variables, some of them changed."""
        self.variables |= changed
        self.file.write_text("".join(f"{name}='{value}'\n" for name, value in self.variables.items() if value))

    @property
    def environment(self) -> Environment:
        """As the host's commands see it."""
        return Environment.load(self.file)

    @property
    def state(self) -> Path:
        """The state folder."""
        return Path(self.variables["MODELWARD_STATE"])

    @property
    def compose(self) -> Compose:
        """Docker Compose on it."""
        return Compose(self.environment)

    # -- the commands ------------------------------------------------------------------------------------------------

    def run(
        self, *arguments: str, check: bool = True, given: str = "", seconds: float = 900
    ) -> subprocess.CompletedProcess[str]:
        """`python3 -m modelward_appliance.host …`, as the Makefile runs it; output and errors together."""
        done = subprocess.run(
            self._command(*arguments),
            env=self._environ(),
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=seconds,
        )
        assert not check or done.returncode == 0, f"{' '.join(arguments)}: {done.returncode}\n{done.stdout}"
        return done

    def started(self, *arguments: str) -> subprocess.Popen[str]:
        """The same, while it runs."""
        return subprocess.Popen(
            self._command(*arguments),
            env=self._environ(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def _command(self, *arguments: str) -> list[str]:
        # No site packages: the host has nothing but Python.
        return [sys.executable, "-S", "-m", "modelward_appliance.host", "--env-file", str(self.file), *arguments]

    def _environ(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(ROOT / "appliance" / "src")}

    def deploy(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`make deploy`, on a machine whose kernel settings are what they are."""
        return self.run("deploy", "--accept", "vm.max_map_count", "--accept", "disk", *arguments, check=check)

    def verify(self, *only: str) -> None:
        """`make verify`; AssertionError with what failed."""
        patterns = [word for pattern in only for word in ("--only", pattern)]
        done = self.run("verify", "--json", *patterns, check=False, seconds=300)
        failed = [item for item in json.loads(done.stdout)["checks"] if item["verdict"] == "failed"]
        assert not failed, json.dumps(failed, indent=1)
        assert done.returncode == 0, done.stdout

    def destroy(self) -> None:
        """Take all of it away, the backups and the applications of a test that failed too."""
        if left := docker("ps", "--all", "--quiet", "--filter", f"name=^/{self.project}-application-").split():
            docker("rm", "--force", *left)
        if self.file.exists():
            self.run("destroy", "--yes", "--with-backups", check=False)

    # -- containers --------------------------------------------------------------------------------------------------

    def containers(self) -> dict[str, Container]:
        """By service, those that are to run."""
        return {item.service: item for item in self.compose.containers() if item.service not in ONE_SHOTS}

    def is_well(self) -> bool:
        """Whether every service that is to run does, and is healthy."""
        wanted = set(self.compose.config()["services"]) - ONE_SHOTS
        return wanted <= {item.service for item in self.compose.containers() if item.is_well}

    def wait_until_well(self) -> None:
        """Return when it is; AssertionError with what is not."""
        try:
            wait_for(self.is_well, "health")
        except AssertionError as error:
            said = self.run("status", check=False).stdout
            raise AssertionError(f"{error}\n{said}") from error

    def kill(self, service: str) -> None:
        """End the service's first process by SIGKILL, as the kernel does when memory is short."""
        container = self.containers()[service]
        # Docker's own kill counts as a wish to have it stopped.
        pid = int(docker("inspect", "--format", "{{.State.Pid}}", container.id))
        os.kill(pid, signal.SIGKILL)
        wait_for(
            lambda: (
                self.containers()[service].restarts > container.restarts
                or self.containers()[service].started != container.started
            ),
            f"restart of {service}",
        )

    # -- what an application sends -------------------------------------------------------------------------------------

    def application(self, model: str) -> Application:
        """A container beside the agent that records predictions of the model until it is stopped."""
        return Application(self, model)

    def stored(self, model: str) -> Mapping[str, int]:
        """Events in Elasticsearch, and rows in its profiles; nothing while it does not answer."""
        try:
            said = self.compose.run("exec", "-T", "collector", "python", "-", model, given=COUNT, timeout=60)
        except DockerError:
            return {}
        found: dict[str, int] = json.loads(said)
        return found


class Application:
    """Records fifty predictions a second. `stop` answers how many it was."""

    def __init__(self, deployment: Deployment, model: str) -> None:
        self.model = model
        image = deployment.compose.config()["services"]["agent"]["image"]
        self.name = f"{deployment.project}-application-{secrets.token_hex(4)}"
        docker(
            "run", "--detach", "--name", self.name,
            "--network", "none", "--user", "10001:10001", "--read-only", "--cap-drop", "ALL",
            "--volume", f"{deployment.project}_agent:/var/lib/modelward",
            image, "python", "-c", RECORD.format(model=model),
        )  # fmt: skip

    def stop(self) -> int:
        """End it; the number of predictions that it recorded."""
        docker("stop", "--time", "60", self.name)
        count = int(docker("logs", self.name))
        self.remove()
        return count

    def remove(self) -> None:
        """Take the container away, stopped or not. It holds the journal's volume until it is gone."""

        def gone() -> bool:
            subprocess.run(["docker", "rm", "--force", self.name], capture_output=True, check=False)
            return not docker("ps", "--all", "--quiet", "--filter", f"name=^/{self.name}$").strip()

        wait_for(gone, f"end of the container {self.name}", 60)


class StandIns:
    """The images that stand in for the official ones: built once a session."""

    def __init__(self, services: Sequence[str] = ()) -> None:
        self._services = services

    @cached_property
    def variables(self) -> dict[str, str]:
        """The variables of `.env` that name them."""
        done = subprocess.run(
            [ROOT / "compose" / "stand-ins" / "make-stand-ins", *self._services],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return dict(line.split("=", 1) for line in done.stdout.splitlines())
