"""The queries of panels as Grafana asks them: variables filled in, sent to a real Prometheus."""

from __future__ import annotations

import json
import re
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_VARIABLE: Final = re.compile(r"\$\{(\w+)(?::\w+)?\}|\$([A-Za-z_]\w*)")
_LABEL: Final = re.compile(r"\{\{\s*([\w.]+)\s*\}\}")
_LABEL_VALUES: Final = re.compile(r"label_values\((.*),\s*(\w+)\)", re.DOTALL)


class NoAnswerError(Exception):
    """Prometheus refused a query; the message has the query and the reason."""


@dataclass(frozen=True, slots=True)
class Span:
    """The time that is shown, Unix seconds, at one point every `step` seconds; scrapes are `scrape` seconds apart."""

    start: float
    end: float
    step: float
    scrape: float = 10.0

    def variables(self) -> dict[str, str]:
        """What Grafana puts for its own variables. Source: its documentation of `$__rate_interval`."""
        return {
            "__range": f"{round(self.end - self.start)}s",
            "__interval": f"{round(self.step)}s",
            "__rate_interval": f"{round(max(self.step + self.scrape, 4 * self.scrape))}s",
        }


@dataclass(frozen=True, slots=True)
class Series:
    """One answered series: its labels, and its values at each moment, NaN where it has none."""

    labels: Mapping[str, str]
    seconds: NDArray[np.float64]
    values: NDArray[np.float64]

    @property
    def last(self) -> float:
        """The newest value that there is."""
        there = self.values[~np.isnan(self.values)]
        return float(there[-1]) if len(there) else float("nan")


def filled(text: str, variables: Mapping[str, str]) -> str:
    """The text with the variables' values; KeyError for one that does not exist."""
    return _VARIABLE.sub(lambda found: variables[found[1] or found[2]], text)


def legend(pattern: str, labels: Mapping[str, str]) -> str:
    """The name of a series."""
    if pattern == "__auto":
        shown = {name: value for name, value in labels.items() if name != "__name__"}
        return ", ".join(shown.values()) if len(shown) == 1 else json.dumps(shown)
    return _LABEL.sub(lambda found: labels.get(found[1], ""), pattern)


@dataclass(slots=True)
class Asked:
    """A Prometheus, and how often it was asked."""

    url: str
    trust: ssl.SSLContext | None = None
    queries: list[str] = field(default_factory=list)

    def _get(self, path: str, **parameters: Any) -> Any:
        body = urllib.parse.urlencode(parameters, doseq=True).encode()
        request = urllib.request.Request(f"{self.url}/api/v1/{path}", body)  # noqa: S310 - the caller's own Prometheus
        try:
            with urllib.request.urlopen(request, timeout=60, context=self.trust) as answer:  # noqa: S310
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise NoAnswerError(f"{parameters}: {json.load(error)['error']}") from error

    def instant(self, expression: str, at: float) -> list[Series]:
        """The vector at one moment."""
        self.queries.append(expression)
        found = self._get("query", query=expression, time=at)
        if found["resultType"] == "scalar":
            return [Series({}, np.array([at]), np.array([float(found["result"][1])]))]
        return [
            Series(one["metric"], np.array([float(one["value"][0])]), np.array([float(one["value"][1])]))
            for one in found["result"]
        ]

    def over(self, expression: str, span: Span) -> list[Series]:
        """The matrix over a span, every series on the same moments."""
        self.queries.append(expression)
        start = np.floor(span.start / span.step) * span.step
        seconds = np.arange(start, span.end + span.step / 2, span.step)
        found = self._get("query_range", query=expression, start=start, end=seconds[-1], step=span.step)
        answered = []
        for one in found["result"]:
            values = np.full(len(seconds), np.nan)
            for at, value in one["values"]:
                values[round((float(at) - start) / span.step)] = float(value)
            answered.append(Series(one["metric"], seconds, values))
        return answered

    def label_values(self, query: str, span: Span) -> list[str]:
        """What a variable `label_values(selector, label)` offers."""
        found = _LABEL_VALUES.fullmatch(query)
        assert found is not None, query
        self.queries.append(query)
        answered = self._get("series", **{"match[]": found[1], "start": span.start, "end": span.end})
        return sorted({one[found[2]] for one in answered if one.get(found[2])})


def chosen(dashboard: Mapping[str, Any], asked: Asked, span: Span, wanted: Mapping[str, str]) -> dict[str, str]:
    """The value of every variable: what is wanted, everything where several may be chosen, else the first that "
    "there is."""
    values = span.variables() | {"datasource": "Prometheus"}
    for variable in dashboard["templating"]["list"]:
        name = variable["name"]
        if variable["type"] == "datasource":
            continue
        if name in wanted:
            values[name] = wanted[name]
        elif variable.get("includeAll"):
            values[name] = str(variable["allValue"])
        else:
            offered = asked.label_values(filled(variable["query"]["query"], values), span)
            if variable.get("sort") == NATURAL_DESCENDING:
                offered = sorted(offered, key=_natural, reverse=True)
            values[name] = offered[0] if offered else ""
    return values


NATURAL_DESCENDING: Final = 8


def _natural(text: str) -> list[tuple[int, str]]:
    return [(int(part) if part.isdigit() else -1, part) for part in re.split(r"(\d+)", text)]
