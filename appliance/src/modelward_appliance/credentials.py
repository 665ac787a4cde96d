"""The secrets that the appliance makes for itself: one table, one file each in the state folder's `secrets/`.

Each is made once, in one atomic write, and never shown. A service gets those that name it as `secrets/<name>`. What
the operator gives (`site/`) is handed out the same way.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modelward_appliance import files
from modelward_appliance.files import Owner
from modelward_appliance.settings import STAKEHOLDERS, SiteFiles


def password() -> str:
    """32 letters, digits, `-` and `_`: 192 bits, and nothing that any program's quoting could trip over."""
    return secrets.token_urlsafe(24)


def key() -> str:
    """32 random bytes as base64."""
    return base64.b64encode(secrets.token_bytes(32)).decode()


def hexadecimal() -> str:
    """32 random bytes as 64 hexadecimal digits."""
    return secrets.token_hex(32)


KIBANA_ACCOUNT: Final = "elastic/kibana/modelward"
"""Elasticsearch's service account for Kibana, and the name of our token of it."""


def kibana_token() -> str:
    """What Kibana presents to Elasticsearch as `Authorization: Bearer …`.

    Source: Elasticsearch's ServiceAccountToken: the bytes 0, 1, 0, 1, then `<account>/<name>:<secret>`, in base64.
    """
    return base64.b64encode(b"\x00\x01\x00\x01" + f"{KIBANA_ACCOUNT}:{password()}".encode()).decode()


@dataclass(frozen=True, slots=True)
class Secret:
    """How a secret is made, and which services get it."""

    make: Callable[[], str]
    services: frozenset[str] = frozenset()


def _for(*services: str, make: Callable[[], str] = password) -> Secret:
    return Secret(make, frozenset(services))


SECRETS: Final[Mapping[str, Secret]] = {
    # Elasticsearch's users; elasticsearch_users.py says what each may.
    "elasticsearch-setup-password": _for(),
    "elasticsearch-collector-password": _for("collector"),
    "elasticsearch-agent-password": _for("agent"),
    "elasticsearch-backup-password": _for("backup"),
    "elasticsearch-gateway-password": _for("collector"),
    "elasticsearch-kibana-viewer-password": _for("collector", "grafana"),
    "elasticsearch-kibana-editor-password": _for("collector"),
    "elasticsearch-kibana-admin-password": _for("collector"),
    "elasticsearch-logstash-password": _for("logstash"),
    # Kibana
    "kibana-service-token": _for("kibana", make=kibana_token),
    "kibana-security-key": _for("kibana", make=hexadecimal),
    "kibana-saved-objects-key": _for("kibana", make=hexadecimal),
    "kibana-reporting-key": _for("kibana", make=hexadecimal),
    # The collector, and the gateway that asks it who somebody is
    "gateway-key": _for("collector", "gateway"),
    "collector-session-key": _for("collector", make=key),
    "collector-api-key": _for("collector"),
    "collector-metrics-key": _for("collector", "prometheus"),
    "collector-alerts-key": _for("collector", "alertmanager"),
    # Others
    "agent-metrics-password": _for("agent", "prometheus"),
    "backup-key": _for("backup", make=key),
    "grafana-admin-password": _for("grafana"),
    "grafana-secret-key": _for("grafana"),
    "victoriametrics-password": _for("victoriametrics", "prometheus", "grafana"),
    # The development directory
    "openldap-admin-password": _for("openldap"),
    "openldap-people-password": _for("openldap"),
    "openldap-bind-password": _for("openldap"),
}

SITE_SECRETS: Final[Mapping[str, frozenset[str]]] = {
    "ldap-bind-password": frozenset({"collector", "grafana"}),
    "smtp-password": frozenset({"alertmanager"}),
    **{f"slack-{who}-url": frozenset({"alertmanager"}) for who in STAKEHOLDERS},
    **{f"pagerduty-{who}-key": frozenset({"alertmanager"}) for who in STAKEHOLDERS},
}
"""Files of `site/`, and which services get them."""


class Credentials:
    """The secrets in a folder; those that are missing are made."""

    def __init__(self, folder: Path, *, owner: Owner | None = None) -> None:
        self.changes: list[str] = []
        self._values: dict[str, str] = {}
        for name, secret in SECRETS.items():
            path = folder / name
            # An empty one is not ours: writes are whole or not there.
            if not path.is_file() or not path.read_text().strip():
                files.write(path, secret.make().encode() + b"\n", owner=owner)
                self.changes.append(f"secrets/{name}: made")
            else:
                files.write(path, path.read_bytes(), owner=owner)
            self._values[name] = path.read_text(encoding="utf-8").rstrip("\r\n")

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __repr__(self) -> str:
        return f"Credentials({', '.join(sorted(self._values))})"


def handed_to(
    service: str, credentials: Credentials, site: SiteFiles, *, development_directory: bool
) -> dict[str, str]:
    """By name: the secrets of a service.

    With the development directory, its service account's password is what `site/ldap-bind-password` would be.
    """
    found = {name: credentials[name] for name, secret in SECRETS.items() if service in secret.services}
    for name, services in SITE_SECRETS.items():
        if service in services and site.has(name):
            found[name] = (site.folder / name).read_text(encoding="utf-8").rstrip("\r\n")
    if development_directory and service in SITE_SECRETS["ldap-bind-password"]:
        found["ldap-bind-password"] = credentials["openldap-bind-password"]
    return found
