"""A model's results over any span, at a cost that does not grow with the span."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from modelward_collector.checks.result import CheckKind, CheckResult
from modelward_collector.console.charts.scale import floor_to, step_for
from modelward_collector.console.recent import Recent
from modelward_collector.span import Span
from modelward_collector.store.protocol import Store

COLUMNS = 64
"""A span is looked at in at most this many stretches: more could not be told apart on a screen."""

_EACH = 6
"""At most so many results of one stretch and version are read; further ones would hide behind them."""

_KEPT = ("output", "persistent")

_SETTLED = 8
"""Results of the last stretches may still come; those before are kept in memory."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A piece of the span, and its results, oldest first, without what only their own pages show."""

    span: Span
    results: Sequence[CheckResult]


@dataclass(frozen=True, slots=True)
class Past:
    """All stretches of a span in order. `thinned` is True when a stretch had more results than were read."""

    span: Span
    step: timedelta
    stretches: Sequence[Stretch]
    thinned: bool

    @property
    def results(self) -> list[CheckResult]:
        """Every result that was read, oldest first."""
        return [result for stretch in self.stretches for result in stretch.results]

    def index(self, moment: datetime) -> int:
        """Which stretch the moment is in; the ends are held within the span."""
        return max(0, min(len(self.stretches) - 1, int((moment - self.span.start) / self.step)))


class History:
    """Reads results stretch by stretch, and remembers the stretches that are over."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._stretches: Recent[tuple[list[CheckResult], bool]] = Recent(most=2_000, seconds=60)

    def past(
        self, model: str, check: CheckKind, span: Span, *, versions: int = 1, least: timedelta | None = None
    ) -> Past:
        """The model's results of that check whose windows end in the span, which is widened to whole stretches.

        `least` is the shortest stretch that makes sense, the time between two runs.
        """
        step = step_for(span.length, COLUMNS)
        if least is not None and least > step:
            step = step_for(least, 1)
        start = floor_to(span.start, step)
        stretches: list[Stretch] = []
        thinned = False
        bounds = []
        while start < span.end:
            bounds.append(Span(start, start + step))
            start += step
        for index, bound in enumerate(bounds):
            found, more = self._read(model, check, bound, versions * _EACH, settled=index < len(bounds) - _SETTLED)
            stretches.append(Stretch(bound, found))
            thinned = thinned or more
        whole = Span(bounds[0].start, bounds[-1].end) if bounds else span
        return Past(whole, step, stretches, thinned)

    def _read(
        self, model: str, check: CheckKind, span: Span, limit: int, *, settled: bool
    ) -> tuple[list[CheckResult], bool]:
        key = (model, check, span, limit)
        kept = self._stretches.get(key)
        if kept is not None:
            return kept
        # The store's span is closed at its end, and a result that ends on a bound belongs to the stretch it ends.
        page = self._store.results(
            Span(span.start + timedelta(microseconds=1), span.end), model=model, check=check, limit=limit
        )
        answer = ([_slim(result) for result in reversed(page.items)], page.after is not None)
        if settled and answer[0]:
            self._stretches.put(key, answer)
        return answer


def _slim(result: CheckResult) -> CheckResult:
    return replace(
        result,
        findings=tuple(
            replace(finding, message="", detail={key: finding.detail[key] for key in _KEPT if key in finding.detail})
            for finding in result.findings
        ),
    )
