"""Probes of configured targets: HTTP, TCP, DNS and TLS."""

from modelward_collector.probes.result import ProbeResult
from modelward_collector.probes.run import run_probe, run_probes
from modelward_collector.probes.runner import ProbeRunner
from modelward_collector.probes.spec import DnsProbe, HttpProbe, ProbeSpec, TcpProbe, TlsProbe

__all__ = [
    "DnsProbe",
    "HttpProbe",
    "ProbeResult",
    "ProbeRunner",
    "ProbeSpec",
    "TcpProbe",
    "TlsProbe",
    "run_probe",
    "run_probes",
]
