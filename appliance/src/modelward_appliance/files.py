"""Writing files so that a reader, or a crash, sees the old one or the new one, and never half of either."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ASIDE: Final = ".modelward-new-"
"""Prefix of files being written; what a killed run left behind is removed by the next."""

SECRET_MODE: Final = 0o600
FOLDER_MODE: Final = 0o700


@dataclass(frozen=True, slots=True)
class Owner:
    """User and group ids that a file is given to; only root can."""

    user: int
    group: int

    @classmethod
    def of(cls, path: Path) -> Owner:
        """Who owns the path."""
        status = path.stat()
        return cls(status.st_uid, status.st_gid)


def write(path: Path, content: bytes, *, mode: int = SECRET_MODE, owner: Owner | None = None) -> bool:
    """Make the file be so; whether anything had to change. Its folder must be there.

    Written aside, synced and renamed, so that the file is whole at every instant.
    """
    if _is_so(path, content, mode, owner):
        return False
    aside = path.parent / f"{ASIDE}{path.name}"
    with contextlib.suppress(FileNotFoundError):
        aside.unlink()
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, SECRET_MODE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), mode)
            _give(file.fileno(), owner)
            file.flush()
            os.fsync(file.fileno())
        aside.rename(path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            aside.unlink()
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # a full disk does not say which file it was
        raise
    sync_folder(path.parent)
    return True


def folder(path: Path, *, mode: int = FOLDER_MODE, owner: Owner | None = None) -> bool:
    """Make the folder be there with mode and owner; whether anything had to change. Its parent must be there."""
    changed = False
    if not path.is_dir():
        path.mkdir(mode=FOLDER_MODE)
        changed = True
    status = path.stat()
    if stat.S_IMODE(status.st_mode) != mode:
        path.chmod(mode)
        changed = True
    if _foreign(status, owner):
        assert owner is not None
        os.chown(path, owner.user, owner.group)
        changed = True
    return changed


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Alone with the folder among those who lock it: another waits for its turn."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def remove_asides(below: Path) -> None:
    """Remove what killed runs left half written."""
    for path in sorted(below.rglob(f"{ASIDE}*")):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def sync_folder(path: Path) -> None:
    """Make renames in the folder outlast a crash of the machine."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_so(path: Path, content: bytes, mode: int, owner: Owner | None) -> bool:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return False
    return (
        stat.S_ISREG(status.st_mode)
        and stat.S_IMODE(status.st_mode) == mode
        and not _foreign(status, owner)
        and status.st_size == len(content)
        and path.read_bytes() == content
    )


def _foreign(status: os.stat_result, owner: Owner | None) -> bool:
    return owner is not None and os.geteuid() == 0 and (status.st_uid, status.st_gid) != (owner.user, owner.group)


def _give(descriptor: int, owner: Owner | None) -> None:
    if owner is not None and os.geteuid() == 0:
        os.fchown(descriptor, owner.user, owner.group)
