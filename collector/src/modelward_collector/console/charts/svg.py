"""The few SVG pieces that all charts are made of. Text goes through `text`, so nothing that is drawn can be markup."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup, escape

from modelward_collector.console.charts.scale import Scale, TimeTick

INNER_WIDTH = 1_000
"""Width of the stretched inner drawing that paths lie in, in its own units."""


def percent(share: float) -> str:
    """A share of the width as SVG writes it, two decimals (a hundredth of a percent is a tenth of a pixel)."""
    return f"{share * 100:.2f}%"


def title(text: str) -> str:
    """What appears when the pointer rests on the mark."""
    return f"<title>{escape(text)}</title>"


def frame(parts: Iterable[str], *, height: int, label: str, kind: str = "") -> Markup:
    """The outer `<svg>`: as wide as its box, `height` pixels high, its meaning in `label` for those who cannot see."""
    body = "".join(parts)
    # Every text in it went through escape.
    return Markup(  # noqa: S704
        f'<svg class="plot {kind}" width="100%" height="{height}" role="img" aria-label="{escape(label)}">{body}</svg>'
    )


def stretched(paths: Iterable[str], height: float) -> str:
    """Paths in units of `INNER_WIDTH` by `height`, stretched to the plot's width without stretching their strokes."""
    return (
        f'<svg width="100%" height="{height:g}" viewBox="0 0 {INNER_WIDTH} {height:g}" '
        f'preserveAspectRatio="none">{"".join(paths)}</svg>'
    )


def path(kind: str, commands: str) -> str:
    """A path of that class."""
    return f'<path class="{kind}" d="{commands}" vector-effect="non-scaling-stroke"/>'


def value_axis(ticks: Iterable[tuple[float, str]], scale: Scale, height: float) -> str:
    """Grid lines with their labels to the left of the plot."""
    drawn = []
    for value, label in ticks:
        y = height * (1 - scale.share(value))
        drawn.append(
            f'<line class="grid" x1="0" x2="100%" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="tick end" x="-8" y="{y + 4:.1f}">{escape(label)}</text>'
        )
    return "".join(drawn)


def time_axis(ticks: Iterable[TimeTick], height: float, *, grid: bool = False) -> str:
    """Labels below the plot; every second one gives way where there is no room."""
    drawn = [f'<line class="axis" x1="0" x2="100%" y1="{height:g}" y2="{height:g}"/>'] if height else []
    for index, tick in enumerate(ticks):
        x = percent(tick.share)
        anchor = " start" if tick.share < 0.03 else " end" if tick.share > 0.97 else ""
        rank = " second" if index % 2 else ""
        if grid:
            drawn.append(f'<line class="grid" x1="{x}" x2="{x}" y1="0" y2="{height:g}"/>')
        drawn.append(f'<line class="axis" x1="{x}" x2="{x}" y1="{height:g}" y2="{height + 4:g}"/>')
        drawn.append(f'<text class="tick mid{anchor}{rank}" x="{x}" y="{height + 18:g}">{escape(tick.label)}</text>')
    return "".join(drawn)
