"""A real Alertmanager with the appliance's configuration: over TLS, for who has a certificate."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from tests.servers.appliance import Daemon, Rendered


class Alertmanager(Daemon):
    """Runs with the appliance's `alertmanager.yml`; `change` may edit that first (a test cannot wait for minutes)."""

    ready_path = "/alertmanager/-/ready"

    def __init__(self, rendered: Rendered, change: Callable[[str], str] = str) -> None:
        file = rendered.folder("alertmanager") / "alertmanager.yml"
        flags = [
            f"--config.file={file}",
            f"--storage.path={rendered.state / 'alertmanager-data'}",
            f"@{file.with_name('flags')}",
            "--cluster.listen-address=",
            "--log.level=debug",
        ]
        super().__init__(rendered, "alertmanager", ["alertmanager", "prometheus-alertmanager"], flags)
        file.write_text(change(file.read_text()))

    def alerts(self) -> list[dict[str, Any]]:
        """Every alert that it has, as its API gives it; `status.inhibitedBy` says which others silence it."""
        found: list[dict[str, Any]] = json.loads(self.ask("/alertmanager/api/v2/alerts"))
        return found

    def post(self, *alerts: Mapping[str, Any]) -> None:
        """Hand over alerts as Prometheus does: each with `labels` and `annotations`."""
        self.ask("/alertmanager/api/v2/alerts", json.dumps(alerts).encode())
