"""A drift verdict among those before it: whether the state is drift, and since which window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from modelward_collector.checks.result import CheckKind, CheckResult, Finding, Status
from modelward_collector.checks.window import JOINT, Window

TEST, JOINT_TEST = "drift", "joint"
"""The `test` of a feature's finding, and of the one on how features move together."""


def earlier_results(history: Sequence[CheckResult], window: Window) -> list[CheckResult]:
    """Results with a verdict on windows that ended before this one, newest first."""
    earlier = [
        result
        for result in history
        if result.check is CheckKind.DRIFT
        and result.end < window.span.end
        and result.status not in (Status.NO_DATA, Status.ERROR)
    ]
    return sorted(earlier, key=lambda result: result.end, reverse=True)


def found_in(result: CheckResult, name: str, where: Mapping[str, str] | None) -> Finding | None:
    """The finding on that feature in that segment."""
    for finding in result.findings:
        test = JOINT_TEST if name == JOINT else TEST
        if finding.test == test and finding.subject == name and dict(finding.segment or {}) == dict(where or {}):
            return finding
    return None


def drifted(finding: Finding | None) -> bool:
    """Whether that window itself drifted, whatever the state was."""
    if finding is None:
        return False
    flagged = finding.status in (Status.WARNING, Status.CRITICAL)
    return bool(finding.detail.get("drifted", flagged))


def state_of(
    drifts: bool,
    name: str,
    where: Mapping[str, str] | None,
    earlier: Sequence[CheckResult],
    persistence: tuple[int, int],
) -> bool:
    """Whether k of the last n windows drifted, this one among them."""
    k, n = persistence
    return int(drifts) + sum(drifted(found_in(result, name, where)) for result in earlier[: n - 1]) >= k


def run_of(
    name: str, where: Mapping[str, str] | None, earlier: Sequence[CheckResult], window: Window
) -> tuple[datetime, tuple[datetime, datetime] | None]:
    """Start of the run of flagged windows that this one continues, and the stretch in which the change lies.

    The change lies after the start of the last window that was not flagged and before the end of the first that was.
    """
    since, first_end = window.span.start, window.span.end
    for result in earlier:
        finding = found_in(result, name, where)
        if result.status is Status.OK or finding is None or not finding.status.flagged:
            return since, (result.start, first_end)
        since, first_end = min(since, finding.since or result.start), result.end
    return since, None
