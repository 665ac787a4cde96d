"""The lease that decides which of several collectors on one store schedules."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import time
from datetime import UTC, datetime, timedelta

from modelward_collector.store.protocol import Store, StoreUnavailableError

logger = logging.getLogger(__name__)

LEASE_TTL = timedelta(seconds=12)
"""With a renewal every 3 s, another collector takes over within 15 s of a holder's death."""

RENEW_EVERY_SECONDS = 3.0


class Lease:
    """One named lease of the store, for one holder; lapses here, too, when it could not be renewed in time."""

    def __init__(self, store: Store, name: str, ttl: timedelta = LEASE_TTL) -> None:
        self.holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._store = store
        self._name = name
        self._ttl = ttl
        self._held_until = float("-inf")
        self._told: bool | None = None
        self._lock = threading.Lock()

    @property
    def held(self) -> bool:
        """Whether this holder may act as the only one."""
        return time.monotonic() < self._held_until

    def renew(self) -> bool:
        """Take the lease or hold on to it; whether that worked."""
        with self._lock:
            asked = time.monotonic()
            try:
                held = self._store.acquire_lease(self._name, self.holder, self._ttl, datetime.now(UTC))
            except StoreUnavailableError as error:
                logger.warning("the lease %s could not be renewed: %s", self._name, error)
                return self.held
            self._held_until = asked + self._ttl.total_seconds() if held else float("-inf")
            if held != self._told:
                self._told = held
                what = "this collector schedules" if held else "another collector schedules; this one stands by"
                logger.info("lease %s: %s", self._name, what)
            return held

    def release(self) -> None:
        """Give it up, so that another collector need not wait for it to lapse."""
        with self._lock:
            held, self._held_until = self.held, float("-inf")
            if not held:
                return
            try:
                self._store.release_lease(self._name, self.holder)
            except StoreUnavailableError as error:
                logger.warning("the lease %s could not be given up and will lapse: %s", self._name, error)
