"""The dashboards, one file each."""

from __future__ import annotations

from kibana.dashboards import logs

DASHBOARDS = (logs.DASHBOARD,)
