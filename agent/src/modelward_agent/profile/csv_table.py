"""CSV files: what separates their columns, how they are encoded, and what each column's texts can be read as.

Needs pyarrow.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelward_agent.profile.arrow import (
    text_as_booleans,
    text_as_numbers_but_codes,
    text_as_times,
)

SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|", "space": " "}
_BLOCK = 8 << 20
_LONGEST_HEADER = 1 << 20
_DECIMAL_COMMA = r"^[+-]?[0-9]+(?:\.[0-9]{3})*,[0-9]+$"


class TableError(ValueError):
    """The file cannot be read as asked; the message names the file, the column and what to do."""


@dataclass(frozen=True, slots=True)
class CsvFormat:
    """How a CSV file is written. `separator` is a name of `SEPARATORS` or one character, by default the suffix's."""

    separator: str | None = None
    decimal: str = "."
    encoding: str = "utf-8"

    def __post_init__(self) -> None:
        if self.separator is not None and len(SEPARATORS.get(self.separator, self.separator)) != 1:
            names = ", ".join(SEPARATORS)
            raise TableError(f"--separator {self.separator!r}: write one character, or one of {names}")
        if self.decimal not in (".", ","):
            raise TableError(f"--decimal {self.decimal!r}: write . or ,")
        try:
            codecs.lookup(self.encoding)
        except LookupError:
            known = "for example utf-8, latin-1, cp1252 or utf-16"
            raise TableError(f"--encoding {self.encoding!r}: there is none of that name; write {known}") from None

    def separates(self, path: Path) -> str:
        """The character between two columns."""
        if self.separator is not None:
            return SEPARATORS.get(self.separator, self.separator)
        return "\t" if ".tsv" in path.suffixes else ","


def csv_names(path: Path, written: CsvFormat) -> list[str]:
    """The header's names. `TableError` when the header is of one column by this separator, and of more by another."""
    from pyarrow import csv as arrow_csv

    _check_encoding(path, written)
    _check_separator(path, written)
    with arrow_csv.open_csv(path, **_options(path, written)) as reader:
        names: list[str] = reader.schema.names
    return names


def _check_separator(path: Path, written: CsvFormat) -> None:
    import pyarrow as pa

    with pa.input_stream(str(path)) as file:
        head = codecs.decode(file.read(_LONGEST_HEADER), written.encoding, "replace").lstrip("\ufeff")
    line = head.splitlines()[0] if head.strip() else ""
    if not line:
        raise TableError(f"{path}: has no header line; write the columns' names, and a line for each row")
    if line.startswith("#"):
        raise TableError(f"{path}: begins with a comment, {line[:40]!r}; the columns' names come first, so remove it")
    mine = written.separates(path)
    if len(_parts(line, mine)) > 1:
        return
    for name, character in SEPARATORS.items():
        parts = _parts(line, character)
        if character != mine and name != "space" and len(parts) > 1:
            said = ", ".join(part.strip(' "') for part in parts[:5])
            raise TableError(
                f"{path}: its columns are separated by {name} ({said}{', …' if len(parts) > 5 else ''}), "
                f"and were read as one; give --separator {name}"
            )


def _parts(line: str, separator: str) -> list[str]:
    """A header's parts; what is quoted is one."""
    return next(csv.reader([line], delimiter=separator), [])


def csv_batches(
    path: Path, names: list[str], typed: frozenset[str], categories: frozenset[str], written: CsvFormat
) -> Iterator[Any]:
    """Two passes: the first finds what every value of a column can be read as, since its first rows may mislead.

    Columns that are `typed` stay text. So do `categories`, unless all are booleans or, as integers with gaps are mostly
    written, floats (`1067.0`): they are such in traffic, and their names as categories are other ones.
    """
    import pyarrow as pa

    readings = {name: _readings(written, category=name in categories) if name not in typed else {} for name in names}
    for batch in _text(path, names, written):
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            for reading, read in list(readings[name].items()):
                try:
                    read(column)
                except (pa.ArrowException, ValueError):
                    del readings[name][reading]
    for name, left in readings.items():
        if list(left) == ["decimal comma"]:
            raise TableError(
                f"{path}: column {name!r} has decimal commas and would be text; give --decimal , "
                f"(or --categorical {name})"
            )
        left.pop("decimal comma", None)
    chosen = {name: next(iter(left.values())) for name, left in readings.items() if left}
    for batch in _text(path, names, written):
        columns = [
            chosen[name](column) if name in chosen else column
            for name, column in zip(batch.schema.names, batch.columns, strict=True)
        ]
        yield pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _readings(written: CsvFormat, *, category: bool) -> dict[str, Callable[[Any], Any]]:
    """How a column may be read, the first that fits every value; none of them: a category."""
    if category:
        return {"boolean": text_as_booleans, "float": _floats}
    if written.decimal == ",":
        return {"boolean": text_as_booleans, "number": _with_commas, "time": text_as_times}
    return {
        "boolean": text_as_booleans,
        "number": text_as_numbers_but_codes,
        "time": text_as_times,
        "decimal comma": _decimal_commas,
    }


def _floats(array: Any) -> Any:
    """What programs write of floats; ArrowInvalid or ValueError when there is another text."""
    import pyarrow as pa

    if any(repr(float(text)) != text for text in array.unique().drop_null().to_pylist()):
        raise pa.ArrowInvalid("some values are written otherwise")
    return array.cast(pa.float64())


def _with_commas(array: Any) -> Any:
    from pyarrow import compute

    without_groups = compute.replace_substring(array, ".", "")
    return text_as_numbers_but_codes(compute.replace_substring(without_groups, ",", "."))


def _decimal_commas(array: Any) -> Any:
    """ArrowInvalid unless every value is written with a decimal comma."""
    import pyarrow as pa
    from pyarrow import compute

    words = array.drop_null()
    if not compute.all(compute.match_substring_regex(words, _DECIMAL_COMMA), min_count=0).as_py():
        raise pa.ArrowInvalid("some values have no decimal comma")
    return array


def _options(path: Path, written: CsvFormat) -> dict[str, Any]:
    from pyarrow import csv as arrow_csv

    return {
        "read_options": arrow_csv.ReadOptions(block_size=_BLOCK, encoding=written.encoding),
        "parse_options": arrow_csv.ParseOptions(delimiter=written.separates(path), newlines_in_values=True),
    }


def _text(path: Path, names: list[str], written: CsvFormat) -> Iterator[Any]:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    convert = arrow_csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()),
        include_columns=names,
        strings_can_be_null=True,
        null_values=[""],
        quoted_strings_can_be_null=True,
    )
    with arrow_csv.open_csv(path, convert_options=convert, **_options(path, written)) as reader:
        yield from reader


def _check_encoding(path: Path, written: CsvFormat) -> None:
    """`TableError` that names the encoding which the file seems to have."""
    import pyarrow as pa

    decoder = codecs.getincrementaldecoder(written.encoding)()
    with pa.input_stream(str(path)) as file:
        head = file.read(4)
        if "16" not in written.encoding and "32" not in written.encoding:
            for mark, name in ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")):
                if head.startswith(mark):
                    raise TableError(f"{path}: is encoded as {name}, not {written.encoding}; give --encoding {name}")
            if b"\x00" in head:
                guess = "utf-16-le" if head[1:2] == b"\x00" else "utf-16-be"
                raise TableError(f"{path}: has NUL bytes, as {guess} has; give --encoding {guess}")
        position, block = 0, head
        while block:
            try:
                decoder.decode(block)
            except UnicodeDecodeError as error:
                at = position + error.start
                wrong = f"byte {at:,} (0x{error.object[error.start]:02X})"
                raise TableError(
                    f"{path}: {wrong} is not {written.encoding}; give the file's encoding, for Western European text "
                    "mostly --encoding cp1252 (Windows) or latin-1"
                ) from error
            position += len(block)
            block = file.read(_BLOCK)
