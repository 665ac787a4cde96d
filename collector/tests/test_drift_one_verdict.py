"""Two values are two values: false and true, 0 and 1, "ok" and "fraud", 1.5 and 7 give the same verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from modelward_agent.profile import FeatureProfile, Profile, merged
from modelward_collector.checks.drift import check_drift
from modelward_collector.checks.result import Finding, Status
from modelward_collector.checks.window import ReferenceProfile, Window
from modelward_collector.models import ModelSpec
from modelward_collector.span import Span
from modelward_collector.stats.feature import two_numbers

START, DAY = datetime(2026, 3, 2, tzinfo=UTC), timedelta(days=1)
SPEC = ModelSpec.model_validate({"model": "m", "checks": {"drift": {"min_rows": 50}}})

Days = list[tuple[int, int]]
"""Of each day the rows, and in how many the value is the second one."""


def numbers(low: float, high: float) -> Callable[[int, int], FeatureProfile]:
    def make(rows: int, hits: int) -> FeatureProfile:
        made = FeatureProfile()
        made.update_numbers(np.repeat([low, high], [rows - hits, hits]))
        return made

    return make


def booleans(rows: int, hits: int) -> FeatureProfile:
    made = FeatureProfile()
    made.true, made.false = hits, rows - hits
    return made


def strings(rows: int, hits: int) -> FeatureProfile:
    made = FeatureProfile()
    made.update_counts({name: count for name, count in (("ok", rows - hits), ("fraud", hits)) if count})
    return made


FORMS: Mapping[str, Callable[[int, int], FeatureProfile]] = {
    "boolean": booleans,
    "0 and 1": numbers(0.0, 1.0),
    "1 and 2": numbers(1.0, 2.0),
    "1.5 and 7": numbers(1.5, 7.0),
    "-1 and 0": numbers(-1.0, 0.0),
    "strings": strings,
}


def profile(feature: FeatureProfile) -> Profile:
    made = Profile()
    made.rows, made.features = feature.rows, {"x": feature}
    return made


def finding(reference: Sequence[Profile], current: Profile) -> Finding:
    spans = [Span(START + index * DAY, START + (index + 1) * DAY) for index in range(len(reference))]
    known = ReferenceProfile("r", merged(reference), tuple(zip(spans, reference, strict=True)))
    window = Window("m", Span(START + 100 * DAY, START + 101 * DAY), {("v1", ()): current})
    return check_drift(SPEC, "v1", known, window).findings[0]


def verdicts(days: Days, now: tuple[int, int]) -> dict[str, tuple[Status, float | None, float | None]]:
    found = {}
    for name, form in FORMS.items():
        one = finding([profile(form(*day)) for day in days], profile(form(*now)))
        found[name] = (one.status, one.value, one.p_value)
    return found


def rows_and_hits(most: int) -> st.SearchStrategy[tuple[int, int]]:
    share = st.one_of(st.floats(0.0, 0.02), st.floats(0.0, 1.0))
    return st.tuples(st.integers(60, most), share).map(lambda drawn: (drawn[0], round(drawn[0] * drawn[1])))


def assert_one_verdict(found: Mapping[str, tuple[Status, float | None, float | None]]) -> None:
    status, effect, p = found["boolean"]
    for name, (other, its_effect, its_p) in found.items():
        assert other is status, name
        assert its_effect == pytest.approx(effect, abs=1e-6), name
        assert its_p == pytest.approx(p, rel=1e-6, abs=1e-300), name


def both_come(*days: tuple[int, int]) -> bool:
    """Two constants are left to the tests of their kind; there is nothing to compare but whether they are the same."""
    return 0 < sum(hits for _, hits in days) < sum(rows for rows, _ in days)


@given(rows_and_hits(50_000), rows_and_hits(50_000))
@settings(max_examples=60, deadline=None)
def test_two_values_give_the_same_verdict_as_whatever_they_come(before: tuple[int, int], now: tuple[int, int]) -> None:
    if both_come(before) or both_come(now):
        assert_one_verdict(verdicts([before], now))


@given(st.lists(rows_and_hits(5_000), min_size=3, max_size=8), rows_and_hits(5_000))
@example([(60, 0)] * 7 + [(3354, 66)], (335, 0))
@settings(max_examples=40, deadline=None)
def test_also_where_the_references_own_days_vary(days: Days, now: tuple[int, int]) -> None:
    if both_come(*days):
        assert_one_verdict(verdicts(days, now))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("before", "now"), [(500, 5_000), (5_000, 500), (2_000, 6_500)])
def test_a_rare_value_that_became_ten_times_as_frequent_is_found_in_every_form(
    form: str, before: int, now: int
) -> None:
    million, make = 1_000_000, FORMS[form]
    one = finding([profile(make(million, before))] * 4, profile(make(million, now)))
    assert one.status is not Status.OK
    assert "→" in one.message


@pytest.mark.parametrize("form", FORMS)
def test_two_constants_are_different_in_every_form(form: str) -> None:
    make = FORMS[form]
    assert finding([profile(make(5_000, 0))], profile(make(1_000, 1_000))).status is Status.CRITICAL


def test_a_deploy_that_sends_1_for_true_changes_nothing() -> None:
    before, same, moved = (
        [profile(booleans(5_000, 1_000))] * 4,
        numbers(0.0, 1.0)(4_000, 800),
        numbers(0.0, 1.0)(4_000, 2_000),
    )
    assert finding(before, profile(same)).status is Status.OK
    assert finding(before, profile(moved)).message.startswith('x: "true" rose 20% → 50%')
    back = [profile(numbers(0.0, 1.0)(5_000, 1_000))] * 4
    assert finding(back, profile(booleans(4_000, 800))).status is Status.OK
    assert finding(back, profile(booleans(4_000, 2_000))).message.startswith("x: 1 rose 20% → 50%")
    mixed = booleans(2_000, 400)
    mixed.merge(numbers(0.0, 1.0)(2_000, 400))
    assert finding(before, profile(mixed)).status is Status.OK
    assert finding([*before, profile(mixed)], profile(same)).status is Status.OK


def test_numbers_that_are_not_0_and_1_are_no_booleans() -> None:
    one = finding([profile(booleans(5_000, 1_000))], profile(numbers(1.0, 2.0)(4_000, 800)))
    assert "changed its type" in one.message


def test_a_third_value_makes_it_a_number_again() -> None:
    reference = profile(numbers(0.0, 1.0)(5_000, 1_000))
    current = numbers(0.0, 1.0)(4_000, 800)
    current.update_numbers(np.full(400, 9.0))
    one = finding([reference], profile(current))
    assert one.status is not Status.OK
    assert one.detail["decided_by"] in ("mean", "variance")


@given(
    st.lists(st.integers(-100_000, 100_000).map(lambda tenths: tenths / 10), min_size=3, max_size=40),
    st.integers(1, 5),
)
@settings(max_examples=80, deadline=None)
def test_more_than_two_values_are_never_taken_for_two(values: list[float], repeats: int) -> None:
    data: NDArray[np.float64] = np.repeat(np.array(values), repeats)
    feature = FeatureProfile()
    feature.update_numbers(data)
    assert feature.numeric is not None
    counts = dict(zip(*(part.tolist() for part in np.unique(data, return_counts=True)), strict=True))
    known = two_numbers(feature.numeric)
    assert known == {} or (known == counts and len(counts) <= 2)


def test_numbers_just_beside_zero_are_no_zeros() -> None:
    feature = FeatureProfile()
    feature.update_numbers(np.array([0.0, 1.0, 1e-39]))
    assert feature.numeric is not None
    assert two_numbers(feature.numeric) == {}
