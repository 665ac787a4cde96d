"""Tests of two summaries of free text: their lengths, what characters they are of, which words they have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from modelward_agent.profile.numeric import Moments
from modelward_agent.profile.text import CLASSES, TextSketch, bucket_of
from modelward_collector.stats.effect import FLOOR
from modelward_collector.stats.homogeneity import EXPECTED_MIN
from modelward_collector.stats.ks import ks_test
from modelward_collector.stats.moments import mean_test
from modelward_collector.stats.outcome import NOT_APPLICABLE, Outcome
from modelward_collector.stats.scatter import WINDOWS_MIN, process_sd
from modelward_collector.stats.shares import share_test
from modelward_collector.stats.view import NumericView

ROWS_MIN = 30
"""Fewer texts are not judged: means of shares of characters are not near normal."""

EXACT_CANDIDATES = 16
"""Buckets whose share moved most, in standard errors, get the exact test; the rest cannot have a smaller p-value."""

CONTRIBUTORS_MAX = 8

RARER = "(rarer words)"
"""A bucket none of whose words is frequent enough to be known by name."""


@dataclass(frozen=True, slots=True, eq=False)
class TextView:
    """Texts unfolded: `lengths` of all; of the `looked` ones each class's shares, `buckets` and frequent `words`."""

    lengths: NumericView
    looked: int
    characters: tuple[NumericView, ...]
    buckets: NDArray[np.int64]
    words: Mapping[str, int]

    @classmethod
    def of(cls, sketch: TextSketch) -> TextView:
        """Unfold a sketch of at least one text."""
        characters = tuple(_shares(moments) for moments in sketch.characters)
        return cls(NumericView.of(sketch.lengths), sketch.looked, characters, sketch.buckets, sketch.names())

    def share(self, bucket: int) -> float:
        """Share of the texts with any word of the bucket."""
        return float(self.buckets[bucket]) / self.looked if self.looked else 0.0


@dataclass(frozen=True, slots=True)
class TextScatter:
    """Standard deviations of windows beyond sampling noise, and how far lengths' cdfs lie; zeros when not known."""

    length: float = 0.0
    gap: float = 0.0
    characters: tuple[float, ...] = (0.0,) * len(CLASSES)
    buckets: Mapping[int, float] = field(default_factory=dict)


def text_tests(
    reference: TextView, current: TextView, scatter: TextScatter | None = None, floor: float = FLOOR
) -> tuple[Outcome, ...]:
    """`length_mean` and `length_ks`; `characters`, the class whose share moved most; `words`, the bucket that did.

    Each text is a row. Of characters the smallest p-value with Bonferroni's correction for the classes. Of words each
    bucket's share of texts by the exact test (hypergeometric), with Bonferroni's correction for the buckets that five
    texts have; a text has each bucket at most once, so its rows are independent however its words are not.
    """
    scatter = scatter or TextScatter()
    if reference.looked < ROWS_MIN or current.looked < ROWS_MIN:
        return tuple(
            Outcome(name, 0.0, NOT_APPLICABLE, 0.0, floor)
            for name in ("length_mean", "length_ks", "characters", "words")
        )
    mean = mean_test(reference.lengths, current.lengths, scatter.length, floor)
    shape = ks_test(reference.lengths, current.lengths, scatter.gap, floor)
    return (
        Outcome("length_mean", mean.value, mean.p, mean.effect, mean.floor),
        Outcome("length_ks", shape.value, shape.p, shape.effect, shape.floor),
        _best(character_tests(reference, current, scatter, floor), len(CLASSES), "characters", floor),
        _words(reference, current, scatter, floor),
    )


def character_tests(
    reference: TextView, current: TextView, scatter: TextScatter, floor: float = FLOOR
) -> list[Outcome]:
    """Each class's mean share of a text's characters, in reference standard deviations."""
    found = []
    for name, before, after, process in zip(
        CLASSES, reference.characters, current.characters, scatter.characters, strict=True
    ):
        outcome = mean_test(before, after, process, floor)
        found.append(Outcome("characters", outcome.value, outcome.p, outcome.effect, outcome.floor, name))
    return found


def word_tests(reference: TextView, current: TextView, scatter: TextScatter, floor: float = FLOOR) -> list[Outcome]:
    """The buckets that moved most, each with its exact p-value before any correction; `value` in shares of texts."""
    n, m = reference.looked, current.looked
    r, c = reference.buckets, current.buckets
    pooled = (r + c) / (n + m)
    known = scatter.buckets
    process = np.zeros(len(r))
    for bucket, sd in known.items():
        process[bucket] = sd
    se = np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m) + process**2)
    gap = c / m - r / n
    z = np.divide(np.abs(gap), se, out=np.zeros_like(gap), where=se > 0)
    z[r + c < EXPECTED_MIN] = 0.0
    largest = np.argsort(-z)[:EXACT_CANDIDATES]
    names = _names(reference, current, largest.tolist())
    return [
        share_test("words", (int(r[i]), n), (int(c[i]), m), known.get(i, 0.0), floor, names[i])
        for i in largest.tolist()
        if z[i] > 0
    ]


def contributors(
    reference: TextView, current: TextView, scatter: TextScatter, level: float
) -> list[dict[str, str | float]]:
    """What moved most at `level`: words by their shares of texts, classes by their shares of characters."""
    found: list[tuple[float, dict[str, str | float]]] = []
    classes = {name: index for index, name in enumerate(CLASSES)}
    for outcome in character_tests(reference, current, scatter):
        if outcome.counted_p * len(CLASSES) <= level and outcome.subject is not None:
            i = classes[outcome.subject]
            shares = reference.characters[i].mean, current.characters[i].mean
            found.append((outcome.effect, _said("characters", outcome.subject, *shares)))
    judged = int(np.count_nonzero(reference.buckets + current.buckets >= EXPECTED_MIN))
    for outcome in word_tests(reference, current, scatter):
        if outcome.counted_p * judged <= level and outcome.subject is not None:
            bucket = bucket_of(outcome.subject)
            shares = reference.share(bucket), current.share(bucket)
            if outcome.subject == RARER:
                shares = float("nan"), float("nan")
            found.append((outcome.effect, _said("word", outcome.subject, *shares)))
    found.sort(key=lambda item: -item[0])
    return [said for _, said in found[:CONTRIBUTORS_MAX]]


def _said(what: str, name: str, reference: float, current: float) -> dict[str, str | float]:
    said: dict[str, str | float] = {"what": what, "name": name}
    if reference == reference:
        said |= {"reference": reference, "current": current}
    return said


def _words(reference: TextView, current: TextView, scatter: TextScatter, floor: float) -> Outcome:
    judged = int(np.count_nonzero(reference.buckets + current.buckets >= EXPECTED_MIN))
    return _best(word_tests(reference, current, scatter, floor), judged, "words", floor)


def _best(outcomes: Sequence[Outcome], of: int, name: str, floor: float) -> Outcome:
    """The most significant of many, its p-value corrected for how many there were (Bonferroni)."""
    if not outcomes:
        return Outcome(name, 0.0, NOT_APPLICABLE, 0.0, floor)
    best = min(outcomes, key=lambda outcome: (outcome.counted_p, outcome.p or 0.0, -outcome.effect))
    p = min(1.0, (best.p if best.p is not None else 1.0) * of)
    return Outcome(name, best.value, p, best.effect, best.floor, best.subject)


def _names(reference: TextView, current: TextView, buckets: Sequence[int]) -> dict[int, str]:
    """What each bucket is called: its word whose share of texts moved most, of those that are known by name."""
    wanted = set(buckets)
    moved: dict[int, tuple[float, str]] = {}
    for word in {*reference.words, *current.words}:
        bucket = bucket_of(word)
        if bucket in wanted:
            before = reference.words.get(word, 0) / reference.looked
            after = current.words.get(word, 0) / current.looked
            moved[bucket] = max(moved.get(bucket, (-1.0, "")), (abs(after - before), word))
    return {bucket: moved[bucket][1] if bucket in moved else RARER for bucket in buckets}


def _shares(moments: Moments) -> NumericView:
    """Moments alone, as the mean test reads them."""
    nothing = np.empty(0)
    variance = moments.variance if moments.n > 1 else 0.0
    return NumericView(moments.n, moments.mean, variance, moments.kurtosis, 0.0, 1.0, 0, 0.0, nothing, nothing)


# -- what the reference's own windows vary ----------------------------------------------------------------------------


def text_scatter(reference: TextView, windows: Sequence[TextSketch], length: TextScatter, level: float) -> TextScatter:
    """What windows vary beyond sampling noise; `length` has what their lengths do."""
    windows = [window for window in windows if window.looked >= ROWS_MIN]
    if len(windows) < WINDOWS_MIN:
        return length
    rows = np.array([window.looked for window in windows], dtype=np.float64)
    characters = []
    for index, known in enumerate(reference.characters):
        mean = np.array([window.characters[index].mean for window in windows])
        m2 = np.array([window.characters[index].m2 for window in windows])
        within = m2.sum() / max(rows.sum() - len(windows), 1.0)
        characters.append(process_sd(mean, within / rows, known.mean, level) if within > 0 else 0.0)
    counts = np.array([window.buckets for window in windows], dtype=np.float64)
    share = reference.buckets / reference.looked
    variance = share * (1 - share)
    with np.errstate(divide="ignore", invalid="ignore"):
        q = ((counts / rows[:, np.newaxis] - share) ** 2 / variance * rows[:, np.newaxis]).sum(axis=0)
    # Most buckets vary no more than by chance, which `process_sd` would find one by one.
    varies = np.flatnonzero((variance > 0) & (q > len(windows)))
    sds = {i: process_sd(counts[:, i] / rows, variance[i] / rows, float(share[i]), level) for i in varies.tolist()}
    return TextScatter(length.length, length.gap, tuple(characters), {i: sd for i, sd in sds.items() if sd > 0})
