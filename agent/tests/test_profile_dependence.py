"""Co-moments of third and fourth order are those of numpy, however rows are cut up, ordered and sent."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from modelward_agent.journal.parse import Kind, Record
from modelward_agent.profile import CoMoments, Dependence, Profile, ProfileFormatError, from_bytes, merged, to_bytes
from modelward_agent.profile.comoments import FEATURES_MAX, squash
from modelward_agent.profile.dependence import ROWS_AT_ONCE, THINNED, layout
from modelward_agent.profile.fold import Folder
from modelward_agent.profile.reference import profile_file, read_reference, write_reference

AT = 1_782_909_296.5
NOISE = 0.3
"""Half a step, of the noise of one row, and what single precision adds."""


def of(names: list[str], matrix: NDArray[np.float64]) -> Dependence:
    made = Dependence()
    made.update(names, matrix)
    return made


def named(count: int) -> list[str]:
    return [f"f{index:02d}" for index in range(count)]


def mixed(draw: np.random.Generator, features: int, rows: int) -> NDArray[np.float64]:
    """Heavy-tailed rows of every unit, near zero and far from it, each the curve of the one before or its neighbour."""
    values = draw.standard_t(3, (features, rows)) + 0.7 * draw.normal(size=rows)
    values[1::3] = values[: len(values[1::3])] ** 2
    values += np.resize([0.0, 10.0, -50.0], features)[:, np.newaxis]
    scaled: NDArray[np.float64] = values * np.resize([1.0, 1e-6, 1e5, 1.0], features)[:, np.newaxis]
    return scaled


def assert_same(left: Dependence, right: Dependence, tolerance: float = 1e-5) -> None:
    assert (left.names, left.n) == (right.names, right.n)
    np.testing.assert_array_equal(left.present, right.present)
    np.testing.assert_allclose(left.mean, right.mean, rtol=1e-9, atol=1e-9)
    for mine, theirs in zip(left.standardised(), right.standardised(), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=tolerance, atol=tolerance)


def dependence_of(profile: Profile) -> Dependence:
    assert profile.dependence is not None
    return profile.dependence


def test_moments_are_those_of_the_squashed_rows() -> None:
    matrix = mixed(np.random.default_rng(1), 6, 400)
    second, third, fourth = of(named(6), matrix).standardised()
    u = squash(matrix)
    u = (u - u.mean(axis=1, keepdims=True)) / u.std(axis=1, keepdims=True)
    at = layout(6)
    np.testing.assert_allclose(second, (u[at.i] * u[at.j]).mean(axis=1), atol=1e-5)
    np.testing.assert_allclose(third, (u[at.a] * u[at.b] * u[at.c]).mean(axis=1), atol=1e-5)
    np.testing.assert_allclose(fourth, (u[at.i] ** 2 * u[at.j] ** 2).mean(axis=1), rtol=1e-5, atol=1e-5)


def test_y_that_is_x_squared_and_z_that_is_the_sign_of_xy_show_although_nothing_is_correlated() -> None:
    x, y = np.random.default_rng(2).normal(size=(2, 500))
    second, third, _ = of(["v", "x", "y", "z"], np.array([x * x, x, y, np.sign(x * y)])).standardised()
    at = layout(4)
    assert np.abs(second[at.i != at.j]).max() < 0.2
    assert third[at.where_triple[1, 1, 0]] > 0.3
    assert third[at.where_triple[1, 2, 3]] > 0.8


@settings(max_examples=40, deadline=None)
@given(cuts=st.lists(st.integers(1, 399), max_size=5), seed=st.integers(0, 1_000))
def test_merged_parts_are_the_whole_in_any_order(cuts: list[int], seed: int) -> None:
    matrix = mixed(np.random.default_rng(seed), 5, 400)
    edges = [0, *sorted(set(cuts)), 400]
    parts = [of(named(5), matrix[:, low:high]) for low, high in pairwise(edges)]
    random.Random(seed).shuffle(parts)
    total = Dependence()
    for part in parts:
        total.merge(part)
    # Sums of few rows in single precision, of deviations from means that lie apart.
    assert_same(total, of(named(5), matrix), 1e-4)


def test_parts_whose_levels_lie_apart_merge_to_the_whole() -> None:
    draw = np.random.default_rng(3)
    left, right = draw.normal(size=(4, 300)), draw.normal(size=(4, 200)) + np.array([[3.0], [-2.0], [1.0], [0.0]])
    total = of(named(4), left)
    total.merge(of(named(4), right))
    assert_same(total, of(named(4), np.concatenate((left, right), axis=1)))


def test_merging_leaves_the_other_as_it_was_and_empties_are_nothing() -> None:
    matrix = mixed(np.random.default_rng(4), 3, 50)
    one, other = of(named(3), matrix), of(named(3), matrix)
    one.merge(Dependence())
    assert_same(one, other)
    fresh = Dependence()
    fresh.merge(other)
    fresh.merge(one)
    assert other.n == one.n == 50
    assert fresh.n == 100
    assert_same(one, other)


def test_a_unit_is_no_matter() -> None:
    matrix = np.random.default_rng(5).normal(size=(4, 300))
    matrix[1] = matrix[0] ** 2
    left = of(named(4), matrix)
    right = of(named(4), matrix * np.array([[1e-12], [100.0], [1e30], [7.0]]))
    for mine, theirs in zip(left.standardised(), right.standardised(), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5)


def test_of_many_rows_a_few_are_taken_and_every_stretch_has_its_share() -> None:
    draw = np.random.default_rng(6)
    many = of(["a", "b"], draw.normal(size=(2, 4_096)))
    assert many.n == ROWS_AT_ONCE
    assert of(["a", "b"], draw.normal(size=(2, ROWS_AT_ONCE))).n == ROWS_AT_ONCE
    assert of(["a", "b"], draw.normal(size=(2, 100_000))).n == 100_000 // THINNED
    # Rows that take turns are all seen.
    turns = np.resize(np.eye(8), (4_096, 8)).T
    counts = of(named(8), turns)
    assert np.all(np.abs(counts.mean - 1 / 8) < 0.06)
    assert_same(of(["a", "b"], turns[:2]), of(["a", "b"], turns[:2]))


def test_a_constant_and_a_feature_that_overflows_have_none_and_cost_the_others_nothing() -> None:
    draw = np.random.default_rng(7)
    a, b = draw.normal(size=(2, 200))
    found = of(["a", "b", "constant", "huge"], np.array([a, b, np.full(200, 0.1), a * 1e300]))
    second, third, _ = found.standardised()
    at = layout(4)
    assert np.isnan(second[at.where_pair[0, 2]])
    assert np.isnan(third[at.where_triple[0, 1, 2]])
    plain = of(["a", "b"], np.array([a, b]))
    np.testing.assert_allclose(
        third[at.where_triple[0, 0, 1]], plain.standardised()[1][layout(2).where_triple[0, 0, 1]], atol=1e-6
    )
    assert not np.isnan(dependence_of(from_bytes(to_bytes(profile_with(found)))).second).any()


# -- gaps -----------------------------------------------------------------------------------------------------------


def test_a_gap_counts_as_the_mean_and_is_counted() -> None:
    draw = np.random.default_rng(8)
    matrix = draw.normal(size=(3, 400))
    matrix[0, ::2] = np.nan
    matrix[1, 7] = np.inf
    found = of(named(3), matrix)
    np.testing.assert_array_equal(found.present, [200, 399, 400])
    filled = squash(np.where(np.isfinite(matrix), matrix, 0.0))
    for row, there in zip(filled, np.isfinite(matrix), strict=True):
        row[~there] = row[there].mean()
    u = (filled - filled.mean(axis=1, keepdims=True)) / filled.std(axis=1, keepdims=True)
    at = layout(3)
    third = found.standardised()[1]
    np.testing.assert_allclose(third, (u[at.a] * u[at.b] * u[at.c]).mean(axis=1), atol=1e-5)


def test_a_name_that_a_part_does_not_know_has_no_values_there() -> None:
    draw = np.random.default_rng(9)
    first, second = draw.normal(size=(3, 100)), 5 + draw.normal(size=(2, 50))
    total = of(["a", "b", "c"], first)
    total.merge(of(["b", "d"], second))
    assert total.names == ("a", "b", "c", "d")
    assert total.n == 150
    np.testing.assert_array_equal(total.present, [100, 150, 100, 50])
    np.testing.assert_allclose(total.mean[0], squash(first)[0].mean())
    np.testing.assert_allclose(total.mean[3], squash(second)[1].mean())
    at = layout(4)
    assert total.second[at.where_pair[0, 3]] == pytest.approx(0, abs=1e-9)


def test_the_first_names_are_kept() -> None:
    draw = np.random.default_rng(10)
    names = named(FEATURES_MAX + 3)
    found = of(names[::-1], draw.normal(size=(len(names), 20)))
    assert list(found.names) == names[:FEATURES_MAX]
    found.merge(of(["a", "b"], draw.normal(size=(2, 20))))
    assert list(found.names) == ["a", "b", *names[: FEATURES_MAX - 2]]
    assert of(["a"], draw.normal(size=(1, 20))).n == 0


# -- where it comes from --------------------------------------------------------------------------------------------


def folded(rows: list[dict[str, float | None]]) -> Profile:
    folder = Folder("h")
    folder.fold(Record(Kind.PREDICTION, AT, {"model": "m", "features": row}) for row in rows)
    [(_, profile)] = folder.take()
    return profile


def test_the_agent_and_a_reference_from_a_file_know_it(tmp_path: Path) -> None:
    draw = np.random.default_rng(11)
    x, y = draw.normal(size=(2, 300))
    profile = folded([{"x": a, "y": b} for a, b in zip(x.tolist(), y.tolist(), strict=True)])
    assert_same(dependence_of(profile), of(["x", "y"], np.array([x, y])))
    (tmp_path / "rows.csv").write_text(
        "x,y\n" + "\n".join(f"{a!r},{b!r}" for a, b in zip(x.tolist(), y.tolist(), strict=True))
    )
    path = tmp_path / "made.profile"
    write_reference(path, profile_file(tmp_path / "rows.csv", model="m"))
    total = merged(made for _, made in read_reference(path))
    assert dependence_of(total).n == 300


# -- on the wire ----------------------------------------------------------------------------------------------------


def profile_with(found: Dependence | None, joint: CoMoments | None = None) -> Profile:
    profile = folded([{"a": 1.0, "b": 2.0}] * 5)
    profile.dependence, profile.joint = found, joint
    return profile


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("features", [2, 7, FEATURES_MAX])
def test_the_wire_form_brings_everything_back_within_a_share_of_the_noise(features: int, together: bool) -> None:
    matrix = mixed(np.random.default_rng(12), features, 500)
    found = of(named(features), matrix)
    joint = CoMoments()
    joint.update(named(features), matrix)
    content = to_bytes(profile_with(found, joint if together else None))
    again = dependence_of(from_bytes(content))
    assert (again.names, again.n) == (found.names, found.n)
    np.testing.assert_array_equal(again.present, found.present)
    np.testing.assert_array_equal(again.mean, found.mean)
    np.testing.assert_allclose(again.deviation(), found.deviation(), rtol=1e-12)
    for mine, theirs in zip(again.standardised(), found.standardised(), strict=True):
        assert np.abs(mine - theirs).max() * np.sqrt(500) < NOISE
    assert again.to_bytes() == found.to_bytes()


def test_it_is_small_on_the_wire() -> None:
    draw = np.random.default_rng(13)
    one = of(named(30), draw.normal(size=(30, 4_096)))
    assert len(one.to_bytes()) < 3_500
    for _ in range(59):
        one.merge(of(named(30), draw.normal(size=(30, 4_096))))
    assert len(one.to_bytes()) < 3_500


def test_rounding_on_the_way_does_not_add_up() -> None:
    draw = np.random.default_rng(14)
    exact, sent = Dependence(), Dependence()
    for _ in range(60):
        part = of(named(6), draw.normal(size=(6, 100)))
        exact.merge(part)
        sent.merge(Dependence.from_bytes(part.names, part.to_bytes()))
    for mine, theirs in zip(sent.standardised(), exact.standardised(), strict=True):
        assert np.abs(mine - theirs).max() * np.sqrt(exact.n) < 0.6  # 4 of its standard deviations of 0.14


def test_a_profile_from_before_has_none_and_takes_the_others() -> None:
    old = from_bytes(to_bytes(profile_with(None)))
    assert old.dependence is None
    found = of(["a", "b"], np.random.default_rng(15).normal(size=(2, 50)))
    total = merged([old, profile_with(found), old])
    assert_same(dependence_of(total), found)
    assert total.rows == 15


@pytest.mark.parametrize(
    ("names", "content"),
    [
        (["a", "b", "c"], None),
        (["b", "a"], None),
        (["a", "b"], b"nothing"),
        (named(FEATURES_MAX + 1), None),
    ],
)
def test_damaged_dependence_is_refused(names: list[str], content: bytes | None) -> None:
    good = of(["a", "b"], np.ones((2, 3))).to_bytes()
    with pytest.raises(ValueError, match="dependence"):
        Dependence.from_bytes(names, good if content is None else content)
    with pytest.raises(ValueError, match="dependence"):
        Dependence.from_bytes(["a", "b"], good + b"x")


def test_a_profile_whose_dependence_is_damaged_is_refused_as_a_profile() -> None:
    class Damaged(Dependence):
        def to_bytes(self) -> bytes:
            return b"nothing"

    with pytest.raises(ProfileFormatError, match="dependence"):
        from_bytes(to_bytes(profile_with(Damaged(["a", "b"]))))
