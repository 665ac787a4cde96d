"""What the routes share: the context of a request, moments and pages in the query."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Generic, TypeVar

from fastapi import Depends, Query, Request
from pydantic import AfterValidator, BaseModel

from modelward_collector.api.problems import NotFoundError, UnusableError
from modelward_collector.context import Context
from modelward_collector.models import ModelSpec
from modelward_collector.span import Span

T = TypeVar("T")
S = TypeVar("S")

MAX_LIMIT = 1000


def context_of(request: Request) -> Context:
    """The application's context."""
    context: Context = request.app.state.context
    return context


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


Moment = Annotated[datetime, AfterValidator(_utc)]
"""A moment; without a zone it is UTC."""

ContextOf = Annotated[Context, Depends(context_of)]
Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="most items on the page")]
After = Annotated[str | None, Query(description="`after` of the page before")]
Start = Annotated[Moment | None, Query(description="first moment, RFC 3339")]
End = Annotated[Moment | None, Query(description="moment after the last, RFC 3339")]


class Listing(BaseModel, Generic[T]):
    """One page; `after` asks for the next, null at the end."""

    items: list[T]
    after: str | None = None


def listing(items: Sequence[S], name: Callable[[S], str], limit: int, after: str | None) -> tuple[list[S], str | None]:
    """The page of items, sorted by name, that come after the name; and the name to go on after."""
    rest = [item for item in items if after is None or name(item) > after]
    page = rest[:limit]
    return page, name(page[-1]) if len(rest) > limit else None


def spec_of(context: Context, model: str) -> ModelSpec:
    """The model's spec; `NotFoundError` when it is neither configured nor seen."""
    spec = context.registry.spec(model)
    if spec is None:
        raise NotFoundError(
            f'No model "{model}" is configured or has sent anything; /api/v1/models lists those that are there.'
        )
    return spec


def span_of(context: Context, start: datetime | None, end: datetime | None, default: timedelta) -> Span:
    """The span asked for, by default the last of the clock; an end before the start is an empty span."""
    until = context.clock.now() if end is None else end
    since = until - default if start is None else start
    return Span(since, max(since, until))


@contextmanager
def cursor_from_outside() -> Iterator[None]:
    """A store refuses a cursor that is none of its own with ValueError; to the one who asked that is a 422."""
    try:
        yield
    except ValueError as error:
        raise UnusableError("after", str(error)) from error
