"""Python's logging in the journal, in ECS names."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from agent.tests.recorded import only, recorded
from modelward_agent import Recorder
from modelward_agent.recorder.log_handler import RecorderHandler


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder("fraud", "7", journal=tmp_path)


@pytest.fixture
def logger(recorder: Recorder) -> logging.Logger:
    """A logger of its own, so that no other handler formats a record first."""
    logger = logging.Logger("shop.scoring")
    logger.addHandler(RecorderHandler(recorder))
    return logger


def test_a_log_record_is_a_line_in_ecs_names(logger: logging.Logger, tmp_path: Path) -> None:
    logger.warning("slow answer of %s ms", 870, extra={"labels.shop": "s1", "attempt": 2})
    line = only(tmp_path)
    del line["@timestamp"], line["log.origin.file.line"]
    assert line == {
        "kind": "log",
        "model": "fraud",
        "version": "7",
        "log.level": "warning",
        "log.logger": "shop.scoring",
        "log.origin.file.name": "test_recorder_log_handler.py",
        "log.origin.function": "test_a_log_record_is_a_line_in_ecs_names",
        "message": "slow answer of 870 ms",
        "process.pid": os.getpid(),
        "process.thread.name": "MainThread",
        "labels.shop": "s1",
        "attempt": 2,
    }


def test_an_exception_brings_its_type_and_stack_trace(logger: logging.Logger, tmp_path: Path) -> None:
    try:
        os.environ["MODELWARD_MISSING"]
    except KeyError:
        logger.exception("scoring failed")
    line = only(tmp_path)
    assert (line["log.level"], line["message"]) == ("error", "scoring failed")
    assert (line["error.type"], line["error.message"]) == ("KeyError", "'MODELWARD_MISSING'")
    assert line["error.stack_trace"].startswith("Traceback (most recent call last)")


def test_arguments_that_do_not_fit_do_not_lose_the_line(logger: logging.Logger, tmp_path: Path) -> None:
    logger.info("%d rows", "many", extra={"who": object})
    assert only(tmp_path)["message"].startswith("%d rows ('many',)")


def test_the_recorders_own_warning_does_not_go_through_itself(
    logger: logging.Logger, recorder: Recorder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root, handler = logging.getLogger(), RecorderHandler(recorder)
    root.addHandler(handler)
    recorder.predict(3, 1)
    root.removeHandler(handler)
    assert "has no names" in caplog.text
    assert recorded(tmp_path) == []
    recorder.close()
    logger.info("after close")
    logger.info("after close")
    assert recorder.stats.failed == 3


def test_what_is_logged_while_a_record_is_written_is_not_written(
    logger: logging.Logger, recorder: Recorder, tmp_path: Path
) -> None:
    class Chatty:
        def __str__(self) -> str:
            logger.info("asked for my text")
            return "chatty"

    logger.info("%s", Chatty(), extra={"who": Chatty()})
    line = only(tmp_path)
    assert (line["message"], line["who"]) == ("chatty", "chatty")
