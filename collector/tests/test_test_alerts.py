"""The receiver of `make verify`'s alerts: for Alertmanager alone, and it forgets."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from modelward_collector.api.alerts import alerts_router

KEY = {"Authorization": "ApiKey of-the-alerts"}


@pytest.fixture
def client() -> TestClient:
    app = FastAPI()
    app.include_router(alerts_router("of-the-alerts"))
    return TestClient(app)


def notification(*identifiers: str) -> dict[str, Any]:
    """As Alertmanager 0.25 posts it, shortened."""
    alerts = [{"status": "firing", "labels": {"verify": "true", "verify_id": name}} for name in identifiers]
    return {"version": "4", "status": "firing", "receiver": "verify", "alerts": alerts}


def test_an_alert_that_arrived_is_answered(client: TestClient) -> None:
    assert client.post("/alerts/verify", json=notification("one", "two"), headers=KEY).status_code == 204
    assert client.get("/alerts/verify", headers=KEY).json() == {"received": ["one", "two"]}


def test_an_alert_that_is_repeated_is_kept_once(client: TestClient) -> None:
    for _ in range(2):
        client.post("/alerts/verify", json=notification("one"), headers=KEY)
    assert client.get("/alerts/verify", headers=KEY).json() == {"received": ["one"]}


def test_only_the_newest_are_kept(client: TestClient) -> None:
    for number in range(150):
        client.post("/alerts/verify", json=notification(str(number)), headers=KEY)
    received = client.get("/alerts/verify", headers=KEY).json()["received"]
    assert (len(received), received[-1]) == (100, "149")


@pytest.mark.parametrize("headers", [{}, {"Authorization": "ApiKey wrong"}, {"Authorization": "Basic of-the-alerts"}])
def test_without_the_key_nothing_is_taken_or_told(client: TestClient, headers: dict[str, str]) -> None:
    assert client.post("/alerts/verify", json=notification("one"), headers=headers).status_code == 401
    assert client.get("/alerts/verify", headers=headers).status_code == 401


def test_alerts_without_an_identifier_are_ignored(client: TestClient) -> None:
    client.post("/alerts/verify", json={"alerts": [{"labels": {"alertname": "Other"}}]}, headers=KEY)
    assert client.get("/alerts/verify", headers=KEY).json() == {"received": []}
