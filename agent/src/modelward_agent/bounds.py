"""How much of one model is told apart, on model servers and in references alike."""

from __future__ import annotations

from typing import Final

MAX_FEATURES: Final = 5_000
"""Features of a model that are profiled unless configured otherwise: the first by name."""

MOST_FEATURES: Final = 10_000
"""The most that may be configured: a profile of so many numbers is shipped as 60 MB at most."""

LABEL_CHARACTERS: Final = 200
"""Longest value of a metric's label."""
