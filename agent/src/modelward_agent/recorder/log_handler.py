"""Python's logging into the journal, in the names of the Elastic Common Schema."""

from __future__ import annotations

import logging
import threading
from typing import Any

from modelward_agent.recorder.recorder import Recorder, error_fields

_OWN = "modelward_agent.recorder"  # what the recorder says about itself must not go through itself
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class RecorderHandler(logging.Handler):
    """Writes each log record as a line of kind `log`; what is given as `extra` becomes a field of its own.

    logging.getLogger().addHandler(RecorderHandler(recorder))
    """

    def __init__(self, recorder: Recorder, level: int | str = logging.NOTSET) -> None:
        super().__init__(level)
        self._recorder = recorder
        self._inside = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; never raises, and never logs about a record that was logged while writing one."""
        if record.name.startswith(_OWN) or getattr(self._inside, "yes", False):
            return
        self._inside.yes = True
        try:
            fields = _fields(record)
            self._recorder.log(
                _message(record), level=record.levelname.lower(), fields=fields, timestamp=record.created
            )
        except Exception as problem:
            self._recorder.missed(problem)
        finally:
            self._inside.yes = False


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # arguments that do not fit the format: the line is still worth having
        return f"{record.msg} {record.args}"


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    fields |= {
        "log.logger": record.name,
        "log.origin.file.name": record.filename,
        "log.origin.file.line": record.lineno,
        "log.origin.function": record.funcName,
        "process.pid": record.process,
        "process.thread.name": record.threadName,
    }
    if record.exc_info and record.exc_info[1] is not None:
        fields |= error_fields(record.exc_info[1])
    elif record.stack_info:
        fields["error.stack_trace"] = record.stack_info
    return {name: value for name, value in fields.items() if value is not None}
