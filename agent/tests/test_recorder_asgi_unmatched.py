"""Requests that are all for something else are told of once, and shown by the agent until a prediction comes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.responses import JSONResponse

from agent.tests.agents import configuration, running
from agent.tests.bulk_server import BulkServer, wait_for
from agent.tests.recorded import only, recorded
from agent.tests.served import client
from modelward_agent import Recorder
from modelward_agent.cli import main
from modelward_agent.config import AgentConfig
from modelward_agent.recorder.asgi import RecorderMiddleware
from modelward_agent.recorder.asgi.unmatched import NOTICE, NOTICE_FIELD, QUIET_SECONDS

ROW = {"amount": 50}
PAGES = ["/health", "/docs", "/openapi.json"]


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder("fraud", "7", journal=tmp_path / "journal")


def service(recorder: Recorder, clock: Clock, **options: Any) -> FastAPI:
    app = FastAPI()

    @app.get("/health")
    async def health() -> str:
        return "ok"

    @app.post("/refused")
    async def refused() -> JSONResponse:
        return JSONResponse({}, 403)

    @app.post("/{path:path}")
    async def predict(path: str, body: dict[str, Any]) -> dict[str, int]:
        return {"prediction": 1}

    app.add_middleware(RecorderMiddleware, recorder=recorder, clock=clock, **options)
    return app


def ask(app: Any, clock: Clock, *paths: str, seconds: float = 0.0) -> None:
    served = client(app)
    for path in paths:
        if path in PAGES:
            served.get(path)
        else:
            served.post(path, json=ROW)
        clock.seconds += seconds


def test_it_is_said_once_with_what_was_asked_for_what_came_and_the_fix(
    recorder: Recorder, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    app = service(recorder, clock, paths=["/predict", "/score/{model}"])
    ask(app, clock, *["/api/predict?customer=7", "/v1/x", "/api/predict"] * 20, seconds=QUIET_SECONDS / 10)
    line = only(recorder.journal)
    assert (line["kind"], line["log.level"], line["model"], line[NOTICE_FIELD]) == ("log", "warning", "fraud", NOTICE)
    assert line["log.logger"] == "modelward_agent.recorder.asgi.unmatched"
    for text in (
        "nothing is recorded of model fraud: in 2 minutes no request was for",
        "paths=['/predict', '/score/{model}']",
        "these were answered: ['/api/predict', '/v1/x']",
        "give RecorderMiddleware as paths those of the predictions",
    ):
        assert text in line["message"]
        assert caplog.text.count(text) == 1
    assert "customer" not in caplog.text


def test_any_request_looks_at_the_clock(recorder: Recorder, clock: Clock) -> None:
    app = service(recorder, clock)
    ask(app, clock, "/api/predict", "/health", seconds=QUIET_SECONDS - 1)
    assert recorded(recorder.journal) == []
    ask(app, clock, "/health")
    assert "/api/predict" in only(recorder.journal)["message"]


@pytest.mark.parametrize("paths", [PAGES, ["/refused"]])
def test_health_checks_pages_and_refusals_alone_say_nothing(recorder: Recorder, clock: Clock, paths: list[str]) -> None:
    ask(service(recorder, clock), clock, *paths * 5, seconds=QUIET_SECONDS)
    assert recorded(recorder.journal) == []


@pytest.mark.parametrize("first", [["/predict", "/login"], ["/login", "/predict"]])
def test_nothing_is_said_of_an_application_whose_predictions_are_recorded(
    recorder: Recorder, clock: Clock, first: list[str]
) -> None:
    ask(service(recorder, clock), clock, *first, *["/login"] * 5, seconds=QUIET_SECONDS / 2)
    assert only(recorder.journal)["kind"] == "prediction"


def test_a_path_that_was_ours_and_refused_is_none(recorder: Recorder, clock: Clock) -> None:
    app = service(recorder, clock, paths=["/refused"])
    ask(app, clock, "/refused", "/score", "/refused", "/score", seconds=QUIET_SECONDS)
    assert "these were answered: ['/score']" in only(recorder.journal)["message"]


def test_another_model_s_predictions_are_no_sign_of_a_mistake(recorder: Recorder, clock: Clock, tmp_path: Path) -> None:
    """Two models in one application, each with its middleware; one of them is seldom asked."""
    other = Recorder("churn", journal=tmp_path / "other")
    app = service(recorder, clock, paths=["/fraud"])
    app.add_middleware(RecorderMiddleware, recorder=other, clock=clock, paths=["/churn"])
    ask(app, clock, *["/churn"] * 5, seconds=QUIET_SECONDS)
    assert recorded(recorder.journal) == []
    ask(app, clock, *["/fraud"] * 5, seconds=QUIET_SECONDS)
    assert {line["kind"] for line in recorded(other.journal)} == {"prediction"}


def test_what_is_said_is_bounded_and_printable_and_names_the_most_frequent(recorder: Recorder, clock: Clock) -> None:
    app = service(recorder, clock)
    ask(app, clock, *(f"/users/{number}%1B{'x' * 1000}" for number in range(100)), "/api", "/api", "/api")
    clock.seconds += QUIET_SECONDS
    ask(app, clock, "/health")
    message = only(recorder.journal)["message"]
    assert len(message) < 2000
    assert message.isprintable()
    assert "these were answered: ['/api', '/users/" in message
    assert ", and others;" in message


def test_a_handler_of_logs_that_raises_does_not_reach_the_client(
    recorder: Recorder, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*given: Any) -> None:
        raise OSError("no more disk")

    monkeypatch.setattr("modelward_agent.recorder.asgi.unmatched._logger.warning", fail)
    app = service(recorder, clock)
    ask(app, clock, "/api", seconds=QUIET_SECONDS)
    assert client(app).post("/api", json=ROW).status_code == 200
    assert only(recorder.journal)["log.level"] == "warning"


# -- through the agent -----------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[BulkServer]:
    server = BulkServer()
    yield server
    server.close()


def status_of(config: AgentConfig, folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    path = folder / "agent.yml"
    path.write_text(
        f"host: serving-1\nstate: {config.state}\nelasticsearch: {{urls: ['{config.elasticsearch.urls[0]}']}}\n"
    )
    capsys.readouterr()
    main(["status", "--config", str(path)])
    return capsys.readouterr().out


def test_status_shows_it_until_something_of_the_model_is_recorded(
    tmp_path: Path, server: BulkServer, clock: Clock, recorder: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configuration(tmp_path, server)
    app = service(recorder, clock)
    with running(config) as agent:
        ask(app, clock, "/api/predict", "/api/predict", seconds=QUIET_SECONDS)
        wait_for(lambda: agent.status()["unrecorded"])
        wait_for(lambda: "unrecorded   fraud, at 20" in status_of(config, tmp_path, capsys))
        Recorder("churn", journal=recorder.journal).predict(ROW, 1)
        wait_for(lambda: len(server.events()) == 1)
        assert "['/api/predict']" in status_of(config, tmp_path, capsys)
    with running(config) as agent:
        assert [notice["model"] for notice in agent.status()["unrecorded"]] == ["fraud"]
        ask(app, clock, "/predict")
        wait_for(lambda: not agent.status()["unrecorded"])
        wait_for(lambda: "unrecorded" not in status_of(config, tmp_path, capsys))
