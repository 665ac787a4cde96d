"""Many p-values, one decision."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_CAP = 0.95
"""Larger p-values count as this one: conservative tests answer 1, which must not outvote a small p-value."""

_TINY = 1e-15


def cauchy_combination(p_values: Sequence[float], weights: Sequence[float]) -> float:
    """One p-value of dependent tests of the same hypothesis; weights are positive and add up to at most 1.

    The weighted mean of the tests' Cauchy transforms has a Cauchy tail whatever their dependence, asymptotically for
    small p-values (Liu and Xie, 2020, "Cauchy combination test"). Weight that is missing to 1 counts as p = 0.5.
    """
    total = 0.0
    for p, weight in zip(p_values, weights, strict=True):
        p = min(p, _CAP)
        if p <= 0:
            return 0.0
        total += weight * (1 / (math.pi * p) if p < _TINY else 1 / math.tan(math.pi * p))
    return 1 / (math.pi * total) if total > 1 / _TINY else 0.5 - math.atan(total) / math.pi


def benjamini_hochberg(p_values: Sequence[float]) -> NDArray[np.float64]:
    """Adjusted p-values, shape (n,): those at most q are the discoveries at a false discovery rate of q.

    When nothing has changed, the chance of any discovery is at most q. Source: Benjamini and Hochberg (1995).
    """
    p = np.asarray(p_values, dtype=np.float64)
    n = len(p)
    if n == 0:
        return p
    order = np.argsort(p)
    scaled = p[order] * n / np.arange(1, n + 1)
    adjusted = np.empty(n)
    adjusted[order] = np.minimum(1.0, np.minimum.accumulate(scaled[::-1])[::-1])
    return adjusted
