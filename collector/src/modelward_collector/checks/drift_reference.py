"""The reference of a drift check with everything computed that depends on it alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from modelward_agent.profile import FeatureProfile, Profile, merged
from modelward_collector.checks.window import ReferenceProfile
from modelward_collector.stats.correlation import correlation_scatter
from modelward_collector.stats.feature import FeatureScatter, FeatureView
from modelward_collector.stats.feature_scatter import feature_scatter

WINDOWS_MAX = 60
"""More windows than these teach little more about how a feature varies, and cost time; they are taken evenly."""

ROWS_MIN = 30
"""Windows with fewer rows say nothing of the process."""

PAIR_LEVEL = 1e-6
"""The error probability at which a pair's scatter over few windows must cover the next: 0.1% over a thousand pairs."""

_COVERED = 0.75
"""A stretch at an end of the reference counts as a window when this much of it lies inside."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class PreparedReference:
    """A reference whose sketches are unfolded once, at first use, for every check that compares with it.

    Keep it as long as the reference is the same. It is filled by whoever asks first; two threads that ask at once
    compute the same thing twice, and nothing worse.
    """

    def __init__(self, reference: ReferenceProfile) -> None:
        self.reference = reference
        self._views: dict[tuple[str, str], FeatureView] = {}
        self._windows: dict[timedelta, Sequence[Profile]] = {}
        self._scatters: dict[tuple[str, str, timedelta, float], FeatureScatter] = {}
        self._joint_scatters: dict[timedelta, Mapping[tuple[str, str], float]] = {}
        self._segments: dict[tuple[tuple[str, str], ...], PreparedReference] = {}

    @property
    def total(self) -> Profile:
        """All of the reference's traffic."""
        return self.reference.total

    def view(self, side: str, name: str) -> FeatureView:
        """A feature (`side` "features") or an output ("outputs"), unfolded; all missing when the reference has none."""
        key = (side, name)
        found = self._views.get(key)
        if found is None:
            found = self._views[key] = FeatureView.of(side_of(self.total, side, name))
        return found

    def scatter(self, side: str, name: str, length: timedelta, level: float) -> FeatureScatter:
        """How windows of that length vary in the reference; zeros when it has fewer than three."""
        key = (side, name, length, level)
        found = self._scatters.get(key)
        if found is None:
            windows = [side_of(profile, side, name) for profile in self.windows(length)]
            found = self._scatters[key] = feature_scatter(self.view(side, name), windows, level)
        return found

    def joint_scatter(self, length: timedelta) -> Mapping[tuple[str, str], float]:
        """How the correlations of pairs vary over windows of that length: standard deviations of Fisher's z."""
        found = self._joint_scatters.get(length)
        if found is None:
            known = self.total.joint
            windows = [profile.joint for profile in self.windows(length) if profile.joint is not None]
            found = correlation_scatter(known, windows, PAIR_LEVEL) if known is not None else {}
            self._joint_scatters[length] = found
        return found

    def windows(self, length: timedelta) -> Sequence[Profile]:
        """The reference cut into windows of that length, or as it was kept when that is coarser; at most 60."""
        found = self._windows.get(length)
        if found is None:
            found = self._windows[length] = self._cut(length)
        return found

    def where(self, wanted: Mapping[str, str]) -> PreparedReference:
        """The reference's traffic in a segment; its windows are those of the total."""
        key = tuple(sorted(wanted.items()))
        found = self._segments.get(key)
        if found is None:
            part = ReferenceProfile(self.reference.source, self.reference.where(wanted))
            found = self._segments[key] = PreparedReference(part)
        return found

    def _cut(self, length: timedelta) -> Sequence[Profile]:
        windows = self.reference.windows
        if not windows or length <= timedelta(0):
            return []
        first, last = windows[0][0].start, max(span.end for span, _ in windows)
        stretches: dict[int, list[Profile]] = {}
        for span, profile in windows:
            stretches.setdefault((span.start - _EPOCH) // length, []).append(profile)
        finest = min(span.length for span, _ in windows)
        whole = []
        for index, profiles in sorted(stretches.items()):
            start = _EPOCH + index * length
            inside = min(start + length, last) - max(start, first)
            if finest >= length or inside >= _COVERED * length:
                whole.append(profiles)
        step = max(1.0, len(whole) / WINDOWS_MAX)
        chosen = [whole[int(i * step)] for i in range(min(len(whole), WINDOWS_MAX))]
        cut = [profiles[0] if len(profiles) == 1 else merged(profiles) for profiles in chosen]
        return [profile for profile in cut if profile.rows >= ROWS_MIN]


def prepare_reference(reference: ReferenceProfile) -> PreparedReference:
    """Wrap a reference so that what depends on it alone is computed once."""
    return PreparedReference(reference)


def side_of(profile: Profile, side: str, name: str) -> FeatureProfile:
    """A profile's feature or output; all rows missing when it has none of that name."""
    mine = profile.features if side == "features" else profile.outputs
    found = mine.get(name)
    if found is None:
        found = FeatureProfile()
        found.missing = profile.rows
    return found
