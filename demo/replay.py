"""Plays the year back: asks the model for every departure and reports every delay when it became known."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from demo.flights import FEATURES, SEGMENT
from modelward_agent import Recorder

STEP_SECONDS = 0.05
"""Real time between two looks at the clock; what has come due since is served in one go."""

DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the replay is: the replayed moment, and what was recorded so far."""

    moment: pd.Timestamp
    predictions: int
    actuals: int


def replay(
    rows: pd.DataFrame,
    model: Any,
    recorder: Recorder,
    *,
    days_per_second: float,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Progress]:
    """Record the rows' predictions and actuals at their own times, `days_per_second` faster than they happened."""
    departed = _epoch(rows["departed"])
    reported = _epoch(rows["reported"])
    report_order = np.argsort(reported, kind="stable")
    report_order = report_order[rows["arr_delay"].notna().to_numpy()[report_order]]
    reports_due = reported[report_order]
    delays = rows["arr_delay"].to_numpy()

    ids: list[str] = []
    told = 0
    begun = time.monotonic()
    first, last = departed[0], max(departed[-1], reports_due[-1])
    while True:
        now = min(last, first + (time.monotonic() - begun) * days_per_second * DAY)
        left = int(np.searchsorted(departed, now, side="right"))
        if left > len(ids):
            ids += _serve(rows.iloc[len(ids) : left], departed[len(ids) : left], model, recorder)
        due = int(np.searchsorted(reports_due, now, side="right"))
        for row in report_order[told:due]:
            recorder.actual(ids[row], float(delays[row]), timestamp=reported[row])
        told = due
        yield Progress(pd.Timestamp(now, unit="s", tz="UTC"), len(ids), told)
        if now >= last:
            return
        sleep(STEP_SECONDS)


def _serve(rows: pd.DataFrame, departed: np.ndarray, model: Any, recorder: Recorder) -> list[str]:
    begun = time.perf_counter()
    predictions = model.predict(rows[FEATURES])
    latency_ms = (time.perf_counter() - begun) * 1e3 / len(rows)
    # What the weather station did not report is missing, as it is in the training data.
    known = rows[FEATURES].astype(object).where(rows[FEATURES].notna(), None)
    return [
        recorder.predict(
            features,
            float(prediction),
            segment={SEGMENT: origin},
            latency_ms=latency_ms,
            timestamp=moment,
        )
        for features, prediction, origin, moment in zip(
            known.to_dict("records"), predictions, rows[SEGMENT], departed, strict=True
        )
    ]


def _epoch(moments: pd.Series) -> np.ndarray:
    return moments.to_numpy(dtype="datetime64[us]").astype(np.int64) / 1e6
