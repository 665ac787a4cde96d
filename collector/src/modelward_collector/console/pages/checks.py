"""The schedule: what ran, what runs next, and what did not run when it should have."""

from __future__ import annotations

from collections.abc import Mapping

from modelward_collector.console.site import PageView, Site
from modelward_collector.context import Entry


def checks_page(site: Site, query: Mapping[str, str], *, problem: str = "") -> PageView:
    """Every entry of the schedule, the overdue and failing first; `model` in the query narrows it."""
    entries = list(site.context.scheduler.entries())
    model = query.get("model", "").strip()
    now = site.moment().now
    late = [now - entry.next_run for entry in entries if entry.next_run is not None and entry.next_run < now]
    shown = [entry for entry in entries if model.casefold() in entry.model.casefold()]
    return PageView(
        "checks.html",
        "Checks",
        {
            "entries": sorted(shown, key=_rank),
            "total": len(entries),
            "running": sum(entry.running for entry in entries),
            "overdue": sum(entry.overdue for entry in entries),
            "late": max(late, default=None) if site.context.clock.replays else None,
            "failing": sum(bool(entry.last_error) for entry in entries),
            "model": model,
            "scheduling": site.context.scheduler.running,
            "holds_lease": site.context.scheduler.holds_lease,
            "problem": problem,
        },
        section="checks",
    )


def _rank(entry: Entry) -> tuple[bool, bool, str, str]:
    return not entry.last_error, not entry.overdue, entry.model.casefold(), entry.check
