"""Moments as Unix seconds, durations and times of day as seconds: Python's, numpy's, Arrow's and polars'.

A moment without a time zone is UTC, a date its midnight. Microseconds count, what is finer is cut off.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from typing import Any

MOMENTS = (datetime, date, time, timedelta)
"""Python's own; those of pandas are of these classes too."""

_EPOCH_DAY = date(1970, 1, 1).toordinal()
_DAY = 86_400
_MICRO = 10**6
_NUMPY_NAT = -(1 << 63)
_UNITS = {"day": (_DAY * _MICRO, 1), "s": (_MICRO, 1), "ms": (1000, 1), "us": (1, 1), "ns": (1, 1000)}
"""Microseconds of a tick, as a factor and a divisor."""

_ARROW = re.compile(r"(?:timestamp|date32|date64|time32|time64|duration)\[(\w+)")
_POLARS_UNITS = {"Date": "day", "Time": "ns"}
_POLARS = frozenset({"Datetime", "Duration", *_POLARS_UNITS})


def seconds_of(value: date | time | timedelta) -> float:
    """A moment, a time of day or a duration of Python's classes as seconds; never of pandas' NaT."""
    if isinstance(value, timedelta):
        microseconds = (value.days * _DAY + value.seconds) * _MICRO + value.microseconds
    elif isinstance(value, time):
        microseconds = _of_the_day(value)
    else:
        microseconds = (value.toordinal() - _EPOCH_DAY) * _DAY * _MICRO
        if isinstance(value, datetime):
            microseconds += _of_the_day(value)
            if offset := value.utcoffset():
                microseconds -= round(offset / timedelta(microseconds=1))
    return microseconds / _MICRO


def written(value: Any) -> Any:
    """A moment or a time of day as ISO 8601 text, as logs have it; anything else as it is."""
    if getattr(getattr(value, "dtype", None), "kind", "") == "M" and getattr(value, "shape", None) == ():
        value = value.astype("datetime64[us]").item()
    if not isinstance(value, datetime | date | time):
        return value
    return value.isoformat() if value == value else None  # pandas' NaT is a datetime


def _of_the_day(value: datetime | time) -> int:
    return ((value.hour * 60 + value.minute) * 60 + value.second) * _MICRO + value.microsecond


def in_seconds(column: Any) -> Any:
    """The seconds of an array, a column or a scalar of numpy, Arrow or polars, null where there is none.

    None when it holds no moments, times of day or durations.
    """
    dtype: Any = getattr(column, "dtype", None)
    if getattr(dtype, "kind", "") in ("M", "m") and hasattr(column, "itemsize"):
        microseconds = column.astype("datetime64[us]" if dtype.kind == "M" else "timedelta64[us]")
        return _scaled(microseconds.astype("int64").tolist(), "us")
    if hasattr(column, "cast") and (arrow := _ARROW.match(str(getattr(column, "type", "")))):
        ticks = column.value if hasattr(column, "as_py") else column.cast(f"int{column.type.bit_width}").to_pylist()
        return _scaled(ticks, arrow[1])
    if hasattr(column, "to_physical") and (name := str(dtype).partition("(")[0]) in _POLARS:
        return _scaled(column.to_physical().to_list(), _POLARS_UNITS.get(name) or dtype.time_unit)
    return None


def _scaled(ticks: Any, unit: str) -> Any:
    factor, divisor = _UNITS[unit]
    if isinstance(ticks, list):
        return [_scaled(tick, unit) for tick in ticks]
    return None if ticks is None or ticks == _NUMPY_NAT else ticks * factor // divisor / _MICRO
