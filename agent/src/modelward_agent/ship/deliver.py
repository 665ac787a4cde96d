"""Delivering items, however long it takes: every one is created, known to be there, or in the quarantine."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from threading import Event

from modelward_agent.journal.checkpoint import Shipped
from modelward_agent.ship.bulk import (
    BadRequestError,
    BulkClient,
    BulkError,
    ItemResult,
    RefusedError,
    TooLargeError,
    UnavailableError,
)
from modelward_agent.ship.documents import Item

_log = logging.getLogger(__name__)

FIRST_PAUSE = 0.5
"""Longest first pause, in seconds; it doubles with each failure."""

SLOW_PAUSE = 5.0
"""Shortest pause, in seconds, when a person must change something first."""

_SHORTEST_PAUSE = 0.05
_SMALLEST_REQUEST = 64 * 1024
_INDEX_GONE = frozenset({"index_not_found_exception", "index_closed_exception"})


class StoppedError(Exception):
    """The agent is shutting down; what was not delivered will be after the next start."""


@dataclass(slots=True)
class Progress:
    """What was delivered, and what went wrong last; read by other threads."""

    created: int = 0
    conflicts: int = 0
    rejected: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    last_error: str = ""


def pause(failures: int, longest: float, *, slow: bool = False) -> float:
    """Seconds to wait after this many failures in a row: exponential, with full jitter, never next to nothing."""
    bound = min(longest, FIRST_PAUSE * 2 ** min(failures - 1, 30))
    drawn = random.uniform(_SHORTEST_PAUSE, max(bound, _SHORTEST_PAUSE))  # noqa: S311 - to spread load, not to hide
    return max(drawn, min(SLOW_PAUSE, longest)) if slow else drawn


class Delivery:
    """Sends items until each is resolved. Used by the shipping thread alone.

    An alias's index is looked up once, made durable before anything is created in it, and used for every repetition.
    """

    def __init__(
        self,
        client: BulkClient,
        shipped: Shipped,
        rejected: Callable[[Item, ItemResult], None],
        stop: Event,
        *,
        request_bytes: int,
        longest_pause: float,
    ) -> None:
        self.client = client
        self._shipped = shipped
        self._rejected = rejected
        self._stop = stop
        self.request_bytes = request_bytes
        self.longest_pause = longest_pause
        self.progress = Progress()

    def deliver(self, items: Sequence[Item]) -> None:
        """Return when every item is resolved; `StoppedError` when the agent shuts down before."""
        waiting = list(items)
        failures = 0
        while waiting:
            if self._stop.is_set():
                raise StoppedError
            request, rest = self._split(waiting)
            try:
                retry, trouble = self._send(request)
            except (TooLargeError, BadRequestError) as error:
                if len(request) == 1:
                    self._reject(request[0], ItemResult(400, error.reason, str(error)))
                    waiting = rest
                    continue
                self._failed(error.reason, str(error))
                if isinstance(error, TooLargeError):
                    self.request_bytes = max(_SMALLEST_REQUEST, self.request_bytes // 2)
                self.deliver(request[: len(request) // 2])
                waiting = request[len(request) // 2 :] + rest
                continue
            except (BulkError, OSError) as error:
                # An OSError is the state folder's: the index could not be made durable.
                retry, trouble = list(request), error
            waiting = retry + rest
            if trouble is None:
                failures = 0
                continue
            failures += 1
            self._failed(getattr(trouble, "reason", "state"), str(trouble))
            refused = isinstance(trouble, RefusedError)
            self._wait(pause(failures, self.longest_pause, slow=refused))
        if failures:
            _log.info("delivering again after %d failed attempts", failures)
        self.progress.last_error = ""

    def send_once(self, item: Item) -> None:
        """Send an item that may be lost; raises a `BulkError` or OSError when the attempt fails as a whole."""
        self.client.create([item], {item.alias: self._index(item.alias)})

    def _split(self, items: list[Item]) -> tuple[list[Item], list[Item]]:
        size = 0
        for index, item in enumerate(items):
            size += len(item.body) + 96
            if size > self.request_bytes and index:
                return items[:index], items[index:]
        return items, []

    def _send(self, items: Sequence[Item]) -> tuple[list[Item], Exception | None]:
        """One request; answers the items to send again, and why."""
        indices = {alias: self._index(alias) for alias in {item.alias for item in items}}
        results = self.client.create(items, indices)
        again: list[Item] = []
        trouble: Exception | None = None
        for item, result in zip(items, results, strict=True):
            status = result.status
            if status in (200, 201):
                self.progress.created += 1
            elif status == 409:
                self.progress.conflicts += 1
            elif result.error_type in _INDEX_GONE:
                self._shipped.indices.pop(item.alias, None)
                again.append(item)
                trouble = UnavailableError(
                    "index_gone", f"{indices[item.alias]} is gone; looking {item.alias} up again"
                )
            elif status in (401, 403):
                again.append(item)
                message = f"{indices[item.alias]}: {result.reason}; check the agent's role, and whether it is read-only"
                trouble = RefusedError(f"item_{status}", message)
            elif status == 429 or status >= 500 or status == 408:
                again.append(item)
                if not isinstance(trouble, RefusedError):
                    trouble = UnavailableError(f"item_{status}", f"{indices[item.alias]}: {result.reason}")
            else:
                self._reject(item, result)
        return again, trouble

    def _reject(self, item: Item, result: ItemResult) -> None:
        self._rejected(item, result)
        self.progress.rejected += 1

    def _index(self, alias: str) -> str:
        index = self._shipped.indices.get(alias)
        if index is None:
            index, _ = self.client.write_index(alias)
            self._shipped.indices[alias] = index
            try:
                self._shipped.save()
            except OSError:
                del self._shipped.indices[alias]
                raise
        return index

    def look_up_again(self, aliases: Iterable[str], *, may_change: bool) -> None:
        """Follow rollovers. Call it between deliveries.

        With `may_change` nothing may be unacknowledged; without, an index is only given up when it is gone.
        """
        for alias in aliases:
            pinned = self._shipped.indices.get(alias)
            if pinned is None:
                continue
            index, behind = self.client.write_index(alias)
            if index != pinned and (may_change or pinned not in behind):
                # The offsets and the new name become durable together, before the name is used.
                self._shipped.indices[alias] = index
                try:
                    self._shipped.save()
                except OSError:
                    self._shipped.indices[alias] = pinned
                    raise
                _log.info("%s: writing to %s, no longer to %s", alias, index, pinned)

    def _failed(self, reason: str, message: str) -> None:
        self.progress.failures[reason] = self.progress.failures.get(reason, 0) + 1
        if message != self.progress.last_error:
            _log.error("cannot deliver: %s", message)
        self.progress.last_error = message

    def _wait(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise StoppedError
