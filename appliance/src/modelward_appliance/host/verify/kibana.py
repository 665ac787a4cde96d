"""Kibana, through the gateway, as the person who is logged in."""

from __future__ import annotations

import urllib.parse

from modelward_appliance.host.verify.check import Check, CheckError
from modelward_appliance.host.verify.login import logged_in
from modelward_appliance.host.verify.site import Site

_HEADERS = {"kbn-xsrf": "true", "Accept": "application/json"}
_FIX = "see make logs SERVICE=kibana and SERVICE=gateway"


def _dashboards(site: Site) -> str:
    site.needs("kibana")
    client = logged_in(site, "viewer")
    status = client.get("/kibana/api/status", _HEADERS)
    if status.status != 200 or status.json()["status"]["overall"]["level"] != "available":
        raise CheckError(f"/kibana/api/status answered {status.status}: {status.text[:200]}", _FIX)
    query = urllib.parse.urlencode({"type": "dashboard", "per_page": 100})
    found = client.get(f"/kibana/api/saved_objects/_find?{query}", _HEADERS)
    if found.status != 200:
        raise CheckError(f"Kibana answered {found.status} to a viewer: {found.text[:200]}", _FIX)
    titles = sorted(item["attributes"]["title"] for item in found.json()["saved_objects"])
    if not titles:
        raise CheckError("Kibana has no dashboards", "run make deploy, which puts them there")
    return f"{len(titles)} dashboards: {', '.join(titles)}"


CHECKS = (Check("kibana", "a viewer sees Kibana's dashboards through the gateway", _dashboards),)
