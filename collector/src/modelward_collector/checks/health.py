"""Health: do the model's agents live, does traffic flow, does it fail, and how long do answers take?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from modelward_agent.durations import format_duration
from modelward_agent.profile import NumericSketch, Profile
from modelward_collector.checks.result import CheckKind, CheckResult, Finding, Status, worst
from modelward_collector.checks.window import Window
from modelward_collector.models import ModelSpec
from modelward_collector.stats.intervals import wilson
from modelward_collector.store.protocol import Heartbeat

SILENT = timedelta(minutes=2)
"""An agent gives a sign of life every 30 s unless told otherwise: three that did not come, and some leeway."""

GONE = timedelta(minutes=10)
"""Silence that a restart does not explain."""

LAGGING_BYTES = 64 * 1024 * 1024
"""Undelivered journal that is no longer a short hiccup: a million events, more or less."""

CRITICAL_ERRORS = 5
CRITICAL_LATENCY = 2
"""So many times the allowed error rate, or p99, for certain, is an outage rather than a nuisance."""

LEAST_OUTAGE = 0.01
"""Fewer errors than this share wake nobody, however few are allowed."""

PERCENTILES = (0.5, 0.95, 0.99)
RANK_Z = 1.96


def check_health(spec: ModelSpec, window: Window, heartbeats: Sequence[Heartbeat], now: datetime) -> CheckResult:
    """Judge the agents of the window's hosts, and the errors and latency of all versions' traffic in it.

    `heartbeats` are the latest of every host and `now` is in their time, the wall's, whatever the window's is.
    """
    profile = window.profile()
    agents = _agents(window.hosts, heartbeats, now)
    findings = [*_traffic(window, profile, heartbeats, now), *agents]
    if profile.rows or profile.errors:
        findings += [_errors(spec, profile), *_latency(spec, profile)]
    bad = [finding for finding in findings if finding.status in (Status.WARNING, Status.CRITICAL)]
    status = worst(*(finding.status for finding in bad))
    if not bad and not profile.rows and not profile.errors:
        status = Status.NO_DATA
    numbers = {"rows": float(profile.rows), "errors": float(profile.errors), "agents": float(len(window.hosts))}
    numbers |= {
        finding.test: finding.value
        for finding in findings
        if finding.subject in ("errors", "latency") and finding.value is not None
    }
    return CheckResult(
        model=window.model,
        version="",
        check=CheckKind.HEALTH,
        status=status,
        summary=_summary(bad, findings, profile),
        start=window.span.start,
        end=window.span.end,
        rows=profile.rows,
        findings=tuple(findings),
        numbers=numbers,
    )


def _summary(bad: Sequence[Finding], findings: Sequence[Finding], profile: Profile) -> str:
    if bad:
        first = max(bad, key=lambda finding: finding.status.rank)
        return first.message + (f" (and {len(bad) - 1} more)" if len(bad) > 1 else "")
    if not profile.rows and not profile.errors:
        return findings[0].message
    return "; ".join(finding.message for finding in findings if finding.test in ("traffic", "error_rate", "p99_ms"))


def _ago(moment: datetime, now: datetime) -> timedelta:
    # an agent whose clock is ahead is not silent
    return max(now - moment, timedelta(0))


def _traffic(window: Window, profile: Profile, heartbeats: Iterable[Heartbeat], now: datetime) -> list[Finding]:
    length = format_duration(window.span.length)
    requests = profile.rows + profile.errors
    if requests:
        said = f"{profile.rows:,} predictions in {length} from {_count(len(window.hosts), 'host')}"
        return [Finding("traffic", "traffic", Status.OK, said, value=float(requests))]
    silent = [f"{beat.host} ({format_duration(_ago(beat.at, now))})" for beat in heartbeats if _is_silent(beat, now)]
    said = f"no traffic in {length}"
    if silent:
        said += f"; silent agents: {', '.join(silent[:10])}"
    # whether a quiet model should be noisy is data quality's to judge, by freshness and volume
    return [Finding("traffic", "traffic", Status.NO_DATA, said, value=0.0)]


def _is_silent(beat: Heartbeat, now: datetime) -> bool:
    return _ago(beat.at, now) > SILENT


def _agents(hosts: Iterable[str], heartbeats: Iterable[Heartbeat], now: datetime) -> list[Finding]:
    latest: Mapping[str, Heartbeat] = {beat.host: beat for beat in heartbeats}
    findings = []
    for host in sorted(hosts):
        beat = latest.get(host)
        if beat is None:
            said = f"{host}: its agent delivers, but no heartbeat has come; look at its log"
            findings.append(Finding(host, "heartbeat", Status.WARNING, said))
        else:
            findings += _agent(beat, now)
    return findings


def _agent(beat: Heartbeat, now: datetime) -> list[Finding]:
    silence = _ago(beat.at, now)
    host, seconds = beat.host, silence.total_seconds()
    status, said = Status.OK, f"{host}: agent {beat.version} alive {format_duration(silence)} ago"
    if silence > SILENT:
        status = Status.CRITICAL if silence > GONE else Status.WARNING
        said = f"{host}: agent silent for {format_duration(silence)}; run on it: systemctl status modelward-agent"
    if status is not Status.OK and beat.last_error:
        said += f"; its last error was: {beat.last_error}"
    detail = {
        "version": beat.version,
        "lag_bytes": beat.lag_bytes,
        "shipped": beat.shipped,
        "dropped": beat.dropped,
        "quarantined": beat.quarantined,
        "spooled": beat.spooled,
        "last_error": beat.last_error,
    }
    threshold = SILENT.total_seconds()
    findings = [Finding(host, "heartbeat", status, said, value=seconds, threshold=threshold, detail=detail)]
    if silence > SILENT:
        return findings  # what it said of itself then may no longer hold
    if beat.lag_bytes > LAGGING_BYTES:
        said = f"{host}: {beat.lag_bytes / 1024**2:,.0f} MiB are not delivered yet"
        findings.append(
            Finding(host, "lag", Status.WARNING, said, value=float(beat.lag_bytes), threshold=float(LAGGING_BYTES))
        )
    if beat.dropped:
        said = f"{host}: {_count(beat.dropped, 'event')} dropped since the agent started, for want of disk space"
        findings.append(Finding(host, "dropped", Status.WARNING, said, value=float(beat.dropped), threshold=0.0))
    if beat.last_error:
        findings.append(Finding(host, "last_error", Status.WARNING, f"{host}: {beat.last_error}"))
    return findings


def _errors(spec: ModelSpec, profile: Profile) -> Finding:
    allowed = spec.checks.health.error_rate_max
    rate = wilson(profile.errors, profile.rows + profile.errors)
    status = Status.OK
    if rate.low > allowed:
        outage = max(CRITICAL_ERRORS * allowed, LEAST_OUTAGE)
        status = Status.CRITICAL if rate.low > outage else Status.WARNING
    said = f"{rate.estimate:.2%} of requests failed"
    if status is not Status.OK:
        said += f" ({_count(profile.errors, 'error')}), more than {allowed:.2%}"
    detail = {"low": rate.low, "high": rate.high, "errors": profile.errors}
    return Finding("errors", "error_rate", status, said, value=rate.estimate, threshold=allowed, detail=detail)


def _latency(spec: ModelSpec, profile: Profile) -> list[Finding]:
    output = profile.outputs.get("latency_ms")
    sketch = output.numeric if output else None
    if sketch is None or not sketch.n:
        return []
    allowed = spec.checks.health.latency_p99_ms_max
    values = sketch.quantiles(PERCENTILES)
    findings = []
    for rank, value in zip(PERCENTILES, values.tolist(), strict=True):
        low, high = _quantile_interval(sketch, rank)
        name, status, threshold = f"p{rank * 100:.0f}_ms", Status.OK, None
        said = f"p{rank * 100:.0f} {value:,.3g} ms"
        if rank == PERCENTILES[-1] and allowed is not None:
            threshold = allowed
            if low > allowed:
                status = Status.CRITICAL if low > CRITICAL_LATENCY * allowed else Status.WARNING
                said = f"latency p99 is {value:,.3g} ms, above {allowed:g} ms"
        detail = {"low": low, "high": high}
        findings.append(Finding("latency", name, status, said, value=value, threshold=threshold, detail=detail))
    return findings


def _quantile_interval(sketch: NumericSketch, rank: float) -> tuple[float, float]:
    """Where the quantile of the traffic that this is a sample of lies, with 95% confidence.

    Between the quantiles at the rank less and more its sampling error and the sketch's: the order-statistic interval
    of David and Nagaraja (2003), "Order statistics", section 7.1, in its normal form.
    """
    reach = RANK_Z * math.sqrt(rank * (1 - rank) / sketch.n) + sketch.rank_error
    low, high = sketch.quantiles([max(0.0, rank - reach), min(1.0, rank + reach)]).tolist()
    return low, high


def _count(n: int, thing: str) -> str:
    return f"{n:,} {thing}" if n == 1 else f"{n:,} {thing}s"
