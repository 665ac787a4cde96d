"""Does a server show a certificate that verifies, and for how long will it?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from modelward_collector.checks.result import Status
from modelward_collector.probes.connection import Deadline, connect, expiry, secure
from modelward_collector.probes.outcome import Outcome
from modelward_collector.probes.spec import TlsProbe


def probe_tls(spec: TlsProbe, deadline: Deadline) -> Outcome:
    """Shake hands, verified, and read the expiry; `ProbeError` when the chain or the name does not verify."""
    with (
        connect(spec.host, spec.port, deadline) as connection,
        secure(connection, spec.sni or spec.host, spec.ca_file, deadline) as secured,
    ):
        expires_at, version = expiry(secured), secured.version()
    if expires_at is None:
        return Outcome(Status.OK, f"{version}, a certificate without an expiry")
    left = expires_at - datetime.now(UTC)
    said = f"the certificate is valid for {left.days} more {'day' if left.days == 1 else 'days'}"
    if left < timedelta(days=spec.days_min):
        return Outcome(Status.WARNING, f"{said}, fewer than {spec.days_min}; renew it", expires_at)
    return Outcome(Status.OK, f"{said} ({version})", expires_at)
