"""Durations as people write them: `5m`, `1h30m`, `7d`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"(?:\d+[smhdw])+")
_LONGEST = timedelta(days=36_525)
"""Beyond it sums with moments leave the calendar."""

_DIGITS = 18
"""So many are beyond it for sure."""

_TERM = re.compile(r"(\d+)([smhdw])")


def parse_duration(text: str) -> timedelta:
    """`1h30m` as a timedelta; ValueError that says how to write it."""
    if not _DURATION.fullmatch(text):
        raise ValueError(f'"{text}" is not a duration; write for example 5m, 1h or 7d')
    seconds = sum(int(count[:_DIGITS]) * _UNITS[unit] for count, unit in _TERM.findall(text))
    if seconds > _LONGEST.total_seconds():
        raise ValueError(f'"{text}" is longer than a hundred years; write for example 5m, 1h or 7d')
    return timedelta(seconds=seconds)


def format_duration(duration: timedelta) -> str:
    """Days, hours, minutes and seconds that `parse_duration` reads back, whole seconds; `0s` for none."""
    seconds = round(duration.total_seconds())
    terms = []
    for unit in "dhms":  # 30d says more than 4w2d
        count, seconds = divmod(seconds, _UNITS[unit])
        if count:
            terms.append(f"{count}{unit}")
    return "".join(terms) or "0s"


def _read(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str):
        return parse_duration(value)
    raise ValueError(f"{value!r} is not a duration; write for example 5m, 1h or 7d")


Duration = Annotated[timedelta, BeforeValidator(_read), PlainSerializer(format_duration, return_type=str)]
