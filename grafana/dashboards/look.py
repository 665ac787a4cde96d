"""The one look of all dashboards: colours with a meaning, units, and the few kinds of panels that they are made of.

Red is for what is bad and nothing else; blue is for amounts that are neither good nor bad. A panel says in its
description what it shows and when to act.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    elasticsearch,
    heatmap,
    logs,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.builders import prometheus as prometheus_builder
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common as commons
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import heatmap as heatmaps
from grafana_foundation_sdk.models.elasticsearch import TermsOrder
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

Panel = Builder[model.Panel]

GOOD: Final = "#73BF69"
WARNING: Final = "#F2CC0C"
BAD: Final = "#F2495C"
FAILED: Final = "#B877D9"
"""The check itself failed: neither good nor bad is known."""
SILENT: Final = "#6E7078"
"""No data."""
BLUE: Final = "#5794F2"
"""An amount."""
LIGHT: Final = "#8AB8FF"
DEEP: Final = "#1F60C4"
TEAL: Final = "#37B5A6"
"""A second amount beside the blue one."""
VIOLET: Final = "#A352CC"
PLAIN: Final = "#CCCCDC"

PROMETHEUS: Final = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
ELASTICSEARCH: Final = model.DataSourceRef(type_val="elasticsearch", uid="elasticsearch")

SITE: Final = "@@SITE_URL@@"
"""Stands for the address of the console in what the code emits; the emitted file has the template's variable there."""

OK_FILL: Final = "#2E6B46"
WARNING_FILL: Final = "#E0B400"
BAD_FILL: Final = "#D92F43"
FAILED_FILL: Final = "#8F3BB8"
SILENT_FILL: Final = "#4A4C54"
"""The same for whole areas: what is well recedes, so that what is not stands out."""

STATES: Final = (
    ("OK", OK_FILL),
    ("No verdict yet", SILENT_FILL),
    ("Warning", WARNING_FILL),
    ("Critical", BAD_FILL),
    ("Check failed", FAILED_FILL),
)
"""What 0 to 4 of `modelward_check_status` mean."""


@dataclass(frozen=True, slots=True)
class Query:
    """One PromQL expression; `legend` may name labels as `{{label}}`. `name` is what a column or override calls it."""

    expr: str
    legend: str = ""
    instant: bool = False


@dataclass(frozen=True, slots=True)
class Steps:
    """Colours by value: the first from minus infinity, each next from its bound on."""

    first: str
    above: tuple[tuple[float, str], ...] = ()

    def build(self) -> model.ThresholdsConfig:
        """In the SDK's form."""
        steps = [model.Threshold(value=None, color=self.first)]
        steps += [model.Threshold(value=bound, color=colour) for bound, colour in self.above]
        return model.ThresholdsConfig(mode=model.ThresholdsMode.ABSOLUTE, steps=steps)


AMOUNT: Final = Steps(BLUE)
TEXT: Final = Steps(PLAIN)
NONE_IS_GOOD: Final = Steps(GOOD, ((1, BAD),))
NONE_IS_BEST: Final = Steps(GOOD, ((1, WARNING),))
FILLED_NONE_IS_GOOD: Final = Steps(OK_FILL, ((1, BAD_FILL),))
FILLED_NONE_IS_BEST: Final = Steps(OK_FILL, ((1, WARNING_FILL),))
ANY_IS_BAD: Final = Steps(PLAIN, ((1, BAD),))
ANY_IS_NEWS: Final = Steps(PLAIN, ((1, WARNING),))
"""In tables, where zeros need no colour."""


def at_least(good: float, acceptable: float) -> Steps:
    """Red below what is acceptable, yellow below what is good."""
    return Steps(BAD, ((acceptable, WARNING), (good, GOOD)))


def at_most(acceptable: float, bad: float) -> Steps:
    """Yellow from what is no longer good, red from what is bad."""
    return Steps(GOOD, ((acceptable, WARNING), (bad, BAD)))


def values(*texts: tuple[float | str, str, str | None]) -> list[model.ValueMapping]:
    """Value mappings: (value, text, colour)."""
    options = {
        (str(value) if isinstance(value, str) else f"{value:g}"): model.ValueMappingResult(
            text=text, color=colour, index=i
        )
        for i, (value, text, colour) in enumerate(texts)
    }
    return [model.ValueMap(options=options)]


def ranges(*spans: tuple[float | None, float | None, str, str]) -> list[model.ValueMapping]:
    """Value mappings of spans: (from, to, text, colour)."""
    return [
        model.RangeMap(
            options=model.DashboardRangeMapOptions(
                from_val=low, to=high, result=model.ValueMappingResult(text=text, color=colour, index=i)
            )
        )
        for i, (low, high, text, colour) in enumerate(spans)
    ]


STANDING: Final = tuple((value, text, colour) for value, (text, colour) in enumerate(STATES))
UP: Final = ((0, "Down", BAD_FILL), (1, "Up", OK_FILL))


# -- links ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Link:
    """Where a click leads: a title and an address, which may use Grafana's variables."""

    title: str
    url: str
    new_tab: bool = False

    def build(self) -> dict[str, Any]:
        """As a data link."""
        return {"title": self.title, "url": self.url, "targetBlank": self.new_tab}


_TIME = "${__url_time_range}"


def to_model(value: str) -> Link:
    """The monitoring of the model that `value` (a Grafana expression) names, at the time that is shown."""
    return Link("Model monitoring", f"/d/modelward-model?var-model={value}&{_TIME}")


def to_technical(value: str) -> Link:
    """Traffic, latency and errors of the model."""
    return Link("Technical", f"/d/modelward-technical?var-model={value}&{_TIME}")


def to_dashboard(uid: str, title: str) -> Link:
    """Another dashboard at the time that is shown."""
    return Link(title, f"/d/{uid}?{_TIME}")


def to_console(path: str, title: str = "Console") -> Link:
    """A page of the console."""
    return Link(title, f"{SITE}{path}", new_tab=True)


def to_kibana(dashboard: str, title: str) -> Link:
    """A dashboard of Kibana, by its id."""
    return Link(title, f"{SITE}/kibana/app/dashboards#/view/{dashboard}", new_tab=True)


SERIES_MODEL: Final = "${__field.labels.model:percentencode}"
FIELD_MODEL: Final = "${__data.fields.Model:percentencode}"


# -- panels ---------------------------------------------------------------------------------------------------------


def _targets(panel: Any, queries: Sequence[Query], *, tables: bool = False) -> None:
    for ref, query in zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", queries, strict=False):
        target = prometheus_builder.Dataquery().expr(query.expr).ref_id(ref).legend_format(query.legend or "__auto")
        target = target.instant() if query.instant or tables else target.range()
        if tables:
            target = target.format(PromQueryFormat.TABLE)
        panel.with_target(target)


def _common(panel: Any, title: str, description: str, unit: str, no_value: str, links: Sequence[Link]) -> None:
    assert description.endswith("."), title
    panel.title(title).description(description).datasource(PROMETHEUS).unit(unit).no_value(no_value)
    if links:
        panel.data_links([_DataLink(link) for link in links])


class _DataLink(Builder[model.DashboardLink]):
    """The SDK types data links as dashboard links, which have more fields; Grafana reads title, url, targetBlank."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def build(self) -> model.DashboardLink:
        return self._link  # type: ignore[return-value]


class _Built(Builder[Any]):
    def __init__(self, built: Any) -> None:
        self._built = built

    def build(self) -> Any:
        return self._built


def _colour(mode: model.FieldColorModeId, fixed: str | None = None) -> Builder[model.FieldColor]:
    colour = dashboard.FieldColor().mode(mode)
    return colour.fixed_color(fixed) if fixed else colour


def number(
    title: str,
    description: str,
    *queries: Query,
    unit: str = "short",
    steps: Steps = AMOUNT,
    decimals: int | None = None,
    graph: bool = False,
    mappings: Sequence[tuple[float | str, str, str | None]] = (),
    no_value: str = "No data",
    filled: bool = False,
    named: bool = False,
    links: Sequence[Link] = (),
) -> Panel:
    """One big number, with `graph` over its course; `filled` colours the whole tile, `named` shows the legend too."""
    panel = stat.Panel()
    _common(panel, title, description, unit, no_value, links)
    _targets(panel, queries)
    panel.thresholds(_Built(steps.build())).color_scheme(_colour(model.FieldColorModeId.THRESHOLDS))
    panel.graph_mode(commons.BigValueGraphMode.AREA if graph else commons.BigValueGraphMode.NONE)
    panel.color_mode(commons.BigValueColorMode.BACKGROUND_SOLID if filled else commons.BigValueColorMode.VALUE)
    panel.text_mode(commons.BigValueTextMode.VALUE_AND_NAME if named else commons.BigValueTextMode.VALUE)
    panel.justify_mode(commons.BigValueJustifyMode.CENTER).wide_layout(True)
    panel.reduce_options(common.ReduceDataOptions().values(False).calcs(["lastNotNull"]))
    panel.orientation(commons.VizOrientation.AUTO)
    if decimals is not None:
        panel.decimals(decimals)
    if mappings:
        panel.mappings(values(*mappings))
    return panel


@dataclass(frozen=True, slots=True)
class Style:
    """How the series whose name matches `name` (a regular expression) are drawn."""

    name: str
    colour: str | None = None
    dashed: bool = False
    width: int | None = None
    below: str | None = None
    """Fill down to the series of this name: the two ends of a band."""
    hidden_from_legend: bool = False
    right: bool = False
    """On an axis of its own at the right, in `unit`."""
    unit: str | None = None
    bars: bool = False

    def properties(self) -> list[model.DynamicConfigValue]:
        """As the properties of an override."""
        found: list[tuple[str, object]] = []
        if self.colour:
            found.append(("color", {"mode": "fixed", "fixedColor": self.colour}))
        if self.dashed:
            found.append(("custom.lineStyle", {"fill": "dash", "dash": [8, 6]}))
        if self.width is not None:
            found.append(("custom.lineWidth", self.width))
        if self.below:
            found += [("custom.fillBelowTo", self.below), ("custom.fillOpacity", 16)]
        if self.hidden_from_legend:
            found.append(("custom.hideFrom", {"legend": True, "tooltip": False, "viz": False}))
        if self.right:
            found.append(("custom.axisPlacement", "right"))
        if self.unit:
            found.append(("unit", self.unit))
        if self.bars:
            found += [("custom.drawStyle", "bars"), ("custom.fillOpacity", 60)]
        return [model.DynamicConfigValue(id_val=name, value=value) for name, value in found]


def lines(
    title: str,
    description: str,
    *queries: Query,
    unit: str = "short",
    styles: Sequence[Style] = (),
    steps: Steps | None = None,
    stacked: bool = False,
    bars: bool = False,
    colour: str | None = None,
    minimum: float | None = 0,
    maximum: float | None = None,
    decimals: int | None = None,
    legend: bool = True,
    no_value: str = "Nothing in this time",
    links: Sequence[Link] = (),
    gaps: bool = True,
    ranked: bool = False,
    soft_minimum: float | None = None,
    every: str = "",
) -> Panel:
    """A course over time.

    With `steps` their bounds are drawn as dashed lines. Without `colour` and styles the series go from blue to violet
    by how large they are, and `ranked` lists them beside it in that order. Counts of what happened take `every`, the
    shortest span that one bar stands for.
    """
    panel = timeseries.Panel()
    _common(panel, title, description, unit, no_value, links)
    _targets(panel, queries)
    shown = common.VizLegendOptions().display_mode(commons.LegendDisplayMode.LIST)
    if ranked:
        shown.display_mode(commons.LegendDisplayMode.TABLE).sort_by("Last *").sort_desc(True).width(250)
    place = commons.LegendPlacement.RIGHT if ranked else commons.LegendPlacement.BOTTOM
    panel.legend(shown.placement(place).show_legend(legend).calcs(["lastNotNull"] if ranked else []))
    if every:
        panel.interval(every)
    panel.tooltip(common.VizTooltipOptions().mode(commons.TooltipDisplayMode.MULTI).sort(commons.SortOrder.DESCENDING))
    panel.line_width(2 if not bars else 0).show_points(commons.VisibilityMode.NEVER)
    panel.line_interpolation(commons.LineInterpolation.LINEAR).span_nulls(not gaps)
    panel.fill_opacity(70 if bars else 35 if stacked else 8).gradient_mode(commons.GraphGradientMode.NONE)
    panel.axis_border_show(False).point_size(4)
    if bars:
        panel.draw_style(commons.GraphDrawStyle.BARS)
    if stacked:
        panel.stacking(common.StackingConfig().mode(commons.StackingMode.NORMAL).group("A"))
    if minimum is not None:
        panel.min(minimum)
    if soft_minimum is not None:
        panel.axis_soft_min(soft_minimum)
    if maximum is not None:
        panel.max(maximum)
    if decimals is not None:
        panel.decimals(decimals)
    if steps is not None:
        panel.thresholds(_Built(steps.build()))
        panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(commons.GraphThresholdsStyleMode.DASHED))
    if colour:
        panel.color_scheme(_colour(model.FieldColorModeId.FIXED, colour))
    else:
        by_size = _colour(model.FieldColorModeId.CONTINUOUS_BL_PU)
        panel.color_scheme(by_size.series_by(model.FieldColorSeriesByMode.LAST))  # type: ignore[attr-defined]
    for style in styles:
        panel.override_by_regexp(f"/^{style.name}$/", style.properties())
    return panel


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: a label of the rows, or the value of a query.

    `cell` is `text`, `background` (the value's colour fills the cell) or `bar`. Of a label column `query` is None.
    """

    header: str
    query: str | None = None
    label: str | None = None
    unit: str = "short"
    steps: Steps | None = None
    decimals: int | None = None
    mappings: tuple[tuple[float | str, str, str | None], ...] = ()
    cell: str = "text"
    width: int | None = None
    maximum: float | None = None
    minimum: float | None = None
    links: tuple[Link, ...] = ()
    empty: str = "–"


def listing(
    title: str,
    description: str,
    *columns: Column,
    sort: str = "",
    descending: bool = True,
    no_value: str = "Nothing to show",
) -> Panel:
    """A table of instant values, a row for each set of labels that the label columns name; pages instead of a "
    "scroll bar."""
    panel = table.Panel()
    _common(panel, title, description, "short", no_value, ())
    queries = [column for column in columns if column.query is not None]
    _targets(panel, [Query(column.query or "", instant=True) for column in queries], tables=True)
    named = {f"Value #{ref}": column.header for ref, column in zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", queries, strict=False)}
    if len(queries) == 1:
        named = {"Value": queries[0].header}
    named |= {column.label: column.header for column in columns if column.label is not None}
    order = {source: _place(columns, header) for source, header in named.items()}
    panel.with_transformation(model.DataTransformerConfig(id_val="merge", options={}))
    panel.with_transformation(
        model.DataTransformerConfig(
            id_val="organize",
            options={"excludeByName": {"Time": True}, "indexByName": order, "renameByName": named, "includeByName": {}},
        )
    )
    panel.show_header(True).cell_height(commons.TableCellHeight.SM)
    panel.footer(common.TableFooterOptions().show(False).enable_pagination(True).reducer([]))
    panel.thresholds(_Built(TEXT.build())).color_scheme(_colour(model.FieldColorModeId.THRESHOLDS))
    panel.align(commons.FieldTextAlignment.AUTO).filterable(False)
    if sort:
        panel.sort_by([common.TableSortByFieldState().display_name(sort).desc(descending)])
    for column in columns:
        panel.override_by_name(column.header, _column(column))
    return panel


def _place(columns: Sequence[Column], header: str) -> int:
    return next(place for place, column in enumerate(columns) if column.header == header)


def _column(column: Column) -> list[model.DynamicConfigValue]:
    found: list[tuple[str, object]] = []
    if column.query is not None:
        found += [("unit", column.unit), ("noValue", column.empty), ("custom.align", "right")]
    else:
        found.append(("custom.align", "left"))
    if column.decimals is not None:
        found.append(("decimals", column.decimals))
    if column.steps is not None:
        found.append(("thresholds", column.steps.build()))
    if column.mappings:
        found.append(("mappings", values(*column.mappings)))
    if column.cell == "background":
        found.append(("custom.cellOptions", {"type": "color-background", "mode": "basic"}))
        found.append(("custom.align", "center"))
    elif column.cell == "bar":
        found.append(("custom.cellOptions", {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"}))
        found += [("min", column.minimum or 0)] + ([("max", column.maximum)] if column.maximum is not None else [])
    elif column.steps is not None:
        found.append(("custom.cellOptions", {"type": "color-text"}))
    if column.width is not None:
        found.append(("custom.width", column.width))
    if column.links:
        found.append(("links", [link.build() for link in column.links]))
    return [model.DynamicConfigValue(id_val=name, value=value) for name, value in dict(found).items()]


def bars(
    title: str,
    description: str,
    *queries: Query,
    unit: str = "short",
    steps: Steps = AMOUNT,
    minimum: float | None = 0,
    maximum: float | None = None,
    decimals: int | None = None,
    no_value: str = "Nothing in this time",
    links: Sequence[Link] = (),
) -> Panel:
    """Horizontal bars to compare names by one value; give at most as many as fit its height."""
    panel = bargauge.Panel()
    _common(panel, title, description, unit, no_value, links)
    _targets(panel, [Query(query.expr, query.legend, instant=True) for query in queries])
    panel.thresholds(_Built(steps.build())).color_scheme(_colour(model.FieldColorModeId.THRESHOLDS))
    panel.display_mode(commons.BarGaugeDisplayMode.BASIC).orientation(commons.VizOrientation.HORIZONTAL)
    panel.value_mode(commons.BarGaugeValueMode.COLOR).name_placement(commons.BarGaugeNamePlacement.LEFT)
    panel.show_unfilled(True).sizing(commons.BarGaugeSizing.AUTO).min_viz_height(16).max_viz_height(28)
    panel.reduce_options(common.ReduceDataOptions().values(False).calcs(["lastNotNull"]))
    if minimum is not None:
        panel.min(minimum)
    if maximum is not None:
        panel.max(maximum)
    if decimals is not None:
        panel.decimals(decimals)
    return panel


def states(
    title: str,
    description: str,
    *queries: Query,
    mappings: Sequence[tuple[float | str, str, str | None]] = (),
    spans: Sequence[tuple[float | None, float | None, str, str]] = (),
    no_value: str = "Nothing in this time",
    links: Sequence[Link] = (),
) -> Panel:
    """A row for each series, coloured by the state it was in: a value of `mappings`, or within one of `spans`."""
    panel = statetimeline.Panel()
    _common(panel, title, description, "short", no_value, links)
    _targets(panel, queries)
    panel.mappings(values(*mappings) if mappings else ranges(*spans)).thresholds(_Built(TEXT.build()))
    panel.color_scheme(_colour(model.FieldColorModeId.THRESHOLDS))
    panel.merge_values(True).show_value(commons.VisibilityMode.NEVER).row_height(0.8).fill_opacity(85).line_width(0)
    panel.align_value(commons.TimelineValueAlignment.LEFT)
    shown = common.VizLegendOptions().display_mode(commons.LegendDisplayMode.LIST)
    panel.legend(shown.placement(commons.LegendPlacement.BOTTOM).show_legend(True))
    panel.tooltip(common.VizTooltipOptions().mode(commons.TooltipDisplayMode.SINGLE))
    return panel


def density(title: str, description: str, query: Query, *, unit: str = "s", no_value: str = "No latencies") -> Panel:
    """A heat map of a histogram's buckets over time: the darker blue, the fewer."""
    panel = heatmap.Panel()
    _common(panel, title, description, "short", no_value, ())
    target = prometheus_builder.Dataquery().expr(query.expr).ref_id("A").legend_format("{{le}}").range()
    panel.with_target(target.format(PromQueryFormat.HEATMAP))
    panel.calculate(False).cell_gap(1).show_legend().show_color_scale(True)
    panel.color(
        heatmap.HeatmapColorOptions()
        .mode(heatmaps.HeatmapColorMode.SCHEME)
        .scheme("Blues")
        .scale(heatmaps.HeatmapColorScale.EXPONENTIAL)
        .exponent(0.5)
        .steps(64)
        .reverse(True)
        .fill(BLUE)
    )
    panel.y_axis(heatmap.YAxisConfig().unit(unit).axis_placement(commons.AxisPlacement.LEFT))
    panel.filter_values(heatmap.FilterValueRange().le(1e-9))
    return panel


def log_lines(title: str, description: str, query: str, *, limit: int = 100) -> Panel:
    """The newest entries of the appliance's logs that match a Lucene query."""
    panel = logs.Panel()
    _common(panel, title, description, "short", "No such entries in this time", ())
    panel.datasource(ELASTICSEARCH)
    settings = elasticsearch.ElasticsearchLogsSettings().limit(str(limit))
    target = elasticsearch.Dataquery().query(query).time_field("@timestamp").ref_id("A")
    panel.with_target(target.metrics([elasticsearch.Logs().id("1").settings(settings)]).bucket_aggs([]))
    panel.show_time(True).wrap_log_message(False).enable_log_details(True).show_labels(False)
    panel.sort_order(commons.LogsSortOrder.DESCENDING).dedup_strategy(commons.LogsDedupStrategy.NONE)
    return panel


def levels(title: str, description: str, query: str) -> Panel:
    """How many log entries of each level there were over time, from Elasticsearch."""
    panel = timeseries.Panel()
    _common(panel, title, description, "short", "No log entries in this time", ())
    panel.datasource(ELASTICSEARCH)
    terms = elasticsearch.ElasticsearchTermsSettings().size("6").min_doc_count("1").order_by("_count")
    terms = terms.order(TermsOrder.DESC).missing("other")
    histogram = elasticsearch.ElasticsearchDateHistogramSettings().interval("auto").min_doc_count("0")
    target = elasticsearch.Dataquery().query(query).time_field("@timestamp").ref_id("A").alias("{{log.level}}")
    target.metrics([elasticsearch.Count().id("1")])
    target.bucket_aggs(
        [
            elasticsearch.Terms().id("2").field("log.level").settings(terms),
            elasticsearch.DateHistogram().id("3").field("@timestamp").settings(histogram),
        ]
    )
    panel.with_target(target).draw_style(commons.GraphDrawStyle.BARS).fill_opacity(70).line_width(0)
    panel.stacking(common.StackingConfig().mode(commons.StackingMode.NORMAL).group("A")).min(0)
    shown = common.VizLegendOptions().display_mode(commons.LegendDisplayMode.LIST)
    panel.legend(shown.placement(commons.LegendPlacement.BOTTOM).show_legend(True).calcs([]))
    panel.tooltip(common.VizTooltipOptions().mode(commons.TooltipDisplayMode.MULTI).sort(commons.SortOrder.DESCENDING))
    panel.color_scheme(_colour(model.FieldColorModeId.FIXED, BLUE))
    for name, colour in (
        ("(ERROR|error|CRITICAL|critical|FATAL|fatal)", BAD),
        ("(WARN|warn)(ING|ing)?", WARNING),
        ("DEBUG|debug|other", SILENT),
    ):
        panel.override_by_regexp(f"/^({name})$/", Style("", colour).properties())
    return panel


# -- a page ---------------------------------------------------------------------------------------------------------

COLUMNS: Final = 24


@dataclass(frozen=True, slots=True)
class Line:
    """Panels side by side, each with its width in columns of 24, all of one height (a unit is 30 pixels, 8 apart)."""

    height: int
    panels: tuple[tuple[int, Panel], ...]


@dataclass(frozen=True, slots=True)
class Section:
    """Lines of panels below a heading; the first section of a page, which is the answer, has none."""

    title: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """One dashboard."""

    uid: str
    title: str
    description: str
    sections: tuple[Section, ...]
    variables: tuple[Builder[model.VariableModel], ...] = ()
    links: tuple[Link, ...] = ()
    annotations: tuple[Mapping[str, Any], ...] = field(default=())
    time_from: str = "now-6h"


def line(height: int, *panels: tuple[int, Panel]) -> Line:
    """Panels side by side; their widths fill the 24 columns."""
    assert sum(width for width, _ in panels) == COLUMNS, [width for width, _ in panels]
    return Line(height, panels)
