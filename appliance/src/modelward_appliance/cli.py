"""The command line: `modelward-appliance`. A command is a file of `commands/`."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
from collections.abc import Sequence

from modelward_appliance import commands

BAD_CONFIGURATION = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; 0 when all went well, 1 when something failed, 2 when it was asked or set up wrongly."""
    options = _parser().parse_args(arguments)
    # Only now: a command may run where only the standard library is.
    from modelward_agent.settings import SettingsError
    from modelward_appliance.elasticsearch_users import EnrolledError
    from modelward_appliance.pki import CertificateError
    from modelward_appliance.render import RenderError

    try:
        code: int = options.run(options)
    except SettingsError as error:
        print("\n".join(error.lines), file=sys.stderr)
        return BAD_CONFIGURATION
    except (CertificateError, EnrolledError, RenderError) as error:
        print(f"modelward: {error}", file=sys.stderr)
        return BAD_CONFIGURATION
    except OSError as error:
        print(f"modelward: {error.filename}: {error.strerror}; correct that and run it again", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    """Each module of `commands` has HELP (one line), `arguments(parser)` and `run(options)`, an exit code."""
    parser = argparse.ArgumentParser(
        prog="modelward-appliance", description="Configuration, certificates, backups and proof of the appliance."
    )
    sub = parser.add_subparsers(required=True, metavar="COMMAND")
    for found in sorted(pkgutil.iter_modules(commands.__path__), key=lambda module: module.name):
        module = importlib.import_module(f"{commands.__name__}.{found.name}")
        text: str = module.HELP
        command = sub.add_parser(found.name.replace("_", "-"), help=text, description=f"{text[:1].upper()}{text[1:]}.")
        module.arguments(command)
        command.set_defaults(run=module.run)
    return parser


if __name__ == "__main__":
    sys.exit(main())
