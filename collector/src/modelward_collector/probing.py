"""Probes the configured targets and stores what it found as a health result that is about no model."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime

from modelward_collector.checks.result import CheckKind, CheckResult, Finding, Status, worst
from modelward_collector.probes import ProbeResult, ProbeRunner
from modelward_collector.store.protocol import Store

NO_MODEL = ""
"""The model of the result; no configured model can have this name."""

STORE_EVERY_SECONDS = 300.0
"""What has not changed is stored again after this time, so that it is known to hold still."""


class Probing:
    """Runs what is due; stores the targets' state when one of them changes, and now and then."""

    def __init__(self, runner: ProbeRunner, store: Store) -> None:
        self.runner = runner
        self._store = store
        self._stored: tuple[tuple[str, Status], ...] = ()
        self._stored_at = float("-inf")

    def run(self) -> CheckResult | None:
        """Probe what is due; the result when it was stored. `StoreUnavailableError` when it could not be."""
        if not self.runner.run_due():
            return None
        latest = self.runner.latest()
        state = tuple((result.name, result.status) for result in latest)
        if state == self._stored and time.monotonic() - self._stored_at < STORE_EVERY_SECONDS:
            return None
        result = result_of(latest)
        self._store.save_result(result)
        self._stored, self._stored_at = state, time.monotonic()
        return result


def result_of(latest: Sequence[ProbeResult]) -> CheckResult:
    """The targets' state as one result, a finding a target."""
    now = datetime.now(UTC)
    findings = tuple(
        Finding(
            subject=result.name,
            test=f"probe_{result.kind}",
            status=result.status,
            message=result.message,
            value=result.latency,
            detail=dict(result.to_document()),
        )
        for result in latest
    )
    bad = [finding for finding in findings if finding.status is not Status.OK]
    count = f"{len(latest)} {'target' if len(latest) == 1 else 'targets'}"
    summary = f"{count} as they should be" if not bad else "; ".join(f.message for f in bad[:3])
    return CheckResult(
        model=NO_MODEL,
        version="",
        check=CheckKind.HEALTH,
        status=worst(*(finding.status for finding in findings)),
        summary=summary,
        start=min((result.at for result in latest), default=now),
        end=now,
        rows=0,
        findings=findings,
    )
