"""An agent's sign of life, read from the document it ships."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelward_collector.store import shape
from modelward_collector.store.protocol import Heartbeat


def heartbeat_of(source: Mapping[str, Any]) -> Heartbeat:
    """The heartbeat of a document of kind `heartbeat`; what it does not say is 0 or ""."""

    def count(name: str) -> int:
        found = shape.number(source.get(name))
        return int(found) if found is not None and found == found and abs(found) < 2**63 else 0

    return Heartbeat(
        host=shape.text((source.get("host") or {}).get("name")),
        at=shape.moment(source["@timestamp"]),
        version=shape.text((source.get("agent") or {}).get("version")),
        lag_bytes=count("lag_bytes"),
        shipped=count("shipped"),
        dropped=count("dropped"),
        quarantined=count("quarantined"),
        spooled=count("spooled"),
        last_error=shape.text(source.get("last_error")),
    )
