"""Tail probabilities of the normal distribution."""

from __future__ import annotations

import math

from scipy import special

POWER_QUANTILE = 1.645
"""Normal quantile of 95%: enough rows are those with which an effect is found in 95% of windows."""


def two_sided(z: float) -> float:
    """P(|Z| >= |z|) of a standard normal, in [0, 1]."""
    return math.erfc(abs(z) / math.sqrt(2))


def two_sided_quantile(p: float) -> float:
    """The z with P(|Z| >= z) = p, for p in (0, 1]; 0 for 1."""
    return -float(special.ndtri(p / 2))
