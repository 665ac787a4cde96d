"""Which requests are looked at: by their path, however the application is served."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Collection, Mapping
from typing import Any

_PARAMETER = re.compile(r"\{[^{}]*\}")
_ONE_SEGMENT, _THE_REST = "\ue000", "\ue001"  # of the private use area: fnmatch leaves them as they are
_END = fnmatch.translate("").rpartition(")")[2]  # how this Python's fnmatch says that the text is over


class Paths:
    """Paths, globs and templates of routes, as the application's own router has them.

    `*` and `?` are as in a shell, `*` across slashes; `{name}` is one segment or a part of one, `{name:path}` the
    rest. A slash at the end makes no difference.
    """

    def __init__(self, patterns: str | Collection[str]) -> None:
        self.patterns = [patterns] if isinstance(patterns, str) else list(patterns)
        self._expression = re.compile("|".join(map(_expression, self.patterns)) if self.patterns else r"(?!)")

    def match(self, names: Collection[str]) -> bool:
        """Whether a request that is known by these names, see `names_of`, is one of ours."""
        return any(self._expression.fullmatch(name) for name in names)


def _expression(pattern: str) -> str:
    path = pattern if pattern.startswith(("/", "*", "?", "[")) else f"/{pattern}"
    marked = _PARAMETER.sub(lambda found: _THE_REST if found[0].endswith(":path}") else _ONE_SEGMENT, path.rstrip("/"))
    glob = fnmatch.translate(marked).replace(_ONE_SEGMENT, "[^/]+").replace(_THE_REST, ".*")
    return f"{glob.removesuffix(_END)}/?"


def names_of(scope: Mapping[str, Any], root_path: str = "") -> tuple[str, ...]:
    """The paths that one request may be known by: first within the application that is asked, then in full.

    ASGI's `path` has the `root_path` in front of it (the present convention, and what a mount does) or has not (the
    older one, and a proxy that strips it). `root_path` is the application's own, in the place of the scope's.
    """
    path: str = scope["path"]
    names = [route_path] if (route_path := scope.get("route_path")) else []  # Starlette 0.33 and 0.34, in a mount
    for root in (root_path or scope.get("root_path", ""), scope.get("app_root_path", "")):
        root = root.rstrip("/")
        if f"{path}/".startswith(f"{root}/"):
            names += [f"/{path[len(root) :].lstrip('/')}", path]
        else:
            names += [path, root + path]
    return tuple(dict.fromkeys(names))
