"""What was computed a moment ago, kept for as long as it is worth."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

V = TypeVar("V")


class Recent(Generic[V]):
    """At most `most` values, each for `seconds`; the one not asked for longest goes first. Safe under threads."""

    def __init__(self, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._kept: OrderedDict[Hashable, tuple[float, V]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> V | None:
        """The value, None when it was never put, has run out, or had to go."""
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                return None
            until, value = found
            if time.monotonic() > until:
                del self._kept[key]
                return None
            self._kept.move_to_end(key)
            return value

    def put(self, key: Hashable, value: V, seconds: float | None = None) -> None:
        """Keep the value, for `seconds` when it is worth less than the others."""
        with self._lock:
            self._kept[key] = (time.monotonic() + (self._seconds if seconds is None else seconds), value)
            self._kept.move_to_end(key)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
