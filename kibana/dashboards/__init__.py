"""The dashboards, one file each."""

from __future__ import annotations

from typing import Final

from kibana.dashboards import incidents, logs, predictions, results
from kibana.panels import Dashboard

DASHBOARDS: Final[tuple[Dashboard, ...]] = (
    logs.DASHBOARD,
    predictions.DASHBOARD,
    results.DASHBOARD,
    incidents.DASHBOARD,
)
