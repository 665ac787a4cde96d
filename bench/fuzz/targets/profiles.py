"""A profile's wire form: the bytes are as they come, and once more with the checksum that they should have."""

from __future__ import annotations

import struct
import zlib
from contextlib import nullcontext, suppress

from bench.fuzz.targets.journal import counts
from modelward_agent.profile import Profile, ProfileFormatError, from_bytes, merged, to_bytes
from modelward_agent.profile.sketch_bytes import MOST

HEAD = struct.Struct(">3sBII")


def profiles(data: bytes) -> None:
    """Only `ProfileFormatError` comes; what is read can be written, read again and merged."""
    for content in {data, with_checksum(data)}:
        try:
            profile = from_bytes(content)
        except ProfileFormatError:
            continue
        _usable(profile)


def _usable(profile: Profile) -> None:
    again = from_bytes(to_bytes(profile))
    assert counts(again) == counts(profile)
    twice = merged([profile, again])
    assert twice.rows == 2 * profile.rows
    with nullcontext() if _countable(profile) else suppress(ProfileFormatError):
        assert counts(from_bytes(to_bytes(twice))) == counts(twice)
    for feature in (*twice.features.values(), *twice.outputs.values()):
        if feature.numeric is not None and feature.numeric.n:
            feature.numeric.quantiles([0.0, 0.5, 1.0])
            feature.numeric.cdf([0.0])
        if feature.categorical is not None:
            feature.categorical.counts()
            feature.categorical.registers()


def _countable(profile: Profile) -> bool:
    """Whether of twice as many rows all can still be counted."""
    sides = [*profile.features.values(), *profile.outputs.values()]
    strings = [feature.categorical for feature in sides if feature.categorical is not None]
    words = [feature.text for feature in sides if feature.text is not None]
    named = [sketch.frequent.total_weight for sketch in strings] + [text.words.total_weight for text in words]
    named += [count for sketch in strings for count in sketch.counts().values()]
    named += [count for text in words for count in text.names().values()]
    return max([*named, profile.rows, *(feature.rows for feature in sides)], default=0) < MOST // 4


def with_checksum(data: bytes) -> bytes:
    """The same with the checksum of its body."""
    if len(data) < HEAD.size:
        return data
    magic, version, length, _ = HEAD.unpack_from(data)
    body = data[HEAD.size :]
    return HEAD.pack(magic, version, length, zlib.crc32(body, version if version > 1 else 0)) + body
