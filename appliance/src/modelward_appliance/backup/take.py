"""Making a backup: freeze every part, pack and encrypt, read it all back, and only then give it its name."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO

from modelward_appliance.backup.archive import ArchiveReader, Manifest, now, packing
from modelward_appliance.backup.container import ContainerReader, ContainerWriter
from modelward_appliance.backup.errors import BackupError
from modelward_appliance.backup.keys import Key, read_keys
from modelward_appliance.backup.parts import Part
from modelward_appliance.backup.parts.elasticsearch import ElasticsearchPart
from modelward_appliance.backup.parts.folder import FolderPart
from modelward_appliance.backup.parts.prometheus import PrometheusPart
from modelward_appliance.backup.parts.sqlite import SqlitePart
from modelward_appliance.backup.settings import BackupSettings
from modelward_appliance.backup.shelf import Shelf


@dataclass(frozen=True, slots=True)
class Made:
    """A backup that was made and read back."""

    path: Path
    bytes: int
    manifest: Manifest
    expired: list[Path]


def parts_of(settings: BackupSettings) -> list[Part]:
    """What the settings say is to be backed up; the state first, which a restore needs before all else."""
    parts: list[Part] = []
    if settings.state is not None:
        parts.append(FolderPart("state", settings.state))
    if settings.elasticsearch is not None:
        parts.append(ElasticsearchPart(settings.elasticsearch))
    if settings.prometheus is not None:
        parts.append(PrometheusPart(settings.prometheus))
    parts += [SqlitePart(name, path, settings.folder) for name, path in settings.databases.items()]
    return parts


def take(settings: BackupSettings, moment: datetime | None = None) -> Made:
    """Make a backup now and delete those that are too old; `BackupError` leaves all earlier ones as they are."""
    created = moment or now()
    keys = read_keys(settings.key_file)
    shelf = Shelf(settings.folder)
    try:
        with shelf.writing(created) as (file, path), ExitStack() as stack:
            frozen = {part.name: stack.enter_context(part.frozen()) for part in parts_of(settings)}
            manifest = Manifest(
                created=created,
                modelward=version("modelward-appliance"),
                parts={name: part.facts for name, part in frozen.items()},
            )
            container = ContainerWriter(file, keys[0], created=created)
            with packing(file, container, manifest) as archive:
                for name, part in frozen.items():
                    for item, source in part.files:
                        archive.add(name, item, source)
            _forget_cached(file)
            prove(file, keys, path.name)
    except OSError as error:
        raise BackupError(_explained(error, shelf.folder)) from error
    size = path.stat().st_size
    return Made(path, size, manifest, shelf.expire(settings.keep, created))


def prove(file: BinaryIO, keys: Sequence[Key], name: str) -> Manifest:
    """Read all of a backup, keeping nothing; its manifest. `BackupError` when any of it is not as it was packed."""
    archive = ArchiveReader(ContainerReader(file, keys, name), name)
    for _ in archive.members():
        pass
    return archive.manifest


def _forget_cached(file: BinaryIO) -> None:
    """What is read from now on comes from the disk."""
    file.flush()
    os.fsync(file.fileno())
    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _explained(error: OSError, folder: Path) -> str:
    where = error.filename or folder
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        free = shutil.disk_usage(folder).free
        return (
            f"{folder}: the disk is full ({free // 2**20} MiB free), nothing was kept of the new backup and the old "
            "ones are untouched; free space there, or shorten how long backups are kept"
        )
    return f"{where}: {error.strerror or error}; see that the folder is there and belongs to the backup's user"
