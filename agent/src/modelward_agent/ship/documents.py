"""From a record to the document that is stored."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple
from zlib import crc32

import orjson

from modelward_agent.config import Events
from modelward_agent.journal.parse import Kind, Malformed, Record
from modelward_agent.values import FLOAT_WORDS

EVENTS = "modelward-events"
LOGS = "modelward-logs"
PROFILES = "modelward-profiles"
ALIASES = (EVENTS, LOGS, PROFILES)

_NUMBERS = frozenset({int, float})
_OBJECTS = frozenset(
    {"actual", "agent", "business", "error", "features", "log", "prediction", "segment", "stage", "window"}
)
"""What is an object in every stored document; anything else under these names would have the document refused."""

_ENTRY_OBJECTS = _OBJECTS | {"event", "host", "labels", "process", "service", "trace", "url"}
_BESIDE_PREDICTION, _BESIDE_ACTUAL = _OBJECTS - {"prediction"}, _OBJECTS - {"actual"}
_SAMPLED = frozenset({Kind.PREDICTION, Kind.ACTUAL})


class Item(NamedTuple):
    """One document to create under an id behind an alias; `body` is its JSON."""

    alias: str
    id: str
    body: bytes


def outcome(value: Any) -> dict[str, Any] | None:
    """A prediction or an actual: `value` when it is a finite number, `label` otherwise; None when there is none.

    Of {class: probability} the most probable class is the label, and its probability the score.
    """
    kind = type(value)
    if kind is float or kind is int:
        return {"value": value}
    if kind is str:
        return {"label": value}
    if kind is bool:
        return {"label": "true" if value else "false"}
    if kind is not dict or not value:
        return None
    top, score = None, -math.inf
    for name, probability in value.items():
        number = FLOAT_WORDS.get(probability, math.nan) if type(probability) is str else probability
        if number > score:
            top, score = name, number
    stored: dict[str, Any] = {"probabilities": value}
    if top is not None:
        stored["label"] = top
        if math.isfinite(score):
            stored["score"] = score
    return stored


def _keep_apart(document: dict[str, Any], objects: frozenset[str]) -> None:
    """What is no object under such a name is kept as `<name>_text`."""
    if not objects.isdisjoint(document):
        for name in document.keys() & objects:
            if type(document[name]) is not dict and document[name] is not None:
                document[f"{name}_text"] = document.pop(name)


def _keep_model_apart(document: dict[str, Any]) -> None:
    """On lines that need no model it may be anything."""
    for name in ("model", "version"):
        if type(document.get(name)) in (dict, list):
            document[f"{name}_text"] = document.pop(name)


def _move_vectors(document: dict[str, Any]) -> None:
    """Lists of numbers go to `vectors`, which is stored and not indexed."""
    features = document["features"]
    if list not in map(type, features.values()):
        return
    vectors = {name: value for name, value in features.items() if type(value) is list}
    document["features"] = {name: value for name, value in features.items() if type(value) is not list}
    document["vectors"] = vectors


def _name_segments(document: dict[str, Any]) -> None:
    """`segments` are the parts of the segment as `name=value`, one list to choose from whatever the names are."""
    if "segments" in document:
        document["segments_text"] = document.pop("segments")
    segment = document.get("segment")
    if type(segment) is dict and segment:
        document["segments"] = [f"{name}={value}" for name, value in segment.items()]


def _prediction(document: dict[str, Any]) -> None:
    _keep_apart(document, _BESIDE_PREDICTION)
    _move_vectors(document)
    _name_segments(document)
    if (stored := outcome(document.pop("prediction", None))) is not None:
        document["prediction"] = stored


def _actual(document: dict[str, Any]) -> None:
    _keep_apart(document, _BESIDE_ACTUAL)
    _name_segments(document)
    document["actual"] = outcome(document["actual"])


def _business(document: dict[str, Any]) -> None:
    _keep_apart(document, _OBJECTS)
    _keep_model_apart(document)
    names = ("event", "value", "currency", "source")
    document["business"] = {name: document.pop(name) for name in names if name in document}


def _stage(document: dict[str, Any]) -> None:
    stage = {"name": document.pop("stage")}
    for name in ("pipeline", "run", "status", "duration_ms", "rows"):
        if name in document:
            stage[name] = document.pop(name)
    _keep_apart(document, _OBJECTS)
    _keep_model_apart(document)
    document["stage"] = stage


def _entry(document: dict[str, Any]) -> None:
    _keep_apart(document, _ENTRY_OBJECTS)
    _keep_model_apart(document)
    _name_segments(document)


_SHAPES = {
    Kind.PREDICTION: _prediction,
    Kind.ACTUAL: _actual,
    Kind.BUSINESS: _business,
    Kind.STAGE: _stage,
    Kind.ERROR: _entry,
    Kind.LOG: _entry,
}


class Documents:
    """Makes the documents of one host's records, as the policy on raw events says.

    `refused` is called with the id of a record that no document can be made of.
    """

    def __init__(
        self, host: str, events: Events, refused: Callable[[str, Exception], None] = lambda event_id, error: None
    ) -> None:
        self._host = {"name": host}
        self._refused = refused
        self._events = events
        self._all = not events.models and events.default.keep >= 1.0

    def kept(self, record: Record, event_id: str) -> bool:
        """Whether the event is shipped: a prediction and its actual are, or are not, together."""
        if self._all or record.kind not in _SAMPLED:
            return True
        keep = self._events.keep(record.document["model"])
        if keep >= 1.0 or keep <= 0.0:
            return keep >= 1.0
        drawn = crc32((record.document.get("id") or event_id).encode("utf-8", "surrogatepass"))
        return drawn < keep * 2**32

    def items(self, key: str, entries: Iterable[tuple[int, Record | Malformed]]) -> list[Item]:
        """The documents of entries at these offsets of the file with this key; records' documents are used up."""
        items: list[Item] = []
        append, dumps, host = items.append, orjson.dumps, self._host
        shapes, log, all_kept = _SHAPES, Kind.LOG, self._all
        for offset, record in entries:
            if type(record) is not Record:
                continue
            event_id = f"{key}-{offset:x}"
            if not all_kept and not self.kept(record, event_id):
                continue
            kind, _, document = record
            try:
                shape = shapes.get(kind)
                if shape is not None:
                    shape(document)
                document["host"] = host
                # What orjson answers keeps the 16 KiB that it was written in: many of these wait, so each is copied.
                append(Item(LOGS if kind is log else EVENTS, event_id, bytes(memoryview(dumps(document)))))
            except Exception as error:
                # One record must not keep back all that follow it.
                self._refused(event_id, error)
        return items
