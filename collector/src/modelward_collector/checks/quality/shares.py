"""Which share of a feature's values, or of the answers, is not what it should be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from modelward_agent.profile import CategoricalSketch, FeatureProfile, NumericSketch
from modelward_agent.profile.categorical import category_name
from modelward_collector.checks.quality.expectation import Bound, like_reference, of_type, percent
from modelward_collector.checks.quality.judged import NAMED
from modelward_collector.checks.result import Finding, Status
from modelward_collector.models import FeatureType

WRONG_TYPE_TOLERANCE = 0.001
"""Share of values of another type above the reference's that is let pass: one odd client is no incident."""


def wrong_type(
    name: str,
    wanted: FeatureType,
    feature: FeatureProfile,
    reference: FeatureProfile | None,
    model: str | None = None,
) -> tuple[float, list[Finding]]:
    """Share of values not of the wanted type, in [0, 1], and the finding when that is more than the reference's.

    With the `model` whose feature it is the finding says what to do, where the agent can do something.
    """
    wrong, present = _of_another_type(feature, wanted)
    bound = like_reference(*(_of_another_type(reference, wanted) if reference else (0, 0)), WRONG_TYPE_TOLERANCE)
    share = wrong / max(1, present)
    if not bound.violated(wrong, present):
        return share, []
    kinds = {"numbers": feature.numbers - feature.nan, "strings": feature.strings, "booleans": feature.booleans}
    kinds |= {"vectors": feature.vectors, "values of no known type": feature.other}
    right = {FeatureType.NUMERIC: "numbers", FeatureType.CATEGORICAL: "strings"}
    right |= {FeatureType.BOOLEAN: "booleans", FeatureType.EMBEDDING: "vectors"}
    others = {kind: count for kind, count in kinds.items() if count and kind != right[wanted]}
    said = ", ".join(f"{percent(count / present)} {kind}" for kind, count in others.items())
    if model is not None and wanted is FeatureType.CATEGORICAL and "numbers" in others:
        # fewer different ones would have been read as categories
        said += (
            " of too many values to be told apart as categories afterwards; write "
            f"types: {{{model}: {{{name}: categorical}}}} in agent.yml, or record it as text"
        )
    finding = Finding(
        name,
        "type",
        Status.WARNING,
        f"{name}: expected {wanted}, {said}",
        value=share,
        threshold=bound.share,
        p_value=bound.p_value(wrong, present),
        detail={"expected": str(wanted), "counts": kinds},
    )
    return share, [finding]


def _of_another_type(feature: FeatureProfile, wanted: FeatureType) -> tuple[int, int]:
    """Rows with a value of another type, and with any; NaN is none."""
    present = feature.present - feature.nan
    return present - of_type(feature, wanted), present


def nan(feature: FeatureProfile) -> int:
    """Rows with NaN."""
    return feature.nan


def infinite(feature: FeatureProfile) -> int:
    """Rows with an infinity of either sign."""
    return feature.positive_infinity + feature.negative_infinity


def share_outside(sketch: NumericSketch, low: float | None, high: float | None) -> float:
    """Share of values below `low` or above `high`, in [0, 1], within twice the sketch's rank error.

    0 exactly when the extremes, which are exact, lie inside, and at least one row when they do not.
    """
    share, some = 0.0, False
    if low is not None and sketch.minimum < low:
        some = True
        share += float(sketch.cdf(np.nextafter(np.float32(low), np.float32(-np.inf), dtype=np.float32)))
    if high is not None and sketch.maximum > high:
        some = True
        share += 1.0 - float(sketch.cdf(high))
    return min(1.0, max(share, 1 / sketch.n)) if some else 0.0


def allowed_categories(
    values: Sequence[str] | None, known: CategoricalSketch | None, tolerance: float
) -> tuple[frozenset[str], Bound] | None:
    """The known categories and the largest acceptable share of others; None when nothing is known.

    Without a schema's values the reference's are known, unless they are so many that its sketch has dropped some. What
    the reference has not yet seen is then expected as often as its categories that came once: Good (1953), "The
    population frequencies of species and the estimation of population parameters".
    """
    if values is not None:
        return frozenset(map(category_name, values)), Bound(tolerance, "unseen_max")
    if known is None or not known.n or known.error:
        return None
    counts = known.counts()
    once = sum(1 for count in counts.values() if count == 1)
    return frozenset(counts), Bound(
        min(1.0, tolerance + once / known.n), "unseen_max, and what the reference leaves open"
    )


def outside_set(
    name: str, test: str, what: str, sketch: CategoricalSketch, allowed: frozenset[str], bound: Bound
) -> tuple[float, list[Finding]]:
    """Share of values that are surely not allowed, in [0, 1], and the finding when that is more than the bound."""
    # a count may be too high by the sketch's error; what is left is certain
    error = sketch.error
    new = {category: count - error for category, count in sketch.counts().items() if category not in allowed}
    new = {category: count for category, count in new.items() if count > 0}
    count = sum(new.values())
    share = count / sketch.n
    if not bound.violated(count, sketch.n):
        return share, []
    named = dict(list(new.items())[:NAMED])
    more = f" and {len(new) - len(named)} more" if len(new) > len(named) else ""
    finding = Finding(
        name,
        test,
        Status.WARNING,
        f"{name}: {percent(share)} in unknown {what}: {', '.join(named)}{more}",
        value=share,
        threshold=bound.share,
        p_value=bound.p_value(count, sketch.n),
        detail={"unseen": named},
    )
    return share, [finding]
