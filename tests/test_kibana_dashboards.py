"""Every panel, control and search of the committed Kibana dashboards, run on a real Elasticsearch over real documents.

Kibana itself cannot be had here. What it would ask of Elasticsearch can: each operation of its Dashboards API is one
aggregation (`kibana.aggregations`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from elasticsearch import Elasticsearch as Client

from kibana.__main__ import CONTENT
from kibana.aggregations import Request, Row, Span, requests
from modelward_collector.checks.result import CheckKind, Status
from tests.kibana_traffic import COUNTRIES, HOSTS, REGIONS, Filled, filled
from tests.servers.elasticsearch import Elasticsearch

pytestmark = pytest.mark.server("elasticsearch")

DASHBOARDS = sorted((CONTENT / "dashboards").glob("*.json"))


class Kibana:
    """Runs the panels' searches; the answers of each are remembered."""

    def __init__(self, client: Client, made: Filled) -> None:
        self.client = client
        self.made = made
        self.span = Span(made.start - timedelta(hours=1), made.end + timedelta(hours=1))
        self._answers: dict[tuple[str, str], list[Row]] = {}

    def requests(self, dashboard: str, *filters: Mapping[str, Any]) -> list[Request]:
        content = json.loads((CONTENT / "dashboards" / f"modelward-{dashboard}.json").read_text())
        return requests(content, self.span, *filters)

    def rows(self, dashboard: str, panel: str, *filters: Mapping[str, Any]) -> list[Row]:
        (request,) = [one for one in self.requests(dashboard, *filters) if one.panel in (panel, f"{dashboard}-{panel}")]
        return self.run(request)

    def run(self, request: Request) -> list[Row]:
        answer = self.client.search(index=request.index, **request.body)
        assert not answer["_shards"]["failed"], answer["_shards"]
        return request.rows(answer.body)

    def number(self, dashboard: str, panel: str, *filters: Mapping[str, Any]) -> float:
        ((value,),) = [row.values for row in self.rows(dashboard, panel, *filters)]
        assert value is not None
        return value

    def by_first(self, dashboard: str, panel: str, measure: int = 0) -> dict[Any, float]:
        """The measure summed by the outermost bucket."""
        found: dict[Any, float] = {}
        for row in self.rows(dashboard, panel):
            found[row.keys[0]] = found.get(row.keys[0], 0) + (row.values[measure] or 0)
        return found


@pytest.fixture(scope="module")
def kibana(_elasticsearch: Elasticsearch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kibana]:
    node = _elasticsearch
    node.start()
    client = Client(node.url, ca_certs=str(node.ca), basic_auth=node.admin.auth)
    with client, filled(node, tmp_path_factory.mktemp("kibana")) as made:
        client.indices.refresh(index="modelward-*")
        yield Kibana(client, made)


@pytest.mark.parametrize("dashboard", [path.stem.removeprefix("modelward-") for path in DASHBOARDS])
def test_no_panel_control_or_search_is_empty(kibana: Kibana, dashboard: str) -> None:
    asked = kibana.requests(dashboard)
    assert len(asked) > 15
    empty = []
    for request in asked:
        rows = kibana.run(request)
        if request.columns:
            full = bool(rows) and all(
                any(row.keys[column] not in (None, "") for row in rows) for column in range(len(request.columns))
            )
        elif request.measures:
            full = all(any(row.values[number] for row in rows) for number in range(len(request.measures)))
        else:
            full = bool(rows)
        if not full:
            empty.append(request.panel)
    assert not empty


# -- predictions ----------------------------------------------------------------------------------------------------


def test_predictions_errors_and_labels_are_those_that_were_recorded(kibana: Kibana) -> None:
    made = kibana.made
    predicted, failed = made.predictions.total(), made.failed.total()
    assert kibana.number("predictions", "predictions") == predicted
    assert kibana.number("predictions", "errors") == failed
    assert kibana.number("predictions", "error-share") == pytest.approx(failed / (predicted + failed))
    assert kibana.number("predictions", "labelled") == pytest.approx(made.actuals / predicted)


def test_latencies_are_those_that_were_recorded(kibana: Kibana) -> None:
    latencies = np.array(kibana.made.latencies)
    assert kibana.number("predictions", "median-latency") == pytest.approx(np.median(latencies), rel=0.02)
    assert kibana.number("predictions", "latency-p95") == pytest.approx(np.percentile(latencies, 95), rel=0.02)
    by_host = kibana.by_first("predictions", "latency-p95-by-host")
    assert list(by_host) == [HOSTS[1], HOSTS[0]], "the slower host comes first"


def test_predictions_are_broken_down_as_they_were_recorded(kibana: Kibana) -> None:
    made = kibana.made
    assert kibana.by_first("predictions", "predictions-by-model") == {
        "fraud": sum(count for (model, _), count in made.predictions.items() if model == "fraud"),
        "price": made.predictions["price", "2026.1"],
    }
    assert kibana.by_first("predictions", "predicted-classes") == made.classes
    assert kibana.by_first("predictions", "predictions-by-segment") == made.segments
    assert kibana.by_first("predictions", "errors-by-type") == made.exceptions
    versions = {row.keys: row.values for row in kibana.rows("predictions", "model-versions")}
    assert {pair: values[0] for pair, values in versions.items()} == made.predictions
    assert versions["price", "2026.1"][2] == pytest.approx(np.mean(made.prices))
    assert versions["price", "2026.1"][3] == pytest.approx(np.std(made.prices), rel=1e-6)
    assert versions["price", "2026.1"][4] == len(HOSTS)


def test_stages_and_business_events_are_those_that_were_recorded(kibana: Kibana) -> None:
    made = kibana.made
    stages = {row.keys: row.values for row in kibana.rows("predictions", "pipeline-stages")}
    assert {pair: values[0] for pair, values in stages.items()} == made.stages
    assert sum(values[1] or 0 for values in stages.values()) == made.failed_stages
    (revenue,) = kibana.rows("predictions", "business-events")
    assert revenue.keys == ("revenue", "EUR")
    assert revenue.values[1] == pytest.approx(made.revenue)


def test_controls_offer_what_there_is_and_narrow_every_panel(kibana: Kibana) -> None:
    offered = {
        title: {row.keys[0] for row in kibana.rows("predictions", f"control {title}")}
        for title in ("Model", "Version", "Segment", "Host")
    }
    assert offered == {
        "Model": {"fraud", "price"},
        "Version": {"1", "2", "2026.1"},
        "Segment": {f"region={region}" for region in REGIONS},
        "Host": set(HOSTS),
    }
    chosen = {"term": {"segments": "region=eu"}}
    assert kibana.number("predictions", "predictions", chosen) == kibana.made.segments["region=eu"]
    for request in kibana.requests("predictions", {"term": {"model": "nobody"}}):
        if request.panel.startswith("control "):
            continue
        assert not any(value for row in kibana.run(request) for value in row.values), request.panel


def test_searches_are_newest_first_and_show_their_columns(kibana: Kibana) -> None:
    (request,) = [one for one in kibana.requests("predictions") if one.panel == "predictions-predictions-newest-first"]
    answer = kibana.client.search(index=request.index, **request.body)
    moments = [datetime.fromisoformat(hit["_source"]["@timestamp"]) for hit in answer["hits"]["hits"]]
    assert len(moments) == 50
    assert moments == sorted(moments, reverse=True)
    assert {row.keys[0] for row in request.rows(answer.body)} == {"fraud", "price"}
    failed = kibana.rows("predictions", "failed-predictions-newest-first")
    assert {row.keys[3] for row in failed} <= set(kibana.made.exceptions)


# -- logs -----------------------------------------------------------------------------------------------------------


def test_log_entries_are_those_that_were_logged_without_heartbeats(kibana: Kibana) -> None:
    levels = kibana.made.levels
    assert kibana.number("logs", "entries") == levels.total()
    assert kibana.number("logs", "errors") == levels["error"]
    assert kibana.number("logs", "error-share") == pytest.approx(levels["error"] / levels.total())
    assert kibana.by_first("logs", "entries-by-level") == levels
    assert kibana.number("logs", "hosts") == len(HOSTS)
    assert kibana.by_first("logs", "exceptions") == kibana.made.logged_exceptions
    assert all(row.keys[2] == "error" for row in kibana.rows("logs", "errors-newest-first"))


# -- results --------------------------------------------------------------------------------------------------------


def test_results_are_those_of_the_checks(kibana: Kibana) -> None:
    results = kibana.made.results
    by_status = Counter(str(result.status) for result in results)
    assert by_status["error"] == 1
    assert by_status["critical"] + by_status["warning"] > 5, "the traffic drifts"
    assert kibana.number("results", "results") == len(results)
    assert kibana.number("results", "critical") == by_status["critical"]
    assert kibana.number("results", "warnings") == by_status["warning"]
    assert kibana.number("results", "failed-checks") == by_status["error"]
    assert kibana.by_first("results", "results-by-status") == by_status


def test_flagged_features_are_those_of_the_findings(kibana: Kibana) -> None:
    flagged: Counter[str] = Counter()
    for result in kibana.made.results:
        if result.check is CheckKind.DRIFT:
            flagged.update(
                {finding.subject for finding in result.findings if finding.status in (Status.WARNING, Status.CRITICAL)}
            )
    assert flagged["amount"] > 0
    assert kibana.by_first("results", "features-that-drift-most") == dict(flagged.most_common(15))
    assert len(COUNTRIES) > 1


# -- incidents and audit --------------------------------------------------------------------------------------------


def test_the_audit_trail_is_that_of_the_auth_service(kibana: Kibana) -> None:
    audit = kibana.made.audit
    assert kibana.number("incidents", "logins") == audit["login", "success"]
    assert kibana.number("incidents", "refused") == audit["login", "failure"]
    assert kibana.number("incidents", "locked-out") == audit["lockout", "success"]
    by_action: Counter[str] = Counter()
    for (action, _), count in audit.items():
        by_action[action] += count
    assert kibana.by_first("incidents", "access-by-action") == by_action
    assert kibana.by_first("incidents", "refused-logins") == {"ada": 3, "grace": 3}
    assert kibana.number("incidents", "incidents") == kibana.made.incidents.total()
    assert kibana.number("incidents", "open") == kibana.made.incidents["open"]
