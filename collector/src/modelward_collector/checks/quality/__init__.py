"""Data quality: is the traffic what the model was made for, whole, fresh and valid?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from modelward_collector.checks.quality.expectations import judge_all
from modelward_collector.checks.quality.expectations_sample import EventSample
from modelward_collector.checks.quality.features import FEATURE_RULES
from modelward_collector.checks.quality.judged import Judged
from modelward_collector.checks.quality.outputs import outputs
from modelward_collector.checks.quality.past import FEATURES, OUTPUTS, TRAFFIC, Past, Remembering, Sided
from modelward_collector.checks.quality.traffic import duplicates, freshness, volume
from modelward_collector.checks.result import CheckKind, CheckResult, Finding, Status, worst
from modelward_collector.checks.window import ReferenceProfile, Window
from modelward_collector.models import ModelSpec

__all__ = ["Past", "check_quality"]


def check_quality(
    spec: ModelSpec,
    version: str,
    reference: ReferenceProfile | None,
    window: Window,
    *,
    duplicate_ids: int = 0,
    sample: EventSample | None = None,
    last_seen: datetime | None = None,
    now: datetime,
    past: Past | None = None,
) -> CheckResult:
    """Judge the traffic of one version in a window against the model's schema, expectations and reference.

    `duplicate_ids` is how many predictions of the window (all versions) repeat an id, `sample` some of its rows (all
    versions), which a few expectations need, `last_seen` the end of the latest profile of the version (None: the
    window's). A window without rows is judged by freshness and volume alone. With a `past` what breaks the reference's
    bounds is said for as long as it lasts.
    """
    profile = window.profile(version)
    judged = Judged.of(spec, profile, reference, window.segments(version).keys())
    all_rows = sum(mine.rows for mine in window.profiles.values())
    usual_week = past.usual_week if past is not None else ()
    sided: list[Sided] = [("", finding) for finding in freshness(spec, last_seen or window.last_row, now)]
    sided.append((TRAFFIC, volume(spec, version, window, reference, usual_week)))
    if profile.rows:
        sided += [(FEATURES, finding) for rule in FEATURE_RULES for finding in rule(judged)]
        sided += [("", finding) for finding in duplicates(judged, duplicate_ids, all_rows)]
        sided += [(OUTPUTS, finding) for finding in outputs(judged)]
    rows = sample.of(version) if sample is not None else None
    rules = judge_all(spec.expectations, profile, rows, all_rows=all_rows, duplicate_ids=duplicate_ids)
    sided += [("", finding) for finding in rules]
    findings: list[Finding] = [finding for _, finding in sided]
    memory: dict[str, Any] = {}
    if past is not None:
        findings, memory = Remembering(judged, reference, version, window, now, past).told(sided)
    violations = [finding for finding in findings if finding.status in (Status.WARNING, Status.CRITICAL)]
    learning = [finding.status for finding in findings if finding.status is Status.LEARNING]
    status = worst(*learning, *(finding.status for finding in violations))
    if not violations and not learning and not profile.rows:
        status = Status.NO_DATA
    return CheckResult(
        model=window.model,
        version=version,
        check=CheckKind.QUALITY,
        status=status,
        summary=_summary(violations, findings, profile.rows),
        start=window.span.start,
        end=window.span.end,
        rows=profile.rows,
        findings=tuple(findings),
        numbers=_numbers(judged, findings, len(violations)),
        ran_at=now,
        memory=memory,
    )


def _summary(violations: Sequence[Finding], findings: Sequence[Finding], rows: int) -> str:
    if violations:
        first = max(violations, key=lambda finding: finding.status.rank)
        more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
        return first.message + more
    learning = next((finding.message for finding in findings if finding.status is Status.LEARNING), "")
    return learning or (f"{rows:,} rows as expected" if rows else "no rows in the window")


def _numbers(judged: Judged, findings: Iterable[Finding], violations: int) -> dict[str, float]:
    profile = judged.profile
    numbers = {"rows": float(profile.rows), "violations": float(violations)}
    if profile.rows and profile.features:
        shares = [feature.missing / profile.rows for feature in profile.features.values()]
        numbers["missing_share"] = sum(shares) / len(shares)
        numbers["missing_share.max"] = max(shares)
        numbers["duplicate_share"] = profile.duplicate_share
    for finding in findings:
        if finding.subject == "traffic" and finding.value is not None:
            name = {"freshness": "silence_seconds", "volume": "rows_per_hour"}[finding.test]
            numbers[name] = finding.value
    return numbers
