"""Since when it drifts: whether the interval holds the true moment, of a feature, of one in a segment, and of a pair.

Days of minutes in which something changes at a random moment, judged at the end of the second day. Changes so late that
the day is not flagged for them have no moment to tell.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from bench.columns import DAY, MINUTE, START, Count, profile, reference_of, verdict_since
from bench.rows import Row
from modelward_agent.profile import Profile, Segment, merged
from modelward_collector.checks.drift_reference import PreparedReference, prepare_reference
from modelward_collector.checks.result import CheckResult
from modelward_collector.checks.window import JOINT, ReferenceProfile
from modelward_collector.span import Span

Minute = Callable[[bool], Mapping[Segment, Profile]]
"""One minute's traffic by segment; True from the moment of the change on."""

HELD = 0.95
BEGIN = START + 1_000 * DAY


@dataclass(slots=True)
class Told:
    """How often an interval held the moment, how wide it was, and how far off the likeliest moment, in minutes."""

    days: int
    held: Count = field(default_factory=Count)
    widths: list[float] = field(default_factory=list)
    off: list[float] = field(default_factory=list)

    def add(self, change: Mapping[str, Any], moment: datetime) -> None:
        """Count one `detail.change`."""
        low, at, high = (datetime.fromisoformat(change[name] or START.isoformat()) for name in ("low", "at", "high"))
        self.held.add(low <= moment <= high)
        if change["at"] is not None and change["low"] is not None:
            self.widths.append((high - low) / MINUTE)
            self.off.append(abs(at - moment) / MINUTE)

    def row(self, what: str) -> Row:
        """Of the table."""
        widths, off = (float(np.median(values)) if values else math.nan for values in (self.widths, self.off))
        return Row(
            f"since when, {what}: the 95% interval holds the moment",
            f"{self.held.says()}; {widths:.0f} minutes wide, off by {off:.0f} (medians)",
            f"at least {HELD:.0%}, and told on half of the days",
            self.held.runs >= self.days / 2 and self.held.enough(HELD),
        )


def _days(
    draw: np.random.Generator, reference: PreparedReference, minute: Minute, runs: int
) -> list[tuple[CheckResult, datetime]]:
    """The verdicts on the second days, and the moments of the change in them."""
    found = []
    for _ in range(runs):
        moment = BEGIN + DAY * float(draw.uniform(1.1, 1.9))
        starts = [BEGIN + number * MINUTE for number in range(2 * 1_440)]
        minutes = {at: minute(at >= moment) for at in starts}
        found.append((verdict_since(reference, minutes, Span(BEGIN + DAY, BEGIN + 2 * DAY)), moment))
    return found


def since_when(runs: int, seed: int) -> list[Row]:
    """All of them, so many days a row."""
    return [*of_features(runs, seed), *of_segments(runs, seed), *of_pairs(runs, seed)]


def of_features(runs: int, seed: int) -> list[Row]:
    """A feature that moves."""
    draw = np.random.default_rng(seed)
    reference = reference_of([profile([draw.normal(0, 1, 10_000)]) for _ in range(10)])
    rows = []
    for size, each in ((0.5, 4), (1.0, 4), (0.3, 40)):

        def minute(changed: bool, size: float = size, each: int = each) -> Mapping[Segment, Profile]:
            return {(): profile([draw.normal(size if changed else 0.0, 1, each)])}

        told = Told(runs)
        for result, moment in _days(draw, reference, minute, runs):
            found = next(finding for finding in result.findings if finding.subject == "x0")
            if "change" in found.detail:
                told.add(found.detail["change"], moment)
        rows.append(told.row(f"moved by {size:g} sd, {each} rows a minute"))
    return rows


def of_segments(runs: int, seed: int) -> list[Row]:
    """A feature that moves in a segment with a quarter of the rows, while all others move against it."""
    draw = np.random.default_rng(seed)
    one: Segment = (("region", "eu"),)
    others: Segment = (("region", "elsewhere"),)

    def traffic(shift: float, each: int) -> dict[Segment, Profile]:
        return {
            one: profile([draw.normal(shift, 1, each)]),
            others: profile([draw.normal(-shift / 3, 1, 3 * each)]),
        }

    days = [traffic(0.0, 2_500) for _ in range(10)]
    spans = [Span(START + number * DAY, START + (number + 1) * DAY) for number in range(10)]
    windows = [merged(day.values()) for day in days]
    segments = {segment: merged(day[segment] for day in days) for segment in (one, others)}
    reference = prepare_reference(
        ReferenceProfile("bench", merged(windows), tuple(zip(spans, windows, strict=True)), segments)
    )
    rows = []
    for size, each in ((1.0, 2), (0.5, 10)):

        def minute(changed: bool, size: float = size, each: int = each) -> Mapping[Segment, Profile]:
            return traffic(size if changed else 0.0, each)

        told = Told(runs)
        for result, moment in _days(draw, reference, minute, runs):
            for finding in result.findings:
                if finding.segment == dict(one) and "change" in finding.detail:
                    told.add(finding.detail["change"], moment)
        rows.append(told.row(f"moved by {size:g} sd in a segment of {each} rows a minute, and not in all"))
    return rows


def of_pairs(runs: int, seed: int) -> list[Row]:
    """Two features whose correlation changes while each stays as it was."""
    draw = np.random.default_rng(seed)
    names = ("x0", "x1", "x2")

    def together(r: float, n: int) -> Profile:
        columns = draw.normal(size=(3, n))
        columns[1] = r * columns[0] + math.sqrt(1 - r * r) * columns[1]
        made = profile(list(columns))
        made.fold_together(names, columns)
        return made

    rows = []
    for before, after, each in ((0.7, 0.0, 4), (0.0, 0.5, 10), (0.9, 0.5, 10)):
        reference = reference_of([together(before, 10_000) for _ in range(10)])

        def minute(
            changed: bool, before: float = before, after: float = after, each: int = each
        ) -> Mapping[Segment, Profile]:
            return {(): together(after if changed else before, each)}

        told = Told(runs)
        for result, moment in _days(draw, reference, minute, runs):
            found = next(finding for finding in result.findings if finding.subject == JOINT)
            if "change" in found.detail:
                told.add(found.detail["change"], moment)
        rows.append(told.row(f"a correlation of {before:g} that becomes {after:g}, {each} rows a minute"))
    return rows
