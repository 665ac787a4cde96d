"""Six hours of two models on two hosts, through the real Recorder, agents, checks and audit trail, into a real store.

`Filled` says what was recorded, so that what a dashboard shows can be held against it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np

from agent.tests.agents import configuration, running
from agent.tests.bulk_server import wait_for
from collector.tests.collecting import a_collector
from collector.tests.elastic import emptied
from modelward_agent.recorder import Recorder
from modelward_collector.auth.audit import Action, AuditTrail, Record
from modelward_collector.checks.result import CheckKind, CheckResult
from modelward_collector.store.protocol import Alias, Document, Outcome, Store
from tests.servers.elasticsearch import Elasticsearch

HOURS: Final = 6
EVERY: Final = timedelta(seconds=30)
HOSTS: Final = ("serving-1", "serving-2")
REGIONS: Final = ("eu", "us", "asia")
COUNTRIES: Final = ("DE", "FR", "US", "JP")
DRIFTS_AFTER: Final = timedelta(hours=4)


@dataclass(slots=True)
class Filled:
    """What is in the store. Counters are by (model, version) where nothing else is said."""

    start: datetime
    end: datetime
    predictions: Counter[tuple[str, str]] = field(default_factory=Counter)
    failed: Counter[tuple[str, str]] = field(default_factory=Counter)
    actuals: int = 0
    classes: Counter[str] = field(default_factory=Counter)
    segments: Counter[str] = field(default_factory=Counter)
    hosts: Counter[str] = field(default_factory=Counter)
    exceptions: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    prices: list[float] = field(default_factory=list)
    levels: Counter[str] = field(default_factory=Counter)
    logged_exceptions: Counter[str] = field(default_factory=Counter)
    stages: Counter[tuple[str, str]] = field(default_factory=Counter)
    failed_stages: int = 0
    revenue: float = 0.0
    results: list[CheckResult] = field(default_factory=list)
    audit: Counter[tuple[str, str]] = field(default_factory=Counter)
    incidents: Counter[str] = field(default_factory=Counter)


@contextmanager
def filled(node: Elasticsearch, folder: Path) -> Iterator[Filled]:
    """A node with all of it."""
    end = datetime.now(UTC).replace(second=0, microsecond=0)
    made = Filled(end - timedelta(hours=HOURS), end)
    store = emptied(node)
    try:
        store.setup()
        for host in HOSTS:
            _serve(node, folder / host, host, made)
        _check(node, folder / "collector", made)
        _audit(store, made)
        _incidents(store, made)
        yield made
    finally:
        store.close()


def _serve(node: Elasticsearch, folder: Path, host: str, made: Filled) -> None:
    folder.mkdir(parents=True)
    secret = folder / "password"
    secret.touch(0o600)
    secret.write_text(f"{node.agent.password}\n")
    log = _application_log(folder / "app.log", host, made)
    access = {"ca_file": node.ca, "username": node.agent.name, "password_file": secret}
    config = configuration(
        folder,
        node.url,
        host=host,
        window="10m",
        elasticsearch=access,
        logs=[{"path": str(log), "model": "fraud"}],
    )
    _record(config.journal.path, host, made)
    with running(config) as agent:
        wait_for(lambda: _delivered(agent.status()), 120)


def _delivered(status: dict[str, Any]) -> bool:
    files = status["files"]
    done = all(file["shipped"] == file["size"] == file["committed"] for file in files)
    return bool(status["shipped"]) and done and not status["spool_profiles"]


def _record(journal: Path, host: str, made: Filled) -> None:
    chance = np.random.default_rng([HOSTS.index(host), 20130101])
    fraud, price = Recorder("fraud", "1", journal=journal), Recorder("price", "2026.1", journal=journal)
    at = made.start
    number = 0
    while at < made.end:
        late = at - made.start > DRIFTS_AFTER
        _fraud(fraud, at, host, late, chance, made)
        if number % 2 == 0:
            _price(price, at, host, chance, made)
        if number % 60 == 0:
            _surroundings(fraud, at, number, chance, made)
        at += EVERY
        number += 1
    fraud.close()
    price.close()
    assert fraud.stats.failed == price.stats.failed == 0


def _fraud(recorder: Recorder, at: datetime, host: str, late: bool, chance: np.random.Generator, made: Filled) -> None:
    version = "2" if late and chance.random() < 0.5 else "1"
    region = REGIONS[int(chance.integers(len(REGIONS)))]
    latency = float(chance.lognormal(2.0 if host == HOSTS[0] else 2.4, 0.5))
    if chance.random() < 0.03:
        error = TimeoutError("feature store") if chance.random() < 0.6 else ValueError("amount is not a number")
        recorder.error(error, timestamp=at, version=version, segment={"region": region})
        made.failed["fraud", version] += 1
        made.exceptions[type(error).__name__] += 1
        return
    features = {
        "amount": float(chance.normal(160.0 if late else 100.0, 20.0)),
        "country": COUNTRIES[int(chance.integers(1 if late else 0, len(COUNTRIES)))],
        "age": None if late and chance.random() < 0.4 else float(chance.integers(18, 90)),
    }
    score = float(chance.beta(4, 2) if late else chance.beta(2, 4))
    outcome = {"fraud": score, "fine": 1.0 - score}
    made_id = recorder.predict(
        features, outcome, latency_ms=latency, segment={"region": region}, timestamp=at, version=version
    )
    made.predictions["fraud", version] += 1
    made.classes["fraud" if score > 1.0 - score else "fine"] += 1
    made.segments[f"region={region}"] += 1
    made.hosts[host] += 1
    made.latencies.append(latency)
    if not late:
        recorder.actual(made_id, "fraud" if chance.random() < score else "fine", timestamp=at + timedelta(minutes=5))
        made.actuals += 1


def _price(recorder: Recorder, at: datetime, host: str, chance: np.random.Generator, made: Filled) -> None:
    value, latency = float(chance.normal(250.0, 40.0)), float(chance.lognormal(1.0, 0.4))
    recorder.predict(
        {"rooms": float(chance.integers(1, 6)), "size": value / 3}, value, latency_ms=latency, timestamp=at
    )
    made.predictions["price", "2026.1"] += 1
    made.hosts[host] += 1
    made.latencies.append(latency)
    made.prices.append(value)


def _surroundings(recorder: Recorder, at: datetime, number: int, chance: np.random.Generator, made: Filled) -> None:
    for stage in ("extract", "train"):
        status = "failed" if chance.random() < 0.2 else "succeeded"
        duration = float(chance.uniform(1_000, 90_000))
        recorder.stage("nightly", str(number), stage, "started", timestamp=at)
        recorder.stage("nightly", str(number), stage, status, duration, 1_000, timestamp=at)
        made.stages["nightly", stage] += 1
        made.failed_stages += status == "failed"
    revenue = round(float(chance.uniform(10, 500)), 2)
    recorder.business("revenue", revenue, currency="EUR", source="shop", timestamp=at)
    made.revenue += revenue
    for level in ("info", "error"):
        recorder.log("cache refreshed", level=level, fields={"log.logger": "fraud.cache"}, timestamp=at)
        made.levels[level] += 1


def _application_log(path: Path, host: str, made: Filled) -> Path:
    chance = np.random.default_rng([HOSTS.index(host), 7])
    lines = []
    at = made.start
    while at < made.end:
        moment = at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        drawn = chance.random()
        if drawn < 0.7:
            lines.append(f"{moment} INFO scored a batch of {int(chance.integers(1, 50))}")
            made.levels["info"] += 1
        elif drawn < 0.9:
            lines.append(f"{moment} WARNING the feature store took {int(chance.integers(200, 900))} ms")
            made.levels["warning"] += 1
        else:
            kind = ("ConnectionError", "KeyError")[int(chance.integers(2))]
            lines += [
                f"{moment} ERROR a batch failed",
                "Traceback (most recent call last):",
                '  File "/srv/score.py", line 41, in score',
                f"{kind}: no answer from the feature store",
            ]
            made.levels["error"] += 1
            made.logged_exceptions[kind] += 1
        at += timedelta(minutes=2)
    path.write_text("\n".join(lines) + "\n")
    return path


def _check(node: Elasticsearch, folder: Path, made: Filled) -> None:
    folder.mkdir()
    secret = folder / "password"
    secret.touch(0o600)
    secret.write_text(node.collector.password)
    broken = folder / "broken.ref"
    broken.write_bytes(b'{"kind": "profile"}\n')  # and nothing in it
    reference = {
        "kind": "span",
        "start": made.start.isoformat(),
        "end": (made.start + timedelta(hours=2)).isoformat(),
    }
    features = {"amount": {"type": "numeric", "max": 180}, "age": {"type": "numeric", "missing_max": 0.05}}
    windows = {check: {"window": "1h"} for check in ("drift", "quality")} | {
        "performance": {"window": "2h", "label_delay": "1m", "thresholds": {"accuracy": {"min": 0.85}}}
    }
    models: dict[str, dict[str, Any]] = {
        "fraud": {"task": "classification", "reference": reference, "features": features, "checks": windows},
        "price": {"task": "regression", "reference": reference, "checks": windows},
        "broken": {"reference": {"kind": "file", "path": str(broken)}},
    }
    yaml = {
        name: "\n".join(f"{key}: {json.dumps(value)}" for key, value in spec.items()) for name, spec in models.items()
    }
    store = {
        "kind": "elasticsearch",
        "urls": [node.url],
        "ca_file": str(node.ca),
        "username": node.collector.name,
        "password_file": str(secret),
    }
    collector = a_collector(folder, yaml, store=store, agents={"window": "10m"})
    try:
        for hour in range(3, HOURS + 1):
            at = made.start + timedelta(hours=hour)
            for model in ("fraud", "price"):
                for check in CheckKind:
                    made.results += collector.context.engine.run(model, check, at)
        made.results += collector.context.engine.run("broken", CheckKind.DRIFT, made.end)
    finally:
        collector.stop()
    # To one that nobody told of a reference it is a model of a few hours, which is still being learnt.
    alone = folder / "alone"
    alone.mkdir()
    learning = a_collector(alone, store=store, agents={"window": "10m"})
    try:
        made.results += learning.context.engine.run("price", CheckKind.DRIFT, made.start + timedelta(hours=4))
    finally:
        learning.stop()


def _audit(store: Store, made: Filled) -> None:
    trail = AuditTrail(store)
    trail.start()
    at = made.end - timedelta(hours=3)
    for number, user in enumerate(("ada", "grace", "ada", "edsger", "ada", "grace")):
        trail.record(Record(Action.LOGIN, True, user, "10.1.0.7", role="editor", message="Logged in."), at)
        made.audit["login", "success"] += 1
        for _ in range(number % 3):
            trail.record(
                Record(Action.LOGIN, False, user, f"10.1.0.{20 + number}", "wrong_password", "The password is wrong."),
                at,
            )
            made.audit["login", "failure"] += 1
        at += timedelta(minutes=20)
    trail.record(Record(Action.LOCKOUT, True, "mallory", "10.1.0.99", message="Locked out for 15 minutes."), at)
    trail.record(
        Record(Action.DENIED, False, "grace", "10.1.0.7", "role", "This is for administrators.", path="/audit"), at
    )
    trail.record(Record(Action.LOGOUT, True, "ada", "10.1.0.7", message="Logged out."), at)
    made.audit["lockout", "success"] += 1
    made.audit["denied", "failure"] += 1
    made.audit["logout", "success"] += 1
    trail.stop(30)
    assert trail.waiting == 0
    assert trail.dropped == 0


def _incidents(store: Store, made: Filled) -> None:
    """As the mapping has them."""
    documents = []
    for number in range(8):
        status = ("open", "acknowledged", "closed")[number % 3]
        made.incidents[status] += 1
        source = {
            "@timestamp": (made.end - timedelta(minutes=30 * (8 - number))).isoformat().replace("+00:00", "Z"),
            "kind": "incident",
            "id": f"incident-{number}",
            "model": ("fraud", "price")[number % 2],
            "version": "1",
            "severity": str(1 + number % 4),
            "status": status,
            "event": {"action": status},
            "user": {"name": "ada"},
            "message": "amount drifts: its mean is 3 standard deviations above the reference",
        }
        documents.append(Document(Alias.INCIDENTS, f"incident-{number}", source))
    assert [answer.outcome for answer in store.create(documents)] == [Outcome.CREATED] * len(documents)
