"""Features that depend on each other otherwise than in the reference although no correlation between them changed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from modelward_agent.profile import Dependence, Profile
from modelward_collector.checks.drift_measure import Measure
from modelward_collector.checks.drift_reference import PreparedReference
from modelward_collector.span import Span
from modelward_collector.stats.dependence import DependenceChange, dependence_changes, row_mean, row_variance

RELATED = 0.1
"""Correlations nearer to 0 are told as none."""


def judged_terms(
    reference: PreparedReference, current: Profile, span: Span, ignored: Collection[str]
) -> list[DependenceChange]:
    """Every term that both sides know, the most significant change first; empty when one side knows none."""
    if current.dependence is None or (known := reference.dependence(span)) is None:
        return []
    return dependence_changes(known, current.dependence, ignored, reference.dependence_scatter(span))


def plainest(changed: Sequence[DependenceChange], told_of: Sequence[Collection[str]]) -> list[DependenceChange]:
    """The largest effects first; none whose features have among them what was told already: it shows there too."""
    known = [{*names} for names in told_of]
    found = []
    for one in sorted(changed, key=lambda one: (len(one.names), -one.effect, one.term)):
        names = {*one.names}
        if not any(some <= names for some in known):
            known.append(names)
            found.append(one)
    return sorted(found, key=lambda one: (-one.effect, one.term))


def told(one: DependenceChange) -> str:
    """`x, y and z no longer depend on each other as in the reference (z and the product of x and y: r = 0.92 …)`."""
    *first, last = one.names
    how = "depend on each other otherwise than in the reference"
    if abs(one.reference) < RELATED:
        how = "depend on each other and did not in the reference"
    elif abs(one.current) < RELATED:
        how = "no longer depend on each other as in the reference"
    return f"{', '.join(first)} and {last} {how} ({_what(one)}: r = {one.reference:.2f}, now {one.current:.2f})"


def _what(one: DependenceChange) -> str:
    (a, b), on = one.term
    if a != b:
        return f"{on[0]} and the product of {a} and {b}"
    return f"{on[0]} and the square of {a}" if len(on) == 1 else f"the squares of {a} and {on[0]}"


def to_json(changed: Sequence[DependenceChange]) -> list[dict[str, Any]]:
    """As JSON values: `of` two features multiplied, `on` the other."""
    return [
        {
            "features": list(one.names),
            "of": list(one.term[0]),
            "on": list(one.term[1]),
            "what": _what(one),
            "reference": one.reference,
            "current": one.current,
            "effect": one.effect,
            "p": one.p,
            "rows": one.rows,
        }
        for one in changed
    ]


def measure_of_term(
    one: DependenceChange, reference: PreparedReference, current: Profile, span: Span, drifting: Collection[str]
) -> Measure[Profile]:
    """What to follow of a dependence: how much a row adds to its correlation; see `drift_joint.measure_of_pair`.

    Where one of its features is among the `drifting` it is standardised as now, and the reference's level is not used.
    """
    before, after = reference.dependence(span) or Dependence(), current.dependence or Dependence()
    moved = not {*one.names}.isdisjoint(drifting)
    origin = (after if moved else before).over(one.names)
    k = (one.reference + one.current) / 2
    variance = max(row_variance(before, one.term, one.reference, k), row_variance(after, one.term, one.current, k))

    def read(profile: Profile) -> tuple[float, float]:
        if profile.dependence is None:
            return 0.0, 0.0
        value, rows = row_mean(profile.dependence, one.term, origin, k)
        return value, rows / variance

    scatter: Mapping[Any, float] = reference.dependence_scatter(span)
    known = 0.0 if moved else 1 / (variance / before.n + scatter.get(one.term, 0.0) ** 2)
    return Measure(read, (one.reference - k, known))
