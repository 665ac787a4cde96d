"""Reads windows, series and references of profiles through any store, each row counted once."""

from __future__ import annotations

import bisect
import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Final, TypeVar
from zoneinfo import ZoneInfo

from modelward_agent.bounds import OTHER_VERSION
from modelward_agent.profile import Profile, ProfileFormatError, Segment, from_bytes, merged
from modelward_agent.profile.reference import read_reference
from modelward_collector.checks.window import ReferenceProfile, Window, segment_key, stride
from modelward_collector.models import ModelSpec, ReferenceFile, ReferenceRolling, ReferenceSpan
from modelward_collector.span import Span
from modelward_collector.store.covering import no_longer_than, selected
from modelward_collector.store.protocol import Part, Store, StoreUnavailableError
from modelward_collector.versions import told_apart

logger = logging.getLogger(__name__)

K = TypeVar("K")
T = TypeVar("T")

_ATTEMPTS: Final = 5
"""How often parts are listed anew when maintenance deletes them between being listed and being read."""

_REMEMBERED: Final = 1_000
_reported: deque[str] = deque(maxlen=_REMEMBERED)
"""Parts already complained about: one that cannot be read is met again at every check."""

_DAY: Final = timedelta(days=1)
_FEWEST_WINDOWS: Final = 14
"""A reference is kept apart by days when it has this many of them, else by hours, else by minutes."""


def load_window(store: Store, model: str, span: Span, *, version: str | None = None) -> Window:
    """The model's traffic of the windows that lie in the span, merged over hosts and time.

    Of more versions than are told apart (`versions.told_apart`) the rest is one, `OTHER_VERSION`. Profiles that cannot
    be read (damaged, or of a newer format) are left out and logged, once each.
    """
    apart: frozenset[str] = frozenset()

    def listed() -> list[Part]:
        nonlocal apart
        parts = store.parts(span, model=model, version=version)
        apart = _told_apart(model, parts)
        return parts

    profiles, parts = _merged(store, listed, lambda part: (_version(part, apart), segment_of(part)))
    return _window(model, span, profiles, parts)


def load_rows(store: Store, model: str, span: Span) -> Window:
    """The same window without anything but its numbers of rows, which needs no profile to be read."""
    parts = selected(store.parts(span, model=model))
    apart = _told_apart(model, parts)
    profiles: dict[tuple[str, Segment], Profile] = {}
    for part in parts:
        profiles.setdefault((_version(part, apart), segment_of(part)), Profile()).rows += part.rows
    return _window(model, span, profiles, parts)


def _told_apart(model: str, parts: Iterable[Part]) -> frozenset[str]:
    versions: dict[str, tuple[int, datetime]] = {}
    for part in parts:
        rows, latest = versions.get(part.version, (0, part.end))
        versions[part.version] = rows + part.rows, max(latest, part.end)
    return told_apart(model, versions)


def _version(part: Part, apart: frozenset[str]) -> str:
    return part.version if part.version in apart else OTHER_VERSION


def _window(model: str, span: Span, profiles: Mapping[tuple[str, Segment], Profile], parts: Sequence[Part]) -> Window:
    return Window(
        model=model,
        span=span,
        profiles=profiles,
        hosts=frozenset(part.host for part in parts),
        last_row=max((part.end for part in parts if part.rows), default=None),
    )


def listed(store: Store, model: str, span: Span) -> int:
    """A digest of what is stored of a span: as long as it is the same, so is the window."""
    return hash(tuple(part.id for part in store.parts(span, model=model)))


def load_series(
    store: Store, model: str, span: Span, step: timedelta, version: str | None = None
) -> list[tuple[Span, Profile]]:
    """The model's traffic step by step, in time order, steps without traffic left out.

    Steps begin at multiples of `step` since 1970, so a step of a day is a UTC day. A part that is longer than a step
    (an older roll-up) is in the one that it begins in, whose span then reaches to its end.
    """
    profiles, parts = _stepped(store, model, span, step, version, lambda part: None)
    return _in_time(parts, step, {start: profile for (start, _), profile in profiles.items()})


def load_segment_series(
    store: Store, model: str, span: Span, step: timedelta, version: str | None = None
) -> list[tuple[Span, dict[Segment, Profile]]]:
    """`load_series` with each step's traffic apart by segment."""
    profiles, parts = _stepped(store, model, span, step, version, segment_of)
    by_step: dict[datetime, dict[Segment, Profile]] = {}
    for (start, segment), profile in profiles.items():
        by_step.setdefault(start, {})[segment] = profile
    return _in_time(parts, step, by_step)


def load_reference(
    store: Store, spec: ModelSpec, window_span: Span, version: str, normal: NormalSpans | None = None
) -> ReferenceProfile | None:
    """What the window's traffic of that version is compared with; None when there is none yet.

    From a file it is of whatever the file was made of. From a span it is of the version that the configuration names,
    or of all. A rolling one is the version's own past, as far back as `normal` says that each subject needs. Of both
    only windows of the same hours are read, as long as the one that is checked: those of whole days as days, and what
    is shorter from hours. OSError and `ReferenceFileError` for a file that cannot be read.
    """
    reference = spec.reference
    normal = normal or NormalSpans()
    holidays, zone = frozenset(spec.holidays), ZoneInfo(spec.timezone)
    if isinstance(reference, ReferenceFile):
        return load_past(store, spec, window_span, version)
    if isinstance(reference, ReferenceSpan):
        span = Span(reference.start.astimezone(UTC), reference.end.astimezone(UTC))
        wanted = _same_hours(window_span, span)
        if span.length < _FEWEST_DAYS:
            return load_past(store, spec, window_span, version)
        found = _windows(store, spec.model, wanted, window_span, reference.version, zone, {})
        return found and replace(found, source=_source(reference.version, span), holidays=holidays, zone=zone)
    assert isinstance(reference, ReferenceRolling)
    if reference.window < _FEWEST_DAYS:  # too short for the same hours of other days
        return load_past(store, spec, window_span, version)
    span = Span(window_span.start - reference.gap - reference.window, window_span.start - reference.gap)
    if normal.since is not None:
        span = Span(max(span.start, normal.since), max(span.end, normal.since))
    wanted = normal.wanted(window_span, span, reference.window)
    found = _windows(store, spec.model, wanted, window_span, version, zone, normal.left_out)
    if found is None and normal.begun is None:
        return load_past(store, spec, window_span, version)
    if found is None and window_span.length < _DAY:
        # These hours were never seen yet; the last day's others tell at least what is gross.
        day = Span(max(span.start, span.end - _DAY), span.end)
        hours = _one_after_another(day, window_span.length)
        found = _windows(store, spec.model, hours, window_span, version, UTC, normal.left_out)
    if found is None:
        return None
    begun = normal.begun
    if begun is not None and normal.since is not None:
        begun = max(begun, normal.since)
    return replace(
        found,
        source=_source(version, span),
        begun=begun,
        horizon=reference.window,
        left_out=normal.left_out,
        put_back=normal.put_back,
        holidays=holidays,
        zone=zone,
    )


def load_past(store: Store, spec: ModelSpec, window_span: Span, version: str) -> ReferenceProfile | None:
    """The whole of the reference, of all hours, in days, hours or minutes: what volumes and shares are judged by."""
    reference = spec.reference
    if isinstance(reference, ReferenceFile):
        holidays, zone = frozenset(spec.holidays), ZoneInfo(spec.timezone)
        return replace(file_reference(reference.path), holidays=holidays, zone=zone)
    if isinstance(reference, ReferenceSpan):
        span = Span(reference.start.astimezone(UTC), reference.end.astimezone(UTC))
        return _reference(store, spec.model, span, reference.version)
    assert isinstance(reference, ReferenceRolling)
    end = window_span.start - reference.gap
    return _reference(store, spec.model, Span(end - reference.window, end), version)


@dataclass(frozen=True, slots=True)
class NormalSpans:
    """Of a rolling reference: since when there is traffic, and what is normal in it.

    Everything before `since` belongs to another normal; `left_out` and `put_back` are by subject
    (`checks.window.subject_key`), as `ReferenceProfile` has them.
    """

    begun: datetime | None = None
    since: datetime | None = None
    left_out: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)
    put_back: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)

    def wanted(self, window: Span, span: Span, horizon: timedelta) -> list[Span]:
        """The windows of the same hours that any subject is compared with, in time order.

        Those in the span, and of a subject of which some are left out as many more before it as that takes.
        """
        inside = _same_hours(window, span)
        found = {one.start: one for one in inside}
        step = stride(window.length)
        before = inside[0].start if inside else window.start - (window.end - span.end - _MICROSECOND) // step * step
        most = max(1, horizon // step)
        first, begun = self.since or _REACH_BACK, self.begun or _REACH_BACK
        for spans in self.left_out.values():
            kept = sum(not _meets(one, spans) for one in inside)
            start = before - step
            while kept < most and start >= first and start + window.length > begun:
                one = Span(start, start + window.length)
                if not _meets(one, spans):
                    found[start] = one
                    kept += 1
                elif any(out.start <= _REACH_BACK and one.start < out.end for out in spans):
                    break  # before a new normal there is nothing to look for
                start -= step
        return [found[start] for start in sorted(found)]


_FEWEST_DAYS: Final = timedelta(days=3)
_MICROSECOND: Final = timedelta(microseconds=1)
_REACH_BACK: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _meets(one: Span, spans: Sequence[Span]) -> bool:
    return any(one.start < out.end and out.start < one.end for out in spans)


def _same_hours(window: Span, span: Span) -> list[Span]:
    """Windows as long as this one that lie in the span and begin at the same hour, in time order."""
    step = stride(window.length)
    first = window.start - (window.start - span.start) // step * step
    found = []
    while first + window.length <= span.end:
        if first >= span.start:
            found.append(Span(first, first + window.length))
        first += step
    return found


def _one_after_another(span: Span, length: timedelta) -> list[Span]:
    found, end = [], span.end
    while end - length >= span.start:
        found.append(Span(end - length, end))
        end -= length
    return found[::-1]


def _source(version: str | None, span: Span) -> str:
    of = "" if version is None else f" of version {version}"
    return f"traffic{of} from {span.start:%Y-%m-%d %H:%M} to {span.end:%Y-%m-%d %H:%M} UTC"


def segment_of(part: Part) -> Segment:
    """The part's segment as profiles have it."""
    return tuple(sorted(part.segment.items()))


def _reference(store: Store, model: str, span: Span, version: str | None) -> ReferenceProfile | None:
    step = _reference_step(span)
    profiles, parts = _stepped(store, model, span, step, version, segment_of)
    by_step: dict[datetime, list[Profile]] = {}
    by_segment: dict[Segment, list[Profile]] = {}
    for (start, segment), profile in profiles.items():
        by_step.setdefault(start, []).append(profile)
        by_segment.setdefault(segment, []).append(profile)
    windows = {start: _one(found) for start, found in by_step.items()}
    total = merged(windows.values())
    if not total.rows and not total.actuals and not total.errors:
        return None
    of = "" if version is None else f" of version {version}"
    return ReferenceProfile(
        source=f"traffic{of} from {span.start:%Y-%m-%d %H:%M} to {span.end:%Y-%m-%d %H:%M} UTC",
        total=total,
        windows=tuple(_in_time(parts, step, windows)),
        segments={segment: _one(found) for segment, found in by_segment.items()},
        volumes=_volumes(store, model, span, version),
    )


def _volumes(store: Store, model: str, span: Span, version: str | None) -> tuple[tuple[Span, int], ...]:
    """Rows by the hour, or as fine as they are kept: no profile is read for it, and days tell no hour of theirs."""
    # What a roll-up covers is of the same host, version, segment and day, so the time grows with the parts alone.
    groups: dict[tuple[str, str, Segment, datetime], list[Part]] = {}
    for part in store.parts(span, model=model, version=version):
        key = (part.host, part.version, segment_of(part), _floor(part.start, 86_400))
        groups.setdefault(key, []).append(part)
    rows: dict[Span, int] = {}
    for group in groups.values():
        for part in selected(no_longer_than(group, 3_600)):
            one = Span(part.start, part.end)
            rows[one] = rows.get(one, 0) + part.rows
    return tuple(sorted(rows.items()))


def _windows(
    store: Store,
    model: str,
    wanted: Sequence[Span],
    window: Span,
    version: str | None,
    zone: tzinfo,
    left_out: Mapping[str, Sequence[Span]],
) -> ReferenceProfile | None:
    """Each of the wanted spans as one window, apart by segment in the total; None when there is nothing in any.

    Segments are without the windows in which something of them drifted (`left_out`, by `segment_key`).

    Hours are kept for a month, minutes for two days: what begins within an hour is read from that whole hour. Of hours
    those are read that the clocks of the zone showed alike: at one o'clock it is one o'clock in summer and in winter.
    """
    if not wanted:
        return None
    length = window.length
    if length > _DAY:
        # Days are kept apart: how they differ bounds how weeks do, of which there are few.
        wanted = [
            Span(one.start + n * _DAY, one.start + (n + 1) * _DAY) for one in wanted for n in range(length // _DAY)
        ]
    whole_days = length >= _DAY and all(one.start == _floor(one.start, 86_400) for one in wanted)
    step = 86_400 if whole_days else 3_600
    read = {}
    for one in wanted:
        start = _floor(one.start, 3_600) if one.length >= timedelta(hours=1) else one.start
        if length < _DAY:
            start += _offset(window.start, zone) - _offset(one.start, zone)
        read[one] = Span(start, start + one.length)

    def listed() -> list[Part]:
        if whole_days or length >= _DAY:
            everything = Span(min(one.start for one in read.values()), max(one.end for one in read.values()))
            return no_longer_than(store.parts(everything, model=model, version=version), step)
        parts: list[Part] = []
        for one in read.values():
            parts += no_longer_than(store.parts(one, model=model, version=version), step)
        return parts

    starts = [one.start for one in read.values()]
    named = list(read)

    def place(part: Part) -> tuple[Span | None, Segment]:
        index = bisect.bisect_right(starts, part.start) - 1
        inside = index >= 0 and part.start + timedelta(seconds=part.seconds) <= read[named[index]].end
        return (named[index] if inside else None), segment_of(part)

    profiles, parts = _merged(store, listed, place, lambda part: place(part)[0] is not None)
    by_window: dict[Span, list[Profile]] = {}
    by_segment: dict[Segment, list[Profile]] = {}
    for (place_of, segment), profile in profiles.items():
        assert place_of is not None
        by_window.setdefault(place_of, []).append(profile)
        if not any(_meets(place_of, left_out.get(segment_key(*pair), ())) for pair in segment):
            by_segment.setdefault(segment, []).append(profile)
    windows = {one: _one(by_window[one]) for one in sorted(by_window)}
    total = merged(windows.values())
    if not total.rows and not total.actuals and not total.errors:
        return None
    return ReferenceProfile(
        source="",
        total=total,
        windows=tuple(windows.items()),
        segments={segment: _one(found) for segment, found in by_segment.items()},
        volumes=tuple((Span(part.start, part.end), part.rows) for part in parts),
    )


def _offset(moment: datetime, zone: tzinfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta(0)


def file_reference(path: Path) -> ReferenceProfile:
    """What the file was made of; OSError and `ReferenceFileError` when it cannot be read."""
    by_window: dict[Span, list[Profile]] = {}
    by_segment: dict[Segment, list[Profile]] = {}
    for key, profile in read_reference(path):
        start = datetime.fromtimestamp(key.start, UTC)
        by_window.setdefault(Span(start, start + timedelta(seconds=key.seconds)), []).append(profile)
        by_segment.setdefault(key.segment, []).append(profile)
    windows = {span: _one(by_window[span]) for span in sorted(by_window)}
    return ReferenceProfile(
        source=f"file {path.name}",
        total=merged(windows.values()),
        windows=tuple(windows.items()),
        segments={segment: _one(found) for segment, found in by_segment.items()},
    )


def _one(profiles: Sequence[Profile]) -> Profile:
    return profiles[0] if len(profiles) == 1 else merged(profiles)


def _reference_step(span: Span) -> timedelta:
    for step in (_DAY, timedelta(hours=1)):
        if span.length >= step * _FEWEST_WINDOWS:
            return step
    return timedelta(minutes=1)


def _stepped(
    store: Store, model: str, span: Span, step: timedelta, version: str | None, key: Callable[[Part], K]
) -> tuple[dict[tuple[datetime, K], Profile], list[Part]]:
    seconds = int(step.total_seconds())
    return _merged(
        store,
        lambda: no_longer_than(store.parts(span, model=model, version=version), seconds),
        lambda part: (_floor(part.start, seconds), key(part)),
    )


def _in_time(parts: Iterable[Part], step: timedelta, found: dict[datetime, T]) -> list[tuple[Span, T]]:
    ends = {start: start + step for start in found}
    for part in parts:
        start = _floor(part.start, int(step.total_seconds()))
        if start in ends:
            ends[start] = max(ends[start], _end(part))
    return [(Span(start, ends[start]), found[start]) for start in sorted(found)]


def _floor(moment: datetime, seconds: int) -> datetime:
    return datetime.fromtimestamp(int(moment.timestamp()) // seconds * seconds, UTC)


def _end(part: Part) -> datetime:
    return part.start + timedelta(seconds=part.seconds)


def _merged(
    store: Store,
    listed: Callable[[], list[Part]],
    key: Callable[[Part], K],
    wanted: Callable[[Part], bool] = lambda part: True,
) -> tuple[dict[K, Profile], list[Part]]:
    """The wanted of the listed parts' traffic by key, and the parts that it was read from."""
    unreadable: set[str] = set()
    attempts = 0
    while attempts < _ATTEMPTS:
        readable = selected(part for part in listed() if part.id not in unreadable)
        chosen = {part.id: part for part in readable if wanted(part)}
        profiles: dict[K, Profile] = {}
        found: set[str] = set()
        damaged: set[str] = set()
        for its_id, content in store.payloads(list(chosen)):
            if its_id in found:
                continue
            found.add(its_id)
            part = chosen[its_id]
            try:
                profile = from_bytes(content)
            except ProfileFormatError as error:
                _report(part, error)
                damaged.add(its_id)
                continue
            mine = profiles.get(key(part))
            if mine is None:
                # Read for this alone, so it may become the sum itself.
                profiles[key(part)] = profile
            else:
                mine.merge(profile)
        unreadable |= damaged
        if found != chosen.keys():
            attempts += 1
        # What an unreadable roll-up covers may still be there to be read instead.
        elif not any(chosen[its_id].covers for its_id in damaged):
            return profiles, [part for its_id, part in chosen.items() if its_id not in damaged]
    raise StoreUnavailableError(
        f"{len(chosen) - len(found)} profiles went while they were being read, {_ATTEMPTS} times over; "
        "see whether two collectors run maintenance at once"
    )


def _report(part: Part, error: ProfileFormatError) -> None:
    if part.id not in _reported:
        _reported.append(part.id)
        logger.warning(
            "profile %s of model %s, version %s, host %s, %s cannot be read and is left out: %s",
            part.id,
            part.model,
            part.version,
            part.host,
            part.start.isoformat(),
            error,
        )
