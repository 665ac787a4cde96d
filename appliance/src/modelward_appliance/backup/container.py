"""The container: a stream of bytes, encrypted in chunks, that can only be read as it was written.

    offset  bytes  what
    0       16     "MODELWARD-BACKUP"
    16      2      format, 1 (integers are big-endian)
    18      4      n, length of the header
    22      n      header, JSON: created, key (its id), salt (32 bytes, hexadecimal), chunk_bytes
    22+n    32     HMAC-SHA256 of everything before
    ...            chunks: AES-256-GCM of chunk_bytes of plaintext each, the last one of at most as many
    end-16  8      length of the whole file
    end-8   8      "MWBKPEND"

The keys of the HMAC and of the chunks are derived from the backup key and the salt (HKDF-SHA256), so no nonce is ever
used twice: it is the chunk's number (11 bytes) and one byte that is 1 in the last chunk and 0 in all others. This is
the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár: Online Authenticated-Encryption and its Nonce-Reuse
Misuse-Resistance, 2015), as in age: a chunk that is changed, moved, repeated, left out or taken from another file is
found, and so is an end that is missing or added. The trailer only tells a file that was cut short from a changed one.
"""

from __future__ import annotations

import hmac
import json
import os
import struct
from collections.abc import Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import BinaryIO, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from modelward_appliance.backup.errors import DamagedError, NewerFormatError, WrongKeyError
from modelward_appliance.backup.keys import Key

FORMAT: Final = 1
CHUNK_BYTES: Final = 1024 * 1024
_MAGIC: Final = b"MODELWARD-BACKUP"
_END_MAGIC: Final = b"MWBKPEND"
_PREFIX: Final = struct.Struct(">16sHI")
_TRAILER: Final = struct.Struct(">Q8s")
_SALT_BYTES: Final = 32
_MAC_BYTES: Final = 32
_TAG_BYTES: Final = 16
_HEADER_MAX_BYTES: Final = 64 * 1024
_CHUNK_MAX_BYTES: Final = 64 * 1024 * 1024


class Header(BaseModel):
    """What is known of a backup without its key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    created: AwareDatetime
    key: str
    salt: str = Field(pattern=f"^[0-9a-f]{{{2 * _SALT_BYTES}}}$")
    chunk_bytes: int = Field(gt=0, le=_CHUNK_MAX_BYTES)


class _Keys:
    """What one file's parts are encrypted and authenticated with."""

    def __init__(self, key: Key, salt: bytes) -> None:
        self._mac_key = key.derive(b"modelward backup: header", salt=salt)
        self.cipher = AESGCM(key.derive(b"modelward backup: chunks", salt=salt))

    def mac(self, start: bytes) -> bytes:
        return hmac.digest(self._mac_key, start, "sha256")


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])


class ContainerWriter:
    """Encrypts what is written to it into `file`; `close` writes the end, without which the file cannot be read.

    As a context manager it is closed when the block ends well, and left without its end when the block raises.
    """

    def __init__(
        self, file: BinaryIO, key: Key, *, created: datetime | None = None, chunk_bytes: int = CHUNK_BYTES
    ) -> None:
        self._file = file
        salt = os.urandom(_SALT_BYTES)
        header = Header(
            created=created or datetime.now(UTC).replace(microsecond=0),
            key=key.id,
            salt=salt.hex(),
            chunk_bytes=chunk_bytes,
        )
        encoded = header.model_dump_json().encode()
        start = _PREFIX.pack(_MAGIC, FORMAT, len(encoded)) + encoded
        self._keys = _Keys(key, salt)
        self._chunk_bytes = chunk_bytes
        self._pending = bytearray()
        self._number = 0
        self._length = 0
        self._put(start + self._keys.mac(start))

    def __enter__(self) -> ContainerWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()

    def write(self, content: bytes) -> int:
        """Add plaintext; how many bytes that were, which is all."""
        view = memoryview(content)
        # One chunk is held back until it is known whether it is the last.
        while len(self._pending) + len(view) > self._chunk_bytes:
            room = self._chunk_bytes - len(self._pending)
            self._pending += view[:room]
            view = view[room:]
            self._seal(last=False)
        self._pending += view
        return len(content)

    def close(self) -> None:
        """Write the last chunk and the end; the file itself stays open."""
        self._seal(last=True)
        self._put(_TRAILER.pack(self._length + _TRAILER.size, _END_MAGIC))

    def _seal(self, *, last: bool) -> None:
        self._put(self._keys.cipher.encrypt(_nonce(self._number, last=last), bytes(self._pending), None))
        self._number += 1
        self._pending.clear()

    def _put(self, content: bytes) -> None:
        self._file.write(content)
        self._length += len(content)


class ContainerReader:
    """Decrypts a container; every byte that `read` answers was verified before.

    `file` is seekable and holds nothing else. Raises on opening: `DamagedError`, `WrongKeyError`, `NewerFormatError`;
    on reading: `DamagedError`. Only reading to the end proves the whole file.
    """

    def __init__(self, file: BinaryIO, keys: Sequence[Key], name: str = "the backup") -> None:
        self._file = file
        self._name = name
        self._end = _payload_end(file, name)
        self.header, start = _read_start(file, name, self._end)
        key = next((key for key in keys if key.id == self.header.key), None)
        if key is None:
            raise WrongKeyError(
                f"{name}: was made with the key {self.header.key}, and the given key file holds "
                f"{', '.join(key.id for key in keys) or 'none'}; give the key file of that time (--key)"
            )
        self._keys = _Keys(key, bytes.fromhex(self.header.salt))
        mac = file.read(_MAC_BYTES)
        if not hmac.compare_digest(mac, self._keys.mac(start)):
            raise DamagedError(f"{name}: its header was changed; use another backup")
        self._number = 0
        self._plain = b""
        self._offset = 0
        self._finished = False

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes, all that is left for -1, b"" at the end; `DamagedError` where the file is not genuine."""
        if size < 0:
            parts = []
            while part := self.read(CHUNK_BYTES):
                parts.append(part)
            return b"".join(parts)
        while self._offset == len(self._plain) and not self._finished:
            self._open_chunk()
        found = self._plain[self._offset : self._offset + size]
        self._offset += len(found)
        return found

    def drain(self) -> None:
        """Read to the end, and so prove all that was not read yet."""
        while self.read(CHUNK_BYTES):
            pass

    def _open_chunk(self) -> None:
        at = self._file.tell()
        length = min(self.header.chunk_bytes + _TAG_BYTES, self._end - at)
        last = at + length == self._end
        sealed = self._file.read(length)
        try:
            self._plain = self._keys.cipher.decrypt(_nonce(self._number, last=last), sealed, None)
        except (InvalidTag, ValueError):
            raise DamagedError(
                f"{self._name}: was changed or damaged between the bytes {at} and {at + length}; use another backup"
            ) from None
        self._number += 1
        self._offset = 0
        self._finished = last


def read_header(file: BinaryIO, name: str = "the backup") -> Header:
    """What is known without the key, not authenticated; `DamagedError` or `NewerFormatError`."""
    return _read_start(file, name, _payload_end(file, name))[0]


def _payload_end(file: BinaryIO, name: str) -> int:
    """Where the chunks end; the file is at its start afterwards."""
    length = file.seek(0, os.SEEK_END)
    file.seek(0)
    if file.read(len(_MAGIC)) != _MAGIC:
        raise DamagedError(f"{name}: is no backup of Modelward; give a file named modelward-….backup")
    _newer(file.read(2), name)
    if length < _PREFIX.size + _TRAILER.size:
        raise _cut_short(name, length)
    file.seek(length - _TRAILER.size)
    said, magic = _TRAILER.unpack(file.read(_TRAILER.size))
    if magic != _END_MAGIC or said != length:
        raise _cut_short(name, length)
    file.seek(0)
    return length - _TRAILER.size


def _newer(version: bytes, name: str) -> None:
    found = int.from_bytes(version, "big")
    if found > FORMAT:
        raise NewerFormatError(
            f"{name}: has format {found}, written by a newer Modelward; this one reads up to {FORMAT}, so upgrade first"
        )


def _read_start(file: BinaryIO, name: str, end: int) -> tuple[Header, bytes]:
    """The header, and all bytes up to its end."""
    prefix = file.read(_PREFIX.size)
    _, version, length = _PREFIX.unpack(prefix)
    if version != FORMAT or length > _HEADER_MAX_BYTES or _PREFIX.size + length + _MAC_BYTES + _TAG_BYTES > end:
        raise DamagedError(f"{name}: its header was changed; use another backup")
    encoded = file.read(length)
    try:
        header = Header.model_validate(json.loads(encoded))
    except (ValueError, ValidationError):
        raise DamagedError(f"{name}: its header was changed; use another backup") from None
    return header, prefix + encoded


def _cut_short(name: str, length: int) -> DamagedError:
    return DamagedError(
        f"{name}: was cut short, it ends after {length} bytes without its end mark; copy it anew, or use another backup"
    )
