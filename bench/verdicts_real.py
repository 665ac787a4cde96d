"""The drift verdict on real rows, beside peers: flights by month and by day, scikit-learn's sets with injected shifts.

Of real rows nobody knows the truth, so three things are asked that can be judged all the same: what a tool calls drift
between months, against how many of a hundred rows would have to move to make the months alike; what it calls drift
between days that were dealt out at random; and what it finds when a column of a set is changed by hand.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import date

import numpy as np
import pandas as pd
from sklearn import datasets

from bench.columns import Count, Values
from bench.rows import Row
from bench.verdicts_peers import OURS, Flags, judge
from demo import flights

MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November")
MONTH_NAMES = (*MONTHS, "December")

UNCHANGED, LITTLE, PLAINLY = 0.01, 0.03, 0.10
"""Largest gap of the two distributions: that of a normal feature moved by 0.025, 0.075 and 0.25 standard deviations.
The first nobody would call a change, the last everybody would. Modelward's own floor, 0.06, lies between the first two.
"""

SPLIT_MONTHS = (1, 7)
NAMES_MAX = 6


def gap(reference: Values, current: Values) -> float:
    """The largest distance of two cdfs (numbers), or the total variation (categories), of raw rows, in [0, 1]."""
    if reference.dtype.kind == "f":
        missing = abs(float(np.isnan(reference).mean() - np.isnan(current).mean()))
        reference, current = np.sort(reference[~np.isnan(reference)]), np.sort(current[~np.isnan(current)])
        points = np.concatenate((reference, current))
        sides = [np.searchsorted(side, points, side="right") / len(side) for side in (reference, current)]
        return max(missing, float(np.abs(sides[0] - sides[1]).max()))
    names, codes = np.unique(np.concatenate((reference, current)).astype(str), return_inverse=True)
    shares = [np.bincount(side, minlength=len(names)) / len(side) for side in np.split(codes, [len(reference)])]
    return float(np.abs(shares[0] - shares[1]).sum() / 2)


def by_month() -> list[Row]:
    """January is the reference (its days are windows), every later month a window."""
    rows = _flights()
    days = [_columns(part) for _, part in rows[rows["month"] == 1].groupby("day")]
    months = [_columns(rows[rows["month"] == month]) for month in range(2, 13)]
    january = _columns(rows[rows["month"] == 1])
    answers = judge(days, months, days=30)
    gaps = np.array([[gap(january[name], month[name]) for name in january] for month in months])
    classes = (
        (0.0, UNCHANGED, f"as good as unchanged (fewer than {100 * UNCHANGED:.0f} of 100 rows)", "none"),
        (UNCHANGED, LITTLE, f"changed a little ({100 * UNCHANGED:.0f} to {100 * LITTLE:.0f} of 100 rows)", "-"),
        (LITTLE, PLAINLY, f"changed ({100 * LITTLE:.0f} to {100 * PLAINLY:.0f} of 100 rows)", "-"),
        (PLAINLY, math.inf, f"plainly changed (more than {100 * PLAINLY:.0f} of 100 rows)", "all"),
    )
    table = []
    for low, high, what, hold in classes:
        mask = (gaps >= low) & (gaps < high)
        counts = {who: int((flags & mask).sum()) for who, flags in answers.items()}
        fewer = [who for who, count in counts.items() if count < counts[OURS]]
        measured = "; ".join(f"{who} {count}" for who, count in counts.items())
        if fewer and high == LITTLE:
            measured += f"; **fewer by {' and '.join(fewer)}**"
        wanted = {"none": 0, "all": int(mask.sum())}.get(hold, counts[OURS])
        row = f"flights by month against January, {int(mask.sum())} features {what}: flagged"
        table.append(Row(row, measured, hold, counts[OURS] == wanted))
    table.append(_disagreements(list(january), gaps, answers))
    return table


def _disagreements(names: Sequence[str], gaps: np.ndarray, answers: dict[str, Flags]) -> Row:
    """Where tools went wrong by these bounds: (feature, month) that cried at nothing, or were missed."""
    said = []
    for who, flags in answers.items():
        for what, mask in (("cries at", flags & (gaps < UNCHANGED)), ("misses", ~flags & (gaps > PLAINLY))):
            where = [f"{names[j]} in {MONTH_NAMES[i + 1]}" for i, j in np.argwhere(mask)]
            if where:
                more = f" and {len(where) - NAMES_MAX} more" if len(where) > NAMES_MAX else ""
                said.append(f"{who} {what} {', '.join(where[:NAMES_MAX])}{more}")
    return Row("flights by month: by these bounds", "; ".join(said) or "nobody is wrong", "-", True)


def by_day() -> list[Row]:
    """Odd days of a month are the reference, even days the windows: the same weeks, weather and schedule.

    Then the even days again, with flights a fifth longer and a third of one carrier's under another name.
    """
    rows = _flights()
    unchanged: dict[str, list[Flags]] = {}
    changed: dict[str, list[Flags]] = {}
    for month in SPLIT_MONTHS:
        days = [_columns(part) for _, part in rows[rows["month"] == month].groupby("day")]
        first = date(2013, month, 1).weekday()
        on = range(first, first + len(days))
        even = days[1::2]
        windows = [*even, *map(_changed, even)]
        for who, flags in judge(days[::2], windows, known_on=on[::2], judged_on=[*on[1::2], *on[1::2]]).items():
            unchanged.setdefault(who, []).append(flags[: len(even)])
            changed.setdefault(who, []).append(flags[len(even) :])
    null = {who: np.concatenate(flags) for who, flags in unchanged.items()}
    moved = {
        who: np.concatenate(flags)[:, [flights.FEATURES.index(name) for name in MOVED]]
        for who, flags in changed.items()
    }
    what = f"flights, {len(null[OURS])} even days against their month's odd days, {len(flights.FEATURES)} features"
    alarms = {who: float(flags.any(axis=1).mean()) for who, flags in null.items()}
    said = "; ".join(f"{who} {alarms[who]:.0%} ({flags.mean():.1%} of features)" for who, flags in null.items())
    found = {who: float(flags.mean()) for who, flags in moved.items()}
    return [
        Row(f"{what}: days flagged", said, "not above any other", alarms[OURS] <= min(alarms.values())),
        Row(
            f"the same days with {' and '.join(MOVED)} changed: these two found",
            "; ".join(f"{who} {share:.0%}" for who, share in found.items()),
            "not below one that flags as few",
            all(found[OURS] >= share for who, share in found.items() if alarms[who] <= alarms[OURS] + 0.1),
        ),
    ]


MOVED = ("distance", "carrier")


def _changed(day: dict[str, Values]) -> dict[str, Values]:
    carrier = day["carrier"].copy()
    carrier[np.flatnonzero(carrier == "UA")[::3]] = "U2"
    return {**day, "distance": 1.2 * day["distance"], "carrier": carrier}


def _flights() -> pd.DataFrame:
    rows = flights.load()
    local = rows["departed"].dt.tz_convert("America/New_York")
    rows = rows.assign(month=local.dt.month, day=local.dt.day)
    year: pd.DataFrame = rows[local.dt.year == 2013]
    return year


def _columns(part: pd.DataFrame) -> dict[str, Values]:
    return {name: part[name].to_numpy() for name in flights.FEATURES}


# -- scikit-learn's sets --------------------------------------------------------------------------------------------

SETS: dict[str, Callable[[], object]] = {
    "breast cancer": datasets.load_breast_cancer,
    "diabetes": datasets.load_diabetes,
    "wine": datasets.load_wine,
    "digits": datasets.load_digits,
}

SHIFTS: dict[str, Callable[[np.random.Generator, Values], Values]] = {
    "0.75 sd": lambda draw, x: x + 0.75 * x.std(),
    "twice as wide": lambda draw, x: x.mean() + 2 * (x - x.mean()),
    "a quarter of rows 0": lambda draw, x: np.where(draw.random(len(x)) < 0.25, 0.0, x),
}
SPLITS = 8
COLUMNS_MAX = 30
"""Of more, evenly many are taken: peers need a tenth of a second for each column of each window."""


def injected(seed: int) -> list[Row]:
    """Each set is split in halves at random, again and again; one column of the second half is changed by hand."""
    draw = np.random.default_rng(seed)
    table = []
    for name, load in SETS.items():
        columns = _usable(load())
        n = len(next(iter(columns.values())))
        alarms: dict[str, Count] = {}
        found: dict[str, list[bool]] = {}
        for _ in range(SPLITS):
            order = draw.permutation(n)
            first, second = ({key: x[part] for key, x in columns.items()} for part in np.array_split(order, 2))
            windows, changed = [second], []
            for change in SHIFTS.values():
                key = str(draw.choice(list(columns)))
                windows.append({**second, key: change(draw, second[key])})
                changed.append(list(columns).index(key))
            for who, flags in judge([first], windows).items():
                alarms.setdefault(who, Count()).add(bool(flags[0].any()))
                found.setdefault(who, []).extend(flags[1 + i, j] for i, j in enumerate(changed))
        said = "; ".join(f"{who} {alarms[who].share:.0%} and {np.mean(found[who]):.0%}" for who in alarms)
        more = [who for who in alarms if np.mean(found[who]) > np.mean(found[OURS])]
        rivals = [who for who in more if alarms[who].share <= alarms[OURS].share]
        if more:
            said += f"; **more found by {' and '.join(more)}**"
            said += ", at as few false alarms" if rivals else ", which flags more unchanged halves"
        what = f"{name}, {n // 2} rows of {len(columns)} columns against as many: halves flagged"
        hold = "none, and no other better"
        row = Row(
            f"{what}, and one changed column found ({', '.join(SHIFTS)})",
            said,
            hold,
            alarms[OURS].hits == 0 and not rivals,
        )
        table.append(row)
    return table


def _usable(bunch: object) -> dict[str, Values]:
    data = np.asarray(bunch.data, dtype=np.float64)  # type: ignore[attr-defined]
    varied = [data[:, i] for i in range(data.shape[1]) if data[:, i].std() > 0]
    step = math.ceil(len(varied) / COLUMNS_MAX)
    return {f"x{i}": column for i, column in enumerate(varied[::step])}
