"""How long the next login must wait after ones that failed."""

from __future__ import annotations

import ipaddress
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

FIRST_WAIT_SECONDS: Final = 5.0
FORGOTTEN_AFTER_SECONDS: Final = 3_600.0
"""Without a failure for so long, one starts anew."""

MOST_KEYS: Final = 50_000
"""Names and addresses remembered; beyond it those with the oldest failure go."""


SITE_BITS: Final = 64
"""Of an IPv6 address; the rest a host chooses as it likes."""


def source_of(address: str) -> str:
    """What failures from an address are counted under: an IPv4 address, or the IPv6 network of 2^64 it is in."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    mapped = parsed.ipv4_mapped
    return str(mapped or ipaddress.ip_network(f"{parsed}/{SITE_BITS}", strict=False))


class LockedError(Exception):
    """Too many failures; the next attempt is looked at after `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"locked for {seconds:.0f} s")
        self.seconds = seconds


@dataclass(slots=True)
class _Failures:
    count: int
    last: float
    until: float
    by_user: dict[str, int] = field(default_factory=dict)
    """Of an address: how many of them were with each name."""


class Lockout:
    """Failures by user name and by address, whether or not there is such a user.

    `attempt` counts a failure before the password is looked at, so that a thousand at once are a thousand; `succeeded`
    takes it back. `clock` is monotonic seconds. Safe to use from several threads.
    """

    def __init__(
        self,
        user_failures: int,
        address_failures: int,
        longest: timedelta,
        clock: Callable[[], float],
        most_keys: int = MOST_KEYS,
    ) -> None:
        self._allowed = {"user": user_failures, "address": address_failures}
        self._longest = longest.total_seconds()
        self._clock = clock
        self._most = most_keys
        self._failures: OrderedDict[tuple[str, str], _Failures] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._failures)

    def attempt(self, user: str, address: str) -> bool:
        """Count an attempt; `LockedError` when it comes too soon. Whether its failure would begin a lock-out."""
        keys = [("user", user), ("address", address)]
        with self._lock:
            now = self._clock()
            wait = max((self._wait(key, now) for key in keys), default=0.0)
            if wait > 0:
                for key in keys:
                    if key in self._failures:
                        self._failures.move_to_end(key)
                raise LockedError(wait)
            begins = [self._count(key, now) for key in keys]
            of_address = self._failures.get(("address", address))
            if of_address is not None:
                of_address.by_user[user] = of_address.by_user.get(user, 0) + 1
            return any(begins)

    def succeeded(self, user: str, address: str) -> None:
        """Forget the user's failures, there and of the address, whose failures with other names stay.

        A person who mistypes and then gets it right, or `make verify` which tries both, never adds up to a lock-out.
        """
        with self._lock:
            self._failures.pop(("user", user), None)
            of_address = self._failures.get(("address", address))
            if of_address is not None:
                of_address.count -= of_address.by_user.pop(user, 1)
                of_address.until = 0.0
                if of_address.count <= 0:
                    del self._failures[("address", address)]

    def undecided(self, user: str, address: str) -> None:
        """Take the attempt back: nobody could say whether it was right."""
        with self._lock:
            for key in (("user", user), ("address", address)):
                failures = self._failures.get(key)
                if failures is not None:
                    failures.count -= 1
                    failures.until = 0.0
                    if user in failures.by_user:
                        failures.by_user[user] -= 1
                    if failures.count <= 0:
                        del self._failures[key]

    def _wait(self, key: tuple[str, str], now: float) -> float:
        failures = self._failures.get(key)
        return 0.0 if failures is None else failures.until - now

    def _count(self, key: tuple[str, str], now: float) -> bool:
        failures = self._failures.pop(key, None)
        if failures is None or now - max(failures.last, failures.until) > FORGOTTEN_AFTER_SECONDS:
            failures = _Failures(0, now, 0.0)
        failures.count += 1
        failures.last = now
        beyond = failures.count - self._allowed[key[0]]
        if beyond >= 0:
            failures.until = now + min(self._longest, FIRST_WAIT_SECONDS * 2.0 ** min(beyond, 40))
        # The last to try is the last to be forgotten.
        self._failures[key] = failures
        while len(self._failures) > self._most:
            self._failures.popitem(last=False)
        return beyond == 0
