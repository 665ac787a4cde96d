"""What templates see: the site's settings as the names that `docs/architecture.md` lists."""

from __future__ import annotations

from typing import Any, Final

from modelward_agent.durations import format_duration
from modelward_appliance.services import ELASTICSEARCH_NODES, PROFILES, Service
from modelward_appliance.settings import STAKEHOLDERS, Directory, Settings, Site

DEVELOPMENT_BASE_DN: Final = "dc=modelward,dc=example"
"""The suffix of the profile `openldap`."""

_FILTERS: Final = {
    Directory.OPENLDAP: {
        "user_attribute": "uid",
        "user_filter": "(&(objectClass=inetOrgPerson)(uid={username}))",
        "group_filter": "(&(objectClass=groupOfNames)(member={user_dn}))",
        "nested_group_filter": "(&(objectClass=groupOfNames)(member={user_dn}))",
    },
    Directory.ACTIVE_DIRECTORY: {
        "user_attribute": "sAMAccountName",
        # Enabled accounts only: bit 2 of userAccountControl is ACCOUNTDISABLE.
        "user_filter": "(&(objectClass=user)(sAMAccountName={username})"
        "(!(userAccountControl:1.2.840.113556.1.4.803:=2)))",
        "group_filter": "(&(objectClass=group)(member={user_dn}))",
        # LDAP_MATCHING_RULE_IN_CHAIN walks the groups of groups in the directory itself.
        "nested_group_filter": "(&(objectClass=group)(member:1.2.840.113556.1.4.1941:={user_dn}))",
    },
}


def context(site: Site, service: Service, config: str) -> dict[str, Any]:
    """The names for one service whose configuration folder is `config` where it runs."""
    settings = site.settings
    return {
        "config": config,
        "service": service.name,
        "site": site_context(site),
        "services": {name: {"host": host, "port": port} for name, (host, port) in site.addresses.items()},
        "ldap": _ldap(site, config),
        "alerting": {
            "smtp": _smtp(site, config),
            "test_webhook": settings.test_webhook,
            "heartbeat_webhook": settings.heartbeat_webhook,
            "ca_file": f"{config}/tls/alerting-ca.crt" if site.files.has("alerting-ca.crt") else None,
            "quiet_hours": _quiet(settings),
        }
        | {who: _receiver(site, who, config) for who in STAKEHOLDERS},
        "enabled": {name: name in site.profiles for name in sorted(PROFILES)},
        "elasticsearch": elasticsearch_context(site),
        "kibana_users": settings.kibana_users.value,
        "retention": _retention(settings),
        "backup": {"at": settings.backup_at, "keep_days": settings.backup_keep_days},
    }


def site_context(site: Site) -> dict[str, Any]:
    """`site` in templates."""
    settings = site.settings
    first = settings.hosts[0]
    host = f"[{first}]" if ":" in first else first
    return {
        "name": settings.site_name,
        "environment": settings.environment,
        "hosts": list(settings.hosts),
        "url": f"https://{host}" + ("" if settings.port == 443 else f":{settings.port}"),
        "grafana_url": f"https://{host}" + ("" if settings.grafana_port == 443 else f":{settings.grafana_port}"),
        "ingest_url": f"https://{host}" + ("" if settings.ingest_port == 443 else f":{settings.ingest_port}"),
        "time_zone": settings.time_zone,
        "holidays": [day.isoformat() for day in settings.holidays],
        "own_certificate": site.files.has("tls.crt"),
    }


def uses_development_directory(site: Site) -> bool:
    """Whether people are those of the profile `openldap`, since no other directory is configured."""
    return not site.settings.ldap_urls


def _ldap(site: Site, config: str) -> dict[str, Any]:
    settings = site.settings
    password_file = f"{config}/secrets/ldap-bind-password"
    filters = _FILTERS[settings.ldap_directory]
    if uses_development_directory(site):
        host, port = site.addresses["openldap"]
        base = DEVELOPMENT_BASE_DN
        filters = _FILTERS[Directory.OPENLDAP]
        return {
            "urls": [f"ldaps://{host}:{port}"],
            "start_tls": False,
            "ca_file": f"{config}/tls/ca.crt",
            "base_dn": base,
            "bind_dn": f"cn=modelward,ou=services,{base}",
            "bind_password_file": password_file,
            "user_dn_template": None,
            "user_base_dn": f"ou=people,{base}",
            "user_filter": filters["user_filter"],
            "user_attribute": filters["user_attribute"],
            "group_base_dn": f"ou=groups,{base}",
            "group_filter": filters["group_filter"],
            "nested_groups": True,
            "active_directory": False,
            "groups": {role: [f"cn=modelward-{role}s,ou=groups,{base}"] for role in ("viewer", "editor", "admin")},
        }
    active_directory = settings.ldap_directory is Directory.ACTIVE_DIRECTORY
    nested = active_directory if settings.ldap_nested_groups is None else settings.ldap_nested_groups
    return {
        "urls": list(settings.ldap_urls),
        "start_tls": settings.ldap_start_tls,
        "ca_file": f"{config}/tls/ldap-ca.crt" if site.files.has("ldap-ca.crt") else None,
        "base_dn": settings.ldap_base_dn,
        "bind_dn": settings.ldap_bind_dn,
        "bind_password_file": password_file if settings.ldap_bind_dn else None,
        "user_dn_template": settings.ldap_user_dn_template,
        "user_base_dn": settings.ldap_user_base_dn or settings.ldap_base_dn,
        "user_filter": settings.ldap_user_filter or filters["user_filter"],
        "user_attribute": settings.ldap_user_attribute or filters["user_attribute"],
        "group_base_dn": settings.ldap_group_base_dn or settings.ldap_base_dn,
        "group_filter": settings.ldap_group_filter or filters["nested_group_filter" if nested else "group_filter"],
        "nested_groups": nested,
        "active_directory": active_directory,
        "groups": {
            "viewer": list(settings.ldap_viewer_groups),
            "editor": list(settings.ldap_editor_groups),
            "admin": list(settings.ldap_admin_groups),
        },
    }


def _smtp(site: Site, config: str) -> dict[str, Any] | None:
    settings = site.settings
    if settings.smtp_host is None:
        return None
    return {
        "host": settings.smtp_host,
        "port": settings.smtp_port,
        "from_address": settings.smtp_from,
        "username": settings.smtp_username,
        "password_file": f"{config}/secrets/smtp-password" if settings.smtp_username else None,
        "start_tls": settings.smtp_start_tls,
    }


def _receiver(site: Site, who: str, config: str) -> dict[str, Any]:
    def secret_file(name: str) -> str | None:
        return f"{config}/secrets/{name}" if site.files.has(name) else None

    return {
        "emails": list(getattr(site.settings, f"{who}_emails")),
        "webhooks": list(getattr(site.settings, f"{who}_webhooks")),
        "slack_url_file": secret_file(f"slack-{who}-url"),
        "slack_channel": getattr(site.settings, f"{who}_slack_channel"),
        "pagerduty_key_file": secret_file(f"pagerduty-{who}-key"),
    }


def _quiet(settings: Settings) -> dict[str, Any] | None:
    if not settings.quiet_days:
        return None
    return {
        "days": list(settings.quiet_days),
        "from": settings.quiet_from,
        "to": settings.quiet_to,
        "time_zone": settings.time_zone,
    }


def _retention(settings: Settings) -> dict[str, str]:
    """How long each kind of document is kept, of those that the operator decided."""
    kept = {name: getattr(settings, f"retention_{name}") for name in ("events", "logs", "profiles", "results")}
    return {name: format_duration(value) for name, value in kept.items() if value is not None}


def elasticsearch_context(site: Site) -> dict[str, Any]:
    """The cluster: its nodes, where they answer, and where they keep things."""
    settings = site.settings
    nodes = list(ELASTICSEARCH_NODES if "scale" in site.profiles else ELASTICSEARCH_NODES[:1])
    places = [site.addresses[name.replace("-", "_")] for name in nodes]
    return {
        "nodes": nodes,
        "urls": [f"https://{host}:{port}" for host, port in places],
        "seed_hosts": [host for host, _port in places],
        "mmap": settings.elasticsearch_mmap,
        "data": settings.elasticsearch_data,
        "logs": settings.elasticsearch_logs,
        "snapshots": settings.elasticsearch_snapshots,
    }
