"""The hosts that ship to this collector, and the targets that it probes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from modelward_collector.checks.result import CheckKind, Finding
from modelward_collector.console.site import PageView, Site
from modelward_collector.probing import NO_MODEL

SILENT = timedelta(minutes=5)
"""An agent beats every few seconds; after this long something is wrong with it or with the way here."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What probing a target found last; `expires` is its certificate's end, None where there is none."""

    finding: Finding
    kind: str
    at: datetime
    took: timedelta | None
    expires: datetime | None


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


def _probes(site: Site) -> list[Probe]:
    """The latest finding of every target, the worst first."""
    found: dict[str, tuple[datetime, Probe]] = {}
    for result in site.context.store.latest_results():
        if result.check is not CheckKind.HEALTH or result.model != NO_MODEL:
            continue
        for finding in result.findings:
            if finding.subject not in found or found[finding.subject][0] <= result.end:
                kind = finding.test.removeprefix("probe_").upper()
                at, expires = (_moment(finding.detail.get(name)) for name in ("@timestamp", "expires_at"))
                took = timedelta(seconds=finding.value) if finding.value is not None else None
                found[finding.subject] = result.end, Probe(finding, kind, at or result.end, took, expires)
    probes = [probe for _, probe in found.values()]
    return sorted(probes, key=lambda probe: (-probe.finding.status.rank, probe.finding.subject))


def _moment(text: object) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) else None
