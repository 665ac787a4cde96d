"""Since when, of segments and of pairs: what is followed of raw rows, and what the check tells."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from collector.tests.columns import Draws, Values, rows
from modelward_agent.profile import Profile, Segment, merged
from modelward_agent.profile.comoments import CoMoments, squash
from modelward_collector.checks.drift import check_drift
from modelward_collector.checks.drift_joint import measure_of_pair
from modelward_collector.checks.drift_measure import Measure, Shift, measure_of
from modelward_collector.checks.drift_reference import PreparedReference, prepare_reference, side_of
from modelward_collector.checks.result import CheckResult, Finding, Status
from modelward_collector.checks.window import ReferenceProfile, Window
from modelward_collector.models import ModelSpec
from modelward_collector.span import Span
from modelward_collector.stats.correlation import PairChange, correlation_changes
from modelward_collector.stats.feature import FeatureScatter, FeatureView, compare

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
START = datetime(2026, 3, 2, tzinfo=UTC)
WINDOW = Span(START + 6 * HOUR, START + 12 * HOUR)
EU, US = (("region", "eu"),), (("region", "us"),)
NAMES = ("a", "b", "c")
RUNS = 60


@pytest.fixture
def draw() -> np.random.Generator:
    return np.random.default_rng(20260302)


def pair_values(draw: np.random.Generator, r: float, n: int, shift: float = 0.0) -> Values:
    """Three features, of which a and b have the correlation r, and a is moved."""
    values = draw.normal(size=(3, n))
    values[1] = r * values[0] + math.sqrt(1 - r * r) * values[1]
    values[0] += shift
    return values


def pair_rows(values: Values) -> Profile:
    made = rows(dict(zip(NAMES, values, strict=True)))
    made.fold_together(NAMES, values)
    return made


class Traffic:
    """Profiles minute by minute and segment, read in steps as the store would, counting what is read."""

    def __init__(self, minute: Callable[[bool], Mapping[Segment, Profile]], change: datetime, hours: int = 12) -> None:
        starts = [START + number * MINUTE for number in range(60 * hours)]
        self.minutes = {at: minute(at >= change) for at in starts}
        self.read = 0

    def __call__(self, span: Span, step: timedelta) -> list[tuple[Span, Mapping[Segment, Profile]]]:
        steps: dict[datetime, dict[Segment, Profile]] = {}
        for start, by_segment in self.minutes.items():
            if span.start <= start and start + MINUTE <= span.end:
                at = datetime.fromtimestamp(start.timestamp() // step.total_seconds() * step.total_seconds(), UTC)
                for segment, made in by_segment.items():
                    steps.setdefault(at, {}).setdefault(segment, Profile()).merge(made)
        self.read += len(steps)
        return [(Span(at, at + step), by_segment) for at, by_segment in sorted(steps.items())]

    def check(
        self, reference: PreparedReference, span: Span = WINDOW, history: Sequence[CheckResult] = ()
    ) -> CheckResult:
        parts: dict[tuple[str, Segment], Profile] = {}
        for start, by_segment in self.minutes.items():
            if span.start <= start < span.end:
                for segment, made in by_segment.items():
                    parts.setdefault(("v1", segment), Profile()).merge(made)
        spec = ModelSpec.model_validate({"model": "fraud"})
        return check_drift(spec, "v1", reference, Window("fraud", span, parts), history, self)


def moments(change: Mapping[str, Any]) -> tuple[datetime, datetime, datetime]:
    told = [change[name] for name in ("low", "at", "high")]
    assert None not in told
    low, at, high = (datetime.fromisoformat(one) for one in told)
    return low, at, high


def holds(change: Mapping[str, Any], moment: datetime) -> bool:
    low, high = change["low"], datetime.fromisoformat(change["high"])
    return (low is None or datetime.fromisoformat(low) <= moment) and moment <= high


def enough(held: int, told: int) -> bool:
    """95% of them, less what so few leave to chance (one-sided 1%)."""
    return told >= RUNS / 2 and held / told >= 0.95 - 2.33 * math.sqrt(0.95 * 0.05 / told)


# -- what is followed -----------------------------------------------------------------------------------------------

KINDS: dict[str, tuple[Draws, Draws]] = {
    "mean": (lambda d, n: d.normal(0, 1, n), lambda d, n: d.normal(1, 1, n)),
    "variance": (lambda d, n: d.normal(0, 1, n), lambda d, n: d.normal(0, 2, n)),
    "missing": (lambda d, n: d.normal(0, 1, n), lambda d, n: np.where(d.random(n) < 0.5, np.nan, d.normal(0, 1, n))),
    "zeros": (lambda d, n: d.exponential(1, n), lambda d, n: np.where(d.random(n) < 0.3, 0.0, d.exponential(1.4, n))),
    "psi": (lambda d, n: d.normal(0, 1, n), lambda d, n: d.choice([-1.0, 1.0], n) + d.normal(0, 0.05, n)),
    "linf": (lambda d, n: d.choice(["a", "b", "c"], n), lambda d, n: d.choice(["a", "b", "z"], n)),
    "chi_squared": (
        lambda d, n: d.choice(list("abcd"), n),
        lambda d, n: d.choice(list("abcd"), n, p=[0.4, 0.4, 0.1, 0.1]),
    ),
}


def followed(shift: Shift) -> Measure[Profile]:
    found = measure_of(shift)
    assert found is not None
    return found


@pytest.mark.parametrize("test", KINDS)
def test_what_is_followed_of_parts_adds_up_to_that_of_all_their_rows(draw: np.random.Generator, test: str) -> None:
    before, after = KINDS[test]
    reference, current = (
        FeatureView.of(side_of(rows({"x": of(draw, 3_000)}), "features", "x")) for of in (before, after)
    )
    outcome = next(one for one in compare(reference, current, FeatureScatter()).outcomes if one.name == test)
    measure = followed(Shift("features", "x", reference.kind, reference, current, FeatureScatter(), outcome))
    parts = [rows({"x": after(draw, n)}) for n in (5, 40, 17)]
    read = [measure.of(part) for part in parts]
    value, weight = measure.of(merged(parts))
    assert weight == pytest.approx(sum(one[1] for one in read))
    assert value == pytest.approx(sum(one[0] * one[1] for one in read) / weight)


def joint(profile: Profile) -> CoMoments:
    assert profile.joint is not None
    return profile.joint


def pair_measure(
    before: Profile, after: Profile, drifting: Collection[str] = ()
) -> tuple[PairChange, Measure[Profile]]:
    reference = prepare_reference(ReferenceProfile("before", before))
    pair = next(one for one in correlation_changes(joint(before), joint(after)) if (one.a, one.b) == ("a", "b"))
    return pair, measure_of_pair(pair, reference, after, Span(START, START + 6 * HOUR), drifting)


def test_what_is_followed_of_a_pair_is_the_mean_over_raw_rows(draw: np.random.Generator) -> None:
    old, new = pair_values(draw, 0.8, 20_000), pair_values(draw, 0.3, 5_000, shift=0.5)
    some = pair_values(draw, 0.3, 40)
    some[0, :4] = np.nan
    for drifting, origin in (((), old), (("a",), new)):
        pair, measure = pair_measure(pair_rows(old), pair_rows(new), drifting)
        k = (pair.reference + pair.current) / 2
        known = squash(some[:, 4:])
        centre, scale = squash(origin).mean(axis=1, keepdims=True), squash(origin).std(axis=1, keepdims=True)
        u, v, _ = (known - centre) / scale
        value, weight = measure.of(pair_rows(some))
        assert value == pytest.approx(np.mean(u * v - k * (u * u + v * v) / 2))
        halves = [measure.of(pair_rows(part)) for part in (some[:, :15], some[:, 15:])]
        assert weight == pytest.approx(sum(one[1] for one in halves))
        assert value == pytest.approx(sum(one[0] * one[1] for one in halves) / weight)
    assert measure.before[1] == 0, "of rows that are elsewhere the reference's level is not known"
    assert measure.of(rows({"x": np.zeros(3)})) == (0.0, 0.0)


@pytest.mark.parametrize(("before", "after"), [(0.7, 0.0), (0.0, 0.5), (0.9, 0.4), (-0.6, 0.6)])
@pytest.mark.parametrize("kind", ["normal", "lognormal", "boolean"])
def test_a_pairs_sampling_error_is_that_of_raw_rows_or_a_little_more(
    draw: np.random.Generator, before: float, after: float, kind: str
) -> None:
    of: dict[str, Callable[[Values], Values]] = {
        "normal": lambda values: values,
        "lognormal": np.exp,
        "boolean": lambda values: (values > 0.5).astype(float),
    }
    old, new = (of[kind](pair_values(draw, r, 50_000)) for r in (before, after))
    pair, measure = pair_measure(pair_rows(old), pair_rows(new))
    k = (pair.reference + pair.current) / 2
    raw = []
    for values in (old, new):
        u, v, _ = (squash(values) - squash(old).mean(axis=1, keepdims=True)) / squash(old).std(axis=1, keepdims=True)
        raw.append(np.var(u * v - k * (u * u + v * v) / 2))
    weight = measure.of(pair_rows(new))[1]
    assert 0.9 <= (50_000 / weight) / max(raw) <= 2
    assert measure.before[0] == pytest.approx(pair.reference - k)


# -- segments -------------------------------------------------------------------------------------------------------


def by_region(draw: np.random.Generator, shift: float, each: int = 4) -> dict[Segment, Profile]:
    """Moves in one segment; the other, three times as large, moves against it, so that all rows together do not."""
    return {EU: rows({"x": draw.normal(shift, 1, each)}), US: rows({"x": draw.normal(-shift / 3, 1, 3 * each)})}


def regions(draw: np.random.Generator) -> PreparedReference:
    segments = by_region(draw, 0.0, 5_000)
    return prepare_reference(ReferenceProfile("before", merged(segments.values()), (), segments))


def in_eu(result: CheckResult) -> Finding:
    return next(finding for finding in result.findings if finding.segment == dict(EU))


def test_of_a_segment_it_is_told_from_its_own_traffic(draw: np.random.Generator) -> None:
    change = START + timedelta(hours=8, minutes=23)
    traffic = Traffic(lambda changed: by_region(draw, 1.2 * changed), change)
    found = in_eu(traffic.check(regions(draw)))
    low, at, high = moments(found.detail["change"])
    assert low <= change <= high
    assert high - low <= timedelta(minutes=30)
    assert found.since == at
    assert f"since about {at:%H:%M} ({low:%H:%M} to {high:%H:%M})" in found.message
    assert "changed_between" not in found.detail
    assert traffic.read <= 12 + 240


def test_the_interval_of_a_segment_holds_the_moment_as_often_as_it_says(draw: np.random.Generator) -> None:
    reference, held, told = regions(draw), 0, 0
    for _ in range(RUNS):
        change = START + HOUR * float(draw.uniform(6.5, 11))
        result = Traffic(lambda changed: by_region(draw, 0.8 * changed, 3), change).check(reference)
        for finding in result.findings:
            if finding.segment == dict(EU) and "change" in finding.detail:
                held, told = held + holds(finding.detail["change"], change), told + 1
    assert enough(held, told)


def test_of_a_segment_what_was_found_is_kept_when_the_change_is_long_ago(draw: np.random.Generator) -> None:
    change = START + timedelta(hours=3, minutes=10)
    traffic = Traffic(lambda changed: by_region(draw, 1.2 * changed), change, hours=36)
    reference = regions(draw)
    first = traffic.check(reference, Span(START + 2 * HOUR, START + 8 * HOUR))
    stored = CheckResult.from_document(first.to_document())
    traffic.read = 0
    later = traffic.check(reference, Span(START + 30 * HOUR, START + 36 * HOUR), [stored])
    assert in_eu(later).detail["change"] == in_eu(first).detail["change"]
    assert traffic.read == 0


def test_a_segment_that_has_not_changed_is_not_read_for(draw: np.random.Generator) -> None:
    traffic = Traffic(lambda _: by_region(draw, 0.0), START)
    assert traffic.check(regions(draw)).status is Status.OK
    assert traffic.read == 0


# -- pairs ----------------------------------------------------------------------------------------------------------


def together(draw: np.random.Generator, r: float) -> PreparedReference:
    return prepare_reference(ReferenceProfile("before", pair_rows(pair_values(draw, r, 20_000))))


def joint_of(result: CheckResult) -> Finding:
    return next(finding for finding in result.findings if finding.test == "joint")


def test_of_a_pair_it_is_told_and_of_each_that_is_named(draw: np.random.Generator) -> None:
    change = START + timedelta(hours=8, minutes=23)
    traffic = Traffic(lambda changed: {(): pair_rows(pair_values(draw, 0.0 if changed else 0.7, 10))}, change)
    result = traffic.check(together(draw, 0.7))
    found = joint_of(result)
    [pair] = found.detail["contributors"]
    assert found.detail["change"] == pair["change"]
    low, at, high = moments(pair["change"])
    assert low <= change <= high
    assert high - low <= timedelta(minutes=30)
    assert found.since == at
    assert found.message.endswith(f", since about {at:%H:%M} ({low:%H:%M} to {high:%H:%M})")
    assert "changed_between" not in found.detail
    assert CheckResult.from_document(result.to_document()) == result


@pytest.mark.parametrize(("before", "after"), [(0.7, 0.0), (0.0, 0.5)])
def test_the_interval_of_a_pair_holds_the_moment_as_often_as_it_says(
    draw: np.random.Generator, before: float, after: float
) -> None:
    def alone(r: float, n: int) -> Profile:
        made = Profile()
        made.rows = n
        made.fold_together(NAMES, pair_values(draw, r, n))
        return made

    reference = alone(before, 20_000)
    held, told = 0, 0
    for _ in range(RUNS):
        change = START + HOUR * float(draw.uniform(3.3, 5.5))
        traffic = Traffic(lambda changed: {(): alone(after if changed else before, 10)}, change, hours=6)
        result = traffic.check(
            prepare_reference(ReferenceProfile("before", reference)), Span(START + 3 * HOUR, START + 6 * HOUR)
        )
        found = joint_of(result).detail.get("change")
        if found is not None:
            held, told = held + holds(found, change), told + 1
    assert enough(held, told)


def test_a_feature_of_the_pair_that_moved_long_ago_is_not_taken_for_the_change(draw: np.random.Generator) -> None:
    reference, held = together(draw, 0.7), 0
    for _ in range(10):
        change = START + HOUR * float(draw.uniform(6.5, 10))
        traffic = Traffic(
            lambda changed: {(): pair_rows(pair_values(draw, 0.0 if changed else 0.7, 10, shift=1.5))}, change
        )
        result = traffic.check(reference)
        assert next(finding for finding in result.findings if finding.subject == "a").detail["change"]["at"] is None
        held += holds(joint_of(result).detail["change"], change)
    assert held >= 8


def test_of_a_pair_that_changed_before_all_that_is_read_it_is_said_and_later_what_was_found_is_kept(
    draw: np.random.Generator,
) -> None:
    reference = together(draw, 0.7)
    traffic = Traffic(
        lambda changed: {(): pair_rows(pair_values(draw, 0.0 if changed else 0.7, 10))}, START + 4 * HOUR, hours=36
    )
    first = traffic.check(reference, Span(START + 3 * HOUR, START + 9 * HOUR))
    assert joint_of(first).detail["change"]["at"] is not None
    late = Span(START + 30 * HOUR, START + 36 * HOUR)
    alone = joint_of(traffic.check(reference, late))
    assert alone.detail["change"]["at"] is None
    assert alone.message.endswith(", since before 00:00")
    traffic.read = 0
    stored = CheckResult.from_document(first.to_document())
    kept = joint_of(traffic.check(reference, late, [stored]))
    assert kept.detail["change"] == joint_of(first).detail["change"]
    assert kept.since == joint_of(first).since
    assert traffic.read == 0


def test_of_pairs_that_have_not_changed_nothing_is_read(draw: np.random.Generator) -> None:
    traffic = Traffic(lambda _: {(): pair_rows(pair_values(draw, 0.7, 5))}, START)
    found = joint_of(traffic.check(together(draw, 0.7)))
    assert (found.status, found.since, found.detail["contributors"]) == (Status.OK, None, [])
    assert traffic.read == 0
