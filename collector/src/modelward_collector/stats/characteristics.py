"""A few numbers that say how a window of a feature is, with sampling variances: windows are told apart by them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelward_agent.profile import FeatureProfile
from modelward_collector.stats.categories import CategoryView
from modelward_collector.stats.feature import (
    BOOLEAN,
    CATEGORICAL,
    EMBEDDING,
    NUMERIC,
    TEXT,
    FeatureView,
    boolean_view,
    two_values,
    type_counts,
)
from modelward_collector.stats.feature_scatter import cdfs_of
from modelward_collector.stats.view import NumericView

Values = NDArray[np.float64]

TRIVIAL_SDS = 0.06
"""A mean that is off by less of the reference's standard deviation is not worth a word (`effect.FLOOR`)."""

TRIVIAL_SHARE = 0.02
TRIVIAL_MISSING = 0.01

CATEGORIES_MAX = 8
_RANKS = np.array([0.1, 0.25, 0.5, 0.75, 0.9])


@dataclass(frozen=True, slots=True, eq=False)
class Characteristics:
    """`values` and `variances` (windows, k), NaN where one does not apply; `trivial` (k,) and what each is called."""

    names: tuple[str, ...]
    values: Values
    variances: Values
    trivial: Values


def characteristics(reference: FeatureView, windows: Sequence[FeatureProfile]) -> Characteristics:
    """Of each window: means, shares below the reference's quantiles, of categories, of what is missing or mistyped."""
    rows = np.array([window.rows for window in windows], dtype=np.float64)
    missing = np.array([window.missing + window.nan for window in windows], dtype=np.float64)
    columns = [_share("missing", missing, rows, TRIVIAL_MISSING)]
    of_type = [type_counts(window) for window in windows]
    present = np.array([sum(counts.values()) for counts in of_type], dtype=np.float64)
    kind = CATEGORICAL if reference.kind == TEXT else reference.kind
    same = np.array([counts.get(kind, 0) for counts in of_type], dtype=np.float64)
    columns.append(_share("type", present - same, present, TRIVIAL_MISSING))
    if reference.kind == NUMERIC and reference.pair:
        # Two values are two values: 0 and 1 are described as false and true are.
        columns += _categories(reference, windows)
    elif reference.kind == NUMERIC and reference.numeric is not None:
        columns += _numbers(reference.numeric, windows)
    elif reference.kind in (CATEGORICAL, BOOLEAN) and reference.categories is not None:
        columns += _categories(reference, windows)
    elif reference.kind == EMBEDDING:
        columns += _embeddings(reference, windows)
    elif reference.kind == TEXT and reference.text is not None:
        sketches = [window.text.lengths if window.text is not None else None for window in windows]
        columns.append(
            _mean("length", reference.text.lengths, [s.moments if s is not None else None for s in sketches])
        )
    names, values, variances, trivial = zip(*columns, strict=True)
    return Characteristics(
        tuple(names), np.column_stack(values), np.column_stack(variances), np.array(trivial, dtype=np.float64)
    )


_Column = tuple[str, Values, Values, float]


def _share(name: str, hits: Values, rows: Values, trivial: float) -> _Column:
    total = rows.sum()
    share = (hits.sum() + 0.5) / (total + 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.where(rows > 0, hits / rows, np.nan)
        variances = np.where(rows > 0, np.maximum(share * (1 - share), 1 / np.maximum(rows, 1.0)) / rows, np.nan)
    return name, values, variances, trivial


def _mean(name: str, reference: NumericView, moments: Sequence[object]) -> _Column:
    n = np.array([getattr(one, "n", 0) for one in moments], dtype=np.float64)
    mean = np.array([getattr(one, "mean", np.nan) for one in moments], dtype=np.float64)
    m2 = np.array([getattr(one, "m2", np.nan) for one in moments], dtype=np.float64)
    there = n > 1
    within = np.nansum(m2[there]) / max(1.0, float((n[there] - 1).sum()))
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.where(there & np.isfinite(mean), mean, np.nan)
        variances = np.where(there, within / n, np.nan)
    sd = reference.sd if reference.variance > 0 else 0.0
    return name, values, variances, TRIVIAL_SDS * sd


def _numbers(reference: NumericView, windows: Sequence[FeatureProfile]) -> list[_Column]:
    sketches = [window.numeric for window in windows]
    columns = [_mean("mean", reference, [sketch.moments if sketch is not None else None for sketch in sketches])]
    n = np.array([sketch.n if sketch is not None else 0 for sketch in sketches], dtype=np.float64)
    zeros = np.array([sketch.zeros if sketch is not None else 0 for sketch in sketches], dtype=np.float64)
    columns.append(_share("zeros", zeros, n, TRIVIAL_SHARE))
    points = np.unique(reference.quantiles(_RANKS))
    there = [index for index, sketch in enumerate(sketches) if sketch is not None and sketch.n]
    cdfs = np.full((len(windows), len(points)), np.nan)
    noise = np.full(len(windows), np.nan)
    if there:
        known = [sketch for sketch in sketches if sketch is not None and sketch.n]
        cdfs[there] = cdfs_of(known, points, reference.rounded)
        noise[there] = [NOISE_OF_A_POINT * sketch.rank_error**2 for sketch in known]
    expected = reference.cdf(points)
    with np.errstate(divide="ignore", invalid="ignore"):
        for index, point in enumerate(points.tolist()):
            share = min(max(float(expected[index]), 0.01), 0.99)
            variances = share * (1 - share) / n + noise
            columns.append((f"share up to {point:.4g}", cdfs[:, index], variances, TRIVIAL_SHARE))
    return columns


NOISE_OF_A_POINT = 1 / 2.576**2
"""From the sketch's stated rank error, at 99%, to the variance of one point of its cdf."""


def _categories(reference: FeatureView, windows: Sequence[FeatureProfile]) -> list[_Column]:
    assert reference.categories is not None
    nothing = CategoryView(0, {})
    if reference.kind != CATEGORICAL and reference.types[BOOLEAN]:
        views = [boolean_view(window) for window in windows]
    elif reference.pair:
        views = [two_values(window)[1] or nothing for window in windows]
    else:
        views = [
            CategoryView.of(window.categorical) if window.categorical is not None else nothing for window in windows
        ]
    n = np.array([view.n for view in views], dtype=np.float64)
    names = list(reference.categories.counts)[:CATEGORIES_MAX]
    columns = []
    for name in names:
        hits = np.array([view.counts.get(name, 0) for view in views], dtype=np.float64)
        columns.append(_share(f"share of {name}", hits, n, TRIVIAL_SHARE))
    kept = np.array([sum(view.counts.get(name, 0) for name in reference.categories.counts) for view in views])
    columns.append(_share("other values", np.maximum(0.0, n - kept), n, TRIVIAL_SHARE))
    return columns


def _embeddings(reference: FeatureView, windows: Sequence[FeatureProfile]) -> list[_Column]:
    columns = []
    for index, view in enumerate(reference.projections):
        moments: list[object] = []
        for window in windows:
            vector = window.vector
            fits = vector is not None and vector.n and vector.dimension == reference.dimension
            moments.append((*vector.projections, vector.norm)[index].moments if fits and vector is not None else None)
        columns.append(_mean(f"direction {index}", view, moments))
    return columns
