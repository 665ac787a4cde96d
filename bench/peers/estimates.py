"""NannyML's estimates by chunk, of a folder with reference.parquet and analysis.parquet and their `settings.json`.

Prints JSON: for each metric the estimates, one a chunk, in the chunks' order.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"  # a bench tells nobody that it runs

import nannyml
import pandas as pd


def estimates(estimator: Any, reference: pd.DataFrame, analysis: pd.DataFrame, metrics: list[str]) -> dict[str, Any]:
    """Fit on the reference, estimate the analysis chunk by chunk."""
    estimator.fit(reference)
    table = estimator.estimate(analysis).filter(period="analysis").to_df()
    return {metric: [float(value) for value in table[(metric, "value")]] for metric in metrics}


def main() -> None:
    """Read the folder named on the command line, print the JSON."""
    folder = Path(sys.argv[1])
    settings = json.loads((folder / "settings.json").read_text())
    frames = {name: pd.read_parquet(folder / f"{name}.parquet") for name in ("reference", "analysis")}
    for frame in frames.values():
        for name in settings["categories"]:
            frame[name] = frame[name].astype("category")
    chunks = {"timestamp_column_name": "timestamp", "chunk_period": "M"}
    losses, scores = ["mae", "rmse"], ["accuracy", "precision", "recall", "f1", "roc_auc"]
    loss = nannyml.DLE(
        feature_column_names=settings["features"], y_pred="prediction", y_true="actual", metrics=losses, **chunks
    )
    confidence = nannyml.CBPE(
        y_pred_proba="late_probability",
        y_pred="late_predicted",
        y_true="late",
        problem_type="classification_binary",
        metrics=scores,
        **chunks,
    )
    answers = estimates(loss, frames["reference"], frames["analysis"], losses)
    answers |= estimates(confidence, frames["reference"], frames["analysis"], scores)
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
