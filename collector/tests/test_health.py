from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import orjson
import pytest

from modelward_agent.profile import FeatureProfile, NumericSketch, Profile
from modelward_collector.checks.health import check_health
from modelward_collector.checks.result import CheckKind, CheckResult, Finding, Status
from modelward_collector.checks.window import Window
from modelward_collector.models import ModelSpec
from modelward_collector.span import Span
from modelward_collector.store.protocol import Heartbeat

NOW = datetime(2026, 3, 10, 12, 15, tzinfo=UTC)
SPAN = Span(NOW - timedelta(minutes=15), NOW)
ALIVE = Heartbeat("web-1", NOW - timedelta(seconds=20), "0.1.0", 0, 1000, 0, 0, 0, "")


def traffic(rows: int = 1000, errors: int = 0, latency: Sequence[float] | None = None) -> Profile:
    profile = Profile()
    profile.rows, profile.errors = rows, errors
    if latency is not None:
        sketch = NumericSketch()
        sketch.update(np.asarray(latency, dtype=np.float64))
        profile.outputs["latency_ms"] = FeatureProfile()
        profile.outputs["latency_ms"].numeric = sketch
    return profile


def check(
    profile: Profile | None = None,
    heartbeats: Sequence[Heartbeat] = (ALIVE,),
    hosts: frozenset[str] = frozenset({"web-1"}),
    **health: Any,
) -> CheckResult:
    spec = ModelSpec.model_validate({"model": "m", "checks": {"health": health}})
    window = Window("m", SPAN, {("1", ()): profile} if profile else {}, hosts if profile else frozenset(), NOW)
    return check_health(spec, window, heartbeats, NOW)


def finding(result: CheckResult, test: str) -> Finding:
    found = [f for f in result.findings if f.test == test]
    assert len(found) == 1, result.findings
    return found[0]


def test_a_healthy_model_says_how_much_how_wrong_and_how_fast() -> None:
    result = check(traffic(errors=2, latency=np.linspace(1, 100, 1000).tolist()))
    assert (result.status, result.check, result.version, result.rows) == (Status.OK, CheckKind.HEALTH, "", 1000)
    assert result.summary == "1,000 predictions in 15m from 1 host; 0.20% of requests failed; p99 99 ms"
    assert result.numbers["p50_ms"] == pytest.approx(50, abs=2)
    assert result.numbers["p95_ms"] == pytest.approx(95, abs=2)
    assert result.numbers["error_rate"] == pytest.approx(2 / 1002)


@pytest.mark.parametrize(
    ("silence", "status"),
    [
        (timedelta(seconds=119), Status.OK),
        (timedelta(seconds=121), Status.WARNING),
        (timedelta(minutes=11), Status.CRITICAL),
        (timedelta(minutes=-30), Status.OK),
    ],
)
def test_an_agent_that_falls_silent(silence: timedelta, status: Status) -> None:
    result = check(traffic(), [replace(ALIVE, at=NOW - silence, last_error="connection refused", dropped=1)])
    assert finding(result, "heartbeat").status is status
    if status is not Status.OK:
        assert result.status is status
        assert "systemctl status" in result.summary
        assert "connection refused" in result.summary


def test_a_host_without_any_heartbeat() -> None:
    result = check(traffic(), [], frozenset({"web-1", "web-2"}))
    assert result.status is Status.WARNING
    assert [f.subject for f in result.findings if f.test == "heartbeat"] == ["web-1", "web-2"]


def test_another_models_agents_are_not_this_ones_concern() -> None:
    other = replace(ALIVE, host="db-1", at=NOW - timedelta(hours=1), dropped=5)
    assert check(traffic(), [ALIVE, other]).status is Status.OK


def test_what_an_agent_says_of_itself() -> None:
    ill = replace(ALIVE, lag_bytes=200 * 1024**2, dropped=7, last_error="429 from elasticsearch")
    result = check(traffic(), [ill])
    assert result.status is Status.WARNING
    assert finding(result, "lag").message == "web-1: 200 MiB are not delivered yet"
    assert finding(result, "dropped").value == 7
    assert "429" in finding(result, "last_error").message
    assert "2 more" in result.summary


def test_no_traffic_is_no_verdict_but_names_the_agents_that_are_silent() -> None:
    result = check(None, [ALIVE, replace(ALIVE, host="web-2", at=NOW - timedelta(minutes=20))])
    assert result.status is Status.NO_DATA
    assert result.summary == "no traffic in 15m; silent agents: web-2 (20m)"


def test_the_error_rate_counts_only_as_far_as_it_is_certain() -> None:
    assert finding(check(traffic(99, 1)), "error_rate").status is Status.OK
    assert finding(check(traffic(20, 1)), "error_rate").status is Status.OK
    some = finding(check(traffic(9700, 300)), "error_rate")
    assert (some.status, some.value, some.threshold) == (Status.WARNING, 0.03, 0.01)
    assert "300 errors" in some.message
    assert finding(check(traffic(0, 50)), "error_rate").status is Status.CRITICAL
    assert finding(check(traffic(500, 500), error_rate_max=1.0), "error_rate").status is Status.OK
    assert finding(check(traffic(999, 1), error_rate_max=0.0), "error_rate").status is Status.WARNING


def test_slow_answers() -> None:
    latency = np.random.default_rng(0).exponential(20, 20_000)  # p99 92 ms
    slow = check(traffic(latency=latency.tolist()), latency_p99_ms_max=80)
    p99 = finding(slow, "p99_ms")
    assert (p99.status, p99.threshold) == (Status.WARNING, 80)
    assert p99.detail["low"] < 92 < p99.detail["high"]
    assert "above 80 ms" in slow.summary
    assert check(traffic(latency=latency.tolist()), latency_p99_ms_max=40).status is Status.CRITICAL
    assert check(traffic(latency=latency.tolist()), latency_p99_ms_max=100).status is Status.OK


def test_a_few_slow_answers_of_few_prove_nothing() -> None:
    latency = [10.0] * 19 + [500.0]
    assert check(traffic(20, latency=latency), latency_p99_ms_max=100).status is Status.OK


def test_the_p99_interval_covers() -> None:
    random = np.random.default_rng(1)
    truth = 20 * np.log(100)
    covered = 0
    for _ in range(100):
        detail = finding(check(traffic(latency=random.exponential(20, 3000).tolist())), "p99_ms").detail
        covered += detail["low"] <= truth <= detail["high"]
    assert covered >= 92


def test_a_result_survives_its_json_form() -> None:
    result = check(traffic(errors=2, latency=[1.0, 2.0]), [replace(ALIVE, dropped=3)])
    document = orjson.loads(orjson.dumps(result.to_document()))
    assert CheckResult.from_document(document).findings == result.findings
