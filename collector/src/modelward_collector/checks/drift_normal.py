"""What is normal for one feature at one time: the windows of the reference that a window is compared with, and why.

Like is compared with like: windows of the same hours, of the same kind of day where kinds of days differ, without those
that are odd, and without those that do not belong to what is normal (`ReferenceProfile.left_out`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, tzinfo

import numpy as np
from numpy.typing import NDArray

from modelward_agent.profile import FeatureProfile
from modelward_collector.span import Span
from modelward_collector.stats.characteristics import Characteristics, characteristics
from modelward_collector.stats.effect import FLOOR
from modelward_collector.stats.feature import FeatureScatter, FeatureView, is_many
from modelward_collector.stats.feature_scatter import feature_scatter
from modelward_collector.stats.phases import (
    ALL_ALIKE,
    NAMES,
    SUNDAY,
    WEEKEND,
    Days,
    Partition,
    odd_windows,
    partition_of,
    said,
    two_kinds,
)

DAY = timedelta(days=1)

ALIKE_MIN = 2
"""Windows of its kind that a window needs to be compared with them alone, where kinds of days differ."""

WEEKEND_MIN = 4
"""Weekdays are compared with weekdays, and weekends with weekends, also where nothing shows that they differ, when
there are so many of both: a difference as small as a window's noise would else be taken for drift now and then."""

COVERED_TWICE = 2
FIRST_WEEK = timedelta(days=7)
"""A model is learnt until each hour of each kind of day was seen twice, and never in less than a week."""

UNSEEN_FLOOR, ONCE_FLOOR, KIND_UNSEEN_FLOOR = 0.9, 0.7, 0.5
"""Effects below these are within what is not known yet: of hours that were never seen, of hours seen once, of hours
seen on days of another kind alone."""

FEW_ALIKE, FEW_ALIKE_FLOOR = 4, 0.5
"""Of so few days of its kind, less than this over their number may be what that kind is like."""

LEARNT_WINDOWS = 14
LEARNT_FLOOR, LEARNT_FLOOR_OF_WEEKS = 1.0, 0.25
"""From fewer windows of the same hours the floor is larger, this over their number: by as much as few windows may hide.
Weeks are few in any reference, and differ less than hours and days do."""


@dataclass(frozen=True, slots=True)
class Odd:
    """A window of the reference that is unlike the others, and in what; `instead` is the one that takes its place."""

    span: Span
    what: str
    beyond: float
    instead: Span | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """The characteristics of the reference's windows in time order, and of which of them something can be learnt."""

    reference: FeatureView
    spans: Sequence[Span]
    days: Days
    known: Characteristics
    fair: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Normal:
    """What a feature's window is compared with.

    `view` is all that is alike, `scatter` how windows of it differ, `floor` the effect that must be exceeded. `alike`
    are the windows in `view`, `odd` those that were left out as odd, `left_out` how many were since they are not
    normal. `differ` is whether the reference shows that the kinds of days of `partition` do. `kind` says which days
    they are of and `missing` what is not known yet ("" when all of it is). `without` is the same without the odd days
    of longer stretches: weeks with one and weeks without are both normal, so a window that is like either is.
    """

    view: FeatureView
    scatter: FeatureScatter
    floor: float
    alike: tuple[Span, ...]
    odd: tuple[Odd, ...] = ()
    left_out: int = 0
    day: int = 0
    partition: Partition = ALL_ALIKE
    differ: bool = False
    kind: tuple[int, ...] = tuple(range(7))
    missing: str = ""
    series: Series | None = None
    without: Normal | None = None

    @property
    def learning(self) -> bool:
        """Whether the reference does not cover this phase twice yet."""
        return bool(self.missing)

    def said(self, length: timedelta) -> str:
        """What it was compared with: `20 weekdays`, `8 weekends at 14:00`, `28 days`."""
        if not self.alike:
            return ""
        count = len(self.alike)
        if length >= 2 * DAY:
            return f"{count} stretches of {length.days} days"
        days = said(self.kind)
        if count == 1 and days.endswith("s"):
            days = days[:-1]
        hours = ""
        if length < DAY:
            first = self.alike[-1]
            hours = f" from {first.start:%H:%M} to {first.end:%H:%M}"
        return f"{count} {days}{hours}"


def day_of(span: Span, holidays: frozenset[date], zone: tzinfo = UTC) -> int:
    """The day of the week of its middle in that zone, 0 for Monday; a holiday is a Sunday."""
    middle = (span.start + span.length / 2).astimezone(zone)
    return SUNDAY if middle.date() in holidays else middle.weekday()


def normal_of(
    windows: Sequence[tuple[Span, FeatureProfile]],
    span: Span,
    level: float,
    *,
    everything: FeatureView | None = None,
    begun: datetime | None = None,
    same_hours: bool = True,
    left_out: int = 0,
    holidays: frozenset[date] = frozenset(),
    zone: tzinfo = UTC,
    day: int | None = None,
    put_back: Sequence[Span] = (),
    pieces: Sequence[tuple[Span, FeatureProfile]] = (),
) -> Normal:
    """Learn it from the reference's windows of the same hours (span, the feature's profile), in time order.

    `everything` is the view of all of them where that is known already. `begun`: since when the feature was watched,
    when it is learnt as it comes. Not of the `same_hours`, windows tell only of what is gross. `day` takes the window
    for one of that day of the week. Windows in `put_back` belong to the reference however odd they are. `pieces` are
    the days of stretches of several: those tell how much is normal and which of them are odd, since stretches are few
    and differ less than days.
    """
    spans = [one for one, _ in windows]
    features = [feature for _, feature in windows]
    base = everything if everything is not None else _view(features)
    days = np.array([day_of(one, holidays, zone) for one in spans], dtype=np.int64)
    mine = day_of(span, holidays, zone) if day is None else day
    floor, missing = _not_known_yet(days if same_hours else days[:0], span, mine, begun, holidays, zone)
    partition, odd = ALL_ALIKE, np.zeros(len(windows), dtype=bool)
    named: list[Odd] = []
    series: Series | None = None
    if len(windows) > 1:
        known = characteristics(base, features)
        if span.length <= DAY:
            reach = (spans[-1].end - spans[0].start) / DAY
            partition = partition_of(known.values, known.variances, days, reach)
        odd, named = _odd_of(known, spans, days, partition, put_back)
        series = Series(base, spans, days, known, ~odd)
    differ = partition.matters
    # Ids come anew every day: of fewer days fewer are known, and weekends have no ids of their own.
    if not differ and span.length <= DAY and not is_many(base):
        weekend = np.isin(days[~odd], WEEKEND)
        if min(weekend.sum(), (~weekend).sum()) >= WEEKEND_MIN:
            partition = two_kinds(WEEKEND)
    kind = partition.of(mine)
    alike = ~odd & np.isin(days, kind)
    if partition.matters and alike.sum() < ALIKE_MIN:
        partition, kind, differ = ALL_ALIKE, ALL_ALIKE.kinds[0], False
        alike = ~odd
    chosen = [feature for feature, taken in zip(features, alike, strict=True) if taken]
    view = base if alike.all() else _view(chosen)
    within = tuple(one for one, taken in zip(spans, alike, strict=True) if taken)
    daily = _Daily.of(pieces, holidays, zone, put_back) if len(pieces) >= LEARNT_WINDOWS else None
    others = []
    for other in partition.kinds if partition.matters else ():
        if other != kind:
            found = [features[i] for i in np.flatnonzero(~odd & np.isin(days, other))]
            if len(found) >= ALIKE_MIN:
                others.append((_view(found), found))
    normal = Normal(
        view=view,
        scatter=(daily.scatter(level) if daily is not None else None) or feature_scatter(view, chosen, level, others),
        floor=floor,
        alike=within,
        odd=tuple(named),
        left_out=left_out,
        day=mine,
        partition=partition,
        differ=differ,
        kind=kind,
        missing=missing,
        series=series,
    )
    odd_days = [one for one in daily.odd if _inside(one.span, within)] if daily is not None else []
    if daily is None or not odd_days:
        return normal
    without = replace(normal, view=_view(daily.without_odd(within)), odd=(*named, *odd_days))
    return replace(normal, without=without)


@dataclass(frozen=True, slots=True, eq=False)
class _Daily:
    """The days of the reference's longer stretches in time order, their kinds, and which of them are odd."""

    windows: Sequence[tuple[Span, FeatureProfile]]
    days: Days
    partition: Partition
    fair: NDArray[np.bool_]
    odd: Sequence[Odd]

    @classmethod
    def of(
        cls,
        windows: Sequence[tuple[Span, FeatureProfile]],
        holidays: frozenset[date],
        zone: tzinfo,
        put_back: Sequence[Span],
    ) -> _Daily:
        spans, features = [one for one, _ in windows], [feature for _, feature in windows]
        days = np.array([day_of(one, holidays, zone) for one in spans], dtype=np.int64)
        known = characteristics(_view(features), features)
        partition = partition_of(known.values, known.variances, days, (spans[-1].end - spans[0].start) / DAY)
        odd, named = _odd_of(known, spans, days, partition, put_back)
        mended = []
        for i, one in zip(np.flatnonzero(odd).tolist(), named, strict=True):
            alike = np.flatnonzero(~odd & np.isin(days, partition.of(int(days[i]))))
            nearest = spans[int(alike[np.abs(alike - i).argmin()])] if len(alike) else None
            mended.append(replace(one, instead=nearest))
        return cls(windows, days, partition, ~odd, mended)

    def scatter(self, level: float) -> FeatureScatter | None:
        """How days differ from those of their kind, without odd ones; None of too few."""
        kinds = []
        for kind in sorted(self.partition.kinds, key=len, reverse=True):
            found = [self.windows[i][1] for i in np.flatnonzero(self.fair & np.isin(self.days, kind)).tolist()]
            if len(found) >= ALIKE_MIN:
                kinds.append((_view(found), found))
        return feature_scatter(*kinds[0], level, kinds[1:]) if kinds else None

    def without_odd(self, stretches: Sequence[Span]) -> list[FeatureProfile]:
        """The days of those stretches, the nearest fair one of its kind in the place of each that is odd.

        So kinds keep their shares: two weeks without one of their weekdays have more of weekends than a week has.
        """
        features = dict(self.windows)
        instead = {one.span: one.instead or one.span for one in self.odd}
        return [features[instead.get(span, span)] for span, _ in self.windows if _inside(span, stretches)]


def _odd_of(
    known: Characteristics, spans: Sequence[Span], days: Days, partition: Partition, put_back: Sequence[Span]
) -> tuple[NDArray[np.bool_], list[Odd]]:
    """Which of the windows are odd, and in what; none that a person put back."""
    beyond = odd_windows(known.values, known.variances, days, partition, known.trivial)
    beyond[[_inside(one, put_back) for one in spans]] = 0.0
    odd: NDArray[np.bool_] = beyond.max(axis=1, initial=0.0) > 0
    which = np.flatnonzero(odd).tolist()
    return odd, [Odd(spans[i], known.names[int(beyond[i].argmax())], float(beyond[i].max())) for i in which]


def _view(features: Sequence[FeatureProfile]) -> FeatureView:
    total = FeatureProfile()
    for feature in features:
        total.merge(feature)
    return FeatureView.of(total)


def _inside(span: Span, spans: Sequence[Span]) -> bool:
    return any(one.start <= span.start and span.end <= one.end for one in spans)


def _not_known_yet(
    days: Days,
    span: Span,
    day: int,
    begun: datetime | None,
    holidays: frozenset[date],
    zone: tzinfo,
) -> tuple[float, str]:
    """The floor while the reference is young, and in words what it does not know yet; `FLOOR` and "" when it does."""
    if begun is None:
        return FLOOR, ""
    weekend = day in WEEKEND
    same_kind = int((np.isin(days, WEEKEND) == weekend).sum()) if span.length < 2 * DAY else len(days)
    age = span.start - begun
    learnt = same_kind >= COVERED_TWICE and age >= FIRST_WEEK
    seen = len(days)
    if seen == 0:
        floor = UNSEEN_FLOOR
    elif seen == 1:
        floor = ONCE_FLOOR
    elif same_kind == 0 or age < FIRST_WEEK:
        floor = KIND_UNSEEN_FLOOR
    else:
        few = LEARNT_FLOOR if span.length < 2 * DAY else LEARNT_FLOOR_OF_WEEKS
        floor = max(FLOOR, few / seen) if seen < LEARNT_WINDOWS else FLOOR
        if same_kind < FEW_ALIKE:
            floor = max(floor, FEW_ALIKE_FLOOR / same_kind)
    return floor, "" if learnt else _missing(span, begun, holidays, zone)


def _missing(span: Span, begun: datetime, holidays: frozenset[date], zone: tzinfo) -> str:
    """`weekends from 14:00 to 15:00 are known from Sunday 18 January on`."""
    if span.length >= 2 * DAY:
        known = begun + COVERED_TWICE * span.length
        return f"stretches of {span.length.days} days are known from {known.day} {known:%B} on"
    weekend, seen = day_of(span, holidays, zone) in WEEKEND, 0
    # From the first traffic on, day by day, to the first window that has two of its kind behind it.
    start = span.start - ((span.start - begun) // DAY) * DAY
    while True:
        alike = (day_of(Span(start, start + span.length), holidays, zone) in WEEKEND) == weekend
        if alike and seen >= COVERED_TWICE and start - begun >= FIRST_WEEK:
            break
        seen += alike
        start += DAY
    what = "weekends" if weekend else "weekdays"
    hours = f" from {span.start:%H:%M} to {span.end:%H:%M}" if span.length < DAY else ""
    return f"{what}{hours} are known from {NAMES[start.weekday()]} {start.day} {start:%B} on"
