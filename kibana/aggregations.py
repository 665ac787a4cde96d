"""From a panel, as the committed JSON has it, to the search that Kibana makes of it, and back to rows.

Each operation of the Dashboards API is one aggregation, so a panel is proven by running its search on a real
Elasticsearch. Operations and panels that no dashboard uses are refused by name rather than guessed at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from kibana.kql import EVERYTHING, to_query
from kibana.mapping import FieldTypes, field_types

Json = Mapping[str, Any]

STEPS: Final = (
    ("30s", 30), ("1m", 60), ("5m", 300), ("10m", 600), ("30m", 1_800), ("1h", 3_600), ("3h", 10_800),
    ("12h", 43_200), ("1d", 86_400), ("7d", 604_800),
)  # fmt: skip
MOST_STEPS: Final = 60
"""Steps of time that a chart may have; Kibana aims at about as many."""

_PLAIN: Final = {"sum": "sum", "average": "avg", "min": "min", "max": "max", "unique_count": "cardinality"}
_RATIO: Final = re.compile(r"count\(kql='(?P<part>[^']*)'\) / count\((?:kql='(?P<whole>[^']*)')?\)")


class UnknownPanelError(ValueError):
    """A panel or an operation that cannot be translated."""


@dataclass(frozen=True, slots=True)
class Span:
    """What the dashboard's time range covers."""

    start: datetime
    end: datetime

    @property
    def step(self) -> str:
        """The interval of a date histogram over it."""
        seconds = (self.end - self.start) / timedelta(seconds=1)
        return next((name for name, length in STEPS if seconds / length <= MOST_STEPS), STEPS[-1][0])

    def query(self) -> Json:
        """Documents within it."""
        bounds = {"gte": self.start.isoformat(), "lt": self.end.isoformat()}
        return {"range": {"@timestamp": bounds}}


@dataclass(frozen=True, slots=True)
class Row:
    """One row of an answer: the values of its buckets, from the outermost in, and of each measure (None: no value)."""

    keys: tuple[Any, ...]
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Request:
    """A search for a panel. `buckets` are the labels of the answer's keys, `measures` those of its values."""

    panel: str
    index: str
    body: Json
    buckets: tuple[str, ...] = ()
    measures: tuple[Json, ...] = ()
    columns: tuple[str, ...] = field(default=())

    def rows(self, answer: Json) -> list[Row]:
        """The answer as rows; of a search for documents their columns, of which there are no measures."""
        if self.columns:
            return [
                Row(tuple(_column(hit["_source"], name) for name in self.columns), ()) for hit in answer["hits"]["hits"]
            ]
        return list(_rows(answer["aggregations"], len(self.buckets), self.measures, ()))


def requests(dashboard: Json, span: Span, *filters: Json) -> list[Request]:
    """The searches of every control and panel. `filters` are what chosen controls add."""
    made = [_control(control, span) for control in dashboard["pinned_panels"]]
    for panel in dashboard["panels"]:
        made += _panel(panel, span, filters)
    return made


def _control(control: Json, span: Span) -> Request:
    if control["type"] != "options_list_control":
        raise UnknownPanelError(f"control {control['type']}")
    config = control["config"]
    body = {
        "size": 0,
        "query": span.query(),
        "aggs": {"b0": {"terms": {"field": config["field_name"], "size": 10}, "aggs": {}}},
    }
    return Request(f"control {config['title']}", config["data_view_id"], body, (config["title"],))


def _panel(panel: Json, span: Span, filters: Sequence[Json]) -> list[Request]:
    config = panel["config"]
    if panel["type"] == "discover_session":
        return [_search(panel["id"], tab, span, filters) for tab in config["tabs"]]
    if panel["type"] != "vis":
        raise UnknownPanelError(f"{panel['id']}: {panel['type']}")
    if config["type"] == "metric":
        return list(_metric(panel["id"], config, span, filters))
    if config["type"] == "xy":
        return [_layer(panel["id"], config, layer, span, filters) for layer in config["layers"]]
    if config["type"] == "data_table":
        return [
            _aggregation(panel["id"], config, config["data_source"], config["rows"], config["metrics"], span, filters)
        ]
    raise UnknownPanelError(f"{panel['id']}: {config['type']}")


def _metric(its_id: str, config: Json, span: Span, filters: Sequence[Json]) -> Iterator[Request]:
    yield _aggregation(its_id, config, config["data_source"], (), config["metrics"], span, filters)
    if any(metric.get("background_chart", {}).get("type") == "trend" for metric in config["metrics"]):
        time = {"operation": "date_histogram", "field": "@timestamp", "label": "Time"}
        yield _aggregation(
            f"{its_id} (trend)", config, config["data_source"], (time,), config["metrics"], span, filters
        )


def _layer(its_id: str, config: Json, layer: Json, span: Span, filters: Sequence[Json]) -> Request:
    # As Lens does: the series are chosen over the whole range first, and each then goes along x.
    buckets = [layer["breakdown_by"], layer["x"]] if "breakdown_by" in layer else [layer["x"]]
    return _aggregation(its_id, config, layer["data_source"], buckets, layer["y"], span, filters)


def _search(its_id: str, tab: Json, span: Span, filters: Sequence[Json]) -> Request:
    index = tab["data_source"]["ref_id"]
    body = {
        "size": min(50, tab["sample_size"]),
        "query": _narrowed(tab, field_types(index), span, filters),
        "sort": [{entry["name"]: entry["direction"]} for entry in tab["sort"]],
    }
    return Request(its_id, index, body, columns=tuple(tab["column_order"]))


def _narrowed(config: Json, fields: FieldTypes, span: Span, filters: Sequence[Json]) -> Json:
    own = to_query(config.get("query", {}).get("expression", ""), fields)
    return {"bool": {"filter": [span.query(), own, *filters]}}


def _aggregation(
    its_id: str,
    config: Json,
    source: Json,
    buckets: Sequence[Json],
    metrics: Sequence[Json],
    span: Span,
    filters: Sequence[Json],
) -> Request:
    if source["type"] != "data_view_reference":
        raise UnknownPanelError(f"{its_id}: data source {source['type']}")
    index = source["ref_id"]
    fields = field_types(index)
    measures: dict[str, Any] = {}
    for number, metric in enumerate(metrics):
        measures |= _measure(its_id, f"m{number}", metric, fields)
    aggregations = measures
    for depth in reversed(range(len(buckets))):
        # A bucket is ranked by its own measures, so they are asked for at every level.
        inner = measures if depth == len(buckets) - 1 else {**measures, **aggregations}
        aggregations = {f"b{depth}": {**_bucket(its_id, buckets[depth], metrics, span), "aggs": inner}}
    body = {"size": 0, "query": _narrowed(config, fields, span, filters), "aggs": aggregations}
    return Request(its_id, index, body, tuple(bucket.get("label", "") for bucket in buckets), tuple(metrics))


def _bucket(its_id: str, bucket: Json, metrics: Sequence[Json], span: Span) -> dict[str, Any]:
    operation = bucket["operation"]
    if operation == "date_histogram":
        return {"date_histogram": {"field": bucket["field"], "fixed_interval": span.step, "min_doc_count": 1}}
    if operation == "terms":
        (name,) = bucket["fields"]
        return {"terms": {"field": name, "size": bucket["limit"], "order": _order(its_id, bucket["rank_by"], metrics)}}
    raise UnknownPanelError(f"{its_id}: bucket {operation}")


def _order(its_id: str, rank: Json, metrics: Sequence[Json]) -> Json:
    if rank["type"] == "alphabetical":
        return {"_key": rank["direction"]}
    if rank["type"] != "metric":
        raise UnknownPanelError(f"{its_id}: ranked by {rank['type']}")
    number = rank["metric_index"]
    metric = metrics[number]
    if metric["operation"] == "count":
        path = f"m{number}._count" if "filter" in metric else "_count"
    elif metric["operation"] == "percentile":
        path = f"m{number}>value.{float(metric['percentile']):g}"
    elif metric["operation"] == "median":
        path = f"m{number}>value.50"
    elif metric["operation"] in _PLAIN:
        path = f"m{number}>value"
    else:
        raise UnknownPanelError(f"{its_id}: ranked by {metric['operation']}")
    return {path: rank["direction"]}


def _measure(its_id: str, name: str, metric: Json, fields: FieldTypes) -> dict[str, Any]:
    where = to_query(metric["filter"]["expression"], fields) if "filter" in metric else dict(EVERYTHING)
    operation = metric["operation"]
    if operation == "count":
        return {name: {"filter": where}}
    if operation == "formula":
        ratio = _RATIO.fullmatch(metric["formula"])
        if ratio is None:
            raise UnknownPanelError(f"{its_id}: formula {metric['formula']}")
        return {
            name: {"filter": to_query(ratio["part"], fields)},
            f"{name}_whole": {"filter": to_query(ratio["whole"] or "", fields)},
        }
    of = {"field": metric["field"]}
    if operation in _PLAIN:
        value: dict[str, Any] = {_PLAIN[operation]: of}
    elif operation in ("percentile", "median"):
        value = {"percentiles": {**of, "percents": [metric.get("percentile", 50)]}}
    elif operation == "percentile_rank":
        value = {"percentile_ranks": {**of, "values": [metric["rank"]]}}
    elif operation == "standard_deviation":
        value = {"extended_stats": of}
    else:
        raise UnknownPanelError(f"{its_id}: operation {operation}")
    return {name: {"filter": where, "aggs": {"value": value}}}


def _rows(level: Json, depth: int, metrics: Sequence[Json], keys: tuple[Any, ...]) -> Iterator[Row]:
    if len(keys) == depth:
        yield Row(keys, tuple(_value(level, f"m{number}", metric) for number, metric in enumerate(metrics)))
        return
    for bucket in level[f"b{len(keys)}"]["buckets"]:
        yield from _rows(bucket, depth, metrics, (*keys, bucket["key"]))


def _value(level: Json, name: str, metric: Json) -> float | None:
    operation = metric["operation"]
    found = level[name]
    if operation == "count":
        return float(found["doc_count"])
    if operation == "formula":
        whole = level[f"{name}_whole"]["doc_count"]
        return found["doc_count"] / whole if whole else None
    value = found["value"]
    if operation in ("percentile", "median", "percentile_rank"):
        (number,) = value["values"].values()
    elif operation == "standard_deviation":
        number = value["std_deviation"]
    else:
        number = value["value"]
    # The server answers NaN as a text where there is nothing.
    return float(number) if isinstance(number, int | float) else None


def _column(source: Json, name: str) -> Any:
    if name in source:
        return source[name]
    value: Any = source
    parts = name.split(".")
    while parts:
        for length in range(len(parts), 0, -1):
            key = ".".join(parts[:length])
            if isinstance(value, Mapping) and key in value:
                value, parts = value[key], parts[length:]
                break
        else:
            return None
    return value
