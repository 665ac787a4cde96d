"""Numbers, times and lengths as people read them."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

DASH = "–"
"""What stands where there is no number."""

_THIN = "\u202f"
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_FEATURE_LENGTH = 48
_OPENINGS = frozenset({"all", "another", "missing", "no", "none", "nothing", "only", "some", "the", "there", "too"})


def count(value: float | None) -> str:
    """`950`, `12.4 k`, `1.2 M`: a number of things."""
    if value is None or not math.isfinite(value):
        return DASH
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size * 0.99995 and abs(value) >= 1_000:
            return f"{_trim(value / size, 1 if abs(value) < size * 100 else 0)}{_THIN}{letter}"
    return f"{value:,.0f}" if float(value).is_integer() else _trim(value, 1)


def exact(value: float | None) -> str:
    """`1 234 567`: every digit of a whole number."""
    return DASH if value is None or not math.isfinite(value) else f"{value:,.0f}".replace(",", _THIN)


def number(value: float | None) -> str:
    """Three significant digits, or every digit before the point: `0.0123`, `14.2`, `1 234`."""
    if value is None or math.isnan(value):
        return DASH
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    size = abs(value)
    if size == 0:
        return "0"
    if size >= 1e7 or size < 1e-4:
        return f"{value:.2e}".replace("e-0", "e-").replace("e+0", "e").replace("e+", "e").replace("-", "−")
    if size >= 100:
        return f"{value:,.0f}".replace(",", _THIN).replace("-", "−")
    return _trim(value, max(0, 2 - math.floor(math.log10(size))))


def score(value: float | None) -> str:
    """A drift score from 0 to 1, or its floor: `0.46`, `0.025`."""
    if value is None or math.isnan(value):
        return DASH
    if value == 0:
        return "0"
    return f"{value:.2f}" if value >= 0.0995 else f"{value:.3f}"


def percent(share: float | None) -> str:
    """`12.5 %` of a share in [0, 1]; what is not nothing is never shown as 0 %."""
    if share is None or not math.isfinite(share):
        return DASH
    value = share * 100
    if 0 < value < 0.05:
        return f"<0.1{_THIN}%"
    if 99.95 <= value < 100:
        return f">99.9{_THIN}%"
    return f"{_trim(value, 1)}{_THIN}%"


def milliseconds(value: float | None) -> str:
    """`0.42 ms`, `3.4 ms`, `1.5 s`, `2 min`: a length of time given in milliseconds."""
    if value is None or not math.isfinite(value):
        return DASH
    if value < 1:
        return f"{_trim(value, 2)}{_THIN}ms"
    if value < 1_000:
        return f"{_trim(value, 1 if value < 100 else 0)}{_THIN}ms"
    if value < 60_000:
        return f"{_trim(value / 1_000, 1)}{_THIN}s"
    return f"{_trim(value / 60_000, 1)}{_THIN}min"


def data_size(value: float | None) -> str:
    """`512 B`, `4.2 kB`, `1.3 GB`: a number of bytes, decimal units."""
    if value is None or not math.isfinite(value):
        return DASH
    for size, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= size:
            return f"{_trim(value / size, 1)}{_THIN}{unit}"
    return f"{value:.0f}{_THIN}B"


def p_value(value: float | None) -> str:
    """`0.23`, `0.004`, `< 10⁻¹⁰`."""
    if value is None or math.isnan(value):
        return DASH
    if value < 1e-10:
        return "<1e−10"
    return f"{value:.1e}".replace("e-0", "e−").replace("e-", "e−") if value < 0.001 else _trim(value, 3)


def chance(p: float | None) -> str:
    """A small p-value as people say it: `1 in 250`, `1 in 40 million`, `less than 1 in a billion`."""
    if p is None or math.isnan(p):
        return DASH
    if p < 1e-9:
        return "less than 1 in a billion"
    odds = 1 / p
    rounded = round(odds, 1 - math.floor(math.log10(odds)))
    if rounded >= 1e6:
        return f"1 in {_trim(rounded / 1e6, 0 if rounded >= 1e7 else 1)} million"
    return f"1 in {exact(max(1.0, rounded))}"


def length(value: timedelta | None) -> str:
    """The largest unit that fits: `40 ms`, `12 s`, `5 min`, `3 h`, `9 d`."""
    if value is None:
        return DASH
    seconds = value.total_seconds()
    if seconds < 1:
        return milliseconds(seconds * 1_000)
    for size, unit in ((86_400 * 2, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            divisor = 86_400 if unit == "d" else size
            return f"{seconds / divisor:.0f}{_THIN}{unit}"
    return f"{_trim(seconds, 1 if seconds < 10 else 0)}{_THIN}s"


def whole_length(value: timedelta) -> str:
    """A length as words: `1 day`, `6 hours`, `15 minutes`."""
    seconds = round(value.total_seconds())
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size and seconds % size == 0:
            n = seconds // size
            return f"{n} {unit}{'' if n == 1 else 's'}"
    return f"{seconds} second{'' if seconds == 1 else 's'}"


def lasting(value: timedelta) -> str:
    """How long something has gone on, in whole days, or hours of the first day: `12 days`, `5 hours`, ``."""
    for size, unit in ((timedelta(days=1), "day"), (timedelta(hours=1), "hour")):
        if value >= size:
            return plural(value // size, unit)
    return ""


def last(value: timedelta) -> str:
    """What was looked at: `the last hour`, `the last 7 days`."""
    words = whole_length(value)
    return f"the last {words[2:] if words.startswith('1 ') else words}"


def each(value: timedelta) -> str:
    """What a column stands for: `a day`, `6 hours`, `15 minutes`."""
    words = whole_length(value)
    return f"a{'n' if words == '1 hour' else ''} {words[2:]}" if words.startswith("1 ") else words


def ago(moment: datetime | None, now: datetime) -> str:
    """`just now`, `5 min ago`, `in 2 h`."""
    if moment is None:
        return "never"
    distance = now - moment
    if abs(distance) < timedelta(seconds=5):
        return "just now"
    distance = timedelta(seconds=round(distance.total_seconds()))
    return f"{length(distance)} ago" if distance > timedelta(0) else f"in {length(-distance)}"


def date(moment: datetime | None, year: int) -> str:
    """`14 Mar`, with the year when it is not `year`; UTC."""
    if moment is None:
        return DASH
    at = moment.astimezone(UTC)
    return f"{at.day} {_MONTHS[at.month - 1]}" + (f" {at.year}" if at.year != year else "")


def moment(at: datetime | None, year: int) -> str:
    """`14 Mar 10:00`, with the year when it is not `year`; UTC."""
    return DASH if at is None else f"{date(at, year)} {at.astimezone(UTC):%H:%M}"


def span(start: datetime, end: datetime, year: int) -> str:
    """`14 Mar 10:00 to 11:00`, `1 to 31 Mar`: both ends, without saying anything twice; UTC."""
    first, last = start.astimezone(UTC), end.astimezone(UTC)
    whole_days = first.time() == last.time() and (first.hour, first.minute) == (0, 0) and first != last
    if whole_days:
        last -= timedelta(days=1)
        if first.date() == last.date():
            return date(first, year)
        if (first.year, first.month) == (last.year, last.month):
            return f"{first.day} to {date(last, year)}"
        return f"{date(first, last.year if last.year != year else year)} to {date(last, year)}"
    if first.date() == last.date():
        return f"{moment(first, year)} to {last:%H:%M}"
    return f"{moment(first, last.year)} to {moment(last, year)}"


def plural(n: int, one: str, many: str | None = None) -> str:
    """`1 model`, `3 models`."""
    return f"{exact(n)} {one if n == 1 else many or one + 's'}"


def short(text: str, most: int = _FEATURE_LENGTH) -> str:
    """The text, its middle left out when it is longer than `most` characters."""
    if len(text) <= most:
        return text
    head = (most - 1) * 2 // 3
    return f"{text[:head]}…{text[-(most - 1 - head) :]}"


def sentence(text: str) -> str:
    """The text with a capital in front when it begins with a plain word: a name with a digit or `_` stays as it is."""
    first = text.split(" ", 1)[0].rstrip(",;:")
    return text[:1].upper() + text[1:] if first in _OPENINGS else text


def _trim(value: float, digits: int) -> str:
    text = f"{value:,.{digits}f}".replace(",", _THIN)
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text.replace("-", "−")
