"""What an Arrow array's values mean: arrays to columns that fold, by the same rules as a journal line's values.

See docs/inputs.md. Needs pyarrow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from modelward_agent.profile.columns import (
    BooleanColumn,
    CategoryColumn,
    Column,
    NumberColumn,
    OtherColumn,
    vector_column,
)
from modelward_agent.values import MOMENT_PATTERN, moment_of, number_in_text, number_name

Read = Callable[[str], float | None]

_NULL_WORDS = ("", "NA", "N/A", "#N/A", "null", "NULL", "None")
"""What a CSV column of numbers, booleans or times may have in the place of a value; in a column of strings only ""."""

_TRUE_WORDS, _FALSE_WORDS = ("true", "True", "TRUE"), ("false", "False", "FALSE")

_CODE = r"^[+-]?0[0-9]|^\+[0-9]{7,}$"
"""Digits that are a name: a post code, a telephone number."""


def column_of(array: Any, read: Read = number_in_text) -> Column:
    """The column of an array, typed by what it holds; `read` says which texts are numbers."""
    from pyarrow import types

    array = _stored(array)
    kind = array.type
    if types.is_dictionary(kind):
        if _is_text(kind.value_type):
            return _text_column(array, read)
        array = array.cast(kind.value_type)
        kind = array.type
    if types.is_null(kind):
        return OtherColumn(np.zeros(len(array), dtype=np.bool_))
    if types.is_boolean(kind):
        return booleans_of(array)
    if _is_numeric(kind) or types.is_temporal(kind):
        return numbers_of(array)
    if _is_text(kind):
        return _text_column(array, read)
    if is_list(kind) and _is_numeric(kind.value_type):
        return vector_column(array.to_pylist())
    return OtherColumn(valid_of(array))


def _stored(array: Any) -> Any:
    """The array without the clothes of an extension type, and bytes as the text that the Recorder makes of them."""
    import pyarrow as pa
    from pyarrow import types

    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    kind = array.type
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind):
        texts = [None if value is None else value.decode("utf-8", "replace") for value in array.to_pylist()]
        return pa.array(texts, pa.string())
    return array


def _text_column(array: Any, read: Read) -> Column:
    """Texts: numbers when every one of them stands for one."""
    column = _encoded(array, read)
    present = np.unique(column.codes[column.codes >= 0])
    if not len(present):
        return column
    numbers = np.full(len(column.categories) + 1, np.nan)  # the last is where -1 points
    for code in present.tolist():
        number = read(column.categories[code])
        if number is None:
            return column
        numbers[code] = number
    return NumberColumn(np.where(column.codes >= 0, numbers[column.codes], 0.0), column.codes >= 0)


def numbers_of(array: Any) -> NumberColumn:
    """Numbers; dates and timestamps as Unix seconds, times of day and durations as seconds, true as 1."""
    import pyarrow as pa
    from pyarrow import types

    array = _decoded(_stored(array))
    kind = array.type
    scale = 1.0
    if types.is_date(kind):
        array = array.cast(pa.timestamp("s"))
    elif types.is_timestamp(kind) or types.is_time(kind) or types.is_duration(kind):
        scale = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}[kind.unit]
    elif _is_text(kind):
        array = text_as_numbers(array)
    elif types.is_decimal(kind):
        array = array.cast(pa.string()).cast(pa.float64())  # Arrow's own way is off in the last bit
    if types.is_temporal(array.type):
        array = array.cast(pa.int32() if types.is_time32(array.type) else pa.int64())
    valid = valid_of(array)
    if not types.is_floating(array.type) or array.type != pa.float64():
        array = array.cast(pa.float64(), safe=False)
    values = array.fill_null(0.0).to_numpy(zero_copy_only=False)
    return NumberColumn(values / scale if scale != 1.0 else values, valid)


def booleans_of(array: Any) -> BooleanColumn:
    """True and false; of numbers, 1 and 0."""
    import pyarrow as pa
    from pyarrow import compute, types

    array = _decoded(_stored(array))
    if _is_text(array.type):
        array = text_as_booleans(array)
    elif not types.is_boolean(array.type):
        ones = array.cast(pa.float64(), safe=False)
        if not compute.all(compute.is_in(ones.drop_null(), value_set=pa.array([0.0, 1.0])), min_count=0).as_py():
            raise pa.ArrowInvalid("some values are neither 0 nor 1")
        array = compute.equal(ones, 1.0)
    return BooleanColumn(array.fill_null(False).to_numpy(zero_copy_only=False), valid_of(array))


def categories_of(array: Any, read: Read = lambda text: None) -> CategoryColumn:
    """Texts of any values, numbers and booleans as the classes that they name; by default all are literally texts."""
    import pyarrow as pa
    from pyarrow import types

    array = _stored(array)
    if types.is_dictionary(array.type) and not _is_text(array.type.value_type):
        array = _decoded(array)
    if types.is_dictionary(array.type) or _is_text(array.type):
        return _encoded(array, read)
    if _is_numeric(array.type):
        encoded = array.cast(pa.float64(), safe=False).dictionary_encode()
        names = [number_name(value) or str(value) for value in encoded.dictionary.to_pylist()]
        array = pa.DictionaryArray.from_arrays(encoded.indices, pa.array(names, pa.string()))
        return _encoded(array, read)
    return _encoded(array.cast(pa.string()), read)


def _encoded(array: Any, read: Read) -> CategoryColumn:
    import pyarrow as pa
    from pyarrow import types

    encoded = array if types.is_dictionary(array.type) else array.dictionary_encode()
    codes = encoded.indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
    names = encoded.dictionary.to_pylist()
    if None in names:
        codes = np.where(np.array([name is None for name in names] + [False])[codes], -1, codes)
    return CategoryColumn(codes, [name or "" for name in names], read)


# -- texts of a file without types -----------------------------------------------------------------------------------


def text_as_booleans(array: Any) -> Any:
    """`true` and `false`, also capitalised; ArrowInvalid when there is another word."""
    import pyarrow as pa
    from pyarrow import compute

    words = _without_null_words(array)
    true = compute.is_in(words, value_set=pa.array(_TRUE_WORDS))
    known = compute.or_(true, compute.is_in(words, value_set=pa.array(_FALSE_WORDS)))
    if not compute.all(compute.or_(known, words.is_null()), min_count=0).as_py():
        raise pa.ArrowInvalid("some values are neither true nor false")
    return compute.if_else(words.is_valid(), true, pa.scalar(None, pa.bool_()))


def text_as_numbers(array: Any) -> Any:
    """Decimal numbers; ArrowInvalid when there is another word."""
    import pyarrow as pa

    return _without_null_words(array).cast(pa.float64())


def text_as_numbers_but_codes(array: Any) -> Any:
    """The same, but that digits behind a leading zero are a name and no number."""
    import pyarrow as pa
    from pyarrow import compute

    words = _without_null_words(array)
    if compute.any(compute.match_substring_regex(words, _CODE), min_count=0).as_py():
        raise pa.ArrowInvalid("some values are codes")
    return words.cast(pa.float64())


def text_as_times(array: Any) -> Any:
    """ISO 8601 texts as `modelward_agent.values.moment_of` reads them; without a zone they are UTC."""
    import pyarrow as pa
    from pyarrow import compute

    words = _without_null_words(array)
    written = compute.match_substring_regex(words, f"^(?:{MOMENT_PATTERN})$")
    # There is no year 0, which databases write where there is no date.
    written = compute.and_not(written, compute.starts_with(words, "0000"))
    if not compute.all(written, min_count=0).as_py():
        raise pa.ArrowInvalid("some values are no moments")
    for kind in (pa.timestamp("us"), pa.timestamp("us", tz="UTC"), pa.timestamp("ns"), pa.timestamp("ns", tz="UTC")):
        try:
            return words.cast(kind)
        except pa.ArrowInvalid:
            continue
    # What Arrow does not read: offsets in some rows and none in others, a word for the zone.
    moments = {word: moment_of(word) for word in words.unique().drop_null().to_pylist()}
    if None in moments.values():
        raise pa.ArrowInvalid("some values are no moments")
    seconds = [None if word is None else moments[word] for word in words.to_pylist()]
    return pa.array([None if at is None else round(at * 1e6) for at in seconds], pa.int64()).cast(pa.timestamp("us"))


def first_that_is_no_time(array: Any) -> str:
    """What to correct in a column that cannot be read as times, in words that are not the reader's own."""
    example = "write ISO 8601, for example 2026-03-01 14:30:00Z"
    for word in _without_null_words(array).unique().drop_null().to_pylist():
        if moment_of(word) is None:
            return f"{word[:60]!r}; {example}"
    return f"some are not; {example} for all"


def _without_null_words(array: Any) -> Any:
    import pyarrow as pa
    from pyarrow import compute

    trimmed = compute.utf8_trim_whitespace(array)
    none = compute.is_in(trimmed, value_set=pa.array(_NULL_WORDS))
    return compute.if_else(none, pa.scalar(None, array.type), trimmed)


# -- kinds -----------------------------------------------------------------------------------------------------------


def is_text(array: Any) -> bool:
    """Whether the array holds texts, in a dictionary or not."""
    from pyarrow import types

    return _is_text(array.type.value_type if types.is_dictionary(array.type) else array.type)


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def is_list(kind: Any) -> bool:
    """Whether a type is one of lists, of any or of one length."""
    from pyarrow import types

    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _is_numeric(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))


def _decoded(array: Any) -> Any:
    from pyarrow import types

    return array.cast(array.type.value_type) if types.is_dictionary(array.type) else array


def valid_of(array: Any) -> Any:
    """Which rows have a value, shape (n,)."""
    return array.is_valid().to_numpy(zero_copy_only=False)
