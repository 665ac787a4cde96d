"""Performance estimated before labels are in, against what it turned out to be, beside NannyML on the same chunks.

Flights of 2013: two models trained on January 1 to 15, the reference is January 16 to 31, the chunks are the months
after it. Minutes late by regression (beside NannyML's direct loss estimation); late by more than a quarter of an hour
by a classifier (beside its confidence-based estimation).
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from bench.rows import Row, ask_peer, report
from demo import flights
from modelward_collector.stats.estimate import ConfidenceModel
from modelward_collector.stats.intervals import Interval
from modelward_collector.stats.loss import ErrorModel
from modelward_collector.stats.performance import (
    confusion_matrix,
    label_metrics,
    probability_metrics,
    regression_metrics,
)

LATE_MINUTES = 15
TRAINED_UNTIL = pd.Timestamp("2013-01-16", tz="UTC")
REFERENCE_UNTIL = pd.Timestamp("2013-02-01", tz="UTC")
END = pd.Timestamp("2014-01-01", tz="UTC")
SAMPLE = 20_000
"""Rows of a month that are looked at, as the check does."""

LOSSES = ("mae", "rmse")
SCORES = ("accuracy", "precision", "recall", "f1", "roc_auc")


def tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    """The reference and the months after it, with both models' answers and what came."""
    rows = flights.load().dropna(subset=["arr_delay"]).reset_index(drop=True)
    trained = rows[rows["departed"] < TRAINED_UNTIL]
    regressor = flights.train(trained)
    classifier = make_pipeline(
        make_column_transformer(
            (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan), flights.CATEGORIES),
            remainder="passthrough",
        ),
        HistGradientBoostingClassifier(categorical_features=list(range(len(flights.CATEGORIES))), random_state=2013),
    )
    classifier.fit(trained[flights.FEATURES], trained["arr_delay"] > LATE_MINUTES)
    rest = rows[(rows["departed"] >= TRAINED_UNTIL) & (rows["departed"] < END)].reset_index(drop=True)
    made = rest[flights.FEATURES].copy()
    made["timestamp"] = rest["departed"].dt.tz_localize(None)
    made["prediction"] = regressor.predict(rest[flights.FEATURES])
    made["actual"] = rest["arr_delay"]
    made["late_probability"] = classifier.predict_proba(rest[flights.FEATURES])[:, 1]
    made["late_predicted"] = (made["late_probability"] >= 0.5).astype(int)
    made["late"] = (rest["arr_delay"] > LATE_MINUTES).astype(int)
    known = rest["departed"] < REFERENCE_UNTIL
    return made[known].reset_index(drop=True), made[~known].reset_index(drop=True)


def inputs(frame: pd.DataFrame, categories: dict[str, pd.Index]) -> np.ndarray:
    """Features as numbers."""
    columns = [
        pd.Categorical(frame[name], categories[name]).codes if name in categories else frame[name]
        for name in flights.FEATURES
    ]
    return np.column_stack(columns).astype(np.float64)


def probabilities(frame: pd.DataFrame) -> np.ndarray:
    """Of both classes."""
    p = frame["late_probability"].to_numpy()
    return np.column_stack([1 - p, p])


def realised(frame: pd.DataFrame) -> dict[str, float]:
    """What the metrics of these rows are."""
    found = regression_metrics(frame["actual"].to_numpy(), frame["prediction"].to_numpy())
    late = frame["late"].to_numpy()
    found |= label_metrics(confusion_matrix(late, frame["late_predicted"].to_numpy(), 2), 1)
    found |= probability_metrics(late, probabilities(frame), 1, calibration=False)
    return {name: found[name].estimate for name in (*LOSSES, *SCORES)}


def estimated(reference: pd.DataFrame, months: list[pd.DataFrame]) -> list[dict[str, Interval]]:
    """Ours, month by month."""
    categories = {name: pd.Index(sorted(reference[name].unique())) for name in flights.CATEGORIES}
    known = inputs(reference, categories)
    errors = ErrorModel.fit(known, reference["prediction"].to_numpy(), reference["actual"].to_numpy())
    confidence = ConfidenceModel.fit(probabilities(reference), reference["late"].to_numpy(), known)
    assert errors is not None
    answers = []
    for number, whole in enumerate(months):
        month = whole.sample(min(SAMPLE, len(whole)), random_state=number).sort_index()
        seen = inputs(month, categories)
        found = errors.of(seen, month["prediction"].to_numpy())
        found |= confidence.of(probabilities(month), month["late_predicted"].to_numpy(), 1, inputs=seen)
        answers.append(found)
    return answers


def ask_nannyml(reference: pd.DataFrame, analysis: pd.DataFrame) -> dict[str, Any]:
    """NannyML's estimates by metric, a list over the months."""
    with tempfile.TemporaryDirectory() as folder:
        for name, frame in (("reference", reference), ("analysis", analysis)):
            frame.to_parquet(Path(folder) / f"{name}.parquet", index=False)
        settings = {"features": flights.FEATURES, "categories": flights.CATEGORIES}
        (Path(folder) / "settings.json").write_text(json.dumps(settings))
        return ask_peer("estimates.py", folder)


def main() -> int:
    """0 when no metric is estimated worse than by NannyML, and most are better."""
    reference, analysis = tables()
    months = [month for _, month in analysis.groupby(analysis["timestamp"].dt.to_period("M"))]
    ours = estimated(reference, months)
    peer = ask_nannyml(reference, analysis)
    came = [realised(month) for month in months]
    before = realised(reference)
    rows, better = [], 0
    for name in (*LOSSES, *SCORES):
        truth = np.array([month[name] for month in came])
        off = float(np.abs([month[name].estimate for month in ours] - truth).mean())
        theirs = float(np.abs(np.array(peer[name]) - truth).mean())
        unchanged = float(np.abs(before[name] - truth).mean())
        held = sum(month[name].low <= true <= month[name].high for month, true in zip(ours, truth, strict=True))
        better += off < theirs
        measured = f"{off:.4g}; NannyML {theirs:.4g}; the reference's own value {unchanged:.4g}"
        measured += f"; interval held the truth in {held} of {len(truth)}"
        what = f"estimated {name}, flights February to December by month: mean absolute error"
        rows.append(Row(what, measured, "not worse than NannyML", off <= theirs))
    rows.append(Row("metrics estimated better", f"{better} of {len(rows)}", "most", better > len(rows) / 2))
    return report(rows)


if __name__ == "__main__":
    sys.exit(main())
