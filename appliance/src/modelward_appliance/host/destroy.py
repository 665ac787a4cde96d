"""`destroy`: the stack with all its data. Asks first; backups stay unless it is told otherwise."""

from __future__ import annotations

import argparse
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from modelward_appliance.host.deploy import BACKUPS
from modelward_appliance.host.docker import Compose, docker
from modelward_appliance.host.environment import Environment

KEPT_KEY: Final = "backup-key-until-"
"""The file of the state folder that keeps the backups' key when all else goes; the time follows."""


def destroy(environment: Environment, *, with_backups: bool) -> None:
    """Remove containers, networks, volumes and the state folder."""
    compose = Compose(environment)
    compose.run("--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "30", timeout=600)
    # Also those of services that this release no longer has.
    for volume in compose.volumes():
        docker("volume", "rm", "--force", volume)
    _empty_state(environment, with_backups=with_backups)


def others(compose: Compose) -> list[str]:
    """What else holds the project's volumes, for example an application that records beside the agent: by name."""
    filters = [word for volume in compose.volumes() for word in ("--filter", f"volume={volume}")]
    if not filters:
        return []
    form = '{{.Names}} {{.Label "com.docker.compose.project"}}'
    holding = (line.split(" ") for line in docker("ps", "--all", *filters, "--format", form).splitlines())
    return sorted(name for name, project in holding if project != compose.environment.project)


def _empty_state(environment: Environment, *, with_backups: bool) -> None:
    if not environment.state.is_dir():
        return
    if not with_backups:
        _keep_key(environment.state)
    for path in environment.state.iterdir():
        if not with_backups and (path.name == BACKUPS or path.name.startswith(KEPT_KEY)):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    if with_backups:
        environment.state.rmdir()


def _keep_key(state: Path) -> None:
    """Keep the key of the backups that stay: without it they are worth nothing."""
    key = state / "secrets" / "backup-key"
    if key.is_file() and any((state / BACKUPS).glob("*")):
        kept = state / f"{KEPT_KEY}{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        kept.touch(0o600)
        kept.write_bytes(key.read_bytes())


def add_command(subparsers: Any) -> None:
    """`destroy`."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "destroy", help="remove everything, with all data; asks first"
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--with-backups", action="store_true", help="the backups too")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Say what goes, ask for the project's name, remove; 1 when it was not confirmed."""
    environment: Environment = options.environment
    compose = Compose(environment)
    if holding := others(compose):
        print(
            f"modelward: the volumes are also held by {', '.join(holding)}; stop and remove that "
            f"(docker rm --force {' '.join(holding)}), then run it again; nothing was removed",
            file=sys.stderr,
        )
        return 1
    print(f"This removes for ever, of the project {environment.project}:")
    for container in compose.containers():
        print(f"  container {container.service}")
    for volume in compose.volumes():
        print(f"  volume    {volume}")
    print(f"  folder    {environment.state} (authority, secrets, what you gave in site/, enrolled agents)")
    if options.with_backups:
        print("  and all BACKUPS in it")
    else:
        print(f"It keeps {environment.state / BACKUPS} and the key of those, as {KEPT_KEY}… beside them.")
    if not options.yes:
        try:
            answer = input(f"Type {environment.project} to go on: ")
        except EOFError:
            answer = ""
        if answer.strip() != environment.project:
            print("modelward: nothing was removed", file=sys.stderr)
            return 1
    destroy(environment, with_backups=options.with_backups)
    print("removed")
    return 0
