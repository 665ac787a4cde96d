"""Which features no longer depend on each other, where every correlation stayed as it was."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from modelward_agent.profile import Dependence
from modelward_collector.stats.dependence import (
    DependenceChange,
    Term,
    dependence_changes,
    dependence_scatter,
    row_mean,
    row_variance,
)

Rows = NDArray[np.float64]
NAMES = tuple("abcdefghij")
LEVEL = 2e-7


@pytest.fixture
def draw() -> np.random.Generator:
    return np.random.default_rng(20260302)


def of(rows: Rows) -> Dependence:
    """Rows of ten features, as they come in batches."""
    made = Dependence()
    for start in range(0, rows.shape[1], 500):
        made.update(NAMES, rows[:, start : start + 500])
    return made


def curve(draw: np.random.Generator, n: int, *, depends: bool = True, offset: float = 0.0) -> Rows:
    """Feature b is the square of a, or of something else with the same distribution."""
    rows = draw.normal(size=(10, n))
    rows[1] = (rows[0] if depends else draw.normal(size=n)) ** 2 + 0.3 * draw.normal(size=n)
    return rows + offset


def parity(draw: np.random.Generator, n: int, *, depends: bool = True, offset: float = 0.0) -> Rows:
    """Feature e has the sign of c times d, or any sign."""
    rows = draw.normal(size=(10, n))
    rows[4] = np.sign(rows[2] * rows[3] if depends else draw.normal(size=n)) * np.abs(rows[4])
    return rows + offset


def circle(draw: np.random.Generator, n: int, *, depends: bool = True, offset: float = 0.0) -> Rows:
    """Features f and g lie on a circle, or are the same cosines each by itself."""
    rows = draw.normal(size=(10, n))
    angle, other = draw.uniform(0, 2 * np.pi, size=(2, n))
    rows[5:7] = np.cos(angle), np.sin(angle if depends else other)
    return rows + 0.05 * draw.normal(size=(10, n)) + offset


Kind = Callable[..., Rows]
KINDS: list[tuple[Kind, Term]] = [
    (curve, (("a", "a"), ("b",))),
    (parity, (("c", "d"), ("e",))),
    (circle, (("f", "f"), ("g", "g"))),
]


def changed(changes: list[DependenceChange], rate: float = 0.001) -> list[DependenceChange]:
    return [change for change in changes if change.p <= rate]


@pytest.mark.parametrize("offset", [0.0, 20.0])
@pytest.mark.parametrize(("kind", "term"), KINDS)
@pytest.mark.parametrize("gone", [True, False])
def test_a_dependence_that_comes_or_goes_is_found_by_name(
    draw: np.random.Generator, kind: Kind, term: Term, gone: bool, offset: float
) -> None:
    before = of(kind(draw, 10_000, depends=gone, offset=offset))
    after = of(kind(draw, 1_000, depends=not gone, offset=offset))
    found = changed(dependence_changes(before, after))
    assert {*found[0].names} == {*term[0], *term[1]}
    assert all({*change.names} == {*term[0], *term[1]} for change in found)
    mine = next(change for change in found if {*change.term[0]} == {*term[0]} or len(change.names) == 3)
    assert mine.rows == 1_000
    strong, none = (mine.reference, mine.current) if gone else (mine.current, mine.reference)
    assert abs(strong) > 0.5 > 0.15 > abs(none)
    assert 0.025 <= mine.floor < mine.effect <= 1


@pytest.mark.parametrize(("kind", "_term"), KINDS)
def test_what_depends_as_before_has_not_changed(draw: np.random.Generator, kind: Kind, _term: Term) -> None:
    before = of(kind(draw, 10_000))
    assert not changed(dependence_changes(before, of(kind(draw, 1_000))), 0.01)


def test_of_two_values_there_is_no_square_and_parity_is_found(draw: np.random.Generator) -> None:
    def bits(n: int, *, depends: bool) -> Rows:
        rows = (draw.random((10, n)) < 0.5).astype(np.float64)
        if depends:
            rows[2] = (rows[0] != rows[1]).astype(np.float64)
        return rows

    changes = dependence_changes(of(bits(10_000, depends=True)), of(bits(1_000, depends=False)))
    assert all(len(change.names) == 3 for change in changes)
    assert len(changes) == 120
    [found] = changed(changes)
    assert found.names == ("a", "b", "c")
    assert abs(found.reference) > 0.95


@pytest.mark.parametrize("share", [0.001, 0.003, 0.01])
def test_of_a_rare_value_there_is_no_square_either(draw: np.random.Generator, share: float) -> None:
    """What agents ship is rounded; hours in which it never came among them."""

    def shipped(hours: int) -> Dependence:
        total = Dependence()
        for hour in range(hours):
            n = 60 if hour % 7 == 6 else 900
            part = Dependence()
            part.update(("rare", "skewed"), np.array([draw.random(n) < share, np.exp(0.5 * draw.normal(size=n))]))
            total.merge(Dependence.from_bytes(part.names, part.to_bytes()))
        return total

    for _ in range(5):
        changes = dependence_changes(shipped(100), shipped(60))
        assert not [change.term for change in changes if change.term[0] == ("rare", "rare")]
        assert not changed(changes)


def test_the_unit_is_no_matter(draw: np.random.Generator) -> None:
    first, second = curve(draw, 10_000), curve(draw, 1_000, depends=False)
    units = 10.0 ** np.arange(-20, 20, 4)[:, np.newaxis]
    left = {change.term: change for change in dependence_changes(of(first), of(second))}
    right = {change.term: change for change in dependence_changes(of(first * units), of(second * units))}
    known = left.keys() & right.keys()  # which of three is told as alone may differ by a rounding
    assert len(known) > 0.9 * len(left)
    for term in known:
        assert right[term].current == pytest.approx(left[term].current, abs=1e-4)
        assert right[term].p == pytest.approx(left[term].p, rel=0.01)


def test_few_rows_ignored_features_and_gaps_are_not_judged(draw: np.random.Generator) -> None:
    before = of(curve(draw, 10_000))
    assert dependence_changes(before, of(curve(draw, 199, depends=False))) == []
    after = curve(draw, 1_000, depends=False)
    assert not changed(dependence_changes(before, of(after), ignored=["b"]))
    holed = after.copy()
    holed[1, ::4] = np.nan
    assert not changed(dependence_changes(before, of(holed)))
    holed = after.copy()
    holed[1, ::12] = np.nan
    assert changed(dependence_changes(before, of(holed)))[0].names == ("a", "b")


def test_a_feature_that_few_rows_carry_is_not_judged(draw: np.random.Generator) -> None:
    rows = draw.normal(size=(10, 1_000))
    rows[:3] = draw.random((3, 1_000)) < 0.004
    names = {name for change in dependence_changes(of(rows), of(rows)) for name in change.names}
    assert names.isdisjoint("abc")


def test_alarms_hold_their_rate_in_all_kinds_of_unchanged_traffic(draw: np.random.Generator) -> None:
    def alike(n: int) -> Rows:
        rows: Rows = np.sqrt(0.3) * draw.normal(size=(10, n)) + np.sqrt(0.7) * draw.normal(size=n)
        return rows

    kinds: dict[str, Callable[[int], Rows]] = {
        "unrelated": lambda n: draw.normal(size=(10, n)),
        "alike": alike,
        "alike, far from zero": lambda n: 30 + alike(n),
        "wide together": lambda n: draw.normal(size=(10, n)) / np.sqrt(draw.chisquare(3, n) / 3),
        "skewed": lambda n: np.exp(alike(n)),
        "counts": lambda n: draw.poisson(2, (10, n)).astype(np.float64),
        "rare": lambda n: np.where(draw.random((10, n)) < 0.7, 0, draw.exponential(1, (10, n))),
        "curves": lambda n: curve(draw, n),
        "parity": lambda n: parity(draw, n),
        "circle": lambda n: circle(draw, n),
    }
    alarms = 0
    for rows in kinds.values():
        before = of(rows(10_000))
        alarms += sum(bool(changed(dependence_changes(before, of(rows(500))), 0.01)) for _ in range(20))
    assert alarms <= 6  # of 200 at 1%: one time in 200 by chance


def test_what_windows_of_the_reference_vary_is_allowed(draw: np.random.Generator) -> None:
    def window(share: float, n: int = 2_000) -> Dependence:
        rows, other = curve(draw, n), curve(draw, n, depends=False)
        return of(np.where(draw.random(n) < share, rows, other))

    windows = [window(share) for share in (0.3, 0.9, 0.5, 0.7, 0.4, 0.8, 0.6)]
    total = Dependence()
    for one in windows:
        total.merge(one)
    scatter = dependence_scatter(total, windows, LEVEL)
    assert (("a", "a"), ("b",)) in scatter
    assert changed(dependence_changes(total, window(0.95)))
    assert not changed(dependence_changes(total, window(0.95), scatter=scatter))
    assert dependence_scatter(total, windows[:2], LEVEL) == {}
    steady = [of(curve(draw, 2_000)) for _ in range(7)]
    total = Dependence()
    for one in steady:
        total.merge(one)
    terms = len(dependence_changes(total, total))
    assert len(dependence_scatter(total, steady, LEVEL)) < 0.15 * terms


def test_nothing_in_common_is_nothing_to_compare(draw: np.random.Generator) -> None:
    one, other = Dependence(), Dependence()
    one.update(["a", "b"], draw.normal(size=(2, 500)))
    other.update(["b", "c"], draw.normal(size=(2, 500)))
    assert dependence_changes(one, other) == []
    assert dependence_changes(Dependence(), other) == []


@pytest.mark.parametrize("offset", [0.0, 20.0])
@pytest.mark.parametrize(("kind", "_term"), KINDS)
def test_what_a_row_adds_to_a_correlation_is_its_mean_and_varies_as_is_said(
    draw: np.random.Generator, kind: Kind, _term: Term, offset: float
) -> None:
    before, after = of(kind(draw, 10_000, offset=offset)), of(kind(draw, 5_000, depends=False, offset=offset))
    for change in changed(dependence_changes(before, after)):
        origin, term = before.over(change.names), change.term
        for k in (0.0, 0.5):
            value, rows = row_mean(before, term, origin, k)
            assert value == pytest.approx(change.reference - k, abs=1e-6)
            assert rows == 10_000
            assert row_mean(after, term, origin, k)[0] == pytest.approx(change.current - k, abs=0.1)
        assert row_mean(Dependence(["a"]), term, origin, 0.0) == (0.0, 0)
        k = (change.reference + change.current) / 2
        told = max(row_variance(before, term, change.reference, k), row_variance(after, term, change.current, k))
        spreads = []
        for depends in (True, False):
            parts = (of(kind(draw, 200, offset=offset, depends=depends)) for _ in range(40))
            spreads.append(200 * np.var([row_mean(part, term, origin, k)[0] for part in parts]))
        assert 0.1 * told < max(spreads) < 2 * told
