"""Results as Prometheus series, in a registry of the collector's own."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from modelward_collector.checks.result import CheckKind, CheckResult, Finding, Status
from modelward_collector.standing import current

DURATION_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0)

EFFECT = "effect"
"""The `test` label of a feature's drift on the scale from 0 to 1 that all tests share."""

_NOT_METRICS = frozenset({"labels", "labels_share", "predictions"})


class Metrics:
    """What `/metrics` shows. A series exists while the latest run of its check gives it, so none goes stale.

    Safe to use from several threads.
    """

    def __init__(self, max_features: int) -> None:
        self.registry = CollectorRegistry()
        self._latest = _LatestResults(max_features)
        self.registry.register(self._latest)
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
        """Count a scheduled run, and show its results in place of the run before."""
        for result in results:
            self._runs.labels(result.check, result.status).inc()
            self._seconds.labels(result.check).observe(result.duration_seconds)
        self._latest.replace(results)

    def restore(self, results: Iterable[CheckResult]) -> None:
        """Show what the store has of every (model, version, check), without counting it as run."""
        self._latest.restore(results)

    def forget(self, model: str, check: CheckKind | None = None) -> None:
        """Stop showing a model that is gone, or one check of it that was switched off."""
        self._latest.forget(model, check)

    def observe(self, collector: Collector) -> None:
        """Show another part's series too."""
        self.registry.register(collector)

    def render(self) -> bytes:
        """The exposition, text format 0.0.4."""
        return generate_latest(self.registry)


class _LatestResults(Collector):
    def __init__(self, max_features: int) -> None:
        self._max_features = max_features
        self._lock = threading.Lock()
        self._results: dict[tuple[str, CheckKind], tuple[CheckResult, ...]] = {}
        self._succeeded: dict[tuple[str, CheckKind], datetime] = {}

    def describe(self) -> Iterable[Metric]:
        return []

    def replace(self, results: Sequence[CheckResult]) -> None:
        if not results:
            return
        key = (results[0].model, results[0].check)
        with self._lock:
            self._results[key] = tuple(results)
            self._note_success(key, results)

    def _note_success(self, key: tuple[str, CheckKind], results: Iterable[CheckResult]) -> None:
        for result in results:
            if result.status is not Status.ERROR:
                known = self._succeeded.get(key)
                self._succeeded[key] = result.ran_at if known is None else max(known, result.ran_at)

    def restore(self, results: Iterable[CheckResult]) -> None:
        grouped: dict[tuple[str, CheckKind], list[CheckResult]] = {}
        for result in current(results):
            grouped.setdefault((result.model, result.check), []).append(result)
        with self._lock:
            for key, group in grouped.items():
                mine = self._results.get(key)
                if mine is None or max(result.end for result in mine) <= group[0].end:
                    self._results[key] = tuple(group)
                self._note_success(key, group)

    def forget(self, model: str, check: CheckKind | None) -> None:
        with self._lock:
            for key in [key for key in self._results if key[0] == model and check in (None, key[1])]:
                del self._results[key]
                self._succeeded.pop(key, None)

    def collect(self) -> Iterator[Metric]:
        with self._lock:
            results = [result for group in self._results.values() for result in group]
            succeeded = dict(self._succeeded)
        status = GaugeMetricFamily(
            "modelward_check_status",
            "Outcome of the latest run: 0 ok, 1 no data, 2 warning, 3 critical, 4 the check itself failed.",
            labels=("model", "version", "check"),
        )
        rows = GaugeMetricFamily(
            "modelward_check_rows", "Rows that the latest run looked at.", labels=("model", "version", "check")
        )
        score = GaugeMetricFamily(
            "modelward_drift_score",
            "A feature's drift by one test, in the test's own unit; effect is on a scale from 0 to 1 that all share.",
            labels=("model", "version", "feature", "test"),
        )
        detected = GaugeMetricFamily(
            "modelward_drift_detected", "Features found drifting by the latest run.", labels=("model", "version")
        )
        violations = GaugeMetricFamily(
            "modelward_quality_violations", "Data-quality rules broken in the latest run.", labels=("model", "version")
        )
        performance = GaugeMetricFamily(
            "modelward_performance",
            "A performance metric over the labelled predictions, in its own unit.",
            labels=("model", "version", "metric"),
        )
        labels = GaugeMetricFamily(
            "modelward_performance_labels", "Predictions of the window whose actual is in.", labels=("model", "version")
        )
        success = GaugeMetricFamily(
            "modelward_check_last_success_timestamp_seconds",
            "When a run of the check last ended without failing.",
            labels=("model", "check"),
        )
        for (model, check), moment in succeeded.items():
            success.add_metric((model, check), moment.timestamp())
        for result in results:
            who = (result.model, result.version)
            status.add_metric((*who, result.check), result.status.rank)
            rows.add_metric((*who, result.check), result.rows)
            if result.status in (Status.ERROR, Status.NO_DATA):
                continue
            bad = [finding for finding in result.findings if finding.status.rank >= Status.WARNING.rank]
            if result.check is CheckKind.DRIFT:
                detected.add_metric(who, result.numbers.get("drifted", 0.0))
                for feature, test, value in drift_scores(result.findings, self._max_features):
                    score.add_metric((*who, feature, test), value)
            elif result.check is CheckKind.QUALITY:
                violations.add_metric(who, len(bad))
            elif result.check is CheckKind.PERFORMANCE:
                labels.add_metric(who, result.numbers.get("labels", 0.0))
                for metric, value in performance_values(result):
                    performance.add_metric((*who, metric), value)
        yield from (status, rows, score, detected, violations, performance, labels, success)


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
