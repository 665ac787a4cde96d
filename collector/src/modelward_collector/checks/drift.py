"""The drift check: which features are no longer distributed as in the reference, by how much, and since when.

**A feature drifts** in a window when both hold:

* it is *significant*: its tests' combined p-value, adjusted for the number of features (Benjamini-Hochberg), is at most
  `false_alarm_rate`, so that in an unchanged window the chance that any feature is flagged is at most that rate. Both
  samples' sizes, the sketches' error and what the reference's own windows vary are counted in;
* it is *more than trivial*: the effect, on a scale from 0 to 1 that all features share (Jensen-Shannon distance, or
  that of two normal distributions as far apart), is above its floor: 0.025, or what the reference's own windows show.

**The state** is drift when k of the last n windows drift (`persistence`, by default 1 of 1). Statuses:

* OK: neither this window nor the state.
* WARNING: this window drifts but the state is not reached yet (shown, not counted in `drifted`); or the state is drift.
* CRITICAL: the state is drift and the effect is large (at least 0.5, about 1.3 standard deviations), unless the
  feature's importance is given as 0; or it is that of an output (prediction, score) while a feature drifts too: the
  model answers differently because it is asked differently.
* NO_DATA: fewer rows than `min_rows` in the window or the reference.

**Features drift jointly** (one more finding, where profiles say how features move together) when the correlation of any
pair changed significantly and by more than 0.1, whether or not a feature drifts by itself; a tenth of the false alarm
rate is theirs. It is never more than a WARNING.

With `by_segment` every segment of the window with enough rows is compared with the same segment of the reference. A
quarter of the false alarm rate is theirs, and only what drifts there is reported.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from modelward_agent.profile import Profile
from modelward_agent.profile.text import CLASSES
from modelward_collector.checks.drift_history import (
    JOINT,
    JOINT_TEST,
    TEST,
    earlier_results,
    run_of,
    state_of,
)
from modelward_collector.checks.drift_joint import SHARE as JOINT_SHARE
from modelward_collector.checks.drift_joint import JointChange, joint_change, measure_of_pair
from modelward_collector.checks.drift_measure import Shift, measure_of
from modelward_collector.checks.drift_message import message_of
from modelward_collector.checks.drift_reference import PreparedReference, prepare_reference, side_of
from modelward_collector.checks.drift_since import (
    JOINT_KEY,
    Followed,
    Key,
    Since,
    Steps,
    feature_key,
    known_from,
    locate,
    pair_key,
    scanned,
    to_detail,
)
from modelward_collector.checks.result import CheckKind, CheckResult, Finding, Status, worst
from modelward_collector.checks.window import ReferenceProfile, Window
from modelward_collector.models import ModelSpec
from modelward_collector.span import Span
from modelward_collector.stats.categories import new_categories, vanished_categories
from modelward_collector.stats.combine import benjamini_hochberg
from modelward_collector.stats.feature import TEXT, Comparison, FeatureScatter, FeatureView, compare
from modelward_collector.stats.normal import two_sided_quantile
from modelward_collector.stats.outcome import Outcome
from modelward_collector.stats.text import contributors

OUTPUTS = ("prediction", "score")
"""The outputs whose drift is judged."""

LARGE = 0.5
"""From this effect on drift is critical."""

HEADROOM = 0.75
"""Share of the false alarm rate that is used: p-values from sketches and of combined tests are approximations."""

SEGMENT_SHARE = 0.25
"""What segments get of the false alarm rate, when there are any to judge."""

SEGMENTS_MAX = 24
"""The segments with most rows are judged."""

PLAINEST = (
    "missing", "type", "texts", "mean", "length_mean", "variance", "zeros", "linf", "words", "characters",
    "chi_squared", "ks", "length_ks", "psi",
)  # fmt: skip
"""Of two tests that find about the same effect the earlier is easier to understand."""

NEAR = 0.75

SEGMENT_FINDINGS_MAX = 50
NAMES_MAX = 10

_POWER_QUANTILE = 1.645
"""Normal quantile of 95%: enough rows are those with which this effect is found in 95% of windows."""


@dataclass(frozen=True, slots=True)
class _Judged:
    """One feature compared: its views, its comparison, and whether this window drifts."""

    side: str
    name: str
    reference: FeatureView
    current: FeatureView
    scatter: FeatureScatter
    comparison: Comparison
    adjusted: float
    level: float
    drifts: bool
    leading: Outcome

    @property
    def score(self) -> float:
        return self.leading.effect

    @property
    def shift(self) -> Shift:
        kind = self.comparison.kind
        return Shift(self.side, self.name, kind, self.reference, self.current, self.scatter, self.leading)


def check_drift(
    spec: ModelSpec,
    version: str,
    reference: ReferenceProfile | PreparedReference | None,
    window: Window,
    history: Sequence[CheckResult] = (),
    steps: Steps | None = None,
) -> CheckResult:
    """Compare a version's window with its reference; the rule is this module's docstring.

    `history` holds earlier drift results of this version, in any order. `steps` reads the version's traffic in steps,
    to tell since when what drifts does; without it the windows that were flagged tell it. Pass a `PreparedReference`
    where many windows meet the same reference. Every feature and output has one finding, worst first, `value` its
    effect and `threshold` its floor in [0, 1], `p_value` adjusted for the number of features; drifting segments follow.
    """
    config = spec.checks.drift
    prepared = prepare_reference(reference) if isinstance(reference, ReferenceProfile) else reference
    current = window.profile(version)
    nothing = _not_enough(prepared, current, config.min_rows)
    if prepared is None or nothing:
        return _result(version, window, current, Status.NO_DATA, nothing)

    segments = _segments(version, window, prepared, current, config.min_rows) if config.by_segment else []
    budget = HEADROOM * config.false_alarm_rate
    joint = joint_change(prepared, current, window.span.length, config.ignore, budget * JOINT_SHARE)
    rate = budget * (1 - (SEGMENT_SHARE if segments else 0) - (JOINT_SHARE if joint else 0))
    wanted = _wanted(current, prepared.total, set(config.ignore))
    # One level for all that is learned from the reference, whatever the segments: it is computed once.
    learned = budget / max(1, len(wanted))
    judged = _judge(wanted, prepared, prepared, current, window, rate, learned)
    earlier = earlier_results(history, window)
    states = {(one.side, one.name): state_of(one.drifts, one.name, None, earlier, config.persistence) for one in judged}
    drifting = [one for one in judged if states[(one.side, one.name)]]
    parts = _judge_segments(segments, wanted, prepared, window, budget * SEGMENT_SHARE, learned)
    flagged = [one for one in judged if one.drifts or states[(one.side, one.name)]]
    followed = _followed(flagged, joint, parts, prepared, current, window.span)
    begun = _begun(followed, known_from(earlier[0]) if earlier else {}, window.span, steps)
    feature_drifts = any(one.side == "features" for one in drifting)
    findings = [
        _finding(
            one,
            _status(one, states[(one.side, one.name)], feature_drifts, _importance(spec, one.name)),
            earlier,
            window,
            None,
            states[(one.side, one.name)],
            begun.get(feature_key(one.side, one.name)),
        )
        for one in judged
    ]
    findings.sort(key=lambda finding: _rank(finding, spec))
    together = [_joint_finding(joint, earlier, window, config.persistence, begun)] if joint is not None else []
    in_segments = [
        _finding(
            one,
            Status.WARNING,
            earlier,
            window,
            where,
            state_of(True, one.name, where, earlier, config.persistence),
            begun.get(feature_key(one.side, one.name, where)),
        )
        for where, one in parts
    ]
    everything = sorted((*findings, *together), key=lambda finding: _rank(finding, spec))
    status = worst(*(finding.status for finding in (*everything, *in_segments)))
    summary = _summary(findings, together, in_segments, {one.name for one in drifting})
    features = [one for one in judged if one.side == "features"]
    drifted = sum(one.side == "features" for one in drifting)
    numbers = {
        "features": float(len(features)),
        "drifted": float(drifted),
        "drifted_share": drifted / len(features) if features else 0.0,
        "outputs_drifted": float(len(drifting) - drifted),
        "odd": float(sum(one.drifts and not states[(one.side, one.name)] for one in judged)),
        "max_score": max((one.score for one in judged), default=0.0),
        "segments_drifted": float(len({tuple(where.items()) for where, _ in parts})),
        "reference_rows": float(prepared.total.rows),
    }
    if joint is not None:
        numbers["pairs"] = float(len(joint.pairs))
        numbers["pairs_drifted"] = float(len(joint.changed))
    return _result(version, window, current, status, summary, (*everything, *in_segments), numbers)


def _not_enough(prepared: PreparedReference | None, current: Profile, min_rows: int) -> str:
    if current.rows < min_rows:
        return f"{current.rows:,} rows in the window; drift is judged from {min_rows:,} (checks.drift.min_rows)"
    if prepared is None:
        return "there is no reference yet to compare with"
    if prepared.total.rows < min_rows:
        return (
            f"the reference ({prepared.reference.source}) has {prepared.total.rows:,} rows; "
            f"drift is judged from {min_rows:,} (checks.drift.min_rows)"
        )
    return ""


def _wanted(current: Profile, reference: Profile, ignored: set[str]) -> list[tuple[str, str]]:
    """(side, name) of everything that either has, in a fixed order."""
    features = sorted({*current.features, *reference.features} - ignored)
    outputs = [
        name for name in OUTPUTS if name not in ignored and (name in current.outputs and name in reference.outputs)
    ]
    return [("features", name) for name in features] + [("outputs", name) for name in outputs]


def _judge(
    wanted: Sequence[tuple[str, str]],
    reference: PreparedReference,
    whole: PreparedReference,
    current: Profile,
    window: Window,
    rate: float,
    learned: float,
) -> list[_Judged]:
    level = rate / max(1, len(wanted))
    compared = []
    for side, name in wanted:
        mine = reference.view(side, name)
        theirs = FeatureView.of(side_of(current, side, name))
        scatter = whole.scatter(side, name, window.span.length, learned)
        compared.append((side, name, mine, theirs, scatter, compare(mine, theirs, scatter)))
    adjusted = benjamini_hochberg([comparison.p for *_, comparison in compared])
    judged = []
    for (side, name, mine, theirs, scatter, comparison), p in zip(compared, adjusted, strict=True):
        drifts = bool(p <= rate)
        leading = _leading(comparison, drifts, level)
        judged.append(_Judged(side, name, mine, theirs, scatter, comparison, float(p), level, drifts, leading))
    return judged


def _leading(comparison: Comparison, drifts: bool, level: float) -> Outcome:
    """The test that decides: of those significant by themselves the plainest whose effect is near the largest."""
    tests = [outcome for outcome in comparison.outcomes if outcome.name in comparison.weights]
    if not drifts:
        return max(tests, key=lambda outcome: (outcome.effect / max(outcome.floor, 1e-9), outcome.effect))
    significant = [outcome for outcome in tests if outcome.counted_p <= level * comparison.weights[outcome.name]]
    if significant:
        largest = max(outcome.effect for outcome in significant)
        near = [outcome for outcome in significant if outcome.effect >= NEAR * largest]
        return min(near, key=lambda outcome: PLAINEST.index(outcome.name))
    return min(tests, key=lambda outcome: outcome.counted_p / comparison.weights[outcome.name])


def _segments(
    version: str, window: Window, prepared: PreparedReference, current: Profile, min_rows: int
) -> list[tuple[dict[str, str], Profile]]:
    """Segments with enough rows on both sides, those with most rows first; not one that holds all rows."""
    if not prepared.reference.segments:
        return []
    found = []
    for name, values in window.segments(version).items():
        for value in values if name else ():
            where = {name: value}
            profile = window.profile(version, where)
            if min_rows <= profile.rows < current.rows:
                found.append((where, profile))
    found.sort(key=lambda item: -item[1].rows)
    return [item for item in found[:SEGMENTS_MAX] if prepared.where(item[0]).total.rows >= min_rows]


def _judge_segments(
    segments: Sequence[tuple[dict[str, str], Profile]],
    wanted: Sequence[tuple[str, str]],
    prepared: PreparedReference,
    window: Window,
    rate: float,
    learned: float,
) -> list[tuple[dict[str, str], _Judged]]:
    """What drifts in which segment, adjusted over all segments and features, strongest first."""
    if not segments:
        return []
    everything = [
        (where, one)
        for where, profile in segments
        for one in _judge(wanted, prepared.where(where), prepared, profile, window, rate / len(segments), learned)
    ]
    adjusted = benjamini_hochberg([one.comparison.p for _, one in everything])
    level = rate / len(everything)
    drifting = []
    for (where, one), p in zip(everything, adjusted, strict=True):
        if p <= rate:
            leading = _leading(one.comparison, True, level)
            drifting.append((where, replace(one, adjusted=float(p), level=level, drifts=True, leading=leading)))
    drifting.sort(key=lambda item: -item[1].score)
    return drifting[:SEGMENT_FINDINGS_MAX]


# -- since when -----------------------------------------------------------------------------------------------------


def _followed(
    flagged: Sequence[_Judged],
    joint: JointChange | None,
    parts: Sequence[tuple[dict[str, str], _Judged]],
    prepared: PreparedReference,
    current: Profile,
    span: Span,
) -> dict[Key, Followed]:
    """Everything that drifts in this window, most important first: features, pairs of them, features in segments."""
    found: dict[Key, Followed] = {}
    for one in sorted(flagged, key=lambda one: -one.score):
        if one.drifts and (measure := measure_of(one.shift)) is not None:
            found[feature_key(one.side, one.name)] = Followed(measure)
    drifting = {one.name for one in flagged if one.side == "features"}
    for pair in joint.named if joint is not None else ():
        measure = measure_of_pair(pair, prepared, current, span.length, drifting)
        found[pair_key(pair.a, pair.b)] = Followed(measure)
    for where, one in parts:
        if (measure := measure_of(one.shift)) is not None:
            found[feature_key(one.side, one.name, where)] = Followed(measure, tuple(sorted(where.items())))
    return found


def _begun(
    followed: Mapping[Key, Followed], known: Mapping[Key, Since], span: Span, steps: Steps | None
) -> dict[Key, Since]:
    """When each began: looked for in the traffic, or as the window before found it, while that is not known better.

    What drifts without a break began once. A later moment is another change, and does not make the first one later.
    """
    start = scanned(span).start
    wanted = {key: one for key, one in followed.items() if not ((since := known.get(key)) and since.high <= start)}
    found = locate(wanted, span, steps) if wanted and steps is not None else {}
    return {**known, **{key: since for key, since in found.items() if key not in known or since.narrows(known[key])}}


# -- answers --------------------------------------------------------------------------------------------------------


def _importance(spec: ModelSpec, name: str) -> float | None:
    schema = spec.features.get(name)
    return schema.importance if schema is not None else None


def _status(one: _Judged, state: bool, feature_drifts: bool, importance: float | None) -> Status:
    if not state:
        return Status.WARNING if one.drifts else Status.OK
    answers_differently = one.side == "outputs" and feature_drifts
    large = one.drifts and one.score >= LARGE and importance != 0
    return Status.CRITICAL if answers_differently or large else Status.WARNING


def _rank(finding: Finding, spec: ModelSpec) -> tuple[int, float, str]:
    known = [schema.importance for schema in spec.features.values() if schema.importance is not None]
    largest = max(known, default=0.0)
    importance = _importance(spec, finding.subject)
    weight = importance / largest if importance is not None and largest > 0 else 1.0
    return -finding.status.rank, -(finding.value or 0.0) * weight, finding.subject


def _finding(
    one: _Judged,
    status: Status,
    earlier: Sequence[CheckResult],
    window: Window,
    where: Mapping[str, str] | None,
    state: bool,
    begun: Since | None = None,
) -> Finding:
    flagged = status is not Status.OK
    message = message_of(one.name, one.comparison.kind, one.reference, one.current, one.leading, one.drifts)
    if flagged and not state:
        message += "; not yet persistent"
    elif flagged and not one.drifts:
        message += "; not in this window, but in enough of the last ones"
    detail = _detail(one, state)
    since = None
    if flagged:
        since, said, dated = _dated(begun, one.name, where, earlier, window)
        message += said
        detail |= dated
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


def _joint_finding(
    joint: JointChange,
    earlier: Sequence[CheckResult],
    window: Window,
    persistence: tuple[int, int],
    begun: Mapping[Key, Since],
) -> Finding:
    name, leading = JOINT, joint.leading
    state = state_of(joint.drifts, name, None, earlier, persistence)
    flagged = state or joint.drifts
    message = joint.message()
    if flagged and not state:
        message += "; not yet persistent"
    elif flagged and not joint.drifts:
        message += "; not in this window, but in enough of the last ones"
    contributors = joint.contributors()
    for named in contributors:
        change = begun.get(pair_key(named["a"], named["b"]))
        if change is not None:
            named["change"] = to_detail(change)
    detail: dict[str, Any] = {
        "drifted": joint.drifts,
        "persistent": state,
        "pairs": len(joint.pairs),
        "contributors": contributors,
    }
    since = None
    if flagged:
        mine = begun.get(pair_key(leading.a, leading.b) if joint.drifts else JOINT_KEY)
        since, said, dated = _dated(mine, name, None, earlier, window)
        message += said
        detail |= dated
    return Finding(
        subject=name,
        test=JOINT_TEST,
        status=Status.WARNING if flagged else Status.OK,
        message=message,
        value=leading.effect,
        threshold=leading.floor,
        p_value=min(pair.p for pair in joint.pairs),
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


def _detail(one: _Judged, state: bool) -> dict[str, Any]:
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
        "rows_needed": _rows_needed(one),
    }
    if one.comparison.kind == TEXT:
        if one.drifts and reference.text is not None and current.text is not None:
            detail["contributors"] = contributors(reference.text, current.text, one.scatter.text, one.level)
    elif one.leading.subject is not None:
        detail["category"] = one.leading.subject
    return detail


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


def _rows_needed(one: _Judged) -> int | None:
    """Rows of a window in which an effect like this is found 95 times of 100; None when no number would do.

    From the deciding test's own p-value: its z shrinks with the root of 1/rows + 1/reference rows.
    """
    outcome = one.leading
    if outcome.p is None or outcome.effect <= outcome.floor or not one.current.present or not one.reference.present:
        return None
    z = two_sided_quantile(max(outcome.p, 1e-300))
    wanted = two_sided_quantile(one.level * one.comparison.weights[outcome.name]) + _POWER_QUANTILE
    fixed = 1 / one.reference.present
    inverse = (z / wanted) ** 2 * (fixed + 1 / one.current.present) - fixed
    return math.ceil(1 / inverse) if inverse > 0 else None


def _summary(
    findings: Sequence[Finding], together: Sequence[Finding], in_segments: Sequence[Finding], drifting: set[str]
) -> str:
    features = [finding for finding in findings if not finding.detail["output"]]
    outputs = [finding for finding in findings if finding.detail["output"] and finding.subject in drifting]
    named = [f"{finding.subject} ({finding.value or 0:.2f})" for finding in features if finding.subject in drifting]
    text = f"{len(named)} of {len(features)} features drifted" if named else f"none of {len(features)} features drifted"
    if named:
        text += ": " + ", ".join(named[:3]) + (", …" if len(named) > 3 else "")
    if outputs:
        text += "; " + " and ".join(f"{finding.subject} ({finding.value or 0:.2f})" for finding in outputs) + " too"
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


def _result(
    version: str,
    window: Window,
    current: Profile,
    status: Status,
    summary: str,
    findings: tuple[Finding, ...] = (),
    numbers: Mapping[str, float] | None = None,
) -> CheckResult:
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
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _rfc3339(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
