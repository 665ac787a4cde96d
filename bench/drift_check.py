"""A drift check of 40 features over a day of one-minute profiles from 4 hosts, beside Evidently on the rows themselves.

The day begins at 10:17, so that it is no whole number of hours or days: minutes at both ends, hours between. Roll-ups
are what the collector's maintenance has made of it by then; what making them costs is a row of its own. The check is
measured cold: windows are read from the store's file and merged each time.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from datetime import timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from bench.profiles import (
    CATEGORICAL,
    CATEGORIES,
    CHANGED,
    MODEL,
    NUMERIC,
    START,
    VERSION,
    drawn,
    fill_day,
    minute_profile,
)
from bench.rows import ROOT, Row, ask_peer, report
from modelward_collector.checks.drift import check_drift
from modelward_collector.checks.window import ReferenceProfile
from modelward_collector.config import RollUp
from modelward_collector.models import ModelSpec
from modelward_collector.store.rollup import roll_up
from modelward_collector.store.sqlite import SqliteStore
from modelward_collector.store.windows import load_segment_series, load_window

HOSTS, MINUTES = 4, 1440
ROWS, REFERENCE_ROWS = 1_000_000, 100_000
BUSY = 10
BEGINS = START + timedelta(hours=10, minutes=17)
HOLD_SECONDS = 1.0
HOLD_BELOW_EVIDENTLY = 100
HOLD_FLAT = 2.0
ROUNDS = 5


def measure(folder: Path, rows: int, changes_at: int | None = None) -> tuple[float, float, int]:
    """Seconds of a check (the median of the rounds), seconds of all roll-ups, and bytes of the store."""
    path = folder / f"{rows}-{changes_at}.db"
    store = SqliteStore(path)
    store.setup()
    span = fill_day(store, hosts=HOSTS, minutes=MINUTES, rows_total=rows, start=BEGINS, changes_at=changes_at)
    begun = time.perf_counter()
    roll_up(store, MODEL, span.end + timedelta(minutes=6), minutes_for=RollUp().minutes_after)
    rolling = time.perf_counter() - begun
    reference = ReferenceProfile("bench", minute_profile(np.random.default_rng(2), REFERENCE_ROWS))
    spec = ModelSpec(model=MODEL)
    seconds = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        window = load_window(store, MODEL, span)
        steps = partial(load_segment_series, store, MODEL, version=VERSION)
        result = check_drift(spec, VERSION, reference, window, (), steps)
        seconds.append(time.perf_counter() - begun)
        found = sum("change" in finding.detail for finding in result.findings)
        if found != (0 if changes_at is None else CHANGED):
            raise SystemExit(f"modelward: the check told of {found} features since when they drift")
        if result.rows != rows or len(result.findings) < NUMERIC + CATEGORICAL:
            raise SystemExit(f"modelward: the check saw {result.rows:,} rows, {len(result.findings)} findings")
    store.close()
    return float(np.median(seconds)), rolling, path.stat().st_size


def write_rows(path: Path, rows: int, seed: int) -> None:
    """Rows as the profiles summarise them, for the peer."""
    generator = np.random.default_rng(seed)
    columns: dict[str, object] = {f"n{i:02d}": drawn(generator, i, rows) for i in range(NUMERIC)}
    for i in range(CATEGORICAL):
        columns[f"c{i:02d}"] = np.array(CATEGORIES)[generator.integers(0, len(CATEGORIES), size=rows)]
    pd.DataFrame(columns).to_parquet(path, index=False)


def main() -> int:
    """Measure and print; 1 when a row does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--self", action="store_true", help="without the peer")
    options = parser.parse_args()
    (ROOT / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / "build", prefix="drift-") as name:
        folder = Path(name)
        seconds, rolling, size = measure(folder, ROWS)
        busy, busy_rolling, _ = measure(folder, BUSY * ROWS)
        changed, _, _ = measure(folder, ROWS, 12 * 60 + 30)
        flat = busy / seconds
        rows = [
            Row(
                f"drift check, {NUMERIC + CATEGORICAL} features, a day of one-minute profiles of {HOSTS} hosts, "
                f"{ROWS / 1e6:g}M rows",
                f"{seconds:.2f} s",
                f"at most {HOLD_SECONDS:g} s",
                seconds <= HOLD_SECONDS,
            ),
            Row(
                f"the same with {BUSY} times the traffic",
                f"{busy:.2f} s, {flat:.2f} times",
                f"flat: at most {HOLD_FLAT:g} times, and {HOLD_SECONDS:g} s",
                flat <= HOLD_FLAT and busy <= HOLD_SECONDS,
            ),
            Row(
                f"the same when {CHANGED} features changed in its middle, and since when they did",
                f"{changed:.2f} s",
                f"at most {HOLD_SECONDS:g} s",
                changed <= HOLD_SECONDS,
            ),
            Row(
                "roll-ups of that day, spread over it by maintenance; the store",
                f"{rolling:.1f} s ({busy_rolling:.1f} s busy), {size / 1e6:.0f} MB",
                "-",
                True,
            ),
        ]
        if not options.self:
            write_rows(folder / "reference.parquet", REFERENCE_ROWS, 3)
            write_rows(folder / "current.parquet", ROWS, 4)
            peer = ask_peer("drift.py", str(folder / "reference.parquet"), str(folder / "current.parquet"))
            ratio = peer["seconds"] / seconds
            rows.append(
                Row(
                    f"Evidently's DataDriftPreset on such rows, {ROWS / 1e6:g}M x {NUMERIC + CATEGORICAL}",
                    f"{peer['seconds']:.1f} s and {peer['extra_mib']:,.0f} MiB, {ratio:.0f} times",
                    f"at least {HOLD_BELOW_EVIDENTLY} times",
                    ratio >= HOLD_BELOW_EVIDENTLY,
                )
            )
    return report(rows)


if __name__ == "__main__":
    sys.exit(main())
