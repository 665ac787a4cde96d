"""Bringing a backup back: first the state folder, then the volumes, then the documents.

The three steps are apart because the configuration of every service is rendered between the first two, and
Elasticsearch is started between the last two. Each begins by proving the whole file.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from modelward_appliance.backup.archive import ArchiveReader, Manifest
from modelward_appliance.backup.container import ContainerReader
from modelward_appliance.backup.errors import BackupError
from modelward_appliance.backup.keys import Key
from modelward_appliance.backup.parts.elasticsearch import restore_documents
from modelward_appliance.backup.settings import ElasticsearchSettings
from modelward_appliance.backup.take import prove

STATE = "state"
UNPACKED = "restored"
"""The folder among Elasticsearch's repositories that a restore reads from; removed afterwards."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a part's files go, and who owns them there (None: whoever restores).

    `folder` must be empty but for `ignore`, so that nothing is ever mixed or overwritten.
    """

    part: str
    folder: Path
    owner: tuple[int, int] | None = None
    file_mode: int = 0o600
    ignore: frozenset[str] = frozenset({"lost+found", "backups"})


def unpack(file: BinaryIO, keys: Sequence[Key], name: str, places: Sequence[Place]) -> Manifest:
    """Unpack the parts that have a place there; the manifest. Nothing is written unless all of the file is genuine.

    `BackupError` when a place is not empty, or a part is not in the backup.
    """
    manifest = prove(file, keys, name)
    if lacking := [place.part for place in places if place.part not in manifest.parts]:
        raise BackupError(f"{name}: has no {', '.join(lacking)}; it holds {', '.join(manifest.parts)}")
    for place in places:
        _must_be_empty(place)
    by_part = {place.part: place for place in places}
    file.seek(0)
    for member in ArchiveReader(ContainerReader(file, keys, name), name).members():
        to = by_part.get(member.part)
        if to is None:
            continue
        try:
            member.save(to.folder / member.name, to.file_mode)
        except OSError as error:
            raise BackupError(f"{to.folder}: {error.strerror or error}; empty it and restore again") from error
    for place in places:
        _hand_over(place)
    return manifest


def restore_elasticsearch(manifest: Manifest, settings: ElasticsearchSettings) -> dict[str, int]:
    """Have Elasticsearch restore what was unpacked to `repositories/restored`, then remove that; documents by index.

    `BackupError` when the cluster is not empty, or anything did not come back.
    """
    restored = restore_documents(settings, manifest.parts["elasticsearch"], UNPACKED)
    shutil.rmtree(settings.repositories / UNPACKED, ignore_errors=True)
    return restored


def _must_be_empty(place: Place) -> None:
    if not place.folder.is_dir():
        return
    if found := sorted(path.name for path in place.folder.iterdir() if path.name not in place.ignore):
        raise BackupError(
            f"{place.folder}: is not empty (it holds {', '.join(found[:3])}); a backup is restored to an empty "
            "deployment, which make destroy leaves"
        )


def _hand_over(place: Place) -> None:
    if not place.folder.is_dir():
        return
    brought = [item for item in place.folder.iterdir() if item.name not in place.ignore]
    for path in [place.folder, *brought, *(inner for item in brought for inner in item.rglob("*"))]:
        if path.is_dir():
            path.chmod(place.file_mode | (place.file_mode & 0o444) >> 2)
        if place.owner is not None:
            os.chown(path, *place.owner)
