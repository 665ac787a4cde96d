"""Cron expressions, which mean what Debian's crontab(5) says, and when they are due in a time zone.

>>> Crontab.parse("30 2 * * mon-fri").next_after(datetime.now(UTC), ZoneInfo("Europe/Berlin"))
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from apscheduler.triggers.base import BaseTrigger

MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
INSTANT: Final = timedelta.resolution

LONGEST: Final = 500
"""Characters of an expression; one that lists every minute, hour and day has fewer."""

MACROS: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_LONGEST_MONTH: Final = {1: 31, 2: 29, 3: 31, 4: 30, 5: 31, 6: 30, 7: 31, 8: 31, 9: 30, 10: 31, 11: 30, 12: 31}


class CrontabError(ValueError):
    """The expression is none, or is never due; the message says what to write."""


@dataclass(frozen=True, slots=True)
class _Field:
    """What may stand at one of the five places; `names` count from `low`."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()

    def values(self, text: str) -> frozenset[int]:
        """What the text names: numbers, names, ranges and steps of them, separated by commas."""
        return frozenset(value for item in text.split(",") for value in self._item(item))

    def _item(self, item: str) -> range:
        base, slash, step = item.partition("/")
        # As in a list of names, sun is the week's end where a range ends with it.
        first, dash, last = base.partition("-")
        if base == "*":
            begin, end = self.low, self.high
        elif dash:
            begin, end = self._one(first, item), self._one(last, item)
            if self is _WEEKDAY and end == 0 < begin:
                end = 7
            if end < begin:
                raise CrontabError(f"the range {item} runs backwards; write {self._around(first, last, begin, end)}")
        else:
            begin = self._one(base, item)
            end = self.high if slash else begin
        if slash and not (_is_number(step) and int(step) > 0):
            raise CrontabError(f"{item} has no step; write a whole number above 0 after the /, for example */15")
        return range(begin, end + 1, int(step) if slash else 1)

    def _one(self, text: str, item: str) -> int:
        if text.casefold() in self.names:
            return self.names.index(text.casefold()) + self.low
        if _is_number(text) and self.low <= int(text) <= self.high:
            return int(text)
        among = f"a number from {self.low} to {self.high}"
        if self.names:
            among += f", or {', '.join(self.names)}"
        inside = "" if item == text else f" in {item}"
        raise CrontabError(f'"{text}"{inside} is no {self.name}; write * or {among}')

    def _around(self, first: str, last: str, begin: int, end: int) -> str:
        """The same in two ranges; a week begins with Monday where it has already ended with Sunday."""
        low = self.low
        if self is _WEEKDAY:
            if begin == self.high:
                return f"0-{last}"
            low = 1
        upper = first if begin == self.high else f"{first}-{self.high}"
        return f"{upper},{low}" if end == low else f"{upper},{low}-{last}"


_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MINUTE: Final = _Field("minute", 0, 59)
_HOUR: Final = _Field("hour", 0, 23)
_DAY: Final = _Field("day of the month", 1, 31)
_MONTH: Final = _Field("month", 1, 12, _MONTHS)
_WEEKDAY: Final = _Field("day of the week", 0, 7, _DAYS)


@dataclass(frozen=True, slots=True)
class Crontab:
    """When something is due, by the clock on the wall.

    Where that clock is put forward, what was due in the time left out is due once, right after it; where it is put
    back, what was due already is not due again. What has `*` (or `*/15`) for its minutes or hours goes by the clock as
    it is: every 15 minutes stay 15 minutes. So says cron(8).
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    """0 is Sunday."""
    either_day: bool
    """Both kinds of day are restricted, and one of them is enough."""
    goes_on: bool
    """Minutes or hours begin with `*`: a change of the clock moves nothing."""

    @classmethod
    def parse(cls, expression: str) -> Crontab:
        """What the expression means. `CrontabError` names it, and what to write instead."""
        try:
            return cls._of(_fields(expression))
        except CrontabError as error:
            shown = expression if len(expression) <= LONGEST else f"{expression[:LONGEST]}…"
            raise CrontabError(f'"{shown}" is no cron expression, as 0 6 * * * is: {error}') from None

    @classmethod
    def _of(cls, texts: list[str]) -> Crontab:
        minute, hour, day, month, weekday = texts
        parsed = cls(
            minutes=_MINUTE.values(minute),
            hours=_HOUR.values(hour),
            days=_DAY.values(day),
            months=_MONTH.values(month),
            weekdays=frozenset(number % 7 for number in _WEEKDAY.values(weekday)),
            either_day=not day.startswith("*") and not weekday.startswith("*"),
            goes_on=minute.startswith("*") or hour.startswith("*"),
        )
        earliest, most = min(parsed.days), max(_LONGEST_MONTH[number] for number in parsed.months)
        if not parsed.either_day and earliest > most:
            raise CrontabError(f"month {month} never has a day {earliest}; write a day from 1 to {most}")
        return parsed

    def next_after(self, moment: datetime, zone: tzinfo) -> datetime:
        """The first moment it is due after that one, in UTC."""
        moment = moment.astimezone(UTC)
        if self.goes_on:
            return self._matching(moment, zone)
        wall = moment.astimezone(zone).replace(tzinfo=UTC, fold=0)
        while True:
            wall = self._matching(wall, UTC)
            due = _first_at(wall, zone)
            # Of an hour that comes twice only the first counts, and that may be over.
            if due > moment:
                return due

    def latest(self, moment: datetime, zone: tzinfo) -> datetime:
        """The last moment it was due up to that one, in UTC."""
        moment = moment.astimezone(UTC)
        back = self.next_after(moment, zone) - moment
        while (found := self.next_after(moment - back, zone)) > moment:
            back *= 2
        until = moment
        while (following := self.next_after(found, zone)) <= until:
            middle = found + (until - found) / 2
            later = self.next_after(middle, zone)
            if later <= until:
                found = later
            else:
                found, until = following, middle
        return found

    def _matching(self, moment: datetime, zone: tzinfo) -> datetime:
        """The first minute after the moment (UTC) whose time in the zone has what every field wants."""
        at = moment.replace(second=0, microsecond=0) + MINUTE
        while True:
            local = at.astimezone(zone)
            if local.month not in self.months:
                at = _onward(at, local, 3)
            elif not self._on(local):
                at = _onward(at, local, 2)
            elif local.hour not in self.hours:
                at = _onward(at, local, 1)
            elif local.minute not in self.minutes:
                at += MINUTE
            else:
                return at

    def _on(self, date: datetime) -> bool:
        by_month, by_week = date.day in self.days, date.isoweekday() % 7 in self.weekdays
        return (by_month or by_week) if self.either_day else (by_month and by_week)


class CrontabTrigger(BaseTrigger):  # type: ignore[misc]  # APScheduler has no types
    """A `Crontab` in a time zone, for APScheduler. Moments are in UTC."""

    def __init__(self, crontab: Crontab, zone: tzinfo) -> None:
        self._crontab = crontab
        self._zone = zone
        self._asked: tuple[datetime, timedelta] | None = None

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        """The next after the previous one; without one, the first from now on."""
        return self._crontab.next_after(previous_fire_time or now.astimezone(UTC) - INSTANT, self._zone)

    def interval(self, at: datetime) -> timedelta:
        """Half the time from the run that was due at that moment, or last before it, to the second one after it."""
        asked = self._asked
        if asked is None or asked[0] != at:
            # Every scrape asks about the same last success.
            first = self._crontab.next_after(at, self._zone)
            second = self._crontab.next_after(first, self._zone)
            self._asked = asked = (at, (second - self._crontab.latest(at, self._zone)) / 2)
        return asked[1]


def _fields(expression: str) -> list[str]:
    if len(expression) > LONGEST:
        raise CrontabError(f"it is longer than {LONGEST} characters; write ranges and steps, for example */5")
    texts = expression.split()
    macro = texts[0].casefold() if texts else ""
    if len(texts) == 1 and macro in MACROS:
        return MACROS[macro].split()
    if macro == "@reboot":
        raise CrontabError("@reboot is no time, and checks outlive a restart; write for example @hourly or @daily")
    if macro.startswith("@"):
        raise CrontabError(f"there is no {' '.join(texts)}; write one of {', '.join(MACROS)}, or every: 1h")
    if len(texts) != 5:
        seconds = " (none for seconds or years)" if len(texts) in (6, 7) else ""
        names = "minute, hour, day of the month, month and day of the week"
        raise CrontabError(f"it has {len(texts)} fields; write five{seconds}: {names}")
    return texts


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def _onward(at: datetime, local: datetime, most: int) -> datetime:
    """The start of the next month (`most` 3), day (2) or hour (1).

    No further than the next of a shorter kind, or a minute, where the clock is changed in between: what was passed over
    may come again.
    """
    hour = local.replace(minute=0, fold=0)
    day = hour.replace(hour=0)
    month = (day.replace(day=1) + 32 * DAY).replace(day=1)
    for start in (month, day + DAY, hour + HOUR)[3 - most :]:
        moment = start.astimezone(UTC)
        if moment.astimezone(local.tzinfo).utcoffset() == local.utcoffset():
            return moment
    return at + MINUTE


def _first_at(wall: datetime, zone: tzinfo) -> datetime:
    """When the clock of the zone first shows that time, or, where it is put forward over it, the first after that."""
    while True:
        moment = wall.replace(tzinfo=zone).astimezone(UTC)
        if moment.astimezone(zone).replace(tzinfo=None) == wall.replace(tzinfo=None):
            return moment
        wall += MINUTE
