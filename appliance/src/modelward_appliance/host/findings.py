"""What a preflight found, as a table."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TextIO


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "ERROR"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `fix` is empty only where all is well."""

    check: str
    level: Level
    seen: str
    fix: str = ""


_COLOURS = {Level.OK: "32", Level.WARNING: "33", Level.ERROR: "31"}
_LEVEL_WIDTH = 9
_CHECK_WIDTH = 20
_LINE = 120


def show(findings: Sequence[Finding], to: TextIO) -> None:
    """Print the table, what went wrong with its fix below."""
    for finding in findings:
        level = f"{finding.level:<{_LEVEL_WIDTH}}"
        if to.isatty():
            level = f"\x1b[{_COLOURS[finding.level]}m{level}\x1b[0m"
        indent = " " * (_LEVEL_WIDTH + _CHECK_WIDTH)
        lines = _wrapped(finding.seen, indent)
        lines[0] = f"{level}{finding.check:<{_CHECK_WIDTH}}{lines[0].strip()}"
        if finding.fix:
            lines += _wrapped(f"fix: {finding.fix}", indent)
        print("\n".join(lines), file=to, flush=True)


def _wrapped(text: str, indent: str) -> list[str]:
    """Lines of their own stay so; what one must copy is never broken."""
    return [
        line
        for paragraph in (text.splitlines() or [""])
        for line in textwrap.wrap(
            paragraph, _LINE, initial_indent=indent, subsequent_indent=indent,
            break_long_words=False, break_on_hyphens=False,
        ) or [indent]
    ]  # fmt: skip
