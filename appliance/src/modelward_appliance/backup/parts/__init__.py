"""What is backed up, one file a kind. A part freezes its content, tells about it, and lists its files."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Frozen:
    """The content of a part at one moment: facts for the manifest, and (name in the archive, path) of each file."""

    facts: dict[str, Any]
    files: Iterable[tuple[str, Path]]


class Part(Protocol):
    """Something that is backed up; `name` is its folder in the archive."""

    @property
    def name(self) -> str:
        """Its folder in the archive."""
        ...

    def frozen(self) -> AbstractContextManager[Frozen]:
        """Its content, which does not change until the block ends; `BackupError` when it cannot be had."""
        ...


def files_below(folder: Path) -> Iterable[tuple[str, Path]]:
    """Every regular file in the folder and its folders, in order, named from the folder on."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield path.relative_to(folder).as_posix(), path
