"""A SQLite database that is in use: Grafana's, or the collector's embedded store."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from modelward_appliance.backup.errors import BackupError
from modelward_appliance.backup.parts import Frozen

_PAGES_A_STEP = 4096
_BUSY_SECONDS = 30.0


class SqlitePart:
    """A consistent copy by SQLite's online backup, which a writer may go on during; made in `spool`."""

    def __init__(self, name: str, database: Path, spool: Path) -> None:
        self.name = name
        self._database = database
        self._spool = spool

    @contextmanager
    def frozen(self) -> Iterator[Frozen]:
        """One file, `<database's name>`, checked by SQLite itself."""
        with tempfile.TemporaryDirectory(prefix=".sqlite-", dir=self._spool) as folder:
            copy = Path(folder) / self._database.name
            self._copy_to(copy)
            yield Frozen({"file": self._database.name, "bytes": copy.stat().st_size}, [(self._database.name, copy)])

    def _copy_to(self, copy: Path) -> None:
        source = f"file:{quote(str(self._database))}?mode=ro"
        try:
            with (
                closing(sqlite3.connect(source, uri=True, timeout=_BUSY_SECONDS)) as database,
                closing(sqlite3.connect(copy)) as target,
            ):
                database.backup(target, pages=_PAGES_A_STEP)
                (verdict,) = target.execute("PRAGMA quick_check").fetchone()
        except sqlite3.Error as error:
            raise BackupError(f"{self._database}: cannot be copied ({error}); is its service healthy?") from error
        if verdict != "ok":
            raise BackupError(f"{self._database}: is damaged ({verdict}); restore it from the last backup")
