"""Accepting a drift through the API: refusals first, then what it does."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from fastapi.testclient import TestClient

from collector.tests.collecting import HOUR, a_collector, send_traffic
from collector.tests.store_documents import NOON
from modelward_collector.app import Collector, create_app
from modelward_collector.checks.result import CheckKind, CheckResult
from modelward_collector.store.acceptances import acceptances
from modelward_collector.store.protocol import Created, Outcome, StoreUnavailableError

HERE = "http://127.0.0.1:8321"
ODD = "team a/fraud ü?#%"
LAST_MONTH = "reference: {kind: span, start: 2026-02-01T00:00:00Z, end: 2026-02-02T00:00:00Z}"
QUIET = "\n".join(["checks:", *(f"  {kind}: {{enabled: false}}" for kind in CheckKind)])
ACCEPT = "/api/v1/models/delay/accept"
ACCEPTED = "/api/v1/models/delay/acceptances"


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    models = dict.fromkeys(("delay", "calm", f'"{ODD}"'), f"{LAST_MONTH}\n{QUIET}")
    made = a_collector(tmp_path, models, clock="replay")
    store = made.context.store
    for model, mean in (("delay", 2.0), ("calm", 0.0), (ODD, 2.0)):
        send_traffic(store, datetime(2026, 2, 1, tzinfo=UTC), 60, model=model)
        send_traffic(store, NOON - HOUR, 61, model=model, mean=mean)
        made.context.engine.run(model, CheckKind.DRIFT)
    yield made
    made.stop()


@pytest.fixture
def client(collector: Collector) -> TestClient:
    return TestClient(create_app(collector), base_url=HERE, raise_server_exceptions=False)


def is_problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    return body


@pytest.fixture
def nothing_comes_of_it(collector: Collector) -> Iterator[None]:
    yield
    assert [acceptances(collector.context.store, model) for model in ("delay", "calm", ODD)] == [[], [], []]


# -- refusals ----------------------------------------------------------------------------------------------------------
@pytest.mark.usefixtures("nothing_comes_of_it")
@pytest.mark.parametrize(
    "headers", [{"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"origin": "http://evil.test"}]
)
def test_another_site_accepts_nothing(client: TestClient, headers: dict[str, str]) -> None:
    assert "another site" in is_problem(client.post(ACCEPT, headers=headers), 403)["detail"]
    is_problem(client.post("/models/delay/accept", headers=headers), 403)


@pytest.mark.usefixtures("nothing_comes_of_it")
def test_what_only_reads_accepts_nothing(client: TestClient) -> None:
    assert client.get(ACCEPT).status_code == 404
    is_problem(client.put(ACCEPT), 405)


@pytest.mark.usefixtures("nothing_comes_of_it")
def test_nobodys_drift_is_not_accepted(client: TestClient) -> None:
    assert 'No model "nobody"' in is_problem(client.post("/api/v1/models/nobody/accept"), 404)["detail"]
    is_problem(client.get("/api/v1/models/nobody/acceptances"), 404)


@pytest.mark.usefixtures("nothing_comes_of_it")
@pytest.mark.parametrize(
    ("body", "name", "says"),
    [
        ({"feature": "distanc"}, "feature", "did you mean distance?"),
        ({"feature": 5}, "feature", "string"),
        ({"version": "9"}, "version", 'delay has no version "9"; its versions are: 1'),
        ({"since": "yesterday"}, "since", "valid datetime"),
        ({"since": "2036-03-01T11:00:00Z"}, "since", "is in the future"),
        ({"since": "1936-03-01T11:00:00Z"}, "since", "before 1970"),
        ({"put_back": "noon"}, "put_back", "is no stretch of time"),
        ({"put_back": "2026-02-01", "since": "2026-02-01"}, "since", "leave one of the two out"),
        ({"reason": "x" * 501}, "reason", "500 characters"),
        ({"featur": "distance"}, "featur", "not permitted"),
        ([], "body", "dictionary"),
    ],
)
def test_what_cannot_be_used_is_named(client: TestClient, body: Any, name: str, says: str) -> None:
    problem = is_problem(client.post(ACCEPT, json=body), 422)
    assert [one["name"] for one in problem["invalid_parameters"]] == [name]
    assert says in problem["detail"]


@pytest.mark.usefixtures("nothing_comes_of_it")
def test_where_nothing_drifts_there_is_nothing_to_accept(client: TestClient) -> None:
    problem = is_problem(client.post("/api/v1/models/calm/accept"), 409)
    assert problem["detail"] == "nothing of calm drifts; say --since to begin the reference anew"


@pytest.mark.usefixtures("nothing_comes_of_it")
def test_what_the_store_refuses_or_does_not_answer_is_not_accepted(
    client: TestClient, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = collector.context.store
    monkeypatch.setattr(store, "create", lambda documents: [Created(Outcome.REJECTED, "no room")])
    assert "no room" in is_problem(client.post(ACCEPT), 422)["detail"]

    def away(_: object) -> list[Created]:
        raise StoreUnavailableError("the store is away")

    monkeypatch.setattr(store, "create", away)
    is_problem(client.post(ACCEPT), 503)


@pytest.mark.usefixtures("nothing_comes_of_it")
def test_where_there_is_a_key_a_script_needs_it(tmp_path: Path, collector: Collector) -> None:
    key = tmp_path / "key"
    key.write_text("hunter2")
    key.chmod(0o600)
    guarded = a_collector(tmp_path, clock="replay", api={"api_key_file": str(key)})
    client = TestClient(create_app(guarded), base_url=HERE)
    is_problem(client.post(ACCEPT), 401)
    is_problem(client.post(ACCEPT, headers={"authorization": "ApiKey hunter3"}), 401)
    guarded.stop()


# -- what it does ------------------------------------------------------------------------------------------------------
def test_what_drifts_is_accepted_and_checked_at_once(client: TestClient, collector: Collector) -> None:
    before = collector.context.store.latest_results()
    answer = client.post(ACCEPT)
    assert answer.status_code == 201, answer.text
    body = answer.json()
    (said,) = body["acceptances"]
    assert (said["model"], said["kind"], said["feature"], said["version"]) == ("delay", "new_normal", "distance", None)
    assert (said["by"], said["reason"], said["window"]) == ("someone at testclient", "", None)
    assert body["problem"] == ""
    (result,) = body["results"]
    assert (result["model"], result["check"]) == ("delay", "drift")
    latest = {item.id: item for item in collector.context.store.latest_results()}
    assert latest.keys() == {item.id for item in before}
    assert latest[result["id"]].ran_at > next(item for item in before if item.id == result["id"]).ran_at
    assert client.get(ACCEPTED).json() == {"items": [said], "after": None}


def test_all_that_can_be_said_is_kept(client: TestClient) -> None:
    body = {"feature": "distance", "version": "1", "since": "2026-03-01T11:00:00+01:00", "reason": "new\nroutes"}
    (said,) = client.post(ACCEPT, json=body).json()["acceptances"]
    assert {name: said[name] for name in body} == {
        **body,
        "since": "2026-03-01T10:00:00Z",
        "reason": "new routes",
    }


def test_a_day_is_put_back(client: TestClient) -> None:
    (said,) = client.post(ACCEPT, json={"put_back": "2026-02-01"}).json()["acceptances"]
    assert (said["kind"], said["feature"]) == ("put_back", None)
    assert said["window"] == {"start": "2026-02-01T00:00:00Z", "end": "2026-02-02T00:00:00Z"}


def test_a_name_with_all_that_is_odd_in_a_path(client: TestClient) -> None:
    at = f"/api/v1/models/{quote(ODD, safe='')}"
    (said,) = client.post(f"{at}/accept").json()["acceptances"]
    assert said["model"] == ODD
    assert client.get(f"{at}/acceptances").json()["items"] == [said]
    assert client.get(ACCEPTED).json()["items"] == []


def test_acceptances_are_paged_oldest_first(client: TestClient) -> None:
    for hour in range(3):
        client.post(ACCEPT, json={"since": f"2026-03-01T0{hour}:00:00Z"})
    first = client.get(ACCEPTED, params={"limit": 2}).json()
    second = client.get(ACCEPTED, params={"limit": 2, "after": first["after"]}).json()
    ids = [item["id"] for item in [*first["items"], *second["items"]]]
    assert (len(set(ids)), second["after"]) == (3, None)


def test_a_check_that_fails_loses_no_acceptance(
    client: TestClient, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> list[CheckResult]:
        raise StoreUnavailableError("the store is away")

    monkeypatch.setattr(collector.context.engine, "run", fails)
    answer = client.post(ACCEPT)
    assert (answer.status_code, answer.json()["problem"], answer.json()["results"]) == (201, "the store is away", [])
    assert len(acceptances(collector.context.store, "delay")) == 1


def test_it_is_described(client: TestClient) -> None:
    paths = client.get("/api/v1/openapi.json").json()["paths"]
    assert set(paths["/api/v1/models/{model}/accept"]["post"]["responses"]) >= {"201", "404", "409", "422", "503"}
    assert "/api/v1/models/{model}/acceptances" in paths
