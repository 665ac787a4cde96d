"""Docker's and CRI's log files give the entries that the container's own output would have given."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.tests.agents import append, configuration, running
from agent.tests.bulk_server import BulkServer, answering, wait_for
from modelward_agent import daemon
from modelward_agent.journal.parse import MAX_LINE, Malformed, Record
from modelward_agent.journal.source import Entries
from modelward_agent.journal.textlog import APART_BYTES, LogSource

Wrap = Callable[[str, str, float], bytes]
"""A part of a line, its stream and a second of the minute make one line of the file."""


def docker(text: str, stream: str = "stderr", second: float = 0.0) -> bytes:
    time = f"2026-01-02T03:04:{second:012.9f}Z"
    log = json.dumps(text, ensure_ascii=False)
    return f'{{"log":{log},"stream":"{stream}","time":"{time}"}}\n'.encode()


def docker_with_attrs(text: str, stream: str = "stderr", second: float = 0.0) -> bytes:
    document = {"time": f"2026-01-02T03:04:{second:012.9f}Z", "attrs": {"tag": "scorer"}, "stream": stream, "log": text}
    return json.dumps(document).encode() + b"\n"


def cri(text: str, stream: str = "stderr", second: float = 0.0) -> bytes:
    tag = "F" if text.endswith("\n") else "P"
    return f"2026-01-02T03:04:{second:012.9f}Z {stream} {tag} {text.removesuffix(chr(10))}\n".encode()


WRAPS = {"docker": docker, "docker with attrs": docker_with_attrs, "cri": cri}
wraps = pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS.keys())

TRACE = (
    "Traceback (most recent call last):\n",
    '  File "score.py", line 7, in score\n',
    "    return features['age']\n",
    "KeyError: 'age'\n",
)


def documents(content: bytes, source: LogSource | None = None) -> list[dict[str, Any]]:
    found = (source or LogSource()).entries(content, final=True)
    assert found.consumed == len(content)
    assert found.offsets == sorted(set(found.offsets))
    records = [record for record in found.records if isinstance(record, Record)]
    assert len(records) == len(found.records)
    return [record.document for record in records]


@wraps
def test_a_wrapped_line_has_its_own_level_its_stream_and_the_runtimes_time(wrap: Wrap) -> None:
    [entry] = documents(wrap("ERROR no such feature\n", "stderr", 5.25))
    assert entry.pop("attrs", {"tag": "scorer"}) == {"tag": "scorer"}
    assert entry == {
        "@timestamp": "2026-01-02T03:04:05.250000Z",
        "kind": "log",
        "log.level": "error",
        "message": "ERROR no such feature",
        "stream": "stderr",
    }


@wraps
def test_a_time_that_the_line_names_itself_is_believed(wrap: Wrap) -> None:
    full, without_year, nonsense = documents(
        wrap("2026-01-02T01:00:00Z INFO up\n", "stdout", 5)
        + wrap("I0102 02:00:00.500000Z       1 main.go:7] up\n".replace("Z", ""), "stdout", 6)
        + wrap("1971-01-01T00:00:00Z INFO the clock is not set\n", "stdout", 7)
    )
    assert full["@timestamp"] == "2026-01-02T01:00:00.000000Z"
    assert without_year["log.level"] == "info"
    assert nonsense["@timestamp"] == "2026-01-02T03:04:07.000000Z"


@wraps
def test_a_traceback_over_several_wrapped_lines_is_one_entry(wrap: Wrap) -> None:
    lines = ("2026-01-02 03:04:05,000 ERROR app: failed\n", *TRACE, "INFO next\n")
    failed, following = documents(b"".join(wrap(line, "stderr", 1) for line in lines))
    assert failed["log.level"] == "error"
    assert (failed["error.type"], failed["error.message"]) == ("KeyError", "'age'")
    assert failed["error.stack_trace"] == "".join(TRACE).rstrip("\n")
    assert following["message"] == "INFO next"


@wraps
def test_streams_do_not_mix(wrap: Wrap) -> None:
    lines = []
    for number, line in enumerate(TRACE):
        lines += [wrap(line, "stderr", number / 10), wrap(f"INFO request {number}\n", "stdout", number / 10)]
    found = documents(b"".join(lines))
    crash, *requests = found
    assert crash["error.stack_trace"] == "".join(TRACE).rstrip("\n")
    assert [entry["message"] for entry in requests] == [f"INFO request {number}" for number in range(4)]
    assert [entry["stream"] for entry in found] == ["stderr"] + ["stdout"] * 4


@wraps
def test_json_inside_becomes_fields(wrap: Wrap) -> None:
    inner = {"level": "error", "msg": "failed", "took": 3, "stream": "kinesis-7"}
    [entry] = documents(wrap(json.dumps(inner) + "\n", "stdout", 5))
    assert (entry["log.level"], entry["message"], entry["took"]) == ("error", "failed", 3)
    assert (entry["stream"], entry["stream_text"]) == ("stdout", "kinesis-7")
    assert entry["@timestamp"] == "2026-01-02T03:04:05.000000Z"


@wraps
def test_parts_of_a_long_line_are_joined(wrap: Wrap) -> None:
    line = json.dumps({"level": "error", "msg": "ü" * 40_000}, ensure_ascii=False) + "\n"
    parts = [line[start : start + 16_384] for start in range(0, len(line), 16_384)]
    other = wrap("INFO in between\n", "stdout", 1)
    long, short = documents(other.join(wrap(part, "stderr", 1) for part in parts[:2]) + wrap(parts[2], "stderr", 1))
    assert (long["log.level"], long["message"]) == ("error", "ü" * 40_000)
    assert short["message"] == "INFO in between"


def test_cri_may_cut_a_character_in_two() -> None:
    whole = "ERROR caf\u00e9\n".encode()
    content = cri("x").replace(b"x", whole[:-2]) + cri("x\n").replace(b"x", whole[-2:-1])
    assert [entry["message"] for entry in documents(content)] == ["ERROR café"]


@wraps
def test_a_line_that_its_container_did_not_finish_is_not_joined_with_the_next_start(wrap: Wrap) -> None:
    dying, starting = documents(wrap("Segmentation fault", "stderr", 1) + wrap("INFO started\n", "stderr", 12))
    assert (dying["message"], starting["message"]) == ("Segmentation fault", "INFO started")


@wraps
def test_a_joined_line_that_is_too_long_is_malformed_and_blocks_nothing(wrap: Wrap) -> None:
    content = b"".join(wrap("x" * 16_384, "stderr", 1) for _ in range(MAX_LINE // 16_384 + 1)) + wrap("\n", "stderr", 1)
    found = LogSource().entries(content + wrap("INFO after\n", "stderr", 1), final=True)
    long, after = found.records
    assert isinstance(long, Malformed)
    assert long.reason == "too_long"
    assert isinstance(after, Record)
    assert after.document["message"] == "INFO after"


@wraps
def test_a_stream_that_falls_silent_does_not_hold_back_the_other(wrap: Wrap) -> None:
    soon = wrap("ERROR last words\n", "stderr", 1) + wrap("INFO on\n", "stdout", 2)
    assert LogSource().entries(soon, final=False).consumed == 0
    later = soon + wrap("INFO on\n", "stdout", 7)
    assert len(LogSource().entries(later, final=False).records) == 2
    much = soon + wrap("INFO on\n", "stdout", 2) * (APART_BYTES // 40)
    assert LogSource().entries(much, final=False).consumed > 0


def test_lines_that_only_look_like_wrapped_ones_are_read_as_they_are() -> None:
    lines = [
        '{"log":"INFO x","stream":"kafka","time":"2026-01-02T03:04:05Z"}',
        '{"log":"INFO x","stream":"stdout","time":"2026-01-02T03:04:05Z","mine":1}',
        "2026-01-02T03:04:05Z stdout of the job",
        "2026-01-02T03:04:05Z ERROR stdout F is full",
    ]
    for line in lines:
        [entry] = documents(line.encode() + b"\n")
        assert entry.get("stream") != "stderr"
        assert entry["message"]


# -- whatever is written, and however it is read ----------------------------------------------------------------------

SOME_LINES = [
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
    "plain caf\u00e9 \u4e00",
    '{"msg": "x", "level": "warn"}',
    '{"loss": NaN, "level": "error"}',
    '{"msg": "cut',
    "E0102 03:04:05.678901   12345 file.go:12] text",
]
logs = st.lists(
    st.sampled_from(SOME_LINES)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\x00\x1b\r"), max_size=30)
)


def wrapped(streams: Sequence[tuple[str, list[str]]], wrap: Wrap, chance: random.Random) -> bytes:
    """The logs' lines in one file, in parts at random, in an order at random that keeps each log's own."""
    parts: dict[str, list[str]] = {}
    for stream, lines in streams:
        parts[stream] = []
        for line in lines:
            cuts = sorted({0, *(chance.randint(0, len(line)) for _ in range(chance.choice((0, 0, 2))))})
            pieces = [line[start:end] for start, end in zip(cuts, [*cuts[1:], None], strict=True)]
            parts[stream] += [*(piece for piece in pieces[:-1] if piece), pieces[-1] + "\n"]
    written: list[bytes] = []
    while any(parts.values()):
        stream = chance.choice([stream for stream, left in parts.items() if left])
        written.append(wrap(parts[stream].pop(0), stream, len(written) / 1000))
    return b"".join(written)


def in_pieces(content: bytes, source: LogSource, chance: random.Random) -> Iterator[tuple[int, Entries]]:
    """What a file gives that is read as it grows by whole lines; each with where the stretch began."""
    start = end = 0
    while end < len(content):
        for _ in range(chance.randint(1, 5)):
            end = content.find(b"\n", end) + 1 or len(content)
        found = source.entries(content[start:end], final=end == len(content))
        if chance.random() < 0.3 and len(found.records) > 1:
            found = found.before(chance.randint(1, len(found.records) - 1))
            end = start + max(found.consumed, content[start:end].rfind(b"\n", 0, end - start - 1) + 1)
        yield start, found
        start += found.consumed
    yield start, source.entries(content[start:], final=True)


def said(records: Sequence[Record | Malformed], stream: str | None = None) -> list[tuple[Any, ...]]:
    names = ("message", "log.level", "error.type", "error.stack_trace", "msg", "loss")
    kept = [record.document for record in records if isinstance(record, Record)]
    return [
        tuple(document.get(name) for name in names) for document in kept if stream in (None, document.get("stream"))
    ]


@given(logs, logs, st.sampled_from(sorted(WRAPS)), st.booleans(), st.randoms(use_true_random=False))
@settings(max_examples=300, deadline=None)
def test_wrapping_a_log_changes_none_of_its_entries(
    out: list[str], err: list[str], wrap: str, as_json: bool, chance: random.Random
) -> None:
    source = LogSource(json=as_json)
    content = wrapped([("stdout", out), ("stderr", err)], WRAPS[wrap], chance)
    found = source.entries(content, final=True).records
    for stream, lines in (("stdout", out), ("stderr", err)):
        plain = source.entries("".join(line + "\n" for line in lines).encode(), final=True).records
        assert said(found, stream) == said(plain)


@given(logs, logs, st.sampled_from(sorted(WRAPS)), st.randoms(use_true_random=False))
@settings(max_examples=300, deadline=None)
def test_reading_in_pieces_gives_the_same_entries_at_the_same_places(
    out: list[str], err: list[str], wrap: str, chance: random.Random
) -> None:
    source = LogSource()
    content = wrapped([("stdout", out), ("stderr", err)], WRAPS[wrap], chance)
    whole = source.entries(content, final=True)
    offsets: list[int] = []
    records: list[Record | Malformed] = []
    for start, found in in_pieces(content, source, chance):
        offsets += [start + offset for offset in found.offsets]
        records += found.records
    assert offsets == whole.offsets
    assert said(records) == said(whole.records)


pieces = st.sampled_from(
    [docker("x\n"), docker("x"), cri("x\n"), cri("x"), b'{"log":', b"\xef\xbb\xbf", b"\n", b"\x00"]
)


@given(st.lists(pieces | st.binary(max_size=20), max_size=12), st.booleans(), st.booleans())
@settings(max_examples=300, deadline=None)
def test_no_bytes_make_it_raise_or_give_a_nul(content: list[bytes], as_json: bool, final: bool) -> None:
    stretch = b"".join(content)
    found = LogSource(json=as_json).entries(stretch, final=final)
    assert 0 <= found.consumed <= len(stretch)
    assert not any("\x00" in record.document["message"] for record in found.records if isinstance(record, Record))


# -- the agent -------------------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[BulkServer]:
    server = BulkServer()
    yield server
    server.close()


@wraps
def test_the_agent_counts_a_containers_errors_and_ships_each_once(
    tmp_path: Path, server: BulkServer, wrap: Wrap
) -> None:
    log = tmp_path / "0.log"
    config = configuration(tmp_path, server, logs=[{"path": str(log)}])
    lines = [wrap(line, "stderr", 1) for line in ("ERROR app: failed\n", *TRACE)]
    append(log, b"".join(lines[:3]))
    # Between two lines of a traceback, and between two parts of a line.
    with running(config) as agent:
        wait_for(lambda: agent.status()["files_followed"] == 1)
        append(log, b"".join(lines[3:]) + wrap("INFO a part ", "stderr", 1))
        append(log, wrap("and its end\n", "stderr", 1))
        wait_for(lambda: len(server.logs()) == 2)
    append(log, wrap("INFO more\n", "stderr", 2))
    with running(config) as agent:
        wait_for(lambda: len(server.logs()) == 3)
        assert agent.metrics.log_matches == {("errors", ""): 1}
    messages = sorted(document["message"] for _, document in server.logs())
    assert messages == ["ERROR app: failed", "INFO a part and its end", "INFO more"]


@wraps
def test_a_line_of_half_a_megabyte_is_one_entry(tmp_path: Path, server: BulkServer, wrap: Wrap) -> None:
    log = tmp_path / "0.log"
    config = configuration(tmp_path, server, logs=[{"path": str(log)}])
    parts = [wrap("ERROR " + "x" * 16_378, "stderr", 1)] * 31 + [wrap("end\n", "stderr", 1)]
    append(log, wrap("INFO before\n", "stderr", 1) * 100 + b"".join(parts) + wrap("INFO after\n", "stderr", 1))
    with running(config):
        wait_for(lambda: len(server.logs()) == 102)
    assert max(len(document["message"]) for _, document in server.logs()) == 31 * 16_384 + 3


@pytest.mark.parametrize("late", [False, True], ids=["as it is read", "by the shipper's own reading"])
@pytest.mark.parametrize("wrap", [None, docker, cri], ids=["plain", "docker", "cri"])
def test_what_is_caught_up_on_is_cut_in_no_entry(
    tmp_path: Path, server: BulkServer, wrap: Wrap | None, late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As for a file that has been there for long.
    monkeypatch.setattr(daemon, "ENTRY_SECONDS", 0.0)
    lines = [line for number in range(5000) for line in (f"ERROR app: failure {number}\n", *TRACE)]
    content = [line.encode() if wrap is None else wrap(line, "stderr", 1) for line in lines]
    log = append(tmp_path / "0.log", b"".join(content))
    config = configuration(tmp_path, server, logs=[{"path": str(log)}])
    if late:
        server.always = answering(503)
    with running(config) as agent:
        if late:
            wait_for(lambda: agent.status()["files"] and agent.status()["files"][0]["folded"] == log.stat().st_size)
            server.always = None
        wait_for(lambda: len(server.logs()) >= 5000, 30)
    assert {document.get("error.stack_trace") for _, document in server.logs()} == {"".join(TRACE).rstrip("\n")}
    assert len(server.logs()) == 5000
