"""Running probes: one, which never raises, or many at a time."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from modelward_collector.checks.result import Status
from modelward_collector.probes.connection import Deadline, ProbeError
from modelward_collector.probes.dns import probe_dns
from modelward_collector.probes.http import probe_http
from modelward_collector.probes.outcome import Outcome
from modelward_collector.probes.result import ProbeResult
from modelward_collector.probes.spec import DnsProbe, HttpProbe, ProbeSpec, TcpProbe, TlsProbe
from modelward_collector.probes.tcp import probe_tcp
from modelward_collector.probes.tls import probe_tls

logger = logging.getLogger(__name__)

AT_A_TIME = 16


def run_probe(spec: ProbeSpec) -> ProbeResult:
    """Probe the target within its time-out; whatever goes wrong is in the result's message."""
    at = datetime.now(UTC)
    begun = time.perf_counter()
    try:
        outcome = _probe(spec, Deadline(spec.timeout.total_seconds()))
    except ProbeError as error:
        outcome = Outcome(Status.CRITICAL, str(error))
    except Exception as error:  # a probe that fails is a finding about its target, never the schedule's end
        logger.exception("probe %s failed", spec.name)
        outcome = Outcome(Status.CRITICAL, f"the probe itself failed: {type(error).__name__}: {error}")
    latency = time.perf_counter() - begun
    ok = outcome.status in (Status.OK, Status.WARNING)
    return ProbeResult(spec.name, spec.kind, ok, outcome.status, latency, outcome.message, outcome.expires_at, at)


def _probe(spec: ProbeSpec, deadline: Deadline) -> Outcome:
    match spec:
        case HttpProbe():
            return probe_http(spec, deadline)
        case TcpProbe():
            return probe_tcp(spec, deadline)
        case DnsProbe():
            return probe_dns(spec, deadline)
        case TlsProbe():
            return probe_tls(spec, deadline)


def run_probes(specs: Sequence[ProbeSpec]) -> list[ProbeResult]:
    """Probe all targets, at most `AT_A_TIME` at a time, in threads; results in the order of the specs."""
    if not specs:
        return []
    with ThreadPoolExecutor(min(AT_A_TIME, len(specs)), thread_name_prefix="probe") as threads:
        return list(threads.map(run_probe, specs))
