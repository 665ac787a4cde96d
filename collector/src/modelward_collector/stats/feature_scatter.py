"""What the reference's own windows say about how much an unchanged feature varies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from modelward_agent.profile import FeatureProfile, NumericSketch
from modelward_collector.stats.categories import CategoryScatter, CategoryView, aligned, frequent
from modelward_collector.stats.feature import (
    BOOLEAN,
    CATEGORICAL,
    EMBEDDING,
    NUMERIC,
    TEXT,
    FeatureScatter,
    FeatureView,
    boolean_view,
    is_many,
    two_values,
)
from modelward_collector.stats.homogeneity import homogeneity
from modelward_collector.stats.identities import identity_scatter
from modelward_collector.stats.jensen_shannon import PER_CHI_SQUARED
from modelward_collector.stats.psi import bin_shares
from modelward_collector.stats.scatter import WINDOWS_MIN, process_distance, process_gap, process_sd
from modelward_collector.stats.text import TextScatter, text_scatter
from modelward_collector.stats.view import NumericView, rank_noise

CATEGORIES_MAX = 50
"""Only the most frequent categories have a scatter of their own."""

SHOW_MIN = 2
"""When so many measures of a numeric feature show that windows vary, all do."""

_GRID = np.linspace(0.02, 0.98, 49)
"""Ranks of the reference at which windows' cdfs are read."""


Kind = tuple[FeatureView, Sequence[FeatureProfile]]
"""Windows of one kind of days, and what all of them together are."""


def feature_scatter(
    reference: FeatureView, windows: Sequence[FeatureProfile], level: float, others: Sequence[Kind] = ()
) -> FeatureScatter:
    """Scatter of a feature over windows as long as the one that is to be checked; zeros from fewer than three.

    `level` is the error probability that one feature may use: 0.01 of a model's 30 features is 0.00033. `others` are
    windows of other kinds of days, which scatter as much about their own.
    """
    kinds: list[Kind] = [(reference, windows), *((view, found) for view, found in others if found)]
    if sum(len(found) for _, found in kinds) < WINDOWS_MIN + len(kinds) - 1:
        return FeatureScatter()
    missing_sd = _share_sd(
        [
            (
                np.array([window.missing + window.nan for window in found], dtype=np.float64),
                np.array([window.rows for window in found], dtype=np.float64),
            )
            for _, found in kinds
        ],
        level,
    )
    if reference.kind == NUMERIC and reference.numeric is not None:
        known = _numeric(
            [
                (view.numeric, [window.numeric for window in found if window.numeric is not None])
                for view, found in kinds
                if view.numeric is not None
            ],
            reference.edges,
            level,
        )
        two = [
            (view.categories, _two_values(reference, found)) for view, found in kinds if view.pair and view.categories
        ]
        categories = _categories(two, level) if reference.pair else CategoryScatter()
        return replace(known, missing=missing_sd, categories=categories)
    if reference.kind in (CATEGORICAL, BOOLEAN) and reference.categories is not None:
        of = _booleans if reference.kind == BOOLEAN else _strings
        sides = [(view.categories, of(found)) for view, found in kinds if view.categories is not None]
        strings = [window.categorical for window in windows if window.categorical is not None]
        many = identity_scatter(reference.identities, strings, level) if is_many(reference) else None
        return FeatureScatter(missing=missing_sd, categories=_categories(sides, level), identities=many)
    if reference.kind == TEXT and reference.text is not None:
        texts = [window.text for window in windows if window.text is not None]
        lengths = _numeric([(reference.text.lengths, [text.lengths for text in texts])], None, level)
        of_lengths = TextScatter(length=lengths.mean, gap=lengths.gap)
        return FeatureScatter(missing=missing_sd, text=text_scatter(reference.text, texts, of_lengths, level))
    if reference.kind == EMBEDDING:
        vectors = [
            (
                view,
                [
                    window.vector
                    for window in found
                    if window.vector is not None and window.vector.dimension == reference.dimension
                ],
            )
            for view, found in kinds
            if view.dimension == reference.dimension
        ]
        each = [
            _numeric(
                [
                    (view.projections[index], [(*vector.projections, vector.norm)[index] for vector in found])
                    for view, found in vectors
                ],
                None,
                level,
            )
            for index in range(len(reference.projections))
        ]
        return FeatureScatter(missing=missing_sd, projections=tuple(each))
    return FeatureScatter(missing=missing_sd)


def _strings(windows: Sequence[FeatureProfile]) -> list[CategoryView]:
    return [CategoryView.of(window.categorical) for window in windows if window.categorical is not None]


def _booleans(windows: Sequence[FeatureProfile]) -> list[CategoryView]:
    return [boolean_view(window) for window in windows]


def _two_values(reference: FeatureView, windows: Sequence[FeatureProfile]) -> list[CategoryView]:
    if reference.types[BOOLEAN]:
        return _booleans(windows)
    return [view for window in windows if (view := two_values(window)[1]) is not None]


def _share_sd(
    sides: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]], level: float, *, varies: bool = False
) -> float:
    """Of (hits, rows) by window, apart by kind of days, the first that of the window that is checked."""
    values, variances, centres = [], [], []
    alike = None
    for hits, rows in sides:
        some, of = hits[rows > 0], rows[rows > 0]
        share = some.sum() / of.sum() if len(of) else 0.0
        alike = len(of) if alike is None else alike
        if share in (0.0, 1.0):
            continue
        values.append(some / of)
        variances.append(share * (1 - share) / of)
        centres.append(np.full(len(of), share))
    if not values:
        return 0.0
    return process_sd(
        np.concatenate(values),
        np.concatenate(variances),
        np.concatenate(centres),
        level,
        len(values),
        alike or None,
        varies=varies,
    )


def _numeric(
    kinds: Sequence[tuple[NumericView, Sequence[NumericSketch]]], edges: NDArray[np.float64] | None, level: float
) -> FeatureScatter:
    sides = [(view, [sketch for sketch in sketches if sketch.n > 1]) for view, sketches in kinds if view.variance > 0]
    sides = [(view, sketches) for view, sketches in sides if sketches]
    every = [sketch for _, sketches in sides for sketch in sketches]
    if len(every) < WINDOWS_MIN or not kinds[0][0].variance > 0:
        return FeatureScatter()
    n = np.array([sketch.n for sketch in every], dtype=np.float64)
    mean = np.array([sketch.moments.mean for sketch in every])
    m2 = np.array([sketch.moments.m2 for sketch in every])
    m4 = np.array([sketch.moments.m4 for sketch in every])
    mean_of = np.concatenate([np.full(len(sketches), view.mean) for view, sketches in sides])
    variance_of = np.concatenate([np.full(len(sketches), view.variance) for view, sketches in sides])
    within = m2.sum() / (n.sum() - len(n))
    alike = len(sides[0][1]) if sides[0][0] is kinds[0][0] else None
    zeros = [
        (
            np.array([sketch.zeros for sketch in sketches], dtype=np.float64),
            np.array([sketch.n for sketch in sketches], dtype=np.float64),
        )
        for _, sketches in sides
    ]
    gaps, squares, freedom, noise = _cdf_distances(sides, edges)
    with np.errstate(divide="ignore", invalid="ignore"):
        # Of the windows, not of the total, which their differences widen; extremes that one window misses count.
        kurtosis = max(float((m4.sum() / n.sum()) / within**2), 1.0)
        log_variance = np.log(m2 / (n - 1))
        noise_of_variance = (kurtosis - 1) / n + 2 / n**2

        def scatter(varies: bool) -> FeatureScatter:
            sides_of = (level, len(sides), alike)
            return FeatureScatter(
                mean=process_sd(mean, within / n, mean_of, *sides_of, varies=varies),
                log_variance=process_sd(log_variance, noise_of_variance, np.log(variance_of), *sides_of, varies=varies),
                gap=process_gap(gaps, noise, level, varies=varies),
                distance=process_distance(squares, freedom, PER_CHI_SQUARED * noise, level, varies=varies),
                zeros=_share_sd(zeros, level, varies=varies),
            )

        known = scatter(False)
        shown = (known.mean, known.log_variance, known.gap, known.distance, known.zeros)
        # One thing makes windows vary, whichever measures show it: from few rows the others only seem to be free of it.
        return scatter(True) if sum(one > 0 for one in shown) >= SHOW_MIN else known


def _cdf_distances(
    sides: Sequence[tuple[NumericView, Sequence[NumericSketch]]], edges: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], int, NDArray[np.float64]]:
    """Windows' largest gaps, squared distances over the bins with their freedom, and noises, of all sides (w,).

    Reads each window's cdf at fixed points in one call, which takes a tenth of unfolding the sketch.
    """
    gaps, noises, squares = [], [], []
    freedom = 0
    for view, sketches in sides:
        grid = np.unique(view.quantiles(_GRID))
        points = np.unique(np.concatenate((grid, edges))) if edges is not None else grid
        cdfs = cdfs_of(sketches, points, view.rounded)
        n = np.array([sketch.n for sketch in sketches], dtype=np.float64)
        noise = np.array([rank_noise(sketch.rank_error) for sketch in sketches]) + 1 / n + view.noise
        gaps.append(np.abs(cdfs - view.cdf(points)).max(axis=1))
        noises.append(noise)
        if edges is not None:
            shares = np.diff(cdfs[:, np.searchsorted(points, edges)], prepend=0.0, append=1.0, axis=1)
            expected = bin_shares(view, edges)
            kept = expected > 0
            squares.append(((shares[:, kept] - expected[kept]) ** 2 / expected[kept]).sum(axis=1))
            freedom = max(freedom, int(kept.sum()) - 1)
        else:
            squares.append(np.zeros(len(sketches)))
    return np.concatenate(gaps), PER_CHI_SQUARED * np.concatenate(squares), freedom, np.concatenate(noises)


def cdfs_of(
    sketches: Sequence[NumericSketch], points: NDArray[np.float64], rounded: float | None = None
) -> NDArray[np.float64]:
    """Each sketch's cdf at ascending points of a view with such a `rounded` share, shape (sketches, points)."""
    return np.array([sketch.cdf_at(points, rounded) for sketch in sketches])


def _categories(kinds: Sequence[tuple[CategoryView, Sequence[CategoryView]]], level: float) -> CategoryScatter:
    sides = [(view, [window for window in windows if window.n > 0]) for view, windows in kinds if view.n]
    sides = [(view, windows) for view, windows in sides if windows]
    every = [window for _, windows in sides for window in windows]
    if len(every) < WINDOWS_MIN or kinds[0][0].n == 0:
        return CategoryScatter()
    n = np.array([window.n for window in every], dtype=np.float64)
    names = list(kinds[0][0].counts)[:CATEGORIES_MAX]
    shares = {
        name: _share_sd(
            [
                (
                    np.array([window.counts.get(name, 0) for window in windows], dtype=np.float64),
                    np.array([window.n for window in windows], dtype=np.float64),
                )
                for _, windows in sides
            ],
            level,
        )
        for name in names
    }
    squares, freedoms, noises = [], [], []
    for view, windows in sides:
        for window in windows:
            _, r, c = aligned(view, window)
            statistic, freedom = homogeneity(*frequent(r, c), errors=(float(view.error), float(window.error)))
            squares.append(statistic * (1 / view.n + 1 / window.n))
            freedoms.append(freedom)
            noises.append(1 / view.n)
    noise = np.array(noises) + 1 / n
    distance = process_distance(PER_CHI_SQUARED * np.array(squares), max(freedoms), PER_CHI_SQUARED * noise, level)
    return CategoryScatter(distance, {name: sd for name, sd in shares.items() if sd > 0})
