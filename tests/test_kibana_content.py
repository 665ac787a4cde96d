"""What is committed for Kibana is what the definitions say, what the API takes, and what the store's fields allow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from kibana.__main__ import CONTENT, content, main, written
from kibana.aggregations import Span, UnknownPanelError, requests
from kibana.kql import KqlError, to_query
from kibana.mapping import CHOOSABLE, DATES, NUMERIC, field_types
from kibana.schema import Dashboard, PutDataView

DASHBOARDS = sorted((CONTENT / "dashboards").glob("*.json"))
FOLD = 25
"""Rows of the grid that a browser on an ordinary screen shows at first."""

NOON = Span(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC) + timedelta(hours=12))

every_dashboard = pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)


def load(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def operations(dashboard: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Panel, data view and operation, of every measure and bucket."""
    for panel in dashboard["panels"]:
        config = panel["config"]
        if panel["type"] != "vis":
            continue
        for part in config.get("layers", [config]):
            view = part["data_source"]["ref_id"]
            found = [*part.get("y", []), *part.get("metrics", []), *part.get("rows", [])]
            found += [part[name] for name in ("x", "breakdown_by") if name in part]
            for operation in found:
                yield panel["id"], view, operation


def test_the_committed_files_are_what_the_definitions_write(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"]) == 0, capsys.readouterr().out
    assert [path.stem for path in DASHBOARDS] == [
        "modelward-incidents", "modelward-logs", "modelward-predictions", "modelward-results",
    ]  # fmt: skip


def test_a_file_that_is_not_current_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "kibana" / "content"
    monkeypatch.setattr("kibana.__main__.CONTENT", root)
    assert main([]) == 0
    assert main(["--check"]) == 0
    (root / "data-views.json").write_text("[]\n")
    (root / "dashboards" / "old.json").write_text(written({}))
    assert main(["--check"]) == 1
    said = capsys.readouterr().out
    assert "kibana/content/data-views.json is not current; run: python -m kibana" in said
    assert "old.json" in said
    assert main([]) == 0
    assert main(["--check"]) == 0


@every_dashboard
def test_it_is_a_body_that_the_api_takes(path: Path) -> None:
    Dashboard.model_validate(load(path))


def test_data_views_have_fixed_ids_and_formats_of_fields_that_exist() -> None:
    views = TypeAdapter(list[PutDataView]).validate_python(content()["data-views.json"])
    names = [view.data_view.id for view in views]
    assert names == [f"modelward-{name}" for name in ("logs", "events", "results", "incidents", "audit")]
    for view in views:
        fields = field_types(view.data_view.id)
        assert fields.type_of(view.data_view.timeFieldName) in DATES
        assert all(fields.type_of(name) in NUMERIC for name in view.data_view.fieldFormats)


def test_ids_are_unique_across_dashboards() -> None:
    ids = [panel["id"] for path in DASHBOARDS for panel in load(path)["panels"]]
    assert len(set(ids)) == len(ids)


@every_dashboard
def test_panels_fill_the_grid_without_overlaps(path: Path) -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in load(path)["panels"]:
        grid = panel["grid"]
        for x in range(grid["x"], grid["x"] + grid["w"]):
            for y in range(grid["y"], grid["y"] + grid["h"]):
                assert x < 48
                assert (x, y) not in taken, f"{panel['id']} lies on {taken[x, y]}"
                taken[x, y] = panel["id"]
    height = max(y for _, y in taken) + 1
    assert len(taken) == 48 * height, "there are gaps"


@every_dashboard
def test_numbers_come_first_then_trends_then_breakdowns_then_documents(path: Path) -> None:
    panels = load(path)["panels"]
    above = [panel for panel in panels if panel["grid"]["y"] + panel["grid"]["h"] <= FOLD]
    assert 7 <= len(above) <= 12
    kinds = [panel["config"].get("type", "documents") for panel in sorted(panels, key=lambda panel: panel["grid"]["y"])]
    assert kinds[0] == "metric"
    assert kinds[kinds.count("metric")] == "xy"
    assert "metric" not in kinds[kinds.count("metric") :]
    assert kinds[-1] == "documents"


@every_dashboard
def test_every_panel_says_what_it_shows_and_in_what_unit(path: Path) -> None:
    dashboard = load(path)
    assert dashboard["title"].startswith("Modelward: ")
    for panel in dashboard["panels"]:
        config = panel["config"]
        assert config["description"].endswith("."), panel["id"]
        assert config["title"] or config["type"] == "metric", panel["id"]
    for panel, _, operation in operations(dashboard):
        assert operation["label"], panel
        if operation.get("field") in ("latency_ms", "stage.duration_ms"):
            assert operation["format"] == {"type": "duration", "from": "ms", "to": "auto"}, panel
        if operation.get("field") == "duration_seconds":
            assert operation["format"] == {"type": "duration", "from": "s", "to": "auto"}, panel
        if operation["operation"] == "formula":
            assert operation["format"]["type"] == "percent", panel


@every_dashboard
def test_every_field_has_the_type_that_its_operation_needs(path: Path) -> None:
    dashboard = load(path)
    for panel, view, operation in operations(dashboard):
        fields = field_types(view)
        name = operation["operation"]
        for field in operation.get("fields", [operation["field"]] if "field" in operation else []):
            kind = fields.type_of(field)
            wanted = {
                "date_histogram": DATES,
                "terms": CHOOSABLE,
                "unique_count": CHOOSABLE,
                "min": NUMERIC | DATES,
                "max": NUMERIC | DATES,
            }.get(name, NUMERIC)
            assert kind in wanted, f"{panel}: {name} of {field}, which is {kind} in {view}"
    for control in dashboard["pinned_panels"]:
        config = control["config"]
        assert field_types(config["data_view_id"]).type_of(config["field_name"]) in {"keyword", "ip"}, config
    for panel in dashboard["panels"]:
        for tab in panel["config"].get("tabs", []):
            fields = field_types(tab["data_source"]["ref_id"])
            assert all(fields.type_of(column) for column in tab["column_order"]), panel["id"]
            assert all(fields.type_of(order["name"]) in DATES for order in tab["sort"])


@every_dashboard
def test_every_query_names_fields_that_exist(path: Path) -> None:
    assert requests(load(path), NOON), "translating reads every query and every operation"


@every_dashboard
def test_models_and_their_versions_can_be_chosen(path: Path) -> None:
    titles = [control["config"]["title"] for control in load(path)["pinned_panels"]]
    assert titles[0] == "Model"
    assert 3 <= len(titles) <= 5
    if path.stem == "modelward-predictions":
        assert titles == ["Model", "Version", "Segment", "Host"]


# -- what stands in for Kibana refuses what Kibana refuses -----------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("panels", 0, "grid", "w"), 49),
        (("panels", 0, "grid", "x"), 47),
        (("panels", 0, "type"), "lens"),
        (("panels", 0, "config", "type"), "datatable"),
        (("panels", 0, "config", "metrics", 0, "operation"), "cardinality"),
        (("panels", 0, "config", "metrics", 0, "format", "type"), "percentage"),
        (("panels", 0, "config", "dataset"), {}),
        (("panels", 4, "config", "layers", 0, "breakdown_by", "rank_by", "metric_index"), 1),
        (("panels", 4, "config", "layers", 0, "data_source"), {"type": "index", "index": "x"}),
        (("pinned_panels", 0, "config", "field_name"), ""),
        (("title",), ""),
    ],
)
def test_a_body_that_is_not_of_the_documented_form_is_refused(where: tuple[str | int, ...], value: Any) -> None:
    body: Any = load(CONTENT / "dashboards" / "modelward-logs.json")
    Dashboard.model_validate(body)
    place = body
    for key in where[:-1]:
        place = place[key]
    place[where[-1]] = value
    with pytest.raises(ValidationError):
        Dashboard.model_validate(body)


def test_kql_becomes_the_query_that_kibana_makes_of_it() -> None:
    fields = field_types("modelward-events")
    assert to_query("", fields) == {"match_all": {}}
    assert to_query("kind: prediction", fields) == {"term": {"kind": "prediction"}}
    assert to_query("not segment.region: eu", fields) == {"bool": {"must_not": [{"term": {"segment.region": "eu"}}]}}
    assert to_query('message: "no answer" and latency_ms >= 5', fields) == {
        "bool": {"filter": [{"match_phrase": {"message": "no answer"}}, {"range": {"latency_ms": {"gte": "5"}}}]}
    }
    assert to_query("model: (a or b*) or version: *", fields) == {
        "bool": {
            "should": [
                {
                    "bool": {
                        "should": [{"term": {"model": "a"}}, {"wildcard": {"model": {"value": "b*"}}}],
                        "minimum_should_match": 1,
                    }
                },
                {"exists": {"field": "version"}},
            ],
            "minimum_should_match": 1,
        }
    }


@pytest.mark.parametrize("text", ["modle: x", "kind", "kind:", "(kind: x", "kind: x y", "model > 3", "kind: (a b)"])
def test_kql_that_says_nothing_is_refused(text: str) -> None:
    with pytest.raises(KqlError):
        to_query(text, field_types("modelward-events"))


def test_an_operation_that_nothing_proves_is_refused_by_name() -> None:
    dashboard = load(CONTENT / "dashboards" / "modelward-logs.json")
    dashboard["panels"][0]["config"]["metrics"][0] |= {"operation": "last_value", "field": "message"}
    with pytest.raises(UnknownPanelError, match="logs-entries: operation last_value"):
        requests(dashboard, NOON)
