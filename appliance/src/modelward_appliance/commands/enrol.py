"""`enrol HOST`: a bundle for a model server, in the one-shot container `setup`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

HELP = "make the bundle of a model server that is to deliver; run setup afterwards"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which host."""
    parser.add_argument("host", help="its name")
    parser.add_argument("--address", metavar="HOST:PORT", help="where Prometheus finds it (HOST:9478)")
    parser.add_argument("--state", type=Path, default=Path("/state"), help="the state folder (%(default)s)")


def run(options: argparse.Namespace) -> int:
    """Enrol; where the bundle is."""
    from modelward_appliance.context import site_context
    from modelward_appliance.enrolment import EnrolmentError, enrol
    from modelward_appliance.render import content_root
    from modelward_appliance.settings import load_site

    site = site_context(load_site(os.environ, options.state / "site"))
    # The image has it; of a checkout, the agent is installed from its folder.
    wheel = next(iter(sorted((content_root() / "packages").glob("modelward_agent-*.whl"))), None)
    try:
        made = enrol(options.state, site["ingest_url"], options.host, options.address, wheel)
    except EnrolmentError as error:
        print(f"modelward: {error}", file=sys.stderr)
        return 1
    renewed = " again; what it was given before is worth nothing now" if made.again else ""
    print(f"{made.host} is enrolled{renewed}. Its bundle, for it alone, has a README of three commands:\n{made.bundle}")
    return 0
