"""Which windows of a reference are like which: kinds of days that matter for a feature, and windows that are odd.

A window of the reference is described by a few numbers (`characteristics`), each with its sampling variance. Everything
here is by medians: a quarter of the windows may be anything at all, and changes little.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

Values = NDArray[np.float64]
Days = NDArray[np.int64]

ODD_SHARE = 0.25
"""More windows than these are not odd; that is how the feature varies."""

WINDOWS_MIN = 6
"""Of fewer windows it cannot be told which of them is odd."""

ODD_LEVEL = 1e-3
"""The chance that any window of an unchanged, normally varying feature is called odd, about."""

NEARLY_ODD = 0.75
"""Windows this near to the bound are counted too where odd ones may be too many: of nine alike not some are odd."""

TAIL_MIN, STANDS_APART = 2, 1 / 3
"""Of so many odd windows on one side those are as usual of which the next nearer is more than a third as far off."""

FEW_WINDOWS = 3.0
"""The scale of few windows is uncertain: the bound on what is odd is larger by this over the root of their number."""

PARTITION_WINDOWS_MIN = 10
PARTITION_DAYS_MIN = 8
PARTITION_LEVEL = 1e-3
"""Kinds of days are told apart when they would differ by chance this rarely, over all ways to tell them apart."""

GROUP_MIN = 4
"""Days of a kind that are needed to learn that it is one: of fewer, one odd day would make a kind."""

_ALIKE = 0.5
"""Most of a kind's days must be this share of the median's distance away, or it is a few odd days."""

_MANY = 8
"""Of so many days of a kind three in eight may be odd, of fewer a quarter."""

_UNEXPLAINED = 3.0
"""Windows further off than this many standard deviations count alike: kinds are not chosen to suit one odd day."""

_MAD = 1.4826
_THREE_QUARTERS = 1.1503
"""Three quarters of a normal's values are within so many standard deviations."""

_MEDIAN = 1.2533
"""What a median's standard error is larger by than a mean's."""

NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
SATURDAY, SUNDAY = 5, 6
WEEKEND = (SATURDAY, SUNDAY)

_KINDS: tuple[tuple[int, ...], ...] = (
    WEEKEND,
    (6,),
    (4, 5),
    (6, 0),
    (5,),
    (0,),
    (1,),
    (2,),
    (3,),
    (4,),
)
"""Days that may be of a kind of their own, the usual first; weekends of other countries and time zones among them."""


@dataclass(frozen=True, slots=True)
class Partition:
    """Days of the week (0 Monday to 6) by kind; one kind when none differs. `kinds` are disjoint and cover the week."""

    kinds: tuple[tuple[int, ...], ...]

    def of(self, day: int) -> tuple[int, ...]:
        """The kind that a day of the week belongs to."""
        return next(kind for kind in self.kinds if day in kind)

    @property
    def matters(self) -> bool:
        """Whether there is more than one kind."""
        return len(self.kinds) > 1


ALL_ALIKE = Partition((tuple(range(7)),))
EACH_DAY = Partition(tuple((day,) for day in range(7)))


def two_kinds(days: Sequence[int]) -> Partition:
    """These days, and all others."""
    return Partition((tuple(day for day in range(7) if day not in days), tuple(days)))


def said(kind: Sequence[int]) -> str:
    """`weekdays`, `weekends`, `Mondays`, `Tuesdays to Saturdays`, `days`."""
    days = sorted(kind)
    if len(days) == 7:
        return "days"
    if tuple(days) == WEEKEND:
        return "weekends"
    if days == [0, 1, 2, 3, 4]:
        return "weekdays"
    if len(days) == 1:
        return f"{NAMES[days[0]]}s"
    if len(days) > 2:
        # In the order of the week, from after the gap on: Sunday to Thursday.
        gap = next(day for day in range(7) if day in days and (day - 1) % 7 not in days)
        return f"{NAMES[gap]}s to {NAMES[(gap + len(days) - 1) % 7]}s"
    return " and ".join(f"{NAMES[day]}s" for day in days)


def partition_of(values: Values, variances: Values, days: Days, span_days: float) -> Partition:
    """Learn which kinds of days differ, from windows' characteristics.

    `values` and `variances` have the shape (windows, characteristics), NaN where one does not apply; `days` (windows,)
    are days of the week and `span_days` is how long the windows reach back. One kind of days is told from the others
    where their medians lie apart by more than windows of a kind do (by t, with the larger of the pooled median absolute
    deviation and the sampling error), and each day from the others where kinds are not enough.
    """
    if len(days) < PARTITION_WINDOWS_MIN or span_days < PARTITION_DAYS_MIN:
        return ALL_ALIKE
    there = set(days.tolist())
    level = PARTITION_LEVEL / (max(1, values.shape[1]) * (len(_KINDS) + 1))
    varied = _varied(values, variances)
    if not varied.any():
        return ALL_ALIKE
    values, variances = values[:, varied], variances[:, varied]
    apart = []
    for kind in _KINDS:
        candidate = two_kinds(kind)
        members = _of(days, kind)
        if min(members.sum(), (~members).sum()) < GROUP_MIN or not set(kind) <= there:
            continue
        differs = (_excess(values, variances, days, candidate, level) > 0) & _together(values, members)
        if differs.any():
            apart.append((candidate, differs))
    best = _explains_most(values, variances, days, apart)
    # Two odd Mondays of four are no reason to tell all days apart.
    fair = odd_windows(values, variances, days, best, np.zeros(values.shape[1])).max(axis=1, initial=0.0) == 0
    values, variances, days = values[fair], variances[fair], days[fair]
    enough = all((days == day).sum() >= GROUP_MIN - 1 for day in range(7))
    rest = values - _centres(values, days, best)
    if enough and _excess(rest, variances, days, EACH_DAY, level, robust=False).max() > 0:
        return EACH_DAY
    return best


def _varied(values: Values, variances: Values) -> NDArray[np.bool_]:
    """Characteristics of which more windows than by chance are off: others tell no kinds apart, and cost time."""
    with np.errstate(invalid="ignore", divide="ignore"):
        off = np.sort(np.nan_to_num(np.abs(values - _median(values)) / np.sqrt(variances), nan=0.0, posinf=0.0), axis=0)
    windows = len(off)
    varied: NDArray[np.bool_] = (off[int(0.8 * windows)] > 1.6) | (off[int(0.88 * windows)] > 1.9)
    return varied


def _together(values: Values, members: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """In which characteristics most of the members lie apart from the others, on one side; shape (characteristics,)."""
    distances = values[members] - _median(values[~members])
    middle = _median(distances)
    sided = np.sort(np.where(np.isfinite(distances), distances * np.sign(middle), np.inf), axis=0)
    size = len(sided)
    lower: NDArray[np.bool_] = sided[3 * size // 8 if size >= _MANY else (size - 1) // 4] > _ALIKE * np.abs(middle)
    return lower


def _explains_most(
    values: Values, variances: Values, days: Days, apart: Sequence[tuple[Partition, NDArray[np.bool_]]]
) -> Partition:
    """Of partitions that differ in some characteristics (characteristics,) the one that leaves least of one of those.

    What a partition leaves is the sum of the windows' squared deviations, each bounded, in one scale for all.
    """
    if not apart:
        return ALL_ALIKE
    deviations = [np.abs(values - _centres(values, days, candidate)) for candidate, _ in apart]
    spread = np.min([_median(one) for one in deviations], axis=0)
    scale = np.sqrt(np.maximum((_MAD * spread) ** 2, _median(variances)))

    def left(distances: Values) -> Values:
        with np.errstate(invalid="ignore", divide="ignore"):
            answer: Values = np.nansum(np.minimum(distances / scale, _UNEXPLAINED) ** 2, axis=0)
        return answer

    without = left(np.abs(values - _median(values)))
    gains = [
        float(np.where(differs, without - left(one), -np.inf).max())
        for one, (_, differs) in zip(deviations, apart, strict=True)
    ]
    return apart[int(np.argmax(gains))][0]


def odd_windows(values: Values, variances: Values, days: Days, partition: Partition, trivial: Values) -> Values:
    """By how many robust standard deviations each window is beyond what is odd; shape (windows, characteristics).

    Above 0 is odd in that characteristic: further from the median of its kind of days than the windows' own scatter
    allows, and by more than `trivial` (characteristics,). All 0 when there are too few windows, or when more than a
    quarter of them would be; and of a day of the week, when no other window of that day is as the rest.
    """
    beyond = np.zeros_like(values)
    windows, characteristics = values.shape
    if windows < WINDOWS_MIN:
        return beyond
    deviations = values - _centres(values, days, partition)
    scale = _scale(deviations, variances, len({partition.of(day) for day in days.tolist()}))
    bound = -float(special.ndtri(ODD_LEVEL / (2 * windows * max(1, characteristics))))
    bound *= 1 + FEW_WINDOWS / math.sqrt(windows)
    with np.errstate(invalid="ignore", divide="ignore"):
        far = np.abs(deviations) / scale
        beyond = np.where((far > bound) & (np.abs(deviations) > trivial), far - bound, 0.0)
    beyond = np.nan_to_num(beyond, nan=0.0, posinf=1e9)
    # A characteristic in which many windows are far off varies so; it tells of no odd one.
    with np.errstate(invalid="ignore"):
        many = (far > NEARLY_ODD * bound).sum(axis=0) > ODD_SHARE * windows
    beyond[:, many] = 0.0
    beyond[_tails(deviations, beyond > 0)] = 0.0
    odd = beyond.max(axis=1, initial=0.0) > 0
    for day in set(days.tolist()):
        # When every Saturday is far off, that is what Saturdays are like.
        if odd[days == day].all():
            beyond[days == day] = 0.0
            odd[days == day] = False
    return np.zeros_like(beyond) if odd.sum() > ODD_SHARE * windows else beyond


def _tails(deviations: Values, odd: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What of the `odd` is the tail of what the others are on that side; shape (windows, characteristics).

    Odd windows stand apart from all nearer ones, as outages do. Where several do not, they are how the feature varies.
    """
    tails = np.zeros_like(odd)
    for sided in (deviations, -deviations):
        mine = odd & (sided > 0)
        for column in np.flatnonzero(mine.sum(axis=0) >= TAIL_MIN).tolist():
            distances = sided[:, column]
            nearer = float(np.nanmax(distances[~odd[:, column]], initial=0.0))
            for window in sorted(np.flatnonzero(mine[:, column]).tolist(), key=distances.__getitem__):
                if nearer <= STANDS_APART * distances[window]:
                    break
                tails[window, column], nearer = True, float(distances[window])
    return tails


def _centres(values: Values, days: Days, partition: Partition) -> Values:
    """Of each window the medians of its kind of days, shape (windows, characteristics)."""
    if not partition.matters:
        return np.broadcast_to(_median(values), values.shape)
    centres = np.empty_like(values)
    for kind in partition.kinds:
        members = _of(days, kind)
        if members.any():
            centres[members] = _median(values[members])
    return centres


def _of(days: Days, kind: Sequence[int]) -> NDArray[np.bool_]:
    members: NDArray[np.bool_] = (days[:, None] == np.array(kind, dtype=np.int64)).any(axis=1)
    return members


def _ordered(values: Values) -> tuple[Values, Days]:
    """Each column ascending, what is not finite last, and how many of it are; (windows, k) and (k,)."""
    ordered = np.sort(np.where(np.isfinite(values), values, np.nan), axis=0)
    return ordered, len(ordered) - np.isnan(ordered).sum(axis=0)


def _median(values: Values) -> Values:
    """Of each column what is finite in it, NaN where nothing is; shape (characteristics,)."""
    return _middle(*_ordered(values))


def _middle(ordered: Values, known: Days) -> Values:
    # Many times as fast as numpy's own for a few dozen rows.
    columns = np.arange(ordered.shape[1])
    upper = ordered[np.minimum(known // 2, len(ordered) - 1), columns]
    lower = ordered[np.maximum((known - 1) // 2, 0), columns]
    answer: Values = np.where(known > 0, (lower + upper) / 2, np.nan)
    return answer


def _scale(deviations: Values, variances: Values, kinds: int) -> Values:
    """Of each window the standard deviation of its characteristics: sampling, and the process's by the other windows.

    Shape (windows, characteristics). A window of few rows is as uncertain as its rows make it. The process's is that of
    the three quarters that are not odd: by the median alone a feature that is the same on most days, and differs by
    more or less on the others (fog, rain, sales), would not vary at all.
    """
    windows = len(deviations)
    freed = math.sqrt(windows / max(1, windows - kinds))
    distances, known = _ordered(np.abs(deviations))
    nearest = distances[np.maximum(3 * (known - 1) // 4, 0), np.arange(distances.shape[1])]
    spread = freed * np.fmax(_MAD * _middle(distances, known), nearest / _THREE_QUARTERS)
    sampled = _median(variances)
    with np.errstate(invalid="ignore"):
        process = np.maximum(0.0, spread**2 - sampled)
    answer: Values = np.sqrt(variances + process)
    return answer


def _excess(
    values: Values, variances: Values, days: Days, partition: Partition, level: float, robust: bool = True
) -> Values:
    """How far each characteristic's kinds lie apart beyond their bound, as a ratio less 1 or 0; (characteristics,).

    Not `robust`, all of their scatter counts: of odd windows left in, medians of four each make kinds of their own.
    """
    groups = [_of(days, kind) for kind in partition.kinds]
    groups = [members for members in groups if members.any()]
    windows, kinds = len(days), len(groups)
    freedom = windows - kinds
    if freedom < 1 or kinds < 2:
        return np.zeros(values.shape[1])
    deviations = values - _centres(values, days, partition)
    scale = np.sqrt(
        np.maximum(
            (_MAD * math.sqrt(windows / freedom) * _median(np.abs(deviations))) ** 2,
            _median(variances),
        )
    )
    if not robust:
        scale = np.maximum(scale, np.sqrt(np.nansum(deviations**2, axis=0) / freedom))
    medians = np.array([_median(values[members]) for members in groups])
    sizes = np.array([members.sum() for members in groups], dtype=np.float64)[:, None]
    overall = (medians * sizes).sum(axis=0) / windows
    between = (sizes * (medians - overall) ** 2).sum(axis=0) / (kinds - 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        statistic = between / (_MEDIAN * scale) ** 2
    bound = float(special.fdtri(kinds - 1, freedom, 1 - level))
    found: Values = np.maximum(0.0, np.nan_to_num(statistic, nan=0.0, posinf=0.0) / bound - 1)
    return found
