"""Rules on the traffic as a whole: freshness, volume, duplicates."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

import numpy as np
from scipy import stats

from modelward_agent.durations import format_duration
from modelward_collector.checks.quality.expectation import SIGNIFICANCE, percent
from modelward_collector.checks.quality.judged import Judged, count_of
from modelward_collector.checks.result import Finding, Status
from modelward_collector.checks.window import VOLUME, ReferenceProfile, Window
from modelward_collector.models import ModelSpec, ReferenceRolling
from modelward_collector.span import Span

CRITICAL_SILENCE = 4
"""So many times the longest allowed silence is an outage rather than a delay."""

HLL_DEVIATIONS = 3
"""A share of duplicates counts as far as the sketch's error, at this many standard deviations, leaves no doubt."""

MAX_COMPARED_STRETCHES = 60
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
SATURDAY: Final = 5

SAME_WEEKDAYS: Final = 3
"""So many of the same day of the week are enough to be compared with alone."""

LIKE_DAYS: Final = 2
"""So many days of the same kind (working or not) tell what is usual at an hour of them."""

ODD_SHARE: Final = 0.25
"""At most so many of the reference's stretches may be odd without being taken for what it also does."""


def freshness(spec: ModelSpec, last_seen: datetime | None, now: datetime) -> list[Finding]:
    """How long ago the latest row came."""
    longest = spec.checks.quality.freshness
    if longest is None:
        return []
    if last_seen is None:
        return [Finding("traffic", "freshness", Status.NO_DATA, "nothing was ever received")]
    silence = max(now - last_seen, timedelta(0))
    allowed = longest.total_seconds()
    status = Status.OK
    if silence > longest:
        status = Status.CRITICAL if silence > CRITICAL_SILENCE * longest else Status.WARNING
    said = f"the latest row is {format_duration(silence)} old"
    if status is not Status.OK:
        said = f"silent for {format_duration(silence)}, longer than {format_duration(longest)}"
    return [Finding("traffic", "freshness", status, said, value=silence.total_seconds(), threshold=allowed)]


def volume(
    spec: ModelSpec,
    version: str,
    window: Window,
    reference: ReferenceProfile | None,
    usual_week: Sequence[float | None] = (),
) -> Finding:
    """Rows an hour of all versions against `volume_min`, and against the reference's at the same hours of like days.

    Too few are judged of all versions together and too many of this one alone: a canary has a small share of the
    model's traffic, whether the reference is the model's or its own. `usual_week` (168,) are the rows of each hour of
    the week, from Monday on, that stand for the reference where they are given. Compared is with the same hours of the
    same day of the week, from three on; else of days of the same kind; of a model's own past from two such days on.
    """
    rows = sum(profile.rows for profile in window.profiles.values())
    mine = sum(profile.rows for (name, _), profile in window.profiles.items() if name == version)
    hours = window.span.length / timedelta(hours=1)
    rate = rows / hours
    fewest, ratio = spec.checks.quality.volume_min, spec.checks.quality.volume_ratio
    length = format_duration(window.span.length)
    if fewest is not None and rows < fewest:
        said = f"{count_of(rows, 'row')} in {length}, fewer than volume_min {fewest:,}"
        return Finding("traffic", "volume", Status.WARNING, said, value=rate, threshold=fewest / hours)
    said = f"{rate:,.0f} rows an hour"
    volumes = volumes_of(reference)
    left_out = reference.left_out.get(VOLUME, ()) if reference else ()
    holidays = frozenset(spec.holidays)
    expected = expected_rows(usual_week, window.span, holidays)
    if ratio is None or (not volumes and expected is None):
        status = Status.OK if rows else Status.NO_DATA
        return Finding("traffic", "volume", status, said, value=rate)
    if expected is not None:
        like = Like([expected], "", True)
    else:
        stretches = reference_rows(volumes, window.span, left_out)
        if stretches is None and left_out:
            return _unknown(said, rate, hours)
        if stretches is None:
            said += f"; not compared: the reference is kept in longer windows than {length}"
            return Finding("traffic", "volume", Status.NO_DATA, said, value=rate)
        like = like_days(stretches, window.span, holidays)
    usual = float(np.median(like.rows))
    low, high = ratio
    fewest_seen, most_seen = _ends(like.rows, low * usual, high * usual) if expected is None else (math.inf, 0.0)
    status, threshold = Status.OK, None
    if usual and rows < low * usual and rows < fewest_seen and stats.poisson.cdf(rows, usual) < SIGNIFICANCE:
        status, threshold = Status.WARNING, low * usual / hours
        said += f", {percent(rows / usual)} of the reference's {usual / hours:,.0f} {like.when}"
    elif usual and mine > high * usual and mine > most_seen and stats.poisson.sf(mine - 1, usual) < SIGNIFICANCE:
        status, threshold = Status.WARNING, high * usual / hours
        said += f", {mine / usual:.1f} times the reference's {usual / hours:,.0f} {like.when}"
    else:
        said += f"; the reference has {usual / hours:,.0f}"
    if not like.known and isinstance(spec.reference, ReferenceRolling):
        if status is Status.WARNING:
            said += "; still learning: these hours of such days are not known twice yet"
        status = Status.LEARNING if status is Status.WARNING else status
    detail = {"reference_rows_per_hour": usual / hours, "compared_stretches": len(like.rows)}
    return Finding("traffic", "volume", status, said.rstrip(), value=rate, threshold=threshold, detail=detail)


def _unknown(said: str, rate: float, hours: float) -> Finding:
    said += "; not compared: what is usual at these hours is still being learned"
    return Finding("traffic", "volume", Status.OK if rate * hours else Status.NO_DATA, said, value=rate)


def volumes_of(reference: ReferenceProfile | None) -> Sequence[tuple[Span, int]]:
    """The reference's rows by stretch of time."""
    if reference is None:
        return ()
    return reference.volumes or [(span, profile.rows) for span, profile in reference.windows]


@dataclass(frozen=True, slots=True)
class Like:
    """Rows of the stretches that a window is compared with, `when` those were, and whether enough of them are known."""

    rows: Sequence[float]
    when: str
    known: bool


def like_days(stretches: Sequence[tuple[int, float]], span: Span, holidays: Collection[date]) -> Like:
    """Of the same hours of other days, as `reference_rows` has them, those of days like the span's own."""
    rests = is_rest(span.start, holidays)
    kind = [
        (back, rows)
        for back, rows in stretches
        if back and (span.length > DAY or is_rest(span.start - back * DAY, holidays) == rests)
    ]
    same = [rows for back, rows in kind if back % 7 == 0]
    if len(same) >= SAME_WEEKDAYS:
        return Like(same, f"at this time of a {span.start:%A}" if not rests else "at this time of such days", True)
    if len(kind) >= LIKE_DAYS:
        return Like([rows for _, rows in kind], "at this time of such days", True)
    return Like([rows for _, rows in stretches], "at this time of day", False)


def is_rest(moment: datetime, holidays: Collection[date]) -> bool:
    """Whether that day (UTC) is of a weekend or a holiday."""
    return moment.weekday() >= SATURDAY or moment.date() in holidays


def _ends(rows: Sequence[float], low: float, high: float) -> tuple[float, float]:
    """The fewest and the most rows of the stretches, but for a few odd ones: no outage makes the next one normal."""
    usual = [one for one in rows if low <= one <= high]
    kept = usual if len(rows) - len(usual) <= ODD_SHARE * len(rows) else rows
    return min(kept), max(kept)


def usual_week(
    volumes: Sequence[tuple[Span, int]], holidays: Collection[date], left_out: Sequence[Span] = ()
) -> list[float | None]:
    """Rows of each hour of the week from Monday on, (168,), as they mostly were; None of an hour that is not known."""
    by_hour: dict[int, float] = {}
    for one, rows in volumes:
        if one.length <= HOUR:
            hour = int(one.start.timestamp()) // 3600
            by_hour[hour] = by_hour.get(hour, 0.0) + rows
    cells: dict[int, list[float]] = {}
    kinds: dict[tuple[bool, int], list[float]] = {}
    for hour in range(min(by_hour, default=0), max(by_hour, default=-1) + 1):
        moment = datetime.fromtimestamp(hour * 3600, UTC)
        if any(moment < out.end and out.start < moment + HOUR for out in left_out):
            continue
        rests = is_rest(moment, holidays)
        kinds.setdefault((rests, moment.hour), []).append(by_hour.get(hour, 0.0))
        cells.setdefault(_cell(moment, holidays), []).append(by_hour.get(hour, 0.0))
    found: list[float | None] = []
    for cell in range(7 * 24):
        day, hour = divmod(cell, 24)
        mine = cells.get(cell, [])
        known = mine if len(mine) >= SAME_WEEKDAYS else kinds.get((day >= SATURDAY, hour), [])
        found.append(float(np.median(known)) if len(known) >= LIKE_DAYS else None)
    return found


def expected_rows(week: Sequence[float | None], span: Span, holidays: Collection[date]) -> float | None:
    """The rows of the span by `usual_week`; None where an hour of it is not known."""
    if not week:
        return None
    total, moment = 0.0, span.start
    while moment < span.end:
        ends = min(span.end, moment.replace(minute=0, second=0, microsecond=0) + HOUR)
        usual = week[_cell(moment, holidays)]
        if usual is None:
            return None
        total += usual * ((ends - moment) / HOUR)
        moment = ends
    return total


def _cell(moment: datetime, holidays: Collection[date]) -> int:
    day = 6 if moment.date() in holidays else moment.weekday()
    return 24 * day + moment.hour


def reference_rows(
    volumes: Sequence[tuple[Span, int]], span: Span, left_out: Sequence[Span] = ()
) -> list[tuple[int, float]] | None:
    """Rows of the reference in every stretch as long as the span at the same time of day, at most 60, newest first.

    Each with how many days earlier it was. A stretch cuts what lies across its ends by time. Stretches where the
    reference is only known more coarsely than the span, or that reach into what is to be `left_out`, are passed over;
    None when that is all. One value, 0 days earlier and scaled to the span's length, where the reference is too short
    for the time of day.
    """
    starts = np.array([each.start.timestamp() for each, _ in volumes])
    lengths = np.array([each.length.total_seconds() for each, _ in volumes])
    rows = np.array([count for _, count in volumes], dtype=np.float64)
    ends = starts + lengths
    start, end = span.start.timestamp(), span.end.timestamp()
    too_long = lengths > end - start
    day = DAY.total_seconds()
    step = day * max(1, math.ceil((end - start) / day))
    first = math.ceil((end - ends.max()) / step)
    last = math.floor((start - starts.min()) / step)
    found = []
    comparable = [k for k in range(first, last + 1) if k]
    for k in comparable[:MAX_COMPARED_STRETCHES]:
        overlap = np.clip(np.minimum(ends, end - k * step) - np.maximum(starts, start - k * step), 0, None)
        back = timedelta(seconds=k * step)
        if any(span.start - back < out.end and out.start < span.end - back for out in left_out):
            continue
        if not (too_long & (overlap > 0)).any():
            found.append((round(k * step / day), float((rows * overlap / lengths).sum())))
    if found:
        return found
    if comparable or too_long.any():
        return None
    return [(0, float(rows.sum() * (end - start) / (ends.max() - starts.min())))]


def duplicates(judged: Judged, duplicate_ids: int, all_rows: int) -> list[Finding]:
    """Equal rows, estimated, and repeated ids, exact."""
    profile, largest = judged.profile, judged.spec.checks.quality.duplicates_max
    known = judged.known.duplicate_share if judged.known else 0.0
    bound = min(1.0, largest + known)
    share = profile.duplicate_share
    certain = max(0.0, 1.0 - float(profile.distinct_rows.get_upper_bound(HLL_DEVIATIONS)) / profile.rows)
    status = Status.WARNING if certain > bound else Status.OK
    said = f"about {percent(round(share, 3))} of rows equal an earlier one"
    if status is Status.WARNING:
        said += f", more than {percent(bound)}"
    findings = [Finding("rows", "duplicates", status, said, value=share, threshold=bound)]
    repeated = duplicate_ids / all_rows if all_rows else 0.0
    status = Status.WARNING if repeated > largest else Status.OK
    said = (
        f"{count_of(duplicate_ids, 'prediction')} ({percent(repeated)}) repeat an id; each counts once with its label"
    )
    findings.append(Finding("id", "duplicates", status, said, value=repeated, threshold=largest))
    return findings
