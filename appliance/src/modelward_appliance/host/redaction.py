"""Taking secrets out of text that leaves the server."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote

SHORTEST: Final = 4
"""Shorter than this a value is a word, and would be taken out of half of the text."""

_FOLDERS: Final = ("secrets", "site", "tls")
_NO_SECRET: Final = frozenset({".crt", ".pem", ".yml", ".yaml"})
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)
_HASH = re.compile(
    r"\{(?:PBKDF2|SSHA|SSHA512|CRYPT)[A-Z0-9_]*\}[A-Za-z0-9+/=$.:_-]{8,}|\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}"
)
_HEADER = re.compile(r"(?i)((?:authorization|cookie|set-cookie|proxy-authorization)[\"']?\s*[:=]\s*[\"']?)[^\r\n\"']+")
_CREDENTIAL_URL = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://[^\s/:@\"']*):[^\s/@\"']+@")
_NAMED = re.compile(
    r"(?i)(\b[\w.-]*(?:password|passwd|secret|token|api_?key|routing_?key|private_?key)[\w.-]*[\"']?\s*[:=]\s*)"
    r"(\"[^\"\r\n]*\"|'[^'\r\n]*'|[^\s,;}\]\"'][^\s,;}\]]*)"
)
_PLACE = re.compile(r"^[\"']?(?:/|\{\{|<redacted|null\b|none\b|true\b|false\b|[\w/.-]*/[\w/.-]+[\"']?$)", re.IGNORECASE)


class Redaction:
    """Replaces every value of the state folder's secrets, however it is written, and whatever looks like a secret."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        forms: dict[str, str] = {}
        for name, value in secrets.items():
            forms |= dict.fromkeys(_forms(value), name)
        # The longest first: one may be part of another.
        self._forms = sorted(forms.items(), key=lambda item: -len(item[0]))

    @classmethod
    def of_state(cls, state: Path) -> Redaction:
        """By all that is secret in a state folder."""
        return cls(dict(_secrets_in(state)))

    def clean(self, text: str) -> str:
        """The text without secrets."""
        for form, name in self._forms:
            text = text.replace(form, f"<redacted {name}>")
        text = _PRIVATE_KEY.sub("<redacted private key>", text)
        text = _HASH.sub("<redacted hash>", text)
        text = _HEADER.sub(r"\1<redacted>", text)
        text = _CREDENTIAL_URL.sub(r"\1:<redacted>@", text)
        return _NAMED.sub(lambda found: found[1] + (found[2] if _PLACE.match(found[2]) else "<redacted>"), text)


def _secrets_in(state: Path) -> Iterator[tuple[str, str]]:
    for folder in _FOLDERS:
        for path in sorted((state / folder).rglob("*")):
            if not path.is_file() or path.suffix in _NO_SECRET:
                continue
            name = path.relative_to(state).as_posix()
            text = path.read_text(encoding="utf-8", errors="replace")
            if path.name.startswith("verify-"):
                # A user's name stands above the password.
                text = text.partition("\n")[2]
            for number, line in enumerate(_lines(text)):
                yield f"{name}#{number}" if number else name, line


def _lines(text: str) -> Iterable[str]:
    """Each line of its own, since a key's may be quoted apart."""
    return [line for line in text.splitlines() if len(line) >= SHORTEST and not line.startswith(("-----", "#"))]


def _forms(value: str) -> Iterator[str]:
    """How a value may be written: as it is, in a URL, in JSON, in base64, alone or as the end of user:password."""
    raw = value.encode()
    yield value
    yield quote(value, safe="")
    yield value.replace("\\", "\\\\").replace('"', '\\"')
    yield base64.b64encode(raw).decode().rstrip("=")
    for shift in (1, 2):
        # Base64 of what follows so many bytes of a group of three, without the characters that those bytes shape.
        yield base64.b64encode(bytes(shift) + raw).decode()[4:].rstrip("=")[:-1]
