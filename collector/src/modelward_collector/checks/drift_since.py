"""Since when something drifts: its change point in the traffic of the window and as much before it.

What is followed (`drift_measure`) becomes one number a step. The steps are coarse at first, and fine only where the
change may lie, so that the cost is bounded whatever the traffic.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

import numpy as np

from modelward_agent.profile import Profile, Segment
from modelward_collector.checks.drift_history import JOINT_TEST
from modelward_collector.checks.drift_measure import Measure
from modelward_collector.checks.result import CheckResult, Status
from modelward_collector.checks.window import JOINT
from modelward_collector.span import Span
from modelward_collector.stats.change_point import FEWEST_STEPS, change_point

K = TypeVar("K", bound=Hashable)

Steps = Callable[[Span, timedelta], Sequence[tuple[Span, Mapping[Segment, Profile]]]]
"""The version's traffic by segment, in steps of a length, in time order; steps without any are left out."""

LEVELS = (timedelta(days=1), timedelta(hours=1), timedelta(minutes=1))
"""How fine steps may be."""

Key = tuple[Hashable, ...]
"""Of what something is known since when."""

STEPS_MAX = 240
"""So many fine steps are read at most: four hours of minutes, ten days of hours. A wider interval would not get
narrower by finer steps, it is as wide as chance makes it."""


@dataclass(frozen=True, slots=True)
class Followed:
    """What is measured in the traffic of the segments that have every pair of `where`; all without a pair."""

    measure: Measure[Profile]
    where: Segment = ()


@dataclass(frozen=True, slots=True)
class Since:
    """The change began at about `at`, with 95% confidence between `low` and `high`; all aware UTC moments.

    `low` is None when it may have been before all that was looked at, and `at` when it most likely was.
    """

    at: datetime | None
    low: datetime | None
    high: datetime

    def says(self, now: datetime, start: datetime) -> str:
        """In words: `since about 09:40 (09:20 to 10:05)`; days are named when they are not today's (UTC)."""
        if self.at is None:
            return f"since before {_moment(start, now)}"
        if self.low is None and self.high <= start:  # found by an earlier window, of which the start is not known here
            return f"since about {_moment(self.at, now)} ({_moment(self.high, now, named=True)} at the latest)"
        low = _moment(self.low, now) if self.low is not None else f"before {_moment(start, now)}"
        # After a day that is named, a time alone would be of that day.
        named = self.low is not None and self.low.date() != now.date()
        return f"since about {_moment(self.at, now)} ({low} to {_moment(self.high, now, named=named)})"

    def narrows(self, known: Since) -> bool:
        """Whether it tells the same change better: within what was known, and in less."""
        if self.at is None or self.low is None or self.at > known.high:
            return False
        return known.low is None or (known.low <= self.at and self.high - self.low < known.high - known.low)


@dataclass(frozen=True, slots=True)
class _Step:
    """A step's number and its weight, 1 / the sampling variance; 0 of a step without rows."""

    span: Span
    value: float
    weight: float


def scanned(window: Span) -> Span:
    """What is looked at: the window, and as much before it."""
    return Span(window.start - window.length, window.end)


def locate(wanted: Mapping[K, Followed], window: Span, steps: Steps) -> dict[K, Since]:
    """When each began; without those that the steps are too few to tell of. The most important come first.

    All are read at once, and fine steps where any may have changed: those of the first of them when it is too much.
    """
    scan = scanned(window)
    level = next((i for i, step in enumerate(LEVELS) if scan.length >= FEWEST_STEPS * step), len(LEVELS) - 1)
    if not wanted:
        return {}
    tracks = _tracks(wanted, steps(scan, LEVELS[level]))
    found = {key: since for key, one in wanted.items() if (since := _since(tracks[key], one.measure, scan)) is not None}
    for step in LEVELS[level + 1 :]:
        stretches: list[Span] = []
        for since in found.values():
            stretches = _with(stretches, since, scan, step)
        finer = _tracks(
            {key: wanted[key] for key in found}, [part for stretch in stretches for part in steps(stretch, step)]
        )
        for key, since in list(found.items()):
            stretch = Span(since.low or scan.start, since.high)
            if not any(one.start <= stretch.start and stretch.end <= one.end for one in stretches):
                continue
            inside = [one for one in finer[key] if stretch.start <= one.span.start < stretch.end]
            outside = [one for one in tracks[key] if not stretch.start <= one.span.start < stretch.end]
            tracks[key] = sorted([*outside, *inside], key=lambda one: (one.span.start, one.span.end))
            found[key] = _since(tracks[key], wanted[key].measure, scan) or since
    return found


# -- steps ----------------------------------------------------------------------------------------------------------


def _tracks(
    wanted: Mapping[K, Followed], parts: Sequence[tuple[Span, Mapping[Segment, Profile]]]
) -> dict[K, list[_Step]]:
    inside: dict[Segment, list[tuple[Span, list[Profile]]]] = {}
    for where in {one.where for one in wanted.values()}:
        pairs = set(where)
        having = {segment for _, by_segment in parts for segment in by_segment if pairs <= {*segment}}
        inside[where] = [
            (span, [profile for segment, profile in by_segment.items() if segment in having])
            for span, by_segment in parts
        ]
    return {
        key: [_step(span, one.measure, profiles) for span, profiles in inside[one.where]] for key, one in wanted.items()
    }


def _step(span: Span, measure: Measure[Profile], profiles: Sequence[Profile]) -> _Step:
    read = [one for one in map(measure.of, profiles) if one[1] > 0]
    weight = sum(one[1] for one in read)
    return _Step(span, sum(value * part for value, part in read) / weight if weight else 0.0, weight)


def _since(track: Sequence[_Step], measure: Measure[Profile], scan: Span) -> Since | None:
    track = [step for step in track if step.weight > 0]
    found = change_point(
        np.array([step.value for step in track]), np.array([step.weight for step in track]), measure.before
    )
    if found is None:
        return None
    # The change may lie inside a step, which has something of both levels then: so a step more on either side.
    low = None if found.low == 0 else max(scan.start, track[found.low - 1].span.start)
    high = min(scan.end, track[found.high].span.end)
    # Of a level that nothing is known of, one of the steps seems new however old all of them are.
    unknown = low is None and not measure.before[1]
    return Since(None if unknown or not found.first else max(scan.start, track[found.first].span.start), low, high)


def _with(stretches: list[Span], since: Since, scan: Span, step: timedelta) -> list[Span]:
    """The stretches and this interval, joined where they touch; as they were when that is too much to read."""
    wanted = Span(since.low or scan.start, since.high)
    joined: list[Span] = []
    for one in sorted([*stretches, wanted]):
        if joined and one.start <= joined[-1].end:
            joined[-1] = Span(joined[-1].start, max(joined[-1].end, one.end))
        else:
            joined.append(one)
    total = sum((one.length for one in joined), timedelta())
    return joined if total <= STEPS_MAX * step else stretches


def _moment(moment: datetime, now: datetime, *, named: bool = False) -> str:
    return f"{moment.day} {moment:%b %H:%M}" if named or moment.date() != now.date() else f"{moment:%H:%M}"


# -- as detail of a finding -----------------------------------------------------------------------------------------


def to_detail(since: Since) -> dict[str, Any]:
    """JSON values: `at`, `low` (None: before all that was looked at), `high`, and the `confidence` of the interval."""
    moments = {"at": since.at, "low": since.low, "high": since.high}
    return {name: None if moment is None else _rfc3339(moment) for name, moment in moments.items()} | {
        "confidence": 0.95
    }


def from_detail(detail: Mapping[str, Any]) -> Since:
    """The inverse of `to_detail`."""
    at, low, high = (None if detail[name] is None else datetime.fromisoformat(detail[name]) for name in _MOMENTS)
    assert high is not None
    return Since(at, low, high)


_MOMENTS = ("at", "low", "high")

JOINT_KEY: Key = (JOINT,)
"""Of all pairs together."""


def feature_key(side: str, name: str, where: Mapping[str, str] | None = None) -> Key:
    """Of a feature or output, in a segment or in all rows."""
    return side, name, tuple(sorted((where or {}).items()))


def together_key(*names: str) -> Key:
    """Of two features that no longer move together, or two or three that depend on each other otherwise."""
    return (JOINT, *names)


def known_from(result: CheckResult) -> dict[Key, Since]:
    """What an earlier result found, of everything that it flagged."""
    found: dict[Key, Since] = {}
    for finding in result.findings:
        detail = finding.detail
        if finding.status is Status.OK or "change" not in detail:
            continue
        if finding.test == JOINT_TEST:
            found[JOINT_KEY] = from_detail(detail["change"])
            named = {together_key(pair["a"], pair["b"]): pair for pair in detail["contributors"]}
            named |= {together_key(*one["features"]): one for one in detail.get("dependences", ())}
            found |= {key: from_detail(one["change"]) for key, one in named.items() if "change" in one}
        else:
            side = "outputs" if detail["output"] else "features"
            found[feature_key(side, finding.subject, finding.segment)] = from_detail(detail["change"])
    return found


def _rfc3339(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
