"""Free text: false alarms of the drift verdict, and what it finds, from sketches alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bench.columns import FALSE_ALARMS, Count, Values, flagged, profile, reference_of, verdict
from bench.rows import Row

FEATURES = 5
WORDS = 20
LETTERS = list("abcdefghijklmnopqrstuvwxyz")

_draw = np.random.default_rng(1837)
VOCABULARY = np.array(["".join(_draw.choice(LETTERS, size)) for size in _draw.integers(2, 10, 5_000)])
FREQUENCY = 1 / np.arange(2, 5_002)
FREQUENCY /= FREQUENCY.sum()
"""Zipf's law, near enough."""


def texts(draw: np.random.Generator, n: int, words: float = WORDS) -> Values:
    """About so many words a text, geometrically distributed; words of a text repeat each other, as in a topic."""
    sizes = 4 + draw.geometric(1 / (words - 4), n)
    ends = np.cumsum(sizes)
    drawn = VOCABULARY[draw.choice(len(VOCABULARY), int(ends[-1]), p=FREQUENCY)]
    made = []
    for end, size in zip(ends.tolist(), sizes.tolist(), strict=True):
        mine = drawn[end - size : end]
        repeated = draw.random(size) < 0.2
        mine[repeated] = mine[0]
        made.append(" ".join(mine.tolist()).capitalize() + ".")
    return np.array(made, dtype=object)


def _some(draw: np.random.Generator, made: Values, share: float, how: Callable[[str], str]) -> Values:
    return np.array(
        [how(text) if hit else text for text, hit in zip(made, draw.random(len(made)) < share, strict=True)]
    )


CHANGES: dict[str, Callable[[np.random.Generator, int], Values]] = {
    "a fifth more words": lambda draw, n: texts(draw, n, 1.2 * WORDS),
    "a new word in 3 of 100": lambda draw, n: _some(draw, texts(draw, n), 0.03, lambda text: f"{text} outage"),
    "a word that was rare in 5 of 100 more": lambda draw, n: _some(
        draw, texts(draw, n), 0.05, lambda text: f"{text} {VOCABULARY[400]}"
    ),
    "5 of 100 in capitals": lambda draw, n: _some(draw, texts(draw, n), 0.05, str.upper),
    "vowels broken by an encoding in 10 of 100": lambda draw, n: _some(
        draw, texts(draw, n), 0.1, lambda text: text.replace("e", "\u00c3\u00a9")
    ),
}


def text(n: int, runs: int, seed: int) -> list[Row]:
    """Windows of n rows of five features of text: unchanged, and with one of them changed."""
    draw = np.random.default_rng(seed)
    reference = reference_of([profile([texts(draw, 1_000) for _ in range(FEATURES)]) for _ in range(10)])
    unchanged = Count()
    for _ in range(runs):
        unchanged.add(bool(flagged(verdict(reference, profile([texts(draw, n) for _ in range(FEATURES)])))))
    others = profile([texts(draw, n) for _ in range(FEATURES)])
    said, found = [], Count()
    for what, change in CHANGES.items():
        mine = Count()
        for _ in range(max(5, runs // 20)):
            others.features["x0"] = profile([change(draw, n)]).features["x0"]
            mine.add("x0" in flagged(verdict(reference, others)))
        said.append(f"{what} {mine.share:.0%}")
        found.hits, found.runs = found.hits + mine.hits, found.runs + mine.runs
    return [
        Row(
            f"unchanged, {FEATURES} features of free text, n = {n:,}: windows flagged",
            unchanged.says(),
            f"at most {FALSE_ALARMS:.0%}",
            unchanged.few_enough(),
        ),
        Row(
            f"one of {FEATURES} features of free text changed, n = {n:,}: found",
            "; ".join(said),
            "at least 95% of all",
            found.enough(0.95),
        ),
    ]
