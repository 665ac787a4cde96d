"""What a check looks at: a window of profiles, and the reference it is compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo

from modelward_agent.profile import Profile, Segment, merged
from modelward_collector.span import Span

JOINT = "(joint)"
"""The subject of what is found about features together."""


VOLUME = "traffic/traffic"
"""The subject of how much traffic there is, as `subject_key` has those of features and outputs."""


def subject_key(side: str, name: str) -> str:
    """One name for a feature (`features/age`) or output (`outputs/score`), or `(joint)`, that memories go by."""
    return name if name == JOINT else f"{side}/{name}"


def stride(length: timedelta) -> timedelta:
    """From one window of so long to the next of the same hours: whole days, one at least."""
    day = timedelta(days=1)
    return max(day, -(-length // day) * day)


def segment_key(name: str, value: str) -> str:
    """The name that memories have for a segment in which anything drifts."""
    return f"segments/{name}={value}"


@dataclass(frozen=True, slots=True)
class Window:
    """The traffic of one model in one span, merged over hosts and time, apart by version and segment.

    `last_row` is the end of the latest profile with predictions in it, None when there is none. The profiles are
    not to be changed.
    """

    model: str
    span: Span
    profiles: Mapping[tuple[str, Segment], Profile]
    hosts: frozenset[str] = frozenset()
    last_row: datetime | None = None

    def versions(self) -> list[str]:
        """The versions that had traffic, sorted; not those that only labels name, which may come without one."""
        served = {version for (version, _), profile in self.profiles.items() if profile.rows or profile.errors}
        return sorted(served or {version for version, _ in self.profiles})

    def segments(self, version: str | None = None) -> dict[str, list[str]]:
        """Every segment name with its values, sorted; of one version or of all."""
        values: dict[str, set[str]] = {}
        for mine, segment in self.profiles:
            if version is None or mine == version:
                for name, value in segment:
                    values.setdefault(name, set()).add(value)
        return {name: sorted(values[name]) for name in sorted(values)}

    def profile(self, version: str | None = None, where: Mapping[str, str] | None = None) -> Profile:
        """All traffic of a version (None: of all) in the segments that have every pair of `where`; a new profile."""
        wanted = set((where or {}).items())
        return merged(
            profile
            for (mine, segment), profile in self.profiles.items()
            if (version is None or mine == version) and wanted <= set(segment)
        )


@dataclass(frozen=True, slots=True)
class ReferenceProfile:
    """What normal is: `total` merged, and the reference's own windows in time order, as fine as they were kept.

    `source` says where it is from, for people. `segments` is the total apart by segment, empty when not known.
    `volumes` are its rows by stretch of time, finer than `windows` where it costs nothing to know; stretches may
    overlap (hosts, segments) and add up. Empty: as the windows have it.

    Of a rolling reference `begun` is when the first traffic was that it could know, None of one that is complete as it
    was given; `horizon` how much of its newest traffic a feature is compared with; `left_out` has by `subject_key`
    the spans that do not belong to what is normal, since something drifted in them or another normal has begun since.
    `put_back` has spans whose windows belong to it however odd they are; `holidays` are days that are like Sundays,
    and days those of the `zone`.
    """

    source: str
    total: Profile
    windows: tuple[tuple[Span, Profile], ...] = ()
    segments: Mapping[Segment, Profile] = field(default_factory=dict)
    volumes: tuple[tuple[Span, int], ...] = ()
    begun: datetime | None = None
    horizon: timedelta | None = None
    left_out: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)
    put_back: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)
    holidays: frozenset[date] = frozenset()
    zone: tzinfo = UTC

    def optional(self) -> frozenset[str]:
        """Columns that tell segments apart: features too in the file they are from, and perhaps not in traffic."""
        return frozenset(name for segment in self.segments for name, _ in segment if name)

    def where(self, wanted: Mapping[str, str]) -> Profile:
        """The reference's traffic in the segments that have every pair; empty when the reference has none."""
        pairs = set(wanted.items())
        return merged(profile for segment, profile in self.segments.items() if pairs <= set(segment))
