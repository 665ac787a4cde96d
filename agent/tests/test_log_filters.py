"""Log filters in a running agent: what is counted, that it is counted once, and what is said of bad ones."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.tests.agents import append, configuration, lines, predictions, recorder_file, running
from agent.tests.bulk_server import BulkServer, wait_for
from agent.tests.test_agent_cli import RUN
from agent.tests.test_metrics import scraped
from modelward_agent.config import load_config
from modelward_agent.daemon import Agent
from modelward_agent.journal.parse import Kind, Record
from modelward_agent.logfilters import filters as filters_module
from modelward_agent.logfilters.counts import LogCounts
from modelward_agent.logfilters.filters import LogFilter, LogFilters
from modelward_agent.settings import SettingsError

MATCHES = "modelward_log_matches_total"
AT = "2026-03-01T12:00:00.000000Z"


@pytest.fixture
def server() -> Iterator[BulkServer]:
    server = BulkServer()
    yield server
    server.close()


def matches(agent: Agent) -> dict[tuple[str, ...], float]:
    return {pair: count for pair, count in scraped(agent).get(MATCHES, {}).items() if count}


def error(number: int, **changes: Any) -> dict[str, Any]:
    return {"@timestamp": AT, "kind": "error", "model": "fraud", "message": f"it broke {number}", **changes}


def test_errors_are_counted_without_configuration_wherever_they_are_logged(tmp_path: Path, server: BulkServer) -> None:
    text = append(tmp_path / "app.log", b"2026-03-01 12:00:00 ERROR no answer\n2026-03-01 12:00:01 INFO fine\n")
    structured = append(
        tmp_path / "app.json", lines({"level": "CRITICAL", "msg": "down"}, {"level": "info", "msg": "up"})
    )
    logs = [
        {"path": str(text), "model": "churn"},
        {"path": str(structured), "format": "json"},
    ]
    config = configuration(tmp_path, server, metrics={"listen": "127.0.0.1:0"}, logs=logs)
    log = {"@timestamp": AT, "kind": "log", "model": "fraud", "log.level": "ERROR", "message": "slow"}
    append(recorder_file(config), lines(error(1), log, {**log, "log.level": "warning"}) + predictions(0, 5))
    with running(config) as agent:
        wait_for(lambda: sum(matches(agent).values()) == 4)
        assert matches(agent) == {("errors", "fraud"): 2, ("errors", "churn"): 1, ("errors", ""): 1}
        wait_for(lambda: len(server.logs()) >= 6)


def test_own_filters_count_by_pattern_query_path_and_model(tmp_path: Path, server: BulkServer) -> None:
    one = append(tmp_path / "one.log", b"WARNING upstream timed out\nWARNING disk is slow\n")
    two = append(tmp_path / "two.log", b"WARNING upstream timed out\nERROR upstream timed out\n")
    filters = [
        {"name": "errors", "enabled": False},
        {"name": "timeouts", "pattern": "timed? ?out"},
        {"name": "timeouts_of_one", "pattern": "timed? ?out", "path": str(tmp_path / "on*.log")},
        {"name": "warnings_of_churn", "query": "log.level:warning", "model": "churn"},
    ]
    logs = [{"path": str(one), "model": "churn"}, {"path": str(two), "model": "fraud"}]
    config = configuration(tmp_path, server, metrics={"listen": "127.0.0.1:0"}, logs=logs, log_filters=filters)
    with running(config) as agent:
        wait_for(lambda: sum(matches(agent).values()) == 6)
        assert matches(agent) == {
            ("timeouts", "churn"): 1,
            ("timeouts", "fraud"): 2,
            ("timeouts_of_one", "churn"): 1,
            ("warnings_of_churn", "churn"): 2,
        }
        assert "errors" not in {name for name, _ in scraped(agent)[MATCHES]}


def test_a_filter_shows_at_zero_before_it_matches(tmp_path: Path, server: BulkServer) -> None:
    config = configuration(tmp_path, server, metrics={"listen": "127.0.0.1:0"})
    append(recorder_file(config), predictions(0, 1))
    with running(config) as agent:
        wait_for(lambda: scraped(agent)[MATCHES] == {("errors", ""): 0, ("errors", "fraud"): 0})


def agent_file(tmp_path: Path, server: BulkServer) -> Path:
    (tmp_path / "journal").mkdir()
    path = tmp_path / "agent.yml"
    path.write_text(
        f"""
state: state
journal: {{path: journal}}
logs: [{{path: app.log, model: churn}}]
elasticsearch: {{urls: ["{server.url}"], batch_seconds: 0.01}}
metrics: {{listen: null}}
commit_interval: 1d
"""
    )
    return path


def test_a_killed_agent_that_reads_again_counts_nothing_twice(tmp_path: Path, server: BulkServer) -> None:
    path = agent_file(tmp_path, server)
    config = load_config(path)
    stored = config.state / "log_matches.json"

    def total() -> int:
        return sum(count for _, _, count in json.loads(stored.read_bytes())["counts"]) if stored.exists() else 0

    journal = recorder_file(config)
    for kill in range(1, 4):
        append(journal, lines(*(error(number) for number in range(20))))
        append(tmp_path / "app.log", b"ERROR no answer\nINFO fine\n" * 5)
        process = subprocess.Popen([sys.executable, "-c", RUN, "run", "--config", str(path)], stderr=subprocess.DEVNULL)
        try:
            wait_for(lambda expected=kill * 25: total() >= expected)  # type: ignore[misc]
            process.send_signal(signal.SIGKILL)
        finally:
            process.kill()
            process.wait()
        assert not list((config.state / "spool").glob("*.ndjson")), "nothing is committed, so all is read again"
        assert total() == kill * 25
    metrics = config.metrics.model_copy(update={"listen": "127.0.0.1:0"})
    with running(config.model_copy(update={"metrics": metrics})) as agent:
        assert matches(agent) == {("errors", "fraud"): 60, ("errors", "churn"): 15}, "they go on where they were"
        append(journal, lines(error(60)))
        wait_for(lambda: matches(agent)[("errors", "fraud")] == 61)
    with running(config.model_copy(update={"metrics": metrics})) as agent:
        assert matches(agent) == {("errors", "fraud"): 61, ("errors", "churn"): 15}


def test_nothing_is_shown_before_it_is_stored(tmp_path: Path) -> None:
    counts = LogCounts(tmp_path, max_models=10)
    counts.add({("errors", "fraud"): 3})
    assert not counts.shown
    counts.save({"file": 100}, ["errors"])
    assert counts.shown == {("errors", "fraud"): 3}
    again = LogCounts(tmp_path, max_models=10)
    assert again.shown == {("errors", "fraud"): 3}
    assert again.counted("file") == 100
    assert again.counted("other") == 0


def test_when_it_cannot_be_stored_the_alarm_still_shows(tmp_path: Path) -> None:
    counts = LogCounts(tmp_path, max_models=10)
    counts.add({("errors", "fraud"): 3})
    (tmp_path / "log_matches.json.aside").mkdir()
    with pytest.raises(OSError, match="directory"):
        counts.save({"file": 100}, ["errors"])
    assert counts.shown == {("errors", "fraud"): 3}
    (tmp_path / "log_matches.json.aside").rmdir()
    counts.add({("errors", "fraud"): 1})
    counts.save({"file": 200}, ["errors"])
    assert LogCounts(tmp_path, max_models=10).shown == {("errors", "fraud"): 4}


def test_models_beyond_the_bound_share_one_series_and_removed_filters_go(tmp_path: Path) -> None:
    counts = LogCounts(tmp_path, max_models=2)
    for number in range(10):
        counts.add({("errors", f"m{number}"): 1, ("old", "m0"): 1})
    counts.save({}, ["errors"])
    assert counts.shown == {("errors", "m0"): 1, ("errors", "m1"): 1, ("errors", "other"): 8}


def test_a_pattern_that_is_slow_on_one_line_is_switched_off_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filters_module, "SLOW_SECONDS", 0.02)
    config = load_config(agent_file_with(tmp_path, "{name: slow, pattern: 'a*a*a*='}"))
    filters = LogFilters(config.filters)
    entry = Record(Kind.LOG, 0.0, {"kind": "log", "log.level": "error", "message": "a" * 200})
    assert filters.look("app.log", [entry, entry]) == {("errors", ""): 2}
    assert set(filters.slow) == {"slow"}
    assert filters.look("app.log", [entry]) == {("errors", ""): 1}


def agent_file_with(tmp_path: Path, *filters: str) -> Path:
    path = tmp_path / "agent.yml"
    path.write_text(f"elasticsearch: {{urls: ['http://x']}}\nlog_filters: [{', '.join(filters)}]\n")
    return path


@pytest.mark.parametrize(
    ("filters", "said"),
    [
        (["{name: Timeouts, pattern: x}"], "log_filters[0].name"),
        (["{name: a}"], '"a" needs a pattern or a query, and not both'),
        (["{name: a, pattern: x, query: y}"], '"a" needs a pattern or a query, and not both'),
        (["{name: a, pattern: '('}"], 'log_filters[0]: pattern: "(" is not a regular expression'),
        (["{name: a, pattern: '(x+)+'}"], 'log_filters[0]: pattern: "(x+)+" repeats a group that itself repeats'),
        (["{name: a, query: 'model:'}"], "log_filters[0]: query: 'model:' lacks a value at its end"),
        (["{name: a, query: x}", "{name: a, query: y}"], 'log_filters: "a" is there twice'),
        (["{name: a, query: x, modl: fraud}"], "log_filters[0].modl: is not a key here; did you mean model?"),
    ],
)
def test_a_filter_that_cannot_be_used_is_named_at_the_start(tmp_path: Path, filters: list[str], said: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load_config(agent_file_with(tmp_path, *filters))
    (line,) = raised.value.lines
    assert line.startswith("modelward: ")
    assert said in line


def test_a_reload_takes_over_filters(tmp_path: Path, server: BulkServer) -> None:
    config = configuration(tmp_path, server, metrics={"listen": "127.0.0.1:0"})
    path = append(recorder_file(config), lines(error(1)))
    with running(config) as agent:
        wait_for(lambda: matches(agent) == {("errors", "fraud"): 1})
        filters = [{"name": "broken", "query": "broke"}]
        agent.reload(lambda: configuration(tmp_path, server, log_filters=filters))
        wait_for(lambda: ("broken", "") in scraped(agent)[MATCHES])
        append(path, lines(error(2)))
        wait_for(lambda: matches(agent) == {("errors", "fraud"): 2, ("broken", "fraud"): 1})


def test_predictions_are_not_looked_at() -> None:
    class Never:
        def matches(self, document: object) -> bool:
            raise AssertionError(f"{document} was looked at")

    filters = LogFilters([LogFilter("never", query=Never())])
    rows = [Record(Kind.PREDICTION, 0.0, {"kind": "prediction", "model": "fraud", "features": {}})]
    assert not filters.look("x.jsonl", rows)
