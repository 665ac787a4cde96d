"""`rotate-certs` and `rotate-secrets`: new ones, taken up service by service, so that nothing is lost.

While a service restarts, agents keep what they have in their journals, and the services retry; each is waited for
before the next one goes.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from modelward_appliance.host.deploy import APPLIED, RENDERED, configure, mark_applied, wanted
from modelward_appliance.host.docker import ONE_SHOTS, Compose
from modelward_appliance.host.environment import Environment
from modelward_appliance.host.waiting import NotUpError, wait_until_well

ORDER: Final = (
    ("elasticsearch",),
    ("elasticsearch-2",),
    ("elasticsearch-3",),
    ("openldap",),
    ("collector",),
    ("kibana", "logstash"),
    ("victoriametrics",),
    ("alertmanager",),
    ("prometheus",),
    ("node-exporter", "blackbox-exporter", "grafana", "backup"),
    ("agent",),
    ("gateway",),
)
"""Who is asked before who asks; the doors last."""


SWITCHED: Final = "switched"
"""What `modelward-appliance rotate-certs --authority` prints when the new authority has begun to issue."""


def take_up(environment: Environment) -> list[str]:
    """Restart, in order, the services whose configuration changed since they were started; their names."""
    compose = Compose(environment)
    rendered, applied = _digests(environment.state / RENDERED), _digests(environment.state / APPLIED)
    here = wanted(compose) - ONE_SHOTS
    stale = {name for name in here if rendered.get(name) != applied.get(name)}
    taken = []
    for group in ORDER:
        if names := sorted(stale & set(group)):
            print(f"restarting {', '.join(names)}", flush=True)
            compose.run("restart", "--no-deps", *names, timeout=600)
            wait_until_well(compose, names)
            mark_applied(environment, frozenset(names))
            taken += names
    return taken


def _digests(path: Path) -> dict[str, str]:
    try:
        found: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return found


def _rotate(environment: Environment, what: str, *flags: str) -> str:
    """Change the state folder, hand it out, and take it up; what the change said."""
    compose = Compose(environment)
    said = compose.once("setup", "modelward-appliance", what, *flags)
    print(said, end="", flush=True)
    print(f"setup: {configure(compose)}", flush=True)
    take_up(environment)
    return said.strip()


def rotate_certificates(environment: Environment) -> None:
    """New certificates for every service, of the same authority."""
    _rotate(environment, "rotate-certs")


def rotate_authority(environment: Environment, *, force: bool = False) -> None:
    """The next step towards a new authority. `DockerError` when model servers must be enrolled again before."""
    flags = ("--authority", *(["--force"] if force else []))
    step = _rotate(environment, "rotate-certs", *flags)
    if step == SWITCHED:
        # All show the new authority's certificates now, so that nobody needs the old one any more.
        _rotate(environment, "rotate-certs", *flags)
        print("the old authority is trusted no more")
    else:
        print(
            "two authorities are trusted now. Enrol every model server again (make add-agent HOST_NAME=…), unpack the "
            f"bundles there, give browsers {environment.state}/tls/ca.crt, and run this again: then only the new one is"
        )


def rotate_secrets(environment: Environment) -> None:
    """New passwords and keys, those of enrolled model servers excepted."""
    _rotate(environment, "rotate-secrets")


def add_command(subparsers: Any) -> None:
    """`rotate-certs [--authority [--force]]`, `rotate-secrets`."""
    certs: argparse.ArgumentParser = subparsers.add_parser("rotate-certs", help="new certificates for every service")
    certs.add_argument("--authority", action="store_true", help="a new authority: first both are trusted, then only it")
    certs.add_argument("--force", action="store_true", help="complete it though model servers were not enrolled again")
    certs.set_defaults(run=_certs)
    secrets: argparse.ArgumentParser = subparsers.add_parser("rotate-secrets", help="new passwords and keys")
    secrets.set_defaults(run=_secrets)


def _certs(options: argparse.Namespace) -> int:
    return _reported(
        lambda: (
            rotate_authority(options.environment, force=options.force)
            if options.authority
            else rotate_certificates(options.environment)
        )
    )


def _secrets(options: argparse.Namespace) -> int:
    return _reported(lambda: rotate_secrets(options.environment))


def _reported(rotate: Callable[[], None]) -> int:
    try:
        rotate()
    except NotUpError as error:
        print(f"modelward: {error}", file=sys.stderr)
        return 1
    return 0
