"""Before what drifts becomes the new normal: what will happen, and the form that does it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b

from modelward_collector.accepting import (
    LONGEST_REASON,
    Asked,
    NotAcceptedError,
    UnknownModelError,
    proposed,
    stretch,
)
from modelward_collector.checks.acceptance import Acceptance
from modelward_collector.console import human
from modelward_collector.console.pages.missing import missing
from modelward_collector.console.site import PageView, Site


def asked_of(model: str, fields: Mapping[str, str], by: str = "") -> Asked:
    """What a link to the page, or its form, asks for; NotAcceptedError when it makes no sense."""
    window = fields.get("put_back")
    try:
        put_back = stretch(window) if window else None
    except ValueError as error:
        raise NotAcceptedError("put_back", str(error)) from None
    return Asked(
        model,
        by,
        fields.get("feature") or None,
        fields.get("version") or None,
        reason=fields.get("reason", ""),
        put_back=put_back,
    )


def accept_page(site: Site, model: str, query: Mapping[str, str]) -> PageView:
    """Of the `feature` in the query, or of all that drifts; `changed` says that what was agreed to is no longer so.

    With `put_back`, a stretch of time, it is of windows that were left out of the reference.
    """
    feature, put_back = query.get("feature") or None, query.get("put_back", "")
    problem = ""
    said: Sequence[Acceptance] = ()
    try:
        said = proposed(site.context, asked_of(model, query))
    except UnknownModelError:
        return missing(site, f"There is no model called “{human.short(model)}”.")
    except NotAcceptedError as error:
        problem = str(error)
    return PageView(
        "accept.html",
        f"{'Put back' if put_back else 'Accept'} · {model}",
        {
            "model": model,
            "feature": feature or "",
            "version": query.get("version", ""),
            "put_back": put_back,
            "said": said,
            "seen": seen(said),
            "reason": query.get("reason", "")[:LONGEST_REASON],
            "longest": LONGEST_REASON,
            "changed": query.get("changed") == "1",
            "problem": problem,
            "back": back(site, model, feature, put_back),
        },
        section="models",
    )


def back(site: Site, model: str, feature: str | None, put_back: str = "", **query: str | None) -> str:
    """Where one came from: the page of the feature, or of the model."""
    if feature is None or feature.startswith("("):
        return site.links.model(model, **query) + "#changes"
    return site.links.feature(model, feature, **query) + ("#left-out" if put_back else "")


def seen(said: Sequence[Acceptance]) -> str:
    """What the form was drawn with: so that nobody agrees to one thing and accepts another."""
    text = "\n".join(f"{one.since.isoformat()} {one.version} {one.feature} {one.window}" for one in said)
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
