"""An alert that is sent to Alertmanager reaches a receiver."""

from __future__ import annotations

import secrets

from modelward_appliance.host.verify.check import Check, CheckError
from modelward_appliance.host.verify.site import Site, Waiting

_WITHIN_SECONDS = 45.0


def _reaches(site: Site) -> str:
    identifier = secrets.token_hex(12)
    site.prove("backup", "alert", identifier, "--url", "https://alertmanager:9093/alertmanager")
    waiting = Waiting(_WITHIN_SECONDS)
    if not waiting.until(lambda: site.prove("collector", "received", identifier)["received"]):
        raise CheckError(
            f"the alert {identifier} did not reach its receiver within {_WITHIN_SECONDS:g} s",
            "see make logs SERVICE=alertmanager: it says what the receiver answered",
        )
    return f"received after {waiting.passed:.1f} s"


CHECKS = (Check("alert", "an alert reaches a receiver", _reaches),)
