"""Amounts per stretch of time, as columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from markupsafe import Markup

from modelward_collector.console import human
from modelward_collector.console.charts import svg
from modelward_collector.console.charts.scale import Scale, nice_range, nice_ticks, time_ticks
from modelward_collector.span import Span

_BOTTOM = 26
_TOP = 8


@dataclass(frozen=True, slots=True)
class Column:
    """An amount over a stretch of time, `marked` of it drawn apart at the foot; `note` is added to what it says."""

    span: Span
    value: float
    marked: float = 0.0
    note: str = ""


def columns(
    bars: Sequence[Column],
    *,
    label: str,
    span: Span,
    year: int,
    unit: str,
    text: Callable[[float | None], str] = human.count,
    high: float | None = None,
    height: int = 150,
) -> Markup | None:
    """The chart, from zero up; None when every column is empty. `unit` follows a value in words: `rows`."""
    top = max((bar.value for bar in bars), default=0.0)
    if top <= 0 or span.length <= timedelta(0):
        return None
    inner = height - _BOTTOM - _TOP
    extent = nice_range(0.0, high or top, zero=True, wanted=3)
    scale = Scale(*extent)
    parts = [f'<g transform="translate(0 {_TOP})">']
    parts.append(svg.value_axis([(tick, text(tick)) for tick in nice_ticks(*extent, 3)], scale, inner))
    parts.append(svg.time_axis(time_ticks(span, year=year), inner))
    for bar in bars:
        left = max(0.0, (bar.span.start - span.start) / span.length)
        right = min(1.0, (bar.span.end - span.start) / span.length)
        if right <= left:
            continue
        x, width = svg.percent(left + (right - left) * 0.08), svg.percent((right - left) * 0.84)
        parts.append(f'<g class="column">{svg.title(_says(bar, unit, text, year))}')
        parts.append(
            f'<rect class="room" x="{svg.percent(left)}" width="{svg.percent(right - left)}" height="{inner}"/>'
        )
        parts.append(_bar("amount", x, width, scale.share(bar.value) * inner, inner))
        if bar.marked > 0:
            parts.append(_bar("marked", x, width, max(2.0, scale.share(bar.marked) * inner), inner))
        parts.append("</g>")
    parts.append("</g>")
    return svg.frame(parts, height=height, label=label, kind="bars")


def _bar(kind: str, x: str, width: str, size: float, height: float) -> str:
    return f'<rect class="{kind}" x="{x}" width="{width}" y="{height - size:.1f}" height="{size:.1f}" rx="1.5"/>'


def _says(bar: Column, unit: str, text: Callable[[float | None], str], year: int) -> str:
    note = f"\n{bar.note}" if bar.note else ""
    return f"{human.span(bar.span.start, bar.span.end, year)}\n{text(bar.value)} {unit}{note}"
