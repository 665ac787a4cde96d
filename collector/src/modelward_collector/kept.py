"""What was read or computed last, kept for the next check that asks for it, within bounds."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Kept(Generic[K, V]):
    """The `most` values that were used last, and of these only so many as have `columns` summaries together.

    The newest is kept however large it is. Safe to use from several threads.
    """

    def __init__(self, most: int, columns: int) -> None:
        self._most = most
        self._columns = columns
        self._lock = threading.Lock()
        self._values: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._held = 0

    def get(self, key: K) -> V | None:
        """The value, which is then the one used last."""
        with self._lock:
            found = self._values.get(key)
            if found is None:
                return None
            self._values.move_to_end(key)
            return found[0]

    def put(self, key: K, value: V, columns: int) -> None:
        """Keep it, with so many summaries in it; what was used longest ago makes room."""
        with self._lock:
            _, before = self._values.pop(key, (value, 0))
            self._values[key] = value, columns
            self._held += columns - before
            while len(self._values) > self._most or (self._held > self._columns and len(self._values) > 1):
                _, (_, gone) = self._values.popitem(last=False)
                self._held -= gone

    def clear(self) -> None:
        """Keep nothing."""
        with self._lock:
            self._values.clear()
            self._held = 0
