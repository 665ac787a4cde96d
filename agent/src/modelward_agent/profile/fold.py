"""From records to profiles, column by column.

Rows are grouped by (model, version, segment, window of their event time), turned into columns, and each column is
folded by what it holds. Finite numbers wait as small float64 blocks until there are enough of them to make a sketch's
update cheap; everything else is counted at once.
"""

from __future__ import annotations

import math
import struct
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelward_agent.bounds import MAX_FEATURES, MAX_VERSIONS, OTHER_VERSION
from modelward_agent.journal.parse import Kind, Record
from modelward_agent.profile.feature import FeatureProfile
from modelward_agent.profile.profile import OTHER_SEGMENT, Profile, ProfileKey, Segment
from modelward_agent.profile.vector import VectorSketch
from modelward_agent.values import FLOAT_WORDS, ValueType, number_in_text, read_as

_PENDING_ROWS = 4096
"""Numbers of a feature that wait for its sketch; a sketch's update costs about 25 µs beside 20 ns a number."""

_PENDING_VALUES = 1 << 20
"""Numbers that wait in all; 8 MiB."""

_DENSE_LAYOUTS = 4
"""Batches of rows with more different sets of feature names are not taken apart by them."""

_FILLED = 2.0
"""Rows that differ are filled up with nulls when that makes at most so many times as many values."""

_VERSION_IDLE_SECONDS = 3_600

_NO_SEGMENT: Segment = ()
_NUMBERS = frozenset({float, int})
_NUMBERS_AND_NULL = frozenset({float, int, type(None)})
_NUMBERS_TEXTS_AND_NULL = frozenset({float, int, str, type(None)})
_BOOLEANS_AND_NULL = frozenset({bool, type(None)})
_UINT64 = np.uint64
_OFFSET = _UINT64(0x9E3779B97F4A7C15)
TRUE_HASH, FALSE_HASH = 0xD1B54A32D192ED03, 0xABC98388FB8FAC02

Hashes = NDArray[np.uint64]
Numbers = NDArray[np.float64]
Types = Mapping[str, ValueType]

_UNTYPED: Types = {}
_SETTLED = {
    ValueType.CATEGORICAL: frozenset({str, type(None)}),
    ValueType.NUMERIC: _NUMBERS_AND_NULL,
    ValueType.BOOLEAN: _BOOLEANS_AND_NULL,
}
"""By declared type what a value's type is when there is nothing to read."""


@dataclass(slots=True)
class Tally:
    """What one call of `Folder.fold` saw, for `/metrics`; keys are (model, version) or (model, feature).

    `latencies` are in milliseconds, in the records' order. `features_beyond_limit` is by model how many features at
    least are left out of a profile because there are more than `max_features`, `versions_beyond_limit` names models of
    which some rows went to `OTHER_VERSION`. `business` are such lines as they were written, `stages` those with their
    Unix time.
    """

    predictions: Counter[tuple[str, str]] = field(default_factory=Counter)
    errors: Counter[tuple[str, str]] = field(default_factory=Counter)
    actuals: Counter[tuple[str, str]] = field(default_factory=Counter)
    latencies: defaultdict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    missing: Counter[tuple[str, str]] = field(default_factory=Counter)
    features_beyond_limit: dict[str, int] = field(default_factory=dict)
    versions_beyond_limit: set[str] = field(default_factory=set)
    business: list[dict[str, Any]] = field(default_factory=list)
    stages: list[tuple[float, dict[str, Any]]] = field(default_factory=list)


@dataclass(slots=True)
class _Batch:
    predictions: list[dict[str, Any]] = field(default_factory=list)
    actuals: list[dict[str, Any]] = field(default_factory=list)
    errors: int = 0


class Folder:
    """Folds records into one profile for each (model, version, segment, window of event time).

    At most `max_segments` segments are told apart in a model's window, the rest goes to `OTHER_SEGMENT`; of a window's
    features the first `max_features` by name are profiled, whatever comes first. Of a model `max_versions` are told
    apart, of those with traffic in the last hour of event time, the rest is `OTHER_VERSION`. `types` are by model the
    types that its features are read as; given anew, they hold for profiles that begin from then on. Give it chunks of
    about a thousand records: a chunk's columns are what is fast. Not thread-safe.
    """

    def __init__(
        self,
        host: str,
        window_seconds: int = 60,
        max_segments: int = 64,
        max_features: int = MAX_FEATURES,
        max_versions: int = MAX_VERSIONS,
        types: Mapping[str, Types] | None = None,
    ) -> None:
        self.host = host
        self.window_seconds = window_seconds
        self.max_segments = max_segments
        self.max_features = max_features
        self.max_versions = max_versions
        self.types = types or {}
        self._versions: defaultdict[str, dict[str, int]] = defaultdict(dict)
        self._windows: dict[ProfileKey, _Window] = {}
        self._segments: defaultdict[tuple[str, int], set[Segment]] = defaultdict(set)
        self.rows = 0

    @property
    def open_windows(self) -> int:
        """How many profiles `take` would hand over."""
        return len(self._windows)

    @property
    def open_columns(self) -> int:
        """How many features and outputs those profiles summarise: what memory goes by."""
        return sum(len(window.profile.features) + len(window.profile.outputs) for window in self._windows.values())

    @property
    def widest(self) -> int:
        """How many of them the widest of the profiles has."""
        return max((len(one.profile.features) + len(one.profile.outputs) for one in self._windows.values()), default=0)

    def fold(self, records: Iterable[Record]) -> Tally:
        """Fold predictions, actuals and errors; stages and business lines are handed on, other kinds passed over."""
        tally = Tally()
        seconds = self.window_seconds
        batches: defaultdict[tuple[str, str, Segment, int], _Batch] = defaultdict(_Batch)
        prediction, actual, error = Kind.PREDICTION, Kind.ACTUAL, Kind.ERROR
        # Neighbours are mostly of one model, version and window, which is cheaper to see than to look up.
        last_model = last_version = last_segment = None
        start, end = 0, 0
        batch = _Batch()
        for kind, at, document in records:
            if kind is not prediction and kind is not actual and kind is not error:
                if kind is Kind.BUSINESS:
                    tally.business.append(document)
                elif kind is Kind.STAGE:
                    tally.stages.append((at, document))
                continue
            get = document.get
            model, version, segment = document["model"], get("version"), get("segment")
            if not (model == last_model and start <= at < end and version == last_version and segment == last_segment):
                last_model, last_version, last_segment = model, version, segment
                start = int(at // seconds) * seconds
                end = start + seconds
                segment = tuple(sorted(segment.items())) if segment else _NO_SEGMENT
                batch = batches[model, self._version(model, version or "", start, tally), segment, start]
            if kind is prediction:
                batch.predictions.append(document)
            elif kind is actual:
                batch.actuals.append(document)
            else:
                batch.errors += 1
        for (model, version, segment, start), batch in batches.items():
            self._window(model, version, segment, start).fold(batch, tally)
            self.rows += len(batch.predictions)
        if sum(window.pending for window in self._windows.values()) > _PENDING_VALUES:
            for window in self._windows.values():
                window.flush()
        return tally

    def take(self) -> list[tuple[ProfileKey, Profile]]:
        """Everything folded since the last call, by key; the folder starts anew."""
        taken = []
        for key, window in sorted(self._windows.items(), key=lambda item: item[0]):
            window.flush()
            taken.append((key, window.profile))
        self._windows, self.rows = {}, 0
        self._segments.clear()
        self._forget_versions()
        return taken

    def _version(self, model: str, version: str, start: int, tally: Tally) -> str:
        """The version that rows of this window are counted in; the one that was seen longest ago gives way, if idle."""
        known = self._versions[model]
        latest = known.get(version)
        if latest is None:
            if len(known) >= self.max_versions:
                oldest = min(known, key=known.__getitem__)
                if start - known[oldest] < _VERSION_IDLE_SECONDS:
                    tally.versions_beyond_limit.add(model)
                    return OTHER_VERSION
                del known[oldest]
            latest = start
        known[version] = max(latest, start)
        return version

    def _forget_versions(self) -> None:
        """Models of which nothing came for long take no room."""
        newest = max((start for known in self._versions.values() for start in known.values()), default=0)
        for model in [
            model
            for model, known in self._versions.items()
            if newest - max(known.values(), default=0) >= _VERSION_IDLE_SECONDS
        ]:
            del self._versions[model]

    def _window(self, model: str, version: str, segment: Segment, start: int) -> _Window:
        if segment:
            known = self._segments[model, start]
            if segment not in known:
                if len(known) < self.max_segments:
                    known.add(segment)
                else:
                    segment = OTHER_SEGMENT
        key = ProfileKey(self.host, model, version, segment, start, self.window_seconds)
        window = self._windows.get(key)
        if window is None:
            types = self.types.get(model, _UNTYPED)
            window = self._windows[key] = _Window(model, version, self.max_features, types)
        return window


class _Window:
    """One profile that is being filled."""

    __slots__ = (
        "_literal",
        "_together",
        "_together_rows",
        "_types",
        "features",
        "model",
        "outputs",
        "profile",
        "version",
    )

    def __init__(self, model: str, version: str, max_features: int, types: Types) -> None:
        self.model = model
        self.version = version
        self.profile = Profile(max_features)
        self._types = tuple(types.items())
        self._literal = frozenset(name for name, kind in self._types if kind is ValueType.CATEGORICAL)
        self.features = _Columns(self.profile.features, literal=self._literal)
        self.outputs = _Columns(self.profile.outputs, FLOAT_WORDS.get)  # a class may be named like a day
        self._together: defaultdict[tuple[str, ...], list[Numbers]] = defaultdict(list)
        self._together_rows = 0

    @property
    def pending(self) -> int:
        return self.features.pending + self.outputs.pending

    def flush(self) -> None:
        for names, blocks in self._together.items():
            self.profile.fold_together(names, blocks[0] if len(blocks) == 1 else np.concatenate(blocks, axis=1))
        self._together.clear()
        self._together_rows = 0
        self.features.flush()
        self.outputs.flush()

    def fold(self, batch: _Batch, tally: Tally) -> None:
        key = (self.model, self.version)
        if batch.predictions:
            tally.predictions[key] += len(batch.predictions)
            self._fold_outputs(batch.predictions, tally.latencies[key])
            rows = [document["features"] for document in batch.predictions]
            self._fold_features(self._typed(rows) if self._types else rows, tally)
        if batch.actuals:
            tally.actuals[key] += len(batch.actuals)
            self.profile.actuals += len(batch.actuals)
            self._fold_output("actual", [document["actual"] for document in batch.actuals])
        if batch.errors:
            tally.errors[key] += batch.errors
            self.profile.errors += batch.errors
        if max(self.features.pending_rows, self.outputs.pending_rows, self._together_rows) >= _PENDING_ROWS:
            self.flush()

    def _typed(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The rows with their features read as they are declared: those that are so already, and copies of others."""
        typed = list(rows)
        for name, kind in self._types:
            values = [row.get(name) for row in rows]
            if _SETTLED[kind].issuperset(map(type, values)):
                continue
            for index, value in enumerate(values):
                if (read := read_as(value, kind)) is not value:
                    if typed[index] is rows[index]:
                        typed[index] = rows[index].copy()
                    typed[index][name] = read
        return typed

    def _fold_outputs(self, documents: list[dict[str, Any]], latencies: list[float]) -> None:
        predictions = [document.get("prediction") for document in documents]
        if dict in map(type, predictions):
            classes = [prediction for prediction in predictions if type(prediction) is dict]
            predictions = [prediction for prediction in predictions if type(prediction) is not dict]
            tops, scores, sums = zip(*map(_top_class, classes), strict=True)
            self._fold_output("prediction", tops)
            self._fold_output("score", scores)
            self._fold_output("probability_sum", sums)
        if predictions:
            self._fold_output("prediction", predictions)
        taken: list[Any] = [document.get("latency_ms") for document in documents]
        if None in taken:
            taken = [latency for latency in taken if latency is not None]
        if taken:
            self._fold_output("latency_ms", taken)
            latencies += taken

    def _fold_output(self, name: str, values: Sequence[Any]) -> None:
        if not self.outputs.wait(name, values):
            self.outputs.fold(name, values)

    def _fold_features(self, rows: list[dict[str, Any]], tally: Tally) -> None:
        layouts: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        names: list[str] | None = None
        for row in rows:
            here = list(row)
            if here != names:
                names = here
                layout = layouts.setdefault(tuple(names), [])
                if len(layouts) > _DENSE_LAYOUTS and len(layouts) * 16 > len(rows):
                    self._fold_different(rows, tally)
                    return
            layout.append(row)
        for layout_names, layout in layouts.items():
            if layout_names:
                self._fold_dense(layout_names, list(chain.from_iterable(map(dict.values, layout))), tally)
            else:
                self._finish_rows(len(layout), set(), np.zeros(len(layout), dtype=_UINT64), tally)

    def _fold_dense(self, names: tuple[str, ...], flat: list[Any], tally: Tally) -> None:
        """Rows that all have these features in this order, null where they have none; their values row after row."""
        width = len(names)
        n = len(flat) // width
        kept = self._admit(names, tally)
        if len(kept) == width and _all_numbers(flat):
            matrix = np.ascontiguousarray(_array(flat).reshape(n, width).T)
            self._wait_together(names, matrix)
            self._finish_rows(n, kept, self.features.fold_numbers(names, matrix), tally)
            return
        hashes = np.zeros(n, dtype=_UINT64)
        numeric: list[str] = []
        columns: list[Numbers] = []
        booleans: list[str] = []
        truths: list[Numbers] = []
        for index, name in enumerate(names):
            values = flat[index::width]
            if name not in kept:
                continue
            if _all_numbers(values):
                numeric.append(name)
                columns.append(_array(values))
            elif _NUMBERS_AND_NULL.issuperset(map(type, values)):
                numeric.append(name)
                columns.append(np.array(values, dtype=np.float64))
            else:
                column_hashes, missing = self.features.fold(name, values)
                hashes += column_hashes
                if missing:
                    tally.missing[self.model, name] += missing
                if _BOOLEANS_AND_NULL.issuperset(map(type, values)):
                    booleans.append(name)
                    truths.append(np.array(values, dtype=np.float64))
                elif name not in self._literal and (read := _numbers_in(values)) is not None:
                    booleans.append(name)
                    truths.append(read)
        told = [
            (name, column)
            for name, column in zip((*numeric, *booleans), columns + truths, strict=True)
            if np.isfinite(column).any()
        ]
        if len(told) > 1:
            self._wait_together(tuple(name for name, _ in told), np.array([column for _, column in told]))
        if numeric:
            number_hashes, all_missing = self.features.fold_numbers_and_null(tuple(numeric), np.array(columns))
            hashes += number_hashes
            for name, missing in zip(numeric, all_missing, strict=True):
                if missing:
                    tally.missing[self.model, name] += missing
        self._finish_rows(n, kept, hashes, tally)

    def _wait_together(self, names: tuple[str, ...], matrix: Numbers) -> None:
        """Numbers of the same rows, shape (names, rows), null as NaN; rows of few common features are not brought."""
        if len(names) > 1:
            self._together[names].append(matrix)
            self._together_rows += matrix.shape[1]

    def _fold_different(self, rows: list[dict[str, Any]], tally: Tally) -> None:
        """Rows whose features differ."""
        # Sorted, so that the next batch's numbers wait in blocks of the same names.
        names = tuple(sorted(set(chain.from_iterable(rows))))
        if len(names) * len(rows) <= _FILLED * sum(map(len, rows)):
            self._fold_dense(names, [row.get(name) for row in rows for name in names], tally)
        else:
            self._fold_sparse(rows, tally)

    def _fold_sparse(self, rows: list[dict[str, Any]], tally: Tally) -> None:
        """Rows that have few features in common: each value is put into its column by hand."""
        n = len(rows)
        columns: defaultdict[str, tuple[list[int], list[Any]]] = defaultdict(lambda: ([], []))
        for index, row in enumerate(rows):
            for name, value in row.items():
                where, values = columns[name]
                where.append(index)
                values.append(value)
        kept = self._admit(columns, tally)
        hashes = np.zeros(n, dtype=_UINT64)
        for name, (where, values) in columns.items():
            if name not in kept:
                continue
            column_hashes, missing = self.features.fold(name, values)
            hashes[np.array(where)] += column_hashes
            absent = n - len(values)
            self.profile.features[name].missing += absent
            if missing + absent:
                tally.missing[self.model, name] += missing + absent
        self._finish_rows(n, kept, hashes, tally)

    def _admit(self, names: Collection[str], tally: Tally) -> set[str]:
        """Those of the names that are profiled."""
        kept = self.profile.admit(names)
        if self.profile.beyond:
            limit = tally.features_beyond_limit
            limit[self.model] = max(limit.get(self.model, 0), self.profile.beyond)
        return kept

    def _finish_rows(self, n: int, present: set[str], hashes: Hashes, tally: Tally) -> None:
        """Count `n` rows that had only the features `present`, each with its hash."""
        features = self.profile.features
        if len(present) < len(features):
            for name, feature in features.items():
                if name not in present:
                    feature.missing += n
                    tally.missing[self.model, name] += n
        self.profile.rows += n
        add_row_hashes(self.profile, hashes)


class _Columns:
    """Feature profiles by name, and the numbers that wait for their sketches.

    `read` says which texts are numbers, but for those under the `literal` names, which are all texts.
    """

    __slots__ = ("_blocks", "_literal", "_projected", "_read", "_with_null", "pending", "pending_rows", "profiles")

    def __init__(
        self,
        profiles: dict[str, FeatureProfile],
        read: Callable[[str], float | None] = number_in_text,
        literal: frozenset[str] = frozenset(),
    ) -> None:
        self.profiles = profiles
        self._read = read
        self._literal = literal
        self.pending = 0
        self.pending_rows = 0
        self._blocks: defaultdict[tuple[str, ...], list[Numbers]] = defaultdict(list)
        self._with_null: defaultdict[tuple[str, ...], list[Numbers]] = defaultdict(list)
        self._projected: defaultdict[str, list[Numbers]] = defaultdict(list)

    def fold_numbers(self, names: tuple[str, ...], matrix: Numbers) -> Hashes:
        """Numbers, finite or not, shape (features, rows); answers the rows' hashes, shape (rows,)."""
        self._blocks[names].append(matrix)
        self.pending += matrix.size
        self.pending_rows += matrix.shape[1]
        hashes: Hashes = (hash_numbers(matrix) * name_weights(names)).sum(axis=0, dtype=_UINT64)
        return hashes

    def fold_numbers_and_null(self, names: tuple[str, ...], matrix: Numbers) -> tuple[Hashes, list[int]]:
        """The same with NaN for null; answers also how many were null of each feature."""
        null = np.isnan(matrix)
        missing: list[int] = np.count_nonzero(null, axis=1).tolist()
        for name, count in zip(names, missing, strict=True):
            self._profile(name).missing += count
        self._with_null[names].append(matrix)
        self.pending += matrix.size
        self.pending_rows += matrix.shape[1]
        hashes = hash_numbers(matrix) * name_weights(names)
        hashes[null] = 0
        summed: Hashes = hashes.sum(axis=0, dtype=_UINT64)
        return summed, missing

    def fold(self, name: str, values: Sequence[Any]) -> tuple[Hashes, int]:
        """Values as JSON gave them; answers the rows' hashes, shape (rows,), and how many were null."""
        profile = self._profile(name)
        types = set(map(type, values))
        if types <= _NUMBERS:
            numbers = _array(values)
            self._wait((name,), numbers[np.newaxis])
            return hash_numbers(numbers) * name_weights((name,))[0], 0
        if types <= _NUMBERS_AND_NULL:
            hashes, [missing] = self.fold_numbers_and_null((name,), np.array([values], dtype=np.float64))
            return hashes, missing
        if types == {str}:
            return self._fold_strings(name, profile, values) * name_weights((name,))[0], 0
        hashes = np.zeros(len(values), dtype=_UINT64)
        missing = 0
        positions: defaultdict[type, list[int]] = defaultdict(list)
        for index, value in enumerate(values):
            positions[type(value)].append(index)
        for kind, where in positions.items():
            some = [values[index] for index in where]
            if kind is type(None):
                missing = len(some)
                profile.missing += missing
            elif kind is bool:
                true = np.array(some)
                profile.true += int(true.sum())
                profile.false += len(some) - int(true.sum())
                hashes[where] = np.where(true, _UINT64(TRUE_HASH), _UINT64(FALSE_HASH))
            elif kind is str:
                hashes[where] = self._fold_strings(name, profile, some)
            elif kind is list:
                hashes[where] = self._fold_lists(name, profile, some)
            elif kind in _NUMBERS:
                numbers = _array(some)
                self._wait((name,), numbers[np.newaxis])
                hashes[where] = hash_numbers(numbers)
            else:
                profile.other += len(some)
        return hashes * name_weights((name,))[0], missing

    def wait(self, name: str, values: Sequence[Any]) -> bool:
        """Take values that are all numbers, finite or not, and need no hash; False, and nothing taken, of others."""
        if not _all_numbers(values):
            return False
        self._profile(name)
        self._wait((name,), _array(values)[np.newaxis])
        return True

    def _profile(self, name: str) -> FeatureProfile:
        profile = self.profiles.get(name)
        if profile is None:
            profile = self.profiles[name] = FeatureProfile()
        return profile

    def flush(self) -> None:
        """Give every sketch the numbers that wait for it."""
        for names, blocks in self._blocks.items():
            matrix = blocks[0] if len(blocks) == 1 else np.concatenate(blocks, axis=1)
            for name, numbers in zip(names, matrix, strict=True):
                if name in self.profiles:  # else it has been left out since
                    self.profiles[name].update_numbers(numbers)
        for names, blocks in self._with_null.items():
            for name, numbers in zip(names, np.concatenate(blocks, axis=1), strict=True):
                if name in self.profiles:
                    self.profiles[name].update_numbers(numbers[~np.isnan(numbers)])
        for name, blocks in self._projected.items():
            if name in self.profiles:
                vector = self.profiles[name].vector
                assert vector is not None
                vector.update_projected(np.concatenate(blocks, axis=1))
        self._blocks.clear()
        self._with_null.clear()
        self._projected.clear()
        self.pending = self.pending_rows = 0

    def _wait(self, names: tuple[str, ...], matrix: Numbers) -> None:
        self._blocks[names].append(matrix)
        self.pending += matrix.size
        self.pending_rows += matrix.shape[1]

    def _fold_strings(self, name: str, profile: FeatureProfile, strings: Sequence[str]) -> Hashes:
        counts = Counter(strings)
        hashes = np.fromiter(
            map({text: hash_text(text) for text in counts}.__getitem__, strings), _UINT64, len(strings)
        )
        if name not in self._literal:
            for text in [text for text in counts if self._read(text) is not None]:
                self._wait((name,), np.full((1, counts.pop(text)), self._read(text)))
        if counts:
            profile.update_counts(counts)
        return hashes

    def _fold_lists(self, name: str, profile: FeatureProfile, lists: list[list[Any]]) -> Hashes:
        hashes = np.zeros(len(lists), dtype=_UINT64)
        by_dimension: defaultdict[int, list[int]] = defaultdict(list)
        for index, vector in enumerate(lists):
            if vector and _all_numbers(vector):
                by_dimension[len(vector)].append(index)
            else:
                profile.other += 1
        for dimension, where in by_dimension.items():
            vectors = _array(list(chain.from_iterable(lists[index] for index in where))).reshape(-1, dimension)
            hashes[where] = hash_vectors(vectors)
            if profile.vector is None:
                profile.vector = VectorSketch(dimension)
            if profile.vector.dimension != dimension:
                profile.vector.wrong_dimension += len(where)
                continue
            projected = profile.vector.project(vectors)
            usable = np.isfinite(projected).all(axis=0)
            profile.other += len(where) - int(np.count_nonzero(usable))
            self._projected[name].append(projected[:, usable])
            self.pending += projected.size
            self.pending_rows += len(where)
        return hashes


def _all_numbers(values: Sequence[Any]) -> bool:
    """Whether every value is a float or an int; true and false are neither."""
    types = list(map(type, values))
    return types.count(float) == len(types) or _NUMBERS.issuperset(types)


def _numbers_in(values: Sequence[Any]) -> Numbers | None:
    """Numbers, texts that stand for numbers, and null as NaN, shape (n,); None when there is anything else."""
    if not _NUMBERS_TEXTS_AND_NULL.issuperset(map(type, values)):
        return None
    first = next((value for value in values if type(value) is str), None)
    if first is not None and number_in_text(first) is None:
        return None
    read = {text: number_in_text(text) for text in {value for value in values if type(value) is str}}
    if None in read.values():
        return None
    return np.array([read[value] if type(value) is str else value for value in values], dtype=np.float64)


def _array(numbers: Sequence[float]) -> Numbers:
    """Numbers as an array, shape (n,); packing is twice as fast as numpy's own reading of a list."""
    return np.frombuffer(struct.pack(f"{len(numbers)}d", *numbers))


def _top_class(probabilities: dict[str, Any]) -> tuple[str | None, float, float]:
    """The most probable class, its probability, and the sum of all; no class when no probability is a number."""
    if str in set(map(type, probabilities.values())):
        probabilities = {name: FLOAT_WORDS.get(p, p) if type(p) is str else p for name, p in probabilities.items()}
    top = max(probabilities, key=lambda name: -math.inf if math.isnan(probabilities[name]) else probabilities[name])
    score = float(probabilities[top])
    return None if math.isnan(score) else top, score, float(sum(probabilities.values()))


def hash_numbers(numbers: Numbers) -> Hashes:
    """A hash of each number, the same in every process; equal numbers have equal ones."""
    bits = (numbers + 0.0).view(_UINT64)  # -0.0 becomes 0.0
    folded = bits >> _UINT64(32)
    folded ^= bits
    folded += _OFFSET
    return folded


@lru_cache(maxsize=1 << 14)
def hash_text(text: str) -> int:
    """A hash of the string, the same in every process; a text that stands for a number hashes as that number."""
    if (number := number_in_text(text)) is not None:
        return int(hash_numbers(np.array([number]))[0])
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def hash_vectors(vectors: Numbers) -> Hashes:
    """A hash of each row, shape (n, dimension) to (n,)."""
    hashes: Hashes = (hash_numbers(vectors) * _positions(vectors.shape[1])).sum(axis=1, dtype=_UINT64)
    return hashes


@lru_cache(maxsize=1024)
def name_weights(names: tuple[str, ...]) -> Hashes:
    """An odd multiplier for each name, shape (names, 1); a row's hash sums its values', so their order is no matter."""
    return np.array([[hash_text(name) | 1] for name in names], dtype=_UINT64)


@lru_cache(maxsize=64)
def _positions(dimension: int) -> Hashes:
    drawn = np.random.Generator(np.random.PCG64(dimension)).integers(0, 1 << 63, size=dimension, dtype=_UINT64)
    weights: Hashes = drawn | _UINT64(1)
    return weights


def add_row_hashes(profile: Profile, hashes: Hashes) -> None:
    """Count rows by their hashes, shape (n,), among the profile's distinct ones."""
    update = profile.distinct_rows.update
    for value in hashes.view(np.int64).tolist():
        update(value)
