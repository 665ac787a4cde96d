"""A real nginx on a configuration that was made for a container, moved to a folder and free ports."""

from __future__ import annotations

import os
import re
import shutil
import ssl
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.servers.missing import program
from tests.servers.ports import free_port
from tests.servers.process import Child, Server

READY_SECONDS = 20


class Nginx(Server):
    """Serves `folder`, what the container has as /etc/modelward; as a context manager it is started and stopped.

    What it writes goes to `folder`'s subfolders `log` and `tmp`, and what it prints, its access log among it, to
    `console.log`. `moved` are further texts of nginx.conf to be replaced.
    """

    def __init__(self, folder: Path, port: int, *, moved: Mapping[str, str] | None = None) -> None:
        self._program = program("nginx", "nginx", "/usr/sbin/nginx")
        self.folder = folder
        self.port = port
        self.ingest_port = free_port()
        self._child: Child | None = None
        for name in ("log", "tmp"):
            (folder / name).mkdir(exist_ok=True)
        config = folder / "nginx.conf"
        text = config.read_text()
        places = {
            "/var/log/modelward/gateway/": f"{folder}/log/",
            "listen 9243 ": f"listen 127.0.0.1:{self.ingest_port} ",
            f"listen {port} ": f"listen 127.0.0.1:{port} ",
            # As root it would change to a user that may not read a test's folder.
            "worker_processes auto;": f"worker_processes 2;{' user root;' if os.geteuid() == 0 else ''}",
            **(moved or {}),
        }
        for there, here in places.items():
            assert there in text, f"nginx.conf has no {there!r}"
            text = text.replace(there, here)
        config.write_text(re.sub(r"(?<=pid |ath )/tmp/", f"{folder}/tmp/", text))

    def start(self) -> None:
        """Start; returns when it answers TLS."""
        checked = subprocess.run(
            [self._program, "-t", "-e", "stderr", "-c", self.folder / "nginx.conf"], capture_output=True, text=True
        )
        assert checked.returncode == 0, checked.stderr
        command: list[str | Path] = [self._program, "-e", "stderr", "-c", self.folder / "nginx.conf"]
        command += ["-g", "daemon off;"]
        self._child = Child(command, self.folder / "console.log", cwd=self.folder)
        self._child.wait_until(self._answers, READY_SECONDS, "nginx")

    def _answers(self) -> bool:
        try:
            ssl.get_server_certificate(("127.0.0.1", self.port), timeout=2)
        except OSError:
            return False
        return True

    @property
    def log(self) -> str:
        """Its access log."""
        return (self.folder / "log" / "access.log").read_text()

    def close(self) -> None:
        """Stop it and remove what it had in work."""
        if self._child is not None:
            self._child.stop()
            self._child = None
        shutil.rmtree(self.folder / "tmp", ignore_errors=True)
