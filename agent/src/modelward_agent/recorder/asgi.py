"""Records the predictions of a REST service: pure ASGI, for FastAPI, Starlette and whatever else speaks it."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping
from time import perf_counter
from typing import Any

import orjson

from modelward_agent.recorder.recorder import Recorder
from modelward_agent.recorder.stamp import new_id

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

Extract = Callable[[Any, Any], tuple[Any, Any]]
"""From the JSON of a request and of its response: the features and the prediction."""

ID_KEY = "modelward.id"
"""Where a request's scope holds the id that its prediction will have: `request.scope[ID_KEY]`."""

_WITHOUT_BODY = frozenset({"HEAD", "OPTIONS"})


class NotRecordedError(Exception):
    """A request that succeeded and of which no prediction could be recorded."""


def body_and_prediction(request: Any, response: Any) -> tuple[Any, Any]:
    """The default `Extract`: the request's object is the features, the response's `prediction` the prediction."""
    return request, response["prediction"]


class RecorderMiddleware:
    """Records each request to one of `paths` (exact or globs) that a model answered, and each that failed.

        app.add_middleware(RecorderMiddleware, recorder=recorder, paths=["/predict"])

    `extract` says what of the two JSON bodies are the features and the prediction; `segment` the segment, from the
    scope. An exception or a status of 500 or more is recorded as an error, a status of 300 to 499 not at all. The
    messages pass unchanged and at once; the line is written after the last of them. Bodies above `max_body_bytes`
    (of requests and responses alike) are not looked at, and counted as failed.
    """

    def __init__(
        self,
        app: App,
        recorder: Recorder,
        *,
        paths: Collection[str] = ("/predict",),
        extract: Extract = body_and_prediction,
        segment: Callable[[Scope], Mapping[str, Any]] | None = None,
        max_body_bytes: int = 256 * 1024,
    ) -> None:
        self.app = app
        self._recorder = recorder
        self._paths = re.compile("|".join(fnmatch.translate(path) for path in paths) if paths else r"(?!)")
        self._extract = extract
        self._segment = segment
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, watching it when its path is one of ours."""
        if scope["type"] != "http" or scope["method"] in _WITHOUT_BODY or not self._paths.match(scope["path"]):
            await self.app(scope, receive, send)
            return
        scope[ID_KEY] = new_id()
        exchange = _Exchange(self._max_body_bytes)
        started = perf_counter()

        async def watching_receive() -> Message:
            message = await receive()
            if message["type"] == "http.request":
                exchange.request.add(message)
            return message

        async def watching_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.begin_response(message)
            elif message["type"] == "http.response.body":
                exchange.response.add(message)
                if not message.get("more_body", False):
                    exchange.milliseconds = (perf_counter() - started) * 1000
            try:
                await send(message)
            except Exception:
                exchange.client_gone = True
                raise
            finally:
                if exchange.milliseconds is not None and not exchange.recorded:
                    exchange.recorded = True
                    self._record(scope, exchange)

        try:
            await self.app(scope, watching_receive, watching_send)
        except Exception as error:
            if not exchange.recorded and not exchange.client_gone:
                self._record_error(scope, error, (perf_counter() - started) * 1000)
            raise

    def _record(self, scope: Scope, exchange: _Exchange) -> None:
        try:
            if exchange.status >= 500:
                self._record_error(
                    scope,
                    f"{scope['method']} {scope['path']} answered {exchange.status}",
                    exchange.milliseconds,
                    {"http.response.status_code": exchange.status},
                )
            elif exchange.status < 300:
                features, prediction = self._extract(exchange.request.json(), exchange.response.json())
                self._recorder.predict(
                    features,
                    prediction,
                    id=scope[ID_KEY],
                    latency_ms=exchange.milliseconds,
                    segment=self._segment(scope) if self._segment else None,
                )
        except Exception as problem:
            self._recorder.missed(
                NotRecordedError(
                    f"{scope['path']}: no features and prediction could be had of request and response "
                    f"({type(problem).__name__}: {problem}); give RecorderMiddleware an extract that fits them"
                )
            )

    def _record_error(
        self,
        scope: Scope,
        error: Exception | str,
        milliseconds: float | None,
        fields: Mapping[str, Any] | None = None,
    ) -> None:
        request = {"url.path": scope["path"], "http.request.method": scope["method"]}
        self._recorder.error(error, id=scope[ID_KEY], latency_ms=milliseconds, fields={**request, **(fields or {})})


class _Body:
    """The chunks of a body as they pass, up to a bound."""

    def __init__(self, max_bytes: int) -> None:
        self._chunks: list[bytes] = []
        self._bytes = 0
        self._max_bytes = max_bytes
        self.encoding = ""

    def add(self, message: Message) -> None:
        chunk = message.get("body", b"")
        self._bytes += len(chunk)
        if self._bytes <= self._max_bytes:
            self._chunks.append(chunk)
        else:
            self._chunks.clear()

    def json(self) -> Any:
        if not self._bytes:
            return None
        if self._bytes > self._max_bytes:
            raise ValueError(f"a body of {self._bytes:,} bytes is longer than max_body_bytes, {self._max_bytes:,}")
        if self.encoding not in ("", "identity"):
            raise ValueError(f"the body is encoded ({self.encoding}): add this middleware inside the encoding one")
        return orjson.loads(b"".join(self._chunks))


class _Exchange:
    """One request and its response."""

    def __init__(self, max_body_bytes: int) -> None:
        self.request = _Body(max_body_bytes)
        self.response = _Body(max_body_bytes)
        self.status = 0
        self.milliseconds: float | None = None
        self.recorded = False
        self.client_gone = False

    def begin_response(self, message: Message) -> None:
        self.status = message["status"]
        for name, value in message.get("headers", ()):
            if name.lower() == b"content-encoding":
                self.response.encoding = value.decode("latin-1").lower()
