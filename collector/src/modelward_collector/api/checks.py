"""The schedule, and runs on demand."""

from __future__ import annotations

from fastapi import APIRouter

from modelward_collector.api.answers import EntryAnswer, ResultAnswer, result_answers
from modelward_collector.api.problems import RESPONSES
from modelward_collector.api.shared import After, ContextOf, Limit, Listing, Moment, listing, spec_of
from modelward_collector.checks.result import CheckKind

router = APIRouter(tags=["checks"], responses=RESPONSES)


@router.get("/checks")
def checks(
    context: ContextOf,
    model: str | None = None,
    overdue: bool | None = None,
    failing: bool | None = None,
    limit: Limit = 100,
    after: After = None,
) -> Listing[EntryAnswer]:
    """The schedule by model and check, with how each last run went; `failing` are those whose last run failed."""
    entries = [
        entry
        for entry in context.scheduler.entries()
        if model in (None, entry.model)
        and overdue in (None, entry.overdue)
        and failing in (None, bool(entry.last_error))
    ]
    page, following = listing(entries, lambda entry: f"{entry.model}\n{entry.check}", limit, after)
    return Listing(items=[EntryAnswer.of(entry) for entry in page], after=following)


@router.post("/models/{model:path}/checks/{check}/run")
def run(context: ContextOf, model: str, check: CheckKind, at: Moment | None = None) -> list[ResultAnswer]:
    """Run the check now and answer its results, which are stored too; `at` looks back from another moment."""
    spec_of(context, model)
    return result_answers(context.engine.run(model, check, at, on_demand=True))
