"""Results as Prometheus series, in a registry of the collector's own."""

from __future__ import annotations

import logging
import threading
from collections import Counter as Counts
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from modelward_agent.bounds import label
from modelward_collector.checks.estimated import names_of
from modelward_collector.checks.result import CheckKind, CheckResult, Finding, Status
from modelward_collector.standing import current

logger = logging.getLogger(__name__)

DURATION_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0)

EFFECT = "effect"
"""The `test` label of a feature's drift on the scale from 0 to 1 that all tests share."""

_NOT_METRICS = frozenset({"labels", "labels_share", "predictions"})

MOST_SEGMENTS = 64
"""Segments of one result that are series: the first of its findings, which are the worst."""

MOST_LINES = 2_000_000
"""Series in all; a check of a model then shows one version only. A thousand models of 30 features have 330,000."""

_HELP = {
    "modelward_check_status": "The latest run: 0 ok, 1 no verdict, 2 warning, 3 critical, 4 the check failed.",
    "modelward_check_rows": "Rows that the latest run looked at.",
    "modelward_check_last_success_timestamp_seconds": "When a run of the check last ended without failing.",
    "modelward_drift_score": "A feature's drift by one test, in its own unit; effect is from 0 to 1 for all.",
    "modelward_drift_detected": "Features found drifting by the latest run.",
    "modelward_quality_violations": "Data-quality rules broken in the latest run.",
    "modelward_performance": "A performance metric over the labelled predictions, in its own unit.",
    "modelward_performance_estimated": "A performance metric as estimated before labels are in, in its own unit.",
    "modelward_performance_estimate_error": "By how much past estimates were off once labels were in.",
    "modelward_performance_interval": "The 95% interval's ends of a realised metric, by bound: low and high.",
    "modelward_performance_estimated_interval": "The 95% interval's ends of an estimated one: low and high.",
    "modelward_segment_drift_detected": "Features found drifting in a segment by the latest run.",
    "modelward_segment_performance": "A performance metric of one segment's labelled predictions, in its own unit.",
    "modelward_performance_labels": "Predictions of the window whose actual is in.",
}
"""The series that results become, all of them gauges."""

Key = tuple[str, CheckKind]
Lines = Mapping[str, Sequence[str]]
"""Exposition lines by the name of their series."""


class Metrics:
    """What `/metrics` shows. A series exists while the latest run of its check gives it, so none goes stale.

    A fleet's results are hundreds of thousands of lines, so each result is written out once, when it comes, and not at
    every scrape. Of a model the worst `max_features` features are series, and `max_versions` versions: what is flagged,
    then what has most rows. Safe to use from several threads.
    """

    def __init__(self, max_features: int, max_versions: int = 20, most_lines: int = MOST_LINES) -> None:
        self.registry = CollectorRegistry()
        self._max_features = max_features
        self._max_versions = max_versions
        self._most_lines = most_lines
        self._said: set[str] = set()
        self._counts: dict[Key, int] = {}
        self._lock = threading.Lock()
        self._ends: dict[Key, datetime] = {}
        self._lines: dict[Key, Lines] = {}
        self._succeeded: dict[Key, datetime] = {}
        self._runs = Counter(
            "modelward_check_runs", "Runs of checks by their outcome.", ("check", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "modelward_check_duration_seconds",
            "How long a run of a check took.",
            ("check",),
            buckets=DURATION_BUCKETS,
            registry=self.registry,
        )
        for check in CheckKind:
            self._seconds.labels(check)
            for status in Status:
                self._runs.labels(check, status)

    def ran(self, results: Sequence[CheckResult]) -> None:
        """Count a scheduled run of one check of one model, and show its results in place of the run before."""
        for result in results:
            self._runs.labels(result.check, result.status).inc()
            self._seconds.labels(result.check).observe(result.duration_seconds)
        if results:
            self._show(results)

    def restore(self, results: Iterable[CheckResult]) -> None:
        """Show what the store has of every (model, version, check), without counting it as run."""
        grouped: dict[Key, list[CheckResult]] = {}
        for result in current(results):
            grouped.setdefault((result.model, result.check), []).append(result)
        for key, group in grouped.items():
            known = self._ends.get(key)
            if known is None or known < group[0].end:
                self._show(group)

    def _show(self, results: Sequence[CheckResult]) -> None:
        key = (results[0].model, results[0].check)
        lines = self._written(key, results)
        succeeded = [result.ran_at for result in results if result.status is not Status.ERROR]
        with self._lock:
            self._ends[key] = max(result.end for result in results)
            self._lines[key] = lines
            self._counts[key] = sum(map(len, lines.values()))
            if succeeded:
                self._succeeded[key] = max(succeeded)

    def _written(self, key: Key, results: Sequence[CheckResult]) -> Lines:
        """The lines of as many versions as may be series, one at least."""
        with self._lock:
            room = self._most_lines - sum(count for one, count in self._counts.items() if one != key)
        lines: dict[str, list[str]] = {}
        shown = 0
        for result in sorted(results, key=_importance, reverse=True)[: self._max_versions]:
            found = [
                (name, _line(name, labels, value)) for name, labels, value in series_of(result, self._max_features)
            ]
            room -= len(found)
            if shown and room < 0:
                break
            shown += 1
            for name, line in found:
                lines.setdefault(name, []).append(line)
        if shown < len(results) and key[0] not in self._said:
            self._said.add(key[0])
            logger.warning(
                "%s: %d of %d versions are series, what is flagged and what has most rows (metrics.max_versions; at "
                "most %d series in all)",
                *(key[0], shown, len(results), self._most_lines),
            )
        return lines

    def forget(self, model: str, check: CheckKind | None = None) -> None:
        """Stop showing a model that is gone, or one check of it that was switched off."""
        with self._lock:
            for key in [key for key in self._ends if key[0] == model and check in (None, key[1])]:
                del self._ends[key], self._lines[key], self._counts[key]
                self._succeeded.pop(key, None)

    def observe(self, collector: Collector) -> None:
        """Show another part's series too."""
        self.registry.register(collector)

    def render(self) -> bytes:
        """The exposition, Prometheus text format."""
        with self._lock:
            shown = list(self._lines.values())
            succeeded = dict(self._succeeded)
        by_name: dict[str, list[str]] = {name: [] for name in _HELP}
        for lines in shown:
            for name, some in lines.items():
                by_name[name] += some
        name = "modelward_check_last_success_timestamp_seconds"
        by_name[name] = [
            _line(name, {"check": check, "model": model}, moment.timestamp())
            for (model, check), moment in succeeded.items()
        ]
        text = [
            f"# HELP {name} {_HELP[name]}\n# TYPE {name} gauge\n{''.join(lines)}" for name, lines in by_name.items()
        ]
        return generate_latest(self.registry) + "".join(text).encode()


def _line(name: str, labels: Mapping[str, str], value: float) -> str:
    shown = ",".join(f'{key}="{_escaped(label(text))}"' for key, text in sorted(labels.items()))
    return f"{name}{{{shown}}} {floatToGoString(value)}\n"  # type: ignore[no-untyped-call]


def _importance(result: CheckResult) -> tuple[bool, int, str]:
    return result.status.flagged, result.rows, result.version


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def series_of(result: CheckResult, max_features: int) -> Iterator[tuple[str, dict[str, str], float]]:
    """(name, labels, value) of each series that one result becomes."""
    who = {"model": result.model, "version": result.version}
    yield "modelward_check_status", {**who, "check": result.check}, result.status.code
    yield "modelward_check_rows", {**who, "check": result.check}, result.rows
    if result.check is CheckKind.PERFORMANCE:
        yield from _estimates(who, result.numbers)  # there without any labels too
    if result.status in (Status.ERROR, Status.NO_DATA):
        return
    if result.check is CheckKind.DRIFT:
        yield "modelward_drift_detected", who, result.numbers.get("drifted", 0.0)
        for feature, test, value in drift_scores(result.findings, max_features):
            yield "modelward_drift_score", {**who, "feature": feature, "test": test}, value
        drifting = Counts(_segment(finding) for finding in result.findings if finding.segment)
        for segment, features in list(drifting.items())[:MOST_SEGMENTS]:
            yield "modelward_segment_drift_detected", {**who, "segment": segment}, features
    elif result.check is CheckKind.QUALITY:
        broken = sum(finding.status.rank >= Status.WARNING.rank for finding in result.findings)
        yield "modelward_quality_violations", who, broken
    elif result.check is CheckKind.PERFORMANCE:
        yield "modelward_performance_labels", who, result.numbers.get("labels", 0.0)
        for metric, value in performance_values(result):
            yield "modelward_performance", {**who, "metric": metric}, value
            yield from _interval("modelward_performance_interval", {**who, "metric": metric}, result.numbers, metric)
        segments = dict.fromkeys(_segment(finding) for finding in result.findings if finding.segment)
        shown = frozenset(list(segments)[:MOST_SEGMENTS])
        for finding in result.findings:
            if finding.segment and finding.value is not None and (segment := _segment(finding)) in shown:
                labels = {**who, "segment": segment, "metric": finding.subject}
                yield "modelward_segment_performance", labels, finding.value


def _segment(finding: Finding) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted((finding.segment or {}).items()))


def _interval(
    name: str, labels: dict[str, str], numbers: Mapping[str, float], key: str
) -> Iterator[tuple[str, dict[str, str], float]]:
    for bound in ("low", "high"):
        value = numbers.get(f"{key}.{bound}")
        if value is not None:
            yield name, {**labels, "bound": bound}, value


def _estimates(who: dict[str, str], numbers: Mapping[str, float]) -> Iterator[tuple[str, dict[str, str], float]]:
    for metric in names_of(numbers):
        labels = {**who, "metric": metric}
        yield "modelward_performance_estimated", labels, numbers[f"estimated.{metric}"]
        yield from _interval("modelward_performance_estimated_interval", labels, numbers, f"estimated.{metric}")
        past = numbers.get(f"estimated.{metric}.past_error")
        if past is not None:
            yield "modelward_performance_estimate_error", labels, past


def drift_scores(findings: Iterable[Finding], max_features: int) -> list[tuple[str, str, float]]:
    """(feature, test, value) of what becomes series: the worst `max_features` features, over all segments."""
    by_feature: dict[str, list[Finding]] = {}
    for finding in findings:
        if not finding.segment and finding.value is not None:
            by_feature.setdefault(finding.subject, []).append(finding)

    def badness(feature: str) -> tuple[int, float, str]:
        mine = by_feature[feature]
        over = max((f.value / f.threshold for f in mine if f.value is not None and f.threshold), default=0.0)
        return (-max(f.status.rank for f in mine), -over, feature)

    kept = sorted(by_feature, key=badness)[:max_features]
    scores: dict[tuple[str, str], float] = {}
    for feature in sorted(kept):
        for finding in by_feature[feature]:
            if finding.value is not None:
                scores.setdefault((feature, EFFECT), finding.value)
            for test, outcome in finding.detail.get("tests", {}).items():
                if outcome.get("value") is not None:
                    scores.setdefault((feature, test), outcome["value"])
    return [(feature, test, value) for (feature, test), value in scores.items()]


def performance_values(result: CheckResult) -> list[tuple[str, float]]:
    """(metric, value) of a performance result, without the ends of the intervals and the counts of labels."""
    return sorted(
        (name, value) for name, value in result.numbers.items() if "." not in name and name not in _NOT_METRICS
    )
