"""What one text means: each line of the bytes is one, which every reader must read alike."""

from __future__ import annotations

import math

from modelward_agent.values import FLOAT_WORDS, class_of, moment_of, number_in_text, number_name, number_of

_MICROSECOND = 2e-6


def values(data: bytes) -> None:
    """No text raises; a name of a class is its own; tables read moments and numbers as traffic does."""
    texts = data.decode("utf-8", "surrogateescape").split("\n")
    for text in texts:
        moment, number = moment_of(text), number_of(text)
        assert moment is None or math.isfinite(moment)
        assert number is None or math.isfinite(number)
        assert (number_in_text(text) is None) == (moment is None and text not in FLOAT_WORDS)
        for loose in (False, True):
            name = class_of(text, loose=loose)
            assert class_of(name, loose=loose) == name, (text, name)
        if number is not None:
            assert number_of(number_name(number)) == number
    _as_tables_do([text for text in texts if _encodable(text)])


def _as_tables_do(texts: list[str]) -> None:
    import pyarrow as pa

    from modelward_agent.profile.arrow import text_as_numbers_but_codes, text_as_times

    for text in texts:
        column = pa.array([text], pa.string())
        stripped = text.strip()
        try:
            (at,) = text_as_times(column).cast(pa.timestamp("us"), safe=False).cast(pa.int64()).to_pylist()
        except pa.ArrowInvalid:
            at = None
        moment = moment_of(stripped)
        assert (at is None) == (moment is None), (text, at, moment)
        assert at is None or moment is None or abs(at / 1e6 - moment) < _MICROSECOND, (text, at / 1e6, moment)
        try:
            (read,) = text_as_numbers_but_codes(column).to_pylist()
        except pa.ArrowInvalid:
            continue
        number = number_of(text)
        assert read is None or number is None or read == number, (text, read, number)


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
