"""The traffic that a result judged, and what it was compared with, kept while people look at them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from modelward_agent.profile import FeatureProfile, Profile
from modelward_collector.checks.drift_memory import from_document, new_normal
from modelward_collector.checks.drift_normal import day_of
from modelward_collector.checks.drift_reference import prepare_reference
from modelward_collector.checks.result import CheckResult
from modelward_collector.checks.window import ReferenceProfile, Window, subject_key
from modelward_collector.console.charts import Distribution
from modelward_collector.console.recent import Recent
from modelward_collector.console.standings import finding_of, spans_of
from modelward_collector.context import Context
from modelward_collector.span import Span
from modelward_collector.stats.histogram import paired_histogram
from modelward_collector.store.acceptances import acceptances


@dataclass(frozen=True, slots=True)
class Compared:
    """A version's traffic in a window, and the whole reference before it; either is None when it is no longer kept."""

    version: str
    window: Window
    current: Profile | None
    reference: ReferenceProfile | None


@dataclass(frozen=True, slots=True)
class Sides:
    """A feature where its finding looked at it, and what it was compared with there.

    `coarse` says that the reference is drawn of whole days although hours of days were compared.
    """

    compared: Compared
    current: FeatureProfile | None
    reference: FeatureProfile | None
    coarse: bool = False


def feature_of(profile: Profile | None, name: str) -> FeatureProfile | None:
    """A feature of the profile, or the output of that name."""
    if profile is None:
        return None
    return profile.features.get(name) or profile.outputs.get(name)


def distribution(
    reference: FeatureProfile | None, current: FeatureProfile | None, bins: int = 40
) -> Distribution | None:
    """The two over each other; None when neither has a row that can be drawn."""
    if reference is None and current is None:
        return None
    paired = paired_histogram(reference or FeatureProfile(), current or FeatureProfile(), bins=bins)
    if paired is None:
        return None
    shown = Distribution(
        paired.reference.tolist(), paired.current.tolist(), edges=paired.edges or (), names=paired.names or ()
    )
    return None if shown.empty else shown


class Comparisons:
    """Loads and remembers the last few."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._compared: Recent[Compared] = Recent(most=8, seconds=60)
        self._sides: Recent[Sides] = Recent(most=64, seconds=60)
        self._drawn: Recent[Distribution | bool] = Recent(most=2_000, seconds=60)

    def of(self, result: CheckResult) -> Compared:
        """What that result is said to be of. Late traffic shows within a minute."""
        return self._of(result, Span(result.start, result.end), result.start)

    def sides(self, result: CheckResult, feature: str) -> Sides:
        """The feature as its finding in that result saw it, or without a finding in what the result is of."""
        key = (*_key(result), feature)
        kept = self._sides.get(key)
        if kept is None:
            kept = self._feature(result, feature)
            self._sides.put(key, kept)
        return kept

    def distribution(self, result: CheckResult, feature: str) -> Distribution | None:
        """A feature's two distributions in what that result judged."""
        key = (*_key(result), feature)
        kept = self._drawn.get(key)
        if kept is None:
            sides = self.sides(result, feature)
            made = distribution(sides.reference, sides.current)
            kept = made if made is not None else False
            self._drawn.put(key, kept)
        return kept if isinstance(kept, Distribution) else None

    def _of(self, result: CheckResult, span: Span, before: datetime) -> Compared:
        key = (*_key(result), span, before)
        kept = self._compared.get(key)
        if kept is None:
            engine = self._context.engine
            window = engine.window(result.model, span)
            current = window.profile(result.version or None)
            reference = engine.reference(result.model, result.version, Span(before, before + span.length))
            kept = Compared(result.version, window, current if current.rows else None, reference)
            self._compared.put(key, kept)
        return kept

    def _feature(self, result: CheckResult, name: str) -> Sides:
        finding = finding_of(result, name)
        detail: Mapping[str, Any] = finding.detail if finding is not None else {}
        span = next(iter(spans_of(detail, "window")), Span(result.start, result.end))
        key = subject_key("outputs" if detail.get("output") else "features", name)
        memory = from_document(result.memory)
        episode = memory.open(key)
        # What drifts is compared with what was before, however long it goes on.
        compared = self._of(result, span, span.start if episode is None else min(span.start, episode.start))
        current = feature_of(compared.current, name)
        reference = compared.reference
        if reference is None or not reference.windows or not detail:
            return Sides(compared, current, feature_of(reference.total if reference else None, name))
        until = max(result.end, result.ran_at)
        accepted = acceptances(self._context.store, result.model, until=until)
        outside = [
            *spans_of(detail, "odd"),
            *memory.left_out(accepted, result.version, [key]).get(key, ()),
        ]
        kind = _kind_of(detail, span, reference)
        prepared = prepare_reference(reference)
        alike = prepared.alike(span).windows
        windows = [
            (one, profile)
            for one, profile in _without_odd(prepared.days_of(alike, span), detail) or alike
            if (not kind or day_of(one, reference.holidays) in kind)
            and not any(one.start < out.end and out.start < one.end for out in outside)
        ]
        if not windows:
            normal = new_normal(accepted, result.version, key)
            if normal is None or normal.since >= span.start:
                return Sides(compared, current, feature_of(reference.total, name))
            # A reference that was given as it is has nothing of a new normal; its own traffic since then has.
            since = self._context.engine.window(result.model, Span(normal.since, span.start))
            return Sides(compared, current, feature_of(since.profile(result.version or None), name))
        coarse = any(one.length > span.length for one, _ in windows)
        return Sides(compared, current, _merged([profile for _, profile in windows], name), coarse)


def _kind_of(detail: Mapping[str, Any], span: Span, reference: ReferenceProfile) -> Sequence[int]:
    """The days of the week that the window was compared with; none where no kind of days differs."""
    mine = day_of(span, reference.holidays)
    return next((kind for kind in detail.get("kinds", ()) if mine in kind), ())


def _without_odd(days: Sequence[tuple[Span, Profile]], detail: Mapping[str, Any]) -> list[tuple[Span, Profile]]:
    """The days of longer stretches, with those that were compared in the place of odd ones."""
    starts = {one.start: (one, profile) for one, profile in days}
    instead = {
        odd.start: datetime.fromisoformat(one["instead"])
        for odd, one in zip(spans_of(detail, "odd"), detail.get("odd", ()), strict=True)
        if "instead" in one
    }
    return [starts.get(instead.get(start, start), day) for start, day in starts.items()]


def _merged(profiles: Sequence[Profile], name: str) -> FeatureProfile | None:
    total: FeatureProfile | None = None
    for profile in profiles:
        mine = feature_of(profile, name)
        if mine is not None:
            total = total or FeatureProfile()
            total.merge(mine)
    return total


def _key(result: CheckResult) -> tuple[object, ...]:
    # With when it ran: what was accepted meanwhile changes what the same window is compared with.
    return result.model, result.version, result.start, result.end, result.ran_at


def segments(window: Window, version: str, most: int) -> Sequence[tuple[str, str, Mapping[str, str]]]:
    """The first segments of a window: (name, value, what selects it)."""
    pairs = [
        (name, value, {name: value})
        for name, values in window.segments(version or None).items()
        if name
        for value in values
    ]
    return pairs[:most]
