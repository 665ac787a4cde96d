"""Where a request comes from, and whether the gateway brings it."""

from __future__ import annotations

import hmac
import ipaddress
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import Headers
from starlette.types import Scope

GATEWAY_HEADER: Final = "x-modelward-gateway"
ASKING_HEADER: Final = "x-modelward-asking"
"""Only in the gateway's own questions; it takes the header from what others send."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """`address` is "" where it is no IP address; `asking` is True of the gateway's own questions."""

    address: str
    by_gateway: bool
    asking: bool


def visitor_of(scope: Scope, gateway_key: str | None) -> Visitor:
    """Who sends the request. What forwards say is believed of the gateway alone, which sends its key."""
    headers = Headers(scope=scope)
    client = scope.get("client")
    peer = client[0] if client else ""
    given = headers.get(GATEWAY_HEADER, "")
    if gateway_key is None or not hmac.compare_digest(given.encode(), gateway_key.encode()):
        return Visitor(_address(peer), False, False)
    forwarded = headers.get("x-forwarded-for", "")
    return Visitor(_address(forwarded) or _address(peer), True, headers.get(ASKING_HEADER) == "1")


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError:
        return ""
