"""What of data quality is compared with the past, and what is remembered of it from one check to the next.

A violation of a bound that the reference sets is an *episode* of its feature, output or of the traffic, as a drift is
(`checks.drift_memory`): its time is in no rolling reference, so that it is said for as long as it lasts. What the
schema or an expectation forbids needs no memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from scipy import stats

from modelward_agent.profile import FeatureProfile, Profile
from modelward_collector.checks.acceptance import Acceptance
from modelward_collector.checks.drift_memory import (
    Episode,
    Memory,
    Seen,
    explained,
    from_document,
    remembered,
    to_document,
)
from modelward_collector.checks.lasting import aged, settled, unseen, words_of
from modelward_collector.checks.quality.expectation import SIGNIFICANCE
from modelward_collector.checks.quality.features import FEATURE_RULES
from modelward_collector.checks.quality.judged import Judged, count_of
from modelward_collector.checks.quality.outputs import outputs
from modelward_collector.checks.quality.traffic import LIKE_DAYS, is_rest, usual_week, volumes_of
from modelward_collector.checks.result import CheckResult, Finding, Status
from modelward_collector.checks.window import VOLUME, ReferenceProfile, Window, subject_key
from modelward_collector.models import ReferenceRolling, Task
from modelward_collector.span import Span

FEATURES: Final = "features"
OUTPUTS: Final = "outputs"
TRAFFIC: Final = "traffic"

Sided = tuple[str, Finding]
"""A finding and what it is about: a feature, an output, the traffic, or "" for what no memory is kept of."""

EPISODES_KEPT: Final = 20
"""Of one subject; what comes and goes so often is in no reference any more anyway."""


@dataclass(frozen=True, slots=True)
class Past:
    """What a check goes on from.

    `said` has what was last said of each subject whose episode goes on. `like` loads the same hours of other days,
    which is only asked for where something seems to be new; None when there are none.
    """

    memory: Memory = field(default_factory=Memory)
    said: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    accepted: Sequence[Acceptance] = ()
    like: Callable[[], ReferenceProfile | None] = lambda: None

    @classmethod
    def of(cls, result: CheckResult | None) -> Past:
        """What that result remembers."""
        if result is None:
            return cls()
        return cls(from_document(result.memory), result.memory.get("said") or {})

    @property
    def usual_week(self) -> Sequence[float | None]:
        """The rows of each hour of the week before the volume left what is usual; empty if it did not."""
        return self.said.get(VOLUME, {}).get("week") or () if self.memory.open(VOLUME) else ()


def compared_with_past(judged: Judged, side: str, finding: Finding) -> bool:
    """Whether it is the reference that the finding holds against the traffic, and not the schema."""
    if side == TRAFFIC:
        return finding.test == "volume" and "reference_rows_per_hour" in finding.detail
    if judged.known is None:
        return False
    if side == OUTPUTS:
        return (finding.test == "type" and judged.spec.task is not Task.REGRESSION) or (
            finding.test == "classes" and judged.spec.output.classes is None
        )
    schema = judged.spec.features.get(finding.subject)
    return side == FEATURES and (
        schema is None
        or finding.test == "infinite"
        or (finding.test == "missing" and schema.missing_max is None)
        or (finding.test == "range" and schema.min is None and schema.max is None)
        or (finding.test == "unseen" and schema.values is None)
        or (finding.test == "dimension" and schema.dimension is None)
    )


@dataclass(frozen=True, slots=True)
class Remembering:
    """One check's findings turned into what is said in the light of what came before."""

    judged: Judged
    reference: ReferenceProfile | None
    version: str
    window: Window
    now: datetime
    past: Past

    @property
    def _rolling(self) -> bool:
        return isinstance(self.judged.spec.reference, ReferenceRolling)

    def told(self, findings: Sequence[Sided]) -> tuple[list[Finding], dict[str, Any]]:
        """The findings as they are said, with those of what goes on unseen, and what is to be remembered."""
        violations: dict[str, list[int]] = {}
        told = [finding for _, finding in findings]
        for index, (side, finding) in enumerate(findings):
            if finding.status.flagged and compared_with_past(self.judged, side, finding):
                violations.setdefault(subject_key(side, finding.subject), []).append(index)
        for key in [key for key in violations if self._explained(key)]:
            for index in violations.pop(key):
                told[index] = settled(told[index], "of before what was accepted or is over")
        fresh = [key for key in violations if self.past.memory.open(key) is None and key != VOLUME]
        learning: set[str] = set()
        if fresh and self._rolling and self.judged.rows:
            still, days = self._still_new(fresh)
            for key in fresh:
                for index in list(violations[key]):
                    if days[key] < LIKE_DAYS and not self.past.memory.episodes.get(key):
                        learning.add(key)
                        told[index] = _learning(told[index], days[key])
                    elif days[key] >= LIKE_DAYS and (key, told[index].test) not in still:
                        told[index] = settled(told[index], "as it is at these hours")
                        violations[key].remove(index)
        episodes = dict(self.past.memory.episodes)
        said: dict[str, dict[str, Any]] = {}
        for key in {*episodes, *violations}:
            mine = [told[index] for index in violations.get(key, ())]
            if key in learning:
                mine = []
            worst = max(mine, key=lambda finding: (finding.status.rank, finding.value or 0.0), default=None)
            kept = remembered(
                self.past.memory, key, self._looks(key, worst, findings), worst is not None, self.now, self._horizon
            )[-EPISODES_KEPT:]
            if kept:
                episodes[key] = kept
            else:
                episodes.pop(key, None)
            open_one = kept[-1] if kept and kept[-1].open else None
            if open_one is None:
                continue
            if worst is None:
                said[key] = dict(self.past.said.get(key, {}))
                told += [unseen(said[key], open_one, count_of(self.judged.rows, "row"))] if said[key] else []
            else:
                said[key] = self._words(key, worst)
                for index in violations[key]:
                    told[index] = aged(told[index], open_one, self.now)
        return told, {**to_document(Memory(episodes)), "said": said}

    # -- what is seen -------------------------------------------------------------------------------------------
    def _explained(self, key: str) -> bool:
        return explained(self.past.memory, self.past.accepted, self.version, key, self.window.span)

    @property
    def _horizon(self) -> datetime:
        reference = self.judged.spec.reference
        reach = reference.window if isinstance(reference, ReferenceRolling) else ReferenceRolling(kind="rolling").window
        begun = [mine[-1].start for mine in self.past.memory.episodes.values() if mine and mine[-1].open]
        return min([self.now, *begun]) - 2 * reach

    def _looks(self, key: str, worst: Finding | None, findings: Sequence[Sided]) -> list[Seen]:
        span, rows = self.window.span, self.judged.rows
        current = self.past.memory.open(key)
        if worst is not None:
            return [Seen(span, True, abs(worst.value or 0.0), max(rows, 1), 1, sure=True)]
        # Only a window of its own, after all that showed it, tells that it is over.
        if current is None or span.start < current.seen - self._delay(current):
            return []
        if key == VOLUME:
            volume = next((finding for side, finding in findings if side == TRAFFIC and finding.test == "volume"), None)
            ends = volume is not None and self._volume_would_show(volume)
            return [Seen(span, False, 0.0, max(rows, current.rows_needed))] if ends else []
        return [Seen(span, False, 0.0, max(rows, current.rows_needed))] if self._surely_less(key) else []

    def _surely_less(self, key: str) -> bool:
        """Whether fewer rows break the rule than chance would let, had it been as in the best window that broke it."""
        words = self.past.said.get(key)
        side, _, name = key.partition("/")
        profile = self.judged.profile
        feature = (profile.features if side == FEATURES else profile.outputs).get(name)
        if words is None or not profile.rows:
            return False
        test = words["test"]
        of_all = test in ("schema", "missing")
        n = profile.rows if of_all else feature.present if feature is not None else 0
        count = round(self.judged.shares.get((test, name), 0.0) * n)
        return n > 0 and float(stats.binom.cdf(count, n, min(1.0, words["least"]))) < SIGNIFICANCE

    def _delay(self, current: Episode) -> timedelta:
        """`seen` is when a check ran, the windows of both ended as long before."""
        return self.now - self.window.span.end

    def _volume_would_show(self, volume: Finding) -> bool:
        ratio = self.past.said.get(VOLUME, {}).get("ratio")
        usual = volume.detail.get("reference_rows_per_hour")
        if ratio is None or usual is None or volume.status is Status.LEARNING:
            return False
        expected = usual * (self.window.span.length / timedelta(hours=1))
        rows = ratio * expected
        p = stats.poisson.cdf(rows, expected) if ratio < 1 else stats.poisson.sf(rows - 1, expected)
        return bool(p < SIGNIFICANCE)

    def _words(self, key: str, worst: Finding) -> dict[str, Any]:
        words = {**words_of(worst), "least": worst.value or 0.0}
        before = self.past.said.get(key) if self.past.memory.open(key) is not None else None
        if before is not None and before["test"] == worst.test:
            words["least"] = min(words["least"], before["least"])
        if key == VOLUME:
            rate, usual = worst.value or 0.0, worst.detail["reference_rows_per_hour"]
            week = self.past.usual_week
            out = self.reference.left_out.get(VOLUME, ()) if self.reference else ()
            holidays = frozenset(self.judged.spec.holidays)
            words["week"] = list(week) or usual_week(volumes_of(self.reference), holidays, out)
            words["ratio"] = rate / usual if usual else None
        return words

    # -- like with like -----------------------------------------------------------------------------------------
    def _still_new(self, keys: Sequence[str]) -> tuple[set[tuple[str, str]], dict[str, int]]:
        """What of these subjects is a violation of the same hours' bounds too, and how many like days tell that."""
        like = self.past.like()
        windows = like.windows if like is not None else ()
        span, known = self.window.span, self.judged.known
        assert known is not None
        swapped = Profile()
        swapped.rows, swapped.distinct_rows = known.rows, known.distinct_rows
        swapped.features, swapped.outputs = dict(known.features), dict(known.outputs)
        swapped.max_features, swapped.beyond = known.max_features, known.beyond
        days = {}
        for key in keys:
            side, _, name = key.partition("/")
            out = like.left_out.get(key, ()) if like is not None else ()
            mine = [
                (one, profile)
                for one, profile in windows
                if not any(one.start < gone.end and gone.start < one.end for gone in out)
            ]
            days[key] = sum(self._like(one, span) for one, _ in mine)
            feature = _merged([profile for _, profile in mine], side, name)
            (swapped.features if side == FEATURES else swapped.outputs)[name] = feature
        judged = Judged.of(self.judged.spec, self.judged.profile, ReferenceProfile("", swapped))
        found = [(FEATURES, finding) for rule in FEATURE_RULES for finding in rule(judged)]
        found += [(OUTPUTS, finding) for finding in outputs(judged)]
        still = {(subject_key(side, one.subject), one.test) for side, one in found if one.status.flagged}
        return still, days

    def _like(self, one: Span, span: Span) -> bool:
        """Whether the window begins at the same hour of a day of the same kind; long ones are of all kinds."""
        day = timedelta(days=1)
        off = (span.start - one.start) % day
        holidays = frozenset(self.judged.spec.holidays)
        alike = span.length > day or is_rest(one.start, holidays) == is_rest(span.start, holidays)
        return alike and min(off, day - off) <= timedelta(hours=1)


def _merged(profiles: Sequence[Profile], side: str, name: str) -> FeatureProfile:
    total = FeatureProfile()
    for profile in profiles:
        found = (profile.features if side == FEATURES else profile.outputs).get(name)
        if found is not None:
            total.merge(found)
        elif side == FEATURES and not profile.not_told_of([name]):
            total.missing += profile.rows
    return total


def _learning(finding: Finding, days: int) -> Finding:
    if finding.status is Status.CRITICAL:
        return finding
    said = (
        f"{finding.message}; still learning: {count_of(days, 'such day')} known at these hours, {LIKE_DAYS} are needed"
    )
    return replace(finding, status=Status.LEARNING, message=said)
