"""What one value means, wherever it comes from: a journal line, a batch, a request, a table or a configuration.

Every reader of values asks here, so that a file and the traffic that it is compared with say the same of the same
value. See docs/inputs.md for the whole table.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any

FLOAT_WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
"""JSON has no such numbers, so these texts stand for them in features, predictions and actuals, and so in tables."""

MOMENT_PATTERN = r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?: ?(?:Z|UTC|[+-]\d\d(?::?\d\d)?))?)?"
_MOMENT = re.compile(MOMENT_PATTERN, re.ASCII)
_SHORTEST_MOMENT, _LONGEST_MOMENT = 10, 40

_NUMERAL = re.compile(r"[+-]?(?:0|[1-9]\d*)(?:\.\d*)?(?:[eE][+-]?\d{1,3})?|[+-]?\.\d+", re.ASCII)
_BOOLEANS = {"true": "1", "True": "1", "TRUE": "1", "false": "0", "False": "0", "FALSE": "0"}
_TRUTHS = {"true": 1.0, "false": 0.0}
_EXACT = 2.0**53
_LONGEST_NUMERAL = 32


def moment_of(text: str) -> float | None:
    """Unix seconds of a text that is a whole ISO 8601 date or date and time; None of any other text.

    Without a zone it is UTC; a date is its midnight. Digits beyond microseconds are cut off.
    """
    if not (_SHORTEST_MOMENT <= len(text) <= _LONGEST_MOMENT and text[4] == "-" and text[7] == "-"):
        return None
    if not _MOMENT.fullmatch(text):
        return None
    written = text.replace(",", ".").replace(" UTC", "Z").replace("UTC", "Z")
    written = f"{written[:10]}{written[10:11]}{written[11:].replace(' ', '')}"
    try:
        at = datetime.fromisoformat(written)
    except ValueError:
        return None
    return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()


def number_in_text(text: str) -> float | None:
    """The number that a text in a feature stands for: a float that JSON lacks, or a moment; None of all others."""
    return FLOAT_WORDS.get(text) if len(text) < _SHORTEST_MOMENT else moment_of(text)


def number_or_word(value: float) -> float | str:
    """The float, or the text that stands for it where JSON has none."""
    if math.isfinite(value):
        return value
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"


def number_of(text: str) -> float | None:
    """The finite number that a text writes in decimal, blanks around it aside; None of any other.

    Digits behind a leading zero are a code and no number: `007`, `01067`. So are `1_000`, `0x10` and `1,5`.
    """
    text = text.strip()
    if len(text) > _LONGEST_NUMERAL or not _NUMERAL.fullmatch(text):
        return None
    value = float(text)
    return value if math.isfinite(value) else None


@lru_cache(maxsize=1 << 12)
def number_name(value: float) -> str:
    """A number as the name of a class or a category: `1` of 1.0, `1.5`; "" of what is not finite."""
    if not math.isfinite(value):
        return ""
    return str(int(value)) if value == int(value) and abs(value) < _EXACT else repr(float(value))


@lru_cache(maxsize=1 << 14)
def class_of(name: str, *, loose: bool = False) -> str:
    """The one name of a class, whatever it was written as: 1, 1.0, True, "1", "1.0" and "true" are all `1`.

    With `loose`, which a model's file may ask for, texts that differ in case or in blanks are one class too.
    """
    if loose:
        name = " ".join(name.split()).casefold()
    if (known := _BOOLEANS.get(name)) is not None:
        return known
    value = number_of(name)
    # Two long ids may be one float.
    return name if value is None or abs(value) >= _EXACT else number_name(value)


class ValueType(StrEnum):
    """What the values of a feature are, where a person says so."""

    CATEGORICAL = "categorical"
    NUMERIC = "numeric"
    BOOLEAN = "boolean"


def read_as(value: Any, kind: ValueType) -> Any:
    """A feature's value, as JSON gave it, as of that type; itself when it is, or cannot be read so.

    As a category a number is its `number_name`, and a text is literally what it is, `NaN` and `2026-03-01` too. As a
    number a text is its `number_of`, and true is 1. As a boolean 1 and 0 and their numerals are true and false, and so
    are those words in any case.
    """
    match kind:
        case ValueType.CATEGORICAL:
            return _as_category(value)
        case ValueType.NUMERIC:
            return _as_number(value)
        case ValueType.BOOLEAN:
            return _as_boolean(value)


def _as_category(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)  # all of its digits, where `number_name` has those of a float
    return (number_name(value) or number_or_word(value)) if isinstance(value, float) else value


def _as_number(value: Any) -> Any:
    if isinstance(value, bool):
        return float(value)
    number = number_of(value) if isinstance(value, str) else None
    return value if number is None else number


def _as_boolean(value: Any) -> Any:
    number = value
    if isinstance(value, str):
        word = value.strip().casefold()
        number = _TRUTHS[word] if word in _TRUTHS else number_of(word)
    return bool(number) if isinstance(number, int | float) and number in (0, 1) else value
