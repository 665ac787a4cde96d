"""What one value means in the journal, of whatever library it is.

It is a number, text, true or false, null, or a list of numbers. A moment is a number, Unix seconds; what is missing is
null; JSON has no NaN and no infinities, so the strings `"NaN"`, `"Infinity"` and `"-Infinity"` stand for them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence, Set
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from math import isfinite, nan
from typing import Any

import orjson

from modelward_agent.recorder.moment import MOMENTS, in_seconds, seconds_of
from modelward_agent.values import number_or_word

MAX_TEXT = 1024
"""Characters kept of an object that is only known by its `str`."""

_MAX_DEPTH = 8  # features are flat, an embedding is one level: deeper than this is text
_INT64_MIN, _UINT64_MAX = -(1 << 63), (1 << 64) - 1
_JSON_TYPES = frozenset({int, str, bool, type(None)})
_BYTES = bytes | bytearray | memoryview


def is_missing(value: Any) -> bool:
    """Whether it stands for no value: None, NA, NaT and null of any library, but not a NaN."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return hasattr(value, "as_py") and value.is_valid is False  # a scalar of Arrow


def is_nan(value: Any) -> bool:
    """Whether it is one number and not a number."""
    if isinstance(value, Decimal):
        return value.is_nan()
    if isinstance(value, float):
        return value != value
    return _kind(value) == "f" and not getattr(value, "shape", None) and bool(value != value)


def is_pandas(container: Any) -> bool:
    """Whether NaN in it means that a value is missing: pandas' containers, and those that are like them."""
    return hasattr(container, "iloc") or type(container).__module__.partition(".")[0] == "pandas"


def _kind(value: Any) -> str:
    """numpy's letter for what it holds: f for floats, M and m for moments and durations."""
    return getattr(getattr(value, "dtype", None), "kind", "")


def name_of(key: Any) -> str:
    """A key of an object as text: as JSON writes numbers and booleans, an enum by its value."""
    if isinstance(key, Enum):
        key = key.value
    if isinstance(key, str):
        return _valid(str.__str__(key))
    if type(key).__name__ in ("bool", "bool_"):
        return "true" if key else "false"
    if type(key) is tuple:  # a column of several levels; numpy's scalars do not look like numbers in it
        key = tuple(part.tolist() if hasattr(part, "tolist") else part for part in key)
    return text_of(key)


def label_of(value: Any) -> str | None:
    """An id, a class or a segment's value as text, None when it is missing.

    A whole number has one spelling, `1`, whether it came as 1, 1.0 or "1": pandas makes floats of integers.
    """
    if isinstance(value, str):
        return name_of(value)
    if is_missing(value) or is_nan(value):
        return None
    if hasattr(value, "as_py"):
        value = value.as_py()
    if isinstance(value, MOMENTS) or _kind(value) in ("M", "m"):  # as people write them, and not as seconds
        return None if str(value) == "NaT" else text_of(value)
    # An id may have more digits than a float.
    simple = value if type(value) is int or isinstance(value, Decimal) else plain(value)
    if isinstance(simple, float | Decimal) and isfinite(simple) and simple == int(simple):
        simple = int(simple)
    return None if simple is None or simple == "NaN" else name_of(tuple(simple) if type(simple) is list else simple)


def text_of(value: Any) -> str:
    """The object's `str`, at most `MAX_TEXT` characters; its type's name when it has none."""
    try:
        text = bytes(value).decode("utf-8", "replace") if isinstance(value, _BYTES) else str(value)
    except Exception:
        text = f"<{type(value).__name__}>"
    return _valid(text[:MAX_TEXT])


def _valid(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def fallback(value: Any) -> Any:
    """Something simpler than a value that orjson does not know, in the end its text; never raises."""
    if isinstance(value, float):  # numpy's
        return float(value)
    try:
        # An embedding goes by itself, without a Python object for each number. NaN becomes null here: see encode.
        if getattr(value, "ndim", 0) == 1 and value.dtype.kind == "f":
            return orjson.Fragment(orjson.dumps(value.astype("float64"), option=orjson.OPT_SERIALIZE_NUMPY))
        return _simpler(value)
    except Exception:
        return simpler(value)


def simpler(value: Any) -> Any:
    """One step nearer to what JSON holds, in the end the value's text; never raises."""
    try:
        return _simpler(value)
    except Exception:
        return text_of(value)


def _simpler(value: Any) -> Any:
    if is_missing(value):
        return None
    if isinstance(value, float | Decimal | Fraction):
        return number_or_word(nan if is_nan(value) else _float(value))
    if isinstance(value, MOMENTS):
        return seconds_of(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, _BYTES):
        return text_of(value)
    if isinstance(value, Mapping):
        return dict(value)
    if (seconds := in_seconds(value)) is not None:
        return seconds
    if _kind(value) == "f" and not getattr(value, "shape", ()):
        return number_or_word(float(value))  # a long double stays itself in tolist
    for method in ("tolist", "to_list", "to_pylist", "as_py"):
        if callable(convert := getattr(value, method, None)):
            converted = convert()
            return text_of(value) if type(converted) is type(value) else converted
    if hasattr(value, "tocsr"):  # a sparse row is an embedding
        dense = value.toarray().tolist()
        return dense[0] if len(dense) == 1 else dense
    if isinstance(value, Sequence | Set):
        return list(value)
    if hasattr(value, "model_dump"):
        return value.model_dump()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if type(value).__name__ == "Period":  # pandas': a day, a month, as its start
        return seconds_of(value.start_time)
    return text_of(value)


def plain(value: Any, depth: int = 0) -> Any:
    """The value with nothing in it that JSON cannot hold: the slow, thorough way."""
    kind = type(value)
    if kind is float:
        return number_or_word(value)
    if kind is str:
        return _valid(value)
    if kind is int:
        return value if _INT64_MIN <= value <= _UINT64_MAX else number_or_word(_float(value))
    if kind in _JSON_TYPES:
        return value
    if depth > _MAX_DEPTH:
        return text_of(value)
    if isinstance(value, Enum):
        return plain(value.value, depth + 1)
    if isinstance(value, dict):
        return {name_of(key): plain(inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner, depth + 1) for inner in value]
    if isinstance(value, str):
        return _valid(str.__str__(value))
    if isinstance(value, int):
        return plain(int(value), depth + 1)
    return plain(simpler(value), depth + 1)


def _float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
