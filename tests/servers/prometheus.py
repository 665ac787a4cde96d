"""A real Prometheus that scrapes what a test tells it to."""

from __future__ import annotations

import json
import shutil
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.servers.missing import program
from tests.servers.ports import free_port
from tests.servers.process import Child, Server

READY_SECONDS = 60


class Prometheus(Server):
    """Runs with `scrape_configs` (as in prometheus.yml); as a context manager it is started, and removed at the end."""

    def __init__(
        self, scrape_configs: Sequence[Mapping[str, Any]], *, interval: str = "500ms", flags: Sequence[str] = ()
    ) -> None:
        self._flags = flags
        self._program = program("Prometheus", "prometheus")
        self.folder = Path(tempfile.mkdtemp(prefix="modelward-prometheus-"))
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._child: Child | None = None
        config = {
            "global": {"scrape_interval": interval, "evaluation_interval": interval},
            "scrape_configs": [dict(item) for item in scrape_configs],
        }
        (self.folder / "prometheus.yml").write_text(yaml.safe_dump(config))

    def start(self) -> None:
        """Start, on the same data; returns when it is ready."""
        command: list[str | Path] = [
            self._program,
            f"--config.file={self.folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            *self._flags,
        ]
        self._child = Child(command, self.folder / "console.log", cwd=self.folder)
        self._child.wait_until(self._ready, READY_SECONDS, "Prometheus")

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The instant vector of an expression, as the HTTP API gives it; ValueError with Prometheus's reason."""
        url = f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                body = json.load(answer)
        except urllib.error.HTTPError as error:
            raise ValueError(f"{expression}: {json.load(error)['error']}") from error
        result: list[dict[str, Any]] = body["data"]["result"]
        return result

    def stop(self) -> None:
        """Stop it; the data stays for `start`."""
        if self._child is not None:
            self._child.stop()

    def close(self) -> None:
        """Stop it and remove its data."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
