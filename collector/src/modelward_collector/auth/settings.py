"""The section `auth` of `collector.yml`."""

from __future__ import annotations

import string
from datetime import timedelta
from enum import StrEnum
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from modelward_agent.durations import Duration
from modelward_agent.settings import ReadableFile, SecretFile, read_secret
from modelward_collector.auth.role import Role

SHORTEST_KEY = 32
"""Characters of a secret that signs; 16 random bytes in hexadecimal."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _placeholders(template: str) -> set[str]:
    try:
        return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}
    except ValueError as error:
        raise ValueError(f'"{template}" is no template ({error}); write a brace that is meant as such twice') from error


def _template(template: str, needed: set[str], allowed: set[str]) -> None:
    found = _placeholders(template)
    if not found <= allowed:
        unknown = ", ".join(f"{{{name}}}" for name in sorted(found - allowed))
        known = " and ".join(f"{{{name}}}" for name in sorted(allowed))
        raise ValueError(f'"{template}" has {unknown}; here only {known} can stand')
    if needed and not found & needed:
        wanted = " or ".join(f"{{{name}}}" for name in sorted(needed))
        raise ValueError(f'"{template}" lacks {wanted}; without it everyone would match')


class Groups(_Strict):
    """The directory's groups, by distinguished name, whose members have each role; the highest wins."""

    viewer: tuple[str, ...] = ()
    editor: tuple[str, ...] = ()
    admin: tuple[str, ...] = ()

    @field_validator("viewer", "editor", "admin")
    @classmethod
    def _are_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if "=" not in name:
                raise ValueError(f'"{name}" is no distinguished name; write for example cn=mlops,ou=groups,dc=example')
        return value

    @model_validator(mode="after")
    def _someone(self) -> Groups:
        if not (self.viewer or self.editor or self.admin):
            raise ValueError("no group is named, so nobody could log in; name at least one under admin")
        return self

    def by_role(self) -> dict[Role, tuple[str, ...]]:
        """The same by role."""
        return {role: getattr(self, role.value) for role in Role}


class LdapSettings(_Strict):
    """The directory: how it is reached, where people and groups are.

    With `bind_dn` a service account looks people up; without it people bind as themselves by `user_dn_template`, and
    whether they are still in their groups cannot be asked between logins.
    """

    urls: Annotated[tuple[str, ...], Field(min_length=1, description="tried in order until one answers")]
    start_tls: bool = Field(False, description="ldap:// URLs turn to TLS before anything is sent")
    ca_file: ReadableFile | None = Field(None, description="the authority of its certificate; else the system's")
    bind_dn: str | None = None
    bind_password_file: SecretFile | None = None
    user_dn_template: str | None = Field(
        None, description="without bind_dn, for example uid={username},ou=people,dc=example or {username}@example.org"
    )
    user_base_dn: Annotated[str, Field(min_length=1)]
    user_filter: str = "(uid={username})"
    user_attribute: Annotated[str, Field(min_length=1, description="whose value is the user's name here")] = "uid"
    group_base_dn: Annotated[str, Field(min_length=1)]
    group_filter: str = "(|(member={user_dn})(uniqueMember={user_dn})(memberUid={username}))"
    nested_groups: bool = True
    active_directory: bool = False
    groups: Groups
    timeout: Duration = Field(timedelta(seconds=5), description="for each connection, and each answer")

    @field_validator("urls")
    @classmethod
    def _are_ldap(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for url in value:
            try:
                parts = urlsplit(url)
                sound = parts.scheme in ("ldap", "ldaps") and parts.hostname and (parts.port or 1)
            except ValueError:
                sound = False
            if not sound or parts.path.strip("/") or parts.query:
                raise ValueError(f'"{url}" is not the URL of a directory; write for example ldaps://ldap.example.org')
        return value

    @field_validator("user_filter")
    @classmethod
    def _finds_one(cls, value: str) -> str:
        _template(value, {"username"}, {"username"})
        return value

    @field_validator("group_filter")
    @classmethod
    def _finds_groups(cls, value: str) -> str:
        _template(value, {"user_dn", "username"}, {"user_dn", "username"})
        return value

    @field_validator("user_dn_template")
    @classmethod
    def _names_one(cls, value: str | None) -> str | None:
        if value is not None:
            _template(value, {"username"}, {"username"})
        return value

    @model_validator(mode="after")
    def _secure_and_whole(self) -> LdapSettings:
        for url in self.urls:
            if url.startswith("ldap://") and not self.start_tls:
                raise ValueError(f"{url} would send passwords in the clear; write ldaps://, or set start_tls: true")
            if url.startswith("ldaps://") and self.start_tls:
                raise ValueError(f"{url} is TLS from the start; write ldap://, or set start_tls: false")
        if (self.bind_dn is None) != (self.bind_password_file is None):
            raise ValueError("bind_dn and bind_password_file belong together; give both or neither")
        if (self.bind_dn is None) == (self.user_dn_template is None):
            raise ValueError("give bind_dn (a service account), or user_dn_template (people bind directly), not both")
        return self


class SessionSettings(_Strict):
    """How long a login lasts, and the secret that signs it."""

    key_file: SecretFile
    previous_key_file: SecretFile | None = Field(None, description="still accepted, after key_file was changed")
    idle: Duration = Field(timedelta(minutes=15), description="ends a session that is not used")
    absolute: Duration = Field(timedelta(hours=12), description="ends every session")
    recheck: Duration = Field(timedelta(minutes=5), description="how often the directory is asked about groups again")

    @field_validator("key_file", "previous_key_file")
    @classmethod
    def _is_long(cls, value: SecretFile | None) -> SecretFile | None:
        if value is not None and len(read_secret(value)) < SHORTEST_KEY:
            raise ValueError(
                f'"{value}" holds fewer than {SHORTEST_KEY} characters; run: openssl rand -hex 32 > {value}'
            )
        return value

    @model_validator(mode="after")
    def _ordered(self) -> SessionSettings:
        if not timedelta(0) < self.idle <= self.absolute:
            raise ValueError("idle is not above zero and at most absolute; write for example idle: 15m, absolute: 12h")
        return self


class LockoutSettings(_Strict):
    """When failed logins make the next one wait; each further failure doubles the wait."""

    user_failures: Annotated[int, Field(ge=1)] = 5
    address_failures: Annotated[int, Field(ge=1)] = 30
    longest: Duration = timedelta(minutes=15)


class KibanaUsers(StrEnum):
    """As whom people reach Elasticsearch through Kibana."""

    SHARED = "shared"
    PERSONAL = "personal"


class KibanaSettings(_Strict):
    """`shared`: one Elasticsearch user a role. `personal`: each person an own one, made at login.

    For personal users `username` needs Elasticsearch's privilege `manage_security`.
    """

    users: KibanaUsers = KibanaUsers.SHARED
    viewer_password_file: SecretFile | None = Field(None, description="of modelward_kibana_viewer")
    editor_password_file: SecretFile | None = Field(None, description="of modelward_kibana_editor")
    admin_password_file: SecretFile | None = Field(None, description="of modelward_kibana_admin")
    urls: tuple[str, ...] = Field((), description="Elasticsearch, for personal users")
    ca_file: ReadableFile | None = None
    username: str | None = None
    password_file: SecretFile | None = None

    @model_validator(mode="after")
    def _whole(self) -> KibanaSettings:
        if self.users is KibanaUsers.SHARED:
            for role in Role:
                if getattr(self, f"{role}_password_file") is None:
                    raise ValueError(f"users: shared needs {role}_password_file; name the file with its password")
        elif not self.urls or self.username is None or self.password_file is None:
            raise ValueError("users: personal needs urls, username and password_file of Elasticsearch; add them")
        return self


class AuthSettings(_Strict):
    """Who may use the console, the API and what is behind the gateway."""

    ldap: LdapSettings
    session: SessionSettings
    lockout: LockoutSettings = LockoutSettings()
    gateway_key_file: SecretFile | None = Field(None, description="the key by which the gateway proves itself")
    kibana: KibanaSettings | None = None
