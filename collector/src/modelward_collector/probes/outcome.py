"""What a kind of probe answers, before it is timed and named."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from modelward_collector.checks.result import Status


@dataclass(frozen=True, slots=True)
class Outcome:
    """Status and message, and when the server's certificate expires, if it showed one that verifies."""

    status: Status
    message: str
    expires_at: datetime | None = None
