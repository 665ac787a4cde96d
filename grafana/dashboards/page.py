"""From a `Page` to the dashboard that Grafana reads."""

from __future__ import annotations

import json
from typing import Any, Final

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model

from grafana.dashboards.look import BAD, PROMETHEUS, SITE, Link, Page

TAG: Final = "modelward"

ALERTS: Final = {
    "name": "Alerts",
    "enable": True,
    "iconColor": BAD,
    "datasource": {"type": "prometheus", "uid": "${datasource}"},
    "expr": 'ALERTS{alertstate="firing", severity=~"1|2|3"}',
    "step": "60s",
    "titleFormat": "{{alertname}}",
    "textFormat": "{{model}} {{version}} {{instance}}",
    "tagKeys": "severity,team",
}
"""Alerts that fired, as spans."""


def build(page: Page) -> dict[str, Any]:
    """The dashboard as Grafana's classic JSON. Panels are numbered from 1 in reading order."""
    made = (
        dashboard.Dashboard(page.title)
        .uid(page.uid)
        .description(page.description)
        .tags([TAG])
        .timezone("browser")
        .readonly()
        .refresh("30s")
        .time(page.time_from, "now")
        .timepicker(dashboard.TimePicker().refresh_intervals(["10s", "30s", "1m", "5m", "15m", "1h"]))
        .tooltip(model.DashboardCursorSync.TOOLTIP)
        .variables(list(page.variables))
        .links([_others(), *(_elsewhere(link) for link in (Link("Console", f"{SITE}/"), *page.links))])
    )
    number = y = 0
    for section in page.sections:
        if section.title:
            number += 1
            row = dashboard.Row(section.title).id(number).grid_pos(model.GridPos(h=1, w=24, x=0, y=y))
            made.with_row(row.collapsed(False))
            y += 1
        for line in section.lines:
            x = 0
            for width, panel in line.panels:
                number += 1
                place = model.GridPos(h=line.height, w=width, x=x, y=y)
                made.with_panel(_Numbered(panel, number, place))
                x += width
            y += line.height
    content: dict[str, Any] = json.loads(json.dumps(made.build(), cls=_Encoder))
    content["annotations"] = {"list": [dict(annotation) for annotation in page.annotations]}
    content["panels"] = [_plain(panel) for panel in content["panels"]]
    content["preload"] = False
    return content


class _Encoder(JSONEncoder):
    def default(self, obj: Any) -> Any:
        return obj.build() if isinstance(obj, Link) else super().default(obj)


class _Numbered(dashboard.Panel):
    """A built panel with its number and place."""

    def __init__(self, panel: Any, number: int, place: model.GridPos) -> None:
        self._built = panel.build()
        self._built.id_val = number
        self._built.grid_pos = place

    def build(self) -> model.Panel:
        return self._built  # type: ignore[no-any-return]


def _plain(panel: dict[str, Any]) -> dict[str, Any]:
    """Without the height that an empty row has of itself."""
    return {key: value for key, value in panel.items() if key != "repeatDirection"}


def _others() -> dashboard.DashboardLink:
    link = dashboard.DashboardLink("Dashboards").type(model.DashboardLinkType.DASHBOARDS).tags([TAG])
    return link.as_dropdown(True).keep_time(True).include_vars(True).icon("apps").tooltip("The other dashboards")


def _elsewhere(link: Link) -> dashboard.DashboardLink:
    made = dashboard.DashboardLink(link.title).type(model.DashboardLinkType.LINK).url(link.url.partition("?")[0])
    made.tooltip(link.title).target_blank(not link.url.startswith("/d/"))
    if link.url.startswith("/d/"):
        return made.icon("dashboard").keep_time(True).include_vars(True)
    return made.icon("external link")


def text(content: dict[str, Any]) -> str:
    """The file that is committed: valid JSON, and a template in which the console's address is the only variable.

    Grafana's own `{{label}}` would be the template's too, so their braces are written as JSON escapes.
    """
    assert PROMETHEUS.uid == "${datasource}"
    written = json.dumps(content, indent=1, ensure_ascii=False, sort_keys=True)
    for opening in ("{{", "{%", "{#"):
        written = written.replace(opening, "\\u007b" + opening[1:].replace("{", "\\u007b"))
    return written.replace(SITE, "{{ site.url }}") + "\n"
