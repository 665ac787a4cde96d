"""A folder that nobody writes to: the copy of secrets, authority and site that `setup` hands over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modelward_appliance.backup.errors import BackupError
from modelward_appliance.backup.parts import Frozen, files_below


class FolderPart:
    """All files below a folder."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self._folder = folder

    @contextmanager
    def frozen(self) -> Iterator[Frozen]:
        """The files as they are."""
        files = list(files_below(self._folder))
        if not files:
            raise BackupError(f"{self._folder}: there is nothing in it to back up; run make deploy, which fills it")
        yield Frozen({"files": len(files)}, files)
