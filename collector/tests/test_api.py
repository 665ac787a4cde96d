"""The REST API: typed, paged, and with problems that say what to do."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from fastapi.testclient import TestClient

from collector.tests.collecting import HOUR, a_collector, send_traffic, wait_until
from collector.tests.store_documents import NOON, heartbeat, log, prediction
from modelward_collector.app import Collector, build, create_app
from modelward_collector.checks.result import CheckKind
from modelward_collector.config import CollectorConfig

HERE = "http://127.0.0.1:8321"
ODD = "team a/fraud ü?#%"
LAST_MONTH = "reference: {kind: span, start: 2026-02-01T00:00:00Z, end: 2026-02-02T00:00:00Z}"
QUIET = "\n".join(["checks:", *(f"  {kind}: {{enabled: false}}" for kind in CheckKind)])
"""Nothing runs but what a test asks for."""


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    models = {"delay": f"owner: flights\ntier: 1\n{LAST_MONTH}\n{QUIET}", f'"{ODD}"': QUIET, "never": QUIET}
    made = a_collector(tmp_path, models, clock="replay")
    store = made.context.store
    send_traffic(store, datetime(2026, 2, 1, tzinfo=UTC), 60)
    send_traffic(store, NOON - HOUR, 60, mean=2.0)
    send_traffic(store, NOON - HOUR, 60, model=ODD)
    send_traffic(store, NOON, 1, model="unconfigured")
    yield made
    made.stop()


@pytest.fixture
def client(collector: Collector) -> Iterator[TestClient]:
    with TestClient(create_app(collector), base_url=HERE, raise_server_exceptions=False) as opened:
        wait_until(lambda: collector.context.scheduler.holds_lease, "the scheduler")
        yield opened


def get(client: TestClient, path: str, **query: Any) -> Any:
    answer = client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def is_problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    return body


def test_models_are_listed_with_how_they_stand(client: TestClient, collector: Collector) -> None:
    collector.context.engine.run("delay", CheckKind.DRIFT, NOON)
    models = {model["model"]: model for model in get(client, "/api/v1/models")["items"]}
    assert list(models) == sorted(["delay", ODD, "never", "unconfigured"])
    delay = models["delay"]
    assert (delay["owner"], delay["tier"], delay["configured"]) == ("flights", 1, True)
    assert delay["status"] == "critical"
    assert delay["checks"] == {"drift": "critical"}
    assert delay["versions"] == ["1"]
    assert models["unconfigured"]["configured"] is False
    assert (models["never"]["status"], models["never"]["last_seen"]) == ("no_data", None)


def test_a_listing_comes_in_pages(client: TestClient) -> None:
    names, after = [], None
    for _ in range(10):
        page = get(client, "/api/v1/models", limit=3, **({} if after is None else {"after": after}))
        names += [model["model"] for model in page["items"]]
        after = page["after"]
        if after is None:
            break
    assert names == sorted(["delay", ODD, "never", "unconfigured"])


@pytest.mark.parametrize("model", ["delay", ODD])
def test_a_model_with_any_name_has_its_routes(client: TestClient, model: str) -> None:
    at = f"/api/v1/models/{quote(model, safe='')}"
    assert get(client, at)["model"] == model
    assert [one["version"] for one in get(client, f"{at}/versions")["items"]] == ["1"]
    assert get(client, f"{at}/segments")["segments"] == {}
    assert [one["feature"] for one in get(client, f"{at}/features")["items"]] == ["distance"]
    (result,) = client.post(f"{at}/checks/health/run").json()
    assert result["model"] == model
    assert get(client, f"/api/v1/results/{quote(result['id'], safe='')}") == result


def test_a_models_page_has_its_configuration_and_results(client: TestClient, collector: Collector) -> None:
    collector.context.engine.run("delay", CheckKind.DRIFT, NOON)
    model = get(client, "/api/v1/models/delay")
    assert model["spec"]["reference"]["kind"] == "span"
    assert [result["check"] for result in model["results"]] == ["drift"]


def test_a_distribution_stands_beside_its_reference(client: TestClient) -> None:
    answer = get(client, "/api/v1/models/delay/distribution", feature="distance", bins=20)
    assert answer["version"] == "1"
    assert sum(one["window"] for one in answer["bins"]) == pytest.approx(1, abs=0.01)
    assert sum(one["reference"] for one in answer["bins"]) == pytest.approx(1, abs=0.01)
    assert all(one["low"] < one["high"] for one in answer["bins"])
    assert answer["window"]["mean"] == pytest.approx(2, abs=0.1)
    assert answer["reference"]["mean"] == pytest.approx(0, abs=0.1)
    assert answer["reference"]["rows"] == 3000


def test_without_a_reference_a_distribution_stands_alone(client: TestClient) -> None:
    answer = get(client, f"/api/v1/models/{quote(ODD, safe='')}/distribution", feature="distance")
    assert answer["reference"] is None
    assert answer["bins"]
    assert all(one["reference"] is None for one in answer["bins"])


def test_a_series_shows_a_feature_over_time(client: TestClient) -> None:
    span = {"start": (NOON - HOUR).isoformat(), "end": NOON.isoformat()}
    points = get(client, "/api/v1/models/delay/series", feature="distance", step=900, **span)
    assert [point["seen"]["rows"] for point in points] == [750] * 4
    assert points[0]["start"] == "2026-03-01T11:00:00Z"
    much = get(client, "/api/v1/models/delay/series", feature="distance", step=1, start="2020-01-01T00:00:00Z")
    assert 0 < len(much) <= 500


def test_results_can_be_filtered_and_paged(client: TestClient, collector: Collector) -> None:
    for hour in range(5):
        collector.context.engine.run("delay", CheckKind.HEALTH, NOON - hour * HOUR)
    collector.context.engine.run("delay", CheckKind.DRIFT, NOON)
    assert len(get(client, "/api/v1/results", model="delay")["items"]) == 6
    assert len(get(client, "/api/v1/results", check="drift")["items"]) == 1
    assert [one["check"] for one in get(client, "/api/v1/results", status="critical")["items"]] == ["drift"]
    page = get(client, "/api/v1/results", check="health", limit=3)
    rest = get(client, "/api/v1/results", check="health", limit=3, after=page["after"])
    ends = [one["end"] for one in page["items"] + rest["items"]]
    assert ends == sorted(ends, reverse=True)
    assert len(ends) == 5
    assert rest["after"] is None


def test_a_check_can_be_run_on_demand_for_another_moment(client: TestClient) -> None:
    answer = client.post("/api/v1/models/delay/checks/health/run", params={"at": "2026-03-01T11:30:00Z"})
    (result,) = answer.json()
    assert (result["end"], result["on_demand"]) == ("2026-03-01T11:30:00Z", True)


def test_the_schedule_is_listed(tmp_path: Path) -> None:
    made = a_collector(tmp_path, {"delay": ""}, clock="wall")
    with TestClient(create_app(made), base_url=HERE) as client:
        wait_until(lambda: len(get(client, "/api/v1/checks")["items"]) == 4, "the schedule")
        entries = get(client, "/api/v1/checks", model="delay")["items"]
        assert [entry["check"] for entry in entries] == ["drift", "health", "performance", "quality"]
        assert entries[0]["schedule"] == "every 1h"
        assert entries[0]["next_run"]
        assert get(client, "/api/v1/checks", overdue=True)["items"] == []


def test_agents_events_and_logs_are_listed(client: TestClient, collector: Collector) -> None:
    documents = [heartbeat("web1", NOON), prediction("p1", NOON - HOUR), log("l1", NOON - HOUR, "disk is full")]
    collector.context.store.create(documents)
    (agent,) = get(client, "/api/v1/agents")["items"]
    assert (agent["host"], agent["shipped"]) == ("web1", 10)
    (event,) = get(client, "/api/v1/events", model="delay")["items"]
    assert event["id"] == "p1"
    assert [one["message"] for one in get(client, "/api/v1/logs", text="full")["items"]] == ["disk is full"]
    assert get(client, "/api/v1/logs", text="empty")["items"] == []


def test_openapi_describes_every_route_with_a_model(client: TestClient) -> None:
    described = get(client, "/api/v1/openapi.json")
    for path, methods in described["paths"].items():
        for name, method in methods.items():
            if path in ("/metrics",) or not path.startswith(("/api", "/healthz", "/readyz")):
                continue
            answered = next(method["responses"][status] for status in ("200", "201") if status in method["responses"])
            content = answered["content"]["application/json"]["schema"]
            assert content, (path, name)
    assert "/api/v1/models/{model}/checks/{check}/run" in described["paths"]
    assert client.get("/docs").status_code == 404


# -- problems ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/api/v1/models/nobody", 'No model "nobody"'),
        ("/api/v1/models/nobody/versions", 'No model "nobody"'),
        ("/api/v1/models/delay/distribution?feature=none", 'has a feature "none"'),
        ("/api/v1/results/none", 'no result "none"'),
        ("/api/v1/nothing", "nothing at /api/v1/nothing"),
    ],
)
def test_what_is_not_there_is_a_problem(client: TestClient, path: str, says: str) -> None:
    assert says in is_problem(client.get(path), 404)["detail"]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/api/v1/models?limit=0", "limit"),
        ("/api/v1/results?status=fine", "status"),
        ("/api/v1/results?start=yesterday", "start"),
        ("/api/v1/results?after=nonsense", "after"),
        ("/api/v1/logs?after=nonsense", "after"),
        ("/api/v1/models/delay/distribution", "feature"),
        ("/api/v1/models/delay/distribution?feature=a&bins=1", "bins"),
    ],
)
def test_a_parameter_that_cannot_be_used_is_named(client: TestClient, path: str, name: str) -> None:
    body = is_problem(client.get(path), 422)
    assert [one["name"] for one in body["invalid_parameters"]] == [name]


def test_a_check_that_does_not_exist_cannot_be_run(client: TestClient) -> None:
    is_problem(client.post("/api/v1/models/delay/checks/luck/run"), 422)
    is_problem(client.post("/api/v1/models/nobody/checks/drift/run"), 404)
    is_problem(client.get("/api/v1/models/delay/checks/drift/run"), 404)


def test_an_error_of_the_collector_itself_tells_no_secrets(
    client: TestClient, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise RuntimeError("password hunter2")

    monkeypatch.setattr(collector.context.store, "heartbeats", broken)
    assert "hunter2" not in str(is_problem(client.get("/api/v1/agents"), 500))


def test_while_the_store_is_down_it_says_503_and_is_alive_but_not_ready(client: TestClient, tmp_path: Path) -> None:
    assert get(client, "/readyz")["status"] == "ok"
    for leftover in tmp_path.glob("modelward.db*"):
        leftover.unlink()
    (tmp_path / "modelward.db").mkdir()
    client.app.state.context.store.close()  # type: ignore[attr-defined]
    answer = client.get("/readyz")
    assert "modelward.db" in is_problem(answer, 503)["detail"]
    assert answer.headers["retry-after"]
    is_problem(client.get("/api/v1/results"), 503)
    is_problem(client.post("/api/v1/models/delay/checks/drift/run"), 503)
    assert get(client, "/healthz")["status"] == "ok"


def test_it_is_not_ready_when_the_scheduler_has_ended(client: TestClient, collector: Collector) -> None:
    collector.context.scheduler.stop()
    assert "scheduler" in is_problem(client.get("/readyz"), 503)["detail"]


def test_a_collector_that_starts_before_its_store_gets_ready_with_it(tmp_path: Path) -> None:
    path = tmp_path / "modelward.db"
    path.mkdir()
    made = build(CollectorConfig.model_validate({"store": {"kind": "sqlite", "path": str(path)}}))
    with TestClient(create_app(made), base_url=HERE) as client:
        is_problem(client.get("/readyz"), 503)
        path.rmdir()
        wait_until(lambda: client.get("/readyz").status_code == 200, "the store")
        wait_until(lambda: made.context.scheduler.holds_lease, "the lease")


def test_an_empty_span_is_an_empty_answer(client: TestClient) -> None:
    start = (NOON + timedelta(days=1)).isoformat()
    assert get(client, "/api/v1/results", start=start, end=NOON.isoformat())["items"] == []
