"""Tests of two tables of category counts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from modelward_agent.profile import CategoricalSketch
from modelward_collector.stats.effect import FLOOR
from modelward_collector.stats.homogeneity import EXPECTED_MIN, chi_squared_p, homogeneity
from modelward_collector.stats.jensen_shannon import PER_CHI_SQUARED, jensen_shannon_distance, without_noise
from modelward_collector.stats.outcome import NOT_APPLICABLE, Outcome
from modelward_collector.stats.psi import psi
from modelward_collector.stats.shares import share_test

EXACT_CANDIDATES = 8
"""Categories whose share moved most, in standard errors, get the exact test; the rest cannot have a smaller p-value."""


@dataclass(frozen=True, slots=True, eq=False)
class CategoryView:
    """`n` rows and how many of each kept category; a count may be too high by `error`, absent ones are at most it."""

    n: int
    counts: Mapping[str, int]
    error: int = 0

    @classmethod
    def of(cls, sketch: CategoricalSketch) -> CategoryView:
        """Unfold a sketch."""
        return cls(sketch.n, sketch.counts(), sketch.error)

    @property
    def shares(self) -> dict[str, float]:
        """Each kept category's share of the rows."""
        return {name: count / self.n for name, count in self.counts.items()} if self.n else {}


@dataclass(frozen=True, slots=True)
class CategoryScatter:
    """How the reference's own windows vary beyond sampling noise; zeros when not known.

    `shares` have the standard deviations of categories' shares, of any other category it is `other`. Where rows come in
    clusters counts have `design` times chance's variance.
    """

    distance: float = 0.0
    shares: Mapping[str, float] = field(default_factory=dict)
    other: float = 0.0
    design: float = 1.0

    def share(self, name: str) -> float:
        """The standard deviation of a category's share."""
        return max(self.other, self.shares.get(name, 0.0))


def aligned(
    reference: CategoryView, current: CategoryView
) -> tuple[list[str], NDArray[np.float64], NDArray[np.float64]]:
    """Names (k,) and counts (k + 1,) of both over the same categories, the last cell being what no sketch kept."""
    names = list(dict.fromkeys((*reference.counts, *current.counts)))
    return names, _with_rest(reference, names), _with_rest(current, names)


def category_tests(
    reference: CategoryView,
    current: CategoryView,
    scatter: CategoryScatter | None = None,
    floor: float = FLOOR,
) -> tuple[Outcome, ...]:
    """`chi_squared`, `linf` (the one category that moved most), `psi` and `js`; the last two without a p-value.

    `chi_squared` is approximate, with small cells pooled. `linf` is exact for each category (hypergeometric), with
    Bonferroni's correction for the categories of at least five rows (none for two: one is the rest of the other);
    its `value` is the largest difference of shares (L-infinity).
    """
    scatter = scatter or CategoryScatter()
    if reference.n == 0 or current.n == 0:
        nothing = (Outcome(name, 0.0, NOT_APPLICABLE, 0.0, floor) for name in ("chi_squared", "linf"))
        return tuple(nothing)
    names, r, c = aligned(reference, current)
    then, now = frequent(r, c)
    errors = (float(reference.error), float(current.error))
    statistic, freedom = homogeneity(then, now, errors=errors)
    noise = 1 / reference.n + 1 / current.n
    statistic /= scatter.design
    noise *= scatter.design
    p = chi_squared_p(statistic, freedom, scatter.distance**2 / (PER_CHI_SQUARED * noise))
    distance = jensen_shannon_distance(then, now)
    effect = without_noise(distance, freedom, noise)
    if any(errors):  # counts of full sketches: only what their error does not explain
        effect = min(effect, math.sqrt(PER_CHI_SQUARED * max(0.0, statistic - freedom) * noise))
    learned = max(floor, scatter.distance)
    return (
        Outcome("chi_squared", statistic, p, effect, learned),
        _largest(names, reference, current, r, c, scatter, floor),
        Outcome("psi", psi(then, now), None, effect, learned),
        Outcome("js", distance, None, effect, learned),
    )


def frequent(
    reference: NDArray[np.float64], current: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Counts (k + 1,) of the categories that expect five rows on both sides; the last cell holds all others.

    Rare names are new and gone in every window and say nothing; so are those that a full sketch did not keep.
    """
    smaller = min(reference.sum(), current.sum()) / (reference.sum() + current.sum())
    kept = (reference + current) * smaller >= EXPECTED_MIN
    kept[-1] = False
    return (
        np.append(reference[kept], reference[~kept].sum()),
        np.append(current[kept], current[~kept].sum()),
    )


def two_in_all(reference: CategoryView, current: CategoryView) -> bool:
    """Whether both sides together have at most two categories, each counted exactly: one share tells everything."""
    return reference.error == 0 and current.error == 0 and len({*reference.counts, *current.counts}) <= 2


def new_categories(reference: CategoryView, current: CategoryView) -> list[str]:
    """Categories that the reference has not seen, most frequent first; not those it may have seen and not kept."""
    return _only_in(current, reference)


def vanished_categories(reference: CategoryView, current: CategoryView) -> list[str]:
    """Categories of the reference that did not come, most frequent first, when at least five rows were expected."""
    expected = EXPECTED_MIN / current.n if current.n else math.inf
    return [name for name in _only_in(reference, current) if reference.counts[name] / reference.n >= expected]


def _only_in(here: CategoryView, there: CategoryView) -> list[str]:
    if there.n == 0:
        return []
    hidden = there.error / there.n * here.n
    only = [name for name, count in here.counts.items() if name not in there.counts and count - here.error > hidden]
    return sorted(only, key=lambda name: (-here.counts[name], name))


def _with_rest(view: CategoryView, names: list[str]) -> NDArray[np.float64]:
    counts = np.array([view.counts.get(name, 0) for name in names] + [0], dtype=np.float64)
    counts[-1] = max(0.0, view.n - counts.sum())
    return counts


def _largest(
    names: list[str],
    reference: CategoryView,
    current: CategoryView,
    r: NDArray[np.float64],
    c: NDArray[np.float64],
    scatter: CategoryScatter,
    floor: float,
) -> Outcome:
    n, m = reference.n, current.n
    r, c = r[:-1], c[:-1]
    judged = np.flatnonzero(r + c >= EXPECTED_MIN)
    if len(judged) == 0:
        return Outcome("linf", 0.0, NOT_APPLICABLE, 0.0, floor)
    pooled = (r + c) / (n + m)
    gap = c / m - r / n
    se = np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m) + np.array([scatter.share(x) ** 2 for x in names]))
    z = np.divide(np.abs(gap), se, out=np.zeros_like(gap), where=se > 0)
    largest = judged[np.argsort(-z[judged])[:EXACT_CANDIDATES]]
    two = two_in_all(reference, current)
    if two:  # named by the rarer, whose change says more
        largest = judged[np.argsort(pooled[judged], kind="stable")[:1]]
    outcomes = [
        share_test(
            "linf",
            (int(r[i]), n),
            _shrunk(int(c[i]), m, r[i] / n * m, current.error + reference.error * m / n),
            scatter.share(names[i]),
            floor,
            names[i],
        )
        for i in largest
    ]
    best = min(outcomes, key=lambda outcome: (outcome.counted_p, outcome.p or 0.0, -outcome.effect))
    p = min(1.0, (best.p or 0.0) * (1 if two else len(judged)))
    return Outcome("linf", best.value, p, best.effect, best.floor, best.subject)


def _shrunk(count: int, rows: int, expected: float, error: float) -> tuple[int, int]:
    """The count moved towards what is expected by as much as it may be wrong."""
    gap = count - expected
    if abs(gap) <= error:
        return round(expected), rows
    return min(rows, max(0, round(count - math.copysign(error, gap)))), rows
