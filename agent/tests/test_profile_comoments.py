"""Co-moments are those of numpy, however rows are cut up, ordered and sent, and whatever is missing."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from modelward_agent.journal.parse import Kind, Record
from modelward_agent.profile import CoMoments, Profile, ProfileFormatError, from_bytes, merged, to_bytes
from modelward_agent.profile.comoments import FEATURES_MAX, squash
from modelward_agent.profile.fold import Folder
from modelward_agent.profile.reference import profile_file, read_reference, write_reference

AT = 1_782_909_296.5
FIELDS = ("n", "mean", "m2", "cross", "m3", "m4")


def of(names: list[str], matrix: NDArray[np.float64]) -> CoMoments:
    made = CoMoments()
    made.update(names, matrix)
    return made


def named(count: int) -> list[str]:
    return [f"f{index:02d}" for index in range(count)]


def assert_same(left: CoMoments, right: CoMoments) -> None:
    assert left.names == right.names
    for field in FIELDS:
        np.testing.assert_allclose(getattr(left, field), getattr(right, field), rtol=1e-9, atol=1e-9, err_msg=field)


def holed(draw: np.random.Generator, features: int, rows: int, share: float) -> NDArray[np.float64]:
    """Correlated heavy-tailed rows far from zero and near it, with gaps."""
    values = draw.standard_t(3, (features, rows)) + 0.7 * draw.normal(size=rows)
    values += np.resize([0.0, 10.0, -1e6], features)[:, np.newaxis]
    return np.where(draw.random((features, rows)) < share, draw.choice([np.nan, np.inf, -np.inf]), values)


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_correlations_and_kurtoses_are_those_of_the_squashed_rows(share: float) -> None:
    draw = np.random.default_rng(1)
    matrix = holed(draw, 6, 3_000, share)
    joint, y = of(named(6), matrix), squash(np.where(np.isfinite(matrix), matrix, np.nan))
    r = joint.correlation()
    for i in range(6):
        mine = y[i][np.isfinite(y[i])]
        deviation = mine - mine.mean()
        assert joint.kurtosis()[i] == pytest.approx((deviation**4).mean() / (deviation**2).mean() ** 2, rel=1e-9)
        for j in range(6):
            both = np.isfinite(y[i]) & np.isfinite(y[j])
            assert joint.n[i, j] == both.sum()
            assert joint.mean[i, j] == pytest.approx(y[i][both].mean(), rel=1e-12, abs=1e-12)
            assert r[i, j] == pytest.approx(np.corrcoef(y[i][both], y[j][both])[0, 1], abs=1e-10)


def test_a_change_of_unit_changes_no_correlation() -> None:
    draw = np.random.default_rng(2)
    matrix = holed(draw, 3, 500, 0.0)
    other = matrix * np.array([[100.0], [-1.8], [1e-6]])
    signs = np.outer([1, -1, 1], [1, -1, 1])
    np.testing.assert_allclose(of(named(3), matrix).correlation() * signs, of(named(3), other).correlation(), atol=1e-9)


def test_a_constant_feature_has_no_correlation() -> None:
    draw = np.random.default_rng(3)
    joint = of(["a", "b", "c"], np.array([draw.normal(size=1_000), np.full(1_000, 0.1), np.zeros(1_000)]))
    joint.merge(of(["a", "b", "c"], np.array([draw.normal(size=500), np.full(500, 0.1), np.zeros(500)])))
    assert np.isfinite(joint.correlation()[0, 0])
    assert np.isnan(joint.correlation()[:, 1:]).all()


def test_values_that_overflow_raise_nothing() -> None:
    joint = of(["a", "b"], np.array([[1e308, -1e308, 1.0], [1e-308, 5e-324, 0.0]]))
    joint.merge(joint)
    assert joint.n[0, 1] == 6


parts = st.lists(
    st.tuples(st.integers(0, 30), st.sets(st.integers(0, 5), min_size=1), st.sampled_from([0.0, 0.4])),
    min_size=2,
    max_size=6,
)


@given(parts, st.randoms())
@settings(max_examples=40, deadline=None)
def test_merging_is_associative_and_commutative_and_loses_nothing(
    sizes: list[tuple[int, set[int], float]], shuffle: random.Random
) -> None:
    whole, pieces = [], []
    for seed, (rows, features, share) in enumerate(sizes):
        matrix = np.full((6, rows), np.nan)
        matrix[sorted(features)] = holed(np.random.default_rng(seed), len(features), rows, share)
        whole.append(matrix)
        order = list(range(6))
        shuffle.shuffle(order)  # names come in any order
        pieces.append(of([f"f{index:02d}" for index in order], matrix[order]))
    together = of(named(6), np.concatenate(whole, axis=1))

    def total(some: list[CoMoments]) -> CoMoments:
        answer = CoMoments()
        for piece in some:
            answer.merge(piece)
        return answer

    assert_same(total(pieces), together)
    assert_same(total([pieces[0], total(pieces[1:])]), together)
    shuffle.shuffle(pieces)
    assert_same(total(pieces), together)


def test_of_many_features_the_same_are_kept_in_whatever_order_they_come() -> None:
    draw = np.random.default_rng(4)
    names = named(FEATURES_MAX + 20)
    matrix = draw.normal(size=(len(names), 40))
    odd, even = of(names[1::2], matrix[1::2]), of(names[::2], matrix[::2])
    everything = of(names, matrix)
    left, right = CoMoments(), CoMoments()
    for part in (odd, even, everything):
        left.merge(part)
    for part in (everything, even, odd):
        right.merge(part)
    assert_same(left, right)
    assert left.names == tuple(names[:FEATURES_MAX])
    assert left.n[0, 0] == 80
    assert left.n[0, 1] == 40


def test_merging_leaves_the_other_as_it_was() -> None:
    other = of(["a", "b"], np.random.default_rng(5).normal(size=(2, 9)))
    before = other.to_bytes()
    total = of(["b", "c"], np.ones((2, 3)))
    total.merge(other)
    total.merge(other)
    assert other.to_bytes() == before
    assert total.n[1, 1] == 21


# -- folded ---------------------------------------------------------------------------------------------------------


def folded(rows: list[dict[str, Any]], chunk: int = 1_000) -> Profile:
    folder = Folder("host")
    for start in range(0, len(rows), chunk):
        folder.fold(
            Record(Kind.PREDICTION, AT, {"model": "m", "version": "1", "features": row})
            for row in rows[start : start + chunk]
        )
    [(_, profile)] = folder.take()
    return profile


def joint_of(profile: Profile) -> CoMoments:
    assert profile.joint is not None
    return profile.joint


def test_numbers_and_booleans_are_folded_together_and_nothing_else_is() -> None:
    draw = np.random.default_rng(6)
    rows: list[dict[str, Any]] = [
        {
            "amount": float(draw.normal()),
            "count": int(draw.integers(5)) if draw.random() < 0.8 else None,
            "flag": bool(draw.integers(2)),
            "word": "a",
            "vector": [1.0, 2.0],
        }
        for _ in range(2_500)
    ]
    joint = joint_of(folded(rows))
    assert joint.names == ("amount", "count", "flag")
    values = np.array([[np.nan if row[name] is None else float(row[name]) for row in rows] for name in joint.names])
    assert_same(joint, of(list(joint.names), values))


def test_rows_of_different_layouts_are_folded_as_one() -> None:
    draw = np.random.default_rng(7)
    matrix = draw.normal(size=(3, 600))
    rows = []
    for a, b, c in matrix.T.tolist():
        rows.append({"a": a, "b": b, "c": c} if a > 0 else {"c": c, "a": a})
    matrix[1, matrix[0] <= 0] = np.nan
    assert_same(joint_of(folded(rows, chunk=100)), of(["a", "b", "c"], matrix))


def test_one_feature_has_nothing_to_move_with() -> None:
    assert folded([{"a": 1.0, "word": "x"}] * 10).joint is None


def test_a_model_of_booleans_alone_waits_in_bounded_memory() -> None:
    folder = Folder("host")
    rows = [
        Record(Kind.PREDICTION, AT, {"model": "m", "features": {"a": True, "b": index % 3 == 0}})
        for index in range(1_000)
    ]
    for _ in range(20):
        folder.fold(rows)
    [window] = folder._windows.values()
    assert window._together_rows < 5_000
    [(_, profile)] = folder.take()
    assert joint_of(profile).n[0, 1] == 20_000


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_reference_from_a_table_knows_it_too(tmp_path: Path, kind: str) -> None:
    pandas = pytest.importorskip("pandas")
    draw = np.random.default_rng(9)
    x = draw.normal(size=3_000)
    gaps = np.where(draw.random(3_000) < 0.1, np.nan, x + draw.normal(size=3_000))
    table = pandas.DataFrame({"x": x, "gaps": gaps, "flag": x > 1, "word": ["a", "b"] * 1_500})
    path = tmp_path / f"rows.{kind}"
    table.to_csv(path, index=False) if kind == "csv" else table.to_parquet(path)
    write_reference(tmp_path / "reference.jsonl", profile_file(path, model="m"))
    [(_, profile)] = read_reference(tmp_path / "reference.jsonl")
    assert_same(joint_of(profile), of(["flag", "gaps", "x"], np.array([x > 1, gaps, x], dtype=np.float64)))


# -- on the wire ----------------------------------------------------------------------------------------------------


def profile_with(joint: CoMoments | None) -> Profile:
    profile = folded([{"a": 1.0, "b": 2.0}] * 5)
    profile.joint, profile.dependence = joint, None
    return profile


@pytest.mark.parametrize("share", [0.0, 0.3])
@pytest.mark.parametrize("features", [2, FEATURES_MAX])
def test_the_wire_form_brings_everything_back(features: int, share: float) -> None:
    joint = of(named(features), holed(np.random.default_rng(10), features, 4_096, share))
    again = joint_of(from_bytes(to_bytes(profile_with(joint))))
    assert again.names == joint.names
    for field in FIELDS:
        np.testing.assert_array_equal(getattr(again, field), getattr(joint, field))
    again.merge(joint)
    assert again.n[0, 0] == 2 * joint.n[0, 0]


def test_complete_rows_are_small_on_the_wire() -> None:
    joint = of(named(30), np.random.default_rng(11).normal(size=(30, 4_096)))
    assert len(joint.to_bytes()) < 5_500
    holes = of(named(30), holed(np.random.default_rng(11), 30, 4_096, 0.2))
    assert len(holes.to_bytes()) < 25_000


def test_a_profile_from_before_has_none_and_takes_the_others() -> None:
    old = from_bytes(to_bytes(profile_with(None)))
    assert old.joint is None
    joint = of(["a", "b"], np.random.default_rng(12).normal(size=(2, 50)))
    total = merged([old, profile_with(joint), old])
    assert_same(joint_of(total), joint)
    assert total.rows == 15


def test_a_reader_from_before_finds_everything_else_where_it_was() -> None:
    with_it, without = to_bytes(profile_with(of(["a", "b"], np.ones((2, 3))))), to_bytes(profile_with(None))
    assert with_it[3] == without[3] == 1

    def body(content: bytes) -> tuple[dict[str, Any], bytes]:
        length = int.from_bytes(content[4:8], "big")
        header = orjson.loads(content[12 : 12 + length])
        return header, content[12 + length :]

    (new, new_blobs), (old, old_blobs) = body(with_it), body(without)
    new.pop("joint")
    assert new == old
    after = sum(length for *_, length in old.get("exact", {}).get("features", {}).values())
    assert new_blobs.startswith(old_blobs[: len(old_blobs) - after])


@pytest.mark.parametrize(
    ("names", "content"),
    [
        (["a", "b", "c"], None),
        (["b", "a"], None),
        (["a", "b"], b"nothing"),
        (named(FEATURES_MAX + 1), None),
    ],
)
def test_damaged_co_moments_are_refused(names: list[str], content: bytes | None) -> None:
    good = of(["a", "b"], np.ones((2, 3))).to_bytes()
    with pytest.raises(ValueError, match="co-moments"):
        CoMoments.from_bytes(names, good if content is None else content)


def test_a_profile_whose_co_moments_are_damaged_is_refused_as_a_profile() -> None:
    class Damaged(CoMoments):
        def to_bytes(self) -> bytes:
            return b"nothing"

    with pytest.raises(ProfileFormatError, match="co-moments"):
        from_bytes(to_bytes(profile_with(Damaged(["a", "b"]))))
