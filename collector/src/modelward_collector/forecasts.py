"""Follows every series of every model: forecasts it an hour ahead, says how odd its newest point is, exports both."""

from __future__ import annotations

import logging
import threading
import time
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

import numpy as np
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from modelward_collector.series import HOUR, RESULT_CHECKS, Points, is_of, measure_of, moment, results, traffic
from modelward_collector.span import Span, floor
from modelward_collector.stats.forecast import (
    BANDS,
    Anomaly,
    Forecast,
    ForecastState,
    TooLittleHistoryError,
    assess,
    fit,
    forecast,
    update,
)
from modelward_collector.stats.normal import two_sided_quantile
from modelward_collector.store.protocol import SeenModel, Store, StoreUnavailableError

logger = logging.getLogger(__name__)

AHEAD: Final = timedelta(hours=1)
STEP: Final = timedelta(minutes=10)
"""Long enough for a quantile of a quiet model's latency, short enough that the newest point is news."""

HISTORY: Final = timedelta(days=35)
"""What a fit reads: five weeks, in hours that maintenance merged."""
FINE: Final = timedelta(days=1)
"""Of which this much step by step; minutes are kept for two days by default."""
REFIT_SHARE: Final = 0.25
REFIT_AFTER: Final = (timedelta(hours=6), timedelta(days=7))
"""A version is fitted anew when its history has grown by this share, within these bounds: a season is found as soon as
there is enough to find it in, and a long history, which costs most to read, is seldom read again."""

KEPT: Final = 144
"""How many judged points of a series are kept to be looked at: a day of ten minutes, six days of hours."""
REVIEWED: Final = 36
"""Of a series that is new the last so many points are judged one after the other, so that there is something to see."""
ANOMALOUS: Final = two_sided_quantile(0.001)

QUIET_AFTER: Final = timedelta(days=1)
"""A version without traffic for this long has no series any more."""
MOST_VERSIONS: Final = 4
"""Of one model, those with the latest traffic."""

FITTING_SECONDS: Final = 30.0
"""One run begins no more fits after this time: what is new waits for the next run, what is known is kept current."""
STOPPED_AFTER_SECONDS: Final = 900.0
"""Without a run for this long (another collector has the lease) nothing is exported."""


@dataclass(frozen=True, slots=True)
class NewLevel:
    """A level that did not come back: where the series was, and is, and when that was taken for normal."""

    since: datetime
    taken_for_normal: datetime
    before: float
    after: float

    def says(self) -> str:
        """In words."""
        levels = f"at about {self.after:.4g} instead of {self.before:.4g} since {_said(self.since)}"
        return f"{levels}; taken for normal on {_said(self.taken_for_normal)}"


@dataclass(frozen=True, slots=True)
class Outlook:
    """One series as of its newest point: `at` is when that step ended.

    `anomaly` and `forecast` are None while there is too little history; `points_missing` is how many points are needed
    yet. `season` is what was found to repeat: none, day or week. `unusual_since` is when the run of anomalous points
    began that the newest one is in, None of one that is not; `new_level` is told for four weeks, until the series is
    back.
    """

    model: str
    version: str
    series: str
    at: datetime
    value: float
    season: str
    anomaly: Anomaly | None = None
    forecast: Forecast | None = None
    points_missing: int = 0
    unusual_since: datetime | None = None
    new_level: NewLevel | None = None

    def says(self) -> str:
        """What is unusual about it, in words; "" for nothing."""
        said = []
        if self.unusual_since is not None:
            said.append(f"unusual since {_said(self.unusual_since)}")
        if self.new_level is not None:
            said.append(self.new_level.says())
        return "; ".join(said)


@dataclass(frozen=True, slots=True)
class Judged:
    """A point as it was judged when it came: `at` is when its step ended, the band (95%) what was expected before."""

    at: datetime
    value: float
    expected: float
    low: float
    high: float
    score: float

    @property
    def anomalous(self) -> bool:
        """Rarer than one point in a thousand."""
        return abs(self.score) >= ANOMALOUS


@dataclass(frozen=True, slots=True)
class SeriesView:
    """A series to be drawn: its newest points as they were judged, and the steps of the hour ahead."""

    outlook: Outlook
    judged: tuple[Judged, ...]
    ahead: tuple[Forecast, ...]
    step: timedelta


@dataclass(slots=True)
class _Followed:
    """One model version; changed by one run at a time."""

    until: datetime
    fitted_at: datetime
    first_seen: datetime
    states: dict[str, ForecastState] = field(default_factory=dict)
    outlooks: dict[str, Outlook] = field(default_factory=dict)
    judged: dict[str, array[float]] = field(default_factory=dict)
    """Six numbers a point, oldest first: a thousand models have ten thousand series, and lists would be far larger."""

    @property
    def refit_after(self) -> timedelta:
        """How long the fit is good for."""
        soonest, latest = REFIT_AFTER
        return min(latest, max(soonest, (self.fitted_at - self.first_seen) * REFIT_SHARE))


@dataclass(frozen=True, slots=True)
class ForecastReport:
    """What one run did; `waiting` versions are left for the next one, `failed` has the reason by version."""

    versions: int = 0
    fitted: int = 0
    waiting: int = 0
    failed: dict[str, str] = field(default_factory=dict)


class Forecasts(Collector):
    """The job, and its series for `/metrics`. `run` is for one thread at a time, the rest for any."""

    def __init__(
        self, store: Store, *, agent_window: timedelta = timedelta(minutes=1), delay: timedelta = timedelta(seconds=90)
    ) -> None:
        self._store = store
        self._delay = delay
        self._step = step_of(agent_window)
        self._lock = threading.Lock()
        self._followed: dict[tuple[str, str], _Followed] = {}
        self._ran_at = float("-inf")

    def run(self, now: datetime) -> ForecastReport:
        """Take in what is new up to `now`; `StoreUnavailableError` when the store did not answer."""
        end = floor(now - self._delay, self._step)
        wanted = list(_active(self._store.seen_models(), end))
        with self._lock:
            for key in self._followed.keys() - set(wanted):
                del self._followed[key]
        begun = time.monotonic()
        fitted = waiting = 0
        failed: dict[str, str] = {}
        for key in wanted:
            known = self._followed.get(key)
            stale = known is None or end - known.fitted_at >= known.refit_after
            try:
                if stale and (not fitted or time.monotonic() - begun < FITTING_SECONDS):
                    self._keep(key, self._fit(key, end, known))
                    fitted += 1
                elif known is not None:
                    self._follow(key, known, end)
                else:
                    waiting += 1
            except StoreUnavailableError:
                raise
            except Exception as error:  # one version must not keep the others from being followed
                logger.exception("forecasting %s %s failed", *key)
                failed[" ".join(key)] = f"{type(error).__name__}: {error}"
        self._ran_at = time.monotonic()
        return ForecastReport(len(wanted), fitted, waiting, failed)

    def outlooks(self, model: str, version: str | None = None) -> list[Outlook]:
        """The model's series as of their newest points, by version and name."""
        with self._lock:
            return [
                outlook
                for (its_model, its_version), followed in sorted(self._followed.items())
                if its_model == model and version in (None, its_version)
                for _, outlook in sorted(followed.outlooks.items())
            ]

    def views(self, model: str, version: str | None = None) -> list[SeriesView]:
        """The model's series with their newest points and the hour ahead, by version and name."""
        with self._lock:
            found = [
                (followed.outlooks[name], followed.states[name], tuple(followed.judged.get(name, ())))
                for (its_model, its_version), followed in sorted(self._followed.items())
                if its_model == model and version in (None, its_version)
                for name in sorted(followed.outlooks)
            ]
        return [
            SeriesView(
                outlook,
                tuple(Judged(moment(int(one[0])), *one[1:]) for one in batched(numbers)),
                tuple(forecast(state, steps) for steps in range(1, state.horizon + 1)) if outlook.forecast else (),
                timedelta(seconds=state.seasonal.step),
            )
            for outlook, state, numbers in found
        ]

    # -- one version --------------------------------------------------------------------------------------------
    def _fit(self, key: tuple[str, str], end: datetime, known: _Followed | None) -> _Followed:
        start, fine = end - HISTORY, floor(end - FINE, HOUR)
        stride = max(HOUR, self._step)
        older = traffic(self._store, *key, Span(start, fine), self._step, stride=stride)
        newer = traffic(self._store, *key, Span(fine, end), self._step, filled=bool(older))
        begins = [int(points.seconds[0]) for points in (*older.values(), *newer.values())]
        followed = _Followed(until=end, fitted_at=end, first_seen=moment(min(begins)) if begins else end)
        before = known.states if known is not None else {}
        if known is not None:
            followed.judged = known.judged
        for name in older.keys() | newer.keys():
            joined = _joined(older.get(name), newer.get(name))
            self._begin(key, followed, name, joined, self._step, before.get(name))
        for check in RESULT_CHECKS:
            for name, points in results(self._store, *key, check, Span(start, end)).items():
                self._begin(key, followed, name, points, HOUR, before.get(name))
        return followed

    def _begin(
        self,
        key: tuple[str, str],
        followed: _Followed,
        name: str,
        points: Points,
        step: timedelta,
        known: ForecastState | None = None,
    ) -> None:
        """Fit all but the newest points, then take those in as any later ones; what is `known` of shifts goes on."""
        size, horizon = int(step.total_seconds()), max(1, round(AHEAD / step))
        measure = measure_of(name)
        reviewed = _newest_steps(points, size, followed.judged.get(name))
        history = slice(None, -reviewed) if len(points.seconds) > reviewed else slice(None)
        try:
            followed.states[name] = fit(
                points.seconds[history],
                points.values[history],
                size,
                horizon,
                measure=measure,
                lengths=points.lengths[history],
            )
        except TooLittleHistoryError:
            return
        if known is not None:
            # The history is by the hour, what was followed finer.
            state = followed.states[name]
            followed.states[name] = replace(state, seasonal=replace(state.seasonal, shift=known.seasonal.shift))
        self._take(key, followed, name, points)

    def _follow(self, key: tuple[str, str], followed: _Followed, end: datetime) -> None:
        if end <= followed.until:
            return
        new = traffic(self._store, *key, Span(followed.until, end), self._step, filled=True)
        for name, points in new.items():
            self._go_on(key, followed, name, points, self._step)
        for check in RESULT_CHECKS:
            # A result's window may end long ago (labels are late), so what is new is what follows the newest known.
            known = [state.seconds for name, state in followed.states.items() if is_of(name, check)]
            since = moment(max(known)) + HOUR if known else end - HISTORY
            for name, points in results(self._store, *key, check, Span(since, end)).items():
                self._go_on(key, followed, name, points, HOUR)
        followed.until = end

    def _go_on(self, key: tuple[str, str], followed: _Followed, name: str, points: Points, step: timedelta) -> None:
        if name in followed.states:
            self._take(key, followed, name, points)
        else:
            self._begin(key, followed, name, points, step)

    def _take(self, key: tuple[str, str], followed: _Followed, name: str, points: Points) -> None:
        state = followed.states[name]
        anomaly = followed.outlooks[name].anomaly if name in followed.outlooks else None
        new = points.since(state.seconds)
        judged = followed.judged.get(name, array("d"))
        for at, value in zip(new.seconds.tolist(), new.values.tolist(), strict=True):
            try:
                anomaly = assess(state, at, value)
            except TooLittleHistoryError:
                anomaly = None
            state = update(state, at, value)
            ended = float(at + state.seasonal.step)
            if anomaly is not None and (not judged or judged[-_NUMBERS] < ended):
                judged = judged + array("d", (ended, value, anomaly.expected, *anomaly.band, anomaly.score))
        try:
            ahead = forecast(state, state.horizon)
        except TooLittleHistoryError:
            ahead = None
        value = float(new.values[-1]) if len(new.values) else float(points.values[-1])
        outlook = Outlook(
            model=key[0],
            version=key[1],
            series=name,
            at=moment(state.seconds + state.seasonal.step),
            value=value,
            season=state.seasonal.profile.kind,
            anomaly=anomaly,
            forecast=ahead,
            points_missing=state.points_missing,
            unusual_since=_unusual_since(judged, state.seconds, state.seasonal.step),
            new_level=_new_level(state),
        )
        with self._lock:
            followed.states[name] = state
            followed.outlooks[name] = outlook
            if judged:
                followed.judged[name] = judged[-_NUMBERS * KEPT :]

    def _keep(self, key: tuple[str, str], followed: _Followed) -> None:
        with self._lock:
            self._followed[key] = followed

    # -- /metrics -----------------------------------------------------------------------------------------------
    def describe(self) -> Iterable[Metric]:
        """Nothing ahead of time: the series come and go with the models."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The newest points, their scores, and the forecasts 60 minutes after them."""
        labels = ("model", "version", "series")
        value = GaugeMetricFamily("modelward_series_value", "The newest point of a model's series.", labels=labels)
        ahead = GaugeMetricFamily(
            "modelward_series_forecast",
            "What is expected 60 minutes after the newest point: the median, and the ends of the 95% band.",
            labels=(*labels, "quantile"),
        )
        score = GaugeMetricFamily(
            "modelward_series_anomaly",
            "How far out the newest point is, in standard deviations of a normal value as rare; negative is low.",
            labels=labels,
        )
        for outlook in self._shown():
            who = (outlook.model, outlook.version, outlook.series)
            value.add_metric(who, outlook.value)
            if outlook.anomaly is not None:
                score.add_metric(who, outlook.anomaly.score)
            if outlook.forecast is not None:
                low, high = outlook.forecast.bands[BANDS[-1]]
                for quantile, number in (("0.025", low), ("0.5", outlook.forecast.median), ("0.975", high)):
                    ahead.add_metric((*who, quantile), number)
        yield from (value, ahead, score)

    def _shown(self) -> list[Outlook]:
        """Without those whose hour ahead is over: their traffic is too thin to say anything now."""
        if time.monotonic() - self._ran_at > STOPPED_AFTER_SECONDS:
            return []
        with self._lock:
            return [
                outlook
                for _, followed in sorted(self._followed.items())
                for name, outlook in sorted(followed.outlooks.items())
                if followed.states[name].seasonal.step == int(HOUR.total_seconds())
                or outlook.at + AHEAD > followed.until
            ]


def _unusual_since(judged: array[float], newest: int, step: int) -> datetime | None:
    since = None
    for one in reversed(list(batched(tuple(judged)))):
        ended, anomalous = int(one[0]), abs(one[-1]) >= ANOMALOUS
        if not anomalous or (since is None and ended != newest + step):
            break
        since = moment(ended - step)
    return since


def _new_level(state: ForecastState) -> NewLevel | None:
    shift = state.seasonal.shift
    if shift is None:
        return None
    before, after = state.measure.restore(np.array([shift.before, shift.after])).tolist()
    return NewLevel(moment(shift.since), moment(shift.taken + state.seasonal.step), before, after)


def _said(at: datetime) -> str:
    return f"{at.day} {at:%b %H:%M} UTC"


def step_of(agent_window: timedelta) -> timedelta:
    """The series' step: ten minutes, or the next part of an hour that is whole agents' windows, or that window."""
    for minutes in (10, 15, 20, 30, 60):
        step = timedelta(minutes=minutes)
        if step >= STEP and not step % agent_window:
            return step
    return agent_window


_NUMBERS: Final = 6


def batched(numbers: tuple[float, ...]) -> Iterator[tuple[float, float, float, float, float, float]]:
    """The numbers of one judged point after the other."""
    for i in range(0, len(numbers), _NUMBERS):
        at, value, expected, low, high, score = numbers[i : i + _NUMBERS]
        yield at, value, expected, low, high, score


def _newest_steps(points: Points, size: int, judged: array[float] | None) -> int:
    """How many of the newest points, at most `REVIEWED` and a third of all, are steps not judged yet; at least 1."""
    wanted = points.lengths[-REVIEWED:] == size
    if judged:
        wanted &= points.seconds[-REVIEWED:] + size > judged[-_NUMBERS]
    run = len(wanted) if wanted.all() else int(wanted[::-1].argmin())
    return max(1, min(run, len(points.seconds) // 3))


def _active(seen: Iterable[SeenModel], end: datetime) -> Iterator[tuple[str, str]]:
    by_model: dict[str, list[SeenModel]] = {}
    for one in seen:
        if one.last_seen >= end - QUIET_AFTER and one.first_seen < end:
            by_model.setdefault(one.model, []).append(one)
    for model in sorted(by_model):
        latest = sorted(by_model[model], key=lambda one: (one.last_seen, one.version), reverse=True)
        yield from ((model, one.version) for one in latest[:MOST_VERSIONS])


def _joined(before: Points | None, after: Points | None) -> Points:
    parts = [part for part in (before, after) if part is not None]
    seconds, values, lengths = ([getattr(part, name) for part in parts] for name in ("seconds", "values", "lengths"))
    joined = Points(np.concatenate(seconds), np.concatenate(values), np.concatenate(lengths))
    order = np.argsort(joined.seconds, kind="stable")
    return Points(joined.seconds[order], joined.values[order], joined.lengths[order])
