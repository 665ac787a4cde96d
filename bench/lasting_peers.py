"""Drift that lasts, beside Evidently, NannyML and plain Kolmogorov-Smirnov, each with a month that rolls on or stays.

All judge the same rows, a day at a time; ours through engine and store, by its check at the day's end. A peer is better
on a row where it says a change on clearly more of its days and does not flag more unchanged days than is allowed.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.columns import FALSE_ALARMS, Count, plain_test
from bench.rows import PEERS, Row, ask_peer
from bench.traffic import DAY, MONDAY, Creep, Draw, Step, Traffic, Values, category, count, normal, skewed
from bench.verdicts_peers import CLEARLY
from bench.watched import EVERY, watch

Flags = NDArray[np.bool_]
"""Shape (days, features)."""

OURS = "Modelward"
PLAIN_P = 1e-4
"""Of Kolmogorov and Smirnov's test (chi-squared of words), for each feature: far below 1% of days by Bonferroni, so
that its false alarms on rows without seasons are none."""

REFERENCE = 28
ROWS = 100
"""An hour; peers keep every row of a month."""

BEGIN = MONDAY.replace(hour=0)

CHANGE, BACK = 30, 42
"""Days of the changes, each at noon, and of the relapse."""


def features(seasons: bool) -> dict[str, Draw]:
    """A feature for each change, and two that stay as they are."""
    height = 0.5 if seasons else 0.0
    return {
        "small": normal(height, height),
        "large": normal(height, height),
        "creeping": normal(height, height),
        "back": normal(height, height),
        "words": category(hours=0.3 * height, weekends=0.2 * height),
        "count": count(height),
        "skewed": skewed(height),
    }


def changes() -> list[Step | Creep]:
    """What changes."""
    noon = 24 * CHANGE + 12
    return [
        Step("small", 0.3, noon),
        Step("large", 3.0, noon),
        Creep("creeping", 0.01, 24 * CHANGE),
        Step("back", 0.5, noon, 48),
        Step("back", 0.5, 24 * BACK + 12),
    ]


@dataclass(frozen=True, slots=True)
class Judged:
    """Who flagged which feature on which of the judged days, the first of which is the day after the first month."""

    seasons: bool
    changed: bool
    names: tuple[str, ...]
    flags: Mapping[str, Flags]


def judge(seasons: bool, changed: bool, days: int, seed: int) -> Judged:
    """Ours and the plain test's here, the peers' in their own environment."""
    drawn = features(seasons)
    names = tuple(drawn)
    kept: list[dict[str, list[Values]]] = [{name: [] for name in names} for _ in range(days)]

    def keep(start: datetime, columns: dict[str, Values]) -> None:
        for name, values in columns.items():
            kept[(start - BEGIN) // DAY][name].append(values)

    traffic = Traffic(drawn, BEGIN, seed, rows=ROWS, seasons=seasons, changes=changes() if changed else ())
    what = f"beside peers, {'with' if seasons else 'without'} seasons, {'changes' if changed else 'unchanged'}"
    said = watch(what, traffic, 24 * days, lambda hour: hour % EVERY == 0, rows=keep)
    by_day = {one.hour // 24 - 1: one.flagged for one in said if one.hour % 24 == 0}
    judged = range(REFERENCE, days)
    columns = [{name: np.concatenate(values) for name, values in day.items()} for day in kept]
    answers = {OURS: np.array([[name in by_day[day] for name in names] for day in judged])}
    for how in ("rolling", "fixed"):
        answers[f"KS, {how}"] = np.array(
            [[_plain(columns, name, day, how == "rolling") < PLAIN_P for name in names] for day in judged]
        )
    return Judged(seasons, changed, names, answers | asked({"rows": columns}, list(judged), rolls=True).get("rows", {}))


def _plain(columns: Sequence[Mapping[str, Values]], name: str, day: int, rolls: bool) -> float:
    first = day - REFERENCE if rolls else 0
    reference = np.concatenate([one[name] for one in columns[first : first + REFERENCE]])
    return plain_test(reference, columns[day][name])


def asked(
    cases: Mapping[str, Sequence[Mapping[str, Values]]], judged: list[int], *, rolls: bool
) -> dict[str, dict[str, Flags]]:
    """What peers flag of each case's days, with a fixed reference and a rolling one; nothing where there are none."""
    if not PEERS.exists():
        return {}
    wanted = {"days": judged, "reference": REFERENCE, "rolls": rolls}
    with tempfile.TemporaryDirectory(prefix="modelward-lasting-") as folder:
        for name, days in cases.items():
            (Path(folder) / name).mkdir()
            frame = pd.concat([pd.DataFrame(day).assign(window=number) for number, day in enumerate(days)])
            frame.to_parquet(Path(folder) / name / "rows.parquet", index=False)
            (Path(folder) / name / "judged.json").write_text(json.dumps(wanted))
        answer = ask_peer("lasting.py", folder)
    return {
        name: {who: np.array(flags, dtype=np.bool_) for who, flags in by_peer.items()}
        for name, by_peer in answer.items()
    }


def rows(runs: Sequence[Judged]) -> list[Row]:
    """By seasons: unchanged days flagged, and each change said."""
    made = []
    for seasons in (False, True):
        still, moved = (
            next(run for run in runs if run.seasons is seasons and run.changed is changed) for changed in (False, True)
        )
        where = (
            f"{len(still.names)} features {'with' if seasons else 'without'} hours and weekends, {ROWS} rows an hour"
        )
        alarms = {who: _count(np.any(flags, axis=1)) for who, flags in still.flags.items()}
        made.append(
            Row(
                f"{where}: unchanged days flagged",
                _shares(alarms),
                "not above any other, or at most 1%",
                alarms[OURS].few_enough() or all(alarms[OURS].share <= one.share for one in alarms.values()),
            )
        )
        for what, name, days in _asked(len(still.flags[OURS])):
            found = {who: _count(flags[days, moved.names.index(name)]) for who, flags in moved.flags.items()}
            made.append(_row(f"{where}: {what}: days said", found, alarms))
        between = slice(CHANGE + 3 - REFERENCE, BACK - REFERENCE)
        quiet = {who: _count(flags[between, moved.names.index("back")]) for who, flags in moved.flags.items()}
        made.append(
            Row(
                f"{where}: between the incident and its relapse: days said",
                _shares(quiet),
                "none",
                not quiet[OURS].hits,
            )
        )
    return made


def _asked(judged: int) -> list[tuple[str, str, slice]]:
    """What changes, of which feature, and on which judged days that is to be said."""
    change, back = CHANGE - REFERENCE, BACK - REFERENCE
    end = judged + REFERENCE - 1
    return [
        (f"0.3 sd from day {CHANGE} to {end}", "small", slice(change, None)),
        (f"3 sd from day {CHANGE} to {end}", "large", slice(change, None)),
        (f"0.01 sd a day from day {CHANGE} to {end}", "creeping", slice(change, None)),
        ("0.5 sd for two days", "back", slice(change, change + 3)),
        (f"the same again from day {BACK} to {end}", "back", slice(back, None)),
    ]


def _row(what: str, found: Mapping[str, Count], alarms: Mapping[str, Count]) -> Row:
    more = [who for who, one in found.items() if one.share > found[OURS].share + CLEARLY]
    ahead = [who for who in more if alarms[who].interval()[0] <= max(FALSE_ALARMS, alarms[OURS].share)]
    measured = _shares(found)
    if more:
        measured += f"; **more by {' and '.join(more)}**"
        measured += f", of which {' and '.join(ahead)} at as few false alarms" if ahead else ", with more false alarms"
    return Row(what, measured, "no other better", not ahead)


def _shares(counts: Mapping[str, Count]) -> str:
    return "; ".join(f"{who} {one.share:.0%}" for who, one in counts.items())


def _count(flags: Flags) -> Count:
    return Count(int(np.count_nonzero(flags)), int(np.size(flags)))
