"""`status`, `logs` and `stop`: the running stack."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from modelward_appliance.host.docker import ONE_SHOTS, Compose, Container

_HEADER = ("SERVICE", "STATE", "HEALTH", "SINCE", "RESTARTS", "PORTS")


def table(containers: Sequence[Container], expected: Sequence[str], now: datetime) -> str:
    """A line for each service; those that should run and are not there too."""
    rows = [_HEADER]
    for container in containers:
        done = container.service in ONE_SHOTS
        if done and container.state == "exited":
            state = "done" if container.exit_code == 0 else f"failed ({container.exit_code})"
        elif container.state == "exited":
            state = f"exited ({container.exit_code})"
        else:
            state = container.state
        since = "" if container.started is None else _ago((now - container.started).total_seconds())
        restarts = str(container.restarts) if container.restarts else ""
        rows.append((container.service, state, container.health, since, restarts, " ".join(container.ports)))
    there = {container.service for container in containers}
    rows += [(name, "missing", "", "", "", "") for name in expected if name not in there]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER))]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _ago(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds / size:.0f}{unit}"
    return f"{max(seconds, 0):.0f}s"


def add_command(subparsers: Any) -> None:
    """`status`, `logs`, `stop`."""
    status: argparse.ArgumentParser = subparsers.add_parser("status", help="every service: state, health, since, ports")
    status.add_argument("--json", action="store_true", help="for programs")
    status.set_defaults(run=_status)
    logs: argparse.ArgumentParser = subparsers.add_parser("logs", help="what services print")
    logs.add_argument("service", nargs="*", help="these only")
    logs.add_argument("--lines", type=int, default=100, help="the last so many of each (%(default)s)")
    logs.add_argument("--follow", action="store_true", help="go on until Ctrl-C")
    logs.set_defaults(run=_logs)
    stop: argparse.ArgumentParser = subparsers.add_parser("stop", help="stop everything and keep all data")
    stop.set_defaults(run=_stop)


def _status(options: argparse.Namespace) -> int:
    compose = Compose(options.environment)
    containers = compose.containers()
    expected = sorted(compose.config()["services"])
    if options.json:
        listed = [
            {
                "service": item.service,
                "state": item.state,
                "health": item.health,
                "well": item.is_well,
                "started": item.started.isoformat() if item.started else None,
                "restarts": item.restarts,
                "image": item.image,
                "ports": list(item.ports),
            }
            for item in containers
        ]
        print(json.dumps(listed, indent=2))
    elif not containers:
        print("nothing is deployed; make deploy does that")
    else:
        print(table(containers, expected, datetime.now(UTC)))
    well = {item.service for item in containers if item.is_well}
    return 0 if well >= set(expected) else 1


def _logs(options: argparse.Namespace) -> int:
    follow = ["--follow"] if options.follow else []
    return Compose(options.environment).stream("logs", "--tail", str(options.lines), *follow, *options.service)


def _stop(options: argparse.Namespace) -> int:
    code = Compose(options.environment).stream("stop")
    if code == 0:
        print("stopped; all data is kept, and make deploy starts it again", file=sys.stdout)
    return code
