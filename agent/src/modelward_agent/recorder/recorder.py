"""The `Recorder`: what a model did, one line at a time, in a journal on the model server's own disk."""

from __future__ import annotations

import logging
import os
import re
import traceback
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from math import inf, isfinite
from pathlib import Path
from types import TracebackType
from typing import Any

from modelward_agent.recorder.batch import column_of, outcomes_of, rows_of, segments_of
from modelward_agent.recorder.columns import cells_of, column, rows_in, same, values_of
from modelward_agent.recorder.encode import encode
from modelward_agent.recorder.features import features_of
from modelward_agent.recorder.measurement import Measurement
from modelward_agent.recorder.moment import written
from modelward_agent.recorder.outcome import MissingError, actual_of, id_of, outcome_of
from modelward_agent.recorder.redact import redaction
from modelward_agent.recorder.stamp import new_id, now, rfc3339, stamp
from modelward_agent.recorder.value import label_of, name_of, plain, text_of
from modelward_agent.recorder.writer import Dropped, JournalClosedError, JournalWriter, TornWriteError
from modelward_agent.values import FLOAT_WORDS

JOURNAL_VARIABLE = "MODELWARD_JOURNAL"
APP_VARIABLE = "MODELWARD_APP"
SYSTEM_JOURNAL = Path("/var/lib/modelward/journal")

BATCH_BYTES = 1 << 20
"""At most so many bytes of a batch go to the disk in one write."""

_MAX_NAME = 200  # characters, as the agent has it
_MAX_MESSAGE = 32 * 1024
_MAX_STACK_TRACE = 64 * 1024
_MAX_APP = 64
_FILES_A_JOURNAL = 4  # so that dropping one file never drops everything
_UNWRITABLE = "unwritable"
_NOT_FINITE = tuple(FLOAT_WORDS)
_REASON = 36  # characters that tell one kind of failure from another, before they name the value
_MAX_REASONS = 20
_OUTCOMES = frozenset({float, int, str, type(None)})

_logger = logging.getLogger(__name__)
_recorders: weakref.WeakSet[Recorder] = weakref.WeakSet()


@dataclass(frozen=True, slots=True)
class RecorderStats:
    """What became of this process's lines.

    `written` are in the journal, `failed` could not be recorded, `dropped` were lines (of any process) that this one
    deleted undelivered because the journal had reached its bound.
    """

    written: int
    failed: int
    dropped: int


def default_journal() -> Path:
    """`$MODELWARD_JOURNAL`; else /var/lib/modelward/journal where this user may write; else below the user's state."""
    if path := os.environ.get(JOURNAL_VARIABLE):
        return Path(path).expanduser()
    if os.access(SYSTEM_JOURNAL, os.W_OK):
        return SYSTEM_JOURNAL
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(state).expanduser() / "modelward" / "journal"


class Recorder:
    """Records predictions and what belongs to them; safe in threads, forks and any number of processes.

        recorder = Recorder("fraud", "2026-03-01")
        id = recorder.predict({"amount": 12.5, "country": "DE"}, 0.07, latency_ms=3.1)
        recorder.actual(id, 0)

    Each call is one `write(2)` of one line to a file in `journal` (default: see `default_journal`). No call raises,
    waits for a network or starts a thread: what cannot be recorded is counted in `stats` and warned about once through
    `logging`. Lines survive the process being killed, though not the machine losing power.

    `segment` is added to every prediction's own. `redact` maps names or globs of features, segments and log fields to
    "drop" or "hash" (under the key in `redact_key_file`, mode 0600); `$MODELWARD_REDACT_FILE` may add rules. The
    journal directory is kept below `max_bytes` by deleting its oldest closed files, which the journal then says; files
    have at most `max_file_bytes` and one line (and at most a quarter of `max_bytes`). `app` begins their names.

    Raises ValueError for arguments that cannot be used, here and nowhere else.
    """

    def __init__(
        self,
        model: str,
        version: str = "",
        *,
        journal: str | os.PathLike[str] | None = None,
        app: str | None = None,
        segment: Mapping[str, Any] | None = None,
        redact: Mapping[str, str] | None = None,
        redact_key_file: str | os.PathLike[str] | None = None,
        max_bytes: int = 1 << 30,
        max_file_bytes: int = 64 << 20,
    ) -> None:
        if not isinstance(model, str) or not model:
            raise ValueError(f"model: {model!r} is no name; give the model's name, as in models.d")
        if max_bytes <= 0 or max_file_bytes <= 0:
            raise ValueError(f"max_bytes {max_bytes}, max_file_bytes {max_file_bytes}: give numbers above 0")
        # What makes an equal one in another process: of a pickled model, a spawned worker.
        self._again = partial(
            Recorder,
            model,
            version,
            journal=journal,
            app=app,
            segment=segment,
            redact=redact,
            redact_key_file=redact_key_file,
            max_bytes=max_bytes,
            max_file_bytes=max_file_bytes,
        )
        self.model = model[:_MAX_NAME]
        self.version = str(version)[:_MAX_NAME]
        self.journal = default_journal() if journal is None else Path(journal).expanduser()
        self._redaction = redaction(redact, redact_key_file)
        self._segment_given = dict(segment or {})
        self._segment = self._segment_of({})
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", app or os.environ.get(APP_VARIABLE) or model)[:_MAX_APP]
        self._writer = JournalWriter(
            self.journal.absolute(),
            name,
            max_bytes=max_bytes,
            max_file_bytes=max(min(max_file_bytes, max_bytes // _FILES_A_JOURNAL), 1),
            dropped=_weakly(self._say_dropped),
        )
        self._reset()
        _recorders.add(self)

    def _reset(self) -> None:
        self._written = 0
        self._failed = 0
        self._dropped = 0
        self._unwritable_since = 0  # lines lost since the disk last took one
        self._warned: set[str] = set()

    def __reduce__(self) -> tuple[Any, ...]:
        return self._again, ()

    # -- what happened ------------------------------------------------------------------------------------------
    def predict(
        self,
        features: Any,
        prediction: Any,
        *,
        id: Any = None,  # noqa: A002 - the journal's name for it
        latency_ms: float | None = None,
        segment: Mapping[str, Any] | None = None,
        timestamp: Any = None,
        model: str | None = None,
        version: str | None = None,
    ) -> str:
        """Record one prediction and return its id, made here unless given.

        `features` is {name: value} (or a row of a DataFrame, or a pydantic model), `prediction` a number, a string,
        {class: probability}, or None for a model that abstained, `timestamp` a datetime or Unix seconds, now unless
        given. A latency that is negative or not finite is left out. Moments among the features become Unix seconds,
        durations seconds, and what is missing null.
        """
        moment, made = stamp()
        if id is None:
            id = made  # noqa: A001
        try:
            if type(id) is not str:
                id = label_of(id) or made  # noqa: A001
            if type(features) is not dict:
                features = features_of(features)
            if self._redaction is not None:
                features = self._redaction.apply(features)
            if type(prediction) not in _OUTCOMES:
                prediction = outcome_of(prediction)
            line = {
                "@timestamp": moment if timestamp is None else rfc3339(timestamp),
                "kind": "prediction",
                "model": model or self.model,
                "version": self.version if version is None else version,
                "id": id,
                "features": features,
                "prediction": prediction,
            }
            if type(latency_ms) is not float:
                latency_ms = _milliseconds(latency_ms)
            if latency_ms is not None and 0.0 <= latency_ms < inf:
                line["latency_ms"] = latency_ms
            if segment is not None:
                line["segment"] = self._segment_of(segment)
            elif self._segment:
                line["segment"] = self._segment
            self._writer.append(encode(line))
        except Exception as problem:
            self.missed(problem)
        else:
            self._written += 1
            if self._unwritable_since:
                self._recovered()
        return id if type(id) is str else made

    def measure(
        self,
        features: Any = None,
        *,
        id: Any = None,  # noqa: A002 - the journal's name for it
        segment: Mapping[str, Any] | None = None,
        model: str | None = None,
        version: str | None = None,
    ) -> Measurement:
        """Time a prediction and record it, or the exception that the block raises (and goes on raising).

        with recorder.measure(features) as call:
            call.prediction = model.predict(features)
        """
        return Measurement(self, features, id=id, segment=segment, model=model, version=version)

    def predict_batch(
        self,
        features: Any,
        predictions: Any,
        *,
        names: Sequence[str] | None = None,
        classes: Any = None,
        ids: Any = None,
        segment: Mapping[str, Any] | None = None,
        timestamps: Any = None,
        latency_ms: Any = None,
        model: str | None = None,
        version: str | None = None,
    ) -> list[str]:
        """Record a scoring job's rows in few large writes of whole lines; return one id a row.

        `features` is a DataFrame, an Arrow table, {name: column}, a list of {name: value}, or with `names` a 2-D array
        or a sparse matrix; `predictions` has one value a row, or is a table of probabilities, whose columns `classes`
        names where they have no names. `ids`, `timestamps` and `latency_ms` have one value a row or are one for all; so
        has each value of `segment`. A row that cannot be recorded loses only itself, arguments that do not fit each
        other the batch (then the list is empty).
        """
        rows: int | None = None
        try:
            outcomes = outcomes_of(predictions, classes)
            rows = len(outcomes)
            made = _ids(ids, rows)
            columns = zip(
                rows_of(features, names, self._redaction, rows),
                outcomes,
                made,
                column_of("timestamps", timestamps, rows, values_of),
                column_of("latency_ms", latency_ms, rows),
                segments_of(segment, rows),
                strict=True,
            )
            shared = {"kind": "prediction", "model": model or self.model}
            shared["version"] = self.version if version is None else version
            self._append_blocks(self._encoded(columns, shared, now() if timestamps is None else None))
        except Exception as problem:
            self.missed(problem, _rows_lost(rows, features, predictions))
            return []
        return made

    def _encoded(
        self, columns: Iterable[tuple[Any, ...]], shared: dict[str, str], present: str | None
    ) -> Iterator[bytes]:
        for features, prediction, id, timestamp, latency_ms, segment in columns:  # noqa: A001
            try:
                line = {
                    "@timestamp": present or rfc3339(timestamp),
                    **shared,
                    "id": id,
                    "features": features,
                    "prediction": prediction if type(prediction) in _OUTCOMES else outcome_of(prediction),
                }
                if type(latency_ms) is not float:
                    latency_ms = _milliseconds(latency_ms)
                if latency_ms is not None and 0.0 <= latency_ms < inf:
                    line["latency_ms"] = latency_ms
                if merged := self._segment if segment is None else self._segment_of(segment):
                    line["segment"] = merged
                encoded = encode(line)
            except Exception as problem:
                self.missed(problem)
            else:
                yield encoded

    def actual(self, id: Any, value: Any, *, timestamp: Any = None, model: str | None = None) -> None:  # noqa: A002
        """Record what became true of the prediction with this id: a number or a string, however much later.

        What is missing (None, NA, NaN) is no label: it is not recorded, and counted as failed.
        """
        self._record("actual", timestamp, model, None, lambda: {"id": id_of(id), "actual": actual_of(value)})

    def actual_batch(self, ids: Any, values: Any, *, timestamps: Any = None, model: str | None = None) -> None:
        """Record what became true of many predictions, in few large writes of whole lines.

        `ids` and `values` have one value a row, as lists, arrays or Series; `timestamps` too, or it is one for all. A
        row without an id or a value is left out and counted as failed.
        """
        rows: int | None = None
        try:
            actuals = values_of(column("values", values))
            rows = len(actuals)
            labels = cells_of(column("ids", ids))
            same("ids", len(labels), rows)
            shared = {"kind": "actual", "model": model or self.model, "version": self.version}
            columns = zip(labels, actuals, column_of("timestamps", timestamps, rows, values_of), strict=True)
            self._append_blocks(self._labelled(columns, shared, now() if timestamps is None else None))
        except Exception as problem:
            self.missed(problem, _rows_lost(rows, values, ids))

    def _labelled(
        self, columns: Iterable[tuple[Any, ...]], shared: dict[str, str], present: str | None
    ) -> Iterator[bytes]:
        rows = missing = 0
        for id, value, timestamp in columns:  # noqa: A001
            rows += 1
            try:
                line = {"id": id_of(id), "actual": actual_of(value), **shared}
                encoded = encode({**line, "@timestamp": present or rfc3339(timestamp)})
            except MissingError:
                missing += 1
            except Exception as problem:
                self.missed(problem)
            else:
                yield encoded
        if missing:
            told = f"actual_batch: rows without an id or a value are left out, {missing:,} of {rows:,}"
            self.missed(MissingError(f"{told}; record a label once it is known"), missing)

    def error(
        self,
        error: BaseException | str,
        *,
        id: Any = None,  # noqa: A002 - the journal's name for it
        latency_ms: float | None = None,
        segment: Mapping[str, Any] | None = None,
        fields: Mapping[str, Any] | None = None,
        timestamp: Any = None,
        model: str | None = None,
        version: str | None = None,
    ) -> None:
        """Record a prediction that failed: the exception with its stack trace, or a message.

        `fields` are further ECS fields, by their dotted names.
        """

        def body() -> dict[str, Any]:
            line = self._fields_of(fields)
            line["log.level"] = "error"
            if isinstance(error, BaseException):
                line |= error_fields(error)
                line["message"] = line["error.message"] or line["error.type"]
            else:
                line["message"] = str(error)[:_MAX_MESSAGE]
            line |= {"id": label_of(id), "latency_ms": _milliseconds(latency_ms)}
            line["segment"] = self._segment_of(segment or {})
            return {name: value for name, value in line.items() if value not in (None, {})}

        self._record("error", timestamp, model, version, body)

    def log(
        self,
        message: str,
        *,
        level: str = "info",
        fields: Mapping[str, Any] | None = None,
        timestamp: Any = None,
        model: str | None = None,
        version: str | None = None,
    ) -> None:
        """Record a structured log line; `fields` are ECS fields by their dotted names."""

        def body() -> dict[str, Any]:
            return {**self._fields_of(fields), "log.level": str(level), "message": str(message)[:_MAX_MESSAGE]}

        self._record("log", timestamp, model, version, body)

    def stage(
        self,
        pipeline: str,
        run: str,
        stage: str,
        status: str,
        duration_ms: float | None = None,
        rows: int | None = None,
        *,
        timestamp: Any = None,
    ) -> None:
        """Record that a stage of a pipeline's run started, succeeded or failed."""

        def body() -> dict[str, Any]:
            line = {"pipeline": str(pipeline), "run": name_of(run), "stage": str(stage), "status": str(status)}
            numbers = {"duration_ms": duration_ms, "rows": rows}
            return line | {name: value for name, value in numbers.items() if value is not None}

        self._record("stage", timestamp, None, None, body)

    def business(
        self,
        event: str,
        value: float,
        *,
        currency: str | None = None,
        source: str | None = None,
        timestamp: Any = None,
        model: str | None = None,
        version: str | None = None,
    ) -> None:
        """Record what the model brought or cost: `business("revenue", 129.9, currency="EUR", source="shop")`."""

        def body() -> dict[str, Any]:
            try:
                known = isfinite(value)
            except (TypeError, ValueError, OverflowError):
                known = False
            if not known:
                raise ValueError(f"business {event}: {text_of(value)} is not an amount; give a finite number")
            names = {"currency": currency, "source": source}
            return {"event": str(event), "value": value} | {name: str(text) for name, text in names.items() if text}

        self._record("business", timestamp, model, version, body)

    # -- itself -------------------------------------------------------------------------------------------------
    @property
    def stats(self) -> RecorderStats:
        """What became of this process's lines so far."""
        return RecorderStats(self._written, self._failed, self._dropped)

    @property
    def path(self) -> Path | None:
        """The file that is being written, None before the first line."""
        return self._writer.path

    def missed(self, problem: Exception, lines: int = 1) -> None:
        """Count and warn about lines that should have been recorded and could not be. Integrations call it too."""
        self._failed += lines
        if isinstance(problem, OSError) and not isinstance(problem, JournalClosedError):
            self._unwritable_since += lines
            self._warn(_UNWRITABLE, problem)
        else:
            self._warn(f"{type(problem).__name__}: {text_of(problem)}"[:_REASON], problem)

    def close(self) -> None:
        """Release the journal file; what is recorded later is counted as failed."""
        try:
            self._writer.close()
        except Exception as problem:
            self._warn("close", problem)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _segment_of(self, given: Mapping[str, Any]) -> dict[str, Any]:
        if not given and not self._segment_given:
            return {}
        if not isinstance(given, Mapping):
            raise TypeError(f"segment: a {type(given).__name__} has no names; give a dict of name to string")
        segment = {name_of(name): value for name, value in {**self._segment_given, **given}.items()}
        if self._redaction is not None:
            segment = self._redaction.apply(segment)
        labels = ((name, label_of(value)) for name, value in segment.items())
        return {name[:_MAX_NAME]: label[:_MAX_NAME] for name, label in labels if label is not None}

    def _fields_of(self, given: Mapping[str, Any] | None) -> dict[str, Any]:
        fields = {name_of(name): written(value) for name, value in (given or {}).items()}
        return fields if self._redaction is None else dict(self._redaction.apply(fields))

    def _record(
        self, kind: str, timestamp: Any, model: str | None, version: str | None, body: Callable[[], dict[str, Any]]
    ) -> None:
        try:
            line = {
                "@timestamp": now() if timestamp is None else rfc3339(timestamp),
                "kind": kind,
                "model": model or self.model,
                "version": self.version if version is None else version,
            }
            self._writer.append(encode({**body(), **line}))
        except Exception as problem:
            self.missed(problem)
        else:
            self._written += 1
            if self._unwritable_since:
                self._recovered()

    def _append_blocks(self, lines: Iterator[bytes]) -> None:
        block: list[bytes] = []
        size = 0
        for line in lines:
            if size + len(line) > BATCH_BYTES:
                self._append_block(block)
                block, size = [], 0
            block.append(line)
            size += len(line)
        if block:
            self._append_block(block)

    def _append_block(self, block: list[bytes]) -> None:
        try:
            self._writer.append(b"".join(block))
        except TornWriteError as problem:
            self._written += problem.lines
            self.missed(problem, len(block) - problem.lines)
        except Exception as problem:
            self.missed(problem, len(block))
        else:
            self._written += len(block)
            if self._unwritable_since:
                self._recovered()

    def _say_dropped(self, dropped: Dropped) -> None:
        self._dropped += dropped.lines
        message = (
            f"{self.journal}: the journal is full; deleted {dropped.file}, {dropped.lines:,} lines that may not be "
            f"delivered; see that modelward-agent runs and reaches the collector, or raise max_bytes"
        )
        self.log(
            message,
            level="error",
            fields={
                "journal.dropped.file": dropped.file,
                "journal.dropped.bytes": dropped.bytes,
                "journal.dropped.lines": dropped.lines,
            },
        )

    # -- failures -----------------------------------------------------------------------------------------------
    def _warn(self, reason: str, problem: Exception) -> None:
        if reason in self._warned or len(self._warned) >= _MAX_REASONS:
            return
        self._warned.add(reason)
        with suppress(Exception):  # the application's own handler may raise
            _logger.warning(
                "modelward: %s: model %s: not recorded: %s; the next of this kind are only counted, in Recorder.stats",
                self.journal,
                self.model,
                text_of(problem),
            )

    def _recovered(self) -> None:
        lost, self._unwritable_since = self._unwritable_since, 0
        self._warned.discard(_UNWRITABLE)
        with suppress(Exception):
            _logger.warning("modelward: %s: recording again; %d lines were lost", self.journal, lost)


def _weakly(method: Callable[[Dropped], None]) -> Callable[[Dropped], None]:
    """The method without holding its object, so that a Recorder that nobody uses gives back its file at once."""
    reference = weakref.WeakMethod(method)

    def call(dropped: Dropped) -> None:
        if (alive := reference()) is not None:
            alive(dropped)

    return call


def _after_fork_in_child() -> None:
    for recorder in list(_recorders):
        recorder._reset()


os.register_at_fork(after_in_child=_after_fork_in_child)


def error_fields(error: BaseException) -> dict[str, str]:
    """An exception in ECS names: `error.type`, `error.message`, and the end of `error.stack_trace`."""
    trace = "".join(traceback.format_exception(error))
    kind = type(error)
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    return {
        "error.type": f"{module}{kind.__qualname__}",
        "error.message": text_of(error),
        "error.stack_trace": trace[-_MAX_STACK_TRACE:],
    }


def _milliseconds(latency: Any) -> float | None:
    """A latency as a number, None when it is missing or not finite; a duration says its own unit."""
    if latency is None or type(latency) is int:
        return latency
    if isinstance(latency, timedelta) or type(latency).__name__ == "timedelta64":
        seconds = plain(latency)
        return None if seconds is None else seconds * 1000
    simple = plain(latency)
    if type(simple) in (int, float):
        return float(simple)
    if simple is None or (simple in _NOT_FINITE and not isinstance(latency, str)):
        return None
    raise TypeError(f"latency_ms: {text_of(latency)} is not a number; give milliseconds")


def _ids(given: Any, rows: int) -> list[str]:
    if given is None:
        return [new_id() for _ in range(rows)]
    return [label_of(cell) or new_id() for cell in column_of("ids", given, rows)]


def _rows_lost(rows: int | None, *given: Any) -> int:
    """How many rows a batch had that could not be read."""
    with suppress(Exception):
        return rows if rows is not None else next(known for some in given if (known := rows_in(some)) is not None)
    return 1
