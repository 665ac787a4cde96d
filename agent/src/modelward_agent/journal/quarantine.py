"""Where lines and documents go that cannot be used, with the reason, for a person to look at."""

from __future__ import annotations

import base64
import contextlib
import logging
import time
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

import orjson

HEAD_BYTES = 4096
"""How much of a line is kept."""

_FILES = 8
_LONGEST_CHARACTER = 4

_log = logging.getLogger(__name__)


class Quarantine:
    """Files of JSON lines in one folder, bounded together by `max_bytes`; the oldest go first.

    An entry is `{"at", "reason", "detail", "file", "offset", "head"}`, with `head_base64` instead of `head` when the
    line is not UTF-8. After a `kill -9` an entry may be there twice. Thread-safe. A full disk is logged, not raised:
    what is kept here is for diagnosis, and its count stays right.
    """

    def __init__(self, folder: Path, max_bytes: int = 64 * 2**20) -> None:
        self._folder = folder
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._file_bytes = max_bytes // _FILES
        self._lock = Lock()
        self._failing = False

    def keep(self, reason: str, *, file: str, offset: int, line: bytes, detail: str = "") -> None:
        """Append one entry; of the line at most the first `HEAD_BYTES` bytes."""
        entry: dict[str, object] = {
            "at": datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds"),
            "reason": reason,
            "detail": detail[:HEAD_BYTES],
            "file": file,
            "offset": offset,
        }
        head = line[:HEAD_BYTES]
        try:
            entry["head"] = head.decode()
        except UnicodeDecodeError as error:
            if len(line) > HEAD_BYTES and error.start > HEAD_BYTES - _LONGEST_CHARACTER:
                entry["head"] = head[: error.start].decode()
            else:
                entry["head_base64"] = base64.b64encode(head).decode("ascii")
        self._append(orjson.dumps(entry) + b"\n")

    def _append(self, line: bytes) -> None:
        with self._lock:
            try:
                files = sorted(self._folder.glob("*.jsonl"))
                path = files[-1] if files else self._folder / f"{1:012d}.jsonl"
                if files and path.stat().st_size + len(line) > self._file_bytes:
                    path = self._folder / f"{int(path.stem) + 1:012d}.jsonl"
                    for old in files[: max(0, len(files) + 1 - _FILES)]:
                        old.unlink()
                with path.open("ab") as file:
                    file.write(line)
                self._failing = False
            except (OSError, ValueError) as error:
                with contextlib.suppress(OSError):
                    if not self._failing:
                        self._failing = True
                        _log.error("%s: cannot keep a quarantined line (%s); make room", self._folder, error)
