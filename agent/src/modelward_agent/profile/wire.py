"""A profile as bytes, and as the JSON document that is shipped and stored.

The bytes are `MWP`, one byte of format number, the length of a JSON header and the CRC-32 of all that follows (both
uint32, big endian), the header, and the sketches that the header gives the lengths of. A reader refuses a newer format
by name and reads every older one.
"""

from __future__ import annotations

import base64
import math
import struct
import zlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import datasketches
import numpy as np
import orjson
from numpy.typing import NDArray

from modelward_agent.profile.categorical import HASH_BUCKETS, CategoricalSketch
from modelward_agent.profile.comoments import CoMoments
from modelward_agent.profile.dependence import Dependence
from modelward_agent.profile.exact import MAX_VALUES, ExactValues
from modelward_agent.profile.feature import FeatureProfile
from modelward_agent.profile.numeric import Moments, NumericSketch
from modelward_agent.profile.profile import Profile, ProfileKey
from modelward_agent.profile.text import BUCKETS, CLASSES, TextSketch
from modelward_agent.profile.vector import VectorSketch

FORMAT = 2
"""The newest: 2 has sketches of float64 values and strings counted by their hash. A profile without any is written as
1, which older readers know too."""
_MAGIC = b"MWP"
_SIDES = ("features", "outputs")
_FEW_VALUES = 16
_HEAD = struct.Struct(">3sBII")


class ProfileFormatError(ValueError):
    """The bytes are not a profile that this version can read; the message says which format and what to upgrade."""


class _Writer:
    def __init__(self) -> None:
        self.blobs: list[bytes] = []
        self.format = 1

    def blob(self, content: bytes) -> int:
        self.blobs.append(content)
        return len(content)

    def hll(self, union: Any) -> int:
        return self.blob(union.get_result(datasketches.tgt_hll_type.HLL_4).serialize_compact())

    def numeric(self, sketch: NumericSketch) -> list[Any]:
        m = sketch.moments
        kll = self.blob(sketch.kll.serialize())
        extremes = [sketch.minimum, sketch.maximum] if m.n else [None, None]
        header = [m.n, m.mean, m.m2, m.m3, m.m4, *extremes, sketch.zeros, kll]
        if sketch.double:
            self.format = 2
            header.append(sketch.rounded)
        return header

    def categorical(self, sketch: CategoricalSketch) -> list[int]:
        header = [sketch.n, self.hll(sketch.hll), self.blob(sketch.frequent.serialize())]
        if (by_hash := sketch.hashed_apart) is not None:
            self.format = 2
            header.append(self.counts(by_hash))
        return header

    def counts(self, buckets: NDArray[np.int64]) -> int:
        return self.blob(zlib.compress(buckets.astype("<u8").tobytes(), 1))

    def feature(self, feature: FeatureProfile) -> dict[str, Any]:
        header: dict[str, Any] = {"c": [getattr(feature, name) for name in FeatureProfile.COUNTS]}
        if feature.numeric is not None:
            header["n"] = self.numeric(feature.numeric)
        if feature.categorical is not None:
            header["s"] = self.categorical(feature.categorical)
        if (vector := feature.vector) is not None:
            header["v"] = [vector.dimension, vector.wrong_dimension, self.numeric(vector.norm)]
            header["v"] += [self.numeric(sketch) for sketch in vector.projections]
        return header

    def text(self, text: TextSketch) -> list[Any]:
        lengths = self.numeric(text.lengths)
        characters = [[m.n, m.mean, m.m2, m.m3, m.m4] for m in text.characters]
        return [lengths, text.looked, characters, self.counts(text.buckets), self.blob(text.words.serialize())]

    def texts(self, features: Mapping[str, FeatureProfile]) -> dict[str, Any]:
        return {name: self.text(feature.text) for name, feature in features.items() if feature.text is not None}

    def exact(self, features: Mapping[str, FeatureProfile]) -> dict[str, list[int]]:
        """Numbers that are few, apart from the sketches, for readers that do not know of them."""
        found = {}
        for name, feature in features.items():
            table = feature.numeric.exact.table if feature.numeric is not None else None
            # Where hardly a number came twice, the table would take more than the sketch.
            if table is not None and 0 < len(table[0]) <= max(_FEW_VALUES, feature.numbers / 2):
                values, counts = table
                with np.errstate(over="ignore"):
                    single = values.astype("<f4")
                exactly = single if np.array_equal(single, values) else values.astype("<f8")
                width = np.min_scalar_type(int(counts.max())).itemsize
                content = exactly.tobytes() + counts.astype(f"<u{width}").tobytes()
                found[name] = [len(values), exactly.itemsize, width, self.blob(zlib.compress(content, 1))]
        return found


class _Reader:
    def __init__(self, content: memoryview) -> None:
        self.content = content
        self.position = 0

    def blob(self, length: int) -> bytes:
        start, self.position = self.position, self.position + length
        if self.position > len(self.content):
            raise ProfileFormatError("the profile is cut short; it was not written whole")
        return bytes(self.content[start : self.position])

    def hll(self, length: int, lg_k: int) -> Any:
        union = datasketches.hll_union(lg_k)
        union.update(datasketches.hll_sketch.deserialize(self.blob(length)))
        return union

    def numeric(self, header: Sequence[Any]) -> NumericSketch:
        n, mean, m2, m3, m4, minimum, maximum, zeros, kll, *double = header
        # JSON has no infinity or NaN: a sum that overflowed was written as null.
        mean, m2, m3, m4 = (math.nan if value is None else value for value in (mean, m2, m3, m4))
        sketch = NumericSketch()
        sketch.moments = Moments(n, mean, m2, m3, m4)
        if n:
            sketch.minimum, sketch.maximum = minimum, maximum
        sketch.zeros = zeros
        kept = datasketches.kll_doubles_sketch if double else datasketches.kll_floats_sketch
        sketch.kll = kept.deserialize(self.blob(kll))
        sketch.rounded = double[0] if double else n
        return sketch

    def categorical(self, header: Sequence[int]) -> CategoricalSketch:
        n, hll, frequent, *by_hash = header
        sketch = CategoricalSketch()
        sketch.n = n
        sketch.hll = self.hll(hll, sketch.hll.lg_config_k)
        sketch.frequent = datasketches.frequent_strings_sketch.deserialize(self.blob(frequent))
        if by_hash:
            sketch.hashed_apart = self.counts(by_hash[0], HASH_BUCKETS)
        return sketch

    def counts(self, length: int, buckets: int) -> NDArray[np.int64]:
        content = zlib.decompressobj().decompress(self.blob(length), 8 * buckets + 1)
        counts = np.frombuffer(content, "<u8")
        if len(counts) != buckets:
            raise ProfileFormatError(f"there are {len(counts)} buckets, not {buckets}")
        return counts.astype(np.int64)

    def text(self, header: Sequence[Any]) -> TextSketch:
        lengths, looked, characters, buckets, words = header
        text = TextSketch()
        text.lengths = self.numeric(lengths)
        text.looked = looked
        text.characters = tuple(Moments(*moments) for moments in characters)
        if len(characters) != len(CLASSES):
            raise ProfileFormatError(f"the texts have {len(characters)} classes of characters, not {len(CLASSES)}")
        text.buckets = self.counts(buckets, BUCKETS)
        text.words = datasketches.frequent_strings_sketch.deserialize(self.blob(words))
        return text

    def exact(self, features: Mapping[str, FeatureProfile], header: Mapping[str, Sequence[int]]) -> None:
        for name, feature in features.items():
            if feature.numeric is None:
                continue
            feature.numeric.exact.forget()
            if name in header:
                different, value, count, length = header[name]
                size = different * (value + count)
                content = zlib.decompressobj().decompress(self.blob(length), size + 1)
                if different > MAX_VALUES or len(content) != size:
                    raise ProfileFormatError(f"{name} has {len(content)} bytes of {different} values")
                values = np.frombuffer(content, f"<f{value}", different).astype(np.float64)
                counts = np.frombuffer(content, f"<u{count}", offset=different * value).astype(np.int64)
                feature.numeric.exact = ExactValues()
                feature.numeric.exact.add(values, counts)

    def feature(self, header: Mapping[str, Any]) -> FeatureProfile:
        feature = FeatureProfile()
        for name, count in zip(FeatureProfile.COUNTS, header["c"], strict=True):
            setattr(feature, name, count)
        if "n" in header:
            feature.numeric = self.numeric(header["n"])
        if "s" in header:
            feature.categorical = self.categorical(header["s"])
        if "v" in header:
            dimension, wrong, norm, *projections = header["v"]
            feature.vector = VectorSketch(dimension)
            feature.vector.wrong_dimension = wrong
            feature.vector.norm = self.numeric(norm)
            feature.vector.projections = [self.numeric(sketch) for sketch in projections]
        return feature


def _unexamined(features: Mapping[str, FeatureProfile]) -> dict[str, int]:
    return {name: feature.unexamined for name, feature in features.items() if feature.unexamined}


def to_bytes(profile: Profile) -> bytes:
    """The profile's wire form."""
    writer = _Writer()
    header = {
        "rows": profile.rows,
        "errors": profile.errors,
        "actuals": profile.actuals,
        "distinct": writer.hll(profile.distinct_rows),
        "features": {name: writer.feature(feature) for name, feature in profile.features.items()},
        "outputs": {name: writer.feature(feature) for name, feature in profile.outputs.items()},
    }
    if profile.joint is not None:
        # After the rest, as all that is new, so that a reader that does not know of it finds everything where it was.
        header["joint"] = [profile.joint.names, writer.blob(profile.joint.to_bytes())]
    # Written by whoever looks for texts, also when there are none.
    header["texts"] = {side: found for side in _SIDES if (found := writer.texts(getattr(profile, side)))}
    if unexamined := {side: found for side in _SIDES if (found := _unexamined(getattr(profile, side)))}:
        header["unexamined"] = unexamined
    if profile.dependence is not None:
        names = profile.dependence.names
        together = profile.joint is not None and profile.joint.names == names
        header["dependence"] = [None if together else names, writer.blob(profile.dependence.to_bytes())]
    if profile.max_features is not None:
        header["bound"] = [profile.max_features, profile.beyond]
    if exact := {side: found for side in _SIDES if (found := writer.exact(getattr(profile, side)))}:
        header["exact"] = exact
    text = orjson.dumps(header)
    body = b"".join([text, *writer.blobs])
    return _HEAD.pack(_MAGIC, writer.format, len(text), _checksum(writer.format, body)) + body


def _checksum(version: int, body: bytes | memoryview) -> int:
    """Of the body, and from format 2 on of the format's number too."""
    return zlib.crc32(body, version if version > 1 else 0)


def from_bytes(content: bytes) -> Profile:
    """Read `to_bytes`'s form; `ProfileFormatError` when it is newer, cut short, damaged or something else."""
    magic, version = content[:3], content[3:4]
    if magic != _MAGIC or not version or not version[0]:
        raise ProfileFormatError(f"not a profile: it begins with {content[:4]!r}")
    if version[0] > FORMAT:
        raise ProfileFormatError(
            f"profile format {version[0]} is newer than this reader's {FORMAT}; upgrade the collector before the agents"
        )
    if len(content) < _HEAD.size:
        raise ProfileFormatError(f"{len(content)} bytes are too few for a profile")
    _, _, length, checksum = _HEAD.unpack_from(content)
    body = memoryview(content)[_HEAD.size :]
    if _checksum(version[0], body) != checksum:
        raise ProfileFormatError("the profile is cut short or damaged; its checksum differs")
    try:
        header = orjson.loads(body[:length])
        reader = _Reader(body[length:])
        profile = Profile()
        profile.rows, profile.errors, profile.actuals = header["rows"], header["errors"], header["actuals"]
        profile.distinct_rows = reader.hll(header["distinct"], profile.distinct_rows.lg_config_k)
        profile.features = {name: reader.feature(item) for name, item in header["features"].items()}
        profile.outputs = {name: reader.feature(item) for name, item in header["outputs"].items()}
        if "joint" in header:
            names, length = header["joint"]
            profile.joint = CoMoments.from_bytes(names, reader.blob(length))
        for side in _SIDES:
            known: dict[str, FeatureProfile] = getattr(profile, side)
            for name, item in header.get("texts", {}).get(side, {}).items():
                known[name].text = reader.text(item)
            for name, feature in known.items():
                told = header.get("unexamined", {}).get(side, {}).get(name, 0)
                feature.unexamined = told if "texts" in header else feature.strings
        if "dependence" in header:
            names, length = header["dependence"]
            names = header["joint"][0] if names is None else names
            profile.dependence = Dependence.from_bytes(names, reader.blob(length))
        for side in _SIDES:
            reader.exact(getattr(profile, side), header.get("exact", {}).get(side, {}))
        if "bound" in header:
            profile.max_features, profile.beyond = header["bound"]
    except ProfileFormatError:
        raise
    except (
        ValueError,
        KeyError,
        TypeError,
        RuntimeError,
        IndexError,
        AttributeError,
        MemoryError,
        zlib.error,
    ) as error:
        raise ProfileFormatError(f"the profile is damaged: {error}") from error
    return profile


def to_document(key: ProfileKey, profile: Profile, *, part: str, covers: Sequence[str] = ()) -> dict[str, Any]:
    """The profile as the document that is shipped and stored; `part` tells the parts of one window apart."""
    content = to_bytes(profile)
    return {
        "@timestamp": datetime.fromtimestamp(key.start, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "kind": "profile",
        "host": {"name": key.host},
        "model": key.model,
        "version": key.version,
        "segment": dict(key.segment),
        # The same as one word, which a search engine can list without opening the document.
        "segment_key": orjson.dumps(dict(key.segment)).decode("utf-8"),
        "window": {"seconds": key.seconds},
        "part": part,
        "rows": profile.rows,
        "format": content[3],
        "covers": list(covers),
        "profile": base64.b64encode(content).decode("ascii"),
    }


def key_of_document(document: Mapping[str, Any]) -> ProfileKey:
    """What the document's profile is of; KeyError or ValueError when it is not a profile's document."""
    return ProfileKey(
        host=document["host"]["name"],
        model=document["model"],
        version=document["version"],
        segment=tuple(sorted(document["segment"].items())),
        start=int(datetime.fromisoformat(document["@timestamp"]).timestamp()),
        seconds=document["window"]["seconds"],
    )


def profile_of_document(document: Mapping[str, Any]) -> Profile:
    """The document's profile; `ProfileFormatError` when it cannot be read."""
    try:
        content = base64.b64decode(document["profile"], validate=True)
    except (KeyError, TypeError, ValueError) as error:
        raise ProfileFormatError(f"the document holds no profile: {error!r}") from error
    return from_bytes(content)
