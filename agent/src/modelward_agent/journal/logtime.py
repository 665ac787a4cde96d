"""When a log line was written, as Unix seconds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Any

_LOOKED_AT = 160
_MONTHS = {
    name: number
    for number, name in enumerate("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)  # noqa: SIM905
}
_ZONES = dict.fromkeys(("Z", "UTC", "GMT", "WET"), 0)
_ZONES |= {"EST": -300, "EDT": -240, "CST": -360, "CDT": -300, "MST": -420, "MDT": -360, "PST": -480, "PDT": -420}
_ZONES |= {"WEST": 60, "CET": 60, "CEST": 120, "EET": 120, "EEST": 180, "MSK": 180, "JST": 540}
"""Minutes east of Greenwich: those of RFC 822, and Europe's and Japan's. Other names stand for several zones."""

_CLOCK = r"(\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))?"
_ZONE = rf"(?:\s?((?:{'|'.join(_ZONES)})\b|[+-]\d\d:?\d\d)|([+-]\d\d))?(?!\d)"
_ISO = re.compile(rf"([12]\d\d\d)(?<!\d\d\d\d\d)([-/.]?)([01]\d)\2([0-3]\d)[T _]{_CLOCK}{_ZONE}")
_COMMON_LOG = re.compile(r"\[(\d\d?)/([A-Z][a-z]{2})/(\d{4}):(\d\d:\d\d:\d\d)(?:\.(\d{1,9}))? ([+-]\d{4})\]")
_DAY_FIRST = re.compile(rf"(\d\d?)(?<!\d\d\d)[ -]([A-Z][a-z]{{2}})[ -](\d{{4}}),? {_CLOCK}{_ZONE}")
_AT_START = re.compile(
    r"(?:<\d{1,3}>)?\[?(?:"
    r"(?:(?P<weekday>[A-Z][a-z]{2}),? )?(?P<month>[A-Z][a-z]{2}) {1,2}(?P<day>\d\d?)(?:,? (?P<year>\d{4}),?)? "
    r"(?P<clock>\d\d?:\d\d:\d\d)(?:[.,](?P<fraction>\d{1,9}))?\b"
    r"(?: (?P<half>[AP]M)\b)?(?: (?P<zone>[A-Z]{3,4}|[+-]\d{4})\b)?(?: (?P<last>\d{4})\b)?"
    r"|[DIWEF](?P<klog>(?:\d{4}){1,2}) {1,2}(?P<klog_clock>\d\d:\d\d:\d\d)(?:\.(?P<klog_fraction>\d{1,9}))?\b"
    r"|(?P<epoch>1\d{9}(?:[.,]\d{1,9}|\d{3}|\d{6}|\d{9})?)(?![^\]\s:|,;])"
    r"|(?P<today>\d\d:\d\d:\d\d)(?:[.,](?P<today_fraction>\d{1,9})|(?<=\[\d\d:\d\d:\d\d))(?![^\]\s|,;])"
    r")"
)
_NUMBER = re.compile(r"\d{9,19}(?:\.\d{1,9})?")
_SCALES = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))
"""Numbers beyond the first are Unix time in that fraction of a second: nano, micro, milli."""

_AHEAD = timedelta(days=1)
_SECONDS_CACHED = 4096


def time_of_text(line: str, now: float, zone: tzinfo | None = None) -> float | None:
    """The time near the start of a line, None without one.

    ISO 8601 and its relatives, Python's logging, web servers' access and error logs, syslog, klog, RFC 1123, ctime; as
    the first word also Unix time, and a time of day with a fraction or in a bracket (a duration has neither). Without a
    zone it is one of `zone`, by default the machine's; without a year or a date it is the latest before `now`.
    """
    head = line[:_LOOKED_AT]
    try:
        if match := _ISO.search(head):
            year, _, month, day, clock, fraction, offset, hours = match.groups()
            return _moment(year, month, day, clock, offset or hours, zone) + _fraction(fraction)
        if match := _AT_START.match(head):
            return _of_start(match, now, zone)
        if match := _COMMON_LOG.search(head):
            day, month, year, clock, fraction, offset = match.groups()
            return _moment(year, _month(month), day, clock, offset, None) + _fraction(fraction)
        if match := _DAY_FIRST.search(head):
            day, month, year, clock, fraction, offset, hours = match.groups()
            return _moment(year, _month(month), day, clock, offset or hours, zone) + _fraction(fraction)
    except (ValueError, OverflowError, OSError):
        return None
    return None


def time_of_value(value: Any, now: float, zone: tzinfo | None = None) -> float | None:
    """The time that a JSON log's field gives.

    A text, or Unix time in seconds or a fraction of them, or an object of seconds and nanoseconds as Google's and
    log4j's writers have it, or MongoDB's `{"$date": …}`.
    """
    if isinstance(value, str):
        return _of_number(float(value)) if _NUMBER.fullmatch(value) else time_of_text(value, now, zone)
    if type(value) is int or type(value) is float:
        return _of_number(value)
    if isinstance(value, dict):
        return _of_object(value, now, zone)
    return None


def _of_number(value: float) -> float:
    return value / next((scale for beyond, scale in _SCALES if value >= beyond), 1.0)


def _of_object(value: dict[str, Any], now: float, zone: tzinfo | None) -> float | None:
    if "$date" in value:
        return time_of_value(value["$date"], now, zone) if not isinstance(value["$date"], dict) else None
    for whole, part in (("seconds", "nanos"), ("epochSecond", "nanoOfSecond")):
        seconds, nanoseconds = value.get(whole), value.get(part, 0)
        if type(seconds) is int and type(nanoseconds) is int:
            return seconds + nanoseconds * 1e-9
    return None


def _month(name: str) -> str:
    """The month's number. ValueError when there is no such month."""
    if name not in _MONTHS:
        raise ValueError(name)
    return f"{_MONTHS[name]:02d}"


def _fraction(digits: str | None) -> float:
    """Digits after the point in seconds, to the microsecond."""
    return int(digits[:6].ljust(6, "0")) * 1e-6 if digits else 0.0


@lru_cache(_SECONDS_CACHED)
def _moment(year: str, month: str, day: str, clock: str, offset: str | None, zone: tzinfo | None) -> float:
    """Unix time of a whole second. Lines of one second come together, so the latest are remembered."""
    hour, minute, second = map(int, clock.split(":"))
    zone = zone if offset is None else _zone(offset)
    leap = second == 60  # written as it is on the clock, and a second after the one before
    at = datetime(int(year), int(month), int(day), hour, minute, second - leap, tzinfo=zone).timestamp()
    return at + leap


def _zone(offset: str) -> tzinfo:
    if offset in _ZONES:
        return timezone(timedelta(minutes=_ZONES[offset]))
    digits = offset[1:].replace(":", "").ljust(4, "0")
    minutes = int(digits[:2]) * 60 + int(digits[2:])
    return timezone(timedelta(minutes=minutes if offset[0] == "+" else -minutes))


def _of_start(match: re.Match[str], now: float, zone: tzinfo | None) -> float | None:
    named = match.groupdict()
    if named["epoch"]:
        whole, _, digits = named["epoch"].replace(",", ".").partition(".")
        return _of_number(int(whole)) + _fraction(digits)
    if named["today"]:
        days = (datetime.fromtimestamp(now, zone) + timedelta(days=back) for back in (1, 0, -1))
        dates = ((f"{day.year:04d}", f"{day.month:02d}", f"{day.day:02d}") for day in days)
        return _latest(dates, named["today"], None, zone, now + 3600.0, named["today_fraction"])
    offset = None
    if digits := named["klog"]:
        year, month, day = digits[:-4], digits[-4:-2], digits[-2:]
        clock, fraction = named["klog_clock"], named["klog_fraction"]
    else:
        month, day, year = _month(named["month"]), named["day"].rjust(2, "0"), named["year"]
        clock, fraction = _of_half(named["clock"], named["half"]), named["fraction"]
        offset = named["zone"] if named["zone"] in _ZONES or (named["zone"] or "").startswith(("+", "-")) else None
        year = year or (named["last"] if named["weekday"] else None)
    if year:
        return _moment(year, month, day, clock, offset, zone) + _fraction(fraction)
    this = datetime.fromtimestamp(now, zone).year
    dates = ((f"{year:04d}", month, day) for year in (this + 1, this, this - 1, this - 2, this - 3, this - 4))
    return _latest(dates, clock, offset, zone, now + _AHEAD.total_seconds(), fraction)


def _of_half(clock: str, half: str | None) -> str:
    """A clock of twice twelve hours as one of twenty-four."""
    if half is None:
        return clock
    hour, colon, rest = clock.partition(":")
    return f"{int(hour) % 12 + (12 if half == 'PM' else 0):02d}{colon}{rest}"


def _latest(
    dates: Iterator[tuple[str, str, str]],
    clock: str,
    offset: str | None,
    zone: tzinfo | None,
    limit: float,
    fraction: str | None,
) -> float | None:
    """The first of these dates, the latest first, that there is and that is not beyond the limit."""
    for year, month, day in dates:
        try:
            at = _moment(year, month, day, clock, offset, zone)
        except ValueError:
            continue  # 29 February
        if at <= limit:
            return at + _fraction(fraction)
    return None
