"""A real Docker engine: the one that runs, or one of the tests' own with its data in `build/docker`."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from tests.servers.missing import ROOT, ServerMissingError, program
from tests.servers.process import Child

DATA: Final = ROOT / "build" / "docker"
READY_SECONDS: Final = 60.0
INSTALL: Final = "tools/install-docker"


def available() -> None:
    """ServerMissingError unless an engine runs or could be started, and Compose and debootstrap are here."""
    program("Docker", "docker", install=INSTALL)
    if not _answers():
        if os.geteuid() != 0:
            raise ServerMissingError("Docker", "no engine answers, and only root can start one", "it as root")
        program("Docker", "dockerd", install=INSTALL)
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode != 0:
        raise ServerMissingError("Docker Compose", "docker compose is no command", INSTALL)
    if not _has_image("stand-in/debootstrap:bookworm"):
        program("debootstrap", "debootstrap", "/usr/sbin/debootstrap", install=INSTALL)
        if os.geteuid() != 0:
            raise ServerMissingError("debootstrap", "only root can run it", "it as root")


def _answers() -> bool:
    return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0


def _has_image(name: str) -> bool:
    return subprocess.run(["docker", "image", "inspect", name], capture_output=True, check=False).returncode == 0


class Engine:
    """As a context manager an engine that answers; `is_own` says whether it was started here and may be restarted."""

    def __init__(self) -> None:
        self.is_own = not _answers()
        self._child: Child | None = None
        # A socket's path is short.
        self._folder = Path(tempfile.mkdtemp(prefix="mw-docker-"))
        self._before = os.environ.get("DOCKER_HOST")

    def __enter__(self) -> Engine:
        if self.is_own:
            os.environ["DOCKER_HOST"] = f"unix://{self._folder / 'docker.sock'}"
            self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.is_own:
            self.stop()
            if self._before is None:
                del os.environ["DOCKER_HOST"]
            else:
                os.environ["DOCKER_HOST"] = self._before

    def start(self) -> None:
        """Start it; returns when it answers."""
        DATA.mkdir(parents=True, exist_ok=True)
        command: list[str | Path] = [
            program("Docker", "dockerd"),
            f"--data-root={DATA}",
            f"--exec-root={self._folder / 'exec'}",
            f"--pidfile={self._folder / 'pid'}",
            f"--host=unix://{self._folder / 'docker.sock'}",
        ]
        self._child = Child(command, self._folder / "dockerd.log")
        self._child.wait_until(_answers, READY_SECONDS, "dockerd")

    def stop(self) -> None:
        """End it in order, its containers with it."""
        if self._child is not None:
            self._child.stop(seconds=120)

    def restart(self) -> None:
        """As a reboot of the server, for the containers."""
        assert self.is_own, "an engine that was there before is not restarted"
        self.stop()
        self.start()
