"""What the collector signs so that it need not remember it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence


class Signer:
    """HMAC-SHA256 with the first key; what any of the keys signed is accepted, so that a key can be changed.

    A `purpose` keeps what was signed for one thing from being taken for another.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = [key.encode() for key in keys]

    def sign(self, purpose: str, content: bytes) -> str:
        """Content and signature as text that fits a cookie."""
        return f"{_text(content)}.{_text(_mac(self._keys[0], purpose, content))}"

    def opened(self, purpose: str, signed: str) -> bytes | None:
        """The content, if it was signed here for this purpose; else None."""
        body, _, mac = signed.partition(".")
        try:
            content, given = _bytes(body), _bytes(mac)
        except (ValueError, binascii.Error):
            return None
        # Only the one spelling that `sign` makes, so that a token is one text.
        if _text(content) != body or _text(given) != mac:
            return None
        sound = False
        for key in self._keys:
            sound |= hmac.compare_digest(_mac(key, purpose, content), given)
        return content if sound else None

    def derived(self, purpose: str, content: str) -> str:
        """A secret that only the holder of the first key can know, always the same for the same content."""
        return _text(_mac(self._keys[0], purpose, content.encode()))


def _mac(key: bytes, purpose: str, content: bytes) -> bytes:
    own = hmac.digest(key, f"modelward {purpose}".encode(), hashlib.sha256)
    return hmac.digest(own, content, hashlib.sha256)


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
