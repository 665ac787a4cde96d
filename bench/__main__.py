"""`make bench`: every number that must hold, measured in one run; --write puts the tables into bench/README.md."""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
BENCHES = {
    "recorder": ["bench/recorder.py"],
    "agent": ["bench/agent.py"],
    "width": ["bench/width.py"],
    "drift check": ["bench/drift_check.py"],
    "performance check": ["bench/performance_check.py"],
    "console": ["bench/console.py"],
    "cycle": ["bench/cycle.py"],
    "verdicts": ["bench/verdicts.py"],
    "lasting": ["bench/lasting.py"],
    "estimates": ["bench/estimates.py"],
    "forecast": ["bench/forecast.py"],
    "kill -9": ["bench/kill9.py", "--kills", "200"],
}
BEGIN, END = "<!-- measured -->\n", "<!-- /measured -->\n"


def main() -> int:
    """Run the benches one after the other; 1 when a row of any does not hold."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("only", nargs="*", choices=[*BENCHES, []], help="run these; all by default")
    parser.add_argument("--write", action="store_true", help="write what was measured into bench/README.md")
    options = parser.parse_args()
    failed, sections = [], {}
    for name in options.only or BENCHES:
        print(f"\n== {name}", flush=True)
        begun = time.monotonic()
        lines, code = _run(BENCHES[name])
        if code:
            failed.append(name)
        print(f"({time.monotonic() - begun:.0f} s)", flush=True)
        table = [line for line in lines if line.startswith("|")]
        sections[name] = f"`python -m bench {shlex.quote(name)}`\n\n" + "\n".join(table) + "\n"
    if options.write:
        _write(sections)
    if failed:
        print(f"\nmodelward: does not hold: {', '.join(failed)}")
    return 1 if failed else 0


def _run(command: list[str]) -> tuple[list[str], int]:
    """Run one bench, showing what it prints as it comes; its lines and its exit code."""
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    with subprocess.Popen(
        [sys.executable, *command], cwd=HERE.parent, env=environment, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        lines = []
        for line in child.stdout:
            print(line, end="", flush=True)
            lines.append(line.rstrip("\n"))
    return lines, child.returncode


def _write(measured: dict[str, str]) -> None:
    """Put the tables in their places; those of benches that were not run stay as they are."""
    readme = HERE / "README.md"
    before, _, rest = readme.read_text().partition(BEGIN)
    old, _, after = rest.partition(END)
    kept = dict(part.split("\n\n", 1) for part in old.split("### ")[1:])
    sections = {name: f"{text.rstrip()}\n" for name, text in {**kept, **measured}.items()}
    machine = f"Measured on {os.cpu_count()} cores, Python {platform.python_version()}.\n"
    tables = [f"### {name}\n\n{sections[name]}" for name in BENCHES if name in sections]
    readme.write_text(before + BEGIN + "\n" + "\n".join([machine, *tables]) + "\n" + END + after)


if __name__ == "__main__":
    sys.exit(main())
