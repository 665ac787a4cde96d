"""Elasticsearch's file realm: who there is, and the least that each may do.

The files (`users`, `users_roles`, `roles.yml`, `service_tokens`) are read by every distribution on every licence, and
read again within seconds of a change. The reserved users (`elastic`, …) are off: there is no superuser.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from modelward_appliance.credentials import KIBANA_ACCOUNT, Credentials

_ROUNDS: Final = 1000
"""Every request checks a password; these are random and of 192 bits, so that stretching them would gain nothing."""

_SHIPPED: Final = ["modelward-events*", "modelward-logs*", "modelward-profiles*"]
"""What agents write; results, incidents, the audit trail and the state are the collector's alone."""

_SEEN: Final = [*_SHIPPED, "modelward-results*", "modelward-incidents*"]
_KIBANA_APPLICATION: Final = "kibana-.kibana"


def _indices(names: Sequence[str], *privileges: str) -> dict[str, list[str]]:
    return {"names": list(names), "privileges": list(privileges)}


def _kibana(*privileges: str) -> list[dict[str, Any]]:
    return [{"application": _KIBANA_APPLICATION, "privileges": list(privileges), "resources": ["*"]}]


ROLES: Final[Mapping[str, Mapping[str, Any]]] = {
    # Before the collector first starts: templates, the first indices, Kibana's dashboards.
    "modelward_setup": {
        "cluster": ["monitor", "manage_index_templates"],
        "indices": [_indices(["modelward-*"], "manage")],
        "applications": _kibana("all"),
    },
    "modelward_collector": {
        "cluster": ["monitor", "manage_index_templates"],
        "indices": [_indices(["modelward-*"], "read", "write", "manage")],
    },
    # `create_doc` neither overwrites nor deletes. The right to add fields to a mapping comes with it; nothing grants
    # the one without the other; the gateway passes only `_bulk` and `_alias`. Metadata resolves an alias to its index.
    "modelward_agent": {
        "cluster": [],
        "indices": [_indices(_SHIPPED, "create_doc", "view_index_metadata")],
    },
    "modelward_logstash": {
        "cluster": ["monitor"],
        "indices": [_indices(["modelward-logs*"], "create_doc", "view_index_metadata")],
    },
    # Snapshots are the cluster's; of the indices it only counts, and removes those it restored to try a snapshot.
    "modelward_backup": {
        "cluster": ["monitor", "cluster:admin/snapshot/*", "cluster:admin/repository/*"],
        "indices": [
            _indices(["modelward-*"], "monitor", "view_index_metadata", "maintenance"),
            _indices(["modelward-probe-*"], "delete_index"),
        ],
    },
    # Makes a person's own user at login, where people are not to share one (`auth.kibana.users: personal`).
    "modelward_gateway": {
        "cluster": [
            "cluster:admin/xpack/security/user/put",
            "cluster:admin/xpack/security/user/get",
            "cluster:admin/xpack/security/user/set_enabled",
            "cluster:admin/xpack/security/user/change_password",
        ],
    },
    "modelward_kibana_viewer": {
        "cluster": [],
        "indices": [_indices(_SEEN, "read", "view_index_metadata")],
        "applications": _kibana("read"),
    },
    "modelward_kibana_editor": {
        "cluster": [],
        "indices": [_indices([*_SEEN, "modelward-audit*"], "read", "view_index_metadata")],
        "applications": _kibana("all"),
    },
    "modelward_kibana_admin": {
        "cluster": ["monitor"],
        "indices": [_indices(["modelward-*"], "read", "view_index_metadata", "monitor")],
        "applications": _kibana("all"),
    },
}

USERS: Final[Mapping[str, str]] = {
    role: f"elasticsearch-{role.removeprefix('modelward_').replace('_', '-')}-password" for role in ROLES
}
"""A user for each role, of the same name: to the secret that is its password."""

AGENT_ROLE: Final = "modelward_agent"
SETUP_USER: Final = "modelward_setup"


class EnrolledError(Exception):
    """A file of `agents/` cannot be used; the message names it and what to do."""


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A model server that may ship: what `state/agents/<host>.json` says, but for who did it."""

    host: str
    user: str
    password_hash: str


_USER_NAME = re.compile(r"agent_[A-Za-z0-9._-]{1,250}")
_HASH = re.compile(
    r"\{PBKDF2[A-Z0-9_]*\}[0-9]+\$[A-Za-z0-9+/=]+\$[A-Za-z0-9+/=]+|\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}"
)


def enrolled(folder: Path) -> list[Enrolled]:
    """The model servers that were enrolled, by user; EnrolledError for a file that is not what it should be."""
    found: dict[str, Enrolled] = {}
    for path in sorted(folder.glob("*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            agent = Enrolled(content["host"], content["user"], content["password_hash"])
        except (ValueError, KeyError, TypeError) as error:
            raise EnrolledError(
                f"{path} is not an enrolled agent ({error!r}); remove it and enrol the host anew"
            ) from error
        # The name and hash become lines of a file that decides who may do what.
        if not _USER_NAME.fullmatch(str(agent.user)) or not _HASH.fullmatch(str(agent.password_hash)):
            raise EnrolledError(f"{path} has a malformed user or password_hash; remove it and enrol the host anew")
        if agent.user in found:
            raise EnrolledError(f"{path} has the same user as another file; remove one of them")
        found[agent.user] = agent
    return list(found.values())


def hashed(password: str, salt: bytes) -> str:
    """The file realm's form of a random password: PBKDF2 with HMAC-SHA512; `salt` has 32 bytes."""
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ROUNDS, dklen=32)
    return f"{{PBKDF2}}{_ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def _salt(name: str, password: str) -> bytes:
    """The same for the same user and password, so that nothing changes when nothing changed."""
    return hmac.digest(password.encode(), f"modelward salt of {name}".encode(), "sha256")


def realm_files(credentials: Credentials, agents: Sequence[Enrolled]) -> dict[str, bytes]:
    """By name: the files of the realm, for Elasticsearch's configuration folder."""
    hashes = {name: hashed(credentials[secret], _salt(name, credentials[secret])) for name, secret in USERS.items()}
    hashes |= {agent.user: agent.password_hash for agent in agents}
    holders: dict[str, list[str]] = {role: [role] for role in ROLES}
    holders[AGENT_ROLE] += [agent.user for agent in agents]
    token = base64.b64decode(credentials["kibana-service-token"]).rpartition(b":")[2].decode()
    return {
        "users": _lines(f"{name}:{value}" for name, value in hashes.items()),
        "users_roles": _lines(f"{role}:{','.join(names)}" for role, names in holders.items()),
        "roles.yml": yaml.safe_dump({name: dict(role) for name, role in ROLES.items()}, sort_keys=False).encode(),
        "service_tokens": _lines([f"{KIBANA_ACCOUNT}:{hashed(token, _salt(KIBANA_ACCOUNT, token))}"]),
    }


def _lines(lines: Any) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()
