"""`/metrics` and `/healthz`: the agent's series, and the small server that shows them."""

from __future__ import annotations

import hashlib
import hmac
import http.server
import logging
import socket
import ssl
import threading
import time
from base64 import b64decode
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from modelward_agent import __version__
from modelward_agent.bounds import label
from modelward_agent.config import Metrics
from modelward_agent.logfilters.filters import LogFilter
from modelward_agent.profile.fold import Tally
from modelward_agent.settings import read_secret
from modelward_agent.shown import ShownVersions
from modelward_agent.told import OTHER, BusinessSeries, StageSeries

_log = logging.getLogger(__name__)

LATENCY_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds in seconds."""

HEALTHY_SECONDS = 30.0
"""The loop must have come round within this time."""

_CONNECTION_SECONDS = 10.0

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the agent knows at one moment, beside what it has counted of models."""

    lag_bytes: int
    shipped: int
    spool_profiles: int
    files: int
    failures: Mapping[str, int]


@dataclass(slots=True)
class _Latencies:
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(LATENCY_BUCKETS) + 1, dtype=np.int64))
    seconds: float = 0.0


class AgentMetrics(Collector):
    """Counts of this process. The loop adds, the server's threads read; the number of series is bounded."""

    def __init__(self, max_models: int, max_features: int) -> None:
        self.max_models = max_models
        self.max_features = max_features
        self._lock = threading.Lock()
        self._versions = ShownVersions(max_models, self._forget)
        self._features: dict[str, set[str]] = {}
        self._predictions: Counter[Pair] = Counter()
        self._errors: Counter[Pair] = Counter()
        self._actuals: Counter[Pair] = Counter()
        self._missing: Counter[Pair] = Counter()
        self._latencies: dict[Pair, _Latencies] = {}
        self.features_beyond_limit: dict[str, int] = {}
        self._business = BusinessSeries()
        self._stages = StageSeries()
        self.quarantined: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self.lost_bytes: Counter[str] = Counter()
        self.commits = 0
        self.commit_failures = 0
        self.committed_at = 0.0
        self.snapshot: Callable[[], Snapshot] | None = None
        self.log_filters: tuple[LogFilter, ...] = ()
        self.log_matches: Mapping[Pair, int] = {}

    def add(self, tally: Tally) -> None:
        """Count what one call of the folder saw."""
        with self._lock:
            for counter, counts in (
                (self._predictions, tally.predictions),
                (self._errors, tally.errors),
                (self._actuals, tally.actuals),
            ):
                for pair, count in counts.items():
                    counter[self._model(pair)] += count
            for pair, milliseconds in tally.latencies.items():
                self._observe(self._model(pair), np.array(milliseconds) / 1_000)
            for (model, feature), count in tally.missing.items():
                self._missing[self._feature(model, feature)] += count
            for model, count in tally.features_beyond_limit.items():
                name = self._known_model(model)
                self.features_beyond_limit[name] = max(count, self.features_beyond_limit.get(name, 0))
            self._business.add(tally.business, self._model)
            self._stages.add(tally.stages)

    def count_quarantined(self, reason: str) -> None:
        """One line or document went to the quarantine."""
        with self._lock:
            self.quarantined[reason] += 1

    def count_dropped(self, reason: str, events: int, lost_bytes: int) -> None:
        """Events that will never be shipped."""
        with self._lock:
            self.dropped[reason] += events
            self.lost_bytes[reason] += lost_bytes

    def _model(self, pair: Pair) -> Pair:
        model, version = pair
        return self._versions.shown((label(model), label(version)))

    def _known_model(self, model: str) -> str:
        model = label(model)
        return model if model in self._versions.models() else OTHER

    def _forget(self, pair: Pair) -> None:
        """Show a version no longer, and when it was its model's last, nothing of the model."""
        model = pair[0]
        gone = {pair} if model in self._versions.models() else {pair, (model, OTHER)}
        for counts in (self._predictions, self._errors, self._actuals, self._latencies):
            for one in gone:
                counts.pop(one, None)
        self._business.forget(gone)
        if len(gone) > 1:
            self.features_beyond_limit.pop(model, None)
            for feature in (*self._features.pop(model, ()), OTHER):
                self._missing.pop((model, feature), None)

    def _feature(self, model: str, feature: str) -> Pair:
        model, feature = label(model), label(feature)
        known = self._features.get(model)
        if known is None:
            if len(self._features) >= self.max_models:
                return (OTHER, OTHER)
            known = self._features[model] = set()
        if feature not in known:
            if len(known) >= self.max_features:
                return (model, OTHER)
            known.add(feature)
        return (model, feature)

    def _observe(self, pair: Pair, seconds: NDArray[np.float64]) -> None:
        latencies = self._latencies.setdefault(pair, _Latencies())
        buckets = np.searchsorted(LATENCY_BUCKETS, seconds, side="left")
        latencies.counts += np.bincount(buckets, minlength=len(LATENCY_BUCKETS) + 1)
        latencies.seconds += float(seconds.sum())

    def collect(self) -> Iterable[Metric]:
        """Every series, for the registry."""
        with self._lock:
            families = [*self._of_models(), *self._of_told(), *self._of_events(), self._of_logs()]
        if self.snapshot is not None:
            families += _of_snapshot(self.snapshot())
        return families

    def _of_models(self) -> list[Metric]:
        families: list[Metric] = []
        for name, help_text, labels, counts in (
            ("modelward_predictions", "Predictions read.", ("model", "version"), self._predictions),
            ("modelward_prediction_errors", "Failed predictions read.", ("model", "version"), self._errors),
            ("modelward_actuals", "Labels read.", ("model", "version"), self._actuals),
            ("modelward_feature_missing", "Null or absent values.", ("model", "feature"), self._missing),
        ):
            family = CounterMetricFamily(name, help_text, labels=labels)
            for pair, count in counts.items():
                family.add_metric(pair, count)
            families.append(family)
        histogram = HistogramMetricFamily(
            "modelward_prediction_latency_seconds", "How long predictions took.", labels=("model", "version")
        )
        bounds = [*(str(bound) for bound in LATENCY_BUCKETS), "+Inf"]
        for pair, latencies in self._latencies.items():
            cumulative = np.cumsum(latencies.counts).tolist()
            histogram.add_metric(pair, list(zip(bounds, cumulative, strict=True)), latencies.seconds)
        families.append(histogram)
        beyond = GaugeMetricFamily(
            "modelward_features_beyond_limit",
            "Features, at least, that are not profiled since there are more than max_features.",
            labels=("model",),
        )
        for model, count in self.features_beyond_limit.items():
            beyond.add_metric((model,), count)
        families.append(beyond)
        return families

    def _of_told(self) -> list[Metric]:
        return [*self._business.collect(), *self._stages.collect()]

    def _of_events(self) -> list[Metric]:
        families: list[Metric] = []
        for name, help_text, counts in (
            ("modelward_events_quarantined", "Lines and documents that cannot be used.", self.quarantined),
            ("modelward_events_dropped", "Events that were lost before they were shipped.", self.dropped),
            ("modelward_journal_lost_bytes", "Bytes that were lost before they were shipped.", self.lost_bytes),
        ):
            family = CounterMetricFamily(name, help_text, labels=("reason",))
            for reason, count in counts.items():
                family.add_metric((reason,), count)
            families.append(family)
        families.append(CounterMetricFamily("modelward_commits", "Commits of profiles and offsets.", self.commits))
        failed = "Commits that failed and are tried again."
        families.append(CounterMetricFamily("modelward_commit_failures", failed, self.commit_failures))
        when = "When profiles and offsets were last committed."
        families.append(GaugeMetricFamily("modelward_last_commit_timestamp_seconds", when, self.committed_at))
        info = GaugeMetricFamily("modelward_agent_info", "The agent's version.", labels=("version",))
        info.add_metric((__version__,), 1)
        families.append(info)
        return families

    def _of_logs(self) -> Metric:
        """Also what has not matched yet: a counter that first shows with its first matches would hide their rise."""
        family = CounterMetricFamily(
            "modelward_log_matches", "Log and error entries that a filter matched.", labels=("filter", "model")
        )
        matches = self.log_matches
        models = {"", *self._versions.models(), *(model for _, model in matches)}
        for one in self.log_filters:
            for model in sorted(models if one.model is None else {one.model}):
                family.add_metric((one.name, label(model)), matches.get((one.name, model), 0))
        return family


def _of_snapshot(snapshot: Snapshot) -> list[Metric]:
    failures = CounterMetricFamily("modelward_ship_failures", "Attempts to deliver that failed.", labels=("reason",))
    for reason, count in sorted(snapshot.failures.items()):
        failures.add_metric((reason,), count)
    return [
        GaugeMetricFamily("modelward_journal_lag_bytes", "Bytes of files not yet shipped.", snapshot.lag_bytes),
        GaugeMetricFamily("modelward_journal_files", "Files that are followed.", snapshot.files),
        CounterMetricFamily("modelward_events_shipped", "Documents acknowledged.", snapshot.shipped),
        GaugeMetricFamily("modelward_spool_profiles", "Profiles not yet acknowledged.", snapshot.spool_profiles),
        failures,
    ]


class MetricsServer:
    """Serves `/metrics` and `/healthz` on the configured address until `close`. OSError when it is taken."""

    def __init__(self, settings: Metrics, metrics: AgentMetrics, alive: Callable[[], float]) -> None:
        assert settings.listen is not None
        registry = CollectorRegistry()
        registry.register(metrics)
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        host, _, port = settings.listen.rpartition(":")
        self._server = _Server((host.strip("[]"), int(port)), _handler(registry, _credential(settings), alive))
        if settings.tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.load_cert_chain(settings.tls.certificate, settings.tls.key_file)
            self._server.context = context
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    context: ssl.SSLContext | None = None

    def __init__(self, address: tuple[str, int], handler: type[http.server.BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        # In the connection's own thread: a handshake that hangs keeps nobody else waiting.
        request.settimeout(_CONNECTION_SECONDS)
        if self.context is not None:
            request = self.context.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        del request
        _log.debug("/metrics: %s went away", client_address, exc_info=True)


def _credential(settings: Metrics) -> bytes | None:
    if settings.username is None or settings.password_file is None:
        return None
    return _digest(f"{settings.username}:{read_secret(settings.password_file)}".encode())


def _digest(credential: bytes) -> bytes:
    return hashlib.sha256(credential).digest()


def _handler(
    registry: CollectorRegistry, credential: bytes | None, alive: Callable[[], float]
) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        server_version = f"modelward-agent/{__version__}"
        sys_version = ""

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/healthz":
                silent = time.monotonic() - alive()
                status = 200 if silent < HEALTHY_SECONDS else 503
                self._answer(status, "application/json", orjson.dumps({"silent_seconds": round(silent, 1)}))
            elif not self._allowed():
                self._answer(401, "text/plain", b"a user and password are needed\n")
            elif path == "/metrics":
                encode, content_type = choose_encoder(self.headers.get("accept", ""))
                self._answer(200, content_type, encode(registry))
            else:
                self._answer(404, "text/plain", b"there are /metrics and /healthz\n")

        def _allowed(self) -> bool:
            if credential is None:
                return True
            scheme, _, given = self.headers.get("authorization", "").partition(" ")
            try:
                decoded = b64decode(given, validate=True) if scheme.lower() == "basic" else b""
            except ValueError:
                decoded = b""
            return hmac.compare_digest(_digest(decoded), credential)

        def _answer(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            if status == 401:
                self.send_header("www-authenticate", 'Basic realm="modelward-agent"')
            self.send_header("content-type", content_type)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class has it
            _log.debug(format, *args)

    return Handler
