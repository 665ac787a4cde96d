"""`render`: one service's configuration into a folder, for bare metal."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from modelward_appliance.services import BY_NAME

HELP = "render one service's configuration, certificates and secrets into a folder"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which service, and where to."""
    parser.add_argument("--service", required=True, choices=sorted(BY_NAME), metavar="NAME", help=", ".join(BY_NAME))
    parser.add_argument("--to", required=True, type=Path, metavar="FOLDER", help="it is made, and then holds just this")
    parser.add_argument("--config", metavar="FOLDER", help="where the service will find the folder (the one of --to)")
    parser.add_argument("--state", type=Path, default=Path("/state"), help="the state folder (%(default)s)")


def run(options: argparse.Namespace) -> int:
    """Render; one line for each change."""
    from modelward_appliance import files
    from modelward_appliance.render import content_root
    from modelward_appliance.settings import load_site
    from modelward_appliance.setup import Setup, write_folder

    content = content_root()
    setup = Setup(load_site(os.environ, options.state / "site"), options.state, content)
    config = options.config or str(options.to.resolve())
    options.to.mkdir(mode=0o700, parents=True, exist_ok=True)
    service = BY_NAME[options.service]
    with files.locked(options.state):
        setup.prepare()
        changes = write_folder(options.to, setup.rendered(service, config), None, keep=service.writable)
    print("\n".join([*setup.changes, *changes]) or "nothing to change")
    return 0
