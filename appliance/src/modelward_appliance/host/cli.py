"""The command line on the server. A command is a module of this package with `add_command(subparsers)`.

`add_command` adds a parser with `set_defaults(run=…)`; `run` gets the parsed options, whose `environment` is the site's
`Environment`, and answers the exit code.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from modelward_appliance.host.docker import DockerError
from modelward_appliance.host.environment import DEFAULT_FILE, Environment, EnvironmentFileError, NotDeployedError

COMMANDS = (
    "deploy",
    "verify",
    "status",
    "upgrade",
    "backup",
    "restore",
    "rotate",
    "enrol",
    "support",
    "images",
    "preflight",
    "destroy",
)
"""The modules whose commands these are, in the order in which the help lists them."""

DEPLOYED_ONLY = frozenset({"logs", "stop", "backup", "rotate-certs", "rotate-secrets", "add-agent", "remove-agent"})
"""What has nothing to work on before the first deploy; other commands have their own answer to that."""

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; 0 when all went well, 1 when something failed, 2 when it was asked or set up wrongly."""
    options = _parser().parse_args(arguments)
    try:
        options.environment = Environment.load(options.env_file)
        if options.command in DEPLOYED_ONLY:
            options.environment.require_deployed()
        code: int = options.run(options)
    except EnvironmentFileError as error:
        print("\n".join(error.lines), file=sys.stderr)
        return 2
    except (DockerError, NotDeployedError) as error:
        print(f"modelward: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nmodelward: interrupted; running the same again completes it", file=sys.stderr)
        return INTERRUPTED
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="modelward_appliance.host", description="The appliance on this server; the Makefile's targets call it."
    )
    parser.add_argument(
        "--env-file",
        type=Path,
        default=Path(os.environ.get("MODELWARD_ENV_FILE") or DEFAULT_FILE),
        help="the site's variables (%(default)s)",
    )
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    for name in COMMANDS:
        if importlib.util.find_spec(f"{__package__}.{name}") is not None:
            module = importlib.import_module(f"{__package__}.{name}")
            if hasattr(module, "add_command"):
                module.add_command(subparsers)
    return parser
