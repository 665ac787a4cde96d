"""How a model stands: one state out of its latest results, and the one verdict of each check that says why."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from modelward_collector.checks import drift_history
from modelward_collector.checks.drift_since import Since, from_detail
from modelward_collector.checks.result import CheckKind, CheckResult, Finding, Status
from modelward_collector.context import Context, Entry
from modelward_collector.models import ModelSpec, Task
from modelward_collector.span import Span
from modelward_collector.standing import current, standing
from modelward_collector.store.protocol import SeenModel

T = TypeVar("T")

DRIFT = drift_history.TEST
"""The `test` of a finding that is a feature's drift."""

_METRICS = {
    Task.REGRESSION: ("mae", "rmse", "r2", "bias"),
    Task.CLASSIFICATION: ("roc_auc", "f1", "accuracy", "f1_macro", "log_loss"),
}


def flagged(finding: Finding) -> bool:
    """The finding asks for attention."""
    return finding.status.flagged


def is_output(finding: Finding) -> bool:
    """The finding is of the model's answer rather than of a feature."""
    return bool(finding.detail.get("output"))


def drift_counts(result: CheckResult) -> tuple[int, int]:
    """(features that drift, features that were judged) of a drift result; its outputs and segments do not count."""
    if "features" in result.numbers:
        return int(result.numbers.get("drifted", 0)), int(result.numbers["features"])
    found = [finding for finding in drift_findings(result) if not is_output(finding)]
    return sum(map(flagged, found)), len(found)


def drift_findings(result: CheckResult) -> list[Finding]:
    """The drift of each feature over all segments: flagged ones first, then by how far above their floor."""
    found = [finding for finding in result.findings if finding.test == DRIFT and not finding.segment]
    return sorted(found, key=lambda finding: (not flagged(finding), -_score(finding), finding.subject))


def finding_of(result: CheckResult | None, name: str) -> Finding | None:
    """On the drift of that feature or output over all segments."""
    found = result.findings if result is not None else ()
    return next((item for item in found if item.subject == name and item.test == DRIFT and not item.segment), None)


def spans_of(detail: Mapping[str, Any], name: str) -> list[Span]:
    """A stretch of time in a finding's detail, or several; empty when it has none."""
    found = detail.get(name) or ()
    return [
        Span(datetime.fromisoformat(one["start"]), datetime.fromisoformat(one["end"]))
        for one in ((found,) if isinstance(found, Mapping) else found)
    ]


def joint_finding(result: CheckResult) -> Finding | None:
    """On features that no longer move together as they did; None when they do, or it was not judged."""
    return next(
        (finding for finding in result.findings if finding.test == drift_history.JOINT_TEST and flagged(finding)), None
    )


def _score(finding: Finding) -> float:
    return finding.value if finding.value is not None and math.isfinite(finding.value) else -1.0


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """The findings by how bad they are, else in their own order."""
    return sorted(findings, key=lambda finding: -finding.status.rank)


def since(result: CheckResult) -> datetime | None:
    """Since when it stands as it does: the earliest `since` of the findings that ask for attention."""
    return min((finding.since for finding in result.findings if finding.since and flagged(finding)), default=None)


def change_of(finding: Finding | None) -> Since | None:
    """When the change most likely was, with its interval; None where only flagged windows tell."""
    return change_in(finding.detail) if finding is not None else None


def change_in(detail: Mapping[str, Any]) -> Since | None:
    """The same of a finding's detail, or of one of its contributors."""
    found = detail.get("change")
    return from_detail(found) if found else None


@dataclass(frozen=True, slots=True)
class Performance:
    """A metric with its interval, and how many labels it rests on."""

    metric: str
    value: float
    low: float | None
    high: float | None
    labels: float | None
    labels_share: float | None
    status: Status


def metrics(results: Iterable[CheckResult], spec: ModelSpec) -> list[str]:
    """The metrics that the results hold, the main one first: one with a threshold, else by the task."""
    found = {
        name
        for result in results
        for name in result.numbers
        if "." not in name and name not in ("labels", "labels_share", "rows", "predictions")
    }
    wanted = [*spec.checks.performance.thresholds, *_METRICS.get(spec.task or Task.REGRESSION, ())]
    if spec.task is None:
        wanted += _METRICS[Task.CLASSIFICATION]
    order = {name: index for index, name in reversed(list(enumerate(wanted)))}
    return sorted(found, key=lambda name: (order.get(name, len(order)), name))


def performance(result: CheckResult, spec: ModelSpec) -> Performance | None:
    """The first metric of a performance result, None while there are no labels."""
    names = metrics([result], spec)
    if not names:
        return None
    name, numbers = names[0], result.numbers
    return Performance(
        name,
        numbers[name],
        numbers.get(f"{name}.low"),
        numbers.get(f"{name}.high"),
        numbers.get("labels"),
        numbers.get("labels_share"),
        result.status,
    )


@dataclass(frozen=True, slots=True)
class Standing:
    """A model as its latest results show it. `verdicts` has the worst current result of a check, `results` all."""

    spec: ModelSpec
    status: Status
    versions: Sequence[SeenModel]
    verdicts: Mapping[CheckKind, CheckResult]
    results: Sequence[CheckResult]
    entries: Mapping[CheckKind, Entry]

    @property
    def waiting(self) -> bool:
        """No check has run yet."""
        return not self.verdicts

    @property
    def checked(self) -> datetime | None:
        """The end of the latest window that was judged."""
        return max((result.end for result in self.verdicts.values()), default=None)

    @property
    def overdue(self) -> list[CheckKind]:
        """The checks that should have run and did not."""
        return [check for check, entry in self.entries.items() if entry.overdue]

    @property
    def last_seen(self) -> datetime | None:
        """The latest traffic."""
        return max((version.last_seen for version in self.versions), default=None)

    @property
    def first_seen(self) -> datetime | None:
        """The first traffic."""
        return min((version.first_seen for version in self.versions), default=None)

    @property
    def drift(self) -> CheckResult | None:
        """The verdict on drift."""
        return self.verdicts.get(CheckKind.DRIFT)

    @property
    def drifting(self) -> list[Finding]:
        """The features that drift now, worst first."""
        return [] if self.drift is None else [item for item in drift_findings(self.drift) if flagged(item)]


def standings(context: Context) -> list[Standing]:
    """Every model, the worst first, then by tier and name."""
    latest = _by_model(context.store.latest_results(), lambda result: result.model)
    seen = _by_model(context.store.seen_models(), lambda version: version.model)
    entries = _by_model(context.scheduler.entries(), lambda entry: entry.model)
    found = [
        _standing(spec, latest.get(spec.model, []), seen.get(spec.model, []), entries.get(spec.model, []))
        for spec in context.registry.specs()
    ]
    return sorted(found, key=lambda item: (-item.status.rank, item.spec.tier, item.spec.model.casefold()))


def standing_of(context: Context, model: str) -> Standing | None:
    """One model, None when it is not known."""
    spec = context.registry.spec(model)
    if spec is None:
        return None
    return _standing(
        spec,
        [result for result in context.store.latest_results() if result.model == model],
        [version for version in context.store.seen_models() if version.model == model],
        [entry for entry in context.scheduler.entries() if entry.model == model],
    )


def _by_model(items: Iterable[T], model: Callable[[T], str]) -> dict[str, list[T]]:
    grouped: dict[str, list[T]] = {}
    for item in items:
        grouped.setdefault(model(item), []).append(item)
    return grouped


def _standing(
    spec: ModelSpec, latest: Sequence[CheckResult], seen: Sequence[SeenModel], entries: Sequence[Entry]
) -> Standing:
    versions = sorted(seen, key=lambda version: (version.last_seen, version.version), reverse=True)
    results = current(latest)
    verdicts: dict[CheckKind, CheckResult] = {}
    for check in CheckKind:
        mine = [result for result in results if result.check is check]
        if mine:
            verdicts[check] = max(mine, key=lambda result: (_judged(result.status), result.rows, result.version))
    return Standing(spec, standing(results), versions, verdicts, results, {entry.check: entry for entry in entries})


def _judged(status: Status) -> int:
    """Of two versions the worse one is the verdict, and one with data before one without."""
    return -1 if status is Status.NO_DATA else status.rank
