"""`rotate-secrets`: new secrets in the state folder, in the one-shot container `setup`."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "make every secret anew that can be; run setup afterwards"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Where the state is."""
    parser.add_argument("--state", type=Path, default=Path("/state"), help="the state folder (%(default)s)")


def run(options: argparse.Namespace) -> int:
    """Do it; which were made, and which not."""
    from modelward_appliance.rotation import BACKUP_KEY, KEPT, new_secrets

    changed = new_secrets(options.state)
    print(f"{len(changed)} secrets are new: {', '.join(changed)}")
    if BACKUP_KEY in changed:
        print(f"keep a copy of secrets/{BACKUP_KEY} off this machine: the one you have reads no new backup")
    for name, reason in KEPT.items():
        print(f"{name} stays: {reason}")
    return 0
