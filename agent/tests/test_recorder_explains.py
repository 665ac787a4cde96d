"""What the Recorder says of arguments that cannot be recorded: which argument, and what to give instead."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from agent.tests.recorded import recorded
from modelward_agent import Recorder


@pytest.mark.parametrize(
    ("record", "says"),
    [
        (lambda r: r.predict({"x": 1.0}, 0.5, latency_ms="fast"), "latency_ms: fast is not a number; give millisec"),
        (lambda r: r.predict({"x": 1.0}, 0.5, latency_ms=np.ones(2)), "latency_ms: [1. 1.] is not a number"),
        (lambda r: r.predict_batch([{"x": 1.0}], [0.5], latency_ms=["fast"]), "latency_ms: fast is not a number"),
        (lambda r: r.predict_batch([{"x": 1.0}], None), "predictions: a NoneType has no rows; give one prediction"),
        (lambda r: r.predict_batch([{"x": 1.0}], 0.5), "predictions: a float has no rows; give one prediction a row"),
        (lambda r: r.business("revenue", "much"), "business revenue: much is not an amount; give a finite number"),
        (lambda r: r.business("revenue", float("nan")), "business revenue: nan is not an amount"),
    ],
)
def test_the_argument_is_named(
    record: Callable[[Recorder], object], says: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Recorder("fraud", journal=tmp_path) as recorder:
        record(recorder)
        assert recorder.stats.failed == 1
    (warning,) = [line.getMessage() for line in caplog.records]
    assert f"not recorded: {says}" in warning
    assert recorded(tmp_path) == []


def test_what_is_wrong_with_something_else_is_said_of_that(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Recorder("fraud", journal=tmp_path) as recorder:
        recorder.predict("text", 0.5, latency_ms=3.0)
    (warning,) = [line.getMessage() for line in caplog.records]
    assert "features: a str has no names" in warning
