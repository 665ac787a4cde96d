"""A bounded sample of a window's rows, for the rules that no profile can answer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelward_agent.values import FLOAT_WORDS


@dataclass(frozen=True, slots=True)
class EventSample:
    """Prediction documents in the order of time, and from which stretch of the window each was taken.

    `places` numbers the stretches, shape (rows,). `whole` says that they are all that the store keeps of the window,
    which is all there was where the agents ship all events.
    """

    documents: Sequence[Mapping[str, Any]]
    places: NDArray[np.int64]
    whole: bool

    def __len__(self) -> int:
        return len(self.documents)

    def of(self, version: str) -> EventSample:
        """Those of one version."""
        chosen = [place for place, document in enumerate(self.documents) if document.get("version", "") == version]
        return EventSample([self.documents[place] for place in chosen], self.places[chosen], self.whole)

    def column(self, name: str) -> list[Any]:
        """A feature's values row by row, or an output's where no feature is called so; None where there is none.

        NaN counts as none, infinities are numbers; embeddings are not there.
        """
        if any(name in (document.get("features") or {}) for document in self.documents):
            values = [(document.get("features") or {}).get(name) for document in self.documents]
        else:
            values = [_output(document, name) for document in self.documents]
        return [_value(value) for value in values]

    def moments(self) -> list[datetime]:
        """When each was made."""
        return [datetime.fromisoformat(document["@timestamp"]) for document in self.documents]


def _output(document: Mapping[str, Any], name: str) -> Any:
    if name == "latency_ms":
        return document.get(name)
    prediction = document.get("prediction")
    if not isinstance(prediction, Mapping):
        return None
    if name == "prediction":
        return prediction.get("value", prediction.get("label"))
    return prediction.get("score") if name == "score" else None


def _value(value: Any) -> Any:
    if isinstance(value, str):
        value = FLOAT_WORDS.get(value, value)
    return None if isinstance(value, float) and math.isnan(value) else value


def is_number(value: Any) -> bool:
    """Whether it is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def numbers(column: Sequence[Any]) -> NDArray[np.float64]:
    """The column's numbers, NaN where there is none, shape (rows,)."""
    return np.array([float(value) if is_number(value) else math.nan for value in column], dtype=np.float64)


def effective_rows(breaking: NDArray[np.bool_], places: NDArray[np.int64]) -> float:
    """How many independent rows tell as much of the share as these, which come in stretches; at most as many.

    Source: Korn and Graubard (1998), "Confidence intervals for proportions with small expected number of positive
    counts estimated from survey data", with the variance between stretches of Cochran (1977), eq. 11.30.
    """
    n = len(breaking)
    share = float(breaking.mean()) if n else 0.0
    _, codes = np.unique(places, return_inverse=True)
    stretches = int(codes.max()) + 1 if n else 0
    if stretches < 2 or share in (0.0, 1.0):
        return float(n)
    off = np.bincount(codes, weights=breaking - share)
    variance = float((off**2).sum()) * stretches / (stretches - 1) / n**2
    return n / max(1.0, variance / (share * (1 - share) / n))
