"""How far every file has got, on disk, so that a `kill -9` at any instant is a pause and nothing more.

Small files of the state folder, each replaced whole and atomically:

* `files.json`: which key stands for which file, for files whose name alone does not tell (`FileKeys`)
* `shipped.json`: up to where each file's events are acknowledged, and which index they went to (`Shipped`)
* `committed.json`: up to where each file is folded; its newer versions are in the spool (`modelward_agent.ship.spool`)
* `key.host`: the host that keys are made of
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import orjson

FORMAT = 1

FORGET_SECONDS = 7 * 86_400.0
"""A file that was not seen for this long is forgotten. A folder that is not mounted today may be back tomorrow, and
its files must not be read from their beginning again."""

ASIDE = ".aside"


class StateError(Exception):
    """A state file cannot be used; the message names it, what may be done, and what that costs."""


class DamageError(StateError):
    """What is in a state file is not what the agent writes."""


def sync_folder(folder: Path) -> None:
    """Make renames and deletions in the folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_durably(path: Path, pieces: Iterable[bytes]) -> None:
    """Replace the file's content at once: after a crash it is the old or the new, never part of it. OSError if not."""
    aside = path.with_name(path.name + ASIDE)
    try:
        with aside.open("wb") as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def read_state(path: Path, remedy: str) -> dict[str, Any] | None:
    """A state file's object, None when there is none yet.

    `StateError` when it is damaged or of a newer agent; `remedy` says what may be done then, and what that costs.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateError(f"{path} cannot be read ({error.strerror}); let the agent's user read it") from error
    with damage_of(path, remedy):
        return checked(path, orjson.loads(content), remedy)


@contextlib.contextmanager
def damage_of(path: Path, remedy: str) -> Iterator[None]:
    """What cannot be read in it means that this file is damaged: a `DamageError`."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamageError(f"{path} is damaged ({_said(error)}); {remedy}") from error


def _said(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)


def checked(path: Path, content: Any, remedy: str) -> dict[str, Any]:
    """The object when it is of a known format; `StateError` when it is of a newer one, ValueError when it is none."""
    if not isinstance(content, dict) or not isinstance(content.get("format"), int):
        raise ValueError("it has no format")
    if content["format"] > FORMAT:
        raise StateError(
            f"{path} was written by a newer agent (format {content['format']}); start that one, or {remedy}"
        )
    return content


def key_host(folder: Path, host: str) -> str:
    """The host that file keys are made of: the first one that this folder was used under.

    A host that is given another name keeps its keys; with new ones every file would be read from its beginning.
    """
    path = folder / "key.host"
    remedy = (
        "write into it, as one line, the host that this folder was first used under (that of agent.yml, unless it was "
        "changed since); under another one what is still in Recorders' files is stored and counted twice"
    )
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        write_durably(path, [host.encode() + b"\n"])
        return host
    with damage_of(path, remedy):
        name = content.decode()
        if not name.endswith("\n") or not name.strip():
            raise ValueError("it is cut short")
    return name.strip()


class Offsets:
    """An offset for each file key; a key that is not noted for a long time is forgotten."""

    def __init__(self, noted: Mapping[str, tuple[int, float]] | None = None) -> None:
        self._noted = dict(noted or {})

    @classmethod
    def from_state(cls, content: Mapping[str, Any]) -> Offsets:
        """Read what `state` made; ValueError, TypeError or AttributeError of anything else."""
        noted = {key: (int(offset), float(seen)) for key, (offset, seen) in content.items()}
        if any(offset < 0 for offset, _ in noted.values()):
            raise ValueError("an offset is below 0")
        return cls(noted)

    def state(self) -> dict[str, tuple[int, float]]:
        """As JSON: `{key: [offset, Unix time when last noted]}`."""
        return dict(self._noted)

    def copy(self) -> Offsets:
        """An equal one that changes on its own."""
        return Offsets(self._noted)

    def __getitem__(self, key: str) -> int:
        """The file's offset, 0 when it is not known."""
        return self._noted.get(key, (0, 0.0))[0]

    def __contains__(self, key: str) -> bool:
        return key in self._noted

    def note(self, offsets: Mapping[str, int], gone: Iterable[str] = ()) -> None:
        """Set the offsets, and forget files that are known to be gone and those not seen for long."""
        now = time.time()
        for key in gone:
            self._noted.pop(key, None)
        for key, offset in offsets.items():
            self._noted[key] = (offset, now)
        # A clock that was ahead when a file was noted only keeps its entry longer.
        for key in [key for key, (_, seen) in self._noted.items() if now - seen > FORGET_SECONDS]:
            del self._noted[key]


@dataclass(frozen=True, slots=True)
class Identity:
    """What a file without a telling name is recognised by.

    `head` is the hexadecimal hash of the first `head_bytes` bytes. `crc` is the CRC-32 of the first `read`, by which a
    copy is known. `size` is how much of it was known when this was written; it only serves to count what was lost when
    the file is gone.
    """

    key: str
    path: str
    device: int
    inode: int
    head_bytes: int
    head: str
    size: int
    read: int = 0
    crc: int = 0

    @classmethod
    def from_state(cls, key: str, entry: Mapping[str, Any]) -> Identity:
        """Read an entry of `files.json`; TypeError of anything else."""
        identity = cls(key=key, **entry)
        for field in fields(cls):
            if type(getattr(identity, field.name)).__name__ != field.type:
                raise TypeError(f"{field.name} is no {field.type}")
        return identity


class FileKeys:
    """The keys of files whose names do not identify them, on disk before anything is sent under them."""

    _REMEDY = (
        "put an earlier copy back, or remove it: log files, and journals that no Recorder wrote, are then read from "
        "their beginnings, and what is still in them is stored and counted twice"
    )

    def __init__(self, folder: Path) -> None:
        self._path = folder / "files.json"
        content = read_state(self._path, self._REMEDY) or {"files": {}}
        with damage_of(self._path, self._REMEDY):
            self._files = {key: Identity.from_state(key, entry) for key, entry in content["files"].items()}

    def __iter__(self) -> Iterator[Identity]:
        return iter(list(self._files.values()))

    def new_key(self) -> str:
        """A key that no other file has."""
        return secrets.token_hex(8)

    def save(self, changed: Iterable[Identity], gone: Iterable[str] = ()) -> None:
        """Store the identities and forget the gone ones. OSError, and nothing changed, when the disk is full."""
        files = dict(self._files)
        for key in gone:
            files.pop(key, None)
        for identity in changed:
            files[identity.key] = identity
        if files == self._files:
            return
        names = ("path", "device", "inode", "head_bytes", "head", "size", "read", "crc")
        entries = {key: {name: getattr(entry, name) for name in names} for key, entry in files.items()}
        write_durably(self._path, [orjson.dumps({"format": FORMAT, "files": entries})])
        self._files = files


class Shipped:
    """Up to where each file's events are acknowledged, and the index behind each alias that they are created in."""

    _REMEDY = (
        "put an earlier copy back, or remove it: events that are still in the followed files are then sent again, and "
        "are stored twice where their index rolled over since; profiles are not touched"
    )

    def __init__(self, folder: Path) -> None:
        self._path = folder / "shipped.json"
        content = read_state(self._path, self._REMEDY) or {"indices": {}, "offsets": {}}
        with damage_of(self._path, self._REMEDY):
            self.indices = {alias: str.__str__(index) for alias, index in content["indices"].items()}
            self.offsets = Offsets.from_state(content["offsets"])

    def save(self) -> None:
        """Make the present state durable. OSError when the disk is full."""
        content = {"format": FORMAT, "indices": self.indices, "offsets": self.offsets.state()}
        write_durably(self._path, [orjson.dumps(content)])
