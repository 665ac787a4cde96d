"""Opaque cursors of listings: where the next page begins."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any

import orjson


def encode(position: Sequence[Any]) -> str:
    """The position, JSON values, as a text that is safe in a URL."""
    return base64.urlsafe_b64encode(orjson.dumps(list(position))).decode("ascii").rstrip("=")


def decode(cursor: str | None, length: int) -> list[Any] | None:
    """The position of that many values; None for no cursor, ValueError for a text that is no cursor."""
    if cursor is None:
        return None
    try:
        position = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if not isinstance(position, list) or len(position) != length:
            raise ValueError
        if any(not isinstance(value, str) and not _is_integer(value) for value in position):
            raise ValueError
    except (ValueError, binascii.Error):
        raise ValueError(f'"{cursor:.60}" is no cursor; take it from the page before, or leave it out') from None
    return position


def _is_integer(value: object) -> bool:
    return type(value) is int and -(2**63) <= value < 2**63
