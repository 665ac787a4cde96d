"""Tail probabilities of the normal distribution."""

from __future__ import annotations

import math

from scipy import special

_POWER_QUANTILE = 1.645
"""Normal quantile of 95%: enough rows are those with which an effect is found in 95% of windows."""


def two_sided(z: float) -> float:
    """P(|Z| >= |z|) of a standard normal, in [0, 1]."""
    return math.erfc(abs(z) / math.sqrt(2))


def two_sided_quantile(p: float) -> float:
    """The z with P(|Z| >= z) = p, for p in (0, 1]; 0 for 1."""
    return -float(special.ndtri(p / 2))


def rows_to_show(p: float, level: float, rows: int, reference_rows: float = math.inf) -> int | None:
    """Rows of a window in which what `rows` show with this p is found at the level 95 times of 100; None: no number.

    Its z shrinks with the root of 1/rows + 1/reference rows. Where those of the reference are not given as many rows as
    are said, or fewer, are enough.
    """
    z = two_sided_quantile(max(p, 1e-300))
    wanted = two_sided_quantile(level) + _POWER_QUANTILE
    fixed = 1 / reference_rows
    inverse = (z / wanted) ** 2 * (fixed + 1 / rows) - fixed
    return math.ceil(1 / inverse) if inverse > 0 else None
