"""Folding column by column counts what a reader of the rows would count, whatever the rows hold."""

from __future__ import annotations

import math
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelward_agent.journal.parse import Kind, Record
from modelward_agent.profile import OTHER_SEGMENT, FeatureProfile, Profile, merged
from modelward_agent.profile.fold import Folder
from modelward_agent.values import FLOAT_WORDS

AT = 1_782_909_296.5
START = 1_782_909_240


def prediction(features: dict[str, Any], at: float = AT, **fields: Any) -> Record:
    return Record(Kind.PREDICTION, at, {"model": "fraud", "version": "3", "features": features, **fields})


def actual(value: Any, at: float = AT, **fields: Any) -> Record:
    return Record(Kind.ACTUAL, at, {"model": "fraud", "version": "3", "id": "x", "actual": value, **fields})


def error(at: float = AT, **fields: Any) -> Record:
    return Record(Kind.ERROR, at, {"model": "fraud", "version": "3", **fields})


def profile_of(records: Sequence[Record], **limits: Any) -> Profile:
    folder = Folder("host", **limits)
    folder.fold(records)
    [(_, profile)] = folder.take()
    return profile


def counted(values: Sequence[Any]) -> dict[str, Any]:
    """What a feature's profile should say of these values, counted one by one."""
    counts: Counter[str] = Counter()
    numbers: list[float] = []
    strings: Counter[str] = Counter()
    for given_value in values:
        value = FLOAT_WORDS.get(given_value, given_value) if isinstance(given_value, str) else given_value
        if value is None:
            counts["missing"] += 1
        elif isinstance(value, bool):
            counts["true" if value else "false"] += 1
        elif isinstance(value, str):
            strings[value] += 1
        elif isinstance(value, int | float):
            if math.isfinite(value):
                numbers.append(float(value))
            else:
                name = "nan" if math.isnan(value) else "positive_infinity" if value > 0 else "negative_infinity"
                counts[name] += 1
        elif isinstance(value, list) and value and all(type(item) in (int, float) for item in value):
            counts["vectors"] += 1
        else:
            counts["other"] += 1
    return {"counts": counts, "numbers": sorted(numbers), "strings": strings}


def assert_feature_is(feature: FeatureProfile, values: Sequence[Any]) -> None:
    expected = counted(values)
    assert feature.rows == len(values)
    for name in (*FeatureProfile.COUNTS, "vectors"):
        assert getattr(feature, name) == expected["counts"][name], name
    numbers = expected["numbers"]
    assert (feature.numeric.n if feature.numeric else 0) == len(numbers)
    if feature.numeric is not None:
        assert feature.numeric.moments.mean == pytest.approx(np.mean(numbers), rel=1e-9, abs=1e-9)
        assert (feature.numeric.minimum, feature.numeric.maximum) == (numbers[0], numbers[-1])
        assert feature.numeric.zeros == numbers.count(0.0)
    assert (feature.categorical.counts() if feature.categorical else {}) == dict(expected["strings"])


numbers = st.integers(-1000, 1000) | st.floats(-1e6, 1e6, allow_nan=False)
values = st.one_of(
    numbers,
    st.none(),
    st.booleans(),
    st.sampled_from(["a", "b", "", "NaN", "Infinity", "-Infinity", "nan", "1.5"]),
    st.lists(numbers, min_size=2, max_size=2),
    st.lists(st.none() | st.text(max_size=2), max_size=2),
    st.dictionaries(st.text(max_size=2), numbers, max_size=2),
)
rows_of_features = st.lists(
    st.fixed_dictionaries({}, optional={"a": numbers, "b": numbers | st.none(), "c": values, "d": st.booleans()}),
    min_size=1,
    max_size=30,
)


@given(rows_of_features, st.integers(1, 30))
@settings(max_examples=150, deadline=None)
def test_every_value_is_counted_as_what_it_is_whatever_the_chunks(rows: list[dict[str, Any]], chunk: int) -> None:
    folder = Folder("host")
    for start in range(0, len(rows), chunk):
        folder.fold([prediction(row) for row in rows[start : start + chunk]])
    [(_, profile)] = folder.take()
    assert profile.rows == len(rows)
    assert profile.features.keys() == {name for row in rows for name in row}
    for name, feature in profile.features.items():
        assert_feature_is(feature, [row.get(name) for row in rows])


@given(rows_of_features, st.integers(0, 30))
@settings(max_examples=100, deadline=None)
def test_folding_all_rows_is_merging_the_profiles_of_their_parts(rows: list[dict[str, Any]], cut: int) -> None:
    whole = profile_of([prediction(row) for row in rows])
    parts = [[prediction(row) for row in part] for part in (rows[:cut], rows[cut:]) if part]
    for order in (parts, parts[::-1]):
        total = merged(profile_of(part) for part in order)
        assert total.rows == whole.rows
        assert total.distinct_rows.get_estimate() == pytest.approx(whole.distinct_rows.get_estimate())
        assert total.features.keys() == whole.features.keys()
        for name in whole.features:
            assert_feature_is(total.features[name], [row.get(name) for row in rows])


def test_many_different_sets_of_features_are_folded_as_well() -> None:
    rng = np.random.default_rng(1)
    rows = [{f"f{j}": float(j) for j in range(12) if rng.uniform() < 0.5} for _ in range(300)]
    folder = Folder("host")
    tally = folder.fold([prediction(row) for row in rows])
    [(_, profile)] = folder.take()
    for name, feature in profile.features.items():
        assert_feature_is(feature, [row.get(name) for row in rows])
        assert tally.missing["fraud", name] == feature.missing


def test_a_feature_first_seen_after_a_thousand_rows_is_missing_in_them() -> None:
    folder = Folder("host")
    folder.fold([prediction({"old": 1.0})] * 1000)
    tally = folder.fold([prediction({"old": 1.0, "new": 2.0})] * 10)
    [(_, profile)] = folder.take()
    assert profile.features["new"].missing == 1000
    assert profile.features["new"].rows == profile.features["old"].rows == profile.rows == 1010
    assert tally.missing == {}


def test_a_feature_that_vanishes_is_missing_from_then_on_and_tallied() -> None:
    folder = Folder("host")
    folder.fold([prediction({"kept": 1.0, "gone": 2.0})] * 3)
    tally = folder.fold([prediction({"kept": 1.0}), prediction({"kept": None})])
    [(_, profile)] = folder.take()
    assert (profile.features["gone"].missing, profile.features["kept"].missing) == (2, 1)
    assert tally.missing == {("fraud", "gone"): 2, ("fraud", "kept"): 1}


def test_true_is_no_number() -> None:
    feature = profile_of([prediction({"a": 1.0}), prediction({"a": True}), prediction({"a": 1})]).features["a"]
    assert (feature.numbers, feature.true) == (2, 1)


def test_class_probabilities_become_the_class_its_score_and_their_sum() -> None:
    profile = profile_of(
        [
            prediction({}, prediction={"no": 0.1, "yes": 0.8}),
            prediction({}, prediction={"no": 1, "yes": 0}),
            prediction({}, prediction={"no": "NaN", "yes": 0.5}),
            prediction({}, prediction={"no": "NaN"}),
        ]
    )
    assert profile.outputs["prediction"].categorical is not None
    assert profile.outputs["prediction"].categorical.counts() == {"yes": 2, "no": 1}
    assert profile.outputs["prediction"].missing == 1
    assert_feature_is(profile.outputs["score"], [0.8, 1.0, 0.5, "NaN"])
    assert_feature_is(profile.outputs["probability_sum"], [0.1 + 0.8, 1.0, "NaN", "NaN"])


@pytest.mark.parametrize("outputs", [[1.5, 2, "NaN", None], ["yes", "no", "yes"], [True, False, 1.0, "x"]])
def test_predictions_and_actuals_are_summarised_like_features(outputs: list[Any]) -> None:
    records = [prediction({}, prediction=value) for value in outputs]
    records += [actual(value) for value in outputs if value is not None]
    profile = profile_of(records)
    assert_feature_is(profile.outputs["prediction"], outputs)
    assert_feature_is(profile.outputs["actual"], [value for value in outputs if value is not None])
    assert profile.actuals == profile.outputs["actual"].rows


def test_a_tally_says_what_metrics_need() -> None:
    tally = Folder("host").fold(
        [
            prediction({"a": None}, latency_ms=2.5),
            prediction({"a": 1.0}, latency_ms=None),
            prediction({"a": 1.0}, latency_ms=4, version=None),
            error(),
            actual(1),
            actual(2, model="churn"),
            Record(Kind.LOG, AT, {"message": "passed over"}),
        ]
    )
    assert tally.predictions == {("fraud", "3"): 2, ("fraud", ""): 1}
    assert tally.latencies["fraud", "3"] == [2.5]
    assert tally.latencies["fraud", ""] == [4]
    assert tally.errors == {("fraud", "3"): 1}
    assert tally.actuals == {("fraud", "3"): 1, ("churn", "3"): 1}
    assert tally.missing == {("fraud", "a"): 1}


def test_rows_go_to_the_window_of_their_event_time_in_any_order() -> None:
    folder = Folder("host", window_seconds=60)
    times = [START + 59.999999, START + 60, START - 0.5, START]
    folder.fold([prediction({"a": 1.0}, at=at) for at in times])
    assert (folder.open_windows, folder.rows) == (3, 4)
    taken = folder.take()
    assert [(key.start, key.seconds, profile.rows) for key, profile in taken] == [
        (START - 60, 60, 1),
        (START, 60, 2),
        (START + 60, 60, 1),
    ]
    assert {(key.host, key.model, key.version, key.segment) for key, _ in taken} == {("host", "fraud", "3", ())}


def test_columns_are_counted_over_all_open_profiles() -> None:
    folder = Folder("host")
    folder.fold([prediction({"a": 1.0, "b": 2.0}, at=START), prediction({"a": 1.0}, at=START + 60)])
    outputs = sum(len(profile.outputs) for _, profile in folder.take())
    assert folder.open_columns == 0
    folder.fold([prediction({"a": 1.0, "b": 2.0}, at=START), prediction({"a": 1.0}, at=START + 60)])
    assert folder.open_columns == 3 + outputs


def test_taking_starts_anew() -> None:
    folder = Folder("host")
    folder.fold([prediction({"a": 1.0})])
    assert len(folder.take()) == 1
    assert (folder.open_windows, folder.rows, folder.take()) == (0, 0, [])
    folder.fold([prediction({"b": 1.0})])
    [(_, profile)] = folder.take()
    assert profile.features.keys() == {"b"}


def test_segments_are_told_apart_up_to_the_bound_in_each_window() -> None:
    folder = Folder("host", max_segments=2)
    for at in (AT, AT + 60):
        folder.fold([prediction({}, at=at, segment={"region": region}) for region in ("a", "b", "c", "a", "d")])
        folder.fold([prediction({}, at=at), prediction({}, at=at, segment={})])
    rows = {(key.segment, key.start): profile.rows for key, profile in folder.take()}
    expected = {(("region", "a"),): 2, (("region", "b"),): 1, OTHER_SEGMENT: 2, (): 2}
    assert rows == {(segment, start): n for segment, n in expected.items() for start in (START, START + 60)}


def test_a_segment_is_the_same_in_whatever_order_its_names_came() -> None:
    folder = Folder("host")
    folder.fold([prediction({}, segment={"x": "1", "y": "2"}), prediction({}, segment={"y": "2", "x": "1"})])
    [(key, profile)] = folder.take()
    assert key.segment == (("x", "1"), ("y", "2"))
    assert profile.rows == 2


def test_numbers_wait_only_up_to_a_bound() -> None:
    folder = Folder("host")
    rng = np.random.default_rng(2)
    for _ in range(20):
        folder.fold([prediction({"a": value}) for value in rng.normal(size=1000).tolist()])
    [(_, profile)] = folder.take()
    sketch = profile.features["a"].numeric
    assert sketch is not None
    assert sketch.n == 20_000
    assert sketch.quantiles([0.5])[0] == pytest.approx(0.0, abs=0.06)


def test_equal_rows_are_found_whatever_the_order_of_their_features_and_how_numbers_are_written() -> None:
    rows: list[dict[str, Any]] = [{"a": 1, "b": "x", "c": None}, {"b": "x", "a": 1.0}, {"c": None, "b": "x", "a": 1.0}]
    rows += [{"a": -0.0, "b": True, "v": [1, 2]}, {"a": 0, "b": True, "v": [1.0, 2.0]}]
    assert profile_of([prediction(row) for row in rows]).distinct_rows.get_estimate() == pytest.approx(2, abs=0.01)


def test_nearly_equal_rows_are_different() -> None:
    rows: list[dict[str, Any]] = [{"a": 1.0, "b": 2.0}, {"a": 2.0, "b": 1.0}, {"a": 1.0}, {"b": 1.0}, {"a": "1.0"}]
    rows += [{"a": True}, {"a": False}, {"a": 0.0}, {}, {"v": [1.0, 2.0]}, {"v": [2.0, 1.0]}, {"a": "NaN"}]
    estimate = profile_of([prediction(row) for row in rows]).distinct_rows.get_estimate()
    assert estimate == pytest.approx(len(rows), abs=0.01)


def test_the_share_of_duplicates_is_within_its_error() -> None:
    rng = np.random.default_rng(3)
    folder = Folder("host")
    for _ in range(20):
        counts = rng.integers(0, 9, size=750).tolist()
        fresh = [prediction({"a": float(rng.normal()), "n": count}) for count in counts]
        folder.fold(fresh + fresh[:250])
    [(_, profile)] = folder.take()
    assert profile.duplicate_share == pytest.approx(0.25, abs=4 * 0.016)


def test_another_process_hashes_rows_alike() -> None:
    program = (
        "from modelward_agent.profile.fold import hash_numbers, hash_text, hash_vectors; import numpy as np;"
        "print(hash_numbers(np.array([1.5]))[0], hash_text('x'), hash_vectors(np.array([[1.0, 2.0]]))[0])"
    )
    command = [sys.executable, "-c", program]
    answers = {subprocess.run(command, capture_output=True, check=True).stdout for _ in range(2)}
    # Profiles of old and new agents are merged, so these numbers may never change.
    assert answers == {b"16010149039010118677 5717441744405258058 7333427687641643684\n"}


def test_embeddings_of_a_second_dimension_are_counted_apart() -> None:
    rows: list[dict[str, Any]] = [
        {"e": [1.0, 2.0]},
        {"e": [3, 4]},
        {"e": [1.0, 2.0, 3.0]},
        {"e": [1e308, 1e308]},
        {"e": []},
        {"e": None},
    ]
    feature = profile_of([prediction(row) for row in rows]).features["e"]
    assert feature.vector is not None
    assert (feature.vector.n, feature.vector.dimension, feature.vector.wrong_dimension) == (2, 2, 1)
    assert (feature.other, feature.missing, feature.rows) == (2, 1, 6)
    assert feature.vector.norm.maximum == 5.0


def test_an_error_of_a_model_without_predictions_has_a_profile() -> None:
    profile = profile_of([error(), error()])
    assert (profile.rows, profile.errors, profile.features) == (0, 2, {})
