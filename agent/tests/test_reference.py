"""A reference made from a table says what the table says, in the form that profiles have everywhere."""

from __future__ import annotations

import base64
import builtins
import datetime as dt
import decimal
import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from modelward_agent.profile import (
    OTHER_SEGMENT,
    FeatureProfile,
    Profile,
    ProfileKey,
    csv_table,
    merged,
    reference,
)
from modelward_agent.profile.reference import (
    ReferenceFileError,
    TableError,
    profile_file,
    read_reference,
    write_reference,
)
from modelward_agent.profile.wire import FORMAT

DAY = 86_400
FIRST = 1_356_998_400
"""2013-01-01T00:00:00Z."""


def parquet_file(folder: Path, columns: dict[str, Any], row_group_size: int | None = None) -> Path:
    path = folder / "rows.parquet"
    parquet.write_table(pa.table(columns), path, row_group_size=row_group_size)
    return path


def csv_file(folder: Path, text: str) -> Path:
    path = folder / "rows.csv"
    path.write_text(text, encoding="utf-8")
    return path


def references(path: Path, **options: Any) -> list[tuple[ProfileKey, Profile]]:
    out = path.with_suffix(".jsonl")
    write_reference(out, profile_file(path, model="m", version="1", **options))
    return read_reference(out)


def profile_of(path: Path, **options: Any) -> Profile:
    [(_, profile)] = references(path, **options)
    return profile


def counts(feature: FeatureProfile) -> dict[str, int]:
    """Everything that a feature counted, by name, without the zeros."""
    names: Sequence[str] = (*FeatureProfile.COUNTS, "numbers", "strings", "vectors")
    return {name: getattr(feature, name) for name in names if getattr(feature, name)}


def test_every_type_of_a_parquet_column_is_counted_as_what_it_is(tmp_path: Path) -> None:
    day = dt.date(2013, 1, 2)
    moment = dt.datetime(2013, 1, 1, 0, 0, 1, 500_000)  # noqa: DTZ001 - the column has no zone
    columns = {
        "integer": pa.array([1, None, 0], pa.int8()),
        "float": pa.array([1.5, float("nan"), None], pa.float32()),
        "infinite": pa.array([float("inf"), float("-inf"), 2.0]),
        "decimal": pa.array([decimal.Decimal("1.25"), None, decimal.Decimal("2.50")]),
        "boolean": pa.array([True, False, None]),
        "string": pa.array(["a", "", None]),
        "large": pa.array(["a", "b", "a"], pa.large_string()),
        "dictionary": pa.array(["x", None, "x"]).dictionary_encode(),
        "codes": pa.array([7, None, 8]).dictionary_encode(),
        "date": pa.array([day, None, day]),
        "moment": pa.array([moment, None, moment], pa.timestamp("ns")),
        "zoned": pa.array([moment, moment, moment], pa.timestamp("us", tz="Europe/Berlin")),
        "time": pa.array([dt.time(0, 1), None, None], pa.time32("s")),
        "duration": pa.array([dt.timedelta(seconds=3), None, None], pa.duration("ms")),
        "embedding": pa.array([[1.0, 2.0], [3.0, 4.0], None], pa.list_(pa.float32(), 2)),
        "ragged": pa.array([[1, 2], [3, 4], [5]]),
        "holed": pa.array([[1.0, None], [], [1.0, 2.0]]),
        "object": pa.array([{"a": 1}, None, {"a": 2}]),
        "bytes": pa.array([b"a", b"b", None]),
        "nothing": pa.nulls(3),
    }
    profile = profile_of(parquet_file(tmp_path, columns))
    assert {name: counts(feature) for name, feature in profile.features.items()} == {
        "integer": {"numbers": 2, "missing": 1},
        "float": {"numbers": 2, "nan": 1, "missing": 1},
        "infinite": {"numbers": 3, "positive_infinity": 1, "negative_infinity": 1},
        "decimal": {"numbers": 2, "missing": 1},
        "boolean": {"true": 1, "false": 1, "missing": 1},
        "string": {"strings": 2, "missing": 1},
        "large": {"strings": 3},
        "dictionary": {"strings": 2, "missing": 1},
        "codes": {"numbers": 2, "missing": 1},
        "date": {"numbers": 2, "missing": 1},
        "moment": {"numbers": 2, "missing": 1},
        "zoned": {"numbers": 3},
        "time": {"numbers": 1, "missing": 2},
        "duration": {"numbers": 1, "missing": 2},
        "embedding": {"vectors": 2, "missing": 1},
        "ragged": {"vectors": 3},
        "holed": {"vectors": 1, "other": 2},
        "object": {"other": 2, "missing": 1},
        "bytes": {"strings": 2, "missing": 1},
        "nothing": {"missing": 3},
    }
    means = {
        name: profile.features[name].numeric for name in ("decimal", "date", "moment", "zoned", "time", "duration")
    }
    assert {name: sketch and sketch.moments.mean for name, sketch in means.items()} == {
        "decimal": 1.875,
        "date": FIRST + DAY,
        "moment": FIRST + 1.5,
        "zoned": FIRST + 1.5,
        "time": 60.0,
        "duration": 3.0,
    }
    assert profile.features["ragged"].vector is not None
    assert profile.features["ragged"].vector.wrong_dimension == 1


def test_a_csv_columns_type_is_the_one_that_fits_all_its_values(tmp_path: Path) -> None:
    path = csv_file(
        tmp_path,
        "number,late,flag,when,zoned,text,quoted,words,gaps,nan\n"
        '1,,true,2013-01-01,2013-01-01T01:00:00+01:00,1,"a, ""b""\nc",NA,,nan\n'
        '2.5,,False,2013-01-01 12:00:00,2013-01-01T00:00:00Z,x,"a, ""b""\nc",DE,NA,1\n'
        " 3e2 ,7,,,,2013-01-01,,DE,,2\n",
    )
    profile = profile_of(path)
    assert {name: counts(feature) for name, feature in profile.features.items()} == {
        "number": {"numbers": 3},
        "late": {"numbers": 1, "missing": 2},
        "flag": {"true": 1, "false": 1, "missing": 1},
        "when": {"numbers": 2, "missing": 1},
        "zoned": {"numbers": 2, "missing": 1},
        "text": {"strings": 2, "numbers": 1},
        "quoted": {"strings": 2, "missing": 1},
        "words": {"strings": 3},
        "gaps": {"missing": 3},
        "nan": {"numbers": 3, "nan": 1},
    }
    assert profile.features["quoted"].categorical is not None
    assert profile.features["quoted"].categorical.counts() == {'a, "b"\nc': 2}
    assert profile.features["zoned"].numeric is not None
    assert profile.features["zoned"].numeric.moments.mean == FIRST


def test_a_csv_column_whose_last_value_is_a_word_is_of_categories_from_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_table, "_BLOCK", 1000)
    path = csv_file(tmp_path, "code\n" + "12345\n" * 2_000 + "unknown\n")
    profile = profile_of(path)
    assert counts(profile.features["code"]) == {"strings": 2_001}


def test_overrides_choose_the_type(tmp_path: Path) -> None:
    columns = {
        "zip": pa.array([10115, 10117, None]),
        "floats": pa.array([1.0, 2.0, None]),
        "text": pa.array(["1.5", "", "2"]),
        "bit": pa.array([0, 1, None]),
    }
    path = parquet_file(tmp_path, columns)
    profile = profile_of(path, categorical=["zip", "floats"], numeric=["text"], boolean=["bit"])
    for name, expected in (("zip", {"10115": 1, "10117": 1}), ("floats", {"1": 1, "2": 1})):
        sketch = profile.features[name].categorical
        assert sketch is not None
        assert sketch.counts() == expected
    assert counts(profile.features["text"]) == {"numbers": 2, "missing": 1}
    assert counts(profile.features["bit"]) == {"true": 1, "false": 1, "missing": 1}


def test_rows_go_to_the_windows_of_their_times(tmp_path: Path) -> None:
    times = np.array([0, 1, DAY - 1, DAY, 5 * DAY + 7]) + FIRST
    moments = pa.array(times * 1_000_000, pa.timestamp("us"))
    path = parquet_file(tmp_path, {"at": moments, "x": pa.array(np.arange(5.0))})
    taken = references(path, timestamp="at")
    assert [(key.start, key.seconds, profile.rows) for key, profile in taken] == [
        (FIRST, DAY, 3),
        (FIRST + DAY, DAY, 1),
        (FIRST + 5 * DAY, DAY, 1),
    ]
    assert all(profile.features.keys() == {"x"} for _, profile in taken)
    assert [profile.rows for _, profile in references(path, timestamp="at", window_seconds=7 * DAY)] == [4, 1]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([FIRST, FIRST + 10]),
        pa.array([float(FIRST), FIRST + 0.5]),
        pa.array([dt.date(2013, 1, 1)] * 2),
        pa.array(["2013-01-01T00:00:00Z", "2013-01-01T02:00:00+01:00"]),
        pa.array(["2013-01-01", "2013-01-01 05:00:00"]),
        pa.array(["2013-01-01T05:00:00Z"] * 2).dictionary_encode(),
        pa.array([FIRST * 1000, FIRST * 1000 + 123]),
        pa.array([FIRST * 10**6, FIRST * 10**6 + 1]),
        pa.array([FIRST * 10**9, FIRST * 10**9 + 1]),
        pa.array(["2013-01-01T00:30:00.123456789", "2013-01-01T00:30:00.1"]),
        pa.array(["2013-01-01 00:30:00 UTC", "2013-01-01 00:30:00 +00:00"]),
        pa.array(["2013-01-01T10:00:00", "2013-01-01T10:00:00Z"]),
    ],
    ids=[
        "integers",
        "floats",
        "dates",
        "zoned texts",
        "texts",
        "dictionary",
        "milliseconds",
        "microseconds",
        "nanoseconds",
        "texts of nanoseconds",
        "words for the zone",
        "a zone in some",
    ],
)
def test_times_may_be_written_in_any_usual_way(tmp_path: Path, column: Any) -> None:
    [(key, profile)] = references(parquet_file(tmp_path, {"at": column, "x": [1, 2]}), timestamp="at")
    assert (key.start, profile.rows) == (FIRST, 2)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array([FIRST, None]), "no time in 1 rows"),
        (pa.array([FIRST / 1000, FIRST * 1e12]), "no Unix times"),
        (pa.array(["1969-12-31", "2013-01-01"]), "times before 1970"),
        (pa.array(["2013-01-01", "soon"]), "is no time"),
    ],
)
def test_a_column_that_is_no_time_is_refused(tmp_path: Path, column: Any, message: str) -> None:
    path = parquet_file(tmp_path, {"at": column, "x": [1, 2]})
    with pytest.raises(TableError, match=rf"rows.parquet: column 'at' .*{message}"):
        list(profile_file(path, model="m", timestamp="at"))


def test_prediction_and_actual_are_outputs_and_segments_stay_features(tmp_path: Path) -> None:
    columns = {
        "x": [1.0, 2.0, 3.0, 4.0],
        "region": ["eu", "us", None, "eu"],
        "score": [0.1, 0.2, 0.3, None],
        "label": ["yes", None, "no", "no"],
        "row": [1, 2, 3, 4],
    }
    path = parquet_file(tmp_path, {name: pa.array(values) for name, values in columns.items()})
    taken = dict(references(path, prediction="score", actual="label", segments=["region"], exclude=["row"]))
    assert {key.segment: profile.rows for key, profile in taken.items()} == {
        (("region", "eu"),): 2,
        (("region", "us"),): 1,
        (("region", ""),): 1,
    }
    total = merged(taken.values())
    assert total.features.keys() == {"x", "region"}
    assert counts(total.outputs["prediction"]) == {"numbers": 3, "missing": 1}
    assert counts(total.outputs["actual"]) == {"strings": 3}
    assert (total.rows, total.actuals) == (4, 3)


def test_segments_beyond_the_bound_are_one(tmp_path: Path) -> None:
    path = parquet_file(tmp_path, {"user": pa.array([f"u{index % 100}" for index in range(1000)])})
    rows = {key.segment: profile.rows for key, profile in references(path, segments=["user"])}
    assert len(rows) == 65
    assert rows[OTHER_SEGMENT] == 360


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_a_large_tables_summaries_are_those_of_numpy(tmp_path: Path, form: str) -> None:
    rng = np.random.default_rng(8)
    n = 200_000
    values = rng.gamma(2.0, size=n)
    names = rng.choice(["a", "b", "c"], size=n, p=[0.6, 0.3, 0.1])
    rows = pa.table({"x": values, "name": names, "same": np.zeros(n)})
    path = tmp_path / f"rows.{form}"
    if form == "parquet":
        parquet.write_table(rows, path, row_group_size=50_000)
    else:
        csv.write_csv(rows, path)
    profile = profile_of(path)
    sketch, categories = profile.features["x"].numeric, profile.features["name"].categorical
    assert sketch is not None
    assert categories is not None
    assert sketch.moments.mean == pytest.approx(values.mean(), rel=1e-12)
    assert sketch.moments.variance == pytest.approx(values.var(ddof=1), rel=1e-10)
    points = np.quantile(values, [0.05, 0.25, 0.5, 0.75, 0.95])
    assert sketch.cdf(points) == pytest.approx([0.05, 0.25, 0.5, 0.75, 0.95], abs=2 * sketch.rank_error)
    assert categories.counts() == {name: int((names == name).sum()) for name in "abc"}
    assert profile.distinct_rows.get_estimate() == pytest.approx(n, rel=5 * 0.0163)


def test_a_feature_has_as_many_rows_as_its_profile(tmp_path: Path) -> None:
    columns = {"at": pa.array(np.arange(3000) * 3600 + FIRST), "x": pa.array(np.arange(3000)), "y": pa.nulls(3000)}
    for _, profile in references(parquet_file(tmp_path, columns), timestamp="at"):
        assert {feature.rows for feature in profile.features.values()} == {profile.rows}


def test_many_windows_are_given_out_in_parts_that_merge_to_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference, "_OPEN_FEATURES", 100)
    n = 150_000
    times = FIRST + np.random.default_rng(6).integers(0, 400, size=n) * DAY
    documents = list(profile_file(parquet_file(tmp_path, {"at": pa.array(times)}), model="m", timestamp="at"))
    assert len(documents) > 400
    assert len({document["part"] for document in documents}) == len(documents)
    assert len({document["@timestamp"] for document in documents}) == 400
    assert sum(document["rows"] for document in documents) == n


def test_a_compressed_csv_and_one_with_tabs_are_read(tmp_path: Path) -> None:
    zipped = tmp_path / "rows.csv.gz"
    zipped.write_bytes(gzip.compress(b"a,b\n1,x\n2,y\n"))
    tabs = tmp_path / "rows.tsv"
    tabs.write_text("a\tb\n1\tx\n2\ty\n")
    for path in (zipped, tabs):
        [document] = profile_file(path, model="m")
        assert document["rows"] == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"timestamp": "when"}, "no column 'when'; it has a, b"),
        ({"exclude": ["c"]}, "no column 'c'"),
        ({"categorical": ["c"]}, "no column 'c'"),
        ({"numeric": ["b"]}, "column 'b': .*'[xy]'"),
        ({"boolean": ["a"]}, "column 'a': some values are neither 0 nor 1|column 'a': some values are neither true"),
        ({"prediction": "a", "exclude": ["a"]}, "both used and excluded"),
    ],
)
def test_what_cannot_be_done_is_said_with_file_and_column(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    path = csv_file(tmp_path, "a,b\n1,x\n2,y\n")
    with pytest.raises(TableError, match=rf"rows\.csv: .*({message})"):
        list(profile_file(path, model="m", **options))


@pytest.mark.parametrize(
    "content",
    [b"", b"a,b\n", b"a,b\n1,2,3\n", b"a,a\n1,2\n", b"a\n\xff\xfe\n", b"PAR1 but not really", b"PAR1"],
    ids=["empty", "header", "ragged", "twice", "latin-1", "no parquet", "cut"],
)
def test_a_file_that_is_no_table_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    with pytest.raises(TableError, match=r"rows\.csv: "):
        list(profile_file(path, model="m"))


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"none\.csv: no such file"):
        list(profile_file(tmp_path / "none.csv", model="m"))


def test_without_pyarrow_the_command_that_installs_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    imported = builtins.__import__

    def without_pyarrow(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return imported(name, *args, **kwargs)

    path = csv_file(tmp_path, "a\n1\n")
    monkeypatch.setattr(builtins, "__import__", without_pyarrow)
    with pytest.raises(TableError, match="pip install 'pyarrow>=20'"):
        list(profile_file(path, model="m"))


def test_a_reference_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "reference.jsonl"
    path.write_text("the old one")

    def interrupted() -> Any:
        yield {"kind": "profile"}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_reference(path, interrupted())
    assert path.read_text() == "the old one"
    assert [entry.name for entry in tmp_path.iterdir()] == ["reference.jsonl"]


def test_a_damaged_reference_is_named_by_file_and_line(tmp_path: Path) -> None:
    [document] = profile_file(csv_file(tmp_path, "a\n1\n"), model="m")
    line = orjson.dumps(document)
    cut = orjson.dumps({**document, "profile": document["profile"][:-8]})
    broken: dict[str, bytes] = {
        "line 2: not JSON": line + b"\n" + line[:-20],
        "line 1: not a profile document": b'{"kind": "prediction"}\n',
        "line 3: the profile is cut short": line + b"\n\n" + cut,
        "line 1: not a profile document: KeyError": orjson.dumps({"kind": "profile"}),
        "line 1: not a profile document: TypeError": orjson.dumps({**document, "window": None}),
        "line 1: not a profile": b"[1]",
        "holds no profile": b"\n",
    }
    path = tmp_path / "reference.jsonl"
    for message, content in broken.items():
        path.write_bytes(content)
        with pytest.raises(ReferenceFileError, match=rf"reference\.jsonl: {message}") as raised:
            read_reference(path)
        assert str(path) in str(raised.value)


def test_a_reference_of_a_newer_format_is_refused_by_name(tmp_path: Path) -> None:
    [document] = profile_file(csv_file(tmp_path, "a\n1\n"), model="m")
    content = bytearray(base64.b64decode(document["profile"]))
    content[3] = FORMAT + 1
    path = tmp_path / "reference.jsonl"
    path.write_bytes(orjson.dumps({**document, "profile": base64.b64encode(content).decode()}))
    with pytest.raises(ReferenceFileError, match=rf"reference\.jsonl: line 1: profile format {FORMAT + 1} is newer"):
        read_reference(path)
