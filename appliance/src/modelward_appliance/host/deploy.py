"""`deploy`: preflight, images, setup, up, and the proof that it works. Running it again changes nothing.

Each step looks at what is there, so a deploy that was interrupted anywhere is completed by the next.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from modelward_appliance.host import deployed, images, preflight
from modelward_appliance.host.docker import ONE_SHOTS, Compose, DockerError, docker
from modelward_appliance.host.environment import Environment, first_version
from modelward_appliance.host.verify.check import Verdict
from modelward_appliance.host.verify.command import verify
from modelward_appliance.host.verify.site import Site
from modelward_appliance.host.waiting import NotUpError, Watch, up, wait_until_well

RENDERED: Final = "rendered.json"
"""Setup's digest of what each service was handed."""

APPLIED: Final = "applied.json"
"""The digests that the running services were started with."""

BACKUPS: Final = "backups"


def deploy(environment: Environment, accepted: frozenset[str] = frozenset()) -> None:
    """Bring the site to what its variables and this release say. `DockerError` or `NotUpError` when that fails.

    `accepted` are checks whose errors do not stand against it.
    """
    made = images.build(environment)
    print("images: " + (f"built {', '.join(made)}" if made else "up to date"), flush=True)
    check(environment, accepted)
    _prepare(environment)
    environment = Environment.load(environment.file)
    compose = Compose(environment)
    _pull(compose, environment)
    print(f"setup: {configure(compose)}", flush=True)
    watch = Watch(compose)
    restart_changed(compose)
    up(compose, watch)
    wait_until_well(compose, wanted(compose), watch)
    mark_applied(environment)
    deployed.record(environment)


def check(environment: Environment, accepted: frozenset[str] = frozenset()) -> None:
    """Let the image judge variables, site files and directory, changing nothing; `DockerError` with all errors."""
    _judge(environment, "check-config", network="none")
    if "directory" not in accepted:
        _judge(environment, "check-directory", network="bridge")


def _judge(environment: Environment, command: str, network: str) -> None:
    variables = environment.variables
    words = [word for name in variables for word in ("--env", name)]
    mounts = ["--volume", f"{environment.state}:/state:ro"] if environment.state.is_dir() else []
    # The state folder is its owner's alone, whoever that is.
    rights = ["--user", "0:0", "--cap-drop", "ALL", "--cap-add", "DAC_OVERRIDE", "--network", network, "--read-only"]
    image = images.name_of(images.BUILT[0], environment)
    given = [*rights, *words, *mounts, image, "modelward-appliance", command]
    done = subprocess.run(
        ["docker", "run", "--rm", *given],
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        said = done.stderr.strip().removeprefix("modelward: ") or done.stdout.strip()
        raise DockerError(f"{said}\nmodelward: nothing was changed; correct that and run make deploy again")


def configure(compose: Compose) -> str:
    """Run `setup`, and say what it changed."""
    lines = [line for line in compose.once("setup").splitlines() if line.strip()]
    if lines == ["nothing to change"] or not lines:
        return "nothing to change"
    services = sorted({line.partition(":")[0] for line in lines if ": " in line and "/" not in line.partition(":")[0]})
    return f"{len(lines)} changes ({', '.join(services)})"


def wanted(compose: Compose) -> set[str]:
    """The services that are to be well."""
    services: Mapping[str, Any] = compose.config()["services"]
    return set(services)


def restart_changed(compose: Compose) -> list[str]:
    """Restart what runs with another configuration than it is handed now; their names.

    Before `up`, which waits for services that may be unwell because of what was just corrected.
    """
    rendered = read_digests(compose.environment.state / RENDERED)
    applied = read_digests(compose.environment.state / APPLIED)
    stale = [
        container.service
        for container in compose.containers()
        if container.state in ("running", "restarting")
        and container.service not in ONE_SHOTS
        and rendered.get(container.service) != applied.get(container.service)
    ]
    if stale:
        print(f"restarting with their new configuration: {', '.join(stale)}", flush=True)
        compose.run("restart", "--no-deps", *stale, timeout=600)
    return stale


def mark_applied(environment: Environment, services: frozenset[str] | None = None) -> None:
    """Record that the services (all of them) run with what setup rendered, restarted or having read it again."""
    digests = read_digests(environment.state / RENDERED)
    applied = read_digests(environment.state / APPLIED)
    new = digests if services is None else applied | {name: digests[name] for name in services if name in digests}
    if new == applied:
        return
    path = environment.state / APPLIED
    aside = path.with_name(f".{path.name}.new")
    aside.write_text(json.dumps(new, indent=1) + "\n")
    aside.chmod(0o600)
    aside.rename(path)


def read_digests(path: Path) -> dict[str, str]:
    """What `RENDERED` or `APPLIED` holds, by service; nothing when it is not there."""
    try:
        found: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return found


def _prepare(environment: Environment) -> None:
    """The folders and the first `.env`; what is there is left alone."""
    if environment.is_new:
        environment.file.write_text(first_version())
        environment.file.chmod(0o600)
        print(f"wrote {environment.file}: what can be set is there", flush=True)
    state = environment.state
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Part of every backup: what was set belongs to what was made from it.
    kept = state / ".env"
    if not kept.exists() or kept.read_bytes() != environment.file.read_bytes():
        shutil.copyfile(environment.file, kept)
        kept.chmod(0o600)


def _pull(compose: Compose, environment: Environment) -> None:
    services: Mapping[str, Any] = compose.config()["services"]
    for image in images.missing(environment, services):
        print(f"pulling {image}", flush=True)
        docker("pull", "--quiet", image)


def add_command(subparsers: Any) -> None:
    """`deploy`."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "deploy", help="bring the whole stack up, and prove that it works"
    )
    preflight.add_accept(parser)
    parser.add_argument("--no-verify", action="store_true", help="do not prove that it works")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Deploy and verify; 1 when something failed."""
    environment: Environment = options.environment
    if not preflight.passes(environment, frozenset(options.accept)):
        return 1
    try:
        deploy(environment, frozenset(options.accept))
    except NotUpError as error:
        print(f"modelward: {error}", file=sys.stderr)
        return 1
    environment = Environment.load(environment.file)
    works = options.no_verify or all(outcome.verdict is not Verdict.FAILED for outcome in verify(Site(environment)))
    _say_where(environment)
    return 0 if works else 1


def _say_where(environment: Environment) -> None:
    places = {"console": environment.url}
    if "grafana" in environment.profiles:
        places["Grafana"] = environment.grafana_url
    places["authority"] = f"{environment.state}/tls/ca.crt, for browsers to trust"
    if "openldap" in environment.profiles and not environment.get("MODELWARD_LDAP_URLS"):
        password = environment.state / "secrets" / "openldap-people-password"
        places["people"] = f"viewer, editor, admin (examples), with the password in {password}"
    for name, place in places.items():
        print(f"{name:<11}{place}", flush=True)
