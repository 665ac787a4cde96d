"""Reading a journal back, through the agent's own parser: what it would quarantine fails the test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from modelward_agent.journal.parse import Record, parse_line


def recorded(journal: Path) -> list[dict[str, Any]]:
    """Every line of every file, in the order of the files' names and of writing."""
    documents = []
    for line in b"".join(path.read_bytes() for path in sorted(journal.glob("*.jsonl"))).splitlines(keepends=True):
        assert line.endswith(b"\n"), f"the last line has no end: {line[-80:]!r}"
        parsed = parse_line(line)
        assert isinstance(parsed, Record), f"{parsed}: {line[:200]!r}"
        documents.append(parsed.document)
    return documents


def only(journal: Path) -> dict[str, Any]:
    """The one line that there is."""
    (document,) = recorded(journal)
    return document
