"""`restore state|data|documents`: the three steps of a restore, in the one-shot container `restore`."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelward_appliance.backup.keys import Key

HELP = "bring a backup back, a step at a time; make restore runs them in their order"

KEPT_STATE = frozenset({"backups"})
LEFT_STATE = ("replaced-*", "backup-key-until-*")
"""What a restore leaves in the state folder: backups, what earlier ones replaced, and keys that `destroy` kept."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which step, what from, where to."""
    parser.add_argument("step", choices=["check", "state", "data", "documents"])
    parser.add_argument("file", type=Path, help="the backup")
    parser.add_argument("--key", type=Path, help="the key file; the one of the state folder when not given")
    parser.add_argument("--state", type=Path, default=Path("/state"), help="%(default)s")
    parser.add_argument("--data", type=Path, default=Path("/data"), help="where the volumes are (%(default)s)")
    parser.add_argument("--config", type=Path, default=Path("/etc/modelward/backup.yml"), help="%(default)s")
    parser.add_argument("--move-aside", action="store_true", help="state: what is there goes to replaced-<time>/")


def run(options: argparse.Namespace) -> int:
    """Do the step; what was done is printed."""
    from modelward_appliance.backup.errors import BackupError
    from modelward_appliance.backup.keys import read_keys

    try:
        keys = read_keys(options.key or options.state / "secrets" / "backup-key")
        match options.step:
            case "check":
                _check(options.file, keys)
            case "state":
                _state(options.file, keys, options.state, move_aside=options.move_aside)
            case "data":
                _data(options.file, keys, options.data)
            case "documents":
                _documents(options.file, keys, options.config)
    except BackupError as error:
        print(f"modelward: {error}", file=sys.stderr)
        return 1
    return 0


def _check(path: Path, keys: Sequence[Key]) -> None:
    from modelward_appliance.backup.take import prove

    with path.open("rb") as file:
        manifest = prove(file, keys, path.name)
    print(f"made {manifest.created:%Y-%m-%d %H:%M} UTC by Modelward {manifest.modelward}: {', '.join(manifest.parts)}")


def _state(path: Path, keys: Sequence[Key], state: Path, *, move_aside: bool) -> None:
    from modelward_appliance.backup.restore import STATE, Place, unpack
    from modelward_appliance.files import Owner

    owner = Owner.of(state)
    aside = state / f"replaced-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    left = {item.name for pattern in LEFT_STATE for item in state.glob(pattern)}
    ignored = left | KEPT_STATE | {aside.name}
    with path.open("rb") as file:
        if move_aside:
            from modelward_appliance.backup.take import prove

            # What is there is only moved for a backup that can take its place.
            prove(file, keys, path.name)
            file.seek(0)
            aside.mkdir(mode=0o700)
            for item in list(state.iterdir()):
                if item.name not in ignored:
                    item.rename(aside / item.name)
        place = Place(STATE, state, (owner.user, owner.group), ignore=frozenset(ignored))
        unpack(file, keys, path.name, [place])
    print("secrets, authority and site are back")


def _data(path: Path, keys: Sequence[Key], data: Path) -> None:
    from modelward_appliance.backup.restore import UNPACKED, Place, unpack
    from modelward_appliance.backup.take import prove
    from modelward_appliance.services import BY_NAME

    places = {
        "elasticsearch": Place("elasticsearch", data / "snapshots" / UNPACKED, (1000, 0)),
        "prometheus": Place("prometheus", data / "prometheus", (BY_NAME["prometheus"].user,) * 2),
        "grafana": Place("grafana", data / "grafana", (BY_NAME["grafana"].user, 0), file_mode=0o640),
    }
    with path.open("rb") as file:
        held = prove(file, keys, path.name).parts
        file.seek(0)
        unpack(file, keys, path.name, [place for part, place in places.items() if part in held])
    print(f"the data of {', '.join(part for part in places if part in held)} is back")


def _documents(path: Path, keys: Sequence[Key], config: Path) -> None:
    from modelward_appliance.backup.archive import ArchiveReader
    from modelward_appliance.backup.container import ContainerReader
    from modelward_appliance.backup.errors import BackupError
    from modelward_appliance.backup.restore import restore_elasticsearch
    from modelward_appliance.backup.settings import load_settings

    settings = load_settings(config).elasticsearch
    if settings is None:
        raise BackupError(f"{config}: has no elasticsearch to restore to")
    with path.open("rb") as file:
        manifest = ArchiveReader(ContainerReader(file, keys, path.name), path.name).manifest
    restored = restore_elasticsearch(manifest, settings)
    expected = sum(manifest.parts["elasticsearch"]["documents"].values())
    print(f"{sum(restored.values())} documents of {len(restored)} indices are back ({expected} were counted before)")
