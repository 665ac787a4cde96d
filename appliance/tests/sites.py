"""Sites for tests: the example's variables, a state folder and volumes in a temporary folder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from modelward_appliance.services import SERVICES
from modelward_appliance.settings import Site, load_site
from modelward_appliance.setup import Setup

ROOT = Path(__file__).resolve().parents[2]


def example() -> dict[str, str]:
    """The variables of `.env.example`."""
    text = (ROOT / "compose" / ".env.example").read_text()
    return dict(re.findall(r"^([A-Z][A-Z0-9_]*)=(.*)$", text, re.MULTILINE))


DIRECTORY = {
    "MODELWARD_HOSTS": "modelward.example.org,10.1.2.3",
    "COMPOSE_PROFILES": "kibana,grafana",
    "MODELWARD_LDAP_URLS": "ldaps://ldap.example.org",
    "MODELWARD_LDAP_BASE_DN": "dc=example,dc=org",
    "MODELWARD_LDAP_USER_DN_TEMPLATE": "uid={username},ou=people,dc=example,dc=org",
    "MODELWARD_LDAP_ADMIN_GROUPS": "cn=ops,ou=groups,dc=example,dc=org; cn=ml,dc=example,dc=org",
}
"""The least that a site with a directory of its own says."""


@dataclass(frozen=True)
class Place:
    """Where one appliance's things are."""

    folder: Path
    content: Path = ROOT

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def volumes(self) -> Path:
        return self.folder / "volumes"

    def site(self, **variables: str) -> Site:
        """The site of the example's variables and these."""
        return load_site({**example(), **variables}, self.state / "site")

    def setup(self, **variables: str) -> list[str]:
        """Run the setup; what it changed."""
        run = Setup(self.site(**variables), self.state, self.content)
        run.prepare()
        run.hand_out(self.volumes)
        return run.changes


def place(folder: Path, content: Path = ROOT) -> Place:
    """A new place with a mounted volume for every service, and the repository's rooms or others."""
    made = Place(folder, content)
    made.state.mkdir(parents=True)
    for service in SERVICES:
        (made.volumes / service.name).mkdir(parents=True)
    return made
