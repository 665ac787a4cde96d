"""Two distributions in the same bins, to be drawn over each other."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelward_agent.profile import FeatureProfile, NumericSketch
from modelward_collector.stats.categories import CategoryView
from modelward_collector.stats.feature import (
    BOOLEAN,
    CATEGORICAL,
    EMBEDDING,
    NUMERIC,
    TEXT,
    boolean_view,
    is_text,
    type_counts,
)
from modelward_collector.stats.view import NumericView

OTHER = "(other)"
"""The bin of all categories that have none of their own."""

_TAIL = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class PairedHistogram:
    """Shares of present rows, `reference` and `current` (bins,), each adding up to 1, or all 0 for a side without rows.

    `kind` is numeric, categorical, boolean, text (of which the length is drawn) or vector (its norm). Numbers' bins
    have `edges` (bins + 1,), ascending, the outermost bins holding the tails too; the others have `names` (bins,).
    """

    kind: str
    reference: NDArray[np.float64]
    current: NDArray[np.float64]
    edges: tuple[float, ...] | None = None
    names: tuple[str, ...] | None = None


def paired_histogram(reference: FeatureProfile, current: FeatureProfile, bins: int = 40) -> PairedHistogram | None:
    """The two in at most `bins` bins that suit both; None when neither has a row that can be drawn.

    What most of the reference's rows hold decides the kind (the current's, when the reference has none). Numbers are
    drawn from the smaller 1% quantile to the larger 99% quantile; whole numbers get bins around them.
    """
    kind = _kind(reference) or _kind(current)
    if kind == TEXT:
        lengths = [side.text.lengths if side.text is not None else None for side in (reference, current)]
        return _binned(kind, lengths[0], lengths[1], bins)
    if kind == CATEGORICAL:
        return _named(kind, _strings(reference), _strings(current), bins)
    if kind == BOOLEAN:
        return _named(kind, boolean_view(reference), boolean_view(current), bins)
    if kind == NUMERIC:
        return _binned(kind, reference.numeric, current.numeric, bins)
    if kind == EMBEDDING:
        norms = [side.vector.norm if side.vector is not None else None for side in (reference, current)]
        return _binned("vector", norms[0], norms[1], bins)
    return None


def _kind(feature: FeatureProfile) -> str | None:
    types = type_counts(feature)
    drawn = {name: types[name] for name in (NUMERIC, CATEGORICAL, BOOLEAN, EMBEDDING) if types[name]}
    kind = max(drawn, key=lambda name: drawn[name]) if drawn else None
    return TEXT if kind == CATEGORICAL and is_text(feature) else kind


def _strings(feature: FeatureProfile) -> CategoryView:
    return CategoryView(0, {}) if feature.categorical is None else CategoryView.of(feature.categorical)


def _named(kind: str, reference: CategoryView, current: CategoryView, bins: int) -> PairedHistogram:
    r, c = reference.shares, current.shares
    names = sorted({*r, *c}, key=lambda name: (-max(r.get(name, 0.0), c.get(name, 0.0)), name))
    if kind == BOOLEAN:
        names = ["false", "true"]
    shown = names if len(names) <= bins else names[: bins - 1]
    sides = []
    rest = len(names) > len(shown)
    for view, shares in ((reference, r), (current, c)):
        side = [shares.get(name, 0.0) for name in shown]
        hidden = max(0.0, 1.0 - sum(side)) if view.n else 0.0
        rest = rest or hidden > 1e-9
        sides.append([*side, hidden])
    last = len(shown) + int(rest)
    labels = (*shown, OTHER)[:last]
    return PairedHistogram(kind, np.array(sides[0][:last]), np.array(sides[1][:last]), names=labels)


def _binned(
    kind: str, reference: NumericSketch | None, current: NumericSketch | None, bins: int
) -> PairedHistogram | None:
    views = [NumericView.of(sketch) if sketch is not None and sketch.n else None for sketch in (reference, current)]
    there = [view for view in views if view is not None]
    if not there:
        return None
    low = min(float(view.quantiles([_TAIL])[0]) for view in there)
    high = max(float(view.quantiles([1 - _TAIL])[0]) for view in there)
    if low == high:  # nearly all rows have one value: show the others too
        low, high = min(view.minimum for view in there), max(view.maximum for view in there)
    edges = _edges(there, low, high, bins)
    shares = [np.zeros(len(edges) - 1) if view is None else _shares(view, edges) for view in views]
    return PairedHistogram(kind, shares[0], shares[1], edges=tuple(float(edge) for edge in edges))


def _edges(views: list[NumericView], low: float, high: float, bins: int) -> NDArray[np.float64]:
    whole = all(bool(np.all(view.values == np.rint(view.values))) for view in views)
    if whole and high - low < 2**53:
        width = max(1, math.ceil((high - low + 1) / bins))
        count = math.ceil((high - low + 1) / width)
        return low - 0.5 + width * np.arange(count + 1, dtype=np.float64)
    if low == high:
        return np.array([low - 0.5, low + 0.5])
    return np.linspace(low, high, bins + 1)


def _shares(view: NumericView, edges: NDArray[np.float64]) -> NDArray[np.float64]:
    inner = view.cdf(edges[1:-1])
    shares: NDArray[np.float64] = np.diff(inner, prepend=0.0, append=1.0)
    return shares
