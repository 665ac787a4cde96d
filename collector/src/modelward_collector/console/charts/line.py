"""Values over time: lines with their bands, thresholds, and what each point says when pointed at."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from markupsafe import Markup, escape

from modelward_collector.console import human
from modelward_collector.console.charts import svg
from modelward_collector.console.charts.scale import Scale, nice_range, nice_ticks, time_ticks
from modelward_collector.span import Span

_BOTTOM = 26
_TOP = 8
_NAME_WIDTH = 0.12
_NARROW_NAME_WIDTH = 0.3
_HITS = 120
_MARKS = 40
_NAME_PITCH = 14


@dataclass(frozen=True, slots=True)
class Point:
    """One value with its interval; None or NaN leaves a gap. `href` is where a click leads."""

    at: datetime
    value: float | None
    low: float | None = None
    high: float | None = None
    flagged: bool = False
    href: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A named series in time order; `kind` is its class in the style sheet (`current`, `reference`, `second`)."""

    name: str
    points: Sequence[Point]
    kind: str = "current"


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment that is drawn across the plot: a word or two beside it, and what it says when pointed at.

    `kind` is its class in the style sheet.
    """

    at: datetime
    name: str
    note: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Axis:
    """How values are written, and the range they are drawn in; an end that is None follows the values.

    `least` is what the range reaches up to at least, so that nothing is not drawn on a scale up to everything.
    """

    text: Callable[[float | None], str] = human.number
    low: float | None = None
    high: float | None = None
    zero: bool = False
    least: float | None = None


def finite(value: float | None) -> bool:
    """A number that can be drawn."""
    return value is not None and math.isfinite(value)


def value_range(
    lines: Sequence[Line], axis: Axis, others: Sequence[float] = (), wanted: int = 4
) -> tuple[float, float] | None:
    """The round range of about `wanted` ticks that holds every value, interval end and threshold; None of no value."""
    values = [
        float(value)
        for line in lines
        for point in line.points
        if finite(point.value)
        for value in (point.value, point.low, point.high)
        if value is not None and math.isfinite(value)
    ]
    if not values:
        return None
    values += [value for value in others if math.isfinite(value)]
    if axis.least is not None:
        values.append(axis.least)
    low, high = nice_range(min(values), max(values), zero=axis.zero, wanted=wanted)
    return (low if axis.low is None else axis.low), (high if axis.high is None else axis.high)


def line_chart(
    lines: Sequence[Line],
    *,
    label: str,
    span: Span,
    year: int,
    axis: Axis | None = None,
    thresholds: Sequence[tuple[float, str]] = (),
    moments: Sequence[Mark] = (),
    height: int = 190,
    gap: timedelta | None = None,
    ticks: int = 6,
    named: bool = False,
) -> Markup | None:
    """The chart, or None when there is nothing to draw, which the page then says in words.

    `thresholds` are values with what they mean; of `moments` those in the span are drawn. Points further apart than
    `gap` are not joined.
    `named` writes each line's name at its end.
    """
    axis = axis or Axis()
    shown = [mark for mark in moments if span.start <= mark.at <= span.end]
    top = _TOP + (_NAME_PITCH if shown else 0)
    inner = height - _BOTTOM - top
    wanted = 4 if inner > 100 else 2
    extent = value_range(lines, axis, [value for value, _ in thresholds], wanted)
    if extent is None or span.length <= timedelta(0):
        return None
    scale = Scale(*extent)
    parts = [f'<g transform="translate(0 {top})">']
    parts.append(svg.value_axis([(tick, axis.text(tick)) for tick in nice_ticks(*extent, wanted)], scale, inner))
    parts.append(svg.time_axis(time_ticks(span, year=year, wanted=ticks), inner))
    paths = []
    for line in lines:
        runs = _runs(line.points, gap)
        paths += [svg.path(f"band {line.kind}", _band(run, span, scale, inner)) for run in runs if _banded(run)]
        paths += [svg.path(f"line {line.kind}", _stroke(run, span, scale, inner)) for run in runs if len(run) > 1]
    parts.append(svg.stretched(paths, inner))
    for value, name in thresholds:
        y = inner * (1 - scale.share(value))
        below = y < 14
        x, side = ("0", "start") if _clearer_at_start(lines, span, value) else ("100%", "end")
        parts.append(
            f'<line class="threshold" x1="0" x2="100%" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="threshold-label {side}" x="{x}" y="{y + (12 if below else -5):.1f}">{escape(name)}</text>'
        )
    parts += [_marks(line, span, scale, inner, gap) for line in lines]
    if named:
        parts.append(_names(lines, span, scale, inner))
    parts.append(_hits(lines, span, scale, inner, axis, year))
    parts.append(_moments(shown, span, inner))
    parts.append("</g>")
    return svg.frame(parts, height=height, label="; ".join([label, *(mark.note for mark in shown)]), kind="lines")


def _x(at: datetime, span: Span) -> float:
    return min(1.0, max(0.0, (at - span.start) / span.length))


def _runs(points: Sequence[Point], gap: timedelta | None) -> list[list[Point]]:
    runs: list[list[Point]] = []
    previous: Point | None = None
    for point in points:
        if not finite(point.value):
            previous = None
            continue
        if previous is None or (gap is not None and point.at - previous.at > gap):
            runs.append([])
        runs[-1].append(point)
        previous = point
    return runs


def _banded(run: Sequence[Point]) -> bool:
    return len(run) > 1 and all(finite(point.low) and finite(point.high) for point in run)


def _stroke(run: Sequence[Point], span: Span, scale: Scale, height: float) -> str:
    return "M" + "L".join(_at(point.at, point.value, span, scale, height) for point in run)


def _band(run: Sequence[Point], span: Span, scale: Scale, height: float) -> str:
    upper = [_at(point.at, point.high, span, scale, height) for point in run]
    lower = [_at(point.at, point.low, span, scale, height) for point in reversed(run)]
    return "M" + "L".join(upper + lower) + "Z"


def _at(at: datetime, value: float | None, span: Span, scale: Scale, height: float) -> str:
    y = height * (1 - scale.share(value if value is not None else 0.0))
    return f"{_x(at, span) * svg.INNER_WIDTH:.1f} {y:.1f}"


def _clearer_at_start(lines: Sequence[Line], span: Span, value: float) -> bool:
    """Whether a word at the threshold's start would be further from the lines than one at its end."""

    def distance(begin: float, end: float) -> float:
        near = [
            abs(point.value - value)
            for line in lines
            for point in line.points
            if point.value is not None and math.isfinite(point.value) and begin <= _x(point.at, span) <= end
        ]
        return min(near, default=math.inf)

    return distance(0, _NAME_WIDTH) > distance(1 - _NAME_WIDTH, 1)


def _marks(line: Line, span: Span, scale: Scale, height: float, gap: timedelta | None) -> str:
    drawn = []
    runs = _runs(line.points, gap)
    alone = {id(run[0]) for run in runs if len(run) == 1}
    last = runs[-1][-1] if runs else None
    # Many marks would hide the line that they are on.
    many = sum(point.flagged for point in line.points) > _MARKS
    for run in runs:
        for point in run:
            if not (point.flagged or id(point) in alone or point is last):
                continue
            x = svg.percent(_x(point.at, span))
            y = height * (1 - scale.share(point.value or 0.0))
            if id(point) in alone and finite(point.low) and finite(point.high):
                top, bottom = (height * (1 - scale.share(end or 0.0)) for end in (point.high, point.low))
                drawn.append(f'<line class="whisker {line.kind}" x1="{x}" x2="{x}" y1="{top:.1f}" y2="{bottom:.1f}"/>')
            kind = ("flagged many" if many else "flagged") if point.flagged else line.kind
            size = 1.9 if many and point.flagged else 3
            drawn.append(f'<circle class="point {kind}" cx="{x}" cy="{y:.1f}" r="{size}"/>')
    return "".join(drawn)


def _names(lines: Sequence[Line], span: Span, scale: Scale, height: float) -> str:
    """Each line's name beside its last point; names that would meet are moved apart."""
    ends = []
    for line in lines:
        last = next((point for point in reversed(line.points) if finite(point.value)), None)
        if last is not None:
            ends.append((_x(last.at, span), height * (1 - scale.share(last.value or 0.0)), line))
    drawn = []
    taken: list[tuple[float, float]] = []
    for x, y, line in sorted(ends, key=lambda end: end[1]):
        baseline = y - 9
        for other_x, other_y in taken:
            if abs(other_x - x) < _NAME_WIDTH and baseline - other_y < _NAME_PITCH:
                baseline = max(other_y + _NAME_PITCH, y + 17)
        taken.append((x, baseline))
        side = "end" if x > _NAME_WIDTH else "start"
        drawn.append(
            f'<text class="line-name {side} {line.kind}" x="{svg.percent(x)}" y="{baseline:.1f}">'
            f"{escape(human.short(line.name, 24))}</text>"
        )
    return "".join(drawn)


def _moments(marks: Sequence[Mark], span: Span, height: float) -> str:
    """A line for each over what else can be pointed at, its name above the plot where no other is."""
    notes: dict[datetime, list[Mark]] = {}
    for mark in marks:
        notes.setdefault(mark.at, []).append(mark)
    drawn = []
    # A name takes more of a narrow plot: those that meet there only are of the second rank, which it does not show.
    free = {_NAME_WIDTH: 0.0, _NARROW_NAME_WIDTH: 0.0}
    for at in sorted(notes):
        x = _x(at, span)
        at_end = x > 1 - _NARROW_NAME_WIDTH
        fits = {width: (x - width if at_end else x) >= taken for width, taken in free.items()}
        free = {width: (x if at_end else x + width) if fits[width] else taken for width, taken in free.items()}
        place = svg.percent(x)
        name = ""
        if fits[_NAME_WIDTH]:
            side = ("end" if at_end else "start") + ("" if fits[_NARROW_NAME_WIDTH] else " second")
            name = f'<text class="{side}" x="{place}" y="-6">{escape(notes[at][0].name)}</text>'
        ends = f'x1="{place}" x2="{place}" y1="-4" y2="{height:g}"'
        title = svg.title(chr(10).join(mark.note for mark in notes[at]))
        kind = " ".join(["moment", *dict.fromkeys(mark.kind for mark in notes[at] if mark.kind)])
        drawn.append(f'<g class="{kind}">{title}<line class="reach" {ends}/><line {ends}/>{name}</g>')
    return "".join(drawn)


def _reachable(moments: Mapping[datetime, Sequence[tuple[Line, Point]]], span: Span) -> list[datetime]:
    """At most `_HITS` moments, for a pointer tells no more apart; of near ones a flagged one, else the last."""
    chosen: dict[int, datetime] = {}
    for at in sorted(moments):
        place = int(_x(at, span) * _HITS)
        kept = chosen.get(place)
        if kept is None or not any(point.flagged for _, point in moments[kept]):
            chosen[place] = at
    return list(chosen.values())


def _hits(lines: Sequence[Line], span: Span, scale: Scale, height: float, axis: Axis, year: int) -> str:
    """An invisible column around each moment with a value: its title, a cross-hair, a link where there is one."""
    moments: dict[datetime, list[tuple[Line, Point]]] = {}
    for line in lines:
        for point in line.points:
            if finite(point.value):
                moments.setdefault(point.at, []).append((line, point))
    order = sorted(_reachable(moments, span))
    drawn = []
    for index, at in enumerate(order):
        x = _x(at, span)
        left = (x + _x(order[index - 1], span)) / 2 if index else 0.0
        right = (x + _x(order[index + 1], span)) / 2 if index + 1 < len(order) else 1.0
        texts = [human.moment(at, year)]
        marks = [f'<line x1="{svg.percent(x)}" x2="{svg.percent(x)}" y1="0" y2="{height:g}"/>']
        href = ""
        for line, point in moments[at]:
            value = point.value if point.value is not None else 0.0
            interval = ""
            if finite(point.low) and finite(point.high):
                interval = f" ({axis.text(point.low)} to {axis.text(point.high)})"
            note = f", {point.note}" if point.note else ""
            texts.append(f"{line.name} {axis.text(value)}{interval}{note}")
            y = height * (1 - scale.share(value))
            marks.append(f'<circle class="{line.kind}" cx="{svg.percent(x)}" cy="{y:.1f}" r="4"/>')
            href = href or point.href
        rect = (
            f'<rect x="{svg.percent(left)}" width="{svg.percent(max(0.0, right - left))}" y="0" height="{height:g}"/>'
        )
        body = f'<g class="hit">{svg.title(chr(10).join(texts))}{rect}{"".join(marks)}</g>'
        drawn.append(f'<a href="{escape(href)}" tabindex="-1">{body}</a>' if href else body)
    return "".join(drawn)
