"""What a feature is expected to be: what its schema says, and where that is silent, what the reference shows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from scipy import stats

from modelward_agent.profile import FeatureProfile, Profile
from modelward_collector.models import FeatureSchema, FeatureType, ModelSpec
from modelward_collector.stats.intervals import clopper_pearson, share_above

SIGNIFICANCE = 0.001
"""A rule on shares is violated when an acceptable share would show this many rows less often than this. It is small
because a model has many features and is checked every few minutes."""


def of_type(feature: FeatureProfile, wanted: FeatureType) -> int:
    """Rows whose value is of the type; NaN is of none."""
    match wanted:
        case FeatureType.NUMERIC:
            return feature.numbers - feature.nan
        case FeatureType.CATEGORICAL:
            return feature.strings
        case FeatureType.BOOLEAN:
            return feature.booleans
        case FeatureType.EMBEDDING:
            return feature.vectors


def majority_type(feature: FeatureProfile) -> FeatureType | None:
    """The type that most values have; None when there is none or most are of no known type."""
    counts = {kind: of_type(feature, kind) for kind in FeatureType}
    best = max(counts, key=lambda kind: counts[kind])
    return best if counts[best] > feature.other else None


@dataclass(frozen=True, slots=True)
class Bound:
    """The largest acceptable share, in [0, 1], and where it is from, for people."""

    share: float
    source: str

    def p_value(self, count: int, n: int) -> float:
        """How often an acceptable share would show as many as `count` of `n` rows."""
        return share_above(count, n, self.share)

    def violated(self, count: int, n: int) -> bool:
        """Whether `count` of `n` rows are more than the bound and chance explain."""
        return n > 0 and count > self.share * n and self.p_value(count, n) < SIGNIFICANCE


def like_reference(count: int, n: int, tolerance: float) -> Bound:
    """The reference's share, as high as its `n` rows leave it open, plus a tolerance; that alone of no rows."""
    if n <= 0:
        return Bound(tolerance, "the tolerance")
    return Bound(min(1.0, clopper_pearson(count, n).high + tolerance), f"the reference's {percent(count / n)}")


@lru_cache(maxsize=1024)
def beyond_extremes(n: int, level: float) -> float:
    """The share outside the smallest and largest of `n` values that further ones exceed with a chance of `level`.

    That share is distributed as Beta(2, n - 1), whatever the values are.
    """
    return float(stats.beta.isf(level, 2, n - 1)) if n > 1 else 1.0


@dataclass(frozen=True, slots=True)
class Expectation:
    """One expected feature. `reference` is its profile in the reference's `reference_rows` rows, None when unknown."""

    name: str
    type: FeatureType | None
    schema: FeatureSchema | None
    reference: FeatureProfile | None

    @property
    def reference_rows(self) -> int:
        """How many rows the reference has."""
        return self.reference.rows if self.reference else 0

    def required(self) -> bool:
        """Whether the model is meant to have it always: its schema names it, or most of the reference's rows had it."""
        return self.schema is not None or (
            self.reference is not None and 2 * self.reference.present >= self.reference.rows
        )

    def missing_bound(self, tolerance: float) -> Bound:
        """The largest acceptable share of missing values, NaN among them."""
        if self.schema is not None and self.schema.missing_max is not None:
            return Bound(self.schema.missing_max, "missing_max")
        missing = self.reference.missing + self.reference.nan if self.reference else 0
        return like_reference(missing, self.reference_rows, tolerance)


def expectations(spec: ModelSpec, reference: Profile | None) -> dict[str, Expectation]:
    """Every feature that the schema names or the reference had, by name, sorted; empty when nothing is known.

    Of what is not to be compared (`checks.drift.ignore`) only what the schema says is expected.
    """
    known = reference.features if reference is not None and reference.rows else {}
    ignored = set(spec.checks.drift.ignore)
    seen = {name: feature for name, feature in known.items() if feature.present and name not in ignored}
    found = {}
    for name in sorted({*spec.features, *seen}):
        schema, feature = spec.features.get(name), seen.get(name)
        kind = schema.type if schema else majority_type(feature) if feature else None
        found[name] = Expectation(name, kind, schema, feature)
    return found


def percent(share: float) -> str:
    """A share for people: 3.2%, 0.04%, 100%."""
    if share == 0 or share == 1:
        return f"{share:.0%}"
    return f"{share:.1%}" if 0.001 <= share <= 0.999 else f"{100 * share:.3g}%"
