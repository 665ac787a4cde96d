"""The audit trail: every login, refusal, lock-out, log-out and withdrawal as a document, none lost in silence."""

from __future__ import annotations

import logging
import threading
import uuid
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

import orjson

from modelward_collector.store.protocol import Alias, Document, Outcome, Store, StoreUnavailableError

logger = logging.getLogger("modelward.audit")

MOST_WAITING: Final = 20_000
"""Records kept while the store does not answer; each is also in the log at once."""

AT_A_TIME: Final = 500
AGAIN_AFTER_SECONDS: Final = 2.0


class Action(StrEnum):
    """What was done."""

    LOGIN = "login"
    LOGOUT = "logout"
    LOCKOUT = "lockout"
    DENIED = "denied"  # someone logged in wanted what the role does not allow
    WITHDRAWN = "withdrawn"  # the directory no longer gives a role
    REVOKED = "revoked"  # an administrator ended all sessions of a user


REVOCATION: Final = "revocation"
"""The `kind` of records that end sessions; all others are of the kind `access`."""


@dataclass(frozen=True, slots=True)
class Record:
    """One line of the trail. `session` names the one that ended; with "" and a revocation, all of the user."""

    action: Action
    succeeded: bool
    user: str
    address: str
    reason: str = ""
    message: str = ""
    session: str = ""
    role: str = ""
    by: str = ""
    revokes: bool = False
    path: str = ""

    def to_document(self, at: datetime) -> dict[str, Any]:
        """As it is stored; the names are ECS's."""
        event = {"action": self.action, "outcome": "success" if self.succeeded else "failure", "reason": self.reason}
        document: dict[str, Any] = {
            "@timestamp": at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "kind": REVOCATION if self.revokes else "access",
            "event": {name: value for name, value in event.items() if value},
            "user": {"name": self.user, **({"roles": [self.role]} if self.role else {})},
            "message": self.message,
        }
        if self.address:
            document["source"] = {"ip": self.address}
        if self.session:
            document["id"] = self.session
        if self.by:
            document["by"] = self.by
        if self.path:
            document["url"] = {"path": self.path}
        return document


class AuditTrail:
    """Writes records to the store from a thread of its own; while the store is away they wait, in order."""

    def __init__(self, store: Store, most_waiting: int = MOST_WAITING) -> None:
        self._store = store
        self._most = most_waiting
        self._waiting: deque[Document] = deque()
        self._changed = threading.Condition()
        self._ending = False
        self._thread: threading.Thread | None = None
        self.dropped = 0

    @property
    def waiting(self) -> int:
        """Records that the store does not have yet."""
        return len(self._waiting)

    def start(self) -> None:
        """Begin to write."""
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    def stop(self, seconds: float = 3.0) -> None:
        """Write what waits, if the store answers in that time."""
        with self._changed:
            self._ending = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(seconds)

    def record(self, record: Record, at: datetime | None = None) -> None:
        """Keep it; comes back at once."""
        document = record.to_document(at or datetime.now(UTC))
        logger.info("%s", orjson.dumps(document).decode())
        with self._changed:
            self._waiting.append(Document(Alias.AUDIT, str(uuid.uuid4()), document))
            while len(self._waiting) > self._most:
                self._waiting.popleft()
                self.dropped += 1
                if self.dropped == 1:
                    logger.error("the store does not answer, and the oldest records are now in this log alone")
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._ending:
                    self._changed.wait()
                batch = [self._waiting[number] for number in range(min(AT_A_TIME, len(self._waiting)))]
                if not batch:
                    return
            if self._written(batch):
                with self._changed:
                    for document in batch:
                        # It is still the first, unless the bound let it go meanwhile.
                        if self._waiting and self._waiting[0] is document:
                            self._waiting.popleft()
            else:
                with self._changed:
                    if self._ending:
                        return
                    self._changed.wait(AGAIN_AFTER_SECONDS)

    def _written(self, batch: list[Document]) -> bool:
        try:
            answers = self._store.create(batch)
        except StoreUnavailableError as error:
            logger.warning("the audit trail waits for the store: %s", error)
            return False
        except Exception:
            logger.exception("the audit trail cannot be written")
            return False
        for document, answer in zip(batch, answers, strict=True):
            if answer.outcome is Outcome.REJECTED:
                self.dropped += 1
                logger.error("the store refuses a record of the audit trail, %s: %s", document.id, answer.reason)
        return True


def field(document: Mapping[str, Any], *names: str) -> str:
    """A field of a stored record, "" where there is none."""
    value: Any = document
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, str) else ""
