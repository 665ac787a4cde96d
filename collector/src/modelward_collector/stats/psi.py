"""Population stability index on the reference's deciles, and the chi-squared test that goes with it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from modelward_agent.profile.numeric import as_single, unlike
from modelward_collector.stats.effect import FLOOR
from modelward_collector.stats.homogeneity import chi_squared_p, homogeneity
from modelward_collector.stats.jensen_shannon import PER_CHI_SQUARED, jensen_shannon_distance, without_noise
from modelward_collector.stats.outcome import Outcome
from modelward_collector.stats.view import NumericView, alike, difference_noise

DECILES = np.linspace(0.1, 0.9, 9)


def psi(reference: NDArray[np.float64], current: NDArray[np.float64]) -> float:
    """Population stability index of two rows of counts over the same bins, in nats, from 0 to infinity.

    An empty bin counts as half a row. Source: Yurdakul (2018), "Statistical properties of population stability index".
    """
    r, c = np.maximum(reference, 0.5), np.maximum(current, 0.5)
    p, q = r / reference.sum(), c / current.sum()
    return float(((q - p) * np.log(q / p)).sum())


def decile_edges(reference: NumericView) -> NDArray[np.float64]:
    """Upper edges of all bins but the last, ascending, at most 18: the deciles, and apart each value that fills a bin.

    A value on which two deciles fall (a zero, a default) gets a bin of its own. Needs n > 0.
    """
    values, counts = np.unique(reference.quantiles(DECILES), return_counts=True)
    atoms = values[(counts > 1) | (values == reference.values[0])]
    below = np.nextafter(as_single(atoms).astype(np.float32), np.float32(-np.inf)).astype(np.float64)
    before = np.concatenate(([-np.inf], reference.values))[np.searchsorted(reference.values, atoms)]
    below = np.where(below > before, below, np.nextafter(atoms, -np.inf))  # the value before is less than float32 tells
    return np.unique(np.concatenate((values, below)))


def bin_shares(view: NumericView, edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of rows in each bin between the edges, shape (edges + 1,)."""
    shares: NDArray[np.float64] = np.diff(view.cdf(edges), prepend=0.0, append=1.0)
    return shares


def psi_test(
    reference: NumericView,
    current: NumericView,
    edges: NDArray[np.float64],
    process_distance: float = 0.0,
    floor: float = FLOOR,
) -> tuple[Outcome, Outcome]:
    """The index and the Jensen-Shannon distance on the same bins; one p-value, with the first.

    Approximate: chi-squared on the bins' counts, the sketches' error counted as that of a smaller sample.
    `process_distance` is the distance at which the reference's own windows lie beyond sampling noise; the null
    hypothesis allows it (non-central chi-squared).
    """
    if unlike(reference.rounded, current.rounded):
        reference, current = alike(reference, current)
        edges = np.unique(as_single(edges))
    r = bin_shares(reference, edges) * reference.n
    c = bin_shares(current, edges) * current.n
    noise = difference_noise(reference, current)
    statistic, freedom = homogeneity(r, c, reference.noise + current.noise)
    p = chi_squared_p(statistic, freedom, process_distance**2 / (PER_CHI_SQUARED * noise))
    distance = jensen_shannon_distance(r, c)
    effect = without_noise(distance, freedom, noise)
    floor = max(floor, process_distance)
    return Outcome("psi", psi(r, c), p, effect, floor), Outcome("js", distance, None, effect, floor)
