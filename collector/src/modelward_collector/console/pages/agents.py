"""The hosts that ship to this collector, and the targets that it probes."""

from __future__ import annotations

from datetime import timedelta

from modelward_collector.checks.result import CheckKind, Finding
from modelward_collector.console.site import PageView, Site

SILENT = timedelta(minutes=5)
"""An agent beats every few seconds; after this long something is wrong with it or with the way here."""


def agents_page(site: Site) -> PageView:
    """Every agent by host, the silent ones first, and every probe."""
    moment = site.moment()
    beats = site.context.store.heartbeats()
    # An agent beats by its own wall clock, also while the data that it ships is replayed.
    now = moment.drawn
    silent = {beat.host for beat in beats if now - beat.at > SILENT}
    return PageView(
        "agents.html",
        "Agents",
        {
            "beats": sorted(beats, key=lambda beat: (beat.host not in silent, not beat.last_error, beat.host)),
            "silent": silent,
            "wall": now,
            "probes": _probes(site),
        },
        section="agents",
    )


def _probes(site: Site) -> list[Finding]:
    """The latest finding of every probe, the worst first."""
    found: dict[tuple[str, str], Finding] = {}
    for result in site.context.store.latest_results():
        if result.check is not CheckKind.HEALTH:
            continue
        for finding in result.findings:
            if finding.test.startswith("probe") or finding.detail.get("probe"):
                found[(finding.subject, finding.test)] = finding
    return sorted(found.values(), key=lambda item: (-item.status.rank, item.subject)) if found else []
