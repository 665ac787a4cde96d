"""New certificates, a new authority, new secrets: what changes in the state folder. `setup` hands the new ones out.

A new authority comes in three steps, and each is complete in itself: both authorities are trusted, while model servers
are enrolled again; the new one issues; only the new one is trusted.
"""

from __future__ import annotations

import json
import shutil
from enum import StrEnum
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from modelward_appliance import files
from modelward_appliance.backup.keys import new_key
from modelward_appliance.credentials import SECRETS
from modelward_appliance.enrolment import fingerprint
from modelward_appliance.files import Owner
from modelward_appliance.pki import Authority
from modelward_appliance.services import SERVICES

KEPT: Final = {
    "kibana-saved-objects-key": "what Kibana has encrypted with it could not be read any more",
    "grafana-secret-key": "what Grafana has encrypted with it could not be read any more",
    "grafana-admin-password": "Grafana takes it at its first start only; change it there",
    "agent-metrics-password": "enrolled model servers have it, and would not be scraped any more",
}
"""Secrets that are not replaced, and why."""

BACKUP_KEY: Final = "backup-key"


class Step(StrEnum):
    """What was done to change the authority."""

    BEGUN = "begun"
    SWITCHED = "switched"
    DROPPED = "dropped"


class NotYetError(Exception):
    """The change of the authority cannot go on; the message says what is lacking."""


def forget_pairs(state: Path) -> int:
    """Remove what the authority issued to the services, so that `setup` issues it anew; how many."""
    found = [service.name for service in SERVICES if (state / "tls" / f"{service.name}.crt").exists()]
    for name in found:
        (state / "tls" / f"{name}.crt").unlink()
    return len(found)


def change_authority(state: Path, *, force: bool = False) -> Step:
    """Take the next step; `NotYetError` when model servers have certificates of the old one only, unless forced."""
    tls = state / "tls"
    owner = Owner.of(state)
    trusted = x509.load_pem_x509_certificates((tls / "ca.crt").read_bytes())
    following = tls / "next"
    if following.is_dir():
        new = Authority(following, owner=owner)
        if new.certificate not in trusted:
            files.write(tls / "ca.crt", _pem(*trusted, new.certificate), mode=0o644, owner=owner)
            return Step.BEGUN
        if trusted[0] != new.certificate:
            if (lacking := _not_yet(state, new)) and not force:
                raise NotYetError(
                    f"the new authority is trusted, but not by {', '.join(lacking)}; enrol them again (make add-agent "
                    "HOST_NAME=…), unpack their bundles there, and run this again; or with --force, which cuts them off"
                )
            # What was trusted stays so. A run that is killed between the two files is completed by the next.
            files.write(tls / "ca.crt", _pem(new.certificate, *trusted), mode=0o644, owner=owner)
        files.write(tls / "ca.key", (following / "ca.key").read_bytes(), owner=owner)
        # Gone in one step: half of it would be taken for another change that begins.
        used = following.rename(tls / f"{files.ASIDE}used")
        shutil.rmtree(used)
        return Step.SWITCHED
    current = Authority(tls, owner=owner)
    if len(trusted) > 1:
        files.write(tls / "ca.crt", _pem(current.certificate), mode=0o644, owner=owner)
        return Step.DROPPED
    files.folder(following, owner=owner)
    new = Authority(following, owner=owner)
    files.write(tls / "ca.crt", _pem(current.certificate, new.certificate), mode=0o644, owner=owner)
    return Step.BEGUN


def new_secrets(state: Path) -> list[str]:
    """Make the secrets anew, but for those of `KEPT`; their names.

    The backups' key is put before the earlier ones, which read the backups that there are.
    """
    folder = state / "secrets"
    owner = Owner.of(state)
    changed = []
    for name, secret in SECRETS.items():
        path = folder / name
        if name in KEPT or not path.exists():
            continue
        content = f"{secret.make()}\n"
        if name == BACKUP_KEY:
            content = f"{new_key()}\n{path.read_text(encoding='ascii')}"
        files.write(path, content.encode(), owner=owner)
        changed.append(name)
    return changed


def _not_yet(state: Path, new: Authority) -> list[str]:
    """Hosts whose certificate is not of the new authority."""
    wanted = fingerprint(new)
    records = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((state / "agents").glob("*.json"))]
    return [record["host"] for record in records if record.get("authority") != wanted]


def _pem(*certificates: x509.Certificate) -> bytes:
    unique = dict.fromkeys(certificate.public_bytes(Encoding.PEM) for certificate in certificates)
    return b"".join(unique)
