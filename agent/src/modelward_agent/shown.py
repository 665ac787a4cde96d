"""Which model versions have series of their own: the newest, and a bounded number of them."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from modelward_agent.told import OTHER

_log = logging.getLogger(__name__)

IDLE_SECONDS: Final = 3600.0
"""A version without traffic for so long gives way to a new one."""

Pair = tuple[str, str]


class ShownVersions:
    """At most `most` (model, version); what has no place shares the version `other`, or the model `other` too.

    A version that is idle gives way to a new one, and a version of the model that has most places to one of a model
    that has fewer: a model that names a version anew with every request takes no place from the others. `forget` is
    told of what gives way, `clock` gives seconds.
    """

    def __init__(self, most: int, forget: Callable[[Pair], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._forget = forget
        self._clock = clock
        self._seen: dict[Pair, float] = {}  # the one that was seen last is last
        self._said = False

    def models(self) -> set[str]:
        """The models that have a place."""
        return {model for model, _ in self._seen}

    def shown(self, pair: Pair) -> Pair:
        """The pair whose series this one counts in; it was seen now."""
        if self._seen.pop(pair, None) is None and len(self._seen) >= self._most and not self._make_room(pair[0]):
            self._say(pair[0])
            return (pair[0] if pair[0] in self.models() else OTHER, OTHER)
        self._seen[pair] = self._clock()
        return pair

    def _make_room(self, model: str) -> bool:
        oldest = next(iter(self._seen))
        if self._clock() - self._seen[oldest] < IDLE_SECONDS:
            places = Counter(one for one, _ in self._seen)
            [(widest, most)] = places.most_common(1)
            if most <= places[model] + 1:
                return False
            oldest = next(pair for pair in self._seen if pair[0] == widest)
        del self._seen[oldest]
        self._forget(oldest)
        return True

    def _say(self, model: str) -> None:
        if not self._said:
            self._said = True
            _log.warning(
                "%s: there are more than %d model versions (metrics.max_models); series of the rest have the version "
                "%r. Is version a name that changes with every request?",
                *(model, self._most, OTHER),
            )
