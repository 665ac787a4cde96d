"""Profiles on their way: one file a commit, which is also the record of how far every file is folded.

A commit is `spool/<sequence>.ndjson`: a first line with the offsets that it covers, then a line for each profile. The
rename that gives it this name is the commit; before it nothing happened, after it nothing is folded again. When its
profiles are acknowledged the file goes, but the offsets of the newest commit must stay, so they are first written to
`committed.json`. At any instant the newest of the two has the truth.
"""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import orjson

from modelward_agent.journal.checkpoint import (
    ASIDE,
    FORMAT,
    Offsets,
    StateError,
    checked,
    damage_of,
    read_state,
    sync_folder,
    write_durably,
)
from modelward_agent.profile.profile import Profile, ProfileKey
from modelward_agent.profile.wire import to_document

_log = logging.getLogger(__name__)

_NAME = re.compile(r"\d{12}\.ndjson")
_ID = re.compile(rb"[0-9a-f]{32} ")

_COMMITTED_REMEDY = (
    "put an earlier copy back, or remove it: the followed files are then folded again, from where the newest file in "
    "spool says and else from their beginnings, and rows that are still in them are counted twice; events are not"
)
_COMMIT_REMEDY = (
    "move it out of that folder: the profiles of one commit are lost with it, or, when it is the newest there, made "
    "again of what is still in the followed files; events are not touched"
)


def profile_id(part: str, key: ProfileKey) -> str:
    """The document id of one profile of one commit: the same however often it is sent."""
    parts = [part, key.host, key.model, key.version, dict(key.segment), key.start, key.seconds]
    return hashlib.blake2b(orjson.dumps(parts), digest_size=16).hexdigest()


class Spool:
    """The commits whose profiles are not acknowledged yet. `commit` and `acknowledged` may run in different threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "spool"
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._committed_path = folder / "committed.json"
        # Of this run: of a folder that is put back, or lost a file, no id may come again.
        self._run = secrets.token_hex(16)
        self._lock = Lock()
        for aside in self._folder.glob(f"*{ASIDE}"):
            aside.unlink()
        record = read_state(self._committed_path, _COMMITTED_REMEDY) or {"sequence": 0, "offsets": {}}
        with damage_of(self._committed_path, _COMMITTED_REMEDY):
            self._sequence, self._offsets = int(record["sequence"]), Offsets.from_state(record["offsets"])
        self._waiting: dict[int, int] = {}
        for path in sorted(self._folder.iterdir()):
            if not _NAME.fullmatch(path.name):
                continue
            sequence, profiles, offsets = _header(path)
            self._waiting[sequence] = profiles
            if sequence > self._sequence:
                self._sequence, self._offsets = sequence, offsets

    @property
    def offsets(self) -> Offsets:
        """What the newest commit covers; a copy."""
        return self._offsets.copy()

    @property
    def profiles(self) -> int:
        """How many profiles wait to be acknowledged."""
        with self._lock:
            return sum(self._waiting.values())

    def commit(self, profiles: Sequence[tuple[ProfileKey, Profile]], offsets: Offsets) -> None:
        """Make the profiles and the offsets that they cover durable, together. OSError, and nothing changed, if not."""
        sequence = self._sequence + 1
        header = {
            "format": FORMAT,
            "sequence": sequence,
            "profiles": len(profiles),
            "offsets": offsets.state(),
        }
        if profiles:
            part = f"{self._run}-{sequence}"
            write_durably(self._path(sequence), _lines(header, part, profiles))
        with self._lock:
            if profiles:
                self._waiting[sequence] = len(profiles)
            else:
                self._write_offsets(header)
            self._sequence, self._offsets = sequence, offsets.copy()

    def waiting(self) -> list[int]:
        """The sequences whose profiles are not acknowledged, oldest first."""
        with self._lock:
            return sorted(self._waiting)

    def read(self, sequence: int) -> Iterator[tuple[str, bytes]]:
        """The id and the document's JSON of each profile of one commit; what is damaged is logged and left out."""
        path = self._path(sequence)
        left = self._waiting.get(sequence, 0)
        try:
            with path.open("rb") as file:
                next(file, None)
                for line in file:
                    if _is_whole(line):
                        left -= 1
                        yield line[:32].decode("ascii"), line[33:].rstrip(b"\n")
        except FileNotFoundError:
            _log.error("%s is gone", path)
        if left > 0:
            _log.error("%s is damaged: %d profiles of it are lost; events are not touched", path, left)

    def acknowledged(self, sequence: int) -> None:
        """Every profile of the commit is delivered. OSError when the disk is full; it may be called again."""
        with self._lock:
            if sequence == self._sequence:
                header = {"format": FORMAT, "sequence": sequence, "offsets": self._offsets.state()}
                self._write_offsets(header)
            self._path(sequence).unlink(missing_ok=True)
            # An index may only be changed when no profile can be sent again, so its going must last.
            sync_folder(self._folder)
            self._waiting.pop(sequence, None)

    def _write_offsets(self, header: Mapping[str, Any]) -> None:
        write_durably(self._committed_path, [orjson.dumps(header)])

    def _path(self, sequence: int) -> Path:
        return self._folder / f"{sequence:012d}.ndjson"


def _lines(header: Mapping[str, Any], part: str, profiles: Sequence[tuple[ProfileKey, Profile]]) -> Iterator[bytes]:
    yield orjson.dumps(header) + b"\n"
    for key, profile in profiles:
        document = to_document(key, profile, part=part)
        yield profile_id(part, key).encode() + b" " + orjson.dumps(document) + b"\n"


def _is_whole(line: bytes) -> bool:
    if not line.endswith(b"\n") or not _ID.match(line):
        return False
    try:
        return isinstance(orjson.loads(line[33:]), dict)
    except orjson.JSONDecodeError:
        return False


def _header(path: Path) -> tuple[int, int, Offsets]:
    """The commit's sequence, how many profiles it has, and the offsets that it covers."""
    try:
        with path.open("rb") as file:
            line = file.readline()
    except OSError as error:
        raise StateError(f"{path} cannot be read ({error.strerror}); let the agent's user read it") from error
    with damage_of(path, _COMMIT_REMEDY):
        header = checked(path, orjson.loads(line), _COMMIT_REMEDY)
        if header["sequence"] != int(path.stem):
            raise ValueError(f"it is commit {header['sequence']}")
        return header["sequence"], int(header["profiles"]), Offsets.from_state(header["offsets"])
