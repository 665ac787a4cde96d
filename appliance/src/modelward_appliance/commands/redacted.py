"""`redacted`: every service's configuration without its secrets, for a support bundle, in the container `setup`."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

HELP = "print every service's rendered configuration as JSON, without keys, passwords and their hashes"

_LEFT_OUT = ("secrets/", "state/", "tls/")
_HASHES = frozenset({"users", "service_tokens"})


def arguments(parser: argparse.ArgumentParser) -> None:
    """Where the state is."""
    parser.add_argument("--state", type=Path, default=Path("/state"), help="the state folder (%(default)s)")


def run(options: argparse.Namespace) -> int:
    """Print it: {service: {file: text}}."""
    from modelward_appliance.render import content_root
    from modelward_appliance.services import SERVICES
    from modelward_appliance.settings import load_site
    from modelward_appliance.setup import Setup

    setup = Setup(load_site(os.environ, options.state / "site"), options.state, content_root())
    setup.prepare()
    found = {
        service.name: {
            name: content.decode(errors="replace")
            for name, (content, _mode) in setup.rendered(service).items()
            if not name.startswith(_LEFT_OUT) and name not in _HASHES
        }
        for service in SERVICES
    }
    print(json.dumps(found))
    return 0
