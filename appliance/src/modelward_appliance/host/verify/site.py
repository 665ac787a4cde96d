"""What is verified: where it is published, who it trusts, who may log in, and its containers."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, TypeVar

from modelward_appliance.host.docker import Compose, DockerError
from modelward_appliance.host.environment import Environment
from modelward_appliance.host.verify.check import CheckError, NotCheckedError
from modelward_appliance.host.verify.client import Client, trusting

T = TypeVar("T")

HERE: Final = "127.0.0.1"
"""Published ports are reached on this server itself; certificates are still checked for the site's name."""

DEVELOPMENT_PEOPLE: Final = {"viewer": "viewer", "admin": "admin"}
"""Users of the development directory (compose/openldap/config/people.ldif) by role."""

_POLL_SECONDS = 1.0


@dataclass(frozen=True, slots=True, repr=False)
class Account:
    """Someone who can log in."""

    user: str
    password: str


class Site:
    """One deployment, as the checks ask it."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.state = environment.state
        self.compose = Compose(environment)

    # -- trust ------------------------------------------------------------------------------------------------------
    @cached_property
    def authority(self) -> str:
        """The authority's certificate, PEM."""
        return self._read(self.state / "tls" / "ca.crt")

    @cached_property
    def public_trust(self) -> ssl.SSLContext:
        """Trust in what browsers are shown: the site's own certificate where it has one, else the authority's."""
        own = self.state / "site" / "tls.crt"
        if not own.is_file():
            return trusting(self.authority)
        root = self.state / "site" / "tls-ca.crt"
        # Without its root the chain is what is known of the site's own authority; its leaf must still be of the host.
        context = trusting(self._read(own) + (self._read(root) if root.is_file() else ""))
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return context

    @staticmethod
    def _read(path: Path) -> str:
        try:
            return path.read_text(encoding="utf-8")
        except OSError as error:
            raise CheckError(f"{path}: {error.strerror}", "run make deploy, and this as the owner of that") from error

    # -- doors ------------------------------------------------------------------------------------------------------
    @property
    def gateway(self) -> Client:
        """A new visitor of the console's origin."""
        return Client(self.environment.url, HERE, self.public_trust)

    @property
    def grafana(self) -> Client:
        """A new visitor of Grafana."""
        return Client(self.environment.grafana_url, HERE, self.public_trust)

    @property
    def host(self) -> str:
        """The site's first name."""
        return self.environment.hosts[0] if self.environment.hosts else "localhost"

    def needs(self, profile: str) -> None:
        """`NotCheckedError` unless the profile is switched on."""
        if profile not in self.environment.profiles:
            raise NotCheckedError(f"{profile} is not in COMPOSE_PROFILES")

    # -- people -----------------------------------------------------------------------------------------------------
    def account(self, role: str) -> Account:
        """Who logs in as viewer or admin; `NotCheckedError` that says how to give one."""
        path = self.state / "site" / f"verify-{role}"
        if path.is_file():
            lines = path.read_text(encoding="utf-8").splitlines()
            if len(lines) < 2 or not lines[0] or not lines[1]:
                raise CheckError(f"{path} has not two lines", "write the user's name and, below it, the password")
            return Account(lines[0], lines[1])
        people = self.state / "secrets" / "openldap-people-password"
        if not self.environment.get("MODELWARD_LDAP_URLS") and people.is_file():
            return Account(DEVELOPMENT_PEOPLE[role], people.read_text(encoding="utf-8").rstrip("\r\n"))
        raise NotCheckedError(
            f"there is no account to log in with as {role}",
            f"write the name of a person who is {role} and, below it, the password into {path}, mode 0600",
        )

    # -- inside -----------------------------------------------------------------------------------------------------
    def inside(self, service: str, *command: str) -> str:
        """What a command in a running container printed; `CheckError` when it fails."""
        try:
            return self.compose.exec(service, *command)
        except DockerError as error:
            said = str(error).splitlines()[-1]
            raise CheckError(f"{service}: {said}", f"see make logs SERVICE={service}") from error

    def prove(self, service: str, *words: str) -> Any:
        """What a step of `modelward-appliance prove` in a container answered."""
        return json.loads(self.inside(service, "modelward-appliance", "prove", *words))

    def prometheus(self, path: str) -> Any:
        """The `data` of an answer of Prometheus's API, asked by the backup service, which has a certificate."""
        return self.prove("backup", "prometheus", path, "--url", "https://prometheus:9090/prometheus")["data"]


@dataclass(slots=True)
class Waiting:
    """Asks again until there is an answer or the time is over."""

    seconds: float
    begun: float = field(default_factory=time.monotonic)

    def until(self, found: Callable[[], T | None]) -> T | None:
        """The first answer that is neither None nor False; None when there was none in time."""
        while True:
            if answer := found():
                return answer
            if self.passed > self.seconds:
                return None
            time.sleep(_POLL_SECONDS)

    @property
    def passed(self) -> float:
        """Seconds since it was begun."""
        return time.monotonic() - self.begun
