"""Every query of every dashboard, asked of a real Prometheus that scrapes what the dashboards are about.

The appliance's own configuration of Prometheus, Alertmanager and the exporters, its rules, a collector and agents
that are fed by Recorders, and Elasticsearch for the panels that show logs. An answer must be there and finite.
"""

from __future__ import annotations

import json
import math
import random
import signal
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import generate_latest

from grafana.render.ask import Asked, NoAnswerError, Span, chosen, filled
from grafana.render.example import Day
from modelward_agent import Recorder
from modelward_appliance.backup.service import BackupMetrics
from modelward_appliance.backup.shelf import Shelf
from tests.servers.alertmanager import Alertmanager
from tests.servers.appliance import AppliancePrometheus, Rendered, blackbox_exporter, node_exporter
from tests.servers.elasticsearch import Elasticsearch
from tests.servers.ports import free_ports
from tests.servers.process import Child
from tests.servers.web import Web

pytestmark = [
    pytest.mark.server("prometheus"),
    pytest.mark.server("alertmanager"),
    pytest.mark.server("elasticsearch"),
]

WITHIN = 240.0
SHOWN = timedelta(minutes=30)
MODEL = "credit/risk"  # a slash, as in a registry's names

HISTORY_MINUTES = range(13 * 60, 15, -10)
HISTORY_SECONDS = range(0, 60, 2)
HISTORY = len(HISTORY_MINUTES) * len(HISTORY_SECONDS)

AN_HOUR_LATER = "offset 1h"
"""What was expected an hour before is there once something is an hour old; it is asked as of an hour from now."""


def wait_for(wanted: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + WITHIN
    while not (found := wanted()):
        assert time.monotonic() < deadline, f"no {what} within {WITHIN:g} s"
        time.sleep(0.5)
    return found


class Fleet:
    """A collector and agents with what the appliance gives them, and Recorders that go on recording.

    One agent cannot deliver and may keep next to nothing, one target does not answer: so that something is wrong.
    """

    def __init__(self, folder: Path, rendered: Rendered, node: Elasticsearch) -> None:
        self.folder = folder
        self.rendered = rendered
        self.node = node
        self._ending = threading.Event()
        self._collector()
        ports = free_ports(3)
        self.journals = [self._agent("agent", rendered.ports["agent"]), self._agent("score-1", ports[0])]
        self.stuck = self._agent("stuck", ports[1], urls=[f"https://127.0.0.1:{ports[2]}"], max_bytes="40kB")
        for name, port in (("score-1", ports[0]), ("stuck", ports[1]), ("silent", ports[2])):
            rendered.target(f"{name}.yml", yaml.safe_dump([{"targets": [f"127.0.0.1:{port}"]}]))

    def _access(self, name: str) -> dict[str, Any]:
        user = {"collector": self.node.collector, "agent": self.node.agent}[name]
        secret = self.folder / f"{name}.password"
        secret.touch(0o600)
        secret.write_text(user.password + "\n")
        access = {"urls": [self.node.url], "ca_file": str(self.node.ca)}
        return {**access, "username": user.name, "password_file": str(secret)}

    def _collector(self) -> None:
        config = yaml.safe_load((self.rendered.folder("collector") / "collector.yml").read_text())
        config |= {
            "store": {"kind": "elasticsearch", **self._access("collector")},
            "models_dir": str(self.folder / "models.d"),
            "agents": {"window": "1m", "delay": "2s"},
        }
        (self.folder / "models.d").mkdir()
        (self.folder / "collector.yml").write_text(yaml.safe_dump(config))

    def _model(self) -> None:
        now = datetime.now(UTC)
        often = {"every": "2s", "window": "10m"}
        spec = {
            "model": MODEL,
            "task": "classification",
            "owner": "lending",
            "reference": {
                "kind": "span",
                "start": (now - timedelta(hours=14)).isoformat(),
                "end": (now - timedelta(minutes=15)).isoformat(),
            },
            "features": {"income": {"type": "numeric", "max": 60}},
            "checks": {
                "drift": often,
                "quality": often,
                "performance": {
                    "every": "2s",
                    "window": "2h",
                    "label_delay": "10s",
                    "thresholds": {"accuracy": {"min": 0.85}},
                },
                "health": often,
            },
        }
        (self.folder / "models.d" / "credit.yml").write_text(yaml.safe_dump(spec))

    def _agent(self, name: str, port: int, *, urls: Sequence[str] = (), max_bytes: str = "1GB") -> Path:
        config = yaml.safe_load((self.rendered.folder("agent") / "agent.yml").read_text())
        journal = self.folder / name / "journal"
        journal.mkdir(parents=True)
        config["metrics"]["listen"] = f"127.0.0.1:{port}"
        config |= {
            "host": name,
            "state": str(self.folder / name / "state"),
            "journal": {"path": str(journal), "max_bytes": max_bytes},
            "logs": [{"path": str(self.folder / name / "app.log"), "model": MODEL}],
            "commit_interval": "2s",
            "elasticsearch": {**self._access("agent"), **({"urls": list(urls)} if urls else {})},
        }
        (self.folder / f"{name}.yml").write_text(yaml.safe_dump(config))
        return journal

    @contextmanager
    def running(self) -> Iterator[None]:
        with ExitStack() as stack:
            self._history()
            collector = stack.enter_context(self._process("modelward", "collector.yml"))
            for config in ("agent.yml", "score-1.yml", "stuck.yml"):
                stack.enter_context(self._process("modelward-agent", config))
            # What estimates are learned from is to be there before anybody looks for it.
            wait_for(lambda: self._labels() == HISTORY * len(self.journals), "delivery of the history")
            self._model()
            collector.send_signal(signal.SIGHUP)
            recording = threading.Thread(target=self._record, daemon=True)
            recording.start()
            try:
                yield
            finally:
                self._ending.set()
                recording.join()

    def _labels(self) -> int:
        query = {"bool": {"filter": [{"term": {"kind": "actual"}}, {"term": {"model": MODEL}}]}}
        try:
            found = search(self.node, "modelward-events", {"size": 0, "track_total_hits": True, "query": query})
        except urllib.error.HTTPError:
            return 0  # the collector makes the index
        return int(found["hits"]["total"]["value"])

    @contextmanager
    def _process(self, program: str, config: str) -> Iterator[subprocess.Popen[bytes]]:
        command = [str(Path(sys.executable).with_name(program)), "run", "--config", str(self.folder / config)]
        child = Child([*command], self.folder / f"{config}.log")
        try:
            yield child.popen
        finally:
            child.stop()

    # -- what is recorded -----------------------------------------------------------------------------------------
    def _history(self) -> None:
        """Half a day of traffic with labels, every ten minutes: what a reference and a forecast are learned from."""
        drawn = random.Random(5)
        now = datetime.now(UTC)
        for ago in HISTORY_MINUTES:
            start = now - timedelta(minutes=ago)
            for journal in self.journals:
                with Recorder(MODEL, "7", journal=journal) as recorder:
                    for second in HISTORY_SECONDS:
                        self._predict(recorder, drawn, 0.0, start + timedelta(seconds=second))

    def _predict(self, recorder: Recorder, drawn: random.Random, shift: float, moment: datetime | None = None) -> None:
        income = drawn.gauss(50 + shift, 8)
        score = 1 / (1 + math.exp((income - 50) / 5))
        said = recorder.predict(
            {"income": income, "region": drawn.choice(["north", "south"]), "age": drawn.choice([None, 30, 40])},
            {"default": score, "paid": 1 - score},
            latency_ms=drawn.uniform(1, 400),
            segment={"channel": drawn.choice(["web", "branch"])},
            timestamp=moment,
        )
        recorder.actual(said, "default" if drawn.random() < score else "paid", timestamp=moment)

    def _record(self) -> None:
        """Until the end: predictions that have drifted, errors, what they bring and cost, stages, logs."""
        drawn = random.Random(6)
        (self.journals[0] / "by-hand.jsonl").write_text("this is not JSON\n")
        with ExitStack() as stack:
            journals = (*self.journals, self.stuck)
            recorders = [
                # Of many small files, since what a process still writes is never deleted.
                stack.enter_context(Recorder(MODEL, "7", journal=journal, max_file_bytes=20_000))
                for journal in journals
            ]
            other = stack.enter_context(Recorder("churn", "3", journal=self.journals[1]))
            logs = [stack.enter_context((self.folder / name / "app.log").open("a")) for name in ("agent", "score-1")]
            while not self._ending.wait(0.25):
                for recorder in (*recorders, other):
                    for _ in range(4):
                        self._predict(recorder, drawn, 8.0)
                    recorder.error(ValueError("no income"))
                    recorder.business("revenue", drawn.uniform(1, 3), currency="EUR")
                    recorder.business("cost", 0.5, currency="EUR")
                    recorder.business("satisfaction", drawn.choice([3, 4, 5]))
                    for status in ("succeeded", "failed"):
                        recorder.stage("nightly", "1", "score", status, drawn.uniform(100, 9000), 30)
                for log in logs:
                    log.write(f"{datetime.now(UTC).isoformat()} ERROR it broke\n")
                    log.flush()


def _backup_metrics(folder: Path) -> bytes:
    """What the backup service shows after a run."""
    metrics = BackupMetrics(Shelf(folder))
    metrics.last_success.set_function(lambda: time.time() - 60)
    metrics.size.set_function(lambda: 5e6)
    metrics.duration.set(12)
    return generate_latest(metrics.registry)


@dataclass
class Asking:
    """The real thing, running."""

    asked: Asked
    span: timedelta
    dashboards: Mapping[str, Mapping[str, Any]]
    node: Elasticsearch

    def now(self) -> Span:
        end = time.time()
        return Span(end - self.span.total_seconds(), end, 15, scrape=2)


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory, _elasticsearch: Elasticsearch) -> Iterator[Asking]:
    folder = tmp_path_factory.mktemp("grafana")
    node = _elasticsearch
    node.start()
    node.forget()
    rendered = Rendered(
        folder / "appliance",
        MODELWARD_HOSTS="modelward.example.org",
        COMPOSE_PROFILES="openldap,grafana,kibana",
    )
    fleet = Fleet(folder, rendered, node)
    files = sorted((rendered.folder("grafana") / "dashboards").glob("*.json"))
    dashboards = {file.stem: json.loads(file.read_text()) for file in files}
    assert len(dashboards) == 7
    backups = folder / "backups"
    backups.mkdir()
    with ExitStack() as stack:
        shown = {"/metrics": lambda: _backup_metrics(backups).decode()}
        stack.enter_context(Web(rendered.server_context("backup"), rendered.ports["backup"], shown))
        stack.enter_context(Alertmanager(rendered))
        stack.enter_context(node_exporter(rendered))
        stack.enter_context(blackbox_exporter(rendered))
        stack.enter_context(fleet.running())
        prometheus = AppliancePrometheus(rendered)
        quicker(prometheus.config / "prometheus.yml")
        stack.enter_context(prometheus)
        trust = ssl.create_default_context(cafile=str(prometheus.config / "tls" / "ca.crt"))
        trust.load_cert_chain(prometheus.config / "tls" / "tls.crt", prometheus.config / "tls" / "tls.key")
        asked = Asked(f"https://127.0.0.1:{prometheus.port}/prometheus", trust)
        yield Asking(asked, SHOWN, dashboards, node)


def quicker(file: Path) -> None:
    """The same configuration, which scrapes and evaluates every two seconds."""
    text = file.read_text()
    for slow in ("10s", "15s", "30s", "1m"):
        for what in ("scrape_interval", "evaluation_interval"):
            text = text.replace(f"{what}: {slow}", f"{what}: 2s")
    text = text.replace("scrape_timeout: 8s", "scrape_timeout: 2s").replace("scrape_timeout: 10s", "scrape_timeout: 2s")
    file.write_text(text)


def expressions(dashboard: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(where, target) of every Prometheus query of a dashboard's panels and annotations."""
    for panel in dashboard["panels"]:
        if panel.get("datasource", {}).get("type") == "prometheus":
            for target in panel.get("targets", []):
                yield f"{dashboard['uid']}: {panel['title']} ({target['refId']})", target
    for annotation in dashboard["annotations"]["list"]:
        yield f"{dashboard['uid']}: annotation {annotation['name']}", annotation


def unanswered(asking: Asking, dashboard: Mapping[str, Any], waiting: set[str]) -> dict[str, str]:
    """What of a dashboard has no finite answer yet, and why."""
    span = asking.now()
    values = chosen(dashboard, asking.asked, span, {"model": MODEL} if dashboard["uid"] == "modelward-model" else {})
    empty = [name for name, value in values.items() if not value]
    if empty:
        return {f"{dashboard['uid']}: variables": f"{empty} have no values"}
    found = {}
    for where, target in expressions(dashboard):
        if where not in waiting:
            continue
        # The zero of what is well would hide a name that does not exist; all that can be wrong is provoked.
        expression = filled(target["expr"], values).removesuffix(" or vector(0)")
        later = 3600 if AN_HOUR_LATER in expression else 0
        if target.get("instant"):
            answered = asking.asked.instant(expression, span.end + later)
        else:
            answered = asking.asked.over(expression, Span(span.start + later, span.end + later, span.step, span.scrape))
        if not answered:
            found[where] = expression
        elif not any(math.isfinite(series.last) for series in answered):
            found[where] = f"{expression} is {answered[0].last}"
    return found


def test_every_query_of_every_dashboard_has_a_finite_answer(asking: Asking) -> None:
    waiting = {where for dashboard in asking.dashboards.values() for where, _ in expressions(dashboard)}
    assert len(waiting) > 150
    deadline = time.monotonic() + WITHIN
    while waiting:
        missing: dict[str, str] = {}
        for dashboard in asking.dashboards.values():
            missing |= unanswered(asking, dashboard, waiting | {f"{dashboard['uid']}: variables"})
        variables = {where.split(":")[0] for where in missing if where.endswith(": variables")}
        waiting = {where for where in waiting if where in missing or where.split(":")[0] in variables}
        told = "\n".join(f"{where}\n    {why}" for where, why in missing.items())
        assert time.monotonic() < deadline, f"{len(missing)} have no finite answer:\n{told}"
        if waiting:
            time.sleep(2)


def test_a_query_that_prometheus_refuses_says_which(asking: Asking) -> None:
    with pytest.raises(NoAnswerError, match="sum by"):
        asking.asked.instant("sum by (", time.time())


def test_the_example_has_only_series_that_real_processes_show(asking: Asking) -> None:
    """What the pictures are drawn of: the same names, and no label that is not there."""
    wanted: dict[str, set[str]] = {}
    for name, labels, _ in Day(time.time()).series():
        wanted.setdefault(name, set()).update(labels)

    def strange() -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for name, labels in wanted.items():
            there = asking.asked.instant(f'{{__name__="{name}"}}', time.time())
            known = set().union(*(series.labels for series in there)) if there else set()
            if not labels <= known:
                found[name] = labels - known
        return found

    deadline = time.monotonic() + WITHIN
    while (missing := strange()) and time.monotonic() < deadline:
        time.sleep(2)
    assert not missing


# -- logs -----------------------------------------------------------------------------------------------------------
def search(node: Elasticsearch, index: str, body: Mapping[str, Any]) -> Any:
    context = ssl.create_default_context(cafile=str(node.ca))
    credential = b64encode(f"{node.collector.name}:{node.collector.password}".encode()).decode()
    headers = {"content-type": "application/json", "authorization": f"Basic {credential}"}
    request = urllib.request.Request(f"{node.url}/{index}/_search", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=20, context=context) as answer:
        return json.load(answer)


def asked_of_elasticsearch(target: Mapping[str, Any], values: Mapping[str, str], span: Span) -> dict[str, Any]:
    """The search that Grafana's data source makes of a target: a query string, and aggregations or the newest lines."""
    between = {"gte": int(span.start * 1e3), "lte": int(span.end * 1e3), "format": "epoch_millis"}
    query = {
        "bool": {
            "filter": [
                {"range": {"@timestamp": between}},
                {"query_string": {"analyze_wildcard": True, "query": filled(target["query"], values)}},
            ]
        }
    }
    if target["metrics"][0]["type"] == "logs":
        size = int(target["metrics"][0]["settings"]["limit"])
        return {"size": size, "query": query, "sort": [{"@timestamp": "desc"}, {"_doc": "desc"}]}
    terms, histogram = target["bucketAggs"]
    settings = terms["settings"]
    inner = {"date_histogram": {"field": histogram["field"], "fixed_interval": "30s", "min_doc_count": 0}}
    outer = {"field": terms["field"], "size": int(settings["size"]), "order": {settings["orderBy"]: settings["order"]}}
    outer |= {"min_doc_count": int(settings["min_doc_count"]), "missing": settings["missing"]}
    return {"size": 0, "query": query, "aggs": {"2": {"terms": outer, "aggs": {"3": inner}}}}


def test_the_panels_of_logs_find_what_was_logged(asking: Asking) -> None:
    dashboard = asking.dashboards["modelward-technical"]
    panels = [panel for panel in dashboard["panels"] if panel.get("datasource", {}).get("type") == "elasticsearch"]
    assert {panel["type"] for panel in panels} == {"logs", "timeseries"}
    deadline = time.monotonic() + WITHIN
    for panel in panels:
        (target,) = panel["targets"]
        while True:
            values = chosen(dashboard, asking.asked, asking.now(), {})
            answer = search(asking.node, "modelward-logs", asked_of_elasticsearch(target, values, asking.now()))
            if panel["type"] == "logs":
                lines = [hit["_source"]["message"] for hit in answer["hits"]["hits"]]
                found = any("it broke" in line for line in lines)
            else:
                levels = {bucket["key"].lower() for bucket in answer["aggregations"]["2"]["buckets"]}
                found = "error" in levels
            if found:
                break
            assert time.monotonic() < deadline, f"{panel['title']}: {target['query']}: {answer}"
            time.sleep(1)
