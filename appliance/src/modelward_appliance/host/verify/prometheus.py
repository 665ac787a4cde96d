"""Prometheus sees every service, and has its rules."""

from __future__ import annotations

import math
import urllib.parse
from typing import Any

from modelward_appliance.host.verify.check import Check, CheckError
from modelward_appliance.host.verify.site import Site, Waiting

_SETTLED_SECONDS = 80.0
"""After a start a target is unknown until it is scraped, a minute at most, and was down before its service was up."""

_BEHIND_SECONDS = 60.0
"""Prometheus hands over what it scraped every few seconds."""

OWN_AGENTS = "agents"
"""The job of enrolled model servers, of which one may be off; an alert is for that."""


def _targets(site: Site) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = site.prometheus("targets?state=active")["activeTargets"]
    return [target for target in found if target["labels"]["job"] != OWN_AGENTS]


def _all_up(site: Site) -> str:
    def settled() -> list[dict[str, Any]] | None:
        targets = _targets(site)
        return targets if targets and all(target["health"] == "up" for target in targets) else None

    if targets := Waiting(_SETTLED_SECONDS).until(settled):
        return f"{len(targets)} targets are up"
    down = [target for target in _targets(site) if target["health"] != "up"]
    if not down:
        raise CheckError("Prometheus has no targets", "see make logs SERVICE=prometheus")
    first = down[0]
    names = ", ".join(sorted({target["labels"]["job"] for target in down}))
    why = first["lastError"] or "not asked yet"
    raise CheckError(f"{names} down: {first['scrapeUrl']}: {why}", "see make logs of that service")


def _rules(site: Site) -> str:
    groups = site.prometheus("rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    broken = [rule for rule in rules if rule["health"] == "err"]
    if not any(rule["type"] == "alerting" for rule in rules):
        raise CheckError("no alert rule is loaded", "run make deploy, then see make logs SERVICE=prometheus")
    if broken:
        raise CheckError(f"{broken[0]['name']} fails: {broken[0].get('lastError', '')}", "report it; see make logs")
    alerts = sum(rule["type"] == "alerting" for rule in rules)
    return f"{alerts} alert rules and {len(rules) - alerts} recording rules work"


def _long_term(site: Site) -> str:
    site.needs("scale")
    query = urllib.parse.quote("time() - max(prometheus_remote_storage_queue_highest_sent_timestamp_seconds)")

    def behind() -> float:
        found = site.prometheus(f"query?query={query}")["result"]
        return float(found[0]["value"][1]) if found else math.inf

    def settled() -> float | None:
        seconds = behind()
        return seconds if seconds < _BEHIND_SECONDS else None

    if (seconds := Waiting(_SETTLED_SECONDS).until(settled)) is not None:
        return f"VictoriaMetrics has everything until {seconds:.0f} s ago"
    raise CheckError("VictoriaMetrics takes nothing of Prometheus", "see make logs SERVICE=prometheus")


CHECKS = (
    Check("prometheus-targets", "every service is scraped", _all_up),
    Check("prometheus-rules", "every rule is loaded and can be evaluated", _rules),
    Check("prometheus-long-term", "the long-term store takes every sample", _long_term),
)
