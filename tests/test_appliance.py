"""The whole of it on real servers: Recorder, agent, Elasticsearch, collector and Prometheus, over TLS."""

from __future__ import annotations

import json
import math
import random
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelward_agent import Recorder
from tests.servers.certificates import Authority
from tests.servers.elasticsearch import Elasticsearch, User
from tests.servers.ports import free_port
from tests.servers.prometheus import Prometheus

pytestmark = [pytest.mark.server("elasticsearch"), pytest.mark.server("prometheus")]

WITHIN = 90.0
ROWS = 400
MODEL = "credit/risk"  # a slash, as in a registry's names
SHIFT_BEGAN = timedelta(minutes=10)


def wait_for(wanted: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + WITHIN
    while True:
        if found := wanted():
            return found
        assert time.monotonic() < deadline, f"no {what} within {WITHIN:g} s"
        time.sleep(0.2)


class Appliance:
    """A collector and an agent as processes, each with its own configuration, user and secrets."""

    def __init__(self, folder: Path, node: Elasticsearch, authority: Authority) -> None:
        self.folder = folder
        self.collector_port, self.agent_port = free_port(), free_port()
        self.url = f"https://localhost:{self.collector_port}/"
        self.trust = ssl.create_default_context(cafile=str(authority.path))
        self.journal = folder / "journal"
        served = authority.issue("appliance")
        tls = {"certificate": str(served.certificate), "key_file": str(served.key)}
        self._write(
            "collector.yml",
            {
                "listen": {"host": "0.0.0.0", "port": self.collector_port, "tls": tls},
                "store": {"kind": "elasticsearch", **self._access("collector", node, node.collector)},
                "agents": {"window": "1s", "delay": "3s"},
            },
        )
        self._write(
            "agent.yml",
            {
                "host": "scoring-1",
                "state": "agent",
                "journal": {"path": str(self.journal)},
                "window": "1s",
                "commit_interval": "1s",
                "heartbeat_interval": "2s",
                "elasticsearch": self._access("agent", node, node.agent),
                "metrics": {"listen": f"localhost:{self.agent_port}", "tls": tls},
            },
        )
        hour = timedelta(hours=1)
        now = datetime.now(UTC)
        self._write(
            "models.d/credit.yml",
            {
                "model": MODEL,
                "task": "classification",
                "reference": {
                    "kind": "span",
                    "start": (now - hour).isoformat(),
                    "end": (now - SHIFT_BEGAN).isoformat(),
                },
                "checks": {
                    "drift": {"every": "2s", "window": "9m"},
                    "quality": {"every": "2s", "window": "9m"},
                    "performance": {"every": "2s", "window": "2h", "thresholds": {"accuracy": {"min": 0.85}}},
                    "health": {"every": "2s", "window": "9m"},
                },
            },
        )

    def _access(self, name: str, node: Elasticsearch, user: User) -> dict[str, Any]:
        secret = self.folder / f"{name}.password"
        secret.touch(0o600)
        secret.write_text(user.password + "\n")
        return {
            "urls": [node.url],
            "ca_file": str(node.ca),
            "username": user.name,
            "password_file": str(secret),
        }

    def _write(self, name: str, content: dict[str, Any]) -> None:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(content))

    @contextmanager
    def running(self) -> Iterator[None]:
        with ExitStack() as stack:
            for program, config in (("modelward", "collector.yml"), ("modelward-agent", "agent.yml")):
                stack.enter_context(self._process(program, config))
            yield

    @contextmanager
    def _process(self, program: str, config: str) -> Iterator[None]:
        command = [str(Path(sys.executable).with_name(program)), "run", "--config", str(self.folder / config)]
        log = self.folder / f"{program}.log"
        with log.open("ab") as output:
            child = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            yield
            child.terminate()
            assert child.wait(30) == 0, log.read_text()
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()

    def get(self, path: str) -> Any:
        try:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=20, context=self.trust) as answer:
                return json.load(answer)
        except (urllib.error.URLError, ConnectionError):
            return None

    def results(self, check: str) -> list[dict[str, Any]]:
        answer = self.get(f"api/v1/results?model={MODEL.replace('/', '%2F')}&check={check}&limit=1")
        return answer["items"] if answer else []


@pytest.fixture
def appliance(tmp_path: Path, elasticsearch: Elasticsearch, authority: Authority) -> Iterator[Appliance]:
    made = Appliance(tmp_path, elasticsearch, authority)
    with made.running():
        yield made


def record(journal: Path, rows: int, *, ago: timedelta, shift: float, model: str = MODEL) -> None:
    """So many scored applications within a minute, `ago` from now, with their outcomes."""
    drawn = random.Random(rows + shift)
    start = datetime.now(UTC) - ago
    with Recorder(model, "7", journal=journal) as recorder:
        for number in range(rows):
            moment = start + timedelta(seconds=60 * number / rows)
            income = drawn.gauss(50 + shift, 10)
            score = 1 / (1 + math.exp((income - 50) / 5))
            said = recorder.predict(
                {"income": income, "region": drawn.choice(["north", "south"])},
                {"default": score, "paid": 1 - score},
                latency_ms=drawn.uniform(1, 5),
                segment={"channel": drawn.choice(["web", "branch"])},
                timestamp=moment,
            )
            recorder.actual(said, "default" if drawn.random() < score else "paid", timestamp=moment)


def test_what_is_recorded_is_judged_stored_and_scraped(
    appliance: Appliance,
    authority: Authority,
    start_prometheus: Callable[[list[dict[str, Any]]], Prometheus],
) -> None:
    for minutes in range(15, 55, 2):
        record(appliance.journal, ROWS, ago=timedelta(minutes=minutes), shift=0)
    record(appliance.journal, 5 * ROWS, ago=timedelta(minutes=5), shift=8)

    def found(check: str, status: tuple[str, ...], rows: int) -> Callable[[], Any]:
        return lambda: [
            result
            for result in appliance.results(check)
            if result["status"] in status and result["rows"] >= rows and result["version"] == "7"
        ]

    drift = wait_for(found("drift", ("warning", "critical"), 5 * ROWS), "drift")[0]
    by_subject = {item["subject"]: item for item in drift["findings"] if item["segment"] is None}
    assert by_subject["income"]["status"] in ("warning", "critical")
    assert by_subject["region"]["status"] == "ok"
    performance = wait_for(found("performance", ("ok", "warning", "critical"), 25 * ROWS), "performance")[0]
    numbers = performance["numbers"]
    assert numbers["labels"] == 25 * ROWS
    assert 0.6 < numbers["accuracy.low"] < numbers["accuracy"] < numbers["accuracy.high"] < 0.95
    assert 0.7 < numbers["roc_auc"] < 0.98

    tls = {"ca_file": str(authority.path)}
    prometheus = start_prometheus(
        [
            {
                "job_name": job,
                "scheme": "https",
                "tls_config": tls,
                "static_configs": [{"targets": [f"localhost:{port}"]}],
            }
            for job, port in (("collector", appliance.collector_port), ("agent", appliance.agent_port))
        ]
    )
    for expression in (
        f'modelward_predictions_total{{model="{MODEL}",version="7"}} == {25 * ROWS}',
        "modelward_journal_lag_bytes == 0",
        f'modelward_drift_detected{{model="{MODEL}"}} > 0',
        f'modelward_drift_score{{model="{MODEL}",feature="income"}} > 0.1',
        f'modelward_performance{{model="{MODEL}",metric="accuracy"}} > 0.6',
        f'time() - modelward_check_last_success_timestamp_seconds{{model="{MODEL}",check="drift"}} < 60',
    ):
        wait_for(partial(prometheus.query, expression), expression)
    hosts = [agent["host"] for agent in appliance.get("api/v1/agents")["items"]]
    assert "scoring-1" in hosts


def test_an_outage_of_elasticsearch_loses_nothing_and_shows(appliance: Appliance, elasticsearch: Elasticsearch) -> None:
    def ids() -> int:
        listing = appliance.get("api/v1/events?model=outage&kind=prediction&limit=1000")
        return len(listing["items"]) if listing else 0

    wait_for(lambda: appliance.get("readyz"), "readiness")
    record(appliance.journal, 50, ago=timedelta(minutes=2), shift=0, model="outage")
    wait_for(lambda: ids() == 50, "first events")
    elasticsearch.kill()
    wait_for(lambda: appliance.get("readyz") is None, "complaint of readyz")
    assert appliance.get("healthz") is not None
    record(appliance.journal, 50, ago=timedelta(minutes=1), shift=0, model="outage")
    elasticsearch.start()
    wait_for(lambda: ids() == 100, "events of the outage")
    wait_for(lambda: appliance.get("readyz"), "readiness again")
