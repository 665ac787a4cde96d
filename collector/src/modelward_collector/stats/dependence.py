"""Do features still depend on each other beyond their correlations? From co-moments of third and fourth order.

Three kinds of terms are correlated, of squashed values (`modelward_agent.profile.comoments`) about their means:

* x² with y: one is a curve of the other (y = x²);
* x² with y²: both are wide in the same rows, or one is where the other is narrow (a circle);
* xy with z: any two may be unrelated, the three are not (z = sign(xy)).

Of a square only what a straight line through the feature itself does not explain is taken, so that a skewed feature's
ordinary correlations do not count again.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special

from modelward_agent.profile import Dependence
from modelward_agent.profile.dependence import layout
from modelward_collector.stats.combine import benjamini_hochberg
from modelward_collector.stats.correlation import CARRIED_BY_FEW, CHANGE_FLOOR, ROWS_MIN
from modelward_collector.stats.effect import FLOOR, normal_scale_distances
from modelward_collector.stats.scatter import ALLOWED_SDS, WINDOWS_MIN, process_sd

PRESENT_MIN = 0.5
"""Features with values in a smaller share of the rows are not judged: a gap counts as the mean."""

PRESENT_MOVED = 0.1
"""Nor are those of which so much more is missing on one side: that alone changes how they depend on others."""

_CURVED = 0.02
"""Where a straight line leaves less than this share of x² (two values, as true and false), x² is x itself: what is left
is rounding, which is the larger the rarer one of them is."""

_KURTOSIS, _SQUARE_KURTOSIS = 3.0, 9.0
"""At least assumed of a feature, and always of its square, whose own is not known."""

_WIDE_TOGETHER = 16
"""The power of the mean of x²y² that the kurtosis of x⁴y⁴ grows with, where both share a lognormal scale."""

_LEAST_VARIANCE = 0.02
"""Of a row's share in a correlation: of what is all but certain something is rounded all the same."""

_R_MAX = 0.9999
"""Beyond it rounding decides."""

_LOOKED_AT_P = 0.1
"""Terms whose windows differ no more than this by chance add no scatter; see `stats.scatter.process_sd`."""

Values = NDArray[np.float64]
Indices = NDArray[np.intp]
Term = tuple[tuple[str, str], tuple[str, ...]]
"""What is multiplied, and what the product is correlated with: ((x, x), (y,)), ((x, x), (y, y)) or ((x, y), (z,))."""


@dataclass(frozen=True, slots=True)
class DependenceChange:
    """How the correlation of a term changed: `effect` and its `floor` in [0, 1].

    `reference` and `current` are correlations in [-1, 1], `rows` those that were looked at on the current side. `p` is
    adjusted for the number of terms, and 1 where the change is trivial.
    """

    term: Term
    reference: float
    current: float
    rows: int
    effect: float
    floor: float
    p: float

    @property
    def names(self) -> tuple[str, ...]:
        """The two or three features, sorted."""
        return tuple(sorted({*self.term[0], *self.term[1]}))


@dataclass(frozen=True, slots=True)
class _Places:
    """Indices of the features in every term: curves, spreads and triples, in all arrays one after the other."""

    curves: tuple[Indices, Indices]
    spreads: tuple[Indices, Indices]
    triples: tuple[Indices, Indices, Indices]
    triples_at: Indices
    """Of the triples, in `layout`."""

    def term(self, names: Sequence[str], index: int, lone: Indices) -> Term:
        """The term of that index."""
        x, y = self.curves
        if index < len(x):
            square, other = names[x[index]], names[y[index]]
            return (square, square), (other,)
        index -= len(x)
        x, y = self.spreads
        if index < len(x):
            square, other = names[x[index]], names[y[index]]
            return (square, square), (other, other)
        index -= len(x)
        three = [names[side[index]] for side in self.triples]
        alone = three.pop(int(lone[index]))
        return (three[0], three[1]), (alone,)


@lru_cache(maxsize=64)
def _places(p: int) -> _Places:
    i, j = np.nonzero(~np.eye(p, dtype=np.bool_))
    at = layout(p)
    of = np.flatnonzero((at.a < at.b) & (at.b < at.c))
    x, y = np.triu_indices(p, 1)
    return _Places((i, j), (x, y), (at.a[of], at.b[of], at.c[of]), of)


class _Side:
    """The moments of one side's standardised features, and what follows from them; NaN where there is no spread."""

    __slots__ = ("known", "kurtosis", "p", "product", "r", "squares", "third")

    def __init__(self, known: Dependence) -> None:
        self.known, self.p = known, len(known.names)
        at, places = layout(self.p), _places(self.p)
        second, self.third, fourth = known.standardised()
        self.r: Values = second[at.where_pair]
        self.squares: Values = fourth[at.where_pair]
        """Means of x²y²; on the diagonal kurtoses."""
        self.kurtosis: Values = self.squares.diagonal()
        a, b, c = places.triples
        variances = self.squares - self.r**2
        self.product: Values = np.array([variances[b, c], variances[a, c], variances[a, b]])
        """Variances of the product of a triple's other two, by which feature is alone, shape (3, triples)."""

    def lone(self) -> Indices:
        """Which of a triple's features the product of the others explains best, 0 to 2, shape (triples,)."""
        found: Indices = np.nan_to_num(self.product, nan=math.inf).argmin(axis=0)
        return found

    def correlations(self, lone: Indices) -> Values:
        """Correlations of all terms, shape (terms,), NaN where there is no spread, or no square beside the feature."""
        at, places, own = layout(self.p), _places(self.p), np.arange(self.p)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            skew = self.third[at.where_triple[own, own, own]]
            left = self.kurtosis - 1 - skew**2
            left = np.where(left > _CURVED * self.kurtosis, left, np.nan)
            bent = self.third[at.where_triple[own[:, np.newaxis], own[:, np.newaxis], own]]  # means of x²y
            i, j = places.curves
            curves = (bent[i, j] - skew[i] * self.r[i, j]) / np.sqrt(left[i])
            i, j = places.spreads
            spreads = self.squares[i, j] - 1 - skew[j] * bent[i, j] - skew[i] * bent[j, i]
            spreads = (spreads + skew[i] * skew[j] * self.r[i, j]) / np.sqrt(left[i] * left[j])
            product = np.take_along_axis(self.product, lone[np.newaxis], 0)[0]
            triples = self.third[places.triples_at] / np.sqrt(product)
            answer: Values = np.clip(np.concatenate((curves, spreads, triples)), -_R_MAX, _R_MAX)
        return answer

    def variances(self, r: Values, lone: Indices) -> Values:
        """Sampling variance of each correlation `r` times the rows, shape (terms,).

        (1 - r²) E[u²v²] of the standardised u and v that are correlated, with a mean of several squares taken for the
        product of those of any two of them: so it is of unrelated features, of two values, and of features that share
        a lognormal scale. Where squares are correlated at least that of rows of which a share |r| has equal values and
        the rest independent ones (see `stats.correlation.variance_factor`).
        """
        places = _places(self.p)
        squares, kurtosis = self.squares, np.maximum(_KURTOSIS, self.kurtosis)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            i, j = places.curves
            curves, longest = squares[i, j] ** 2, np.sqrt(_SQUARE_KURTOSIS * np.maximum(kurtosis[i], kurtosis[j]))
            i, j = places.spreads
            spreads, wider = squares[i, j] ** 4, np.full(len(i), _SQUARE_KURTOSIS)
            a, b, c = places.triples
            triples = squares[a, b] * squares[a, c] * squares[b, c]
            triples = triples / np.take_along_axis(self.product, lone[np.newaxis], 0)[0]
            alike = _alike(r[: len(curves) + len(spreads)], np.concatenate((longest, wider)))
            found = np.maximum(np.concatenate((curves, spreads, triples)), 1.0) * (1 - r * r)
            found[: len(alike)] = np.maximum(found[: len(alike)], alike)
        answer: Values = np.maximum(found, _LEAST_VARIANCE)
        return answer

    def few(self) -> Values:
        """About the kurtosis of each term's product, shape (terms,): large where few rows decide.

        The product of the features' own, as if they were unrelated. Of two squares those of the squares, and more the
        more rows there are in which both are wide.
        """
        places = _places(self.p)
        with np.errstate(over="ignore", invalid="ignore"):
            curves, spreads, triples = (
                np.prod([self.kurtosis[side] for side in sides], axis=0)
                for sides in (places.curves, places.spreads, places.triples)
            )
            spreads = spreads**2 * np.maximum(self.squares[places.spreads], 1.0) ** _WIDE_TOGETHER
        return np.concatenate((curves, spreads, triples))


def _alike(r: Values, kurtosis: Values) -> Values:
    q = np.abs(r)
    both = q * kurtosis + 1 - q
    answer: Values = both * (1 + q * q / 2) + q * q * kurtosis / 2 - 2 * q * q * kurtosis
    return answer


def _judged(reference: Dependence, current: Dependence, ignored: Collection[str]) -> list[str]:
    """Names that both sides know in enough of their rows, and in about as many."""

    def present(side: Dependence) -> dict[str, float]:
        return dict(zip(side.names, (side.present / max(side.n, 1)).tolist(), strict=True))

    before, after = present(reference), present(current)
    return [
        name
        for name in sorted(before.keys() & after.keys() - {*ignored})
        if min(before[name], after[name]) >= PRESENT_MIN and abs(before[name] - after[name]) <= PRESENT_MOVED
    ]


def dependence_changes(
    reference: Dependence,
    current: Dependence,
    ignored: Collection[str] = (),
    scatter: Mapping[Term, float] | None = None,
) -> list[DependenceChange]:
    """Compare every term that both sides know, the most significant change first; empty when none can be.

    Both sides' correlations differ by a normal deviate whose variance is the sum of their sampling variances and the
    square of `scatter`, by term the standard deviation of the reference's own windows. Adjusted over terms by Benjamini
    and Hochberg: when nothing has changed, the chance that any p is at most q is at most q. The effect is that of the
    variance which the sum or the difference of what is correlated, standardised, gained or lost.
    """
    names = _judged(reference, current, ignored)
    rows = min(reference.n, current.n)
    if len(names) < 2 or rows < ROWS_MIN:
        return []
    before, after = _Side(reference.over(names)), _Side(current.over(names))
    lone = before.lone()
    r, s = before.correlations(lone), after.correlations(lone)
    sampling = before.variances(r, lone) / reference.n + after.variances(s, lone) / current.n
    few = np.maximum(before.few(), after.few())
    # NaN compares false: what overflowed or has no spread is not judged.
    judged = np.flatnonzero((few <= CARRIED_BY_FEW * rows) & np.isfinite(r) & np.isfinite(s) & np.isfinite(sampling))
    places = _places(len(names))
    terms = [places.term(before.known.names, index, lone) for index in judged.tolist()]
    known = scatter or {}
    process = np.array([known.get(term, 0.0) for term in terms], dtype=np.float64)
    r, s, sampling = r[judged], s[judged], sampling[judged]
    p = special.erfc(np.abs(s - r) / np.sqrt(2 * (sampling + process**2)))
    effect, floor = _effect(r, s, sampling, process)
    counted = np.where((effect <= floor) | (np.abs(s - r) < CHANGE_FLOOR), 1.0, p)
    columns = (r, s, effect, floor, benjamini_hochberg(counted.tolist()))
    changes = [
        DependenceChange(term, before_r, after_r, current.n, size, least, adjusted)
        for term, before_r, after_r, size, least, adjusted in zip(
            terms, *(column.tolist() for column in columns), strict=True
        )
    ]
    return sorted(changes, key=lambda change: (change.p, -change.effect, change.term))


def row_variance(known: Dependence, term: Term, r: float, k: float) -> float:
    """Variance of a row's `row_mean`, where a share |r| of rows has equal values and the rest independent ones."""
    kurtosis = [float(_Side(known.over([name])).kurtosis[0]) for name in (*term[0], *term[1])]
    if term[0][0] != term[0][1]:
        both = math.sqrt(math.prod(kurtosis))
    elif len(term[1]) == 1:
        both = math.sqrt(_SQUARE_KURTOSIS * max(_KURTOSIS, kurtosis[2]))
    else:
        both = _SQUARE_KURTOSIS
    square = abs(r) * both + 1 - abs(r)  # the mean of u²v²
    found = square - r * r + k * k * ((both + square) / 2 - 1) - 2 * k * r * (both - 1)
    return max(found, _LEAST_VARIANCE)


def row_mean(known: Dependence, term: Term, origin: Dependence, k: float) -> tuple[float, int]:
    """(mean, rows) of uv - k (u² + v²) / 2, u and v being what is correlated, standardised as the rows of `origin` are.

    `origin` is of the term's names alone. Of its own rows the mean is their correlation less k. With k between the old
    and the new correlation far less of it is chance than of the product alone. No rows where a feature has no values.
    """
    mine, at = known.over(origin.names), layout(len(origin.names))
    if not mine.n or not (mine.present > 0).all():
        return 0.0, 0
    sd, unit = origin.deviation(), _Side(origin)
    x, y, z = (origin.names.index(name) for name in (*term[0], term[1][0]))
    first: list[float] = ((mine.mean - origin.mean) / sd).tolist()
    second, third, fourth = mine.about(origin.mean)

    def mean(*powers: int) -> float:
        """Of the product of so many standardised features, given by their places; two pairs for four."""
        scale = mine.n * float(np.prod(sd[[*powers]]))
        if len(powers) == 2:
            return float(second[at.where_pair[powers]]) / scale
        if len(powers) == 3:
            return float(third[at.where_triple[powers]]) / scale
        return float(fourth[at.where_pair[powers[0], powers[2]]]) / scale

    if x != y:
        product = float(unit.squares[x, y] - unit.r[x, y] ** 2)
        uv = mean(x, y, z) / math.sqrt(product)
        uu = (mean(x, x, y, y) - float(unit.r[x, y]) ** 2) / product
        return uv - k * (uu + mean(z, z)) / 2, mine.n
    skew = {i: float(unit.third[at.where_triple[i, i, i]]) for i in (x, z)}
    left = {i: float(unit.kurtosis[i]) - 1 - skew[i] ** 2 for i in (x, z)}

    def squared(i: int) -> float:
        """The mean of the square of i's square, as far as a straight line does not explain that."""
        of = mean(i, i, i, i) - 2 * skew[i] * mean(i, i, i) + (skew[i] ** 2 - 2) * mean(i, i)
        of += 2 * skew[i] * first[i] + 1
        return of / left[i]

    if len(term[1]) == 1:
        uv = (mean(x, x, z) - skew[x] * mean(x, z) - first[z]) / math.sqrt(left[x])
        return uv - k * (squared(x) + mean(z, z)) / 2, mine.n
    uv = mean(x, x, z, z) - mean(x, x) - mean(z, z) + 1
    uv += skew[x] * (skew[z] * mean(x, z) - mean(x, z, z) + first[x]) + skew[z] * (first[z] - mean(x, x, z))
    return uv / math.sqrt(left[x] * left[z]) - k * (squared(x) + squared(z)) / 2, mine.n


def _effect(r: Values, s: Values, sampling: Values, process: Values) -> tuple[Values, Values]:
    """Effects without what chance adds, and their floors."""
    effect, floor = np.zeros_like(r), np.full_like(r, FLOOR)
    for sign in (1, -1):
        log_ratio = np.log((1 + sign * s) / (1 + sign * r))
        slope = 1 / np.minimum(1 + sign * r, 1 + sign * s)
        debiased = np.sqrt(np.maximum(0.0, log_ratio**2 - slope**2 * sampling))
        effect = np.maximum(effect, normal_scale_distances(debiased))
        moved = np.log1p(ALLOWED_SDS * process / (1 + sign * r))
        floor = np.maximum(floor, normal_scale_distances(moved))
    return effect, floor


def dependence_scatter(reference: Dependence, windows: Sequence[Dependence], level: float) -> dict[Term, float]:
    """How much windows' correlations differ beyond sampling noise: a standard deviation by term, only those above 0.

    `level` is the error probability that one term may use. Empty from fewer than three windows.
    """
    names = reference.names
    aligned = [_Side(window.over(names)) for window in windows if window.n >= ROWS_MIN]
    if len(aligned) < WINDOWS_MIN or len(names) < 2:
        return {}
    whole = _Side(reference)
    lone = whole.lone()
    centre = whole.correlations(lone)
    r = np.array([side.correlations(lone) for side in aligned])
    each = np.array([side.variances(mine, lone) / side.known.n for side, mine in zip(aligned, r, strict=True)])
    with np.errstate(invalid="ignore"):
        squares = (r - centre) ** 2 / each
        there = np.isfinite(squares)
        total = np.where(there, squares, 0.0).sum(axis=0)
    odd = special.chdtrc(np.maximum(there.sum(axis=0), 1), total) <= _LOOKED_AT_P
    found, places = {}, _places(len(names))
    for index in np.flatnonzero(odd & np.isfinite(centre)).tolist():
        sd = process_sd(r[:, index], each[:, index], float(centre[index]), level)
        if sd > 0:
            found[places.term(names, index, lone)] = sd
    return found
