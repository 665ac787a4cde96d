"""Dashboards as typed code. `python -m grafana.dashboards` writes what Grafana reads to `grafana/config/dashboards`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from grafana.dashboards import appliance, business, executive, fleet, model, operations, technical
from grafana.dashboards.look import Page
from grafana.dashboards.page import build

PAGES: Final[tuple[Callable[[], Page], ...]] = (
    executive.page,
    technical.page,
    operations.page,
    business.page,
    model.page,
    fleet.page,
    appliance.page,
)


def dashboards() -> dict[str, dict[str, Any]]:
    """Every dashboard as Grafana's classic JSON, by uid; addresses of the console begin with `look.SITE`."""
    built = [build(page()) for page in PAGES]
    return {content["uid"]: content for content in built}
