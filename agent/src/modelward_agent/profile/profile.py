"""A profile: what one window of one model's traffic looked like, mergeable with any other."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import datasketches
import numpy as np
from numpy.typing import NDArray

from modelward_agent.profile.comoments import CoMoments
from modelward_agent.profile.dependence import Dependence
from modelward_agent.profile.feature import FeatureProfile

ROW_HLL_LG_K = 12

Segment = tuple[tuple[str, str], ...]
"""A row's segment, `(("region", "eu"), ("tier", "gold"))`: sorted pairs, empty for none."""

OTHER_SEGMENT: Segment = (("", "other"),)
"""Where rows go whose segment is beyond the bound on different ones."""

OUTPUTS = ("prediction", "score", "probability_sum", "latency_ms", "actual")
"""What is summarised beside the features."""


@dataclass(frozen=True, slots=True, order=True)
class ProfileKey:
    """What a profile is of; `start` is the window's first second (Unix time), `seconds` its length."""

    host: str
    model: str
    version: str
    segment: Segment
    start: int
    seconds: int


class Profile:
    """Summaries of `rows` predictions, `errors` failed ones and `actuals` labels.

    Merging is associative and commutative: exact in every count and moment, and within the sketches' stated error in
    quantiles. A feature that only one side knows is missing in all rows of the other. `joint` is how features move
    together and `dependence` how else they depend on each other, over the rows whose profiles know it; None when none
    does.

    Of all features that were seen the first `max_features` by name are kept (None: all, as agents did that knew no
    such bound), whatever came first: so two profiles of the same columns keep the same ones, and what is kept is
    counted in every row. `beyond` is how many more there were at least; when there were any, nothing is known of
    features that come after the last one kept.
    """

    __slots__ = (
        "actuals",
        "beyond",
        "dependence",
        "distinct_rows",
        "errors",
        "features",
        "joint",
        "max_features",
        "outputs",
        "rows",
    )

    def __init__(self, max_features: int | None = None) -> None:
        self.max_features = max_features
        self.beyond = 0
        self.rows = 0
        self.errors = 0
        self.actuals = 0
        self.distinct_rows = datasketches.hll_union(ROW_HLL_LG_K)
        self.features: dict[str, FeatureProfile] = {}
        self.outputs: dict[str, FeatureProfile] = {}
        self.joint: CoMoments | None = None
        self.dependence: Dependence | None = None

    def admit(self, names: Collection[str]) -> set[str]:
        """Those of the names that are profiled from now on; a new one was missing in every row so far.

        What gives way to a new one is left out for good: names are only ever added, so it is never among the first
        again.
        """
        features = self.features
        new = [name for name in names if name not in features]
        if self.max_features is None or len(features) + len(new) <= self.max_features:
            kept = set(names)
        else:
            last = sorted([*features, *new])[self.max_features - 1]
            self._drop_after(last, len(features) + len(new) - self.max_features)
            new = [name for name in new if name <= last]
            kept = {name for name in names if name <= last}
        for name in new:
            features[name] = FeatureProfile()
            features[name].missing = self.rows
        return kept

    def _drop_after(self, last: str, beyond: int) -> None:
        for name in [name for name in self.features if name > last]:
            del self.features[name]
        self.beyond = max(self.beyond, beyond)

    def not_told_of(self, names: Iterable[str]) -> set[str]:
        """Those of the names that may have been left out: whether any row had them, the profile does not tell."""
        if not self.beyond:
            return set()
        last = max(self.features, default="")
        return {name for name in names if name > last}

    def fold_together(self, names: Sequence[str], matrix: NDArray[np.float64]) -> None:
        """Fold rows of several features together, shape (names, rows); NaN where there is no value."""
        if self.joint is None:
            self.joint = CoMoments()
        self.joint.update(names, matrix)
        if self.dependence is None:
            self.dependence = Dependence()
        self.dependence.update(names, matrix)

    def merge(self, other: Profile) -> None:
        """Add the other's traffic to this one's; the other stays as it is."""
        self._merge_features(other)
        self._merge_bounds(other)
        for name, output in other.outputs.items():
            self.outputs.setdefault(name, FeatureProfile()).merge(output)
        if other.joint is not None:
            if self.joint is None:
                self.joint = CoMoments()
            self.joint.merge(other.joint)
        if other.dependence is not None:
            if self.dependence is None:
                self.dependence = Dependence()
            self.dependence.merge(other.dependence)
        self.rows += other.rows
        self.errors += other.errors
        self.actuals += other.actuals
        self.distinct_rows.update(other.distinct_rows.get_result())

    def _merge_features(self, other: Profile) -> None:
        for name, feature in other.features.items():
            mine = self.features.get(name)
            if mine is None:
                mine = self.features[name] = FeatureProfile()
                mine.missing = self.rows
            mine.merge(feature)
        if other.rows:
            for name, feature in self.features.items():
                if name not in other.features:
                    feature.missing += other.rows

    def _merge_bounds(self, other: Profile) -> None:
        bounds = [bound for bound in (self.max_features, other.max_features) if bound is not None]
        self.max_features = min(bounds, default=None)
        self.beyond = max(self.beyond, other.beyond)
        if self.max_features is not None and len(self.features) > self.max_features:
            last = sorted(self.features)[self.max_features - 1]
            self._drop_after(last, len(self.features) - self.max_features)

    @property
    def duplicate_share(self) -> float:
        """Estimated share of rows equal to an earlier one, in [0, 1]; its standard error is about 0.016."""
        if self.rows == 0:
            return 0.0
        return max(0.0, 1.0 - float(self.distinct_rows.get_estimate()) / self.rows)


def merged(profiles: Iterable[Profile]) -> Profile:
    """A new profile of all the traffic; an empty one of none."""
    total = Profile()
    for profile in profiles:
        total.merge(profile)
    return total
