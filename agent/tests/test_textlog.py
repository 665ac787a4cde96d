"""Any log file becomes entries in ECS names, with stack traces whole."""

from __future__ import annotations

import re
import traceback
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelward_agent.journal.loglevel import level_of_text, level_of_value
from modelward_agent.journal.logtime import time_of_text, time_of_value
from modelward_agent.journal.parse import Malformed, Record
from modelward_agent.journal.textlog import MAX_GROUP_LINES, LogParser, LogSource

NOW = 1_782_909_296.0
"""2026-07-01T12:34:56Z."""


def entries(text: str | bytes, **options: Any) -> list[dict[str, Any]]:
    """The documents of a log's text, without what every one has."""
    stretch = text.encode() if isinstance(text, str) else text
    parser = LogParser(now=lambda: NOW, zone=UTC, **options)
    lines = stretch.splitlines(keepends=True)
    offsets = [sum(map(len, lines[:index])) for index in range(len(lines))]
    found = [*parser.feed(zip(offsets, lines, strict=True)), *parser.flush()]
    assert parser.open is None
    documents = []
    for offset, record in found:
        assert isinstance(record, Record)
        assert offset in offsets
        assert record.document.pop("kind") == "log"
        assert datetime.fromisoformat(record.document["@timestamp"]).timestamp() == pytest.approx(record.at, abs=1e-6)
        documents.append(record.document)
    return documents


def python_traceback() -> str:
    features: dict[str, float] = {}
    try:
        try:
            features["age"]
        except KeyError as missing:
            raise ValueError("no feature 'age'") from missing
    except ValueError:
        trace = traceback.format_exc()
    return trace


def test_pythons_logging_with_a_traceback_is_one_entry() -> None:
    trace = python_traceback()
    text = (
        "2026-07-01 12:00:00,250 INFO scoring: started\n"
        "2026-07-01 12:00:01,500 ERROR scoring: prediction failed\n" + trace + "2026-07-01 12:00:02,000 INFO again\n"
    )
    started, failed, again = entries(text)
    assert started == {
        "@timestamp": "2026-07-01T12:00:00.250000Z",
        "log.level": "info",
        "message": "2026-07-01 12:00:00,250 INFO scoring: started",
    }
    assert failed == {
        "@timestamp": "2026-07-01T12:00:01.500000Z",
        "log.level": "error",
        "message": "2026-07-01 12:00:01,500 ERROR scoring: prediction failed",
        "error.type": "ValueError",
        "error.message": "no feature 'age'",
        "error.stack_trace": trace.rstrip("\n"),
    }
    assert "KeyError: 'age'" in failed["error.stack_trace"]
    assert again["message"].endswith("INFO again")


def test_a_traceback_of_a_crash_stands_alone() -> None:
    trace = python_traceback()
    started, crash, line = entries("INFO:root:started\n" + trace + "next line\n")
    assert started["message"] == "INFO:root:started"
    assert crash["message"] == "ValueError: no feature 'age'"
    assert (crash["log.level"], crash["error.type"]) == ("error", "ValueError")
    assert line["message"] == "next line"


def test_an_exception_without_a_message_ends_the_traceback() -> None:
    crash, line = entries('Traceback (most recent call last):\n  File "a.py", line 1, in f\nKeyboardInterrupt\nbye\n')
    assert crash["error.type"] == "KeyboardInterrupt"
    assert "error.message" not in crash
    assert line["message"] == "bye"


def test_an_exceptions_message_of_several_lines_belongs_to_it() -> None:
    text = (
        "2026-07-01 12:00:01,500 ERROR db: failed\n"
        "Traceback (most recent call last):\n"
        '  File "a.py", line 1, in f\n'
        "sqlalchemy.exc.OperationalError: (sqlite3.OperationalError) no such table\n"
        "[SQL: SELECT 1]\n"
        "(Background on this error at: https://example.org)\n"
        "2026-07-01 12:00:02,000 INFO db: again\n"
    )
    failed, again = entries(text)
    assert failed["error.stack_trace"].endswith("example.org)")
    assert again["log.level"] == "info"


JAVA = (
    "java.lang.IllegalStateException: no model\n"
    "\tat com.example.Scorer.score(Scorer.java:42)\n"
    "\tat com.example.Main.main(Main.java:7)\n"
    "Caused by: java.io.FileNotFoundException: model.bin\n"
    "\tat java.base/java.io.FileInputStream.open0(Native Method)\n"
    "\t... 12 more\n"
)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (
            "2026-07-01 12:00:00.123 ERROR [main] c.e.Scorer - failed\n",
            "2026-07-01 12:00:00.123 ERROR [main] c.e.Scorer - failed",
        ),
        ("", "java.lang.IllegalStateException: no model"),
        ('Exception in thread "main" ', "java.lang.IllegalStateException: no model"),
    ],
    ids=["after a line", "alone", "of a thread"],
)
def test_a_java_stack_trace_is_one_entry(head: str, message: str) -> None:
    failed, following = entries(head + JAVA + "2026-07-01 12:00:01.000 INFO [main] c.e.Scorer - next\n")
    assert failed["message"] == message
    assert (failed["error.type"], failed["error.message"]) == ("java.lang.IllegalStateException", "no model")
    assert failed["error.stack_trace"].endswith("... 12 more")
    assert failed["log.level"] == "error"
    assert following["log.level"] == "info"


def test_indented_lines_belong_to_the_line_before() -> None:
    first, second = entries("INFO config:\n  a: 1\n\tb: 2\nINFO done\n")
    assert first["message"] == "INFO config:\n  a: 1\n\tb: 2"
    assert second["message"] == "INFO done"


def test_the_first_lines_pattern_decides_where_it_is_given() -> None:
    trace = python_traceback()
    text = "# one\nand more\n\nof it\n# two\n" + trace + "end\n"
    one, two = entries(text, first_line=re.compile("^# "))
    assert one["message"] == "# one\nand more\n\nof it"
    assert two["message"] == "# two"
    assert two["error.stack_trace"].startswith("Traceback")


def test_an_entry_is_cut_at_its_bound() -> None:
    found = entries("INFO start\n" + "  more\n" * (2 * MAX_GROUP_LINES))
    assert [len(entry["message"].split("\n")) for entry in found] == [500, 500, 1]
    wide = entries("INFO start\n" + ("  " + "x" * 100_000 + "\n") * 4)
    assert [len(entry["message"]) // 100_000 for entry in wide] == [2, 2]


def test_an_entry_without_a_time_has_the_moment_it_is_read() -> None:
    [entry] = entries("hello\n")
    assert entry == {"@timestamp": "2026-07-01T12:34:56.000000Z", "message": "hello"}


@pytest.mark.parametrize("line", ["2031-01-01 00:00:00 INFO future", "1970-01-01 00:00:00 INFO past"])
def test_a_time_that_cannot_be_is_not_believed(line: str) -> None:
    [entry] = entries(line)
    assert entry["@timestamp"] == "2026-07-01T12:34:56.000000Z"


@pytest.mark.parametrize(
    ("line", "at"),
    [
        ("2026-07-01T12:00:00Z started", "2026-07-01T12:00:00+00:00"),
        ("2026-07-01T12:00:00.123456789+02:00 x", "2026-07-01T10:00:00.123456+00:00"),
        ("[2026-07-01 12:00:00,5] INFO", "2026-07-01T12:00:00.5+00:00"),
        ("2026-07-01 12:00:00 -0530 [INFO]", "2026-07-01T17:30:00+00:00"),
        ("2026/07/01 12:00:00 [error] 7#7: *1 open() failed", "2026-07-01T12:00:00+00:00"),
        ('10.0.0.1 - - [01/Jul/2026:12:00:00 +0200] "GET / HTTP/1.1" 200 5', "2026-07-01T10:00:00+00:00"),
        ("Jul  1 12:00:00 host app[7]: started", "2026-07-01T12:00:00+00:00"),
        ("<11>Dec 31 23:59:59 host app: failed", "2025-12-31T23:59:59+00:00"),
        ("2026-02-30 12:00:00 no such day", None),
        ("Foo  1 12:00:00 no such month", None),
        ("order 12026-07-01 12:00:001", None),
        ("no time at all", None),
    ],
)
def test_times_of_lines(line: str, at: str | None) -> None:
    expected = None if at is None else pytest.approx(datetime.fromisoformat(at).timestamp(), abs=1e-6)
    assert time_of_text(line, NOW, UTC) == expected


def test_a_time_without_a_zone_is_the_machines_or_the_given_one() -> None:
    line = "2026-07-01 12:00:00 x"
    zone = timezone(timedelta(hours=2))
    assert time_of_text(line, NOW, zone) == datetime(2026, 7, 1, 10, tzinfo=UTC).timestamp()
    assert time_of_text(line, NOW) == datetime(2026, 7, 1, 12).astimezone().timestamp()


@pytest.mark.parametrize(
    ("value", "at"),
    [
        (NOW, NOW),
        (NOW * 1e3, NOW),
        (int(NOW * 1e6), NOW),
        (int(NOW) * 10**9, NOW),
        ("2026-07-01T12:34:56Z", NOW),
        (True, None),
        (None, None),
        ([1], None),
    ],
)
def test_times_of_json_fields(value: object, at: float | None) -> None:
    assert time_of_value(value, NOW, UTC) == at


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("2026-07-01 12:00:00,123 WARNING app: slow", "warning"),
        ("2026/07/01 12:00:00 [error] 7#7: open() failed", "error"),
        ("INFO:     127.0.0.1:80 - GET /", "info"),
        ("error: no such file", "error"),
        ('time="2026-07-01T12:00:00Z" level=warn msg="x"', "warning"),
        ("<11>Jul  1 12:00:00 host app: failed", "error"),
        ("[2026-07-01 12:00:00 +0000] [7] [CRITICAL] Worker failed", "critical"),
        ("[Warn] x", "warning"),
        ("SEVERE: x", "error"),
        ("FATAL x", "critical"),
        ("no error was found", None),
        ("informational", None),
        ("x" * 200 + " ERROR", None),
    ],
)
def test_levels_of_lines(line: str, level: str | None) -> None:
    assert level_of_text(line) == level


@pytest.mark.parametrize(
    ("value", "level"),
    [("WARN", "warning"), ("Information", "info"), ("custom", "custom"), (50, "error"), (35, None), (None, None)],
)
def test_levels_of_json_fields(value: object, level: str | None) -> None:
    assert level_of_value(value) == level


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (
            {"asctime": "2026-07-01 12:00:00,250", "levelname": "WARNING", "name": "app", "message": "slow", "took": 3},
            {
                "log.level": "warning",
                "log.logger": "app",
                "message": "slow",
                "took": 3,
                "asctime": "2026-07-01 12:00:00,250",
            },
        ),
        (
            {"@timestamp": "2026-07-01T12:00:00.250Z", "log": {"level": "info", "logger": "app"}, "message": "up"},
            {"log.level": "info", "log.logger": "app", "message": "up"},
        ),
        (
            {"ts": 1_782_907_200_250, "level": 50, "msg": "failed", "version": 1, "kind": "x"},
            {"log.level": "error", "message": "failed", "version_text": "1", "kind_text": "x", "ts": 1_782_907_200_250},
        ),
        (
            {"log": "INFO up\n", "stream": "stdout", "time": "2026-07-01T12:00:00.250000000Z"},
            {"log.level": "info", "message": "INFO up", "stream": "stdout"},
        ),
        (
            {"timestamp": "2026-07-01T12:00:00.250Z", "error": {"type": "E", "message": "m", "stack_trace": "a\nb"}},
            {
                "error.type": "E",
                "error.message": "m",
                "error.stack_trace": "a\nb",
                "message": "E: m",
                "timestamp": "2026-07-01T12:00:00.250Z",
            },
        ),
    ],
    ids=["python-json-logger", "ecs", "pino", "docker", "ecs error"],
)
def test_json_lines_of_any_library_are_in_ecs_names(document: dict[str, Any], expected: dict[str, Any]) -> None:
    [entry] = entries(orjson.dumps(document), json=True)
    assert entry == {"@timestamp": "2026-07-01T12:00:00.250000Z", **expected}


def test_a_trace_in_a_json_field_names_its_error() -> None:
    line = {"level": "error", "event": "failed", "exc_info": python_traceback()}
    [entry] = entries(orjson.dumps(line), json=True)
    assert (entry["error.type"], entry["error.message"]) == ("ValueError", "no feature 'age'")
    assert (entry["message"], entry["error.stack_trace"]) == ("failed", line["exc_info"])


def test_text_among_json_lines_is_an_entry_of_its_own() -> None:
    text = '{"msg": "up"}\n' + python_traceback() + '{"msg": "cut\n{"msg": "down"}\n'
    up, crash, cut, down = entries(text, json=True)
    assert (up["message"], down["message"]) == ("up", "down")
    assert crash["error.type"] == "ValueError"
    assert cut["message"] == '{"msg": "cut'


def test_fields_of_the_configuration_are_in_every_entry() -> None:
    for options in ({}, {"json": True}):
        [entry] = entries('{"model": "mine", "msg": "x"}', fields={"model": "fraud", "team": "risk"}, **options)
        assert (entry["model"], entry["team"]) == ("fraud", "risk")


def test_bytes_that_are_not_utf8_and_holes_are_read_as_well_as_can_be() -> None:
    first, second = entries(b"\x00\x00\x00INFO caf\xe9\r\n\n\nINFO next\n")
    assert first["message"] == "INFO caf\ufffd"
    assert second["message"] == "INFO next"


def test_a_ten_megabyte_line_is_malformed_and_blocks_nothing() -> None:
    stretch = b"INFO before\n" + b"x" * 10_000_000 + b"\nINFO after\n"
    found = LogSource().entries(stretch, final=True)
    assert found.offsets == [0, 12, 10_000_013]
    before, long, after = found.records
    assert isinstance(long, Malformed)
    assert long.reason == "too_long"
    assert isinstance(before, Record)
    assert isinstance(after, Record)
    assert found.consumed == len(stretch)


def test_a_source_leaves_an_entry_that_may_go_on() -> None:
    source = LogSource()
    stretch = b"INFO one\nERROR two\n  more\n"
    found = source.entries(stretch, final=False)
    assert (found.offsets, found.consumed) == ([0], 9)
    rest = source.entries(stretch[found.consumed :], final=True)
    assert (rest.offsets, rest.consumed) == ([0], len(stretch) - 9)
    [record] = rest.records
    assert isinstance(record, Record)
    assert record.document["message"] == "ERROR two\n  more"


def test_a_json_source_leaves_nothing_open() -> None:
    stretch = b'{"msg": "a"}\n{"msg": "b"}\n'
    found = LogSource(json=True).entries(stretch, final=False)
    assert (found.offsets, found.consumed) == ([0, 13], len(stretch))


log_lines = st.sampled_from(
    [
        "2026-07-01 12:00:00,250 ERROR failed",
        "INFO fine",
        "Traceback (most recent call last):",
        '  File "a.py", line 1, in f',
        "ValueError: bad",
        "",
        "During handling of the above exception, another exception occurred:",
        "java.lang.Error: x",
        "\tat a.b.C(D.java:1)",
        "Caused by: java.lang.Error: y",
        "plain",
        '{"msg": "x"}',
    ]
)


@given(st.lists(log_lines, max_size=25), st.booleans(), st.integers(1, 6))
@settings(max_examples=150, deadline=None)
def test_reading_in_pieces_gives_the_same_entries(lines: list[str], json: bool, piece: int) -> None:
    stretch = "".join(line + "\n" for line in lines).encode()
    source = LogSource(json=json)
    whole = source.entries(stretch, final=True)
    offsets, messages, start, end = [], [], 0, 0
    while end < len(stretch):
        for _ in range(piece):
            end = stretch.find(b"\n", end) + 1 or len(stretch)
        found = source.entries(stretch[start:end], final=end == len(stretch))
        offsets += [start + offset for offset in found.offsets]
        messages += [record.document["message"] for record in found.records if isinstance(record, Record)]
        start += found.consumed
    assert start == len(stretch) == whole.consumed
    assert offsets == whole.offsets
    assert messages == [record.document["message"] for record in whole.records if isinstance(record, Record)]


@given(st.binary(max_size=200), st.booleans())
@settings(max_examples=200, deadline=None)
def test_no_bytes_make_a_log_raise(stretch: bytes, json: bool) -> None:
    found = LogSource(json=json).entries(stretch, final=True)
    assert found.consumed == len(stretch)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
json_names = st.sampled_from(["time", "ts", "level", "msg", "log", "error", "exc_info", "name", "model", "kind", "x"])


@given(st.dictionaries(json_names, json_values, max_size=6))
@settings(max_examples=200, deadline=None)
def test_no_json_object_makes_a_log_raise(document: dict[str, Any]) -> None:
    [record] = LogSource(json=True).entries(orjson.dumps(document), final=True).records
    assert isinstance(record, Record)
    assert record.document["kind"] == "log"
