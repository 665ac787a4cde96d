"""`check-config`: every error of `.env` and of the state folder's `site/`."""

from __future__ import annotations

import argparse
import logging
import os
from pathlib import Path

HELP = "say everything that is wrong with the variables and the files of site/"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Where the state is."""
    parser.add_argument("--state", type=Path, default=Path("/state"), help="the state folder (%(default)s)")


def run(options: argparse.Namespace) -> int:
    """Check; SettingsError with every error there is."""
    from modelward_agent.settings import SettingsError
    from modelward_appliance import elasticsearch_users, pki
    from modelward_appliance.settings import load_site
    from modelward_collector.registry import Registry

    lines: list[str] = []
    site = options.state / "site"
    try:
        settings = load_site(os.environ, site).settings
        pki.own_pair(site, settings.hosts)
    except SettingsError as error:
        lines += error.lines
    except pki.CertificateError as error:
        lines.append(f"modelward: {error}")
    try:
        elasticsearch_users.enrolled(options.state / "agents")
    except elasticsearch_users.EnrolledError as error:
        lines.append(f"modelward: {error}")
    # The registry also logs what is wrong, for a collector that goes on without it.
    logging.disable(logging.ERROR)
    try:
        lines += [line for wrong in Registry(site / "models.d").errors.values() for line in wrong]
    finally:
        logging.disable(logging.NOTSET)
    if lines:
        raise SettingsError(lines)
    print("The configuration is valid.")
    return 0
