"""`remove-agent HOST`: a model server that may no longer deliver, in the one-shot container `setup`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

HELP = "forget a model server; run setup afterwards"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which host."""
    parser.add_argument("host", help="its name")
    parser.add_argument("--state", type=Path, default=Path("/state"), help="the state folder (%(default)s)")


def run(options: argparse.Namespace) -> int:
    """Remove it."""
    from modelward_appliance.enrolment import EnrolmentError, remove

    try:
        remove(options.state, options.host)
    except EnrolmentError as error:
        print(f"modelward: {error}", file=sys.stderr)
        return 1
    print(f"{options.host} may no longer deliver; what it delivered stays")
    return 0
