"""How often each filter matched, on disk before anyone sees it.

What was folded since the last commit is read again after a `kill -9`, and the counts of that stretch are already in
Prometheus. So the counts go on where they were, and up to which offset of which file they hold is stored with them, in
one file that is replaced at once; `/metrics` shows only what is stored. Nothing is written while nothing matches.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import orjson

from modelward_agent.journal.checkpoint import FORMAT, StateError, read_state, write_durably

SAVE_SECONDS: Final = 0.5
"""Shortest time between two writings."""

OTHER: Final = "other"
"""The model of matches beyond the bound on series."""

Pair = tuple[str, str]


class LogCounts:
    """Matches by (filter, model), for at most `max_models` models. `StateError` when the state cannot be read."""

    def __init__(self, folder: Path, max_models: int) -> None:
        self._path = folder / "log_matches.json"
        self._max_models = max_models
        content = read_state(self._path) or {"counts": [], "offsets": {}}
        try:
            self.shown: Counter[Pair] = Counter({(name, model): int(n) for name, model, n in content["counts"]})
            self._counted = {str(key): int(offset) for key, offset in content["offsets"].items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StateError(f"{self._path} is damaged ({error!r}); remove it, the counts start from 0") from error
        self._models = {model for _, model in self.shown}
        self._waiting: Counter[Pair] = Counter()
        self._saved_at = 0.0

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
