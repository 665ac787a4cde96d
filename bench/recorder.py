"""What one `Recorder.predict` of 30 numeric features costs on the caller's thread, and what peers' equivalents do.

`--self` leaves the peers out.
"""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from bench.rows import Row, ask_peer, report
from modelward_agent import Recorder

FEATURES = 30
ROUNDS = 5
CALLS = 20_000
HOLD_MICROSECONDS = 6.0
HOLD_BELOW = {"whylogs track": 40, "OpenTelemetry logs": 5}
"""How many times below each peer."""

_BUILD = Path(__file__).resolve().parents[1] / "build"


def example_features() -> dict[str, float]:
    """Thirty numbers with all their digits, the same in every run and for every peer."""
    numbers = random.Random(1)
    return {f"feature_{index}": numbers.uniform(0, 100) for index in range(FEATURES)}


def measure_recorder() -> float:
    """Microseconds a call, the best of `ROUNDS` rounds of `CALLS`, into a journal on the disk of the work tree."""
    features = example_features()
    _BUILD.mkdir(exist_ok=True)
    best = float("inf")
    # Beside the sources and not below /tmp, which may be memory.
    with (
        tempfile.TemporaryDirectory(dir=_BUILD, prefix="recorder-") as journal,
        Recorder("bench", "1", journal=journal) as recorder,
    ):
        for _ in range(ROUNDS):
            started = perf_counter()
            for _ in range(CALLS):
                recorder.predict(features, 0.5, latency_ms=1.25)
            best = min(best, (perf_counter() - started) / CALLS * 1e6)
        stats = recorder.stats
    if stats.written != ROUNDS * CALLS:
        raise RuntimeError(f"{stats.failed:,} predictions could not be written to {_BUILD}; make room and run again")
    return best


def main(arguments: list[str]) -> int:
    """Measure, beside the peers unless `--self`; 1 when a row does not hold, 2 for unknown arguments."""
    if arguments not in ([], ["--self"]):
        print("usage: python bench/recorder.py [--self]", file=sys.stderr)
        return 2
    microseconds = measure_recorder()
    what = f"`Recorder.predict`, {FEATURES} numeric features, on the caller's thread"
    rows = [Row(what, f"{microseconds:.2f} µs", f"at most {HOLD_MICROSECONDS:g} µs", microseconds <= HOLD_MICROSECONDS)]
    if not arguments:
        for peer, theirs in ask_peer("record.py").items():
            ratio, hold = theirs / microseconds, HOLD_BELOW[peer]
            rows.append(
                Row(f"the same, {peer}", f"{theirs:.1f} µs, {ratio:.0f} times", f"at least {hold} times", ratio >= hold)
            )
    return report(rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
