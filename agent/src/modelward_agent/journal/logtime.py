"""When a log line was written, as Unix seconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

_LOOKED_AT = 160
_ISO = re.compile(
    r"(?<!\d)(\d{4})[-/](\d\d)[-/](\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?\s?(Z|UTC|[+-]\d\d:?\d\d)?(?!\d)"
)
_COMMON_LOG = re.compile(r"\[\d{1,2}/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\]")
_SYSLOG = re.compile(r"(?:<\d{1,3}>)?([A-Z][a-z]{2}) {1,2}(\d{1,2}) (\d\d):(\d\d):(\d\d)\b")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_SCALES = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))
"""Numbers beyond the first are Unix time in that fraction of a second: nano, micro, milli."""


def time_of_text(line: str, now: float, zone: tzinfo | None = None) -> float | None:
    """The time near the start of a line: ISO 8601, Python's logging, nginx, Apache or syslog. None without one.

    Without a zone it is one of `zone`, by default the machine's; without a year it is the latest before `now`.
    """
    head = line[:_LOOKED_AT]
    try:
        if match := _ISO.search(head):
            return _of_iso(match, zone)
        if match := _COMMON_LOG.search(head):
            day, month, rest = match[0][1:-1].split("/", 2)
            text = f"{int(day):02d}/{_MONTHS.index(month) + 1:02d}/{rest}"
            return datetime.strptime(text, "%d/%m/%Y:%H:%M:%S %z").timestamp()
        if match := _SYSLOG.match(head):
            return _of_syslog(match, now, zone)
    except (ValueError, OverflowError, OSError):
        return None
    return None


def time_of_value(value: Any, now: float, zone: tzinfo | None = None) -> float | None:
    """The time that a JSON log's field gives: a text, or Unix time in seconds or a fraction of them."""
    if isinstance(value, str):
        return time_of_text(value, now, zone)
    if type(value) is int or type(value) is float:
        return value / next((scale for beyond, scale in _SCALES if value >= beyond), 1.0)
    return None


def _of_iso(match: re.Match[str], zone: tzinfo | None) -> float:
    *whole, fraction, offset = match.groups()
    microsecond = int(fraction[:6].ljust(6, "0")) if fraction else 0
    moment = datetime(*map(int, whole), microsecond, tzinfo=zone)  # type: ignore[arg-type, misc]
    if offset is None:
        return moment.timestamp()
    if offset in ("Z", "UTC"):
        offset = "+00:00"
    minutes = int(offset[1:3]) * 60 + int(offset[-2:])
    utc = moment.replace(tzinfo=UTC) - timedelta(minutes=minutes if offset[0] == "+" else -minutes)
    return utc.timestamp()


def _of_syslog(match: re.Match[str], now: float, zone: tzinfo | None) -> float:
    month = _MONTHS.index(match[1]) + 1
    day, hour, minute, second = map(int, match.groups()[1:])
    year = datetime.fromtimestamp(now, zone).year
    at = datetime(year, month, day, hour, minute, second, tzinfo=zone).timestamp()
    if at > now + timedelta(days=1).total_seconds():
        return datetime(year - 1, month, day, hour, minute, second, tzinfo=zone).timestamp()
    return at
