"""Profiles of columns of raw values, for tests of what is read from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from modelward_agent.profile import CategoricalSketch, FeatureProfile, NumericSketch, Profile

Values = NDArray[np.float64]
Column = NDArray[np.float64] | NDArray[np.str_]
Draws = Callable[[np.random.Generator, int], Column]


def column(values: Column) -> FeatureProfile:
    """Of numbers, of which NaN are missing, or of words."""
    made = FeatureProfile()
    if values.dtype.kind == "f":
        made.missing = int(np.isnan(values).sum())
        made.numeric = NumericSketch()
        made.numeric.update(values[~np.isnan(values)].astype(np.float64))
    else:
        made.categorical = CategoricalSketch()
        made.categorical.update(values.tolist())
    return made


def rows(columns: Mapping[str, Column]) -> Profile:
    """Of columns of one length."""
    made = Profile()
    made.features = {name: column(values) for name, values in columns.items()}
    made.rows = len(next(iter(columns.values())))
    return made
