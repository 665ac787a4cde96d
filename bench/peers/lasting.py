"""Which columns peers flag by default, day by day, with the reference of a month that rolls on or stays.

The folder named on the command line holds folders; each has rows.parquet, whose column `window` is the day, and
judged.json: the days that are judged, how many days a reference has, and whether it rolls too. Prints JSON: by folder,
then by peer and reference, the flags as a list of rows (one a judged day) of 0 and 1 (one a column).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas as pd
from verdicts import WINDOW, evidently_flags, nannyml_flags

PEERS = {"Evidently": evidently_flags, "NannyML": nannyml_flags}


def flags(rows: pd.DataFrame, days: list[int], reference: int, *, rolls: bool) -> dict[str, list[list[int]]]:
    """By peer and reference; with the fixed one they are asked of all days at once."""
    by_day = dict(list(rows.groupby(WINDOW)))
    first = pd.concat([by_day[day] for day in range(reference)])
    judged = pd.concat([by_day[day] for day in days])
    answers = {f"{name}, fixed": ask(first, judged) for name, ask in PEERS.items()}
    if not rolls:
        return answers
    for name, ask in PEERS.items():
        answers[f"{name}, rolling"] = [
            ask(pd.concat([by_day[one] for one in range(day - reference, day)]), by_day[day])[0] for day in days
        ]
    return answers


def main() -> None:
    """Ask the peers about each folder."""
    answers = {}
    for folder in sorted(path for path in Path(sys.argv[1]).iterdir() if path.is_dir()):
        asked = json.loads((folder / "judged.json").read_text())
        answers[folder.name] = flags(pd.read_parquet(folder / "rows.parquet"), **asked)
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
