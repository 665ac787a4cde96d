"""Lines as container runtimes write them: what the container wrote, wrapped with its stream and the time.

Docker's json-file driver writes a JSON object a line, `{"log":"text\\n","stream":"stderr","time":"…Z"}`, containerd and
CRI-O write `2026-01-02T03:04:05.123456789Z stderr F text`. A line that is too long for the runtime comes in parts: to
Docker all but the last lack the newline in `log`, to CRI they are tagged P.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

_CRI = re.compile(rb"(\d{4}-\d\d-\d\dT[\d:.]{8,18}(?:Z|[+-]\d\d:\d\d)) (stdout|stderr) ([FP])(?::\S{0,100})?(?: |$)")
_CRI_SHORTEST = 28
_DOCKER = frozenset({"log", "stream", "time", "attrs"})
_STREAMS = frozenset({"stdout", "stderr"})


class Wrapped(NamedTuple):
    """One wrapped line: `text` as the container wrote it, `partial` when the line goes on in the next one of `stream`.

    `time` is when the runtime got it, RFC 3339; `attrs` are what Docker was told to add to each line.
    """

    stream: str
    text: bytes
    partial: bool
    time: str
    attrs: dict[str, Any] | None = None


def of_cri(line: bytes) -> Wrapped | None:
    """A line of a CRI runtime (and of Podman), None when it is another one."""
    if line[10:11] != b"T" or len(line) < _CRI_SHORTEST or (match := _CRI.match(line)) is None:
        return None
    time, stream, tag = match.groups()
    return Wrapped(stream.decode(), line[match.end() :], tag == b"P", time.decode())


def of_docker(document: dict[str, Any]) -> Wrapped | None:
    """A line of Docker's json-file driver, None when it is another one."""
    if len(document) > len(_DOCKER):
        return None
    stream, time, log, attrs = document.get("stream"), document.get("time"), document.get("log", ""), None
    if type(stream) is not str or stream not in _STREAMS or type(time) is not str or type(log) is not str:
        return None
    if not document.keys() <= _DOCKER or type(attrs := document.get("attrs", {})) is not dict:
        return None
    return Wrapped(stream, log.encode("utf-8", "replace"), not log.endswith("\n"), time, attrs or None)
