"""Real services with the configuration that the appliance's setup hands them, on free ports of this machine."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from appliance.tests.sites import Place, place
from modelward_appliance.services import BY_NAME, SERVICES
from modelward_appliance.setup import Setup, write_folder
from tests.servers.missing import program
from tests.servers.ports import free_ports
from tests.servers.process import Child, Server

READY_SECONDS = 60
ROOT = Path(__file__).resolve().parents[2]


class Rendered:
    """One appliance's state, and the configuration folder of each service that is asked for.

    `site` files ({name: content}) are what the operator would put into `site/`, `variables` what would be in
    `.env`. Every service has an address on 127.0.0.1.
    """

    def __init__(self, folder: Path, site: Mapping[str, str] | None = None, /, **variables: str) -> None:
        self._place: Place = place(folder)
        files = self._place.state / "site"
        files.mkdir()
        for name, content in (site or {}).items():
            (files / name).write_text(content)
            (files / name).chmod(0o600)
        ports = free_ports(len(SERVICES))
        self.ports = {service.name: port for service, port in zip(SERVICES, ports, strict=True)}
        addresses = {
            f"MODELWARD_ADDRESS_{service.key.upper()}": f"127.0.0.1:{self.ports[service.name]}" for service in SERVICES
        }
        self._setup = Setup(self._place.site(**addresses, **variables), self._place.state, ROOT)
        self._setup.prepare()
        self.state = self._place.state

    def folder(self, service: str) -> Path:
        """The service's configuration folder, written as the setup writes it."""
        folder = self._place.volumes / service
        write_folder(folder, self._setup.rendered(BY_NAME[service], str(folder)), None)
        return folder

    def target(self, name: str, content: str) -> None:
        """Add a file for Prometheus's discovery, as `make add-agent` does."""
        (self.state / "targets" / name).write_text(content)
        self.folder("prometheus")

    def server_context(self, service: str) -> ssl.SSLContext:
        """What a stand-in for the service listens with."""
        tls = self.folder(service) / "tls"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls / "tls.crt", tls / "tls.key")
        return context


class Daemon(Server):
    """A program that was given its rendered folder; as a context manager it is started, and stopped at the end."""

    ready_path = "/"

    def __init__(self, rendered: Rendered, service: str, programs: Sequence[str], flags: Sequence[str]) -> None:
        self._program = program(service.capitalize(), *programs)
        self.config = rendered.folder(service)
        self.port = rendered.ports[service]
        self.name = service
        self._flags = flags
        self._trust = ssl.create_default_context(cafile=str(self.config / "tls" / "ca.crt"))
        self._trust.load_cert_chain(self.config / "tls" / "tls.crt", self.config / "tls" / "tls.key")
        self._log = self.config.with_suffix(".log")
        self._child: Child | None = None

    def start(self) -> None:
        """Start it; returns when it answers."""
        command: list[str | Path] = [
            self._program,
            *self._flags,
            f"--web.config.file={self.config / 'web.yml'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
        ]
        self._child = Child(command, self._log, cwd=self.config.parent)
        self._child.wait_until(self._ready, READY_SECONDS, self.name)

    def close(self) -> None:
        """Stop it; its data stays."""
        if self._child is not None:
            self._child.stop()

    def _ready(self) -> bool:
        try:
            self.ask(self.ready_path)
        except OSError:
            return False
        return True

    def log(self) -> str:
        """What it has printed."""
        return self._log.read_text(errors="replace")

    def ask(self, path: str, body: bytes | None = None, *, trust: ssl.SSLContext | None = None) -> bytes:
        """The answer to a request, with the service's own certificate unless told otherwise."""
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(f"https://127.0.0.1:{self.port}{path}", body, headers)
        with urllib.request.urlopen(request, timeout=20, context=trust or self._trust) as answer:
            content: bytes = answer.read()
        return content


class AppliancePrometheus(Daemon):
    """Prometheus with the appliance's `prometheus.yml`, rules and `web.yml`."""

    ready_path = "/prometheus/-/ready"

    def __init__(self, rendered: Rendered) -> None:
        config = rendered.folder("prometheus")
        flags = [
            f"--config.file={config / 'prometheus.yml'}",
            f"@{config / 'flags'}",
            f"--storage.tsdb.path={rendered.state / 'prometheus-data'}",
        ]
        super().__init__(rendered, "prometheus", ["prometheus"], flags)

    def get(self, path: str) -> Any:
        """The `data` of an answer of the HTTP API: `get("/api/v1/targets")`."""
        return json.loads(self.ask(f"/prometheus{path}"))["data"]


def node_exporter(rendered: Rendered) -> Daemon:
    """The node exporter, as the appliance runs it."""
    return Daemon(rendered, "node-exporter", ["node_exporter", "prometheus-node-exporter"], [])


def blackbox_exporter(rendered: Rendered) -> Daemon:
    """The blackbox exporter with the appliance's modules."""
    flags = [f"--config.file={rendered.folder('blackbox-exporter') / 'blackbox.yml'}"]
    return Daemon(rendered, "blackbox-exporter", ["blackbox_exporter", "prometheus-blackbox-exporter"], flags)
