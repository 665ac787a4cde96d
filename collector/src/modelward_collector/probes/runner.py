"""Configured targets, probed when they are due, with their latest results."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from prometheus_client.core import GaugeMetricFamily

from modelward_collector.checks.result import Status
from modelward_collector.probes.result import ProbeResult
from modelward_collector.probes.run import run_probes
from modelward_collector.probes.spec import ProbeSpec


class ProbeRunner:
    """Runs each target every so often and keeps what it found last; safe from several threads.

    Call `run_due()` every few seconds. It also is a collector of `prometheus_client`: `registry.register(runner)`.
    """

    def __init__(
        self, specs: Sequence[ProbeSpec] = (), run: Callable[[Sequence[ProbeSpec]], list[ProbeResult]] = run_probes
    ) -> None:
        self._run = run
        self._lock = threading.Lock()
        self._running = threading.Lock()
        self._specs: dict[str, ProbeSpec] = {}
        self._begun: dict[str, datetime] = {}
        self._latest: dict[str, ProbeResult] = {}
        self.configure(specs)

    def configure(self, specs: Sequence[ProbeSpec]) -> None:
        """Probe these from now on; results of targets that did not change stay. `ValueError` for a name twice."""
        by_name = {spec.name: spec for spec in specs}
        if len(by_name) < len(specs):
            names = [spec.name for spec in specs]
            twice = sorted({name for name in names if names.count(name) > 1})
            raise ValueError(f"probes: the name {twice[0]!r} is given twice; give each probe its own")
        with self._lock:
            kept = {name for name, spec in by_name.items() if self._specs.get(name) == spec}
            self._begun = {name: at for name, at in self._begun.items() if name in kept}
            self._latest = {name: result for name, result in self._latest.items() if name in kept}
            self._specs = by_name

    @property
    def specs(self) -> list[ProbeSpec]:
        """The configured targets, in order."""
        with self._lock:
            return list(self._specs.values())

    def due(self, now: datetime | None = None) -> list[ProbeSpec]:
        """The targets whose time has come: never probed, or `every` ago."""
        moment = now or datetime.now(UTC)
        with self._lock:
            return [
                spec
                for name, spec in self._specs.items()
                if name not in self._begun or not self._begun[name] <= moment < self._begun[name] + spec.every
            ]

    def run_due(self, now: datetime | None = None) -> list[ProbeResult]:
        """Probe what is due, and answer with what was found; nothing while another call is at it."""
        if not self._running.acquire(blocking=False):
            return []
        try:
            moment = now or datetime.now(UTC)
            due = self.due(moment)
            with self._lock:
                self._begun |= {spec.name: moment for spec in due}
            results = self._run(due)
            with self._lock:
                for spec, result in zip(due, results, strict=True):
                    if self._specs.get(spec.name) == spec:  # it may have been reconfigured meanwhile
                        self._latest[spec.name] = result
            return results
        finally:
            self._running.release()

    def latest(self) -> list[ProbeResult]:
        """The latest result of each target that has one, in the order of the configuration."""
        with self._lock:
            return [self._latest[name] for name in self._specs if name in self._latest]

    def export(self) -> list[Mapping[str, Any]]:
        """The latest results as JSON values."""
        return [result.to_document() for result in self.latest()]

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """The latest results as Prometheus series."""
        labels = ("probe", "kind")
        success = GaugeMetricFamily("modelward_probe_success", "Whether the target does what it should.", labels=labels)
        duration = GaugeMetricFamily("modelward_probe_duration_seconds", "How long the probe took.", labels=labels)
        warning = GaugeMetricFamily(
            "modelward_probe_warning", "Whether the target is fine but needs attention.", labels=labels
        )
        expiry = GaugeMetricFamily(
            "modelward_probe_certificate_expiry_timestamp_seconds",
            "When the target's certificate expires, if it showed one that verifies.",
            labels=labels,
        )
        ran = GaugeMetricFamily("modelward_probe_last_run_timestamp_seconds", "When the probe last ran.", labels=labels)
        for result in self.latest():
            who = (result.name, result.kind)
            success.add_metric(who, float(result.ok))
            duration.add_metric(who, result.latency)
            warning.add_metric(who, float(result.status is Status.WARNING))
            ran.add_metric(who, result.at.timestamp())
            if result.expires_at is not None:
                expiry.add_metric(who, result.expires_at.timestamp())
        return (success, duration, warning, expiry, ran)
