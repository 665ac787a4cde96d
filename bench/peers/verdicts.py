"""Which columns peers flag by default, of an .npz of `reference` (rows, columns), `windows` (windows, rows, columns).

Prints JSON, for each peer the flags as a list of rows (one a window) of 0 and 1 (one a column).
"""

from __future__ import annotations

import json
import re
import sys

import nannyml
import numpy as np
import pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset


def evidently_flags(reference: pd.DataFrame, windows: list[pd.DataFrame]) -> list[list[int]]:
    """Evidently's DataDriftPreset, its methods and thresholds as they come."""
    flags = []
    for window in windows:
        metrics = Report([DataDriftPreset()]).run(window, reference).dict()["metrics"]
        by_column = {}
        for metric in metrics:
            config = metric["config"]
            if "column" not in config:
                continue
            value, threshold = float(metric["value"]), float(config["threshold"])
            is_p_value = re.search("p_value|Z-test|K-S|chi", config["method"], re.IGNORECASE) is not None
            by_column[config["column"]] = int(value < threshold if is_p_value else value >= threshold)
        flags.append([by_column[column] for column in reference.columns])
    return flags


def nannyml_flags(reference: pd.DataFrame, windows: list[pd.DataFrame]) -> list[list[int]]:
    """NannyML's UnivariateDriftCalculator, its method and thresholds as they come, a window a chunk."""
    columns = list(reference.columns)
    calculator = nannyml.UnivariateDriftCalculator(column_names=columns, chunk_size=len(windows[0]))
    calculator.fit(reference)
    result = calculator.calculate(pd.concat(windows, ignore_index=True)).filter(period="analysis")
    table = result.to_df()
    alerts = [table[(column, "jensen_shannon", "alert")].astype(int).tolist() for column in columns]
    return [list(row) for row in zip(*alerts, strict=True)]


def main() -> None:
    """Read the file named on the command line, ask each peer, print the JSON."""
    with np.load(sys.argv[1]) as arrays:
        reference, windows = arrays["reference"], arrays["windows"]
    columns = [f"x{i}" for i in range(reference.shape[1])]
    frame = pd.DataFrame(reference, columns=columns)
    frames = [pd.DataFrame(window, columns=columns) for window in windows]
    print(json.dumps({"Evidently": evidently_flags(frame, frames), "NannyML": nannyml_flags(frame, frames)}))


if __name__ == "__main__":
    main()
