"""Models, how they stand, their versions and segments."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter

from modelward_collector.api.answers import (
    ModelAnswer,
    ModelSummary,
    ResultSummary,
    SegmentsAnswer,
    SeriesAnswer,
    VersionAnswer,
    span_answer,
)
from modelward_collector.api.problems import RESPONSES
from modelward_collector.api.shared import After, ContextOf, End, Limit, Listing, Start, listing, span_of, spec_of
from modelward_collector.checks.result import CheckKind, CheckResult, Status, worst
from modelward_collector.context import Context
from modelward_collector.models import ModelSpec
from modelward_collector.standing import current, standing

router = APIRouter(tags=["models"], responses=RESPONSES)


def _facts(context: Context, spec: ModelSpec, results: Sequence[CheckResult]) -> dict[str, object]:
    versions = context.registry.versions(spec.model)
    checks: dict[CheckKind, Status] = {}
    for result in results:
        checks[result.check] = worst(result.status, checks.get(result.check, result.status))
    return {
        "model": spec.model,
        "configured": spec.configured,
        "task": spec.task,
        "owner": spec.owner,
        "tier": spec.tier,
        "description": spec.description,
        "status": standing(results),
        "checks": checks,
        "versions": [seen.version for seen in versions],
        "last_seen": max((seen.last_seen for seen in versions), default=None),
    }


@router.get("/models")
def models(context: ContextOf, limit: Limit = 100, after: After = None) -> Listing[ModelSummary]:
    """Every model that is configured or was seen, by name, and how it stands."""
    page, following = listing(context.registry.specs(), lambda spec: spec.model, limit, after)
    by_model: dict[str, list[CheckResult]] = {}
    for result in current(context.store.latest_results()):
        by_model.setdefault(result.model, []).append(result)
    items = [ModelSummary.model_validate(_facts(context, spec, by_model.get(spec.model, []))) for spec in page]
    return Listing(items=items, after=following)


@router.get("/models/{model:path}/versions")
def versions(context: ContextOf, model: str, limit: Limit = 100, after: After = None) -> Listing[VersionAnswer]:
    """The model's versions that sent profiles, by name."""
    spec_of(context, model)
    seen = sorted(context.registry.versions(model), key=lambda one: one.version)
    page, following = listing(seen, lambda one: one.version, limit, after)
    return Listing(items=[VersionAnswer.model_validate(one) for one in page], after=following)


@router.get("/models/{model:path}/segments")
def segments(
    context: ContextOf, model: str, version: str | None = None, start: Start = None, end: End = None
) -> SegmentsAnswer:
    """The segments that had traffic in the span, by default in the last window of the drift check."""
    span = span_of(context, start, end, spec_of(context, model).checks.drift.window)
    found = context.engine.window(model, span).segments(version)
    return SegmentsAnswer(span=span_answer(span), segments=found)


@router.get("/models/{model:path}/forecasts")
def forecasts(context: ContextOf, model: str, version: str | None = None) -> list[SeriesAnswer]:
    """The model's series: their newest points as they were judged, anomalies among them, and the hour ahead.

    Empty where this collector does not follow series, because another one has the lease or it has only just begun.
    """
    spec_of(context, model)
    if context.forecasts is None:
        return []
    return [SeriesAnswer.of(view) for view in context.forecasts.views(model, version)]


def model(context: ContextOf, model: str) -> ModelAnswer:
    """One model: its configuration in force, and the current result of every check and version."""
    spec = spec_of(context, model)
    results = [result for result in current(context.store.latest_results()) if result.model == model]
    summaries = [ResultSummary.model_validate(result) for result in results]
    return ModelAnswer.model_validate({**_facts(context, spec, results), "spec": spec, "results": summaries})
