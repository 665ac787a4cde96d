"""Profiles on their way: one file a commit, which is also the record of how far every file is folded.

A commit is `spool/<sequence>.ndjson`: a first line with the offsets that it covers, then a line for each profile. The
rename that gives it this name is the commit; before it nothing happened, after it nothing is folded again. When its
profiles are acknowledged the file goes, but the offsets of the newest commit must stay, so they are first written to
`committed.json`. At any instant the newest of the two has the truth.
"""

from __future__ import annotations

import hashlib
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
    agent_id,
    checked,
    read_state,
    sync_folder,
    write_durably,
)
from modelward_agent.profile.profile import Profile, ProfileKey
from modelward_agent.profile.wire import to_document


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
        self._agent = agent_id(folder)
        self._lock = Lock()
        for aside in self._folder.glob(f"*{ASIDE}"):
            aside.unlink()
        record = read_state(self._committed_path) or {"sequence": 0, "offsets": {}}
        self._waiting: dict[int, int] = {}
        for path in self._folder.glob("*.ndjson"):
            header = _header(path)
            self._waiting[header["sequence"]] = header["profiles"]
            if header["sequence"] > record["sequence"]:
                record = header
        self._sequence: int = record["sequence"]
        self._offsets = Offsets.from_state(record["offsets"])

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
            part = f"{self._agent}-{sequence}"
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
        """The id and the document's JSON of each profile of one commit."""
        with self._path(sequence).open("rb") as file:
            next(file)
            for line in file:
                yield line[:32].decode("ascii"), line[33:].rstrip(b"\n")

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


def _header(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            header = orjson.loads(file.readline())
    except (OSError, orjson.JSONDecodeError) as error:
        raise StateError(
            f"{path} cannot be read ({error}); restore it, or move it away to lose its profiles"
        ) from error
    return checked(path, header)
