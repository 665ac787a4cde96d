"""Grafana: its own LDAP login, its data source, its dashboards, and that their queries answer."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from modelward_appliance.host.verify.check import Check, CheckError
from modelward_appliance.host.verify.client import Client
from modelward_appliance.host.verify.site import Site

_FIX = "see make logs SERVICE=grafana"
_VARIABLE = re.compile(r"\$\{?(\w+)(?::[^}]*)?\}?")
_INTERVALS = {
    "__interval": "1m",
    "__rate_interval": "1m",
    "__range": "1h",
    "__range_s": "3600",
    "__interval_ms": "60000",
}


def _logged_in(site: Site, role: str) -> Client:
    site.needs("grafana")
    account = site.account(role)
    client = site.grafana
    answer = client.request(
        "POST",
        "/login",
        json.dumps({"user": account.user, "password": account.password}).encode(),
        {"Content-Type": "application/json"},
    )
    if answer.status != 200:
        raise CheckError(f"Grafana refused {account.user} with {answer.status}: {answer.text[:200]}", _FIX)
    return client


def _get(client: Client, path: str) -> Any:
    answer = client.get(path)
    if answer.status != 200:
        raise CheckError(f"{path} answered {answer.status}: {answer.text[:200]}", _FIX)
    return answer.json()


def _login(site: Site) -> str:
    roles = {}
    for role in ("viewer", "admin"):
        client = _logged_in(site, role)
        roles[role] = _get(client, "/api/user/orgs")[0]["role"]
    if roles != {"viewer": "Viewer", "admin": "Admin"}:
        raise CheckError(f"Grafana made the viewer {roles['viewer']} and the admin {roles['admin']}", _FIX)
    return "viewer and admin are in, with their roles"


def _wrong_password(site: Site) -> str:
    site.needs("grafana")
    body = json.dumps({"user": site.account("viewer").user, "password": "wrong"}).encode()
    answer = site.grafana.request("POST", "/login", body, {"Content-Type": "application/json"})
    if answer.status != 401:
        raise CheckError(f"Grafana answered {answer.status} to a wrong password", _FIX)
    anonymous = site.grafana.get("/api/search")
    if anonymous.status < 400:
        raise CheckError(f"Grafana answered {anonymous.status} to someone who did not log in", _FIX)
    return "refused, and so is who did not log in"


def _sources(site: Site) -> str:
    client = _logged_in(site, "admin")
    names = []
    for source in _get(client, "/api/datasources"):
        health = _get(client, f"/api/datasources/uid/{source['uid']}/health")
        if health["status"] != "OK":
            raise CheckError(f"{source['name']}: {health.get('message')}", _FIX)
        names.append(source["name"])
    if not names:
        raise CheckError("Grafana has no data source", "run make deploy, which provisions it")
    return f"{', '.join(sorted(names))} answer"


def _queries(panels: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for panel in panels:
        yield from _queries(panel.get("panels", []))
        for target in panel.get("targets", []):
            if target.get("expr"):
                yield target


def _filled(expression: str) -> str:
    """The expression with every variable's widest value."""
    return _VARIABLE.sub(lambda found: _INTERVALS.get(found[1], ".*"), expression)


def _dashboards(site: Site) -> str:
    client = _logged_in(site, "viewer")
    boards = _get(client, "/api/search?type=dash-db&limit=500")
    if not boards:
        raise CheckError("Grafana has no dashboards", "run make deploy, which provisions them")
    asked = 0
    for board in boards:
        dashboard = _get(client, f"/api/dashboards/uid/{board['uid']}")["dashboard"]
        for target in _queries(dashboard.get("panels", [])):
            _ask(client, board["title"], target)
            asked += 1
    return f"{len(boards)} dashboards, {asked} queries answered"


def _ask(client: Client, title: str, target: dict[str, Any]) -> None:
    source = target.get("datasource") or {}
    uid = source.get("uid", "")
    query = {
        "refId": "A",
        "expr": _filled(target["expr"]),
        "instant": True,
        "datasource": {"type": "prometheus", "uid": "prometheus" if not uid or uid.startswith("$") else uid},
    }
    body = json.dumps({"from": "now-1h", "to": "now", "queries": [query]}).encode()
    answer = client.request("POST", "/api/ds/query", body, {"Content-Type": "application/json"})
    error = answer.json().get("results", {}).get("A", {}).get("error") if answer.status == 200 else answer.text[:200]
    if answer.status != 200 or error:
        raise CheckError(f"{title}: {target['expr']}: {error}", _FIX)


CHECKS = (
    Check("grafana-login", "viewer and admin log in to Grafana by the directory", _login),
    Check("grafana-wrong-password", "Grafana refuses a wrong password and strangers", _wrong_password),
    Check("grafana-sources", "Grafana's data sources answer", _sources),
    Check("grafana-dashboards", "Grafana's dashboards are there and all their queries answer", _dashboards),
)
