"""Tables of past rows: the bytes are a CSV's or a Parquet file's, read with the columns in every part."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.fuzz.targets.journal import counts
from modelward_agent.profile import from_bytes, merged, to_bytes
from modelward_agent.profile.answers import Prediction
from modelward_agent.profile.reference import profile_file
from modelward_agent.profile.sample import Reservoir
from modelward_agent.profile.table import CsvFormat, TableError, Types, read_batches
from modelward_agent.profile.wire import key_of_document, profile_of_document

_SEPARATED = (CsvFormat(), CsvFormat(separator=";", decimal=","), CsvFormat(encoding="cp1252"))


def csv(data: bytes) -> None:
    """Only `TableError` comes, and names the file; what is read makes profiles that can be written and merged."""
    path = _file("fuzzed.csv")
    path.write_bytes(data)
    for written in _SEPARATED:
        _profiled(path, written)


def parquet(data: bytes) -> None:
    """The same of Parquet."""
    path = _file("fuzzed.parquet")
    path.write_bytes(data)
    _profiled(path, None)


def _profiled(path: Path, written: CsvFormat | None) -> None:
    names: list[str] = []
    with _table_errors(path):
        first = next(read_batches(path, (), (), Types(), written, _unsaid), None)
        names = [] if first is None else list(first.arrays)
    for parts in _parts(names):
        with _table_errors(path):
            documents = list(profile_file(path, model="fuzzed", written=written, warn=_unsaid, **parts))
            for document in documents:
                key_of_document(document)
            total = merged(profile_of_document(document) for document in documents)
            assert total.rows > 0
            assert counts(from_bytes(to_bytes(total))) == counts(total)


def _parts(names: list[str]) -> Iterator[dict[str, Any]]:
    """Ways to read a table: as it is, and with its first columns in every part that a column may have."""
    yield {}
    if names:
        first, last = names[0], names[-1]
        yield {"timestamp": first}
        yield {"prediction": first}
        yield {"actual": last, "segments": [first], "max_segments": 2}
        yield {"categorical": [first], "numeric": [last] if last != first else []}
        yield {"boolean": [last], "max_features": 1}
    if len(names) > 1:
        sample = Reservoir(10, prediction=first, actual=last, timestamp=None)
        yield {"prediction": first, "actual": last, "sample": sample}
        answers = Prediction(probabilities={first: "yes", last: "no"})
        yield {"prediction": answers}


@contextmanager
def _table_errors(path: Path) -> Iterator[None]:
    """What a `TableError` says names the file."""
    try:
        yield
    except TableError as error:
        assert str(path) in str(error), error


def _unsaid(_: str) -> None:
    """What is warned of is not looked at."""


@cache
def _folder() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="modelward-fuzz-")


def _file(name: str) -> Path:
    return Path(_folder().name) / name
