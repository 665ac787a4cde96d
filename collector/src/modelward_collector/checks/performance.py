"""Performance with labels: how good the predictions were that have come true by now."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelward_collector.checks.answers import HIGHER_IS_BETTER, STRANGE, Answers, classification, regression
from modelward_collector.checks.classes import task_of
from modelward_collector.checks.estimated import Estimates
from modelward_collector.checks.performance_past import PerformancePast
from modelward_collector.checks.result import CheckKind, CheckResult, Finding, Status, worst
from modelward_collector.checks.window import ReferenceProfile
from modelward_collector.models import ModelSpec, Task, Threshold
from modelward_collector.span import Span
from modelward_collector.stats.intervals import CONFIDENCE, Interval
from modelward_collector.store.protocol import Labelled, Strangers

MAX_SEGMENTS = 50
"""Segment values that are judged apart, those with the most labels."""

STRANGERS_MAX = 0.2
"""Share of labels without a prediction that is let pass: one may have failed, or be older than what is kept."""

REPEATS_MAX = 0.01

MAX_POINTS = 92
"""Points of a metric's course over the window."""


def check_performance(
    spec: ModelSpec,
    version: str,
    span: Span,
    labelled: Labelled,
    reference: ReferenceProfile | None = None,
    estimates: Estimates | None = None,
    past: PerformancePast | None = None,
    now: datetime | None = None,
    joined: Joined | None = None,
) -> CheckResult:
    """Hold one version's labelled predictions, made in the span, against the model's thresholds.

    `labelled` may hold other versions' rows too. A threshold is broken for certain (`critical`) when the metric's whole
    95% interval is beyond it, and perhaps (`warning`) when the estimate is. Fewer labels than `min_labels` judge
    nothing. `reference` names the classes that the window may lack. `estimates` are what is known without labels, and
    what labels are compared with; alone they make no result worse than a warning. With a `past` what is worse than it
    was is said for as long as it lasts; `now` is when the check runs. Labels that find no prediction, ids that repeat
    (`joined`) and labels of classes that the model never answers are told, since no metric of them means anything.
    """
    past = past or PerformancePast()
    estimates = past.frozen(estimates, span)
    rows = np.array([mine == version for mine in labelled.version], dtype=np.bool_)
    told = rows & labelled.labelled
    counts = _Counts.of(labelled, rows, told)
    task = spec.task or task_of(labelled, told)
    fewest = spec.checks.performance.min_labels
    base = _Base(spec, version, span, counts, estimates, past, now or span.end)
    of_ids = _ids(joined) if joined is not None else []
    if counts.labels < fewest or task is None:
        said = f"{counts.said()} in; {fewest:,} are needed"
        waiting = Finding("labels", "labels", Status.NO_DATA, said, value=float(counts.labels), threshold=float(fewest))
        return base.without_labels(said, (waiting, *of_ids))
    answers = (regression if task is Task.REGRESSION else classification)(spec, labelled, told, reference)
    findings = [Finding("labels", "labels", Status.OK, f"{counts.said()} in", value=float(counts.labels)), *of_ids]
    if answers.unusable:
        findings.append(_unusable(answers))
    if answers.n < fewest:
        said = f"only {answers.n:,} of {counts.labels:,} labelled predictions can be judged; {fewest:,} are needed"
        findings.append(Finding("usable", "labels", Status.NO_DATA, said, value=float(answers.n)))
        return base.without_labels(said, tuple(findings))
    findings += answers.doubts()
    if any(finding.test == STRANGE for finding in findings):
        said = next(finding.message for finding in findings if finding.test == STRANGE)
        return base.without_labels(said, tuple(findings))
    metrics = answers.metrics()
    thresholds = spec.checks.performance.thresholds
    course = _course(answers, span, {answers.main, *thresholds} & metrics.keys(), fewest)
    for name, interval in metrics.items():
        detail = answers.detail(name) | ({"course": course[name]} if name in course else {})
        findings.append(_metric(name, interval, thresholds.get(name), detail))
    findings += [_unjudged(name, answers) for name in thresholds if name not in metrics]
    findings += _segments(answers, metrics, thresholds, fewest)
    if estimates is not None:
        findings += estimates.findings(span, metrics, thresholds, answers.main)
    findings, memory = base.remembering(findings)
    status = worst(*(finding.status for finding in findings if finding.status is not Status.NO_DATA))
    return base.result(status, _summary(findings, metrics, answers, counts), tuple(findings), metrics, memory)


@dataclass(frozen=True, slots=True)
class Joined:
    """How labels found their predictions: labels that found none, and predictions that repeat an id, of how many."""

    strangers: Strangers
    repeats: int = 0
    predictions: int = 0


def _ids(joined: Joined) -> list[Finding]:
    findings = []
    strangers = joined.strangers
    if strangers.without:
        share = strangers.without / strangers.looked
        of = f"{strangers.without:,} of the newest {strangers.looked:,} labels ({share:.0%})"
        shown = f'label "{strangers.label:.60}"'
        shown += f', prediction "{strangers.prediction:.60}"' if strangers.prediction else ", no prediction is kept"
        findings.append(
            Finding(
                "labels",
                "ids",
                Status.WARNING if share > STRANGERS_MAX else Status.OK,
                f"{of} find no prediction of their id ({shown}); send a label with the id that its prediction was "
                "recorded with, while that is kept",
                value=share,
                threshold=STRANGERS_MAX,
            )
        )
    if joined.repeats:
        share = min(1.0, joined.repeats / max(1, joined.predictions))
        findings.append(
            Finding(
                "predictions",
                "ids",
                Status.WARNING if share > REPEATS_MAX else Status.OK,
                f"{joined.repeats:,} predictions ({share:.1%}) repeat an id; of each id one is judged, so give each "
                "prediction its own",
                value=share,
                threshold=REPEATS_MAX,
            )
        )
    return findings


@dataclass(frozen=True, slots=True)
class _Counts:
    """Predictions of the version and labels of them, all of them even where a sample was read."""

    predictions: int
    labels: int
    sampled: int | None

    @classmethod
    def of(cls, labelled: Labelled, rows: NDArray[np.bool_], told: NDArray[np.bool_]) -> _Counts:
        read = len(rows)
        n, labels = int(np.count_nonzero(rows)), int(np.count_nonzero(told))
        if labelled.total <= read:
            return cls(n, labels, None)
        scale = labelled.total / read
        return cls(round(n * scale), round(labels * scale), labels)

    @property
    def share(self) -> float:
        return self.labels / self.predictions if self.predictions else 0.0

    def said(self) -> str:
        of_sample = f", {self.sampled:,} of them read" if self.sampled is not None else ""
        return f"{self.labels:,} labels of {self.predictions:,} predictions ({self.share:.0%}){of_sample}"


@dataclass(frozen=True, slots=True)
class _Base:
    spec: ModelSpec
    version: str
    span: Span
    counts: _Counts
    estimates: Estimates | None
    past: PerformancePast
    now: datetime

    def remembering(self, findings: Sequence[Finding]) -> tuple[list[Finding], dict[str, Any]]:
        """The findings in the light of what came before, and what is to be remembered."""
        return self.past.told(
            self.spec, self.version, self.span, self.now, findings, self.estimates, self.counts.labels
        )

    def without_labels(self, said: str, findings: tuple[Finding, ...]) -> CheckResult:
        """Too few labels to judge by; what is estimated may be a warning all the same."""
        if self.estimates is not None:
            thresholds = self.spec.checks.performance.thresholds
            estimated = self.estimates.findings(self.span, {}, thresholds, "")
            findings += tuple(estimated)
        told, memory = self.remembering(findings)
        lasting = [finding for finding in told if "episode" in finding.detail]
        findings = tuple(told)
        if self.estimates is not None:
            estimated = [*lasting, *estimated]
            broken = [finding for finding in estimated if finding.status is Status.WARNING]
            main = next((finding for finding in [*broken, *estimated]), None)
            said = said if main is None else f"{main.message} ({said})"
        return self.result(
            worst(*(finding.status for finding in findings if finding.status is not Status.OK)),
            said,
            findings,
            {},
            memory,
        )

    def result(
        self,
        status: Status,
        summary: str,
        findings: tuple[Finding, ...],
        metrics: Mapping[str, Interval],
        memory: Mapping[str, Any],
    ) -> CheckResult:
        numbers = {
            "labels": float(self.counts.labels),
            "labels_share": self.counts.share,
            "predictions": float(self.counts.predictions),
        }
        for name, interval in metrics.items():
            ends = {name: interval.estimate, f"{name}.low": interval.low, f"{name}.high": interval.high}
            numbers |= {key: value for key, value in ends.items() if math.isfinite(value)}
        if self.estimates is not None:
            numbers |= self.estimates.numbers(metrics)
        return CheckResult(
            model=self.spec.model,
            version=self.version,
            check=CheckKind.PERFORMANCE,
            status=status,
            summary=summary,
            start=self.span.start,
            end=self.span.end,
            rows=self.counts.predictions,
            findings=findings,
            numbers=numbers,
            memory=memory,
        )


# -- the verdict ----------------------------------------------------------------------------------------------------


def verdict(interval: Interval, threshold: Threshold) -> tuple[Status, float | None]:
    """How a metric stands against its threshold, and the bound that it breaks (or the only one that there is)."""
    if threshold.min is not None and interval.estimate < threshold.min:
        return (Status.CRITICAL if interval.high < threshold.min else Status.WARNING), threshold.min
    if threshold.max is not None and interval.estimate > threshold.max:
        return (Status.CRITICAL if interval.low > threshold.max else Status.WARNING), threshold.max
    return Status.OK, threshold.min if threshold.max is None else threshold.max


def _said(name: str, interval: Interval) -> str:
    if not interval.defined:
        return f"{name} {interval.estimate:.4g}"
    return f"{name} {interval.estimate:.4g} ({interval.low:.4g} to {interval.high:.4g})"


def _metric(name: str, interval: Interval, threshold: Threshold | None, detail: Mapping[str, Any]) -> Finding:
    said = _said(name, interval)
    ends = {end: value for end, value in (("low", interval.low), ("high", interval.high)) if math.isfinite(value)}
    if threshold is None:
        return Finding(name, name, Status.OK, said, value=interval.estimate, detail={**ends, **detail})
    status, bound = verdict(interval, threshold)
    if status is not Status.OK and bound is not None:
        side = "below" if interval.estimate < bound else "above"
        sure = "" if status is Status.CRITICAL else ", within what chance allows"
        said += f", {side} the threshold {bound:g}{sure}"
    return Finding(name, name, status, said, value=interval.estimate, threshold=bound, detail={**ends, **detail})


def _unjudged(name: str, answers: Answers) -> Finding:
    if name in answers.possible:
        return Finding("thresholds", name, Status.NO_DATA, f"these labels do not define {name}: a class is missing")
    known = ", ".join(sorted(answers.possible))
    said = f"the threshold of {name} cannot be judged: such answers have no {name}; use one of {known}"
    return Finding("thresholds", name, Status.WARNING, said)


def _unusable(answers: Answers) -> Finding:
    share = answers.unusable / (answers.n + answers.unusable)
    status = Status.WARNING if share > 0.01 else Status.OK
    said = f"{answers.unusable:,} labelled predictions ({share:.1%}) cannot be judged: {answers.why_unusable}"
    return Finding("unusable", "labels", status, said, value=share)


def _summary(findings: Sequence[Finding], metrics: Mapping[str, Interval], answers: Answers, counts: _Counts) -> str:
    broken = [finding for finding in findings if finding.status in (Status.WARNING, Status.CRITICAL)]
    if not broken:
        return f"{_said(answers.main, metrics[answers.main])} on {counts.labels:,} labels ({counts.share:.0%})"
    first = max(broken, key=lambda finding: finding.status.rank)
    return first.message + (f" (and {len(broken) - 1} more)" if len(broken) > 1 else "")


# -- segments and the course of time --------------------------------------------------------------------------------


def _segments(
    answers: Answers, overall: Mapping[str, Interval], thresholds: Mapping[str, Threshold], fewest: int
) -> list[Finding]:
    """Each segment value's metrics: those with a threshold, else the main one.

    The intervals are wider by Bonferroni over the segments, and a segment is never worse than a warning: that the whole
    is fine weighs more.
    """
    rows: dict[tuple[str, str], list[int]] = {}
    for index, segment in enumerate(answers.segment):
        for pair in segment.items():
            rows.setdefault(pair, []).append(index)
    judged = sorted((pair for pair in rows if len(rows[pair]) >= fewest), key=lambda pair: (-len(rows[pair]), pair))
    judged = sorted(judged[:MAX_SEGMENTS])
    wanted = [name for name in overall if name in thresholds] or [answers.main]
    findings = []
    for pair in judged:
        confidence = 1 - (1 - CONFIDENCE) / len(judged)
        metrics = answers.metrics(np.array(rows[pair]), confidence, wanted)
        for name in wanted:
            if name not in metrics:
                continue
            found = _metric(name, metrics[name], thresholds.get(name), {"labels": len(rows[pair])})
            findings.append(_of_segment(found, pair, metrics[name], overall[name]))
    return findings


def _of_segment(found: Finding, pair: tuple[str, str], here: Interval, overall: Interval) -> Finding:
    # only what the segment's own interval shows is said of it: among many segments some estimate is always low
    status = Status.WARNING if found.status is Status.CRITICAL else Status.OK
    better = 1 if found.subject in HIGHER_IS_BETTER else -1
    behind = here.defined and better * (here.high if better > 0 else here.low) < better * overall.estimate
    detail = {**found.detail, "overall": overall.estimate, "worse_than_overall": bool(behind)}
    message = f"{pair[0]}={pair[1]}: {found.message}" + ("; worse than the whole" if behind else "")
    return Finding(
        found.subject,
        found.test,
        status,
        message,
        value=found.value,
        threshold=found.threshold,
        segment={pair[0]: pair[1]},
        detail=detail,
    )


def _course(answers: Answers, span: Span, wanted: Iterable[str], fewest: int) -> dict[str, list[dict[str, Any]]]:
    """Each wanted metric day by day (hour by hour in a window of up to two days), where there are labels enough."""
    step = timedelta(days=1) if span.length > timedelta(days=2) else timedelta(hours=1)
    step *= max(1, math.ceil(span.length / step / MAX_POINTS))
    bucket = ((answers.timestamp - span.start.timestamp()) // step.total_seconds()).astype(np.int64)
    course: dict[str, list[dict[str, Any]]] = {name: [] for name in sorted(wanted)}
    for index in np.unique(bucket):
        rows = np.flatnonzero(bucket == index)
        if len(rows) < fewest:
            continue
        metrics = answers.metrics(rows, wanted=course)
        start = (span.start + int(index) * step).astimezone(UTC)
        for name, points in course.items():
            if name in metrics and metrics[name].defined:
                points.append({"start": _rfc3339(start), "labels": len(rows), **_ends(metrics[name])})
    return {name: points for name, points in course.items() if len(points) > 1}


def _ends(interval: Interval) -> dict[str, float]:
    return {"value": interval.estimate, "low": interval.low, "high": interval.high}


def _rfc3339(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
