"""Rows of features as numbers that trees can learn from."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelward_agent.values import number_in_text
from modelward_collector.store.shape import number

Floats = NDArray[np.float64]

MAX_INPUTS = 100
"""More features than this are not looked at: those that the model's file calls important come first."""

MAX_CATEGORIES = 200


@dataclass(frozen=True, slots=True)
class Inputs:
    """How features become columns: `names` in order, and of categories their codes, the commonest first."""

    names: tuple[str, ...]
    categories: Mapping[str, Mapping[str, int]]

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, Any]], importance: Mapping[str, float]) -> Inputs:
        """Learned from rows of features."""
        seen = {name for row in rows for name in row}
        names = tuple(sorted(seen, key=lambda name: (-importance.get(name, 0.0), name))[:MAX_INPUTS])
        categories = {}
        for name in names:
            texts = Counter(row[name] for row in rows if isinstance(row.get(name), str) and _number(row[name]) is None)
            if texts:
                ordered = sorted(texts, key=lambda text: (-texts[text], text))[:MAX_CATEGORIES]
                categories[name] = {text: code for code, text in enumerate(ordered)}
        return cls(names, categories)

    def matrix(self, rows: Sequence[Mapping[str, Any]]) -> Floats:
        """Shape (rows, names); NaN for what is missing, and for a category that was not learned."""
        columns = [[_value(row.get(name), self.categories.get(name, {})) for row in rows] for name in self.names]
        return np.array(columns, dtype=np.float64).T.reshape(len(rows), len(self.names))


def _number(value: object) -> float | None:
    """A number, or a text that stands for one."""
    return number_in_text(value) if isinstance(value, str) else number(value)


def _value(value: object, codes: Mapping[str, int]) -> float:
    if isinstance(value, bool):
        return float(value)
    found = _number(value)
    if found is not None:
        return found if math.isfinite(found) else math.nan
    return float(codes.get(value, math.nan)) if isinstance(value, str) else math.nan
