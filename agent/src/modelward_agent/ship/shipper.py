"""The thread that ships: profiles from the spool, events from the loop or from the files, and heartbeats."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from modelward_agent.journal.checkpoint import Shipped
from modelward_agent.journal.follow import READ_BYTES, Cursor, FollowedFile, whole_entries
from modelward_agent.journal.source import Entries
from modelward_agent.ship.bulk import BulkError
from modelward_agent.ship.deliver import Delivery, StoppedError, pause
from modelward_agent.ship.documents import ALIASES, LOGS, PROFILES, Documents, Item
from modelward_agent.ship.handover import Handover, Piece, piece
from modelward_agent.ship.spool import Spool

_log = logging.getLogger(__name__)

LOOK_UP_SECONDS = 30.0
"""How often an alias is looked up again, to follow its rollovers."""

SAVE_SECONDS = 1.0
"""How often the shipped offsets are saved; after a crash what was sent since is sent again, and is known by its id."""

_IDLE_SECONDS = 1.0
_PIECES = 10_000


class Shipper(threading.Thread):
    """Delivers until it is stopped; whatever goes wrong, it waits and tries again.

    `files` answers the files that are followed now. `heartbeat` answers the fields of a heartbeat's document.
    """

    def __init__(
        self,
        spool: Spool,
        shipped: Shipped,
        handover: Handover,
        delivery: Delivery,
        documents: Documents,
        files: Callable[[], Sequence[FollowedFile]],
        heartbeat: Callable[[], Mapping[str, Any]],
        stop: threading.Event,
        *,
        batch_bytes: int,
        batch_seconds: float,
        heartbeat_seconds: float,
        look_up_seconds: float = LOOK_UP_SECONDS,
    ) -> None:
        super().__init__(name="ship", daemon=True)
        self._spool = spool
        self._shipped = shipped
        self._handover = handover
        self.delivery = delivery
        self.documents = documents
        self._files = files
        self._heartbeat = heartbeat
        self._stop_event = stop
        self.batch_bytes = batch_bytes
        self.batch_seconds = batch_seconds
        self.heartbeat_seconds = heartbeat_seconds
        self.look_up_seconds = look_up_seconds
        self.gone: deque[str] = deque()
        self.idle = threading.Event()
        self._draining = False
        self._maybe_sent = {file.key: _last_line_end(file) for file in files()}
        self._maybe_sent_commit = max(spool.waiting(), default=0)
        self._batch: list[Piece] = []
        self._delivered: set[int] = set()
        self.state_error = ""
        self._settled = False
        self._dirty = False
        self._save_at = self._beat_at = 0.0
        self._look_up_at = time.monotonic() + self.look_up_seconds

    # -- life ---------------------------------------------------------------------------------------------------
    def run(self) -> None:
        """Ship until `stop` is set."""
        failures = 0
        while not self._stop_event.is_set():
            try:
                self._turn()
                failures = 0
            except StoppedError:
                break
            except Exception as error:
                # A thread that died in silence would stop all delivery; what is not acknowledged is tried again.
                failures += 1
                self.delivery.progress.last_error = f"shipping: {error}"
                _log.exception("shipping failed; trying again")
                self._stop_event.wait(pause(failures, self.delivery.longest_pause))
        self._save(force=True)

    def drain(self) -> None:
        """No longer wait for more to travel with; `idle` is set when all is delivered."""
        self.idle.clear()
        self._draining = True
        self._handover.wake()

    def _turn(self) -> None:
        draining = self._draining
        worked = self._ship_profiles()
        self._gather()
        if self._batch:
            self._ship()
            worked = True
        self._save(force=not worked)
        self._beat()
        self._look_up()
        if not worked:
            if draining:
                self.idle.set()
            self._handover.wait(_IDLE_SECONDS if not self._draining else 0.05)
            if self._handover.waiting() and not self._draining:
                # What comes now will not come alone.
                self._handover.wait_for_more(self.batch_seconds, lambda: self._draining or self._stop_event.is_set())

    # -- profiles -----------------------------------------------------------------------------------------------
    def _ship_profiles(self) -> bool:
        worked = False
        trouble = ""
        for sequence in self._spool.waiting():
            try:
                if sequence not in self._delivered:
                    self._deliver_commit(sequence)
                    self._delivered.add(sequence)
                    worked = True
                self._spool.acknowledged(sequence)
                self._delivered.discard(sequence)
            except OSError as error:
                # Events must not wait for that, and what was delivered need not be sent again.
                trouble = f"{error.filename}: {error.strerror}; the spool cannot be read or noted; make room"
        self.state_error = trouble
        return worked

    def _deliver_commit(self, sequence: int) -> None:
        batch: list[Item] = []
        size = 0
        for profile_id, body in self._spool.read(sequence):
            batch.append(Item(PROFILES, profile_id, body))
            size += len(body)
            if size >= self.batch_bytes:
                self.delivery.deliver(batch)
                batch, size = [], 0
        self.delivery.deliver(batch)

    # -- events -------------------------------------------------------------------------------------------------
    def _gather(self) -> None:
        """Fill the batch. It stays until it is delivered: what was taken once is not offered again."""
        size = sum(piece.size for piece in self._batch)
        while size < self.batch_bytes and len(self._batch) < _PIECES:
            taken = self._handover.take(self._files())
            if taken is None:
                break
            if isinstance(taken, FollowedFile):
                read = self._read(taken)
                if read is None:
                    break
                taken = read
            self._batch.append(taken)
            size += taken.size

    def _read(self, file: FollowedFile) -> Piece | None:
        """The next stretch of a claimed file; None when it is not what it was."""
        start = handed = file.handed
        try:
            limit = file.folded
            cursor = Cursor(start)
            block = cursor.read(file.descriptor, limit)
            while block is not None and block.end == start:
                block = cursor.read(file.descriptor, limit)
            if block is None:
                return None
            data = block.data
            if file.recorder and not data.endswith(b"\n"):
                data = b""  # torn, or too long: in the quarantine
            entries = Entries([], [], 0)
            if data:
                final = block.end == limit
                block, entries = whole_entries(file.source, cursor, file.descriptor, block, final=final, limit=limit)
                if not entries.consumed:
                    entries = file.source.entries(block.data, final=True)
            if not _unchanged(file, block.end):
                return None
            offsets = (start + offset for offset in entries.offsets)
            items = self.documents.items(file.key, zip(offsets, entries.records, strict=True))
            handed = start + entries.consumed if data else block.end
            return piece(file, handed, items)
        finally:
            self._handover.claimed(file, handed)

    def _ship(self) -> None:
        items = [item for piece in self._batch for item in piece.items]
        if items:
            self.delivery.deliver(items)
        batch, self._batch = self._batch, []
        for shipped in batch:
            shipped.file.shipped = shipped.end
        self._shipped.offsets.note({shipped.file.key: shipped.end for shipped in batch})
        self._dirty = True

    # -- now and then -------------------------------------------------------------------------------------------
    def _save(self, *, force: bool) -> None:
        gone = [self.gone.popleft() for _ in range(len(self.gone))]
        if gone:
            self._shipped.offsets.note({}, gone)
        if not self._dirty or (not force and time.monotonic() < self._save_at):
            return
        self._save_at = time.monotonic() + SAVE_SECONDS
        try:
            self._shipped.save()
            self._dirty = False
        except OSError as error:
            # The offsets on disk are only behind: what follows them is sent again, and is known by its id.
            self.state_error = f"{error.filename}: {error.strerror}; what is shipped cannot be noted; make room"

    def _beat(self) -> None:
        if time.monotonic() < self._beat_at or self._draining:
            return
        self._beat_at = time.monotonic() + self.heartbeat_seconds
        now = datetime.now(UTC)
        document = {"@timestamp": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), "kind": "heartbeat", **self._heartbeat()}
        beat_id = f"heartbeat-{document['host']['name']}-{time.time_ns():x}"
        try:
            self.delivery.send_once(Item(LOGS, beat_id[-512:], orjson.dumps(document)))
        except (BulkError, OSError) as error:
            _log.info("a heartbeat was not delivered: %s", error)

    def _look_up(self) -> None:
        # A commit that is delivered and still in the spool would be sent again after a crash.
        caught_up = not self._delivered and (self._settled or self._nothing_may_be_unacknowledged())
        at_last = caught_up and not self._settled
        if self._draining or (time.monotonic() < self._look_up_at and not at_last):
            return
        self._settled = self._settled or caught_up
        self._look_up_at = time.monotonic() + self.look_up_seconds
        try:
            self.delivery.look_up_again(ALIASES, may_change=caught_up)
        except (BulkError, OSError) as error:
            _log.warning("an alias cannot be looked up: %s", error)

    def _nothing_may_be_unacknowledged(self) -> bool:
        """Whether all that may have been sent before the start of this process is acknowledged to it."""
        files = self._files()
        for file in files:
            if file.shipped >= self._maybe_sent.get(file.key, 0):
                self._maybe_sent.pop(file.key, None)
        if any(file.key in self._maybe_sent for file in files):
            return False
        return all(sequence > self._maybe_sent_commit for sequence in self._spool.waiting())


def _unchanged(file: FollowedFile, end: int) -> bool:
    """Whether what was read up to `end` was this file's content: a truncated file is another one."""
    if file.recorder:
        return True
    return os.fstat(file.descriptor).st_size >= end and os.pread(file.descriptor, len(file.head), 0) == file.head


def _last_line_end(file: FollowedFile) -> int:
    """The end of the last whole line that is there now."""
    size = os.fstat(file.descriptor).st_size
    start = max(0, size - READ_BYTES)
    return start + os.pread(file.descriptor, READ_BYTES, start).rfind(b"\n") + 1
