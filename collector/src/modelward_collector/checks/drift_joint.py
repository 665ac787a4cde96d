"""Joint drift: features that no longer move together as in the reference, whether or not each by itself has changed."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np

from modelward_agent.profile import CoMoments, Profile
from modelward_collector.checks.drift_measure import Measure
from modelward_collector.checks.drift_reference import PreparedReference
from modelward_collector.stats.correlation import PairChange, correlation_changes

SHARE = 0.1
"""What pairs get of the false alarm rate when both sides know how features move together."""

CONTRIBUTORS_MAX = 10

_RELATED = 0.1
"""Correlations nearer to 0 are told as none."""

_LEAST_VARIANCE = 1e-3
"""Of pairs that are all but equal; what steps vary more than this is learned from them."""


@dataclass(frozen=True, slots=True)
class JointChange:
    """Every judged pair, the most significant first, and those that changed at the false alarm rate."""

    pairs: tuple[PairChange, ...]
    changed: tuple[PairChange, ...]

    @property
    def drifts(self) -> bool:
        """Whether any pair changed."""
        return bool(self.changed)

    @property
    def leading(self) -> PairChange:
        """The pair that changed most, or when none did the one that came nearest to its floor."""
        if self.changed:
            return self.changed[0]
        return max(self.pairs, key=lambda pair: pair.effect / pair.floor)

    def message(self) -> str:
        """One line on what changed: `amount and income moved together in the reference (r = 0.62) and no longer do`."""
        if not self.changed:
            return "features move together as in the reference"
        others = len(self.changed) - 1
        more = f"; and {others} more pair{'s' if others > 1 else ''}" if others else ""
        return _said(self.leading) + more

    @property
    def named(self) -> tuple[PairChange, ...]:
        """The pairs that changed most, the largest effect first."""
        return self.changed[:CONTRIBUTORS_MAX]

    def contributors(self) -> list[dict[str, Any]]:
        """The named pairs as JSON values."""
        return [
            {
                "a": pair.a,
                "b": pair.b,
                "reference": pair.reference,
                "current": pair.current,
                "effect": pair.effect,
                "p": pair.p,
                "rows": pair.rows,
            }
            for pair in self.named
        ]


def joint_change(
    reference: PreparedReference, current: Profile, length: timedelta, ignored: Collection[str], rate: float
) -> JointChange | None:
    """Compare how features move together; None when one side does not know it or no pair has enough rows.

    When nothing has changed, the chance that any pair is said to have is at most `rate`.
    """
    known = reference.total.joint
    if known is None or current.joint is None:
        return None
    pairs = correlation_changes(known, current.joint, ignored, reference.joint_scatter(length))
    if not pairs:
        return None
    changed = sorted((pair for pair in pairs if pair.p <= rate), key=lambda pair: (-pair.effect, pair.a, pair.b))
    return JointChange(tuple(pairs), tuple(changed))


def measure_of_pair(
    pair: PairChange, reference: PreparedReference, current: Profile, length: timedelta, drifting: Collection[str]
) -> Measure[Profile]:
    """What to follow of a pair: how much a row adds to its correlation.

    Of standardised values u and v it is uv - k (u² + v²) / 2, whose mean moves from r - k to s - k when the correlation
    does from r to s. With k between both, (r + s) / 2, far less of it is chance than of the product alone where
    correlations are high, and a feature that gets wider by itself moves it little. With k = r it is the influence
    function of the correlation (Devlin, Gnanadesikan and Kettenring, 1975).

    Where a feature of the pair is among the `drifting`, values are standardised as they are now, and what the level was
    in the reference is not known: it is of rows that are elsewhere.
    """
    names = (pair.a, pair.b)
    before, after = (side.over(names) for side in (reference.total.joint or CoMoments(), current.joint or CoMoments()))
    moved = not {*names}.isdisjoint(drifting)
    origin = after if moved else before
    x, y = origin.mean[0, 1], origin.mean[1, 0]
    xx, yy = (float(m2 / origin.n[0, 1]) for m2 in (origin.m2[0, 1], origin.m2[1, 0]))
    k = (pair.reference + pair.current) / 2
    variance = max(_row_variance(pair.reference, before, k), _row_variance(pair.current, after, k))

    def read(profile: Profile) -> tuple[float, float]:
        joint = profile.joint
        if joint is None or pair.a not in joint.names or pair.b not in joint.names:
            return 0.0, 0.0
        i, j = joint.names.index(pair.a), joint.names.index(pair.b)
        n = joint.n[i, j]
        if not n:
            return 0.0, 0.0
        dx, dy = joint.mean[i, j] - x, joint.mean[j, i] - y
        product = (joint.cross[i, j] / n + dx * dy) / math.sqrt(xx * yy)
        squares = (joint.m2[i, j] / n + dx * dx) / xx + (joint.m2[j, i] / n + dy * dy) / yy
        return float(product - k * squares / 2), float(n / variance)

    process = reference.joint_scatter(length).get(names, 0.0) * (1 - pair.reference**2)
    known = 0.0 if moved else 1 / (variance / before.n[0, 1] + process**2)
    return Measure(read, (pair.reference - k, known))


def _row_variance(r: float, side: CoMoments, k: float) -> float:
    """Of one row's uv - k (u² + v²) / 2, where a share |r| of rows has equal values and the rest independent ones.

    That is Gaussian rows' or more, and discrete rows' own. See `stats.correlation.variance_factor`.
    """
    kurtosis = max(1.0, float(np.sqrt(np.prod(side.kurtosis()))))
    square = abs(r) * kurtosis + 1 - abs(r)  # E u²v²
    found = square - r * r + k * k * ((kurtosis + square) / 2 - 1) - 2 * k * r * (kurtosis - 1)
    return max(found, _LEAST_VARIANCE)


def _said(pair: PairChange) -> str:
    both, r, s = f"{pair.a} and {pair.b}", pair.reference, pair.current
    before, after = f"(r = {r:.2f})", f"({s:.2f})"
    moved = "moved together" if r > 0 else "moved against each other"
    move = "move together" if s > 0 else "move against each other"
    if abs(r) < _RELATED:
        return f"{both} were unrelated in the reference {before} and now {move} {after}"
    if abs(s) < _RELATED:
        return f"{both} {moved} in the reference {before} and no longer do {after}"
    if r * s < 0:
        return f"{both} {moved} in the reference {before} and now {move} {after}"
    return f"{both} {move} {'more' if abs(s) > abs(r) else 'less'} than in the reference {before}: now {after}"
