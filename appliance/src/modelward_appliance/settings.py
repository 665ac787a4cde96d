"""What an operator decides, as `MODELWARD_*` variables (Compose's `.env`, Ansible's variables), validated.

Secrets are never variables: they are files of the state folder's `site/` (`SiteFiles`). Every error is one line that
names the variable, its value and the fix, and all come at once.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from modelward_agent.durations import Duration
from modelward_agent.settings import SettingsError, explain
from modelward_appliance.services import ADDRESSES, PROFILES

PREFIX: Final = "MODELWARD_"
ADDRESS_PREFIX: Final = "MODELWARD_ADDRESS_"
"""`MODELWARD_ADDRESS_ELASTICSEARCH=10.0.0.5:9200` says where a service is, when it is not a container of its name."""

NOT_OURS: Final = frozenset({"MODELWARD_STATE", "MODELWARD_IMAGE", "MODELWARD_CONTENT", "MODELWARD_ENV_FILE"})
"""Variables that Compose and the image read; any other `MODELWARD_*` name is taken for a mistyped one."""

ORIGIN: Final = ".env"
DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

_HOST_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")
_EMAIL = re.compile(r"[^@\s,;]+@[^@\s,;]+")
_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
_URL = re.compile(r"https?://[^\s]+")
_DN = re.compile(r"[A-Za-z][A-Za-z0-9-]*\s*=.+")


class Directory(StrEnum):
    """Which kind of directory; decides the defaults of the filters."""

    OPENLDAP = "openldap"
    ACTIVE_DIRECTORY = "active-directory"


class KibanaUsers(StrEnum):
    """As whom people are known to Kibana: one user a role, or each as themselves."""

    SHARED = "shared"
    PERSONAL = "personal"


# -- values --------------------------------------------------------------------------------------------------------


def _split(value: Any) -> Any:
    return tuple(part for part in re.split(r"[,\s]+", value) if part) if isinstance(value, str) else value


def _split_at_semicolons(value: Any) -> Any:
    return tuple(part.strip() for part in value.split(";") if part.strip()) if isinstance(value, str) else value


def _host(value: str) -> str:
    name = value.lower()
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        if not _HOST_NAME.fullmatch(name):
            raise ValueError(f'"{value}" is not a host name; write for example modelward.example.org') from None
    return name


def _matching(pattern: re.Pattern[str], advice: str) -> AfterValidator:
    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise ValueError(f'"{value}" {advice}')
        return value

    return AfterValidator(check)


def _one_line(value: str) -> str:
    if any(character < " " or character == "\x7f" for character in value):
        raise ValueError("has a line break or control character; write it on one line")
    return value


def _ldap_url(value: str) -> str:
    if not re.fullmatch(r"ldaps?://[^/\s@]+/?", value):
        raise ValueError(f'"{value}" is not an LDAP URL; write for example ldaps://ldap.example.org:636')
    return value.rstrip("/")


def _zone(value: str) -> str:
    try:
        zoneinfo.ZoneInfo(value)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        near = difflib.get_close_matches(value, zoneinfo.available_timezones(), n=1, cutoff=0.6)
        said = f'"{value}" is not a time zone; write for example {near[0] if near else "Europe/Berlin"}'
        raise ValueError(said) from None
    return value


def _date(value: Any) -> Any:
    try:
        return date.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError(f'"{value}" is not a date; write for example 2026-12-25') from None


def _day(value: str) -> str:
    if value.lower() not in DAYS:
        raise ValueError(f'"{value}" is not a day; write for example monday,tuesday')
    return value.lower()


Line = Annotated[str, AfterValidator(_one_line)]
Host = Annotated[str, AfterValidator(_host)]
Port = Annotated[int, Field(ge=1, le=65535)]
Dn = Annotated[Line, _matching(_DN, "is not a distinguished name; write for example ou=people,dc=example,dc=org")]
Clock = Annotated[str, _matching(_CLOCK, "is not a time of the day; write for example 22:00")]
Email = Annotated[str, _matching(_EMAIL, "is not an e-mail address; write for example ml-team@example.org")]
Url = Annotated[str, _matching(_URL, "is not a URL; write for example https://hooks.example.org/modelward")]
Zone = Annotated[str, AfterValidator(_zone)]
Dates = Annotated[tuple[Annotated[date, BeforeValidator(_date)], ...], BeforeValidator(_split)]
Hosts = Annotated[tuple[Host, ...], BeforeValidator(_split), Field(min_length=1)]
Emails = Annotated[tuple[Email, ...], BeforeValidator(_split)]
Urls = Annotated[tuple[Url, ...], BeforeValidator(_split)]
LdapUrls = Annotated[tuple[Annotated[str, AfterValidator(_ldap_url)], ...], BeforeValidator(_split)]
Dns = Annotated[tuple[Dn, ...], BeforeValidator(_split_at_semicolons)]
Days = Annotated[tuple[Annotated[str, AfterValidator(_day)], ...], BeforeValidator(_split)]


class Settings(BaseModel):
    """Every variable that the setup reads, `MODELWARD_` and the field's name; `.env.example` describes each."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=lambda name: PREFIX + name.upper())

    site_name: Line = "Modelward"
    environment: Line = "production"
    hosts: Hosts
    port: Port = 443
    grafana_port: Port = 3000
    ingest_port: Port = 9243
    time_zone: Zone = "UTC"
    holidays: Dates = ()

    ldap_directory: Directory = Directory.OPENLDAP
    ldap_urls: LdapUrls = ()
    ldap_start_tls: bool = False
    ldap_base_dn: Dn | None = None
    ldap_bind_dn: Line | None = None
    ldap_user_dn_template: Line | None = None
    ldap_user_base_dn: Dn | None = None
    ldap_user_filter: Line | None = None
    ldap_user_attribute: Line | None = None
    ldap_group_base_dn: Dn | None = None
    ldap_group_filter: Line | None = None
    ldap_nested_groups: bool | None = None
    ldap_viewer_groups: Dns = ()
    ldap_editor_groups: Dns = ()
    ldap_admin_groups: Dns = ()

    kibana_users: KibanaUsers = KibanaUsers.SHARED

    smtp_host: Host | None = None
    smtp_port: Port = 587
    smtp_from: Email | None = None
    smtp_username: Line | None = None
    smtp_start_tls: bool = True

    executive_emails: Emails = ()
    executive_webhooks: Urls = ()
    executive_slack_channel: Line | None = None
    management_emails: Emails = ()
    management_webhooks: Urls = ()
    management_slack_channel: Line | None = None
    team_emails: Emails = ()
    team_webhooks: Urls = ()
    team_slack_channel: Line | None = None
    quiet_days: Days = ()
    quiet_from: Clock = "22:00"
    quiet_to: Clock = "06:00"
    test_webhook: Url | None = None
    heartbeat_webhook: Url | None = None

    backup_at: Clock = "01:00"
    backup_keep_days: Annotated[int, Field(ge=1, le=3650)] = 30
    retention_events: Duration | None = None
    retention_logs: Duration | None = None
    retention_profiles: Duration | None = None
    retention_results: Duration | None = None

    elasticsearch_data: Line = "/usr/share/elasticsearch/data"
    elasticsearch_logs: Line = "/usr/share/elasticsearch/logs"
    elasticsearch_snapshots: Line = "/var/lib/modelward-snapshots"
    elasticsearch_mmap: bool = True


@dataclass(frozen=True, slots=True)
class Profiles:
    """What `COMPOSE_PROFILES` switches on."""

    names: frozenset[str]

    def __contains__(self, name: str) -> bool:
        return name in self.names


@dataclass(frozen=True, slots=True)
class SiteFiles:
    """What the operator put into the state folder's `site/`."""

    folder: Path

    def has(self, name: str) -> bool:
        """Whether the file is there and not empty."""
        path = self.folder / name
        return path.is_file() and path.stat().st_size > 0


@dataclass(frozen=True, slots=True)
class Site:
    """All that configures one appliance."""

    settings: Settings
    profiles: Profiles
    files: SiteFiles
    addresses: Mapping[str, tuple[str, int]]
    """Service to host and port."""


STAKEHOLDERS: Final = ("executive", "management", "team")

# -- reading -------------------------------------------------------------------------------------------------------


def load_site(environ: Mapping[str, str], site_folder: Path) -> Site:
    """Read and validate the variables, and which files of `site/` are there; `SettingsError` with every error there is.

    A variable that is empty counts as not set.
    """
    given = {name: value.strip() for name, value in environ.items() if value.strip()}
    errors: list[str] = []
    addresses = dict(ADDRESSES)
    content: dict[str, str] = {}
    fields = {PREFIX + name.upper() for name in Settings.model_fields}
    for name, value in sorted(given.items()):
        if name.startswith(ADDRESS_PREFIX):
            errors += _set_address(addresses, name, value)
        elif name in fields or (name.startswith(PREFIX) and name not in NOT_OURS):
            content[name] = value
    profiles = frozenset(_split(given.get("COMPOSE_PROFILES", "")))
    errors += [
        f'modelward: {ORIGIN}: COMPOSE_PROFILES: "{name}" is not known; write some of {", ".join(sorted(PROFILES))}'
        for name in sorted(profiles - PROFILES)
    ]
    files = SiteFiles(site_folder)
    settings = None
    try:
        settings = Settings.model_validate(content)
    except ValidationError as error:
        errors += explain(error, Settings, ORIGIN)
    wrong = {line.split(": ")[2].partition("[")[0] for line in errors}
    errors += [
        f"modelward: {ORIGIN}: {name}: {problem}"
        for name, problem in _contradictions(given, profiles, files)
        if name not in wrong
    ]
    if errors or settings is None:
        raise SettingsError(errors)
    return Site(settings, Profiles(profiles), files, addresses)


def _set_address(addresses: dict[str, tuple[str, int]], name: str, value: str) -> list[str]:
    service = name[len(ADDRESS_PREFIX) :].lower()
    host, colon, port = value.rpartition(":")
    if service not in addresses:
        return [f"modelward: {ORIGIN}: {name}: is no service; the services are {', '.join(sorted(addresses))}"]
    if not colon or not port.isdecimal() or not 0 < int(port) < 65536:
        return [f'modelward: {ORIGIN}: {name}: "{value}" is not an address; write for example 10.0.0.5:9200']
    addresses[service] = (host.strip("[]"), int(port))
    return []


def _contradictions(given: Mapping[str, str], profiles: frozenset[str], files: SiteFiles) -> list[tuple[str, str]]:
    """What is wrong between variables, and between variables and the files of the site."""

    def has(name: str) -> bool:
        return PREFIX + name in given

    found: list[tuple[str, str]] = []

    def wrong(name: str, problem: str) -> None:
        found.append((PREFIX + name, problem))

    def needs(name: str, file: str) -> None:
        if not files.has(file):
            wrong(name, f"needs the file site/{file} of the state folder, with mode 0600; write it there")

    if has("LDAP_URLS"):
        insecure = [url for url in _split(given[PREFIX + "LDAP_URLS"]) if url.startswith("ldap://")]
        if insecure and given.get(PREFIX + "LDAP_START_TLS", "").lower() not in ("true", "1", "yes", "on", "t", "y"):
            wrong(
                "LDAP_URLS",
                f'"{insecure[0]}" sends passwords in the clear; use ldaps://, or MODELWARD_LDAP_START_TLS=true',
            )
        for name in ("LDAP_BASE_DN", "LDAP_ADMIN_GROUPS"):
            if not has(name):
                wrong(name, "is missing; every directory needs it (see .env.example)")
        if has("LDAP_BIND_DN"):
            needs("LDAP_BIND_DN", "ldap-bind-password")
        elif not has("LDAP_USER_DN_TEMPLATE"):
            wrong(
                "LDAP_BIND_DN",
                "is missing; give a user that may search, or MODELWARD_LDAP_USER_DN_TEMPLATE to bind as the person",
            )
        template = given.get(PREFIX + "LDAP_USER_DN_TEMPLATE", "{username}")
        if "{username}" not in template:
            wrong(
                "LDAP_USER_DN_TEMPLATE",
                f'"{template}" has no {{username}}; write for example uid={{username}},ou=people,dc=example,dc=org',
            )
        if "{username}" not in given.get(PREFIX + "LDAP_USER_FILTER", "{username}"):
            wrong("LDAP_USER_FILTER", "has no {username}; write for example (uid={username})")
        group = given.get(PREFIX + "LDAP_GROUP_FILTER", "{user_dn}")
        if "{user_dn}" not in group and "{username}" not in group:
            wrong("LDAP_GROUP_FILTER", "has neither {user_dn} nor {username}; write for example (member={user_dn})")
    elif "openldap" not in profiles:
        wrong(
            "LDAP_URLS",
            "is missing; write for example ldaps://ldap.example.org:636, or add openldap to COMPOSE_PROFILES "
            "for the development directory with example people",
        )
    if has("SMTP_HOST"):
        if not has("SMTP_FROM"):
            wrong("SMTP_FROM", "is missing; write the address that alerts come from, for example modelward@example.org")
        if has("SMTP_USERNAME"):
            needs("SMTP_USERNAME", "smtp-password")
    for who in STAKEHOLDERS:
        if has(f"{who.upper()}_EMAILS") and not has("SMTP_HOST"):
            wrong(f"{who.upper()}_EMAILS", "needs a mail server; set MODELWARD_SMTP_HOST")
        if has(f"{who.upper()}_SLACK_CHANNEL"):
            needs(f"{who.upper()}_SLACK_CHANNEL", f"slack-{who}-url")
    if files.has("tls.crt") != files.has("tls.key"):
        missing, there = ("tls.key", "tls.crt") if files.has("tls.crt") else ("tls.crt", "tls.key")
        found.append((f"site/{there}", f"is there without site/{missing}; put the pair there, or neither"))
    return found
