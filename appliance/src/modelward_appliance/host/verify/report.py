"""Outcomes for people, for cron and for programs."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TextIO

from modelward_appliance.host.verify.check import Outcome, Verdict

_MARKS = {Verdict.PASSED: "ok", Verdict.FAILED: "FAILED", Verdict.SKIPPED: "skipped"}
_COLOURS = {Verdict.PASSED: "32", Verdict.FAILED: "31", Verdict.SKIPPED: "33"}
_NAME_WIDTH = 26
_INDENT = " " * (8 + _NAME_WIDTH + 10)
_LINE = 150


def line(outcome: Outcome, *, colour: bool = False) -> str:
    """The table's line of one check; what went wrong and what to do follow on lines of their own."""
    mark = f"{_MARKS[outcome.verdict]:<8}"
    if colour:
        mark = f"\x1b[{_COLOURS[outcome.verdict]}m{mark}\x1b[0m"
    first = f"{mark}{outcome.name:<{_NAME_WIDTH}}{outcome.seconds:7.2f} s  {outcome.proves}"
    lines = [first, *_wrapped("", outcome.detail)]
    if outcome.fix:
        lines += _wrapped("fix: ", outcome.fix)
    return "\n".join(lines)


def _wrapped(label: str, text: str) -> list[str]:
    return textwrap.wrap(f"{label}{text}", _LINE, initial_indent=_INDENT, subsequent_indent=_INDENT)


def summary(outcomes: Sequence[Outcome]) -> str:
    """`18 passed, 1 failed, 2 not checked`."""
    counts = {verdict: sum(outcome.verdict is verdict for outcome in outcomes) for verdict in Verdict}
    text = f"{counts[Verdict.PASSED]} passed, {counts[Verdict.FAILED]} failed"
    return f"{text}, {counts[Verdict.SKIPPED]} not checked" if counts[Verdict.SKIPPED] else text


def as_json(outcomes: Iterable[Outcome]) -> str:
    """One object: `passed` (whether nothing failed) and `checks`."""
    listed = [asdict(outcome) | {"seconds": round(outcome.seconds, 3)} for outcome in outcomes]
    passed = not any(outcome["verdict"] == Verdict.FAILED for outcome in listed)
    return json.dumps({"passed": passed, "checks": listed}, indent=2)


def show(outcomes: Iterable[Outcome], to: TextIO, *, quiet: bool = False) -> list[Outcome]:
    """Print each outcome as it comes, only failures when `quiet`; all of them."""
    seen = []
    for outcome in outcomes:
        seen.append(outcome)
        if not quiet or outcome.verdict is Verdict.FAILED:
            print(line(outcome, colour=to.isatty()), file=to, flush=True)
    if not quiet or any(outcome.verdict is Verdict.FAILED for outcome in seen):
        print(f"modelward: {summary(seen)}", file=to, flush=True)
    return seen
