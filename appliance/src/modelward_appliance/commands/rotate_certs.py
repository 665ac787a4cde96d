"""`rotate-certs`: new certificates, or a step towards a new authority, in the one-shot container `setup`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

HELP = "forget the services' certificates, or take a step towards a new authority; run setup afterwards"


def arguments(parser: argparse.ArgumentParser) -> None:
    """What to renew."""
    parser.add_argument("--authority", action="store_true", help="the authority itself, a step at a time")
    parser.add_argument("--force", action="store_true", help="even if model servers were not enrolled again")
    parser.add_argument("--state", type=Path, default=Path("/state"), help="the state folder (%(default)s)")


def run(options: argparse.Namespace) -> int:
    """Do it; what was done."""
    from modelward_appliance.rotation import NotYetError, change_authority, forget_pairs

    if not options.authority:
        print(f"{forget_pairs(options.state)} certificates are to be issued anew")
        return 0
    try:
        step = change_authority(options.state, force=options.force)
    except NotYetError as error:
        print(f"modelward: {error}", file=sys.stderr)
        return 1
    print(step.value)
    return 0
