"""A day of a made-up company's models, as the series that real agents, collectors and exporters have.

Six models on five servers; one drifts since the night and turns critical, one breaks rules of data quality, one has a
new version on a tenth of its traffic. What the names and labels are, a test compares with what real processes show.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TextIO

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

Values = NDArray[np.float64]
Sample = tuple[str, Mapping[str, str], Values]

STEP: Final = 60.0
HOURS: Final = 27
NOON: Final = datetime(2026, 7, 24, 14, 24, tzinfo=UTC).timestamp()
"""When the pictures of the documentation are of."""

CHOSEN: Final = {"currency": "EUR", "metric": "accuracy", "model": "credit-risk", "series": "rows", "version": "12"}
"""What a person would look at."""

READY_SECONDS: Final = 60.0
LATENCY_BOUNDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
STAGE_BOUNDS: Final = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 43200.0)
CHECK_BOUNDS: Final = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0)
HOSTS: Final = ("score-1", "score-2", "score-3", "score-4", "score-5")
CHECKS: Final = ("drift", "quality", "performance", "health")
COLLECTOR: Final = {"job": "collector", "instance": "collector:8321"}


@dataclass(frozen=True, slots=True)
class Example:
    """One model: predictions a second at its mean, errors as a share, median latency in seconds, and its value."""

    name: str
    version: str
    team: str
    rate: float
    errors: float
    latency: float
    metric: str
    quality: float
    threshold: float
    revenue: float
    cost: float
    features: tuple[str, ...]


MODELS: Final = (
    Example("fraud", "7", "payments", 62, 0.0002, 0.011, "accuracy", 0.962, 0.93, 0.021, 0.0016,
            ("amount", "merchant", "country", "hour", "device_age", "velocity_1h", "card_age", "distance")),
    Example("credit-risk", "12", "lending", 9, 0.0004, 0.038, "accuracy", 0.874, 0.85, 0.33, 0.021,
            ("income", "age", "employment", "debt_ratio", "postcode", "loan_amount", "term", "history_months")),
    Example("recommendations", "31", "shop", 140, 0.0007, 0.019, "f1", 0.412, 0.35, 0.004, 0.0011,
            ("basket_value", "category", "recency", "frequency", "channel", "price_band")),
    Example("demand-forecast", "5", "supply", 3.5, 0.0, 0.12, "mae", 11.8, 15.0, 0.21, 0.012,
            ("week", "promotion", "stock", "temperature", "price", "holiday")),
    Example("support-router", "2", "service", 6, 0.0009, 0.052, "accuracy", 0.823, 0.80, 0.04, 0.009,
            ("text_length", "language", "product", "customer_tier", "sentiment")),
    Example("churn", "3", "growth", 1.4, 0.0001, 0.024, "accuracy", 0.908, 0.85, 0.5, 0.02,
            ("tenure", "tickets", "usage_trend", "plan", "payment_delays")),
)  # fmt: skip


class Day:
    """The example's series, the newest at `end`; the same seed gives the same day."""

    def __init__(self, end: float, seed: int = 7) -> None:
        self.end = end - end % STEP
        self.seconds = self.end - STEP * np.arange(HOURS * 3600 // int(STEP), -1, -1, dtype=float)
        self.random = np.random.default_rng(seed)
        hour = (self.seconds % 86_400) / 3600
        self.busy = 0.55 + 0.45 * np.sin((hour - 8) / 24 * 2 * np.pi) + 0.12 * np.sin(hour / 12 * 2 * np.pi)
        self.busy = np.clip(self.busy, 0.12, None)
        self.ago = (self.end - self.seconds) / 3600
        self.n = len(self.seconds)

    # -- shapes ---------------------------------------------------------------------------------------------------
    def _counted(self, per_second: Values | float) -> Values:
        return np.cumsum(self.random.poisson(np.maximum(0, per_second * np.ones(self.n)) * STEP)).astype(float)

    def _summed(self, per_second: Values | float, spread: float = 0.1) -> Values:
        mean = per_second * np.ones(self.n) * STEP
        return np.cumsum(mean * np.clip(1 + spread * self.random.standard_normal(self.n), 0, None))

    def _wandering(self, level: float, size: float, smooth: int = 90) -> Values:
        noise = np.convolve(self.random.standard_normal(self.n + smooth), np.ones(smooth) / np.sqrt(smooth), "valid")
        return level + size * noise[: self.n]

    def _held(self, values: Values, minutes: int) -> Values:
        """As a check that runs every so many minutes leaves it."""
        return values[np.arange(self.n) // minutes * minutes]

    def _since(self, hours: float) -> Values:
        """0 before that many hours ago, then 1."""
        return (self.ago <= hours).astype(float)

    # -- what there is --------------------------------------------------------------------------------------------
    def series(self) -> Iterator[Sample]:
        """Name, labels and values of each."""
        yield from self._agents()
        for model in MODELS:
            yield from self._traffic(model)
            yield from self._results(model)
            yield from self._forecasts(model)
        yield from self._stages()
        yield from self._collector()
        yield from self._appliance()
        yield from self._alerts()

    def _agents(self) -> Iterator[Sample]:
        for place, host in enumerate((*HOSTS, "agent")):
            who = {"job": "agents" if host != "agent" else "appliance-agent", "host": host, "instance": f"{host}:9478"}
            silent = self._since(3.2) * (1 - self._since(3.05)) if host == "score-4" else np.zeros(self.n)
            yield "up", who, 1 - silent
            yield "modelward_agent_info", {**who, "version": "0.5.0"}, np.ones(self.n)
            lag = np.abs(self._wandering(2e5 * (1 + place / 3), 1.2e5, 5)) + 3e7 * silent
            lag += 2.2e7 * np.exp(-(((self.ago - 3.0) / 0.06) ** 2)) * (host == "score-4")
            yield "modelward_journal_lag_bytes", who, lag
            yield "modelward_events_shipped_total", who, self._counted(42 * self.busy * (1 + 0.2 * place))
            yield "modelward_last_commit_timestamp_seconds", who, self.seconds - 8 - 4 * place
            repeated = 0.4 * np.exp(-(((self.ago - 3.1) / 0.1) ** 2)) * (host == "score-4")
            yield "modelward_ship_failures_total", {**who, "reason": "timeout"}, self._counted(repeated)
            bad = 0.02 * self._since(1.5) if host == "score-2" else 0.0004
            yield "modelward_events_quarantined_total", {**who, "reason": "not_json"}, self._counted(bad)
            yield "modelward_events_dropped_total", {**who, "reason": "disk_bound"}, np.zeros(self.n)
            yield "process_cpu_seconds_total", who, self._summed(0.035 + 0.02 * self.busy)
            yield "process_resident_memory_bytes", who, self._wandering(6.1e7 + 2e6 * place, 1e6)
            for name, rate in (("errors", 0.02), ("warnings", 0.05)):
                matched = rate * self.busy * (1 + 6 * np.exp(-(((self.ago - 1.2) / 0.2) ** 2)))
                labels = {**who, "filter": name, "model": ""}
                yield "modelward_log_matches_total", labels, self._counted(matched)

    def _hosts(self, model: Example) -> list[tuple[str, str, float]]:
        """(host, version, share) of a model's traffic."""
        first = MODELS.index(model)
        hosts = [HOSTS[(first + place) % len(HOSTS)] for place in range(3)]
        shares = [(hosts[0], model.version, 0.45), (hosts[1], model.version, 0.35), (hosts[2], model.version, 0.2)]
        if model.name == "fraud":
            shares = [(hosts[0], "7", 0.5), (hosts[1], "7", 0.4), (hosts[2], "8", 0.1)]
        return shares

    def _traffic(self, model: Example) -> Iterator[Sample]:
        slow = 1 + 2.2 * np.exp(-(((self.ago - 2.1) / 0.22) ** 2)) * (model.name == "support-router")
        for host, version, share in self._hosts(model):
            who = {"job": "agents", "host": host, "instance": f"{host}:9478", "model": model.name, "version": version}
            rate = model.rate * self.busy * share * np.clip(1 + 0.04 * self.random.standard_normal(self.n), 0, None)
            errors = rate * model.errors * (1 + 25 * np.exp(-(((self.ago - 2.1) / 0.2) ** 2)) * (slow.max() > 1.5))
            yield "modelward_predictions_total", who, self._counted(rate)
            yield "modelward_prediction_errors_total", who, self._counted(errors)
            yield "modelward_actuals_total", who, self._counted(rate * 0.6)
            yield from self._latencies(who, rate, model.latency * slow * (1 + 0.25 * (version == "8")))
            for event, each in (("revenue", model.revenue), ("cost", model.cost)):
                labels = {**who, "event": event, "currency": "EUR"}
                gain = 1 - 0.55 * self._since(2) * (model.name == "credit-risk") * (event == "revenue")
                yield "modelward_business_value_total", labels, self._summed(rate * each * gain, 0.3)
                yield "modelward_business_negative_value_total", labels, self._summed(rate * each * 0.01, 0.5)
                yield "modelward_business_events_total", labels, self._counted(rate * 0.1)
            satisfaction = {**who, "event": "satisfaction", "currency": ""}
            rated = self._counted(rate * 0.02 + 0.01)
            mark = 4.3 - 0.15 * MODELS.index(model) - 0.5 * self._since(2) * (model.name == "support-router")
            yield "modelward_business_events_total", satisfaction, rated
            yield "modelward_business_value_total", satisfaction, np.cumsum(np.diff(rated, prepend=0) * mark)
            yield "modelward_business_negative_value_total", satisfaction, np.zeros(self.n)
        host, version, _ = self._hosts(model)[0]
        for place, feature in enumerate(model.features):
            lost = 0.002 + 0.012 * (place == 2) + 0.17 * self._since(4) * (feature == "sentiment")
            labels = {
                "job": "agents",
                "host": host,
                "instance": f"{host}:9478",
                "model": model.name,
                "feature": feature,
            }
            yield "modelward_feature_missing_total", labels, self._counted(model.rate * self.busy * lost)

    def _latencies(self, who: Mapping[str, str], rate: Values, median: Values) -> Iterator[Sample]:
        name = "modelward_prediction_latency_seconds"
        per_step = self.random.poisson(np.maximum(rate, 0) * STEP).astype(float)
        for bound in (*LATENCY_BOUNDS, np.inf):
            share = norm.cdf((np.log(bound) - np.log(median)) / 0.55) if np.isfinite(bound) else np.ones(self.n)
            le = "+Inf" if np.isinf(bound) else str(bound)
            yield f"{name}_bucket", {**who, "le": le}, np.floor(np.cumsum(per_step * share) + 1e-6)
        yield f"{name}_count", who, np.cumsum(per_step)
        yield f"{name}_sum", who, np.cumsum(per_step * median * 1.16)

    def _results(self, model: Example) -> Iterator[Sample]:
        who = {**COLLECTOR, "model": model.name, "version": model.version}
        drifting = {"credit-risk": 9.0, "recommendations": 5.0}.get(model.name)
        moved = np.zeros(self.n) if drifting is None else np.clip((drifting - self.ago) / drifting, 0, 1)
        moved *= 1.0 if model.name == "credit-risk" else 0.35
        found = np.zeros(self.n)
        for place, feature in enumerate(model.features):
            effect = np.abs(self._wandering(0.035 + 0.006 * place, 0.008))
            if place < 3 and drifting is not None:
                effect = np.clip(effect + moved * (0.62 - 0.19 * place), 0, 1)
            effect = self._held(effect, 60)
            found += effect > 0.12
            for test, factor in (("effect", 1.0), ("ks", 0.8), ("psi", 0.55), ("js", 0.7), ("wasserstein", 1.3)):
                yield "modelward_drift_score", {**who, "feature": feature, "test": test}, effect * factor
        yield "modelward_drift_detected", who, found
        broken = self._held((self._since(4) * (model.name == "support-router") * 2), 5)
        yield "modelward_quality_violations", who, broken
        yield from self._performance(model, who, moved)
        drift = np.where(found > 0, np.where(moved > 0.75, 3.0, 2.0), 0.0)
        if drifting is None:
            drift = np.zeros(self.n)
        quality = np.where(broken > 0, 2.0, 0.0)
        performance = np.where(moved > 0.9, 2.0, 0.0) if model.name != "churn" else np.ones(self.n)
        busy = np.exp(-(((self.ago - 2.1) / 0.15) ** 2)) > 0.5
        health = np.where(busy & (model.name == "support-router"), 2.0, 0.0)
        for check, status in zip(CHECKS, (drift, quality, performance, health), strict=True):
            version = "" if check == "health" else model.version
            labels = {**COLLECTOR, "model": model.name, "version": version, "check": check}
            yield "modelward_check_status", labels, status
            every = {"drift": 3600, "quality": 300, "performance": 3600, "health": 60}[check]
            last = self.seconds - self.seconds % every - 40 * MODELS.index(model)
            name = "modelward_check_last_success_timestamp_seconds"
            yield name, {**COLLECTOR, "model": model.name, "check": check}, last
        info = {**COLLECTOR, "model": model.name, "version": model.version, "owner": model.team, "tier": "2"}
        yield "modelward_model_info", info, np.ones(self.n)

    def _performance(self, model: Example, who: Mapping[str, str], moved: Values) -> Iterator[Sample]:
        worse = -1 if model.metric != "mae" else 1
        metrics = {model.metric: (model.quality, 0.004)}
        if model.metric == "accuracy":
            metrics |= {"precision": (model.quality - 0.05, 0.006), "recall": (model.quality - 0.09, 0.008)}
            metrics |= {"f1": (model.quality - 0.07, 0.006), "roc_auc": (min(0.99, model.quality + 0.02), 0.003)}
        for metric, (level, spread) in metrics.items():
            spread *= level
            noise = self._wandering(0, spread * 0.25, 200)
            estimated = self._held(level + noise + worse * moved * level * 0.02, 60)
            late = np.interp(self.ago + 2.0, self.ago[::-1], moved[::-1])
            realised = self._held(level + self._wandering(0, spread * 0.3, 200) + worse * late * level * 0.055, 60)
            labels = {**who, "metric": metric}
            for kind, values, width in (("", realised, 1.3), ("_estimated", estimated, 1.7)):
                yield f"modelward_performance{kind}", labels, values
                for bound, sign in (("low", -1), ("high", 1)):
                    name = f"modelward_performance{kind}_interval"
                    yield name, {**labels, "bound": bound}, values + sign * width * spread
            yield "modelward_performance_estimate_error", labels, self._held(np.abs(realised - estimated), 60)
            for segment, offset in (("region=north", 0.006), ("region=south", -0.012), ("channel=app", 0.001)):
                inside = {**labels, "segment": segment}
                yield "modelward_segment_performance", inside, realised + offset * level + noise
        bound = "max" if model.metric == "mae" else "min"
        labels = {**COLLECTOR, "model": model.name, "metric": model.metric, "bound": bound}
        yield "modelward_performance_threshold", labels, np.full(self.n, model.threshold)
        labels = {**COLLECTOR, "model": model.name, "series": "latency_p99_seconds", "bound": "max"}
        yield "modelward_series_threshold", labels, np.full(self.n, 0.5)
        yield "model:modelward_latency_objective:info", {"model": model.name, "le": "0.5"}, np.ones(self.n)
        yield "modelward_performance_labels", who, self._wandering(9000, 300)
        if moved.max() > 0.5:
            inside = {**who, "segment": "region=south"}
            yield "modelward_segment_drift_detected", inside, self._held(np.where(moved > 0.4, 2.0, np.nan), 60)

    def _forecasts(self, model: Example) -> Iterator[Sample]:
        who = {**COLLECTOR, "model": model.name, "version": model.version}
        late = model.name == "support-router"
        bump = np.exp(-(((self.ago - 2.1) / 0.2) ** 2)) * late
        for series, level, noise in (
            ("rows", model.rate * 600 * self.busy, 0.03),
            ("error_rate", np.full(self.n, model.errors), 0.25),
            ("latency_p50_seconds", np.full(self.n, model.latency), 0.03),
            ("latency_p99_seconds", model.latency * 3.6 * (1 + 2 * bump), 0.06),
            ("score_mean", np.full(self.n, 0.31), 0.02),
            ("missing_share", 0.004 + 0.03 * self._since(4) * late, 0.1),
        ):
            normal = level / (1 + 2 * bump) if series == "latency_p99_seconds" else level
            value = self._held(level * (1 + noise * self.random.standard_normal(self.n)), 10)
            ahead = np.interp(self.ago - 1, self.ago[::-1], normal[::-1])
            labels = {**who, "series": series}
            yield "modelward_series_value", labels, value
            for quantile, factor in (("0.025", 1 - 2.2 * noise), ("0.5", 1.0), ("0.975", 1 + 2.2 * noise)):
                name = "modelward_series_forecast"
                yield name, {**labels, "quantile": quantile}, self._held(np.clip(ahead * factor, 0, None), 10)
            score = np.where(normal > 0, (value / np.where(normal > 0, normal, 1) - 1) / max(noise, 0.01), 0.0)
            yield "modelward_series_anomaly", labels, np.clip(score, -8, 8)

    def _stages(self) -> Iterator[Sample]:
        host = {"job": "agents", "host": "score-1", "instance": "score-1:9478"}
        stages = (("extract", 140.0, 2.4e6), ("features", 420.0, 2.4e6), ("train", 2900.0, 1.9e6), ("publish", 18.0, 1))
        for pipeline, every in (("nightly-training", 6.0), ("hourly-features", 1.0)):
            for place, (stage, took, rows) in enumerate(stages if every > 1 else stages[:2]):
                who = {**host, "pipeline": pipeline, "stage": stage}
                took = took if every > 1 else took / 6
                minute = (self.seconds // 60 - 7 * place) % (every * 60)
                ran = (minute == 0).astype(float)
                failed = ran * (self.ago > 2.4) * (self.ago < 3.6) * (stage == "features") * (every == 1.0)
                yield "modelward_stage_runs_total", {**who, "status": "succeeded"}, np.cumsum(ran - failed)
                yield "modelward_stage_runs_total", {**who, "status": "failed"}, np.cumsum(failed)
                yield "modelward_stage_rows_total", who, np.cumsum(ran * rows / (1 if every > 1 else 24))
                good = np.where(ran - failed > 0, self.seconds, 0)
                last = np.maximum.accumulate(good)
                name = "modelward_stage_last_success_timestamp_seconds"
                yield name, who, np.where(last > 0, last, np.nan)
                length = took * (1 + 0.1 * self.random.standard_normal(self.n))
                for bound in (*STAGE_BOUNDS, np.inf):
                    le = "+Inf" if np.isinf(bound) else str(bound)
                    inside = np.cumsum(ran * (length <= bound))
                    yield "modelward_stage_duration_seconds_bucket", {**who, "le": le}, inside
                yield "modelward_stage_duration_seconds_sum", who, np.cumsum(ran * length)
                yield "modelward_stage_duration_seconds_count", who, np.cumsum(ran)

    def _collector(self) -> Iterator[Sample]:
        every = {"drift": 1 / 3600, "quality": 1 / 300, "performance": 1 / 3600, "health": 1 / 60}
        takes = {"drift": 0.35, "quality": 0.06, "performance": 0.8, "health": 0.02}
        for check in CHECKS:
            rate = every[check] * len(MODELS)
            for status, share in (
                ("ok", 0.88),
                ("no_data", 0.02),
                ("learning", 0.02),
                ("warning", 0.06),
                ("critical", 0.02),
                ("error", 0.0),
            ):
                labels = {**COLLECTOR, "check": check, "status": status}
                yield "modelward_check_runs_total", labels, self._counted(rate * share)
            runs = self._counted(rate)
            for bound in (*CHECK_BOUNDS, np.inf):
                share = 1 - np.exp(-((bound / takes[check]) ** 2)) if np.isfinite(bound) else 1.0
                le = "+Inf" if np.isinf(bound) else str(bound)
                yield "modelward_check_duration_seconds_bucket", {**COLLECTOR, "check": check, "le": le}, runs * share
        for name, value in (
            ("checks_overdue", 0.0),
            ("checks_failing", 0.0),
            ("scheduler_leading", 1.0),
            ("store_up", 1),
        ):
            yield f"modelward_{name}", COLLECTOR, np.full(self.n, float(value))
        yellow = self._since(2.8) * (1 - self._since(2.6))
        for status, values in (("green", 1 - yellow), ("yellow", yellow), ("red", np.zeros(self.n))):
            yield "modelward_elasticsearch_health", {**COLLECTOR, "status": status}, values
        for outcome, rate in (
            ("success", 0.004),
            ("wrong_password", 0.0006),
            ("locked_out", 0.0),
            ("unavailable", 0.0),
        ):
            yield "modelward_logins_total", {**COLLECTOR, "outcome": outcome}, self._counted(rate * self.busy)

    def _appliance(self) -> Iterator[Sample]:
        jobs = ("collector", "prometheus", "alertmanager", "node-exporter", "blackbox-exporter", "backup")
        ports = {"collector": 8321, "prometheus": 9090, "alertmanager": 9093, "node-exporter": 9100, "backup": 9479}
        for place, job in enumerate(jobs):
            who = {"job": job, "instance": f"{job}:{ports.get(job, 9115)}"}
            yield "up", who, np.ones(self.n)
            level = (3.1e8, 4.4e8, 3.8e7, 2.1e7, 2.4e7, 5.5e7)[place]
            yield "process_resident_memory_bytes", who, self._wandering(level, level * 0.01)
        probes = (("gateway", "published", 212), ("grafana", "published", 212), ("kibana", "internal", 0))
        for place, (service, job, days) in enumerate(probes):
            who = {"job": job, "instance": f"https://{service}", "service": service}
            down = self._since(2.8) * (1 - self._since(2.7)) if service == "kibana" else np.zeros(self.n)
            yield "probe_success", who, 1 - down
            yield "probe_duration_seconds", who, np.abs(self._wandering(0.012 + 0.02 * place, 0.003, 8)) + 7 * down
            if days:
                yield "probe_ssl_earliest_cert_expiry", who, np.full(self.n, self.end + days * 86_400)
        for place, service in enumerate(("elasticsearch", "prometheus", "alertmanager", "agent", "backup")):
            who = {"job": "certificates", "instance": f"{service}:{9200 + place}", "service": service}
            yield "probe_ssl_earliest_cert_expiry", who, np.full(self.n, self.end + (61 + 3 * place) * 86_400)
        prometheus = {"job": "prometheus", "instance": "prometheus:9090"}
        yield "prometheus_tsdb_head_samples_appended_total", prometheus, self._summed(640.0, 0.02)
        yield "prometheus_tsdb_head_series", prometheus, self._wandering(6400, 40)
        for place, group in enumerate(("models", "objectives", "objectives-long", "traffic", "appliance", "monitor")):
            labels = {**prometheus, "rule_group": f"/etc/modelward/rules/recorded.yml;{group}"}
            took = np.abs(self._wandering(0.004 + 0.003 * place, 0.001, 6))
            yield "prometheus_rule_group_last_duration_seconds", labels, took
        alertmanager = {"job": "alertmanager", "instance": "alertmanager:9093"}
        for integration, rate in (("email", 0.0006), ("slack", 0.0009), ("webhook", 0.017)):
            labels = {**alertmanager, "integration": integration}
            yield "alertmanager_notifications_total", labels, self._counted(rate)
            yield "alertmanager_notifications_failed_total", labels, np.zeros(self.n)
        for state, values in (
            ("active", 1 + 2 * self._since(2)),
            ("suppressed", self._since(1.2)),
            ("unprocessed", 0 * self.ago),
        ):
            yield "alertmanager_alerts", {**alertmanager, "state": state}, values
        backup = {"job": "backup", "instance": "backup:9479"}
        day: Values = np.floor((self.seconds - 3600) / 86_400)
        yield "modelward_backup_last_success_timestamp_seconds", backup, day * 86_400 + 3600 + 190
        yield "modelward_backup_size_bytes", backup, 2.31e9 + 6e6 * (day - day[0])
        yield "modelward_backup_duration_seconds", backup, 188 + 4 * (day - day[0])
        yield "modelward_backup_failures_total", backup, np.zeros(self.n)
        node = {"job": "node-exporter", "instance": "node-exporter:9100"}
        for device, mountpoint, size, used in (("vda1", "/", 60e9, 0.34), ("vdb", "/var/lib/docker", 900e9, 0.57)):
            labels = {**node, "mountpoint": mountpoint, "fstype": "ext4", "device": f"/dev/{device}"}
            yield "node_filesystem_size_bytes", labels, np.full(self.n, size)
            yield "node_filesystem_avail_bytes", labels, size * (1 - used) - 6e5 * np.arange(self.n, dtype=float)
            ratio = {"instance": node["instance"], "device": labels["device"]}
            yield "device:node_filesystem_free:ratio", ratio, 1 - used - 6e5 * np.arange(self.n, dtype=float) / size
        for cpu in range(4):
            for mode, share in (("idle", 0.72 - 0.15 * self.busy), ("user", 0.2 + 0.12 * self.busy)):
                yield "node_cpu_seconds_total", {**node, "cpu": str(cpu), "mode": mode}, self._summed(share, 0.03)
        yield "node_memory_MemTotal_bytes", node, np.full(self.n, 33.6e9)
        yield "node_memory_MemAvailable_bytes", node, self._wandering(14.2e9, 1.5e8)

    def _alerts(self) -> Iterator[Sample]:
        for alert, severity, model, team, hours in (
            ("ModelDrift", "3", "credit-risk", "lending", 6.4),
            ("ModelPerformanceLow", "2", "credit-risk", "lending", 0.7),
            ("ModelDrift", "3", "recommendations", "shop", 3.2),
            ("ModelDataQuality", "3", "support-router", "service", 3.9),
        ):
            labels = {"alertname": alert, "severity": severity, "model": model, "team": team, "kind": "drift"}
            on: Values = np.where(self.ago <= hours, 1.0, np.nan)
            yield "ALERTS", {**labels, "alertstate": "firing"}, on
            yield "ALERTS_FOR_STATE", labels, np.asarray(on * (self.end - hours * 3600))


def write(day: Day, file: TextIO) -> None:
    """The day in OpenMetrics' text."""
    stamps = [f"{at:.0f}" for at in day.seconds]
    for name, labels, values in day.series():
        inside = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
        head = f"{name}{{{inside}}} "
        file.writelines(
            f"{head}{value:.10g} {stamp}\n"
            for value, stamp in zip(values.tolist(), stamps, strict=True)
            if value == value
        )
    file.write("# EOF\n")


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"{name} is not installed; it comes with Prometheus (apt-get install prometheus)")
    return found


@contextmanager
def answering(day: Day) -> Iterator[str]:
    """The address of a Prometheus that has the day, as long as the context lasts."""
    with tempfile.TemporaryDirectory(prefix="modelward-example-") as name, ExitStack() as stack:
        folder = Path(name)
        blocks(day, folder / "data")
        (folder / "prometheus.yml").write_text("global: {}\n")
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = f"127.0.0.1:{free.getsockname()[1]}"
        output = stack.enter_context((folder / "log").open("wb"))
        flags = ("--config.file=prometheus.yml", "--storage.tsdb.path=data", "--storage.tsdb.retention.time=20y")
        command = [_program("prometheus"), *flags, f"--web.listen-address={address}"]
        server = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
        stack.callback(server.wait)
        stack.callback(server.terminate)
        deadline = time.monotonic() + READY_SECONDS
        while not _ready(f"http://{address}/-/ready"):
            if server.poll() is not None or time.monotonic() > deadline:
                raise OSError(f"Prometheus did not start:\n{(folder / 'log').read_text()[-2000:]}")
            time.sleep(0.2)
        yield f"http://{address}"


def _ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - a Prometheus of our own
            return bool(answer.status == 200)
    except OSError:
        return False


def blocks(day: Day, folder: Path) -> None:
    """The day as a Prometheus's data in `folder`; needs `promtool`."""
    program = _program("promtool")
    text = folder.with_suffix(".openmetrics")
    with text.open("w") as file:
        write(day, file)
    subprocess.run([program, "tsdb", "create-blocks-from", "openmetrics", "-q", text, folder], check=True)
    text.unlink()
