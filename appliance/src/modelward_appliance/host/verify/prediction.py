"""A prediction that an application records is counted by Prometheus and stored in Elasticsearch."""

from __future__ import annotations

import secrets
import urllib.parse

from modelward_appliance.host.verify.check import Check, CheckError
from modelward_appliance.host.verify.site import Site, Waiting

MODEL = "modelward-verify"
_WITHIN_SECONDS = 90.0
"""A second to the journal's reader, one to the request, one to the index's refresh, ten to the next scrape."""

_AGAIN_SECONDS = 20.0

_COUNTED = f'sum(modelward_predictions_total{{model="{MODEL}"}})'


def _counted(site: Site) -> float:
    vector = site.prometheus(f"query?query={urllib.parse.quote(_COUNTED)}")["result"]
    return float(vector[0]["value"][1]) if vector else 0.0


def _once_more(site: Site, waiting: Waiting) -> bool:
    """Record another one when it takes long: after a restart the count may just have come back to what it was."""
    if waiting.passed > _AGAIN_SECONDS:
        site.prove("agent", "record", f"verify-{secrets.token_hex(12)}")
    return False


def _arrives(site: Site) -> str:
    before = _counted(site)
    identifier = f"verify-{secrets.token_hex(12)}"
    site.prove("agent", "record", identifier)
    waiting = Waiting(_WITHIN_SECONDS)
    if not waiting.until(lambda: site.prove("collector", "stored", identifier)["stored"]):
        raise CheckError(
            f"the prediction {identifier} is not in Elasticsearch after {_WITHIN_SECONDS:g} s",
            "see make logs SERVICE=agent, and SERVICE=elasticsearch",
        )
    stored = waiting.passed
    # An agent that was restarted counts from nothing.
    if not waiting.until(lambda: _counted(site) not in (0.0, before) or _once_more(site, waiting)):
        raise CheckError(
            f"Prometheus did not count it within {_WITHIN_SECONDS:g} s; it still counts {before:g}",
            "see the check prometheus-targets, and make logs SERVICE=prometheus",
        )
    return f"stored after {stored:.1f} s, counted after {waiting.passed:.1f} s"


CHECKS = (Check("prediction", "a prediction arrives in Elasticsearch and in Prometheus", _arrives),)
