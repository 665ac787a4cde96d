"""The command: `make verify`."""

from __future__ import annotations

import argparse
import fnmatch
import sys
from collections.abc import Sequence
from typing import Any

from modelward_appliance.host.verify import access, alert, grafana, kibana, login, prediction, prometheus, snapshot, tls
from modelward_appliance.host.verify.check import Check, Outcome, Verdict, run_all
from modelward_appliance.host.verify.report import as_json, show
from modelward_appliance.host.verify.site import Site

# Those that wait come first, so that the others go on meanwhile.
CHECKS: tuple[Check[Site], ...] = (
    *prediction.CHECKS,
    *alert.CHECKS,
    *snapshot.CHECKS,
    *tls.CHECKS,
    *access.CHECKS,
    *login.CHECKS,
    *prometheus.CHECKS,
    *kibana.CHECKS,
    *grafana.CHECKS,
)


def add_command(subparsers: Any) -> None:
    """`verify [--only NAME …] [--json] [--quiet] [--list]`."""
    parser = subparsers.add_parser("verify", help="prove from outside that everything works")
    parser.add_argument("--only", action="append", metavar="NAME", help="only these checks; * stands for anything")
    parser.add_argument("--json", action="store_true", help="one JSON object at the end")
    parser.add_argument("--quiet", action="store_true", help="print nothing unless something failed, for cron")
    parser.add_argument("--list", action="store_true", help="name the checks and what they prove")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Verify; 0 when nothing failed, 1 when something did, 2 when it was asked wrongly."""
    chosen = choose(options.only or [])
    if not chosen:
        known = ", ".join(check.name for check in CHECKS)
        print(f"modelward: no check is named {' or '.join(options.only)}; there are {known}", file=sys.stderr)
        return 2
    if options.list:
        for check in chosen:
            print(f"{check.name:<26}{check.proves}")
        return 0
    options.environment.require_deployed()
    site = Site(options.environment)
    outcomes = verify(site, chosen, as_json_text=options.json, quiet=options.quiet)
    return 1 if any(outcome.verdict is Verdict.FAILED for outcome in outcomes) else 0


def verify(
    site: Site, checks: Sequence[Check[Site]] = CHECKS, *, as_json_text: bool = False, quiet: bool = False
) -> list[Outcome]:
    """Run the checks and print how they went."""
    if as_json_text:
        outcomes = list(run_all(checks, site))
        print(as_json(outcomes))
        return outcomes
    return show(run_all(checks, site), sys.stdout, quiet=quiet)


def choose(patterns: Sequence[str]) -> list[Check[Site]]:
    """The checks whose names match one of the patterns; all without any."""
    return [check for check in CHECKS if not patterns or any(fnmatch.fnmatch(check.name, item) for item in patterns)]
