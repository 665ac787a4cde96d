"""`restore`: everything as a backup has it, in an empty deployment or, when confirmed, in place of the present one."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any, Final

from modelward_appliance.host import images
from modelward_appliance.host.deploy import configure, deploy, mark_applied, wanted
from modelward_appliance.host.destroy import KEPT_KEY
from modelward_appliance.host.docker import Compose
from modelward_appliance.host.environment import Environment
from modelward_appliance.host.verify.check import Verdict
from modelward_appliance.host.verify.command import verify
from modelward_appliance.host.verify.site import Site
from modelward_appliance.host.waiting import NotUpError, wait_until_well

SERVICE: Final = "restore"
_THERE: Final = "/run/restore"


class RestoreError(Exception):
    """A restore cannot be begun; the message says why and what to do. Nothing was changed."""


class _Steps:
    """The steps of one restore, each in the one-shot container."""

    def __init__(self, environment: Environment, file: Path) -> None:
        self.compose = Compose(environment)
        self._file = file

    def run(self, step: str, key: Path, *flags: str) -> str:
        """Do a step; what it printed."""
        there = f"{_THERE}/{self._file.name}"
        mounts = ("--volume", f"{self._file}:{there}:ro", "--volume", f"{key}:{_THERE}/key:ro")
        words = ("modelward-appliance", "restore", step, there, "--key", f"{_THERE}/key", *flags)
        said = self.compose.run("run", "--rm", "--no-deps", "-T", *mounts, SERVICE, *words, timeout=None)
        print(f"{step:<10} {said.strip()}", flush=True)
        return said


def restore(environment: Environment, file: Path, key: Path) -> Environment:
    """Replace what is deployed by the backup, and start it; the site's variables, which may have come with it.

    What was in the state folder is kept there, in `replaced-<time>/`; the data in volumes is gone.
    """
    steps = _Steps(environment, file)
    compose = steps.compose
    steps.run("check", key)
    compose.run("--profile", "*", "down", "--volumes", "--remove-orphans", timeout=600)
    steps.run("state", key, "--move-aside")
    kept = environment.state / ".env"
    if environment.is_new and kept.is_file():
        shutil.copyfile(kept, environment.file)
        environment.file.chmod(0o600)
        environment = Environment.load(environment.file)
        steps = _Steps(environment, file)
        compose = steps.compose
    own_key = environment.state / "secrets" / "backup-key"
    print(f"{'setup':<10} {configure(compose)}", flush=True)
    compose.once("volume-owners")
    steps.run("data", own_key)
    nodes = sorted(name for name in wanted(compose) if name.startswith("elasticsearch"))
    compose.run("up", "--detach", "--no-deps", "--quiet-pull", *nodes, timeout=600)
    wait_until_well(compose, nodes)
    mark_applied(environment, frozenset(nodes))
    steps.run("documents", own_key)
    deploy(environment)
    return environment


def is_deployed(environment: Environment) -> bool:
    """Whether there is anything that a restore would replace."""
    compose = Compose(environment)
    return bool(compose.containers() or compose.volumes() or (environment.state / "secrets").is_dir())


def newest(environment: Environment) -> Path:
    """The newest backup in the state folder; `RestoreError` without any."""
    found = sorted((environment.state / "backups").glob("modelward-*.backup"))
    if not found:
        raise RestoreError(f"{environment.state / 'backups'}: there is no backup; name the file: make restore BACKUP=…")
    return found[-1]


def _own_key(state: Path) -> Path:
    """The key of the state folder, or the one that `destroy` left there beside the backups."""
    key = state / "secrets" / "backup-key"
    left = sorted(state.glob(f"{KEPT_KEY}*"))
    return key if key.is_file() or not left else left[-1]


def _given(options: argparse.Namespace) -> tuple[Path, Path]:
    environment: Environment = options.environment
    file: Path = (options.file or newest(environment)).absolute()
    key: Path = (options.key or _own_key(environment.state)).absolute()
    if not file.is_file():
        raise RestoreError(f"{file}: there is no such backup")
    if not key.is_file():
        raise RestoreError(f"{key}: there is no such key; give the copy that is kept elsewhere: --key")
    if ":" in str(file) or ":" in str(key):
        raise RestoreError(f"{file}, {key}: a path with a colon cannot be mounted; move it")
    return file, key


def add_command(subparsers: Any) -> None:
    """`restore [FILE] [--key KEY] [--yes]`."""
    parser: argparse.ArgumentParser = subparsers.add_parser("restore", help="bring everything back from a backup")
    parser.add_argument("file", nargs="?", type=Path, help="the backup; without it the newest of the state folder")
    parser.add_argument("--key", type=Path, help="the file with its key, when the state folder is lost")
    parser.add_argument("--yes", action="store_true", help="replace what is deployed without asking")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Restore and verify; 1 when something failed."""
    environment: Environment = options.environment
    try:
        file, key = _given(options)
        _confirm(environment, file, sure=options.yes)
        environment.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        images.build(environment)
        environment = restore(environment, file, key)
    except (RestoreError, NotUpError) as error:
        print(f"modelward: {error}", file=sys.stderr)
        return 1
    outcomes = verify(Site(environment))
    return 1 if any(outcome.verdict is Verdict.FAILED for outcome in outcomes) else 0


def _confirm(environment: Environment, file: Path, *, sure: bool) -> None:
    if sure or not is_deployed(environment):
        return
    print(f"All data of {environment.project} will be replaced by {file.name}; what came later is lost.")
    try:
        answer = input(f"Type {environment.project} to go on: ")
    except EOFError:
        answer = ""
    if answer.strip() != environment.project:
        raise RestoreError("nothing was restored")
