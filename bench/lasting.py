"""Drift verdicts in use: one collector at its defaults, fed hour by hour from a model's first row to day 60 or 90.

Everything goes through the collector that `build` makes, its engine and its SQLite store: each hour's profile is
stored, the drift check runs at the hour's end, and maintenance once a day. What is drawn depends on the seeds alone,
not on processes or on other rows (the sketches toss coins of their own). Exits with 1 when a row does not hold.

    python bench/lasting.py                            all of it, in two processes
    python bench/lasting.py --quick                    fewer features, days and draws, for work on the verdict
    python bench/lasting.py --quick --only step creep  some rows; --help has their names
    python bench/lasting.py --quick --only unchanged --processes 1 --verbose
                                                       and every flagged check with its messages, on stderr

(with PYTHONPATH=. from the project's root). Unchanged traffic is checked every hour. Where a feature changes, checks
are hourly from a day before each change to two days after it, and every eleven hours elsewhere: a check looks at
traffic and at what was said of it, not at how often it was asked.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # processes side by side, not threads
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from bench import lasting_cases, lasting_odd, lasting_peers
from bench.rows import Row, report
from bench.traffic import MIXED, MONDAY, THURSDAY, Creep, Draw, Step, Traffic
from bench.watched import VERBOSE, Accepting, Said, always, near, progress, watch

Job = Callable[[], Any]

UNCHANGED, VARYING = 0.01, 0.02
"""Share of checks that may flag anything, and that where days and minutes have levels of their own."""

EARLY = {"ok", "no_data", "learning"}
"""What a check of the first week may say."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything: features, days of unchanged traffic, the day of a change and how many days it is watched,
    how many draws of each change, and how many of each short run.
    """

    features: int
    days: int
    change: int
    lasts: int
    seeds: int
    repetitions: int

    def drawn(self) -> dict[str, Draw]:
        """The features."""
        return dict(list(MIXED.items())[: self.features])


FULL = Size(features=30, days=60, change=30, lasts=60, seeds=2, repetitions=20)
QUICK = Size(features=8, days=44, change=28, lasts=32, seeds=1, repetitions=4)

# -- unchanged -------------------------------------------------------------------------------------------------------

BY_DAY, BY_MINUTE = 0.2, 0.3
"""Standard deviations of what a day's, and a minute's, rows of a feature have in common, in the feature's own."""

HOLIDAY = 38
"""The holiday is the Wednesday of the week with this day."""


def holiday(begin: datetime) -> date:
    """A day on which traffic is as on a Sunday."""
    day = begin.date() + timedelta(days=HOLIDAY)
    return day + timedelta(days=2 - day.weekday())


def unchanged(size: Size, begin: datetime, seed: int, varying: bool) -> list[Said]:
    """Hourly checks from the first row on."""
    traffic = Traffic(
        size.drawn(),
        begin,
        seed,
        holidays=frozenset([holiday(begin)]),
        by_day=BY_DAY if varying else 0.0,
        by_minute=BY_MINUTE if varying else 0.0,
    )
    what = f"{'autocorrelated' if varying else 'unchanged'} from {begin:%A %H:%M}, seed {seed}"
    return watch(what, traffic, 24 * size.days, always)


def unchanged_jobs(size: Size, *, varying: bool) -> list[Job]:
    """From both starts."""
    return [
        partial(unchanged, size, begin, 10 * varying + place, varying) for place, begin in enumerate((MONDAY, THURSDAY))
    ]


def unchanged_rows(size: Size, runs: Sequence[list[Said]], *, varying: bool) -> list[Row]:
    """Flagged checks of all, apart by how old the model was; the worst of the first week."""
    every = [one for run in runs for one in run]
    hold = VARYING if varying else UNCHANGED
    flagged = [one for one in every if one.flagged]
    share = len(flagged) / len(every)
    apart = []
    for name, low, high in (("first week", 0, 7), ("days 8 to 28", 7, 28), ("after", 28, size.days)):
        mine = [one for one in every if 24 * low < one.hour <= 24 * high]
        apart.append(f"{name} {sum(bool(one.flagged) for one in mine)} of {len(mine):,}")
    early = Counter(one.status for one in every if one.hour <= 7 * 24)
    worse = sum(times for status, times in early.items() if status not in EARLY)
    what = f"unchanged traffic of hours, weekends and a holiday, {size.features} features, "
    what += "autocorrelated over days and minutes, " if varying else ""
    return [
        Row(
            f"{what}first row to day {size.days}: hourly checks that flag anything",
            f"{share:.2%} of {len(every):,} ({', '.join(apart)}{_mostly(one.flagged for one in flagged)})",
            f"at most {hold:.0%}",
            share <= hold,
        ),
        Row(
            "the same in its first week: checks with a status worse than learning",
            f"{worse} of {sum(early.values()):,} ({_counts(early)})",
            "none",
            worse == 0,
        ),
    ]


def _mostly(flagged: Iterable[Collection[str]]) -> str:
    by: Counter[str] = Counter()
    for names in flagged:
        by.update(names)
    return f"; mostly {_counts(by, 4)}" if by else ""


def _counts(by: Counter[str], number: int | None = None) -> str:
    return ", ".join(f"{name} {times}" for name, times in by.most_common(number))


# -- a change of one feature -----------------------------------------------------------------------------------------

CHANGED = ("wave0", "plain0")
"""By draw, in turn: a feature with hours and weekends, and one without."""

AFTERNOON = 4
"""Hours from the first row's hour of the day to a change: it is neither a day's nor a reference's beginning."""

REST = 72
"""Hours that a feature is watched after it was accepted."""


@dataclass(frozen=True, slots=True)
class Times:
    """So many of so many checks."""

    times: int
    of: int

    def __str__(self) -> str:
        return f"{self.times} of {self.of:,}"

    @classmethod
    def total(cls, several: Iterable[Times]) -> Times:
        """All together."""
        known = list(several)
        return cls(sum(one.times for one in known), sum(one.of for one in known))


@dataclass(frozen=True, slots=True)
class Followed:
    """What checks said of a feature that changed at an hour; with what is said of it after it was accepted."""

    feature: str
    change: int
    said: Sequence[Said]

    def first(self, change: int | None = None) -> int | None:
        """Hours from the change (this one, or a later one) to the first check that flags it; None for never."""
        begin = self.change if change is None else change
        found = [one.hour - begin for one in self.before if one.hour > begin and self.feature in one.flagged]
        return min(found, default=None)

    def silent(self, begin: int, end: int | None = None) -> Times:
        """Checks later than `begin`, up to `end`, that do not flag it."""
        asked = [one for one in self.before if begin < one.hour and (end is None or one.hour <= end)]
        return Times(sum(self.feature not in one.flagged for one in asked), len(asked))

    def loud(self, begin: int, end: int) -> Times:
        """Checks later than `begin`, up to `end`, that flag it."""
        silent = self.silent(begin, end)
        return Times(silent.of - silent.times, silent.of)

    def others(self) -> Times:
        """Checks that flag another feature; (joint) apart, since a changed feature moves otherwise with others too."""
        return Times(sum(bool(one.flagged - {self.feature, "(joint)"}) for one in self.before), len(self.before))

    @property
    def before(self) -> list[Said]:
        """The checks before it was accepted."""
        return [one for one in self.said if not one.accepted]

    @property
    def accepted(self) -> Times:
        """Checks after that which flag it."""
        after = [one for one in self.said if one.accepted]
        return Times(sum(self.feature in one.flagged for one in after), len(after))


def step(size: Size, sd: float, draw: int) -> Followed:
    """A step that lasts; in the end it is accepted."""
    feature, change = CHANGED[draw % 2], 24 * size.change + AFTERNOON
    end = 24 * (size.change + size.lasts)
    traffic = Traffic(size.drawn(), MONDAY, 200 + draw, changes=[Step(feature, sd, change)])
    accepting = Accepting(feature, change, end)
    what = f"step of {sd} sd of {feature}, draw {draw}"
    return Followed(feature, change, watch(what, traffic, end + REST, near(change, end), accepting=accepting))


STEPS = {0.3: 24, 3.0: 2}
"""By size in standard deviations: hours in which it is to be said."""


def step_jobs(size: Size) -> list[Job]:
    """Of both sizes."""
    return [partial(step, size, sd, draw) for sd in STEPS for draw in range(size.seeds)]


def step_rows(size: Size, runs: Sequence[Followed]) -> list[Row]:
    """First said, said on every check, quiet once it is accepted."""
    rows, end = [], size.change + size.lasts
    for place, (sd, hold) in enumerate(STEPS.items()):
        mine = runs[place * size.seeds : (place + 1) * size.seeds]
        what = f"step of {sd} sd of one of {size.features} features on day {size.change}"
        silent = [one.silent(one.change + first) for one in mine if (first := one.first()) is not None]
        accepted = Times.total(one.accepted for one in mine)
        until = all(one.feature in one.before[-1].flagged for one in mine)
        rows += [
            _first(f"{what}: hours until it is said", [one.first() for one in mine], hold),
            Row(
                f"{what}: checks from then to day {end} that do not say it",
                str(Times.total(silent)) if silent else "never said",
                "none",
                len(silent) == len(mine) and all(not one.times for one in silent),
            ),
            Row(
                f"{what}: checks from its acceptance on day {end}, at once and for 3 days, that still say it",
                f"{accepted}; said before it: {'yes' if until else 'no'}",
                "none, and said before it",
                until and not accepted.times,
            ),
            _others(f"{what}: checks that flag anything else", mine),
        ]
    return rows


def _first(what: str, firsts: Sequence[int | None], hold: int, unit: str = "h") -> Row:
    said = ", ".join("never" if first is None else f"{first} {unit}" for first in firsts)
    return Row(what, said, f"at most {hold} {unit}", all(first is not None and first <= hold for first in firsts))


def _others(what: str, runs: Iterable[Followed]) -> Row:
    others = Times.total(one.others() for one in runs)
    return Row(what, f"{others.times / others.of:.2%} of {others.of:,}", "-", True)


CREEP, CREEP_SAID = 0.01, 25
"""Standard deviations a day, and the day of the creep by which it is said."""


def creep(size: Size, start: int, draw: int) -> Followed:
    """A little more every day, from that day on and to the end."""
    feature, change = CHANGED[draw % 2], 24 * start
    end = 24 * (size.change + size.lasts)
    traffic = Traffic(size.drawn(), MONDAY, 300 + draw, changes=[Creep(feature, CREEP, change)])
    what = f"creep of {CREEP} sd a day of {feature} from day {start}, draw {draw}"
    return Followed(feature, change, watch(what, traffic, end, near()))


def creep_jobs(size: Size) -> list[Job]:
    """After a stable month, and from the first row."""
    return [partial(creep, size, start, draw) for start in (size.change, 0) for draw in range(size.seeds)]


def creep_rows(size: Size, runs: Sequence[Followed]) -> list[Row]:
    """Said by day 25 of it, and on every check from then on."""
    rows = []
    for place, start in enumerate((size.change, 0)):
        mine = runs[place * size.seeds : (place + 1) * size.seeds]
        since = f"from day {start}" if start else "from the first row"
        what = f"creep of {CREEP} sd a day of one of {size.features} features {since}"
        firsts = [_lasting(one) for one in mine]
        silent = Times.total(one.silent(one.change + 24 * CREEP_SAID) for one in mine)
        rows += [
            _first(f"{what}: day of it from which it is said without a break", firsts, CREEP_SAID, "d"),
            Row(
                f"{what}: checks from its day {CREEP_SAID} to day {size.change + size.lasts} that do not say it",
                str(silent),
                "none",
                silent.times == 0,
            ),
            _others(f"{what}: checks that flag anything else", mine),
        ]
    return rows


def _lasting(one: Followed) -> int | None:
    """Days from the change to where the unbroken run of checks that say it, and which reaches to the end, begins."""
    first = None
    for said in reversed(one.before):
        if one.feature not in said.flagged or said.hour <= one.change:
            break
        first = said.hour
    return None if first is None else -(-(first - one.change) // 24)


INCIDENTS = {0.5: 24, 3.0: 2}
LONG, BETWEEN, AGAIN = 48, 240, 120
"""Hours that an incident lasts, that are between it and its relapse, and that the relapse is watched."""


def relapse(size: Size, sd: float, draw: int) -> Followed:
    """An incident of two days; ten days after its end it is back, to stay."""
    feature, change = CHANGED[draw % 2], 24 * size.change + AFTERNOON
    back = change + LONG + BETWEEN
    traffic = Traffic(
        size.drawn(), MONDAY, 400 + draw, changes=[Step(feature, sd, change, LONG), Step(feature, sd, back)]
    )
    what = f"incident and relapse of {sd} sd of {feature}, draw {draw}"
    return Followed(feature, change, watch(what, traffic, back + AGAIN, near(change, change + LONG, back)))


def relapse_jobs(size: Size) -> list[Job]:
    """Of both sizes."""
    return [partial(relapse, size, sd, draw) for sd in INCIDENTS for draw in range(size.seeds)]


def relapse_rows(size: Size, runs: Sequence[Followed]) -> list[Row]:
    """Both said in time, and quiet between them."""
    rows = []
    for place, (sd, hold) in enumerate(INCIDENTS.items()):
        mine = runs[place * size.seeds : (place + 1) * size.seeds]
        what = f"incident of two days, {sd} sd of one of {size.features} features"
        backs = [one.change + LONG + BETWEEN for one in mine]
        loud = Times.total(one.loud(one.change + LONG + 23, back) for one, back in zip(mine, backs, strict=True))
        silent = [
            one.silent(back + first)
            for one, back in zip(mine, backs, strict=True)
            if (first := one.first(back)) is not None
        ]
        rows += [
            _first(f"{what}: hours until it is said", [one.first() for one in mine], hold),
            Row(f"{what}: checks from a day after it to its relapse that say it", str(loud), "none", not loud.times),
            _first(
                f"{what}: hours until its relapse ten days later is said",
                [one.first(back) for one, back in zip(mine, backs, strict=True)],
                hold,
            ),
            Row(
                f"{what}: checks from then on that do not say it",
                str(Times.total(silent)) if silent else "never said",
                "none",
                len(silent) == len(mine) and all(not one.times for one in silent),
            ),
        ]
    return rows


# -- references with odd days, peers, and cases ----------------------------------------------------------------------

PEER_DAYS = {True: 46, False: 60}
"""By whether it is quick: the last day that peers judge."""

USED = [(1, 1.0), (1, 3.0), (4, 1.0), (4, 3.0), (7, 1.0), (7, 3.0)]
"""How many odd days, and how far off, through engine and store."""


def odd_jobs(size: Size) -> list[Job]:
    """Many references through the check alone, a few through engine and store, and some beside peers."""
    drawn = [
        partial(lasting_odd.drawn, number, sd, size.repetitions, 600)
        for sd in lasting_odd.SIZES
        for number in lasting_odd.NUMBERS
    ]
    used = [partial(lasting_odd.in_use, number, sd, 610 + place) for place, (number, sd) in enumerate(USED)]
    return [*drawn, *used[:: 1 if size is FULL else 3], partial(lasting_odd.beside_peers, 620)]


def odd_rows(_: Size, outcomes: Sequence[Any]) -> list[Row]:
    """In the order of the jobs."""
    cells = [(number, sd) for sd in lasting_odd.SIZES for number in lasting_odd.NUMBERS]
    tallies = [(*cell, tally) for cell, tally in zip(cells, outcomes, strict=False)]
    return [
        *lasting_odd.drawn_rows(tallies),
        *lasting_odd.in_use_rows(outcomes[len(cells) : -1]),
        *lasting_odd.peer_rows(outcomes[-1]),
    ]


def peer_jobs(size: Size) -> list[Job]:
    """With and without seasons, with and without changes."""
    days = PEER_DAYS[size is QUICK]
    return [
        partial(lasting_peers.judge, seasons, changed, days, 700 + 2 * seasons + changed)
        for seasons in (False, True)
        for changed in (False, True)
    ]


def peer_rows(_: Size, runs: Sequence[lasting_peers.Judged]) -> list[Row]:
    """Each beside all of them."""
    return lasting_peers.rows(runs)


def case_jobs(size: Size) -> list[Job]:
    """All of them."""
    return [
        partial(lasting_cases.kept_saying, 0),
        *[partial(lasting_cases.short_windows, hours) for hours in lasting_cases.HOURS],
        *[partial(lasting_cases.first_days, begin, 507 + place) for place, begin in enumerate((MONDAY, THURSDAY))],
        *[partial(lasting_cases.one_odd_day, *what, size.repetitions) for what in lasting_cases.ODD_DAYS],
        *[
            partial(case, size.repetitions)
            for case in (lasting_cases.narrow_numbers, lasting_cases.new_ids, lasting_cases.rare_booleans)
        ],
    ]


def case_rows(_: Size, outcomes: Sequence[Any]) -> list[Row]:
    """In the order of the jobs."""
    rest = iter(outcomes)
    rows = lasting_cases.kept_saying_rows(next(rest))
    for hours in lasting_cases.HOURS:
        rows += lasting_cases.watched_rows(f"unchanged, hours and weekends, windows of {hours} h", next(rest))
    for begin in (MONDAY, THURSDAY):
        what = f"a new model of 150 rows an hour from {begin:%A %H:%M}, ten days"
        rows += lasting_cases.watched_rows(what, next(rest), early=True)
    rows += lasting_cases.one_odd_day_rows([next(rest) for _ in lasting_cases.ODD_DAYS])
    return [*rows, *(row for made in rest for row in made)]


# -- all -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Part:
    """Some rows of the table: what is run for them, side by side with all else, and what they say of its outcomes."""

    jobs: Callable[[Size], Sequence[Job]]
    rows: Callable[[Size, Sequence[Any]], Sequence[Row]]


PARTS: Mapping[str, Part] = {
    "unchanged": Part(partial(unchanged_jobs, varying=False), partial(unchanged_rows, varying=False)),
    "autocorrelated": Part(partial(unchanged_jobs, varying=True), partial(unchanged_rows, varying=True)),
    "step": Part(step_jobs, step_rows),
    "creep": Part(creep_jobs, creep_rows),
    "relapse": Part(relapse_jobs, relapse_rows),
    "odd": Part(odd_jobs, odd_rows),
    "peers": Part(peer_jobs, peer_rows),
    "cases": Part(case_jobs, case_rows),
}


def main() -> int:
    """Run the jobs of all rows that are wanted, print the table; 1 when a row does not hold."""
    parser = argparse.ArgumentParser(prog="bench/lasting.py", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS), help="these rows")
    parser.add_argument("--quick", action="store_true", help="fewer features, days and draws")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="at a time (%(default)s)")
    parser.add_argument("--verbose", action="store_true", help="tell every flagged check on stderr")
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    if options.verbose:
        os.environ[VERBOSE] = "1"
    size = QUICK if options.quick else FULL
    begun = time.monotonic()
    rows: list[Row] = []
    with ProcessPoolExecutor(options.processes) as pool:
        asked = {name: [pool.submit(job) for job in PARTS[name].jobs(size)] for name in options.only}
        for name, futures in asked.items():
            rows += _rows(name, size, futures)
            progress(f"{name}: done after {time.monotonic() - begun:.0f} s")
    return report(rows)


def _rows(name: str, size: Size, futures: Sequence[Future[Any]]) -> Sequence[Row]:
    """The part's rows; one that says so when a check of it failed."""
    try:
        return PARTS[name].rows(size, [future.result() for future in futures])
    except Exception as error:  # the other parts are measured all the same
        logging.exception("%s was not measured", name)
        return [Row(name, f"not measured: {type(error).__name__}: {error}", "measured", False)]


if __name__ == "__main__":
    sys.exit(main())
