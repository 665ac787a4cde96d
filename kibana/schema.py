"""What the Dashboards API of Kibana 9.5 and the data views API take, as far as the dashboards use them.

Written after the documentation and the published schemas; anything that is not named here is refused, as Kibana refuses
what it does not know. It stands in for Kibana in tests, and is narrower than Kibana: what passes here uses no more than
these keys.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Grid(_Strict):
    """Where a panel is, on 48 columns."""

    x: Annotated[int, Field(ge=0, le=47)]
    y: Annotated[int, Field(ge=0)]
    w: Annotated[int, Field(ge=1, le=48)]
    h: Annotated[int, Field(ge=1)]

    @model_validator(mode="after")
    def _within(self) -> Grid:
        if self.x + self.w > 48:
            raise ValueError(f"x {self.x} + w {self.w} is beyond the 48 columns")
        return self


class Expression(_Strict):
    """A query."""

    expression: str
    language: Literal["kql", "lucene"]


class NumberFormat(_Strict):
    """`number` or `percent` (of 1)."""

    type: Literal["number", "percent"]
    decimals: int
    compact: bool
    suffix: str | None = None


class ByteFormat(_Strict):
    """`bytes` or `bits`."""

    type: Literal["bytes", "bits"]
    decimals: int


class DurationFormat(_Strict):
    """A duration from its unit."""

    type: Literal["duration"]
    from_: Literal["ps", "ns", "us", "ms", "s", "min", "h", "d", "w", "mo", "y"] = Field(alias="from")
    to: Literal["auto", "auto-approximate", "ms", "s", "min", "h", "d", "w", "mo", "y"]


Format = Annotated[NumberFormat | ByteFormat | DurationFormat, Field(discriminator="type")]


class DataViewReference(_Strict):
    """By its id."""

    type: Literal["data_view_reference"]
    ref_id: Annotated[str, Field(min_length=1)]


class Trend(_Strict):
    """The number's way behind it."""

    type: Literal["trend"]


_Colour = Annotated[str, Field(pattern=r"^#[0-9A-Fa-f]{6}$")]


class Step(_Strict):
    """A colour from one bound to the next."""

    gte: Annotated[float, Field(strict=False)]
    lt: Annotated[float | None, Field(strict=False)] = None
    color: _Colour


class ColourByValue(_Strict):
    """Colours by value; the last step goes on without an end."""

    type: Literal["dynamic"]
    range: Literal["absolute"]
    steps: Annotated[list[Step], Field(min_length=1, max_length=100)]

    @model_validator(mode="after")
    def _continuous(self) -> ColourByValue:
        if [step.lt for step in self.steps[:-1]] != [step.gte for step in self.steps[1:]]:
            raise ValueError("each step ends where the next begins")
        return self


class ColourCode(_Strict):
    """One colour."""

    type: Literal["color_code"]
    value: _Colour


class Assigned(_Strict):
    """The colour of some values."""

    values: Annotated[list[str], Field(min_length=1)]
    color: ColourCode


class ColourMapping(_Strict):
    """Colours of named values; others get theirs from the palette."""

    mode: Literal["categorical"]
    palette: str
    mapping: list[Assigned]


class _Measured(_Strict):
    label: Annotated[str, Field(min_length=1)]
    format: Format | None = None
    filter: Expression | None = None
    type: Literal["primary", "secondary"] | None = None
    background_chart: Trend | None = None
    color: ColourByValue | None = None
    apply_color_to: Literal["value", "background"] | None = None

    @model_validator(mode="after")
    def _coloured_or_drawn(self) -> _Measured:
        if (self.color is None) != (self.apply_color_to is None):
            raise ValueError("color and apply_color_to belong together")
        if self.color is not None and self.background_chart is not None:
            raise ValueError("a metric with both a colour and a trend is coloured all over; choose one")
        return self


class Count(_Measured):
    """Documents, or values of a field."""

    operation: Literal["count"]
    field: str | None = None


class FieldOperation(_Measured):
    """One number of a field's values."""

    operation: Literal["sum", "average", "min", "max", "median", "standard_deviation", "unique_count"]
    field: str


class Percentile(_Measured):
    """The value below which so many percent lie."""

    operation: Literal["percentile"]
    field: str
    percentile: Annotated[float, Field(gt=0, lt=100, strict=False)]


class PercentileRank(_Measured):
    """The percentage of values below a number."""

    operation: Literal["percentile_rank"]
    field: str
    rank: Annotated[float, Field(strict=False)]


class Formula(_Measured):
    """Lens's formulas."""

    operation: Literal["formula"]
    formula: str


Measure = Annotated[Count | FieldOperation | Percentile | PercentileRank | Formula, Field(discriminator="operation")]


class Alphabetical(_Strict):
    """Ranked by the value."""

    type: Literal["alphabetical"]
    direction: Literal["asc", "desc"]


class ByMetric(_Strict):
    """Ranked by a metric of the panel."""

    type: Literal["metric"]
    metric_index: Annotated[int, Field(ge=0)]
    direction: Literal["asc", "desc"]


class Terms(_Strict):
    """By a field's values."""

    operation: Literal["terms"]
    fields: Annotated[list[str], Field(min_length=1, max_length=4)]
    limit: Annotated[int, Field(ge=1, le=1000)]
    rank_by: Annotated[Alphabetical | ByMetric, Field(discriminator="type")]
    label: str
    color: ColourMapping | None = None


class DateHistogram(_Strict):
    """By time."""

    operation: Literal["date_histogram"]
    field: str
    label: str


Bucket = Annotated[Terms | DateHistogram, Field(discriminator="operation")]


class Visible(_Strict):
    """Shown or not."""

    visible: bool


class XAxis(_Strict):
    """The horizontal axis."""

    title: Visible
    scale: Literal["temporal", "ordinal", "linear"] | None = None


class YAxis(_Strict):
    """The vertical axis."""

    title: Visible


class Axis(_Strict):
    """Both."""

    x: XAxis
    y: YAxis


class ListLayout(_Strict):
    """Entries one after the other."""

    type: Literal["list"]


class Legend(_Strict):
    """Of an xy chart, below it."""

    visibility: Literal["auto", "visible", "hidden"]
    position: Literal["top", "bottom"]
    layout: ListLayout


class Layer(_Strict):
    """One kind of marks of one data view."""

    type: Literal[
        "area", "area_percentage", "area_stacked", "bar", "bar_horizontal", "bar_horizontal_stacked",
        "bar_horizontal_percentage", "bar_percentage", "bar_stacked", "line",
    ]  # fmt: skip
    data_source: DataViewReference
    x: Bucket
    y: Annotated[list[Measure], Field(min_length=1, max_length=100)]
    breakdown_by: Bucket | None = None

    @model_validator(mode="after")
    def _ranked(self) -> Layer:
        for bucket in (self.x, self.breakdown_by):
            _check_rank(bucket, len(self.y))
        return self


class _Vis(_Strict):
    title: str
    description: Annotated[str, Field(min_length=1)]
    query: Expression | None = None


class MetricChart(_Vis):
    """One number, or two."""

    type: Literal["metric"]
    data_source: DataViewReference
    metrics: Annotated[list[Measure], Field(min_length=1, max_length=2)]

    @model_validator(mode="after")
    def _primary_first(self) -> MetricChart:
        if [metric.type for metric in self.metrics] not in (["primary"], ["primary", "secondary"]):
            raise ValueError("the first metric is the primary one, and the second the secondary")
        return self


class XyChart(_Vis):
    """Lines, areas, bars."""

    type: Literal["xy"]
    axis: Axis
    legend: Legend
    layers: Annotated[list[Layer], Field(min_length=1, max_length=100)]


class SortBy(_Strict):
    """The column that a table is sorted by."""

    column_type: Literal["metric", "row"]
    index: Annotated[int, Field(ge=0)]
    direction: Literal["asc", "desc"]


class DataTable(_Vis):
    """Rows of buckets, columns of measures."""

    type: Literal["data_table"]
    data_source: DataViewReference
    metrics: Annotated[list[Measure], Field(min_length=1)]
    rows: Annotated[list[Bucket], Field(min_length=1, max_length=50)]
    sort_by: SortBy
    paging: Literal[10, 20, 30, 50, 100]

    @model_validator(mode="after")
    def _sorted_and_ranked(self) -> DataTable:
        if self.sort_by.index >= len(self.metrics if self.sort_by.column_type == "metric" else self.rows):
            raise ValueError(f"sort_by.index {self.sort_by.index} is no column")
        for bucket in self.rows:
            _check_rank(bucket, len(self.metrics))
        return self


class VisPanel(_Strict):
    """A visualization."""

    type: Literal["vis"]
    id: Annotated[str, Field(min_length=1)]
    grid: Grid
    config: Annotated[MetricChart | XyChart | DataTable, Field(discriminator="type")]


class Sort(_Strict):
    """The order of documents."""

    name: str
    direction: Literal["asc", "desc"]


class Tab(_Strict):
    """A Discover session on a data view."""

    data_source: DataViewReference
    column_order: Annotated[list[str], Field(max_length=100)]
    sort: list[Sort]
    filters: Annotated[list[Any], Field(max_length=0)]
    density: Literal["compact", "normal", "expanded"]
    rows_per_page: Literal[10, 25, 50, 100, 250, 500]
    sample_size: Annotated[int, Field(ge=10, le=10_000)]
    query: Expression | None = None


class Session(_Strict):
    """What a Discover panel shows; one tab is supported."""

    title: Annotated[str, Field(min_length=1)]
    description: Annotated[str, Field(min_length=1)]
    tabs: Annotated[list[Tab], Field(min_length=1, max_length=1)]


class DiscoverPanel(_Strict):
    """Documents."""

    type: Literal["discover_session"]
    id: Annotated[str, Field(min_length=1)]
    grid: Grid
    config: Session


class OptionsList(_Strict):
    """A field to choose values of."""

    title: Annotated[str, Field(min_length=1)]
    data_view_id: Annotated[str, Field(min_length=1)]
    field_name: Annotated[str, Field(min_length=1)]


class PinnedControl(_Strict):
    """A control above the panels."""

    type: Literal["options_list_control"]
    width: Literal["small", "medium", "large"]
    grow: bool
    config: OptionsList


class TimeRange(_Strict):
    """The range that is shown at first."""

    from_: str = Field(alias="from")
    to: str


class RefreshInterval(_Strict):
    """How often panels are asked again, in milliseconds."""

    pause: bool
    value: Annotated[int, Field(ge=1000)]


class Options(_Strict):
    """Of the whole dashboard."""

    use_margins: bool
    sync_colors: bool
    sync_cursor: bool
    sync_tooltips: bool


class Dashboard(_Strict):
    """The body of `PUT /api/dashboards/{id}`."""

    title: Annotated[str, Field(min_length=1)]
    description: Annotated[str, Field(min_length=1)]
    time_range: TimeRange
    refresh_interval: RefreshInterval
    query: Expression
    filters: Annotated[list[Any], Field(max_length=0)]
    options: Options
    pinned_panels: list[PinnedControl]
    panels: Annotated[list[Annotated[VisPanel | DiscoverPanel, Field(discriminator="type")]], Field(max_length=100)]


class FieldFormat(_Strict):
    """How a data view shows a field."""

    id: Literal["duration", "bytes", "percent", "number"]
    params: dict[str, str]


class DataView(_Strict):
    """A data view."""

    id: Annotated[str, Field(min_length=1)]
    title: Annotated[str, Field(min_length=1)]
    name: Annotated[str, Field(min_length=1)]
    timeFieldName: str  # noqa: N815 - the API's name
    fieldFormats: dict[str, FieldFormat] = Field(default_factory=dict)  # noqa: N815


class PutDataView(_Strict):
    """The body of `POST /api/data_views/data_view`."""

    data_view: DataView
    override: bool = False


class DefaultDataView(_Strict):
    """The body of `POST /api/data_views/default`."""

    data_view_id: str
    force: bool = False


def _check_rank(bucket: Terms | DateHistogram | None, metrics: int) -> None:
    if isinstance(bucket, Terms) and isinstance(bucket.rank_by, ByMetric) and bucket.rank_by.metric_index >= metrics:
        raise ValueError(f"metric_index {bucket.rank_by.metric_index} is no metric of the panel")
