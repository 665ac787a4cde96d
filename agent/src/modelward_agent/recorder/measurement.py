"""Times one prediction and records it, or the exception that it raised."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any

from modelward_agent.recorder.stamp import new_id
from modelward_agent.recorder.value import label_of

if TYPE_CHECKING:
    from modelward_agent.recorder.recorder import Recorder


class Measurement:
    """What `Recorder.measure` gives: set `prediction` in the block; `id` is known from its start.

    `features` and `segment` may be set or changed until the block ends. An exception goes on to the caller as it is.
    """

    __slots__ = ("_recorder", "_started", "features", "id", "model", "prediction", "segment", "version")

    def __init__(
        self,
        recorder: Recorder,
        features: Any,
        *,
        id: Any = None,  # noqa: A002 - the journal's name for it
        segment: Mapping[str, Any] | None = None,
        model: str | None = None,
        version: str | None = None,
    ) -> None:
        self._recorder = recorder
        self.features = features
        self.id = label_of(id) or new_id()
        self.segment = segment
        self.model = model
        self.version = version
        self.prediction: Any = None

    def __enter__(self) -> Measurement:
        self._started = perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        milliseconds = (perf_counter() - self._started) * 1000
        if error is None:
            self._recorder.predict(
                self.features,
                self.prediction,
                id=self.id,
                latency_ms=milliseconds,
                segment=self.segment,
                model=self.model,
                version=self.version,
            )
        elif isinstance(error, Exception):  # a cancelled request or an exit is no failure of the model
            self._recorder.error(
                error,
                id=self.id,
                latency_ms=milliseconds,
                segment=self.segment,
                model=self.model,
                version=self.version,
            )
