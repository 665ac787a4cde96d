"""Does a name resolve, and to what it should?"""

from __future__ import annotations

import ipaddress
import socket

from modelward_collector.checks.result import Status
from modelward_collector.probes.connection import Deadline, ProbeError, resolve
from modelward_collector.probes.outcome import Outcome
from modelward_collector.probes.spec import DnsProbe


def probe_dns(spec: DnsProbe, deadline: Deadline) -> Outcome:
    """Ask the system's resolver; `ProbeError` when an expected address is not in the answer."""
    family = socket.AF_INET if spec.type == "A" else socket.AF_INET6
    found = {
        ipaddress.ip_address(str(address[0]).partition("%")[0])
        for *_, address in resolve(spec.host, 0, family, deadline)
    }
    said = ", ".join(sorted(map(str, found)))
    absent = [text for text in spec.expected if ipaddress.ip_address(text) not in found]
    if absent:
        raise ProbeError(f"{spec.host} resolves to {said}, not to {', '.join(absent)}")
    return Outcome(Status.OK, f"{spec.host} resolves to {said}")
