"""What lies in a container: a tar stream that begins with the manifest and ends with the count of what was packed.

`manifest.json` first, then `<part>/<file>` for each part, then `contents.json`. Only regular files; who owns them is
decided by whoever restores.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO, Any, BinaryIO

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from modelward_appliance.backup.container import ContainerReader, ContainerWriter
from modelward_appliance.backup.errors import BackupError, DamagedError, NewerFormatError

FORMAT = 1
MANIFEST = "manifest.json"
CONTENTS = "contents.json"
_COPY_BYTES = 1024 * 1024
_SMALL_FILE_MAX_BYTES = 64 * 1024 * 1024


class Manifest(BaseModel):
    """What a backup holds. `parts` has for each part what its restore needs and people may want to know."""

    model_config = ConfigDict(frozen=True)

    format: int = FORMAT
    created: AwareDatetime
    modelward: str
    parts: dict[str, dict[str, Any]]


class Contents(BaseModel):
    """How much was packed: files of parts, and their bytes together."""

    model_config = ConfigDict(frozen=True)

    files: int
    bytes: int


class _Whole:
    """A file that has as many bytes as it had at first."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file = file
        self._path = path

    def read(self, size: int) -> bytes:
        content = self._file.read(size)
        if len(content) < size:
            raise BackupError(f"{self._path}: changed while it was read; run the backup again")
        return content


class ArchiveWriter:
    """Adds files to a container; `finish` writes the count."""

    def __init__(self, container: ContainerWriter, manifest: Manifest) -> None:
        # The container only has `write`, which is all that a tar stream asks of its file.
        self._tar = tarfile.open(fileobj=container, mode="w|", format=tarfile.PAX_FORMAT)  # type: ignore[call-overload] # noqa: SIM115
        self._moment = int(manifest.created.timestamp())
        self._files = 0
        self._bytes = 0
        self._put(MANIFEST, manifest.model_dump_json().encode())

    def add(self, part: str, name: str, path: Path) -> None:
        """Add a file as `<part>/<name>`; `BackupError` when it cannot be read, or changes its length meanwhile."""
        try:
            with path.open("rb") as file:
                status = os.fstat(file.fileno())
                info = tarfile.TarInfo(f"{part}/{name}")
                info.size, info.mtime, info.mode = status.st_size, int(status.st_mtime), 0o600
                self._tar.addfile(info, _Whole(file, path))
        except PermissionError as error:
            raise BackupError(f"{path}: may not be read by the backup; run make deploy, which mends that") from error
        self._files += 1
        self._bytes += status.st_size

    def finish(self) -> Contents:
        """Write the end; what was packed."""
        contents = Contents(files=self._files, bytes=self._bytes)
        self._put(CONTENTS, contents.model_dump_json().encode())
        self._tar.close()
        return contents

    def _put(self, name: str, content: bytes) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.mtime, info.mode = len(content), self._moment, 0o600
        self._tar.addfile(info, BytesIO(content))


@dataclass(frozen=True, slots=True)
class Member:
    """A file of a part; `file` is read at once or not at all."""

    part: str
    name: PurePosixPath
    size: int
    file: IO[bytes]

    def save(self, path: Path, mode: int = 0o600) -> None:
        """Write it to a new file, and the folders to it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as to:
            path.chmod(mode)
            while content := self.file.read(_COPY_BYTES):
                to.write(content)


class ArchiveReader:
    """The manifest at once; then `members` in their order, to the very end of the container."""

    def __init__(self, container: ContainerReader, name: str = "the backup") -> None:
        self._container = container
        self._name = name
        self._tar = tarfile.open(fileobj=container, mode="r|")  # type: ignore[call-overload] # noqa: SIM115
        self.manifest = self._read_manifest()

    def members(self) -> Iterator[Member]:
        """Every file of every part; afterwards all of the container is proven, and the count is right."""
        files = size = 0
        contents: Contents | None = None
        while (info := self._tar.next()) is not None:
            if info.name == CONTENTS:
                contents = Contents.model_validate_json(self._content(info))
                break
            part, name = self._checked(info)
            files += 1
            size += info.size
            file = self._tar.extractfile(info)
            assert file is not None
            yield Member(part, name, info.size, file)
        self._container.drain()
        if contents != Contents(files=files, bytes=size):
            raise DamagedError(f"{self._name}: holds {files} files of {size} bytes, not what was packed; use another")

    def _read_manifest(self) -> Manifest:
        info = self._tar.next()
        if info is None or info.name != MANIFEST:
            raise DamagedError(f"{self._name}: has no manifest; use another backup")
        try:
            manifest = Manifest.model_validate_json(self._content(info))
        except ValidationError as error:
            raise DamagedError(f"{self._name}: has a manifest that cannot be read ({error})") from error
        if manifest.format > FORMAT:
            raise NewerFormatError(f"{self._name}: was made by Modelward {manifest.modelward}; upgrade to that first")
        return manifest

    def _content(self, info: tarfile.TarInfo) -> bytes:
        file = self._tar.extractfile(info)
        if file is None or info.size > _SMALL_FILE_MAX_BYTES:
            raise DamagedError(f"{self._name}: {info.name} is not what it should be; use another backup")
        content: bytes = file.read()
        return content

    def _checked(self, info: tarfile.TarInfo) -> tuple[str, PurePosixPath]:
        """The part and the name in it; nothing can be written outside of the folder it is restored to."""
        path = PurePosixPath(info.name)
        if not info.isreg() or path.is_absolute() or ".." in path.parts or len(path.parts) < 2:
            raise DamagedError(f'{self._name}: holds "{info.name}", which no backup does; use another backup')
        return path.parts[0], PurePosixPath(*path.parts[1:])


@contextmanager
def packing(file: BinaryIO, container: ContainerWriter, manifest: Manifest) -> Iterator[ArchiveWriter]:
    """An archive in a container in a file; all of it is finished when the block ends well."""
    writer = ArchiveWriter(container, manifest)
    yield writer
    writer.finish()
    container.close()
    file.flush()


def now() -> datetime:
    """The moment a backup is named by: UTC, whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)
