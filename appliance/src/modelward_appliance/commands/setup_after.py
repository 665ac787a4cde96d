"""`setup-after`: what the setup does once Elasticsearch is up."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

HELP = "once Elasticsearch is up: its templates and first indices, and whether its users work"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Where the state is, and how long to wait."""
    parser.add_argument("--state", type=Path, default=Path("/state"), help="the state folder (%(default)s)")
    parser.add_argument("--wait", type=float, default=120, metavar="SECONDS", help="for the cluster (%(default)g)")


def run(options: argparse.Namespace) -> int:
    """Run it; one line for each thing that holds."""
    from modelward_appliance.after import After, AfterError
    from modelward_appliance.settings import load_site
    from modelward_collector.store.protocol import StoreUnavailableError

    after = After(load_site(os.environ, options.state / "site"), options.state, time.monotonic() + options.wait)
    try:
        after.run()
    except (AfterError, StoreUnavailableError) as error:
        print(f"modelward: {error}", file=sys.stderr)
        return 1
    print("\n".join(after.changes))
    return 0
