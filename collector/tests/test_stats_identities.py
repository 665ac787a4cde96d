"""Strings of too many kinds to know each by name: what is unusual is found, and what is usual is not."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.distance import jensenshannon

from modelward_agent.profile import CategoricalSketch
from modelward_collector.stats.identities import (
    IdentityScatter,
    IdentityView,
    identity_scatter,
    identity_tests,
    nested_distance,
    never_seen,
)
from modelward_collector.stats.outcome import Outcome

Ids = NDArray[np.int64]
Traffic = Callable[[np.random.Generator, int, int], Ids]
"""The ids of n rows of the window of that number."""

LEVEL = 0.01 / 30
WINDOWS = 14


def sketch(ids: Ids) -> CategoricalSketch:
    made = CategoricalSketch()
    names, counts = np.unique(ids, return_counts=True)
    made.update_counts({f"u{name}": count for name, count in zip(names.tolist(), counts.tolist(), strict=True)})
    return made


def view(ids: Ids) -> IdentityView:
    return IdentityView.of(sketch(ids))


def known(windows: Sequence[CategoricalSketch]) -> tuple[IdentityView, IdentityScatter]:
    total = CategoricalSketch()
    for window in windows:
        total.merge(window)
    reference = IdentityView.of(total)
    scatter = identity_scatter(reference, windows, LEVEL)
    assert scatter is not None
    return reference, scatter


def zipf(draw: np.random.Generator, n: int, kinds: int = 20_000) -> Ids:
    weights = 1 / np.arange(1, kinds + 1) ** 1.1
    return draw.choice(kinds, n, p=weights / weights.sum())


def clustered(draw: np.random.Generator, n: int, window: int) -> Ids:
    """Sessions of about twenty rows, each with an id of its own."""
    return np.repeat(np.arange(n) + window * n, draw.geometric(1 / 20, n))[:n]


USUAL: dict[str, Traffic] = {
    "the same 5,000 evenly": lambda draw, n, window: draw.integers(0, 5_000, n),
    "a million evenly": lambda draw, n, window: draw.integers(0, 10**6, n),
    "few often and many rarely": lambda draw, n, window: zipf(draw, n),
    "one for each row": lambda draw, n, window: np.arange(n) + window * n,
    "one for each session": clustered,
    "the same customers in bursts": lambda draw, n, window: np.repeat(
        draw.integers(0, 20_000, n), draw.geometric(0.1, n)
    )[:n],
    "a set that grows": lambda draw, n, window: draw.integers(0, 5_000 + 250 * window, n),
    "rows that vary": lambda draw, n, window: zipf(draw, int(n * draw.uniform(0.5, 2))),
}


@pytest.mark.parametrize("n", [1_000, 10_000])
@pytest.mark.parametrize("traffic", USUAL)
def test_what_is_usual_is_not_found(traffic: str, n: int) -> None:
    draw = np.random.default_rng(n)
    alarms, runs = 0, 0
    for _ in range(4 if n == 1_000 else 2):
        reference, scatter = known([sketch(USUAL[traffic](draw, n, window)) for window in range(WINDOWS)])
        for _ in range(20):
            outcomes = identity_tests(reference, view(USUAL[traffic](draw, n, WINDOWS)), scatter)
            alarms += min(outcome.counted_p for outcome in outcomes) <= 0.01 / len(outcomes)
            runs += 1
    # At a rate of 1% more than five of eighty come once in five thousand times.
    assert alarms <= 5


CHANGES: dict[str, tuple[str, Traffic, set[str]]] = {
    "all are new": ("the same 5,000 evenly", lambda draw, n, _: draw.integers(10**6, 10**6 + 5_000, n), {"new_values"}),
    "half are new": ("the same 5,000 evenly", lambda draw, n, _: draw.integers(2_500, 7_500, n), {"new_values"}),
    "a tenth is left": ("the same 5,000 evenly", lambda draw, n, _: draw.integers(0, 500, n), {"distinct", "hashed"}),
    "fifty times as many": (
        "the same 5,000 evenly",
        lambda draw, n, _: draw.integers(0, 250_000, n),
        {"new_values", "distinct"},
    ),
    "two thousand of a million": ("a million evenly", lambda draw, n, _: draw.integers(0, 2_000, n), {"distinct"}),
    "one for each row": (
        "few often and many rarely",
        lambda draw, n, _: np.arange(n) + 10**7,
        {"new_values", "distinct"},
    ),
    "the rare ones are new": (
        "few often and many rarely",
        lambda draw, n, _: (lambda ids: np.where(ids > 1_000, ids + 10**6, ids))(zipf(draw, n)),
        {"new_values"},
    ),
    "the old ones again": ("one for each row", lambda draw, n, _: draw.integers(0, n * WINDOWS, n), {"new_values"}),
    "no sessions any more": ("one for each session", lambda draw, n, _: np.arange(n) + 10**9, {"distinct"}),
    "one customer in two": (
        "the same 5,000 evenly",
        lambda draw, n, _: 2 * draw.integers(0, 2_500, n),
        {"distinct", "hashed"},
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_unusual_is_found(change: str) -> None:
    before, after, tests = CHANGES[change]
    draw, n = np.random.default_rng(5), 10_000
    reference, scatter = known([sketch(USUAL[before](draw, n, window)) for window in range(WINDOWS)])
    found = {outcome.name: outcome for outcome in identity_tests(reference, view(after(draw, n, WINDOWS)), scatter)}
    for name in tests:
        assert found[name].counted_p < 1e-5, name
        assert found[name].effect > found[name].floor


def test_without_windows_of_the_reference_nothing_is_usual() -> None:
    draw = np.random.default_rng(1)
    windows = [sketch(draw.integers(0, 5_000, 2_000)) for _ in range(3)]
    assert identity_scatter(IdentityView.of(windows[0]), windows, LEVEL) is None
    assert identity_scatter(None, windows * 3, LEVEL) is None


def test_agents_that_did_not_count_by_hash_leave_that_test_out() -> None:
    draw = np.random.default_rng(2)
    windows = [sketch(draw.integers(0, 5_000, 2_000)) for _ in range(8)]
    windows[3].hashed_apart = None
    reference, scatter = known(windows)
    new, _, hashed = identity_tests(reference, view(draw.integers(10**6, 10**6 + 5_000, 2_000)), scatter)
    assert (scatter.cells, hashed.counted_p) == (0, 1)
    assert new.counted_p < 1e-5


def share_of_new(known_ids: Ids, ids: Ids) -> float:
    found = set(ids.tolist())
    return len(found - set(known_ids.tolist())) / len(found)


@given(
    st.sampled_from([100, 3_000, 50_000]), st.sampled_from([300, 2_000, 20_000]), st.floats(0, 1), st.integers(0, 10**6)
)
@settings(max_examples=60, deadline=None)
def test_the_share_of_never_seen_values_is_within_its_error(before: int, now: int, new: float, seed: int) -> None:
    draw = np.random.default_rng(seed)
    old = np.arange(before) + seed * 10**6
    fresh = round(now * new)
    ids = np.concatenate((old[-1] + 1 + np.arange(fresh), draw.choice(old, now - fresh)))
    share, variance, seen = never_seen(sketch(old).registers(), view(ids))
    # The same values are on the same registers in every draw: the error is not only this view's.
    assert abs(share - share_of_new(old, ids)) <= 6 * np.sqrt(variance) + 0.02
    assert 0 <= share <= 1
    assert seen > 0


@given(st.integers(1, 400), st.integers(1, 400))
@settings(max_examples=60, deadline=None)
def test_the_distance_of_a_part_is_jensens_and_shannons(part: int, whole: int) -> None:
    part, whole = sorted((part, whole))
    p, q = np.zeros(whole), np.full(whole, 1 / whole)
    p[:part] = 1 / part
    assert nested_distance(part / whole) == pytest.approx(float(jensenshannon(p, q, base=2)), abs=1e-6)
    assert nested_distance(0.0) == 1.0


def test_more_rows_have_more_different_values_and_that_is_no_change() -> None:
    draw = np.random.default_rng(3)
    reference, scatter = known([sketch(draw.integers(0, 10**6, 2_000)) for _ in range(10)])
    for rows in (500, 1_000, 4_000, 8_000):
        distinct = next(
            outcome
            for outcome in identity_tests(reference, view(draw.integers(0, 10**6, rows)), scatter)
            if outcome.name == "distinct"
        )
        assert distinct.counted_p == 1
    few: Outcome = identity_tests(reference, view(draw.integers(0, 300, 8_000)), scatter)[1]
    assert few.value < 0.2
    assert few.counted_p < 1e-20
