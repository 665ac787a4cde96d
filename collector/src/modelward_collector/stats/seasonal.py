"""Robust decomposition of a series into level, trend, season and residual: from its history, and point by point.

Works on values with about the same noise everywhere; `stats.forecast.Measure` makes such of counts, shares and times.
Times are in seconds since 1970 (UTC), so a season is one of UTC hours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

HOUR: Final = 3_600
HOURS_A_DAY: Final = 24
HOURS_A_WEEK: Final = 168

FEWEST_DAYS: Final = 3
"""A time-of-day profile needs each hour this often, on average, to be told from chance."""
FEWEST_WEEKS: Final = 3
MOST_FOLDS: Final = 10
EVIDENCE: Final = 2.5
"""A season must lower the error on days that it was not fitted to by this many standard errors."""
WORTHWHILE: Final = 0.02
"""And by this share, else the simpler one is kept."""

CLIP: Final = 4.0
"""A residual counts as at most this many scales; a normal one is beyond once in 16,000 points."""
SHIFT_RUN: Final = 5
"""So many points in a row beyond the clip, on one side, are a new level and not outliers."""
SHIFT_TOLD_SECONDS: Final = 28 * 86_400
"""How long a new level is told of."""
SHIFT_SETTLES_SECONDS: Final = 7 * 86_400
"""Further shifts to the same side within this time are the same one: a level that lost its season takes some."""
SEASON_SHIFT: Final = 0.5
"""How much of what repeats itself a period later, beyond the clip, the season takes over at once."""
RESIDUALS_KEPT: Final = 288

FAST: Final = 4
MID: Final = 24
"""Memories of the moving averages, in points."""
SLOW_SECONDS: Final = 3 * 86_400
SLOW_FEWEST: Final = 72

DAY_MEMORY: Final = 30
"""How many days, and how many weeks, a season remembers."""
WEEK_MEMORY: Final = 8
SPREAD_PRIOR: Final = 10.0
"""An hour's own spread weighs as much as the whole day's after this many points."""
SPREAD_FLOOR: Final = 0.25
SPREAD_CLIP: Final = 8.0
"""Wider than `CLIP`: an hour that is mostly still and at times is not has the spread of those times."""

MAD_TO_SD: Final = 1.4826
MEAN_DEVIATION_TO_SD: Final = 1.2533


class Season(StrEnum):
    """What repeats."""

    NONE = "none"
    DAY = "day"
    WEEK = "week"


@dataclass(frozen=True, slots=True)
class SeasonalProfile:
    """What the hour of the week adds to the level: `table` has shape (168,), from the epoch's first hour, a Thursday.

    `days` is how many days it was learned from. Between the middles of two hours it is interpolated.
    """

    kind: Season
    table: Array
    days: float = 0.0

    def at(self, seconds: Array, step: int) -> Array:
        """The season of the steps that begin at the moments; all shape (n,)."""
        if self.kind is Season.NONE:
            return np.zeros(len(seconds))
        first, share = _place(seconds, step)
        return (1 - share) * self.table[first % HOURS_A_WEEK] + share * self.table[(first + 1) % HOURS_A_WEEK]

    def updated(self, seconds: int, step: int, residual: float, *, moved: bool = False) -> SeasonalProfile:
        """With one residual of the step at that moment taken in, wholly when the season has `moved`; O(1)."""
        days = self.days + step / 86_400
        if self.kind is Season.NONE:
            return self
        table = self.table.copy()
        first, share = _place(np.array([float(seconds)]), step)
        taught = residual * step / HOUR
        of_day = taught / (min(days, DAY_MEMORY) + 1)
        of_week = taught / (min(days / 7, WEEK_MEMORY) + 1) / 2
        if moved:
            of_day, of_week = (taught, 0.0) if self.kind is Season.DAY else (0.0, taught)
        for hour, weight in ((int(first[0]), 1 - float(share[0])), (int(first[0]) + 1, float(share[0]))):
            table[hour % HOURS_A_DAY :: HOURS_A_DAY] += weight * of_day
            if self.kind is Season.WEEK:
                table[hour % HOURS_A_WEEK] += weight * of_week
        return SeasonalProfile(self.kind, table, days)


@dataclass(frozen=True, slots=True)
class LatestWeek:
    """How far each hour of the last seven days was off its season and what came before it: means, shape (168,).

    What a season learned over weeks is late to tell (daylight saving, a new timetable), yesterday tells.
    """

    means: Array
    counts: Array
    hour: int

    @classmethod
    def empty(cls) -> LatestWeek:
        """Before the first point."""
        return cls(np.zeros(HOURS_A_WEEK), np.zeros(HOURS_A_WEEK), 0)

    def updated(self, seconds: int, off: float) -> LatestWeek:
        """With one point more, not before the newest; O(1)."""
        hour = seconds // HOUR
        means, counts = self.means.copy(), self.counts.copy()
        begun = np.arange(max(self.hour + 1, hour - HOURS_A_WEEK + 1), hour + 1) % HOURS_A_WEEK
        means[begun] = counts[begun] = 0.0
        cell = hour % HOURS_A_WEEK
        counts[cell] += 1
        means[cell] += (off - means[cell]) / counts[cell]
        return LatestWeek(means, counts, hour)

    def before(self, seconds: NDArray[np.int64]) -> Array:
        """A day and a week before the moments, shape (n, 2); 0 where nothing is known."""
        hours = seconds // HOUR
        # The hour under way is the newest one of its cell, so a week before it is gone.
        week = np.where(hours > self.hour, self.means[hours % HOURS_A_WEEK], 0.0)
        return np.stack((self.means[(hours - HOURS_A_DAY) % HOURS_A_WEEK], week), axis=-1)


@dataclass(frozen=True, slots=True)
class Shift:
    """A level that did not come back: the series left `before` at `since`, and from `taken` on `after` was normal.

    Both are when the step of a point begins, the levels are on the values' scale and without the season.
    """

    since: int
    taken: int
    before: float
    after: float

    def over(self, level: float, seconds: int) -> bool:
        """Whether a level is nearer to what was before, or the new one has been there for too long to be news."""
        back = abs(level - self.before) < abs(level - self.after)
        return back or seconds - self.taken > SHIFT_TOLD_SECONDS


NO_SEASON: Final = SeasonalProfile(Season.NONE, np.zeros(HOURS_A_WEEK))


@dataclass(frozen=True, slots=True)
class SeasonalState:
    """What is known of a series after its point at `seconds`; `advance` gives the next one.

    `last`, `fast`, `mid` and `slow` are the value without its season, cleaned of outliers, and moving averages of it
    with ever longer memory. `residuals` are the latest ones against `fast`, in units of `spread` (24,), the factor of
    the hour of the day. `outliers` is the run of values beyond the clip that the series may be shifting to, since
    `run_since`, and `shift` the newest one that holds. The history begins at `begun`.
    `least` is the smallest scale that is told from no noise at all.
    """

    step: int
    seconds: int
    profile: SeasonalProfile
    spread: Array
    last: float
    fast: float
    mid: float
    slow: float
    points: int
    residuals: Array
    latest: LatestWeek
    scale: float
    least: float
    outliers: tuple[float, ...] = ()
    shifted: bool = False
    begun: int = 0
    run_since: int = 0
    shift: Shift | None = None

    @property
    def level(self) -> float:
        """Where the series is without its season."""
        return self.mid

    @property
    def trend(self) -> float:
        """Change of the level per step, from how far the slow average lags behind the middle one."""
        slow, mid = _rate(self.step, self.points)[2], 1 / MID
        return (self.mid - self.slow) / max(1.0, (1 - slow) / slow - (1 - mid) / mid)

    def spread_at(self, seconds: Array) -> Array:
        """The factor of the residuals' scale at the moments, shape (n,)."""
        return self.spread[(seconds // HOUR).astype(np.int64) % HOURS_A_DAY]

    def advance(self, seconds: int, value: float) -> SeasonalState:
        """The state after one more point, at a later moment than this one's; O(1)."""
        moment = np.array([float(seconds)])
        season = float(self.profile.at(moment, self.step)[0])
        factor = float(self.spread_at(moment)[0])
        plain = value - season
        following = _follow(
            (self.last, self.fast, self.mid, self.slow),
            self.points,
            self.outliers,
            plain,
            self.scale * factor,
            self.step,
        )
        averages, outliers, shifted, residual = following
        run_since = self.run_since if len(outliers) > 1 or shifted else seconds
        shift = self.shift
        if shifted and seconds - self.begun >= FEWEST_DAYS * 86_400:
            shift = _shift_after(shift, Shift(run_since, seconds, self.slow, averages[2]))
        elif shift is not None and shift.over(averages[2], seconds):
            shift = None
        residuals = np.append(self.residuals[-RESIDUALS_KEPT + 1 :], residual / factor)
        bound = CLIP * self.scale * factor
        # Against the level, not the season's own hour before: that one would undo what it teaches.
        off = plain - averages[2]
        profile, spread = self.profile, self.spread
        if not shifted:
            yesterday, last_week = self.latest.before(np.array([seconds]))[0]
            taught = min(bound, max(-bound, off)) if not outliers else 0.0
            again = yesterday if profile.kind is Season.DAY else last_week
            if abs(residual) > bound and again * residual > 0 and abs(again) > bound:
                # As far out in the same hour as one period before: no outlier twice, the season has moved.
                taught = SEASON_SHIFT * math.copysign(min(abs(residual), abs(again)), residual)
                profile = profile.updated(seconds, self.step, taught, moved=True)
            else:
                profile = profile.updated(seconds, self.step, taught)
            spread = self._spread(seconds, min(abs(residual), SPREAD_CLIP * self.scale))
        return replace(
            self,
            seconds=seconds,
            profile=profile,
            spread=spread,
            last=averages[0],
            fast=averages[1],
            mid=averages[2],
            slow=averages[3],
            points=self.points + 1,
            residuals=residuals,
            latest=self.latest.updated(seconds, residual),
            scale=max(self.least, robust_scale(residuals)),
            outliers=outliers,
            shifted=shifted,
            run_since=run_since,
            shift=shift,
        )

    def _spread(self, seconds: int, deviation: float) -> Array:
        if self.scale == 0 or self.step > HOUR or self.points * self.step < FEWEST_DAYS * 86_400:
            return self.spread
        squares = self.spread**2
        hour = seconds // HOUR % HOURS_A_DAY
        memory = DAY_MEMORY * max(1.0, HOUR / self.step) + SPREAD_PRIOR
        squares[hour] += ((deviation / self.scale) ** 2 - squares[hour]) / memory
        return _levelled(squares, self.least / self.scale)


@dataclass(frozen=True, slots=True)
class Decomposition:
    """A history taken apart, all shape (n,) and of its points no longer than a step: value = season + plain.

    `plain` leaves out a season that was fitted *without* the point's own days, so that what is learned from it holds
    for days to come. `averages` (n, 4) are `last`, `fast`, `mid` and `slow` after each point, `residuals` what it is
    off the `fast` one before it; `stretch` counts the shifts of level up to it.
    """

    seconds: NDArray[np.int64]
    plain: Array
    averages: Array
    residuals: Array
    stretch: NDArray[np.int64]
    state: SeasonalState


def decompose(
    seconds: NDArray[np.int64],
    values: Array,
    step: int,
    *,
    lengths: NDArray[np.int64] | None = None,
    least: float = 0.0,
) -> Decomposition:
    """Take a history apart; points in time order, shape (n,), gaps left out, all finite, at least one.

    `step` divides an hour or is hours, in seconds; a season is only looked for when it is at most an hour. Points of
    other `lengths` (hours that finer points were merged into) count for the season alone, unless all are such.
    `least` is the smallest scale that matters. Raises ValueError when there are no points.
    """
    if not len(values):
        raise ValueError("a series without points cannot be taken apart")
    whole = np.full(len(seconds), step) if lengths is None else lengths
    profile, held_out = NO_SEASON, np.zeros(len(values))
    if step <= HOUR:
        profile, held_out = _season(seconds, values, step, np.minimum(whole, HOUR))
    every, all_plain = seconds, values - held_out
    fine = whole <= step
    if not fine.any():
        fine[-1] = True
    seconds, plain = seconds[fine], (values - held_out)[fine]
    spread = np.ones(HOURS_A_DAY)
    # The scale and the spread need the residuals and these need the scale, to be bounded: the second round settles it.
    scale = max(least, robust_scale(np.diff(plain)) if len(plain) > 1 else 0.0)
    averages, stretch, residuals = _pass(seconds, plain, spread, scale, step)
    if step <= HOUR and seconds[-1] - seconds[0] >= FEWEST_DAYS * 86_400:
        spread = _spread(seconds, residuals, least)
    scale = max(least, robust_scale((residuals / _of_hour(spread, seconds))[-RESIDUALS_KEPT:]))
    averages, stretch, residuals = _pass(seconds, plain, spread, scale, step)
    kept = (residuals / _of_hour(spread, seconds))[-RESIDUALS_KEPT:]
    latest = LatestWeek.empty()
    newest = seconds > seconds[-1] - HOURS_A_WEEK * HOUR
    for moment, value in zip(seconds[newest].tolist(), residuals[newest].tolist(), strict=True):
        latest = latest.updated(moment, value)
    state = SeasonalState(
        step=step,
        seconds=int(seconds[-1]),
        profile=profile,
        spread=spread,
        last=float(averages[-1, 0]),
        fast=float(averages[-1, 1]),
        mid=float(averages[-1, 2]),
        slow=float(averages[-1, 3]),
        points=len(plain),
        residuals=kept,
        latest=latest,
        scale=max(least, robust_scale(kept)),
        least=least,
        begun=int(every[0]),
        shift=_shift_by_hour(every, all_plain, step, least),
    )
    return Decomposition(seconds, plain, averages, residuals, stretch, state)


def robust_scale(residuals: Array) -> float:
    """Standard deviation of normal residuals by their median absolute value, shape (n,); 0 for none.

    When more than half are 0 (counts that are mostly nothing) by their mean absolute value, else it would be 0.
    """
    if not len(residuals):
        return 0.0
    absolute = np.abs(residuals)
    middle = float(np.median(absolute))
    return middle * MAD_TO_SD if middle > 0 else float(absolute.mean()) * MEAN_DEVIATION_TO_SD


# -- moving averages --------------------------------------------------------------------------------------------
_Averages = tuple[float, float, float, float]


def _rate(step: int, points: int) -> tuple[float, float, float]:
    """The weights of a new point; while there are few points, all weigh the same."""
    young = 1 / (points + 1)
    slow = max(SLOW_FEWEST, SLOW_SECONDS // step)
    return max(young, 1 / FAST), max(young, 1 / MID), max(young, 1 / slow)


def _follow(
    averages: _Averages, points: int, outliers: tuple[float, ...], plain: float, scale: float, step: int
) -> tuple[_Averages, tuple[float, ...], bool, float]:
    """One point: the averages after it, the run of outliers it is in, whether that became a shift, its residual."""
    _, fast, mid, slow = averages
    residual = plain - fast
    bound = CLIP * scale
    if abs(residual) > bound and points >= FAST:
        same_side = not outliers or (outliers[-1] > fast) == (plain > fast)
        outliers = (*outliers, plain) if same_side else (plain,)
        if len(outliers) == SHIFT_RUN:
            level = float(np.median(outliers))
            return (level, level, level, level), (), True, residual
    else:
        outliers = ()
    if points >= FAST:
        plain = fast + min(bound, max(-bound, residual))
    a, b, c = _rate(step, points)
    return (
        (plain, fast + a * (plain - fast), mid + b * (plain - mid), slow + c * (plain - slow)),
        outliers,
        False,
        residual,
    )


def _pass(
    seconds: NDArray[np.int64], plain: Array, spread: Array, scale: float, step: int
) -> tuple[Array, NDArray[np.int64], Array]:
    start = float(np.median(plain[: max(1, min(len(plain), MID))]))
    now: _Averages = (start, start, start, start)
    averages = np.empty((len(plain), 4))
    residuals = np.empty(len(plain))
    stretch = np.zeros(len(plain), np.int64)
    outliers: tuple[float, ...] = ()
    scales = (scale * _of_hour(spread, seconds)).tolist()
    for i, value in enumerate(plain.tolist()):
        now, outliers, shifted, residuals[i] = _follow(now, i, outliers, value, scales[i], step)
        averages[i] = now
        if shifted:
            stretch[i - SHIFT_RUN + 1 :] += 1
    return averages, stretch, residuals


def _shift_after(known: Shift | None, shift: Shift) -> Shift | None:
    """The shift that holds after a further one: none when the series is back, soon after it the same one further on."""
    if known is None:
        return shift
    if known.over(shift.after, shift.taken):
        return None
    same_side = (shift.after > known.before) == (known.after > known.before)
    if same_side and shift.since - known.taken < SHIFT_SETTLES_SECONDS:
        return replace(known, after=shift.after)
    return shift


def _shift_by_hour(seconds: NDArray[np.int64], plain: Array, step: int, least: float) -> Shift | None:
    """The shift that a history ends in, found in hours, which is all that is left of most of it; None without one.

    The split that leaves the least squared error, where the levels on its two sides are further apart than what is
    left of both allows, and the hours next to it show it at once.
    """
    size = max(step, HOUR)
    hours, index = np.unique(seconds // size, return_inverse=True)
    begins = hours * size
    if begins[-1] - begins[0] < FEWEST_DAYS * 86_400 or len(hours) < 3 * SHIFT_RUN:
        return None
    means = np.bincount(index, weights=plain) / np.bincount(index)
    sums, n = np.cumsum(means), np.arange(1, len(means) + 1)
    gained = sums**2 / n + (sums[-1] - sums) ** 2 / np.maximum(1, len(means) - n)
    fewest = max(SHIFT_RUN, int(np.searchsorted(begins, begins[0] + FEWEST_DAYS * 86_400)))
    candidates = gained[fewest - 1 : len(means) - SHIFT_RUN]
    if not len(candidates):
        return None
    split = fewest + int(np.argmax(candidates))
    week = int(np.searchsorted(begins, begins[split] - SHIFT_SETTLES_SECONDS))
    before, after = float(np.median(means[week:split])), float(np.median(means[split:]))
    scale = max(least, robust_scale(np.concatenate((means[:split] - before, means[split:] - after))))
    at_once = float(np.median(means[split : split + SHIFT_RUN]) - np.median(means[split - SHIFT_RUN : split]))
    if abs(after - before) <= CLIP * scale or at_once * (after - before) <= 0 or abs(at_once) <= CLIP * scale:
        return None
    since = int(begins[split])
    # Point by point it was taken for normal after so many of them.
    found = Shift(since, since + (SHIFT_RUN - 1) * step, before, after)
    return None if found.over(after, int(begins[-1])) else found


def _of_hour(spread: Array, seconds: NDArray[np.int64]) -> Array:
    return spread[seconds // HOUR % HOURS_A_DAY]


def _spread(seconds: NDArray[np.int64], residuals: Array, least: float) -> Array:
    """The residuals' size by hour of the day against that of all, drawn towards 1 where points are few."""
    scale = max(least, robust_scale(residuals))
    if scale == 0:
        return np.ones(HOURS_A_DAY)
    squares = np.minimum(np.abs(residuals) / scale, SPREAD_CLIP) ** 2
    hour = seconds // HOUR % HOURS_A_DAY
    counts = np.bincount(hour, minlength=HOURS_A_DAY)
    sums = np.bincount(hour, weights=squares, minlength=HOURS_A_DAY)
    typical = float(squares.mean())
    return _levelled((sums + SPREAD_PRIOR * typical) / (counts + SPREAD_PRIOR), least / scale)


def _levelled(squares: Array, least: float) -> Array:
    """Factors from squared ones, (24,), 1 over the day; none so small that it would make news of the least noise."""
    typical = float(squares.mean())
    if typical <= 0:
        return np.ones(HOURS_A_DAY)
    return np.maximum(np.sqrt(squares / typical), min(1.0, max(SPREAD_FLOOR, least)))


# -- the season -------------------------------------------------------------------------------------------------
def _place(seconds: Array, step: int) -> tuple[NDArray[np.int64], Array]:
    """The hour whose middle is at or before the step's middle, and how far it is on the way to the next one's."""
    position = (seconds + step / 2) / HOUR - 0.5
    first = np.floor(position)
    return first.astype(np.int64), position - first


def _season(
    seconds: NDArray[np.int64], values: Array, step: int, lengths: NDArray[np.int64]
) -> tuple[SeasonalProfile, Array]:
    """The season that has most evidence, and for each point what it is without the days around that point."""
    week = HOURS_A_WEEK * HOUR
    begin = int(seconds[0]) // week * HOURS_A_WEEK
    hours = seconds // HOUR - begin
    weeks = int(hours[-1]) // HOURS_A_WEEK + 1
    size = weeks * HOURS_A_WEEK
    weights = np.bincount(hours, weights=lengths, minlength=size)
    sums = np.bincount(hours, weights=values * lengths, minlength=size)
    with np.errstate(invalid="ignore"):
        hourly = np.where(weights > 0, sums / weights, np.nan)
    days = np.isfinite(hourly).sum() / HOURS_A_DAY
    nothing = NO_SEASON, np.zeros(len(values))
    if days < FEWEST_DAYS:
        return nothing
    long = days >= 7 * FEWEST_WEEKS
    rest = hourly - _level(hourly, HOURS_A_WEEK if long else HOURS_A_DAY)
    folds = _folds(rest, weeks, HOURS_A_WEEK if long else HOURS_A_DAY)
    best, best_held = Season.NONE, np.zeros(size)
    for kind in (Season.DAY, Season.WEEK) if long else (Season.DAY,):
        held = np.zeros(size)
        for fold in folds:
            held[fold] = np.tile(_table(np.where(fold, np.nan, rest).reshape(weeks, 7, 24), kind), weeks)[fold]
        if _better(rest - best_held, rest - held):
            best, best_held = kind, held
    if best is Season.NONE:
        return nothing
    table = _table(rest.reshape(weeks, 7, 24), best)
    # The table begins where the weeks of the epoch do, since `begin` is a multiple of a week.
    profile = SeasonalProfile(best, table, float(days))
    first, share = _place(seconds.astype(np.float64), step)
    first = first - begin
    left, right = np.maximum(first, 0), np.minimum(first + 1, size - 1)
    return profile, (1 - share) * best_held[left] + share * best_held[right]


def _level(hourly: Array, width: int) -> Array:
    """Running median over whole periods; at the ends that of the first and of the last whole one."""
    there = np.flatnonzero(np.isfinite(hourly))
    first, last = int(there[0]), int(there[-1]) + 1
    if last - first <= width:
        return np.full(len(hourly), float(np.nanmedian(hourly)))
    views = np.lib.stride_tricks.sliding_window_view(hourly[first:last], width)
    medians = _median(views, axis=1)
    centres = np.clip(np.arange(len(hourly)) - first - width // 2, 0, len(medians) - 1)
    level = medians[centres]
    return np.where(np.isfinite(level), level, float(np.nanmedian(hourly)))


def _folds(rest: Array, weeks: int, period: int) -> list[NDArray[np.bool_]]:
    """Stretches of whole periods that each leave the others to learn from."""
    index = np.arange(len(rest)) // period
    present = np.unique(index[np.isfinite(rest)])
    return [np.isin(index, group) for group in np.array_split(present, min(MOST_FOLDS, len(present)))]


def _table(cube: Array, kind: Season) -> Array:
    """What (weeks, 7, 24) hours say of each hour of the week, shape (168,), with mean 0: bounded in every value.

    The day's hours, then the days, then what each hour of the week has beyond those, drawn towards 0 by how much of
    it is noise (empirical Bayes: its variance between cells against that within them).
    """
    of_hour = _bounded_mean(cube.reshape(-1, 24))
    table = np.tile(of_hour, (7, 1))
    if kind is Season.WEEK:
        rest = cube - table
        of_day = _bounded_mean(rest.transpose(0, 2, 1).reshape(-1, 7))
        rest = rest - of_day[:, None]
        cells = _bounded_mean(rest.reshape(len(cube), -1))
        counts = np.isfinite(rest).sum(axis=0).reshape(-1)
        within = rest.reshape(len(cube), -1) - cells
        noise = robust_scale(within[np.isfinite(within)]) ** 2 / np.maximum(1, counts - 1)
        between = max(0.0, float(np.mean(cells**2 - noise)))
        kept = np.divide(between, between + noise, out=np.zeros_like(noise), where=between + noise > 0)
        table = table + of_day[:, None] + (kept * cells).reshape(7, 24)
    flat = table.reshape(-1)
    known = np.isfinite(cube).sum(axis=0).reshape(-1)
    # Weighed by what came: an hour that hardly ever has a point must not move all others.
    flat = flat - (flat * known).sum() / max(1, known.sum())
    by_day = known.reshape(7, 24).sum(axis=0) > 0
    silent = np.tile(~by_day, 7)
    return np.where(silent, 0.0, flat)


def _bounded_mean(rows: Array) -> Array:
    """Mean of each column, shape (columns,), with what is beyond three scales of its median counted as just that."""
    middle = _median(rows, axis=0)
    off = rows - middle
    bound = 3 * robust_scale(off[np.isfinite(off)])
    there = np.isfinite(off)
    sums = np.where(there, np.clip(off, -bound, bound), 0.0).sum(axis=0)
    return np.where(np.isfinite(middle), middle + sums / np.maximum(1, there.sum(axis=0)), 0.0)


def _median(values: Array, axis: int) -> Array:
    """Median without NaN; NaN of nothing. Unlike numpy's it warns of nothing, and is quicker."""
    ordered = np.moveaxis(np.sort(values, axis=axis), axis, 0)
    counts = np.isfinite(ordered).sum(axis=0)
    low = np.take_along_axis(ordered, np.maximum(0, (counts - 1) // 2)[None], axis=0)[0]
    high = np.take_along_axis(ordered, np.minimum(len(ordered) - 1, counts // 2)[None], axis=0)[0]
    return np.where(counts > 0, (low + high) / 2, np.nan)


def _better(before: Array, after: Array) -> bool:
    """The errors after are smaller by more than chance, day by day (a day's errors hang together)."""
    # The level takes what both are off on the whole.
    before, after = before - np.nanmedian(before), after - np.nanmedian(after)
    bound = 3 * robust_scale(before[np.isfinite(before)])
    gain = np.minimum(np.abs(before), bound) - np.minimum(np.abs(after), bound)
    by_day = gain.reshape(-1, 24)
    counts = np.isfinite(by_day).sum(axis=1)
    sums = np.where(np.isfinite(by_day), by_day, 0.0).sum(axis=1)[counts > 0]
    total = float(np.nansum(np.minimum(np.abs(before), bound)))
    if len(sums) < 2 or sums.sum() <= WORTHWHILE * total:
        return False
    error = float(sums.std(ddof=1)) * np.sqrt(len(sums))
    return bool(sums.sum() > EVIDENCE * error)
