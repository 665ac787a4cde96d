"""References with odd days and weekends: what a small change of a weekday's rows is compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from bench.columns import (
    DAY,
    FALSE_ALARMS,
    SPEC,
    START,
    Count,
    flagged,
    plain_test,
    reference_of,
)
from bench.lasting_peers import OURS, PLAIN_P, REFERENCE, asked
from bench.rows import Row
from bench.traffic import MONDAY, Step, Traffic, Values, category, normal, profile_of
from bench.verdicts_peers import CLEARLY
from bench.watched import EVERY, watch
from modelward_agent.profile import Profile
from modelward_collector.checks.drift import check_drift
from modelward_collector.checks.drift_reference import PreparedReference
from modelward_collector.checks.result import CheckResult
from modelward_collector.checks.window import Window
from modelward_collector.span import Span

ROWS = 10_000
SHIFT, WEEKENDS = 0.2, 0.5
NUMBERS, SIZES = range(1, 8), (1.0, 2.0, 3.0)
"""Odd days of 28, and how far off they are."""

FOUND = 0.95
HOUR_ROWS = 417


def on_a_tuesday(reference: PreparedReference, current: Profile) -> CheckResult:
    """The drift check of a weekday's rows, after a reference of days whose first is a Monday."""
    days = len(reference.reference.windows)
    start = START + (days + (1 - days) % 7) * DAY
    return check_drift(SPEC, "v1", reference, Window("bench", Span(start, start + DAY), {("v1", ()): current}))


def day(rng: np.random.Generator, weekday: int, off: float = 0.0) -> dict[str, Values]:
    """One of the features is off; two have weekends."""
    weekend = WEEKENDS * (weekday > 4)
    return {
        "odd": rng.normal(weekend + off, 1, ROWS),
        "plain": rng.normal(weekend, 1, ROWS),
        "words": rng.choice(["a", "b", "c"], ROWS, p=[0.5, 0.3, 0.2]),
    }


def month(rng: np.random.Generator, number: int, size: float, *, one_way: bool) -> list[dict[str, Values]]:
    """28 days from a Monday on; so many of them are odd, all in one direction or in either."""
    off = np.zeros(REFERENCE)
    places = rng.choice(REFERENCE, number, replace=False)
    off[places] = size * (1.0 if one_way else rng.choice([-1.0, 1.0], number))
    return [day(rng, place % 7, float(off[place])) for place in range(REFERENCE)]


@dataclass(slots=True)
class Tally:
    """What was found, and what was flagged though nothing had changed; by who judged."""

    found: dict[str, Count] = field(default_factory=dict)
    alarms: dict[str, Count] = field(default_factory=dict)


def drawn(number: int, size: float, repetitions: int, seed: int) -> Tally:
    """Through the check alone: a reference of days, then a Tuesday with and without the change."""
    rng = np.random.default_rng([seed, number, int(10 * size)])
    tally = Tally({OURS: Count()}, {OURS: Count()})
    for repetition in range(repetitions):
        known = month(rng, number, size, one_way=repetition % 2 == 0)
        reference = reference_of([profile_of(one) for one in known])
        tally.found[OURS].add("odd" in flagged(on_a_tuesday(reference, profile_of(day(rng, 1, SHIFT)))))
        tally.alarms[OURS].add(bool(flagged(on_a_tuesday(reference, profile_of(day(rng, 1))))))
    return tally


def drawn_rows(tallies: Sequence[tuple[int, float, Tally]]) -> list[Row]:
    """By how far the odd days are off."""
    rows = []
    for size in SIZES:
        mine = [(number, tally) for number, its, tally in tallies if its == size]
        found, alarms = Count(), Count()
        for _, tally in mine:
            found.hits, found.runs = found.hits + tally.found[OURS].hits, found.runs + tally.found[OURS].runs
            alarms.hits, alarms.runs = alarms.hits + tally.alarms[OURS].hits, alarms.runs + tally.alarms[OURS].runs
        each = ", ".join(f"{number}: {tally.found[OURS].share:.0%}" for number, tally in mine)
        rows.append(
            Row(
                f"1 to 7 days of 28 are {size:g} sd off, weekends {WEEKENDS} sd, n = {ROWS:,}: "
                f"{SHIFT} sd on a weekday found, and unchanged weekdays flagged",
                f"{found.share:.1%} ({each}) and {alarms.says()}",
                f"at least {FOUND:.0%} for each number, and at most {FALSE_ALARMS:.0%}",
                found.share >= FOUND
                and all(tally.found[OURS].enough(FOUND) for _, tally in mine)
                and alarms.few_enough(),
            )
        )
    return rows


BOTH = (True, False, True, False)
"""Of the days after a reference that peers judge too: which are moved."""


def beside_peers(seed: int) -> Tally:
    """One reference of each number, sizes in turn; a few weekdays with and without the change, judged by all."""
    rng = np.random.default_rng(seed)
    tally = Tally()
    cases: dict[str, list[dict[str, Values]]] = {}
    for number in NUMBERS:
        known = month(rng, number, SIZES[number % len(SIZES)], one_way=True)
        after = [day(rng, 1, SHIFT * moved) for moved in BOTH]
        cases[str(number)] = [*known, *after]
        reference = reference_of([profile_of(one) for one in known])
        whole = {name: np.concatenate([one[name] for one in known]) for name in known[0]}
        for moved, now in zip(BOTH, after, strict=True):
            _add(tally, OURS, moved, flagged(on_a_tuesday(reference, profile_of(now))))
            plain = {name for name, values in now.items() if plain_test(whole[name], values) < PLAIN_P}
            _add(tally, f"KS at p < {PLAIN_P:g}", moved, plain)
    judged = list(range(REFERENCE, REFERENCE + len(BOTH)))
    for case, answers in asked(cases, judged, rolls=False).items():
        for who, flags in answers.items():
            for moved, row in zip(BOTH, flags, strict=True):
                names = {name for name, flag in zip(cases[case][0], row, strict=True) if flag}
                _add(tally, who.removesuffix(", fixed"), moved, names)
    return tally


def _add(tally: Tally, who: str, moved: bool, names: set[str]) -> None:
    if moved:
        tally.found.setdefault(who, Count()).add("odd" in names)
    else:
        tally.alarms.setdefault(who, Count()).add(bool(names))


def peer_rows(tally: Tally) -> list[Row]:
    """Who finds more at as few false alarms."""
    found, alarms = tally.found, tally.alarms
    more = [who for who, one in found.items() if one.share > found[OURS].share + CLEARLY]
    ahead = [who for who in more if alarms[who].interval()[0] <= max(FALSE_ALARMS, alarms[OURS].share)]
    said = "; ".join(f"{who} {alarms[who].share:.0%} and {found[who].share:.0%}" for who in found)
    if more:
        said += f"; **more by {' and '.join(more)}**"
    what = f"such references, a weekday beside peers: unchanged flagged, and {SHIFT} sd found"
    return [Row(what, said, "no other better", not ahead)]


def in_use(number: int, size: float, seed: int) -> Mapping[str, bool]:
    """Through engine and store: odd days in the four weeks before a Tuesday that is moved."""
    rng = np.random.default_rng([seed, number])
    begin = MONDAY.replace(hour=0)
    moved = 24 * (REFERENCE + 8)
    places = moved - 24 * (1 + rng.choice(REFERENCE, number, replace=False))
    changes = [Step("odd", size, int(place), 24) for place in places]
    traffic = Traffic(
        {"odd": normal(weekends=WEEKENDS), "plain": normal(weekends=WEEKENDS), "words": category()},
        begin,
        seed,
        rows=HOUR_ROWS,
        changes=[*changes, Step("odd", SHIFT, moved)],
    )
    said = watch(f"{number} odd days of {size} sd, seed {seed}", traffic, moved + 24, lambda hour: hour % EVERY == 0)
    by_hour = {one.hour: one.flagged for one in said}
    return {"found": "odd" in by_hour[moved + 24], "alarm": bool(by_hour[moved])}


def in_use_rows(runs: Sequence[Mapping[str, bool]]) -> list[Row]:
    """All of them."""
    found, alarms = (sum(run[what] for run in runs) for what in ("found", "alarm"))
    return [
        Row(
            f"1 to 7 of 28 days are 1 to 3 sd off, weekends {WEEKENDS} sd, {HOUR_ROWS} rows an hour, in use: "
            f"{SHIFT} sd on a weekday found at the day's end, and the day before flagged",
            f"{found} of {len(runs)} and {alarms}",
            "all and none",
            found == len(runs) and not alarms,
        )
    ]
