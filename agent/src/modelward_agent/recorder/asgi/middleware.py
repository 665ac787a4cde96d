"""The middleware: watches requests pass, and records each that a model answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping
from time import monotonic, perf_counter
from typing import Any

from modelward_agent.recorder.asgi.body import Body
from modelward_agent.recorder.asgi.paths import Paths, names_of
from modelward_agent.recorder.asgi.shapes import features_and_predictions
from modelward_agent.recorder.asgi.unmatched import Unmatched
from modelward_agent.recorder.recorder import Recorder
from modelward_agent.recorder.stamp import new_id

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

Extract = Callable[[Any, Any], tuple[Any, Any]]
"""From the JSON of a request and of its response: the features and the prediction, or of a batch, a list of rows'
features and a list of as many predictions."""

ID_KEY = "modelward.id"
"""Where a request's scope holds the id that its prediction will have: `request.scope[ID_KEY]`. The rows of a batch
have this id with `-0`, `-1`, … after it, in their order."""

_WITHOUT_BODY = frozenset({"HEAD", "OPTIONS"})
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


class NotRecordedError(Exception):
    """A request that succeeded and of which no prediction could be recorded."""

    def __init__(self, path: str, reason: Exception | str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        reason = f"{type(self.reason).__name__}: {self.reason}" if isinstance(self.reason, Exception) else self.reason
        return (
            f"{self.path}: no features and prediction could be had of request and response ({reason}); "
            "give RecorderMiddleware an extract that fits them"
        )


class RecorderMiddleware:
    """Records each request to one of `paths` that a model answered, and each that failed.

        app.add_middleware(RecorderMiddleware, recorder=recorder, paths=["/predict"])

    `paths` are as in the routes of the application that the middleware is in (`/predict/{model}`; globs too), or whole
    with the prefix of a proxy or a mount. `extract` says what of the two JSON bodies are the features and the
    prediction, of one row or of a batch; the default knows the shapes in `recorder.shapes`. `segment` says the
    segment, from the scope.

    An exception or a status of 500 or more is recorded as an error, a status of 300 to 499 not at all. The messages
    pass unchanged and at once; the lines are written after the last of them. Of a batch each row's latency is its share
    of the request's. Bodies above `max_body_bytes` (of requests and responses alike, also once they are decompressed)
    are not looked at, and counted as failed. When requests are answered for minutes and none is for one of `paths`,
    that is said once, through `logging` and in the journal. `clock` is a monotonic one, in seconds.
    """

    def __init__(
        self,
        app: App,
        recorder: Recorder,
        *,
        paths: str | Collection[str] = ("/predict",),
        extract: Extract = features_and_predictions,
        segment: Callable[[Scope], Mapping[str, Any]] | None = None,
        max_body_bytes: int = 256 * 1024,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.app = app
        self._recorder = recorder
        self._paths = Paths(paths)
        self._extract = extract
        self._segment = segment
        self._max_body_bytes = max_body_bytes
        self._unmatched = Unmatched(recorder, self._paths.patterns, clock)
        self._root_path: str = getattr(app, "root_path", "")  # FastAPI's own, which it puts into the scope after us

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, watching it when its path is one of ours."""
        if scope["type"] != "http" or scope["method"] in _WITHOUT_BODY:
            await self.app(scope, receive, send)
            return
        names = names_of(scope, self._root_path)
        if self._paths.match(names):
            await self._watch(scope, receive, send)
        elif self._unmatched.waits:
            await self._pass(scope, receive, send, names[0])
        else:
            await self.app(scope, receive, send)

    async def _pass(self, scope: Scope, receive: Receive, send: Send, path: str) -> None:
        """Pass on a request that is none of ours, noting its path when it may have been for a prediction."""
        self._unmatched.look()

        async def noting_send(message: Message) -> None:
            # With an id in the scope, another model's middleware records it.
            if message["type"] == "http.response.start" and 200 <= message["status"] < 300 and ID_KEY not in scope:
                self._unmatched.answered(path)
            await send(message)

        await self.app(scope, receive, noting_send if scope["method"] in _WITH_BODY else send)

    async def _watch(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[ID_KEY] = new_id()
        exchange = _Exchange(scope, self._max_body_bytes)
        started = perf_counter()

        async def watching_receive() -> Message:
            message = await receive()
            if message["type"] == "http.request":
                exchange.request.add(message.get("body", b""))
            return message

        async def watching_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.begin_response(message)
            elif message["type"] == "http.response.body":
                exchange.response.add(message.get("body", b""))
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
                self._record_error(exchange, error, (perf_counter() - started) * 1000)
            raise

    def _record(self, scope: Scope, exchange: _Exchange) -> None:
        if exchange.status >= 500:
            message = f"{exchange.method} {exchange.path} answered {exchange.status}"
            status = {"http.response.status_code": exchange.status}
            self._record_error(exchange, message, exchange.milliseconds, status)
        elif exchange.status < 300:
            self._unmatched.recorded()
            try:
                features, prediction = self._extract(exchange.request.json(), exchange.response.json())
                if features is None:
                    raise ValueError("the request has no body, or the application has not read it")
                segment = self._segment(scope) if self._segment else None
                if _is_batch(features):
                    self._record_batch(exchange, features, prediction, segment)
                else:
                    self._recorder.predict(
                        features, prediction, id=exchange.id, latency_ms=exchange.milliseconds, segment=segment
                    )
            except Exception as problem:
                self._recorder.missed(NotRecordedError(exchange.path, problem))

    def _record_batch(
        self, exchange: _Exchange, features: Any, predictions: Any, segment: Mapping[str, Any] | None
    ) -> None:
        if isinstance(predictions, str | dict) or not hasattr(predictions, "__len__"):
            predictions = [predictions]
        rows = len(features)
        if rows != len(predictions):
            reason = f"rows: {rows:,}, predictions: {len(predictions):,}"
            self._recorder.missed(NotRecordedError(exchange.path, reason), rows)
            return
        self._recorder.predict_batch(
            features,
            predictions,
            ids=[f"{exchange.id}-{row}" for row in range(rows)],
            latency_ms=exchange.milliseconds / rows if exchange.milliseconds is not None and rows else None,
            segment=segment,
        )

    def _record_error(
        self,
        exchange: _Exchange,
        error: Exception | str,
        milliseconds: float | None,
        fields: Mapping[str, Any] | None = None,
    ) -> None:
        self._unmatched.recorded()
        request = {"url.path": exchange.path, "http.request.method": exchange.method}
        self._recorder.error(error, id=exchange.id, latency_ms=milliseconds, fields={**request, **(fields or {})})


def _is_batch(features: Any) -> bool:
    """Whether there are several rows: a list of them, or a DataFrame."""
    if isinstance(features, list | tuple):
        return not hasattr(features, "_asdict")
    return hasattr(features, "columns") and hasattr(features, "__getitem__")


class _Exchange:
    """One request and its response. What the scope says is kept from the start: routers change it."""

    def __init__(self, scope: Scope, max_body_bytes: int) -> None:
        self.id: str = scope[ID_KEY]
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.request = Body(max_body_bytes, _encoding(scope))
        self.response = Body(max_body_bytes)
        self.status = 0
        self.milliseconds: float | None = None
        self.recorded = False
        self.client_gone = False

    def begin_response(self, message: Message) -> None:
        self.status = message["status"]
        self.response.encoding = _encoding(message)


def _encoding(message: Mapping[str, Any]) -> str:
    values = [value for name, value in message.get("headers", ()) if name.lower() == b"content-encoding"]
    return ", ".join(value.decode("latin-1") for value in values)
