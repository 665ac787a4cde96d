"""Expectations judged from profiles: right about what is there, and silent about what chance explains."""

from __future__ import annotations

import operator as op
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from modelward_agent.journal.parse import Kind, Record
from modelward_agent.profile import FeatureProfile, Profile, merged
from modelward_agent.profile.fold import Folder
from modelward_collector.checks.quality import check_quality
from modelward_collector.checks.quality.expectations import judge_all
from modelward_collector.checks.result import Finding, Status
from modelward_collector.checks.window import Window
from modelward_collector.models import ModelSpec
from modelward_collector.span import Span

START = datetime(2026, 3, 10, 12, tzinfo=UTC)


def profile_of(**columns: Sequence[Any]) -> Profile:
    """What the agent folds of these columns, None for missing."""
    folder = Folder("web-1", window_seconds=86_400)
    folder.fold(
        Record(
            Kind.PREDICTION,
            START.timestamp(),
            {"model": "m", "version": "1", "features": dict(zip(columns, values, strict=True)), "prediction": 1.0},
        )
        for values in zip(*columns.values(), strict=True)
    )
    return merged(profile for _, profile in folder.take())


def numeric(**columns: NDArray[np.float64]) -> Profile:
    """The same for many numbers, quickly."""
    profile = Profile()
    for name, values in columns.items():
        feature = FeatureProfile()
        feature.update_numbers(values)
        profile.features[name] = feature
        profile.rows = len(values)
    return profile


def judged(profile: Profile, duplicate_ids: int = 0, **rule: Any) -> Finding:
    spec = ModelSpec.model_validate({"model": "m", "expectations": [rule]})
    (finding,) = judge_all(spec.expectations, profile, None, all_rows=profile.rows, duplicate_ids=duplicate_ids)
    assert finding.test == rule["expect"]
    return finding


def is_violated(profile: Profile, **rule: Any) -> bool:
    finding = judged(profile, **rule)
    assert finding.status in (Status.OK, Status.WARNING)
    return finding.status is Status.WARNING


# -- one value at a time -------------------------------------------------------------------------------------------


def test_the_finding_says_how_many_break_the_rule_and_of_how_many() -> None:
    finding = judged(profile_of(a=[1.0] * 95 + [99.0] * 5), expect="range", feature="a", max=10, severity="critical")
    assert (finding.subject, finding.status) == ("a", Status.CRITICAL)
    assert finding.value == pytest.approx(0.05)
    assert finding.message == "a is at most 10: from 1 to 99, 5.0% of 100 values break it"
    fine = judged(profile_of(a=[1.0] * 100), expect="range", feature="a", max=10)
    assert fine.message == "a is at most 10: holds in all 100 values"


def test_where_a_share_is_allowed_a_few_rows_show_nothing() -> None:
    for n in (1, 2, 5, 20):
        few = profile_of(a=[99.0] + [1.0] * (n - 1))
        assert not is_violated(few, expect="range", feature="a", max=10, mostly=0.99) or n == 1
        assert is_violated(few, expect="range", feature="a", max=10)  # none is allowed, and one is there
    assert is_violated(profile_of(a=[99.0] * 10 + [1.0] * 90), expect="range", feature="a", max=10, mostly=0.99)


def test_infinities_are_out_of_a_range_that_has_a_bound_on_their_side() -> None:
    profile = profile_of(a=[1.0, 2.0, "Infinity", "NaN", None])
    assert judged(profile, expect="range", feature="a", max=10).value == pytest.approx(1 / 3)
    assert not is_violated(profile, expect="range", feature="a", min=0)


@pytest.mark.parametrize("n", [300, 50_000])
def test_a_range_in_a_large_sketch_is_judged_within_its_error(n: int) -> None:
    values = np.random.default_rng(n).uniform(0, 1, n)
    profile = numeric(a=values)
    assert not is_violated(profile, expect="range", feature="a", max=0.95, mostly=0.93)
    finding = judged(profile, expect="range", feature="a", max=0.80, mostly=0.93)
    assert finding.status is Status.WARNING
    assert finding.value == pytest.approx((values > 0.8).mean(), abs=0.01)


def test_missing_counts_nulls_absent_features_and_nan() -> None:
    profile = profile_of(a=[1.0, None, "NaN", 4.0])
    assert judged(profile, expect="not_null", feature="a").value == 0.5
    assert judged(profile, expect="not_null", feature="never").value == 1.0
    assert not is_violated(profile, expect="missing_at_most", feature="a", share=0.5)
    assert not is_violated(profile, expect="missing_at_most", feature="a", share=0.1)  # two of four is no proof
    assert is_violated(profile_of(a=[None] * 50 + [1.0] * 50), expect="missing_at_most", feature="a", share=0.1)


def test_values_of_every_type_are_looked_up_in_the_set() -> None:
    profile = profile_of(a=["x", "y", "z", 1.0, 2.0, True, False, "NaN", None])
    finding = judged(profile, expect="in_set", feature="a", values=["x", "y", 1])
    assert finding.value == pytest.approx(4 / 8)  # z, 2, false and NaN of eight values; true is 1
    assert finding.detail["examples"][0] == "z"
    assert not is_violated(profile_of(a=["x", "y"] * 9), expect="in_set", feature="a", values=["x", "y", "z"])
    assert not is_violated(profile_of(a=[True] * 9), expect="in_set", feature="a", values=[True])
    assert is_violated(profile_of(a=[False] * 9), expect="in_set", feature="a", values=[True])


@pytest.mark.parametrize("value", [1, 1.0, "1", "1.0", True, "true"])
@pytest.mark.parametrize("written", [1, 1.0, "1", "1.0", True, "true"])
def test_a_value_is_in_the_set_however_either_is_written(value: Any, written: Any) -> None:
    assert not is_violated(profile_of(a=[written] * 9), expect="in_set", feature="a", values=["x", value])
    assert is_violated(profile_of(a=[written] * 9), expect="in_set", feature="a", values=["x", 0])


@pytest.mark.parametrize("n", [200, 20_000])
def test_numbers_are_found_in_a_set_as_a_sketch_keeps_them(n: int) -> None:
    chance = np.random.default_rng(n)
    values = chance.choice([0.1, 0.2, 0.7], n) + 0.0
    values[:20] = 0.1 + 0.2 - 0.1  # 0.2, but for its last bit
    assert not is_violated(numeric(a=values), expect="in_set", feature="a", values=[0.1, 0.2, 0.7])
    assert is_violated(numeric(a=values), expect="in_set", feature="a", values=[0.1, 0.7])
    share = judged(numeric(a=values), expect="in_set", feature="a", values=[0.1, 0.7]).value
    assert share == pytest.approx(1 / 3, abs=0.1)
    assert not is_violated(numeric(a=values), expect="in_set", feature="a", values=[0.1, 0.7], mostly=0.6)


def test_categories_beyond_what_a_sketch_keeps_are_unknown_and_not_guilty() -> None:
    texts = [f"id-{number}" for number in range(5_000)] + ["x"] * 5_000
    half = judged(profile_of(a=texts), expect="in_set", feature="a", values=["x"])
    assert half.status is Status.WARNING  # x cannot have been more than half
    assert half.value == pytest.approx(0.5, abs=0.01)
    assert not is_violated(profile_of(a=texts), expect="in_set", feature="a", values=["x"], mostly=0.4)
    mostly_x = judged(profile_of(a=texts), expect="in_set", feature="a", values=["x", *texts[:4_990]])
    assert mostly_x.value is not None
    assert mostly_x.value <= 10 / 10_000  # what is outside in truth
    assert set(mostly_x.detail.get("examples", ())) <= set(texts[4_990:5_000])
    assert "could not be judged" in mostly_x.message
    regex = judged(profile_of(a=texts), expect="regex", feature="a", pattern="x")
    assert regex.detail["unknown"] > 3_000
    assert "could not be judged" in regex.message


def test_a_pattern_is_held_against_every_category_by_its_rows() -> None:
    profile = profile_of(a=["DE1", "FR22"] * 40 + ["de1"] * 20)
    finding = judged(profile, expect="regex", feature="a", pattern="[A-Z]{2}[0-9]+")
    assert (finding.value, finding.detail["examples"]) == (0.2, ["de1"])
    assert not is_violated(profile, expect="regex", feature="a", pattern="[A-Z]{2}[0-9]+", mostly=0.75)
    long = judged(profile_of(a=["a" * 500] * 5), expect="regex", feature="a", pattern="b+")
    assert long.status is Status.NO_DATA  # only the beginning of so long a text is kept


# -- uniqueness and counts of different values ---------------------------------------------------------------------


@pytest.mark.parametrize("n", [10, 700, 2_000, 20_000])
def test_texts_that_differ_are_unique_and_a_tenth_that_repeats_is_found(n: int) -> None:
    unique = profile_of(a=[f"{number:x}" for number in range(n)])
    assert not is_violated(unique, expect="unique", feature="a")
    repeated = profile_of(a=[f"{number % (n * 9 // 10):x}" for number in range(n)])
    assert is_violated(repeated, expect="unique", feature="a")


def test_unique_ids_are_counted_by_the_store() -> None:
    profile = profile_of(a=[1.0] * 100)
    assert judged(profile, 3, expect="unique", feature="id").value == 0.03
    assert judged(profile, 0, expect="unique", feature="id").status is Status.NO_DATA  # no row is kept


def test_numbers_are_not_said_to_be_unique_by_a_profile() -> None:
    finding = judged(profile_of(a=[1.0, 1.0]), expect="unique", feature="a")
    assert finding.status is Status.NO_DATA
    assert "events" in finding.message


def test_different_values_are_counted_and_too_few_rows_are_no_sign_of_too_few_values() -> None:
    three = profile_of(a=["x", "y", "z"] * 100)
    assert not is_violated(three, expect="distinct_between", feature="a", min=3, max=3)
    assert is_violated(three, expect="distinct_between", feature="a", max=2)
    assert is_violated(three, expect="distinct_between", feature="a", min=10)
    assert judged(profile_of(a=["x", "y"]), expect="distinct_between", feature="a", min=10).status is Status.NO_DATA
    many = profile_of(a=[str(number) for number in range(5_000)])
    assert not is_violated(many, expect="distinct_between", feature="a", min=4_900, max=5_100)
    assert is_violated(many, expect="distinct_between", feature="a", max=4_000)
    numbers = numeric(a=np.arange(50_000.0))
    assert is_violated(numbers, expect="distinct_between", feature="a", max=100)
    assert judged(numbers, expect="distinct_between", feature="a", min=40_000).status is Status.NO_DATA


def test_the_number_of_rows_is_judged_also_when_there_are_none() -> None:
    assert is_violated(Profile(), expect="row_count_between", min=1)
    assert not is_violated(profile_of(a=[1.0] * 5), expect="row_count_between", min=1, max=5)
    assert is_violated(profile_of(a=[1.0] * 6), expect="row_count_between", max=5)
    rule = {"expect": "not_null", "feature": "a"}
    spec = ModelSpec.model_validate({"model": "m", "expectations": [rule]})
    assert judge_all(spec.expectations, Profile(), None, all_rows=0, duplicate_ids=0) == []


# -- the column as a whole -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [30, 300])
@pytest.mark.parametrize("skew", ["normal", "exponential", "falling"])
def test_a_mean_at_its_bound_is_hardly_ever_called_out_of_it(n: int, skew: str) -> None:
    chance = np.random.default_rng(n)
    violated = 0
    for _ in range(600):
        values = chance.normal(1, 1, n) if skew == "normal" else chance.exponential(1.0, n)
        values = -values if skew == "falling" else values
        mean = -1.0 if skew == "falling" else 1.0
        profile = numeric(a=values)
        violated += is_violated(profile, expect="mean_between", feature="a", min=mean)
        violated += is_violated(profile, expect="mean_between", feature="a", max=mean)
    # each side may be wrong once in a thousand; a skewed sample of thirty knows its skewness badly
    assert violated <= (1200 * 0.001 + 6 if n >= 300 or skew == "normal" else 1200 * 0.01)


def test_a_mean_that_is_far_out_is_found_and_a_few_rows_are_not_judged() -> None:
    values = np.random.default_rng(1).normal(1, 1, 100)
    assert is_violated(numeric(a=values), expect="mean_between", feature="a", min=1.6)
    assert is_violated(numeric(a=values), expect="mean_between", feature="a", max=0.4)
    assert judged(numeric(a=values[:20]), expect="mean_between", feature="a", max=-9).status is Status.NO_DATA
    assert is_violated(numeric(a=np.full(100, 2.0)), expect="mean_between", feature="a", max=1)


@pytest.mark.parametrize("n", [20, 1_000])
def test_a_quantile_at_its_bound_is_hardly_ever_called_out_of_it(n: int) -> None:
    chance = np.random.default_rng(n)
    violated = 0
    for _ in range(500):
        profile = numeric(a=chance.uniform(0, 1, n))
        violated += is_violated(profile, expect="quantile_between", feature="a", quantile=0.9, min=0.9)
        violated += is_violated(profile, expect="quantile_between", feature="a", quantile=0.9, max=0.9)
    assert violated <= 5
    assert is_violated(
        numeric(a=chance.uniform(0, 1, n)), expect="quantile_between", feature="a", quantile=0.5, max=0.1
    )


def test_a_ratio_of_means_is_judged_with_the_widest_error_it_can_have() -> None:
    chance = np.random.default_rng(3)
    a, b = chance.normal(20, 1, 500), chance.normal(10, 1, 500)
    rule: dict[str, Any] = {"expect": "ratio", "numerator": "a", "denominator": "b", "of": "means"}
    assert not is_violated(numeric(a=a, b=b), **rule, min=1.99, max=2.01)
    assert is_violated(numeric(a=a, b=b), **rule, max=1.9)
    zero = judged(numeric(a=a, b=chance.normal(0, 1, 500)), **rule, max=1)
    assert zero.status is Status.NO_DATA


# -- several columns -----------------------------------------------------------------------------------------------

columns = st.integers(1, 900).flatmap(
    lambda n: st.tuples(st.just(n), st.integers(0, 2**32 - 1), st.floats(-1, 1), st.floats(0, 0.5), st.booleans())
)


@given(columns)
@settings(max_examples=120, deadline=None)
def test_from_two_columns_alone_never_more_rows_are_said_to_break_a_relation_than_do(
    drawn: tuple[int, int, float, float, bool],
) -> None:
    n, seed, shift, gaps, coarse = drawn
    chance = np.random.default_rng(seed)
    a, b = chance.normal(0, 1, n), chance.normal(shift, 1, n)
    if coarse:
        a, b = a.round(), b.round()
    rows_a: list[float | None] = [
        None if missing else value for value, missing in zip(a, chance.random(n) < gaps, strict=True)
    ]
    profile = profile_of(a=rows_a, b=b.tolist())
    for operator, breaks in (
        ("<=", op.gt),
        ("<", op.ge),
        ("==", op.ne),
    ):
        true = sum(x is not None and breaks(x, y) for x, y in zip(rows_a, b.tolist(), strict=True))
        finding = judged(profile, expect="relation", left="a", operator=operator, right="b")
        assert (finding.value or 0.0) * n <= true + 1e-9
        if finding.status is Status.WARNING:
            assert true > 0


@pytest.mark.parametrize("n", [200, 50_000])
def test_a_relation_that_the_columns_themselves_rule_out_is_found_without_any_row(n: int) -> None:
    chance = np.random.default_rng(n)
    start, length = chance.uniform(0, 100, n), chance.exponential(5, n)
    fine = judged(numeric(a=start, b=start + length), expect="relation", left="a", operator="<=", right="b")
    assert fine.status is Status.NO_DATA  # nothing shows, and nothing is sure
    finding = judged(numeric(a=start + 20, b=start), expect="relation", left="a", operator="<=", right="b")
    assert finding.status is Status.WARNING
    assert "at least" in finding.message
    assert finding.value is not None
    assert 0.1 < finding.value < 0.3
    equal = judged(
        numeric(a=start, b=start + 1e-9), expect="relation", left="a", operator="==", right="b", tolerance=1e-6
    )
    assert equal.status is Status.NO_DATA


def test_a_ratio_and_a_sum_that_the_columns_rule_out_are_found_without_any_row() -> None:
    chance = np.random.default_rng(4)
    b = chance.uniform(1, 2, 5_000)
    ratio: dict[str, Any] = {"expect": "ratio", "numerator": "a", "denominator": "b"}
    assert judged(numeric(a=3 * b, b=b), **ratio, min=3 - 1e-6, max=3 + 1e-6).status is Status.NO_DATA
    assert judged(numeric(a=3 * b, b=b), **ratio, max=2).status is Status.WARNING
    assert judged(numeric(a=3 * b, b=b), **ratio, min=4).status is Status.WARNING
    parts = numeric(x=b / 4, y=1 - b / 4)
    assert judged(parts, expect="sum_to", features=["x", "y"]).status is Status.NO_DATA
    assert judged(parts, expect="sum_to", features=["x", "y"], total=2).status is Status.WARNING


# -- in the check --------------------------------------------------------------------------------------------------


def test_a_violated_expectation_is_the_check_s_result() -> None:
    rules: list[Mapping[str, Any]] = [
        {"expect": "range", "feature": "a", "max": 10, "severity": "critical"},
        {"expect": "not_null", "feature": "a"},
        {"expect": "mean_between", "feature": "latency_ms", "max": 10},
    ]
    spec = ModelSpec.model_validate({"model": "m", "expectations": rules})
    window = Window("m", Span(START, START + timedelta(hours=1)), {("1", ()): profile_of(a=[1.0] * 99 + [99.0])})
    result = check_quality(spec, "1", None, window, now=START + timedelta(hours=1))
    by_test = {finding.test: finding for finding in result.findings if "rule" in finding.detail}
    assert {test: finding.status for test, finding in by_test.items()} == {
        "range": Status.CRITICAL,
        "not_null": Status.OK,
        "mean_between": Status.NO_DATA,
    }
    assert result.status is Status.CRITICAL
    assert by_test["range"].message in result.summary
    assert result.numbers["violations"] >= 1
    assert result.from_document(result.to_document()) == result
