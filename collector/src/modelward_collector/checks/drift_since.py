"""Since when a feature drifts: its change point in the traffic of the window and as much before it.

What the deciding test found becomes one number a step: the feature's mean, its spread, a share, or how much a row looks
like the window rather than like the reference (the mean log ratio of both sides' shares of bins or categories). The
steps are coarse at first, and fine only where the change may lie, so that the cost is bounded whatever the traffic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelward_agent.profile import FeatureProfile, NumericSketch, Profile
from modelward_agent.profile.text import CLASSES, bucket_of
from modelward_collector.checks.drift_reference import side_of
from modelward_collector.span import Span
from modelward_collector.stats.categories import CategoryView, aligned
from modelward_collector.stats.change_point import FEWEST_STEPS, change_point
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
from modelward_collector.stats.outcome import Outcome
from modelward_collector.stats.psi import bin_shares
from modelward_collector.stats.text import RARER, TextView
from modelward_collector.stats.view import NumericView

Steps = Callable[[Span, timedelta], Sequence[tuple[Span, Profile]]]
"""The version's traffic in steps of a length, in time order; steps without any are left out."""

LEVELS = (timedelta(days=1), timedelta(hours=1), timedelta(minutes=1))
"""How fine steps may be."""

STEPS_MAX = 240
"""So many fine steps are read at most: four hours of minutes, ten days of hours. A wider interval would not get
narrower by finer steps, it is as wide as chance makes it."""

SURPRISE_MAX = 3.0
"""A row counts at most as e^3 times likelier in the window: one that the reference has never seen is not all."""

_EMPTY_ROWS = 0.5
"""A bin or category that a side does not have counts as half a row."""

Values = NDArray[np.float64]


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

    @property
    def key(self) -> tuple[str, str]:
        """Which one it is."""
        return self.side, self.name


@dataclass(frozen=True, slots=True)
class Since:
    """The change began at about `at`, with 95% confidence between `low` and `high`; all aware UTC moments.

    `low` is None when it may have been before all that was looked at, and `at` when it most likely was.
    """

    at: datetime | None
    low: datetime | None
    high: datetime

    def says(self, now: datetime, start: datetime) -> str:
        """In words: `since about 09:40 (09:20 to 10:05)`; days are named when they are not today's (UTC)."""
        if self.at is None:
            return f"since before {_moment(start, now)}"
        low = _moment(self.low, now) if self.low is not None else f"before {_moment(start, now)}"
        return f"since about {_moment(self.at, now)} ({low} to {_moment(self.high, now)})"


@dataclass(frozen=True, slots=True)
class _Step:
    """A step's number and its weight, 1 / the sampling variance; 0 of a step without rows."""

    span: Span
    value: float
    weight: float


@dataclass(frozen=True, slots=True)
class Measure:
    """What is followed of a feature: `of` a step gives (value, weight), `before` is the reference's."""

    of: Callable[[FeatureProfile], tuple[float, float]]
    before: tuple[float, float]


def scanned(window: Span) -> Span:
    """What is looked at: the window, and as much before it."""
    return Span(window.start - window.length, window.end)


def locate(shifts: Sequence[Shift], window: Span, steps: Steps) -> dict[tuple[str, str], Since]:
    """When each began, most important first; without those that the steps are too few to tell of."""
    scan = scanned(window)
    level = next((i for i, step in enumerate(LEVELS) if scan.length >= FEWEST_STEPS * step), len(LEVELS) - 1)
    measures = {shift.key: one for shift in shifts if (one := measure_of(shift)) is not None}
    if not measures:
        return {}
    coarse = steps(scan, LEVELS[level])
    tracks = {key: _track(key, measure, coarse) for key, measure in measures.items()}
    found = {key: since for key, track in tracks.items() if (since := _since(track, measures[key], scan)) is not None}
    for step in LEVELS[level + 1 :]:
        stretches: list[Span] = []
        for key in measures:
            if key in found:
                stretches = _with(stretches, found[key], scan, step)
        finer = [part for stretch in stretches for part in steps(stretch, step)]
        for key, since in list(found.items()):
            stretch = Span(since.low or scan.start, since.high)
            if not any(one.start <= stretch.start and stretch.end <= one.end for one in stretches):
                continue
            inside = [part for part in finer if stretch.start <= part[0].start < stretch.end]
            outside = [one for one in tracks[key] if not stretch.start <= one.span.start < stretch.end]
            tracks[key] = sorted(
                [*outside, *_track(key, measures[key], inside)], key=lambda one: (one.span.start, one.span.end)
            )
            found[key] = _since(tracks[key], measures[key], scan) or since
    return found


def measure_of(shift: Shift) -> Measure | None:
    """What to follow of the feature; None when there is nothing that steps would show."""
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


def _share(
    of: Callable[[FeatureProfile], tuple[int, int]],
    reference: tuple[int, int],
    current: tuple[int, int],
    process: float,
) -> Measure | None:
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
) -> Measure | None:
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


def _embedding(shift: Shift) -> Measure | None:
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


def _text(shift: Shift, reference: TextView | None, current: TextView | None) -> Measure | None:
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


def _bins(reference: NumericView, current: NumericView, edges: Values) -> Measure | None:
    nats, mean, variance = _surprise(bin_shares(reference, edges), bin_shares(current, edges), reference.n, current.n)
    if variance <= 0:
        return None
    points = edges.astype(np.float32)

    def read(feature: FeatureProfile) -> tuple[float, float]:
        sketch = feature.numeric
        if sketch is None or not sketch.n:
            return 0.0, 0.0
        shares = np.diff(np.asarray(sketch.kll.get_cdf(points, True)), prepend=0.0)
        return float(shares @ nats), sketch.n / variance

    return Measure(read, (mean, reference.n / variance))


def _categories(shift: Shift, reference: CategoryView, current: CategoryView) -> Measure | None:
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


def _zeros(feature: FeatureProfile) -> tuple[int, int]:
    return (feature.numeric.zeros, feature.numeric.n) if feature.numeric is not None else (0, 0)


def _other_types(feature: FeatureProfile, kind: str) -> tuple[int, int]:
    types = type_counts(feature)
    present = sum(types.values())
    return present - types.get(kind, 0), present


# -- steps ----------------------------------------------------------------------------------------------------------


def _track(key: tuple[str, str], measure: Measure, parts: Sequence[tuple[Span, Profile]]) -> list[_Step]:
    return [_Step(span, *measure.of(side_of(profile, *key))) for span, profile in parts]


def _since(track: Sequence[_Step], measure: Measure, scan: Span) -> Since | None:
    track = [step for step in track if step.weight > 0]
    found = change_point(
        np.array([step.value for step in track]), np.array([step.weight for step in track]), measure.before
    )
    if found is None:
        return None
    # The change may lie inside a step, which has something of both levels then: so a step more on either side.
    low = None if found.low == 0 else max(scan.start, track[found.low - 1].span.start)
    high = min(scan.end, track[found.high].span.end)
    return Since(max(scan.start, track[found.first].span.start) if found.first else None, low, high)


def _with(stretches: list[Span], since: Since, scan: Span, step: timedelta) -> list[Span]:
    """The stretches and this interval, joined where they touch; as they were when that is too much to read."""
    wanted = Span(since.low or scan.start, since.high)
    joined: list[Span] = []
    for one in sorted([*stretches, wanted]):
        if joined and one.start <= joined[-1].end:
            joined[-1] = Span(joined[-1].start, max(joined[-1].end, one.end))
        else:
            joined.append(one)
    total = sum((one.length for one in joined), timedelta())
    return joined if total <= STEPS_MAX * step else stretches


def _moment(moment: datetime, now: datetime) -> str:
    return f"{moment:%H:%M}" if moment.date() == now.date() else f"{moment.day} {moment:%b %H:%M}"


# -- as detail of a finding -----------------------------------------------------------------------------------------


def to_detail(since: Since) -> dict[str, Any]:
    """JSON values: `at`, `low` (None: before all that was looked at), `high`, and the `confidence` of the interval."""
    moments = {"at": since.at, "low": since.low, "high": since.high}
    return {name: None if moment is None else _rfc3339(moment) for name, moment in moments.items()} | {
        "confidence": 0.95
    }


def from_detail(detail: Mapping[str, Any]) -> Since:
    """The inverse of `to_detail`."""
    at, low, high = (None if detail[name] is None else datetime.fromisoformat(detail[name]) for name in _MOMENTS)
    assert high is not None
    return Since(at, low, high)


_MOMENTS = ("at", "low", "high")


def _rfc3339(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
