"""Reference profiles: made from a table of past rows, written to and read from a file.

The file is JSON lines, one profile document (`wire.to_document`) a line, so a reference has the form that profiles have
on the wire and in the store.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from modelward_agent.bounds import MAX_FEATURES, MOST_FEATURES
from modelward_agent.profile.answers import Prediction, answer_column
from modelward_agent.profile.columns import Column, Rows
from modelward_agent.profile.comoments import FEATURES_MAX
from modelward_agent.profile.feature import FeatureProfile
from modelward_agent.profile.fold import Hashes, Numbers, add_row_hashes, name_weights
from modelward_agent.profile.profile import OTHER_SEGMENT, Profile, ProfileKey, Segment
from modelward_agent.profile.sample import Reservoir
from modelward_agent.profile.table import Batch, CsvFormat, TableError, Types, read_batches
from modelward_agent.profile.wire import ProfileFormatError, key_of_document, profile_of_document, to_document
from modelward_agent.values import ValueType

_log = logging.getLogger(__name__)

REFERENCE_HOST = "reference"
"""The host that a reference's profiles name."""

DAY = 86_400
_LONGEST_FIRST_LINE = 1 << 30
_OPEN_FEATURES = 20_000
"""Features of all open profiles, about 10 kB each; beyond it the oldest profiles are given out, and a later row of
theirs makes a second part."""

__all__ = ["REFERENCE_HOST", "ReferenceFileError", "TableError", "profile_file", "read_reference", "write_reference"]


class ReferenceFileError(ValueError):
    """A reference file cannot be read; the message names the file, the line and what to do."""


def profile_file(
    path: Path | str,
    *,
    model: str,
    version: str = "",
    timestamp: str | None = None,
    window_seconds: int | None = None,
    prediction: Prediction | str | None = None,
    actual: str | None = None,
    segments: Sequence[str] = (),
    exclude: Collection[str] = (),
    categorical: Collection[str] = (),
    numeric: Collection[str] = (),
    boolean: Collection[str] = (),
    declared: Mapping[str, ValueType] | None = None,
    max_segments: int = 64,
    max_features: int = MAX_FEATURES,
    written: CsvFormat | None = None,
    sample: Reservoir | None = None,
    warn: Callable[[str], object] = _log.warning,
) -> Iterator[dict[str, Any]]:
    """Profile documents of the rows of a Parquet or CSV file, one a window and segment.

    `timestamp` names the column of the rows' times (dates, timestamps, ISO 8601 or Unix seconds) that puts them into
    windows of `window_seconds`, a day by default; without it all rows are one window. `prediction` and `actual` become
    outputs, `segments` columns stay features too unless excluded, `exclude` columns are no features, every other column
    is one, but for the index of a data frame. Its type is the file's, or for CSV the one that fits all its values,
    unless an override names it; what is `declared` of a feature is read as the agent reads it in traffic. Null, and in
    CSV an empty field, is missing; NaN is counted as NaN. A `sample` is shown every row. Of more features than
    `max_features` the first by name are profiled, as the agent does of traffic, and `warn` is told.

    Memory is bounded by a batch of rows and `_OPEN_FEATURES`. Raises `TableError`, which names file and column.
    """
    path = Path(path)
    types = Types(frozenset(categorical), frozenset(numeric), frozenset(boolean), declared or {})
    prediction = prediction if isinstance(prediction, Prediction) else Prediction(prediction)
    named = {name for name in (timestamp, *prediction.columns, actual, *segments) if name is not None}
    if both := (named - set(segments)) & set(exclude):
        raise TableError(f"{path}: column {min(both)!r} is both used and excluded")
    reference = _Reference(
        model,
        version,
        timestamp,
        window_seconds or DAY,
        prediction,
        actual,
        tuple(sorted(segments)),
        max_segments,
        max_features,
        frozenset(exclude),
    )
    rows = 0
    unread = set(exclude) - set(segments)
    for batch in read_batches(path, named, unread, types, written, warn):
        if not rows and (beyond := reference.features_of(batch)[max_features:]):
            warn(
                f"{path}: of {max_features + len(beyond):,} features the last {len(beyond):,} by name, from "
                f"{beyond[0]!r} on, are left out; --max-features N profiles more, up to {MOST_FEATURES:,} (set "
                "max_features in agent.yml alike), --exclude fewer"
            )
        reference.fold(batch)
        if sample is not None:
            sample.add(batch)
        rows += batch.rows
        yield from reference.take(keep=_OPEN_FEATURES // max(1, len(batch.arrays)))
    if rows == 0:
        raise TableError(f"{path}: has no rows")
    yield from reference.take(keep=0)


class _Reference:
    """The profiles that a file's rows are put into."""

    def __init__(
        self,
        model: str,
        version: str,
        timestamp: str | None,
        window_seconds: int,
        prediction: Prediction,
        actual: str | None,
        segments: tuple[str, ...],
        max_segments: int,
        max_features: int,
        excluded: frozenset[str],
    ) -> None:
        self.model = model
        self.version = version
        self.timestamp = timestamp
        self.window_seconds = window_seconds
        self.prediction = prediction
        self.actual = actual
        self.segments = segments
        self.max_segments = max_segments
        self.max_features = max_features
        self.excluded = excluded
        self.profiles: dict[ProfileKey, Profile] = {}
        self.known: defaultdict[int, set[Segment]] = defaultdict(set)
        self.parts = 0

    def fold(self, batch: Batch) -> None:
        """Add a batch's rows to their profiles."""
        predictions = self.prediction.of(batch) if self.prediction else None
        actuals = answer_column(batch, self.actual) if self.actual is not None else None
        names = self.features_of(batch)
        features = {name: batch.column(name) for name in names[: self.max_features]}
        for start, segment, rows in self._groups(batch):
            profile = self._profile(start, segment)
            profile.admit(names)
            hashes = np.zeros(len(rows), dtype=np.uint64)
            for name, column in features.items():
                hashes += _fold(profile.features, name, column, rows) * name_weights((name,))[0]
            if predictions is not None:
                predictions.fold(profile.outputs, rows)
            if actuals is not None:
                _fold(profile.outputs, "actual", actuals, rows)
            together = _first_numbers(features, rows)
            if len(together) > 1:
                profile.fold_together(tuple(together), np.array(list(together.values())))
            profile.rows += len(rows)
            add_row_hashes(profile, hashes)
            if (actual := profile.outputs.get("actual")) is not None:
                profile.actuals, actual.missing = actual.present, 0

    def features_of(self, batch: Batch) -> list[str]:
        """The names of the batch's features, sorted."""
        apart = {self.timestamp, *self.prediction.columns, self.actual, *self.excluded}
        return sorted(batch.arrays.keys() - apart)

    def take(self, *, keep: int) -> Iterator[dict[str, Any]]:
        """Documents of the profiles beyond `keep`, the earliest first; they are kept no longer."""
        if len(self.profiles) <= keep:
            return
        for key in sorted(self.profiles, key=lambda key: (key.start, key.segment))[: len(self.profiles) - keep // 2]:
            self.parts += 1
            yield to_document(key, self.profiles.pop(key), part=f"{REFERENCE_HOST}-{self.parts:06d}")

    def _groups(self, batch: Batch) -> Iterator[tuple[int, Segment, Rows]]:
        """The batch's rows by window and segment."""
        labels = np.zeros(batch.rows, dtype=np.int64)
        if self.timestamp is not None:
            labels = np.floor(batch.times(self.timestamp) / self.window_seconds).astype(np.int64)
        starts, codes = np.unique(labels, return_inverse=True)
        segments: list[Segment] = [()]
        if self.segments:
            texts = zip(*(batch.categories(name) for name in self.segments), strict=True)
            places: dict[tuple[str, ...], int] = {}
            places_of_rows = np.array([places.setdefault(values, len(places)) for values in texts], dtype=np.int64)
            segments = [tuple(zip(self.segments, values, strict=True)) for values in places]
            codes = codes * len(segments) + places_of_rows
        order = np.argsort(codes, kind="stable")
        groups, first = np.unique(codes[order], return_index=True)
        for group, rows in zip(groups.tolist(), np.split(order, first[1:]), strict=True):
            yield int(starts[group // len(segments)]) * self.window_seconds, segments[group % len(segments)], rows

    def _profile(self, start: int, segment: Segment) -> Profile:
        known = self.known[start]
        if segment and segment not in known:
            if len(known) < self.max_segments:
                known.add(segment)
            else:
                segment = OTHER_SEGMENT
        key = ProfileKey(REFERENCE_HOST, self.model, self.version, segment, start, self.window_seconds)
        return self.profiles.setdefault(key, Profile(self.max_features))


def _first_numbers(features: dict[str, Column], rows: Rows) -> dict[str, Numbers]:
    """The values of the features of which it is counted how they move together, the first by name."""
    found: dict[str, Numbers] = {}
    for name, column in features.items():
        numbers = column.numbers(rows) if len(found) < FEATURES_MAX else None
        if numbers is not None and np.isfinite(numbers).any():
            found[name] = numbers
    return found


def _fold(profiles: dict[str, FeatureProfile], name: str, column: Column, rows: Rows) -> Hashes:
    feature = profiles.get(name)
    if feature is None:
        feature = profiles[name] = FeatureProfile()
    return column.fold(feature, rows)


def write_reference(path: Path | str, documents: Iterable[dict[str, Any]]) -> int:
    """Write documents, one a line, and say how many; the file is there whole or as it was before."""
    path = Path(path)
    written = 0
    descriptor, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            for document in documents:
                file.write(orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE))
                written += 1
            file.flush()
            os.fsync(file.fileno())
        Path(aside).chmod(0o644)  # mkstemp's file is its owner's alone
        Path(aside).replace(path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise
    return written


def check_reference(path: Path | str) -> None:
    """`ReferenceFileError` for a file that is no reference, from its first line alone; OSError when it is not there."""
    path = Path(path)
    with path.open("rb") as file:
        head = file.read(4)
        table = head == b"PAR1" or path.suffix.lower() in (".csv", ".tsv")
        line = head + file.readline(_LONGEST_FIRST_LINE)
    try:
        document = orjson.loads(line)
        if isinstance(document, dict) and document.get("kind") == "profile":
            return
    except orjson.JSONDecodeError:
        pass
    what = "a table of rows" if table else "not a reference profile"
    table_name, output = path.name if table else "TABLE", path.stem.removesuffix(".profile")
    raise ReferenceFileError(
        f"{path.name} is {what}; make one of the table of past rows: "
        f"modelward-agent profile {table_name} --model NAME -o {output}.profile.jsonl"
    )


def read_reference(path: Path | str) -> list[tuple[ProfileKey, Profile]]:
    """The profiles of a reference file, in its order. `ReferenceFileError`, or OSError when it cannot be opened."""
    path = Path(path)
    profiles = []
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                document = orjson.loads(line)
                if not isinstance(document, dict) or document.get("kind") != "profile":
                    raise ReferenceFileError("not a profile document; make it with: modelward-agent profile FILE")
                profiles.append((key_of_document(document), profile_of_document(document)))
            except orjson.JSONDecodeError as error:
                raise ReferenceFileError(f"{path}: line {number}: not JSON, or cut short: {error}") from error
            except (KeyError, TypeError, AttributeError) as error:
                raise ReferenceFileError(f"{path}: line {number}: not a profile document: {error!r}") from error
            except (ReferenceFileError, ProfileFormatError, ValueError) as error:
                raise ReferenceFileError(f"{path}: line {number}: {error}") from error
    if not profiles:
        raise ReferenceFileError(f"{path}: holds no profile; make it with: modelward-agent profile FILE")
    return profiles
