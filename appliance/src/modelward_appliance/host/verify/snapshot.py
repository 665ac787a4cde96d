"""Backups can be made and read."""

from __future__ import annotations

from modelward_appliance.host.verify.check import Check
from modelward_appliance.host.verify.site import Site


def _snapshot(site: Site) -> str:
    return site.inside("backup", "modelward-appliance", "backup", "probe").strip()


CHECKS = (Check("snapshot", "an Elasticsearch snapshot is taken, restored and compared", _snapshot),)
