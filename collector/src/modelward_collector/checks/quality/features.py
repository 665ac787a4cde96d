"""Rules on the features: schema, types, missing values, NaN and infinities, ranges, categories, dimensions."""

from __future__ import annotations

from collections.abc import Callable

from modelward_agent.profile import NumericSketch
from modelward_collector.checks.quality.expectation import (
    SIGNIFICANCE,
    Bound,
    beyond_extremes,
    like_reference,
    percent,
)
from modelward_collector.checks.quality.judged import NAMED, Judged, count_of, group
from modelward_collector.checks.quality.shares import (
    allowed_categories,
    infinite,
    outside_set,
    share_outside,
    wrong_type,
)
from modelward_collector.checks.result import Finding, Status
from modelward_collector.models import FeatureType

INFINITE_TOLERANCE = 0.001
"""Share of infinities above the reference's that is let pass; nearly all are a division by zero."""

CRITICAL_MISSING = 0.5


def _schema(judged: Judged) -> list[Finding]:
    expected, features = judged.expected, judged.profile.features
    if not expected:
        return _unprofiled(judged)
    tolerance = judged.spec.checks.quality.missing_tolerance
    violations = []
    for name, expectation in expected.items():
        if name in features and features[name].present:
            continue
        bound = expectation.missing_bound(tolerance)
        if bound.violated(judged.rows, judged.rows):
            status = Status.CRITICAL if expectation.required() else Status.WARNING
            by = "the schema names it" if expectation.schema else "the reference has it"
            violations.append(
                Finding(
                    name,
                    "schema",
                    status,
                    f"{name} is gone: no value in {count_of(judged.rows, 'row')}, and {by}",
                    value=1.0,
                    threshold=bound.share,
                    p_value=bound.p_value(judged.rows, judged.rows),
                    detail={"violation": "gone"},
                )
            )
    for name, feature in sorted(features.items()):
        in_reference = judged.known is not None and name in judged.known.features
        passed = in_reference or name in judged.unprofiled or name in judged.spec.checks.drift.ignore
        if feature.present and name not in expected and not passed:
            share = feature.present / judged.rows
            violations.append(
                Finding(
                    name,
                    "schema",
                    Status.WARNING,
                    f"{name} is unexpected: in {percent(share)} of rows, and neither schema nor reference has it",
                    value=share,
                    threshold=0.0,
                    detail={"violation": "unexpected"},
                )
            )
    found = group(judged, "schema", violations, dict.fromkeys(expected, 0.0), "there, and none unexpected")
    return [*found, *_unprofiled(judged)]


def _unprofiled(judged: Judged) -> list[Finding]:
    """What cannot be judged since there are more features than are profiled, in one finding."""
    profiles = [profile for profile in (judged.profile, judged.known) if profile is not None and profile.beyond]
    if not profiles:
        return []
    most = min(profile.max_features or 0 for profile in profiles)
    count = max(len(judged.unprofiled), *(profile.beyond for profile in profiles))
    names = sorted(judged.unprofiled)[:NAMED]
    such = f" ({', '.join(names[:3])}{', …' if len(judged.unprofiled) > 3 else ''})" if names else ""
    return [
        Finding(
            "features",
            "not_profiled",
            Status.NO_DATA,
            f"{count_of(count, 'feature')} or more{such} not profiled: beyond max_features ({most:,}); raise it in "
            "agent.yml, and --max-features of modelward-agent profile alike",
            value=float(count),
            detail={"first": names},
        )
    ]


def _types(judged: Judged) -> list[Finding]:
    violations, checked = [], {}
    for expectation, feature in judged.present():
        if expectation.type is None:
            continue
        # a reference that breaks the schema is no excuse
        known = None if expectation.schema else expectation.reference
        checked[expectation.name], found = wrong_type(
            expectation.name, expectation.type, feature, known, judged.spec.model
        )
        violations += found
    return group(judged, "type", violations, checked, "of the expected type")


def _missing(judged: Judged) -> list[Finding]:
    """Null, absent and NaN are one thing: which of them a missing value is depends on what wrote it."""
    violations, checked = [], {}
    tolerance = judged.spec.checks.quality.missing_tolerance
    for expectation, feature in judged.present():
        name, missing = expectation.name, feature.missing + feature.nan
        share = missing / judged.rows
        bound = expectation.missing_bound(tolerance)
        checked[name] = share
        if bound.violated(missing, judged.rows):
            of_nan = f" ({percent(feature.nan / judged.rows)} NaN)" if feature.nan else ""
            violations.append(
                Finding(
                    name,
                    "missing",
                    Status.CRITICAL if share > CRITICAL_MISSING else Status.WARNING,
                    f"{name}: {percent(share)} missing{of_nan}, more than {percent(bound.share)} ({bound.source})",
                    value=share,
                    threshold=bound.share,
                    p_value=bound.p_value(missing, judged.rows),
                )
            )
    return group(judged, "missing", violations, checked, "no more missing than expected")


def _infinite(judged: Judged) -> list[Finding]:
    violations, checked = [], {}
    for expectation, feature in judged.present():
        numbers = feature.numbers - feature.nan
        if not numbers:
            continue
        name, known, count = expectation.name, expectation.reference, infinite(feature)
        checked[name] = share = count / numbers
        before = (infinite(known), known.numbers - known.nan) if known else (0, 0)
        bound = like_reference(*before, INFINITE_TOLERANCE)
        if bound.violated(count, numbers):
            violations.append(
                Finding(
                    name,
                    "infinite",
                    Status.CRITICAL if share > CRITICAL_MISSING else Status.WARNING,
                    f"{name}: {percent(share)} of numbers are infinite, more than {percent(bound.share)} "
                    f"({bound.source})",
                    value=share,
                    threshold=bound.share,
                    p_value=bound.p_value(count, numbers),
                )
            )
    return group(judged, "infinite", violations, checked, "infinities no more than expected")


def _range(judged: Judged) -> list[Finding]:
    violations, checked = [], {}
    allowed = judged.spec.checks.quality.unseen_max
    for expectation, feature in judged.present():
        sketch, schema = feature.numeric, expectation.schema
        if sketch is None or not sketch.n or expectation.type is not FeatureType.NUMERIC:
            continue
        name = expectation.name
        if schema is not None and (schema.min is not None or schema.max is not None):
            share, finding = _outside(name, sketch, schema.min, schema.max)
            checked[name] = share
            violations += finding
        elif (known := expectation.reference) is not None and known.numeric is not None and known.numeric.n:
            low, high = known.numeric.minimum, known.numeric.maximum
            share = share_outside(sketch, low, high)
            checked[name] = share
            # a new record is nothing; many rows beyond every earlier one are
            open_yet = beyond_extremes(known.numeric.n, SIGNIFICANCE / len(judged.expected))
            bound = Bound(min(1.0, open_yet + allowed + sketch.rank_error), "unseen_max")
            count = round(share * sketch.n)
            if bound.violated(count, sketch.n):
                violations.append(
                    Finding(
                        name,
                        "range",
                        Status.WARNING,
                        f"{name}: {percent(share)} outside the reference's {low:g} to {high:g}; "
                        f"now {sketch.minimum:g} to {sketch.maximum:g}",
                        value=share,
                        threshold=bound.share,
                        p_value=bound.p_value(count, sketch.n),
                        detail={"minimum": sketch.minimum, "maximum": sketch.maximum, "low": low, "high": high},
                    )
                )
    return group(judged, "range", violations, checked, "within range")


def _outside(name: str, sketch: NumericSketch, low: float | None, high: float | None) -> tuple[float, list[Finding]]:
    share = share_outside(sketch, low, high)
    if not share:
        return share, []
    below = low is not None and sketch.minimum < low
    parts = [f"the lowest is {sketch.minimum:g}, the schema's min {low:g}"] if below else []
    if high is not None and sketch.maximum > high:
        parts.append(f"the highest is {sketch.maximum:g}, the schema's max {high:g}")
    finding = Finding(
        name,
        "range",
        Status.WARNING,
        f"{name}: {percent(share)} out of range; {' and '.join(parts)}",
        value=share,
        threshold=0.0,
        detail={"minimum": sketch.minimum, "maximum": sketch.maximum, "low": low, "high": high},
    )
    return share, [finding]


def _unseen(judged: Judged) -> list[Finding]:
    violations, checked = [], {}
    unnamed = []
    for expectation, feature in judged.present():
        if expectation.type is not FeatureType.CATEGORICAL or feature.categorical is None or not feature.strings:
            continue
        values = expectation.schema.values if expectation.schema else None
        known = expectation.reference.categorical if expectation.reference else None
        allowed = allowed_categories(values, known, judged.spec.checks.quality.unseen_max)
        if allowed is None:
            if known is not None:
                unnamed.append(expectation.name)
            continue
        share, found = outside_set(expectation.name, "unseen", "categories", feature.categorical, *allowed)
        checked[expectation.name] = share
        violations += found
    detail = {"too_many_to_tell": unnamed[:NAMED]} if unnamed else None
    return group(judged, "unseen", violations, checked, "no more unseen categories than allowed", detail=detail)


def _dimensions(judged: Judged) -> list[Finding]:
    violations, checked = [], {}
    for expectation, feature in judged.present():
        if expectation.type is not FeatureType.EMBEDDING or feature.vector is None:
            continue
        dimension = expectation.schema.dimension if expectation.schema else None
        source = "schema"
        if dimension is None and expectation.reference and expectation.reference.vector:
            dimension, source = expectation.reference.vector.dimension, "reference"
        if dimension is None:
            dimension, source = feature.vector.dimension, "first seen"
        vector, name = feature.vector, expectation.name
        # what has not the sketch's dimension may have the expected one, when that is another
        wrong = vector.wrong_dimension if vector.dimension == dimension else vector.n
        share = wrong / feature.vectors
        checked[name] = share
        if wrong:
            seen = f"; they have {vector.dimension}" if vector.dimension != dimension else ""
            violations.append(
                Finding(
                    name,
                    "dimension",
                    Status.CRITICAL if share > CRITICAL_MISSING else Status.WARNING,
                    f"{name}: {percent(share)} of embeddings have not the dimension {dimension} ({source}){seen}",
                    value=share,
                    threshold=0.0,
                    detail={"expected": dimension, "seen": vector.dimension},
                )
            )
    return group(judged, "dimension", violations, checked, "embeddings of the expected dimension")


FEATURE_RULES: tuple[Callable[[Judged], list[Finding]], ...] = (
    _schema,
    _types,
    _missing,
    _infinite,
    _range,
    _unseen,
    _dimensions,
)
