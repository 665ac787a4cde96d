"""What is said of an address that leads nowhere, and of a store that does not answer."""

from __future__ import annotations

from modelward_collector.console.site import PageView, Site


def missing(site: Site, what: str) -> PageView:
    """Page 404: what is not there, and where to go on."""
    del site
    return PageView("message.html", "Not found", {"heading": "Not found", "what": what, "next": ""}, status=404)


def unavailable(site: Site, why: str) -> PageView:
    """Page 503: the store does not answer."""
    del site
    return PageView(
        "message.html",
        "The store does not answer",
        {
            "heading": "The store does not answer",
            "what": why,
            "next": "Nothing is lost: agents keep what they could not deliver on their own disks. "
            "This page comes back as soon as the store does.",
        },
        status=503,
    )


def refused(what: str) -> PageView:
    """Page 403: a form that did not come from this console."""
    return PageView("message.html", "Refused", {"heading": "Refused", "what": what, "next": ""}, status=403)
