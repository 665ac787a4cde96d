"""The reference of a drift check with everything computed that depends on it alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from modelward_agent.profile import CoMoments, Dependence, FeatureProfile, Profile, merged
from modelward_collector.checks.drift_normal import DAY, Normal, day_of, normal_of
from modelward_collector.checks.window import JOINT, ReferenceProfile, stride, subject_key
from modelward_collector.span import Span
from modelward_collector.stats.correlation import correlation_scatter
from modelward_collector.stats.dependence import Term, dependence_scatter
from modelward_collector.stats.feature import FeatureScatter, FeatureView
from modelward_collector.stats.feature_scatter import feature_scatter

WINDOWS_MAX = 60
"""More windows than these teach little more about how a feature varies, and cost time; they are taken evenly."""

ROWS_MIN = 30
"""Windows with fewer rows say nothing of the process."""

PAIR_LEVEL = 1e-6
"""The error probability at which a pair's scatter over few windows must cover the next: 0.1% over a thousand pairs."""

TERM_LEVEL = 2e-7
"""The same of terms of dependence, of which there are five thousand."""

NORMALS_MAX, ALIKE_MAX = 2_000, 4
"""What is kept of a reference that windows of many hours are compared with; each set of windows takes megabytes."""

_COVERED = 0.75
"""A stretch at an end of the reference counts as a window when this much of it lies inside."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_FEWEST = 3
"""So many days with the same hours, or the reference is cut into stretches that follow each other."""


T = TypeVar("T")


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
        self._joint_scatters: dict[tuple[timedelta, timedelta], Mapping[tuple[str, str], float]] = {}
        self._segments: dict[tuple[tuple[str, str], ...], PreparedReference] = {}
        self._alike: dict[tuple[timedelta, timedelta], Alike] = {}
        self._normals: dict[tuple[object, ...], Normal] = {}
        self._joints: dict[tuple[timedelta, timedelta], CoMoments | None] = {}
        self._dependences: dict[tuple[timedelta, timedelta], Dependence | None] = {}
        self._dependence_scatters: dict[tuple[timedelta, timedelta], Mapping[Term, float]] = {}

        self._fresh: PreparedReference | None = None
        self._renewed: frozenset[str] | None = frozenset()

    def renewed(self, keys: frozenset[str] | None, fresh: PreparedReference | None) -> PreparedReference:
        """The same, but these subjects (None: all) are compared with another reference, once there is one."""
        other = PreparedReference(self.reference)
        other._fresh, other._renewed = fresh, keys
        return other

    def anew(self, side: str, name: str) -> bool:
        """Whether another normal has begun for the subject since some of this reference's traffic."""
        key = subject_key(side, name)
        if self._renewed is None or key in self._renewed:
            return True
        windows = self.reference.windows
        spans = self.reference.left_out.get(key, ())
        return bool(windows) and any(out.start <= _EPOCH and out.end > windows[0][0].start for out in spans)

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

    def normal(self, side: str, name: str, span: Span, level: float, day: int | None = None) -> Normal:
        """What the feature's window in `span` is compared with (`drift_normal`); as of a `day` of the week if given."""
        if self._fresh is not None and (self._renewed is None or subject_key(side, name) in self._renewed):
            return self._fresh.normal(side, name, span, level, day)
        reference = self.reference
        mine = day_of(span, reference.holidays, reference.zone) if day is None else day
        key = (side, name, *_phase(span), mine, level)
        found = self._normals.get(key)
        if found is None:
            while len(self._normals) >= NORMALS_MAX:
                self._normals.pop(next(iter(self._normals)), None)
            alike = self.alike(span)
            kept, out = self._kept(alike.windows, subject_key(side, name), span)
            whole = alike.whole and len(kept) == len(alike.windows) and len(kept) < WINDOWS_MAX
            everything = self.view(side, name) if whole or (not kept and not out) else None
            found = self._normals[key] = normal_of(
                [(one, side_of(profile, side, name)) for one, profile in kept],
                span,
                level,
                pieces=[(one, side_of(profile, side, name)) for one, profile in self.days_of(kept, span)],
                everything=everything,
                begun=_begun(reference, subject_key(side, name)),
                same_hours=alike.same_hours,
                left_out=out,
                holidays=reference.holidays,
                zone=reference.zone,
                day=day,
                put_back=reference.put_back.get(subject_key(side, name), ()),
            )
        return found

    def days_of(self, kept: Sequence[tuple[Span, Profile]], span: Span) -> list[tuple[Span, Profile]]:
        """The days that stretches of several are made of; none of shorter ones, or where days are not kept apart.

        None of a single stretch either: of a month, days tell nothing about how months differ.
        """
        if span.length < 2 * DAY or len(kept) < 2:
            return []
        inside = [one for one, _ in kept]
        return [
            (one, profile)
            for one, profile in self.reference.windows
            if one.length <= DAY
            and profile.rows >= ROWS_MIN
            and any(s.start <= one.start and one.end <= s.end for s in inside)
        ]

    def alike(self, span: Span) -> Alike:
        """The reference's windows of the same length and hours, in time order.

        Of fewer than three such days, or where it was kept in longer stretches, it is as `windows` cuts it.
        """
        key = _phase(span)
        found = self._alike.get(key)
        if found is None:
            while len(self._alike) >= ALIKE_MAX:
                self._alike.pop(next(iter(self._alike)), None)
            found = self._alike[key] = self._same_hours(span) or Alike(self._cut(span.length), True, span.length >= DAY)
        return found

    def _same_hours(self, span: Span) -> Alike | None:
        windows, length = self.reference.windows, span.length
        finest = min((one.length for one, _ in windows), default=length)
        if length <= timedelta(0) or finest > length:
            return None
        step = stride(length)
        stretches: dict[int, list[tuple[Span, Profile]]] = {}
        for one, profile in windows:
            index, into = divmod(one.start - span.start, step)
            if into + one.length <= length:
                stretches.setdefault(index, []).append((one, profile))
        whole = [
            (Span(span.start + index * step, span.start + index * step + length), found)
            for index, found in sorted(stretches.items())
            if sum((one.length for one, _ in found), timedelta(0)) >= _COVERED * length
        ]
        if len(whole) < (1 if self.reference.begun is not None else _FEWEST):
            return None
        # Of a rolling reference each subject takes the newest that are normal for it.
        chosen = whole if self.reference.horizon is not None else _evenly(whole)
        cut = [(one, _one([profile for _, profile in found])) for one, found in chosen]
        kept = [(one, profile) for one, profile in cut if profile.rows >= ROWS_MIN]
        return Alike(kept, sum(profile.rows for _, profile in kept) == self.total.rows, True)

    def _kept(
        self, windows: Sequence[tuple[Span, Profile]], key: str, span: Span
    ) -> tuple[Sequence[tuple[Span, Profile]], int]:
        """Without what does not belong to this subject's normal, and of that the newest; and how many that left out."""
        reference = self.reference
        spans = reference.left_out.get(key, ())
        kept = [
            (one, profile)
            for one, profile in windows
            if not any(one.start < out.end and out.start < one.end for out in spans)
        ]
        out = len(windows) - len(kept)
        if reference.horizon is not None:
            most = max(1, reference.horizon // max(DAY, span.length))
            kept = kept[-most:]
        return kept, out

    def _together(self, span: Span, of: Callable[[Profile], T | None]) -> list[list[T]]:
        """What tells how such windows vary in how features move together: theirs, and that of their days."""
        kept, _ = self._kept(self.alike(span).windows, JOINT, span)
        return [
            [part for _, profile in windows if (part := of(profile)) is not None]
            for windows in (kept, self.days_of(kept, span))
        ]

    def _together_anew(self) -> PreparedReference | None:
        """What tells how features move together, where another normal of that has begun."""
        return self._fresh if self._renewed is None or JOINT in self._renewed else None

    def joint(self, span: Span) -> CoMoments | None:
        """How features move together in what is normal; None when the reference does not know."""
        if (fresh := self._together_anew()) is not None:
            return fresh.joint(span)
        key = _phase(span)
        if key not in self._joints:
            alike = self.alike(span)
            kept, _ = self._kept(alike.windows, JOINT, span)
            if alike.whole and len(kept) == len(alike.windows):
                self._joints[key] = self.total.joint
            else:
                known = [profile.joint for _, profile in kept if profile.joint is not None]
                total = CoMoments() if known else None
                for one in known:
                    assert total is not None
                    total.merge(one)
                self._joints[key] = total
        return self._joints[key]

    def joint_scatter(self, span: Span) -> Mapping[tuple[str, str], float]:
        """How the correlations of pairs vary over such windows: standard deviations of Fisher's z.

        Of stretches of several days also how days vary, whichever is more: stretches are few.
        """
        if (fresh := self._together_anew()) is not None:
            return fresh.joint_scatter(span)
        key = _phase(span)
        found = self._joint_scatters.get(key)
        if found is None:
            known = self.joint(span)
            parts = self._together(span, lambda profile: profile.joint)
            found = _larger(correlation_scatter(known, part, PAIR_LEVEL) for part in parts) if known is not None else {}
            self._joint_scatters[key] = found
        return found

    def dependence(self, span: Span) -> Dependence | None:
        """How features depend on each other in what is normal; None when the reference does not know."""
        if (fresh := self._together_anew()) is not None:
            return fresh.dependence(span)
        key = _phase(span)
        if key not in self._dependences:
            alike = self.alike(span)
            kept, _ = self._kept(alike.windows, JOINT, span)
            if alike.whole and len(kept) == len(alike.windows):
                self._dependences[key] = self.total.dependence
            else:
                known = [profile.dependence for _, profile in kept if profile.dependence is not None]
                total = Dependence() if known else None
                for one in known:
                    assert total is not None
                    total.merge(one)
                self._dependences[key] = total
        return self._dependences[key]

    def dependence_scatter(self, span: Span) -> Mapping[Term, float]:
        """How that varies over such windows: by term a standard deviation of its correlation."""
        if (fresh := self._together_anew()) is not None:
            return fresh.dependence_scatter(span)
        key = _phase(span)
        found = self._dependence_scatters.get(key)
        if found is None:
            known = self.dependence(span)
            parts = self._together(span, lambda profile: profile.dependence)
            found = _larger(dependence_scatter(known, part, TERM_LEVEL) for part in parts) if known is not None else {}
            self._dependence_scatters[key] = found
        return found

    def windows(self, length: timedelta) -> Sequence[Profile]:
        """The reference cut into windows of that length, or as it was kept when that is coarser; at most 60."""
        found = self._windows.get(length)
        if found is None:
            found = self._windows[length] = [profile for _, profile in self._cut(length)]
        return found

    def where(self, wanted: Mapping[str, str]) -> PreparedReference:
        """The reference's traffic in a segment; its windows are those of the total."""
        key = tuple(sorted(wanted.items()))
        found = self._segments.get(key)
        if found is None:
            part = ReferenceProfile(self.reference.source, self.reference.where(wanted))
            found = self._segments[key] = PreparedReference(part)
        return found

    def _cut(self, length: timedelta) -> Sequence[tuple[Span, Profile]]:
        windows = self.reference.windows
        if not windows or length <= timedelta(0):
            return []
        first, last = windows[0][0].start, max(span.end for span, _ in windows)
        stretches: dict[int, list[tuple[Span, Profile]]] = {}
        for span, profile in windows:
            stretches.setdefault((span.start - _EPOCH) // length, []).append((span, profile))
        finest = min(span.length for span, _ in windows)
        whole = []
        for index, found in sorted(stretches.items()):
            start = _EPOCH + index * length
            inside = min(start + length, last) - max(start, first)
            if finest >= length or inside >= _COVERED * length:
                whole.append((Span(found[0][0].start, found[-1][0].end), found))
        cut = [(span, _one([profile for _, profile in found])) for span, found in _evenly(whole)]
        return [(span, profile) for span, profile in cut if profile.rows >= ROWS_MIN]


@dataclass(frozen=True, slots=True, eq=False)
class Alike:
    """Windows of the reference in time order; whether they are all of it, and of the `same_hours` of other days."""

    windows: Sequence[tuple[Span, Profile]]
    whole: bool
    same_hours: bool


def _evenly(whole: Sequence[T]) -> list[T]:
    step = max(1.0, len(whole) / WINDOWS_MAX)
    return [whole[int(i * step)] for i in range(min(len(whole), WINDOWS_MAX))]


def _one(profiles: Sequence[Profile]) -> Profile:
    return profiles[0] if len(profiles) == 1 else merged(profiles)


def _larger(scatters: Iterable[Mapping[T, float]]) -> dict[T, float]:
    found: dict[T, float] = {}
    for scatter in scatters:
        for key, sd in scatter.items():
            found[key] = max(sd, found.get(key, 0.0))
    return found


def _phase(span: Span) -> tuple[timedelta, timedelta]:
    """Length, and where it begins in its day, or in as many days as it is long."""
    return span.length, (span.start - _EPOCH) % stride(span.length)


def _begun(reference: ReferenceProfile, key: str) -> datetime | None:
    """Since when this subject was learnt: another normal may have begun since the model did."""
    if reference.begun is None:
        return None
    fresh = [out.end for out in reference.left_out.get(key, ()) if out.start <= _EPOCH]
    return max([reference.begun, *fresh])


def prepare_reference(reference: ReferenceProfile) -> PreparedReference:
    """Wrap a reference so that what depends on it alone is computed once."""
    return PreparedReference(reference)


def side_of(profile: Profile, side: str, name: str) -> FeatureProfile:
    """A profile's feature or output; when it has none of that name all rows missing, or no rows if it was left out."""
    mine = profile.features if side == "features" else profile.outputs
    found = mine.get(name)
    if found is None:
        found = FeatureProfile()
        if side != "features" or not profile.not_told_of([name]):
            found.missing = profile.rows
    return found
