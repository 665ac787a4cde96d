"""What a drift check says: findings in words and numbers, from what its looks judged."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from modelward_agent.profile import Profile
from modelward_agent.profile.text import CLASSES
from modelward_collector.checks.drift_dependence import to_json
from modelward_collector.checks.drift_history import JOINT_TEST, TEST, run_of
from modelward_collector.checks.drift_joint import JointChange
from modelward_collector.checks.drift_judge import CREEP, Judged
from modelward_collector.checks.drift_memory import Episode, Memory
from modelward_collector.checks.drift_message import message_of
from modelward_collector.checks.drift_normal import DAY, Normal
from modelward_collector.checks.drift_since import JOINT_KEY, Key, Since, scanned, to_detail, together_key
from modelward_collector.checks.result import CheckKind, CheckResult, Finding, Status
from modelward_collector.checks.window import JOINT, Window, segment_key, subject_key
from modelward_collector.models import ModelSpec
from modelward_collector.stats.categories import new_categories, vanished_categories
from modelward_collector.stats.effect import FLOOR
from modelward_collector.stats.feature import TEXT, FeatureView
from modelward_collector.stats.normal import rows_to_show
from modelward_collector.stats.text import contributors

LARGE = 0.5
"""From this effect on drift is critical."""

NAMES_MAX = 10

NOT_OVER = "nothing in it shows that this is over"


def importance_of(spec: ModelSpec, name: str) -> float | None:
    """What `models.d` says of it."""
    schema = spec.features.get(name)
    return schema.importance if schema is not None else None


def status_of(one: Judged, state: bool, feature_drifts: bool, importance: float | None) -> Status:
    """The status of one feature: see `drift`. What is not known yet is never worse than a warning."""
    if one.learning and not (state and not one.drifts):
        return Status.WARNING if one.drifts else Status.LEARNING
    if not state:
        return Status.WARNING if one.drifts else Status.OK
    answers_differently = one.side == "outputs" and feature_drifts
    large = one.drifts and one.score >= LARGE and importance != 0
    return Status.CRITICAL if answers_differently or large else Status.WARNING


def rank_of(finding: Finding, spec: ModelSpec) -> tuple[int, float, str]:
    """Sorts the worst first, by effect weighed with importance."""
    known = [schema.importance for schema in spec.features.values() if schema.importance is not None]
    largest = max(known, default=0.0)
    importance = importance_of(spec, finding.subject)
    weight = importance / largest if importance is not None and largest > 0 else 1.0
    return -finding.status.rank, -(finding.value or 0.0) * weight, finding.subject


def finding_of(
    one: Judged,
    status: Status,
    earlier: Sequence[CheckResult],
    where: Mapping[str, str] | None,
    state: bool,
    begun: Since | None = None,
    episode: Episode | None = None,
) -> Finding:
    """One feature's finding; `state` is whether the state is drift, `episode` the drift that goes on."""
    window = one.window
    flagged = status.flagged
    # Of what goes on, how things stand is told also where this window alone would not show it.
    shown = one.drifts or (episode is not None and one.score > FLOOR)
    message = message_of(one.name, one.comparison.kind, one.reference, one.current, one.leading, shown)
    if shown and one.side == "features" and one.leading.name == "type" and _numbers_for_categories(one):
        message += " (if they are categories, name it under types in agent.yml)"
    if status is Status.LEARNING:
        message = f"{one.name} is still being learnt"
    elif one.creep is not None and one.normal is not None:
        message = _creeps(one, one.normal)
    if flagged and not state and not one.learning:
        message += "; not yet persistent"
    elif flagged and not one.drifts:
        if episode is not None and not shown:
            message = f"{one.name} drifts, though hardly in this window; {NOT_OVER}"
        else:
            message += _goes_on(episode)
    detail = _detail(one, state)
    since = None
    dated: dict[str, Any] = {}
    if flagged:
        if one.creep is not None and one.normal is not None and one.normal.series is not None:
            since, said = one.normal.series.spans[one.creep.began].start, ""
        else:
            since, said, dated = _dated(begun, one.name, where, earlier, window)
        if episode is not None:
            since = _of_episode(since, episode)
            lasted = window.span.end - since
            if lasted >= DAY:
                said += f", for {_days(lasted)}"
        message += said
        detail |= dated
    if episode is not None:
        detail["episode"] = {"start": _rfc3339(episode.start), "said": _rfc3339(episode.said), "shape": episode.shape}
    if one.learning and one.normal is not None:
        message += f" ({one.normal.missing})"
    return Finding(
        subject=one.name,
        test=TEST,
        status=status,
        message=message,
        value=_finite(one.score),
        threshold=_finite(min(1.0, one.leading.floor)),
        p_value=_finite(one.adjusted),
        since=since,
        segment=where,
        detail=detail,
    )


def _of_episode(since: datetime, episode: Episode) -> datetime:
    """When it began: where that was found before it was first said, which may be days after its first window began."""
    return since if since <= episode.said else episode.start


def _goes_on(episode: Episode | None) -> str:
    """Why what this window does not flag is said."""
    if episode is not None:
        return f"; this window alone would not tell, {NOT_OVER}"
    return "; not in this window, but in enough of the last ones"


def untold(before: CheckResult, memory: Memory, now: datetime) -> tuple[Finding, ...]:
    """What drifted when it could last be told and goes on, since nothing that came since shows that it is over."""
    found = []
    for finding in before.findings:
        episode = memory.open(_key_of(finding))
        if episode is None or not finding.status.flagged:
            continue
        since = _of_episode(finding.since or episode.start, episode)
        said = f", for {_days(now - since)}" if now - since >= DAY else ""
        name = "features" if finding.subject == JOINT else finding.subject
        verb = "moved together otherwise" if finding.subject == JOINT else "drifted"
        message = f"{name} {verb} when last told; nothing that came since shows that this is over{said}"
        found.append(replace(finding, message=message, since=since, detail={**finding.detail, "drifted": False}))
    return tuple(found)


def segment_of(finding: Finding) -> tuple[tuple[str, str], ...]:
    """Its segment as a key; empty for what is of all rows."""
    return tuple(sorted((finding.segment or {}).items()))


def _key_of(finding: Finding) -> str:
    """The name that memories have for its subject."""
    for name, value in segment_of(finding):
        return segment_key(name, value)
    return subject_key("outputs" if finding.detail.get("output") else "features", finding.subject)


def _numbers_for_categories(one: Judged) -> bool:
    """Whether traffic has numbers, of more values than can be read as categories here, where categories were."""
    return (one.comparison.kind, one.current.kind) == ("categorical", "numeric")


def _creeps(one: Judged, normal: Normal) -> str:
    """`age rises by 0.01 sd a day since 3 May (0.24 sd in all)`."""
    creep = one.creep
    assert creep is not None
    assert normal.series is not None
    began = normal.series.spans[creep.began].start
    verb = "rises" if creep.slope > 0 else "falls"
    name = one.leading.subject or "mean"
    view = one.reference.numeric if name == "mean" else None
    if view is not None and view.variance > 0:
        per_day, total = f"{abs(creep.slope) / view.sd:.2g} sd", f"{abs(creep.total) / view.sd:.2g} sd"
        subject = one.name
    elif name == "length":
        per_day, total, subject = f"{abs(creep.slope):.2g} characters", f"{abs(creep.total):.2g}", f"{one.name}: length"
    else:
        per_day, total = f"{100 * abs(creep.slope):.2g} points", f"{100 * abs(creep.total):.2g} points"
        subject = f"{one.name}: {name}"
    return f"{subject} {verb} by {per_day} a day since {began.day} {began:%b} ({total} in all)"


def _days(length: timedelta) -> str:
    days = length // DAY
    return f"{days} day{'s' if days > 1 else ''}"


def joint_finding(
    joint: JointChange,
    drifts: bool,
    state: bool,
    earlier: Sequence[CheckResult],
    window: Window,
    begun: Mapping[Key, Since],
    episode: Episode | None = None,
) -> Finding:
    """The finding on how features move together; `drifts` in this window, `state` whether the state is drift."""
    name, leading = JOINT, joint.leading
    flagged = state or drifts
    message = joint.message()
    if flagged and not state:
        message += "; not yet persistent"
    elif flagged and not drifts:
        message += _goes_on(episode)
    contributors, dependences = joint.contributors(), to_json(joint.terms_named)
    named = {together_key(pair["a"], pair["b"]): pair for pair in contributors}
    named |= {together_key(*one["features"]): one for one in dependences}
    for key, one in named.items():
        change = begun.get(key)
        if change is not None:
            one["change"] = to_detail(change)
    detail: dict[str, Any] = {
        "drifted": drifts,
        "persistent": state,
        "pairs": len(joint.pairs),
        "contributors": contributors,
        "dependences": dependences,
    }
    since = None
    if flagged:
        mine = begun.get(together_key(*joint.leading_names) if drifts else JOINT_KEY)
        since, said, dated = _dated(mine, name, None, earlier, window)
        if episode is not None:
            since = _of_episode(since, episode)
            detail["episode"] = {"start": _rfc3339(episode.start), "said": _rfc3339(episode.said)}
        message += said
        detail |= dated
    return Finding(
        subject=name,
        test=JOINT_TEST,
        status=Status.WARNING if flagged else Status.OK,
        message=message,
        value=leading.effect,
        threshold=leading.floor,
        p_value=joint.p,
        since=since,
        detail=detail,
    )


def _dated(
    begun: Since | None,
    name: str,
    where: Mapping[str, str] | None,
    earlier: Sequence[CheckResult],
    window: Window,
) -> tuple[datetime, str, dict[str, Any]]:
    """Since when it is flagged, the words that say so, and the details: its change point, or else its first window."""
    since, between = run_of(name, where, earlier, window)
    if begun is not None:
        start = scanned(window.span).start
        said = f", {begun.says(window.span.end, start)}"
        return begun.at or min(since, start), said, {"change": to_detail(begun)}
    return since, "", {} if between is None else {"changed_between": [_rfc3339(moment) for moment in between]}


def _detail(one: Judged, state: bool) -> dict[str, Any]:
    reference, current = one.reference, one.current
    fresh: list[str] = []
    gone: list[str] = []
    if reference.categories is not None and current.categories is not None and one.comparison.kind != TEXT:
        fresh = new_categories(reference.categories, current.categories)[:NAMES_MAX]
        gone = vanished_categories(reference.categories, current.categories)[:NAMES_MAX]
    detail: dict[str, Any] = {
        "type": one.comparison.kind,
        "output": one.side == "outputs",
        "drifted": one.drifts,
        "persistent": state,
        "tests": {
            outcome.name: {"value": _finite(outcome.value), "p": _finite(outcome.p)}
            for outcome in one.comparison.outcomes
        },
        "p": _finite(one.comparison.p),
        "decided_by": one.leading.name if one.drifts else None,
        "reference": _numbers(reference),
        "current": _numbers(current),
        "new": fresh,
        "vanished": gone,
        "rows_needed": rows_needed(one),
        "window": {"start": _rfc3339(one.window.span.start), "end": _rfc3339(one.window.span.end)},
    }
    if one.normal is not None:
        detail |= _compared_with(one.normal, one.window.span.length)
    if one.creep is not None and one.normal is not None and one.normal.series is not None:
        began = one.normal.series.spans[one.creep.began].start
        detail["creep"] = {"per_day": one.creep.slope, "total": one.creep.total, "since": _rfc3339(began)}
    if one.comparison.kind == TEXT:
        if one.drifts and reference.text is not None and current.text is not None:
            detail["contributors"] = contributors(reference.text, current.text, one.scatter.text, one.level)
    elif one.leading.subject is not None:
        detail["category"] = one.leading.subject
    return detail


def _compared_with(normal: Normal, length: timedelta) -> dict[str, Any]:
    """What it was compared with, what was left out of that, and what is not known yet."""
    found: dict[str, Any] = {"compared_with": normal.said(length), "left_out": normal.left_out}
    if normal.odd:
        found["odd"] = [
            {"start": _rfc3339(odd.span.start), "end": _rfc3339(odd.span.end), "what": odd.what}
            | ({"instead": _rfc3339(odd.instead.start)} if odd.instead is not None else {})
            for odd in normal.odd
        ]
    if normal.differ:
        found["kinds"] = [list(kind) for kind in normal.partition.kinds]
    if normal.missing:
        found["learning"] = normal.missing
    return found


def _numbers(view: FeatureView) -> dict[str, Any]:
    numbers: dict[str, Any] = {
        "n": view.present,
        "rows": view.rows,
        "missing": view.missing,
        "missing_share": view.missing / view.rows if view.rows else None,
    }
    numeric = view.numeric
    if numeric is not None:
        low, median, high = (float(value) for value in numeric.quantiles([0.05, 0.5, 0.95]))
        numbers |= {
            "mean": _finite(numeric.mean),
            "sd": _finite(numeric.sd),
            "minimum": numeric.minimum,
            "maximum": numeric.maximum,
            "median": median,
            "q05": low,
            "q95": high,
            "zeros": numeric.zeros,
        }
    if view.kind == TEXT and view.text is not None:
        lengths = view.text.lengths
        low, median, high = (float(value) for value in lengths.quantiles([0.05, 0.5, 0.95]))
        numbers |= {
            "texts": lengths.n,
            "mean_length": _finite(lengths.mean),
            "median_length": median,
            "q05_length": low,
            "q95_length": high,
            "characters": {name: _finite(one.mean) for name, one in zip(CLASSES, view.text.characters, strict=True)},
        }
    elif view.categories is not None:
        top = list(view.categories.shares.items())[:NAMES_MAX]
        numbers |= {"categories": len(view.categories.counts), "top": dict(top)}
    return numbers


def rows_needed(one: Judged) -> int | None:
    """Rows of a window in which an effect like this is found 95 times of 100; None when no number would do.

    From the deciding test's own p-value.
    """
    outcome = one.leading
    if outcome.name == CREEP:
        return None
    if outcome.p is None or outcome.effect <= outcome.floor or not one.current.present or not one.reference.present:
        return None
    level = one.level * one.comparison.weights[outcome.name]
    return rows_to_show(outcome.p, level, one.current.present, one.reference.present)


def summary_of(
    findings: Sequence[Finding],
    together: Sequence[Finding],
    in_segments: Sequence[Finding],
    drifting: set[str],
    like: str = "",
) -> str:
    """One line: what drifts, for how long, jointly, and where; what is being learnt; what the day was like."""
    features = [finding for finding in findings if not finding.detail["output"]]
    outputs = [finding for finding in findings if finding.detail["output"] and finding.subject in drifting]
    named = [f"{finding.subject} ({finding.value or 0:.2f})" for finding in features if finding.subject in drifting]
    text = f"{len(named)} of {len(features)} features drifted" if named else f"none of {len(features)} features drifted"
    if named:
        text += ": " + ", ".join(named[:3]) + (", …" if len(named) > 3 else "")
    if outputs:
        text += "; " + " and ".join(f"{finding.subject} ({finding.value or 0:.2f})" for finding in outputs) + " too"
    learnt = [finding for finding in findings if finding.detail.get("learning")]
    if learnt:
        number = "" if len(learnt) == len(findings) else f" {len(learnt)}"
        text += f"; still learning{number}: {learnt[0].detail['learning']}"
    if like:
        text += f"; like {like}"
    odd = [finding.subject for finding in findings if finding.detail["drifted"] and finding.subject not in drifting]
    if odd:
        text += f"; in this window also {', '.join(odd[:3])}{', …' if len(odd) > 3 else ''}"
    for finding in together:
        if finding.detail["drifted"]:
            text += f"; jointly: {finding.message}"
    if in_segments:
        names = list(dict.fromkeys("=".join(pair) for f in in_segments for pair in (f.segment or {}).items()))
        text += f"; in segments {', '.join(names[:3])}{', …' if len(names) > 3 else ''}"
    return text


def result_of(
    version: str,
    window: Window,
    current: Profile,
    status: Status,
    summary: str,
    findings: tuple[Finding, ...] = (),
    numbers: Mapping[str, float] | None = None,
    memory: Mapping[str, Any] | None = None,
) -> CheckResult:
    """The result of a window."""
    return CheckResult(
        model=window.model,
        version=version,
        check=CheckKind.DRIFT,
        status=status,
        summary=summary,
        start=window.span.start,
        end=window.span.end,
        rows=current.rows,
        findings=findings,
        numbers=numbers or {},
        memory=memory or {},
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _rfc3339(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
