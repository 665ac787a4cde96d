"""Models of which a Recorder says that requests come and nothing is recorded, until something is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from modelward_agent.journal.parse import MAX_NAME, Kind, Record
from modelward_agent.recorder.asgi.unmatched import NOTICE, NOTICE_FIELD

MOST_NOTICES: Final = 100
"""Models that are kept; of more, the ones that were said latest."""

_LONGEST_MESSAGE = 1_000  # characters

_RECORDED = frozenset({Kind.PREDICTION, Kind.ERROR})


class Unrecorded:
    """The latest notice of each model, by the time that it was given."""

    def __init__(self, notices: Iterable[Mapping[str, Any]] = ()) -> None:
        self._notices: dict[str, tuple[float, str]] = {}
        for notice in notices:
            self._keep(float(notice["at"]), notice["model"], notice["message"])

    def look(self, records: Sequence[Record]) -> None:
        """Take in records, in the order of their file."""
        if not self._notices and not any(record.kind is Kind.LOG and _is_notice(record.document) for record in records):
            return
        for kind, at, document in records:
            if kind is Kind.LOG and _is_notice(document):
                self._keep(at, document.get("model"), document.get("message"))
            elif kind in _RECORDED and (notice := self._notices.get(document["model"])) and at >= notice[0]:
                del self._notices[document["model"]]

    def _keep(self, at: float, model: Any, message: Any) -> None:
        if not isinstance(model, str) or not 0 < len(model) <= MAX_NAME:
            return
        if at < self._notices.get(model, (at, ""))[0]:
            return
        self._notices[model] = (at, _printable(str(message)[:_LONGEST_MESSAGE]))
        while len(self._notices) > MOST_NOTICES:
            del self._notices[min(self._notices, key=lambda name: self._notices[name][0])]

    @property
    def shown(self) -> list[dict[str, Any]]:
        """As `status.json` has it: of each model `model`, `at` in Unix seconds and `message`."""
        return [
            {"model": model, "at": at, "message": message} for model, (at, message) in sorted(self._notices.items())
        ]


def unrecorded_of(status: Path) -> Unrecorded:
    """What the agent before this one kept: journals are read once. Of a file that cannot be read there is nothing."""
    try:
        return Unrecorded(orjson.loads(status.read_bytes())["unrecorded"])
    except (OSError, ValueError, KeyError, TypeError):
        return Unrecorded()


def _is_notice(document: Mapping[str, Any]) -> bool:
    return document.get(NOTICE_FIELD) == NOTICE


def _printable(text: str) -> str:
    """For a terminal: whoever writes to a journal must not command it."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
