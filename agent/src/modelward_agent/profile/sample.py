"""A bounded sample of a table's labelled rows, beside its reference profile: what performance is estimated from.

JSON lines, one a row: `features`, `prediction` and `actual` as a journal has them, and `@timestamp` where there is one.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from modelward_agent.profile.answers import Prediction, answer_column
from modelward_agent.profile.columns import Rows, json_values
from modelward_agent.profile.table import Batch, TableError

SUFFIX = ".sample.jsonl"
SEED = 20130101
_BATCH_AT_ONCE = 4_096


def sample_path(reference: Path | str) -> Path:
    """Where the sample of a reference file is: `fraud.profile.jsonl` has `fraud.profile.sample.jsonl`."""
    reference = Path(reference)
    name = reference.name.removesuffix(".jsonl")
    return reference.with_name(name + SUFFIX)


class SampleFileError(ValueError):
    """A sample file cannot be read; the message names the file and the line."""


class Reservoir:
    """Every row with an actual is as likely to be kept as any other; the same table gives the same rows.

    Each row draws a number, and the `size` smallest are kept (Efraimidis and Spirakis 2006, with equal weights), so
    memory is that of `size` rows.
    """

    def __init__(
        self,
        size: int,
        *,
        prediction: Prediction | str | None,
        actual: str | None,
        timestamp: str | None,
        seed: int = SEED,
    ) -> None:
        prediction = prediction if isinstance(prediction, Prediction) else Prediction(prediction)
        if not prediction or actual is None:
            raise TableError("a sample is of rows with prediction and actual; name both columns")
        self._size = size
        self._prediction = prediction
        self._actual = actual
        self._timestamp = timestamp
        self._random = np.random.default_rng(seed)
        self._seen = 0
        self._kept: list[tuple[float, int, bytes]] = []
        """A heap of (-drawn number, row, line): the first is the next to go."""

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, batch: Batch) -> None:
        """Look at a batch's rows, the file's next ones."""
        drawn = self._random.random(batch.rows)
        present = batch.arrays[self._actual].is_valid().to_numpy(zero_copy_only=False)
        wanted = np.flatnonzero(present)
        if len(self._kept) == self._size:
            wanted = wanted[drawn[wanted] < -self._kept[0][0]]
        elif len(wanted) > self._size:
            wanted = np.sort(wanted[np.argpartition(drawn[wanted], self._size)[: self._size]])
        for start in range(0, len(wanted), _BATCH_AT_ONCE):
            rows = wanted[start : start + _BATCH_AT_ONCE]
            for row, line in zip(rows.tolist(), self._lines(batch, rows), strict=True):
                item = (-float(drawn[row]), self._seen + row, line)
                if len(self._kept) < self._size:
                    heapq.heappush(self._kept, item)
                else:
                    heapq.heappushpop(self._kept, item)
        self._seen += batch.rows

    def lines(self) -> Iterator[bytes]:
        """The kept rows as JSON, in the table's order."""
        for _, _, line in sorted(self._kept, key=lambda item: item[1]):
            yield line

    def _lines(self, batch: Batch, rows: Rows) -> Iterator[bytes]:
        part = batch.taken(rows)
        apart = {self._timestamp, *self._prediction.columns, self._actual}
        features = {name: json_values(part.column(name)) for name in part.arrays if name not in apart}
        features = {name: values for name, values in features.items() if values}
        predictions = self._prediction.of(part).values()
        actuals = json_values(answer_column(part, self._actual))
        times = None if self._timestamp is None else part.times(self._timestamp).tolist()
        for index in range(part.rows):
            line: dict[str, Any] = {
                "features": {name: values[index] for name, values in features.items()},
                "prediction": predictions[index] if predictions else None,
                "actual": actuals[index] if actuals else None,
            }
            if times is not None:
                line["@timestamp"] = datetime.fromtimestamp(times[index], UTC).isoformat(timespec="microseconds")
            yield orjson.dumps(line)


def write_sample(path: Path | str, lines: Iterator[bytes]) -> int:
    """Write the lines and say how many; the file is there whole or as it was before."""
    path = Path(path)
    written = 0
    aside = path.with_name(f".{path.name}.partial")
    try:
        with aside.open("wb") as file:
            for line in lines:
                file.write(line + b"\n")
                written += 1
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    return written


def read_sample(path: Path | str) -> list[dict[str, Any]]:
    """The rows of a sample file; `SampleFileError`, or OSError when it cannot be opened."""
    path = Path(path)
    rows = []
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                row = orjson.loads(line)
            except orjson.JSONDecodeError as error:
                raise SampleFileError(f"{path}: line {number}: not JSON, or cut short: {error}") from error
            if not isinstance(row, dict) or not isinstance(row.get("features"), dict) or "actual" not in row:
                said = "not a row of a sample; make it with: modelward-agent profile FILE --sample 20000"
                raise SampleFileError(f"{path}: line {number}: {said}")
            rows.append(row)
    return rows
