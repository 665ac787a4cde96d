"""Documents as agents ship them, for the tests of stores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from modelward_agent.profile import FeatureProfile, NumericSketch, Profile, ProfileKey, Segment
from modelward_agent.profile.wire import to_document
from modelward_collector.checks.result import CheckKind, CheckResult, Finding, Status
from modelward_collector.span import Span
from modelward_collector.store.protocol import Alias, Document
from modelward_collector.store.shape import rfc3339

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = Span(NOON.replace(hour=0), NOON.replace(hour=0) + timedelta(days=1))


def prediction(
    prediction_id: str,
    at: datetime = NOON,
    value: float | str | None = 1.0,
    *,
    document_id: str | None = None,
    model: str = "delay",
    version: str = "1",
    segment: Mapping[str, str] | None = None,
    label: str | None = None,
    probabilities: Mapping[str, float] | None = None,
) -> Document:
    answer: dict[str, Any] = {"label": label} if label is not None else {"value": value}
    if probabilities is not None:
        answer |= {"probabilities": dict(probabilities), "score": max(probabilities.values())}
    source = {
        "@timestamp": rfc3339(at),
        "kind": "prediction",
        "model": model,
        "version": version,
        "host": {"name": "web1"},
        "id": prediction_id,
        "segment": dict(segment or {}),
        "features": {"distance": 733.0, "carrier": "AA", "delayed": True, "gate": None, "late": "NaN"},
        "vectors": {"embedding": [0.1, 0.2]},
        "prediction": answer,
        "latency_ms": 3.5,
    }
    return Document(Alias.EVENTS, document_id or f"p-{prediction_id}-{at.timestamp():.6f}", source)


def actual(
    prediction_id: str, at: datetime = NOON, value: float | str | None = 2.0, *, label: str | None = None
) -> Document:
    source = {
        "@timestamp": rfc3339(at),
        "kind": "actual",
        "model": "delay",
        "host": {"name": "web1"},
        "id": prediction_id,
        "actual": {"label": label} if label is not None else {"value": value},
    }
    return Document(Alias.EVENTS, f"a-{prediction_id}-{at.timestamp():.6f}", source)


def log(document_id: str, at: datetime = NOON, message: str = "hello", **fields: Any) -> Document:
    source = {"@timestamp": rfc3339(at), "kind": "log", "message": message, "host": {"name": "web1"}, **fields}
    return Document(Alias.LOGS, document_id, source)


def heartbeat(host: str, at: datetime, **fields: Any) -> Document:
    source = {
        "@timestamp": rfc3339(at),
        "kind": "heartbeat",
        "host": {"name": host},
        "agent": {"version": "0.1.0"},
        "lag_bytes": 0,
        "shipped": 10,
        "dropped": 0,
        "quarantined": 0,
        "spooled": 0,
        "last_error": "",
        **fields,
    }
    return Document(Alias.LOGS, f"h-{host}-{at.timestamp():.6f}", source)


def profile(values: Sequence[float], feature: str = "distance") -> Profile:
    """A profile of rows with one numeric feature."""
    made = Profile()
    made.rows = len(values)
    sketch = NumericSketch()
    sketch.update(np.array(values, dtype=np.float64))
    made.features[feature] = FeatureProfile()
    made.features[feature].numeric = sketch
    for value in values:
        made.distinct_rows.update(float(value))
    return made


def part(
    document_id: str,
    start: datetime = NOON,
    values: Sequence[float] = (1.0, 2.0, 3.0),
    *,
    host: str = "web1",
    model: str = "delay",
    version: str = "1",
    segment: Segment = (),
    seconds: int = 60,
    covers: Sequence[str] = (),
    until: datetime | None = None,
) -> Document:
    key = ProfileKey(host, model, version, segment, int(start.timestamp()), seconds)
    document = to_document(key, profile(values), part=document_id, covers=covers)
    if until is not None:
        document["until"] = rfc3339(until)
    return Document(Alias.PROFILES, document_id, document)


def result(
    end: datetime = NOON,
    *,
    model: str = "delay",
    version: str = "1",
    check: CheckKind = CheckKind.DRIFT,
    status: Status = Status.OK,
    summary: str = "No drift.",
    on_demand: bool = False,
    ran_at: datetime | None = None,
) -> CheckResult:
    finding = Finding(
        subject="distance",
        test="verdict",
        status=status,
        message="distance is as it was – µ unchanged",
        value=0.1,
        threshold=0.2,
        p_value=1e-300,
        since=end - timedelta(hours=3),
        segment={"region": "eu"},
        detail={"reference": [1, 2.5, None], "names": {"a": "ü"}},
    )
    return CheckResult(
        model=model,
        version=version,
        check=check,
        status=status,
        summary=summary,
        start=end - timedelta(days=1),
        end=end,
        rows=1000,
        findings=(finding,),
        numbers={"share": 0.25},
        ran_at=ran_at or end + timedelta(minutes=2),
        duration_seconds=0.125,
        on_demand=on_demand,
    )
