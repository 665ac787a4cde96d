"""Real applications with the middleware in them, asked by Starlette's client or through a real server."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import uvicorn
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.testclient import TestClient

from agent.tests.bulk_server import wait_for
from modelward_agent import Recorder
from modelward_agent.recorder.asgi import RecorderMiddleware


def predicting(*paths: str, answer: Any = None, **options: Any) -> FastAPI:
    """An application that answers a POST to each path; with bytes, with exactly these."""
    app = FastAPI(**options)

    async def predict(request: Request) -> Any:
        await request.body()
        if isinstance(answer, bytes):
            return Response(answer, media_type="application/json")
        return {"prediction": 1} if answer is None else answer

    for path in paths or ("/predict",):
        app.add_api_route(path, predict, methods=["POST"])
    return app


def watched(recorder: Recorder, *paths: str, answer: Any = None, **options: Any) -> FastAPI:
    """The same with the middleware, which gets the options."""
    app = predicting(*paths, answer=answer)
    app.add_middleware(RecorderMiddleware, recorder=recorder, **options)
    return app


def client(app: Any, root_path: str = "") -> TestClient:
    return TestClient(app, root_path=root_path, raise_server_exceptions=False)


@contextlib.contextmanager
def listening(app: Any, **options: Any) -> Iterator[str]:
    """A uvicorn on a port of this host; its URL."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", **options))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_for(lambda: server.started)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive()
