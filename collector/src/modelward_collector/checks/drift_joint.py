"""Joint drift: features that no longer go together as in the reference, whether or not each by itself has changed.

First the correlation of every pair, then what correlations do not show: curves, spreads and products (see
`stats.dependence`), told only of features that no pair or simpler dependence among them was told of.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from modelward_agent.profile import CoMoments, Profile
from modelward_collector.checks.drift_dependence import RELATED, judged_terms, plainest, told
from modelward_collector.checks.drift_measure import Measure
from modelward_collector.checks.drift_reference import PreparedReference
from modelward_collector.span import Span
from modelward_collector.stats.correlation import PairChange, correlation_changes
from modelward_collector.stats.dependence import DependenceChange
from modelward_collector.stats.normal import rows_to_show

SHARE = 0.1
"""What pairs get of the false alarm rate when both sides know how features move together."""

DEPENDENCE_SHARE = 0.5
"""What dependence beyond correlations gets of that."""

CONTRIBUTORS_MAX = 10

_LEAST_VARIANCE = 1e-3
"""Of pairs that are all but equal; what steps vary more than this is learned from them."""


@dataclass(frozen=True, slots=True)
class JointChange:
    """Every judged pair, the most significant first, and those that changed at the false alarm rate.

    `terms` are the judged dependences beyond correlations and `otherwise` those that changed, in the same orders.
    `rate` is that of pairs, or of terms where only those changed.
    """

    pairs: tuple[PairChange, ...]
    changed: tuple[PairChange, ...]
    terms: tuple[DependenceChange, ...]
    otherwise: tuple[DependenceChange, ...]
    rate: float

    @property
    def drifts(self) -> bool:
        """Whether any pair or dependence changed."""
        return bool(self.changed or self.otherwise)

    @property
    def leading(self) -> PairChange | DependenceChange:
        """The pair that changed most, else the dependence that did, or when none did the pair nearest to its floor.

        Of thousands of terms one is always far off by chance: what did not change is told by its pairs.
        """
        if self.drifts:
            return self.changed[0] if self.changed else self.otherwise[0]
        if self.pairs:
            return max(self.pairs, key=lambda pair: pair.effect / pair.floor)
        return max(self.terms, key=lambda term: term.effect / term.floor)

    @property
    def leading_names(self) -> tuple[str, ...]:
        """The two or three features of the leading one."""
        leading = self.leading
        return (leading.a, leading.b) if isinstance(leading, PairChange) else leading.names

    @property
    def p(self) -> float:
        """The smallest p-value, adjusted for the number of pairs or terms."""
        return min(one[0].p for one in (self.pairs, self.terms) if one)

    @property
    def rows_needed(self) -> int:
        """Rows of a window in which a change like the leading one is found 95 times of 100; at most its own."""
        rows = self.leading.rows
        return min(rows, rows_to_show(self.leading.p, self.rate, rows) or rows)

    def message(self) -> str:
        """One line on what changed: `amount and income moved together in the reference (r = 0.62) and no longer do`."""
        if not self.drifts:
            return "features move together as in the reference"
        said = []
        if self.changed:
            said.append(_said(self.changed[0]))
            if others := len(self.changed) - 1:
                said.append(f"and {others} more pair{'s' if others > 1 else ''}")
        if self.otherwise:
            said.append(told(self.otherwise[0]))
            if others := len(self.otherwise) - 1:
                said.append(f"and {others} more that depend{'s' if others == 1 else ''} otherwise")
        return "; ".join(said)

    @property
    def named(self) -> tuple[PairChange, ...]:
        """The pairs that changed most, the largest effect first."""
        return self.changed[:CONTRIBUTORS_MAX]

    @property
    def terms_named(self) -> tuple[DependenceChange, ...]:
        """The dependences that changed most, the largest effect first."""
        return self.otherwise[:CONTRIBUTORS_MAX]

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
    reference: PreparedReference, current: Profile, span: Span, ignored: Collection[str], rate: float
) -> JointChange | None:
    """Compare how features move together; None when one side does not know it or no pair has enough rows.

    When nothing has changed, the chance that any pair is said to have is at most `rate`.
    """
    known = reference.joint(span)
    if known is None or current.joint is None:
        return None
    terms = judged_terms(reference, current, span, ignored)
    own = rate * DEPENDENCE_SHARE if terms else 0.0
    pairs = correlation_changes(known, current.joint, ignored, reference.joint_scatter(span))
    if not pairs and not terms:
        return None
    changed = sorted((pair for pair in pairs if pair.p <= rate - own), key=lambda pair: (-pair.effect, pair.a, pair.b))
    otherwise = plainest([term for term in terms if term.p <= own], [{pair.a, pair.b} for pair in changed])
    of_leading = own if otherwise and not changed else rate - own
    return JointChange(tuple(pairs), tuple(changed), tuple(terms), tuple(otherwise), of_leading)


def measure_of_pair(
    pair: PairChange, reference: PreparedReference, current: Profile, span: Span, drifting: Collection[str]
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
    before, after = (side.over(names) for side in (reference.joint(span) or CoMoments(), current.joint or CoMoments()))
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

    process = reference.joint_scatter(span).get(names, 0.0) * (1 - pair.reference**2)
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
    if abs(r) < RELATED:
        return f"{both} were unrelated in the reference {before} and now {move} {after}"
    if abs(s) < RELATED:
        return f"{both} {moved} in the reference {before} and no longer do {after}"
    if r * s < 0:
        return f"{both} {moved} in the reference {before} and now {move} {after}"
    return f"{both} {move} {'more' if abs(s) > abs(r) else 'less'} than in the reference {before}: now {after}"
