"""The component and index templates that the backing indices are made from.

Nothing is mapped dynamically: a thousand models cannot explode a mapping, and an agent needs no right to change one.
What is not named here is kept in the document and not searchable. Values that do not fit a number or a date are kept
too (`ignore_malformed`); a document without a readable `@timestamp` is refused, since nobody would find it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from modelward_collector.store.protocol import Alias

VERSION: Final = 3
STATE_INDEX: Final = "modelward-state"
"""Leases, and the newest result of each check: small, overwritten, not behind an alias that rolls over."""

SETTINGS_COMPONENT: Final = "modelward-settings"
COMMON_COMPONENT: Final = "modelward-common"

_KEYWORD: Final[Mapping[str, Any]] = {"type": "keyword", "ignore_above": 1024}
_ID: Final[Mapping[str, Any]] = {"type": "keyword"}
_TEXT: Final[Mapping[str, Any]] = {"type": "text", "fields": {"keyword": {"type": "keyword", "ignore_above": 256}}}
_FLATTENED: Final[Mapping[str, Any]] = {"type": "flattened", "ignore_above": 1024}
_DOUBLE: Final[Mapping[str, Any]] = {"type": "double"}
_LONG: Final[Mapping[str, Any]] = {"type": "long"}
_DATE: Final[Mapping[str, Any]] = {"type": "date", "format": "strict_date_optional_time"}
_UNINDEXED: Final[Mapping[str, Any]] = {"type": "object", "enabled": False}


def _object(**properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


_COMMON: Final[Mapping[str, Any]] = {
    # To the nanosecond, so that log lines of one millisecond keep their order.
    "@timestamp": {
        "type": "date_nanos",
        "format": "strict_date_optional_time_nanos",
        "ignore_malformed": False,
    },
    "kind": _KEYWORD,
    "model": _KEYWORD,
    "version": _KEYWORD,
    "host": _object(name=_KEYWORD),
}

_EVENTS: Final[Mapping[str, Any]] = {
    "id": _ID,
    "segment": _FLATTENED,
    # Each part of the segment as `name=value`, since a flattened field offers no values to choose from.
    "segments": _KEYWORD,
    "features": _FLATTENED,
    "vectors": _UNINDEXED,
    "prediction": _object(value=_DOUBLE, label=_KEYWORD, score=_DOUBLE, probabilities=_FLATTENED),
    "actual": _object(value=_DOUBLE, label=_KEYWORD, probabilities=_FLATTENED, score=_DOUBLE),
    "latency_ms": _DOUBLE,
    "message": _TEXT,
    "error": _object(type=_KEYWORD, message=_TEXT, stack_trace={"type": "text", "norms": False}),
    "log": _object(level=_KEYWORD, logger=_KEYWORD),
    "stage": _object(name=_KEYWORD, pipeline=_KEYWORD, run=_KEYWORD, status=_KEYWORD, duration_ms=_DOUBLE, rows=_LONG),
    "business": _object(event=_KEYWORD, value=_DOUBLE, currency=_KEYWORD, source=_KEYWORD),
}

_LOGS: Final[Mapping[str, Any]] = {
    "message": _TEXT,
    "log": _object(level=_KEYWORD, logger=_KEYWORD, file={"type": "object", "properties": {"path": _KEYWORD}}),
    "error": _object(type=_KEYWORD, message=_TEXT, stack_trace={"type": "text", "norms": False}),
    "agent": _object(version=_KEYWORD),
    "service": _object(name=_KEYWORD, version=_KEYWORD),
    "process": _object(pid=_LONG, name=_KEYWORD),
    "event": _object(dataset=_KEYWORD, action=_KEYWORD, outcome=_KEYWORD, duration=_LONG),
    "trace": _object(id=_KEYWORD),
    "url": _object(path=_KEYWORD),
    "labels": _FLATTENED,
    "lag_bytes": _LONG,
    "shipped": _LONG,
    "dropped": _LONG,
    "quarantined": _LONG,
    "spooled": _LONG,
    "last_error": _KEYWORD,
}

_PROFILES: Final[Mapping[str, Any]] = {
    "segment": _FLATTENED,
    "segment_key": {"type": "keyword", "ignore_above": 8191},
    "window": _object(seconds=_LONG),
    "part": _ID,
    "rows": _LONG,
    "format": _LONG,
    "covers": _ID,
    "until": _DATE,
    "superseding": {"type": "boolean"},
    "profile": {"type": "binary"},
}

_RESULTS: Final[Mapping[str, Any]] = {
    "id": {"type": "keyword", "ignore_above": 8191},
    "check": _KEYWORD,
    "status": _KEYWORD,
    "summary": _TEXT,
    "start": _DATE,
    "end": _DATE,
    "ran_at": _DATE,
    "rows": _LONG,
    "duration_seconds": _DOUBLE,
    "on_demand": {"type": "boolean"},
    "numbers": _FLATTENED,
    "memory": _UNINDEXED,
    "findings": _object(subject=_KEYWORD, test=_KEYWORD, status=_KEYWORD, value=_DOUBLE, threshold=_DOUBLE),
    # Of the findings that are not well, since a list of objects does not say which subject has which status.
    "flagged": _object(subjects=_KEYWORD, tests=_KEYWORD, count=_LONG),
}

_RECORDS: Final[Mapping[str, Any]] = {
    "id": _ID,
    "message": _TEXT,
    "status": _KEYWORD,
    "severity": _KEYWORD,
    "event": _object(action=_KEYWORD, outcome=_KEYWORD, reason=_KEYWORD),
    "user": _object(name=_KEYWORD, roles=_KEYWORD),
    "source": _object(ip={"type": "ip"}),
    "url": _object(path=_KEYWORD),
    "by": _KEYWORD,
}

_FIELDS: Final[Mapping[Alias, Mapping[str, Any]]] = {
    Alias.EVENTS: _EVENTS,
    Alias.LOGS: _LOGS,
    Alias.PROFILES: _PROFILES,
    Alias.RESULTS: _RESULTS,
    Alias.INCIDENTS: _RECORDS,
    Alias.AUDIT: _RECORDS,
}


_SETTINGS: Final[Mapping[str, Any]] = {
    "number_of_shards": 1,
    # One copy as soon as there is a second node, and none before, so that one node alone is green.
    "auto_expand_replicas": "0-1",
}


def component_templates() -> dict[str, dict[str, Any]]:
    """By name: the settings and the fields that all indices share."""
    return {
        SETTINGS_COMPONENT: {
            "settings": {
                **_SETTINGS,
                "refresh_interval": "1s",
                "codec": "best_compression",
                "mapping": {"ignore_malformed": True},
            }
        },
        COMMON_COMPONENT: {"mappings": {"dynamic": False, "properties": _COMMON}},
    }


def index_template(alias: Alias) -> dict[str, Any]:
    """The template of the alias's backing indices."""
    return {
        "index_patterns": [f"{alias}-*"],
        "composed_of": [SETTINGS_COMPONENT, COMMON_COMPONENT],
        "priority": 500,
        "version": VERSION,
        "template": {"mappings": {"properties": _FIELDS[alias]}},
    }


def state_index() -> dict[str, Any]:
    """Settings and mappings of `STATE_INDEX`."""
    return {
        "settings": _SETTINGS,
        "mappings": {"dynamic": False, "properties": {"kind": _KEYWORD, "end": _DATE}},
    }
