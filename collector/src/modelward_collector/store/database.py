"""The SQLite file behind `SqliteStore`: its connections, its tables and how they came to be."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from modelward_collector.store.protocol import StoreUnavailableError

BUSY_SECONDS: Final = 15.0
"""How long to wait for another process that writes, before the store counts as unavailable."""

_CACHE_KIB: Final = 32 * 1024
_MMAP_BYTES: Final = 256 * 1024 * 1024

MIGRATIONS: Final = (
    """
    CREATE TABLE documents (
        number INTEGER PRIMARY KEY,
        alias TEXT NOT NULL,
        id TEXT NOT NULL,
        at INTEGER NOT NULL,           -- microseconds since 1970
        model TEXT NOT NULL,
        kind TEXT NOT NULL,
        message TEXT,                  -- case-folded, for searching
        source BLOB NOT NULL,          -- JSON
        UNIQUE (alias, id)
    );
    CREATE INDEX documents_at ON documents (alias, at);
    CREATE INDEX documents_model_at ON documents (alias, model, at);
    -- Errors, stages and the like are few among predictions, which the other index finds soon enough.
    CREATE INDEX documents_rare_kind_at ON documents (alias, kind, at, model)
        WHERE kind NOT IN ('prediction', 'actual');

    -- The narrow copy that labels are joined on. Clustered by time, so a span is read in one sweep.
    CREATE TABLE predictions (
        model TEXT NOT NULL,
        at INTEGER NOT NULL,
        id TEXT NOT NULL,
        bucket INTEGER NOT NULL,       -- a hash of the id, in whose order samples are drawn
        version TEXT NOT NULL,
        segment TEXT NOT NULL,         -- JSON
        value REAL,
        label TEXT,
        probabilities TEXT,            -- JSON
        PRIMARY KEY (model, at, id)
    ) WITHOUT ROWID;
    CREATE UNIQUE INDEX predictions_id ON predictions (model, id);
    -- Predictions whose id another one had before.
    CREATE TABLE repeats (model TEXT NOT NULL, at INTEGER NOT NULL);
    CREATE INDEX repeats_at ON repeats (model, at);
    -- The last actual of each id.
    CREATE TABLE actuals (
        model TEXT NOT NULL,
        id TEXT NOT NULL,
        at INTEGER NOT NULL,
        value REAL,
        label TEXT,
        PRIMARY KEY (model, id)
    ) WITHOUT ROWID;
    CREATE INDEX actuals_at ON actuals (at);

    CREATE TABLE heartbeats (
        host TEXT PRIMARY KEY,
        at INTEGER NOT NULL,
        source BLOB NOT NULL           -- JSON
    ) WITHOUT ROWID;

    CREATE TABLE parts (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        model TEXT NOT NULL,
        version TEXT NOT NULL,
        host TEXT NOT NULL,
        segment TEXT NOT NULL,         -- JSON
        start INTEGER NOT NULL,        -- seconds since 1970
        seconds INTEGER NOT NULL,
        rows INTEGER NOT NULL,
        covers TEXT NOT NULL,          -- JSON
        until INTEGER                  -- of a roll-up, the end of the last window in it, seconds since 1970
    );
    CREATE INDEX parts_start ON parts (model, start);
    CREATE INDEX parts_end ON parts (start + seconds);
    -- Apart, so that listing parts does not page through their bytes.
    CREATE TABLE payloads (part INTEGER PRIMARY KEY, profile BLOB NOT NULL);
    -- What was received of each version, whether its parts are still there or rolled up.
    CREATE TABLE models (
        model TEXT NOT NULL,
        version TEXT NOT NULL,
        first_seen INTEGER NOT NULL,
        last_seen INTEGER NOT NULL,
        rows INTEGER NOT NULL,
        PRIMARY KEY (model, version)
    ) WITHOUT ROWID;

    CREATE TABLE results (
        id TEXT PRIMARY KEY,
        model TEXT NOT NULL,
        version TEXT NOT NULL,
        kind TEXT NOT NULL,            -- of check
        status TEXT NOT NULL,
        until INTEGER NOT NULL,        -- the end of its window, microseconds since 1970
        source BLOB NOT NULL           -- JSON
    );
    CREATE INDEX results_until ON results (until, id);
    CREATE INDEX results_model_until ON results (model, until, id);
    -- The newest scheduled one of each.
    CREATE TABLE latest (
        model TEXT NOT NULL,
        version TEXT NOT NULL,
        kind TEXT NOT NULL,
        result TEXT NOT NULL,
        until INTEGER NOT NULL,
        PRIMARY KEY (model, version, kind)
    ) WITHOUT ROWID;

    CREATE TABLE leases (name TEXT PRIMARY KEY, holder TEXT NOT NULL, until INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE pings (one INTEGER PRIMARY KEY CHECK (one = 1), count INTEGER NOT NULL);
    INSERT INTO pings VALUES (1, 0);
    """,
    """
    -- Where the whole prediction is, for the few rows whose features are looked at.
    ALTER TABLE predictions ADD COLUMN document INTEGER;
    """,
    """
    -- The newest labels of a model, which may find no prediction.
    CREATE INDEX actuals_model_at ON actuals (model, at);
    """,
)
"""Each script takes the file from one version (`PRAGMA user_version`) to the next. Never change one: add another."""


_DAMAGED: Final = (
    "stop Modelward, and restore the file from a backup, or move it away with its -wal and -shm to begin anew: past "
    "traffic, verdicts, acceptances and the audit trail are lost then, since agents do not deliver again"
)


class Database:
    """One file: many readers at a time, one writer. Every error of SQLite is a `StoreUnavailableError`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._write_lock = threading.Lock()
        self._pool_lock = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        self._writer: sqlite3.Connection | None = None
        self._process = os.getpid()
        self._closed = False

    def migrate(self) -> None:
        """Bring the tables up to this version; a file of a newer one is refused and left as it is."""
        with self._explained():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if not self.path.exists():
                # Before SQLite does, since what models were asked is nobody else's business.
                self.path.touch(mode=0o600)
            if self.path.stat().st_size == 0:
                self._begin()
        with self.write() as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version > len(MIGRATIONS):
                raise StoreUnavailableError(
                    f"{self.path} was written by a newer Modelward (tables {version}, this one knows "
                    f"{len(MIGRATIONS)}); upgrade this one, or restore a backup of before"
                )
            for number, script in enumerate(MIGRATIONS[version:], version + 1):
                for statement in _statements(script):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {number}")

    def _begin(self) -> None:
        """What is kept in the file itself, and has to be said before its first table."""
        with contextlib.closing(self._connected()) as connection:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("PRAGMA journal_mode = WAL").fetchall()

    @contextlib.contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A connection for queries, for the length of the block."""
        with self._explained():
            connection = self._taken()
            try:
                yield connection
            finally:
                if connection.in_transaction:
                    connection.rollback()
                self._given_back(connection)

    @contextlib.contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A connection in a transaction, which is on the disk when the block ends, or undone when it raises."""
        with self._write_lock, self._explained():
            if self._process != os.getpid():
                # A fork: the parent's connections are not ours to use or to close.
                self._writer, self._idle, self._process = None, [], os.getpid()
            if self._writer is None:
                self._writer = self._connected()
            connection = self._writer
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def reclaim(self, pages: int) -> None:
        """Give up to that many free pages back to the file system."""
        with self._write_lock, self._explained():
            if self._writer is None:
                self._writer = self._connected()
            # A script, since `execute` would take its first step only, which frees one page.
            self._writer.executescript(f"PRAGMA incremental_vacuum({pages}); PRAGMA optimize")

    def close(self) -> None:
        """Close every connection that is not in use; idempotent."""
        with self._write_lock, self._pool_lock:
            self._closed = True
            for connection in self._idle:
                connection.close()
            self._idle.clear()
            if self._writer is not None:
                self._writer.close()
                self._writer = None

    def _taken(self) -> sqlite3.Connection:
        with self._pool_lock:
            if self._process == os.getpid() and self._idle:
                return self._idle.pop()
        return self._connected()

    def _given_back(self, connection: sqlite3.Connection) -> None:
        with self._pool_lock:
            if not self._closed and self._process == os.getpid():
                self._idle.append(connection)
                return
        connection.close()

    def _connected(self) -> sqlite3.Connection:
        if self._closed:
            raise StoreUnavailableError(f"{self.path} is closed")
        # rw, not rwc: a file that went away is an error to report, not to hide behind an empty one.
        connection = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode=rw",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            for pragma in (
                "synchronous = FULL",  # an acknowledged document survives a power cut
                f"cache_size = -{_CACHE_KIB}",
                f"mmap_size = {_MMAP_BYTES}",
                "temp_store = MEMORY",
                "journal_size_limit = 67108864",
            ):
                connection.execute(f"PRAGMA {pragma}").fetchall()
        except BaseException:
            connection.close()
            raise
        return connection

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise StoreUnavailableError(f"{self.path}: {error}; {_advice(str(error))}") from error
        except sqlite3.DatabaseError as error:
            if isinstance(error, (sqlite3.IntegrityError, sqlite3.ProgrammingError)):
                raise
            raise StoreUnavailableError(f"{self.path}: {error}; {_DAMAGED}") from error
        except OSError as error:
            raise StoreUnavailableError(f"{self.path}: {error.strerror or error}") from error


def _advice(message: str) -> str:
    if "full" in message:
        return "free space on its disk"
    if "locked" in message or "busy" in message:
        return "another process has been writing for long; see what else has the file open"
    if "readonly" in message or "unable to open" in message:
        return "check that the file exists and that this user may write to it and its folder"
    if "no such table" in message:
        return "run setup first"
    return "check the disk and the file's permissions"


def _statements(script: str) -> Iterator[str]:
    """The script's statements one by one, since executescript would end the transaction."""
    statement = ""
    for line in script.splitlines():
        statement += line + "\n"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
