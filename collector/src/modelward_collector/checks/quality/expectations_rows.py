"""What a sample of rows tells of a rule: which of them break it, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelward_collector.checks.quality.expectations_sample import EventSample, effective_rows, is_number, numbers
from modelward_collector.checks.quality.expectations_verdict import Seen
from modelward_collector.expectations import Monotone, Ratio, Regex, Relation, SumTo, Unique
from modelward_collector.pattern import Pattern

NAMED = 3
LONGEST_TEXT = 10_000
"""Letters; a longer text is not matched."""

Mask = NDArray[np.bool_]


def relation(rule: Relation, sample: EventSample, rows: int) -> Seen:
    """Rows where both have a number, or both a text."""
    left, right = sample.column(rule.left), sample.column(rule.right)
    held: list[bool | None] = [_holds(rule, a, b) for a, b in zip(left, right, strict=True)]
    return _seen(held, sample, rows, {rule.left: left, rule.right: right})


def _holds(rule: Relation, left: Any, right: Any) -> bool | None:
    if is_number(left) and is_number(right):
        if rule.operator == "==":
            return left == right or bool(abs(left - right) <= rule.tolerance)
        return bool(left <= right + rule.tolerance if rule.operator == "<=" else left < right + rule.tolerance)
    if left is None or right is None:
        return None
    if rule.operator == "==":
        return bool(left == right)
    if isinstance(left, str) and isinstance(right, str):
        return left <= right if rule.operator == "<=" else left < right
    return None


def ratio(rule: Ratio, sample: EventSample, rows: int) -> Seen:
    """Rows with a numerator and a denominator; a denominator of zero breaks the rule."""
    left, right = sample.column(rule.numerator), sample.column(rule.denominator)
    a, b = numbers(left), numbers(right)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = a / b
    fine = np.ones(len(value), dtype=np.bool_)
    if rule.min is not None:
        fine &= value >= rule.min
    if rule.max is not None:
        fine &= value <= rule.max
    fine &= b != 0
    judged = ~np.isnan(a) & ~np.isnan(b)
    return _seen(_masked(fine, judged), sample, rows, {rule.numerator: left, rule.denominator: right})


def total(rule: SumTo, sample: EventSample, rows: int) -> Seen:
    """Rows that have all the numbers."""
    columns = {name: sample.column(name) for name in rule.features}
    summed = np.sum([numbers(column) for column in columns.values()], axis=0)
    wanted = np.full(len(sample), rule.total) if not isinstance(rule.total, str) else None
    if wanted is None:
        columns[str(rule.total)] = sample.column(str(rule.total))
        wanted = numbers(columns[str(rule.total)])
    with np.errstate(invalid="ignore"):
        # sums of decimal fractions are off by their rounding
        fine = np.abs(summed - wanted) <= rule.tolerance + 1e-12 * np.abs(wanted)
    return _seen(_masked(fine, ~np.isnan(summed) & ~np.isnan(wanted)), sample, rows, columns)


def monotone(rule: Monotone, sample: EventSample, rows: int) -> Seen:
    """Steps from a row to the next one of its sequence, each judged at the later row."""
    column = sample.column(rule.feature)
    keys = sample.column(rule.by) if rule.by is not None else [""] * len(sample)
    sign = 1.0 if rule.direction == "increasing" else -1.0
    before: dict[Any, tuple[Any, float]] = {}
    held: list[bool | None] = []
    shown: list[str] = []
    for moment, key, value in zip(sample.moments(), keys, column, strict=True):
        last = before.get(key)
        if not is_number(value) or key is None:
            held.append(None)
            shown.append("")
            continue
        if last is None or last[0] == moment:
            held.append(None)
            # of one moment what is next must not be below any of them
            before[key] = (moment, value if last is None else sign * max(sign * value, sign * last[1]))
            shown.append("")
            continue
        held.append(sign * value > sign * last[1] if rule.strictly else sign * value >= sign * last[1])
        shown.append(f"{value:g} after {last[1]:g}")
        before[key] = (moment, value)
    return _seen(held, sample, rows, {}, shown, unit="steps")


def not_matching(rule: Regex, sample: EventSample, rows: int) -> Seen:
    """Rows with a text."""
    pattern = Pattern(rule.pattern)
    known: dict[str, bool] = {}
    held: list[bool | None] = []
    column = sample.column(rule.feature)
    for value in column:
        if not isinstance(value, str) or len(value) > LONGEST_TEXT:
            held.append(None)
            continue
        if value not in known:
            known[value] = pattern.matches(value)
        held.append(known[value])
    return _seen(held, sample, rows, {}, [str(value)[:40] for value in column])


def repeated(rule: Unique, sample: EventSample, rows: int) -> Seen:
    """Rows whose value came in an earlier one of the sample; in all rows there are at least as many, by share."""
    found: set[Any] = set()
    held: list[bool | None] = []
    column = sample.column(rule.feature)
    for value in column:
        if value is None:
            held.append(None)
            continue
        key = (isinstance(value, bool), value)
        held.append(key not in found)
        found.add(key)
    return _seen(held, sample, rows, {}, [str(value)[:40] for value in column], unit="values")


def _masked(fine: Mask, judged: Mask) -> list[bool | None]:
    return [held if known else None for held, known in zip(fine.tolist(), judged.tolist(), strict=True)]


def _seen(
    held: Sequence[bool | None],
    sample: EventSample,
    rows: int,
    columns: dict[str, list[Any]],
    shown: Sequence[str] = (),
    unit: str = "rows",
) -> Seen:
    judged = np.array([one is not None for one in held], dtype=np.bool_)
    breaking = np.array([one is False for one in held], dtype=np.bool_)
    n = int(judged.sum())
    broken = np.flatnonzero(breaking)[:NAMED].tolist()
    examples = [
        shown[at] if shown else ", ".join(f"{name} {_short(c[at])}" for name, c in columns.items()) for at in broken
    ]
    # rows that the store keeps stand for as many more as the agents did not ship
    of = n if sample.whole and len(sample) >= rows else round(n * max(1.0, rows / max(1, len(sample))))
    return Seen(
        int(breaking.sum()),
        n,
        basis="sample",
        of=of,
        effective=effective_rows(breaking[judged], sample.places[judged]) if n else 0.0,
        unit=unit,
        examples=tuple(dict.fromkeys(examples)),
    )


def _short(value: Any) -> str:
    return f"{value:g}" if is_number(value) else str(value)[:40]
