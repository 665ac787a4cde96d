"""What `models.d/` says, as series: whose a model is, and the thresholds that rules and dashboards compare with."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from modelward_agent.metrics import LATENCY_BUCKETS
from modelward_collector.models import ModelSpec, Task
from modelward_collector.registry import Registry
from modelward_collector.series import PERFORMANCE

DEFAULT_ACCURACY_MIN: Final = 0.85
"""What is asked of a classifier that sets no threshold of its own."""

DEFAULT_LATENCY_SECONDS: Final = 0.5
"""What most answers should stay within where a model says nothing; the rules have it for who is not known here."""

MOST_VERSIONS: Final = 4
"""Of one model, those seen last."""

Bound = tuple[str, str, float]
"""Metric or series, `min` or `max`, and the value."""


class ConfiguredSeries(Collector):
    """The registry's models at the moment of a scrape, as they are known; nobody is asked."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def describe(self) -> Iterable[Metric]:
        """Nothing ahead of time: the series come and go with the models."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Owners, thresholds, and how many model files cannot be used."""
        info = GaugeMetricFamily(
            "modelward_model_info",
            "Whose a model is; version is that of its traffic, empty before there was any.",
            labels=("model", "version", "owner", "tier"),
        )
        performance = GaugeMetricFamily(
            "modelward_performance_threshold",
            "What a performance metric should not be below (min) or above (max).",
            labels=("model", "metric", "bound"),
        )
        series = GaugeMetricFamily(
            "modelward_series_threshold",
            "What a series should not be below (min) or above (max), in its own unit.",
            labels=("model", "series", "bound"),
        )
        objective = GaugeMetricFamily(
            "modelward_latency_objective",
            "The bucket (le) of modelward_prediction_latency_seconds that has the answers that are fast enough.",
            labels=("model", "le"),
        )
        for spec, versions in self._registry.known():
            for version in versions[:MOST_VERSIONS] or [""]:
                info.add_metric((spec.model, version, spec.owner, str(spec.tier)), 1)
            for metric, bound, value in performance_bounds(spec):
                performance.add_metric((spec.model, metric, bound), value)
            for name, bound, value in series_bounds(spec):
                series.add_metric((spec.model, name, bound), value)
            objective.add_metric((spec.model, objective_bucket(spec)), 1)
        invalid = "Files of models.d that cannot be used; what was in force before stays in force."
        yield from (info, performance, series, objective)
        yield GaugeMetricFamily("modelward_model_files_invalid", invalid, value=len(self._registry.errors))


def performance_bounds(spec: ModelSpec) -> list[Bound]:
    """The model's performance thresholds; without any, the default for what classifies or may."""
    thresholds = spec.checks.performance.thresholds
    if not thresholds:
        return [] if spec.task is Task.REGRESSION else [("accuracy", "min", DEFAULT_ACCURACY_MIN)]
    return [
        (metric, bound, value)
        for metric, threshold in thresholds.items()
        for bound, value in (("min", threshold.min), ("max", threshold.max))
        if value is not None
    ]


def series_bounds(spec: ModelSpec) -> list[Bound]:
    """The thresholds of what is forecast: errors, latency and performance."""
    return [
        ("error_rate", "max", spec.checks.health.error_rate_max),
        ("latency_p99_seconds", "max", _latency_seconds(spec)),
        *((f"{PERFORMANCE}{metric}", bound, value) for metric, bound, value in performance_bounds(spec)),
    ]


def objective_bucket(spec: ModelSpec) -> str:
    """The `le` of the agents' smallest bucket that has every answer within the bound; `+Inf` beyond all of them."""
    place = bisect_left(LATENCY_BUCKETS, _latency_seconds(spec))
    return str(LATENCY_BUCKETS[place]) if place < len(LATENCY_BUCKETS) else "+Inf"


def _latency_seconds(spec: ModelSpec) -> float:
    milliseconds = spec.checks.health.latency_p99_ms_max
    return DEFAULT_LATENCY_SECONDS if milliseconds is None else milliseconds / 1000
