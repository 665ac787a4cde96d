"""A bench's outcome: rows of what was measured, what it must hold, and whether it does."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / "build" / "peers" / "bin" / "python"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a bench's table."""

    what: str
    measured: str
    hold: str
    holds: bool


QUIET = {"DO_NOT_TRACK": "1", "NML_DISABLE_USAGE_LOGGING": "1", "WHYLOGS_NO_ANALYTICS": "True"}
"""Peers report their use to their makers; a bench tells nobody anything."""


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    lines = ["| what | measured | to hold | |", "| --- | --- | --- | --- |"]
    lines += [f"| {row.what} | {row.measured} | {row.hold} | {_verdict(row)} |" for row in rows]
    return "\n".join(lines)


def _verdict(row: Row) -> str:
    """Nothing for a row that is only told: what has no bound cannot hold."""
    if row.holds and row.hold in ("", "-"):
        return ""
    return "holds" if row.holds else "**fails**"


def report(rows: Sequence[Row]) -> int:
    """Print the table; 0 when every row holds, else 1: a bench's exit code."""
    print(table(rows), flush=True)
    return 0 if all(row.holds for row in rows) else 1


def ask_peer(script: str, *arguments: str) -> dict[str, Any]:
    """What a script of bench/peers prints as JSON, run in the peers' own environment (`make bench` makes it)."""
    if not PEERS.exists():
        raise SystemExit("modelward: build/peers is not there; run: make build/peers")
    done = subprocess.run(
        [str(PEERS), "-W", "ignore", str(ROOT / "bench" / "peers" / script), *arguments],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, **QUIET},
    )
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer
