"""Other inputs out of one, in the form that a reader reads: what bytes that are changed blindly seldom reach.

Each function takes bytes and a source of chance and answers bytes; none raises, whatever the bytes are.
"""

from __future__ import annotations

import csv
import io
import json
import struct
import zlib
from collections.abc import Callable
from functools import cache
from random import Random
from typing import Any

Chance = Random

_NUMBERS = (0, -1, 1.5, -0.0, 5e-324, 1e308, -1e308, 2**31, 2**53 + 1, 2**63, 2**64 - 1, -(2**63), 10**30, 1e-7, 0.1)
_TIMES = (
    *("2026-07-01T12:34:56.123456Z", "2026-07-01T12:34:56Z", "2026-02-29T00:00:00Z", "2026-07-01T24:00:00Z"),
    *("2026-07-01T12:34:60Z", "1969-12-31T23:59:59Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00"),
    *("2026-07-01", "2026-07-01 12:34", "2026-07-01 12:34:56,789", "2026-07-01T12:34:56+0530", "20260701T123456"),
    *("2026-07-01T12:34:56.123456789+02:00", "2026-07-01 12:34:56 UTC", "0000-00-00", "2026-07-01T12:34:56+24:00"),
    *("Jul  1 12:34:56", "01/Jul/2026:12:34:56 +0000", "1782909296", "1782909296123", "12:34:56.5"),
)
_TEXTS = (
    *("", " ", "NaN", "Infinity", "-Infinity", "nan", "inf", "null", "None", "true", "FALSE", "yes", "01067", "1_000"),
    *("0x10", "1,5", "1.000,50", "1e5", "+1", "-", ".", "~nobody/x", "../../etc/passwd", "\x00", "a\x00b", "\x1b[31m"),
    *(
        "\ud800",
        "\ufeff",
        "\u2028",
        "é",
        "e\u0301",
        "日本語のテキスト",
        "🙂",
        "\u202e",
        "x" * 300,
        "a b c d e f g h i j",
    ),
    *("'; DROP TABLE", "{{7*7}}", "%s%n", "${HOME}", '"', "\\", "\r", "\t", "=1+1", "#N/A", "<script>", "a.b", "a|b"),
    *("5m", "0s", "99999999999w", "10GiB", "9" * 400, "*/5 * * * *", "@daily", "Europe/Berlin", "(", "(a+)+$", "[a"),
    *_TIMES,
)
_NAMES = (
    *("@timestamp", "kind", "model", "version", "id", "features", "prediction", "latency_ms", "segment", "actual"),
    *("message", "log.level", "log", "error", "error.type", "error.stack_trace", "host", "agent", "labels", "window"),
    *("stage", "pipeline", "run", "status", "duration_ms", "rows", "event", "value", "currency", "source", "business"),
    *("time", "ts", "level", "stream", "attrs", "exc_info", "segments", "vectors", "covers", "until", "profile"),
    *(
        "instances",
        "inputs",
        "predictions",
        "outputs",
        "columns",
        "data",
        "name",
        "shape",
        "parameters",
        "probabilities",
    ),
    *("label", "score", "service", "event", "url", "trace", "process", "segment_key", "part", "format", "kind_text"),
)
_KINDS = ("prediction", "actual", "error", "log", "stage", "business", "profile", "heartbeat", "acceptance")

# -- JSON --------------------------------------------------------------------------------------------------------------


def value(chance: Chance, depth: int = 0) -> Any:
    """Any JSON value, an odd one more often than not."""
    kind = chance.randrange(8 if depth < 3 else 5)
    if kind == 0:
        return chance.choice((None, True, False))
    if kind in (1, 2):
        return chance.choice(_NUMBERS)
    if kind in (3, 4):
        return chance.choice((*_KINDS, *_NAMES, *_TEXTS))
    if kind == 5:
        return [value(chance, depth + 1) for _ in range(chance.randrange(4))]
    if kind == 6:
        same = value(chance, 3)
        return [same] * chance.choice((1, 2, 17))
    return {name(chance): value(chance, depth + 1) for _ in range(chance.randrange(4))}


def name(chance: Chance) -> str:
    """A name that readers know, or another."""
    return chance.choice(_NAMES) if chance.randrange(4) else chance.choice(_TEXTS)


def changed(found: Any, chance: Chance) -> Any:
    """The value with one place in it changed."""
    inside = isinstance(found, dict | list) and found and chance.randrange(4)
    if isinstance(found, dict):
        if inside:
            key = chance.choice(list(found))
            return {**found, key: changed(found[key], chance)}
        change = chance.randrange(4)
        if change == 0 and found:
            gone = chance.choice(list(found))
            return {key: item for key, item in found.items() if key != gone}
        if change == 1 and found:
            old, new = chance.choice(list(found)), name(chance)
            return {new if key == old else key: item for key, item in found.items()}
        return {**found, name(chance): value(chance)}
    if isinstance(found, list) and found:
        at = chance.randrange(len(found))
        if inside:
            return [*found[:at], changed(found[at], chance), *found[at + 1 :]]
        return [*found[:at], *found[at + 1 :]] if chance.randrange(2) else [*found, value(chance)]
    return value(chance)


def as_json(found: Any, chance: Chance) -> bytes:
    """JSON, mostly as one writer or another writes it, at times beside the standard."""
    ascii_only = chance.randrange(3) > 0
    separators = (",", ":") if chance.randrange(2) else None
    text = json.dumps(found, ensure_ascii=ascii_only, separators=separators)
    if chance.randrange(20) == 0:
        text = text.replace('"NaN"', "NaN").replace('"Infinity"', "Infinity")
    if chance.randrange(40) == 0:
        deep = chance.choice((50, 2000))
        text = f'{{"features":{"[" * deep}{text}{"]" * deep}}}'
    return text.encode("utf-8", "surrogatepass" if chance.randrange(2) else "replace")


def json_lines(data: bytes, chance: Chance) -> bytes:
    """One line's object changed; a line doubled, dropped, or moved."""
    lines = data.split(b"\n")
    return b"\n".join(_lines(lines, chance, json_line))


def json_line(line: bytes, chance: Chance) -> bytes:
    """A line's object with something in it changed, or another one."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or chance.randrange(10) == 0:
        found = {"@timestamp": chance.choice(_TIMES), "kind": chance.choice(_KINDS), "model": "fraud", "id": "1"}
        found |= {"features": {"a": value(chance)}, "prediction": value(chance), "actual": value(chance)}
    return as_json(changed(found, chance), chance)


def _lines(lines: list[bytes], chance: Chance, line: Callable[[bytes, Chance], bytes]) -> list[bytes]:
    at = chance.randrange(len(lines))
    kind = chance.randrange(8)
    if kind == 0:
        return [*lines[:at], *lines[at + 1 :]]
    if kind == 1:
        return [*lines[: at + 1], *lines[at:]]
    if kind == 2:
        return [*lines[:at], line(lines[at], chance), *lines[at:]]
    return [*lines[:at], line(lines[at], chance), *lines[at + 1 :]]


# -- logs --------------------------------------------------------------------------------------------------------------

_LOG_LINES = (
    "Traceback (most recent call last):",
    '  File "app.py", line 3, in <module>',
    "ValueError: no such column",
    "During handling of the above exception, another exception occurred:",
    "java.lang.IllegalStateException: closed",
    "\tat com.example.Main.main(Main.java:3)",
    "Caused by: java.io.IOException: gone",
    "\t... 12 more",
    "ERROR something went wrong",
    "WARNING:root:slow",
    "   indented",
    "",
    "level=error msg=x",
    "[2026-07-01 12:34:56,789] [12] [INFO] started",
    "<11>Jul  1 12:34:56 host app[1]: failed",
    "E0701 12:34:56.123456 1 main.go:1] klog",
)


def log_lines(data: bytes, chance: Chance) -> bytes:
    """A line changed as logs' lines are: another one, wrapped by a container runtime, JSON, another encoding."""
    if chance.randrange(12) == 0:
        return _encoded(data, chance)
    return b"\n".join(_lines(data.split(b"\n"), chance, _log_line))


def _log_line(line: bytes, chance: Chance) -> bytes:
    kind = chance.randrange(7)
    if kind == 0:
        return json_line(line, chance)
    if kind == 1:
        stream, tag = chance.choice(("stdout", "stderr")), chance.choice("FP")
        return f"2026-07-01T12:34:{chance.randrange(60):02d}.123456789Z {stream} {tag} ".encode() + line
    if kind == 2:
        end = chance.choice(("\n", ""))
        wrapped = {"log": line.decode("utf-8", "replace") + end, "stream": chance.choice(("stdout", "stderr", "x"))}
        return json.dumps({**wrapped, "time": chance.choice(_TIMES)}).encode()
    if kind == 3:
        return chance.choice(_TIMES).encode() + b" " + line
    if kind == 4:
        return line + b"\r"
    if kind == 5:
        return text(line, chance)
    return chance.choice(_LOG_LINES).encode()


def _encoded(data: bytes, chance: Chance) -> bytes:
    words = data.decode("utf-8", "replace")
    return words.encode(
        chance.choice(("utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "latin-1", "utf-32")), "replace"
    )


# -- profiles ----------------------------------------------------------------------------------------------------------

_HEAD = struct.Struct(">3sBII")


def profile(data: bytes, chance: Chance) -> bytes:
    """Its header changed, or a byte of a sketch; the checksum is right."""
    if len(data) < _HEAD.size or chance.randrange(30) == 0:
        return chance.choice(_profiles())
    magic, version, length, _ = _HEAD.unpack_from(data)
    header, blobs = data[_HEAD.size : _HEAD.size + length], bytearray(data[_HEAD.size + length :])
    if blobs and chance.randrange(2):
        at = chance.randrange(len(blobs))
        blobs[at] = chance.choice((0, 1, 127, 128, 255, blobs[at] ^ (1 << chance.randrange(8))))
    else:
        try:
            header = json.dumps(changed(json.loads(header), chance)).encode("utf-8", "replace")
        except (ValueError, RecursionError):
            header = text(header, chance)
    body = header + bytes(blobs)
    checksum = zlib.crc32(body, version if version > 1 else 0)
    return _HEAD.pack(magic, version, len(header), checksum) + body


@cache
def _profiles() -> tuple[bytes, ...]:
    """Whole ones with everything in them."""
    from modelward_agent.journal.parse import Kind, Record
    from modelward_agent.profile.fold import Folder
    from modelward_agent.profile.wire import to_bytes

    found = []
    for rows in (1, 3, 900):
        folder = Folder("host")
        folder.fold(
            Record(
                Kind.PREDICTION,
                60.0,
                {
                    "model": "m",
                    "features": {
                        "n": row / 7,
                        "t": 1.7e9 + row,
                        "code": row % 3,
                        "c": f"c{row}",
                        "b": row % 2 == 0,
                        "text": f"a text of more than twenty letters {row}",
                        "v": [row, 1.0],
                        "gap": None,
                        "odd": "NaN",
                    },
                    "prediction": {"a": 0.25, "b": 0.75},
                    "latency_ms": 1.5,
                },
            )
            for row in range(rows)
        )
        found += [to_bytes(one) for _, one in folder.take()]
    return tuple(found)


# -- settings ----------------------------------------------------------------------------------------------------------

_SETTINGS = (
    *("elasticsearch", "urls", "batch_bytes", "password_file", "logs", "path", "format", "multiline", "fields"),
    *("log_filters", "name", "pattern", "query", "window", "events", "default", "models", "metrics", "listen", "tls"),
    *("model", "task", "tier", "reference", "kind", "start", "end", "features", "type", "min", "max", "values"),
    *("output", "classes", "labels", "timezone", "holidays", "expectations", "checks", "drift", "quality", "health"),
    *("performance", "every", "cron", "persistence", "thresholds", "positive", "volume_ratio", "expect", "where"),
    *("store", "calendar", "retention", "probes", "target", "auth", "directory", "groups", "roll_up", "executor"),
    *("certificate", "key_file", "port", "host", "base_path", "names", "feature", "columns", "at_most", "share"),
)
_YAML = (
    *("0000-00-00", "2026-02-30", "2026-07-01T12:34:56Z", "!!int ''", "!!int x", "!!float x", "!!binary é", "!!bool x"),
    *("!!timestamp x", "!!set {a}", "!!python/object:os.system x", "*a", "&a [*a]", "&a x", "!x y", "{", "[", "- -"),
    *("? [a]", "? {a: b}", "<<: *a", "<<: {a: b}", "\t", "|", ">-", "%YAML 1.2", "---", "...", "'", '"\\ud800"'),
    *('"\\x00"', "0o7", "0x", "1e5", ".inf", ".nan", "~", "null", "yes", "NO", "12:30:45", "9" * 5000, "-0", "1_0"),
    *("[" * 500, "{a: " * 300, "a: " * 30, "- " * 400),
)


def settings(data: bytes, chance: Chance) -> bytes:
    """A line's value, key or indentation changed."""
    return b"\n".join(_lines(data.split(b"\n"), chance, _settings_line))


def _settings_line(line: bytes, chance: Chance) -> bytes:
    words = line.decode("utf-8", "replace")
    indent = words[: len(words) - len(words.lstrip())]
    key, _, rest = words.strip().partition(":")
    odd = chance.choice((*_YAML, *_TEXTS))
    kind = chance.randrange(8)
    if kind < 3:
        changed_line = f"{indent}{key}: {odd}"
    elif kind == 3:
        changed_line = f"{indent}{chance.choice(_SETTINGS)}:{rest}"
    elif kind == 4:
        changed_line = f"{indent}{key}: {json.dumps(value(chance))}"
    elif kind == 5:
        changed_line = f"{indent}  {chance.choice(_SETTINGS)}: {odd}"
    elif kind == 6:
        changed_line = f"{indent}- {key}:{rest}"
    else:
        changed_line = f"{chance.choice((indent[:-2], indent + '  '))}{words.strip()}"
    return changed_line.encode("utf-8", "replace")


# -- tables ------------------------------------------------------------------------------------------------------------

_CELLS = (
    *_TEXTS,
    "NA",
    "#N/A",
    "1",
    "2.5",
    "-3",
    "2026-07-01 10:00",
    "True",
    "007",
    "+491701234567",
    "1.234,5",
    '"a""b"',
)


def csv_table(data: bytes, chance: Chance) -> bytes:
    """A cell, a column's every cell, or the form of the whole file changed."""
    words = data.decode("utf-8", "replace")
    delimiter = chance.choice((",", ",", ",", ";", "\t", "|"))
    try:
        rows = list(csv.reader(io.StringIO(words))) or [["a"]]
    except csv.Error:
        rows = [["a"], ["1"]]
    kind = chance.randrange(7)
    at = chance.randrange(len(rows))
    width = max(1, max(map(len, rows)))
    place = chance.randrange(width)
    if kind == 0:
        return _encoded(data, chance)
    if kind == 1:
        rows.append([chance.choice(_CELLS) for _ in range(width)])
    elif kind == 2:
        rows = [rows[0], *([*row[:place], chance.choice(_CELLS), *row[place + 1 :]] for row in rows[1:])]
    elif kind == 3:
        rows = [[*row, chance.choice(_CELLS)] for row in rows]
    elif kind == 4:
        rows[at] = rows[at][:-1]
    else:
        rows[at] = [*rows[at][:place], chance.choice(_CELLS), *rows[at][place + 1 :]]
    written = io.StringIO()
    end = chance.choice(("\n", "\r\n"))
    try:
        csv.writer(written, delimiter=delimiter, lineterminator=end).writerows(rows)
    except csv.Error:
        return data
    return written.getvalue().encode("utf-8", "replace")


def parquet(data: bytes, chance: Chance) -> bytes:
    """Another table of columns of any Arrow type that Parquet holds."""
    del data
    import pyarrow as pa
    from pyarrow import parquet as pq

    rows = chance.choice((0, 1, 2, 5))
    columns: dict[str, Any] = {}
    while len(columns) < 1 or chance.randrange(3):
        column = chance.choice(("a", "b", "t", "", "Unnamed: 0", "x" * 300, "é", *_NAMES[:10]))
        columns[column] = _column(pa, chance, rows)
    written = io.BytesIO()
    try:
        pq.write_table(pa.table(columns), written, compression=chance.choice(("snappy", "none", "zstd")))
    except (pa.ArrowException, ValueError):
        return b"PAR1"
    return written.getvalue()


def _column(pa: Any, chance: Chance, rows: int) -> Any:
    def some(*items: Any) -> list[Any]:
        return [chance.choice((*items, None)) for _ in range(rows)]

    whole, words = (0, 1, -1, 127), ("1", "0", "true", "2026-07-01", "NaN", "", "é", "01067", "x")
    moments = (0, 1, -1, 1_782_909_296, 2**40)
    kinds: tuple[tuple[Any, tuple[Any, ...]], ...] = (
        *((pa.type_for_alias(alias), whole) for alias in ("int8", "int64", "uint64", "float", "double")),
        (pa.float16(), (0.0, 1.5)),
        (pa.float64(), (float("nan"), float("inf"), 1e300, -0.0)),
        *((kind, words) for kind in (pa.string(), pa.large_string(), pa.string_view())),
        *((kind, (b"\xff", b"a")) for kind in (pa.binary(), pa.large_binary())),
        (pa.binary(2), (b"\xff\x00", b"ab")),
        (pa.bool_(), (True, False)),
        (pa.decimal128(10, 2), ()),
        *((pa.timestamp(unit, zone), moments) for unit in ("s", "ms", "us", "ns") for zone in (None, "UTC", "+02:00")),
        *((pa.duration(unit), moments) for unit in ("s", "ms", "us", "ns")),
        *((kind, (0, 1, 86_399)) for kind in (pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns"))),
        *((kind, (0, 1, -1)) for kind in (pa.date32(), pa.null())),
        (pa.list_(pa.float64()), ([0.5, 0.5], [1.0], [], [None], [float("nan"), 1.0])),
        (pa.list_(pa.float32(), 2), ([0.5, 0.5],)),
        (pa.large_list(pa.int32()), ([1, 2], [3])),
        (pa.list_(pa.string()), (["a"], [])),
        (pa.list_(pa.list_(pa.int8())), ([[1]], [])),
        (pa.struct({"yes": pa.float64(), "no": pa.float64()}), ({"yes": 0.5, "no": 0.5}, {"yes": None, "no": 1.0})),
        (pa.struct({"yes": pa.string()}), ({"yes": "x"},)),
        (pa.map_(pa.string(), pa.float64()), ([("a", 0.5)], [], [("a", None)])),
        (pa.dictionary(pa.int8(), pa.string()), words),
        (pa.dictionary(pa.int32(), pa.int64()), whole),
    )
    kind, items = chance.choice(kinds)
    try:
        return pa.array(some(*items) if not pa.types.is_null(kind) else [None] * rows, kind)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return pa.array([None] * rows, pa.string())


# -- the rest ----------------------------------------------------------------------------------------------------------


def exchange(data: bytes, chance: Chance) -> bytes:
    """The JSON of a request or of its response changed."""
    request, line, response = data.partition(b"\n---\n")
    if chance.randrange(2):
        return json_body(request, chance) + (line or b"\n---\n") + response
    return request + (line or b"\n---\n") + json_body(response, chance)


def json_body(body: bytes, chance: Chance) -> bytes:
    """Any JSON with something in it changed."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = {"instances": [value(chance)], "predictions": [value(chance)]}
    return as_json(changed(found, chance), chance)


def text(data: bytes, chance: Chance) -> bytes:
    """A stretch replaced, by an odd text or by another stretch; or a byte by another."""
    start = chance.randrange(len(data) + 1)
    end = min(len(data), start + chance.choice((0, 1, 1, 2, 8)))
    kind = chance.randrange(3)
    if kind == 0:
        new = chance.choice(_TEXTS).encode("utf-8", "surrogatepass")
    elif kind == 1:
        other = chance.randrange(len(data) + 1)
        new = data[other : other + chance.choice((1, 4, 16))]
    else:
        new = chance.choice("0123456789-:.,+TZ eE\n").encode()
    return data[:start] + new + data[end:]
