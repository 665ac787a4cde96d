"""Forecasts of a series with bands that hold what they promise, and how odd its newest point is.

Each horizon has a regression of its own on moving averages of the series without its season (a direct forecast, so
that noise, slow swings, trends and random walks need no choice of a model), and the band is the quantiles of the errors
that such forecasts made (split conformal prediction: Lei et al. (2018), "Distribution-free predictive inference for
regression", with the newest errors as the calibration set, so that it follows what changes). All is updated point by
point in a bounded time. Nothing assumes a distribution of the noise, except beyond the largest error seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from modelward_collector.stats.normal import two_sided_quantile
from modelward_collector.stats.seasonal import (
    CLIP,
    HOUR,
    HOURS_A_DAY,
    HOURS_A_WEEK,
    Array,
    Decomposition,
    Season,
    SeasonalState,
    decompose,
    robust_scale,
)

ERRORS_KEPT: Final = 400
"""How many errors of each horizon make the band: a 95% band then covers 95% give or take 1.1 points."""

BANDS: Final = (0.8, 0.95)

FEWEST_ERRORS: Final = math.ceil(2 / (1 - BANDS[-1])) - 1
"""With fewer, not even the largest error ever made is beyond the end of the widest band."""

FITTED_POINTS: Final = 3_000
MEMORY: Final = 1_000
"""How many points the regressions remember."""
RIDGE: Final = 5.0
"""The regressions begin at "back to the slow average", held as firmly as by this many points."""
REWEIGHTED: Final = 3
WARM_UP: Final = 12

TAIL_SHARE: Final = 0.1
HEAVIEST_TAIL: Final = 0.5
SMALLEST_P: Final = 1e-15

CALIBRATED_BELOW: Final = 0.05
"""p-values below this one are held against how rare such points have been."""
EXCESS_MAX: Final = 8.0
"""A point counts at most as one e^8 times rarer than that, so that an outage does not teach that outages are common."""
TAIL_MEMORY: Final = 4_000
TAIL_PRIOR: Final = 10.0
"""As many rare points as nominal ones would be are taken as seen before the first."""
CALIBRATED_BLOCK: Final = 50
WIDENED_MAX: Final = 3.0
"""A point after a gap longer than the horizon is judged with errors at most so many times as wide."""

REGRESSORS: Final = 5
"""The last value, two moving averages, and how far off the season the target's hour was a day and a week before."""


class TooLittleHistoryError(ValueError):
    """There are too few points to say anything; the message says how many there are and are needed."""


class Measure(StrEnum):
    """What a series counts, which decides on the scale where its noise is about the same everywhere."""

    NUMBER = "number"
    COUNT = "count"
    SHARE = "share"
    POSITIVE = "positive"

    def transform(self, values: Array) -> Array:
        """To the scale of about constant noise: root for counts (Anscombe 1948), arcsine for shares, logarithm."""
        return _TRANSFORMS[self][0](values)

    def restore(self, values: Array) -> Array:
        """Back to the series' own unit, within what it can be; monotone, so quantiles stay quantiles."""
        return _TRANSFORMS[self][1](values)

    def least(self, values: Array) -> float:
        """The smallest scale that matters, on the transformed one: of a count the noise of a rare event."""
        if self is not Measure.NUMBER:
            return _LEAST[self]
        typical = float(np.median(np.abs(values))) if len(values) else 0.0
        return max(1e-3 * typical, 1e-9)


_TINY: Final = 1e-9
_TRANSFORMS: Mapping[Measure, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    Measure.NUMBER: (lambda y: y, lambda z: z),
    Measure.COUNT: (
        lambda y: 2 * np.sqrt(np.maximum(y, 0) + 0.375),
        lambda z: np.maximum(0.0, (np.maximum(z, 0) / 2) ** 2 - 0.375),
    ),
    Measure.SHARE: (
        lambda y: 2 * np.arcsin(np.sqrt(np.clip(y, 0, 1))),
        lambda z: np.sin(np.clip(z, 0, math.pi) / 2) ** 2,
    ),
    Measure.POSITIVE: (lambda y: np.log(np.maximum(y, _TINY)), lambda z: np.exp(np.minimum(z, 700.0))),
}
_LEAST: Mapping[Measure, float] = {Measure.COUNT: 0.5, Measure.SHARE: 0.02, Measure.POSITIVE: 0.01}


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is expected of the step that begins at `seconds`: the median, and the ends of {coverage: (low, high)}."""

    seconds: int
    median: float
    bands: Mapping[float, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Anomaly:
    """How odd one point is, given the points before it.

    `p_value` is two-sided. `score` is the same as a signed number of standard deviations: how far out a normal value
    would be that is as rare; beyond 3 one in 370 is. It stays within 8. `expected` and `band` (95%) are in the
    series' unit.
    """

    score: float
    p_value: float
    expected: float
    band: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Rarity:
    """How rare points have been whose p-value was below `CALIBRATED_BELOW`: of `points`, `beyond` were, by `excess`.

    A few hundred errors of a calm fortnight say little of the next storm. If p-values were uniform a twentieth would be
    beyond, by an exponential excess of mean 1 (the negative logarithm of p / 0.05). What is seen of both, with a fading
    memory, makes later p-values larger, never smaller.
    """

    points: float = 0.0
    beyond: float = 0.0
    excess: float = 0.0

    def calibrated(self, p: float) -> float:
        """The p-value as rare as such points have been."""
        prior = TAIL_PRIOR / CALIBRATED_BELOW
        rate = max(CALIBRATED_BELOW, (TAIL_PRIOR + self.beyond) / (prior + self.points))
        if p >= CALIBRATED_BELOW:
            return max(p, min(rate, 1.0))
        mean = max(1.0, (TAIL_PRIOR + self.excess) / (TAIL_PRIOR + self.beyond))
        return float(max(SMALLEST_P, min(1.0, rate * (p / CALIBRATED_BELOW) ** (1 / mean))))

    def seen(self, p_values: Array) -> Rarity:
        """After points with these p-values, shape (n,), oldest first."""
        fading = (1 - 1 / TAIL_MEMORY) ** len(p_values)
        low = p_values[p_values < CALIBRATED_BELOW]
        excess = float(np.minimum(EXCESS_MAX, np.log(CALIBRATED_BELOW / np.maximum(low, SMALLEST_P))).sum())
        return Rarity(
            fading * self.points + len(p_values), fading * self.beyond + len(low), fading * self.excess + excess
        )


@dataclass(frozen=True, slots=True)
class ForecastState:
    """All that is known of a series after its newest point; `update` gives the next one.

    Of the last `horizon` steps, newest last: the slow average `origins` (horizon,), and for 1, 2, … steps on the
    `regressors` (horizon, horizon, 5) and `made` (horizon, horizon), what was forecast on the transformed scale; NaN
    for steps without a point. `squares` (horizon, 5, 5) and `products` (horizon, 5) are the regressions' sums. `errors`
    (kept, horizon) are over the spread of their hour, NaN where none was made; `waiting` are those of the run of
    outliers that the newest point is in, `rarity` is how rare points one step ahead have been that seemed so.
    """

    measure: Measure
    seasonal: SeasonalState
    horizon: int
    squares: Array
    products: Array
    regressors: Array
    origins: Array
    made: Array
    errors: Array
    waiting: tuple[Array, ...] = ()
    rarity: Rarity = Rarity()

    @property
    def seconds(self) -> int:
        """When the newest step begins."""
        return self.seasonal.seconds

    @property
    def points_missing(self) -> int:
        """How many more points are needed before anything is said of every horizon; 0 when there are enough."""
        have = int(np.isfinite(self.errors).sum(axis=0).min()) if len(self.errors) else 0
        return max(0, FEWEST_ERRORS - have)


def fit(
    seconds: NDArray[np.int64],
    values: Array,
    step: int,
    horizon: int,
    *,
    measure: Measure = Measure.NUMBER,
    lengths: NDArray[np.int64] | None = None,
) -> ForecastState:
    """From a history: points in time order, shape (n,), `seconds` when each step of `step` seconds begins.

    Gaps are left out; what is not finite is a gap. Points of other `lengths` count for the season alone. `horizon` is
    how many steps ahead is forecast. Raises `TooLittleHistoryError` when there is no point.
    """
    finite = np.isfinite(values)
    if not finite.any():
        raise TooLittleHistoryError(f"none of the {len(values)} points is a number; {FEWEST_ERRORS} are needed")
    seconds, values = seconds[finite], values[finite]
    lengths = None if lengths is None else lengths[finite]
    transformed = measure.transform(values)
    parts = decompose(seconds, transformed, step, lengths=lengths, least=measure.least(values))
    state = parts.state
    kept = parts.seconds > state.seconds - FITTED_POINTS * step
    index = (parts.seconds[kept] - parts.seconds[kept][0]) // step
    size = int(index[-1]) + 1
    plain, x, slow = np.full(size, np.nan), np.full((size, 3), np.nan), np.full(size, np.nan)
    stretch = np.zeros(size, np.int64)
    plain[index] = parts.plain[kept]
    slow[index] = parts.averages[kept, 3]
    x[index] = parts.averages[kept, :3] - parts.averages[kept, 3:]
    stretch[index] = parts.stretch[kept]
    x[: min(WARM_UP, size // 4)] = np.nan
    first = int(parts.seconds[kept][0])
    spread = state.spread_at(first + step * np.arange(float(size)))
    past = _past(parts, first, step, size)
    squares, products = np.zeros((horizon, REGRESSORS, REGRESSORS)), np.zeros((horizon, REGRESSORS))
    errors = np.full((min(ERRORS_KEPT, size), horizon), np.nan)
    rarity = Rarity()
    ridge = RIDGE * max(state.scale, _TINY) ** 2 * np.eye(REGRESSORS)
    for h in range(1, min(horizon, size - 1) + 1):
        origin, target = np.hstack((x[:-h], past[h:])), plain[h:] - slow[:-h]
        # A shift of level is no error of the forecast's that the next one will repeat.
        usable = np.isfinite(origin[:, 0]) & np.isfinite(target) & (stretch[:-h] == stretch[h:])
        a, b, factors = origin[usable], target[usable], spread[h:][usable]
        weights = np.ones(len(b))
        coefficients = np.zeros(REGRESSORS)
        for _ in range(REWEIGHTED):
            squares[h - 1] = (a * weights[:, None]).T @ a
            products[h - 1] = (a * weights[:, None]).T @ b
            coefficients = np.linalg.solve(squares[h - 1] + ridge, products[h - 1])
            off = (b - a @ coefficients) / factors
            weights = _huber(off, max(state.least, robust_scale(off))) / factors**2
        off = (b - a @ coefficients) / factors * math.sqrt(1 + 2 * REGRESSORS / max(1, len(b)))
        row = np.full(size, np.nan)
        row[h:][usable] = off
        errors[:, h - 1] = row[-len(errors) :]
        if h == 1:
            rarity = _past_rarity(row[np.isfinite(row)], state.least)
    blank = np.full((horizon, horizon), np.nan)
    none = np.full((horizon, horizon, REGRESSORS), np.nan)
    fitted = ForecastState(measure, state, horizon, squares, products, none, blank[:, 0], blank, errors, rarity=rarity)
    return _with_origin(fitted, 1)


def update(state: ForecastState, seconds: int, value: float) -> ForecastState:
    """The state after one more point, the step that begins at `seconds`; in constant time.

    A value that is not finite, and a step that is not after the newest, change nothing. Steps may be left out.
    """
    before = state.seasonal
    passed = (seconds - before.seconds) // before.step
    if passed < 1 or not math.isfinite(value):
        return state
    at = float(state.measure.transform(np.array([value]))[0])
    moment = np.array([float(seconds)])
    factor = float(before.spread_at(moment)[0])
    season = float(before.profile.at(moment, before.step)[0])
    # Horizon h of the origin that is h steps back; the newest origin is `passed` steps back.
    steps = np.arange(passed, state.horizon + 1)
    rows = state.horizon - 1 - (steps - passed)
    row = np.full(state.horizon, np.nan)
    squares, products = state.squares, state.products
    if len(steps):
        row[steps - 1] = (at - state.made[rows, steps - 1]) / factor
        x, off = state.regressors[rows, steps - 1], row[steps - 1]
        there = np.isfinite(off)
        x, steps = x[there], steps[there] - 1
        target = at - season - state.origins[rows][there]
        weights = _huber(off[there], np.maximum(before.least, _scales(state.errors, steps))) / factor**2
        fading = 1 - 1 / MEMORY
        squares, products = squares.copy(), products.copy()
        squares[steps] = fading * squares[steps] + weights[:, None, None] * (x[:, :, None] * x[:, None, :])
        products[steps] = fading * products[steps] + (weights * target)[:, None] * x
    seasonal = before.advance(seconds, at)
    errors, waiting, made, rarity = state.errors, state.waiting, state.made, state.rarity
    known_errors = errors[np.isfinite(errors[:, 0]), 0]
    if np.isfinite(row[0]) and len(known_errors) >= FEWEST_ERRORS:
        rarity = rarity.seen(_p_values(known_errors, row[:1], before.least))
    if seasonal.shifted:
        # The points on the way to the new level were no errors that the next forecast will repeat.
        waiting = ()
        squares, products = state.squares, state.products
        made = np.full_like(made, np.nan)
    else:
        # A run of outliers goes on being news until it has ended, or become the new level.
        same_run = len(seasonal.outliers) > 1
        known = () if same_run else waiting
        waiting = (*waiting[len(known) :], row) if seasonal.outliers else ()
        known = known if seasonal.outliers else (*known, row)
        errors = np.concatenate((errors, *(one[None] for one in known)))[-ERRORS_KEPT:]
    after = replace(
        state,
        seasonal=seasonal,
        squares=squares,
        products=products,
        errors=errors,
        waiting=waiting,
        made=made,
        rarity=rarity,
    )
    return _with_origin(after, passed)


def forecast(state: ForecastState, steps: int) -> Forecast:
    """What is expected `steps` (1 to the state's horizon) after the newest point, with the bands of `BANDS`.

    Raises `TooLittleHistoryError` while fewer than `FEWEST_ERRORS` forecasts this far could be held against what came.
    """
    if not 1 <= steps <= state.horizon:
        raise ValueError(f"{steps} steps ahead; this state forecasts 1 to {state.horizon}")
    errors = _enough(state, steps)
    seconds = state.seconds + steps * state.seasonal.step
    middle = float(state.made[-1, steps - 1])
    factor = float(state.seasonal.spread_at(np.array([float(seconds)]))[0])
    bands = {}
    for coverage in BANDS:
        low, high = _ends(errors, (1 - coverage) / 2)
        ends = state.measure.restore(middle + factor * np.array([low, high]))
        bands[coverage] = (float(ends[0]), float(ends[1]))
    median = state.measure.restore(np.array([middle + factor * float(np.median(errors))]))
    return Forecast(seconds, float(median[0]), bands)


def assess(state: ForecastState, seconds: int, value: float) -> Anomaly:
    """How odd the point is that comes next, judged before `update` takes it in; `seconds` is after the newest.

    The p-value is the share of past errors at least as far out on its side, doubled (conformal); beyond the largest a
    generalised Pareto tail goes on from there. It is then held against how rare such p-values have been (`Rarity`).
    After a gap longer than the horizon the longest one's errors, widened, stand for it. Raises `TooLittleHistoryError`
    as `forecast` does, ValueError for a moment that is not after the newest.
    """
    passed = (seconds - state.seconds) // state.seasonal.step
    if passed < 1:
        raise ValueError(f"the point at {seconds} is not after the newest, at {state.seconds}")
    steps = min(passed, state.horizon)
    errors = _enough(state, steps)
    moment = np.array([float(seconds)])
    seasonal = state.seasonal
    factor = float(seasonal.spread_at(moment)[0])
    # Beyond the horizon only the season goes on.
    middle = float(state.made[-1, steps - 1])
    if passed > steps:
        last = np.array([float(state.seconds + steps * seasonal.step)])
        middle += float((seasonal.profile.at(moment, seasonal.step) - seasonal.profile.at(last, seasonal.step))[0])
    error = (float(state.measure.transform(np.array([value]))[0]) - middle) / factor
    # Of what comes after a longer gap no error has been seen: as if the series had wandered on, up to a bound.
    error /= min(WIDENED_MAX, math.sqrt(passed / steps))
    p = state.rarity.calibrated(float(_p_values(errors, np.array([error]), seasonal.least)[0]))
    score = math.copysign(two_sided_quantile(p), error - float(np.median(errors))) if p < 1 else 0.0
    low, high = _ends(errors, (1 - BANDS[-1]) / 2)
    ends = state.measure.restore(middle + factor * np.array([low, float(np.median(errors)), high]))
    return Anomaly(score, p, float(ends[1]), (float(ends[0]), float(ends[2])))


# -- the pieces -------------------------------------------------------------------------------------------------
def _with_origin(state: ForecastState, passed: int) -> ForecastState:
    """With what the newest point is forecast from, `passed` steps after the one before."""
    seasonal = state.seasonal
    averages = np.array([seasonal.last, seasonal.fast, seasonal.mid]) - seasonal.slow
    ridge = RIDGE * max(seasonal.scale, _TINY) ** 2 * np.eye(REGRESSORS)
    coefficients = np.linalg.solve(state.squares + ridge, state.products[:, :, None])[:, :, 0]
    ahead = seasonal.seconds + seasonal.step * np.arange(1, state.horizon + 1)
    past = np.zeros((len(ahead), 2))
    if seasonal.profile.kind is not Season.NONE:
        bound = CLIP * seasonal.scale
        past = np.clip(seasonal.latest.before(ahead), -bound, bound)
    x = np.hstack((np.tile(averages, (len(ahead), 1)), past))
    season = seasonal.profile.at(ahead.astype(np.float64), seasonal.step)
    made = season + seasonal.slow + (coefficients * x).sum(axis=1)
    return replace(
        state,
        regressors=_shifted(state.regressors, x, passed),
        origins=_shifted(state.origins, np.array(seasonal.slow), passed),
        made=_shifted(state.made, made, passed),
    )


def _past(parts: Decomposition, first: int, step: int, size: int) -> Array:
    """How far off the season each step's hour was a day and a week before, shape (size, 2); 0 where not known."""
    past = np.zeros((size, 2))
    if parts.state.profile.kind is Season.NONE:
        return past
    bound = CLIP * parts.state.scale
    off = np.clip(parts.residuals, -bound, bound)
    begin = int(parts.seconds[0]) // HOUR
    hours = parts.seconds // HOUR - begin
    counts = np.bincount(hours)
    means = np.bincount(hours, weights=off) / np.maximum(1, counts)
    wanted = (first + step * np.arange(size)) // HOUR - begin
    for column, back in enumerate((HOURS_A_DAY, HOURS_A_WEEK)):
        index = wanted - back
        there = (index >= 0) & (index < len(means))
        past[there, column] = means[index[there]]
    return past


def _shifted(rows: Array, newest: Array, passed: int) -> Array:
    """The rows moved up by the steps that passed, the newest as the last, NaN between."""
    following = np.full_like(rows, np.nan)
    if passed < len(rows):
        following[:-passed] = rows[passed:]
    following[-1] = newest
    return following


def _enough(state: ForecastState, steps: int) -> Array:
    errors = state.errors[:, steps - 1]
    errors = errors[np.isfinite(errors)]
    if len(errors) < FEWEST_ERRORS:
        raise TooLittleHistoryError(
            f"{len(errors)} forecasts {steps} steps ahead could be held against what came; {FEWEST_ERRORS} are needed"
        )
    return errors


def _ends(errors: Array, tail: float) -> tuple[float, float]:
    """The errors that a next one is beyond with probability at most `tail` on each side."""
    ordered = np.sort(errors)
    rank = max(1, math.floor(tail * (len(ordered) + 1)))
    return float(ordered[rank - 1]), float(ordered[-rank])


def _p_values(errors: Array, later: Array, least: float) -> Array:
    """Two-sided p-values of later errors (m,) by those before (n,), in (0, 1]."""
    above, below = _tail(errors, later, least), _tail(-errors, -later, least)
    p: Array = np.clip(2 * np.minimum(above, below), SMALLEST_P, 1.0)
    return p


def _past_rarity(errors: Array, least: float) -> Rarity:
    """How rare past errors (n,) were by those before them, block by block."""
    found = Rarity()
    for start in range(ERRORS_KEPT, len(errors), CALIBRATED_BLOCK):
        block = errors[start : start + CALIBRATED_BLOCK]
        found = found.seen(_p_values(errors[start - ERRORS_KEPT : start], block, least))
    return found


def _tail(errors: Array, later: Array, least: float) -> Array:
    """P(a next error is at least as large as each of the later ones), in (0, 1)."""
    n = len(errors)
    ordered = np.sort(errors)
    found: Array = (1.0 + n - np.searchsorted(ordered, later, side="left")) / (n + 1)
    beyond = later > ordered[-1]
    if beyond.any():
        threshold = float(ordered[-max(2, round(TAIL_SHARE * n)) - 1])
        excess = ordered[ordered > threshold] - threshold
        shape, scale = _pareto(excess, least)
        at_largest = _survival(float(ordered[-1]) - threshold, shape, scale)
        further = [_survival(float(error) - threshold, shape, scale) / at_largest for error in later[beyond]]
        found[beyond] = np.maximum(SMALLEST_P, np.array(further) / (n + 1))
    return found


def _pareto(excess: Array, least: float) -> tuple[float, float]:
    """Shape and scale of a generalised Pareto distribution by probability-weighted moments (Hosking, Wallis 1987).

    The shape is kept from 0 (exponential) to `HEAVIEST_TAIL`: 40 errors cannot tell a bounded tail from a thin one.
    """
    if len(excess) < 2:
        return 0.0, max(least, float(excess.mean()) if len(excess) else 0.0)
    n = len(excess)
    a0 = float(excess.mean())
    a1 = float((excess * (n - 1 - np.arange(n))).sum()) / (n * (n - 1))
    ratio = a0 / (a0 - 2 * a1) if a0 > 2 * a1 else math.inf
    shape = min(HEAVIEST_TAIL, max(0.0, 2 - ratio))
    return shape, max(least, a0 * (1 - shape))


def _survival(x: float, shape: float, scale: float) -> float:
    if shape < 1e-6:
        return max(1e-300, math.exp(-min(690.0, x / scale)))
    return float((1 + shape * x / scale) ** (-1 / shape))


def _scales(errors: Array, columns: NDArray[np.int64]) -> Array:
    recent = errors[-64:, columns]
    return np.array([robust_scale(column[np.isfinite(column)]) for column in recent.T])


def _huber(off: Array, scale: float | Array) -> Array:
    """Weights that bound what a point adds to a regression: 1 within `CLIP` / 2 scales, then falling as 1 / |off|."""
    bound = np.maximum(CLIP / 2 * np.asarray(scale), _TINY)
    return np.asarray(bound / np.maximum(bound, np.abs(off)))
