"""How far every file has got, on disk, so that a `kill -9` at any instant is a pause and nothing more.

Three small files of the state folder, each replaced whole and atomically:

* `files.json`: which key stands for which file, for files whose name alone does not tell (`FileKeys`)
* `shipped.json`: up to where each file's events are acknowledged, and which index they went to (`Shipped`)
* `committed.json`: up to where each file is folded; its newer versions are in the spool (`modelward_agent.ship.spool`)
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

FORMAT = 1

FORGET_SECONDS = 7 * 86_400.0
"""A file that was not seen for this long is forgotten. A folder that is not mounted today may be back tomorrow, and
its files must not be read from their beginning again."""

ASIDE = ".aside"


class StateError(Exception):
    """A state file cannot be used; the message names it and what to do."""


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


def read_state(path: Path) -> dict[str, Any] | None:
    """A state file's object, None when there is none yet; `StateError` when it is damaged or of a newer agent."""
    try:
        content = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, orjson.JSONDecodeError) as error:
        raise StateError(f"{path} cannot be read ({error}); restore it, or remove the whole state folder") from error
    return checked(path, content)


def checked(path: Path, content: Any) -> dict[str, Any]:
    """The object when it is of a known format; `StateError` otherwise."""
    if not isinstance(content, dict) or not isinstance(content.get("format"), int):
        raise StateError(f"{path} is not a state file of the agent; restore it, or remove the whole state folder")
    if content["format"] > FORMAT:
        raise StateError(f"{path} was written by a newer agent (format {content['format']}); upgrade this one")
    return content


def agent_id(folder: Path) -> str:
    """The random name of this state folder, made at first sight; it goes into every profile's id."""
    return _remembered(folder / "agent.id", secrets.token_hex(16))


def key_host(folder: Path, host: str) -> str:
    """The host that file keys are made of: the first one that this folder was used under.

    A host that is given another name keeps its keys; with new ones every file would be read from its beginning.
    """
    return _remembered(folder / "key.host", host)


def _remembered(path: Path, first: str) -> str:
    with contextlib.suppress(FileNotFoundError):
        if name := path.read_text(encoding="utf-8").strip():
            return name
    write_durably(path, [first.encode() + b"\n"])
    return first


class Offsets:
    """An offset for each file key; a key that is not noted for a long time is forgotten."""

    def __init__(self, noted: Mapping[str, tuple[int, float]] | None = None) -> None:
        self._noted = dict(noted or {})

    @classmethod
    def from_state(cls, content: Mapping[str, Any]) -> Offsets:
        """Read what `state` made."""
        return cls({key: (int(offset), float(seen)) for key, (offset, seen) in content.items()})

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


class FileKeys:
    """The keys of files whose names do not identify them, on disk before anything is sent under them."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "files.json"
        content = read_state(self._path) or {"files": {}}
        self._files = {key: Identity(key=key, **entry) for key, entry in content["files"].items()}

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

    def __init__(self, folder: Path) -> None:
        self._path = folder / "shipped.json"
        content = read_state(self._path) or {"indices": {}, "offsets": {}}
        self.indices: dict[str, str] = dict(content["indices"])
        self.offsets = Offsets.from_state(content["offsets"])

    def save(self) -> None:
        """Make the present state durable. OSError when the disk is full."""
        content = {"format": FORMAT, "indices": self.indices, "offsets": self.offsets.state()}
        write_durably(self._path, [orjson.dumps(content)])
