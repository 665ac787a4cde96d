"""Rules inferred from a reference, to be read, corrected and committed by a person: `modelward suggest-rules`.

A rule is suggested when the reference leaves little doubt of it, holds in each of the reference's own windows, and
would have been suggested from either half of them and held in the other. What is not suggested is said.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelward_agent.profile import CategoricalSketch, FeatureProfile, NumericSketch, Profile, merged
from modelward_collector.checks.quality.expectation import majority_type, of_type, percent
from modelward_collector.checks.quality.expectations import judge_all
from modelward_collector.checks.quality.expectations_profile import repeats
from modelward_collector.checks.quality.features import FEATURE_RULES
from modelward_collector.checks.quality.judged import Judged
from modelward_collector.checks.quality.outputs import outputs
from modelward_collector.checks.quality.shares import WRONG_TYPE_TOLERANCE
from modelward_collector.checks.reading import as_classes
from modelward_collector.checks.result import Finding, Status
from modelward_collector.checks.window import ReferenceProfile
from modelward_collector.models import FeatureType, ModelSpec
from modelward_collector.stats.feature import two_numbers
from modelward_collector.stats.intervals import clopper_pearson

FEWEST_ROWS = 100
"""Fewer show neither a range nor a set of categories."""

SURE = 0.998
"""Confidence, two-sided, in how high a share of missing values may be."""

TIMES = 20
"""A bound or a value is taken to be meant when so many rows would otherwise be expected beyond it, or have it."""

MAX_CATEGORIES = 200
MAX_NUMBERS = 20
MISSING_FLOOR = 0.001
MISSING_ROOM = 0.02
BURSTS = 1.5
"""Missing values come in bursts, and the next one may be so many times the worst so far."""

WINDOWS = 60
"""At most so many of the reference's windows are held against the rules."""

FEWEST_WINDOWS = 4
SEVERAL = 3
NATURAL = (0.0, 1.0, 100.0)
"""Ends that shares, percentages and amounts have by nature."""


@dataclass(slots=True)
class FeatureRules:
    """What is suggested of one feature's schema: {key: (value, why)}."""

    name: str
    keys: dict[str, tuple[Any, str]] = field(default_factory=dict)


@dataclass(slots=True)
class Rule:
    """One suggested expectation, as `models.d` has it, and why."""

    content: dict[str, Any]
    why: str

    @property
    def key(self) -> tuple[str, str]:
        """What tells it apart: its kind and feature."""
        return self.content["expect"], self.content["feature"]


@dataclass(slots=True)
class Suggestion:
    """Everything suggested of a model; `left_out` says what was not, and why."""

    rows: int
    source: str
    task: tuple[str, str] | None = None
    output: dict[str, tuple[Any, str]] = field(default_factory=dict)
    features: list[FeatureRules] = field(default_factory=list)
    expectations: list[Rule] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    windows: int = 0

    def spec(self, model: str) -> ModelSpec:
        """The same as it will be read."""
        return ModelSpec.model_validate(self.content(model))

    def content(self, model: str) -> dict[str, Any]:
        """The same as YAML has it."""
        content: dict[str, Any] = {"model": model}
        if self.task is not None:
            content["task"] = self.task[0]
        if self.output:
            content["output"] = {key: value for key, (value, _) in self.output.items()}
        content["features"] = {
            rules.name: {key: value for key, (value, _) in rules.keys.items()} for rules in self.features
        }
        content["expectations"] = [rule.content for rule in self.expectations]
        return content


def suggest(reference: ReferenceProfile) -> Suggestion:
    """Infer what the reference shows, and keep what holds in its own windows; pure."""
    windows = [profile for _, profile in reference.windows if profile.rows]
    suggestion = inferred(reference.total, reference.source, windows)
    suggestion.windows = len(windows)
    _drop(suggestion, [reference.total, *_some(windows)], "it does not hold in all of the reference's own windows")
    if len(windows) >= FEWEST_WINDOWS:
        middle = len(windows) // 2
        for known, held_out in ((windows[:middle], windows[middle:]), (windows[middle:], windows[:middle])):
            half = inferred(merged(known), "half of the reference", known)
            broken = _broken(half, _some(held_out))
            _remove(suggestion, broken, "seen from one half of the reference's time it did not hold in the other")
    return suggestion


def inferred(total: Profile, source: str, windows: Sequence[Profile] = ()) -> Suggestion:
    """What one profile shows, and the windows that it was merged from."""
    suggestion = Suggestion(total.rows, source)
    if total.rows < FEWEST_ROWS:
        suggestion.left_out.append(f"anything: {total.rows:,} rows are too few, it takes {FEWEST_ROWS}")
        return suggestion
    _of_outputs(suggestion, total)
    for name in sorted(total.features):
        _of_feature(suggestion, name, total.features[name], [window.features.get(name) for window in windows])
    return suggestion


# -- what is inferred of one feature -------------------------------------------------------------------------------


Windows = Sequence[FeatureProfile | None]
"""One feature window by window; None where no row had it."""


def _of_feature(suggestion: Suggestion, name: str, feature: FeatureProfile, windows: Windows) -> None:
    kind = majority_type(feature)
    if kind is None or not feature.present:
        suggestion.left_out.append(f"{name}: it has no value of a known type")
        return
    right = of_type(feature, kind)
    if clopper_pearson(feature.present - right, feature.present).low > WRONG_TYPE_TOLERANCE / 2:
        suggestion.left_out.append(f"{name}: {percent(1 - right / feature.present)} of its values are not {kind}")
        return
    rules = FeatureRules(name)
    rules.keys["type"] = (str(kind), f"{_share_of(right, feature.present)} values are")
    rules.keys["missing_max"] = _missing_max(feature, windows)
    suggestion.features.append(rules)
    if right < FEWEST_ROWS:
        suggestion.left_out.append(f"values of {name}: {right:,} are too few, it takes {FEWEST_ROWS}")
        return
    if kind is FeatureType.NUMERIC and feature.numeric is not None and feature.numeric.n >= FEWEST_ROWS:
        _of_numbers(suggestion, rules, feature.numeric, windows)
    elif kind is FeatureType.CATEGORICAL and feature.categorical is not None:
        _of_texts(suggestion, rules, feature.categorical, windows)
    elif kind is FeatureType.BOOLEAN and not (feature.true and feature.false):
        suggestion.expectations.append(_constant(name, bool(feature.true), right))
    elif kind is FeatureType.EMBEDDING and feature.vector is not None and not feature.vector.wrong_dimension:
        rules.keys["dimension"] = (feature.vector.dimension, f"all {feature.vector.n:,} embeddings have it")


def _share_of(part: int, whole: int) -> str:
    return f"all {whole:,}" if part == whole else f"{part:,} of {whole:,}"


def _missing_max(feature: FeatureProfile, windows: Windows) -> tuple[float, str]:
    """Kept whatever the windows show: without it the default holds, which leaves less room."""
    rows, missing = feature.rows, feature.missing
    worst = max((one.missing / one.rows if one and one.rows else 1.0 for one in windows), default=0.0)
    most = max(BURSTS * worst, clopper_pearson(missing, rows, SURE).high) + (MISSING_ROOM if missing else 0.0)
    bound = min(1.0, _rounded_up(max(MISSING_FLOOR, most), 2))
    if not missing:
        return bound, f"none of {rows:,} rows lacks it"
    said = f"{missing:,} of {rows:,} rows lack it, {percent(missing / rows)}"
    return bound, said + (f", and {percent(worst)} in the worst window" if worst else "")


def _of_numbers(suggestion: Suggestion, rules: FeatureRules, sketch: NumericSketch, windows: Windows) -> None:
    name, n, low, high = rules.name, sketch.n, sketch.minimum, sketch.maximum
    if low == high:
        suggestion.expectations.append(_constant(name, _plain(low), n))
        return
    kept, cumulative = sketch.sorted_view()
    counts = np.diff(cumulative, prepend=0.0) * n
    whole = bool((kept == np.round(kept)).all()) and low.is_integer() and high.is_integer() and abs(high) < 2**24
    what = "whole numbers" if whole else "numbers"
    seen = f"{n:,} {what} from {low:g} to {high:g}"
    values = [_as_written(value) for value in kept.tolist()]
    few = len(kept) <= MAX_NUMBERS and all(round(value, 2) == value for value in values)
    few = few and counts.min() >= max(TIMES, _doubt(sketch)) and _often(kept, windows)
    few = few and bool(np.isin(np.array([low, high], dtype=np.float32), kept.astype(np.float32)).all())
    if few and not (whole and len(kept) == high - low + 1):
        said = f"{n:,} values and only these {len(kept)}, the rarest about {counts.min():,.0f} times"
        content = {"expect": "in_set", "feature": name, "values": values, "mostly": _mostly(n)}
        suggestion.expectations.append(Rule(content, said))
        return
    lower = _end(sketch, kept, counts, whole, lower=True)
    upper = _end(sketch, kept, counts, whole, lower=False)
    if lower is not None:
        rules.keys["min"] = (_plain(lower[0]), f"{seen}; {lower[1]}")
    if upper is not None:
        rules.keys["max"] = (_plain(upper[0]), f"{seen}; {upper[1]}")
    if lower is None or upper is None:
        suggestion.expectations.append(_soft_range(name, sketch, windows, seen, whole, lower is None, upper is None))


def _end(
    sketch: NumericSketch, kept: NDArray[np.float64], counts: NDArray[np.float64], whole: bool, *, lower: bool
) -> tuple[float, str] | None:
    """The end that the values have by their nature, and why; None when more rows might well go beyond.

    Many rows at the end or beside it, where a distribution that goes on would have put about as many beyond.
    """
    extreme = sketch.minimum if lower else sketch.maximum
    place, inward = (0, 1) if lower else (-1, -2)
    at_extreme = float(counts[place]) if float(kept[place]) == float(np.float32(extreme)) else 0.0
    # a sketch keeps few of the rows, so what it shows of a rare value is mostly chance
    at_extreme = float(sketch.zeros) if extreme == 0 else at_extreme - _doubt(sketch)
    if whole and len(kept) > 1:
        step = abs(float(kept[inward]) - float(kept[place]))
        # of a distribution without gaps (log-concave) at most this many would be one further
        beyond = at_extreme**2 / max(1.0, float(counts[inward]))
        if step == 1 and beyond >= TIMES / 2 and at_extreme >= TIMES:
            return extreme, f"about {at_extreme:,.0f} are {extreme:g}, and none is beyond"
        if extreme not in NATURAL:
            return None
    candidates = [end for end in NATURAL if (end <= extreme if lower else end >= extreme)]
    if not candidates or (lower and extreme < 0):
        return None
    end = max(candidates) if lower else min(candidates)
    if lower and end != 0.0:
        end = 0.0
    if not lower and sketch.minimum < 0:
        return None
    if extreme == end and at_extreme >= TIMES and not whole:
        return end, f"about {at_extreme:,.0f} are {end:g}, and none is beyond"
    q1, q3 = sketch.quantiles([0.25, 0.75]).tolist()
    near = (q3 - q1) / 10
    if near <= 0:
        return None
    beside = float(sketch.cdf(end + near)) * sketch.n if lower else (1 - float(sketch.cdf(end - near))) * sketch.n
    if beside - sketch.rank_error * sketch.n >= TIMES:
        return end, f"about {beside:,.0f} are within {near:.2g} of {end:g}, and none is beyond"
    return None


def _soft_range(
    name: str, sketch: NumericSketch, windows: Windows, seen: str, whole: bool, lower: bool, upper: bool
) -> Rule:
    n = sketch.n
    tail = 0.01 if n >= 1_000 else 0.1
    inner_low, inner_high = sketch.quantiles([tail, 1 - tail]).tolist()
    room = 0.05 * (inner_high - inner_low)
    # as far as the extremes of its windows lie apart they may yet move
    lows = [one.numeric.minimum for one in windows if one and one.numeric and one.numeric.n] or [sketch.minimum]
    highs = [one.numeric.maximum for one in windows if one and one.numeric and one.numeric.n] or [sketch.maximum]
    content: dict[str, Any] = {"expect": "range", "feature": name}
    step = 1.0 if whole else 10 ** math.floor(math.log10(sketch.maximum - sketch.minimum) - 1)
    if lower:
        low = sketch.minimum - max(room, (inner_low - sketch.minimum) / 2, float(np.median(lows)) - sketch.minimum)
        low = math.floor(low / step) * step
        content["min"] = _plain(_tidy(max(0.0, low) if sketch.minimum >= 0 else low))
    if upper:
        high = sketch.maximum + max(room, (sketch.maximum - inner_high) / 2, sketch.maximum - float(np.median(highs)))
        content["max"] = _plain(_tidy(math.ceil(high / step) * step))
    content["mostly"] = _mostly(n)
    return Rule(content, f"{seen}, {1 - 2 * tail:.0%} of them from {inner_low:g} to {inner_high:g}")


def _of_texts(suggestion: Suggestion, rules: FeatureRules, sketch: CategoricalSketch, windows: Windows) -> None:
    name, n = rules.name, sketch.n
    counts = sketch.counts()
    distinct = len(counts) if not sketch.error else round(sketch.distinct)
    if not repeats(sketch) and distinct > 0.9 * n:
        said = f"{n:,} texts, all different" if not sketch.error else f"about {distinct:,} different of {n:,} texts"
        suggestion.expectations.append(Rule({"expect": "unique", "feature": name, "mostly": 0.99}, said))
        return
    classes, why = _closed(sketch, windows)
    if classes is None:
        suggestion.left_out.append(f"the categories of {name}: {why}")
    else:
        rules.keys["values"] = (classes, why)


def _closed(sketch: CategoricalSketch, windows: Windows) -> tuple[list[str] | None, str]:
    """All categories when others are surely rare, and why.

    What is unseen is expected as often as what came once (Good, 1953), or in one window only where there are several.
    """
    n, counts = sketch.n, sketch.counts()
    if sketch.error or len(counts) > MAX_CATEGORIES:
        return None, f"there are about {sketch.distinct:,.0f}"
    if any(len(name) > 100 for name in counts):
        return None, "some are longer than 100 letters"
    once = sum(count for count in counts.values() if count == 1)
    within = [set(one.categorical.counts()) for one in windows if one and one.categorical]
    if len(within) >= FEWEST_WINDOWS:
        once = sum(count for name, count in counts.items() if sum(name in there for there in within) <= 1)
    unseen = (once + 3 * math.sqrt(once + 1)) / n
    if unseen > UNSEEN:
        return None, f"{once} of {n:,} values came but once, or in one window, so others are to be expected"
    rarest = min(counts.values())
    said = (
        f"{n:,} values of {len(counts)} categories, the rarest {rarest:,} times; others are at most {percent(unseen)}"
    )
    return sorted(counts), said


UNSEEN = 0.0025
"""A quarter of what `checks.quality.unseen_max` lets pass."""


def _doubt(sketch: NumericSketch) -> float:
    """By how many rows the sketch's count of one value may be off: a difference of two ranks."""
    return 2 * sketch.rank_error * sketch.n


def _often(values: NDArray[np.float64], windows: Windows) -> bool:
    """Whether each came in several windows, if there are: rows that share their weather come at once."""
    seen = [one.numeric.sorted_view()[0] for one in windows if one and one.numeric and one.numeric.n]
    if len(seen) < FEWEST_WINDOWS:
        return True
    return bool(min(sum(value in there for there in seen) for value in values) >= SEVERAL)


def _constant(name: str, value: Any, n: int) -> Rule:
    said = f"the same in all {n:,} values; remove it if it is meant to change"
    return Rule({"expect": "in_set", "feature": name, "values": [value], "mostly": _mostly(n)}, said)


def _mostly(n: int) -> float:
    """The share of rows that must hold a rule that all of n rows did: ten in n, and one in a thousand, may not."""
    return round(1 - _rounded_up(max(0.001, 10 / n), 2), 6)


# -- the model's answers -------------------------------------------------------------------------------------------


def _of_outputs(suggestion: Suggestion, total: Profile) -> None:
    prediction = total.outputs.get("prediction")
    if prediction is None or prediction.present < FEWEST_ROWS:
        suggestion.left_out.append("task and output: the reference has too few predictions")
        return
    n = prediction.present
    kind = majority_type(prediction)
    numbers = two_numbers(prediction.numeric) if prediction.numeric is not None else {}
    if numbers and numbers.keys() <= {0.0, 1.0} and prediction.numbers == n:
        suggestion.task = ("classification", f"all {n:,} predictions are 0 or 1")
    elif _are_scores(prediction, total.outputs.get("actual")):
        suggestion.task = ("classification", f"all {n:,} predictions are from 0 to 1, and labels are of two classes")
    elif kind is FeatureType.NUMERIC and prediction.numeric is not None and prediction.numbers == n:
        suggestion.task = ("regression", f"all {n:,} predictions are numbers")
        sketch = prediction.numeric
        kept, cumulative = sketch.sorted_view()
        counts = np.diff(cumulative, prepend=0.0) * sketch.n
        if len(kept) > 1:
            for key, lower in (("min", True), ("max", False)):
                if (end := _end(sketch, kept, counts, False, lower=lower)) is not None:
                    suggestion.output[key] = (_plain(end[0]), f"{n:,} predictions; {end[1]}")
    elif kind is FeatureType.CATEGORICAL and prediction.categorical is not None and prediction.strings == n:
        suggestion.task = ("classification", f"all {n:,} predictions are classes")
        counts_by_class = prediction.categorical.counts()
        if not prediction.categorical.error and min(counts_by_class.values()) >= TIMES:
            rarest = min(counts_by_class.values())
            said = f"{n:,} predictions, the rarest class {rarest:,} times"
            suggestion.output["classes"] = (sorted(counts_by_class), said)
        else:
            suggestion.left_out.append("output.classes: some came too rarely to be all; write them by hand")


def _are_scores(prediction: FeatureProfile, actual: FeatureProfile | None) -> bool:
    """Whether numbers are probabilities of one of two classes: from 0 to 1, and labels are two."""
    scores = prediction.numeric
    if scores is None or prediction.numbers != prediction.present or not 0 <= scores.minimum <= scores.maximum <= 1:
        return False
    if actual is None or not actual.present:
        return False
    labels = as_classes(actual, {}, False).categorical
    return labels is not None and labels.n == actual.present and len(labels.counts()) == 2


# -- holding the rules against windows -----------------------------------------------------------------------------

Key = tuple[str, str]
"""(what, feature); what is `type`, `bounds`, `values`, `dimension`, `output`, or `expect` and a kind."""

_KEYS = {
    "type": "type",
    "range": "bounds",
    "unseen": "values",
    "dimension": "dimension",
}
_SCHEMA_KEYS = {"bounds": ("min", "max")}


def _broken(suggestion: Suggestion, windows: Iterable[Profile]) -> set[Key]:
    spec = suggestion.spec("suggested")
    broken: set[Key] = set()
    for profile in windows:
        judged = Judged.of(spec, profile, None)
        findings: list[Finding] = [finding for rule in FEATURE_RULES for finding in rule(judged)]
        broken |= {
            (_KEYS[finding.test], finding.subject)
            for finding in findings
            if finding.status in (Status.WARNING, Status.CRITICAL) and finding.test in _KEYS
        }
        if suggestion.output and any(f.status in (Status.WARNING, Status.CRITICAL) for f in outputs(judged)):
            broken.add(("output", "prediction"))
        found = judge_all(spec.expectations, profile, None, all_rows=profile.rows, duplicate_ids=0)
        broken |= {(f"expect {f.test}", f.subject) for f in found if f.status in (Status.WARNING, Status.CRITICAL)}
    return broken


def _drop(suggestion: Suggestion, windows: Sequence[Profile], why: str) -> None:
    _remove(suggestion, _broken(suggestion, windows), why)


def _remove(suggestion: Suggestion, broken: set[Key], why: str) -> None:
    for rules in list(suggestion.features):
        for what in sorted(what for what, name in broken if name == rules.name):
            if what == "type":
                suggestion.features.remove(rules)
                suggestion.left_out.append(f"{rules.name}, its type: {why}")
                break
            keys = [key for key in _SCHEMA_KEYS.get(what, (what,)) if rules.keys.pop(key, None) is not None]
            if keys:
                suggestion.left_out.append(f"{' and '.join(keys)} of {rules.name}: {why}")
    for rule in list(suggestion.expectations):
        kind, name = rule.key
        if (f"expect {kind}", name) in broken:
            suggestion.expectations.remove(rule)
            by_hand = "; write its limits by hand" if kind == "range" else ""
            suggestion.left_out.append(f"{kind} of {name}: {why}{by_hand}")
    if ("output", "prediction") in broken and suggestion.output:
        suggestion.left_out.append(f"output {' and '.join(suggestion.output)}: {why}")
        suggestion.output.clear()


def _some(windows: Sequence[Profile]) -> list[Profile]:
    step = max(1, math.ceil(len(windows) / WINDOWS))
    return list(windows[::step])


# -- numbers -------------------------------------------------------------------------------------------------------


def _rounded_up(value: float, digits: int) -> float:
    scale = 10 ** (math.floor(math.log10(value)) - digits + 1)
    return _tidy(math.ceil(round(value / scale, 9)) * scale)


def _tidy(value: float) -> float:
    """Without the dust of binary fractions."""
    return float(f"{value:.12g}")


def _plain(value: float) -> int | float:
    """Whole numbers as such."""
    return int(value) if float(value).is_integer() and abs(value) < 2**53 else float(value)


def _as_written(value: float) -> int | float:
    """The shortest number that float32, which sketches keep, reads as this one."""
    return _plain(float(str(np.float32(value))))
