"""Two distributions over each other: what was normal, and what is now."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup, escape

from modelward_collector.console import human
from modelward_collector.console.charts import svg
from modelward_collector.console.charts.scale import Scale, nice_range, nice_ticks

_BOTTOM = 26
_TOP = 8


@dataclass(frozen=True, slots=True)
class Distribution:
    """Shares of rows in the same bins (`edges` has one more than the shares) or the same named categories.

    Exactly one of `edges` and `names` is filled. Shares are of the rows that have a value, each in [0, 1].
    """

    reference: Sequence[float]
    current: Sequence[float]
    edges: Sequence[float] = ()
    names: Sequence[str] = ()

    @property
    def numeric(self) -> bool:
        """Bins of numbers rather than named categories."""
        return len(self.edges) > 0

    @property
    def empty(self) -> bool:
        """Neither side has a row."""
        return not any(share > 0 for share in (*self.reference, *self.current))


def density(shown: Distribution, *, label: str, height: int = 220, small: bool = False) -> Markup | None:
    """The two histograms of a numeric feature as stepped outlines over each other; None when both are empty."""
    edges = [float(edge) for edge in shown.edges]
    if shown.empty or len(edges) < 2 or not all(math.isfinite(edge) for edge in edges):
        return None
    widths = [max(right - left, 0.0) for left, right in pairwise(edges)]
    equal = max(widths) - min(widths) <= 1e-6 * max(widths, default=1.0)
    reference, current = (_heights(side, widths, equal) for side in (shown.reference, shown.current))
    top = max(*reference, *current)
    inner = height - (20 if small else _BOTTOM) - _TOP
    across = Scale(edges[0], edges[-1])
    extent = nice_range(0.0, top, zero=True, wanted=3) if equal and not small else (0.0, top * 1.05)
    up = Scale(*extent)
    parts = [f'<g transform="translate(0 {_TOP})">']
    if equal and not small:
        parts.append(svg.value_axis([(tick, human.percent(tick)) for tick in nice_ticks(*extent, 3)], up, inner))
    parts.append(_number_axis(edges[0], edges[-1], across, inner, small))
    parts.append(
        svg.stretched(
            [
                svg.path("area reference", _steps(reference, edges, across, up, inner, closed=True)),
                svg.path("area current", _steps(current, edges, across, up, inner, closed=True)),
                svg.path("line reference", _steps(reference, edges, across, up, inner, closed=False)),
                svg.path("line current", _steps(current, edges, across, up, inner, closed=False)),
            ],
            inner,
        )
    )
    for index, (left, right) in enumerate(pairwise(edges)):
        x, width = across.share(left), across.share(right) - across.share(left)
        says = (
            f"{human.number(left)} to {human.number(right)}\n"
            f"now {human.percent(shown.current[index])}\nreference {human.percent(shown.reference[index])}"
        )
        room = f'<rect x="{svg.percent(x)}" width="{svg.percent(width)}" height="{inner}"/>'
        parts.append(f'<g class="hit">{svg.title(says)}{room}</g>')
    parts.append("</g>")
    return svg.frame(parts, height=height, label=label, kind="density small" if small else "density")


def categories(shown: Distribution, *, label: str, most: int = 12, small: bool = False) -> Markup | None:
    """The two shares of each category as a pair of bars, the rest summed in a last pair; None when both are empty."""
    if shown.empty or not shown.names:
        return None
    pairs = [
        (name, float(before), float(now))
        for name, before, now in zip(shown.names, shown.reference, shown.current, strict=True)
    ]
    # In a small picture what changed matters most, in a large one what there is most of.
    rows = sorted(
        pairs, key=lambda row: (-(abs(row[2] - row[1]) if small else max(row[1], row[2])), -max(row[1:]), row[0])
    )
    cut = most if len(rows) > most + 1 else len(rows)
    shown_rows = rows[:cut]
    if rest := rows[cut:]:
        shown_rows.append((f"{len(rest)} more", sum(row[1] for row in rest), sum(row[2] for row in rest)))
    scale = Scale(0.0, max(max(before, now) for _, before, now in shown_rows) or 1.0)
    pitch = 21 if small else 48
    thick = 6 if small else 10
    drawn = []
    for index, (name, before, now) in enumerate(shown_rows):
        y = index * pitch
        says = f"{name}\nnow {human.percent(now)}\nreference {human.percent(before)}"
        size = f"{scale.share(now) * (70 if small else 84):.2f}%"
        past = f"{scale.share(before) * (70 if small else 84):.2f}%"
        if small:
            drawn.append(
                f'<g class="pair">{svg.title(says)}<rect class="room" y="{y}" width="100%" height="{pitch}"/>'
                f'<text class="tick name-start" x="-6" y="{y + 11}">{escape(human.short(name, 10))}</text>'
                f'<rect class="current" y="{y + 1}" width="{size}" height="{thick}" rx="1.5"/>'
                f'<rect class="reference" y="{y + 2 + thick}" width="{past}" height="{thick}" rx="1.5"/></g>'
            )
            continue
        drawn.append(
            f'<g class="pair">{svg.title(says)}<rect class="room" y="{y}" width="100%" height="{pitch}"/>'
            f'<text class="name" x="0" y="{y + 14}">{escape(human.short(name, 40))}</text>'
            f'<rect class="current" y="{y + 21}" width="{size}" height="{thick}" rx="1.5"/>'
            f'<rect class="reference" y="{y + 22 + thick}" width="{past}" height="{thick - 4}" rx="1.5"/>'
            f'<text class="tick end" x="100%" y="{y + 32}">{human.percent(now)}'
            f'<tspan class="before"> was {human.percent(before)}</tspan></text></g>'
        )
    kind = "pairs small" if small else "pairs"
    return svg.frame(drawn, height=len(shown_rows) * pitch + 4, label=label, kind=kind)


def _heights(shares: Sequence[float], widths: Sequence[float], equal: bool) -> list[float]:
    """Bins of unequal width are drawn by density, so that areas, not heights, are the shares."""
    if equal:
        return [float(share) for share in shares]
    return [float(share) / width if width > 0 else 0.0 for share, width in zip(shares, widths, strict=True)]


def _steps(
    heights: Sequence[float], edges: Sequence[float], across: Scale, up: Scale, height: float, *, closed: bool
) -> str:
    commands = [f"M{across.share(edges[0]) * svg.INNER_WIDTH:.1f} {height:g}"]
    for index, value in enumerate(heights):
        y = height * (1 - up.share(value))
        right = across.share(edges[index + 1]) * svg.INNER_WIDTH
        commands.append(f"V{y:.1f}H{right:.1f}")
    commands.append(f"V{height:g}")
    return "".join(commands) + ("Z" if closed else "")


def _number_axis(low: float, high: float, across: Scale, height: float, small: bool) -> str:
    drawn = [f'<line class="axis" x1="0" x2="100%" y1="{height:g}" y2="{height:g}"/>']
    wanted = 3 if small else 6
    ticks = nice_ticks(low, high, wanted)
    while len(ticks) < 2 and wanted < 6:  # one number alone does not say how wide the axis is
        wanted += 1
        ticks = nice_ticks(low, high, wanted)
    for index, tick in enumerate(ticks):
        share = across.share(tick)
        anchor = " start" if share < 0.03 else " end" if share > 0.97 else ""
        rank = " second" if index % 2 and not small else ""
        x = svg.percent(share)
        drawn.append(
            f'<line class="axis" x1="{x}" x2="{x}" y1="{height:g}" y2="{height + 4:g}"/>'
            f'<text class="tick mid{anchor}{rank}" x="{x}" y="{height + 17:g}">{escape(human.number(tick))}</text>'
        )
    return "".join(drawn)
