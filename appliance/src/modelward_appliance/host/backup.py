"""`backup`: make one now, list them, prove one."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from modelward_appliance.host.docker import Compose

SERVICE = "backup"


def make(compose: Compose) -> str:
    """Make a backup now; its name. `DockerError` that says why not."""
    said = compose.exec(SERVICE, "modelward-appliance", "backup", "now", timeout=None)
    print(said, end="", flush=True)
    return said.partition(":")[0]


def add_command(subparsers: Any) -> None:
    """`backup [now|list|verify [FILE]]`."""
    parser: argparse.ArgumentParser = subparsers.add_parser("backup", help="make a backup now, list them, or prove one")
    parser.add_argument("what", nargs="?", default="now", choices=["now", "list", "verify"])
    parser.add_argument("file", nargs="?", type=Path, help="for verify: its name; without it the newest")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Do it; failures are raised."""
    compose = Compose(options.environment)
    if options.what == "now":
        print(f"kept as {options.environment.state / 'backups' / make(compose)}")
        return 0
    # Only the name: the container sees the folder elsewhere.
    file = [options.file.name] if options.file else []
    print(compose.exec(SERVICE, "modelward-appliance", "backup", options.what, *file, timeout=None), end="")
    return 0
