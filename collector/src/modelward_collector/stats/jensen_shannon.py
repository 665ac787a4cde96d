"""Jensen-Shannon distance of two binned distributions."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import special

PER_CHI_SQUARED = 1 / (8 * math.log(2))
"""For near distributions the squared distance is this times chi-squared per row (Lin, 1991; Taylor's second order)."""


def jensen_shannon_distance(reference: NDArray[np.float64], current: NDArray[np.float64]) -> float:
    """Root of the Jensen-Shannon divergence in bits, in [0, 1], of shares or counts over the same bins, shape (k,).

    Source: Endres and Schindelin (2003), "A new metric for probability distributions".
    """
    p, q = reference / reference.sum(), current / current.sum()
    m = (p + q) / 2
    divergence = float(special.rel_entr(p, m).sum() + special.rel_entr(q, m).sum()) / (2 * math.log(2))
    return math.sqrt(min(1.0, max(0.0, divergence)))


def without_noise(distance: float, freedom: int, noise: float) -> float:
    """The distance less what two samples of the same distribution show on average; `noise` in 1/rows."""
    return math.sqrt(max(0.0, distance**2 - PER_CHI_SQUARED * freedom * noise))
