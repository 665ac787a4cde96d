"""The drift verdict beside Evidently's and NannyML's defaults and a textbook test at p < 0.05, on the same rows."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.columns import (
    CHANGED,
    FALSE_ALARMS,
    KINDS,
    Count,
    Values,
    change,
    flagged,
    plain_test,
    profile,
    reference_of,
    verdict,
)
from bench.rows import PEERS, Row, ask_peer

Flags = NDArray[np.bool_]
"""Shape (windows, columns)."""

OURS, PLAIN = "Modelward", "p < 0.05"
"""A textbook test of each column by itself: Kolmogorov-Smirnov of numbers, chi-squared of categories."""

CASES = {
    200: (5, 200, 2.2, 20),
    1_000: (20, 1_000, 1.0, 20),
    10_000: (20, 5_000, 0.5, 10),
    100_000: (10, 20_000, 0.5, 5),
}
"""By the rows of a window: how many windows the reference has and their rows, how strong a change is, how many windows
are judged without it and with it."""

CLEARLY = 0.05
"""Who finds so many more of a hundred changes finds more."""


def judge(
    reference: Sequence[Mapping[str, Values]],
    windows: Sequence[Mapping[str, Values]],
    days: int = 1,
    known_on: Sequence[int] | None = None,
    judged_on: Sequence[int] | None = None,
) -> dict[str, Flags]:
    """Who flags which column in which window; `reference` is in windows too, each a day, those to be judged `days`.

    `known_on` and `judged_on` date them, in days since a Monday: by default one after the other, and all on a Monday.
    Peers only where they are installed.
    """
    names = list(reference[0])
    known = reference_of([profile(day) for day in reference], known_on)
    dates = judged_on or [0] * len(windows)
    whole = {name: np.concatenate([day[name] for day in reference]) for name in names}
    found = [flagged(verdict(known, profile(window), days, on)) for window, on in zip(windows, dates, strict=True)]
    answers = {
        OURS: np.array([[name in drifting for name in names] for drifting in found]),
        PLAIN: np.array([[plain_test(whole[name], window[name]) < 0.05 for name in names] for window in windows]),
    }
    if PEERS.exists():
        with tempfile.TemporaryDirectory() as folder:
            for side, parts in (("reference", reference), ("windows", windows)):
                frame = pd.concat(
                    [pd.DataFrame(part).assign(window=index) for index, part in enumerate(parts)], ignore_index=True
                )
                frame.to_parquet(Path(folder) / f"{side}.parquet", index=False)
            for name, rows in ask_peer("verdicts.py", folder).items():
                answers[name] = np.array(rows, dtype=np.bool_)
    return answers


def by_kind(n: int, seed: int) -> list[Row]:
    """Of each kind two features, one of which changes: who flags unchanged ones, who finds the changed one."""
    draw = np.random.default_rng(seed)
    days, size, strength, windows = CASES[n]
    draws = {f"{kind}, {i}": one for kind, pair in KINDS.items() for i, one in enumerate(pair)}
    reference = [{name: one(draw, size) for name, one in draws.items()} for _ in range(days)]
    changes = {kind: change(kind, strength) for kind in CHANGED}
    changed = {f"{kind}, 0": after for kind, (_, after) in changes.items()}
    null = [{name: one(draw, n) for name, one in draws.items()} for _ in range(windows)]
    moved = [{name: changed.get(name, one)(draw, n) for name, one in draws.items()} for _ in range(windows)]
    answers = judge(reference, [*null, *moved])
    names = list(draws)
    nothing = {who: _count(np.any(flags[:windows], axis=1)) for who, flags in answers.items()}
    rows = []
    for kind, (what, _) in changes.items():
        pair = [names.index(f"{kind}, {i}") for i in (0, 1)]
        alarms = {who: _count(flags[:windows, pair]) for who, flags in answers.items()}
        found = {who: _count(flags[windows:, pair[0]]) for who, flags in answers.items()}
        rows.append(_row(f"{kind} features, n = {n:,}, reference of {days * size:,}", what, alarms, found, nothing))
    what = f"{len(names)} unchanged features of all kinds, n = {n:,}, reference of {days * size:,}: windows flagged"
    said = "; ".join(f"{who} {count.share:.0%}" for who, count in nothing.items())
    fewest = all(nothing[OURS].share <= count.share for count in nothing.values())
    return [*rows, Row(what, said, "not above any other", fewest and nothing[OURS].few_enough())]


def weekly(seed: int, weeks: int = 3) -> list[Row]:
    """Half of six features shift by half a standard deviation at weekends, in the reference of four weeks and after."""
    draw = np.random.default_rng(seed)

    def day(number: int) -> dict[str, Values]:
        shift = 0.5 if number % 7 > 4 else 0.0
        return {f"x{i}": draw.normal(shift * (i % 2), 1, 2_000) for i in range(6)}

    reference = [day(number) for number in range(28)]
    answers = judge(reference, [day(number) for number in range(7 * weeks)], judged_on=range(7 * weeks))
    found = {who: _count(np.any(flags, axis=1)) for who, flags in answers.items()}
    return [
        Row(
            "6 features, half of them 0.5 sd higher at weekends as in the reference, n = 2,000: days flagged",
            "; ".join(f"{who} {count.share:.0%}" for who, count in found.items()),
            "not above any other",
            all(found[OURS].share <= count.share for count in found.values()),
        )
    ]


def _row(
    what: str,
    changed: str,
    alarms: Mapping[str, Count],
    found: Mapping[str, Count],
    nothing: Mapping[str, Count],
) -> Row:
    """A peer is better when it finds more and does not flag clearly more unchanged windows than is allowed."""
    measured = "; ".join(f"{who} {alarms[who].share:.1%} and {found[who].share:.0%}" for who in alarms)
    more = [who for who, count in found.items() if count.share > found[OURS].share + CLEARLY]
    ahead = [who for who in more if nothing[who].interval()[0] <= max(FALSE_ALARMS, nothing[OURS].share)]
    if more:
        measured += f"; **more found by {' and '.join(more)}**"
        measured += ", at as few false alarms" if ahead else ", which flags more unchanged windows"
    return Row(f"{what}: unchanged flagged, and found when {changed}", measured, "no other better", not ahead)


def _count(flags: Flags) -> Count:
    return Count(int(np.count_nonzero(flags)), int(np.size(flags)))
