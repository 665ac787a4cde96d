"""Where a login goes on to: a page of this site, never of another."""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote

HOME: Final = "/"
LONGEST: Final = 2_048
_CONTROLS: Final = frozenset(map(chr, [*range(0x20), 0x7F]))
_REPEATEDLY: Final = 5
"""As often as anything on the way might decode it."""


def local(given: str, home: str = HOME) -> str:
    """The path, with its query, if it is one of this site's; else `home`.

    Browsers take a backslash for a slash and leave out tabs and line ends, and something on the way may decode it, so
    none of these may be in it, nor appear when it is decoded.
    """
    if len(given) > LONGEST or not given.isascii() or not given.isprintable() or " " in given:
        return home
    path = given.partition("?")[0].partition("#")[0]
    for _ in range(_REPEATEDLY):
        if not path.startswith("/") or path.startswith("//") or "\\" in path or not _CONTROLS.isdisjoint(path):
            return home
        decoded = unquote(path)
        if decoded == path:
            return home if "\\" in given else given
        path = decoded
    return home
