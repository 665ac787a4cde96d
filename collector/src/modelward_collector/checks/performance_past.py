"""What a performance check remembers: metrics that are worse than in the past, since when, and what they were before.

A metric that is worse than the reference's, or than its inputs explain, is an *episode* (`checks.drift_memory`). Its
time is in no rolling reference. Rows are not kept for as long as an episode may last, so the metric as it was before
goes along with it, and is what the metric is compared with until the episode is over or accepted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from modelward_collector.checks.acceptance import Acceptance
from modelward_collector.checks.drift_memory import (
    Memory,
    Seen,
    explained,
    from_document,
    remembered,
    to_document,
)
from modelward_collector.checks.estimated import Estimates
from modelward_collector.checks.lasting import aged, settled, unseen, words_of
from modelward_collector.checks.result import CheckResult, Finding
from modelward_collector.models import ModelSpec, ReferenceRolling
from modelward_collector.span import Span
from modelward_collector.stats.intervals import Interval

METRICS: Final = "metrics"
"""The side of these subjects, as `features` is that of features."""

COMPARED: Final = ("reference", "concept_drift")
"""The findings that compare with the past."""

FEWEST_WINDOWS: Final = 2
"""A rolling reference younger than so many windows says what is worse, and remembers nothing of it."""


@dataclass(frozen=True, slots=True)
class PerformancePast:
    """What a check goes on from; `said` has of each metric whose episode goes on what was said, and how it was before.

    `begun` is when the version's first traffic was.
    """

    memory: Memory = field(default_factory=Memory)
    said: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    accepted: Sequence[Acceptance] = ()
    begun: datetime | None = None

    @classmethod
    def of(cls, result: CheckResult | None) -> PerformancePast:
        """What that result remembers."""
        if result is None:
            return cls()
        return cls(from_document(result.memory), result.memory.get("said") or {})

    def left_out(self, version: str) -> tuple[Span, ...]:
        """What no estimate is learned from: the time of any metric's episode, and before a new normal of any."""
        found = self.memory.left_out(self.accepted, version, {f"{METRICS}/"})
        return tuple(sorted({span for spans in found.values() for span in spans}))

    def frozen(self, estimates: Estimates | None, span: Span) -> Estimates | None:
        """The estimates with the metrics as they were before the episodes that go on; of those alone if need be."""
        before = {key.partition("/")[2]: self.said[key] for key in self.memory.open_keys() if key in self.said}
        if not before:
            return estimates
        base = estimates or Estimates(span, {}, {}, {}, {}, 0)
        realised = {name: Interval(*said["before"]) for name, said in before.items()}
        wander = {name: said["wander"] for name, said in before.items()}
        return replace(base, realised={**base.realised, **realised}, wander={**base.wander, **wander})

    def told(
        self,
        spec: ModelSpec,
        version: str,
        span: Span,
        now: datetime,
        findings: Sequence[Finding],
        estimates: Estimates | None,
        labels: int,
    ) -> tuple[list[Finding], dict[str, Any]]:
        """The findings as they are said, with those of what goes on unseen, and what is to be remembered."""
        told = list(findings)
        rolling = spec.reference if isinstance(spec.reference, ReferenceRolling) else None
        reach = (rolling or ReferenceRolling(kind="rolling")).window
        begun = self.begun or now
        young = rolling is not None and span.start - begun < FEWEST_WINDOWS * span.length
        compared: dict[str, list[int]] = {}
        for index, finding in enumerate(findings):
            if finding.test in COMPARED and not finding.segment:
                compared.setdefault(f"{METRICS}/{finding.subject}", []).append(index)
        episodes = dict(self.memory.episodes)
        said: dict[str, dict[str, Any]] = {}
        for key in sorted({*episodes, *compared}):
            mine = [index for index in compared.get(key, ()) if told[index].status.flagged]
            current = self.memory.open(key)
            if mine and explained(self.memory, self.accepted, version, key, span):
                for index in mine:
                    told[index] = settled(told[index], "of before what was accepted or is over")
                mine = []
            course = _course(findings, key.partition("/")[2])
            looks = []
            if mine and (current is not None or not young):
                since = _since(course, span, told[mine[0]], worse=True)
                looks = [Seen(Span(since, span.end), True, 1.0, max(1, labels), 1, sure=True)]
            elif current is not None and compared.get(key) and not mine and _surely_over(told[compared[key][0]]):
                since = _since(course, span, told[compared[key][0]], worse=False)
                looks = [Seen(Span(since, span.end), False, 0.0, max(1, labels))]
            kept = remembered(self.memory, key, looks, bool(looks), now, now - 2 * reach)
            if kept:
                episodes[key] = kept
            else:
                episodes.pop(key, None)
            if not kept or not kept[-1].open:
                continue
            if mine:
                said[key] = self._words(key, told[mine[0]], estimates)
                for index in mine:
                    told[index] = aged(told[index], kept[-1], now)
            elif key in self.said:
                said[key] = dict(self.said[key])
                told.append(unseen(said[key], kept[-1], f"{labels:,} labels"))
        return told, {**to_document(Memory(episodes)), "said": said}

    def _words(self, key: str, worst: Finding, estimates: Estimates | None) -> dict[str, Any]:
        words = words_of(worst)
        known = self.said.get(key) if self.memory.open(key) is not None else None
        if known is not None:
            return {**words, "before": known["before"], "wander": known["wander"]}
        assert estimates is not None
        before = estimates.realised[worst.subject]
        ends = [before.estimate, before.low, before.high]
        return {**words, "before": ends, "wander": estimates.wander.get(worst.subject, 0.0)}


def _course(findings: Sequence[Finding], metric: str) -> Sequence[Mapping[str, Any]]:
    mine = next((one for one in findings if one.subject == one.test == metric and not one.segment), None)
    found = mine.detail.get("course", ()) if mine is not None else ()
    return found if isinstance(found, Sequence) else ()


def _since(course: Sequence[Mapping[str, Any]], span: Span, finding: Finding, *, worse: bool) -> datetime:
    """Since when the metric's course has been on that side of the middle between what it was and what it is."""
    reference = finding.detail.get("reference") or finding.detail.get("expected")
    if reference is None or finding.detail.get("value") is None:
        return span.start
    before, here = reference["value"], finding.detail["value"]
    bound = finding.threshold if not worse and finding.test == "reference" else (before + here) / 2
    if bound is None:
        return span.start
    sign = 1.0 if finding.detail.get("higher_is_better") else -1.0
    since = None
    for point in reversed(course):
        if (sign * (point["value"] - bound) < 0) != worse:
            break
        since = datetime.fromisoformat(point["start"])
    return span.start if since is None else max(span.start, since)


def _surely_over(finding: Finding) -> bool:
    """Whether the whole interval is on the good side of what is still as in the past."""
    ends, bound = finding.detail, finding.threshold
    if finding.test != "reference" or bound is None or "low" not in ends or "high" not in ends:
        return False
    return bool(ends["low"] > bound if ends.get("higher_is_better") else ends["high"] < bound)
