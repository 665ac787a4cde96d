"""One look at a version's traffic: every feature of one window judged against what is normal for it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from modelward_agent.profile import Profile
from modelward_collector.checks.drift_joint import SHARE as JOINT_SHARE
from modelward_collector.checks.drift_joint import JointChange, joint_change
from modelward_collector.checks.drift_measure import Shift
from modelward_collector.checks.drift_normal import COVERED_TWICE, DAY, FIRST_WEEK, Normal, day_of
from modelward_collector.checks.drift_reference import PreparedReference, side_of
from modelward_collector.checks.reading import classes_against_scores
from modelward_collector.checks.window import Window
from modelward_collector.models import DriftCheck
from modelward_collector.stats.characteristics import characteristics
from modelward_collector.stats.combine import benjamini_hochberg
from modelward_collector.stats.creep import Creep, creep_of
from modelward_collector.stats.effect import FLOOR, normal_shift_distance, share_distance, share_is_trivial
from modelward_collector.stats.feature import Comparison, FeatureScatter, FeatureView, compare
from modelward_collector.stats.outcome import Outcome
from modelward_collector.stats.phases import SATURDAY, SUNDAY, Partition, said

OUTPUTS = ("prediction", "score")
"""The outputs whose drift is judged."""

HEADROOM = 0.75
"""Share of the false alarm rate that is used: p-values from sketches and of combined tests are approximations."""

SEGMENT_SHARE = 0.25
"""What segments get of the false alarm rate, when there are any to judge."""

CREEP_SHARE = 0.1
"""What trends get of it, where whole days are looked at."""

CREEP_FLOOR = normal_shift_distance(0.1)
"""A trend must have come to a tenth of a standard deviation, or as much in shares."""

CREEP = "creep"
"""The `decided_by` of a trend."""

SEGMENTS_MAX = 24
"""The segments with most rows are judged."""

SEGMENT_FINDINGS_MAX = 50

PLAINEST = (
    "missing", "type", "texts", "mean", "length_mean", "variance", "zeros", "linf", "new_values", "distinct",
    "words", "characters", "chi_squared", "hashed", "ks", "length_ks", "psi",
)  # fmt: skip
"""Of two tests that find about the same effect the earlier is easier to understand."""

NEAR = 0.75

VOLUME_TELLS = 0.15
"""Kinds of days whose usual rows differ by this (natural logarithm) can be told apart by a day's rows."""

SIGNS_MIN = 2
"""A day is taken for one of another kind by at least so many things that agree: one feature alone may have drifted."""


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """One length at which traffic is looked at: a window, what it is compared with, and its share of the false alarms.

    `trends` are looked for where the window is a whole day.
    """

    window: Window
    reference: PreparedReference | None
    share: float = 1.0
    trends: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """One feature compared in one look: its views, its comparison, and whether this window drifts."""

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
    window: Window
    profile: Profile
    normal: Normal | None = None
    creep: Creep | None = None

    @property
    def score(self) -> float:
        """The effect of the test that decides, in [0, 1]."""
        return self.leading.effect

    @property
    def learning(self) -> bool:
        """Whether what is normal for it is not known yet."""
        return self.normal is not None and self.normal.learning

    @property
    def shift(self) -> Shift:
        """What changed, to be followed back in time."""
        kind = self.comparison.kind
        return Shift(self.side, self.name, kind, self.reference, self.current, self.scatter, self.leading)


@dataclass(frozen=True, slots=True, eq=False)
class LookJudged:
    """Everything that one look found; `like` says which days it was like when it was not like those of its own kind."""

    look: Look
    current: Profile
    judged: Sequence[Judged]
    joint: JointChange | None
    parts: Sequence[tuple[dict[str, str], Judged]]
    like: str = ""


Known = tuple[FeatureView, FeatureScatter, float, Normal | None]
"""What a feature is compared with: its view, how windows vary, the floor, and where that comes from."""

Judge = Callable[[Look, str, Profile, DriftCheck, bool], LookJudged]
"""Judges one look; see `judge`."""


def judge(look: Look, version: str, current: Profile, config: DriftCheck, another_kind: bool) -> LookJudged:
    """Judge one window; `current` is its profile. With `another_kind`, a day may be like days of another kind."""
    prepared, window = look.reference, look.window
    assert prepared is not None
    budget = HEADROOM * config.false_alarm_rate * look.share
    begun = prepared.reference.begun
    # What moves together, and what segments do, is not known before a week is, nor how weeks differ before two are.
    young = begun is not None and window.span.start - begun < max(FIRST_WEEK, COVERED_TWICE * window.span.length)
    segments = _segments(version, window, prepared, current, config.min_rows) if config.by_segment and not young else []
    joint = None if young else joint_change(prepared, current, window.span, config.ignore, budget * JOINT_SHARE)
    trends = CREEP_SHARE if look.trends else 0.0
    rate = budget * (1 - (SEGMENT_SHARE if segments else 0) - (JOINT_SHARE if joint else 0) - trends)
    # What tells segments apart need not be a feature as well.
    told_apart = prepared.reference.optional() | window.segments(version).keys()
    wanted = _wanted(current, prepared.total, {*config.ignore, *(told_apart - current.features.keys())})
    # One level for all that is learned from the reference, whatever the segments: it is computed once.
    learned = budget / max(1, len(wanted))
    judged = _judge(wanted, prepared, current, window, rate, learned)
    like = ""
    if another_kind and window.span.length <= DAY and any(one.drifts for one in judged):
        other = _like_another_kind(judged, wanted, prepared, current, window, rate, learned)
        if other is not None:
            judged, like = other
    if trends:
        judged = _trends(judged, window, budget * trends)
    parts = _judge_segments(segments, wanted, prepared, window, budget * SEGMENT_SHARE, learned)
    return LookJudged(look, current, judged, joint, parts, like)


def _wanted(current: Profile, reference: Profile, ignored: set[str]) -> list[tuple[str, str]]:
    """(side, name) of everything that either has and both tell of, in a fixed order."""
    features = sorted({*current.features, *reference.features} - ignored - not_compared(current, reference))
    outputs = [
        name
        for name in OUTPUTS
        if name not in ignored
        and (name in current.outputs and name in reference.outputs)
        # The quality check says that the one has classes and the other the probability of one.
        and not classes_against_scores(reference.outputs[name], current.outputs[name])
    ]
    return [("features", name) for name in features] + [("outputs", name) for name in outputs]


def not_compared(current: Profile, reference: Profile) -> set[str]:
    """Features that one of them has, and the other may have left out."""
    return current.not_told_of(reference.features) | reference.not_told_of(current.features)


def _judge(
    wanted: Sequence[tuple[str, str]],
    reference: PreparedReference,
    current: Profile,
    window: Window,
    rate: float,
    learned: float,
    day: int | None = None,
) -> list[Judged]:
    def compared(side: str, name: str) -> list[Known]:
        normal = reference.normal(side, name, window.span, learned, day)
        either = [normal] if normal.without is None else [normal, normal.without]
        return [(one.view, one.scatter, one.floor, one) for one in either]

    return _compared(wanted, compared, current, window, rate)


def _compared(
    wanted: Sequence[tuple[str, str]],
    known: Callable[[str, str], Sequence[Known]],
    current: Profile,
    window: Window,
    rate: float,
) -> list[Judged]:
    level = rate / max(1, len(wanted))
    compared = []
    for side, name in wanted:
        theirs = FeatureView.of(side_of(current, side, name))
        options = [
            (compare(mine, theirs, scatter, floor), mine, scatter, normal)
            for mine, scatter, floor, normal in known(side, name)
        ]
        # It drifts when it is like none of them.
        comparison, mine, scatter, normal = max(options, key=lambda option: option[0].p)
        compared.append((side, name, mine, theirs, scatter, comparison, normal))
    adjusted = benjamini_hochberg([comparison.p for *_, comparison, _ in compared])
    judged = []
    for (side, name, mine, theirs, scatter, comparison, normal), p in zip(compared, adjusted, strict=True):
        drifts = bool(p <= rate)
        leading = leading_of(comparison, drifts, level)
        judged.append(
            Judged(
                side, name, mine, theirs, scatter, comparison, float(p), level, drifts, leading, window, current, normal
            )
        )
    return judged


def leading_of(comparison: Comparison, drifts: bool, level: float) -> Outcome:
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


# -- days of another kind ---------------------------------------------------------------------------------------------


def _like_another_kind(
    judged: Sequence[Judged],
    wanted: Sequence[tuple[str, str]],
    prepared: PreparedReference,
    current: Profile,
    window: Window,
    rate: float,
    learned: float,
) -> tuple[list[Judged], str] | None:
    """The window judged as one of a day that it is like in everything: a holiday is as a Sunday is. None if it is not.

    At least two things have to tell so, each of which differs from kind to kind: features, or how many rows there are.
    Rows that tell otherwise end it.
    """
    normals = {(one.side, one.name): one.normal for one in judged if one.normal is not None}
    partitions = [normal.partition for normal in normals.values() if normal.differ]
    mine = day_of(window.span, prepared.reference.holidays, prepared.reference.zone)
    for day in (SUNDAY, SATURDAY):
        apart = [partition for partition in partitions if partition.of(day) != partition.of(mine)]
        if not apart:
            continue
        rows = _rows_tell(prepared, window, current.rows, apart[0], mine, day)
        if rows is False:
            continue
        other = _judge(wanted, prepared, current, window, rate, learned, day)
        if any(one.drifts for one in other):
            continue
        moved = [
            one.name
            for one in judged
            if (normal := normals.get((one.side, one.name))) is not None
            and normal.differ
            and normal.partition.of(day) != normal.partition.of(mine)
        ]
        signs = (*moved, *(("rows",) if rows else ()))
        if len(signs) >= SIGNS_MIN:
            return other, said(apart[0].of(day))
    return None


def _rows_tell(
    prepared: PreparedReference, window: Window, rows: int, partition: Partition, mine: int, day: int
) -> bool | None:
    """Whether the window's rows are those of the other kind of day; None when rows do not tell kinds apart."""
    by_kind: dict[tuple[int, ...], list[float]] = {}
    for span, profile in prepared.alike(window.span).windows:
        kind = partition.of(day_of(span, prepared.reference.holidays, prepared.reference.zone))
        by_kind.setdefault(kind, []).append(math.log(max(1, profile.rows)))
    own, other = by_kind.get(partition.of(mine)), by_kind.get(partition.of(day))
    if not own or not other:
        return None
    here, there = float(np.median(own)), float(np.median(other))
    if abs(here - there) < VOLUME_TELLS:
        return None
    now = math.log(max(1, rows))
    return abs(now - there) < abs(now - here)


# -- trends -----------------------------------------------------------------------------------------------------------


def _trends(judged: Sequence[Judged], window: Window, rate: float) -> list[Judged]:
    """What does not drift by itself and is at the end of a trend drifts all the same."""
    level = rate / max(1, len(judged))
    return [one if one.drifts else _creeping(one, window, level) or one for one in judged]


def _creeping(one: Judged, window: Window, level: float) -> Judged | None:
    normal = one.normal
    if normal is None or normal.series is None or normal.learning or not one.current.present:
        return None
    series = normal.series
    now = characteristics(series.reference, [side_of(one.profile, one.side, one.name)])
    spans = [*series.spans, window.span]
    times = np.array([(span.start + span.length / 2).timestamp() / 86_400 for span in spans])
    kinds = np.array([normal.partition.kinds.index(normal.partition.of(day)) for day in (*series.days, normal.day)])
    fair = np.append(series.fair, True)
    found: list[tuple[float, str, Creep, float]] = []
    columns = [
        i for i, name in enumerate(series.known.names) if name in ("mean", "missing", "length") or "share of" in name
    ]
    for i in columns:
        values = np.append(series.known.values[:, i], now.values[0, i])
        variances = np.append(series.known.variances[:, i], now.variances[0, i])
        creep = creep_of(times[fair], values[fair], variances[fair], kinds[fair])
        if creep is None:
            continue
        effect = _effect(one, series.known.names[i], creep)
        if effect > CREEP_FLOOR and creep.p * len(columns) <= level:
            found.append((effect, series.known.names[i], creep, creep.p * len(columns)))
    if not found:
        return None
    effect, name, creep, p = max(found, key=lambda item: item[0])
    began = int(np.flatnonzero(fair)[creep.began])
    leading = Outcome(CREEP, creep.slope, p, effect, CREEP_FLOOR, name)
    return replace(
        one, drifts=True, leading=leading, adjusted=min(1.0, p * len(columns)), creep=replace(creep, began=began)
    )


def _effect(one: Judged, name: str, creep: Creep) -> float:
    if name in ("mean", "length"):
        view = one.reference.numeric
        if name == "length":
            view = one.reference.text.lengths if one.reference.text is not None else None
        return normal_shift_distance(creep.total / view.sd) if view is not None and view.variance > 0 else 0.0
    rows, missing = one.reference.rows, one.reference.missing
    if name == "missing":
        share = missing / rows if rows else 0.0
    else:
        shares = one.reference.categories.shares if one.reference.categories is not None else {}
        share = shares.get(name.removeprefix("share of "), 0.0)
    after = min(1.0, max(0.0, share + creep.total))
    return 0.0 if share_is_trivial(share, after, one.current.rows) else share_distance(share, after)


# -- segments ---------------------------------------------------------------------------------------------------------


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
) -> list[tuple[dict[str, str], Judged]]:
    """What drifts in which segment, adjusted over all segments and features, strongest first.

    What segments were like is known over the whole reference alone: what has another normal since is passed over.
    """
    wanted = [(side, name) for side, name in wanted if not prepared.anew(side, name)]
    if not segments or not wanted:
        return []
    everything = []
    for where, profile in segments:
        part = prepared.where(where)

        def known(side: str, name: str, part: PreparedReference = part) -> list[Known]:
            scatter = prepared.scatter(side, name, window.span.length, learned)
            return [(part.view(side, name), scatter, FLOOR, None)]

        found = _compared(wanted, known, profile, window, rate / len(segments))
        everything += [(where, one) for one in found]
    adjusted = benjamini_hochberg([one.comparison.p for _, one in everything])
    level = rate / len(everything)
    drifting = []
    for (where, one), p in zip(everything, adjusted, strict=True):
        if p <= rate:
            leading = leading_of(one.comparison, True, level)
            drifting.append((where, replace(one, adjusted=float(p), level=level, drifts=True, leading=leading)))
    drifting.sort(key=lambda item: -item[1].score)
    return drifting[:SEGMENT_FINDINGS_MAX]
