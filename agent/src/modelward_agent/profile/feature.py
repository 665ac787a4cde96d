"""Everything counted of one feature (or one output) of a model in one window."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from modelward_agent.profile.categorical import CategoricalSketch
from modelward_agent.profile.numeric import NumericSketch
from modelward_agent.profile.text import TextSketch, looks_like_text
from modelward_agent.profile.vector import VectorSketch


class FeatureProfile:
    """Counts by what was seen, and a sketch of each type that occurred.

    `missing` counts nulls and rows without the feature, once the profile is finished. Numbers that are not finite are
    counted apart and not in `numeric`. `other` counts values of no known type (objects, mixed lists). Strings that look
    like free text are in `text` too, beside `categorical`; `unexamined` ones are of agents that did not look for any.
    """

    __slots__ = (
        "categorical",
        "false",
        "missing",
        "nan",
        "negative_infinity",
        "numeric",
        "other",
        "positive_infinity",
        "text",
        "true",
        "unexamined",
        "vector",
    )

    COUNTS = ("missing", "nan", "positive_infinity", "negative_infinity", "true", "false", "other")

    def __init__(self) -> None:
        self.missing = 0
        self.nan = 0
        self.positive_infinity = 0
        self.negative_infinity = 0
        self.true = 0
        self.false = 0
        self.other = 0
        self.numeric: NumericSketch | None = None
        self.categorical: CategoricalSketch | None = None
        self.text: TextSketch | None = None
        self.unexamined = 0
        self.vector: VectorSketch | None = None

    @property
    def numbers(self) -> int:
        """Rows with a number, finite or not."""
        finite = self.numeric.n if self.numeric else 0
        return finite + self.nan + self.positive_infinity + self.negative_infinity

    @property
    def strings(self) -> int:
        """Rows with a string."""
        return self.categorical.n if self.categorical else 0

    @property
    def booleans(self) -> int:
        """Rows with true or false."""
        return self.true + self.false

    @property
    def vectors(self) -> int:
        """Rows with a list of numbers, of whatever dimension."""
        return self.vector.n + self.vector.wrong_dimension if self.vector else 0

    @property
    def present(self) -> int:
        """Rows with any value."""
        return self.numbers + self.strings + self.booleans + self.vectors + self.other

    @property
    def rows(self) -> int:
        """Rows seen, with and without a value."""
        return self.present + self.missing

    def update_numbers(self, values: NDArray[np.float64]) -> None:
        """Fold numbers, finite or not, shape (n,); those that are not finite are counted apart."""
        finite = np.isfinite(values)
        if not finite.all():
            self.nan += int(np.count_nonzero(np.isnan(values)))
            self.positive_infinity += int(np.count_nonzero(np.isposinf(values)))
            self.negative_infinity += int(np.count_nonzero(np.isneginf(values)))
            values = values[finite]
        if len(values):
            if self.numeric is None:
                self.numeric = NumericSketch()
            self.numeric.update(values)

    def update_counts(self, counts: Mapping[str, int]) -> None:
        """Fold each string as often as its count says."""
        if self.categorical is None:
            self.categorical = CategoricalSketch()
        self.categorical.update_counts(counts)
        texts = {text: count for text, count in counts.items() if looks_like_text(text)}
        if texts:
            if self.text is None:
                self.text = TextSketch()
            self.text.update_counts(texts)

    def merge(self, other: FeatureProfile) -> None:
        """Add the other's rows to this one's; the other stays as it is."""
        for name in self.COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        if other.numeric is not None:
            if self.numeric is None:
                self.numeric = NumericSketch()
            self.numeric.merge(other.numeric)
        if other.categorical is not None:
            if self.categorical is None:
                self.categorical = CategoricalSketch()
            self.categorical.merge(other.categorical)
        self.unexamined += other.unexamined
        if other.text is not None:
            if self.text is None:
                self.text = TextSketch()
            self.text.merge(other.text)
        if other.vector is not None:
            if self.vector is None:
                self.vector = VectorSketch(other.vector.dimension)
            self.vector.merge(other.vector)
