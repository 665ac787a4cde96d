"""Draws the pictures of docs/drift.md: the collector's own verdicts on simulated days, at its defaults.

    .venv/bin/python -m tools.draw_drift    from the project's root; writes docs/images/drift-*.svg in a minute or two

What is drawn depends on the seeds alone, but for the sketches, which toss coins of their own: a drift may be said a day
earlier or later another time.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from markupsafe import escape
from scipy import stats

from bench.traffic import DAY, HOUR, Creep, Step, Traffic, Values, normal, profile_of
from bench.watched import Accepting, Watched
from modelward_agent.profile import FeatureProfile
from modelward_collector.checks.result import CheckResult, Finding, Status
from modelward_collector.stats.effect import FLOOR
from modelward_collector.stats.feature import FeatureView, compare
from modelward_collector.stats.feature_scatter import feature_scatter

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
AMOUNT = "amount"
MONTH = 28

WIDTH = 640
"""Units a card is wide; on a phone of 390 pixels the smallest letters are 11 high."""

SMALL, MIDDLE, LARGE = 18, 19, 23
LEFT, RIGHT, EDGES = 118, 32, 20
INK, FAINT, GRID, CARD, EDGE = "#1f2328", "#57606a", "#e3e6ea", "#ffffff", "#c8ccd1"
BLUE, ORANGE, RED, GREY = "#1f6feb", "#bc4c00", "#cf222e", "#8c959f"
QUIET, YOUNG, DRIFT = "#d8dee4", "#d4c5f9", ORANGE
LETTER = 0.56
"""Mean width of a letter in its own heights."""


# -- drawing ----------------------------------------------------------------------------------------------------------


class Card:
    """A white card with a title, grown downwards by what is put on it; all sizes are in its own units."""

    def __init__(self, title: str) -> None:
        self.bottom = 14.0
        self._title = title
        self._parts: list[str] = []
        self.say(title, LARGE, bold=True)

    def say(self, text: str, size: int = MIDDLE, *, bold: bool = False, colour: str = INK) -> None:
        """A paragraph below what is there."""
        for line in _lines(text, (WIDTH - 2 * EDGES) / (LETTER * size * (1.06 if bold else 1))):
            self.bottom += 1.28 * size
            self.text(EDGES, self.bottom, line, size, bold=bold, colour=colour)
        self.bottom += 6

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: int = SMALL,
        *,
        anchor: str = "start",
        bold: bool = False,
        colour: str = INK,
    ) -> None:
        """One line."""
        weight = ' font-weight="600"' if bold else ""
        self._parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{colour}"{weight}>'
            f"{escape(text)}</text>"
        )

    def line(self, points: Sequence[tuple[float, float]], colour: str, width: float = 2, dashes: str = "") -> None:
        """A line through them."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
        self._parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"{dashed} '
            'stroke-linejoin="round"/>'
        )

    def area(self, points: Sequence[tuple[float, float]], colour: str, opacity: float) -> None:
        """What lies between them."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self._parts.append(f'<polygon points="{path}" fill="{colour}" fill-opacity="{opacity}"/>')

    def dot(self, x: float, y: float, colour: str, radius: float = 4.5) -> None:
        """A point."""
        self._parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{colour}"/>')

    def cross(self, x: float, y: float, colour: str, radius: float = 6) -> None:
        """A point that does not count."""
        for turn in (1, -1):
            self.line([(x - radius, y - turn * radius), (x + radius, y + turn * radius)], colour, 3)

    def box(self, x: float, y: float, width: float, height: float, colour: str) -> None:
        """A filled box."""
        self._parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>')

    def legend(self, items: Sequence[tuple[str, str]]) -> None:
        """What colours stand for, in as many lines as it takes."""
        x, self.bottom = float(EDGES), self.bottom + 26
        for colour, name in items:
            width = 22 + LETTER * SMALL * len(name) + 18
            if x + width > WIDTH and x > EDGES:
                x, self.bottom = float(EDGES), self.bottom + 25
            self.box(x, self.bottom - 13, 15, 15, colour)
            self.text(x + 22, self.bottom, name, colour=FAINT)
            x += width
        self.bottom += 10

    def svg(self) -> str:
        """The whole of it."""
        height = self.bottom + 14
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" '
            f'height="{height:.0f}" font-family="system-ui, -apple-system, Segoe UI, Roboto, sans-serif" role="img" '
            f'aria-label="{escape(self._title)}">\n'
            f'<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1:.0f}" rx="10" fill="{CARD}" '
            f'stroke="{EDGE}"/>\n' + "\n".join(self._parts) + "\n</svg>\n"
        )


@dataclass(frozen=True, slots=True)
class Plot:
    """Axes on a card: `x` and `y` take values to its units."""

    card: Card
    top: float
    height: float
    low: float
    high: float
    first: float
    last: float

    def x(self, value: float) -> float:
        """From the left."""
        return LEFT + (WIDTH - RIGHT - LEFT) * (value - self.first) / (self.last - self.first)

    def y(self, value: float) -> float:
        """From the top."""
        return self.top + self.height * (1 - (value - self.low) / (self.high - self.low))

    def points(self, xs: Sequence[float], ys: Sequence[float]) -> list[tuple[float, float]]:
        """Many at once."""
        return [(self.x(x), self.y(y)) for x, y in zip(xs, ys, strict=True)]

    def upright(self, at: float, name: str, colour: str, down: float = 0.0, anchor: str = "start") -> None:
        """A moment, with its name beside it."""
        x = self.x(at)
        self.card.line([(x, self.top), (x, self.top + self.height + down)], colour, 2, "6 4")
        aside = {"start": 6, "end": -6, "middle": 0}[anchor]
        self.card.text(x + aside, self.top + 15, name, anchor=anchor, colour=colour, bold=True)


def plot(
    card: Card,
    height: float,
    ys: tuple[float, float],
    yticks: Sequence[float],
    xs: tuple[float, float],
    xticks: Sequence[tuple[float, str]],
    unit: str,
) -> Plot:
    """Draw axes below what is on the card; `unit` says what is upright."""
    card.text(EDGES, card.bottom + 20, unit, colour=FAINT)
    made = Plot(card, card.bottom + 34, height, *ys, *xs)
    for tick in yticks:
        card.line([(LEFT, made.y(tick)), (WIDTH - RIGHT, made.y(tick))], GRID, 1)
        card.text(LEFT - 10, made.y(tick) + 6, f"{tick:g}", anchor="end", colour=FAINT)
    for tick, name in xticks:
        card.line([(made.x(tick), made.top + height), (made.x(tick), made.top + height + 6)], GREY, 1)
        card.text(made.x(tick), made.top + height + 24, name, anchor="middle", colour=FAINT)
    card.line([(LEFT, made.top + height), (WIDTH - RIGHT, made.top + height)], GREY, 1)
    card.bottom = made.top + height + 30
    return made


def strip(made: Plot, name: Sequence[str], starts: Sequence[float], colours: Sequence[str], length: float = 1) -> None:
    """What was said of each stretch that begins at `starts`, in a row of boxes."""
    card = made.card
    top = card.bottom + 12
    for offset, line in enumerate(name):
        card.text(LEFT - 10, top + 17 + (offset - (len(name) - 1) / 2) * 19, line, anchor="end")
    for start, colour in zip(starts, colours, strict=True):
        card.box(made.x(start) + 0.4, top, made.x(start + length) - made.x(start) - 0.8, 24, colour)
    card.bottom = top + 28


def _lines(text: str, most: float) -> Iterator[str]:
    line = ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > most:
            yield line
            line = word
        else:
            line = f"{line} {word}".strip()
    yield line


# -- the days ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Days:
    """Simulated hours of one feature, and what was said of it by how many hours there were; None: not judged yet."""

    hours: list[Values]
    said: dict[int, Finding | None]

    def day(self, number: int) -> Values:
        """All rows of a day."""
        return np.concatenate(self.hours[24 * number : 24 * number + 24])

    def colour(self, hour: int) -> str:
        """Of what was said then."""
        finding = self.said[hour]
        if finding is None or finding.status is Status.LEARNING:
            return YOUNG
        return DRIFT if finding.status.flagged else QUIET

    def finding(self, hour: int) -> Finding:
        """What was said then."""
        finding = self.said[hour]
        assert finding is not None
        return finding

    @property
    def means(self) -> list[float]:
        """Of each day."""
        return [float(self.day(number).mean()) for number in range(len(self.hours) // 24)]


def watched(traffic: Traffic, days: int, due: Callable[[int], bool], accepting: Sequence[Accepting] = ()) -> Days:
    """Feed so many days, and check when so many hours are in as are `due`."""
    made = Days([], {})
    with Watched(traffic.begin) as collector:
        for start, columns in traffic.hours(24 * days):
            made.hours.append(columns[AMOUNT])
            collector.take(start, profile_of(columns))
            hour = len(made.hours)
            if due(hour):
                made.said[hour] = _finding(collector.results(start + HOUR))
            for one in accepting:
                if one.hour == hour:
                    collector.accept(one, start + HOUR)
    return made


def _finding(results: Sequence[CheckResult]) -> Finding | None:
    return next((one for result in results for one in result.findings if one.subject == AMOUNT), None)


def daily(hour: int) -> bool:
    """At each midnight."""
    return hour % 24 == 0


def short(message: str) -> str:
    """A message without what the picture shows."""
    return message.partition(", since")[0]


# -- the pictures -----------------------------------------------------------------------------------------------------

CHANGED, ACCEPTED, ENDS = 30, 62, 80
KS_P = 1e-4
"""At which a day is drift by Kolmogorov and Smirnov: no unchanged day is."""


def lasting() -> Card:
    """A step that lasts, said until somebody accepts it, beside a test whose reference rolls on."""
    step = Step(AMOUNT, 0.3, 24 * CHANGED)
    traffic = Traffic({AMOUNT: normal(0.5)}, MONDAY, 1, rows=100, changes=[step])
    found = watched(traffic, ENDS, daily, [Accepting(AMOUNT, 24 * CHANGED, 24 * ACCEPTED)])
    forgets = [day >= MONTH and stats.ks_2samp(_month(found, day), found.day(day)).pvalue < KS_P for day in range(ENDS)]
    card = Card("A step is said for as long as it lasts")
    card.say(
        "amount is 0.3 standard deviations (sd) higher from day 30 on; below, Kolmogorov and Smirnov (KS)",
        colour=FAINT,
    )
    ticks = [(day, str(day)) for day in range(0, ENDS + 1, 10)]
    axes = plot(card, 190, (-0.1, 0.6), (0, 0.2, 0.4, 0.6), (0, ENDS), ticks, "mean of each day, in sd")
    days = list(range(ENDS))
    axes.card.line(axes.points([day + 0.5 for day in days], found.means), BLUE, 2.5)
    axes.upright(CHANGED, "step", FAINT, anchor="end")
    axes.upright(ACCEPTED, "accepted", INK, 72)
    strip(axes, ["Modelward"], days, [found.colour(24 * day + 24) for day in days])
    strip(axes, ["KS, rolling", "28 days"], days, [ORANGE if one else QUIET for one in forgets])
    card.text((LEFT + WIDTH - RIGHT) / 2, card.bottom + 20, "day", anchor="middle", colour=FAINT)
    card.bottom += 18
    card.legend([(YOUNG, "still learning"), (QUIET, "nothing said"), (ORANGE, "drift")])
    last = found.finding(24 * ACCEPTED)
    card.say(f"Day {ACCEPTED}: “{last.message}”", SMALL)
    return card


def _month(found: Days, day: int) -> Values:
    return np.concatenate([found.day(one) for one in range(day - MONTH, day)])


WEEKENDS = 0.6


def like_with_like() -> Card:
    """A Wednesday that is 0.3 sd higher, hour by hour: within what all hours vary, and outside what such hours do."""
    day = MONTH + 2
    traffic = Traffic({AMOUNT: normal(0.6, WEEKENDS)}, MONDAY, 2, rows=400, changes=[Step(AMOUNT, 0.3, 24 * day, 24)])
    found = watched(traffic, day + 1, lambda hour: hour > 24 * day)
    means = np.array([hour.mean() for hour in found.hours])
    number = np.arange(len(means))
    past, weekend = number < 24 * day, (number // 24) % 7 > 4
    hours = list(range(24))

    def between(mask: Values) -> list[tuple[float, float]]:
        mine = [means[mask & (number % 24 == hour)] for hour in hours]
        xs = [hour + 0.5 for hour in hours]
        upper = axes.points(xs, [float(one.max()) for one in mine])
        return upper + axes.points(xs, [float(one.min()) for one in mine])[::-1]

    card = Card("Like is compared with like")
    card.say("amount by hour, as it was for a month, and on a Wednesday that is 0.3 sd higher", colour=FAINT)
    ticks = [(hour, f"{hour:02}:00") for hour in range(0, 25, 6)]
    axes = plot(card, 230, (-1, 1.6), (-1, -0.5, 0, 0.5, 1, 1.5), (0, 24), ticks, "mean of an hour, in sd")
    card.area(between(past & weekend), GREY, 0.45)
    card.area(between(past & ~weekend), BLUE, 0.45)
    now = axes.points([hour + 0.5 for hour in hours], means[24 * day :].tolist())
    card.line(now, ORANGE, 3)
    for x, y in now:
        card.dot(x, y, ORANGE, 4)
    like = [found.colour(24 * day + hour + 1) for hour in hours]
    alone = [ORANGE if drifts else QUIET for drifts in _against_all_hours(found, day)]
    strip(axes, ["with such", "hours"], hours, like)
    strip(axes, ["with all", "hours"], hours, alone)
    card.legend(
        [
            (BLUE, "28 days: weekdays"),
            (GREY, "weekends"),
            (ORANGE, "the Wednesday, drift"),
            (QUIET, "nothing said"),
        ]
    )
    noon = found.finding(24 * day + 13)
    card.say(f"13:00: “{short(noon.message)}”, compared with {noon.detail['compared_with']}", SMALL)
    return card


def _against_all_hours(found: Days, day: int) -> list[bool]:
    """The same tests and allowances of each hour of the day, with every twelfth hour of the month beside it."""
    chosen = [_feature(found.hours[hour]) for hour in range(0, 24 * day, 11)]
    everything = FeatureProfile()
    for one in chosen:
        everything.merge(one)
    view, level = FeatureView.of(everything), 0.01
    scatter = feature_scatter(view, chosen, level)
    return [
        compare(view, FeatureView.of(_feature(found.hours[24 * day + hour])), scatter, FLOOR).p < level
        for hour in range(24)
    ]


def _feature(values: Values) -> FeatureProfile:
    return profile_of({AMOUNT: values}).features[AMOUNT]


ODD = (8, 9, 17, 22)


def odd_days() -> Card:
    """A reference with four odd days and weekends of its own, and a weekday that is 0.2 sd higher than weekdays are."""
    day = MONTH + 2
    changes = [Step(AMOUNT, 1.5, 24 * one, 24) for one in ODD] + [Step(AMOUNT, 0.2, 24 * day, 24)]
    traffic = Traffic({AMOUNT: normal(0.3, 0.5)}, MONDAY, 3, rows=200, changes=changes)
    found = watched(traffic, day + 1, lambda hour: hour == 24 * (day + 1))
    finding = found.finding(24 * (day + 1))
    odd = [(datetime.fromisoformat(one["start"]) - MONDAY) // DAY for one in finding.detail.get("odd", ())]
    first, means = day - MONTH, found.means
    alike = [one for one in range(first, day) if one % 7 < 5 and one not in odd]

    card = Card("Odd days are named, and left out")
    card.say("a month of amount with four odd days, and a Wednesday that is 0.2 sd higher", colour=FAINT)
    ticks = [(one + 0.5, f"{(MONDAY + one * DAY).day} {MONDAY + one * DAY:%b}") for one in range(first, day + 1, 7)]
    axes = plot(card, 220, (-0.4, 1.8), (0, 0.5, 1, 1.5), (first, day + 1), ticks, "mean of each day, in sd")
    for level, name, colour in (
        (float(np.mean([means[one] for one in range(first, day)])), "mean of all 28 days", GREY),
        (float(np.mean([means[one] for one in alike])), f"mean of {finding.detail['compared_with']}", BLUE),
    ):
        card.line([(LEFT, axes.y(level)), (WIDTH - RIGHT, axes.y(level))], colour, 2, "7 5")
        card.text(LEFT + 4, axes.y(level) + 20, name, colour=colour, bold=True)
    for one in range(first, day):
        x, y = axes.x(one + 0.5), axes.y(means[one])
        if one in odd:
            card.cross(x, y, RED)
        else:
            card.dot(x, y, GREY if one % 7 > 4 else BLUE)
    card.dot(axes.x(day + 0.5), axes.y(means[day]), ORANGE, 8)
    card.legend([(BLUE, "weekdays"), (GREY, "weekends"), (RED, "odd, left out"), (ORANGE, "the Wednesday")])
    named = ", ".join(f"{(MONDAY + one * DAY).day} {MONDAY + one * DAY:%B}" for one in odd)
    card.say(f"“{short(finding.message)}”; left out as odd: {named}", SMALL)
    return card


CREEPS, CREEPING_FOR = 28, 45


def creep() -> Card:
    """A creep, each day of it within what days vary."""
    traffic = Traffic(
        {AMOUNT: normal(0.5)}, MONDAY, 4, rows=100, by_day=0.05, changes=[Creep(AMOUNT, 0.01, 24 * CREEPS)]
    )
    days = CREEPS + CREEPING_FOR
    found = watched(traffic, days, daily)
    first = next(day for day in range(CREEPS, days) if found.finding(24 * day + 24).status.flagged)
    message = next(
        (one for day in range(first, days) if "creep" in (one := found.finding(24 * day + 24)).detail),
        found.finding(24 * first + 24),
    ).message
    card = Card("A creep is said, though no day is far off")
    card.say(f"amount rises by 0.01 sd a day from day {CREEPS} on", colour=FAINT)
    ticks = [(day, str(day)) for day in range(0, days + 1, 10)]
    axes = plot(card, 190, (0, 0.8), (0, 0.2, 0.4, 0.6, 0.8), (0, days), ticks, "mean of each day, in sd")
    before = float(np.mean(found.means[:CREEPS]))
    truth = [before, before, before + 0.01 * CREEPING_FOR]
    card.line(axes.points([0, CREEPS, days], truth), GREY, 2, "7 5")
    for day, mean in enumerate(found.means):
        card.dot(axes.x(day + 0.5), axes.y(mean), BLUE)
    axes.upright(CREEPS, "begins", FAINT, anchor="end")
    axes.upright(first + 1, f"said on day {first + 1}", INK, anchor="end")
    strip(axes, ["Modelward"], range(days), [found.colour(24 * day + 24) for day in range(days)])
    card.text((LEFT + WIDTH - RIGHT) / 2, card.bottom + 20, "day", anchor="middle", colour=FAINT)
    card.bottom += 18
    card.legend([(YOUNG, "still learning"), (QUIET, "nothing said"), (ORANGE, "drift")])
    card.say(f"“{message}”", SMALL)
    return card


PICTURES: dict[str, Callable[[], Card]] = {
    "lasting": lasting,
    "like-with-like": like_with_like,
    "odd-days": odd_days,
    "creep": creep,
}


def main(names: Sequence[str]) -> None:
    """Write those that are named, or all of them."""
    for name, draw in PICTURES.items():
        if names and name not in names:
            continue
        path = IMAGES / f"drift-{name}.svg"
        path.write_text(draw().svg())
        print(path.relative_to(IMAGES.parent.parent), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
