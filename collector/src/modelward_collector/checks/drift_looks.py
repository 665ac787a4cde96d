"""At which lengths a model's traffic is looked at: by default the last hour, day and week at once.

Hours are whole hours, days whole UTC days: so each has others of its kind in the reference. A big step shows within the
hour, a small one in a day or a week. They share one false alarm rate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from modelward_collector.models import ModelSpec, ReferenceRolling, ReferenceSpan
from modelward_collector.span import Span, floor

HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
WEEK: Final = timedelta(days=7)

SHARES: Final[Mapping[timedelta, float]] = {HOUR: 0.4, DAY: 0.5, WEEK: 0.1}
"""What each length gets of the false alarm rate; the day, which sees most, has the most."""


@dataclass(frozen=True, slots=True)
class Length:
    """One stretch of traffic to look at, with its share of the false alarm rate; `trends` where it is a whole day."""

    span: Span
    share: float
    trends: bool = False


def lengths_of(
    spec: ModelSpec, asked: Span, born: datetime | None, known: Sequence[Span] | None = None
) -> Sequence[Length]:
    """What to look at in a check of the span `asked`, the shortest first; `born` is when the version was first seen.

    A version that is younger than the day is judged over its life, however short. A length that `models.d` gives is
    looked at alone, and so is the day where the reference does not tell hours apart for a week: `known` are the windows
    of one that is a file.
    """
    end = asked.end
    lived = Span(min(max(asked.start, born or asked.start), end), end)
    if spec.checks.drift.lengths_chosen or not _tells_hours(spec, known):
        return [Length(lived, 1.0)]
    hour = floor(end, HOUR)
    day = floor(end, DAY)
    found = [Length(Span(hour - HOUR, hour), SHARES[HOUR])]
    if born is None or born < day - DAY / 2:
        found.append(Length(Span(day - DAY, day), SHARES[DAY], trends=True))
    if born is None or born < day - 2 * WEEK:
        found.append(Length(Span(day - WEEK, day), SHARES[WEEK]))
    return found


def _tells_hours(spec: ModelSpec, known: Sequence[Span] | None) -> bool:
    reference = spec.reference
    if isinstance(reference, ReferenceRolling):
        return reference.window >= WEEK
    if isinstance(reference, ReferenceSpan):
        return reference.end - reference.start >= WEEK
    if not known:
        return False
    return min(one.length for one in known) <= HOUR and known[-1].end - known[0].start >= WEEK
