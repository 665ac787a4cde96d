"""`add-agent HOST` and `remove-agent HOST`: a model server that may deliver, and one that may no longer."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from modelward_appliance.host.deploy import configure
from modelward_appliance.host.docker import Compose
from modelward_appliance.host.environment import Environment


def add_agent(environment: Environment, host: str, address: str | None = None) -> str:
    """Enrol a host, again with new credentials if it is; what to do with the bundle. `DockerError` when refused."""
    compose = Compose(environment)
    words = ["--address", address] if address else []
    said = compose.once("setup", "modelward-appliance", "enrol", host, *words)
    configure(compose)
    return said.replace("/state/", f"{environment.state}/")


def remove_agent(environment: Environment, host: str) -> str:
    """Take a host's right to deliver away; what was done. `DockerError` when it has none."""
    compose = Compose(environment)
    said = compose.once("setup", "modelward-appliance", "remove-agent", host)
    configure(compose)
    return said


def add_command(subparsers: Any) -> None:
    """`add-agent HOST [--address HOST:PORT]`, `remove-agent HOST`."""
    add: argparse.ArgumentParser = subparsers.add_parser("add-agent", help="enrol a model server: makes its bundle")
    add.add_argument("host", nargs="?", help="its name, by which Prometheus reaches it")
    add.add_argument("--address", metavar="HOST:PORT", help="where its /metrics is, when not at HOST:9478")
    add.set_defaults(run=_add)
    remove: argparse.ArgumentParser = subparsers.add_parser("remove-agent", help="a model server may no longer deliver")
    remove.add_argument("host", nargs="?")
    remove.set_defaults(run=_remove)


def _add(options: argparse.Namespace) -> int:
    if not options.host:
        return _unnamed(options.command)
    print(add_agent(options.environment, options.host, options.address), end="")
    return 0


def _remove(options: argparse.Namespace) -> int:
    if not options.host:
        return _unnamed(options.command)
    print(remove_agent(options.environment, options.host), end="")
    return 0


def _unnamed(command: str) -> int:
    print(f"modelward: name the model server: make {command} HOST_NAME=scoring-1.example.org", file=sys.stderr)
    return 2
