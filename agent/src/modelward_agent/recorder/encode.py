"""A journal line from whatever values an application has.

JSON has no NaN and no infinities: the strings `"NaN"`, `"Infinity"` and `"-Infinity"` stand for them.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from math import isfinite
from typing import Any

import orjson

MAX_LINE_BYTES = 1 << 20
"""No line is longer, its end included."""

MAX_TEXT = 1024
"""Characters kept of an object that is only known by its `str`."""

_MAX_DEPTH = 8  # features are flat, an embedding is one level: deeper than this is text
_INT64_MIN, _UINT64_MAX = -(1 << 63), (1 << 64) - 1
_JSON_TYPES = frozenset({int, str, bool, type(None)})

_modules = sys.modules
_PLAIN = orjson.OPT_APPEND_NEWLINE
_NUMPY = orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY


class LineTooLongError(ValueError):
    """A line of more than `MAX_LINE_BYTES`."""


def encode(line: dict[str, Any]) -> bytes:
    """The line as UTF-8 JSON with one newline, at its end. Raises LineTooLongError, or TypeError when nothing helps."""
    # With the option, orjson imports numpy at the first type that it does not know; without numpy there is no array.
    options = _NUMPY if "numpy" in _modules else _PLAIN
    try:
        encoded = orjson.dumps(line, fallback, options)
        # A null may be a float that JSON does not know. rfind is twice as fast as `in` here.
        if encoded.rfind(b"null") >= 0:
            encoded = _without_false_nulls(line, encoded, options)
    except TypeError:
        encoded = orjson.dumps(plain(line), fallback, options)
    if len(encoded) > MAX_LINE_BYTES:
        raise LineTooLongError(
            f"a line may have {MAX_LINE_BYTES:,} bytes and this one has {len(encoded):,}; record less in one line"
        )
    return encoded


def _without_false_nulls(line: dict[str, Any], encoded: bytes, options: int) -> bytes:
    """Encoded again with every float named that JSON does not know; as it is when each null is a None."""
    nones = _nones(line)
    if encoded.count(b"null") == nones:
        return encoded
    features = line.get("features")
    if type(features) is dict:
        named = {
            name: number(value) if isinstance(value, float) and not isfinite(value) else value
            for name, value in features.items()
        }
        encoded = orjson.dumps({**line, "features": named}, fallback, options)
        if encoded.count(b"null") == nones:
            return encoded
    return orjson.dumps(plain(line), fallback, options)


def _nones(line: dict[str, Any]) -> int:
    features = line.get("features")
    values = [*line.values(), *features.values()] if type(features) is dict else list(line.values())
    return sum([value is None for value in values])


def name_of(key: Any) -> str:
    """A key of an object as text: as JSON writes numbers and booleans, an enum by its value."""
    if isinstance(key, Enum):
        key = key.value
    if isinstance(key, str):
        return _valid(str.__str__(key))
    if type(key).__name__ in ("bool", "bool_"):
        return "true" if key else "false"
    return text_of(key)


def text_of(value: Any) -> str:
    """The object's `str`, at most `MAX_TEXT` characters; its type's name when it has none."""
    try:
        text = value.decode("utf-8", "replace") if isinstance(value, bytes | bytearray) else str(value)
    except Exception:
        text = f"<{type(value).__name__}>"
    return _valid(text[:MAX_TEXT])


def _valid(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def number(value: float) -> float | str:
    """The float, or the string that stands for it."""
    if isfinite(value):
        return value
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"


def fallback(value: Any) -> Any:
    """Something simpler than a value that JSON does not know, in the end its text; never raises."""
    try:
        return _simpler(value)
    except Exception:
        return text_of(value)


def _simpler(value: Any) -> Any:
    kind = type(value)
    if kind.__name__ in ("NAType", "NaTType"):  # pandas' missing values
        return None
    if isinstance(value, float | Decimal | Fraction):
        return float(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    dtype_kind = getattr(getattr(value, "dtype", None), "kind", "")
    if dtype_kind in ("M", "m") and hasattr(value, "astype"):  # numpy's moments would become bare integers
        unit = "datetime64[us]" if dtype_kind == "M" else "timedelta64[us]"
        return value.astype(unit).tolist()
    if dtype_kind == "f" and not getattr(value, "shape", ()):
        return float(value)
    if hasattr(value, "tolist"):
        simpler = value.tolist()
        return text_of(value) if type(simpler) is kind else simpler
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    if hasattr(value, "model_dump"):
        return value.model_dump()
    return text_of(value)


def plain(value: Any, depth: int = 0) -> Any:
    """The value with nothing in it that JSON cannot hold: the slow, thorough way."""
    kind = type(value)
    if kind is float:
        return number(value)
    if kind is str:
        return _valid(value)
    if kind is int:
        return value if _INT64_MIN <= value <= _UINT64_MAX else _long(value)
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
    return plain(fallback(value), depth + 1)


def _long(value: int) -> float | str:
    try:
        return float(value)
    except OverflowError:
        return "Infinity" if value > 0 else "-Infinity"


def features_of(features: Any) -> dict[str, Any]:
    """The features as a dict with plain names: of a mapping, a row of a DataFrame, a pydantic model or a namedtuple.

    Raises TypeError for anything else: without names there are no features.
    """
    if not isinstance(features, Mapping):
        for method in ("to_dict", "model_dump", "_asdict"):
            if callable(convert := getattr(features, method, None)):
                features = convert()
                break
    if not isinstance(features, Mapping):
        raise TypeError(f"features: a {type(features).__name__} has no names; give a dict of name to value")
    return {name_of(name): value for name, value in features.items()}


def outcome_of(value: Any) -> Any:
    """A prediction or an actual as the journal holds it: a number, a string, or {class: probability}.

    An array or list of one is that one, a boolean is the string "true" or "false". Raises TypeError for
    several values without names.
    """
    if hasattr(value, "tolist"):
        value = value.tolist()
    while isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple | set):
        raise TypeError(f"{len(value)} values without names are not one outcome; give a number, a string or a dict")
    return value


def actual_of(value: Any) -> Any:
    """What became true: a number or a string, as `outcome_of` has it. Raises TypeError for anything else."""
    actual = outcome_of(value)
    if actual is None or isinstance(actual, Mapping):
        raise TypeError(f"actual: a {type(value).__name__} is not what became true; give a number or a string")
    return actual
