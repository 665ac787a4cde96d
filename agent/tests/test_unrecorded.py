"""What the agent keeps of the notices that nothing of a model is recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from modelward_agent.journal.parse import Kind, Record
from modelward_agent.recorder.asgi.unmatched import NOTICE, NOTICE_FIELD
from modelward_agent.unrecorded import MOST_NOTICES, Unrecorded, unrecorded_of


def notice(model: Any = "fraud", at: float = 100.0, message: Any = "nothing is recorded") -> Record:
    return Record(Kind.LOG, at, {"model": model, "message": message, NOTICE_FIELD: NOTICE})


def record(kind: Kind, model: str = "fraud", at: float = 200.0) -> Record:
    return Record(kind, at, {"model": model})


def kept(*records: Record) -> list[str]:
    unrecorded = Unrecorded()
    for one in records:
        unrecorded.look([one])
    together = Unrecorded()
    together.look(records)
    assert unrecorded.shown == together.shown
    return [shown["model"] for shown in unrecorded.shown]


@pytest.mark.parametrize("kind", [Kind.PREDICTION, Kind.ERROR])
def test_it_is_gone_once_something_of_the_model_is_recorded_after_it(kind: Kind) -> None:
    assert kept(notice(), record(kind)) == []
    assert kept(record(kind, at=50.0), notice()) == ["fraud"]
    assert kept(notice(), record(kind, at=50.0)) == ["fraud"]
    assert kept(notice(), record(kind, "churn")) == ["fraud"]
    assert kept(notice(), record(kind), notice(at=300.0)) == ["fraud"]


@pytest.mark.parametrize("kind", [Kind.ACTUAL, Kind.LOG, Kind.BUSINESS, Kind.STAGE])
def test_other_lines_change_nothing(kind: Kind) -> None:
    assert kept(notice(), record(kind)) == ["fraud"]


def test_the_latest_of_a_model_counts_whichever_file_is_read_first() -> None:
    unrecorded = Unrecorded()
    unrecorded.look([notice(at=2.0, message="new"), notice(at=1.0, message="old")])
    assert unrecorded.shown == [{"model": "fraud", "at": 2.0, "message": "new"}]


def test_the_latest_of_many_models_are_kept() -> None:
    unrecorded = Unrecorded()
    unrecorded.look([notice(f"m{number:04}", at=float(number)) for number in range(MOST_NOTICES + 20)])
    assert [shown["model"] for shown in unrecorded.shown] == [f"m{20 + number:04}" for number in range(MOST_NOTICES)]


@pytest.mark.parametrize("model", [None, "", 7, ["fraud"], "x" * 201])
def test_a_line_without_a_model_s_name_is_passed_over(model: Any) -> None:
    assert kept(notice(model)) == []


def test_a_message_is_bounded_and_commands_no_terminal() -> None:
    unrecorded = Unrecorded()
    unrecorded.look([notice(message="a\x1b[31m\n" + "x" * 5000)])
    (shown,) = unrecorded.shown
    assert len(shown["message"]) == 1000
    assert shown["message"].isprintable()


def test_the_next_agent_goes_on_with_what_is_in_the_status(tmp_path: Path) -> None:
    unrecorded = Unrecorded()
    unrecorded.look([notice()])
    status = tmp_path / "status.json"
    status.write_bytes(orjson.dumps({"unrecorded": unrecorded.shown}))
    assert unrecorded_of(status).shown == unrecorded.shown


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b'{"unrecorded": 3}', b'{"unrecorded": [{"at": "x"}]}', b"\xff"]
)
def test_a_status_that_cannot_be_read_says_nothing(tmp_path: Path, content: bytes) -> None:
    status = tmp_path / "status.json"
    assert unrecorded_of(status).shown == []
    status.write_bytes(content)
    assert unrecorded_of(status).shown == []
