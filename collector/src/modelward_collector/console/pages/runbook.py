"""A runbook's page: where the notification of an alert leads."""

from __future__ import annotations

from modelward_collector.console.pages.missing import missing
from modelward_collector.console.runbooks import INDEX, runbook
from modelward_collector.console.site import PageView, Site


def runbook_page(site: Site, name: str = INDEX) -> PageView:
    """The runbook of the alert of that name, or the list of them all."""
    body = runbook(name, site.links.runbook)
    if body is None:
        return missing(site, f"There is no runbook called “{name}”.")
    title = "Runbooks" if name == INDEX else name
    return PageView("runbook.html", title, {"body": body, "index": name == INDEX})
