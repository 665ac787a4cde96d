"""Traffic as models in use have it, hour by hour: hours of the day, weekends, a holiday, days and minutes that vary
together, and changes laid upon it; and the profiles that an agent makes of it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from bench.columns import SHARES, WORDS
from modelward_agent.profile import FeatureProfile, Profile

Values = NDArray[Any]

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MONDAY = datetime(2026, 1, 5, 9, tzinfo=UTC)
THURSDAY = datetime(2026, 1, 8, 15, tzinfo=UTC)
"""Two first rows: at the start of a week's work, and in the middle of one."""

PEAK = 15
"""The hour of the day with most rows and the highest values, UTC."""

DAYS_TOGETHER, MINUTES_TOGETHER = 0.5, 0.95
"""How much of a day's, and of a minute's, own level the next one keeps."""


@dataclass(frozen=True, slots=True)
class Season:
    """What an hour is beside a moment: where in the day, and whether people work; both 0 where there are no seasons."""

    angle: float = 0.0
    height: float = 0.0
    free: float = 0.0

    @classmethod
    def of(cls, at: datetime, holidays: frozenset[date]) -> Season:
        """A holiday is as a Sunday."""
        free = at.weekday() > 4 or at.date() in holidays
        return cls(2 * math.pi * (at.hour - PEAK) / 24, 1.0, float(free))

    def wave(self, late: float = 0.0) -> float:
        """From -1 to 1, highest `late` hours after the peak."""
        return self.height * math.cos(self.angle - 2 * math.pi * late / 24)


Draw = Callable[[np.random.Generator, int, Season, Values | float], Values]
"""So many rows of an hour, moved by so many standard deviations (of all rows or of each)."""


def normal(hours: float = 0.0, weekends: float = 0.0, late: float = 0.0) -> Draw:
    """Normal within the hour, of standard deviation 1."""

    def draw(rng: np.random.Generator, n: int, season: Season, shift: Values | float) -> Values:
        return rng.normal(size=n) + (hours * season.wave(late) + weekends * season.free + shift)

    return draw


def skewed(hours: float = 0.0, spread: float = 0.5) -> Draw:
    """Lognormal; the standard deviations are those of its logarithm."""

    def draw(rng: np.random.Generator, n: int, season: Season, shift: Values | float) -> Values:
        return np.asarray(np.exp(spread * (rng.normal(size=n) + shift) + hours * season.wave()))

    return draw


def heavy(rng: np.random.Generator, n: int, _: Season, shift: Values | float) -> Values:
    """Student's t of 3 degrees of freedom."""
    return rng.standard_t(3, n) + shift


def uniform(rng: np.random.Generator, n: int, _: Season, shift: Values | float) -> Values:
    """From 0 to 1."""
    return rng.random(n) + math.sqrt(1 / 12) * shift


def count(hours: float = 0.0) -> Draw:
    """Poisson of mean 2."""

    def draw(rng: np.random.Generator, n: int, season: Season, shift: Values | float) -> Values:
        mean = 2 * np.exp(hours * season.wave() + shift / math.sqrt(2))
        return rng.poisson(mean, n).astype(np.float64)

    return draw


def mostly_zero(hours: float = 0.0) -> Draw:
    """Zero in about 70 of 100 rows, else exponential."""

    def draw(rng: np.random.Generator, n: int, season: Season, shift: Values | float) -> Values:
        return np.where(rng.random(n) < 0.7 - hours * season.wave(), 0.0, rng.exponential(size=n) * np.exp(shift))

    return draw


def constant(_: np.random.Generator, n: int, __: Season, ___: Values | float) -> Values:
    """The same in every row."""
    return np.full(n, 0.1)


def gaps(draw: Draw, share: float = 0.05) -> Draw:
    """Missing in so many rows."""

    def with_gaps(rng: np.random.Generator, n: int, season: Season, shift: Values | float) -> Values:
        values = draw(rng, n, season, shift)
        values[rng.random(n) < share] = np.nan
        return values

    return with_gaps


def category(shares: Sequence[float] = SHARES, hours: float = 0.0, weekends: float = 0.0) -> Draw:
    """Words; the first one's share goes with the hours, the second one's with weekends, at all others' expense."""

    def draw(rng: np.random.Generator, n: int, season: Season, _: Values | float) -> Values:
        now = np.array(shares, dtype=np.float64)
        now[0] += hours * season.wave()
        now[1] += weekends * season.free
        return np.asarray(WORDS[np.searchsorted(np.cumsum(now / now.sum())[:-1], rng.random(n), side="right")])

    return draw


def boolean(share: float = 0.2, hours: float = 0.0) -> Draw:
    """True in so many rows."""

    def draw(rng: np.random.Generator, n: int, season: Season, _: Values | float) -> Values:
        return rng.random(n) < share + hours * season.wave()

    return draw


MIXED: dict[str, Draw] = {
    "wave0": normal(0.5, 0.4),
    "plain0": normal(),
    "words0": category(hours=0.15, weekends=0.1),
    "count0": count(0.4),
    "skewed0": skewed(0.3),
    "wave1": normal(0.5, -0.4, late=6),
    "heavy0": heavy,
    "true0": boolean(hours=0.05),
    "rare0": category([0.9, 0.05, 0.03, 0.015, 0.005]),
    "zero0": mostly_zero(0.1),
    "plain1": normal(),
    "gaps0": gaps(normal(0.5)),
    "wave2": normal(0.5, 0.4),
    "words1": category(),
    "count1": count(),
    "wave3": normal(0.5),
    "wave4": normal(0.0, 0.4),
    "wave5": normal(0.25, 0.2, late=-3),
    "plain2": normal(),
    "plain3": normal(),
    "plain4": normal(),
    "skewed1": skewed(),
    "heavy1": heavy,
    "uniform0": uniform,
    "constant0": constant,
    "zero1": mostly_zero(),
    "words2": category(hours=0.1),
    "words3": category(weekends=0.1),
    "true1": boolean(0.02),
    "count2": count(0.2),
}
"""30 features of every kind, those with seasons and those without in turn, so that the first few are of most kinds."""


@dataclass(frozen=True, slots=True)
class Step:
    """Of one feature: so many standard deviations from one hour on, for so many hours or for good."""

    feature: str
    size: float
    start: int
    hours: int | None = None

    def at(self, hour: int) -> float:
        """The shift in that hour since the first."""
        return self.size if self.start <= hour and (self.hours is None or hour < self.start + self.hours) else 0.0


@dataclass(frozen=True, slots=True)
class Creep:
    """Of one feature: so many standard deviations more every day, from one hour on."""

    feature: str
    a_day: float
    start: int = 0

    def at(self, hour: int) -> float:
        """The shift in that hour since the first."""
        return self.a_day * max(0, hour - self.start) / 24


class Traffic:
    """A model's rows, hour by hour from `begin`; the same seed draws the same rows.

    `rows` is what an hour has in the mean of a working day. `by_day` and `by_minute` are the standard deviations of
    what each day and each minute of a feature has in common (autoregressive, in standard deviations of the feature).
    """

    def __init__(
        self,
        features: Mapping[str, Draw],
        begin: datetime,
        seed: int,
        *,
        rows: int = 1_000,
        seasons: bool = True,
        holidays: frozenset[date] = frozenset(),
        by_day: float = 0.0,
        by_minute: float = 0.0,
        changes: Sequence[Step | Creep] = (),
    ) -> None:
        self.features = dict(features)
        self.begin = begin
        self._rng = np.random.default_rng(seed)
        self._rows = rows
        self._seasons = seasons
        self._holidays = holidays
        self._by_day, self._by_minute = by_day, by_minute
        self._changes = changes
        self._day = self._rng.normal(size=len(self.features))
        self._minute = self._rng.normal(size=len(self.features))

    def hours(self, number: int) -> Iterator[tuple[datetime, dict[str, Values]]]:
        """The rows of so many hours, each with its start."""
        for hour in range(number):
            at = self.begin + hour * HOUR
            if at.hour == 0:
                self._day = _next(self._day, DAYS_TOGETHER, self._rng)
            yield at, self._hour(hour, at)

    def _hour(self, hour: int, at: datetime) -> dict[str, Values]:
        season = Season.of(at, self._holidays) if self._seasons else Season()
        n = max(1, int(self._rng.poisson(self._rows * (1 + 0.6 * season.wave()) * (1 - 0.4 * season.free))))
        levels = self._levels(n)
        columns = {}
        for index, (name, draw) in enumerate(self.features.items()):
            shift = sum(change.at(hour) for change in self._changes if change.feature == name)
            columns[name] = draw(self._rng, n, season, shift + levels[index])
        return columns

    def _levels(self, n: int) -> Values:
        """What each row has in common with its day and minute, shape (features, n) or (features,)."""
        level = self._by_day * self._day
        if not self._by_minute:
            return level
        noise = math.sqrt(1 - MINUTES_TOGETHER**2) * self._rng.normal(size=(len(level), 60))
        minutes, _ = lfilter([1.0], [1.0, -MINUTES_TOGETHER], noise, zi=MINUTES_TOGETHER * self._minute[:, np.newaxis])
        self._minute = minutes[:, -1]
        return np.asarray(level[:, np.newaxis] + self._by_minute * minutes[:, self._rng.integers(60, size=n)])


def _next(level: Values, kept: float, rng: np.random.Generator) -> Values:
    """One step of an autoregressive series of variance 1."""
    return kept * level + math.sqrt(1 - kept**2) * rng.normal(size=len(level))


def feature_of(values: Values) -> FeatureProfile:
    """What the agent makes of a column of numbers (NaN: missing), booleans or strings."""
    made = FeatureProfile()
    if values.dtype.kind == "b":
        made.true = int(np.count_nonzero(values))
        made.false = len(values) - made.true
    elif values.dtype.kind == "f":
        absent = np.isnan(values)
        made.missing = int(np.count_nonzero(absent))
        made.update_numbers(values[~absent] if made.missing else values)
    else:
        made.update_counts(Counter(values.tolist()))  # several times as fast as NumPy sorts strings
    return made


def profile_of(columns: Mapping[str, Values]) -> Profile:
    """What the agent makes of rows."""
    made = Profile()
    made.rows = len(next(iter(columns.values())))
    made.features = {name: feature_of(values) for name, values in columns.items()}
    together = [name for name, values in columns.items() if values.dtype.kind in "bf"]
    if together:
        made.fold_together(together, np.array([columns[name] for name in together], dtype=np.float64))
    return made
