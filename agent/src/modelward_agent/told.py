"""What applications tell beside predictions, as bounded series: what models bring and cost, and runs of stages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

OTHER: Final = "other"
"""The label of what is beyond a bound."""

MOST_EVENTS: Final = 32
"""Different (event, currency) of one model version that have series of their own."""

MOST_STAGES: Final = 500
"""Different (pipeline, stage) that have series of their own."""

STAGE_BUCKETS: Final = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 43200.0)
"""Upper bounds in seconds: a stage takes from moments to half a day."""

OUTCOMES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("started", "running"), "started"),
    **dict.fromkeys(("succeeded", "success", "ok", "completed", "finished", "done"), "succeeded"),
    **dict.fromkeys(("failed", "failure", "error"), "failed"),
}
"""The `status` label by the word that was recorded; any other word is `other`, so that there are four of them."""

Pair = tuple[str, str]
_Event = tuple[str, str, str, str]
_Stage = Pair


class BusinessSeries:
    """Sums of what `business` lines say. Counters only grow, so what is below zero is summed apart, as its size."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], set[tuple[str, str]]] = {}
        self._events: Counter[_Event] = Counter()
        self._above: dict[_Event, float] = {}
        self._below: dict[_Event, float] = {}

    def add(
        self, documents: Iterable[Mapping[str, Any]], bounded: Callable[[tuple[str, str]], tuple[str, str]]
    ) -> None:
        """Count the lines; `bounded` gives the (model, version) that has series."""
        for document in documents:
            model = bounded((_text(document, "model"), _text(document, "version")))
            key = (*model, *self._kind(model, (_text(document, "event"), _text(document, "currency"))))
            value = float(document.get("value") or 0.0)
            self._events[key] += 1
            self._above[key] = self._above.get(key, 0.0) + max(value, 0.0)
            self._below[key] = self._below.get(key, 0.0) + max(-value, 0.0)

    def forget(self, versions: Collection[tuple[str, str]]) -> None:
        """Show these model versions no longer."""
        for version in versions:
            for kind in (*self._known.pop(version, ()), (OTHER, OTHER)):
                for sums in (self._events, self._above, self._below):
                    sums.pop((*version, *kind), None)

    def _kind(self, model: tuple[str, str], kind: tuple[str, str]) -> tuple[str, str]:
        known = self._known.setdefault(model, set())
        if kind not in known:
            if len(known) >= MOST_EVENTS:
                return (OTHER, OTHER)
            known.add(kind)
        return kind

    def collect(self) -> list[Metric]:
        """Three counters by model, version, event and currency."""
        families: list[Metric] = []
        for name, help_text, counts in (
            ("modelward_business_events", "Business events read.", self._events),
            ("modelward_business_value", "Sum of the events' values above zero, in their currency.", self._above),
            ("modelward_business_negative_value", "Sum of the sizes of values below zero.", self._below),
        ):
            family = CounterMetricFamily(name, help_text, labels=("model", "version", "event", "currency"))
            for key, value in counts.items():
                family.add_metric(key, value)
            families.append(family)
        return families


class StageSeries:
    """Runs of pipelines' stages, how long they took, and when each last went well."""

    def __init__(self) -> None:
        self._known: set[_Stage] = set()
        self._runs: Counter[tuple[str, str, str]] = Counter()
        self._rows: Counter[_Stage] = Counter()
        self._succeeded: dict[_Stage, float] = {}
        self._counts: dict[_Stage, NDArray[np.int64]] = {}
        self._seconds: dict[_Stage, float] = {}

    def add(self, lines: Iterable[tuple[float, Mapping[str, Any]]]) -> None:
        """Count lines, each with its Unix time."""
        for at, document in lines:
            stage = self._stage((_text(document, "pipeline"), _text(document, "stage")))
            status = OUTCOMES.get(_text(document, "status").lower(), OTHER)
            self._runs[*stage, status] += 1
            self._rows[stage] += int(document.get("rows") or 0)
            if status == "succeeded":
                self._succeeded[stage] = max(at, self._succeeded.get(stage, at))
            if document.get("duration_ms") is not None:
                seconds = float(document["duration_ms"]) / 1_000
                counts = self._counts.setdefault(stage, np.zeros(len(STAGE_BUCKETS) + 1, dtype=np.int64))
                counts[np.searchsorted(STAGE_BUCKETS, seconds)] += 1
                self._seconds[stage] = self._seconds.get(stage, 0.0) + seconds

    def _stage(self, stage: _Stage) -> _Stage:
        if stage not in self._known:
            if len(self._known) >= MOST_STAGES:
                return (OTHER, OTHER)
            self._known.add(stage)
        return stage

    def collect(self) -> list[Metric]:
        """Counters, a histogram of durations and the moment of the last success, by pipeline and stage."""
        labels = ("pipeline", "stage")
        runs = CounterMetricFamily("modelward_stage_runs", "Stages of pipelines.", labels=(*labels, "status"))
        for key, count in self._runs.items():
            runs.add_metric(key, count)
        rows = CounterMetricFamily("modelward_stage_rows", "Rows that stages worked on.", labels=labels)
        for stage, count in self._rows.items():
            rows.add_metric(stage, count)
        last = GaugeMetricFamily(
            "modelward_stage_last_success_timestamp_seconds", "When a stage last succeeded.", labels=labels
        )
        for stage, at in self._succeeded.items():
            last.add_metric(stage, at)
        took = HistogramMetricFamily("modelward_stage_duration_seconds", "How long stages took.", labels=labels)
        bounds = [*(str(bound) for bound in STAGE_BUCKETS), "+Inf"]
        for stage, counts in self._counts.items():
            took.add_metric(
                stage, list(zip(bounds, np.cumsum(counts).tolist(), strict=True)), self._seconds.get(stage, 0.0)
            )
        return [runs, rows, last, took]


def _text(document: Mapping[str, Any], name: str) -> str:
    """A label's text; what is no string (a model's name is not looked at on lines that need none) is empty."""
    value = document.get(name)
    return value if isinstance(value, str) else ""
