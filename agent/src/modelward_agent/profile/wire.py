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

from modelward_agent.profile.categorical import FREQUENT_LG_MAX, HASH_BUCKETS, HLL_LG_K, CategoricalSketch
from modelward_agent.profile.comoments import CoMoments
from modelward_agent.profile.dependence import Dependence
from modelward_agent.profile.exact import MAX_VALUES, NOT_TOLD, ExactValues
from modelward_agent.profile.feature import FeatureProfile
from modelward_agent.profile.numeric import Moments, NumericSketch
from modelward_agent.profile.profile import ROW_HLL_LG_K, Profile, ProfileKey
from modelward_agent.profile.sketch_bytes import MOST, check_frequent, check_hll, check_kll
from modelward_agent.profile.text import BUCKETS, CLASSES, NAMES_LG_MAX, TextSketch
from modelward_agent.profile.vector import PROJECTIONS, VectorSketch

FORMAT = 2
"""The newest: 2 has sketches of float64 values and strings counted by their hash. A profile without any is written as
1, which older readers know too."""
_MAGIC = b"MWP"
_SIDES = ("features", "outputs")
_FEW_VALUES = 16
_FLOATS = frozenset({float})
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
        start, self.position = self.position, self.position + _count(length)
        if self.position > len(self.content):
            raise ProfileFormatError("the profile is cut short; it was not written whole")
        return bytes(self.content[start : self.position])

    def hll(self, length: int, lg_k: int) -> Any:
        content = self.blob(length)
        check_hll(content, lg_k)
        union = datasketches.hll_union(lg_k)
        union.update(datasketches.hll_sketch.deserialize(content))
        return union

    def frequent(self, length: int, lg_max: int) -> Any:
        content = self.blob(length)
        check_frequent(content, lg_max)
        return datasketches.frequent_strings_sketch.deserialize(content)

    def numeric(self, header: Sequence[Any]) -> NumericSketch:
        n, mean, m2, m3, m4, minimum, maximum, zeros, kll, *double = header
        sketch = NumericSketch.__new__(NumericSketch)  # an empty sketch to be thrown away costs as much as the rest
        sketch.exact = NOT_TOLD
        sketch.moments = _moments(n, mean, m2, m3, m4)
        sketch.minimum, sketch.maximum = math.inf, -math.inf
        if n:
            sketch.minimum, sketch.maximum = _number(minimum), _number(maximum)
            if not sketch.minimum <= sketch.maximum:
                raise ProfileFormatError(f"a minimum of {sketch.minimum} above a maximum of {sketch.maximum}")
        sketch.zeros = _count(zeros)
        content = self.blob(kll)
        check_kll(content, n, double=bool(double))
        kept = datasketches.kll_doubles_sketch if double else datasketches.kll_floats_sketch
        sketch.kll = kept.deserialize(content)
        sketch.rounded = _count(double[0]) if double else n
        return sketch

    def categorical(self, header: Sequence[int]) -> CategoricalSketch:
        n, hll, frequent, *by_hash = header
        sketch = CategoricalSketch()
        sketch.n = _count(n)
        sketch.hll = self.hll(hll, HLL_LG_K)
        sketch.frequent = self.frequent(frequent, FREQUENT_LG_MAX)
        if by_hash:
            sketch.hashed_apart = self.counts(by_hash[0], HASH_BUCKETS)
        return sketch

    def counts(self, length: int, buckets: int) -> NDArray[np.int64]:
        content = zlib.decompressobj().decompress(self.blob(length), 8 * buckets + 1)
        if len(content) != 8 * buckets:
            raise ProfileFormatError(f"there are {len(content)} bytes of {buckets} buckets")
        counts = np.frombuffer(content, "<u8")
        if int(counts.max()) > MOST:
            raise ProfileFormatError(f"there are {counts.max()} rows in one bucket")
        return counts.astype(np.int64)

    def text(self, header: Sequence[Any]) -> TextSketch:
        lengths, looked, characters, buckets, words = header
        text = TextSketch()
        text.lengths = self.numeric(lengths)
        text.looked = _count(looked)
        text.characters = tuple(_moments(*moments) for moments in characters)
        if len(characters) != len(CLASSES):
            raise ProfileFormatError(f"the texts have {len(characters)} classes of characters, not {len(CLASSES)}")
        text.buckets = self.counts(buckets, BUCKETS)
        text.words = self.frequent(words, NAMES_LG_MAX)
        return text

    def exact(self, features: Mapping[str, FeatureProfile], header: Mapping[str, Sequence[int]]) -> None:
        for name, feature in features.items():
            if name in header and feature.numeric is not None:
                feature.numeric.exact = self.exactly(name, header[name], feature.numeric.n)

    def exactly(self, name: str, header: Sequence[int], n: int) -> ExactValues:
        different, value, count, length = header
        if different not in range(1, MAX_VALUES + 1) or value not in (4, 8) or count not in (1, 2, 4, 8):
            raise ProfileFormatError(f"{name} has no {different!r:.40} different values of {value!r:.40} bytes")
        size = different * (value + count)
        content = zlib.decompressobj().decompress(self.blob(length), size + 1)
        if len(content) != size:
            raise ProfileFormatError(f"{name} has {len(content)} bytes of {different} values")
        values = np.frombuffer(content, f"<f{value}", different).astype(np.float64)
        counts = np.frombuffer(content, f"<u{count}", offset=different * value)
        if not np.isfinite(values).all() or int(counts.max()) > MOST or int(counts.sum(dtype=np.float64)) != n:
            raise ProfileFormatError(f"{name} has values that are not those of {n} rows")
        exact = ExactValues()
        exact.add(values, counts.astype(np.int64))
        return exact

    def feature(self, header: Mapping[str, Any]) -> FeatureProfile:
        feature = FeatureProfile()
        counts = header["c"]
        if len(counts) != len(FeatureProfile.COUNTS):
            raise ProfileFormatError(f"a feature has {len(counts)} counts, not {len(FeatureProfile.COUNTS)}")
        if counts != _NOTHING_ELSE or not _INTEGERS.issuperset(map(type, counts)):  # most have numbers alone
            for name, count in zip(FeatureProfile.COUNTS, counts, strict=True):
                setattr(feature, name, _count(count))
        if "n" in header:
            feature.numeric = self.numeric(header["n"])
        if "s" in header:
            feature.categorical = self.categorical(header["s"])
        if "v" in header:
            dimension, wrong, norm, *projections = header["v"]
            if len(projections) != PROJECTIONS:
                raise ProfileFormatError(f"a vector has {len(projections)} projections, not {PROJECTIONS}")
            feature.vector = VectorSketch(_count(dimension))
            feature.vector.wrong_dimension = _count(wrong)
            feature.vector.norm = self.numeric(norm)
            feature.vector.projections = [self.numeric(sketch) for sketch in projections]
        return feature


_NOTHING_ELSE = [0] * len(FeatureProfile.COUNTS)
_INTEGERS = frozenset({int})


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MOST:
        raise ProfileFormatError(f"{value!r:.40} is no count of rows")
    return value


def _number(value: Any) -> float:
    if type(value) is not float and type(value) is not int:
        raise ProfileFormatError(f"{value!r:.40} is no number")
    return value


def _moments(n: Any, *sums: Any) -> Moments:
    """JSON has no infinity or NaN: a sum that overflowed was written as null."""
    if not _FLOATS.issuperset(map(type, sums)):
        sums = tuple(math.nan if value is None else _number(value) for value in sums)
    return Moments(_count(n), *sums)


def _names(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value) or len(set(value)) < len(value):
        raise ProfileFormatError(f"{value!r:.40} are no names of features")
    return value


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
        profile.rows, profile.errors, profile.actuals = map(_count, map(header.get, ("rows", "errors", "actuals")))
        profile.distinct_rows = reader.hll(header["distinct"], ROW_HLL_LG_K)
        profile.features = {name: reader.feature(item) for name, item in header["features"].items()}
        profile.outputs = {name: reader.feature(item) for name, item in header["outputs"].items()}
        if "joint" in header:
            names, length = header["joint"]
            profile.joint = CoMoments.from_bytes(_names(names), reader.blob(length))
        for side in _SIDES:
            known: dict[str, FeatureProfile] = getattr(profile, side)
            for name, item in header.get("texts", {}).get(side, {}).items():
                known[name].text = reader.text(item)
            for name, feature in known.items():
                told = header.get("unexamined", {}).get(side, {}).get(name, 0)
                feature.unexamined = _count(told) if "texts" in header else feature.strings
        if "dependence" in header:
            names, length = header["dependence"]
            names = header["joint"][0] if names is None else names
            profile.dependence = Dependence.from_bytes(_names(names), reader.blob(length))
        for side in _SIDES:
            reader.exact(getattr(profile, side), header.get("exact", {}).get(side, {}))
        if "bound" in header:
            profile.max_features, profile.beyond = map(_count, header["bound"])
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
        OverflowError,
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
