"""How often each filter matched, on disk before anyone sees it.

What was folded since the last commit is read again after a `kill -9`, and the counts of that stretch are already in
Prometheus. So the counts go on where they were, and up to which offset of which file they hold is stored with them, in
one file that is replaced at once; `/metrics` shows only what is stored. Nothing is written while nothing matches.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import orjson

from modelward_agent.journal.checkpoint import FORMAT, DamageError, damage_of, read_state, write_durably

_log = logging.getLogger(__name__)

SAVE_SECONDS: Final = 0.5
"""Shortest time between two writings."""

OTHER: Final = "other"
"""The model of matches beyond the bound on series."""

Pair = tuple[str, str]


class LogCounts:
    """Matches by (filter, model), for at most `max_models` models.

    Counts that are damaged on disk start from 0, as a counter may; `StateError` when a newer agent wrote them.
    """

    _REMEDY = "remove it: the counts of log filters start from 0, and what is read again is counted again"

    def __init__(self, folder: Path, max_models: int) -> None:
        self._path = folder / "log_matches.json"
        self._max_models = max_models
        self.shown: Counter[Pair] = Counter()
        self._counted: dict[str, int] = {}
        self._read()
        self._models = {model for _, model in self.shown}
        self._waiting: Counter[Pair] = Counter()
        self._saved_at = 0.0

    def _read(self) -> None:
        try:
            content = read_state(self._path, self._REMEDY) or {"counts": [], "offsets": {}}
            with damage_of(self._path, self._REMEDY):
                shown = Counter({(str(name), str(model)): int(n) for name, model, n in content["counts"]})
                self._counted = {str(key): int(offset) for key, offset in content["offsets"].items()}
                self.shown = shown
        except DamageError as error:
            _log.error("%s; that is done now", error)

    def counted(self, key: str) -> int:
        """Entries of the file that start before this offset are counted already."""
        return self._counted.get(key, 0)

    def add(self, matched: Mapping[Pair, int]) -> None:
        """Count matches; they are shown once they are stored."""
        for (name, model), count in matched.items():
            if model not in self._models:
                if len(self._models) >= self._max_models:
                    model = OTHER
                self._models.add(model)
            self._waiting[name, model] += count

    @property
    def waiting(self) -> bool:
        """Whether there are matches that are not stored."""
        return bool(self._waiting)

    @property
    def due(self) -> bool:
        """Whether there are such, and time has passed since the last writing."""
        return self.waiting and time.monotonic() >= self._saved_at + SAVE_SECONDS

    def save(self, folded: Mapping[str, int], names: Iterable[str]) -> None:
        """Store and then show what is counted up to these offsets of the files that are read further than committed.

        Counts of filters that are no longer among `names` are forgotten. OSError when it cannot be stored; the
        counts are shown all the same: an alarm matters more than a match that may be counted again.
        """
        self._saved_at = time.monotonic()
        kept = frozenset(names)
        total = Counter({pair: count for pair, count in (self.shown + self._waiting).items() if pair[0] in kept})
        content = {
            "format": FORMAT,
            "counts": [[name, model, count] for (name, model), count in sorted(total.items())],
            "offsets": dict(folded),
        }
        try:
            # Before they are shown: a counter that goes back after a kill is taken for one that started anew.
            write_durably(self._path, [orjson.dumps(content)])
            self._counted = dict(folded)
        finally:
            self._waiting.clear()
            self.shown = total
