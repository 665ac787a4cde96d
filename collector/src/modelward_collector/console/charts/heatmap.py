"""Features by time: one strip of cells a feature, each cell a link to the result behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from modelward_collector.console.charts import svg
from modelward_collector.console.charts.scale import time_ticks
from modelward_collector.span import Span

_HEIGHT = 22
LEVELS = 5
"""Shades of a scale; the style sheet has `q0` to `q4` for quiet cells and `f0` to `f4` for flagged ones."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One stretch of time: `level` in [0, 1], whether it is flagged, where it leads and what it says.

    Of one that is `learning` nothing can be said yet, so that it has no level. One that was judged `otherwise` was so
    by settings that have been changed since, and stands back.
    """

    index: int
    level: float
    flagged: bool
    href: str
    says: str
    learning: bool = False
    otherwise: bool = False


@dataclass(frozen=True, slots=True)
class HeatRow:
    """The cells of one feature; the strip is `columns` cells wide, those that are not there stay empty."""

    cells: Sequence[Cell]
    columns: int

    def draw(self, label: str) -> Markup:
        """The row as SVG: a group of links, left out of the tab order, which has the row's name."""
        drawn = []
        for cell in self.cells:
            shade = f"{'f' if cell.flagged else 'q'}{min(LEVELS - 1, int(cell.level * LEVELS))}"
            shade = "learning" if cell.learning else shade
            shade = "otherwise" if cell.otherwise else shade
            mark = f'<path class="mark" d="M{cell.index + 0.5} {_HEIGHT / 2:g}h0"/>' if cell.flagged else ""
            drawn.append(
                f'<a href="{escape(cell.href)}" tabindex="-1"><rect class="{shade}" x="{cell.index}" width="1" '
                f'height="{_HEIGHT}"/>{mark}{svg.title(cell.says)}</a>'
            )
        body = "".join(drawn)
        # Every text in it went through escape.
        return Markup(  # noqa: S704
            f'<svg class="strip" width="100%" height="{_HEIGHT}" viewBox="0 0 {max(1, self.columns)} {_HEIGHT}" '
            f'preserveAspectRatio="none" role="group" aria-label="{escape(label)}">{body}</svg>'
        )


def time_axis_strip(span: Span, *, year: int, label: str) -> Markup:
    """The time axis that stands below the strips."""
    return svg.frame([svg.time_axis(time_ticks(span, year=year), 0)], height=24, label=label, kind="strip-axis")
