"""The job that follows every series, and what it shows to Prometheus."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from collector.tests.store_documents import NOON, part, result
from modelward_collector import forecasts as job
from modelward_collector import series as reading
from modelward_collector.api.answers import SeriesAnswer
from modelward_collector.forecasts import Forecasts, Outlook, step_of
from modelward_collector.metrics import Metrics
from modelward_collector.span import Span
from modelward_collector.store.protocol import Part, StoreUnavailableError
from modelward_collector.store.sqlite import SqliteStore

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
ONE_DAY = timedelta(days=1)
STEP = 10 * MINUTE
NOW = NOON + 14 * ONE_DAY


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "modelward.db")
    opened.setup()
    yield opened
    opened.close()


def traffic(store: SqliteStore, begin: datetime, end: datetime, every: timedelta, model: str = "delay") -> None:
    """Rows that come and go with the hour of the day, one profile each `every`."""
    rng = np.random.default_rng(int(begin.timestamp()))
    documents = []
    while begin < end:
        hour = begin.timestamp() / 3600 % 24
        expected = (60 + 40 * math.sin(2 * math.pi * hour / 24)) * (every / STEP)
        rows = int(rng.poisson(expected))
        seconds = int(every.total_seconds())
        documents.append(part(f"{model}{begin:%d%H%M}{seconds}", begin, [1.0] * rows, model=model, seconds=seconds))
        begin += every
    store.create(documents)


@pytest.fixture
def fortnight(store: SqliteStore) -> SqliteStore:
    """Hours, as maintenance leaves them, and the last day and a half by ten minutes."""
    traffic(store, NOON, NOW - 36 * HOUR, HOUR)
    traffic(store, NOW - 36 * HOUR, NOW, STEP)
    return store


def following(store: SqliteStore) -> Forecasts:
    return Forecasts(store, delay=timedelta(0))


def rows_of(forecasts: Forecasts) -> Outlook:
    return next(outlook for outlook in forecasts.outlooks("delay") if outlook.series == "rows")


def series(metrics: Metrics) -> dict[str, float]:
    lines = [line for line in metrics.render().decode().splitlines() if line.startswith("modelward_series")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_rows_are_forecast_an_hour_ahead_with_the_season_of_a_fortnight(fortnight: SqliteStore) -> None:
    forecasts = following(fortnight)
    report = forecasts.run(NOW)
    assert (report.versions, report.fitted, report.waiting, report.failed) == (1, 1, 0, {})
    rows = rows_of(forecasts)
    assert (rows.season, rows.at, rows.points_missing) == ("day", NOW, 0)
    assert rows.anomaly is not None
    assert abs(rows.anomaly.score) < 4
    assert rows.forecast is not None
    assert rows.forecast.seconds == int((NOW + HOUR - STEP).timestamp()), "the step that ends an hour after the newest"
    low, high = rows.forecast.bands[0.95]
    expected = 60 + 40 * math.sin(2 * math.pi * 12.9 / 24)
    assert low < expected < high
    assert high - low < 60


def test_metrics_show_value_forecast_and_score(fortnight: SqliteStore) -> None:
    forecasts, metrics = following(fortnight), Metrics(50)
    metrics.observe(forecasts)
    assert series(metrics) == {}
    forecasts.run(NOW)
    shown = series(metrics)
    rows = rows_of(forecasts)
    assert rows.forecast is not None
    assert rows.anomaly is not None
    who = 'model="delay"'
    assert shown[f'modelward_series_value{{{who},series="rows",version="1"}}'] == rows.value
    assert shown[f'modelward_series_anomaly{{{who},series="rows",version="1"}}'] == rows.anomaly.score
    ahead = [
        shown[f'modelward_series_forecast{{{who},quantile="{quantile}",series="rows",version="1"}}']
        for quantile in ("0.025", "0.5", "0.975")
    ]
    assert ahead == [rows.forecast.bands[0.95][0], rows.forecast.median, rows.forecast.bands[0.95][1]]


def test_new_steps_are_taken_in_without_reading_the_past_again(
    fortnight: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    forecasts = following(fortnight)
    forecasts.run(NOW)
    traffic(fortnight, NOW, NOW + 3 * STEP, STEP)
    spans: list[Span] = []
    asked = fortnight.parts

    def parts(span: Span, *, model: str, version: str | None = None) -> list[Part]:
        spans.append(span)
        return asked(span, model=model, version=version)

    monkeypatch.setattr(fortnight, "parts", parts)
    assert forecasts.run(NOW + 3 * STEP).fitted == 0
    assert rows_of(forecasts).at == NOW + 3 * STEP
    assert min(span.start for span in spans) == NOW
    spans.clear()
    forecasts.run(NOW + 3 * STEP + MINUTE)
    assert spans == [], "no whole step has passed"


def test_silence_is_an_anomaly_of_the_rows(fortnight: SqliteStore) -> None:
    forecasts = following(fortnight)
    forecasts.run(NOW)
    forecasts.run(NOW + STEP)
    rows = rows_of(forecasts)
    assert (rows.value, rows.at) == (0.0, NOW + STEP)
    assert rows.anomaly is not None
    assert rows.anomaly.score < -3.5


def test_a_young_model_has_a_value_and_no_forecast(store: SqliteStore) -> None:
    traffic(store, NOW - 2 * HOUR, NOW, STEP)
    forecasts, metrics = following(store), Metrics(50)
    metrics.observe(forecasts)
    forecasts.run(NOW)
    rows = rows_of(forecasts)
    assert (rows.forecast, rows.anomaly) == (None, None)
    assert rows.points_missing > 20
    assert {name.split("{")[0] for name in series(metrics)} == {"modelward_series_value"}


def test_drift_and_performance_results_become_series_as_they_come(fortnight: SqliteStore) -> None:
    rng = np.random.default_rng(1)
    for hour in range(100):
        one = result(NOW - hour * HOUR)
        fortnight.save_result(replace(one, numbers={"max_score": 0.2 + 0.01 * rng.normal()}))
    forecasts = following(fortnight)
    forecasts.run(NOW)
    drift = next(outlook for outlook in forecasts.outlooks("delay") if outlook.series == "drift_score")
    assert drift.forecast is not None
    assert drift.forecast.median == pytest.approx(0.2, abs=0.02)
    fortnight.save_result(replace(result(NOW + HOUR), numbers={"max_score": 0.6}))
    forecasts.run(NOW + HOUR)
    drift = next(outlook for outlook in forecasts.outlooks("delay") if outlook.series == "drift_score")
    assert drift.value == 0.6
    assert drift.anomaly is not None
    assert drift.anomaly.score > 3.5


def test_a_version_that_went_quiet_has_no_series(fortnight: SqliteStore) -> None:
    forecasts, metrics = following(fortnight), Metrics(50)
    metrics.observe(forecasts)
    forecasts.run(NOW)
    assert forecasts.run(NOW + 2 * ONE_DAY).versions == 0
    assert series(metrics) == {}


def test_a_collector_that_no_longer_runs_the_job_shows_nothing(
    fortnight: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    forecasts, metrics = following(fortnight), Metrics(50)
    metrics.observe(forecasts)
    forecasts.run(NOW)
    monkeypatch.setattr(job, "STOPPED_AFTER_SECONDS", -1.0)
    assert series(metrics) == {}


def test_a_young_history_is_soon_fitted_anew_and_a_long_one_seldom(store: SqliteStore) -> None:
    traffic(store, NOW - 4 * ONE_DAY, NOW + 2 * ONE_DAY, HOUR)
    traffic(store, NOW - 2 * HOUR, NOW + HOUR, STEP, "young")
    forecasts = following(store)
    fitted = [forecasts.run(NOW + hours * HOUR).fitted for hours in (0, 5, 6, 12, 17, 24)]
    assert fitted == [2, 0, 1, 1, 0, 2]


def test_fits_that_take_too_long_wait_for_the_next_run(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for model in ("alpha", "beta", "gamma"):
        traffic(store, NOW - 10 * HOUR, NOW, STEP, model)
    monkeypatch.setattr(job, "FITTING_SECONDS", 0.0)
    forecasts = following(store)
    reports = [forecasts.run(NOW) for _ in range(4)]
    assert [(report.fitted, report.waiting) for report in reports] == [(1, 2), (1, 1), (1, 0), (0, 0)]


def test_a_model_that_fails_is_named_and_the_others_are_followed(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for model in ("alpha", "beta"):
        traffic(store, NOW - 10 * HOUR, NOW, STEP, model)
    read = reading.traffic

    def fails_on_alpha(store: SqliteStore, model: str, *rest: object, **named: object) -> object:
        if model == "alpha":
            raise OSError("disk full")
        return read(store, model, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(job, "traffic", fails_on_alpha)
    forecasts = following(store)
    assert forecasts.run(NOW).failed == {"alpha 1": "OSError: disk full"}
    assert forecasts.outlooks("beta")


def test_a_store_that_is_down_is_the_callers_to_know(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    traffic(store, NOW - HOUR, NOW, STEP)

    def down(*_: object, **__: object) -> object:
        raise StoreUnavailableError("no answer")

    monkeypatch.setattr(job, "traffic", down)
    with pytest.raises(StoreUnavailableError):
        following(store).run(NOW)


@pytest.mark.parametrize(("window", "step"), [(1, 10), (5, 10), (3, 15), (4, 20), (12, 60), (30, 30), (120, 120)])
def test_steps_are_whole_windows_of_the_agents(window: int, step: int) -> None:
    assert step_of(window * MINUTE) == step * MINUTE


# -- what lasts -------------------------------------------------------------------------------------------------------
def outage(store: SqliteStore, begin: datetime, end: datetime, rows: int = 8) -> None:
    """Hardly any rows, by ten minutes."""
    while begin < end:
        store.create([part(f"less{begin:%d%H%M}", begin, [1.0] * rows, model="delay", seconds=600)])
        begin += STEP


def test_an_anomaly_that_lasts_is_said_to_last_and_when_it_was_taken_for_normal(fortnight: SqliteStore) -> None:
    forecasts = following(fortnight)
    forecasts.run(NOW)
    assert rows_of(forecasts).says() == ""
    outage(fortnight, NOW, NOW + 2 * ONE_DAY)
    said = {}
    for steps in (1, 3, 5, 12, 36, 144, 287):  # fitted anew in between
        forecasts.run(NOW + steps * STEP)
        said[steps] = rows_of(forecasts)
    assert [said[steps].unusual_since for steps in (1, 3)] == [NOW, NOW]
    assert said[3].says() == "unusual since 15 Mar 12:00 UTC"
    for steps in (5, 12, 36, 144, 287):
        level = said[steps].new_level
        assert level is not None
        assert (level.since, level.taken_for_normal) == (NOW, NOW + 5 * STEP), steps
        assert 45 < level.before < 70
        assert level.after < 20
    (view,) = (one for one in forecasts.views("delay") if one.outlook.series == "rows")
    answer = SeriesAnswer.of(view)
    assert answer.says == view.outlook.says() != ""
    assert answer.new_level is not None
    assert answer.new_level.taken_for_normal == NOW + 5 * STEP
    assert said[12].says().endswith("since 15 Mar 12:00 UTC; taken for normal on 15 Mar 12:50 UTC")
    restarted = following(fortnight)
    restarted.run(NOW + 287 * STEP)
    level = rows_of(restarted).new_level
    assert level is not None, "found again in the history"
    assert (level.since, level.taken_for_normal) == (NOW, NOW + 5 * STEP)


def test_a_series_that_is_back_has_no_new_level(fortnight: SqliteStore) -> None:
    forecasts = following(fortnight)
    forecasts.run(NOW)
    outage(fortnight, NOW, NOW + 3 * HOUR)
    traffic(fortnight, NOW + 3 * HOUR, NOW + 12 * HOUR, STEP)
    forecasts.run(NOW + 3 * HOUR)
    assert rows_of(forecasts).new_level is not None
    forecasts.run(NOW + 12 * HOUR)
    assert rows_of(forecasts).new_level is None
    restarted = following(fortnight)
    restarted.run(NOW + 12 * HOUR)
    assert rows_of(restarted).new_level is None


def test_a_fortnight_of_days_and_nights_has_no_new_level(fortnight: SqliteStore) -> None:
    forecasts = following(fortnight)
    for hours in range(0, 49, 8):
        traffic(fortnight, NOW + (hours - 8) * HOUR if hours else NOW, NOW + hours * HOUR, STEP)
        forecasts.run(NOW + hours * HOUR)
        assert rows_of(forecasts).new_level is None, hours
