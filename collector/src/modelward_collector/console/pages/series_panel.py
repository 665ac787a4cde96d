"""A model's series: what came, what was expected of it, what is expected of the next hour, and what was odd."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from markupsafe import Markup

from modelward_collector.console import human
from modelward_collector.console.charts import Axis, Line, Point, line_chart
from modelward_collector.console.site import Moment, Site, metric_words
from modelward_collector.forecasts import SeriesView
from modelward_collector.series import PERFORMANCE
from modelward_collector.span import Span
from modelward_collector.stats.forecast import BANDS

FIRST = ("rows", "error_rate", "latency_p99_seconds", "prediction_mean", "score_mean", "drift_score")
"""Most looked at; the others follow by name."""

SHOWN = 8

_WORDS = {
    "rows": "Predictions in a step",
    "error_rate": "Share that failed",
    "latency_p50_seconds": "Latency, median",
    "latency_p99_seconds": "Latency, 99th percentile",
    "prediction_mean": "Mean prediction",
    "score_mean": "Mean score",
    "missing_share": "Share of values missing",
    "drift_score": "Largest drift score",
}


@dataclass(frozen=True, slots=True)
class SeriesChart:
    """A series drawn; `says` is one line on its newest point and the hour ahead."""

    name: str
    version: str
    chart: Markup | None
    says: str
    odd: int


def series_charts(site: Site, model: str, moment: Moment) -> list[SeriesChart]:
    """Those of the version with the latest traffic; none where this collector follows no series."""
    if site.context.forecasts is None:
        return []
    views = site.context.forecasts.views(model)
    if not views:
        return []
    newest = max(views, key=lambda view: (view.outlook.at, view.outlook.version)).outlook.version
    order = {name: index for index, name in enumerate(FIRST)}
    mine = [view for view in views if view.outlook.version == newest]
    mine.sort(key=lambda view: (order.get(view.outlook.series, len(order)), view.outlook.series))
    return [_chart(view, moment) for view in mine[:SHOWN]]


def _chart(view: SeriesView, moment: Moment) -> SeriesChart:
    outlook = view.outlook
    text = _text(outlook.series)
    expected = [Point(one.at, one.expected, one.low, one.high) for one in view.judged]
    came = [
        Point(
            one.at, one.value, flagged=one.anomalous, note=f"{abs(one.score):.1f} sd {_side(one.score)}" * one.anomalous
        )
        for one in view.judged
    ]
    for one in view.ahead:
        low, high = one.bands[BANDS[-1]]
        expected.append(Point(datetime.fromtimestamp(one.seconds, UTC) + view.step, one.median, low, high))
    words = _words(outlook.series)
    chart = None
    if expected:
        chart = line_chart(
            [Line("expected", expected, "estimated"), Line("came", came, "current")],
            label=f"{words}: what came, what was expected of it with its 95% band, and the hour ahead",
            span=Span(expected[0].at, max(expected[-1].at, expected[0].at + view.step)),
            year=moment.year,
            axis=Axis(text=text),
            height=130,
            gap=view.step * 3,
            ticks=4,
        )
    return SeriesChart(words, outlook.version, chart, _says(view, text), sum(one.anomalous for one in view.judged))


def _says(view: SeriesView, text: Callable[[float | None], str]) -> str:
    outlook = view.outlook
    said = f"{text(outlook.value)} now"
    if view.judged and view.judged[-1].anomalous and view.judged[-1].at == outlook.at:
        said += f", oddly {_side(view.judged[-1].score)}"
    if outlook.forecast is None:
        return f"{said}; a forecast needs {human.plural(outlook.points_missing, 'more point')}"
    low, high = outlook.forecast.bands[BANDS[-1]]
    season = f", by the {outlook.season}'s pattern" if outlook.season != "none" else ""
    return f"{said}; in an hour about {text(outlook.forecast.median)} ({text(low)} to {text(high)}){season}"


def _side(score: float) -> str:
    return "high" if score > 0 else "low"


def _words(series: str) -> str:
    if series.startswith(PERFORMANCE):
        return metric_words(series.removeprefix(PERFORMANCE))
    return _WORDS.get(series, series.replace("_", " "))


def _text(series: str) -> Callable[[float | None], str]:
    if series in ("error_rate", "missing_share"):
        return human.percent
    if series.startswith("latency"):
        return lambda seconds: human.milliseconds(None if seconds is None else 1000 * seconds)
    return human.number
