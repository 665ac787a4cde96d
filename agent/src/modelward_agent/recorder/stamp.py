"""When and which: the moments and the ids that journal lines carry, made in a fraction of a microsecond.

A moment is RFC 3339, UTC, with six digits of a second and `Z`. An id has the form of a UUID version 7 (RFC 9562,
section 5.7): 48 bits of Unix milliseconds, 26 of a counter, 48 random ones of the process.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from itertools import count
from time import time_ns
from typing import Any

from modelward_agent.recorder.value import plain

_MICROSECONDS = tuple(f"{n:03d}Z" for n in range(1000))
_LOW_BITS = tuple(f"{n:03x}" for n in range(4096))

# What changes seldom is kept as text. Each is one tuple, read and replaced whole, so that threads need no lock.
_second = (-1, "")
_millisecond = (-1, "", "")
_high_bits = (-1, "")

# Two ids could only be the same within one millisecond, of two processes that drew the same of 2**48 numbers and stand
# at the same of 2**26 counts; a clock that is set back does not change that.
_process = ""
_counter = count()


def _draw() -> None:
    global _process, _counter, _high_bits
    _process = os.urandom(6).hex()
    _counter = count(int.from_bytes(os.urandom(4), "big"))
    _high_bits = (-1, "")


_draw()
os.register_at_fork(after_in_child=_draw)


def stamp() -> tuple[str, str]:
    """The present moment, and an id that no other call returns, in any thread, fork or process."""
    microseconds = time_ns() // 1000
    milliseconds, moment, id_start = _millisecond
    if milliseconds != microseconds // 1000:
        milliseconds, moment, id_start = _enter_millisecond(microseconds // 1000)
    n = next(_counter)
    high, id_end = _high_bits
    if high != n >> 12:
        high, id_end = _enter_high_bits(n >> 12)
    return f"{moment}{_MICROSECONDS[microseconds % 1000]}", f"{id_start}{_LOW_BITS[n & 0xFFF]}{id_end}"


def _enter_millisecond(milliseconds: int) -> tuple[int, str, str]:
    global _second, _millisecond
    second, text = _second
    if second != milliseconds // 1000:
        second = milliseconds // 1000
        text = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second))
        _second = (second, text)
    digits = f"{milliseconds:012x}"
    entered = _millisecond = (milliseconds, f"{text}{milliseconds % 1000:03d}", f"{digits[:8]}-{digits[8:]}-7")
    return entered


def _enter_high_bits(high: int) -> tuple[int, str]:
    global _high_bits
    entered = _high_bits = (high, f"-{0x8000 | high & 0x3FFF:04x}-{_process}")
    return entered


def now() -> str:
    """The present moment, `2026-03-01T12:00:00.000042Z`."""
    return stamp()[0]


def new_id() -> str:
    """An id that no other call returns; later ones sort after earlier ones, to the millisecond."""
    return stamp()[1]


def rfc3339(moment: Any) -> str:
    """A moment as given: a datetime (naive ones are UTC), a date (its midnight), Unix seconds or RFC 3339 text.

    It may be numpy's, pandas' or Arrow's. Raises ValueError for anything else, for what is missing, and for moments
    outside the years 1 to 9999.
    """
    try:
        if isinstance(moment, str):
            moment = datetime.fromisoformat(moment)
        elif not isinstance(moment, datetime):
            moment = datetime.fromtimestamp(float(plain(moment)), UTC)
        if moment != moment:  # pandas' NaT is a datetime
            raise ValueError("it is missing")
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z".rjust(27, "0")
    except (TypeError, ValueError, OverflowError, OSError) as error:
        text = str(moment)[:80]
        raise ValueError(f"timestamp: not a moment: {text!r}; give a datetime or Unix seconds") from error
