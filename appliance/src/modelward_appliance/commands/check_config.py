"""`check-config`: every error of `.env` and of the state folder's `site/`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

HELP = "say everything that is wrong with the variables and the files of site/"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Where the state is."""
    parser.add_argument("--state", type=Path, default=Path("/state"), help="the state folder (%(default)s)")


def run(options: argparse.Namespace) -> int:
    """Check; the errors are raised."""
    from modelward_appliance import elasticsearch_users, pki
    from modelward_appliance.settings import load_site

    site = load_site(os.environ, options.state / "site")
    pki.own_pair(options.state / "site", site.settings.hosts)
    elasticsearch_users.enrolled(options.state / "agents")
    print("The configuration is valid.")
    return 0
