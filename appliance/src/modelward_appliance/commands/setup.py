"""`setup`: what the one-shot container does."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

HELP = "make what is missing, render every service's configuration and hand it out; a second run changes nothing"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Where the state and the volumes are."""
    parser.add_argument("--state", type=Path, default=Path("/state"), help="the state folder (%(default)s)")
    parser.add_argument("--volumes", type=Path, default=Path("/volumes"), help="the services' volumes (%(default)s)")


def run(options: argparse.Namespace) -> int:
    """Run it; one line for each change."""
    from modelward_appliance import files
    from modelward_appliance.render import content_root
    from modelward_appliance.settings import load_site
    from modelward_appliance.setup import Setup

    content = content_root()
    setup = Setup(load_site(os.environ, options.state / "site"), options.state, content)
    with files.locked(options.state):
        setup.prepare()
        setup.hand_out(options.volumes)
    print("\n".join(setup.changes) or "nothing to change")
    return 0
