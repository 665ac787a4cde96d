"""What the lines of the usual writers say: when they were written, and how bad it is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelward_agent.journal.loglevel import level_of_text, level_of_value
from modelward_agent.journal.logtime import time_of_text, time_of_value
from modelward_agent.journal.parse import Record
from modelward_agent.journal.textlog import LogSource

NOW = 1_782_909_296.0
"""2026-07-01T12:34:56Z."""

DAY = "2026-01-02T03:04:05"
ROUND, FINE = f"{DAY}+00:00", f"{DAY}.678901+00:00"


@pytest.mark.parametrize(
    ("line", "at", "level"),
    [
        # Google's, and who took over their format
        ("E0102 03:04:05.678901   12345 file.go:12] text", FINE, "error"),
        ("W0102 03:04:05.678901       1 reflector.go:424] INFO is not meant", FINE, "warning"),
        ("F20260102 03:04:05.678901 12345 file.cc:12] text", FINE, "critical"),
        ("2026-01-02 03:04:05.678901: E tensorflow/core/x.cc:12] text", FINE, "error"),
        ("2026-01-02 03:04:05.678901: I tensorflow/core/x.cc:12] ERROR is not meant", FINE, "info"),
        # web servers
        ('10.0.0.1 - - [02/Jan/2026:03:04:05 +0000] "GET /ERROR HTTP/1.1" 200 5', ROUND, None),
        ('10.0.0.1 - bob [01/Jan/2026:20:04:05 -0700] "GET / HTTP/1.1" 404 5 "-" "curl"', ROUND, None),
        ('::1 - - [02/Jan/2026:03:04:05 +0000] "POST /predict HTTP/1.1" 502 5 "-" "curl"', ROUND, "error"),
        ('h:443 ::1 - - [02/Jan/2026:03:04:05 +0000] "GET /\\"500 HTTP/1.1" 301 5', ROUND, None),
        ('::1 - - [02/Jan/2026:03:04:05 +0000] "GET /' + "x" * 900 + ' HTTP/1.1" 500 5', ROUND, "error"),
        ("[Fri Jan 02 03:04:05.678901 2026] [core:error] [pid 7:tid 8] AH00126: Invalid URI", FINE, "error"),
        ("[Fri Jan 02 03:04:05 2026] [notice] Apache configured", ROUND, "notice"),
        ("[Fri Jan 02 03:04:05.678901 2026] [ssl:trace3] [pid 7] x", FINE, "trace"),
        ("2026/01/02 03:04:05 [error] 12#12: *1 open() failed", ROUND, "error"),
        ("2026/01/02 03:04:05 [emerg] 12#12: bind() failed", ROUND, "critical"),
        # syslog
        ("<34>Jan  2 03:04:05 host su: 'su root' failed", ROUND, "critical"),
        ("Jan  2 03:04:05 host app[7]: started", ROUND, None),
        ("<165>1 2026-01-02T03:04:05.678901Z host app 7 ID47 - ERROR is the message's", FINE, "notice"),
        ("2026-01-02T04:04:05.678901+01:00 host app[7]: WARNING x", FINE, "warning"),
        # Unix time as the first word
        ("1767323045 ERROR x", ROUND, "error"),
        ("1767323045.678901 x", FINE, None),
        ("[1767323045678] x", f"{DAY}.678+00:00", None),
        ("1767323045678901 x", FINE, None),
        ("1767323045678901000 x", FINE, None),
        ("17673230456 items", None, None),
        # Python
        ("2026-01-02 03:04:05,678 - scorer - ERROR - failed", f"{DAY}.678+00:00", "error"),
        ("ERROR:root:failed", None, "error"),
        ("WARNING:py.warnings:x", None, "warning"),
        ('INFO:     127.0.0.1:5 - "POST /predict HTTP/1.1" 500 Internal Server Error', None, "info"),
        ("[2026-01-02 03:04:05 +0000] [7] [CRITICAL] WORKER TIMEOUT", ROUND, "critical"),
        # Java
        ("2026-01-02 03:04:05,678 [main] WARN  c.e.Scorer - slow", f"{DAY}.678+00:00", "warning"),
        ("2026-01-02T03:04:05.678Z ERROR 7 --- [main] c.e.Scorer : x", f"{DAY}.678+00:00", "error"),
        ("03:04:05.678 [main] ERROR c.e.Scorer -- failed", "2026-07-01T03:04:05.678+00:00", "error"),
        ("23:04:05.678 [main] ERROR c.e.Scorer -- yesterday", "2026-06-30T23:04:05.678+00:00", "error"),
        ("Jan 02, 2026 3:04:05 AM com.example.Main main", ROUND, None),
        ("02-Jan-2026 03:04:05.678 SEVERE [main] org.apache.catalina.x", f"{DAY}.678+00:00", "error"),
        ("00:03:07 passed since then", None, None),
        # Go
        ("2026-01-02T03:04:05.678Z\terror\tmain.go:7\tfailed", f"{DAY}.678+00:00", "error"),
        ('time="2026-01-02T03:04:05Z" level=fatal msg="x"', ROUND, "critical"),
        ("ERRO[0012] failed", None, "error"),
        ("time=2026-01-02T03:04:05.678Z level=WARN msg=x", f"{DAY}.678+00:00", "warning"),
        ("t=2026-01-02T03:04:05+0000 lvl=eror msg=x", ROUND, "error"),
        ("panic: runtime error: index out of range", None, "critical"),
        # .NET, Rust, databases
        ("fail: Microsoft.AspNetCore.Server.Kestrel[13]", None, "error"),
        ("2026-01-02 03:04:05.678 +00:00 [ERR] x", f"{DAY}.678+00:00", "error"),
        ("[2026-01-02T03:04:05Z ERROR scorer] x", ROUND, "error"),
        ("2026-01-02 03:04:05.678 UTC [7] LOG:  checkpoint starting", f"{DAY}.678+00:00", "info"),
        ("2026-01-02 04:04:05.678 CET [7] FATAL:  no such role", f"{DAY}.678+00:00", "critical"),
        ("2026-01-02T03:04:05.678901Z 0 [ERROR] [MY-010119] [Server] Aborting", FINE, "error"),
        ("1:M 02 Jan 2026 03:04:05.678 * Ready to accept connections", f"{DAY}.678+00:00", None),
        # zones and other spellings of ISO 8601
        ("2026-01-02T08:34:05.678901234+05:30 x", FINE, None),
        ("2026-01-02 05:04:05,678901+02 x", FINE, None),
        ("2026-01-02T03:04:05 GMT x", ROUND, None),
        ("20260102 03:04:05.678901 x", FINE, None),
        ("2026-01-02 03:04:05 Zebras", ROUND, None),
        ("2026-01-02 03:04:05 ESTIMATE", ROUND, None),
        # words that are not meant
        ("BRACES and INFORMAL", None, None),
        ("alert the user", None, None),
        ("errors=0 failed=0", None, None),
    ],
)
def test_lines(line: str, at: str | None, level: str | None) -> None:
    expected = None if at is None else pytest.approx(datetime.fromisoformat(at).timestamp(), abs=2e-6)
    assert time_of_text(line, NOW, UTC) == expected
    assert level_of_text(line) == level


@pytest.mark.parametrize(
    ("line", "now", "at"),
    [
        ("Dec 31 23:59:59 host x", "2026-01-01T00:00:10", "2025-12-31T23:59:59"),
        ("Jan  1 00:30:00 host x", "2025-12-31T23:59:59", "2026-01-01T00:30:00"),
        ("Feb 29 12:00:00 host x", "2026-07-01T00:00:00", "2024-02-29T12:00:00"),
        ("E1231 23:59:59.000000 7 f.go:1] x", "2026-01-01T00:00:10", "2025-12-31T23:59:59"),
        ("23:59:59.500 [main] INFO x", "2026-01-01T00:00:10", "2025-12-31T23:59:59.500"),
    ],
)
def test_a_time_without_its_year_or_day_is_the_latest_that_can_be(line: str, now: str, at: str) -> None:
    seconds = datetime.fromisoformat(now + "+00:00").timestamp()
    assert time_of_text(line, seconds, UTC) == datetime.fromisoformat(at + "+00:00").timestamp()


@pytest.mark.parametrize(
    "value",
    [
        1767323045.678901,
        1767323045678.901,
        1767323045678901,
        1767323045678901000,
        "1767323045.678901",
        "1767323045678901",
        "2026-01-02T03:04:05.678901Z",
        {"seconds": 1767323045, "nanos": 678901000},
        {"epochSecond": 1767323045, "nanoOfSecond": 678901000},
        {"$date": "2026-01-02T03:04:05.678901+00:00"},
    ],
)
def test_times_of_json_fields(value: object) -> None:
    assert time_of_value(value, NOW, UTC) == pytest.approx(datetime.fromisoformat(FINE).timestamp(), abs=2e-6)


@pytest.mark.parametrize(
    ("value", "level"),
    [
        *[
            (10, "trace"),
            (20, "debug"),
            (30, "info"),
            (40, "warning"),
            (50, "error"),
            (60, "critical"),
            ("50", "error"),
        ],
        *[("EMERGENCY", "critical"), ("ALERT", "critical"), ("NOTICE", "notice"), ("DEFAULT", "info"), ("E", "error")],
        *[("dpanic", "critical"), ("FINE", "debug"), ("mine", "mine"), (3, None), (True, None)],
    ],
)
def test_levels_of_json_fields(value: object, level: str | None) -> None:
    assert level_of_value(value) == level


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (
            {"level": "error", "ts": 1767323045.678901, "caller": "a.go:1", "msg": "m", "stacktrace": "a\n\tb"},
            {"log.level": "error", "message": "m", "caller": "a.go:1", "error.stack_trace": "a\n\tb"},
        ),
        (
            {"name": "api", "pid": 7, "level": 50, "msg": "m", "time": "2026-01-02T03:04:05.678901Z", "v": 0},
            {"log.level": "error", "message": "m", "log.logger": "api"},
        ),
        (
            {"level": 50, "time": 1767323045678, "err": {"type": "E", "message": "m", "stack": "E: m\n  at f"}},
            {"log.level": "error", "error.type": "E", "error.message": "m", "error.stack_trace": "E: m\n  at f"},
        ),
        (
            {"severity": "ALERT", "timestamp": {"seconds": 1767323045, "nanos": 678901000}, "message": "m"},
            {"log.level": "critical", "message": "m"},
        ),
        (
            {"version": "1.1", "short_message": "m", "level": 3, "timestamp": 1767323045.678901},
            {"log.level": "error", "message": "m"},
        ),
        (
            {"@t": "2026-01-02T03:04:05.678901Z", "@mt": "m", "@l": "Fatal", "@x": "E: m"},
            {"log.level": "critical", "message": "m", "error.stack_trace": "E: m"},
        ),
        (
            {"Timestamp": "2026-01-02T03:04:05.678901Z", "Level": "Error", "RenderedMessage": "m"},
            {"log.level": "error", "message": "m"},
        ),
        (
            {"t": {"$date": "2026-01-02T03:04:05.678901Z"}, "s": "E", "c": "NETWORK", "id": 7, "msg": "m"},
            {"log.level": "error", "message": "m", "id_text": "7"},
        ),
        (
            {"instant": {"epochSecond": 1767323045, "nanoOfSecond": 678901000}, "level": "WARN", "loggerName": "a.B"},
            {"log.level": "warning", "log.logger": "a.B"},
        ),
        (
            {"timeUnixNano": "1767323045678901000", "severityText": "ERROR", "body": "m"},
            {"log.level": "error", "message": "m"},
        ),
        (
            {"time": 12.5, "ts": 1767323045.678901, "level": "info", "message": {"a": 1}},
            {"log.level": "info", "message_text": '{"a":1}', "time": 12.5},
        ),
    ],
    ids=["zap", "bunyan", "pino", "google", "gelf", "serilog", ".net", "mongodb", "log4j", "otel", "a duration"],
)
@pytest.mark.parametrize("as_json", [True, False])
def test_json_of_any_library(document: dict[str, Any], expected: dict[str, Any], as_json: bool) -> None:
    [record] = LogSource(json=as_json).entries(orjson.dumps(document) + b"\n", final=True).records
    assert isinstance(record, Record)
    whole = 1767323045
    assert record.at == pytest.approx(whole + 0.678901, abs=2e-3)
    assert {name: record.document.get(name) for name in expected} == expected


def test_colours_are_no_part_of_a_line() -> None:
    line = b"\x1b[32mINFO\x1b[0m:     started \x1b[1;31mred\x1b[0m\n\x1b[31;1mERROR\x1b[0m x\n"
    found = [record.document for record in LogSource().entries(line, final=True).records if isinstance(record, Record)]
    assert [entry["message"] for entry in found] == ["INFO:     started red", "ERROR x"]
    assert [entry["log.level"] for entry in found] == ["info", "error"]


def test_a_line_with_a_level_follows_an_exceptions_message() -> None:
    text = "2026-01-02 03:04:05 ERROR x\nTraceback (most recent call last):\n  f\nE: a\nand b\nINFO next\n"
    failed, following = LogSource().entries(text.encode(), final=True).records
    assert isinstance(failed, Record)
    assert isinstance(following, Record)
    assert failed.document["error.stack_trace"].endswith("E: a\nand b")
    assert following.document["message"] == "INFO next"


@given(st.text(st.characters(), max_size=60) | st.from_regex(r"[\[<]?[0-9A-Z:/ ,.-]{1,40}[\]>]?", fullmatch=True))
@settings(max_examples=500, deadline=None)
def test_no_text_makes_them_raise(line: str) -> None:
    for now in (0.0, NOW):
        at = time_of_text(line, now, UTC)
        assert at is None or isinstance(at, float)
    assert level_of_text(line) is None or level_of_text(line)
    assert level_of_value(line) is None or level_of_value(line)


@given(
    st.integers()
    | st.floats()
    | st.text(max_size=30)
    | st.dictionaries(
        st.sampled_from(["$date", "seconds", "nanos", "epochSecond"]), st.integers() | st.text(), max_size=2
    )
)
@settings(max_examples=300, deadline=None)
def test_no_value_makes_them_raise(value: object) -> None:
    time_of_value(value, NOW, UTC)
    level_of_value(value)
