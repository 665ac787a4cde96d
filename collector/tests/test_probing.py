"""What probes found becomes a result, series, and what the console lists."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.tests.collecting import a_collector, wait_until
from modelward_agent.durations import parse_duration
from modelward_agent.settings import SettingsError
from modelward_collector import app
from modelward_collector.app import Collector
from modelward_collector.checks.result import CheckKind, CheckResult, Status
from modelward_collector.config import load_config
from modelward_collector.probes import ProbeRunner
from modelward_collector.probing import NO_MODEL, Probing


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as opened:
        yield opened


@pytest.fixture
def collector(tmp_path: Path, server: socket.socket, monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    monkeypatch.setattr(app, "PROBES_EVERY", parse_duration("1s"))
    port = server.getsockname()[1]
    made = a_collector(tmp_path, probes=[{"name": "db", "kind": "tcp", "host": "127.0.0.1", "port": port}])
    yield made
    made.stop()


def stored(collector: Collector) -> CheckResult | None:
    found = [result for result in collector.context.store.latest_results() if result.model == NO_MODEL]
    return found[0] if found else None


def test_a_target_that_answers_is_a_health_result_about_no_model(collector: Collector) -> None:
    collector.context.scheduler.start()
    wait_until(lambda: stored(collector), "the probe's result")
    result = stored(collector)
    assert result is not None
    assert (result.check, result.status) == (CheckKind.HEALTH, Status.OK)
    assert [(finding.subject, finding.test) for finding in result.findings] == [("db", "probe_tcp")]
    assert 'modelward_probe_success{kind="tcp",probe="db"} 1.0' in collector.metrics.render().decode()
    assert collector.context.registry.specs() == []


def test_it_is_stored_when_it_changes_and_not_at_every_probe(tmp_path: Path, server: socket.socket) -> None:
    made = a_collector(
        tmp_path,
        probes=[{"name": "db", "kind": "tcp", "host": "127.0.0.1", "port": server.getsockname()[1], "every": "5s"}],
    )
    runner = ProbeRunner(made.context.config.probes)
    probing = Probing(runner, made.context.store)
    first = probing.run()
    assert first is not None
    assert first.status is Status.OK
    runner._begun.clear()  # due again
    assert probing.run() is None
    server.close()
    runner._begun.clear()
    changed = probing.run()
    assert changed is not None
    assert changed.status is Status.CRITICAL
    assert changed.summary == changed.findings[0].message
    made.stop()


def test_a_name_given_twice_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "collector.yml"
    path.write_text("probes: [{name: a, kind: tcp, host: h, port: 1}, {name: a, kind: dns, host: h}]")
    with pytest.raises(SettingsError) as raised:
        load_config(path, {})
    (line,) = raised.value.lines
    assert 'probes: the name "a" is given twice; give each probe its own' in line
