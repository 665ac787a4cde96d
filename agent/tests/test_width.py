"""Of a model with more features than `max_features` the same ones are kept everywhere, and the rest is said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelward_agent.journal.parse import Kind, Record
from modelward_agent.profile import Profile, from_bytes, merged, to_bytes
from modelward_agent.profile.fold import Folder, Tally

AT = 1_760_000_000.0

NAMES = st.text("abcxyzÄ0", min_size=1, max_size=3)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.floats(-1e6, 1e6),
    st.sampled_from(["x", "y", "NaN"]),
    st.lists(st.floats(-1, 1), min_size=2, max_size=2),
)
ROWS = st.lists(st.dictionaries(NAMES, VALUES, max_size=12), max_size=30)


def folded(rows: Sequence[dict[str, Any]], chunk: int, max_features: int) -> tuple[Profile, Tally]:
    folder = Folder("host", max_features=max_features)
    tally = Tally()
    for start in range(0, len(rows), chunk):
        documents = [{"model": "wide", "features": row} for row in rows[start : start + chunk]]
        tally = folder.fold([Record(Kind.PREDICTION, AT, document) for document in documents])
    taken = folder.take()
    return (taken[0][1] if taken else Profile(max_features)), tally


def counts(profile: Profile) -> dict[str, tuple[int, int, int, int, int]]:
    return {
        name: (feature.missing, feature.numbers, feature.strings, feature.booleans, feature.vectors)
        for name, feature in profile.features.items()
    }


@given(ROWS, st.integers(1, 8), st.integers(1, 31), st.integers(1, 31))
def test_what_is_kept_does_not_depend_on_how_rows_come(
    rows: list[dict[str, Any]], most: int, chunk: int, other: int
) -> None:
    names = {name for row in rows for name in row}
    one, _ = folded(rows, chunk, most)
    again, _ = folded([dict(reversed(row.items())) for row in reversed(rows)], other, most)
    everything, _ = folded(rows, 31, 100_000)
    assert set(one.features) == set(sorted(names)[:most])
    assert counts(one) == counts(again) == {name: counts(everything)[name] for name in one.features}
    assert (one.beyond > 0) == (again.beyond > 0) == (len(names) > most)
    assert one.beyond <= len(names)


@given(ROWS, st.integers(1, 8), st.integers(1, 31))
def test_parts_that_are_merged_keep_what_the_whole_would(rows: list[dict[str, Any]], most: int, chunk: int) -> None:
    whole, _ = folded(rows, 31, most)
    parts = [folded(rows[start : start + chunk], chunk, most)[0] for start in range(0, len(rows), chunk)]
    for order in (parts, parts[::-1]):
        total = merged([from_bytes(to_bytes(part)) for part in order])
        assert counts(total) == counts(whole)
        assert (total.beyond > 0) == (whole.beyond > 0)


def test_features_beyond_the_bound_are_counted_and_shipped() -> None:
    row = {f"f{index:02d}": float(index) for index in range(25)}
    profile, tally = folded([row] * 7, 3, 20)
    assert tally.features_beyond_limit == {"wide": 5}
    read = from_bytes(to_bytes(profile))
    assert (read.max_features, read.beyond, read.last_known) == (20, 5, "f19")
    assert (read.tells_of("f20"), read.tells_of("a")) == (False, True)


def test_a_profile_within_the_bound_tells_of_every_name() -> None:
    profile, tally = folded([{"a": 1.0, "b": 2.0}], 1, 2)
    assert tally.features_beyond_limit == {}
    assert from_bytes(to_bytes(profile)).tells_of("z")


def test_a_profile_of_an_agent_without_bounds_merges_as_it_did() -> None:
    old, new = Profile(), folded([{"a": 1.0}], 1, 2)[0]
    old.admit(["z"])
    old.rows = 3
    old.features["z"].update_numbers(np.array([1.0, 2.0, 3.0]))
    assert old.max_features is None
    total = merged([old, new])
    assert counts(total) == {"a": (3, 1, 0, 0, 0), "z": (1, 3, 0, 0, 0)}
    assert (total.max_features, total.beyond) == (2, 0)


@pytest.mark.parametrize("width", [2_500, 5_000])
def test_so_many_columns_are_profiled_by_default(width: int) -> None:
    row = {f"f{index}": index / 3 for index in range(width)}
    folder = Folder("host")
    tally = folder.fold([Record(Kind.PREDICTION, AT, {"model": "wide", "features": row})] * 3)
    [(_, profile)] = folder.take()
    assert set(profile.features) == set(row)
    assert (profile.beyond, tally.features_beyond_limit) == (0, {})
