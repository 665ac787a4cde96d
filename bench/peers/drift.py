"""Evidently's default drift report on two parquet files (reference, current); prints JSON: seconds, peak extra MiB."""

from __future__ import annotations

import json
import resource
import sys
import time

import pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset


def main() -> None:
    """Measure and print."""
    reference, current = (pd.read_parquet(path) for path in sys.argv[1:3])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.perf_counter()
    Report([DataDriftPreset()]).run(current, reference).dict()
    seconds = time.perf_counter() - begun
    extra = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(json.dumps({"seconds": seconds, "extra_mib": extra}))


if __name__ == "__main__":
    main()
