"""`backup now|list|verify|probe`, in the container `backup`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelward_appliance.backup.settings import BackupSettings

HELP = "make a backup, list them, prove one, or prove that Elasticsearch's snapshots can be read"


def arguments(parser: argparse.ArgumentParser) -> None:
    """What to do, and where the configuration is."""
    parser.add_argument("--config", type=Path, default=Path("/etc/modelward/backup.yml"), help="%(default)s")
    parser.add_argument("what", choices=["now", "list", "verify", "probe"])
    parser.add_argument("file", nargs="?", type=Path, help="for verify: the backup; without it the newest")
    parser.add_argument("--key", type=Path, help="for verify: the key file, when it is not the present one")


def run(options: argparse.Namespace) -> int:
    """Do it; what was done is printed."""
    from modelward_appliance.backup.errors import BackupError
    from modelward_appliance.backup.settings import load_settings

    settings = load_settings(options.config)
    try:
        match options.what:
            case "now":
                _now(settings)
            case "list":
                _list(settings)
            case "verify":
                _verify(settings, options.file, options.key)
            case "probe":
                _probe(settings)
    except BackupError as error:
        print(f"modelward: {error}", file=sys.stderr)
        return 1
    return 0


def _now(settings: BackupSettings) -> None:
    from modelward_appliance.backup.take import take

    made = take(settings)
    print(f"{made.path.name}: {size(made.bytes)}, read back and proven; it holds {', '.join(made.manifest.parts)}")
    for path in made.expired:
        print(f"{path.name}: deleted, older than what is kept")


def _list(settings: BackupSettings) -> None:
    from modelward_appliance.backup.container import read_header
    from modelward_appliance.backup.errors import BackupError
    from modelward_appliance.backup.shelf import Shelf

    kept = Shelf(settings.folder).kept()
    for backup in kept:
        try:
            with backup.path.open("rb") as file:
                made_by = f"key {read_header(file, backup.path.name).key}"
        except BackupError as error:
            made_by = f"UNUSABLE: {error}"
        print(f"{backup.path.name}  {backup.created:%Y-%m-%d %H:%M} UTC  {size(backup.bytes):>10}  {made_by}")
    if not kept:
        print("There is no backup yet; make one: make backup")


def _verify(settings: BackupSettings, path: Path | None, key: Path | None) -> None:
    from modelward_appliance.backup.errors import BackupError
    from modelward_appliance.backup.keys import read_keys
    from modelward_appliance.backup.shelf import Shelf
    from modelward_appliance.backup.take import prove

    if path is None:
        kept = Shelf(settings.folder).kept()
        if not kept:
            raise BackupError(f"{settings.folder}: there is no backup yet; make one: make backup")
        path = kept[0].path
    elif not path.is_absolute():
        path = settings.folder / path
    with path.open("rb") as file:
        manifest = prove(file, read_keys(key or settings.key_file), path.name)
    documents = sum(manifest.parts.get("elasticsearch", {}).get("documents", {}).values())
    print(
        f"{path.name}: every byte is as it was packed at {manifest.created:%Y-%m-%d %H:%M} UTC by Modelward "
        f"{manifest.modelward}; it holds {', '.join(manifest.parts)}, {documents} documents"
    )


def _probe(settings: BackupSettings) -> None:
    from modelward_appliance.backup.errors import BackupError
    from modelward_appliance.backup.parts.elasticsearch import probe

    if settings.elasticsearch is None:
        raise BackupError("backup.yml has no elasticsearch, so there is no snapshot to prove")
    print(probe(settings.elasticsearch))


def size(count: int) -> str:
    """Bytes for people: `12.3 MiB`."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"
