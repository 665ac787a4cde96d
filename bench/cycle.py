"""One hourly cycle of a fleet: every check of 1,000 models of 30 features, on 2 processes, with the embedded store.

The store holds 60 one-minute profiles and 60 labelled predictions of each model; each has a reference file of two
weeks by day. The cycle is what the collector does in an hour when each check runs once: the four checks through its
engine and worker pool, results stored and exported, and the roll-up of the hour.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from bench.profiles import START, VERSION, minute_profile
from bench.rows import Row, report
from modelward_agent.profile import ProfileKey, merged
from modelward_agent.profile.reference import write_reference
from modelward_agent.profile.wire import to_document
from modelward_collector.app import Collector, build
from modelward_collector.checks.result import CheckKind, CheckResult, Status
from modelward_collector.config import CollectorConfig
from modelward_collector.store.protocol import Alias, Document, Store

NUMERIC, CATEGORICAL = 25, 5
MINUTES = 60
ROWS_A_MINUTE = 200
DISTINCT, DISTINCT_MINUTES = 20, 240
"""Different references and minutes, shared out over models: making them all apart would take hours. There are more
minutes than in an hour, so that no model sees a row again, which would be less random than the checks take rows to be.
"""

UNCHANGED = 0.02
"""Share of models that may be flagged although nothing changed: 1%, and what few references leave to chance."""

REFERENCE_DAYS = 14
MODELS = 1_000
WORKERS = 2
HOLD_SECONDS = 600.0


def main() -> int:
    """Fill a store, run one cycle, print the table; 1 when it takes too long or a check failed."""
    parser = argparse.ArgumentParser(prog="bench/cycle.py", description=__doc__)
    parser.add_argument("--models", type=int, default=MODELS, help="models of the fleet (%(default)s)")
    parser.add_argument("--workers", type=int, default=WORKERS, help="processes; 0 for threads alone (%(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="modelward-cycle-") as folder:
        collector = furnish(Path(folder), options.models, options.workers)
        try:
            return measure(collector, Path(folder), options.models, options.workers)
        finally:
            collector.stop()


def measure(collector: Collector, folder: Path, models: int, workers: int) -> int:
    """Run the cycle and print how long it took."""
    begun = time.monotonic()
    results = cycle(collector, models)
    checked = time.monotonic() - begun
    begun = time.monotonic()
    report_of_upkeep = collector.maintenance.run(collector.context.clock.now() + timedelta(minutes=10))
    kept_up = time.monotonic() - begun
    begun = time.monotonic()
    exposed = len(collector.metrics.render().splitlines())
    scraped = time.monotonic() - begun
    by_check: Counter[CheckKind] = Counter()
    for result in results:
        by_check[result.check] += result.duration_seconds  # type: ignore[assignment]
    statuses = Counter(result.status for result in results)
    flagged = sum(result.check is CheckKind.DRIFT and result.status is not Status.OK for result in results)
    size = sum(path.stat().st_size for path in folder.glob("modelward.db*")) / 2**20
    hold = HOLD_SECONDS * models / MODELS
    total = checked + kept_up
    judged = statuses[Status.ERROR] == 0 and len(results) == models * len(CheckKind)
    rows = [
        Row(
            f"one cycle: {models:,} models x {NUMERIC + CATEGORICAL} features, {len(results):,} checks and the roll-up",
            f"{total:.0f} s",
            f"<= {hold:.0f} s",
            total <= hold,
        ),
        Row(f"the checks, {workers or 'no'} worker processes on {os.cpu_count()} cores", f"{checked:.0f} s", "", True),
        *(Row(f"seconds of {check}, a model", f"{by_check[check] / models:.3f}", "", True) for check in CheckKind),
        Row("the roll-up", f"{kept_up:.0f} s, {report_of_upkeep.rolled_up.written:,} written", "", True),
        Row("every check gave a verdict", said(statuses), "no error", judged),
        Row(
            "nothing has changed: models whose drift check flags something",
            f"{flagged / models:.1%}",
            f"at most {UNCHANGED:.0%}",
            flagged / models <= UNCHANGED or models < 200,
        ),
        Row("/metrics", f"{exposed:,} lines in {scraped:.1f} s", "at most 1 s", scraped <= 1),
        Row("the store", f"{size:,.0f} MiB", "", True),
    ]
    return report(rows)


def said(statuses: Counter[Status]) -> str:
    """Counts of statuses, for the table."""
    return ", ".join(f"{count:,} {status.replace('_', ' ')}" for status, count in sorted(statuses.items()))


def cycle(collector: Collector, models: int) -> list[CheckResult]:
    """Every check of every model once, as many at a time as the scheduler's threads."""
    engine = collector.context.engine
    tasks = [(f"model-{number:04d}", check) for number in range(models) for check in CheckKind]
    with ThreadPoolExecutor(max(4, 2 * collector.context.config.executor.workers)) as threads:
        runs = [threads.submit(engine.run, model, check) for model, check in tasks]
        return [result for run in runs for result in run.result()]


def furnish(folder: Path, models: int, workers: int) -> Collector:
    """A collector over a full store, with every model configured; the data's end is its now."""
    generator = np.random.default_rng(1)
    print(f"Filling a store for {models:,} models …", flush=True)
    payloads = [
        minute_profile(generator, ROWS_A_MINUTE, numeric=NUMERIC, categorical=CATEGORICAL)
        for _ in range(DISTINCT_MINUTES)
    ]
    (folder / "models.d").mkdir()
    for number in range(DISTINCT):
        write_reference(folder / f"{number}.profile.jsonl", reference(generator))
    for number in range(models):
        path = folder / f"{number % DISTINCT}.profile.jsonl"
        text = f"model: model-{number:04d}\ntask: regression\nreference: {{kind: file, path: {path}}}\n"
        (folder / "models.d" / f"{number:04d}.yml").write_text(text)
    settings = {
        "store": {"kind": "sqlite", "path": str(folder / "modelward.db")},
        "models_dir": str(folder / "models.d"),
        "clock": "replay",
        "executor": {"workers": workers},
    }
    collector = build(CollectorConfig.model_validate(settings))
    store = collector.context.store
    store.setup()
    key = ProfileKey("host", "", VERSION, (), 0, 60)
    sources = [to_document(key, payload, part="") for payload in payloads]
    for number in range(models):
        fill(store, f"model-{number:04d}", number, sources)
    # One window more, so that the hour is complete.
    end = START + timedelta(minutes=MINUTES)
    store.create([profile_document("clock", end, sources[0]), heartbeat(datetime.now(UTC))])
    return collector


def reference(generator: np.random.Generator) -> list[dict[str, object]]:
    """Two weeks before the hour, a profile a day."""
    documents = []
    for day in range(REFERENCE_DAYS):
        start = START - timedelta(days=REFERENCE_DAYS - day)
        minutes = [minute_profile(generator, ROWS_A_MINUTE, numeric=NUMERIC, categorical=CATEGORICAL) for _ in range(8)]
        key = ProfileKey("reference", "model", VERSION, (), int(start.timestamp()), 86_400)
        documents.append(to_document(key, merged(minutes), part=f"day-{day}"))
    return documents


def profile_document(model: str, start: object, source: dict[str, object]) -> Document:
    """The profile under another model and minute."""
    moment = f"{start:%Y-%m-%dT%H:%M:%SZ}"
    part = f"{model}-{start:%Y%m%d%H%M}"
    return Document(Alias.PROFILES, part, {**source, "@timestamp": moment, "model": model, "part": part})


def heartbeat(at: datetime) -> Document:
    """The host's agent is well: agents live in the wall's time."""
    source = {"@timestamp": f"{at:%Y-%m-%dT%H:%M:%SZ}", "kind": "heartbeat", "host": {"name": "host"}}
    counts = dict.fromkeys(("lag_bytes", "shipped", "dropped", "quarantined", "spooled"), 0)
    return Document(
        Alias.LOGS, f"heartbeat-{at.timestamp()}", {**source, **counts, "agent": {"version": "0"}, "last_error": ""}
    )


def fill(store: Store, model: str, number: int, sources: list[dict[str, object]]) -> None:
    """The hour of one model: a profile and a labelled prediction a minute."""
    documents = []
    for minute in range(MINUTES):
        start = START + timedelta(minutes=minute)
        documents.append(profile_document(model, start, sources[(number + minute) % DISTINCT_MINUTES]))
        for kind, value in (("prediction", float(minute)), ("actual", float(minute + number % 7))):
            source = {
                "@timestamp": f"{start:%Y-%m-%dT%H:%M:%S.000000Z}",
                "kind": kind,
                "model": model,
                "version": VERSION,
                "host": {"name": "host"},
                "id": f"{model}-{minute}",
                "segment": {},
                "features": {},
                kind: {"value": value},
            }
            documents.append(Document(Alias.EVENTS, f"{kind}-{model}-{minute}", source))
    refused = [created.reason for created in store.create(documents) if created.reason]
    if refused:
        raise SystemExit(f"modelward: the store refused a document of the bench: {refused[0]}")


if __name__ == "__main__":
    sys.exit(main())
