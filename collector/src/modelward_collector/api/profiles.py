"""What traffic looked like: features in a span, beside their reference, and over time."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Annotated

from fastapi import APIRouter, Query

from modelward_agent.profile import FeatureProfile, Profile
from modelward_collector.api.answers import (
    BinAnswer,
    DistributionAnswer,
    FeatureAnswer,
    PointAnswer,
    span_answer,
)
from modelward_collector.api.problems import RESPONSES, NotFoundError
from modelward_collector.api.shared import After, ContextOf, End, Limit, Listing, Start, listing, span_of, spec_of
from modelward_collector.checks.result import CheckKind
from modelward_collector.context import Context
from modelward_collector.span import Span, floor
from modelward_collector.stats.histogram import paired_histogram
from modelward_collector.store.windows import load_series

router = APIRouter(tags=["profiles"], responses=RESPONSES)

MAX_POINTS = 500

Segment = Annotated[list[str], Query(description="name=value; given several times, rows in all of them")]
Version = Annotated[str | None, Query(description="all versions by default")]
Step = Annotated[int, Query(ge=1, description="length of a step in seconds")]


def _window_span(context: Context, model: str, start: datetime | None, end: datetime | None) -> Span:
    """The span asked for; by default what the drift check would look at now."""
    spec = spec_of(context, model)
    if start is None and end is None:
        return context.engine.span(model, CheckKind.DRIFT)
    return span_of(context, start, end, spec.checks.drift.window)


def _where(segment: list[str]) -> dict[str, str]:
    return {name: value for name, _, value in (pair.partition("=") for pair in segment)}


def _feature(profile: Profile, feature: str) -> FeatureProfile | None:
    return profile.features.get(feature) or profile.outputs.get(feature)


@router.get("/models/{model:path}/features")
def features(
    context: ContextOf,
    model: str,
    version: Version = None,
    segment: Segment = [],  # noqa: B006 - FastAPI copies defaults
    start: Start = None,
    end: End = None,
    limit: Limit = 100,
    after: After = None,
) -> Listing[FeatureAnswer]:
    """Every feature of the model's traffic in the span, by name; by default in the drift check's last window."""
    window = context.engine.window(model, _window_span(context, model, start, end))
    profile = window.profile(version, _where(segment))
    page, following = listing(sorted(profile.features), str, limit, after)
    return Listing(items=[FeatureAnswer.of(name, profile.features[name]) for name in page], after=following)


@router.get("/models/{model:path}/distribution")
def distribution(
    context: ContextOf,
    model: str,
    feature: str,
    version: Version = None,
    segment: Segment = [],  # noqa: B006 - FastAPI copies defaults
    start: Start = None,
    end: End = None,
    bins: Annotated[int, Query(ge=2, le=200)] = 40,
) -> DistributionAnswer:
    """A feature (or output: prediction, score, latency_ms, actual) in the span, beside its reference."""
    span = _window_span(context, model, start, end)
    window = context.engine.window(model, span)
    versions = window.versions()
    shown = version if version is not None else (versions[-1] if versions else "")
    where = _where(segment)
    seen = _feature(window.profile(version, where), feature)
    if seen is None:
        raise NotFoundError(
            f'No traffic of "{model}" from {span.start:%Y-%m-%d %H:%M} to {span.end:%Y-%m-%d %H:%M} UTC has a feature '
            f'"{feature}"; /api/v1/models/{model}/features lists those that it has.'
        )
    reference = context.engine.reference(model, shown, span)
    known = None
    if reference is not None:
        known = _feature(reference.where(where) if where else reference.total, feature)
    return DistributionAnswer(
        feature=feature,
        span=span_answer(span),
        version=shown,
        reference_source=None if reference is None else reference.source,
        bins=_bins(known, seen, bins),
        window=FeatureAnswer.of(feature, seen),
        reference=None if known is None else FeatureAnswer.of(feature, known),
    )


def _bins(reference: FeatureProfile | None, window: FeatureProfile, bins: int) -> list[BinAnswer]:
    paired = paired_histogram(reference or FeatureProfile(), window, bins=bins)
    if paired is None:
        return []
    shares = [None] * len(paired.current) if reference is None else [float(share) for share in paired.reference]
    if paired.edges is not None:
        edges = [float(edge) for edge in paired.edges]
        bounds: list[tuple[str | None, float | None, float | None]] = [
            (None, low, high) for low, high in pairwise(edges)
        ]
    else:
        bounds = [(name, None, None) for name in paired.names or ()]
    return [
        BinAnswer(name=name, low=low, high=high, reference=then, window=float(now))
        for (name, low, high), then, now in zip(bounds, shares, paired.current, strict=True)
    ]


@router.get("/models/{model:path}/series")
def series(
    context: ContextOf,
    model: str,
    feature: str,
    version: Version = None,
    step: Step = 3600,
    start: Start = None,
    end: End = None,
) -> list[PointAnswer]:
    """A feature (or output) in each step of the span that has traffic; at most 500 steps, longer ones if need be."""
    asked = _window_span(context, model, start, end)
    length = max(timedelta(seconds=step), asked.length / MAX_POINTS)
    length = timedelta(seconds=-(-int(length.total_seconds()) // step) * step)
    span = Span(floor(asked.start, length), asked.end)
    points = []
    for piece, profile in load_series(context.store, model, span, length, version):
        seen = _feature(profile, feature)
        if seen is not None:
            points.append(PointAnswer(start=piece.start, end=piece.end, seen=FeatureAnswer.of(feature, seen)))
    return points
