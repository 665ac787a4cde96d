"""Do two features still move together? Tests of every pair's correlation, from co-moments alone."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from modelward_agent.profile import CoMoments
from modelward_collector.stats.combine import benjamini_hochberg
from modelward_collector.stats.effect import FLOOR, normal_scale_distances
from modelward_collector.stats.scatter import ALLOWED_SDS, WINDOWS_MIN, process_sd

ROWS_MIN = 200
"""Pairs that fewer rows have in common are not judged: p-values of one in a million do not hold for them."""

CHANGE_FLOOR = 0.1
"""Correlations that moved by less are trivial: near 1 the scaled effect alone is too strict."""

CARRIED_BY_FEW = 1 / 16
"""Where the product of two kurtoses is a larger share of the rows, few rows carry the correlation: not judged."""

SHARED_SCALE = 1.2
"""Variance allowed for rows whose features are wide and narrow together, where the kurtoses do not rule it out."""

_R_MAX = 0.9999
"""Beyond it rounding decides."""

Values = NDArray[np.float64]
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class PairChange:
    """How the correlation of features `a` < `b` changed: `effect` and its `floor` in [0, 1].

    The correlations are of squashed values (`modelward_agent.profile.comoments`), `rows` those of the current side.
    `p` is adjusted for the number of pairs, and 1 where the change is trivial.
    """

    a: str
    b: str
    reference: float
    current: float
    rows: int
    effect: float
    floor: float
    p: float


def correlation_changes(
    reference: CoMoments,
    current: CoMoments,
    ignored: Collection[str] = (),
    scatter: Mapping[Pair, float] | None = None,
) -> list[PairChange]:
    """Compare the correlation of every pair that both sides know, the most significant first; empty when none can be.

    Fisher's z = atanh(r) of both sides differ by a normal deviate whose variance is that of normal rows, 1 / (n - 3),
    times an allowance for rows that are not (`variance_factor`), plus the square of `scatter`, by pair the standard
    deviation of the reference's own windows. Adjusted over pairs by Benjamini and Hochberg: when nothing has changed,
    the chance that any p is at most q is at most q.

    The effect is that of the variance which the sum or the difference of the two, standardised, gained or lost: the
    Jensen-Shannon distance of two normal distributions with variances 1 + r or 1 - r.
    """
    names = sorted({*reference.names} & {*current.names} - {*ignored})
    before, after = reference.over(names), current.over(names)
    kurtosis = np.maximum(before.kurtosis(), after.kurtosis())
    i, j = np.triu_indices(len(names), 1)
    n, m, few = before.n[i, j], after.n[i, j], kurtosis[i] * kurtosis[j]
    rows = np.minimum(n, m)
    r, s = before.correlation()[i, j], after.correlation()[i, j]
    # NaN compares false: what overflowed or has no spread is not judged.
    judged = (rows >= ROWS_MIN) & (few <= CARRIED_BY_FEW * rows) & np.isfinite(r) & np.isfinite(s)
    i, j = i[judged], j[judged]
    n, m, few, r, s = (values[judged] for values in (n, m, few, r, s))
    pairs = [(names[a], names[b]) for a, b in zip(i.tolist(), j.tolist(), strict=True)]
    known = scatter or {}
    process = np.array([known.get(pair, 0.0) for pair in pairs], dtype=np.float64)
    r, s = np.clip(r, -_R_MAX, _R_MAX), np.clip(s, -_R_MAX, _R_MAX)
    sampling = variance_factor((n * r + m * s) / (n + m), np.sqrt(few)) * (1 / (n - 3) + 1 / (m - 3))
    z = np.arctanh(s) - np.arctanh(r)
    p = special.erfc(np.abs(z) / np.sqrt(2 * (sampling + process**2)))
    effect, floor = _effect(r, s, sampling, process)
    counted = np.where((effect <= floor) | (np.abs(s - r) < CHANGE_FLOOR), 1.0, p)
    columns = (r, s, m, effect, floor, benjamini_hochberg(counted.tolist()))
    changes = [
        PairChange(a, b, before_r, after_r, int(both), size, least, adjusted)
        for (a, b), before_r, after_r, both, size, least, adjusted in zip(
            pairs, *(column.tolist() for column in columns), strict=True
        )
    ]
    return sorted(changes, key=lambda change: (change.p, -change.effect))


def variance_factor(r: Values, kurtosis: Values) -> Values:
    """By how much the sampling variance of Fisher's z may exceed that of normal rows; all of one shape.

    It depends on fourth moments of the pair, of which only each feature's own kurtosis is known (`kurtosis` is the
    geometric mean of both). So the largest of three models is taken: unrelated features that share a moderately varying
    scale (1.2, or the kurtosis, which bounds it); elliptical rows (kurtosis / 3); and rows of which a share |r| has
    equal values and the rest independent ones, the usual formula (Browne, 1984) with m22 = |r| k + 1 - |r| and
    m31 = m13 = |r| k, which is near the truth for discrete features and above it for others.
    """
    q = np.abs(r)
    m22 = q * kurtosis + 1 - q
    alike = m22 * (1 + q * q / 2) + q * q * kurtosis / 2 - 2 * q * q * kurtosis
    answer: Values = np.maximum(np.maximum(np.minimum(kurtosis, SHARED_SCALE), kurtosis / 3), alike / (1 - q * q) ** 2)
    return answer


def _effect(r: Values, s: Values, sampling: Values, process: Values) -> tuple[Values, Values]:
    """Effects without what chance adds, and their floors."""
    effect, floor = np.zeros_like(r), np.full_like(r, FLOOR)
    for sign in (1, -1):
        log_ratio = np.log((1 + sign * s) / (1 + sign * r))
        # From the variance of z to that of the log of 1 ± r: dr/dz = (1 + r)(1 - r).
        slope = np.maximum(1 - sign * r, 1 - sign * s)
        debiased = np.sqrt(np.maximum(0.0, log_ratio**2 - slope**2 * sampling))
        effect = np.maximum(effect, normal_scale_distances(debiased))
        floor = np.maximum(floor, normal_scale_distances(ALLOWED_SDS * slope * process))
    return effect, floor


def correlation_scatter(reference: CoMoments, windows: Sequence[CoMoments], level: float) -> dict[Pair, float]:
    """How much windows' Fisher z differ beyond sampling noise: a standard deviation by pair, only those above 0.

    `level` is the error probability that one pair may use. Empty from fewer than three windows.
    """
    names = reference.names
    if len(windows) < WINDOWS_MIN or len(names) < 2:
        return {}
    aligned = [window.over(names) for window in windows]
    i, j = np.triu_indices(len(names), 1)
    kurtosis = reference.kurtosis()
    centre = np.clip(reference.correlation()[i, j], -_R_MAX, _R_MAX)
    factor = variance_factor(centre, np.sqrt(kurtosis[i] * kurtosis[j]))
    z = np.arctanh(np.clip([window.correlation()[i, j] for window in aligned], -_R_MAX, _R_MAX))
    n = np.array([window.n[i, j] for window in aligned])
    variances = np.where(n >= ROWS_MIN, factor / np.maximum(n - 3, 1.0), math.nan)
    found = {}
    for index in np.flatnonzero(np.isfinite(centre)).tolist():
        sd = process_sd(z[:, index], variances[:, index], float(np.arctanh(centre[index])), level)
        if sd > 0:
            found[names[i[index]], names[j[index]]] = sd
    return found
