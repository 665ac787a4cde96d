"""The drift check: which features are no longer distributed as in the reference, by how much, and since when.

**A feature drifts** in a window when both hold:

* it is *significant*: its tests' combined p-value, adjusted for the number of features (Benjamini-Hochberg), is at most
  `false_alarm_rate`, so that in an unchanged window the chance that any feature is flagged is at most that rate. Both
  samples' sizes, the sketches' error and what the reference's own windows vary are counted in;
* it is *more than trivial*: the effect, on a scale from 0 to 1 that all features share (Jensen-Shannon distance, or
  that of two normal distributions as far apart), is above its floor: 0.025, or what the reference's own windows show.

**What it is compared with** are the reference's windows of the same hours and kind of day, without odd ones
(`drift_normal`). Several lengths may be looked at in one check, each with a share of the false alarm rate; of a feature
the shortest that drifts is told. Where whole days are looked at, trends of the days before are looked for too
(`stats.creep`).

**The state** is drift when k of the last n windows drift (`persistence`, by default 1 of 1), and then until a window of
its own shows that it is over (`drift_memory`). Statuses:

* OK: neither this window nor the state.
* LEARNING: what is normal for the feature is not known yet, and it is not grossly different from what is.
* WARNING: this window drifts but the state is not reached yet (shown, not counted in `drifted`); or the state is drift.
* CRITICAL: the state is drift and the effect is large (at least 0.5, about 1.3 standard deviations), unless the
  feature's importance is given as 0; or it is that of an output (prediction, score) while a feature drifts too: the
  model answers differently because it is asked differently.
* NO_DATA: fewer rows than `min_rows` in the window or the reference, and nothing that is known to drift.

**Features drift jointly** (one more finding, where profiles say how features move together) when the correlation of any
pair changed significantly and by more than 0.1, whether or not a feature drifts by itself; a tenth of the false alarm
rate is theirs. It is never more than a WARNING.

With `by_segment` every segment of the window with enough rows is compared with the same segment of the reference. A
quarter of the false alarm rate is theirs, and only what drifts there is reported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from modelward_agent.profile import Profile
from modelward_collector.checks.acceptance import Acceptance
from modelward_collector.checks.drift_dependence import measure_of_term
from modelward_collector.checks.drift_findings import (
    finding_of,
    importance_of,
    joint_finding,
    rank_of,
    result_of,
    rows_needed,
    segment_of,
    status_of,
    summary_of,
    untold,
)
from modelward_collector.checks.drift_history import earlier_results, state_of
from modelward_collector.checks.drift_joint import JointChange, measure_of_pair
from modelward_collector.checks.drift_judge import Judge, Judged, Look, LookJudged, judge, not_compared
from modelward_collector.checks.drift_measure import measure_of
from modelward_collector.checks.drift_memory import (
    Episode,
    Memory,
    Seen,
    Shape,
    explained,
    new_normal,
    over_since,
    remembered,
    to_document,
)
from modelward_collector.checks.drift_normal import DAY, LEARNT_WINDOWS
from modelward_collector.checks.drift_reference import PreparedReference, prepare_reference
from modelward_collector.checks.drift_since import (
    Followed,
    Key,
    Since,
    Steps,
    feature_key,
    known_from,
    locate,
    scanned,
    together_key,
)
from modelward_collector.checks.result import CheckResult, Finding, Status, worst
from modelward_collector.checks.window import JOINT, ReferenceProfile, Window, segment_key, subject_key
from modelward_collector.models import ModelSpec
from modelward_collector.span import Span

SURE, PLAINLY = 1e-9, 2.0
"""A drift whose adjusted p-value is above this, or whose effect is below so many times what windows vary by, is one
window's until the next shows it too; so is all that may be how a young reference's windows vary. How much they do is
known from few, and just beyond what they are allowed p-values are as small as the rows are many."""

MUCH = 2 / 3
"""The day after such a window need show only so much of what would be drift by itself."""

UNUSUAL_DAYS_MAX = 2
"""So many days of a week may be like days of another kind, as holidays are; the next is drift."""


@dataclass(frozen=True, slots=True)
class Past:
    """What a check goes on from: its memory, what was accepted, and how far back a reference may reach."""

    memory: Memory = field(default_factory=Memory)
    accepted: Sequence[Acceptance] = ()
    reach: timedelta = timedelta(days=90)


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
    prepared = prepare_reference(reference) if isinstance(reference, ReferenceProfile) else reference
    return check_looks(spec, version, [Look(window, prepared)], window, history, steps)


def check_looks(
    spec: ModelSpec,
    version: str,
    looks: Sequence[Look],
    window: Window,
    history: Sequence[CheckResult] = (),
    steps: Steps | None = None,
    past: Past | None = None,
    judge: Judge = judge,
) -> CheckResult:
    """`check_drift` of several lengths at once, the shortest first; `window` is what the result is said to be of.

    With a `past` the check remembers: what drifts goes on until it is over, and the result carries the memory. `judge`
    may answer from what it was asked before.
    """
    config = spec.checks.drift
    memory = past.memory if past is not None else Memory()
    accepted = past.accepted if past is not None else ()
    kept = to_document(memory) if past is not None else None
    done: list[LookJudged] = []
    nothing = ""
    for look in looks:
        current = look.window.profile(version)
        why = _not_enough(look.reference, current, config.min_rows)
        nothing = nothing or why
        if not why:
            done.append(judge(look, version, current, config, _may_be_unusual(memory, look.window.span)))
    shown = window.profile(version)
    now = window.span.end
    earlier = earlier_results(history, window)
    if not done:
        # A night without rows ends no drift, and is no reason to alert anew in the morning.
        untold_yet = _untold(earlier, memory, now, accepted, version)
        status = worst(*(finding.status for finding in untold_yet)) if untold_yet else Status.NO_DATA
        summary = "; ".join([nothing, *(finding.message for finding in untold_yet[:1])])
        numbers = earlier[0].numbers if untold_yet else {}
        return result_of(version, window, shown, status, summary, untold_yet, numbers, kept)

    told = _Told(spec, version, done, past, earlier, now)
    judged = told.features()
    joint = told.joint()
    parts = told.segments()
    begun = _begin(done, judged, joint, parts, known_from(earlier[0]) if earlier else {}, steps)
    for one in judged:
        told.remember(one, begun)
    if joint is not None:
        told.remember_joint(joint, begun)

    told.remember_segments()

    judged = [told.as_it_stands(one) for one in judged]
    drifting = [one for one in judged if told.states[subject_key(one.side, one.name)]]
    feature_drifts = any(one.side == "features" for one in drifting)
    findings = []
    for one in judged:
        key = subject_key(one.side, one.name)
        state = told.states[key]
        status = status_of(one, state, feature_drifts, importance_of(spec, one.name))
        since = begun.get(feature_key(one.side, one.name))
        findings.append(finding_of(one, status, earlier, None, state, since, told.open(key)))
    findings.sort(key=lambda finding: rank_of(finding, spec))
    together = []
    if joint is not None:
        drifts = told.drifts[JOINT]
        together = [
            joint_finding(joint[1], drifts, told.states[JOINT], earlier, joint[0].look.window, begun, told.open(JOINT))
        ]
    in_segments = [
        finding_of(
            one,
            Status.WARNING,
            earlier,
            where,
            state_of(True, one.name, where, earlier, config.persistence),
            begun.get(feature_key(one.side, one.name, where)),
        )
        for where, one in parts
    ]
    remembered_now = told.memory(done)
    said = {(finding.subject, segment_of(finding)) for finding in in_segments}
    goes_on = [one for one in _untold(earlier, remembered_now, now, accepted, version) if one.segment]
    in_segments += [one for one in goes_on if (one.subject, segment_of(one)) not in said]
    everything = sorted((*findings, *together), key=lambda finding: rank_of(finding, spec))
    status = worst(*(finding.status for finding in (*everything, *in_segments)))
    like = next((one.like for one in done if one.like), "")
    sure = [one for one in drifting if not one.learning]
    summary = summary_of(findings, together, in_segments, {one.name for one in drifting}, like)
    left_out = _left_out(done)
    if left_out:
        summary += f"; {left_out:,} or more not profiled (beyond max_features)"
    features = [one for one in judged if one.side == "features"]
    drifted = sum(one.side == "features" for one in sure)
    numbers = {
        "features": float(len(features)),
        "drifted": float(drifted),
        "drifted_share": drifted / len(features) if features else 0.0,
        "outputs_drifted": float(len(sure) - drifted),
        "odd": float(sum(one.drifts and one not in sure for one in judged)),
        "max_score": max((one.score for one in judged), default=0.0),
        "segments_drifted": float(len({segment_of(finding) for finding in in_segments})),
        "reference_rows": float(max(one.look.reference.total.rows for one in done if one.look.reference is not None)),
        "learning": float(sum(one.learning for one in judged)),
    }
    if left_out:
        numbers["not_profiled"] = float(left_out)
    if joint is not None:
        numbers["pairs"] = float(len(joint[1].pairs))
        numbers["pairs_drifted"] = float(len(joint[1].changed) if told.drifts[JOINT] else 0)
        numbers["dependences_drifted"] = float(len(joint[1].otherwise) if told.drifts[JOINT] else 0)
    kept = to_document(remembered_now) if past is not None else None
    return result_of(version, window, shown, status, summary, (*everything, *in_segments), numbers, kept)


def _left_out(done: Sequence[LookJudged]) -> int:
    """How many features at least are not compared, since traffic or reference has more than are profiled."""
    pairs = [(one.current, one.look.reference.total) for one in done if one.look.reference is not None]
    return max((max(len(not_compared(*pair)), *(profile.beyond for profile in pair)) for pair in pairs), default=0)


def _untold(
    earlier: Sequence[CheckResult], memory: Memory, now: datetime, accepted: Sequence[Acceptance], version: str
) -> tuple[Finding, ...]:
    """`untold` of the newest, without features that have another normal since they were accepted, in all segments."""

    def anew(finding: Finding) -> bool:
        key = subject_key("outputs" if finding.detail.get("output") else "features", finding.subject)
        return new_normal(accepted, version, key) is not None

    found = untold(earlier[0], memory, now) if earlier else ()
    return tuple(finding for finding in found if not (finding.segment and anew(finding)))


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


# -- several looks, and what is remembered ----------------------------------------------------------------------------


class _Told:
    """Of everything that was looked at in several lengths: the one that is told, the state, and what is remembered."""

    def __init__(
        self,
        spec: ModelSpec,
        version: str,
        done: Sequence[LookJudged],
        past: Past | None,
        earlier: Sequence[CheckResult],
        now: datetime,
    ) -> None:
        self._persistence = spec.checks.drift.persistence
        self._version = version
        self._done = done
        self._past = past
        self._earlier = earlier
        self._now = now
        self._before = past.memory if past is not None else Memory()
        self._episodes: dict[str, tuple[Episode, ...]] = {
            key: mine for key, mine in self._before.episodes.items() if mine
        }
        self._seen: dict[str, list[Seen]] = {}
        self.states: dict[str, bool] = {}
        self.drifts: dict[str, bool] = {}

    def features(self) -> list[Judged]:
        """One of each feature and output: of the looks that drift the shortest, else the one that knows most.

        That is the one with the largest share of the false alarms, the day; but what the shortest does not know yet is
        being learnt, whatever the day before it was.
        """
        by_key: dict[str, list[tuple[Judged, bool]]] = {}
        shares = {one.look.window.span: one.look.share for one in self._done}
        for one in self._done:
            for judged in one.judged:
                key = subject_key(judged.side, judged.name)
                by_key.setdefault(key, []).append((judged, self._explained(key, one.look.window.span)))
        chosen = []
        for key, looks in by_key.items():
            fresh = [judged for judged, explained_already in looks if not explained_already]
            seen = [_seen(judged) for judged in fresh]
            over = over_since(self._before.open(key), seen)
            if over is not None:
                fresh = [judged for judged in fresh if judged.window.span.start >= over]
            self._seen[key] = [one for one in seen if over is None or one.span.start >= over]
            drifting = [judged for judged in fresh if judged.drifts]
            sure = [judged for judged in drifting if not judged.learning]
            if drifting:
                told = (sure or drifting)[0]
            else:
                calm = fresh or [replace(judged, drifts=False, creep=None) for judged, _ in looks]
                largest = max(calm, key=lambda judged: shares[judged.window.span])
                told = calm[0] if calm[0].learning else largest
            self.drifts[key] = bool(drifting)
            chosen.append(told)
        return chosen

    def joint(self) -> tuple[LookJudged, JointChange] | None:
        """How features move together: of the looks in which that changed the shortest, else the longest."""
        found = [(one, one.joint) for one in self._done if one.joint is not None]
        fresh = [(one, joint) for one, joint in found if not self._explained(JOINT, one.look.window.span)]
        drifting = [(one, joint) for one, joint in fresh if joint.drifts]
        self.drifts[JOINT] = bool(drifting)
        self._seen[JOINT] = [
            Seen(
                one.look.window.span,
                joint.drifts,
                joint.leading.effect,
                joint.leading.rows,
                joint.rows_needed,
                sure=joint.p <= SURE,
            )
            for one, joint in fresh
        ]
        if drifting:
            return drifting[0]
        return found[-1] if found else None

    def segments(self) -> list[tuple[dict[str, str], Judged]]:
        """What drifts in segments, each once, in the shortest look that shows it; strongest first."""
        drifting: dict[str, dict[Span, list[Judged]]] = {}
        for look in self._done:
            for where, one in look.parts:
                for name, value in where.items():
                    drifting.setdefault(segment_key(name, value), {}).setdefault(one.window.span, []).append(one)
        fresh: dict[str, set[Span]] = {}
        for key in {*drifting, *(key for key in self._before.open_keys() if key.startswith("segments/"))}:
            name, _, value = key.partition("/")[2].partition("=")
            seen = []
            for look in self._done:
                span = look.look.window.span
                if self._explained(key, span):
                    continue
                found = drifting.get(key, {}).get(span)
                if found is not None:
                    seen.append(_seen(max(found, key=lambda one: one.score)))
                elif self._before.open(key) is not None:
                    rows = look.look.window.profile(self._version, {name: value}).rows
                    seen.append(Seen(span, False, 0.0, rows))
            over = over_since(self._before.open(key), seen)
            self._seen[key] = [one for one in seen if over is None or one.span.start >= over]
            fresh[key] = {one.span for one in self._seen[key]}
        told: dict[tuple[object, ...], tuple[dict[str, str], Judged]] = {}
        for look in self._done:
            for where, one in look.parts:
                if all(one.window.span in fresh[segment_key(*pair)] for pair in where.items()):
                    told.setdefault((tuple(sorted(where.items())), one.side, one.name), (where, one))
        return sorted(told.values(), key=lambda item: -item[1].score)

    def remember(self, one: Judged, begun: Mapping[Key, Since]) -> None:
        """Settle the state of a feature, and its episodes."""
        key = subject_key(one.side, one.name)
        # What is not known yet opens no episode: the reference would be left with the little that there is.
        self._settle(key, one.name, begun.get(feature_key(one.side, one.name)), one.learning)

    def remember_joint(self, joint: tuple[LookJudged, JointChange], begun: Mapping[Key, Since]) -> None:
        """The same of how features move together."""
        since = begun.get(together_key(*joint[1].leading_names))
        self._settle(JOINT, JOINT, since, False)

    def remember_segments(self) -> None:
        """The same of segments, each as a whole: what drifts in one is in no reference of that segment."""
        for key in [key for key in self._seen if key.startswith("segments/")]:
            self.drifts[key] = any(one.drifts for one in self._seen[key])
            self._settle(key, key, None, False)

    def _settle(self, key: str, name: str, since: Since | None, learning: bool) -> None:
        drifts = self.drifts[key]
        state = state_of(drifts, name, None, self._earlier, self._persistence)
        if self._past is not None:
            looks = [replace(one, since=since.low or since.at) if since is not None else one for one in self._seen[key]]
            horizon = self._now - self._past.reach
            mine = remembered(self._before, key, looks, state and not learning, self._now, horizon)
            if mine:
                self._episodes[key] = mine
            else:
                self._episodes.pop(key, None)
            state = self.open(key) is not None or (drifts and state)
        self.states[key] = state

    def open(self, key: str) -> Episode | None:
        """The drift of it that goes on."""
        mine = self._episodes.get(key, ())
        return mine[-1] if self._past is not None and mine and mine[-1].open else None

    def as_it_stands(self, one: Judged) -> Judged:
        """Of what goes on though this window does not show it plainly, what that comes to now, and nothing else."""
        episode = self.open(subject_key(one.side, one.name))
        if episode is None or one.drifts:
            return one
        return next(
            (replace(one, leading=test) for test in one.comparison.outcomes if test.name == episode.measure), one
        )

    def memory(self, done: Sequence[LookJudged]) -> Memory:
        """What the next check goes on from."""
        recent = [day for day in self._before.unusual if day > self._now - timedelta(days=14)]
        for one in done:
            day = _midnight(one.look.window.span)
            if one.like and day not in recent:
                recent.append(day)
        return Memory(self._episodes, tuple(recent))

    def _explained(self, key: str, span: Span) -> bool:
        return self._past is not None and explained(self._before, self._past.accepted, self._version, key, span)


def _seen(judged: Judged) -> Seen:
    shape = Shape.CREEP if judged.creep is not None else Shape.STEP
    needed = rows_needed(judged) if judged.drifts else None
    since = None
    if judged.creep is not None and judged.normal is not None and judged.normal.series is not None:
        spans = judged.normal.series.spans
        # What is before is all that it is compared with from now on: enough to tell kinds of days apart.
        since = max(spans[judged.creep.began].start, spans[0].start + LEARNT_WINDOWS * DAY)
    floor = judged.leading.floor
    plain = judged.adjusted <= SURE
    if judged.normal is not None and floor > judged.normal.floor:  # windows vary
        plain = plain and judged.score >= PLAINLY * floor and len(judged.normal.alike) >= LEARNT_WINDOWS
    sure = judged.drifts and (judged.creep is not None or plain)
    # Where there is nothing to compare with, no row tells that anything is over.
    compared = judged.normal is None or bool(judged.normal.alike)
    rows = judged.current.rows if compared else 0
    effects = {one.name: one.effect for one in judged.comparison.outcomes}
    return Seen(
        judged.window.span,
        judged.drifts,
        judged.score,
        rows,
        needed,
        since,
        shape,
        sure,
        measure=judged.leading.name,
        effects=effects,
        much=_much(judged),
    )


def _much(judged: Judged) -> frozenset[str]:
    """In what a whole day is far off, where days vary."""
    normal = judged.normal
    if normal is None or judged.window.span.length < DAY or len(normal.alike) < LEARNT_WINDOWS:
        return frozenset()
    varying = [one for one in judged.comparison.outcomes if one.floor > normal.floor]
    return frozenset(one.name for one in varying if one.effect >= MUCH * one.floor)


def _may_be_unusual(memory: Memory, span: Span) -> bool:
    """Whether a day may be taken for one of another kind: not after two of the week before were."""
    today = _midnight(span)
    week = {day.date() for day in memory.unusual if today - timedelta(days=7) <= day < today}
    return len(week) < UNUSUAL_DAYS_MAX


def _midnight(span: Span) -> datetime:
    return (span.start + span.length / 2).replace(hour=0, minute=0, second=0, microsecond=0)


# -- since when -----------------------------------------------------------------------------------------------------


def _begin(
    done: Sequence[LookJudged],
    judged: Sequence[Judged],
    joint: tuple[LookJudged, JointChange] | None,
    parts: Sequence[tuple[dict[str, str], Judged]],
    known: Mapping[Key, Since],
    steps: Steps | None,
) -> dict[Key, Since]:
    """When everything that drifts began: looked for in the traffic of the look that shows it."""
    begun = dict(known)
    for one in done:
        span = one.look.window.span
        mine = [found for found in judged if found.window.span == span and found.creep is None]
        together = joint[1] if joint is not None and joint[0] is one else None
        inside = [(where, found) for where, found in parts if found.window.span == span]
        followed = _followed(mine, together, inside, one)
        begun = _begun(followed, begun, span, steps)
    return begun


def _followed(
    judged: Sequence[Judged],
    joint: JointChange | None,
    parts: Sequence[tuple[dict[str, str], Judged]],
    done: LookJudged,
) -> dict[Key, Followed]:
    """Everything that drifts in this window, most important first: features, pairs of them, features in segments."""
    found: dict[Key, Followed] = {}
    for one in sorted(judged, key=lambda one: -one.score):
        if one.drifts and (measure := measure_of(one.shift)) is not None:
            found[feature_key(one.side, one.name)] = Followed(measure)
    drifting = {one.name for one in judged if one.side == "features" and one.drifts}
    for pair in joint.named if joint is not None else ():
        assert done.look.reference is not None
        measure = measure_of_pair(pair, done.look.reference, done.current, done.look.window.span, drifting)
        found[together_key(pair.a, pair.b)] = Followed(measure)
    for term in joint.terms_named if joint is not None else ():
        assert done.look.reference is not None
        measure = measure_of_term(term, done.look.reference, done.current, done.look.window.span, drifting)
        found[together_key(*term.names)] = Followed(measure)
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
