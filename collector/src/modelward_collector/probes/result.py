"""What one probe of one target found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from modelward_collector.checks.result import Status


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """`ok` says whether the target does what it should, `latency` how many seconds finding out took.

    A certificate that still verifies but expires soon is ok, with status `warning`. `expires_at` is that of the
    server's certificate, None where there is none or it did not verify.
    """

    name: str
    kind: str
    ok: bool
    status: Status
    latency: float
    message: str
    expires_at: datetime | None = None
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def to_document(self) -> Mapping[str, Any]:
        """JSON values only."""
        return {
            "@timestamp": _rfc3339(self.at),
            "kind": "probe",
            "name": self.name,
            "probe": self.kind,
            "ok": self.ok,
            "status": self.status.value,
            "latency_seconds": self.latency,
            "message": self.message,
            "expires_at": _rfc3339(self.expires_at),
        }


def _rfc3339(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
