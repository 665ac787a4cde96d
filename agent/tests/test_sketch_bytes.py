"""Bytes that are no sketch are refused before the sketches' library reads them: it would end the process."""

from __future__ import annotations

import struct
import zlib

import datasketches
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelward_agent.profile import FeatureProfile, Profile, ProfileFormatError, from_bytes, merged, to_bytes
from modelward_agent.profile.categorical import FREQUENT_LG_MAX, HLL_LG_K
from modelward_agent.profile.numeric import KLL_K
from modelward_agent.profile.sketch_bytes import check_frequent, check_hll, check_kll

SIZES = [0, 1, 2, 7, 8, 20, 399, 400, 401, 5_000, 200_000]


def hll(size: int) -> bytes:
    sketch = datasketches.hll_union(HLL_LG_K)
    for value in range(size):
        sketch.update(value)
    content: bytes = sketch.get_result(datasketches.tgt_hll_type.HLL_4).serialize_compact()
    return content


def kll(size: int, *, double: bool) -> bytes:
    sketch = (datasketches.kll_doubles_sketch if double else datasketches.kll_floats_sketch)(KLL_K)
    if size:
        sketch.update(np.arange(size, dtype=np.float64 if double else np.float32))
    content: bytes = sketch.serialize()
    return content


def frequent(size: int) -> bytes:
    sketch = datasketches.frequent_strings_sketch(FREQUENT_LG_MAX)
    for value in range(size):
        sketch.update(f"é{value}", value + 1)
    content: bytes = sketch.serialize()
    return content


@pytest.mark.parametrize("size", SIZES)
def test_every_sketch_that_the_library_writes_passes(size: int) -> None:
    check_hll(hll(size), HLL_LG_K)
    check_kll(kll(size, double=False), size, double=False)
    check_kll(kll(size, double=True), size, double=True)
    check_frequent(frequent(min(size, 5_000)), FREQUENT_LG_MAX)


@pytest.mark.parametrize("size", [0, 1, 3, 20, 5_000])
def test_a_sketch_that_is_cut_or_of_something_else_does_not(size: int) -> None:
    for content in (hll(size), kll(size, double=False), kll(size, double=True), frequent(size)):
        for cut in (b"", content[:3], content[:-1], content + b"\x00"):
            with pytest.raises(ValueError):
                check_hll(cut, HLL_LG_K)
            with pytest.raises(ValueError):
                check_kll(cut, size, double=False)
    with pytest.raises(ValueError, match="registers"):
        check_hll(hll(size), 13)
    with pytest.raises(ValueError, match="damaged KLL sketch"):
        check_kll(kll(size, double=False), size + 1, double=False)
    with pytest.raises(ValueError, match="frequent strings"):
        check_frequent(frequent(size), 9)


def test_a_value_that_cannot_be_sorted_is_none_of_a_sketch() -> None:
    content = kll(3, double=False)[:-4] + struct.pack("<f", np.nan)
    with pytest.raises(ValueError, match="NaN"):
        check_kll(content, 3, double=False)


def test_an_exception_list_that_does_not_fit_the_registers_is_refused() -> None:
    content = bytearray(hll(200_000))
    assert content[7] == 2  # an array of registers
    assert len(content) > 40 + (1 << HLL_LG_K - 1)  # with values that do not fit into half a byte
    content[4] = 31
    with pytest.raises(ValueError, match="damaged HLL sketch"):
        check_hll(bytes(content), HLL_LG_K)


def profile(rows: int) -> bytes:
    one = Profile()
    one.rows = rows
    number, word = one.features.setdefault("n", FeatureProfile()), one.features.setdefault("c", FeatureProfile())
    number.update_numbers(np.arange(rows) / 7)
    word.update_counts({f"c{row}": 1 for row in range(rows)})
    for row in range(rows):
        one.distinct_rows.update(row)
    return to_bytes(one)


WHOLE = {rows: profile(rows) for rows in (1, 5, 900)}


@given(st.sampled_from(list(WHOLE)), st.data())
@settings(max_examples=300, deadline=None)
def test_a_profile_with_any_byte_of_its_sketches_changed_is_refused_or_can_be_merged(
    rows: int, data: st.DataObject
) -> None:
    content = bytearray(WHOLE[rows])
    _, version, length, _ = struct.unpack_from(">3sBII", content)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(12 + length, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    struct.pack_into(">I", content, 8, zlib.crc32(content[12:], version if version > 1 else 0))
    try:
        read = from_bytes(bytes(content))
    except ProfileFormatError:
        return
    assert merged([read, from_bytes(WHOLE[rows])]).rows == 2 * rows


@pytest.mark.parametrize(
    ("part", "other"),
    [(b'"rows":5', b'"rows":[]'), (b'"rows":5', b'"rows":-5'), (b'"rows":5', b'"rows":1e300'), (b'"c":[0', b'"c":[""')],
)
def test_a_header_whose_counts_are_none_is_refused(part: bytes, other: bytes) -> None:
    content = WHOLE[5]
    _, version, length, _ = struct.unpack_from(">3sBII", content)
    header = content[12 : 12 + length]
    assert part in header
    header = header.replace(part, other, 1)
    body = header + content[12 + length :]
    checksum = zlib.crc32(body, version if version > 1 else 0)
    with pytest.raises(ProfileFormatError, match="no count"):
        from_bytes(struct.pack(">3sBII", b"MWP", version, len(header), checksum) + body)
