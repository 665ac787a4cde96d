"""`backup-service`: what the container `backup` runs."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

HELP = "make a backup every day and serve /metrics about them, until told to end"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Where its configuration is."""
    parser.add_argument("--config", type=Path, default=Path("/etc/modelward/backup.yml"), help="%(default)s")


def run(options: argparse.Namespace) -> int:
    """Serve until SIGTERM."""
    from modelward_appliance.backup.service import BackupService
    from modelward_appliance.backup.settings import load_settings

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    BackupService(load_settings(options.config)).serve()
    return 0
