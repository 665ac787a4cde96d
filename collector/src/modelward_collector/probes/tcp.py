"""Does a port accept a connection?"""

from __future__ import annotations

from modelward_collector.checks.result import Status
from modelward_collector.probes.connection import Deadline, connect
from modelward_collector.probes.outcome import Outcome
from modelward_collector.probes.spec import TcpProbe


def probe_tcp(spec: TcpProbe, deadline: Deadline) -> Outcome:
    """Connect and hang up; `ProbeError` when no address of the host accepts."""
    with connect(spec.host, spec.port, deadline) as connection:
        address = connection.getpeername()[0]
    return Outcome(Status.OK, f"{address} port {spec.port} accepts connections")
