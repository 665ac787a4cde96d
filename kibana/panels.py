"""The kinds of panels that the dashboards are made of, in the form of Kibana's Dashboards API (9.5).

A panel here says what it shows; `to_json` writes it as the API takes it. Operations are the API's own, and map one to
one to aggregations (`kibana.aggregations`). The API: https://www.elastic.co/docs/explore-analyze/dashboards
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

COLUMNS: Final = 48
"""Of Kibana's grid."""

METRIC_HEIGHT: Final = 5
CHART_HEIGHT: Final = 10
TABLE_HEIGHT: Final = 12

Json = dict[str, Any]


class DataView(StrEnum):
    """The data views, by their ids; each is the alias of the same name."""

    LOGS = "modelward-logs"
    EVENTS = "modelward-events"
    RESULTS = "modelward-results"
    INCIDENTS = "modelward-incidents"
    AUDIT = "modelward-audit"


# -- formats --------------------------------------------------------------------------------------------------------

MILLISECONDS: Final[Json] = {"type": "duration", "from": "ms", "to": "auto"}
SECONDS: Final[Json] = {"type": "duration", "from": "s", "to": "auto"}
PERCENT: Final[Json] = {"type": "percent", "decimals": 2, "compact": False}
BYTES: Final[Json] = {"type": "bytes", "decimals": 1}
COUNT: Final[Json] = {"type": "number", "decimals": 0, "compact": True}
NUMBER: Final[Json] = {"type": "number", "decimals": 2, "compact": False}


# -- operations -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Measure:
    """One number of some documents: the API's metric operation, with its label and format.

    `where` is KQL that the documents of this measure alone must match; `settings` are the operation's own.
    """

    label: str
    operation: str = "count"
    field: str | None = None
    format: Json | None = None
    where: str | None = None
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def to_json(self) -> Json:
        """As the API takes it."""
        written: Json = {"operation": self.operation, "label": self.label, **self.settings}
        if self.field is not None:
            written["field"] = self.field
        if self.format is not None:
            written["format"] = self.format
        if self.where is not None:
            written["filter"] = kql(self.where)
        return written


def count(label: str, where: str | None = None) -> Measure:
    """How many documents."""
    return Measure(label, "count", format=COUNT, where=where)


def percentile(label: str, of: str, percent: float, format_: Json) -> Measure:
    """The value below which that share of the field's values lies."""
    return Measure(label, "percentile", of, format_, settings={"percentile": percent})


def share(label: str, part: str, whole: str | None = None) -> Measure:
    """The documents that match the KQL `part`, as a share of all, or of those that match `whole`; from 0 to 1."""
    below = "count()" if whole is None else f"count(kql='{whole}')"
    return Measure(label, "formula", format=PERCENT, settings={"formula": f"count(kql='{part}') / {below}"})


def kql(text: str) -> Json:
    """A query as the API takes it."""
    return {"expression": text, "language": "kql"}


def over_time(label: str = "Time") -> Json:
    """By time, in steps that fit the range that is shown."""
    return {"operation": "date_histogram", "field": "@timestamp", "label": label}


def top(of: str, label: str, limit: int = 10, colours: Mapping[str, str] | None = None) -> Json:
    """By the field's values, those first with most of the panel's first measure; `colours` are by value."""
    ranked = {"type": "metric", "metric_index": 0, "direction": "desc"}
    written: Json = {"operation": "terms", "fields": [of], "limit": limit, "rank_by": ranked, "label": label}
    if colours:
        mapping = [
            {"values": [value], "color": {"type": "color_code", "value": colour}} for value, colour in colours.items()
        ]
        written["color"] = {"mode": "categorical", "palette": "default", "mapping": mapping}
    return written


# -- panels ---------------------------------------------------------------------------------------------------------

RED: Final = "#F6726A"
ORANGE: Final = "#FFA590"
YELLOW: Final = "#FCD883"
AMBER: Final = "#C99400"
GREEN: Final = "#24C292"
BLUE: Final = "#61A2FF"
VIOLET: Final = "#B084F5"
GREY: Final = "#98A8C3"
"""Red is for what is bad and nothing else, grey for what says neither; amber is the yellow that numbers are read in."""

STATUSES: Final = {"ok": GREEN, "no_data": GREY, "learning": BLUE, "warning": YELLOW, "critical": RED, "error": VIOLET}
LEVELS: Final = {"debug": GREY, "info": BLUE, "notice": BLUE, "warning": YELLOW, "error": RED, "critical": VIOLET}
SEVERITIES: Final = {"1": RED, "2": ORANGE, "3": YELLOW, "4": GREY}

NONE_IS_GOOD: Final = ((0, GREEN), (1, RED))
FEW_ARE_GOOD: Final = ((0, GREEN), (1, AMBER))


@dataclass(frozen=True, slots=True)
class Panel:
    """What all panels have. `what` says what is shown, and when to act."""

    title: str
    what: str
    width: int
    height: int

    def config(self) -> Json:
        """The panel's own part."""
        raise NotImplementedError

    @property
    def kind(self) -> str:
        """The API's name of the panel's type."""
        return "vis"


def _source(view: DataView) -> Json:
    return {"type": "data_view_reference", "ref_id": str(view)}


@dataclass(frozen=True, slots=True)
class Metric(Panel):
    """One number.

    `steps` give it a colour, each from its bound on; without them the way it went is drawn behind it, unless not
    `trend` (Kibana colours the whole tile where there are both).
    """

    view: DataView
    measure: Measure
    where: str | None = None
    steps: Sequence[tuple[float, str]] = ()
    trend: bool = True

    def config(self) -> Json:
        """The label names it, so it has no title."""
        primary: Json = {"type": "primary", **self.measure.to_json()}
        if self.steps:
            primary["color"] = {"type": "dynamic", "range": "absolute", "steps": self._steps()}
            primary["apply_color_to"] = "value"
        elif self.trend:
            primary["background_chart"] = {"type": "trend"}
        written: Json = {
            "type": "metric",
            "title": "",
            "description": self.what,
            "data_source": _source(self.view),
            "metrics": [primary],
        }
        if self.where is not None:
            written["query"] = kql(self.where)
        return written

    def _steps(self) -> list[Json]:
        written: list[Json] = []
        for number, (bound, colour) in enumerate(self.steps):
            step: Json = {"gte": bound, "color": colour}
            if number + 1 < len(self.steps):
                step["lt"] = self.steps[number + 1][0]
            written.append(step)
        return written


@dataclass(frozen=True, slots=True)
class Chart(Panel):
    """Lines, areas or bars: measures by `x`, and each of them by the values of `split`."""

    view: DataView
    measures: Sequence[Measure]
    x: Json = dataclasses.field(default_factory=over_time)
    mark: str = "bar_stacked"
    split: Json | None = None
    where: str | None = None

    def config(self) -> Json:
        """One layer; the legend shows where there is more than one series."""
        layer: Json = {
            "type": self.mark,
            "data_source": _source(self.view),
            "x": self.x,
            "y": [measure.to_json() for measure in self.measures],
        }
        if self.split is not None:
            layer["breakdown_by"] = self.split
        several = self.split is not None or len(self.measures) > 1
        axis: Json = {"x": {"title": {"visible": False}}, "y": {"title": {"visible": False}}}
        if self.x["operation"] == "date_histogram":
            axis["x"]["scale"] = "temporal"
        written: Json = {
            "type": "xy",
            "title": self.title,
            "description": self.what,
            "axis": axis,
            "legend": {
                "visibility": "visible" if several else "hidden",
                "position": "bottom",
                "layout": {"type": "list"},
            },
            "layers": [layer],
        }
        if self.where is not None:
            written["query"] = kql(self.where)
        return written


@dataclass(frozen=True, slots=True)
class Table(Panel):
    """Measures as columns, one row for each value, or combination of values, of the fields."""

    view: DataView
    measures: Sequence[Measure]
    rows: Sequence[Json]
    where: str | None = None

    def config(self) -> Json:
        """Sorted by the first measure, as the first row's field is ranked."""
        written: Json = {
            "type": "data_table",
            "title": self.title,
            "description": self.what,
            "data_source": _source(self.view),
            "metrics": [measure.to_json() for measure in self.measures],
            "rows": list(self.rows),
            "sort_by": {"column_type": "metric", "index": 0, "direction": "desc"},
            "paging": 20,
        }
        if self.where is not None:
            written["query"] = kql(self.where)
        return written


@dataclass(frozen=True, slots=True)
class Search(Panel):
    """The documents themselves, newest first; opens in Discover."""

    view: DataView
    columns: Sequence[str]
    where: str | None = None

    @property
    def kind(self) -> str:
        """A Discover session within the dashboard."""
        return "discover_session"

    def config(self) -> Json:
        """One tab."""
        tab: Json = {
            "data_source": _source(self.view),
            "column_order": list(self.columns),
            "sort": [{"name": "@timestamp", "direction": "desc"}],
            "filters": [],
            "density": "compact",
            "rows_per_page": 50,
            "sample_size": 500,
        }
        if self.where is not None:
            tab["query"] = kql(self.where)
        return {"title": self.title, "description": self.what, "tabs": [tab]}


@dataclass(frozen=True, slots=True)
class Control:
    """A list of a field's values to choose from, pinned above the panels."""

    title: str
    view: DataView
    field: str

    def to_json(self) -> Json:
        """As the API takes it."""
        config = {"title": self.title, "data_view_id": str(self.view), "field_name": self.field}
        return {"type": "options_list_control", "width": "medium", "grow": True, "config": config}


# -- dashboards -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Dashboard:
    """Rows of panels below each other; the panels of a row are equally high."""

    id: str
    title: str
    description: str
    controls: Sequence[Control]
    rows: Sequence[Sequence[Panel]]
    since: str = "now-24h"

    def to_json(self) -> Json:
        """The body of `PUT /api/dashboards/{id}`."""
        return {
            "title": self.title,
            "description": self.description,
            "time_range": {"from": self.since, "to": "now"},
            "refresh_interval": {"pause": False, "value": 60_000},
            "query": kql(""),
            "filters": [],
            "options": {"use_margins": True, "sync_colors": True, "sync_cursor": True, "sync_tooltips": False},
            "pinned_panels": [control.to_json() for control in self.controls],
            "panels": list(self._panels()),
        }

    def _panels(self) -> list[Json]:
        panels: list[Json] = []
        y = 0
        for row in self.rows:
            x = 0
            for panel in row:
                grid = {"x": x, "y": y, "w": panel.width, "h": panel.height}
                its_id = f"{self.id.removeprefix('modelward-')}-{_slug(panel.title)}"
                panels.append({"type": panel.kind, "id": its_id, "grid": grid, "config": panel.config()})
                x += panel.width
            y += max(panel.height for panel in row)
        return panels


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
