"""What was accepted of a model, as its pages say and draw it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from modelward_collector.checks.acceptance import Acceptance
from modelward_collector.console import human
from modelward_collector.console.charts import Mark
from modelward_collector.console.site import Moment

_NAMED = 4
"""Features that a line names; the others it counts."""


@dataclass(frozen=True, slots=True)
class AcceptedLine:
    """Acceptances that say the same of several features."""

    first: Acceptance
    features: Sequence[str]

    @property
    def of(self) -> str:
        """What it is about."""
        named = [human.short(name, 40) for name in self.features[:_NAMED]]
        more = len(self.features) - len(named)
        what = ", ".join(named) + (f" and {more} more" if more > 0 else "") or "everything"
        return what if self.first.version is None else f"{what} of {human.short(self.first.version, 30)}"


def of_feature(said: Iterable[Acceptance], feature: str) -> list[Acceptance]:
    """Those about a feature or output."""
    return [one for one in said if one.feature in (None, feature)]


def of_version(said: Iterable[Acceptance], version: str) -> list[Acceptance]:
    """Those about a version."""
    return [one for one in said if one.version in (None, version)]


def accepted_lines(said: Iterable[Acceptance]) -> list[AcceptedLine]:
    """A line for what was accepted at once and since the same moment; the newest first."""
    grouped: dict[tuple[object, ...], list[Acceptance]] = {}
    for one in said:
        key = (one.at, one.by, one.reason, one.since, one.window, one.version, one.feature is None)
        grouped.setdefault(key, []).append(one)
    return [
        AcceptedLine(items[0], [one.feature for one in items if one.feature is not None])
        for items in reversed(grouped.values())
    ]


def accepted_marks(said: Iterable[Acceptance], moment: Moment) -> list[Mark]:
    """Where on a chart over time a new normal begins; what was put back is no such moment."""
    return [
        Mark(
            line.first.since,
            "new normal",
            f"new normal of {line.of} since {human.moment(line.first.since, moment.year)}, "
            f"accepted by {line.first.by} on {human.moment(line.first.at, moment.year)}"
            + (f": {line.first.reason}" if line.first.reason else ""),
        )
        for line in accepted_lines(said)
        if line.first.window is None
    ]
