"""Charts as SVG text: sharp at any width without a script, coloured by the page's style sheet.

A plot is one `<svg>` whose x positions are percentages and whose y positions are pixels, so that it fills what room
there is while its text keeps its size. Paths, which know no percentages, lie in an inner `<svg>` that is stretched.
"""

from modelward_collector.console.charts.columns import Column, columns
from modelward_collector.console.charts.distribution import Distribution, categories, density
from modelward_collector.console.charts.heatmap import Cell, HeatRow, time_axis_strip
from modelward_collector.console.charts.line import Axis, Line, Mark, Point, line_chart
from modelward_collector.console.charts.sparkline import sparkline

__all__ = [
    "Axis",
    "Cell",
    "Column",
    "Distribution",
    "HeatRow",
    "Line",
    "Mark",
    "Point",
    "categories",
    "columns",
    "density",
    "line_chart",
    "sparkline",
    "time_axis_strip",
]
