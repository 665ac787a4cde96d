"""Moments against scipy, on data where naive sums lose every digit."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from modelward_agent.profile import Moments

NASTY: dict[str, Callable[[np.random.Generator], NDArray[np.float64]]] = {
    "normal": lambda rng: rng.normal(size=20_000),
    "far from zero, hardly varying": lambda rng: 1e9 + 1e-3 * rng.normal(size=20_000),
    "far from zero, skewed": lambda rng: -1e8 + rng.exponential(0.01, size=20_000),
    "heavy tails": lambda rng: rng.standard_t(3, size=20_000) * 1e6,
    "tiny": lambda rng: 1e-12 * rng.gamma(2.0, size=20_000),
    "two far clusters": lambda rng: np.concatenate([rng.normal(size=10_000), 1e6 + rng.normal(size=10_000)]),
    "epoch seconds": lambda rng: 1.7e9 + rng.uniform(0, 60, size=20_000),
}


def exact(values: NDArray[np.float64]) -> tuple[float, float, float, float]:
    """Mean, variance, skewness and kurtosis in extended precision."""
    wide = values.astype(np.longdouble)
    centred = wide - wide.mean()
    m2, m3, m4 = ((centred**power).mean() for power in (2, 3, 4))
    n = len(values)
    return float(wide.mean()), float(m2 * n / (n - 1)), float(m3 / m2**1.5), float(m4 / m2**2)


@pytest.mark.parametrize("name", NASTY)
def test_moments_merged_from_uneven_pieces_are_those_of_all_values(name: str) -> None:
    rng = np.random.default_rng(7)
    values = NASTY[name](rng)
    total = Moments()
    cuts = np.sort(rng.integers(0, len(values), size=37))
    for piece in np.split(values, cuts):
        total.merge(Moments.of(piece))
    mean, variance, skewness, kurtosis = exact(values)
    assert total.n == len(values)
    assert total.mean == pytest.approx(mean, rel=1e-14)
    # A mean near 1e9 is itself rounded to 1e-7, which shows when the pieces' means are compared.
    assert total.variance == pytest.approx(variance, rel=1e-5)
    assert total.skewness == pytest.approx(skewness, rel=1e-5, abs=1e-5)
    assert total.kurtosis == pytest.approx(kurtosis, rel=1e-5)


def test_moments_are_scipys_on_friendly_data() -> None:
    values = np.random.default_rng(3).gamma(2.0, size=50_000)
    moments = Moments.of(values)
    assert moments.variance == pytest.approx(np.var(values, ddof=1), rel=1e-12)
    assert moments.skewness == pytest.approx(stats.skew(values), rel=1e-10)
    assert moments.kurtosis == pytest.approx(stats.kurtosis(values, fisher=False), rel=1e-10)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=40), st.integers(0, 40))
@settings(max_examples=200, deadline=None)
def test_no_finite_value_makes_moments_raise(values: list[float], cut: int) -> None:
    array = np.array(values, dtype=np.float64)
    moments = Moments.of(array[:cut])
    moments.merge(Moments.of(array[cut:]))
    assert moments.n == len(values)
    for answer in (moments.variance, moments.skewness, moments.kurtosis):
        assert isinstance(answer, float)


def test_moments_of_nothing_are_not_numbers() -> None:
    empty = Moments()
    empty.merge(Moments())
    assert empty.n == 0
    assert math.isnan(empty.variance)
    assert math.isnan(empty.skewness)
    assert math.isnan(empty.kurtosis)
    one = Moments.of(np.array([5.0]))
    assert one.mean == 5.0
    assert math.isnan(one.variance)
