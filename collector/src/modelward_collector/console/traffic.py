"""How many rows came when: read from the lists of profiles, without their payloads."""

from __future__ import annotations

from datetime import timedelta

from modelward_collector.console.charts.scale import floor_to
from modelward_collector.console.recent import Recent
from modelward_collector.span import Span
from modelward_collector.store.protocol import Store

_LONGEST_PART = timedelta(days=1)


class Traffic:
    """Counts rows a stretch; those of stretches that are over are remembered for a minute."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rows: Recent[float] = Recent(most=50_000, seconds=60)

    def rows(self, model: str, span: Span, step: timedelta) -> list[tuple[Span, float]]:
        """Rows (a part of one may be) of each stretch of the span, which is widened to whole steps.

        A profile longer than a step counts evenly in all that it covers.
        """
        bounds: list[Span] = []
        start = floor_to(span.start, step)
        while start < span.end:
            bounds.append(Span(start, start + step))
            start += step
        counts: dict[Span, float] = {}
        unknown: list[Span] = []
        for bound in bounds:
            kept = self._rows.get((model, bound)) if bound.end < bounds[-1].start else None
            if kept is None:
                unknown.append(bound)
            else:
                counts[bound] = kept
        if unknown:
            counts |= self._count(model, unknown)
        for bound in unknown:
            self._rows.put((model, bound), counts[bound])
        return [(bound, counts[bound]) for bound in bounds]

    def _count(self, model: str, bounds: list[Span]) -> dict[Span, float]:
        step = bounds[0].length
        first, last = bounds[0].start, bounds[-1].end
        # A day's roll-up that begins before the first stretch still has rows in it.
        parts = self._store.parts(Span(first - _LONGEST_PART, last + _LONGEST_PART), model=model)
        covered = {part_id for part in parts for part_id in part.covers}
        counts = dict.fromkeys(bounds, 0.0)
        for part in parts:
            if part.id in covered:
                continue
            length = timedelta(seconds=part.seconds)
            start = floor_to(part.start, step)
            while start < part.start + length:
                shared = min(start + step, part.start + length) - max(start, part.start)
                bound = Span(start, start + step)
                if bound in counts:
                    counts[bound] += part.rows * (shared / length)
                start += step
        return counts
