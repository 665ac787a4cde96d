"""Where the test alerts of `make verify` arrive: Alertmanager posts them, and `make verify` asks whether they came."""

from __future__ import annotations

import hmac
from collections import deque
from typing import Annotated

from fastapi import APIRouter, Body, Depends, HTTPException, Request
from pydantic import BaseModel, Field

ALERTS_PATH = "/alerts/verify"
IDENTIFIER_LABEL = "verify_id"

_KEPT = 100


class Alert(BaseModel):
    """One alert of a notification; only its labels matter here."""

    labels: dict[str, str]


class Notification(BaseModel):
    """What Alertmanager posts to a webhook, as far as it is read."""

    alerts: Annotated[list[Alert], Field(max_length=10_000)]


class Received(BaseModel):
    """The newest test alerts, by the identifier that each was sent with; the oldest first."""

    received: list[str]


def alerts_router(key: str) -> APIRouter:
    """The routes, for who has the key: Alertmanager, and the collector's own container."""
    newest: deque[str] = deque(maxlen=_KEPT)

    def authorize(request: Request) -> None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() not in ("apikey", "bearer") or not hmac.compare_digest(given.strip().encode(), key.encode()):
            raise HTTPException(401, "Send the key of api.alerts_key_file: Authorization: ApiKey <key>.")

    router = APIRouter(include_in_schema=False, dependencies=[Depends(authorize)])

    @router.post(ALERTS_PATH, status_code=204)
    async def receive(notification: Annotated[Notification, Body()]) -> None:
        for alert in notification.alerts:
            identifier = alert.labels.get(IDENTIFIER_LABEL, "")[:200]
            if identifier and identifier not in newest:
                newest.append(identifier)

    @router.get(ALERTS_PATH)
    async def received() -> Received:
        return Received(received=list(newest))

    return router
