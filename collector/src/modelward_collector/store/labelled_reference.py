"""Reads the labelled rows of a model's reference: from the sample beside its file, or from the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from modelward_agent.profile.sample import read_sample, sample_path
from modelward_collector.models import ModelSpec, ReferenceFile, ReferenceRolling, ReferenceSpan
from modelward_collector.span import Span
from modelward_collector.store import shape
from modelward_collector.store.normal_past import begins_anew, normal_stretches
from modelward_collector.store.protocol import Labelled, Sampled, Store


def load_labelled_reference(
    store: Store, spec: ModelSpec, window_span: Span, version: str, limit: int, left_out: Sequence[Span] = ()
) -> Sampled | None:
    """At most `limit` of the reference's rows in time order, some of them labelled; None where there is no sample.

    Of a rolling one without those of what is `left_out`, for which as much is read from before it. Where a new normal
    has begun it is the version's own traffic since then.

    `SampleFileError` or OSError for a sample that cannot be read.
    """
    reference = spec.reference
    if begins_anew(left_out):
        reference = reference if isinstance(reference, ReferenceRolling) else ReferenceRolling(kind="rolling")
    if isinstance(reference, ReferenceFile):
        path = sample_path(reference.path)
        return _of_file(path, limit) if path.exists() else None
    if isinstance(reference, ReferenceSpan):
        span = Span(reference.start.astimezone(UTC), reference.end.astimezone(UTC))
        return store.sampled(span, model=spec.model, version=reference.version, limit=limit)
    end = window_span.start - (timedelta(0) if begins_anew(left_out) else reference.gap)
    stretches = normal_stretches(left_out, end, reference.window)
    if not stretches:
        return None
    whole = Span(min(one.start for one in stretches), max(one.end for one in stretches))
    sampled = store.sampled(whole, model=spec.model, version=version, limit=limit)
    return sampled if len(stretches) == 1 else _within(sampled, stretches)


def _within(sampled: Sampled, stretches: Sequence[Span]) -> Sampled:
    """The rows of the stretches alone."""
    at = sampled.labelled.timestamp
    kept = np.zeros(len(at), dtype=np.bool_)
    for one in stretches:
        kept |= (at >= one.start.timestamp()) & (at < one.end.timestamp())
    rows = np.flatnonzero(kept).tolist()
    labelled = sampled.labelled
    columns: dict[str, Any] = {}
    for name in labelled.__dataclass_fields__:
        column = getattr(labelled, name)
        if isinstance(column, np.ndarray):
            columns[name] = column[kept]
        elif isinstance(column, list):
            columns[name] = [column[row] for row in rows]
    columns |= {"total": len(rows), "total_labelled": int(columns["labelled"].sum())}
    return Sampled(replace(labelled, **columns), [sampled.features[row] for row in rows])


def _of_file(path: Path, limit: int) -> Sampled:
    rows = read_sample(path)
    if len(rows) > limit:
        rows = [rows[index] for index in np.linspace(0, len(rows) - 1, limit).astype(int).tolist()]
    rows.sort(key=_moment)
    predictions = [_answer(row.get("prediction")) for row in rows]
    actuals = [_answer(row.get("actual")) for row in rows]
    return Sampled(
        Labelled(
            timestamp=np.array([_moment(row) for row in rows]),
            version=[""] * len(rows),
            segment=[{}] * len(rows),
            predicted_value=_numbers(predictions),
            predicted_label=[str(answer.get("label", "")) for answer in predictions],
            probabilities=[shape.probabilities(answer) for answer in predictions],
            labelled=np.array([row.get("actual") is not None for row in rows], dtype=np.bool_),
            actual_value=_numbers(actuals),
            actual_label=[str(answer.get("label", "")) for answer in actuals],
            total=len(rows),
            total_labelled=sum(row.get("actual") is not None for row in rows),
        ),
        [row["features"] for row in rows],
    )


def _moment(row: Mapping[str, Any]) -> float:
    at = row.get("@timestamp")
    return datetime.fromisoformat(at).timestamp() if isinstance(at, str) else 0.0


def _answer(value: object) -> dict[str, Any]:
    """As a journal's answer becomes one of a stored event: a number, a label, or probabilities by class."""
    if isinstance(value, Mapping):
        return {"probabilities": dict(value)}
    if isinstance(value, bool):
        return {"label": "true" if value else "false"}
    found = shape.number(value)
    if found is not None:
        return {"value": found}
    return {"label": value} if isinstance(value, str) else {}


def _numbers(answers: Sequence[Mapping[str, Any]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([answer.get("value", np.nan) for answer in answers], dtype=np.float64)
