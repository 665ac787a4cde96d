"""A profile survives its wire form; what is not one is refused by name."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from modelward_agent.journal.parse import Kind, Record
from modelward_agent.profile import (
    FeatureProfile,
    Profile,
    ProfileFormatError,
    ProfileKey,
    from_bytes,
    merged,
    to_bytes,
)
from modelward_agent.profile.fold import Folder
from modelward_agent.profile.wire import FORMAT, key_of_document, profile_of_document, to_document

AT = 1_782_909_296.5


def make_profile(rows: int, seed: int, *, extra: bool = False) -> Profile:
    """A profile with every kind of value in it."""
    rng = np.random.default_rng(seed)
    records = []
    for index in range(rows):
        features: dict[str, Any] = {
            "number": float(rng.normal()),
            "odd": rng.choice(["NaN", "Infinity", "-Infinity", "text"]) if index % 7 == 0 else index,
            "category": f"c{rng.integers(9)}",
            "flag": bool(rng.integers(2)),
            "embedding": rng.normal(size=4).tolist(),
            "object": {"nested": 1},
            "rare": None if index % 3 else 1.5,
        }
        if extra:
            features["extra"] = 1.0
        probability = float(rng.uniform())
        document = {
            "model": "m",
            "version": "1",
            "features": features,
            "prediction": {"yes": probability, "no": 1 - probability},
            "latency_ms": float(rng.exponential()),
        }
        records.append(Record(Kind.PREDICTION, AT, document))
        records.append(Record(Kind.ACTUAL, AT, {"model": "m", "version": "1", "id": "x", "actual": "yes"}))
    records.append(Record(Kind.ERROR, AT, {"model": "m", "version": "1"}))
    folder = Folder("host")
    folder.fold(records)
    [(_, profile)] = folder.take()
    return profile


def exact_parts(profile: Profile) -> dict[str, Any]:
    """Everything of a profile that merging keeps exactly."""
    answer: dict[str, Any] = {"rows": profile.rows, "errors": profile.errors, "actuals": profile.actuals}
    for kind, features in (("features", profile.features), ("outputs", profile.outputs)):
        for name, feature in features.items():
            here: dict[str, Any] = {count: getattr(feature, count) for count in feature.COUNTS}
            if feature.numeric is not None:
                here["numeric"] = (feature.numeric.n, feature.numeric.zeros)
                here["extremes"] = (feature.numeric.minimum, feature.numeric.maximum)
            if feature.categorical is not None:
                here["categories"] = feature.categorical.counts()
            if feature.vector is not None:
                here["vectors"] = (feature.vector.n, feature.vector.wrong_dimension, feature.vector.dimension)
            answer[f"{kind}.{name}"] = here
    return answer


def inexact_parts(profile: Profile) -> dict[str, float]:
    """What merging keeps within rounding, or within a sketch's error when it no longer holds every value."""
    answer = {"distinct rows": float(profile.distinct_rows.get_estimate())}
    for name, feature in profile.features.items():
        if feature.numeric is not None:
            moments = feature.numeric.moments
            answer |= {f"{name}.mean": moments.mean, f"{name}.variance": moments.variance}
            answer |= {f"{name}.m3": moments.m3, f"{name}.m4": moments.m4}
            answer[f"{name}.median"] = float(feature.numeric.quantiles([0.5])[0])
        if feature.categorical is not None:
            answer[f"{name}.distinct"] = feature.categorical.distinct
        if feature.vector is not None:
            answer[f"{name}.projection"] = feature.vector.projections[3].moments.mean
    return answer


def assert_same(left: Profile, right: Profile) -> None:
    assert exact_parts(left) == exact_parts(right)
    assert inexact_parts(left) == pytest.approx(inexact_parts(right), rel=1e-9, abs=1e-9, nan_ok=True)


@given(st.lists(st.tuples(st.integers(0, 25), st.booleans()), min_size=3, max_size=5), st.randoms())
@settings(max_examples=25, deadline=None)
def test_merging_is_associative_and_commutative(sizes: list[tuple[int, bool]], shuffle: random.Random) -> None:
    parts = [make_profile(rows, seed, extra=extra) for seed, (rows, extra) in enumerate(sizes)]
    left = merged(parts)
    right = merged([parts[0], merged(parts[1:])])
    shuffled = list(parts)
    shuffle.shuffle(shuffled)
    for other in (right, merged(shuffled)):
        assert_same(left, other)
    assert all(feature.rows == left.rows for feature in left.features.values())


def test_merging_leaves_the_other_profile_as_it_was() -> None:
    other = make_profile(50, 1)
    before = to_bytes(other)
    total = make_profile(20, 2)
    total.merge(other)
    total.merge(other)
    assert to_bytes(other) == before
    assert total.rows == 120


@pytest.mark.parametrize("rows", [0, 1, 30, 2_000])
def test_the_wire_form_brings_everything_back(rows: int) -> None:
    profile = make_profile(rows, rows)
    again = from_bytes(to_bytes(profile))
    assert_same(profile, again)
    again.merge(make_profile(40, 9))
    profile.merge(make_profile(40, 9))
    assert exact_parts(profile) == exact_parts(again)


def test_an_empty_profile_has_a_wire_form() -> None:
    assert_same(from_bytes(to_bytes(Profile())), Profile())


def test_moments_that_overflowed_survive_the_wire_as_not_a_number() -> None:
    folder = Folder("host")
    document = {"model": "m", "version": "1", "features": {"a": 1e200}}
    folder.fold([Record(Kind.PREDICTION, AT, {**document, "features": {"a": value}}) for value in (1e200, -1e200)])
    [(_, profile)] = folder.take()
    sketch = from_bytes(to_bytes(profile)).features["a"].numeric
    assert sketch is not None
    assert (sketch.n, sketch.minimum, sketch.maximum) == (2, -1e200, 1e200)
    assert not np.isfinite(sketch.moments.m4)


def test_a_busy_minute_of_a_number_is_a_few_kilobytes() -> None:
    folder = Folder("host")
    rng = np.random.default_rng(1)
    for _ in range(60):
        document = {"model": "m", "version": "1"}
        values = rng.normal(size=1_000).tolist()
        folder.fold([Record(Kind.PREDICTION, AT, {**document, "features": {"a": value}}) for value in values])
    [(_, profile)] = folder.take()
    profile.distinct_rows = Profile().distinct_rows
    assert len(to_bytes(profile)) < 6_000


def test_a_newer_format_is_refused_by_name_whatever_follows() -> None:
    content = bytearray(to_bytes(make_profile(5, 1)))
    content[3] = FORMAT + 1
    for newer in (bytes(content), bytes(content[:5])):
        with pytest.raises(ProfileFormatError, match=rf"format {FORMAT + 1} is newer .*upgrade the collector"):
            from_bytes(newer)


@pytest.mark.parametrize("content", [b"", b"MW", b"MWP", b"PK\x03\x04zip", b"MWP\x01"])
def test_what_is_no_profile_is_refused(content: bytes) -> None:
    with pytest.raises(ProfileFormatError):
        from_bytes(content)


def test_a_profile_cut_at_any_byte_is_refused() -> None:
    content = to_bytes(make_profile(3, 1))
    for length in range(len(content)):
        with pytest.raises(ProfileFormatError):
            from_bytes(content[:length])
    with pytest.raises(ProfileFormatError):
        from_bytes(content + b"\x00")


@given(st.integers(0, 1 << 20), st.integers(1, 255))
@example(3, 1)
@example(3, 3)
@settings(max_examples=200, deadline=None)
def test_a_profile_with_any_byte_changed_is_refused(position: int, change: int) -> None:
    content = bytearray(CONTENT)
    content[position % len(content)] ^= change
    with pytest.raises(ProfileFormatError):
        from_bytes(bytes(content))


CONTENT = to_bytes(make_profile(3, 1))


def test_a_document_names_what_its_profile_is_of() -> None:
    key = ProfileKey("h1", "m", "2", (("region", "eu"), ("tier", "gold")), 1_782_909_240, 60)
    profile = make_profile(10, 3)
    document = orjson.loads(orjson.dumps(to_document(key, profile, part="p1", covers=["a", "b"])))
    assert document["@timestamp"] == "2026-07-01T12:34:00Z"
    assert (document["kind"], document["rows"], document["format"]) == ("profile", 10, 1)
    assert (document["part"], document["covers"]) == ("p1", ["a", "b"])
    assert key_of_document(document) == key
    assert_same(profile_of_document(document), profile)


@pytest.mark.parametrize("change", [{"profile": "!"}, {"profile": 7}, {"profile": "TVdQ"}, {"profile": None}])
def test_a_document_with_a_damaged_profile_is_refused(change: dict[str, Any]) -> None:
    document = to_document(ProfileKey("h", "m", "1", (), 0, 60), Profile(), part="p")
    with pytest.raises(ProfileFormatError):
        profile_of_document({**document, **change})


def with_numbers(values: list[float]) -> Profile:
    folder = Folder("host")
    document = {"model": "m", "version": "1"}
    folder.fold([Record(Kind.PREDICTION, AT, {**document, "features": {"a": value}}) for value in values])
    [(_, profile)] = folder.take()
    return profile


def test_sketches_of_float64_come_back_and_only_they_ask_for_a_newer_reader() -> None:
    rng = np.random.default_rng(1)
    seconds = with_numbers((1.7e9 + 50 * rng.normal(size=5_000)).tolist())
    content = to_bytes(seconds)
    assert content[3] == FORMAT == 2
    assert to_bytes(with_numbers(rng.normal(size=5_000).tolist()))[3] == 1
    mine, theirs = seconds.features["a"].numeric, from_bytes(content).features["a"].numeric
    assert mine is not None
    assert theirs is not None
    assert theirs.double
    assert theirs.rounded == mine.rounded == 0
    assert theirs.kll.serialize() == mine.kll.serialize()
    assert to_document(ProfileKey("h", "m", "1", (), 0, 60), seconds, part="p")["format"] == 2


def test_strings_counted_by_hash_come_back_for_less_than_a_kilobyte() -> None:
    few, many = Profile(), Profile()
    for profile, kinds in ((few, 100), (many, 5_000)):
        profile.features["id"] = FeatureProfile()
        profile.features["id"].update_counts({f"u{index}": 4 for index in range(kinds)})
    assert to_bytes(few)[3] == 1
    content = to_bytes(many)
    assert content[3] == 2
    mine, theirs = many.features["id"].categorical, from_bytes(content).features["id"].categorical
    assert mine is not None
    assert theirs is not None
    assert theirs.hashed_apart is not None
    assert mine.hashed_apart is not None
    assert theirs.hashed_apart.tolist() == mine.hashed_apart.tolist()
    assert (theirs.registers() == mine.registers()).all()
    mine.hashed_apart = None
    assert len(content) - len(to_bytes(many)) < 1_000
