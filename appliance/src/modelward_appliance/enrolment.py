"""Enrolling a model server: what it needs to deliver, in one bundle, and what the appliance keeps of it.

The bundle is the only place that holds the host's key and password; the state folder keeps the password's hash, and
what to scrape. Enrolling again gives new ones, and the old password is worth nothing from then on.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import secrets
import tarfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import yaml

from modelward_appliance import files
from modelward_appliance.credentials import password
from modelward_appliance.elasticsearch_users import hashed
from modelward_appliance.files import Owner
from modelward_appliance.pki import AGENTS, Authority

BUNDLES: Final = "bundles"
METRICS_PORT: Final = 9478
_FOLDER: Final = "/etc/modelward-agent"
_HOST: Final = re.compile(r"(?=.{1,200}$)[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9-]{1,62}[A-Za-z0-9])*")
_SALT_BYTES: Final = 32
_SECRET: Final = frozenset({"tls.key", "password", "metrics-password"})

_README: Final = """\
How {host} comes to deliver to {url}, as root:

    tar -C / -xf {host}.tar --no-same-owner
    pip install {package}
    modelward-agent run --config {folder}/agent.yml

The last one belongs into a service of the host's own (systemd: ExecStart=). Applications write to the folder
journal.path of agent.yml. Prometheus must reach {address}. Remove {host}.tar when it is unpacked: whoever has it can
deliver as {host}. If it was lost, enrol the host again; the old one is worth nothing then.
"""


class EnrolmentError(Exception):
    """The host cannot be enrolled, or removed; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A host that was enrolled: where its bundle is, and whether it had been enrolled before."""

    host: str
    bundle: Path
    address: str
    again: bool


def enrol(state: Path, ingest_url: str, host: str, address: str | None = None, wheel: Path | None = None) -> Enrolment:
    """Make the bundle, and record the host. `setup` is to run next, which tells Elasticsearch and Prometheus.

    `wheel` is the agent's own package, which is in no index; without it the README takes one by name.
    """
    host = _checked(host)
    address = _address(address or f"{host}:{METRICS_PORT}")
    owner = Owner.of(state)
    authority = issuing(state)
    pair = authority.issue(host, [host, *_name_of(address, host)], organization=AGENTS)
    secret = password()
    user = f"agent_{host}"
    metrics_password = (state / "secrets" / "agent-metrics-password").read_text(encoding="utf-8").rstrip("\r\n")
    package = f"{_FOLDER}/{wheel.name}" if wheel else "modelward-agent"
    readme = _README.format(host=host, url=ingest_url, folder=_FOLDER, address=address, package=package)
    contents = {
        "README": readme.encode(),
        "agent.yml": _agent_yml(host, user, ingest_url, address).encode(),
        "ca.crt": (state / "tls" / "ca.crt").read_bytes(),
        "tls.crt": pair.certificate,
        "tls.key": pair.key,
        "password": f"{secret}\n".encode(),
        "metrics-password": f"{metrics_password}\n".encode(),
    }
    if wheel:
        contents[wheel.name] = wheel.read_bytes()
    files.folder(state / BUNDLES, owner=owner)
    bundle = state / BUNDLES / f"{host}.tar"
    files.write(bundle, _tar(contents), owner=owner)
    record = state / "agents" / f"{host}.json"
    again = record.exists()
    known = {
        "host": host,
        "user": user,
        "password_hash": hashed(secret, secrets.token_bytes(_SALT_BYTES)),
        "certificate_serial": f"{pair.leaf.serial_number:x}",
        "authority": fingerprint(authority),
        "enrolled_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    target = [{"targets": [address], "labels": {"host": host}}]
    files.write(state / "targets" / f"{host}.yml", yaml.safe_dump(target).encode(), owner=owner)
    files.write(record, (json.dumps(known, indent=1) + "\n").encode(), owner=owner)
    return Enrolment(host, bundle, address, again)


def remove(state: Path, host: str) -> None:
    """Forget the host; with the next `setup` its user is gone, and Prometheus asks it no more."""
    host = _checked(host)
    record = state / "agents" / f"{host}.json"
    if not record.is_file():
        known = ", ".join(sorted(path.stem for path in (state / "agents").glob("*.json"))) or "none"
        raise EnrolmentError(f"{host} is not enrolled; enrolled are: {known}")
    for path in (record, state / "targets" / f"{host}.yml", state / BUNDLES / f"{host}.tar"):
        path.unlink(missing_ok=True)


def issuing(state: Path) -> Authority:
    """The authority that agents' certificates come from: the next one while the authority is being changed."""
    owner = Owner.of(state)
    following = state / "tls" / "next"
    return Authority(following if following.is_dir() else state / "tls", owner=owner)


def fingerprint(authority: Authority) -> str:
    """SHA-256 of the authority's public key, hexadecimal."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = authority.certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(public).hexdigest()


def _checked(host: str) -> str:
    if not _HOST.fullmatch(host):
        raise EnrolmentError(f'"{host}" is not a host name; write for example scoring-1.example.org')
    return host.lower()


def _address(address: str) -> str:
    name, colon, port = address.rpartition(":")
    if not colon or not name or not port.isdecimal() or not 0 < int(port) < 65536 or re.search(r"[\s/@]", name):
        raise EnrolmentError(f'"{address}" is not an address; write for example scoring-1.example.org:9478')
    return address


def _name_of(address: str, host: str) -> list[str]:
    """What Prometheus calls it by, when that is another name."""
    name = address.rpartition(":")[0].strip("[]")
    return [] if name == host else [name]


def _agent_yml(host: str, user: str, ingest_url: str, address: str) -> str:
    content = {
        "host": host,
        "state": "/var/lib/modelward/agent",
        "journal": {"path": "/var/lib/modelward/journal"},
        "elasticsearch": {
            "urls": [ingest_url],
            "ca_file": f"{_FOLDER}/ca.crt",
            "certificate": f"{_FOLDER}/tls.crt",
            "key_file": f"{_FOLDER}/tls.key",
            "username": user,
            "password_file": f"{_FOLDER}/password",
        },
        "metrics": {
            "listen": f"0.0.0.0:{address.rpartition(':')[2]}",
            "tls": {"certificate": f"{_FOLDER}/tls.crt", "key_file": f"{_FOLDER}/tls.key"},
            "username": "prometheus",
            "password_file": f"{_FOLDER}/metrics-password",
        },
    }
    return yaml.safe_dump(content, sort_keys=False)


def _tar(contents: dict[str, bytes]) -> bytes:
    """A tar of files below `etc/modelward-agent`, the secret ones for their owner alone."""
    written = io.BytesIO()
    moment = int(datetime.now(UTC).timestamp())
    with tarfile.open(fileobj=written, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        folder = tarfile.TarInfo(_FOLDER.lstrip("/"))
        folder.type, folder.mode, folder.mtime = tarfile.DIRTYPE, 0o755, moment
        tar.addfile(folder)
        for name, content in contents.items():
            info = tarfile.TarInfo(os.path.join(_FOLDER.lstrip("/"), name))  # noqa: PTH118 - a name in the tar
            info.size, info.mtime = len(content), moment
            info.mode = 0o600 if name in _SECRET else 0o644
            tar.addfile(info, io.BytesIO(content))
    return written.getvalue()
