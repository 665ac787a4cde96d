"""`setup-kibana`: what the setup does once Kibana is up."""

from __future__ import annotations

import argparse
import base64
import os
import sys
from pathlib import Path

HELP = "once Kibana is up: its data views and dashboards"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Where the state is, and how long to wait."""
    parser.add_argument("--state", type=Path, default=Path("/state"), help="the state folder (%(default)s)")
    parser.add_argument("--wait", type=float, default=300, metavar="SECONDS", help="for Kibana (%(default)g)")


def run(options: argparse.Namespace) -> int:
    """Run it; one line for each thing that was put."""
    from modelward_agent.settings import read_secret
    from modelward_appliance.elasticsearch_users import SETUP_USER, USERS
    from modelward_appliance.kibana import KibanaError, put_all
    from modelward_appliance.render import content_root
    from modelward_appliance.settings import load_site

    site = load_site(os.environ, options.state / "site")
    host, port = site.addresses["kibana"]
    password = read_secret(options.state / "secrets" / USERS[SETUP_USER])
    authorization = "Basic " + base64.b64encode(f"{SETUP_USER}:{password}".encode()).decode()
    try:
        done = put_all(
            f"https://{host}:{port}/kibana",
            options.state / "tls" / "ca.crt",
            authorization,
            content_root(),
            wait_seconds=options.wait,
        )
    except KibanaError as error:
        print("\n".join(f"modelward: {line}" for line in error.lines), file=sys.stderr)
        return 1
    print("\n".join(done))
    return 0
