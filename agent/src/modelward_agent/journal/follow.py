"""Finding files and reading them, whatever becomes of their names: rotated, copied and truncated, deleted.

A `FollowedFile` is one file's content, not its name: it keeps its key while it is renamed, and is read to its end
before it is forgotten. A file that is truncated and written anew is another one, under another key.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import hashlib
import logging
import os
import re
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from modelward_agent.journal.checkpoint import FileKeys, Identity, Offsets, sync_folder
from modelward_agent.journal.parse import MAX_LINE
from modelward_agent.journal.source import JournalSource, Source

_log = logging.getLogger(__name__)

READ_BYTES = MAX_LINE + 1
"""The longest line with its newline: whatever has no newline in so much is too long."""

STEP_BYTES = 256 * 1024
"""One step: enough lines to be folded fast, few enough to be in memory as objects."""

HEAD_BYTES = 1024
"""How much of a file's beginning tells it from another one."""

SETTLE_SECONDS = 2.0
"""How long a file must have been quiet before it is judged to be finished. A Recorder creates its file and then locks
it; the pause makes sure that nobody looks in between."""

ROTATED_SECONDS = 5.0
"""How long a rotated log file must have been quiet: its writer goes on writing until it opens the new one."""

_RECORDER = re.compile(r".+-\d+-[0-9a-f]+\.\d{6,}\.jsonl")
_COMPRESSED = (".gz", ".xz", ".bz2", ".zst", ".zip")


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines of a file from `start` on; `end` is where the next block starts.

    Of a line that is too long `data` is empty and `too_long` its head. A block with `end == start` is progress in the
    middle of such a line.
    """

    start: int
    end: int
    data: bytes = b""
    too_long: bytes | None = None


class Cursor:
    """A place in a file, always at the start of a line. Holds no more of a file than `READ_BYTES`."""

    __slots__ = ("_scanned", "offset")

    def __init__(self, offset: int) -> None:
        self.offset = offset
        self._scanned = 0

    def read(self, descriptor: int, limit: int | None = None) -> Block | None:
        """The next whole lines, None when there are none yet; reads nothing beyond the offset `limit`.

        At `limit` a line ends even without a newline. The cursor stays until `advance`, except inside a line that is
        too long.
        """
        if self._scanned:
            return self._skip(descriptor, limit)
        data = b""
        for most in (STEP_BYTES, READ_BYTES):
            wanted = most if limit is None else min(most, limit - self.offset)
            data = os.pread(descriptor, wanted, self.offset) if wanted > 0 else b""
            whole = data.rfind(b"\n") + 1
            if whole:
                return Block(self.offset, self.offset + whole, data[:whole])
            if len(data) < most:
                break
        if not data:
            return None
        if len(data) == READ_BYTES:
            self._scanned = len(data)
            return Block(self.offset, self.offset)
        if limit is not None and self.offset + len(data) == limit:
            return Block(self.offset, limit, data)
        return None

    def _skip(self, descriptor: int, limit: int | None) -> Block | None:
        position = self.offset + self._scanned
        wanted = READ_BYTES if limit is None else min(READ_BYTES, limit - position)
        data = os.pread(descriptor, wanted, position) if wanted > 0 else b""
        newline = data.find(b"\n")
        if newline < 0 and not (limit is not None and position + len(data) >= limit):
            self._scanned += len(data)
            return Block(self.offset, self.offset) if data else None
        end = position + newline + 1 if newline >= 0 else position + len(data)
        return Block(self.offset, end, too_long=os.pread(descriptor, 8192, self.offset))

    def advance(self, offset: int) -> None:
        """Go on from there."""
        self.offset = offset
        self._scanned = 0


@dataclass(slots=True, eq=False)
class FollowedFile:
    """One file and how far it has got.

    `cursor` and `committed` belong to the reading loop, `shipped` to the shipper. `handed`, `claimed`, `queued`, `turn`
    and `closed` are guarded by the lock of `modelward_agent.ship.handover.Handover`.
    """

    key: str
    path: str
    descriptor: int
    device: int
    inode: int
    source: Source
    recorder: bool
    cursor: Cursor
    committed: int
    handed: int
    shipped: int
    head: bytes = b""
    size: int = 0
    changed: float = field(default_factory=time.monotonic)
    attached: bool = True
    claimed: bool = False
    queued: int = 0
    turn: int = 0
    closed: bool = False

    @property
    def folded(self) -> int:
        """Up to where it is read and folded."""
        return self.cursor.offset

    def quiet(self, seconds: float) -> bool:
        """Whether it has not grown for this long."""
        return time.monotonic() - self.changed >= seconds

    def identity(self) -> Identity:
        """What it can be recognised by after a restart."""
        return Identity(
            key=self.key,
            path=self.path,
            device=self.device,
            inode=self.inode,
            head_bytes=len(self.head),
            head=hash_head(self.head),
            size=self.size,
        )


def hash_head(head: bytes) -> str:
    """The hash of a file's beginning."""
    return hashlib.blake2b(head, digest_size=16).hexdigest()


def recorder_key(host: str, name: str) -> str:
    """The key of a Recorder's file: its name is unique, so this needs no state."""
    return hashlib.blake2b(f"{host}\0{name}".encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class Followed:
    """A pattern of paths and how the files are read."""

    pattern: str
    source: Source


class Follower:
    """Keeps the set of files that are read. Used by the reading loop alone.

    `lost` is called with a reason, a path and a number of bytes when content went away before it was shipped. `lock`
    is the one that guards what the shipper knows of a file.
    """

    def __init__(
        self,
        journal: Path,
        logs: Sequence[Followed],
        keys: FileKeys,
        committed: Offsets,
        shipped: Offsets,
        host: str,
        lost: Callable[[str, str, int], None],
        lock: AbstractContextManager[object] | None = None,
    ) -> None:
        self._journal = journal
        self.logs = list(logs)
        self._keys = keys
        self._committed = committed
        self._shipped = shipped
        self._host = host
        self._lost = lost
        self._lock = lock if lock is not None else contextlib.nullcontext()
        self._journal_source = JournalSource()
        self.files: dict[str, FollowedFile] = {}
        self._by_inode: dict[tuple[int, int], FollowedFile] = {}
        self._gone: list[str] = []
        self._known = {(identity.device, identity.inode): identity for identity in keys}
        self._unreadable: set[str] = set()
        self._closing: list[FollowedFile] = []
        self._first = True

    # -- which files --------------------------------------------------------------------------------------------
    def discover(self) -> None:
        """Open what is new, and note what was renamed or deleted. OSError when the state folder is full."""
        found: set[tuple[int, int]] = set()
        fresh: list[FollowedFile] = []
        try:
            for path, source in self._paths():
                with contextlib.suppress(FileNotFoundError):
                    status = path.stat()
                    inode = (status.st_dev, status.st_ino)
                    if inode in found or not stat.S_ISREG(status.st_mode):
                        continue
                    found.add(inode)
                    followed = self._by_inode.get(inode)
                    if followed is not None:
                        followed.path, followed.attached = str(path), True
                    elif (opened := self._open(path, source)) is not None:
                        fresh.append(opened)
            for followed in self._by_inode.values():
                followed.attached = (followed.device, followed.inode) in found
            if self._first:
                fresh += self._renamed_away({file.key for file in fresh})
            lost = self._lost_meanwhile(fresh)
            self._keys.save([file.identity() for file in fresh if not file.recorder], [known.key for _, known in lost])
        except OSError:
            for file in fresh:
                os.close(file.descriptor)
            raise
        self._first = False
        for file in fresh:
            self._by_inode[file.device, file.inode] = file
            self.files[file.key] = file
            self._known.pop((file.device, file.inode), None)
        for reason, known in lost:
            self._known.pop((known.device, known.inode), None)
            self._gone.append(known.key)
            done = self._shipped[known.key]
            self._lost(reason, known.path, max(0, known.size - done))

    def _paths(self) -> Iterator[tuple[Path, Source]]:
        with contextlib.suppress(FileNotFoundError), os.scandir(self._journal) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if entry.name.endswith(".jsonl"):
                    yield Path(entry.path), self._journal_source
        for log in self.logs:
            for path in sorted(glob.glob(log.pattern, recursive=True)):  # noqa: PTH207 - the pattern may be absolute
                if not path.endswith(_COMPRESSED):
                    yield Path(path), log.source

    def _open(self, path: Path, source: Source) -> FollowedFile | None:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            if str(path) not in self._unreadable:
                self._unreadable.add(str(path))
                _log.error("%s: cannot be read (%s); give the agent's user the right to", path, error.strerror)
            return None
        status = os.fstat(descriptor)
        recorder = source is self._journal_source and _RECORDER.fullmatch(path.name) is not None
        key = recorder_key(self._host, path.name) if recorder else self._recognised(descriptor, status)
        if key in self.files or not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            return None
        return FollowedFile(
            key=key,
            path=str(path),
            descriptor=descriptor,
            device=status.st_dev,
            inode=status.st_ino,
            source=source,
            recorder=recorder,
            cursor=Cursor(self._committed[key]),
            committed=self._committed[key],
            handed=self._shipped[key],
            shipped=self._shipped[key],
            head=b"" if recorder else os.pread(descriptor, HEAD_BYTES, 0),
            size=status.st_size,
        )

    def _recognised(self, descriptor: int, status: os.stat_result) -> str:
        """The key that the file had before the restart when it is still the same one, a new key otherwise."""
        known = self._known.get((status.st_dev, status.st_ino))
        if (
            known is not None
            and status.st_size >= max(self._committed[known.key], self._shipped[known.key])
            and hash_head(os.pread(descriptor, known.head_bytes, 0)) == known.head
        ):
            return known.key
        return self._keys.new_key()

    def _renamed_away(self, keys: set[str]) -> list[FollowedFile]:
        """Files that were renamed, while the agent was down, to a name that is not looked for."""
        opened = []
        for inode, known in self._known.items():
            source = self._source_of(known.path)
            if known.key in keys or source is None:
                continue
            for path in _entries(Path(known.path).parent):
                with contextlib.suppress(FileNotFoundError):
                    status = path.lstat()
                    if (status.st_dev, status.st_ino) != inode or not stat.S_ISREG(status.st_mode):
                        continue
                    file = self._open(path, source)
                    if file is not None and file.key == known.key:
                        file.attached = False
                        opened.append(file)
                    elif file is not None:
                        os.close(file.descriptor)
        return opened

    def _source_of(self, path: str) -> Source | None:
        if Path(path).parent == self._journal and path.endswith(".jsonl"):
            return self._journal_source
        return next((log.source for log in self.logs if Path(path).match(log.pattern)), None)

    def _lost_meanwhile(self, fresh: Sequence[FollowedFile]) -> list[tuple[str, Identity]]:
        """Files that were replaced or deleted while the agent was down, and why they are gone."""
        keys = {file.key for file in fresh}
        inodes = {(file.device, file.inode) for file in fresh}
        lost = []
        for inode, known in self._known.items():
            if known.key in keys:
                continue
            if inode in inodes:
                lost.append(("truncated", known))
            elif self._first and _entries(Path(known.path).parent):
                # An empty folder, or none, may be a mount that comes later.
                lost.append(("deleted", known))
        return lost

    # -- what is new in them ------------------------------------------------------------------------------------
    def grown(self) -> list[FollowedFile]:
        """Files with unread bytes. A file that was truncated is replaced by a new one. OSError as `discover`."""
        grown = []
        for file in list(self.files.values()):
            status = os.fstat(file.descriptor)
            if status.st_size != file.size or status.st_size > file.folded:
                if not file.recorder and self._rewritten(file, status.st_size):
                    file = self._start_again(file, status)
                if status.st_size != file.size:
                    file.changed = time.monotonic()
                    file.size = status.st_size
                if file.size > file.folded:
                    grown.append(file)
        return grown

    @staticmethod
    def _rewritten(file: FollowedFile, size: int) -> bool:
        if size < max(file.folded, file.handed):
            return True
        head = os.pread(file.descriptor, HEAD_BYTES, 0) if size != file.size or not file.head else file.head
        if not head.startswith(file.head):
            return True
        file.head = head
        return False

    def _start_again(self, file: FollowedFile, status: os.stat_result) -> FollowedFile:
        descriptor = os.dup(file.descriptor)
        again = FollowedFile(
            key=self._keys.new_key(),
            path=file.path,
            descriptor=descriptor,
            device=file.device,
            inode=file.inode,
            source=file.source,
            recorder=False,
            cursor=Cursor(0),
            committed=0,
            handed=0,
            shipped=0,
            head=os.pread(descriptor, HEAD_BYTES, 0),
            size=status.st_size,
            attached=file.attached,
        )
        try:
            self._keys.save([again.identity()], [file.key])
        except OSError:
            os.close(descriptor)
            raise
        self._lost("truncated", file.path, max(0, file.size - file.handed))
        _log.info("%s: was truncated; reading it from its beginning", file.path)
        self.forget(file)
        self.files[again.key] = again
        self._by_inode[again.device, again.inode] = again
        return again

    def save_identities(self) -> None:
        """Store how files that grew can be recognised. OSError when the state folder is full."""
        self._keys.save([file.identity() for file in self.files.values() if not file.recorder])

    # -- when they end ------------------------------------------------------------------------------------------
    @staticmethod
    def abandoned(file: FollowedFile) -> bool:
        """Whether nobody will write to it any more, as far as can be known."""
        if file.recorder:
            return file.quiet(SETTLE_SECONDS) and unlocked(file)
        return not file.attached and file.quiet(ROTATED_SECONDS)

    def delete(self, file: FollowedFile, *, whatever_size: bool = False) -> bool:
        """Remove a Recorder's file from the disk unless somebody holds it or it has grown; whether it went."""
        try:
            fcntl.flock(file.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        try:
            if not whatever_size and os.fstat(file.descriptor).st_size != file.folded:
                return False
            with contextlib.suppress(FileNotFoundError):
                Path(file.path).unlink()
            # Were it to come back after a power cut, its offsets would be forgotten and its rows counted again.
            sync_folder(self._journal)
        finally:
            fcntl.flock(file.descriptor, fcntl.LOCK_UN)
        return True

    def forget(self, file: FollowedFile) -> None:
        """Read it no more; its descriptor is closed by `close_forgotten`."""
        with self._lock:
            file.closed = True
        if self.files.get(file.key) is file:
            del self.files[file.key]
        if self._by_inode.get((file.device, file.inode)) is file:
            del self._by_inode[file.device, file.inode]
        self._closing.append(file)
        self._gone.append(file.key)

    def close_forgotten(self) -> None:
        """Close the descriptors of forgotten files that the shipper is not reading."""
        for file in [file for file in self._closing if not file.claimed]:
            self._closing.remove(file)
            os.close(file.descriptor)

    def gone(self) -> list[str]:
        """Keys forgotten since the last call of `gone_is_committed`."""
        return list(self._gone)

    def gone_is_committed(self, keys: Sequence[str]) -> None:
        """The checkpoint knows that these are gone."""
        committed = set(keys)
        self._gone = [key for key in self._gone if key not in committed]
        self._keys.save([], keys)

    def folded(self) -> Mapping[str, int]:
        """Up to where each file is folded."""
        return {key: file.folded for key, file in self.files.items()}

    def close(self) -> None:
        """Close every file."""
        for file in [*self.files.values(), *self._closing]:
            os.close(file.descriptor)
        self.files, self._by_inode, self._closing = {}, {}, []


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def unlocked(file: FollowedFile) -> bool:
    """Whether no process holds the file's lock."""
    try:
        fcntl.flock(file.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    fcntl.flock(file.descriptor, fcntl.LOCK_UN)
    return True
