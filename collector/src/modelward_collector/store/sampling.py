"""Reads a bounded sample of a window's rows through any store, the same rows every time."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final

import numpy as np

from modelward_collector.checks.quality.expectations_sample import EventSample
from modelward_collector.span import Span
from modelward_collector.store.covering import selected
from modelward_collector.store.protocol import Alias, Store

SAMPLE_ROWS: Final = 5_000
"""A share of 0.1% of rows is then found with 99% probability, and one of 1% known to 0.3 points."""

STRETCHES: Final = 50


def load_sample(store: Store, model: str, span: Span, *, rows: int = SAMPLE_ROWS) -> EventSample:
    """Predictions of the span: all that the store keeps of it when they are at most `rows`, else about so many.

    Those come from `STRETCHES` stretches of equal traffic, the latest of each, so that quiet hours count no more than
    their share and the cost does not grow with traffic.
    """
    page = store.events(Alias.EVENTS, span, model=model, kind="prediction", limit=rows)
    if page.after is None:
        return _sample([(document, 0) for document in page.items], whole=True)
    found: list[tuple[Any, int]] = []
    for place, stretch in enumerate(_stretches(store, model, span)):
        part = store.events(Alias.EVENTS, stretch, model=model, kind="prediction", limit=max(1, rows // STRETCHES))
        found += [(document, place) for document in part.items]
    return _sample(found, whole=False)


def _sample(found: list[tuple[Any, int]], *, whole: bool) -> EventSample:
    found.sort(key=lambda item: (datetime.fromisoformat(item[0]["@timestamp"]), item[0]["_id"]))
    places = np.array([place for _, place in found], dtype=np.int64)
    if whole:
        places = np.arange(len(found), dtype=np.int64)  # each row is drawn by itself
    return EventSample([document for document, _ in found], places, whole)


def _stretches(store: Store, model: str, span: Span) -> list[Span]:
    """The span cut where the profiles say that equal shares of its rows came."""
    parts = [part for part in selected(store.parts(span, model=model)) if part.rows]
    edges = np.linspace(0.0, span.length.total_seconds(), STRETCHES + 1)
    if parts:
        # a part's rows are taken to have come evenly
        starts = np.array([(part.start - span.start).total_seconds() for part in parts])
        ends = np.array([(part.end - span.start).total_seconds() for part in parts])
        at = np.unique(np.concatenate(([0.0, edges[-1]], starts, ends)))
        counts = np.array([part.rows for part in parts], dtype=np.float64)
        come = np.array([(np.clip((moment - starts) / (ends - starts), 0, 1) * counts).sum() for moment in at])
        edges = np.interp(np.linspace(0.0, come[-1], STRETCHES + 1), come, at)
        edges[0], edges[-1] = 0.0, at[-1]
    moments = [span.start + timedelta(seconds=float(edge)) for edge in edges]
    return [Span(start, end) for start, end in pairwise(moments) if start < end]
