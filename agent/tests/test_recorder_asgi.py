"""The middleware in real FastAPI and Starlette applications."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from agent.tests.recorded import only, recorded
from modelward_agent import Recorder
from modelward_agent.recorder.asgi import ID_KEY, RecorderMiddleware


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder("fraud", "7", journal=tmp_path)


def ask(app: Any, method: str, path: str, raise_app_exceptions: bool = False, **options: Any) -> httpx.Response:
    async def talk() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=raise_app_exceptions)
        async with httpx.AsyncClient(transport=transport, base_url="http://model") as client:
            return await client.request(method, path, **options)

    return asyncio.run(talk())


def service(recorder: Recorder, **options: Any) -> FastAPI:
    app = FastAPI()
    app.add_middleware(RecorderMiddleware, recorder=recorder, **options)

    @app.post("/predict")
    async def predict(request: Request) -> dict[str, Any]:
        body = await request.json()
        return {"prediction": body["amount"] / 100, "id": request.scope[ID_KEY]}

    @app.post("/fail")
    async def fail() -> None:
        raise KeyError("no model")

    @app.post("/busy")
    async def busy() -> JSONResponse:
        return JSONResponse({"detail": "overloaded"}, 503)

    @app.get("/health")
    async def health() -> str:
        return "ok"

    return app


def test_a_request_and_its_response_are_a_prediction(recorder: Recorder, tmp_path: Path) -> None:
    response = ask(service(recorder), "POST", "/predict", json={"amount": 50, "country": "DE"})
    line = only(tmp_path)
    assert response.json() == {"prediction": 0.5, "id": line["id"]}
    assert (line["kind"], line["features"], line["prediction"]) == ("prediction", {"amount": 50, "country": "DE"}, 0.5)
    assert 0 < line["latency_ms"] < 10_000


def test_other_paths_and_methods_are_left_alone(recorder: Recorder, tmp_path: Path) -> None:
    app = service(recorder)
    assert ask(app, "GET", "/health").text == '"ok"'
    assert ask(app, "OPTIONS", "/predict").status_code == 405
    assert ask(app, "POST", "/busy").status_code == 503
    assert recorded(tmp_path) == []
    assert recorder.stats.failed == 0


def test_extract_says_what_is_what_and_segment_who_asked(recorder: Recorder, tmp_path: Path) -> None:
    def extract(request: Any, response: Any) -> tuple[Any, Any]:
        return {"amount": request["amount"]}, {"fraud": response["prediction"], "fine": 1 - response["prediction"]}

    def segment(scope: Any) -> dict[str, str]:
        return {"shop": dict(scope["headers"])[b"x-shop"].decode()}

    app = service(recorder, extract=extract, segment=segment, paths=["/pre*"])
    ask(app, "POST", "/predict", json={"amount": 25, "name": "Ada"}, headers={"x-shop": "s1"})
    line = only(tmp_path)
    assert (line["features"], line["prediction"]) == ({"amount": 25}, {"fraud": 0.25, "fine": 0.75})
    assert line["segment"] == {"shop": "s1"}


def test_an_exception_is_an_error_and_goes_on(recorder: Recorder, tmp_path: Path) -> None:
    app = service(recorder, paths=["/fail"])
    assert ask(app, "POST", "/fail", json={}).status_code == 500
    with pytest.raises(KeyError, match="no model"):
        ask(app, "POST", "/fail", True, json={})
    for line in recorded(tmp_path):
        assert (line["kind"], line["error.type"], line["url.path"]) == ("error", "KeyError", "/fail")
        assert "no model" in line["error.stack_trace"]
    assert recorder.stats.written == 2


def test_a_status_of_500_or_more_is_an_error_and_one_of_400_nothing(recorder: Recorder, tmp_path: Path) -> None:
    app = service(recorder, paths=["/busy", "/predict", "/gone"])
    ask(app, "POST", "/busy", json={})
    line = only(tmp_path)
    assert (line["kind"], line["message"]) == ("error", "POST /busy answered 503")
    assert line["http.response.status_code"] == 503
    ask(app, "POST", "/gone", json={})
    assert len(recorded(tmp_path)) == 1


@pytest.mark.parametrize("content", [b"", b"not json", b"[1, 2]", b'{"x": 1}', b"\xff"])
def test_a_service_never_notices_that_nothing_could_be_extracted(
    recorder: Recorder, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    async def answer(request: Request) -> JSONResponse:
        return JSONResponse({"score": (await request.body()).decode("latin-1")})

    app = Starlette(
        routes=[Route("/predict", answer, methods=["POST"])],
        middleware=[Middleware(RecorderMiddleware, recorder=recorder)],
    )
    for _ in range(3):
        assert ask(app, "POST", "/predict", content=content).json() == {"score": content.decode("latin-1")}
    assert (recorder.stats.written, recorder.stats.failed) == (0, 3)
    assert caplog.text.count("/predict: no features and prediction") == 1


def test_a_body_above_the_bound_is_passed_on_and_counted(recorder: Recorder, caplog: pytest.LogCaptureFixture) -> None:
    app = service(recorder, max_body_bytes=1000)
    response = ask(app, "POST", "/predict", json={"amount": 1, "text": "x" * 100_000})
    assert response.json()["prediction"] == 0.01
    assert recorder.stats.failed == 1
    assert "longer than max_body_bytes, 1,000" in caplog.text


def test_chunks_pass_at_once_and_unchanged_and_the_line_comes_after_the_last(
    recorder: Recorder, tmp_path: Path
) -> None:
    """The raw protocol: each message arrives before the application makes the next."""
    arrived: list[dict[str, Any]] = []

    async def chunks() -> AsyncIterator[bytes]:
        for number, chunk in enumerate([b'{"predic', b'tion": ', b"4}"]):
            assert len([message for message in arrived if message.get("body")]) == number
            assert recorder.stats.written == 0
            yield chunk

    async def answer(request: Request) -> StreamingResponse:
        await request.body()
        return StreamingResponse(chunks(), media_type="application/json")

    app = RecorderMiddleware(Starlette(routes=[Route("/predict", answer, methods=["POST"])]), recorder)
    incoming = iter([{"body": b'{"x"', "more_body": True}, {"body": b": 1}", "more_body": False}])

    async def receive() -> dict[str, Any]:
        if (part := next(incoming, None)) is None:
            await asyncio.Event().wait()
        return {"type": "http.request", **(part or {})}

    async def send(message: Any) -> None:
        arrived.append(message)

    scope = {"type": "http", "method": "POST", "path": "/predict", "headers": [], "query_string": b"", "root_path": ""}
    asyncio.run(app(scope, receive, send))
    assert b"".join(message.get("body", b"") for message in arrived) == b'{"prediction": 4}'
    line = only(tmp_path)
    assert (line["features"], line["prediction"]) == ({"x": 1}, 4)


def test_a_client_that_has_gone_is_no_error_of_the_model(recorder: Recorder, tmp_path: Path) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{", "more_body": True})

    async def gone(message: Any) -> None:
        if message["type"] == "http.response.body":
            raise OSError("connection reset")

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    scope = {"type": "http", "method": "POST", "path": "/predict", "headers": []}
    with pytest.raises(OSError, match="connection reset"):
        asyncio.run(RecorderMiddleware(app, recorder)(scope, receive, gone))
    assert recorded(tmp_path) == []


def test_an_unwritable_journal_does_not_reach_the_client(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    recorder = Recorder("fraud", journal=tmp_path / "file")
    assert ask(service(recorder), "POST", "/predict", json={"amount": 50}).status_code == 200
    assert recorder.stats.failed == 1
