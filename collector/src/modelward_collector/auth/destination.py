"""Where a login goes on to: a page of this site, never of another."""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote, urlsplit

HOME: Final = "/"
LONGEST: Final = 2_048
_REPEATEDLY: Final = 5
"""As often as anything on the way might decode it."""


def local(given: str, home: str = HOME) -> str:
    """The path, with its query, if it is one of this site's; else `home`.

    Browsers take a backslash for a slash and leave out tabs and line ends, and something on the way may decode it, so
    none of these may be in it, nor appear when it is decoded.
    """
    if len(given) > LONGEST or not given.startswith("/"):
        return home
    path, reading = given.partition("?")[0].partition("#")[0], given
    for _ in range(_REPEATEDLY):
        if any(ord(letter) <= 0x20 or ord(letter) == 0x7F for letter in path) or "\\" in path or path.startswith("//"):
            return home
        decoded = unquote(path)
        if decoded == path:
            break
        path = decoded
    else:
        return home
    if not given.isascii() or not given.isprintable() or " " in given or "\\" in reading:
        return home
    parts = urlsplit(given)
    return home if parts.scheme or parts.netloc else given
