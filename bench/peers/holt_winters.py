"""One-step forecasts of Holt-Winters (statsmodels' ETSModel, additive) of an .npz of `series` (n,), `start`, `season`.

Its parameters are fitted to the points before `start` and again to all the past every four weeks of hours after it.
Prints JSON: the forecasts from `start` on, and the ends of their 95% band.
"""

from __future__ import annotations

import json
import sys

import numpy as np
from statsmodels.tsa.exponential_smoothing.ets import ETSModel

REFIT = 4 * 168
NORMAL_95 = 1.959964


def main() -> None:
    """Read the file named on the command line, forecast, print the JSON."""
    with np.load(sys.argv[1]) as arrays:
        series, start, season = arrays["series"], int(arrays["start"]), int(arrays["season"])
    forecast, low, high = [], [], []
    for begin in range(start, len(series), REFIT):
        end = min(len(series), begin + REFIT)
        settings = {"error": "add", "seasonal": "add", "seasonal_periods": season, "initialization_method": "heuristic"}
        fitted = ETSModel(series[:begin], **settings).fit(disp=False, maxiter=50)
        # The recursion runs on over what came, with the parameters of the past: each value is forecast a step ahead.
        ahead = ETSModel(series[:end], **settings).smooth(fitted.params).fittedvalues[begin:end]
        width = NORMAL_95 * float(np.sqrt(fitted.mse))
        forecast += ahead.tolist()
        low += (ahead - width).tolist()
        high += (ahead + width).tolist()
    print(json.dumps({"forecast": forecast, "low": low, "high": high}))


if __name__ == "__main__":
    main()
