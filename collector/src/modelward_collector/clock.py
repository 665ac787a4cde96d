"""What "now" means to the collector: the wall's time, or the time of the data that is being replayed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol

from modelward_collector.store.protocol import Store


class Clock(Protocol):
    """The moment that schedules, windows and "how long ago" go by."""

    replays: bool
    """True when time is the data's: it jumps, stands still, and every due time in between is still wanted."""

    def now(self) -> datetime:
        """The moment, aware UTC."""

    def describe(self) -> str:
        """What people read beside a time, for example `replaying, data up to 2013-03-04 10:00 UTC`."""


class WallClock:
    """The machine's own time."""

    replays = False

    def now(self) -> datetime:
        """The present, aware UTC."""
        return datetime.now(UTC)

    def describe(self) -> str:
        """`UTC`, since that is all there is to say."""
        return "UTC"


class ReplayClock:
    """The start of the latest profile window in the store, before which data is complete; the epoch without data.

    It never goes back.
    """

    replays = True

    def __init__(self, store: Store) -> None:
        self._store = store
        self._latest = datetime.fromtimestamp(0, UTC)

    def now(self) -> datetime:
        """The watermark, aware UTC; `StoreUnavailableError` when the store does not answer."""
        mark = self._store.watermark()
        if mark is not None:
            self._latest = max(self._latest, mark)
        return self._latest

    def describe(self) -> str:
        """How far the data goes, without asking the store again."""
        if self._latest.timestamp() == 0:
            return "replaying, no data yet"
        return f"replaying, data up to {self._latest:%Y-%m-%d %H:%M} UTC"
