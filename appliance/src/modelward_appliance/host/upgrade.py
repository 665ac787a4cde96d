"""`upgrade`: to the release in this folder, with a backup first, and back to what ran before when it does not verify.

What ran before is kept as it was: its images by tags of their own, and in the state folder what Compose made of its
compose.yaml and `.env`. The way back therefore needs neither the old release nor a registry.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any, Final

from modelward_appliance.host import backup, deployed, preflight
from modelward_appliance.host.deploy import deploy, mark_applied
from modelward_appliance.host.docker import Compose, DockerError, docker
from modelward_appliance.host.environment import COMPOSE_FOLDER, Environment
from modelward_appliance.host.verify.check import Verdict
from modelward_appliance.host.verify.command import verify
from modelward_appliance.host.verify.site import Site
from modelward_appliance.host.waiting import NotUpError, wait_until_well

BEFORE: Final = "before-upgrade"
"""Folder of the state: what ran before the last upgrade."""

_TAG: Final = "modelward/before-upgrade"
_COMPOSE: Final = "compose.json"


class NothingRunsError(Exception):
    """There is nothing to upgrade; the message says what to do instead."""


def remember(environment: Environment) -> str:
    """Keep what runs: its images by tag, its compose configuration; the backup that was made of its data.

    `NothingRunsError` when nothing is deployed, `DockerError` when the backup fails.
    """
    compose = Compose(environment)
    containers = compose.containers()
    if not containers:
        raise NothingRunsError("nothing is deployed, so there is nothing to upgrade; run make deploy")
    made = backup.make(compose)
    images: dict[str, str] = {}
    for container in containers:
        image = docker("inspect", "--format", "{{.Image}}", container.id).strip()
        images[container.service] = f"{_TAG}:{environment.project}-{container.service}"
        docker("tag", image, images[container.service])
    folder = environment.state / BEFORE
    folder.mkdir(mode=0o700, exist_ok=True)
    kept = deployed.recorded(environment)
    for service, image in images.items():
        if service in kept["services"]:
            kept["services"][service]["image"] = image
    deployed.write(folder / _COMPOSE, kept)
    return made


def roll_back(environment: Environment) -> None:
    """Bring back what ran before; `DockerError` or `NotUpError` when that fails."""
    folder = environment.state / BEFORE
    kept = json.loads((folder / _COMPOSE).read_text(encoding="utf-8"))
    words = ("--project-name", environment.project, "--project-directory", str(COMPOSE_FOLDER))
    command = ("compose", *words, "--file", str(folder / _COMPOSE))
    docker(*command, "up", "--detach", "--remove-orphans", "--force-recreate", "--no-build", timeout=1800)
    wait_until_well(Compose(environment), set(kept["services"]))
    mark_applied(environment)
    deployed.write(environment.state / deployed.FILE, kept)


def upgrade(environment: Environment, accepted: frozenset[str] = frozenset()) -> bool:
    """Upgrade; whether the new release runs, verified. When not, what ran before runs again, or it was said why not."""
    made = remember(environment)
    print(f"kept the images and the configuration of what runs, beside the backup {made}", flush=True)
    try:
        deploy(environment, accepted)
        environment = Environment.load(environment.file)
        failed = [outcome.name for outcome in verify(Site(environment)) if outcome.verdict is Verdict.FAILED]
        reason = f"{', '.join(failed)} failed" if failed else ""
    except (DockerError, NotUpError) as error:
        reason = str(error)
    if not reason:
        print("upgraded; the images of before stay until the next upgrade")
        return True
    print(f"modelward: the new release does not work: {reason}\ngoing back", file=sys.stderr, flush=True)
    _go_back(environment, made)
    return False


def _go_back(environment: Environment, made: str) -> None:
    # An Elasticsearch or Grafana that was newer for a while may have changed its data for good.
    advice = (
        f"the data of before the upgrade is in {environment.state / 'backups' / made}: put the old release into this "
        f"folder and run make restore BACKUP={environment.state / 'backups' / made}"
    )
    try:
        roll_back(environment)
    except (DockerError, NotUpError) as error:
        print(f"modelward: what ran before did not come back: {error}\n{advice}", file=sys.stderr)
        return
    failed = [outcome.name for outcome in verify(Site(environment), quiet=True) if outcome.verdict is Verdict.FAILED]
    if failed:
        print(f"modelward: what ran before is back, but {', '.join(failed)} failed; {advice}", file=sys.stderr)
        return
    print("what ran before is back and works; put its release into this folder before the next make deploy")


def add_command(subparsers: Any) -> None:
    """`upgrade`."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "upgrade", help="to the release in this folder: backup, new images, proof; and back when that fails"
    )
    preflight.add_accept(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Upgrade; 1 when the new release does not run."""
    environment: Environment = options.environment
    if not preflight.passes(environment, frozenset(options.accept)):
        return 1
    try:
        return 0 if upgrade(environment, frozenset(options.accept)) else 1
    except NothingRunsError as error:
        print(f"modelward: {error}", file=sys.stderr)
        return 1
