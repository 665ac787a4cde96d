"""The data views: one for each alias that people look at, with fixed ids that dashboards refer to."""

from __future__ import annotations

from typing import Any, Final

from kibana.panels import MILLISECONDS, SECONDS, DataView

_NAMES: Final = {
    DataView.LOGS: "Modelward: logs",
    DataView.EVENTS: "Modelward: predictions, labels, errors, stages and business events",
    DataView.RESULTS: "Modelward: results of checks",
    DataView.INCIDENTS: "Modelward: incidents",
    DataView.AUDIT: "Modelward: audit trail",
}

_DURATIONS: Final = {
    DataView.EVENTS: {"latency_ms": MILLISECONDS["from"], "stage.duration_ms": MILLISECONDS["from"]},
    DataView.RESULTS: {"duration_seconds": SECONDS["from"]},
}
_UNITS: Final = {"ms": "milliseconds", "s": "seconds"}


def data_views() -> list[dict[str, Any]]:
    """The bodies of `POST /api/data_views/data_view`, each of which replaces the one of its id."""
    return [{"data_view": _data_view(view), "override": True} for view in DataView]


def _data_view(view: DataView) -> dict[str, Any]:
    written: dict[str, Any] = {
        "id": str(view),
        "title": str(view),
        "name": _NAMES[view],
        "timeFieldName": "@timestamp",
    }
    formats = {
        name: {"id": "duration", "params": {"inputFormat": _UNITS[unit], "outputFormat": "humanizePrecise"}}
        for name, unit in _DURATIONS.get(view, {}).items()
    }
    if formats:
        written["fieldFormats"] = formats
    return written
