"""Wasserstein-1 (earth mover's) distance of two sketches."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from modelward_collector.stats.view import NumericView


def wasserstein_distance(reference: NumericView, current: NumericView) -> float:
    """Area between the two cdfs, in reference standard deviations, from 0 to infinity.

    Without a reference spread, in the current one's; 0 when neither has any and the values agree, infinite otherwise.
    Off by at most the sketches' rank errors times the values' range. Source: Vallender (1974).
    """
    points = np.unique(np.concatenate((reference.values, current.values)))
    gaps = np.abs(reference.cdf(points) - current.cdf(points))[:-1]
    area = float((gaps * np.diff(points)).sum())
    unit = reference.sd if reference.variance > 0 else current.sd
    if area == 0:
        return 0.0
    return area / unit if math.isfinite(unit) and unit > 0 else math.inf


def sliced_wasserstein_distance(reference: Sequence[NumericView], current: Sequence[NumericView]) -> float:
    """Mean over the projections of their Wasserstein-1 distances, in standard deviations.

    Source: Bonneel et al. (2015), "Sliced and Radon Wasserstein barycenters of measures".
    """
    return float(np.mean([wasserstein_distance(r, c) for r, c in zip(reference, current, strict=True)]))
