"""The series that a model version has: how its traffic and its checks' results become numbers in time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from modelward_agent.profile import Profile
from modelward_collector.checks.result import CheckKind, CheckResult, Status
from modelward_collector.metrics import performance_values
from modelward_collector.span import Span
from modelward_collector.stats.forecast import Measure
from modelward_collector.store.protocol import Store
from modelward_collector.store.windows import load_series

HOUR: Final = timedelta(hours=1)

FEWEST_ROWS: Final = 5
"""A share, a mean or a quantile of fewer rows is a gap: it would say more of chance than of the model."""

MOST_METRICS: Final = 8
"""Performance metrics of one version that are series, in the order of their names."""

RESULTS_PAGE: Final = 500

ROWS: Final = "rows"
DRIFT: Final = "drift_score"
PERFORMANCE: Final = "performance_"
"""Before a performance metric's own name."""


@dataclass(frozen=True, slots=True)
class Points:
    """A series in time order, shape (n,): when each step begins (seconds since 1970), its value, how long it is.

    Gaps are left out. A length above the step is that of finer steps which were merged; the value is per step.
    """

    seconds: NDArray[np.int64]
    values: NDArray[np.float64]
    lengths: NDArray[np.int64]

    def since(self, seconds: int) -> Points:
        """The points that begin after that moment."""
        later = self.seconds > seconds
        return Points(self.seconds[later], self.values[later], self.lengths[later])


@dataclass(frozen=True, slots=True)
class TrafficSeries:
    """One number of each step's profile; `read` gives None for a gap."""

    name: str
    measure: Measure
    read: Callable[[Profile], float | None]


def measure_of(series: str) -> Measure:
    """How the series of that name is counted; what is not known (a performance metric) is just a number."""
    return next((one.measure for one in TRAFFIC_SERIES if one.name == series), Measure.NUMBER)


def is_of(series: str, check: CheckKind) -> bool:
    """Whether the series of that name is made of that check's results."""
    return series == DRIFT if check is CheckKind.DRIFT else series.startswith(PERFORMANCE)


def traffic(
    store: Store,
    model: str,
    version: str,
    span: Span,
    step: timedelta,
    *,
    stride: timedelta | None = None,
    filled: bool = False,
) -> dict[str, Points]:
    """The version's series from its profiles; those without a point are left out.

    It is read in strides of at least a step (the step itself by default), each a point; counts are per step whatever
    the stride. A stride without a profile is one of no rows, from the span's start when `filled`, else from the first
    profile on; of everything else it is a gap. What was merged into longer than a stride and an hour is left out.
    """
    stride = stride or step
    size = int(stride.total_seconds())
    share = step / stride
    raw: dict[str, list[tuple[int, float, int]]] = {}
    taken: set[int] = set()
    begin = int(span.start.timestamp()) if filled else None
    for stretch, profile in load_series(store, model, span, stride, version):
        start, length = int(stretch.start.timestamp()), int(stretch.length.total_seconds())
        taken.update(range(start, start + length, size))
        begin = start if begin is None else begin
        if length > max(size, int(HOUR.total_seconds())):
            continue
        for one in TRAFFIC_SERIES:
            value = one.read(profile)
            if value is not None:
                per_step = value * share * size / length if one.measure is Measure.COUNT else value
                raw.setdefault(one.name, []).append((start, per_step, length))
    if begin is not None:
        first, end = -(-begin // size) * size, int(span.end.timestamp())
        silent = [(at, 0.0, size) for at in range(first, end - size + 1, size) if at not in taken]
        raw[ROWS] = sorted([*raw.get(ROWS, []), *silent])
    return {name: _points(points) for name, points in raw.items() if points}


def results(store: Store, model: str, version: str, check: CheckKind, span: Span) -> dict[str, Points]:
    """The version's series from one check's scheduled results, hour by hour, of drift or of performance."""
    read = _READ[check]
    raw: dict[str, dict[int, float]] = {}
    for result in _pages(store, model, version, check, span):
        if result.on_demand or result.status in (Status.ERROR, Status.NO_DATA):
            continue
        hour = int(result.end.timestamp()) // 3600 * 3600
        for name, value in read(result).items():
            # Newest first, so the hour's first result is the one that stays.
            raw.setdefault(name, {})[hour] = value
    return {name: _points((hour, value, 3600) for hour, value in sorted(found.items())) for name, found in raw.items()}


def _points(points: Iterable[tuple[int, float, int]]) -> Points:
    seconds, values, lengths = zip(*points, strict=True)
    return Points(np.array(seconds, np.int64), np.array(values, np.float64), np.array(lengths, np.int64))


def _pages(store: Store, model: str, version: str, check: CheckKind, span: Span) -> Iterator[CheckResult]:
    after = None
    while True:
        page = store.results(span, model=model, version=version, check=check, limit=RESULTS_PAGE, after=after)
        yield from page.items
        after = page.after
        if after is None:
            return


def _drift(result: CheckResult) -> Mapping[str, float]:
    return {DRIFT: result.numbers["max_score"]} if "max_score" in result.numbers else {}


def _performance(result: CheckResult) -> Mapping[str, float]:
    return {f"{PERFORMANCE}{name}": value for name, value in performance_values(result)[:MOST_METRICS]}


_READ: Final[Mapping[CheckKind, Callable[[CheckResult], Mapping[str, float]]]] = {
    CheckKind.DRIFT: _drift,
    CheckKind.PERFORMANCE: _performance,
}

RESULT_CHECKS: Final = tuple(_READ)
"""The checks whose results become series."""


# -- of a profile -----------------------------------------------------------------------------------------------
def _rows(profile: Profile) -> float:
    return float(profile.rows)


def _error_rate(profile: Profile) -> float | None:
    asked = profile.rows + profile.errors
    return profile.errors / asked if asked >= FEWEST_ROWS else None


def _missing_share(profile: Profile) -> float | None:
    if profile.rows < FEWEST_ROWS or not profile.features:
        return None
    missing = sum(feature.missing for feature in profile.features.values())
    return missing / (profile.rows * len(profile.features))


def _mean(output: str) -> Callable[[Profile], float | None]:
    def read(profile: Profile) -> float | None:
        found = profile.outputs.get(output)
        if found is None or found.numeric is None or found.numeric.n < FEWEST_ROWS:
            return None
        return found.numeric.moments.mean

    return read


def _latency(rank: float) -> Callable[[Profile], float | None]:
    def read(profile: Profile) -> float | None:
        found = profile.outputs.get("latency_ms")
        if found is None or found.numeric is None or found.numeric.n < FEWEST_ROWS:
            return None
        return float(found.numeric.quantiles([rank])[0]) / 1000

    return read


TRAFFIC_SERIES: Final = (
    TrafficSeries(ROWS, Measure.COUNT, _rows),
    TrafficSeries("error_rate", Measure.SHARE, _error_rate),
    TrafficSeries("latency_p50_seconds", Measure.POSITIVE, _latency(0.5)),
    TrafficSeries("latency_p99_seconds", Measure.POSITIVE, _latency(0.99)),
    TrafficSeries("prediction_mean", Measure.NUMBER, _mean("prediction")),
    TrafficSeries("score_mean", Measure.NUMBER, _mean("score")),
    TrafficSeries("missing_share", Measure.SHARE, _missing_share),
)
"""What every version has whose profiles hold it; `rows` (predictions made, per step) first."""


def moment(seconds: int) -> datetime:
    """The aware UTC moment."""
    return datetime.fromtimestamp(seconds, UTC)
