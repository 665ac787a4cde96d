"""What was accepted, kept in the audit trail: who said when what is normal, read back for every check by it."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from modelward_collector.checks.acceptance import Acceptance, AcceptanceKind
from modelward_collector.span import Span
from modelward_collector.store import shape
from modelward_collector.store.protocol import Alias, Document, Outcome, Store

logger = logging.getLogger(__name__)

ACCEPTANCE: Final = "acceptance"
"""The `kind` of these records among those of the audit trail."""

ACCEPT: Final = "accept"
"""Their `event.action`."""

RENEW: Final = "renew"
"""The `event.action` of a record that is written anew before it is too old to be kept."""

A_PAGE: Final = 1_000
_ALWAYS: Final = Span(shape.EPOCH, shape.LATEST)

_MOST_REMEMBERED: Final = 10_000
_unreadable: set[tuple[str, str]] = set()
"""Records that were left out and said so, by model and id: a check that runs hourly says it once."""


class AcceptanceRefusedError(Exception):
    """The store can never keep the acceptance; the message says why."""


def new_id() -> str:
    """An id that no other acceptance has."""
    return str(uuid.uuid4())


def accept(store: Store, *said: Acceptance) -> None:
    """Keep them: once this returns they are in the audit trail, and every check from now on goes by them.

    The same one again changes nothing. `AcceptanceRefusedError` when the store refuses one, and `StoreUnavailableError`
    when it does not answer.
    """
    answers = store.create([Document(Alias.AUDIT, one.id, _document(one)) for one in said])
    for one, answer in zip(said, answers, strict=True):
        if answer.outcome is Outcome.REJECTED:
            raise AcceptanceRefusedError(f"the store refuses the acceptance of {one.model}: {answer.reason}")
        logger.info("%s accepted: %s", one.by, one.describe())


def acceptances(store: Store, model: str, *, until: datetime | None = None) -> list[Acceptance]:
    """What was said of the model, at `until` at the latest where that is given; oldest first.

    One query that finds them by their kind, whatever else the trail has; a model has few. A record that does not fit is
    left out and logged once. `StoreUnavailableError` when the store does not answer.
    """
    # One that was renewed is there more than once.
    found: dict[str, Acceptance] = {}
    for document in _records(store, _ALWAYS, model):
        try:
            one = _acceptance(document)
        except shape.ShapeError as error:
            _leave_out(model, shape.text(document.get("_id")), error)
        else:
            found.setdefault(one.id, one)
    listed = reversed(found.values())
    return sorted((one for one in listed if until is None or one.at <= until), key=lambda one: one.at)


def renew(store: Store, before: datetime) -> int:
    """Write anew what the trail has only from before that moment; how many.

    An acceptance holds for as long as nobody says otherwise, while the trail's old records are deleted.
    """
    old = list(_records(store, Span(shape.EPOCH, before)))
    if not old:
        return 0
    kept = {_id(document) for document in _records(store, Span(before, shape.LATEST))}
    now = datetime.now(UTC)
    again = {
        _id(document): {
            **{name: value for name, value in document.items() if name not in ("_id", "event")},
            "@timestamp": shape.rfc3339(now),
            "event": {**_object(document.get("event")), "action": RENEW},
            "acceptance": {**_object(document.get("acceptance")), "id": _id(document)},
        }
        for document in reversed(old)
        if _id(document) not in kept
    }
    documents = [
        # Of one moment and id, so that two collectors at once write one.
        Document(Alias.AUDIT, f"{its_id}~{now:%Y%m%d%H}", source)
        for its_id, source in again.items()
    ]
    return sum(answer.outcome is Outcome.CREATED for answer in store.create(documents))


def _records(store: Store, span: Span, model: str | None = None) -> Iterator[Mapping[str, Any]]:
    """Newest first."""
    after: str | None = None
    while True:
        page = store.events(Alias.AUDIT, span, model=model, kind=ACCEPTANCE, limit=A_PAGE, after=after)
        yield from page.items
        after = page.after
        if after is None:
            return


def _id(document: Mapping[str, Any]) -> str:
    """Of the acceptance; of one that was renewed it is not the record's own."""
    return shape.text(_object(document.get("acceptance")).get("id")) or shape.text(document.get("_id"))


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def to_json(acceptance: Acceptance) -> dict[str, Any]:
    """Its fields as JSON has them."""
    window = acceptance.window
    return {
        "id": acceptance.id,
        "model": acceptance.model,
        "kind": acceptance.kind.value,
        "feature": acceptance.feature,
        "version": acceptance.version,
        "since": shape.rfc3339(acceptance.since),
        "window": None if window is None else {"start": shape.rfc3339(window.start), "end": shape.rfc3339(window.end)},
        "by": acceptance.by,
        "at": shape.rfc3339(acceptance.at),
        "reason": acceptance.reason,
    }


def _document(acceptance: Acceptance) -> dict[str, Any]:
    """As it is stored; the names are ECS's where it has one."""
    event = {"action": ACCEPT, "outcome": "success", "reason": acceptance.reason}
    said: dict[str, Any] = {
        "kind": acceptance.kind,
        "since": shape.rfc3339(acceptance.since),
        # By the collector's clock, which may be that of replayed data; the trail goes by the wall.
        "at": shape.rfc3339(acceptance.at),
    }
    if acceptance.feature is not None:
        said["feature"] = acceptance.feature
    if acceptance.window is not None:
        said["window"] = {
            "start": shape.rfc3339(acceptance.window.start),
            "end": shape.rfc3339(acceptance.window.end),
        }
    return {
        "@timestamp": shape.rfc3339(datetime.now(UTC)),
        "kind": ACCEPTANCE,
        "model": acceptance.model,
        **({} if acceptance.version is None else {"version": acceptance.version}),
        "event": {name: value for name, value in event.items() if value},
        "user": {"name": acceptance.by},
        "by": acceptance.by,
        "message": acceptance.describe(),
        "acceptance": said,
    }


def _acceptance(document: Mapping[str, Any]) -> Acceptance:
    """The inverse; ShapeError with the field's name when it is not one."""
    said = document.get("acceptance")
    if not isinstance(said, Mapping):
        raise shape.ShapeError(f"field [acceptance] must be an object, not {said!r:.60}")
    event = document.get("event")
    kind = said.get("kind")
    if kind not in list(AcceptanceKind):
        raise shape.ShapeError(f"field [acceptance.kind] is {kind!r:.60}, which this version does not know")
    return Acceptance(
        id=_id(document),
        model=_text(document.get("model"), "model"),
        since=shape.moment(said.get("since"), "acceptance.since"),
        by=_text(document.get("by"), "by"),
        at=shape.moment(said.get("at"), "acceptance.at"),
        feature=_optional(said.get("feature"), "acceptance.feature"),
        version=_optional(document.get("version"), "version"),
        reason=_optional(event.get("reason") if isinstance(event, Mapping) else None, "event.reason") or "",
        kind=AcceptanceKind(kind),
        window=_window(said.get("window"), needed=kind == AcceptanceKind.PUT_BACK),
    )


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or not value:
        raise shape.ShapeError(f"field [{name}] must be text, not {value!r:.60}")
    return value


def _optional(value: object, name: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise shape.ShapeError(f"field [{name}] must be text, not {value!r:.60}")
    return value


def _window(value: object, *, needed: bool) -> Span | None:
    if value is None and not needed:
        return None
    if not isinstance(value, Mapping):
        raise shape.ShapeError(f"field [acceptance.window] must be an object, not {value!r:.60}")
    start = shape.moment(value.get("start"), "acceptance.window.start")
    end = shape.moment(value.get("end"), "acceptance.window.end")
    if end <= start:
        raise shape.ShapeError(f"field [acceptance.window] ends at {end}, which is not after its start")
    return Span(start, end)


def _leave_out(model: str, its_id: str, error: shape.ShapeError) -> None:
    if (model, its_id) in _unreadable or len(_unreadable) >= _MOST_REMEMBERED:
        return
    _unreadable.add((model, its_id))
    logger.warning(
        "an acceptance of %s in the audit trail cannot be read and is left out: %s: %s", model, its_id, error
    )
