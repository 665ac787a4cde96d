"""Which log entries each filter counts."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from re import Pattern
from typing import Any, Final

from modelward_agent.journal.parse import Kind, Malformed, Record
from modelward_agent.logfilters.query import LOOKED_AT, Query

SLOW_SECONDS: Final = 0.25
"""A pattern that has computed for so long on one line is switched off, so that it cannot hold up what is read."""

_PATHS_REMEMBERED: Final = 1000


@dataclass(frozen=True, slots=True)
class LogFilter:
    """A filter as it runs: exactly one of `pattern` and `query` is set; `path` is a glob, `model` a model's name."""

    name: str
    pattern: Pattern[str] | None = None
    query: Query | None = None
    path: str | None = None
    model: str | None = None

    def matches(self, document: Mapping[str, Any]) -> bool:
        """Whether a log entry is to be counted; of its message the first `LOOKED_AT` characters are looked at."""
        if self.model is not None and document.get("model") != self.model:
            return False
        if self.query is not None:
            return self.query.matches(document)
        message = document.get("message")
        assert self.pattern is not None
        return type(message) is str and self.pattern.search(message, 0, LOOKED_AT) is not None


class LogFilters:
    """All filters. `look` answers how often each matched, by (filter, model)."""

    def __init__(self, filters: Sequence[LogFilter]) -> None:
        self.filters = tuple(filters)
        self.slow: dict[str, float] = {}
        """Filters that are switched off, and how many seconds they took for one line."""
        self._of_path: dict[str, tuple[LogFilter, ...]] = {}

    def look(self, path: str, entries: Iterable[Record | Malformed]) -> Counter[tuple[str, str]]:
        """Count the log and error entries of a file that match."""
        matched: Counter[tuple[str, str]] = Counter()
        filters = self._for(path)
        if not filters:
            return matched
        log, error = Kind.LOG, Kind.ERROR
        for entry in entries:
            if type(entry) is not Record or (entry.kind is not log and entry.kind is not error):
                continue
            document = entry.document
            for one in filters:
                if one.name in self.slow:
                    continue
                began = time.thread_time() if one.pattern is not None else 0.0
                if one.matches(document):
                    model = document.get("model")
                    matched[one.name, model if type(model) is str else ""] += 1
                if one.pattern is not None and (took := time.thread_time() - began) > SLOW_SECONDS:
                    self.slow[one.name] = took
        return matched

    def _for(self, path: str) -> tuple[LogFilter, ...]:
        filters = self._of_path.get(path)
        if filters is None:
            if len(self._of_path) >= _PATHS_REMEMBERED:
                self._of_path.clear()
            filters = tuple(one for one in self.filters if one.path is None or fnmatchcase(path, one.path))
            self._of_path[path] = filters
        return filters
