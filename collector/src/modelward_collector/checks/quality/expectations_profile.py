"""What profiles tell of a rule: of all rows, exactly or within a sketch's error.

Of several columns together a profile knows nothing, yet what each looks like alone can rule a rule out: rows that all
have a <= b show at every point no fewer of a at or below it than of b. What is counted here as breaking a rule surely
does.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy import stats

from modelward_agent.profile import CategoricalSketch, FeatureProfile, NumericSketch, Profile
from modelward_agent.profile.categorical import MAX_CATEGORY_LENGTH, category_name
from modelward_agent.values import class_of, number_name, number_of
from modelward_collector.checks.quality.expectation import SIGNIFICANCE
from modelward_collector.checks.quality.expectations_verdict import Seen, not_judged, of_fact
from modelward_collector.checks.quality.shares import share_outside
from modelward_collector.checks.result import Finding
from modelward_collector.expectations import (
    DistinctBetween,
    InSet,
    MeanBetween,
    MissingAtMost,
    NotNull,
    QuantileBetween,
    Range,
    Ratio,
    Regex,
    Relation,
    RowCountBetween,
    SumTo,
    Unique,
)
from modelward_collector.pattern import Pattern
from modelward_collector.stats.intervals import share_above

HLL_DEVIATIONS = 3
"""A number of different values is taken as far from its estimate as this many standard deviations leave it open."""

FEWEST_FOR_A_MEAN = 30
"""Below it the mean of a skewed feature is too far from normal to be judged."""

ROUNDING = 1e-6
"""Relative error of what a quantile sketch keeps (float32) with room to spare."""

NAMED = 3


def column(profile: Profile, name: str) -> FeatureProfile | None:
    """The feature, or the output where no feature is called so."""
    return profile.features.get(name) or profile.outputs.get(name)


# -- one value at a time -------------------------------------------------------------------------------------------


def missing(rule: NotNull | MissingAtMost, profile: Profile) -> Seen:
    """Rows without a value, or with NaN; exact."""
    feature = column(profile, rule.feature)
    if feature is None and profile.not_told_of([rule.feature]):
        return Seen(0, 0, unit="rows")
    there = feature.present - feature.nan if feature else 0
    return Seen(max(0, profile.rows - there), profile.rows, unit="rows")


def out_of_range(rule: Range, feature: FeatureProfile) -> Seen:
    """Numbers outside: surely one when an extreme is, and as many as the sketch's error leaves certain."""
    sketch = feature.numeric
    infinite = feature.positive_infinity * (rule.max is not None) + feature.negative_infinity * (rule.min is not None)
    n = sketch.n if sketch else 0
    share = share_outside(sketch, rule.min, rule.max) if sketch and n else 0.0
    certain = max(1, round((share - _sides(rule, sketch) * sketch.rank_error) * n)) if sketch and share else 0
    seen = f"from {sketch.minimum:g} to {sketch.maximum:g}, " if sketch and share else ""
    judged = n + feature.positive_infinity + feature.negative_infinity
    return Seen(certain + infinite, judged, share=(share * n + infinite) / max(1, judged), because=seen)


def _sides(rule: Range, sketch: NumericSketch) -> int:
    below = rule.min is not None and sketch.minimum < rule.min
    above = rule.max is not None and sketch.maximum > rule.max
    return int(below) + int(above)


def outside_set(rule: InSet, feature: FeatureProfile) -> Seen:
    """Values that are not in the set. Of numbers the sketch keeps some; each of those outside is surely there."""
    keys = {_key(value) for value in rule.values}
    texts = feature.categorical.counts() if feature.categorical is not None else ()
    allowed_texts = {category_name(value) for value in rule.values if isinstance(value, str)}
    allowed_texts |= {name for name in texts if class_of(name) in keys}
    allowed = [number for key in keys if (number := number_of(key)) is not None]
    breaking, estimate, unknown = 0, 0.0, 0
    examples: list[str] = []
    if feature.categorical is not None:
        breaking, unknown, examples = _texts_outside(feature.categorical, allowed_texts)
        estimate = float(breaking)
    if feature.numeric is not None and feature.numeric.n:
        certain_numbers, share, odd = _numbers_outside(feature.numeric, allowed)
        breaking += certain_numbers
        estimate += share * feature.numeric.n
        examples += odd
    off = feature.numbers - (feature.numeric.n if feature.numeric else 0) + feature.vectors + feature.other
    off += feature.true * ("1" not in keys) + feature.false * ("0" not in keys)
    return Seen(
        breaking + off,
        feature.present,
        share=(estimate + off) / max(1, feature.present),
        unknown=unknown,
        because="at least " if unknown else "",
        examples=tuple(examples[:NAMED]),
    )


def _key(value: object) -> str:
    if isinstance(value, str):
        return class_of(category_name(value))
    return number_name(float(value)) if isinstance(value, int | float) else str(value)


def _texts_outside(sketch: CategoricalSketch, allowed: set[str]) -> tuple[int, int, list[str]]:
    """Rows surely outside, rows of which nothing is known, and some of the texts."""
    error = sketch.error
    outside = {name: count - error for name, count in sketch.counts().items() if name not in allowed and count > error}
    # what the allowed ones cannot be, however frequent, is outside too
    most_within = sum(int(sketch.frequent.get_upper_bound(name)) for name in allowed)
    least_within = sum(int(sketch.frequent.get_lower_bound(name)) for name in allowed)
    breaking = max(sum(outside.values()), sketch.n - most_within)
    return breaking, max(0, sketch.n - breaking - least_within), list(outside)


def _numbers_outside(sketch: NumericSketch, allowed: list[float]) -> tuple[int, float, list[str]]:
    """How many surely are outside, the estimated share, and some of them."""
    kept, cumulative = sketch.sorted_view()
    weights = np.diff(cumulative, prepend=0.0)
    # as the sketch keeps them, so that 0.1 is 0.1 however it was computed
    single = np.array(allowed, dtype=np.float32)
    within = np.isin(kept.astype(np.float32), single)
    extremes = [value for value in (sketch.minimum, sketch.maximum) if np.float32(value) not in single]
    if within.all() and not extremes:
        return 0, 0.0, []
    share = max(float(weights[~within].sum()), 1 / sketch.n)
    # each run of kept values between two allowed ones is a difference of two ranks
    runs = int(np.count_nonzero(np.diff(np.concatenate(([True], within)).astype(int)) < 0))
    certain = max(1, round((share - 2 * runs * sketch.rank_error) * sketch.n))
    return certain, share, [f"{value:g}" for value in [*extremes, *kept[~within].tolist()][:NAMED]]


def not_matching(rule: Regex, feature: FeatureProfile) -> Seen:
    """Texts that do not match, of those that the sketch keeps whole; the others are unknown."""
    sketch = feature.categorical
    if sketch is None or not sketch.n:
        return Seen(0, 0)
    pattern = Pattern(rule.pattern)
    judged, breaking, examples = 0, 0, []
    for name, count in sketch.counts().items():
        certain = count - sketch.error
        if certain <= 0 or _shortened(name):
            continue
        judged += certain
        if not pattern.matches(name):
            breaking += certain
            examples.append(name)
    return Seen(breaking, judged, unknown=sketch.n - judged, examples=tuple(examples[:NAMED]))


def _shortened(name: str) -> bool:
    return len(name) > 100 and len(name) <= MAX_CATEGORY_LENGTH and name[100] == "…"


def repeated(_: Unique, feature: FeatureProfile) -> Seen:
    """Texts that came before, as many as the sketches leave certain; of numbers a profile does not know."""
    sketch = feature.categorical
    if sketch is None or not sketch.n:
        return Seen(0, 0)
    certain = repeats(sketch)
    return Seen(certain, sketch.n, because="at least " if certain and sketch.error else "", unit="values")


def repeats(sketch: CategoricalSketch) -> int:
    """How many texts surely repeat an earlier one; exact while every category is kept."""
    counts = sketch.counts()
    if not sketch.error:
        return sketch.n - len(counts)
    frequent = sum(max(0, count - sketch.error - 1) for count in counts.values())
    most = float(sketch.hll.get_upper_bound(HLL_DEVIATIONS))
    return max(0, frequent, math.floor(sketch.n - most))


# -- several columns -----------------------------------------------------------------------------------------------


def relation(rule: Relation, profile: Profile) -> Seen:
    """Rows that surely break it, from both columns' distributions: never too many, mostly too few."""
    left, right = column(profile, rule.left), column(profile, rule.right)
    if left is None or right is None:
        return Seen(0, 0)
    certain = _beyond(left, right, profile.rows, shift=rule.tolerance)
    if rule.operator == "==":
        certain = max(certain, _beyond(right, left, profile.rows, shift=rule.tolerance))
    return _at_least(certain, profile.rows)


def ratio_of_rows(rule: Ratio, profile: Profile) -> Seen:
    """The same for a ratio, where the denominator is positive throughout."""
    top, bottom = column(profile, rule.numerator), column(profile, rule.denominator)
    if top is None or bottom is None or bottom.numeric is None or not bottom.numeric.n or bottom.numeric.minimum <= 0:
        return Seen(0, 0)
    certain = 0
    if rule.max is not None and rule.max > 0:
        certain = _beyond(top, bottom, profile.rows, scale=rule.max)
    if rule.min is not None and rule.min > 0:
        certain = max(certain, _beyond(bottom, top, profile.rows, scale=1 / rule.min))
    return _at_least(certain, profile.rows)


def total(rule: SumTo, profile: Profile) -> Seen:
    """One row, when the means do not add up and so not every row can."""
    names = [*rule.features, *([rule.total] if isinstance(rule.total, str) else [])]
    found = [column(profile, name) for name in names]
    sketches = [feature.numeric for feature in found if feature is not None and feature.numeric is not None]
    if len(sketches) < len(names) or any(sketch.n != profile.rows for sketch in sketches):
        return Seen(0, 0)
    means = [sketch.moments.mean for sketch in sketches]
    wanted = means[-1] if isinstance(rule.total, str) else rule.total
    summed = sum(means[: len(rule.features)])
    room = rule.tolerance + 1e-9 * sum(map(abs, means))
    return _at_least(int(abs(summed - wanted) > room), profile.rows)


def _at_least(certain: int, rows: int) -> Seen:
    """Nothing is known of the rows while none surely breaks the rule."""
    return Seen(certain, rows if certain > 0 else 0, unit="rows", because="at least ")


def _beyond(left: FeatureProfile, right: FeatureProfile, rows: int, shift: float = 0.0, scale: float = 1.0) -> int:
    """Rows that surely have left > scale * right + shift.

    Where c rows have scale * right + shift <= x, all but those with left > x have left <= x or no left at all: of these
    c, at least c - (rows with left <= x) - (rows without a finite left) break the rule. Float32 moves values by up to
    `ROUNDING`, in the same way on both sides where neither is shifted nor scaled.
    """
    a, b = left.numeric, right.numeric
    if a is None or b is None or not a.n or not b.n:
        return 0
    points = np.concatenate((a.sorted_view()[0], b.sorted_view()[0] * scale + shift))
    back = (points - shift) / scale
    if shift or scale != 1.0:
        back = back - ROUNDING * (np.abs(back) + np.abs(points) / scale)
    surplus = float(np.max(b.cdf(back) * b.n - a.cdf(points) * a.n))
    # both errors are of one point at 99%; twice as much holds for all points at once
    doubt = 2 * (a.rank_error * a.n + b.rank_error * b.n)
    return max(0, math.floor(surplus - doubt - (rows - a.n) + 1e-6 * rows)) if surplus > 0 else 0


# -- the column as a whole -----------------------------------------------------------------------------------------


def mean_between(rule: MeanBetween, feature: FeatureProfile) -> Finding:
    """The mean against its bounds by Student's t, and by Johnson's correction for skewness: both must reject.

    Source: Johnson (1978), "Modified t tests and confidence intervals for asymmetrical populations".
    """
    sketch = feature.numeric
    n = sketch.n if sketch else 0
    if sketch is None or n < FEWEST_FOR_A_MEAN:
        return not_judged(rule, f"{n} numbers are too few; it takes {FEWEST_FOR_A_MEAN}")
    moments = sketch.moments
    spread = math.sqrt(max(0.0, moments.variance))
    skewness = moments.skewness if moments.m2 > 0 else 0.0

    def p_of(bound: float) -> float:
        off = moments.mean - bound
        if spread == 0:
            return 1.0 if off == 0 else 0.0
        plain = off / spread * math.sqrt(n)
        corrected = (off + skewness * spread / (6 * n) + skewness * off**2 / (3 * spread)) / spread * math.sqrt(n)
        side = math.copysign(1.0, off)
        return float(max(stats.t.sf(side * plain, n - 1), stats.t.sf(side * corrected, n - 1)))

    return _against(rule, rule.min, rule.max, moments.mean, p_of, f"it is {moments.mean:.6g}", rows=n)


def ratio_of_means(rule: Ratio, profile: Profile) -> Finding:
    """The ratio of the means, with the widest error that any correlation between the two could give it."""
    top, bottom = column(profile, rule.numerator), column(profile, rule.denominator)
    a, b = (top.numeric if top else None), (bottom.numeric if bottom else None)
    if a is None or b is None or min(a.n, b.n) < FEWEST_FOR_A_MEAN:
        return not_judged(rule, f"it takes {FEWEST_FOR_A_MEAN} numbers of each")
    mean = b.moments.mean
    error = math.sqrt(b.moments.variance / b.n)
    if abs(mean) <= 4 * error or mean == 0:
        return not_judged(rule, f"the mean of {rule.denominator} may be zero")
    ratio = a.moments.mean / mean

    def p_of(bound: float) -> float:
        wide = math.sqrt(a.moments.variance / a.n) + abs(bound) * error
        off = abs(a.moments.mean - bound * mean)
        if wide == 0:
            return 1.0 if off == 0 else 0.0
        return float(stats.t.sf(off / wide, min(a.n, b.n) - 1))

    return _against(rule, rule.min, rule.max, ratio, p_of, f"it is {ratio:.6g}", rows=min(a.n, b.n))


def _against(
    rule: MeanBetween | Ratio,
    low: float | None,
    high: float | None,
    value: float,
    p_of: Callable[[float], float],
    said: str,
    rows: int,
) -> Finding:
    bound = low if low is not None and value < low else high if high is not None and value > high else None
    if bound is None:
        return of_fact(rule, False, said, value, low if low is not None else high, rows=rows)
    p_value = p_of(bound)
    violated = p_value < SIGNIFICANCE
    said += f" in {rows:,} rows" + ("" if violated else ", which chance may explain")
    return of_fact(rule, violated, said, value, bound, p_value, rows=rows)


def quantile_between(rule: QuantileBetween, feature: FeatureProfile) -> Finding:
    """A quantile against its bounds by the exact binomial test on the rows beyond each, less the sketch's error."""
    sketch = feature.numeric
    if sketch is None or not sketch.n:
        return not_judged(rule, "there is no number")
    value, n = float(sketch.quantiles([rule.quantile])[0]), sketch.n
    p_value, threshold = 1.0, rule.min if rule.min is not None else rule.max
    for low, high, allowed in ((rule.min, None, rule.quantile), (None, rule.max, 1 - rule.quantile)):
        if low is None and high is None:
            continue
        beyond = math.floor((share_outside(sketch, low, high) - sketch.rank_error) * n + 1e-6)
        if beyond > allowed * n and (p := share_above(beyond, n, allowed)) < p_value:
            p_value, threshold = p, low if low is not None else high
    said = f"it is about {value:.6g} in {n:,} rows"
    return of_fact(rule, p_value < SIGNIFICANCE, said, value, threshold, p_value, rows=n)


def distinct_between(rule: DistinctBetween, feature: FeatureProfile | None) -> Finding:
    """How many different values there surely are at least and at most; too few only count in rows enough for them."""
    if feature is None or not feature.present:
        return not_judged(rule, "there is no value")
    low, high, estimate = 0.0, 0.0, 0.0
    if feature.booleans:
        both = int(feature.true > 0) + int(feature.false > 0)
        low, high, estimate = low + both, high + both, estimate + both
    if (texts := feature.categorical) is not None and texts.n:
        kept = len(texts.counts())
        if texts.error:
            low += max(1.0, float(texts.hll.get_lower_bound(HLL_DEVIATIONS)))
            high += float(texts.hll.get_upper_bound(HLL_DEVIATIONS))
            estimate += texts.distinct
        else:
            low, high, estimate = low + kept, high + kept, estimate + kept
    if (sketch := feature.numeric) is not None and sketch.n:
        kept = len(sketch.sorted_view()[0])
        low, estimate = low + kept, estimate + kept
        # float32 may have made one of two, and beyond the sketch's size some values are not kept
        high = math.inf if sketch.rank_error else high + sketch.n
    n = feature.present
    if rule.max is not None and low > rule.max:
        said = f"at least {low:,.0f} in {n:,} rows" if high > low else f"{low:,.0f} in {n:,} rows"
        return of_fact(rule, True, said, estimate, rule.max, rows=n)
    said = f"about {estimate:,.0f} in {n:,} rows" if high > low else f"{estimate:,.0f} in {n:,} rows"
    if rule.min is not None and high < rule.min:
        # were so many equally frequent, fewer rows would often show fewer of them
        enough = rule.min * (math.log(max(1.0, rule.min)) - math.log(SIGNIFICANCE))
        if n < enough:
            return not_judged(rule, f"{said}; so many values need {enough:,.0f} rows to show")
        return of_fact(rule, True, said, estimate, rule.min, rows=n)
    if rule.min is not None and low < rule.min and math.isinf(high):
        return not_judged(rule, f"at least {low:,.0f} in {n:,} rows; a profile does not count numbers that differ")
    return of_fact(rule, False, said, estimate, rule.max if rule.max is not None else rule.min, rows=n)


def row_count_between(rule: RowCountBetween, rows: int) -> Finding:
    """The rows of the window, of all versions; exact."""
    low = rule.min is not None and rows < rule.min
    high = rule.max is not None and rows > rule.max
    threshold = rule.max if high or rule.min is None else rule.min
    return of_fact(rule, low or high, f"there are {rows:,}", float(rows), threshold)
