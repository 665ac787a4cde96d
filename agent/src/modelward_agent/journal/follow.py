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
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from modelward_agent.journal.checkpoint import FileKeys, Identity, Offsets, sync_folder
from modelward_agent.journal.copies import HEAD_BYTES, Content, crc_caught_up, hash_head, may_copy
from modelward_agent.journal.parse import MAX_LINE
from modelward_agent.journal.source import Entries, JournalSource, Source

_log = logging.getLogger(__name__)

READ_BYTES = MAX_LINE + 1
"""The longest line with its newline: whatever has no newline in so much is too long."""

STEP_BYTES = 256 * 1024
"""One step: enough lines to be folded fast, few enough to be in memory as objects."""

SETTLE_SECONDS = 2.0
"""How long a file must have been quiet before it is judged to be finished. A Recorder creates its file and then locks
it; the pause makes sure that nobody looks in between."""

ROTATED_SECONDS = 5.0
"""How long a rotated log file must have been quiet: its writer goes on writing until it opens the new one."""

COPIED_SECONDS = 5.0
LONGEST_COPY_SECONDS = 60.0
"""A new file that begins as another one may be its copy, which is truncated when the copy is complete: so long must it
have been quiet, or be there, before it is read as a file of its own."""

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
    """A place in a file, always at the start of a line. Holds no more of a file than `READ_BYTES`.

    `crc` is the CRC-32 of all that it has passed, None when that is not known.
    """

    __slots__ = ("_ahead", "_data", "_passed", "_scanned", "crc", "offset")

    def __init__(self, offset: int, crc: int | None = None) -> None:
        self.offset = offset
        self.crc = crc
        self._scanned = 0
        self._data = b""
        self._ahead = self._passed = crc

    def read(self, descriptor: int, limit: int | None = None, step: int = STEP_BYTES) -> Block | None:
        """The next whole lines, None when there are none yet; reads nothing beyond the offset `limit`.

        These are at most `step` bytes, or one line that is longer. At `limit` a line ends even without a newline. The
        cursor stays until `advance`, except inside a line that is too long.
        """
        if self._scanned:
            return self._skip(descriptor, limit)
        data = b""
        for most in (step, READ_BYTES):
            wanted = most if limit is None else min(most, limit - self.offset)
            data = os.pread(descriptor, wanted, self.offset) if wanted > 0 else b""
            whole = data.rfind(b"\n") + 1
            if whole:
                return self._block(data[:whole])
            if len(data) < most:
                break
        if not data:
            return None
        if len(data) == READ_BYTES:
            self._scanned = len(data)
            self._ahead = _crc(data, self.crc)
            return Block(self.offset, self.offset)
        if limit is not None and self.offset + len(data) == limit:
            return self._block(data)
        return None

    def _block(self, data: bytes) -> Block:
        self._data = data if self.crc is not None else b""
        return Block(self.offset, self.offset + len(data), data)

    def _skip(self, descriptor: int, limit: int | None) -> Block | None:
        position = self.offset + self._scanned
        wanted = READ_BYTES if limit is None else min(READ_BYTES, limit - position)
        data = os.pread(descriptor, wanted, position) if wanted > 0 else b""
        newline = data.find(b"\n")
        if newline < 0 and not (limit is not None and position + len(data) >= limit):
            self._scanned += len(data)
            self._ahead = _crc(data, self._ahead)
            return Block(self.offset, self.offset) if data else None
        end = position + newline + 1 if newline >= 0 else position + len(data)
        self._passed = _crc(data[: end - position], self._ahead)
        return Block(self.offset, end, too_long=os.pread(descriptor, 8192, self.offset))

    def advance(self, offset: int) -> None:
        """Go on from there, which is in the block that was read last or at its end."""
        if self._scanned:
            self.crc = self._passed
        elif self.crc is not None and offset != self.offset:
            passed = offset - self.offset
            self.crc = zlib.crc32(memoryview(self._data)[:passed], self.crc) if passed <= len(self._data) else None
        self.offset = offset
        self._scanned = 0
        self._data = b""
        self._ahead = self._passed = None


def whole_entries(
    source: Source, cursor: Cursor, descriptor: int, block: Block, *, final: bool, limit: int | None = None
) -> tuple[Block, Entries]:
    """The entries of a block that the cursor has read, and the block with more lines when one entry has all of it.

    Nothing is consumed while what is there of that entry may go on; what exceeds all bounds is cut.
    """
    entries = source.entries(block.data, final=final)
    if entries.consumed or final or len(block.data) <= STEP_BYTES // 2:
        return block, entries
    longer = cursor.read(descriptor, limit, READ_BYTES)
    if longer is not None and longer.end > block.end:
        block = longer
        entries = source.entries(block.data, final=False)
    if not entries.consumed and len(block.data) > READ_BYTES // 2:
        entries = source.entries(block.data, final=True)
    return block, entries


def _crc(data: bytes, before: int | None) -> int | None:
    return None if before is None else zlib.crc32(data, before)


@dataclass(slots=True, eq=False)
class FollowedFile:
    """One file and how far it has got.

    `cursor` and `committed` belong to the reading loop, `shipped` to the shipper. `handed`, `claimed`, `queued`, `turn`
    and `closed` are guarded by the lock of `modelward_agent.ship.handover.Handover`.

    `proof` is an offset and the CRC-32 of all before it, as of the last commit; `noted` is how much of the head is
    stored. A new file is not `decided` on until it is clear that it is no copy of what was read. `truncated` is the
    content that is gone from the file; it may be found in a copy.
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
    modified: int = 0
    changed: float = field(default_factory=time.monotonic)
    attached: bool = True
    claimed: bool = False
    queued: int = 0
    turn: int = 0
    closed: bool = False
    proof: tuple[int, int] = (0, 0)
    decided: bool = True
    noted: int = 0
    found: float = field(default_factory=time.monotonic)
    truncated: Content | None = None

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
            read=self.proof[0],
            crc=self.proof[1],
        )


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
        self._known: dict[tuple[int, int], list[Identity]] = {}
        for identity in keys:
            self._known.setdefault((identity.device, identity.inode), []).append(identity)
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
            lost = self._deleted_meanwhile(fresh) if self._first else []
            self._keys.save([file.identity() for file in fresh if not file.recorder], [known.key for known in lost])
        except OSError:
            for file in fresh:
                os.close(file.descriptor)
            raise
        self._first = False
        for file in fresh:
            self._by_inode[file.device, file.inode] = file
            self.files[file.key] = file
        for file in fresh:
            for known in self._known.pop((file.device, file.inode), ()):
                if known.key not in self.files:
                    self.files[known.key] = self._truncated_meanwhile(known, file)
        for known in lost:
            self._known.pop((known.device, known.inode), None)
            self._gone.append(known.key)
            self._lost("deleted", known.path, max(0, known.size - self._shipped[known.key]))
        for file in list(self.files.values()):
            if file.truncated is not None:
                self._settle(file, file.truncated)

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
        known = None if recorder else self._recognised(descriptor, status)
        key = recorder_key(self._host, path.name) if recorder else known.key if known else self._keys.new_key()
        if key in self.files or not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            return None
        proof = (known.read, known.crc) if known else (0, 0)
        crc = None if recorder else crc_caught_up(descriptor, self._committed[key], proof)
        head = b"" if recorder else os.pread(descriptor, HEAD_BYTES, 0)
        return FollowedFile(
            key=key,
            path=str(path),
            descriptor=descriptor,
            device=status.st_dev,
            inode=status.st_ino,
            source=source.beginning(head),
            recorder=recorder,
            cursor=Cursor(self._committed[key], crc),
            committed=self._committed[key],
            handed=self._shipped[key],
            shipped=self._shipped[key],
            head=head,
            size=status.st_size,
            proof=proof,
            decided=recorder or max(self._committed[key], self._shipped[key]) > 0,
        )

    def _recognised(self, descriptor: int, status: os.stat_result) -> Identity | None:
        """What the file was before the restart when it is still the same one."""
        for known in reversed(self._known.get((status.st_dev, status.st_ino), [])):
            if (
                known.key not in self.files
                and status.st_size >= max(self._committed[known.key], self._shipped[known.key])
                and hash_head(os.pread(descriptor, known.head_bytes, 0)) == known.head
            ):
                return known
        return None

    def _renamed_away(self, keys: set[str]) -> list[FollowedFile]:
        """Files that were renamed, while the agent was down, to a name that is not looked for."""
        opened = []
        for inode, known in [(inode, known) for inode, several in self._known.items() for known in several]:
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
                        # Under the name that is looked for it is found again after another restart.
                        file.attached, file.path = False, known.path
                        opened.append(file)
                    elif file is not None:
                        os.close(file.descriptor)
        return opened

    def _source_of(self, path: str) -> Source | None:
        if Path(path).parent == self._journal and path.endswith(".jsonl"):
            return self._journal_source
        return next((log.source for log in self.logs if Path(path).match(log.pattern)), None)

    def _deleted_meanwhile(self, fresh: Sequence[FollowedFile]) -> list[Identity]:
        """Files that were deleted while the agent was down."""
        inodes = {(file.device, file.inode) for file in fresh}
        gone = [known for inode, several in self._known.items() if inode not in inodes for known in several]
        # An empty folder, or none, may be a mount that comes later.
        return [known for known in gone if _entries(Path(known.path).parent)]

    # -- copies -------------------------------------------------------------------------------------------------
    def _truncated_meanwhile(self, known: Identity, file: FollowedFile) -> FollowedFile:
        """What a file had before it was truncated, or replaced, while the agent was down."""
        committed, shipped = self._committed[known.key], self._shipped[known.key]
        return FollowedFile(
            key=known.key,
            path=known.path,
            descriptor=os.dup(file.descriptor),
            device=known.device,
            inode=known.inode,
            source=file.source,
            recorder=False,
            cursor=Cursor(committed),
            committed=committed,
            handed=shipped,
            shipped=shipped,
            size=known.size,
            attached=False,
            closed=True,
            proof=(known.read, known.crc),
            truncated=Content(known.head_bytes, known.head, known.read, known.crc, committed, max(committed, shipped)),
        )

    def _settle(self, file: FollowedFile, content: Content) -> None:
        """Go on with truncated content where it was copied to, or give it up."""
        followed = [
            other
            for other in self.files.values()
            if not other.decided and (other.device, other.inode) != (file.device, file.inode)
        ]
        for other in sorted(followed, key=lambda other: os.fstat(other.descriptor).st_mtime_ns, reverse=True):
            if content.begins(other.descriptor):
                self._go_on(file, other.descriptor, other.path, other)
                return
        for path in self._not_followed(Path(file.path).parent, content.size):
            with contextlib.suppress(FileNotFoundError, PermissionError):
                descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
                try:
                    if content.begins(descriptor):
                        self._go_on(file, descriptor, file.path, None)
                        return
                finally:
                    os.close(descriptor)
        self._lost("truncated", file.path, max(0, file.size - file.handed))
        self.forget(file)

    def _not_followed(self, folder: Path, size: int) -> list[Path]:
        """Files of a folder that have at least this size and are not looked for, the newest first."""
        found = []
        for path in _entries(folder):
            with contextlib.suppress(FileNotFoundError):
                status = path.lstat()
                known = (status.st_dev, status.st_ino) in self._by_inode
                if stat.S_ISREG(status.st_mode) and status.st_size >= max(1, size) and not known:
                    found.append((status.st_mtime_ns, path))
        return [path for _, path in sorted(found, reverse=True) if not path.name.endswith(_COMPRESSED)]

    def _go_on(self, file: FollowedFile, descriptor: int, path: str, copy: FollowedFile | None) -> None:
        """Read the copy as the file that it is a copy of, from where that had got. OSError as `discover`."""
        status = os.fstat(descriptor)
        head = os.pread(descriptor, HEAD_BYTES, 0)
        identity = Identity(
            file.key, path, status.st_dev, status.st_ino, len(head), hash_head(head), status.st_size, *file.proof
        )
        self._keys.save([identity], [copy.key] if copy is not None else [])
        if copy is not None:
            self.forget(copy)
        with self._lock:
            # Under the descriptor that the shipper knows.
            os.dup2(descriptor, file.descriptor, inheritable=False)
            file.path, file.device, file.inode = path, status.st_dev, status.st_ino
            file.head, file.size, file.changed = head, status.st_size, time.monotonic()
            file.attached, file.closed, file.truncated = copy is not None, False, None
        if file.cursor.crc is None:
            file.cursor.crc = crc_caught_up(file.descriptor, file.folded, file.proof)
        self._by_inode[file.device, file.inode] = file
        _log.info("%s: was copied before it was truncated; reading the copy from where the file had got", path)

    def _decide(self, file: FollowedFile) -> bool:
        """Whether a new file can be read as one of its own: while it may be a copy that waits for its original."""
        if any(other.truncated is not None for other in self.files.values()):
            return False
        if not file.quiet(COPIED_SECONDS) and time.monotonic() - file.found < LONGEST_COPY_SECONDS:
            for other in self.files.values():
                read = other is not file and other.attached and not other.recorder and other.folded > 0
                if read and may_copy(file.descriptor, other.descriptor):
                    return False
        file.decided = True
        file.source = file.source.beginning(file.head)
        return True

    # -- what is new in them ------------------------------------------------------------------------------------
    def grown(self) -> list[FollowedFile]:
        """Files with unread bytes. A file that was truncated is replaced by a new one. OSError as `discover`."""
        grown = []
        young = []
        for file in list(self.files.values()):
            if file.truncated is not None:
                continue
            status = os.fstat(file.descriptor)
            # A file that was truncated may have grown to its old size since.
            if (status.st_size, status.st_mtime_ns) != (file.size, file.modified) or status.st_size > file.folded:
                if not file.recorder and self._rewritten(file, status):
                    file = self._start_again(file, status)
                file.modified = status.st_mtime_ns
                if status.st_size != file.size:
                    file.changed = time.monotonic()
                    file.found = file.found if file.size else file.changed
                    file.size = status.st_size
                if file.size > file.folded and (file.decided or self._decide(file)):
                    grown.append(file)
                    if not file.recorder and file.noted < len(file.head):
                        young.append(file)
        if young:
            # Before anything is sent under its key, a file can be recognised.
            self._keys.save([file.identity() for file in young])
            for file in young:
                file.noted = len(file.head)
        return grown

    @staticmethod
    def _rewritten(file: FollowedFile, status: os.stat_result) -> bool:
        if status.st_size < max(file.folded, file.handed):
            return True
        if (status.st_size, status.st_mtime_ns) == (file.size, file.modified) and file.head:
            return False
        head = os.pread(file.descriptor, HEAD_BYTES, 0)
        if not head.startswith(file.head):
            return True
        file.head = head
        return False

    def _start_again(self, file: FollowedFile, status: os.stat_result) -> FollowedFile:
        descriptor = os.dup(file.descriptor)
        head = os.pread(descriptor, HEAD_BYTES, 0)
        again = FollowedFile(
            key=self._keys.new_key(),
            path=file.path,
            descriptor=descriptor,
            device=file.device,
            inode=file.inode,
            source=file.source.beginning(head),
            recorder=False,
            cursor=Cursor(0, 0),
            committed=0,
            handed=0,
            shipped=0,
            head=head,
            size=status.st_size,
            attached=file.attached,
            decided=False,
        )
        try:
            self._keys.save([again.identity()])
        except OSError:
            os.close(descriptor)
            raise
        _log.info("%s: was truncated; reading it from its beginning", file.path)
        with self._lock:
            file.closed, file.attached = True, False
        read, crc = (file.folded, file.cursor.crc) if file.cursor.crc is not None else file.proof
        file.truncated = Content(
            len(file.head), hash_head(file.head), read, crc, file.folded, max(file.folded, file.handed)
        )
        self.files[again.key] = again
        self._by_inode[again.device, again.inode] = again
        return again

    def save_identities(self) -> None:
        """Store how files that grew can be recognised. OSError when the state folder is full."""
        for file in self.files.values():
            if file.cursor.crc is not None and file.cursor.offset == file.committed:
                file.proof = (file.cursor.offset, file.cursor.crc)
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
