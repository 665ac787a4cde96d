"""A profile's wire form: the bytes are as they come, and once more with the checksum that they should have."""

from __future__ import annotations

import struct
import zlib

from bench.fuzz.targets.journal import counts
from modelward_agent.profile import Profile, ProfileFormatError, from_bytes, merged, to_bytes

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
    assert counts(from_bytes(to_bytes(twice))) == counts(twice)
    for feature in (*twice.features.values(), *twice.outputs.values()):
        if feature.numeric is not None and feature.numeric.n:
            feature.numeric.quantiles([0.0, 0.5, 1.0])
            feature.numeric.cdf([0.0])
        if feature.categorical is not None:
            feature.categorical.counts()
            feature.categorical.registers()


def with_checksum(data: bytes) -> bytes:
    """The same with the checksum of its body."""
    if len(data) < HEAD.size:
        return data
    magic, version, length, _ = HEAD.unpack_from(data)
    body = data[HEAD.size :]
    return HEAD.pack(magic, version, length, zlib.crc32(body, version if version > 1 else 0)) + body
