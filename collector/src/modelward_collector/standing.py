"""How a model stands now, from the latest results of its checks."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from modelward_collector.checks.result import CheckKind, CheckResult, Status, worst


def current(results: Iterable[CheckResult]) -> list[CheckResult]:
    """The results that still hold: of every (model, check) only those of its latest window.

    `Store.latest_results` also answers for versions that were retired long ago; their last verdict says nothing of now.
    Ordered by model, check and version.
    """
    listed = list(results)
    latest: dict[tuple[str, CheckKind], datetime] = {}
    for result in listed:
        key = (result.model, result.check)
        latest[key] = max(result.end, latest.get(key, result.end))
    held = [result for result in listed if result.end == latest[(result.model, result.check)]]
    return sorted(held, key=lambda result: (result.model, result.check, result.version))


def standing(results: Iterable[CheckResult]) -> Status:
    """A model's state: the worst of its current results, `NO_DATA` without any or when no check has data."""
    statuses = {result.status for result in results}
    judged = statuses - {Status.NO_DATA}
    return worst(*judged) if judged else Status.NO_DATA
