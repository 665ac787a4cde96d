"""Are two rows of counts draws from the same distribution? For bins and for categories."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import special

EXPECTED_MIN = 5.0
"""Cells that expect fewer rows on either side are pooled (Cochran, 1954)."""

NOISY_SHARE = 0.1
"""The error that a sketch makes of a small share is not small, as a sample's is; it is that of a tenth of the rows."""

_LARGE_NONCENTRALITY = 1e4


def homogeneity(
    reference: NDArray[np.float64],
    current: NDArray[np.float64],
    extra_noise: float = 0.0,
    errors: tuple[float, float] = (0.0, 0.0),
) -> tuple[float, int]:
    """Chi-squared statistic and degrees of freedom of two rows of counts, shapes (k,).

    The smaller of Pearson's and the likelihood-ratio statistic: the first is too large where few rows are expected and
    many come, the second where some are expected and none comes. `extra_noise` (1/rows) is counted in beside both
    samples' own; `errors` are the counts' largest possible errors, by which differences are shrunk: of the last cell,
    which then is what all others leave, that of all of them together. Without freedom (fewer than two cells) the answer
    is (0, 0).
    """
    n, m = float(reference.sum()), float(current.sum())
    if n <= 0 or m <= 0:
        return 0.0, 0
    unsure = _unsure(len(reference), errors[0] / n + errors[1] / m)
    share = (reference + current) / (n + m)
    small = share * min(n, m) < EXPECTED_MIN
    if small.any():
        reference = np.append(reference[~small], reference[small].sum())
        current = np.append(current[~small], current[small].sum())
        unsure = np.append(unsure[~small], unsure[small].sum())
        share = (reference + current) / (n + m)
        if share[-1] * min(n, m) < EXPECTED_MIN:
            keep = share > 0
            keep[-1] = False
            reference, current, share, unsure = reference[keep], current[keep], share[keep], unsure[keep]
    freedom = len(share) - 1
    if freedom < 1:
        return 0.0, 0
    sampling = 1 / n + 1 / m
    gap = np.abs(reference / n - current / m)
    pearson = float((gap**2 / (share * sampling)).sum())
    likelihood = 2 * float(special.rel_entr(reference, share * n).sum() + special.rel_entr(current, share * m).sum())
    if pearson <= 0:
        return 0.0, freedom
    surely = np.maximum(0.0, gap - unsure)
    variance = share * sampling + np.maximum(share, NOISY_SHARE) * extra_noise
    explained = float((surely**2 / variance).sum()) / pearson
    return max(0.0, min(pearson, likelihood)) * explained, freedom


def _unsure(cells: int, error: float) -> NDArray[np.float64]:
    """By how much each cell's shares may differ because of errors alone; the last is what the others leave."""
    unsure = np.full(cells, error)
    unsure[-1] *= max(1, cells - 1)
    return unsure


def chi_squared_p(statistic: float, freedom: int, noncentrality: float = 0.0) -> float:
    """P(chi-squared >= statistic); with a `noncentrality` for a null hypothesis that allows differences."""
    if freedom < 1:
        return 1.0
    if noncentrality <= 0:
        return float(special.chdtrc(freedom, statistic))
    if noncentrality > _LARGE_NONCENTRALITY:
        # Patnaik's normal limit of the root; the exact series is too long here.
        scale = (freedom + 2 * noncentrality) / (freedom + noncentrality)
        z = math.sqrt(2 * statistic / scale) - math.sqrt(2 * (freedom + noncentrality) / scale - 1)
        return float(special.ndtr(-z))
    return max(0.0, 1.0 - float(special.chndtr(statistic, freedom, noncentrality)))
