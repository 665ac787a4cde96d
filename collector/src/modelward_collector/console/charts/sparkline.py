"""A word-sized chart."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from modelward_collector.console.charts import svg

_HEIGHT = 24


def sparkline(values: Sequence[float], *, label: str, kind: str = "current") -> Markup:
    """The values as a filled line from zero up, without axes; an empty picture of no values, gaps where NaN."""
    top = max((value for value in values if math.isfinite(value)), default=0.0)
    width = svg.INNER_WIDTH
    step = width / max(1, len(values) - 1)
    runs: list[list[tuple[float, float]]] = [[]]
    for index, value in enumerate(values):
        if not math.isfinite(value):
            runs.append([])
            continue
        share = max(0.0, value) / top if top > 0 else 0.0
        runs[-1].append((index * step, _HEIGHT - 2 - share * (_HEIGHT - 4)))
    paths = []
    for run in runs:
        if len(run) == 1:
            run = [run[0], (run[0][0] + (step if len(values) > 1 else width), run[0][1])]
        if run:
            line = "L".join(f"{x:.1f} {y:.1f}" for x, y in run)
            paths.append(svg.path(f"area {kind}", f"M{run[0][0]:.1f} {_HEIGHT}L{line}L{run[-1][0]:.1f} {_HEIGHT}Z"))
            paths.append(svg.path(f"line {kind}", f"M{line}"))
    return svg.frame([svg.stretched(paths, _HEIGHT)], height=_HEIGHT, label=label, kind="spark")
