"""Kinds of verdicts that were once wrong, each at numbers of its own: what is right is in each row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import numpy as np

from bench.columns import FALSE_ALARMS, Count, flagged, reference_of
from bench.lasting_odd import on_a_tuesday
from bench.rows import Row
from bench.traffic import (
    MONDAY,
    Creep,
    Draw,
    Step,
    Traffic,
    Values,
    boolean,
    category,
    count,
    normal,
    profile_of,
    skewed,
)
from bench.watched import EVERY, Said, always, watch
from modelward_collector.checks.drift_reference import PreparedReference

EARLY = {"ok", "no_data", "learning"}
"""What a check of a model's first week may say."""

FOUND = 0.95

SEASONAL: dict[str, Draw] = {
    "wave": normal(0.6, 0.3),
    "skewed": skewed(0.25),
    "words": category(hours=0.12, weekends=0.08),
    "count": count(0.35),
    "plain": normal(),
    "true": boolean(0.3, hours=0.1),
}

# -- what lasts ------------------------------------------------------------------------------------------------------

MONTH, WATCHED = 28, 50


def kept_saying(_: int) -> list[Said]:
    """Rows that are the same every hour but for what changes in four features from day 28 on."""
    change = 24 * MONTH
    changes: list[Step | Creep] = [
        Step("step", 1.0, change),
        Creep("ramp", 0.15, change),
        Creep("creep", 0.02, change),
        Step("relapse", 0.6, change, 48),
        Step("relapse", 0.6, change + 24 * 9),
    ]
    drawn = {name: normal() for name in ("step", "ramp", "creep", "relapse", "still")}
    traffic = Traffic(drawn, MONDAY, 501, rows=400, seasons=False, changes=changes)
    return watch("what lasts", traffic, 24 * (MONTH + WATCHED), lambda hour: hour % EVERY == 0)


def kept_saying_rows(said: Sequence[Said]) -> list[Row]:
    """Each said from some day of it on, on every check."""
    rows = []
    for what, name, start, by in (
        ("a step of 1 sd", "step", 0, 1),
        ("a ramp of 0.15 sd a day", "ramp", 0, 3),
        ("a creep of 0.02 sd a day", "creep", 0, 14),
        ("a relapse of 0.6 sd a week after two such days", "relapse", 9, 1),
    ):
        asked = [one for one in said if one.hour > 24 * (MONTH + start + by)]
        silent = sum(name not in one.flagged for one in asked)
        rows.append(
            Row(
                f"{what}, hours alike: checks from its day {by} to day {MONTH + WATCHED} that do not say it",
                f"{silent} of {len(asked)}",
                "none",
                not silent,
            )
        )
    still = Count()
    for one in said:
        still.add("still" in one.flagged)
    rows.append(
        Row("the feature beside them that stays: checks that flag it", still.says(), "at most 1%", still.few_enough())
    )
    return rows


# -- one odd day -----------------------------------------------------------------------------------------------------


def one_odd_day(days: int, off: float, weekend: float, repetitions: int) -> tuple[Count, Count]:
    """A weekday's shift of 0.15 sd found after a reference with one odd day, and after one without."""
    rng = np.random.default_rng([502, days, int(10 * off), int(10 * weekend)])
    odd, clean = Count(), Count()
    for _ in range(repetitions):
        known = [profile_of({"x": rng.normal(weekend * (number % 7 > 4), 1, 10_000)}) for number in range(days)]
        now = profile_of({"x": rng.normal(0.15, 1, 10_000)})
        clean.add(bool(flagged(on_a_tuesday(reference_of(known), now))))
        known[int(rng.integers(days))] = profile_of({"x": rng.normal(off, 1, 10_000)})
        odd.add(bool(flagged(on_a_tuesday(reference_of(known), now))))
    return odd, clean


ODD_DAYS = [(28, 0.4, 0.0), (28, 1.5, 0.0), (56, 4.0, 0.0), (28, 1.5, 0.3), (28, 0.0, 1.2)]


def one_odd_day_rows(counts: Sequence[tuple[Count, Count]]) -> list[Row]:
    """The power of a clean reference."""
    said = []
    for (days, off, weekend), (odd, clean) in zip(ODD_DAYS, counts, strict=True):
        what = f"{days} days, one {off:g} sd off" + (f", weekends {weekend:g} sd" if weekend else "")
        said.append(f"{what}: {odd.share:.0%}, clean {clean.share:.0%}")
    return [
        Row(
            "one odd day in the reference, n = 10,000: 0.15 sd on a weekday found",
            "; ".join(said),
            f"at least {FOUND:.0%}, with it and without",
            all(odd.enough(FOUND) and clean.enough(FOUND) for odd, clean in counts),
        )
    ]


# -- windows of other lengths, and first days ------------------------------------------------------------------------

HOURS = (1, 6, 24)


def short_windows(hours: int) -> list[Said]:
    """Unchanged, with `window` set, from the fifth week on."""
    traffic = Traffic(SEASONAL, MONDAY, 503, rows=250)
    due: Callable[[int], bool] = lambda hour: hour > 28 * 24 and hour % hours == 0  # noqa: E731
    yaml = f"checks:\n  drift:\n    window: {hours}h\n"
    return watch(f"windows of {hours} h", traffic, 24 * 41, due, yaml=yaml)


def first_days(begin: datetime, seed: int) -> list[Said]:
    """A new model of few rows, checked hourly."""
    return watch(f"first days from {begin:%A %H:%M}", Traffic(SEASONAL, begin, seed, rows=150), 24 * 10, always)


def watched_rows(what: str, said: Sequence[Said], *, early: bool = False) -> list[Row]:
    """Unchanged traffic: checks that flag anything, and in the first week what is worse than learning."""
    flags = Count()
    for one in said:
        flags.add(bool(one.flagged))
    rows = [Row(f"{what}: checks that flag anything", flags.says(), f"at most {FALSE_ALARMS:.0%}", flags.few_enough())]
    if early:
        worse = Counter(one.status for one in said if one.hour <= 7 * 24 and one.status not in EARLY)
        told = ", ".join(f"{status} {times}" for status, times in worse.items()) or "none"
        rows.append(Row(f"{what}: first week's checks worse than learning", told, "none", not worse))
    return rows


# -- kinds of values -------------------------------------------------------------------------------------------------


def _reference(days: Sequence[Mapping[str, Values]]) -> PreparedReference:
    return reference_of([profile_of(one) for one in days])


def rare_booleans(repetitions: int) -> list[Row]:
    """The same rows as booleans, as 0 and 1, and as text."""
    n = 400_000
    rng = np.random.default_rng(504)
    forms: dict[str, Callable[[Values], Values]] = {
        "boolean": lambda truth: truth,
        "0/1": lambda truth: truth.astype(np.float64),
        "text": lambda truth: np.where(truth, "yes", "no"),
    }
    rows = []
    for before, after, hold in (
        (0.0004, 0.004, "all of each"),
        (0.003, 0.003, "none of any"),
        (0.02, 0.024, "the same of each"),
        (0.02, 0.03, "all of each"),
        (0.3, 0.33, "all of each"),
    ):
        known = [rng.random(n) < before for _ in range(8)]
        windows = [rng.random(n) < after for _ in range(repetitions)]
        found = {}
        for name, form in forms.items():
            reference = _reference([{"x": form(one)} for one in known])
            found[name] = sum(bool(flagged(on_a_tuesday(reference, profile_of({"x": form(one)})))) for one in windows)
        wanted = {"all of each": {len(windows)}, "none of any": {0}}.get(hold, set(found.values()))
        rows.append(
            Row(
                f"{before:.2%} of {n:,} rows become {after:.2%}, as a boolean, as 0/1 and as text: flagged",
                "; ".join(f"{name} {times} of {len(windows)}" for name, times in found.items()),
                hold,
                len(set(found.values())) == 1 and set(found.values()) == wanted,
            )
        )
    return rows


def narrow_numbers(repetitions: int) -> list[Row]:
    """Numbers that are far from zero for their spread: times, ids, money in cents."""
    n = 8_000
    rng = np.random.default_rng(505)

    def peaks(size: int) -> Values:
        return rng.choice([-0.92, 0.92], size) + rng.normal(0, 0.39, size)

    said, holds = [], True
    for base, unit in ((0.0, 1.0), (2e6, 30.0), (1.8e9, 40.0), (1.8e9, 7_200.0), (4e12, 900.0)):
        reference = _reference([{"x": base + unit * peaks(n)} for _ in range(10)])
        found, unchanged = Count(), Count()
        for _ in range(repetitions):
            found.add(bool(flagged(on_a_tuesday(reference, profile_of({"x": base + unit * rng.normal(0, 1, n)})))))
            unchanged.add(bool(flagged(on_a_tuesday(reference, profile_of({"x": base + unit * peaks(n)})))))
        said.append(f"{base:.2g} ± {unit:g} {found.share:.0%} and {unchanged.share:.0%}")
        holds &= found.enough(FOUND) and unchanged.few_enough()
    what = f"two peaks become one of the same mean and spread, n = {n:,}: found, and unchanged flagged"
    return [Row(what, "; ".join(said), f"at least {FOUND:.0%} and at most {FALSE_ALARMS:.0%} of each", holds)]


def new_ids(repetitions: int) -> list[Row]:
    """A feature of many different strings."""
    n, kinds = 15_000, 4_000
    rng = np.random.default_rng(506)

    def ids(low: int, high: int) -> dict[str, Values]:
        return {"id": np.char.add("c-", rng.integers(low, high, n).astype(str))}

    reference = _reference([ids(0, kinds) for _ in range(14)])
    said, holds = [], True
    for what, low, high, changed in (
        ("unchanged", 0, kinds, False),
        ("all new", 10**6, 10**6 + kinds, True),
        ("half new", kinds // 2, kinds + kinds // 2, True),
        ("a tenth of them left", 0, kinds // 10, True),
        ("40 times as many", 0, 40 * kinds, True),
    ):
        found = Count()
        for _ in range(repetitions):
            found.add(bool(flagged(on_a_tuesday(reference, profile_of(ids(low, high))))))
        said.append(f"{what} {found.share:.0%}")
        holds &= found.enough(FOUND) if changed else found.few_enough()
    what = f"{kinds:,} ids in {n:,} rows a day: flagged"
    return [Row(what, "; ".join(said), f"unchanged at most {FALSE_ALARMS:.0%}, the others at least {FOUND:.0%}", holds)]
