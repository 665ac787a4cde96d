"""One drift of the year is meant, and somebody says so: in March airlines begin to fly to other places than in January.

Everything else that drifts is left as it is: nobody has said that the model may be asked about such weather.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

from modelward_collector.accepting import Asked, NotAcceptedError, propose
from modelward_collector.checks.acceptance import Acceptance
from modelward_collector.checks.result import CheckKind
from modelward_collector.config import SqliteSettings
from modelward_collector.store import acceptances as stored
from modelward_collector.store.protocol import Store, StoreUnavailableError
from modelward_collector.stores import open_store

FEATURE = "dest"
AT = datetime(2013, 4, 1, tzinfo=UTC)
"""A month after it began: the first check from here on by which it drifts is the one that is answered."""

BY = "demo"
REASON = "the timetable of spring; the model knows the places"

LOOK_EVERY_SECONDS = 1.0


class Accepting:
    """Who reads the verdicts beside the collector, as `modelward accept` does, and accepts one of them, once."""

    def __init__(self, database: Path, model: str) -> None:
        self._store: Store = open_store(SqliteSettings(kind="sqlite", path=database))
        self._model = model
        self._looked = 0.0
        self._done = False

    def look(self) -> Acceptance | None:
        """What was accepted just now; at most one look a second, and None for ever after it was."""
        if self._done or time.monotonic() - self._looked < LOOK_EVERY_SECONDS:
            return None
        self._looked = time.monotonic()
        try:
            return self._accept()
        except StoreUnavailableError:  # busy; another look follows
            return None

    def close(self) -> None:
        """No more looks."""
        self._store.close()

    def _accept(self) -> Acceptance | None:
        latest = [
            one
            for one in self._store.latest_results()
            if one.model == self._model and one.check is CheckKind.DRIFT and one.end >= AT
        ]
        if not latest:
            return None
        if stored.acceptances(self._store, self._model):
            self._done = True
            return None
        try:
            said = propose(latest, Asked(self._model, BY, FEATURE, reason=REASON), max(one.end for one in latest))
        except NotAcceptedError:  # it does not drift in this window
            return None
        stored.accept(self._store, *said)
        self._done = True
        return said[0]
