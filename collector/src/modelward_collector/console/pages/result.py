"""One verdict, and the numbers that it rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelward_collector.checks.drift_since import Since, scanned
from modelward_collector.checks.result import CheckKind, CheckResult, Finding
from modelward_collector.console import human
from modelward_collector.console.changes import learning_of
from modelward_collector.console.pages import drift_panel
from modelward_collector.console.pages.missing import missing
from modelward_collector.console.site import CHECK_WORDS, PageView, Site
from modelward_collector.console.standings import DRIFT, change_in, joint_finding, since
from modelward_collector.span import Span

_QUIET = 200
"""Findings in order that are listed; a model with a thousand features has the rest in its JSON."""


@dataclass(frozen=True, slots=True)
class NumberRow:
    """One of the result's numbers, with its interval where it has one."""

    name: str
    value: float
    low: float | None
    high: float | None


def result_page(site: Site, result_id: str) -> PageView:
    """The verdict of that id."""
    result = site.context.store.result(result_id)
    if result is None:
        return missing(
            site,
            "There is no such result. It may have been deleted when it was older than the collector keeps results.",
        )
    moment = site.moment()
    findings = sorted(result.findings, key=_rank)
    fine = [item for item in findings if not item.status.flagged]
    return PageView(
        "result.html",
        f"{CHECK_WORDS[result.check]} of {result.model or 'probed targets'}",
        {
            "result": result,
            "since": since(result),
            "window": human.span(result.start, result.end, moment.year),
            "serious": [item for item in findings if item.status.flagged],
            "judged": sum(item.test == DRIFT and not item.segment for item in findings),
            "learning": learning_of(item for item in findings if item.test == DRIFT),
            "fine": fine[:_QUIET],
            "unlisted": max(0, len(fine) - _QUIET),
            "numbers": _numbers(result),
            "multiples": drift_panel.multiples(site, result) if result.check is CheckKind.DRIFT else [],
            "pairs": _pairs(result),
            "scanned": scanned(Span(result.start, result.end)).start,
            "feature_names": {item.subject for item in findings if item.test == DRIFT},
        },
        section="models",
    )


def _pairs(result: CheckResult) -> Sequence[tuple[Mapping[str, Any], Since | None]]:
    """Pairs that no longer move together as they did, what else depends otherwise, with `features`, and since when."""
    joint = joint_finding(result)
    if joint is None:
        return []
    pairs: Sequence[Mapping[str, Any]] = joint.detail.get("contributors", ())
    named = [{**pair, "features": [pair["a"], pair["b"]]} for pair in pairs]
    return [(one, change_in(one)) for one in (*named, *joint.detail.get("dependences", ()))]


def _rank(finding: Finding) -> tuple[int, bool, float, str]:
    value = finding.value if finding.value is not None and finding.value == finding.value else 0.0
    return -finding.status.rank, bool(finding.segment), -value, finding.subject


def _numbers(result: CheckResult) -> Sequence[NumberRow]:
    numbers = result.numbers
    return [
        NumberRow(name, value, numbers.get(f"{name}.low"), numbers.get(f"{name}.high"))
        for name, value in numbers.items()
        if not name.endswith((".low", ".high"))
    ]
