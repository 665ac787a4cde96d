"""What is followed of a feature that drifts, to tell since when: one number a stretch of traffic, from its profiles.

What the deciding test found becomes the feature's mean, its spread, a share, or how much a row looks like the window
rather than like the reference (the mean log ratio of both sides' shares of bins or categories). Each is a mean over
rows, so that of several profiles (hosts, segments) it is the weighted mean: nothing has to be merged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from modelward_agent.profile import FeatureProfile, NumericSketch, Profile
from modelward_agent.profile.text import CLASSES, bucket_of
from modelward_collector.checks.drift_reference import side_of
from modelward_collector.stats.categories import CategoryView, aligned
from modelward_collector.stats.feature import (
    BOOLEAN,
    CATEGORICAL,
    EMBEDDING,
    TEXT,
    FeatureScatter,
    FeatureView,
    boolean_view,
    type_counts,
)
from modelward_collector.stats.identities import TESTS as IDENTITY_TESTS
from modelward_collector.stats.identities import IdentityView, never_seen
from modelward_collector.stats.outcome import Outcome
from modelward_collector.stats.psi import bin_shares
from modelward_collector.stats.text import RARER, TextView
from modelward_collector.stats.view import NumericView

SURPRISE_MAX = 3.0
"""A row counts at most as e^3 times likelier in the window: one that the reference has never seen is not all."""

_EMPTY_ROWS = 0.5
"""A bin or category that a side does not have counts as half a row."""

Values = NDArray[np.float64]
P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class Shift:
    """A feature ("features") or output ("outputs") that drifts, and the test that decided."""

    side: str
    name: str
    kind: str
    reference: FeatureView
    current: FeatureView
    scatter: FeatureScatter
    leading: Outcome


@dataclass(frozen=True, slots=True)
class Measure(Generic[P]):
    """What is followed: `of` a profile gives (value, weight), `before` is the reference's; weight 0 is not known.

    A value is a mean over rows, and its weight their number divided by the variance of one's.
    """

    of: Callable[[P], tuple[float, float]]
    before: tuple[float, float]


def measure_of(shift: Shift) -> Measure[Profile] | None:
    """What to follow of the feature; None when there is nothing that steps would show."""
    found = _measure_of(shift)
    if found is None:
        return None
    return Measure(lambda profile: found.of(side_of(profile, shift.side, shift.name)), found.before)


def _measure_of(shift: Shift) -> Measure[FeatureProfile] | None:
    test, r, c = shift.leading.name, shift.reference, shift.current
    if test == "missing":
        return _share(
            lambda f: (f.missing + f.nan, f.rows), (r.missing, r.rows), (c.missing, c.rows), shift.scatter.missing
        )
    if test == "type":
        same = CATEGORICAL if shift.kind == TEXT else shift.kind
        if same == EMBEDDING and r.dimension != c.dimension:
            return None
        known = (r.present - r.types.get(same, 0), r.present), (c.present - c.types.get(same, 0), c.present)
        return _share(lambda f: _other_types(f, same), *known, 0.0)
    if shift.kind == EMBEDDING:
        return _embedding(shift)
    if shift.kind == TEXT:
        return _text(shift, r.text, c.text)
    if test in IDENTITY_TESTS:
        return _new_values(shift) if test == "new_values" else None  # the others depend on how long a step is
    if r.numeric is not None and c.numeric is not None:
        if test == "zeros":
            sides = (r.numeric.zeros, r.numeric.n), (c.numeric.zeros, c.numeric.n)
            return _share(
                lambda f: (f.numeric.zeros, f.numeric.n) if f.numeric else (0, 0), *sides, shift.scatter.zeros
            )
        if test in ("mean", "variance"):
            return _moments(test, r.numeric, c.numeric, shift.scatter, lambda f: f.numeric)
        if r.edges is not None:
            return _bins(r.numeric, c.numeric, r.edges)
    if r.categories is not None and c.categories is not None:
        return _categories(shift, r.categories, c.categories)
    return None


def _new_values(shift: Shift) -> Measure[FeatureProfile] | None:
    known, usual = shift.reference.identities, shift.scatter.identities
    if known is None or usual is None or usual.new_seen <= 0:
        return None

    def read(feature: FeatureProfile) -> tuple[float, float]:
        if feature.categorical is None or not feature.categorical.n:
            return 0.0, 0.0
        share, variance, _ = never_seen(known.registers, IdentityView.of(feature.categorical))
        return share, 1 / variance

    return Measure(read, (usual.new, 1 / (1 / usual.new_seen + usual.new_sd**2)))


def _share(
    of: Callable[[FeatureProfile], tuple[int, int]],
    reference: tuple[int, int],
    current: tuple[int, int],
    process: float,
) -> Measure[FeatureProfile] | None:
    if not reference[1] or not current[1]:
        return None
    p, q = reference[0] / reference[1], current[0] / current[1]
    variance = max(p * (1 - p), q * (1 - q))
    if variance <= 0:  # none before and all now, or the other way round
        variance = _EMPTY_ROWS / (reference[1] + current[1])

    def read(feature: FeatureProfile) -> tuple[float, float]:
        hits, rows = of(feature)
        return (hits / rows, rows / variance) if rows else (0.0, 0.0)

    return Measure(read, (p, 1 / (variance / reference[1] + process**2)))


def _moments(
    test: str,
    reference: NumericView,
    current: NumericView,
    scatter: FeatureScatter,
    of: Callable[[FeatureProfile], NumericSketch | None],
) -> Measure[FeatureProfile] | None:
    centre = reference.mean
    variance = max(reference.variance, current.variance)
    if not (np.isfinite(variance) and variance > 0):
        return None
    if test == "mean":

        def mean(feature: FeatureProfile) -> tuple[float, float]:
            sketch = of(feature)
            return (sketch.moments.mean, sketch.n / variance) if sketch is not None and sketch.n else (0.0, 0.0)

        return Measure(mean, (centre, 1 / (variance / reference.n + scatter.mean**2)))
    kurtosis = max(1.1, *(one for one in (reference.kurtosis, current.kurtosis) if np.isfinite(one)), 1.1)
    of_square = (kurtosis - 1) * variance**2

    def square(feature: FeatureProfile) -> tuple[float, float]:
        sketch = of(feature)
        if sketch is None or not sketch.n:
            return 0.0, 0.0
        return sketch.moments.m2 / sketch.n + (sketch.moments.mean - centre) ** 2, sketch.n / of_square

    process = scatter.log_variance * reference.variance
    return Measure(square, (reference.variance, 1 / (of_square / reference.n + process**2)))


def _embedding(shift: Shift) -> Measure[FeatureProfile] | None:
    """Along the projection (or of the norm) that moved most."""
    sides = list(zip(shift.reference.projections, shift.current.projections, strict=False))
    if not sides:
        return None
    moved = [
        abs(c.mean - r.mean) / (r.sd or 1.0)
        if shift.leading.name != "variance"
        else abs(np.log(max(c.variance, 1e-300) / max(r.variance, 1e-300)))
        for r, c in sides
    ]
    index = int(np.nanargmax(moved)) if np.isfinite(moved).any() else 0
    scatter = shift.scatter.projections[index] if shift.scatter.projections else FeatureScatter()

    def of(feature: FeatureProfile) -> NumericSketch | None:
        vector = feature.vector
        if vector is None or vector.dimension != shift.reference.dimension:
            return None
        return (*vector.projections, vector.norm)[index]

    return _moments("variance" if shift.leading.name == "variance" else "mean", *sides[index], scatter, of)


def _text(shift: Shift, reference: TextView | None, current: TextView | None) -> Measure[FeatureProfile] | None:
    test, subject = shift.leading.name, shift.leading.subject
    if test == "texts":
        return _share(_texts, shift.reference.texts, shift.current.texts, 0.0)
    if reference is None or current is None:
        return None
    known = shift.scatter.text
    if test == "words" and subject is not None and subject != RARER:
        bucket = bucket_of(subject)
        sides = [(int(side.buckets[bucket]), side.looked) for side in (reference, current)]

        def having(feature: FeatureProfile) -> tuple[int, int]:
            return (int(feature.text.buckets[bucket]), feature.text.looked) if feature.text is not None else (0, 0)

        return _share(having, sides[0], sides[1], known.buckets.get(bucket, 0.0))
    if test == "characters" and subject is not None:
        index = CLASSES.index(subject)
        before, after = reference.characters[index], current.characters[index]
        variance = max(before.variance, after.variance)
        if not variance > 0:
            return None

        def share(feature: FeatureProfile) -> tuple[float, float]:
            moments = feature.text.characters[index] if feature.text is not None else None
            return (moments.mean, moments.n / variance) if moments is not None else (0.0, 0.0)

        return Measure(share, (before.mean, 1 / (variance / before.n + known.characters[index] ** 2)))
    scatter = FeatureScatter(mean=known.length)
    return _moments("mean", reference.lengths, current.lengths, scatter, lambda f: f.text.lengths if f.text else None)


def _texts(feature: FeatureProfile) -> tuple[int, int]:
    return feature.text.n if feature.text is not None else 0, max(0, feature.strings - feature.unexamined)


def _surprise(p: Values, q: Values, n: int, m: int) -> tuple[Values, float, float]:
    """How much likelier each cell is now, in nats; its mean in the reference, and the variance of one row's."""
    p, q = np.maximum(p, _EMPTY_ROWS / n), np.maximum(q, _EMPTY_ROWS / m)
    p, q = p / p.sum(), q / q.sum()
    nats = np.clip(np.log(q / p), -SURPRISE_MAX, SURPRISE_MAX)
    means = float(p @ nats), float(q @ nats)
    variance = max(float(p @ nats**2) - means[0] ** 2, float(q @ nats**2) - means[1] ** 2)
    return nats, means[0], variance


def _bins(reference: NumericView, current: NumericView, edges: Values) -> Measure[FeatureProfile] | None:
    nats, mean, variance = _surprise(bin_shares(reference, edges), bin_shares(current, edges), reference.n, current.n)
    if variance <= 0:
        return None

    def read(feature: FeatureProfile) -> tuple[float, float]:
        sketch = feature.numeric
        if sketch is None or not sketch.n:
            return 0.0, 0.0
        shares = np.diff(sketch.cdf_at(edges, reference.rounded), prepend=0.0, append=1.0)
        return float(shares @ nats), sketch.n / variance

    return Measure(read, (mean, reference.n / variance))


def _categories(shift: Shift, reference: CategoryView, current: CategoryView) -> Measure[FeatureProfile] | None:
    def view(feature: FeatureProfile) -> CategoryView | None:
        if shift.kind == BOOLEAN:
            return boolean_view(feature)
        return CategoryView.of(feature.categorical) if feature.categorical is not None else None

    one = shift.leading.subject
    if shift.leading.name == "linf" and one is not None:

        def hits(feature: FeatureProfile) -> tuple[int, int]:
            found = view(feature)
            return (found.counts.get(one, 0), found.n) if found is not None else (0, 0)

        sides = [(side.counts.get(one, 0), side.n) for side in (reference, current)]
        return _share(hits, sides[0], sides[1], shift.scatter.categories.shares.get(one, 0.0))
    names, r, c = aligned(reference, current)
    nats, mean, variance = _surprise(r / reference.n, c / current.n, reference.n, current.n)
    if variance <= 0:
        return None
    known = dict(zip(names, nats.tolist(), strict=False))
    rest = float(nats[-1])

    def read(feature: FeatureProfile) -> tuple[float, float]:
        found = view(feature)
        if found is None or not found.n:
            return 0.0, 0.0
        total = sum(count * known.get(name, rest) for name, count in found.counts.items())
        return total / found.n, found.n / variance

    return Measure(read, (mean, reference.n / variance))


def _other_types(feature: FeatureProfile, kind: str) -> tuple[int, int]:
    types = type_counts(feature)
    present = sum(types.values())
    return present - types.get(kind, 0), present
