"""The keys that backups are encrypted with: a file of 32 random bytes each, as base64, one a line.

The first makes new backups; every one reads those that it made, so a key is replaced by putting a new line on top.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from modelward_appliance.backup.errors import BackupError

KEY_BYTES = 32
_ID_BYTES = 8


@dataclass(frozen=True, slots=True, repr=False)
class Key:
    """One key; its `id` may be shown, the rest may not."""

    secret: bytes

    @property
    def id(self) -> str:
        """16 hexadecimal digits that name the key and tell nothing about it."""
        return self.derive(b"modelward backup: key id", salt=None)[:_ID_BYTES].hex()

    def derive(self, purpose: bytes, *, salt: bytes | None) -> bytes:
        """A key of 32 bytes for one purpose (HKDF with SHA-256, RFC 5869)."""
        return HKDF(hashes.SHA256(), KEY_BYTES, salt, purpose).derive(self.secret)

    def __repr__(self) -> str:
        return f"Key({self.id})"


def new_key() -> str:
    """A line for a key file."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def parse_keys(text: str, name: str) -> tuple[Key, ...]:
    """The keys of a key file called `name`, at least one; `BackupError` that names the bad line."""
    keys = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            secret = base64.b64decode(line.strip(), validate=True)
        except (binascii.Error, ValueError):
            secret = b""
        if len(secret) != KEY_BYTES:
            raise BackupError(
                f"{name}: line {number} is not a backup key, which is {KEY_BYTES} bytes as base64 (44 characters); "
                "give the file that `secrets/backup-key` was copied to"
            )
        keys.append(Key(secret))
    if not keys:
        raise BackupError(f"{name}: holds no backup key; give the file that `secrets/backup-key` was copied to")
    return tuple(keys)


def read_keys(path: Path) -> tuple[Key, ...]:
    """The keys of a file, at least one; `BackupError` when it cannot be read as such."""
    try:
        text = path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise BackupError(f"{path}: cannot be read as a key file ({error})") from error
    return parse_keys(text, str(path))
