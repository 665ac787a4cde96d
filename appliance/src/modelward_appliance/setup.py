"""The one-shot setup: makes what is missing, renders everything, and hands each service its own volume.

Running it again changes nothing; a run that was killed anywhere is completed by the next, since every file is either
the old one or the new one, and what is made (authority, secrets) is kept before anything is made from it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from modelward_appliance import credentials as secrets_table
from modelward_appliance import elasticsearch_users, files, pki
from modelward_appliance.context import uses_development_directory
from modelward_appliance.credentials import Credentials
from modelward_appliance.files import Owner
from modelward_appliance.render import CONFIG, Renderer
from modelward_appliance.services import SERVICES, Service
from modelward_appliance.settings import Site

STATE_FOLDERS: Final = ("secrets", "tls", "site", "site/models.d", "targets", "agents")
BACKED_UP: Final = ("secrets", "tls", "site", "targets", "agents")
"""Folders of the state that the backup service gets a copy of, beside `.env`."""

DIGESTS: Final = "rendered.json"
_PUBLIC_MODE: Final = 0o644
_PRIVATE_MODE: Final = 0o600


@dataclass(slots=True)
class Setup:
    """One run over a state folder and the volumes that are mounted."""

    site: Site
    state: Path
    content: Path
    changes: list[str] = field(default_factory=list)
    """One line for each thing that was made or changed."""
    _authority: pki.Authority = field(init=False)
    _credentials: Credentials = field(init=False)
    _own: pki.Pair | None = field(init=False)
    _enrolled: list[elasticsearch_users.Enrolled] = field(init=False)
    _pairs: dict[str, pki.Pair] = field(init=False)

    def prepare(self) -> None:
        """Make the state's folders, authority and secrets where they are missing."""
        owner = Owner.of(self.state)
        files.folder(self.state, owner=owner)
        files.remove_asides(self.state)
        for name in STATE_FOLDERS:
            if files.folder(self.state / name, owner=owner):
                self.changes.append(f"{name}/: made")
        self._authority = pki.Authority(self.state / "tls", owner=owner)
        self._credentials = Credentials(self.state / "secrets", owner=owner)
        self._own = pki.own_pair(self.state / "site", self.site.settings.hosts)
        self._enrolled = elasticsearch_users.enrolled(self.state / "agents")
        self._pairs = {service.name: self._authority.pair(service.name, self._hosts(service)) for service in SERVICES}
        self.changes += [*self._authority.changes, *self._credentials.changes]

    def _hosts(self, service: Service) -> list[str]:
        """The names and addresses that clients may call the service by."""
        host, _port = self.site.addresses[service.key]
        public = self.site.settings.hosts if service.public else ()
        return list(dict.fromkeys([service.name, host, "localhost", "127.0.0.1", "::1", *public]))

    def rendered(self, service: Service, config: str = CONFIG) -> dict[str, tuple[bytes, int]]:
        """By relative name: content and mode of all that the service is handed."""
        handed = secrets_table.handed_to(
            service.name,
            self._credentials,
            self.site.files,
            development_directory=uses_development_directory(self.site),
        )
        renderer = Renderer(self.content, self.site)
        own = renderer.render(service, handed, config)
        if service.name.startswith("elasticsearch"):
            own |= elasticsearch_users.realm_files(self._credentials, self._enrolled)
        # Rendered files may hold secrets; only the service itself reads any of them.
        found = {name: (content, _PRIVATE_MODE) for name, content in own.items()}
        found |= {f"secrets/{name}": (f"{value}\n".encode(), _PRIVATE_MODE) for name, value in handed.items()}
        found |= self._tls(service)
        if service.name == "prometheus":
            found |= _below(self.state / "targets", "targets")
        if service.name == "collector":
            found |= _below(self.state / "site" / "models.d", "models.d")
        if service.name == "backup":
            for name in BACKED_UP:
                found |= _below(self.state / name, f"state/{name}")
            found |= _one(self.state / ".env", "state/.env")
        return found

    def _tls(self, service: Service) -> dict[str, tuple[bytes, int]]:
        pair = self._pairs[service.name]
        public_ca = self._authority.pem
        if self._own is not None:
            public_ca = self._own.certificate + _text(self.state / "site" / "tls-ca.crt")
        found = {
            "tls/ca.crt": (self._authority.pem, _PUBLIC_MODE),
            "tls/tls.crt": (pair.certificate, _PUBLIC_MODE),
            "tls/tls.key": (pair.key, _PRIVATE_MODE),
            "tls/public-ca.crt": (public_ca, _PUBLIC_MODE),
        }
        if service.public:
            public = self._own or pair
            found |= {
                "tls/public.crt": (public.certificate, _PUBLIC_MODE),
                "tls/public.key": (public.key, _PRIVATE_MODE),
            }
        if service.name in ("collector", "grafana"):
            found |= _one(self.state / "site" / "ldap-ca.crt", "tls/ldap-ca.crt", _PUBLIC_MODE)
        if service.name == "alertmanager":
            found |= _one(self.state / "site" / "alerting-ca.crt", "tls/alerting-ca.crt", _PUBLIC_MODE)
        return found

    def hand_out(self, volumes: Path) -> None:
        """Make each mounted volume hold exactly what its service is to have."""
        # All is rendered before anything is written: a template that fails changes nothing.
        mounted = [service for service in SERVICES if (volumes / service.name).is_dir()]
        rendered = {service.name: self.rendered(service) for service in mounted}
        for service in mounted:
            self.changes += write_folder(
                volumes / service.name,
                rendered[service.name],
                Owner(service.user, service.group),
                keep=service.writable,
            )
        digests = {service.name: _digest(rendered[service.name], service.reread) for service in mounted}
        files.write(self.state / DIGESTS, (json.dumps(digests, indent=1) + "\n").encode(), owner=Owner.of(self.state))


def write_folder(
    folder: Path,
    contents: Mapping[str, tuple[bytes, int]],
    owner: Owner | None,
    *,
    keep: frozenset[str] = frozenset(),
) -> list[str]:
    """Make the folder hold exactly these files (name to content and mode); one line for each change.

    `keep` are names that are left alone. New files are there before old ones go.
    """
    changes: list[str] = []
    files.folder(folder, owner=owner)
    files.remove_asides(folder)
    for name, (content, mode) in sorted(contents.items()):
        path = folder / name
        for parent in reversed(path.relative_to(folder).parents[:-1]):
            files.folder(folder / parent, owner=owner)
        there = path.exists()
        if files.write(path, content, mode=mode, owner=owner):
            changes.append(f"{folder.name}: {name} {'changed' if there else 'added'}")
    wanted = {folder / name for name in contents} | {folder / name for name in keep}
    for path in sorted(folder.rglob("*"), reverse=True):
        if path in wanted:
            continue
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        else:
            path.unlink()
            changes.append(f"{folder.name}: {path.relative_to(folder)} removed")
    return changes


def _below(folder: Path, name: str) -> dict[str, tuple[bytes, int]]:
    found: dict[str, tuple[bytes, int]] = {}
    for path in _walk(folder):
        found[f"{name}/{path.relative_to(folder).as_posix()}"] = (path.read_bytes(), _PRIVATE_MODE)
    return found


def _walk(folder: Path) -> Iterator[Path]:
    for directory, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(directory) / name
            if path.is_file() and not name.startswith(files.ASIDE):
                yield path


def _one(path: Path, name: str, mode: int = _PRIVATE_MODE) -> dict[str, tuple[bytes, int]]:
    return {name: (path.read_bytes(), mode)} if path.is_file() else {}


def _text(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def _digest(contents: Mapping[str, tuple[bytes, int]], reread: tuple[str, ...]) -> str:
    """Of all that the service reads at its start only."""
    digest = hashlib.sha256()
    folders = tuple(name for name in reread if name.endswith("/"))
    for name, (content, mode) in sorted(contents.items()):
        if name in reread or name.startswith(folders):
            continue
        digest.update(f"{name}\0{mode}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()
