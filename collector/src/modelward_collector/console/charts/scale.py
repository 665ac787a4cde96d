"""Scales and their ticks: round numbers on a value axis, round moments on a time axis."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from modelward_collector.span import Span

_ROUND = (1.0, 2.0, 2.5, 5.0, 10.0)

STEPS = tuple(
    timedelta(seconds=seconds)
    for seconds in (
        60, 300, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200,
        86_400, 172_800, 259_200, 604_800, 1_209_600, 2_592_000, 7_776_000, 31_536_000,
    )
)  # fmt: skip
"""Lengths of time that people think in, from a minute to a year."""

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class Scale:
    """Values from `low` to `high` onto shares from 0 to 1; a scale without extent puts all in the middle."""

    low: float
    high: float

    def share(self, value: float) -> float:
        """Where the value lies, held within [0, 1]."""
        extent = self.high - self.low
        if not extent > 0:
            return 0.5
        return min(1.0, max(0.0, (value - self.low) / extent))


def nice_ticks(low: float, high: float, wanted: int = 4) -> list[float]:
    """Round numbers from `low` to `high`, inside both, about `wanted` of them; empty when the ends are not finite."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low or wanted < 1:
        return [low] if math.isfinite(low) and low == high else []
    raw = (high - low) / wanted
    if not math.isfinite(raw) or raw <= 0:
        return []
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(magnitude * factor for factor in _ROUND if magnitude * factor >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [0.0 if index == 0 else float(f"{index * step:.12g}") for index in range(first, min(last, first + 50) + 1)]


def nice_range(low: float, high: float, *, zero: bool = False, wanted: int = 4) -> tuple[float, float]:
    """The ends moved out to round numbers; a single value gets room on both sides, `zero` is let in when asked."""
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    if low == high:
        room = abs(low) * 0.1 or 1.0
        low, high = (low, high + room) if zero and low == 0 else (low - room, high + room)
    ticks = nice_ticks(low, high, wanted)
    if len(ticks) < 2:
        return low, high
    step = ticks[1] - ticks[0]
    return math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step


def step_for(length: timedelta, most: int) -> timedelta:
    """The shortest of `STEPS` that cuts the length into at most that many pieces."""
    return next((step for step in STEPS if length <= step * most), STEPS[-1])


def floor_to(moment: datetime, step: timedelta) -> datetime:
    """The last whole multiple of the step since the epoch; weeks and longer count from a Monday."""
    seconds = int(step.total_seconds())
    offset = 345_600 if seconds >= 604_800 else 0  # 1970-01-05 was a Monday
    return datetime.fromtimestamp((int(moment.timestamp()) - offset) // seconds * seconds + offset, UTC)


@dataclass(frozen=True, slots=True)
class TimeTick:
    """A moment on a time axis, where it lies (a share of the width), and its label."""

    at: datetime
    share: float
    label: str


def time_ticks(span: Span, *, year: int, wanted: int = 6) -> list[TimeTick]:
    """Round moments of the span, UTC; the first one, and each in a new year, names a year that is not `year`."""
    if span.length <= timedelta(0):
        return []
    moments = _months(span, wanted) if span.length > timedelta(days=75) else _steps(span, wanted)
    ticks: list[TimeTick] = []
    shown: tuple[int, int, int] | None = None
    for moment in moments:
        label = _label(moment, span.length, shown, year)
        ticks.append(TimeTick(moment, (moment - span.start) / span.length, label))
        shown = (moment.year, moment.month, moment.day)
    return ticks


def _steps(span: Span, wanted: int) -> list[datetime]:
    step = step_for(span.length, wanted)
    moment = floor_to(span.start, step)
    found = []
    while moment <= span.end:
        if moment >= span.start:
            found.append(moment)
        moment += step
    return found


def _months(span: Span, wanted: int) -> list[datetime]:
    months = span.length.days / 30.4
    stride = next((n for n in (1, 2, 3, 6) if months / n <= wanted), 12 * max(1, math.ceil(months / 12 / wanted)))
    index = span.start.year * 12 + span.start.month - 1
    found = []
    while (moment := datetime(index // 12, index % 12 + 1, 1, tzinfo=UTC)) <= span.end:
        if moment >= span.start and (index % 12 if stride < 12 else index // 12 * 12 + index % 12) % stride == 0:
            found.append(moment)
        index += 1
    return found


def _label(moment: datetime, length: timedelta, shown: tuple[int, int, int] | None, year: int) -> str:
    new_year = moment.year != year if shown is None else moment.year != shown[0]
    suffix = f" {moment.year}" if new_year else ""
    if length > timedelta(days=75):
        return f"{_MONTHS[moment.month - 1]}{suffix}"
    day = f"{moment.day} {_MONTHS[moment.month - 1]}{suffix}"
    if length > timedelta(days=4):
        return day
    clock = f"{moment:%H:%M}"
    if shown is None or shown != (moment.year, moment.month, moment.day):
        return day if clock == "00:00" else f"{day} {clock}"
    return clock
