"""Records every prediction of a model that has `predict` or `predict_proba`, such as scikit-learn's."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

from modelward_agent.recorder.columns import is_column, is_table, rows_in
from modelward_agent.recorder.features import has_names
from modelward_agent.recorder.recorder import Recorder
from modelward_agent.recorder.value import label_of


def watch(model: Any, recorder: Recorder, feature_names: Sequence[str] | None = None) -> WatchedModel:
    """The model, recording: use it in the place of the model.

        model = watch(joblib.load("fraud.joblib"), Recorder("fraud", "7"))
        model.predict(rows)

    Names come from a DataFrame's columns, else from `feature_names`, else from the model's `feature_names_in_`, else
    they are x0, x1, … A model of texts has one feature. What a model answers for several outputs at once is not
    recorded, and said once.
    """
    return WatchedModel(model, recorder, feature_names)


class WatchedModel:
    """Answers as the model does, with its attributes; `predict` and `predict_proba` are recorded, row by row.

    `latency_ms` of a row is its share of the call's time. An exception is recorded as an error and goes on to the
    caller.
    """

    def __init__(self, model: Any, recorder: Recorder, feature_names: Sequence[str] | None = None) -> None:
        self._model = model
        self._recorder = recorder
        self._feature_names = feature_names
        self._latest = threading.local()

    @property
    def last_ids(self) -> list[str]:
        """The ids of the rows of this thread's latest call, for `Recorder.actual`."""
        return getattr(self._latest, "ids", [])

    def predict(self, X: Any, *args: Any, **options: Any) -> Any:  # noqa: N803 - scikit-learn's name
        """The model's answer, recorded."""
        return self._call(self._model.predict, None, X, *args, **options)

    def _call(self, method: Callable[..., Any], classes: Any, rows: Any, *args: Any, **options: Any) -> Any:
        self._latest.ids = []
        started = perf_counter()
        try:
            answer = method(rows, *args, **options)
        except Exception as error:
            self._recorder.error(error)
            raise
        milliseconds = (perf_counter() - started) * 1000
        try:
            count = rows_in(rows) or rows_in(answer)
            self._latest.ids = self._recorder.predict_batch(
                rows,
                answer,
                names=self._names(rows),
                classes=classes,
                latency_ms=milliseconds / count if count else None,
            )
        except Exception as problem:
            self._recorder.missed(problem)
        return answer

    def _names(self, rows: Any) -> Sequence[str] | None:
        """Names for rows that have none of their own."""
        if is_table(rows) or (isinstance(rows, list | tuple) and all(map(has_names, rows))):
            return None
        if self._feature_names is not None:
            return self._feature_names
        known = getattr(self._model, "feature_names_in_", None)
        if known is not None:
            return list(known)
        if (label := label_of(getattr(rows, "name", None))) is not None:  # a Series
            return [label]
        return _positions(_width(rows))

    def __getattr__(self, name: str) -> Any:
        if name == "_model":  # asked for before there is one, by copying
            raise AttributeError(name)
        attribute = getattr(self._model, name)
        if name == "predict_proba":
            return functools.partial(self._call, attribute, getattr(self._model, "classes_", None))
        return attribute

    def __reduce__(self) -> tuple[Any, ...]:
        return WatchedModel, (self._model, self._recorder, self._feature_names)

    def __repr__(self) -> str:
        return f"watch({self._model!r})"


def _width(rows: Any) -> int:
    """How many features a row has; one, where a row is a text."""
    if shape := getattr(rows, "shape", ()):
        return int(shape[1]) if len(shape) > 1 else 1
    return len(rows[0]) if isinstance(rows, list | tuple) and rows and is_column(rows[0]) else 1


@functools.lru_cache(maxsize=16)
def _positions(width: int) -> Sequence[str]:
    return tuple(f"x{index}" for index in range(width))
