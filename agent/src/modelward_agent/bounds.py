"""How much of one model is told apart, on model servers and in references alike."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

MAX_FEATURES: Final = 5_000
"""Features of a model that are profiled unless configured otherwise: the first by name."""

MOST_FEATURES: Final = 10_000
"""The most that may be configured: a profile of so many numbers is shipped as 60 MB at most."""

MAX_VERSIONS: Final = 64
"""Versions of one model with traffic at about the same time that are told apart; the others are `OTHER_VERSION`."""

OTHER_VERSION: Final = "other"

LABEL_CHARACTERS: Final = 200
"""Longest value of a metric's label."""


def label(text: str) -> str:
    """A value for a metric's label: the text, or of a long one its beginning and a digest that tells it apart."""
    if len(text) <= LABEL_CHARACTERS:
        return text
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    return f"{text[: LABEL_CHARACTERS - len(digest) - 1]}…{digest}"
