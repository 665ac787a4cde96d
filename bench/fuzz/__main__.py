"""Fuzz what comes from outside, target by target: python -m bench.fuzz [--seconds N] [TARGET …]

Without --seconds the inputs that are kept in corpus/ are run once. Needs build/fuzz (make fuzz makes it) to fuzz.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from bench.fuzz.targets import CORPUS, TARGETS, Target

ROOT = CORPUS.parents[2]
BUILD = ROOT / "build" / "fuzz"
FOUND = ROOT / "build" / "fuzz-corpus"
"""What covered something new, kept from run to run."""

_SLOWEST_SECONDS = 30
"""Of one input, which a watched interpreter on a busy machine takes ten times as long for."""
_MOST_MEMORY_MIB = 2_048
_PROGRESS = re.compile(r"#(\d+)\s+(\w+)\s+cov: (\d+) ft: (\d+)")
_CRASHES = ("crash-", "timeout-", "oom-")


def main() -> int:
    """1 when an input broke a promise; what it was, and how to run it again, is printed."""
    parser = argparse.ArgumentParser(prog="python -m bench.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; all by default")
    parser.add_argument("--seconds", type=int, default=0, help="fuzz each target for so long")
    parser.add_argument("--replay", nargs="+", type=Path, metavar="FILE", help="run these inputs of one target")
    options = parser.parse_args()
    chosen = [TARGETS[name] for name in options.targets or TARGETS if name in TARGETS]
    if unknown := set(options.targets) - TARGETS.keys():
        parser.error(f"no target {min(unknown)!r}; there are {', '.join(TARGETS)}")
    if options.replay:
        for target in chosen:
            replay(target, options.replay)
        return 0
    if not options.seconds:
        for target in chosen:
            replay(target, target.corpus)
            print(f"{target.name}: {len(target.corpus)} inputs")
        return 0
    print("| target | executions | coverage | new | crashes |\n| --- | --- | --- | --- | --- |")
    return int(sum(_fuzzed(target, options.seconds) for target in chosen) > 0)


def replay(target: Target, inputs: list[Path]) -> None:
    """Run inputs one after the other; raises what a broken promise raises, with the input's name."""
    for path in inputs:
        try:
            target.run(path.read_bytes())
        except BaseException as error:
            error.add_note(f"input {path} of target {target.name}")
            raise


def _fuzzed(target: Target, seconds: int) -> int:
    """Fuzz one target, print its row, and say how many inputs broke a promise."""
    python = BUILD / "bin" / "python"
    if not python.exists():
        raise SystemExit("modelward: build/fuzz is not there; run: make fuzz SECONDS=60")
    found = FOUND / target.name
    found.mkdir(parents=True, exist_ok=True)
    kept = CORPUS / target.name
    before = {path.name for path in kept.iterdir()}
    options = {
        "max_total_time": seconds,
        "timeout": _SLOWEST_SECONDS,
        "rss_limit_mb": _MOST_MEMORY_MIB,
        "max_len": target.most_bytes,
        "artifact_prefix": f"{kept}/",
    }
    arguments = [f"-{name}={value}" for name, value in options.items()]
    command = [str(python), "-m", "bench.fuzz.guided", target.name, *arguments, str(found), str(kept)]
    begun = time.monotonic()
    said = subprocess.run(
        ["nice", "-n", "10", *command],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=seconds + 300,
        check=False,
    )
    lines = said.stderr.decode("utf-8", "replace").splitlines()
    crashes = sorted(path for path in kept.iterdir() if path.name not in before and path.name.startswith(_CRASHES))
    print(_row(target, lines, crashes), flush=True)
    failed = bool(crashes) or said.returncode != 0
    if failed:
        print("\n".join([*said.stdout.decode("utf-8", "replace").splitlines()[-40:], *lines[-30:]]))
        print(f"modelward: {target.name} failed after {time.monotonic() - begun:.0f} s; again:")
        for path in crashes:
            print(f"  python -m bench.fuzz {target.name} --replay {path.relative_to(ROOT)}")
    return int(failed)


def _row(target: Target, lines: list[str], crashes: list[Path]) -> str:
    progress = [match.groups() for line in lines if (match := _PROGRESS.search(line))]
    first = next((int(features) for _, event, _, features in progress if event == "INITED"), 0)
    executions, _, coverage, features = progress[-1] if progress else ("0", "", "0", "0")
    return f"| {target.name} | {int(executions):,} | {coverage} | {int(features) - first} | {len(crashes)} |"


if __name__ == "__main__":
    sys.exit(main())
