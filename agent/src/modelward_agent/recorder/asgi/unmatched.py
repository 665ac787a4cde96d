"""Says once that requests come and that none of them is one whose predictions are to be recorded."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress

from modelward_agent.recorder.recorder import Recorder

QUIET_SECONDS = 120.0
"""How long requests have to come without one of ours before that is said."""

NOTICE_FIELD = "event.code"
NOTICE = "modelward-nothing-recorded"
"""By this field of a `log` line the agent knows that nothing of the model is recorded, and why."""

_MOST_SEEN = 64
_MOST_SHOWN = 5
_LONGEST_PATH = 200  # characters

_logger = logging.getLogger(__name__)


class Unmatched:
    """Looks at the clock whenever a request passes, until one is recorded or the notice is given.

    `clock` answers in seconds and never goes back.
    """

    def __init__(self, recorder: Recorder, patterns: Sequence[str], clock: Callable[[], float]) -> None:
        self.waits = True
        self._recorder = recorder
        self._patterns = patterns
        self._clock = clock
        self._since: float | None = None
        self._seen: Counter[str] = Counter()

    def recorded(self) -> None:
        """One of ours has come: there is nothing to say any more."""
        self.waits = False
        self._seen.clear()

    def answered(self, path: str) -> None:
        """A request for something else was answered that may have been for a prediction."""
        if not self.waits:
            return
        if self._since is None:
            self._since = self._clock()
        self._seen[path[:_LONGEST_PATH]] += 1
        if len(self._seen) > _MOST_SEEN:
            self._seen = Counter(dict(self._seen.most_common(_MOST_SEEN // 2)))  # room for what comes often later
        self.look()

    def look(self) -> None:
        """Say it when it is time to."""
        if self.waits and self._since is not None and self._clock() - self._since >= QUIET_SECONDS:
            self._say()
            self.recorded()

    def _say(self) -> None:
        seen = [path for path, _ in self._seen.most_common(_MOST_SHOWN)]
        more = ", and others" if len(self._seen) > _MOST_SHOWN else ""
        message = (
            f"nothing is recorded of model {self._recorder.model}: in {QUIET_SECONDS / 60:.0f} minutes no request was "
            f"for paths={list(self._patterns)!r}, while these were answered: {seen!r}{more}; "
            "give RecorderMiddleware as paths those of the predictions (globs and {name} may be in them)"
        )
        with suppress(Exception):  # the application's own handler may raise
            _logger.warning("modelward: %s", message)
        self._recorder.log(message, level="warning", fields={"log.logger": __name__, NOTICE_FIELD: NOTICE})
