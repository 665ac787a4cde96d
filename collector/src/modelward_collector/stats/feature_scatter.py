"""What the reference's own windows say about how much an unchanged feature varies."""

from __future__ import annotations

import math
from collections.abc import Sequence

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
)
from modelward_collector.stats.homogeneity import homogeneity
from modelward_collector.stats.jensen_shannon import PER_CHI_SQUARED
from modelward_collector.stats.psi import bin_shares
from modelward_collector.stats.scatter import WINDOWS_MIN, process_distance, process_gap, process_sd
from modelward_collector.stats.text import TextScatter, text_scatter
from modelward_collector.stats.view import NumericView, rank_noise

CATEGORIES_MAX = 50
"""Only the most frequent categories have a scatter of their own."""

_GRID = np.linspace(0.02, 0.98, 49)
"""Ranks of the reference at which windows' cdfs are read."""


def feature_scatter(reference: FeatureView, windows: Sequence[FeatureProfile], level: float) -> FeatureScatter:
    """Scatter of a feature over windows as long as the one that is to be checked; zeros from fewer than three.

    `level` is the error probability that one feature may use: 0.01 of a model's 30 features is 0.00033.
    """
    if len(windows) < WINDOWS_MIN:
        return FeatureScatter()
    rows = np.array([window.rows for window in windows], dtype=np.float64)
    missing = np.array([window.missing + window.nan for window in windows], dtype=np.float64)
    missing_sd = _share_sd(missing, rows, level)
    if reference.kind == NUMERIC and reference.numeric is not None:
        sketches = [window.numeric for window in windows if window.numeric is not None]
        known = _numeric(reference.numeric, reference.edges, sketches, level)
        return FeatureScatter(known.mean, known.log_variance, known.gap, known.distance, known.zeros, missing_sd)
    if reference.kind in (CATEGORICAL, BOOLEAN) and reference.categories is not None:
        if reference.kind == BOOLEAN:
            views = [boolean_view(window) for window in windows]
        else:
            views = [CategoryView.of(window.categorical) for window in windows if window.categorical is not None]
        return FeatureScatter(missing=missing_sd, categories=_categories(reference.categories, views, level))
    if reference.kind == TEXT and reference.text is not None:
        texts = [window.text for window in windows if window.text is not None]
        lengths = _numeric(reference.text.lengths, None, [text.lengths for text in texts], level)
        of_lengths = TextScatter(length=lengths.mean, gap=lengths.gap)
        return FeatureScatter(missing=missing_sd, text=text_scatter(reference.text, texts, of_lengths, level))
    if reference.kind == EMBEDDING:
        vectors = [
            window.vector
            for window in windows
            if window.vector is not None and window.vector.dimension == reference.dimension
        ]
        each = [
            _numeric(view, None, [(*vector.projections, vector.norm)[index] for vector in vectors], level)
            for index, view in enumerate(reference.projections)
        ]
        return FeatureScatter(missing=missing_sd, projections=tuple(each))
    return FeatureScatter(missing=missing_sd)


def _share_sd(hits: NDArray[np.float64], rows: NDArray[np.float64], level: float) -> float:
    hits, rows = hits[rows > 0], rows[rows > 0]
    share = hits.sum() / rows.sum() if len(rows) else 0.0
    if share in (0.0, 1.0):
        return 0.0
    return process_sd(hits / rows, share * (1 - share) / rows, float(share), level)


def _numeric(
    reference: NumericView, edges: NDArray[np.float64] | None, sketches: Sequence[NumericSketch], level: float
) -> FeatureScatter:
    sketches = [sketch for sketch in sketches if sketch.n > 1]
    if len(sketches) < WINDOWS_MIN or not reference.variance > 0:
        return FeatureScatter()
    n = np.array([sketch.n for sketch in sketches], dtype=np.float64)
    mean = np.array([sketch.moments.mean for sketch in sketches])
    m2 = np.array([sketch.moments.m2 for sketch in sketches])
    m4 = np.array([sketch.moments.m4 for sketch in sketches])
    within = m2.sum() / (n.sum() - len(n))
    with np.errstate(divide="ignore", invalid="ignore"):
        # Of the windows, not of the total, which their differences widen; extremes that one window misses count.
        kurtosis = max(float((m4.sum() / n.sum()) / within**2), 1.0)
        log_variance = np.log(m2 / (n - 1))
        gap, distance = _cdf_scatter(reference, edges, sketches, n)
        return FeatureScatter(
            mean=process_sd(mean, within / n, reference.mean, level),
            log_variance=process_sd(log_variance, (kurtosis - 1) / n + 2 / n**2, math.log(reference.variance), level),
            gap=gap,
            distance=distance,
            zeros=_share_sd(np.array([sketch.zeros for sketch in sketches], dtype=np.float64), n, level),
        )


def _cdf_scatter(
    reference: NumericView,
    edges: NDArray[np.float64] | None,
    sketches: Sequence[NumericSketch],
    n: NDArray[np.float64],
) -> tuple[float, float]:
    """Reads each window's cdf at fixed points in one call, which takes a tenth of unfolding the sketch."""
    grid = np.unique(reference.quantiles(_GRID))
    points = np.unique(np.concatenate((grid, edges))) if edges is not None else grid
    cdfs = np.array([sketch.kll.get_cdf(points.astype(np.float32), True)[:-1] for sketch in sketches])
    noise = np.array([rank_noise(sketch.rank_error) for sketch in sketches]) + 1 / n + reference.noise
    gaps = np.abs(cdfs - reference.cdf(points)).max(axis=1)
    gap = process_gap(gaps, noise)
    if edges is None:
        return gap, 0.0
    at = cdfs[:, np.searchsorted(points, edges)]
    shares = np.diff(at, prepend=0.0, append=1.0, axis=1)
    expected = bin_shares(reference, edges)
    kept = expected > 0
    squares = ((shares[:, kept] - expected[kept]) ** 2 / expected[kept]).sum(axis=1)
    return gap, process_distance(PER_CHI_SQUARED * squares, int(kept.sum()) - 1, PER_CHI_SQUARED * noise)


def _categories(reference: CategoryView, windows: Sequence[CategoryView], level: float) -> CategoryScatter:
    windows = [window for window in windows if window.n > 0]
    if len(windows) < WINDOWS_MIN or reference.n == 0:
        return CategoryScatter()
    n = np.array([window.n for window in windows], dtype=np.float64)
    names = list(reference.counts)[:CATEGORIES_MAX]
    counts = np.array([[window.counts.get(name, 0) for name in names] for window in windows], dtype=np.float64)
    shares = {name: _share_sd(counts[:, index], n, level) for index, name in enumerate(names)}
    squares, freedoms = [], []
    for window in windows:
        _, r, c = aligned(reference, window)
        statistic, freedom = homogeneity(*frequent(r, c), errors=(float(reference.error), float(window.error)))
        squares.append(statistic * (1 / reference.n + 1 / window.n))
        freedoms.append(freedom)
    noise = 1 / reference.n + 1 / n
    distance = process_distance(PER_CHI_SQUARED * np.array(squares), max(freedoms), PER_CHI_SQUARED * noise)
    return CategoryScatter(distance, {name: sd for name, sd in shares.items() if sd > 0})
