"""What a journal line may be, and what is said of one that is not."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from modelward_agent.journal.parse import MAX_LINE, Kind, Malformed, Record, parse_line, parse_lines

NOW = 1_782_909_296.0
"""2026-07-01T12:34:56Z."""

PREDICTION: dict[str, Any] = {
    "@timestamp": "2026-07-01T12:34:56.000001Z",
    "kind": "prediction",
    "model": "fraud",
    "version": "3",
    "id": "0190",
    "features": {"amount": 1.5, "country": "DE", "new": True, "age": None, "embedding": [0.1, 0.2]},
    "prediction": {"yes": 0.7, "no": 0.3},
    "latency_ms": 1.25,
    "segment": {"region": "eu"},
}
ACTUAL = {"@timestamp": "2026-07-01T12:34:56Z", "kind": "actual", "model": "fraud", "id": "0190", "actual": "yes"}
STAGE = {
    "@timestamp": "2026-07-01T12:34:56Z",
    "kind": "stage",
    "pipeline": "nightly",
    "stage": "score",
    "status": "ok",
    "duration_ms": 12.5,
    "rows": 100,
}
BUSINESS = {"@timestamp": "2026-07-01T12:34:56Z", "kind": "business", "event": "revenue", "value": 9.5}
ERROR = {"@timestamp": "2026-07-01T12:34:56Z", "kind": "error", "model": "fraud", "message": "no such column"}
LOG = {"@timestamp": "2026-07-01T12:34:56Z", "kind": "log", "log.level": "info", "message": "started"}


def parsed(document: object) -> Record | Malformed:
    return parse_line(orjson.dumps(document), now=NOW)


def reason(document: object) -> str:
    answer = parsed(document)
    assert isinstance(answer, Malformed), answer
    assert answer.detail
    return answer.reason


@pytest.mark.parametrize("document", [PREDICTION, ACTUAL, STAGE, BUSINESS, ERROR, LOG], ids=lambda d: str(d["kind"]))
def test_a_line_of_each_kind_is_a_record(document: dict[str, Any]) -> None:
    answer = parsed(document)
    assert isinstance(answer, Record)
    assert answer.kind is Kind(document["kind"])
    assert answer.document == document
    assert answer.at == pytest.approx(NOW, abs=1e-5)


@pytest.mark.parametrize("newline", [b"", b"\n", b"\r\n"])
def test_a_newline_at_the_end_is_no_matter(newline: bytes) -> None:
    assert isinstance(parse_line(orjson.dumps(PREDICTION) + newline, now=NOW), Record)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-07-01T12:34:56.000001Z", NOW + 1e-6),
        ("2026-07-01T12:34:56.250000Z", NOW + 0.25),
        ("2026-07-01T12:34:56Z", NOW),
        ("2026-07-01T12:34:56.5Z", NOW + 0.5),
        ("2026-07-01T12:34:56.123456789Z", NOW + 0.123456),
        ("2026-07-01T14:34:56+02:00", NOW),
        ("2026-07-01T07:04:56.750000-05:30", NOW + 0.75),
        ("2013-01-01T00:00:00.000000Z", 1_356_998_400.0),
    ],
)
def test_a_timestamp_is_read_to_the_microsecond_in_any_zone(text: str, at: float) -> None:
    for _ in range(2):  # the second time its second is known
        answer = parsed({**PREDICTION, "@timestamp": text})
        assert isinstance(answer, Record)
        assert answer.at == pytest.approx(at, abs=1e-6)


@pytest.mark.parametrize(
    "text",
    [
        "2026-07-01T12:34:56",
        "2026-07-01 12:34:56Z",
        "2026-07-01",
        "2026-13-01T12:34:56.000000Z",
        "2026-07-01T25:34:56.000000Z",
        "2026-07-01T12:34:56.00000xZ",
        "2026-07-01T12:34:56.+00001Z",
        "2026-07-01T12:34:56.٠٠٠٠٠١Z",
        "2026-07-01T12:34:56.000001z",
        "1989-12-31T23:59:59.000000Z",
        "2026-07-02T12:34:57.000000Z",
        "9999-12-31T23:59:59.999999Z",
        "0000-01-01T00:00:00Z",
        "yesterday",
        "",
        1_782_909_296,
        ["2026"],
    ],
)
def test_any_other_timestamp_is_malformed(text: object) -> None:
    assert isinstance(parsed(PREDICTION), Record)  # so that the second of most of these is known
    assert reason({**PREDICTION, "@timestamp": text}) == "bad_timestamp"


def test_a_clock_that_jumps_back_is_believed() -> None:
    assert isinstance(parsed({**PREDICTION, "@timestamp": "2026-06-01T00:00:00.000000Z"}), Record)


def test_a_timestamp_up_to_a_day_ahead_is_believed() -> None:
    assert isinstance(parsed({**PREDICTION, "@timestamp": "2026-07-02T12:34:55.000000Z"}), Record)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ([PREDICTION], "not_an_object"),
        ("text", "not_an_object"),
        (None, "not_an_object"),
        ({**PREDICTION, "kind": "guess"}, "unknown_kind"),
        ({**PREDICTION, "kind": None}, "unknown_kind"),
        ({**PREDICTION, "kind": ["prediction"]}, "unknown_kind"),
        ({key: value for key, value in PREDICTION.items() if key != "kind"}, "missing_field:kind"),
        ({key: value for key, value in PREDICTION.items() if key != "@timestamp"}, "missing_field:@timestamp"),
        ({**PREDICTION, "model": None}, "missing_field:model"),
        ({**PREDICTION, "model": ""}, "missing_field:model"),
        ({**PREDICTION, "model": 7}, "wrong_type:model"),
        ({**PREDICTION, "model": "m" * 201}, "too_long:model"),
        ({**PREDICTION, "version": 3}, "wrong_type:version"),
        ({**PREDICTION, "version": "v" * 201}, "too_long:version"),
        ({**PREDICTION, "id": 12}, "wrong_type:id"),
        ({**PREDICTION, "id": "i" * 513}, "too_long:id"),
        ({**PREDICTION, "features": None}, "missing_field:features"),
        ({**PREDICTION, "features": [1, 2]}, "wrong_type:features"),
        ({**PREDICTION, "prediction": [0.5]}, "wrong_type:prediction"),
        ({**PREDICTION, "prediction": {}}, "wrong_type:prediction"),
        ({**PREDICTION, "prediction": {"yes": "high"}}, "wrong_type:prediction"),
        ({**PREDICTION, "prediction": {"yes": True}}, "wrong_type:prediction"),
        ({**PREDICTION, "prediction": {"yes": [0.5]}}, "wrong_type:prediction"),
        ({**PREDICTION, "latency_ms": -1}, "wrong_type:latency_ms"),
        ({**PREDICTION, "latency_ms": "3"}, "wrong_type:latency_ms"),
        ({**PREDICTION, "latency_ms": True}, "wrong_type:latency_ms"),
        ({**PREDICTION, "segment": "eu"}, "wrong_type:segment"),
        ({**PREDICTION, "segment": {"region": 3}}, "wrong_type:segment"),
        ({**PREDICTION, "segment": {"region": "r" * 201}}, "too_long:segment"),
        ({**ACTUAL, "id": None}, "missing_field:id"),
        ({**ACTUAL, "actual": None}, "missing_field:actual"),
        ({**ACTUAL, "actual": {"yes": 1}}, "wrong_type:actual"),
        ({**ERROR, "model": None}, "missing_field:model"),
        ({**LOG, "message": 7}, "wrong_type:message"),
        ({**STAGE, "pipeline": None}, "missing_field:pipeline"),
        ({**STAGE, "rows": "many"}, "wrong_type:rows"),
        ({**STAGE, "duration_ms": -1}, "wrong_type:duration_ms"),
        ({**BUSINESS, "event": None}, "missing_field:event"),
        ({**BUSINESS, "value": "9.5"}, "wrong_type:value"),
    ],
)
def test_what_is_wrong_has_a_short_name_and_a_sentence(document: object, expected: str) -> None:
    assert reason(document) == expected


@pytest.mark.parametrize(
    "document",
    [
        {**PREDICTION, "prediction": 0.25},
        {**PREDICTION, "prediction": "NaN"},
        {**PREDICTION, "prediction": {"yes": "NaN", "no": 1}},
        {**PREDICTION, "prediction": True},
        {**PREDICTION, "prediction": None},
        {**PREDICTION, "features": {}},
        {**PREDICTION, "features": {"odd": {"nested": [1]}}},
        {**PREDICTION, "latency_ms": None, "segment": None, "version": None, "id": None},
        {**ACTUAL, "actual": 0},
        {**ACTUAL, "actual": "Infinity"},
    ],
)
def test_what_the_contract_leaves_open_is_taken(document: object) -> None:
    assert isinstance(parsed(document), Record)


def test_a_ten_megabyte_line_is_too_long_and_blocks_nothing() -> None:
    long = orjson.dumps({**PREDICTION, "features": {"text": "x" * 10_000_000}})
    fine = orjson.dumps(PREDICTION)
    first, second, third = parse_lines([fine, long, fine], now=NOW)
    assert isinstance(first, Record)
    assert isinstance(second, Malformed)
    assert second.reason == "too_long"
    assert isinstance(third, Record)


def test_a_line_of_exactly_the_longest_length_is_taken() -> None:
    room = MAX_LINE - len(orjson.dumps({**PREDICTION, "features": {"text": ""}}))
    line = orjson.dumps({**PREDICTION, "features": {"text": "x" * room}})
    assert len(line) == MAX_LINE
    assert isinstance(parse_line(line + b"\r\n", now=NOW), Record)
    assert parse_line(line + b" ", now=NOW).reason == "too_long"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"", "not_json"),
        (b"\n", "not_json"),
        (b"\x00" * 100, "not_json"),
        (b"{", "not_json"),
        (orjson.dumps(PREDICTION)[:-1], "not_json"),
        (orjson.dumps(PREDICTION) * 2, "not_json"),
        (b'{"a": "\xff"}', "not_utf8"),
        (orjson.dumps(PREDICTION).replace(b"fraud", b"fr\xe4ud"), "not_utf8"),
        (b"[" * 100_000, "not_json"),
    ],
)
def test_bytes_that_are_not_json_are_malformed(line: bytes, expected: str) -> None:
    answer = parse_line(line, now=NOW)
    assert isinstance(answer, Malformed)
    assert answer.reason == expected


def test_a_bare_nan_is_answered_with_how_to_write_it() -> None:
    answer = parse_line(b'{"kind": "prediction", "features": {"a": NaN}}', now=NOW)
    assert isinstance(answer, Malformed)
    assert '"NaN"' in answer.detail


def test_a_deep_object_in_the_place_of_a_name_is_named_not_walked() -> None:
    line = b'{"@timestamp":"2026-07-01T12:34:56Z","kind":"actual","model":' + b"[" * 1000 + b"]" * 1000 + b"}"
    assert parse_line(line, now=NOW).reason == "wrong_type:model"  # type: ignore[union-attr]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from([PREDICTION, ACTUAL, STAGE, BUSINESS, ERROR, LOG]), st.data())
@settings(max_examples=300, deadline=None)
def test_no_value_in_any_field_makes_the_parser_raise(document: dict[str, Any], data: st.DataObject) -> None:
    field = data.draw(st.sampled_from(sorted(document)))
    parsed({**document, field: data.draw(json_values)})


@given(st.lists(st.binary(max_size=60), max_size=5))
@example([b"\xef\xbb\xbf{}"])
@settings(max_examples=300, deadline=None)
def test_no_bytes_make_the_parser_raise_and_every_line_is_answered(lines: list[bytes]) -> None:
    assert len(parse_lines(lines, now=NOW)) == len(lines)


@given(st.integers(0, 10_000), st.integers(0, 255))
@settings(max_examples=300, deadline=None)
def test_no_damaged_byte_makes_the_parser_raise(position: int, byte: int) -> None:
    line = bytearray(orjson.dumps(PREDICTION))
    line[position % len(line)] = byte
    parse_line(bytes(line), now=NOW)
