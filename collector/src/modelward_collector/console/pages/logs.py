"""Recent errors that models raised, and lines of the log files that agents follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from modelward_collector.console.pages.model import RANGES
from modelward_collector.console.site import PageView, Site
from modelward_collector.span import Span
from modelward_collector.store.protocol import Alias

PER_PAGE = 100
DEFAULT_RANGE = "7d"
_KINDS = ((Alias.EVENTS, "error"), (Alias.LOGS, "log"))


@dataclass(frozen=True, slots=True)
class Entry:
    """One line as it is shown; `trace` is the stack trace, "" for none."""

    at: datetime | None
    level: str
    model: str
    host: str
    message: str
    error: str
    trace: str


def logs_page(site: Site, query: Mapping[str, str]) -> PageView:
    """The newest first, of the `window`, with `q` in the message, of one `model`, only `errors`; `before` pages on."""
    moment = site.moment()
    chosen = query.get("window", DEFAULT_RANGE)
    chosen = chosen if chosen in RANGES else DEFAULT_RANGE
    # Log lines carry the time of their writer, which may be a little ahead, and is the wall's while data is replayed.
    end = max(moment.now, moment.drawn) + timedelta(minutes=5)
    length = RANGES[chosen][1]
    span = Span(min(moment.now, moment.drawn) - length if length else datetime.fromtimestamp(0, UTC), end)
    model, text = query.get("model", "").strip(), query.get("q", "").strip()
    errors = query.get("errors") == "1"
    before = _moment(query.get("before"))
    if before is not None:
        # Lines of that very moment are shown again rather than left out.
        span = Span(span.start, min(span.end, before + timedelta(microseconds=1)))
    found = [
        document
        for alias, kind in (_KINDS[:1] if errors else _KINDS)
        for document in site.context.store.events(
            alias, span, model=model or None, kind=kind, text=text or None, limit=PER_PAGE
        ).items
    ]
    found.sort(key=lambda document: _moment(document.get("@timestamp")) or span.start, reverse=True)
    entries = [_entry(document) for document in found[:PER_PAGE]]
    oldest = entries[-1].at if len(found) > PER_PAGE or len(entries) == PER_PAGE else None
    return PageView(
        "logs.html",
        "Logs",
        {
            "entries": entries,
            "before": oldest.isoformat() if oldest else "",
            "ranges": RANGES,
            "range": chosen,
            "models": sorted(spec.model for spec in site.context.registry.specs()),
            "model": model,
            "q": text,
            "errors": errors,
            "paged": before is not None,
        },
        section="logs",
    )


def _entry(document: Mapping[str, Any]) -> Entry:
    error = _field(document, "error.type")
    return Entry(
        _moment(document.get("@timestamp")),
        (_field(document, "log.level") or ("error" if document.get("kind") == "error" else "")).lower(),
        _field(document, "model"),
        _field(document, "host.name"),
        _field(document, "message"),
        error,
        _field(document, "error.stack_trace"),
    )


def _field(document: Mapping[str, Any], name: str) -> str:
    """A field by its dotted name, written flat or nested; "" when it is not there."""
    if name in document:
        return _text(document[name])
    value: Any = document
    for key in name.split("."):
        if not isinstance(value, Mapping) or key not in value:
            return ""
        value = value[key]
    return _text(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def _moment(value: Any) -> datetime | None:
    try:
        at = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
