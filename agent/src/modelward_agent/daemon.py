"""`modelward-agent run`: one loop that follows files, folds and commits; one thread that ships.

The loop does not wait for the network: for a shipper that keeps up it waits a moment, so that each line is read and
parsed once, and for no other. What it has folded is committed about once a window: the profiles and the offsets
that they cover go into one durable file, so whatever happens, reading goes on from there and no row counts twice.
"""

from __future__ import annotations

import fcntl
import logging
import os
import sys
import threading
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from modelward_agent import __version__
from modelward_agent.bounds import MOST_FEATURES, OTHER_VERSION
from modelward_agent.config import AgentConfig, Log, LogFormat
from modelward_agent.journal.checkpoint import ASIDE, FileKeys, Offsets, Shipped, StateError, key_host
from modelward_agent.journal.follow import (
    READ_BYTES,
    STEP_BYTES,
    Block,
    Followed,
    FollowedFile,
    Follower,
    whole_entries,
)
from modelward_agent.journal.parse import Malformed, Record
from modelward_agent.journal.quarantine import Quarantine
from modelward_agent.journal.source import Entries, JournalSource, Source
from modelward_agent.journal.textlog import LogSource
from modelward_agent.logfilters.counts import LogCounts
from modelward_agent.logfilters.filters import LogFilters
from modelward_agent.metrics import AgentMetrics, MetricsServer, Snapshot
from modelward_agent.profile.fold import Folder, Tally
from modelward_agent.profile.profile import Profile, ProfileKey
from modelward_agent.profile.wire import FORMAT as PROFILE_FORMAT
from modelward_agent.ship.bulk import BulkClient, ItemResult
from modelward_agent.ship.deliver import Delivery
from modelward_agent.ship.documents import PROFILES, Documents, Item
from modelward_agent.ship.handover import Handover
from modelward_agent.ship.shipper import LOOK_UP_SECONDS, Shipper
from modelward_agent.ship.spool import Spool
from modelward_agent.unrecorded import unrecorded_of

_log = logging.getLogger(__name__)

POLL_SECONDS = 0.2
DISCOVER_SECONDS = 0.5
UPKEEP_SECONDS = 1.0

COMMIT_GRACE_SECONDS = 2.0
"""How long after the end of an interval its last lines are waited for."""

COMMIT_RETRY_SECONDS = 1.0

ENTRY_SECONDS = 1.0
"""An entry of several lines is complete when nothing has followed it for this long."""

MANY_WINDOWS = 64
"""Profiles that are open at once before old data that is caught up on is committed early, to bound memory."""

MANY_STARTS = 4
EARLY_COMMIT_SECONDS = 1.0
MOST_WINDOWS = 4096
"""Profiles that are open at once before nothing more is read until they are committed."""

MANY_COLUMNS = 6_000
MOST_COLUMNS = 12_000
"""The same of the features and outputs in them, which is what their memory goes by: 2 to 5 kB each."""

MOST_WIDE_PROFILES = 8
"""So many profiles of a model of thousands of features may be open all the same, or a few segments of it would have
every row committed by itself."""

PATIENCE_SECONDS = 0.1
"""How long one round of the loop waits for room to hand over what it has read: 20 MiB/s are always read and folded,
however slowly they are shipped. What is not handed over is read and parsed again by the shipper."""

SWITCH_SECONDS = 0.0005
"""How soon the loop lets go of the interpreter when the shipper has had its answer."""

DRAIN_SECONDS = 5.0
"""How long the agent goes on delivering when it is told to end."""

STATUS = "status.json"
"""What `modelward-agent status` reads, in the state folder."""

_RATE_SAMPLES = 10
_FILES_SHOWN = 200


class StateFolder:
    """The agent's state folder, held by one agent at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = (path / "lock").open("a+b")
        except OSError as error:
            raise StateError(
                f"state: {path} cannot be used ({error.strerror}); give the agent's user the right"
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.seek(0)
            holder = self._lock.read().decode(errors="replace").strip() or "unknown"
            self._lock.close()
            message = f"state: {path} is used by another agent (process {holder}); stop it, or set another state"
            raise StateError(message) from None
        self._lock.truncate(0)
        self._lock.write(f"{os.getpid()}\n".encode())
        self._lock.flush()

    def release(self) -> None:
        """Let another agent use it."""
        self._lock.close()


@dataclass(frozen=True, slots=True)
class _Pending:
    """A commit that is decided and not yet durable."""

    profiles: list[tuple[ProfileKey, Profile]]
    offsets: Offsets
    folded: Mapping[str, int]
    gone: Sequence[str]


def source_of(log: Log) -> Source:
    """How the files of one entry of `logs` are read."""
    if log.format is LogFormat.JOURNAL:
        return JournalSource()
    fields = dict(log.fields)
    if log.model is not None:
        fields |= {"model": log.model, "version": log.version}
    return LogSource(json=log.format is LogFormat.JSON, first_line=log.multiline, fields=fields)


class Agent:
    """One running agent. `run` returns when `stop` is called."""

    def __init__(self, config: AgentConfig, *, look_up_seconds: float = LOOK_UP_SECONDS) -> None:
        self.config = config
        self._state = StateFolder(config.state)
        try:
            self._build(config, look_up_seconds)
        except BaseException as error:
            self._state.release()
            if isinstance(error, OSError) and (place := _within(config.state, error)):
                problem = f"{place} cannot be used ({error.strerror}); let the agent's user read and write it"
                raise StateError(f"state: {problem}, or move away what is in its place") from error
            raise

    def _build(self, config: AgentConfig, look_up_seconds: float) -> None:
        folder = config.state
        self._stop = threading.Event()
        self._reload: Callable[[], AgentConfig] | None = None
        self.metrics = AgentMetrics(config.metrics.max_models, config.metrics.max_features)
        self.metrics.snapshot = self._snapshot
        self.quarantine = Quarantine(folder / "quarantine")
        self._rejected_profiles = folder / "quarantine" / "profiles"
        self._spool = Spool(folder)
        self._shipped = Shipped(folder)
        self._handover = Handover()
        self._documents = Documents(config.host, config.events, self._no_document)
        self._client = BulkClient(config.elasticsearch)
        self._follower = Follower(
            config.journal.path,
            _followed(config),
            FileKeys(folder),
            self._spool.offsets,
            self._shipped.offsets.copy(),
            key_host(folder, config.host),
            self._lost,
            self._handover.changed,
        )
        self._folder = Folder(
            config.host,
            int(config.window.total_seconds()),
            max_features=config.max_features,
            max_versions=config.max_versions,
            types=config.types,
        )
        self._log_counts = LogCounts(folder, config.metrics.max_models)
        self._starts: set[int] = set()
        self._said: set[tuple[str, str]] = set()
        self._unrecorded = unrecorded_of(folder / STATUS)
        self._pending: _Pending | None = None
        self._files: tuple[FollowedFile, ...] = ()
        self._errors: dict[str, str] = {}
        self._filter_logs(config)
        self._shipper: Shipper | None = None
        self._ship_stop = threading.Event()
        self._look_up_seconds = look_up_seconds
        self._came_round = self._patient_until = time.monotonic()
        self._started = datetime.now(UTC)
        self._rates: deque[tuple[float, int, int]] = deque(maxlen=_RATE_SAMPLES)
        self._events = 0
        self._server = None
        if config.metrics.listen is not None:
            self._server = MetricsServer(config.metrics, self.metrics, lambda: self._came_round)

    @property
    def metrics_port(self) -> int | None:
        """Where `/metrics` is served, None when it is not."""
        return self._server.port if self._server is not None else None

    def stop(self) -> None:
        """Make `run` commit, deliver for a short while, and return. May be called from a signal's handler."""
        self._stop.set()

    def reload(self, read: Callable[[], AgentConfig]) -> None:
        """Take over what `read` answers, in the loop; may be called from a signal's handler."""
        self._reload = read

    # -- the loop -----------------------------------------------------------------------------------------------
    def run(self) -> None:
        """Follow, fold, commit and ship until `stop`."""
        switch = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_SECONDS)
        try:
            self._loop()
            self._end()
        finally:
            sys.setswitchinterval(switch)
            self._ship_stop.set()
            self._handover.wake()
            if self._shipper is not None:
                self._shipper.join(1.0)
            if self._server is not None:
                self._server.close()
            if self._shipper is None or not self._shipper.is_alive():
                self._follower.close()
            self._state.release()

    def _loop(self) -> None:
        discover_at = upkeep_at = retry_at = 0.0
        commit_at, committed_at = self._next_commit(), 0.0
        while not self._stop.is_set():
            now = self._came_round = time.monotonic()
            if self._reload is not None:
                self._take_over()
            if now >= discover_at:
                discover_at = now + DISCOVER_SECONDS
                self._discover()
            worked = self._read() if self._may_fold() else False
            now = time.monotonic()
            early = self._folded_too_much() or (self._folded_much() and now >= committed_at + EARLY_COMMIT_SECONDS)
            if (now >= commit_at or early) and now >= retry_at:
                if self._commit():
                    commit_at, committed_at = self._next_commit(), time.monotonic()
                else:
                    commit_at = retry_at = time.monotonic() + COMMIT_RETRY_SECONDS
            if self._log_counts.due:
                self._save_log_counts()
            if now >= upkeep_at:
                upkeep_at = now + UPKEEP_SECONDS
                self._upkeep()
            if not worked:
                self._stop.wait(POLL_SECONDS)

    def _end(self) -> None:
        self._read_rest()
        deadline = time.monotonic() + DRAIN_SECONDS
        if not self._commit_all():
            _log.error("the last commit failed; what it would have held is read again at the next start")
        shipper = self._shipper
        if shipper is None:
            return
        shipper.drain()
        while time.monotonic() < deadline and not shipper.idle.wait(0.05):
            if shipper.delivery.progress.last_error:
                _log.warning("not everything is delivered; it will be after the next start")
                break
        self._write_status()

    def _read_rest(self) -> None:
        """Read what is there, for a moment: lines written just before the end belong to this run."""
        deadline = time.monotonic() + 1.0
        while time.monotonic() < deadline and self._may_fold() and self._read():
            pass
        if self._log_counts.waiting:
            self._save_log_counts()

    def _next_commit(self) -> float:
        """When the present interval ends by the wall's clock, as a moment of the monotonic one."""
        interval = self.config.commit_interval.total_seconds()
        grace = min(COMMIT_GRACE_SECONDS, interval / 10)
        return time.monotonic() + interval - (time.time() - grace) % interval

    def _folded_much(self) -> bool:
        if len(self._starts) > 1 and self._folder.open_columns > MANY_COLUMNS:
            return True
        return self._folder.open_windows > MANY_WINDOWS and len(self._starts) > MANY_STARTS

    def _folded_too_much(self) -> bool:
        windows = self._folder.open_windows
        if windows > MOST_WINDOWS or (windows >= MANY_WINDOWS and len(self._starts) >= MANY_WINDOWS):
            return True
        return self._folder.open_columns > max(MOST_COLUMNS, MOST_WIDE_PROFILES * self._folder.widest)

    def _may_fold(self) -> bool:
        # While commits fail, profiles wait in memory; the journal holds the rest.
        return not self._folded_too_much() and (self._pending is None or not self._folded_much())

    # -- following ----------------------------------------------------------------------------------------------
    def _discover(self) -> None:
        try:
            self._follower.discover()
            self._errors.pop("discover", None)
        except OSError as error:
            where = error.filename or self.config.state
            self._failed("discover", f"{where}: {error.strerror}; new files are not followed until that is mended")
        self._follower.close_forgotten()
        self._files = tuple(self._follower.files.values())
        if self._shipper is None and "discover" not in self._errors:
            self._start_shipper()

    def _read(self) -> bool:
        """One step of every file that has grown; whether there was anything."""
        worked = False
        self._patient_until = time.monotonic() + PATIENCE_SECONDS
        try:
            grown = self._follower.grown()
            self._errors.pop("follow", None)
        except OSError as error:
            self._failed(
                "follow", f"{self.config.state}: a truncated file cannot be noted ({error.strerror}); make room"
            )
            grown = list(self._files)
        for file in grown:
            try:
                worked = self._step(file) or worked
            except OSError as error:
                self._failed("read", f"{file.path}: cannot be read ({error.strerror})")
        self._files = tuple(self._follower.files.values())
        return worked

    def _step(self, file: FollowedFile) -> bool:
        block = file.cursor.read(file.descriptor)
        if block is None:
            if file.size <= file.folded or not self._follower.abandoned(file):
                return False
            block = file.cursor.read(file.descriptor, file.size)
            if block is None:
                return False
        if block.end == block.start:
            return True
        if block.too_long is not None:
            line = block.too_long
            self._keep(file, block.start, Malformed("too_long", f"{block.end - block.start} bytes"), line)
            self._pass_over(file, block)
            return True
        if file.recorder and not block.data.endswith(b"\n"):
            self._keep(file, block.start, Malformed("torn", "its writer ended in the middle of it"), block.data)
            self._pass_over(file, block)
            return True
        return self._fold(file, block)

    def _pass_over(self, file: FollowedFile, block: Block) -> None:
        self._handover.offer(file, block.start, block.end, list, self._patience())

    def _fold(self, file: FollowedFile, block: Block) -> bool:
        quiet = file.quiet(ENTRY_SECONDS)
        # What is caught up on is quiet as well, and an entry may go on in its next block.
        final = (quiet and file.size - block.start <= STEP_BYTES) or not block.data.endswith(b"\n")
        block, entries = whole_entries(file.source, file.cursor, file.descriptor, block, final=final)
        if not entries.consumed:
            if final or not quiet:
                return False
            entries = file.source.entries(block.data, final=True)
        entries = self._bounded(entries)
        start, end = block.start, block.start + entries.consumed
        good = [record for record in entries.records if type(record) is Record]
        if len(good) < len(entries.records):
            ends = [*entries.offsets[1:], entries.consumed]
            for offset, until, record in zip(entries.offsets, ends, entries.records, strict=True):
                if isinstance(record, Malformed):
                    self._keep(file, start + offset, record, block.data[offset:until].rstrip(b"\n"))
        tally = self._fold_records(file, good)
        self.metrics.add(tally)
        self._say_left_out(tally)
        self._unrecorded.look(good)
        self._events += len(good)
        offsets = [start + offset for offset in entries.offsets]
        self._count_logs(file, offsets, entries.records)
        self._handover.offer(
            file,
            start,
            end,
            lambda: self._documents.items(file.key, zip(offsets, entries.records, strict=True)),
            self._patience(),
        )
        return True

    def _say_left_out(self, tally: Tally) -> None:
        limit = self.config.max_features
        for model, count in tally.features_beyond_limit.items():
            self._say_once(
                model,
                "features",
                f"it has {limit + count:,} features or more; the first {limit:,} by name are profiled, the others are "
                f"not watched. Raise max_features in agent.yml (up to {MOST_FEATURES:,}), or record fewer",
            )
        for model in tally.versions_beyond_limit:
            self._say_once(
                model,
                "versions",
                f"it has more than {self.config.max_versions:,} versions with traffic in an hour; the rest is profiled "
                f'as version "{OTHER_VERSION}". Give as version what changes with a deployment, not with a request, or '
                "raise max_versions in agent.yml",
            )

    def _say_once(self, model: str, what: str, message: str) -> None:
        if (model, what) not in self._said and len(self._said) < 2 * self.config.metrics.max_models:
            self._said.add((model, what))
            _log.warning("%s: %s", model, message)

    def _count_logs(self, file: FollowedFile, offsets: list[int], records: Sequence[Record | Malformed]) -> None:
        first = bisect_left(offsets, self._log_counts.counted(file.key))
        matched = self._log_filters.look(file.path, records[first:] if first else records)
        if matched:
            self._log_counts.add(matched)
        for name, seconds in self._log_filters.slow.items():
            self._failed(
                f"log_filters {name}",
                f'log_filters: the pattern of "{name}" took {seconds:.1f} s for one line and is off until the agent '
                "is given a better one and restarted or reloaded",
            )

    def _save_log_counts(self) -> None:
        folded = {file.key: file.folded for file in self._files if file.folded > file.committed}
        try:
            self._log_counts.save(folded, (one.name for one in self._log_filters.filters))
            self._errors.pop("log_filters", None)
        except OSError as error:
            self._failed(
                "log_filters",
                f"{self.config.state}: matches of log filters cannot be stored ({error.strerror}); make room",
            )
        self.metrics.log_matches = self._log_counts.shown

    def _filter_logs(self, config: AgentConfig) -> None:
        for name in [name for name in self._errors if name.startswith("log_filters ")]:
            del self._errors[name]
        self._log_filters = LogFilters(config.filters)
        self.metrics.log_filters = self._log_filters.filters
        self.metrics.log_matches = self._log_counts.shown

    def _patience(self) -> float:
        """Seconds that the shipper may still be waited for in this round, 0 while it does not deliver."""
        if self._shipper is None or self._shipper.delivery.progress.last_error:
            return 0.0
        return max(0.0, self._patient_until - time.monotonic())

    def _bounded(self, entries: Entries) -> Entries:
        """The entries, or as many of the first as open no more windows than may be open at once."""
        seconds = self._folder.window_seconds
        starts = [int(record.at) // seconds if type(record) is Record else 0 for record in entries.records]
        if len(self._starts.union(starts)) <= MANY_WINDOWS:
            self._starts.update(starts)
            return entries
        for index, start in enumerate(starts):
            if start not in self._starts and len(self._starts) >= MANY_WINDOWS and index:
                fewer = entries.before(index)
                return fewer if fewer.consumed else entries
            self._starts.add(start)
        return entries

    def _fold_records(self, file: FollowedFile, records: list[Record]) -> Tally:
        try:
            return self._folder.fold(records)
        except Exception:
            # One record that cannot be folded must not stop all that follow it, at this start and at every other.
            _log.exception("%s: records cannot be folded together; folding them one by one", file.path)
        total = Tally()
        for record in records:
            try:
                tally = self._folder.fold([record])
            except Exception as error:
                self._keep(file, file.folded, Malformed("not_folded", repr(error)), orjson.dumps(record.document))
                continue
            total.predictions += tally.predictions
            total.errors += tally.errors
            total.actuals += tally.actuals
            total.business += tally.business
            total.stages += tally.stages
            total.features_beyond_limit |= tally.features_beyond_limit
            total.versions_beyond_limit |= tally.versions_beyond_limit
        return total

    def _keep(self, file: FollowedFile, offset: int, malformed: Malformed, line: bytes) -> None:
        self.metrics.count_quarantined(malformed.reason)
        self.quarantine.keep(malformed.reason, file=file.path, offset=offset, line=line, detail=malformed.detail)

    def _lost(self, reason: str, path: str, count: int) -> None:
        if count:
            _log.error("%s: %d bytes are gone before they were shipped (%s)", path, count, reason)
            # How many events they held nobody can tell any more; the bytes are counted beside.
            self.metrics.count_dropped(reason, 1, count)

    # -- committing ---------------------------------------------------------------------------------------------
    def _commit(self) -> bool:
        """Make what is folded durable; False when that failed, and is to be tried again."""
        if self._pending is None:
            folded = dict(self._follower.folded())
            gone = self._follower.gone()
            changed = any(self._follower.files[key].committed != offset for key, offset in folded.items())
            if not changed and not gone and not self._folder.open_windows:
                return True
            offsets = self._spool.offsets
            offsets.note(folded, gone)
            self._pending = _Pending(self._folder.take(), offsets, folded, gone)
            self._starts.clear()
        pending = self._pending
        try:
            self._spool.commit(pending.profiles, pending.offsets)
        except OSError as error:
            self.metrics.commit_failures += 1
            self._failed("commit", f"{self.config.state}: profiles cannot be committed ({error.strerror}); make room")
            return False
        self._pending = None
        self._errors.pop("commit", None)
        self.metrics.commits += 1
        self.metrics.committed_at = time.time()
        for key, offset in pending.folded.items():
            if key in self._follower.files:
                self._follower.files[key].committed = offset
        if self._shipper is not None:
            self._shipper.gone.extend(pending.gone)
        try:
            self._follower.gone_is_committed(pending.gone)
            self._follower.save_identities()
        except OSError as error:
            self._failed("commit", f"{self.config.state}: files cannot be noted ({error.strerror}); make room")
        self._handover.wake()
        return True

    def _commit_all(self) -> bool:
        """Commit what failed before, and then what was folded since."""
        return self._commit() and self._commit()

    # -- shipping -----------------------------------------------------------------------------------------------
    def _start_shipper(self) -> None:
        settings = self.config.elasticsearch
        delivery = Delivery(
            self._client,
            self._shipped,
            self._reject,
            self._ship_stop,
            request_bytes=settings.batch_bytes,
            longest_pause=settings.backoff_seconds,
        )
        self._shipper = Shipper(
            self._spool,
            self._shipped,
            self._handover,
            delivery,
            self._documents,
            lambda: self._files,
            self._heartbeat,
            self._ship_stop,
            batch_bytes=settings.batch_bytes,
            batch_seconds=settings.batch_seconds,
            heartbeat_seconds=self.config.heartbeat_interval.total_seconds(),
            look_up_seconds=self._look_up_seconds,
        )
        self._shipper.start()

    def _reject(self, item: Item, result: ItemResult) -> None:
        _log.error("%s: %s refused: %s %s", item.alias, item.id, result.error_type, result.reason)
        self.metrics.count_quarantined("rejected")
        if item.alias == PROFILES:
            # The whole of it: a profile stands for rows that may exist nowhere else.
            self._rejected_profiles.mkdir(mode=0o700, exist_ok=True)
            (self._rejected_profiles / f"{item.id}.json").write_bytes(item.body)
        key, _, offset = item.id.rpartition("-")
        path = next((file.path for file in self._files if file.key == key), key)
        self.quarantine.keep(
            "rejected",
            file=path,
            offset=int(offset, 16) if key else 0,
            line=item.body,
            detail=f"{result.error_type}: {result.reason}",
        )

    def _no_document(self, event_id: str, error: Exception) -> None:
        _log.error("%s: no document can be made of it (%r)", event_id, error)
        self.metrics.count_quarantined("no_document")

    def _heartbeat(self) -> dict[str, Any]:
        snapshot = self._snapshot()
        return {
            "host": {"name": self.config.host},
            "agent": {"version": __version__},
            "lag_bytes": snapshot.lag_bytes,
            "shipped": snapshot.shipped,
            "dropped": sum(self.metrics.dropped.values()),
            "quarantined": sum(self.metrics.quarantined.values()),
            "spooled": snapshot.spool_profiles,
            "last_error": self.last_error,
            "profile_format": PROFILE_FORMAT,
        }

    # -- upkeep -------------------------------------------------------------------------------------------------
    def _upkeep(self) -> None:
        for file in list(self._follower.files.values()):
            done = file.size == file.folded == file.committed == file.shipped
            if done and self._follower.abandoned(file):
                if file.recorder and file.attached and not self._delete(file):
                    continue
                self._follower.forget(file)
        self._keep_bound()
        self._files = tuple(self._follower.files.values())
        shipped = self._shipper.delivery.progress.created if self._shipper is not None else 0
        self._rates.append((time.monotonic(), self._events, shipped))
        self._write_status()

    def _delete(self, file: FollowedFile, *, whatever_size: bool = False) -> bool:
        try:
            deleted = self._follower.delete(file, whatever_size=whatever_size)
            self._errors.pop("delete", None)
        except OSError as error:
            folder = Path(file.path).parent
            self._failed(
                "delete", f"{file.path}: cannot be deleted ({error.strerror}); let the agent write to {folder}"
            )
            return False
        return deleted

    def _keep_bound(self) -> None:
        """Delete the oldest of the Recorders' files while they take more than they may."""
        recorded = [file for file in self._follower.files.values() if file.recorder]
        total = sum(file.size for file in recorded)
        if total <= self.config.journal.max_bytes:
            self._errors.pop("bound", None)
            return
        if not self._commit_all():
            _log.error("%s is over its bound and profiles cannot be committed", self.config.journal.path)
        recorded.sort(key=lambda file: (file.committed < file.size, os.fstat(file.descriptor).st_mtime_ns))
        for file in recorded:
            if total <= self.config.journal.max_bytes:
                break
            with self._handover.changed:
                handed = file.handed
            events = _count_lines(file, handed)
            if not self._delete(file, whatever_size=True):
                continue
            total -= file.size
            self._follower.forget(file)
            lost = file.size - handed
            self.metrics.count_dropped("disk_bound", events, lost)
            message = f"{self.config.journal.path} is over journal.max_bytes: files went before they were shipped"
            self._failed("bound", message)
            if events:
                _log.error("%s: deleted to keep journal.max_bytes, with %d events not shipped", file.path, events)

    # -- showing ------------------------------------------------------------------------------------------------
    def _failed(self, what: str, message: str) -> None:
        if self._errors.get(what) != message:
            _log.error("%s", message)
        self._errors[what] = message

    @property
    def last_error(self) -> str:
        """What is wrong at the moment, empty when nothing is."""
        errors = list(self._errors.values())
        if self._shipper is not None:
            errors += [self._shipper.state_error, self._shipper.delivery.progress.last_error]
        return "; ".join(error for error in errors if error)

    def _snapshot(self) -> Snapshot:
        progress = self._shipper.delivery.progress if self._shipper is not None else None
        files = self._files
        return Snapshot(
            lag_bytes=sum(max(0, file.size - file.shipped) for file in files),
            shipped=progress.created + progress.conflicts if progress is not None else 0,
            spool_profiles=self._spool.profiles,
            files=len(files),
            failures=dict(progress.failures) if progress is not None else {},
        )

    def status(self) -> dict[str, Any]:
        """What `modelward-agent status` shows."""
        snapshot = self._snapshot()
        read_rate = shipped_rate = 0.0
        if len(self._rates) > 1:
            (t0, read0, shipped0), (t1, read1, shipped1) = self._rates[0], self._rates[-1]
            read_rate, shipped_rate = (read1 - read0) / (t1 - t0), (shipped1 - shipped0) / (t1 - t0)
        files = sorted(self._files, key=lambda file: file.shipped - file.size)
        return {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "pid": os.getpid(),
            "version": __version__,
            "host": self.config.host,
            "started": self._started.isoformat(timespec="seconds"),
            "elasticsearch": list(self.config.elasticsearch.urls),
            "read_per_second": round(read_rate, 1),
            "shipped_per_second": round(shipped_rate, 1),
            "lag_bytes": snapshot.lag_bytes,
            "shipped": snapshot.shipped,
            "spool_profiles": snapshot.spool_profiles,
            "dropped": dict(self.metrics.dropped),
            "quarantined": dict(self.metrics.quarantined),
            "failures": dict(snapshot.failures),
            "max_features": self.config.max_features,
            "features_beyond_limit": self.metrics.features_beyond_limit,
            "unrecorded": self._unrecorded.shown,
            "last_error": self.last_error,
            "files_followed": len(files),
            "files": [
                {
                    "path": file.path,
                    "size": file.size,
                    "folded": file.folded,
                    "committed": file.committed,
                    "shipped": file.shipped,
                    "lag_bytes": max(0, file.size - file.shipped),
                }
                for file in files[:_FILES_SHOWN]
            ],
        }

    def _write_status(self) -> None:
        path = self.config.state / STATUS
        aside = path.with_name(path.name + ASIDE)
        try:
            # Not fsynced: it only says how things are now.
            aside.write_bytes(orjson.dumps(self.status()))
            aside.replace(path)
        except OSError as error:
            _log.debug("%s: %s", path, error)

    # -- reloading ----------------------------------------------------------------------------------------------
    def _take_over(self) -> None:
        """Apply a new configuration, or keep the old one when it cannot be used."""
        read, self._reload = self._reload, None
        assert read is not None
        try:
            config = read()
            client = BulkClient(config.elasticsearch)
        except Exception as error:
            _log.error("reload: the configuration stays as it was:\n%s", error)
            self._errors["reload"] = "the new configuration cannot be used; run modelward-agent check-config"
            return
        self._errors.pop("reload", None)
        for name in ("host", "state", "window", "max_features", "max_versions", "journal.path", "metrics"):
            old, new = _value(self.config, name), _value(config, name)
            if old != new:
                _log.warning("reload: %s stays %s until the agent is restarted", name, old)
        journal = config.journal.model_copy(update={"path": self.config.journal.path})
        fixed = ("host", "state", "window", "max_features", "max_versions", "metrics")
        kept = {name: getattr(self.config, name) for name in fixed}
        self.config = config.model_copy(update={**kept, "journal": journal})
        self._follower.logs = _followed(self.config)
        self._filter_logs(self.config)
        self._take_types(self.config)
        logging.getLogger("modelward_agent").setLevel(config.log_level.upper())
        if self._shipper is not None:
            self._documents = self._shipper.documents = Documents(self.config.host, config.events, self._no_document)
            self._shipper.heartbeat_seconds = config.heartbeat_interval.total_seconds()
            self._shipper.batch_bytes = config.elasticsearch.batch_bytes
            self._shipper.batch_seconds = config.elasticsearch.batch_seconds
            self._shipper.delivery.request_bytes = config.elasticsearch.batch_bytes
            self._shipper.delivery.longest_pause = config.elasticsearch.backoff_seconds
            self._shipper.delivery.client = client
        _log.info("reload: the new configuration is in use")

    def _take_types(self, config: AgentConfig) -> None:
        if config.types != self._folder.types:
            self._commit_all()  # no profile has some of a feature's values read so, and some as they came
            self._folder.types = config.types


def _within(folder: Path, error: OSError) -> str:
    """The path that the error is about, "" when it is not in the folder."""
    path = str(error.filename or "")
    return path if path.startswith(f"{folder}{os.sep}") else ""


def _followed(config: AgentConfig) -> list[Followed]:
    return [Followed(str(log.path), source_of(log)) for log in config.logs]


def _value(config: AgentConfig, name: str) -> object:
    value: object = config
    for part in name.split("."):
        value = getattr(value, part)
    return value


def _count_lines(file: FollowedFile, start: int) -> int:
    count = 0
    while data := os.pread(file.descriptor, READ_BYTES, start):
        count += data.count(b"\n")
        start += len(data)
    return count
