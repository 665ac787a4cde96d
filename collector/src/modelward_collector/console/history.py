"""A model's results over any span, at a cost that does not grow with the span."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from modelward_collector.checks.result import CheckKind, CheckResult, Finding
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
"""Results of so many last stretches may still come, so that these are kept for seconds only, and the very last not."""

_UNSETTLED_SECONDS = 5.0
_SETTLED_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Stretch:
    """A piece of the span, and its results, oldest first, without what only their own pages show."""

    span: Span
    results: Sequence[CheckResult]


@dataclass(frozen=True, slots=True)
class Past:
    """All stretches of a span in order. `thinned` is True when a stretch had more results than were read.

    `ids` has the results' ids by Python's `id()`: to make one up again takes longer than to draw what it leads to.
    """

    span: Span
    step: timedelta
    stretches: Sequence[Stretch]
    thinned: bool
    ids: Mapping[int, str]

    @property
    def results(self) -> list[CheckResult]:
        """Every result that was read, oldest first."""
        return [result for stretch in self.stretches for result in stretch.results]

    def id_of(self, result: CheckResult) -> str:
        """The id of one of these very results."""
        return self.ids[id(result)]


@dataclass(frozen=True, slots=True)
class _Read:
    results: Sequence[CheckResult]
    ids: Mapping[int, str]
    more: bool


class History:
    """Reads results stretch by stretch, and remembers the stretches that are over."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._stretches: Recent[_Read] = Recent(most=2_000, seconds=_SETTLED_SECONDS)

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
        ids: dict[int, str] = {}
        bounds = []
        while start < span.end:
            bounds.append(Span(start, start + step))
            start += step
        for index, bound in enumerate(bounds):
            keep = _SETTLED_SECONDS if index < len(bounds) - _SETTLED else _UNSETTLED_SECONDS
            read = self._read(model, check, bound, versions * _EACH, keep if bound is not bounds[-1] else 0.0)
            stretches.append(Stretch(bound, read.results))
            ids |= read.ids
            thinned = thinned or read.more
        whole = Span(bounds[0].start, bounds[-1].end) if bounds else span
        return Past(whole, step, stretches, thinned, ids)

    def _read(self, model: str, check: CheckKind, span: Span, limit: int, seconds: float) -> _Read:
        key = (model, check, span, limit)
        kept = self._stretches.get(key)
        if kept is not None:
            return kept
        # The store's span is closed at its end, and a result that ends on a bound belongs to the stretch it ends.
        page = self._store.results(
            Span(span.start + timedelta(microseconds=1), span.end), model=model, check=check, limit=limit
        )
        results = [_slim(result) for result in reversed(page.items)]
        read = _Read(results, {id(result): result.id for result in results}, page.after is not None)
        if seconds:
            self._stretches.put(key, read, seconds)
        return read


def _slim(result: CheckResult) -> CheckResult:
    # Built one by one: dataclasses.replace takes ten times as long, and a year has thousands of findings.
    findings = tuple(
        Finding(
            item.subject,
            item.test,
            item.status,
            "",
            item.value,
            item.threshold,
            item.p_value,
            item.since,
            item.segment,
            {key: item.detail[key] for key in _KEPT if key in item.detail} if item.detail else {},
        )
        for item in result.findings
    )
    return replace(result, findings=findings)
