"""The console's own files, read once: style, scripts, icon. Their addresses change when their content does."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

_FOLDER = Path(__file__).with_name("static")
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is sent."""

    content: bytes
    media_type: str
    digest: str


def load() -> dict[str, Asset]:
    """Every file of `static/`, by name."""
    found = {}
    for path in sorted(_FOLDER.iterdir()):
        if path.suffix in _TYPES:
            content = path.read_bytes()
            digest = hashlib.blake2b(content, digest_size=6).hexdigest()
            found[path.name] = Asset(content, _TYPES[path.suffix], digest)
    return found
