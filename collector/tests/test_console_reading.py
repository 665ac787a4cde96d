"""How pages put numbers, moments and what is nearest into words, so that nobody has to know the JSON's names."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from collector.tests.console_fixture import NOW, ListedScheduler, context_of
from collector.tests.test_console_pages import client_of, words
from modelward_collector.checks.result import CheckKind, Finding, Status
from modelward_collector.console.charts import density
from modelward_collector.console.charts.distribution import Distribution
from modelward_collector.console.pages.drift_panel import multiples
from modelward_collector.console.site import metric_words
from modelward_collector.context import Entry
from modelward_collector.store.sqlite import SqliteStore


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mae", "MAE"),
        ("labels_share", "Labels share"),
        ("estimated.mae", "MAE, estimated"),
        ("estimated.roc_auc.error", "ROC AUC, how far the estimate was off"),
        ("estimated.rmse.past_error", "RMSE, how far past estimates were off"),
        ("missing_share.max", "Missing share, of the worst feature"),
        ("p99_ms", "Latency p99, ms"),
    ],
)
def test_a_number_of_a_result_has_a_name_for_people(name: str, words: str) -> None:
    assert metric_words(name) == words


@pytest.mark.parametrize(("low", "high"), [(11.0, 89.6), (-9.9, 73.0), (0.0, 1.0), (980.0, 1035.0), (3.0, 4.1)])
def test_a_small_histograms_axis_has_two_numbers_at_least(low: float, high: float) -> None:
    shown = Distribution([0.5, 0.5], [0.4, 0.6], edges=[low, (low + high) / 2, high])
    axis = re.findall(r'class="tick mid[^"]*"[^>]*>([^<]+)<', str(density(shown, label="temp", small=True)))
    assert len(axis) >= 2


def test_nearest_to_drifting_is_what_is_nearest_to_its_own_floor() -> None:
    def finding(name: str, value: float, floor: float) -> Finding:
        return Finding(name, "drift", Status.OK, "", value=value, threshold=floor)

    quiet = [finding("temp", 0.40, 1.01), finding("dest", 0.024, 0.025), finding("hour", 0.0, 0.025)]
    result: Any = SimpleNamespace(findings=quiet, model="delay", id="r")
    site: Any = SimpleNamespace(
        comparisons=SimpleNamespace(distribution=lambda *_: None), links=SimpleNamespace(feature=lambda *_, **__: "")
    )
    assert [one.finding.subject for one in multiples(site, result)] == ["dest", "temp", "hour"]


def test_a_check_that_a_replay_has_left_behind_is_due_and_by_how_much(tmp_path: Path) -> None:
    behind = Entry(
        model="delay", check=CheckKind.DRIFT, schedule="every 1d", next_run=NOW - timedelta(days=34),
        last_run=NOW - timedelta(days=35), last_success=NOW - timedelta(days=35), last_status=Status.OK,
        last_duration=timedelta(seconds=1), running=False, overdue=False, last_error="",
    )  # fmt: skip
    ahead = replace(behind, check=CheckKind.HEALTH, next_run=NOW + timedelta(hours=3))
    store = SqliteStore(tmp_path / "store.db")
    store.setup()
    with client_of(context_of(store, [], None, [behind, ahead])) as client:
        said = words(client.get("/checks").text)
    with client_of(replace(context_of(store, [], None), scheduler=ListedScheduler([ahead]))) as client:  # type: ignore[arg-type]
        on_time = words(client.get("/checks").text)
    store.close()
    assert "The replay is ahead of them by 34 d." in said
    assert "due" in said
    assert "34 d ago" not in said
    assert "All ran when they should." in on_time
    assert "in 3 h" in on_time
