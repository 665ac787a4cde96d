"""The traffic that a result judged, and what it was compared with, kept while people look at them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from modelward_agent.profile import FeatureProfile, Profile
from modelward_collector.checks.result import CheckResult
from modelward_collector.checks.window import ReferenceProfile, Window
from modelward_collector.console.charts import Distribution
from modelward_collector.console.recent import Recent
from modelward_collector.context import Context
from modelward_collector.span import Span
from modelward_collector.stats.histogram import paired_histogram


@dataclass(frozen=True, slots=True)
class Compared:
    """A version's traffic in a result's window, and its reference; either is None when it is no longer kept."""

    version: str
    window: Window
    current: Profile | None
    reference: ReferenceProfile | None

    def current_feature(self, name: str) -> FeatureProfile | None:
        """What the window had of a feature or output."""
        return feature_of(self.current, name)

    def reference_feature(self, name: str) -> FeatureProfile | None:
        """What the reference has of a feature or output."""
        return feature_of(self.reference.total if self.reference else None, name)


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
        self._drawn: Recent[Distribution | bool] = Recent(most=2_000, seconds=60)

    def of(self, result: CheckResult) -> Compared:
        """What that result judged. Late traffic shows within a minute."""
        key = _key(result)
        kept = self._compared.get(key)
        if kept is None:
            kept = self._load(result.model, result.version, Span(result.start, result.end))
            self._compared.put(key, kept)
        return kept

    def _load(self, model: str, version: str, span: Span) -> Compared:
        window = self._context.engine.window(model, span)
        current = window.profile(version or None)
        reference = self._context.engine.reference(model, version, span)
        return Compared(version, window, current if current.rows else None, reference)

    def distribution(self, result: CheckResult, feature: str) -> Distribution | None:
        """A feature's two distributions in what that result judged."""
        key = (*_key(result), feature)
        kept = self._drawn.get(key)
        if kept is None:
            compared = self.of(result)
            made = distribution(compared.reference_feature(feature), compared.current_feature(feature))
            kept = made if made is not None else False
            self._drawn.put(key, kept)
        return kept if isinstance(kept, Distribution) else None


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
