"""The folder of backups: names, who may write at a time, what is kept how long."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from modelward_appliance.backup.errors import BackupError

_NAME = re.compile(r"modelward-(\d{8}T\d{6}Z)\.backup")
_STAMP = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True)
class Kept:
    """One finished backup."""

    path: Path
    created: datetime
    bytes: int


class Shelf:
    """A folder of backups; only files named as backups are ever listed or deleted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def kept(self) -> list[Kept]:
        """Every finished backup, the newest first."""
        found = []
        for path in self.folder.iterdir():
            if named := _NAME.fullmatch(path.name):
                created = datetime.strptime(named[1], _STAMP).replace(tzinfo=UTC)
                found.append(Kept(path, created, path.stat().st_size))
        return sorted(found, key=lambda backup: backup.created, reverse=True)

    @contextmanager
    def writing(self, created: datetime) -> Iterator[tuple[BinaryIO, Path]]:
        """A file, readable and writable, that takes its name when the block ends well, and is removed otherwise.

        Its content is on the disk before it has its name. `BackupError` while another backup is being made.
        """
        with self._alone():
            path = self.folder / f"modelward-{created.astimezone(UTC):{_STAMP}}.backup"
            if path.exists():
                raise BackupError(f"{path}: was made this very second; run the backup again")
            aside = self.folder / f".{path.name}.partial"
            descriptor = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                with os.fdopen(descriptor, "w+b") as file:
                    yield file, path
                    file.flush()
                    os.fsync(file.fileno())
                aside.rename(path)
                _sync_folder(self.folder)
            finally:
                aside.unlink(missing_ok=True)

    def expire(self, keep: timedelta, now: datetime) -> list[Path]:
        """Delete what is older, but never the newest; what was deleted."""
        expired = [backup.path for backup in self.kept()[1:] if now - backup.created > keep]
        for path in expired:
            path.unlink(missing_ok=True)
        return expired

    @contextmanager
    def _alone(self) -> Iterator[None]:
        lock = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BackupError(f"{self.folder}: another backup is being made; wait for its end") from None
            for left_over in self.folder.glob(".modelward-*.partial"):
                left_over.unlink(missing_ok=True)
            yield
        finally:
            os.close(lock)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
