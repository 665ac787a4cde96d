"""Regular expressions that may be run on every log line: those that can take forever are refused."""

from __future__ import annotations

import re
from typing import Final

LONGEST: Final = 1000
"""Characters of a pattern."""

_UNBOUNDED: Final = re.compile(r"[*+]|\{\d*,\}")
_CLASS: Final = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)


def check_pattern(text: str) -> re.Pattern[str]:
    """The compiled pattern. ValueError when it is none, or repeats something that itself repeats without a bound.

    `(a+)+` tries exponentially many ways to fail on `aaaa…!`, which no bound on a line's length makes harmless.
    """
    if len(text) > LONGEST:
        raise ValueError(f"has {len(text)} characters; write at most {LONGEST}")
    try:
        pattern = re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f'"{text}" is not a regular expression ({error}); correct it') from error
    if repeats_a_repeat(text):
        raise ValueError(
            f'"{text}" repeats a group that itself repeats without a bound, which can take forever on one line; '
            r"write the inner repeat with a bound, for example (\w{1,40},)+"
        )
    return pattern


def repeats_a_repeat(text: str) -> bool:
    """Whether a group that holds `*`, `+` or `{n,}` has one of them itself."""
    groups = [False]
    at, closed = 0, False
    while at < len(text):
        if text[at] == "\\":
            at, closed = at + 2, False
            continue
        if text[at] == "[" and (chars := _CLASS.match(text, at)):
            at, closed = chars.end(), False
            continue
        if quantifier := _UNBOUNDED.match(text, at):
            if closed:
                return True
            groups[-1] = True
            at, closed = quantifier.end(), False
            continue
        inner = False
        if text[at] == "(":
            groups.append(False)
        elif text[at] == ")" and len(groups) > 1:
            inner = groups.pop()
            groups[-1] = groups[-1] or inner
        at, closed = at + 1, inner
    return False
