"""Joint drift: features that no longer move together as in the reference, whether or not each by itself has changed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from modelward_agent.profile import Profile
from modelward_collector.checks.drift_reference import PreparedReference
from modelward_collector.stats.correlation import PairChange, correlation_changes

SHARE = 0.1
"""What pairs get of the false alarm rate when both sides know how features move together."""

CONTRIBUTORS_MAX = 10

_RELATED = 0.1
"""Correlations nearer to 0 are told as none."""


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

    def contributors(self) -> list[dict[str, Any]]:
        """The pairs that changed most as JSON values, the largest effect first."""
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
            for pair in self.changed[:CONTRIBUTORS_MAX]
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
