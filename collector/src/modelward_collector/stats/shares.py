"""Exact comparison of two shares: missing values, zeros, one category."""

from __future__ import annotations

import math

import numpy as np

from modelward_collector.stats.effect import FLOOR, share_distance, share_is_trivial
from modelward_collector.stats.normal import two_sided
from modelward_collector.stats.outcome import NOT_APPLICABLE, Outcome
from modelward_collector.stats.scatter import ALLOWED_SDS

_NEGLIGIBLE_SD = 12
"""Terms of a tail this many standard deviations away from its largest do not change it."""


def hypergeometric_p(hits_reference: int, reference: int, hits_current: int, current: int) -> float:
    """Two-sided p-value of equal shares (Fisher, 1935): twice the smaller tail, given the total of hits."""
    hits, rows = hits_reference + hits_current, reference + current
    expected = hits * current / rows
    upper = hits_current > expected
    # The lower tail of one sample is the upper tail of the other.
    x, n = (hits_current, current) if upper else (hits_reference, reference)
    spread = math.sqrt(max(1.0, hits * (1 - hits / rows) * current * reference / (rows * max(rows - 1, 1))))
    last = min(hits, n, int(x + _NEGLIGIBLE_SD * spread) + 50)
    terms = np.arange(x, last, dtype=np.float64)
    ratios = (hits - terms) * (n - terms) / ((terms + 1) * (rows - hits - n + terms + 1))
    tail = 1.0 + float(np.cumprod(ratios).sum())
    log_first = _log_choose(hits, x) + _log_choose(rows - hits, n - x) - _log_choose(rows, n)
    return min(1.0, 2 * math.exp(min(0.0, log_first + math.log(tail))))


def share_test(
    name: str,
    reference: tuple[int, int],
    current: tuple[int, int],
    process_sd: float = 0.0,
    floor: float = FLOOR,
    subject: str | None = None,
) -> Outcome:
    """Compare (hits, rows) of both sides; `value` is the difference of the shares, in [-1, 1].

    What is too small to matter (`share_is_trivial`) has no effect; everything that is a share is judged here, and hits
    and misses give the same answer. `process_sd` is the standard deviation of windows' shares beyond sampling noise.
    """
    (x, n), (y, m) = reference, current
    if n == 0 or m == 0 or x + y in (0, n + m):
        return Outcome(name, 0.0, NOT_APPLICABLE, 0.0, floor, subject)
    p, q = x / n, y / m
    if share_is_trivial(p, q, m):
        return Outcome(name, q - p, hypergeometric_p(x, n, y, m), 0.0, floor, subject)
    pooled = (x + y) / (n + m)
    sampling = pooled * (1 - pooled) * (1 / n + 1 / m)
    exact = hypergeometric_p(x, n, y, m)
    if process_sd > 0:
        edge = p + math.copysign(ALLOWED_SDS * process_sd, q - p)
        floor = max(floor, share_distance(p, min(1.0, max(0.0, edge))))
        exact = max(exact, two_sided((q - p) / math.sqrt(sampling + process_sd**2)))
    effect = share_distance(p, q) * math.sqrt(max(0.0, 1 - sampling / (q - p) ** 2))
    return Outcome(name, q - p, exact, effect, floor, subject)


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
