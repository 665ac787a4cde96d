"""The Docker command line: run, answered as text or as values, and never through a shell."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from modelward_appliance.host.environment import COMPOSE_FOLDER, Environment

COMPOSE_FILE: Final = COMPOSE_FOLDER / "compose.yaml"
ONE_SHOTS: Final = frozenset({"setup", "setup-after", "setup-kibana", "volume-owners", "restore"})
"""Services that do their work and exit."""


class DockerError(Exception):
    """A command of Docker's failed; the message says which, and what it printed."""


@dataclass(frozen=True, slots=True)
class Container:
    """One container of the stack, as the engine sees it. `health` is empty where there is no health check."""

    id: str
    service: str
    state: str
    health: str
    exit_code: int
    restarts: int
    started: datetime | None
    image: str
    ports: tuple[str, ...]
    last_check: str
    """What the last health check printed."""

    @property
    def is_well(self) -> bool:
        """Whether it runs and is not known to be unhealthy, or has done its one work."""
        if self.service in ONE_SHOTS:
            return self.state == "exited" and self.exit_code == 0
        return self.state == "running" and self.health in ("", "healthy")

    @property
    def has_failed(self) -> bool:
        """Whether waiting for it is in vain, at least for now."""
        if self.service in ONE_SHOTS:
            return self.state in ("exited", "dead") and self.exit_code != 0
        return self.state in ("exited", "dead", "restarting") or self.health == "unhealthy"


_INSTALL = "docker is not installed; see https://docs.docker.com/engine/install/"
_INSTALL_COMPOSE = "docker compose is not installed; install the Compose plugin (docker-compose-plugin), 2.20 or newer"
_WITHOUT_COMPOSE = ("unknown flag: --env-file", "'compose' is not a docker command", "unknown command: docker compose")


def docker(
    *arguments: str, env: Mapping[str, str] | None = None, given: str | None = None, timeout: float | None = None
) -> str:
    """What `docker …` printed; `DockerError` when it fails. `given` is its standard input."""
    command = ["docker", *arguments]
    try:
        done = subprocess.run(
            command,
            env=env,
            input=given,
            stdin=subprocess.DEVNULL if given is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=timeout,
        )
    except FileNotFoundError:
        raise DockerError(_INSTALL) from None
    except subprocess.TimeoutExpired:
        raise DockerError(
            f"{_named(command)} did not end within {timeout:g} s; see whether the engine is well"
        ) from None
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip())[-4000:]
        if arguments[:1] == ("compose",) and any(words in said for words in _WITHOUT_COMPOSE):
            raise DockerError(_INSTALL_COMPOSE)
        raise DockerError(f"{_named(command)} failed with {done.returncode}:\n{said}")
    return done.stdout


def _named(command: Sequence[str]) -> str:
    """The command without what is only between us and Docker."""
    words = list(command)
    while "--env-file" in words:
        at = words.index("--env-file")
        del words[at : at + 4]  # and --file with its value
    return " ".join(words[:6])


def last_lines(container: str, lines: int) -> list[str]:
    """What the container printed last, on either stream."""
    command = ["docker", "logs", "--tail", str(lines), container]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    return done.stdout.decode(errors="replace").splitlines()[-lines:]


class Compose:
    """Docker Compose on one site."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment

    def command(self, *arguments: str) -> list[str]:
        """The words of `docker compose …` for this site, for whoever runs it by other means."""
        return ["docker", *self._words(*arguments)]

    def _words(self, *arguments: str) -> list[str]:
        file = self.environment.file
        files = ["--env-file", str(file) if file.exists() else "/dev/null", "--file", str(COMPOSE_FILE)]
        return ["compose", *files, *arguments]

    def run(self, *arguments: str, given: str | None = None, timeout: float | None = None) -> str:
        """What it printed; `DockerError` when it fails."""
        env = self.environment.for_compose()
        if not self.environment.file.exists():
            env |= self.environment.variables
        return docker(*self._words(*arguments), env=env, given=given, timeout=timeout)

    def stream(self, *arguments: str) -> int:
        """Let it print to the terminal; its exit code. `DockerError` where there is no Compose."""
        self.run("version", "--short")
        return subprocess.run(self.command(*arguments), env=self.environment.for_compose(), check=False).returncode

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Begin it; standard output and error come together through `stdout`."""
        return subprocess.Popen(
            self.command(*arguments),
            env=self.environment.for_compose(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )

    def exec(self, service: str, *command: str, given: str | None = None, timeout: float | None = 120) -> str:
        """What a command inside a running service printed; `DockerError` when it fails."""
        return self.run("exec", "-T", service, *command, given=given, timeout=timeout)

    def once(self, service: str, *command: str, timeout: float | None = 300) -> str:
        """What a one-shot service printed, run with this command and nothing else started; `DockerError` on failure."""
        return self.run("run", "--rm", "--no-deps", "-T", service, *command, timeout=timeout)

    def config(self) -> dict[str, Any]:
        """compose.yaml with everything filled in."""
        found: dict[str, Any] = json.loads(self.run("config", "--format", "json"))
        return found

    def containers(self) -> list[Container]:
        """Every container of the stack, running or not, by service; not those of `run`."""
        project = self.environment.project
        ids = docker(
            "ps", "--all", "--quiet", "--no-trunc",
            "--filter", f"label=com.docker.compose.project={project}",
            "--filter", "label=com.docker.compose.oneoff=False",
        ).split()  # fmt: skip
        if not ids:
            return []
        try:
            inspected = json.loads(docker("inspect", *ids))
        except DockerError:
            # One of them went away meanwhile.
            return self.containers()
        return sorted((_container(item) for item in inspected), key=lambda item: item.service)

    def volumes(self) -> list[str]:
        """The stack's volumes."""
        label = f"label=com.docker.compose.project={self.environment.project}"
        return sorted(docker("volume", "ls", "--quiet", "--filter", label).split())


def _container(inspected: Mapping[str, Any]) -> Container:
    state, config = inspected["State"], inspected["Config"]
    health = state.get("Health") or {}
    log = health.get("Log") or []
    ports = [
        f"{binding['HostPort']}->{inner.removesuffix('/tcp')}"
        for inner, bindings in (inspected["NetworkSettings"].get("Ports") or {}).items()
        for binding in bindings or []
        if ":" not in binding["HostIp"]
    ]
    return Container(
        id=inspected["Id"],
        service=config["Labels"]["com.docker.compose.service"],
        state=state["Status"],
        health=health.get("Status", "").replace("none", ""),
        exit_code=state["ExitCode"],
        restarts=inspected["RestartCount"],
        started=_moment(state["StartedAt"]),
        image=config["Image"],
        ports=tuple(ports),
        last_check=log[-1]["Output"].strip() if log else "",
    )


def _moment(text: str) -> datetime | None:
    """The engine's nanoseconds, to the second; None for a container that has never run."""
    if text.startswith("0001"):
        return None
    return datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
