"""What checks found."""

from __future__ import annotations

from datetime import timedelta

from fastapi import APIRouter

from modelward_collector.api.answers import ResultAnswer, result_answers
from modelward_collector.api.problems import RESPONSES, NotFoundError
from modelward_collector.api.shared import After, ContextOf, End, Limit, Listing, Start, cursor_from_outside, span_of
from modelward_collector.checks.result import CheckKind, Status

router = APIRouter(tags=["results"], responses=RESPONSES)

DEFAULT_SPAN = timedelta(days=30)


@router.get("/results")
def results(
    context: ContextOf,
    model: str | None = None,
    version: str | None = None,
    check: CheckKind | None = None,
    status: Status | None = None,
    start: Start = None,
    end: End = None,
    limit: Limit = 100,
    after: After = None,
) -> Listing[ResultAnswer]:
    """Results whose window ends in the span, by default in the last 30 days, newest first."""
    with cursor_from_outside():
        page = context.store.results(
            span_of(context, start, end, DEFAULT_SPAN),
            model=model,
            version=version,
            check=check,
            status=status,
            limit=limit,
            after=after,
        )
    return Listing(items=result_answers(page.items), after=page.after)


@router.get("/results/{result_id:path}")
def result(context: ContextOf, result_id: str) -> ResultAnswer:
    """One result."""
    found = context.store.result(result_id)
    if found is None:
        raise NotFoundError(f'There is no result "{result_id}"; /api/v1/results lists those that are kept.')
    return ResultAnswer.model_validate(found)
