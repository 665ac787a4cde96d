"""Which columns peers flag by default, of a folder with reference.parquet and windows.parquet.

Both have a column `window`, which tells windows apart by number. Prints JSON, for each peer the flags as a list of rows
(one a window, in order) of 0 and 1 (one a column, in order).
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"  # a bench tells nobody that it runs

import nannyml
import pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset

WINDOW = "window"
FIRST_DAY = pd.Timestamp("2020-01-01")


def evidently_flags(reference: pd.DataFrame, windows: pd.DataFrame) -> list[list[int]]:
    """Evidently's DataDriftPreset, its methods and thresholds as they come."""
    columns = [name for name in reference.columns if name != WINDOW]
    flags = []
    for _, window in windows.groupby(WINDOW):
        metrics = Report([DataDriftPreset()]).run(window[columns], reference[columns]).dict()["metrics"]
        by_column = {}
        for metric in metrics:
            config = metric["config"]
            if "column" not in config:
                continue
            value, threshold = float(metric["value"]), float(config["threshold"])
            is_p_value = re.search("p_value|Z-test|K-S|chi", config["method"], re.IGNORECASE) is not None
            by_column[config["column"]] = int(value < threshold if is_p_value else value >= threshold)
        flags.append([by_column[column] for column in columns])
    return flags


def nannyml_flags(reference: pd.DataFrame, windows: pd.DataFrame) -> list[list[int]]:
    """NannyML's UnivariateDriftCalculator, its method and thresholds as they come, a window a chunk."""
    columns = [name for name in reference.columns if name != WINDOW]
    # Each window becomes a day of its own, which is how chunks of different sizes are told apart.
    sides = [
        side.assign(timestamp=FIRST_DAY + pd.to_timedelta(side[WINDOW], unit="D")) for side in (reference, windows)
    ]
    sides[1]["timestamp"] += pd.Timedelta(days=int(reference[WINDOW].max()) + 1)
    categories = [name for name in columns if not pd.api.types.is_numeric_dtype(reference[name])]
    for side in sides:
        side[categories] = side[categories].astype("category")
    calculator = nannyml.UnivariateDriftCalculator(
        column_names=columns, timestamp_column_name="timestamp", chunk_period="D"
    )
    calculator.fit(sides[0])
    table = calculator.calculate(sides[1]).filter(period="analysis").to_df()
    alerts = [table[(column, "jensen_shannon", "alert")].astype(int).tolist() for column in columns]
    return [list(row) for row in zip(*alerts, strict=True)]


def main() -> None:
    """Read the folder named on the command line, ask each peer, print the JSON."""
    folder = Path(sys.argv[1])
    reference, windows = (pd.read_parquet(folder / f"{name}.parquet") for name in ("reference", "windows"))
    print(json.dumps({"Evidently": evidently_flags(reference, windows), "NannyML": nannyml_flags(reference, windows)}))


if __name__ == "__main__":
    main()
