"""What a model of 5,000 numeric features takes: on the model server, as a reference, and in the collector's checks.

Each part is a process of its own, so that its peak is its own. The day that is checked is 24 hours as roll-ups leave
them; its reference is a file by day.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
from pyarrow import parquet

from bench.agent import whole_agent
from bench.rows import ROOT, Row, report
from modelward_agent.bounds import MAX_FEATURES
from modelward_agent.journal.parse import Kind, Record
from modelward_agent.profile import ProfileKey
from modelward_agent.profile.fold import Folder
from modelward_agent.profile.wire import to_document
from modelward_collector.checks.result import CheckKind, Status
from modelward_collector.engine import Loader, Task
from modelward_collector.models import ModelSpec, ReferenceFile
from modelward_collector.span import Span
from modelward_collector.store.protocol import Alias, Document
from modelward_collector.store.sqlite import SqliteStore

MODEL = "wide"
NAMES = [f"feature_{number:04d}" for number in range(MAX_FEATURES)]
EVENTS = 1_000
MINUTES = 3
DAYS = 5
ROWS_AN_HOUR = 24
ROWS_A_DAY = 24 * ROWS_AN_HOUR
ROWS_SHIPPED = 200
NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
MIDNIGHT = NOON.replace(hour=0)
HOLD_AGENT_MIB = 300
HOLD_REFERENCE_MIB = 1_000
HOLD_CHECK_MIB = 1_500
HOLD_SECONDS = 60.0


def drawn(rows: int, seed: int) -> np.ndarray:
    """Normal numbers with three decimals, shape (rows, features)."""
    values: np.ndarray = np.random.default_rng(seed).normal(size=(rows, len(NAMES))).round(3)
    return values


def write_journal(path: Path) -> int:
    """So many predictions over a few minutes that have just been; the bytes of one."""
    start = datetime.now(UTC) - timedelta(minutes=MINUTES + 1)
    size = 0
    with path.open("wb") as journal:
        for number, row in enumerate(drawn(EVENTS, 1).tolist()):
            moment = (start + timedelta(minutes=MINUTES) * number / EVENTS).isoformat(timespec="microseconds")
            line = {
                "@timestamp": moment.replace("+00:00", "Z"),
                "kind": "prediction",
                "model": MODEL,
                "version": "1",
                "id": f"{number:032x}",
                "features": dict(zip(NAMES, row, strict=True)),
                "prediction": row[0],
            }
            size = journal.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
    return size


def hour(start: datetime, seed: int, rows: int = ROWS_AN_HOUR) -> Document:
    """An hour's traffic, as the agent folds it."""
    folder = Folder("bench", window_seconds=3600)
    for row in drawn(rows, seed).tolist():
        features = dict(zip(NAMES, row, strict=True))
        folder.fold(
            [Record(Kind.PREDICTION, start.timestamp(), {"model": MODEL, "version": "1", "features": features})]
        )
    [(_, profile)] = folder.take()
    key = ProfileKey("bench", MODEL, "1", (), int(start.timestamp()), 3600)
    document = to_document(key, profile, part=f"{start:%Y%m%d%H}")
    return Document(Alias.PROFILES, document["part"], document)


def fill(folder: Path) -> int:
    """The day's store, and the rows of the reference; the bytes of a profile as it is shipped."""
    store = SqliteStore(folder / "store.db")
    store.setup()
    documents = [hour(MIDNIGHT + timedelta(hours=number), number) for number in range(24)]
    store.create(documents)
    store.close()
    values = drawn(DAYS * ROWS_A_DAY, 99)
    times = MIDNIGHT.timestamp() - 86_400 * DAYS + np.arange(len(values)) * 86_400 / ROWS_A_DAY
    columns = {"at": times, **{name: values[:, number] for number, name in enumerate(NAMES)}}
    parquet.write_table(pa.table(columns), folder / "rows.parquet")
    return len(orjson.dumps(hour(NOON, 98, ROWS_SHIPPED).source))


def check(folder: Path, kind: CheckKind) -> None:
    """One check of the day, in this process."""
    spec = ModelSpec(model=MODEL, reference=ReferenceFile(kind="file", path=folder / "wide.jsonl"))
    day = Span(MIDNIGHT, MIDNIGHT + timedelta(days=1))
    [result] = Loader(SqliteStore(folder / "store.db")).run(Task(spec, kind, day, day.end, False))
    if result.status.flagged or result.status is Status.NO_DATA:
        raise SystemExit(f"modelward: {kind}: {result.summary}")


def measured(*command: str) -> tuple[float, float]:
    """Seconds and peak resident MiB of a process."""
    begun = time.monotonic()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    child = subprocess.Popen([*command], env=environment, stdout=subprocess.DEVNULL, cwd=ROOT)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"modelward: {' '.join(command)} ended with {child.returncode}")
    return time.monotonic() - begun, _mib(used)


def _mib(used: resource.struct_rusage) -> float:
    return used.ru_maxrss / 1024


def main() -> int:
    """Measure and print; 1 when a row does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", nargs=2, metavar=("FOLDER", "CHECK"), help="run one check of what was made there")
    options = parser.parse_args()
    if options.check is not None:
        check(Path(options.check[0]), CheckKind(options.check[1]))
        return 0
    (ROOT / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / "build", prefix="width-") as name:
        folder = Path(name)
        (folder / "journal").mkdir()
        line = write_journal(folder / "journal" / "bench.jsonl")
        rate, agent = whole_agent(folder, folder / "journal" / "bench.jsonl", compress="never", events=EVENTS)
        shipped = fill(folder)
        tool = str(Path(sys.executable).with_name("modelward-agent"))
        reference = str(folder / "wide.jsonl")
        profiling, profiled = measured(
            *(tool, "profile", str(folder / "rows.parquet"), "--model", MODEL, "--timestamp", "at", "-o", reference)
        )
        size = Path(reference).stat().st_size
        drift, drifting = measured(sys.executable, __file__, "--check", name, CheckKind.DRIFT)
        quality, judging = measured(sys.executable, __file__, "--check", name, CheckKind.QUALITY)
    width = f"{len(NAMES):,} numeric features"
    return report(
        [
            Row(
                f"the whole agent at full speed, {width}, {line / 1000:.0f} kB a row",
                f"{rate:,.0f} events/s, at most {agent:.0f} MiB resident",
                f"at most {HOLD_AGENT_MIB} MiB",
                agent <= HOLD_AGENT_MIB,
            ),
            Row(f"a profile of {ROWS_SHIPPED} such rows, as it is shipped", f"{shipped / 1e6:.1f} MB", "-", True),
            Row(
                f"modelward-agent profile of {DAYS} days of {ROWS_A_DAY} such rows",
                f"{profiling:.0f} s, at most {profiled:.0f} MiB, a file of {size / 1e6:.0f} MB",
                f"at most {HOLD_REFERENCE_MIB} MiB",
                profiled <= HOLD_REFERENCE_MIB,
            ),
            Row(
                "drift check of a day of 24 hours against it, cold",
                f"{drift:.0f} s, at most {drifting:.0f} MiB",
                f"at most {HOLD_SECONDS:g} s and {HOLD_CHECK_MIB:,} MiB",
                drift <= HOLD_SECONDS and drifting <= HOLD_CHECK_MIB,
            ),
            Row(
                "quality check of it, cold",
                f"{quality:.0f} s, at most {judging:.0f} MiB",
                f"at most {HOLD_SECONDS:g} s and {HOLD_CHECK_MIB:,} MiB",
                quality <= HOLD_SECONDS and judging <= HOLD_CHECK_MIB,
            ),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
