"""The quarantine keeps reasons and heads of lines, and stays small."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from modelward_agent.journal.quarantine import HEAD_BYTES, Quarantine


def entries(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted(folder.glob("*.jsonl")) for line in path.read_bytes().splitlines()]


def test_an_entry_says_why_where_and_what(tmp_path: Path) -> None:
    Quarantine(tmp_path).keep("not_json", file="/j/a.jsonl", offset=17, line=b"{oops", detail="unexpected end")
    (entry,) = entries(tmp_path)
    assert entry.pop("at").endswith("+00:00")
    assert entry == {
        "reason": "not_json",
        "detail": "unexpected end",
        "file": "/j/a.jsonl",
        "offset": 17,
        "head": "{oops",
    }


@pytest.mark.parametrize("line", [b"\xff\xfe", b"a" * 5000 + b"\xff", b"\xff" + b"a" * 5000])
def test_bytes_that_are_no_text_can_be_read_back(tmp_path: Path, line: bytes) -> None:
    Quarantine(tmp_path).keep("not_utf8", file="f", offset=0, line=line)
    (entry,) = entries(tmp_path)
    kept = base64.b64decode(entry["head_base64"]) if "head_base64" in entry else entry["head"].encode()
    assert kept == line[:HEAD_BYTES]


def test_a_long_line_is_cut_between_characters(tmp_path: Path) -> None:
    Quarantine(tmp_path).keep("too_long", file="f", offset=0, line="aé".encode() * 5000)
    (entry,) = entries(tmp_path)
    assert ("aé" * 5000).startswith(entry["head"])
    assert HEAD_BYTES - 1 <= len(entry["head"].encode()) <= HEAD_BYTES


def test_the_oldest_entries_go_when_it_is_full(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path, max_bytes=80_000)
    for number in range(2000):
        quarantine.keep("not_json", file="f", offset=number, line=b"x" * 100)
    kept = [entry["offset"] for entry in entries(tmp_path)]
    assert kept == list(range(kept[0], 2000))
    assert 60_000 < sum(path.stat().st_size for path in tmp_path.iterdir()) <= 80_000


def test_it_goes_on_after_a_restart_in_the_same_file(tmp_path: Path) -> None:
    for offset in range(3):
        Quarantine(tmp_path).keep("not_json", file="f", offset=offset, line=b"x")
    assert [entry["offset"] for entry in entries(tmp_path)] == [0, 1, 2]
    assert len(list(tmp_path.iterdir())) == 1
