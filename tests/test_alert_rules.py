"""Every alert says how bad it is, whose it is and what to do, reads series that exist, and is tested both ways."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest

from collector.tests.collecting import a_collector
from modelward_agent.metrics import AgentMetrics, Snapshot
from modelward_appliance.backup.service import BackupMetrics
from modelward_appliance.backup.shelf import Shelf
from modelward_collector.store.health import StoreHealth
from tests.servers.alertmanager import Alertmanager
from tests.servers.appliance import AppliancePrometheus, Rendered, blackbox_exporter, node_exporter
from tests.test_alert_routing import KINDS

ROOT = Path(__file__).resolve().parents[1]
RULES = ROOT / "prometheus" / "config" / "prometheus" / "rules"
RULE_TESTS = ROOT / "prometheus" / "tests"
RUNBOOKS = ROOT / "docs" / "runbooks"

DASHBOARDS = {"executive", "technical", "operations", "business", "model", "fleet", "appliance"}
STAKEHOLDERS = {"executive", "management", "team", "platform"}
ALWAYS_FIRES = "DeadMansSwitch"
OWNED = "* on (model) group_left (team, tier) topk by (model) (1, model:modelward_team:info)"
"""One series per model, whatever Prometheus holds: a restart leaves a changed owner's old series for five minutes."""


def loaded(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def rules() -> list[dict[str, Any]]:
    return [rule for path in sorted(RULES.glob("*.yml")) for group in loaded(path)["groups"] for rule in group["rules"]]


ALERTS = {rule["alert"]: rule for rule in rules() if "alert" in rule}
RECORDED = {rule["record"]: rule for rule in rules() if "record" in rule}


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_how_bad_it_is_whose_it_is_and_what_to_do(name: str) -> None:
    alert = ALERTS[name]
    labels, annotations = alert["labels"], alert["annotations"]
    assert labels["severity"] in {"1", "2", "3", "4"}
    assert labels["stakeholder"] in STAKEHOLDERS
    assert labels["kind"]
    assert "team" in labels or OWNED in alert["expr"]
    assert annotations["summary"]
    assert len(annotations["description"]) > 20
    assert annotations["runbook_url"] == f"/runbooks/{name}"
    dashboard = re.fullmatch(r"d/modelward-([a-z]+)\?.+", annotations["dashboard"])
    assert dashboard is not None, "the notification adds the time range with &"
    assert dashboard[1] in DASHBOARDS


def test_the_kinds_of_alerts_are_those_whose_routes_are_tested() -> None:
    assert {alert["labels"]["kind"] for alert in ALERTS.values()} == KINDS.keys() | {"heartbeat"}


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_has_a_runbook_that_says_what_it_means_and_what_to_do(name: str) -> None:
    text = (RUNBOOKS / f"{name}.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {name}\n")
    for section in ("## What it means", "## What to look at", "## What to do"):
        assert f"\n{section}\n" in text


def test_there_is_no_runbook_without_an_alert() -> None:
    assert {path.stem for path in RUNBOOKS.glob("*.md")} - {"README"} == set(ALERTS)


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_is_tested_to_fire_and_to_stay_silent(name: str) -> None:
    checks = [
        check
        for path in RULE_TESTS.glob("*.yml")
        for case in loaded(path)["tests"]
        for check in case.get("alert_rule_test", ())
        if check["alertname"] == name
    ]
    assert any(check["exp_alerts"] for check in checks)
    assert name == ALWAYS_FIRES or any(not check["exp_alerts"] for check in checks)


def test_a_recorded_series_is_named_level_metric_operation_and_read_by_something() -> None:
    dashboards = "".join(path.read_text() for path in (ROOT / "grafana").rglob("*.py"))
    for name in RECORDED:
        assert re.fullmatch(r"[a-z_]+:[a-z0-9_]+:[a-z0-9_]+", name)
        readers = [rule for rule in rules() if name in rule["expr"] and rule.get("record") != name]
        assert readers or name in dashboards


# -- promtool ------------------------------------------------------------------------------------------------------
def promtool(*arguments: str | Path) -> None:
    done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.server("prometheus")
@pytest.mark.parametrize("path", sorted(RULE_TESTS.glob("*.yml")), ids=lambda path: path.stem)
def test_rules_do_what_their_tests_say(path: Path) -> None:
    promtool("test", "rules", path)


@pytest.mark.server("prometheus")
@pytest.mark.parametrize("profiles", ["openldap", "openldap,grafana,kibana,logstash,scale"])
def test_the_configuration_is_one_that_prometheus_accepts(tmp_path: Path, profiles: str) -> None:
    rendered = Rendered(
        tmp_path / "appliance",
        MODELWARD_HOSTS="modelward.example.org",
        MODELWARD_ENVIRONMENT='"stage": #1',
        COMPOSE_PROFILES=profiles,
    )
    rendered.target("scoring-1.yml", '- targets: ["scoring-1.example.org:9478"]\n')
    folder = rendered.folder("prometheus")
    promtool("check", "config", folder / "prometheus.yml")
    promtool("check", "web-config", folder / "web.yml")
    config = loaded(folder / "prometheus.yml")
    assert config["global"]["external_labels"] == {"site": "Modelward", "environment": '"stage": #1'}
    assert ("remote_write" in config) == ("scale" in profiles)


# -- series --------------------------------------------------------------------------------------------------------
def metrics_of(expressions: Iterable[str]) -> set[str]:
    """The names in expressions that look like metrics of a process: no label, function or recorded series."""
    found = set()
    for expression in expressions:
        bare = re.sub(r'"[^"]*"', "", expression)
        bare = re.sub(r"\b(by|on|without|ignoring|group_left|group_right)\s*\([^)]*\)", "", bare)
        bare = re.sub(r"\{[^}]*\}", "", bare)
        found |= set(re.findall(r"(?<![:\w])((?:modelward|node|probe|prometheus|alertmanager)_\w+)(?![:\w])", bare))
    return found


def names(exposition: str) -> set[str]:
    """The names of series that an exposition has or announces."""
    announced = set()
    for name, kind in re.findall(r"^# TYPE (\S+) (\w+)$", exposition, re.MULTILINE):
        announced.add(name)
        if kind == "histogram":
            announced |= {f"{name}_bucket", f"{name}_count", f"{name}_sum"}
    return announced | set(re.findall(r"^([a-z_]\w*)[{ ]", exposition, re.MULTILINE))


def of_our_own(folder: Path) -> set[str]:
    """What agent, collector and backup service show."""
    agent = AgentMetrics(max_models=2, max_features=2)
    agent.snapshot = lambda: Snapshot(lag_bytes=0, shipped=0, spool_profiles=0, files=0, failures={})
    registry = CollectorRegistry()
    registry.register(agent)
    collector = a_collector(
        folder, {"fraud": ""}, probes=[{"kind": "tcp", "name": "x", "host": "localhost", "port": 1}]
    )
    collector.context.registry.seen()
    clustered = StoreHealth(collector.context.store, cluster=True)
    clustered.ask()
    collector.metrics.observe(clustered)
    collector.store_health.ask()
    (folder / "backups").mkdir()
    backups = BackupMetrics(Shelf(folder / "backups"))
    texts = [generate_latest(registry), collector.metrics.render(), generate_latest(backups.registry)]
    return names(b"".join(texts).decode())


@pytest.mark.server("prometheus")
@pytest.mark.server("alertmanager")
@pytest.mark.server("exporters")
def test_every_series_that_a_rule_reads_is_one_that_a_real_process_shows(tmp_path: Path) -> None:
    rendered = Rendered(
        tmp_path / "appliance",
        MODELWARD_HOSTS="modelward.example.org",
        COMPOSE_PROFILES="openldap,grafana,kibana,scale",
    )
    there = of_our_own(tmp_path)
    with ExitStack() as running:
        node, blackbox = (running.enter_context(make(rendered)) for make in (node_exporter, blackbox_exporter))
        alertmanager = running.enter_context(Alertmanager(rendered))
        prometheus = running.enter_context(AppliancePrometheus(rendered))
        there |= names(node.ask("/metrics").decode())
        target = f"127.0.0.1:{node.port}"
        there |= names(blackbox.ask(f"/probe?module=certificate&target={target}").decode())
        there |= names(alertmanager.ask("/alertmanager/metrics").decode())
        read = metrics_of(rule["expr"] for rule in rules())
        deadline = time.monotonic() + 60
        # Prometheus counts what it hands over once it has found Alertmanager.
        while (missing := read - there) and time.monotonic() < deadline:
            there |= names(prometheus.ask("/prometheus/metrics").decode())
            time.sleep(0.2)
    assert len(read) > 40
    assert missing == set()


def test_every_recorded_series_that_a_rule_reads_is_recorded() -> None:
    read = {name for rule in rules() for name in re.findall(r"\b[a-z_]+:[a-z0-9_]+:[a-z0-9_]+", rule["expr"])}
    assert read - RECORDED.keys() == set()
