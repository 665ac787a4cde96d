"""UTF-16, byte order marks and JSON that is none to a strict reader: entries all the same, and never a NUL."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.tests.agents import append, configuration, lines, prediction, quarantined, running
from agent.tests.bulk_server import BulkServer, wait_for
from modelward_agent.journal.encoding import encoding_of
from modelward_agent.journal.parse import Malformed, Record
from modelward_agent.journal.source import JournalSource
from modelward_agent.journal.textlog import LogSource

TEXT = (
    "2026-07-01 12:00:00,250 ERROR scoring: failed\r\n"
    "Traceback (most recent call last):\r\n"
    '  File "a.py", line 1, in f\r\n'
    "ValueError: caf\u00e9 \u4e00\u4e8c\r\n"
    "2026-07-01 12:00:01,250 INFO scoring: on\r\n"
)
marks = pytest.mark.parametrize("mark", ["\ufeff", ""], ids=["with a mark", "without"])
encodings = pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])


def documents(content: bytes, **options: Any) -> list[dict[str, Any]]:
    source = LogSource(**options).beginning(content[:1024])
    found = source.entries(content, final=True)
    assert found.consumed == len(content)
    assert all(isinstance(record, Record) for record in found.records)
    return [record.document for record in found.records if isinstance(record, Record)]


@marks
@encodings
def test_utf16_is_read_as_what_it_is(encoding: str, mark: str) -> None:
    failed, following = documents((mark + TEXT).encode(encoding))
    assert (failed["log.level"], failed["error.message"]) == ("error", "caf\u00e9 \u4e00\u4e8c")
    assert failed["error.stack_trace"].count("\n") == 2
    assert following["message"] == "2026-07-01 12:00:01,250 INFO scoring: on"


@encodings
def test_json_in_utf16_becomes_fields(encoding: str) -> None:
    content = '\ufeff{"level": "error", "msg": "\u00fc"}\n{"level": "info", "msg": "on"}\n'.encode(encoding)
    assert [entry["log.level"] for entry in documents(content)] == ["error", "info"]


# Characters that have the byte of a newline as one of their halves, and one that begins with the half of one.
odd = st.text(st.sampled_from("ab \u010a\u0a0a\u0a05\u4e00\u0100\U0001f600"), max_size=8)


@given(st.lists(odd.map(lambda text: "INFO " + text), max_size=12), st.integers(1, 4))
@settings(max_examples=200, deadline=None)
@encodings
def test_utf16_that_is_read_in_pieces_gives_the_same_entries(encoding: str, texts: list[str], piece: int) -> None:
    content = ("\ufeff" + "".join(text + "\n" for text in texts)).encode(encoding)
    source = LogSource().beginning(content[:1024])
    offsets, messages, start, end = [], [], 0, 0
    while end < len(content):
        # As a file is read: up to some byte 0x0A that is there.
        for _ in range(piece):
            end = content.find(b"\n", end) + 1 or len(content)
        found = source.entries(content[start:end], final=end == len(content))
        offsets += [start + offset for offset in found.offsets]
        messages += [record.document["message"] for record in found.records if isinstance(record, Record)]
        start += found.consumed
    assert messages == texts
    assert offsets == source.entries(content, final=True).offsets
    assert start == len(content)


@given(st.binary(max_size=64), st.sampled_from(["utf-16-le", "utf-16-be"]), st.booleans())
@settings(max_examples=300, deadline=None)
def test_no_bytes_make_utf16_raise_or_give_a_nul(content: bytes, encoding: str, final: bool) -> None:
    found = LogSource(encoding=encoding).entries(content, final=final)
    assert 0 <= found.consumed <= len(content)
    assert not final or found.consumed >= len(content) - 1
    assert not any("\x00" in record.document["message"] for record in found.records if isinstance(record, Record))


@pytest.mark.parametrize(
    ("head", "encoding"),
    [
        (b"", None),
        (b"\x00" * 4096, None),
        (b"\x00" * 40 + b"2026-07-01 12:00:00 INFO on", None),
        (b"INFO on\n" * 9, None),
        ("INFO on\n".encode("utf-16-le") * 9, "utf-16-le"),
        (b"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x03\x00", None),
    ],
    ids=["empty", "a hole", "a hole and a line", "text", "utf-16", "a program"],
)
def test_what_is_taken_for_utf16(head: bytes, encoding: str | None) -> None:
    assert encoding_of(head) == encoding


def test_a_journal_in_utf16_is_refused_by_name() -> None:
    content = lines(prediction(0)).decode().encode("utf-16")
    [refused] = JournalSource().entries(content, final=True).records
    assert isinstance(refused, Malformed)
    assert refused.reason == "not_utf8"
    assert "UTF-16" in refused.detail
    assert "write" in refused.detail


def test_a_mark_before_the_first_line_is_no_part_of_it() -> None:
    mark = b"\xef\xbb\xbf"
    [entry] = documents(mark + b'{"level": "error", "msg": "x"}\n')
    assert (entry["log.level"], entry["message"]) == ("error", "x")
    [entry] = documents(mark + b"ERROR x\n")
    assert (entry["log.level"], entry["message"]) == ("error", "ERROR x")
    [record] = JournalSource().entries(mark + lines(prediction(0)), final=True).records
    assert isinstance(record, Record)


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        (rb'{"level": "error", "loss": NaN}', {"loss": "NaN"}),
        (rb'{"level": "error", "loss": [Infinity, -Infinity]}', {"loss": ["Infinity", "-Infinity"]}),
        (rb'{"level": "error", "loss": 1e999, "n": -1e999}', {"loss": "Infinity", "n": "-Infinity"}),
        (
            rb'{"level": "error", "n": NaN, "text": "\ud83d\ude00 \ud800 \\ud800"}',
            {"message": "\U0001f600 \ufffd \\ud800"},
        ),
        (rb'{"level": "error", "\udc00": "\ud800"}', {"\ufffd": "\ufffd"}),
        (b'{"level": "error", "text": "caf\xe9"}', {"message": "caf\ufffd"}),
        (b'{"level": "error", "text": "a\tb"}', {"message": "a\tb"}),
        (b'{"level": "error", "x": NaN, "n": ' + b"9" * 30 + b"}", {"x": "NaN", "n": 1e30}),
    ],
)
@pytest.mark.parametrize("as_json", [True, False])
def test_json_as_other_writers_write_it_is_json(line: bytes, fields: dict[str, Any], as_json: bool) -> None:
    [entry] = documents(line + b"\n", json=as_json)
    assert entry["log.level"] == "error"
    assert {name: entry[name] for name in fields} == fields


def test_json_that_is_nested_without_end_is_text() -> None:
    [entry] = documents(b'{"x": NaN, "a":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001 + b"\n")
    assert entry["message"].startswith('{"x": NaN')


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(), max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["time", "level", "msg", "error", "stack", "x", "Y"]), json_values, max_size=5))
@settings(max_examples=300, deadline=None)
def test_whatever_pythons_json_writes_is_an_entry_that_can_be_sent(document: dict[str, Any]) -> None:
    [entry] = documents(json.dumps(document).encode() + b"\n")
    assert orjson.loads(orjson.dumps(entry))["kind"] == "log"


# -- the agent -------------------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[BulkServer]:
    server = BulkServer()
    yield server
    server.close()


@encodings
def test_the_agent_follows_utf16_through_a_restart(tmp_path: Path, server: BulkServer, encoding: str) -> None:
    log = append(tmp_path / "app.log", ("\ufeff" + TEXT).encode(encoding))
    config = configuration(tmp_path, server, logs=[{"path": str(log)}])
    with running(config):
        wait_for(lambda: len(server.logs()) == 2)
        append(log, "INFO \u4e00\u4e8c\nINFO \u0100\n".encode(encoding))
        wait_for(lambda: len(server.logs()) == 4)
    append(log, "\u4e00 INFO last\n".encode(encoding))
    with running(config):
        wait_for(lambda: len(server.logs()) == 5)
    messages = {document["message"] for _, document in server.logs()}
    assert {"INFO \u4e00\u4e8c", "INFO \u0100", "\u4e00 INFO last"} < messages
    assert not any("\x00" in message for message in messages)
    assert not quarantined(config)
