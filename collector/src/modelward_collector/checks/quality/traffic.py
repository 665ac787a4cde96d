"""Rules on the traffic as a whole: freshness, volume, duplicates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
from scipy import stats

from modelward_agent.durations import format_duration
from modelward_collector.checks.quality.expectation import SIGNIFICANCE, percent
from modelward_collector.checks.quality.judged import Judged, count_of
from modelward_collector.checks.result import Finding, Status
from modelward_collector.checks.window import ReferenceProfile, Window
from modelward_collector.models import ModelSpec
from modelward_collector.span import Span

CRITICAL_SILENCE = 4
"""So many times the longest allowed silence is an outage rather than a delay."""

HLL_DEVIATIONS = 3
"""A share of duplicates counts as far as the sketch's error, at this many standard deviations, leaves no doubt."""

MAX_COMPARED_STRETCHES = 60
DAY = timedelta(days=1)


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


def volume(spec: ModelSpec, version: str, window: Window, reference: ReferenceProfile | None) -> list[Finding]:
    """Rows an hour of all versions against `volume_min`, and against the reference at the same time of day.

    Too few are judged of all versions together and too many of this one alone: a canary has a small share of the
    model's traffic, whether the reference is the model's or its own.
    """
    rows = sum(profile.rows for profile in window.profiles.values())
    mine = sum(profile.rows for (name, _), profile in window.profiles.items() if name == version)
    hours = window.span.length / timedelta(hours=1)
    rate = rows / hours
    fewest, ratio = spec.checks.quality.volume_min, spec.checks.quality.volume_ratio
    length = format_duration(window.span.length)
    if fewest is not None and rows < fewest:
        said = f"{count_of(rows, 'row')} in {length}, fewer than volume_min {fewest:,}"
        return [Finding("traffic", "volume", Status.WARNING, said, value=rate, threshold=fewest / hours)]
    said = f"{rate:,.0f} rows an hour"
    volumes = _volumes(reference)
    if ratio is None or not volumes:
        status = Status.OK if rows else Status.NO_DATA
        return [Finding("traffic", "volume", status, said, value=rate)]
    stretches = reference_rows(volumes, window.span)
    if stretches is None:
        said += f"; not compared: the reference is kept in longer windows than {length}"
        return [Finding("traffic", "volume", Status.NO_DATA, said, value=rate)]
    usual = float(np.mean(stretches))
    low, high = ratio
    status, threshold = Status.OK, None
    if usual and rows < low * usual and rows < min(stretches) and stats.poisson.cdf(rows, usual) < SIGNIFICANCE:
        status, threshold = Status.WARNING, low * usual / hours
        said += f", {percent(rows / usual)} of the reference's {usual / hours:,.0f} at this time of day"
    elif usual and mine > high * usual and mine > max(stretches) and stats.poisson.sf(mine - 1, usual) < SIGNIFICANCE:
        status, threshold = Status.WARNING, high * usual / hours
        said += f", {mine / usual:.1f} times the reference's {usual / hours:,.0f} at this time of day"
    else:
        said += f"; the reference has {usual / hours:,.0f}"
    detail = {"reference_rows_per_hour": usual / hours, "compared_stretches": len(stretches)}
    return [Finding("traffic", "volume", status, said, value=rate, threshold=threshold, detail=detail)]


def _volumes(reference: ReferenceProfile | None) -> Sequence[tuple[Span, int]]:
    if reference is None:
        return ()
    return reference.volumes or [(span, profile.rows) for span, profile in reference.windows]


def reference_rows(volumes: Sequence[tuple[Span, int]], span: Span) -> list[float] | None:
    """Rows of the reference in every stretch as long as the span at the same time of day, at most 60, newest first.

    A stretch cuts what lies across its ends by time. Stretches where the reference is only known more coarsely than the
    span are left out; None when that is all. One value, scaled to the span's length, where the reference is too short
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
        if not (too_long & (overlap > 0)).any():
            found.append(float((rows * overlap / lengths).sum()))
    if found:
        return found
    if comparable or too_long.any():
        return None
    return [float(rows.sum() * (end - start) / (ends.max() - starts.min()))]


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
