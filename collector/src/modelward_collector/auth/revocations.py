"""Sessions that were ended before their time, remembered until that time has passed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from modelward_collector.auth.audit import REVOCATION, field
from modelward_collector.auth.names import known_as
from modelward_collector.auth.session import Session
from modelward_collector.span import Span
from modelward_collector.store.protocol import Alias, Store

A_PAGE: Final = 1_000
OVERLAP: Final = timedelta(minutes=10)
"""How far back each look goes: clocks differ, and a store shows a document a moment after it took it."""

WHOLE_EVERY: Final = timedelta(minutes=5)
"""How often all is read: what was written late, because the store had been away, lies further back."""


class Revocations:
    """What ended sessions, of this collector and of others on the same store. Safe to use from several threads."""

    def __init__(self, store: Store, absolute: timedelta, now: Callable[[], float]) -> None:
        self._store = store
        self._absolute = absolute
        self._now = now
        self._begun = now()
        self._whole_at = float("-inf")
        self._sessions: dict[str, float] = {}
        self._users: dict[str, float] = {}
        self._lock = threading.Lock()

    @property
    def known(self) -> bool:
        """Whether the store has been read since this process began."""
        return self._whole_at > float("-inf")

    def end_session(self, session_id: str) -> None:
        """One session is over."""
        with self._lock:
            self._sessions[session_id] = self._now()

    def end_user(self, username: str, before: float) -> None:
        """Every session of the user that began before this moment is over."""
        with self._lock:
            key = known_as(username)
            self._users[key] = max(before, self._users.get(key, 0.0))

    def ended(self, session: Session) -> bool:
        """Whether this session is over."""
        return session.id in self._sessions or session.started <= self._users.get(known_as(session.username), 0.0)

    def undecided(self, session: Session) -> bool:
        """Whether that cannot be said: it began before this process, which has not read the store yet."""
        return not self.known and session.started < self._begun

    def read(self) -> None:
        """Look for new ones in the store; raises `StoreUnavailableError`."""
        now = self._now()
        whole = now - self._whole_at >= WHOLE_EVERY.total_seconds()
        moment = datetime.fromtimestamp(now, UTC)
        span = Span(moment - (self._absolute if whole else OVERLAP), moment + OVERLAP)
        after: str | None = None
        while True:
            page = self._store.events(Alias.AUDIT, span, kind=REVOCATION, limit=A_PAGE, after=after)
            for document in page.items:
                at = datetime.fromisoformat(field(document, "@timestamp")).timestamp()
                if session_id := field(document, "id"):
                    with self._lock:
                        self._sessions.setdefault(session_id, at)
                else:
                    self.end_user(field(document, "user", "name"), at)
            after = page.after
            if after is None:
                break
        if whole:
            self._whole_at = now
            self._forget(now - self._absolute.total_seconds())

    def _forget(self, before: float) -> None:
        with self._lock:
            for kept in (self._sessions, self._users):
                for key in [key for key, at in kept.items() if at < before]:
                    del kept[key]
