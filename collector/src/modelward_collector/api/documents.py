"""Events and logs as they were received."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from fastapi import APIRouter

from modelward_collector.api.problems import RESPONSES
from modelward_collector.api.shared import After, ContextOf, End, Limit, Listing, Start, cursor_from_outside, span_of
from modelward_collector.context import Context
from modelward_collector.span import Span
from modelward_collector.store.protocol import Alias

router = APIRouter(tags=["documents"], responses=RESPONSES)

DEFAULT_SPAN = timedelta(days=1)


def _page(
    context: Context,
    alias: Alias,
    span: Span,
    model: str | None,
    kind: str | None,
    text: str | None,
    limit: int,
    after: str | None,
) -> Listing[dict[str, Any]]:
    with cursor_from_outside():
        page = context.store.events(alias, span, model=model, kind=kind, text=text, limit=limit, after=after)
    return Listing(items=[dict(item) for item in page.items], after=page.after)


@router.get("/events")
def events(
    context: ContextOf,
    model: str | None = None,
    kind: str | None = None,
    text: str | None = None,
    start: Start = None,
    end: End = None,
    limit: Limit = 100,
    after: After = None,
) -> Listing[dict[str, Any]]:
    """Predictions, actuals, stages and business events of the span, by default the last day, newest first."""
    span = span_of(context, start, end, DEFAULT_SPAN)
    return _page(context, Alias.EVENTS, span, model, kind, text, limit, after)


@router.get("/logs")
def logs(
    context: ContextOf,
    model: str | None = None,
    kind: str | None = None,
    text: str | None = None,
    start: Start = None,
    end: End = None,
    limit: Limit = 100,
    after: After = None,
) -> Listing[dict[str, Any]]:
    """Log lines and errors of the span, by default the last day, newest first; `text` is looked for in messages."""
    span = span_of(context, start, end, DEFAULT_SPAN)
    return _page(context, Alias.LOGS, span, model, kind, text, limit, after)
