"""Tables as people have them: separators, encodings, indices, and answers in every form."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from modelward_agent.cli import main
from modelward_agent.profile import Profile, merged
from modelward_agent.profile.reference import read_reference
from modelward_agent.profile.sample import read_sample


def profiled(path: Path, *options: str, status: int = 0) -> Profile:
    out = path.parent / "out.jsonl"
    assert main(["profile", str(path), "--model", "m", "-o", str(out), *options]) == status
    return merged(profile for _, profile in read_reference(out)) if status == 0 else Profile()


def csv_file(folder: Path, content: str | bytes, name: str = "rows.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


# -- separators, decimals, encodings ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("separator", "named"), [(";", "semicolon"), ("\t", "tab"), ("|", "pipe")], ids=["semicolon", "tab", "pipe"]
)
def test_another_separator_is_named_and_then_read(
    tmp_path: Path, separator: str, named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = csv_file(tmp_path, f"id{separator}x{separator}y\n1{separator}2.5{separator}a\n3{separator}4.5{separator}b\n")
    profiled(path, status=2)
    assert f"separated by {named} (id, x, y), and were read as one; give --separator {named}" in capsys.readouterr().err
    for given in (named, separator):
        assert profiled(path, "--separator", given).features.keys() == {"id", "x", "y"}


def test_a_separator_is_named_though_rows_hold_commas(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profiled(csv_file(tmp_path, "id;x;y\n1;2,5;a\n3;4,5;b\n"), status=2)
    assert "give --separator semicolon" in capsys.readouterr().err


def test_a_quoted_separator_separates_nothing(tmp_path: Path) -> None:
    assert profiled(csv_file(tmp_path, '"a;b"\n1\n')).features.keys() == {"a;b"}


@pytest.mark.parametrize(
    ("content", "says"), [("# made by a tool\na,b\n1,2\n", "begins with a comment"), ("", "has no header line")]
)
def test_a_file_without_a_header_is_told_so(
    tmp_path: Path, content: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    profiled(csv_file(tmp_path, content), status=2)
    assert says in capsys.readouterr().err


def test_a_table_of_one_column_needs_no_separator(tmp_path: Path) -> None:
    assert profiled(csv_file(tmp_path, "x\n1\n2\n")).features.keys() == {"x"}


def test_decimal_commas_are_named_and_then_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = csv_file(tmp_path, "x;y\n2,5;a\n1.004,25;b\n")
    profiled(path, "--separator", "semicolon", status=2)
    assert "column 'x' has decimal commas and would be text; give --decimal ," in capsys.readouterr().err
    numeric = profiled(path, "--separator", "semicolon", "--decimal", ",").features["x"].numeric
    assert numeric is not None
    assert numeric.values == {2.5: 1, 1004.25: 1}
    assert profiled(path, "--separator", "semicolon", "--categorical", "x").features["x"].strings == 2


@pytest.mark.parametrize(
    ("encoding", "says"),
    [
        ("latin-1", "byte 8 (0xFC) is not utf-8"),
        ("cp1252", "byte 8 (0xFC) is not utf-8"),
        ("utf-16", "is encoded as utf-16, not utf-8; give --encoding utf-16"),
        ("utf-16-le", "has NUL bytes, as utf-16-le has; give --encoding utf-16-le"),
        ("utf-16-be", "has NUL bytes, as utf-16-be has; give --encoding utf-16-be"),
    ],
)
def test_another_encoding_is_named_and_then_read(
    tmp_path: Path, encoding: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = csv_file(tmp_path, "name,x\nMüller,1\n".encode(encoding))
    profiled(path, status=2)
    assert says in capsys.readouterr().err
    names = profiled(path, "--encoding", encoding).features["name"].categorical
    assert names is not None
    assert names.counts() == {"Müller": 1}


def test_a_byte_order_mark_of_utf_8_is_no_part_of_a_name(tmp_path: Path) -> None:
    assert profiled(csv_file(tmp_path, b"\xef\xbb\xbfid,x\n1,2\n")).features.keys() == {"id", "x"}


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--separator", "colons", "--separator 'colons': write one character, or one of comma"),
        ("--decimal", ";", "--decimal ';': write . or ,"),
        ("--encoding", "klingon", "--encoding 'klingon': there is none of that name"),
    ],
)
def test_what_no_csv_has_is_refused(
    tmp_path: Path, option: str, value: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    profiled(csv_file(tmp_path, "x\n1\n"), option, value, status=2)
    assert says in capsys.readouterr().err


def test_codes_are_no_numbers(tmp_path: Path) -> None:
    path = csv_file(
        tmp_path, "zip,phone,intl,number,share,zero\n01067,0049,+491234567,1,0.5,0\n12345,1,+4912345678,+5,.25,0.0\n"
    )
    features = profiled(path).features
    assert [features[name].strings for name in ("zip", "phone", "intl")] == [2, 2, 2]
    assert [features[name].numbers for name in ("number", "share", "zero")] == [2, 2, 2]


# -- an index is no feature ------------------------------------------------------------------------------------------


def test_an_unnamed_index_of_a_csv_is_no_feature(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rows.csv"
    pd.DataFrame({"a": [1, 2], "b": [3, 4]}).to_csv(path)
    assert profiled(path).features.keys() == {"a", "b"}
    assert "'' is the index of a data frame and no feature" in capsys.readouterr().err
    pd.read_csv(path).to_csv(path, index=False)
    assert profiled(path).features.keys() == {"a", "b"}
    assert profiled(path, "--numeric", "Unnamed: 0").features.keys() == {"Unnamed: 0", "a", "b"}


def test_an_index_of_a_parquet_is_no_feature_unless_it_is_asked_for(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1, 2, 3]})
    path = tmp_path / "rows.parquet"
    frame.set_axis(["r1", "r2", "r3"]).to_parquet(path)
    assert profiled(path).features.keys() == {"a"}
    frame.set_index(pd.Index([7, 9, 4], name="customer")).to_parquet(path)
    assert profiled(path).features.keys() == {"a"}
    assert profiled(path, "--exclude", "customer").features.keys() == {"a"}
    assert profiled(path, "--categorical", "customer").features.keys() == {"a", "customer"}
    frame.set_index(pd.date_range("2026-01-01", periods=3, name="at")).to_parquet(path)
    assert main(["profile", str(path), "--model", "m", "-o", str(tmp_path / "o"), "--timestamp", "at"]) == 0
    assert len(read_reference(tmp_path / "o")) == 3


# -- answers ---------------------------------------------------------------------------------------------------------

TRUTHS = ["dog", "cat", None, "dog"]
CATS = [0.25, 0.875, 0.5, None]


def table(folder: Path, predictions: dict[str, Any], actual: Sequence[Any] = TRUTHS) -> Path:
    path = folder / "rows.parquet"
    parquet.write_table(pa.table({"x": [1.0, 2.0, 3.0, 4.0], **predictions, "y": pa.array(actual)}), path)
    return path


FORMS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "a struct": (
        {"p": pa.array([None if p is None else {"cat": p, "dog": 1 - p} for p in CATS])},
        ["--prediction", "p"],
    ),
    "a map": (
        {
            "p": pa.array(
                [None if p is None else [("cat", p), ("dog", 1 - p)] for p in CATS],
                pa.map_(pa.string(), pa.float64()),
            )
        },
        ["--prediction", "p"],
    ),
    "a list": (
        {"p": pa.array([None if p is None else [p, 1 - p] for p in CATS])},
        ["--prediction", "p", "--class", "cat", "--class", "dog"],
    ),
    "a list of fixed length": (
        {"p": pa.array([None if p is None else [p, 1 - p] for p in CATS], pa.list_(pa.float32(), 2))},
        ["--prediction", "p", "--class", "cat", "--class", "dog"],
    ),
    "a column each": (
        {"p_cat": pa.array(CATS), "p_dog": pa.array([None if p is None else 1 - p for p in CATS])},
        ["--probability", "cat=p_cat", "--probability", "dog=p_dog"],
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_probabilities_may_be_in_any_form(tmp_path: Path, form: str) -> None:
    columns, options = FORMS[form]
    profile = profiled(table(tmp_path, columns), *options, "--actual", "y", "--sample", "10")
    assert profile.features.keys() == {"x"}
    prediction, score = profile.outputs["prediction"], profile.outputs["score"]
    assert prediction.categorical is not None
    assert prediction.categorical.counts() == {"cat": 2, "dog": 1}  # of two as probable the first
    assert prediction.missing == 1
    assert score.numeric is not None
    assert score.numeric.values == {0.5: 1, 0.75: 1, 0.875: 1}
    total = profile.outputs["probability_sum"].numeric
    assert total is not None
    assert total.values == {1.0: 3}
    assert (profile.actuals, profile.outputs["actual"].strings) == (3, 3)
    rows = read_sample(tmp_path / "out.sample.jsonl")
    assert [row["prediction"] for row in rows] == [{"cat": 0.25, "dog": 0.75}, {"cat": 0.875, "dog": 0.125}, None]
    assert [row["actual"] for row in rows] == ["dog", "cat", "dog"]
    assert [row["features"] for row in rows] == [{"x": 1.0}, {"x": 2.0}, {"x": 4.0}]


@pytest.mark.parametrize(
    ("values", "written"),
    [
        (["a", "b", None, "a"], ["a", "b", "a"]),
        ([True, False, None, True], ["true", "false", "true"]),
        ([1, 0, None, 1], [1.0, 0.0, 1.0]),
        ([0.5, 0.25, None, 1.0], [0.5, 0.25, 1.0]),
        ([[1.0], [0.0], None, [0.5]], [1.0, 0.0, 0.5]),
        (["2026-01-01", "x", None, "2026-01-01"], ["2026-01-01", "x", "2026-01-01"]),
    ],
    ids=["texts", "booleans", "classes", "scores", "lists of one", "texts like days"],
)
def test_single_answers_are_as_the_recorder_writes_them(tmp_path: Path, values: list[Any], written: list[Any]) -> None:
    profile = profiled(table(tmp_path, {"p": pa.array(values)}), "--prediction", "p", "--actual", "y", "--sample", "10")
    prediction = profile.outputs["prediction"]
    texts = [value for value in written if isinstance(value, str)]
    assert (prediction.strings, prediction.numbers, prediction.booleans) == (len(texts), 3 - len(texts), 0)
    assert prediction.missing == 1
    assert [row["prediction"] for row in read_sample(tmp_path / "out.sample.jsonl")] == written


@pytest.mark.parametrize(
    ("columns", "options", "says"),
    [
        (
            {"p": pa.array([[0.1, 0.9]] * 4)},
            ["--prediction", "p"],
            "column 'p' holds lists of 2 probabilities; name their classes in order with --class",
        ),
        (
            {"p": pa.array([[0.1, 0.9]] * 4)},
            ["--prediction", "p", "--class", "a"],
            "column 'p' holds lists of 2 probabilities, and --class names 1",
        ),
        ({"p": pa.array([0.5] * 4)}, ["--prediction", "p", "--class", "a"], "column 'p' holds no lists"),
        ({"p": pa.array([0.5] * 4)}, ["--class", "a"], "name it with --prediction"),
        ({"p": pa.array([0.5] * 4)}, ["--probability", "a=p"], "one class is given; give each class's"),
        ({"p": pa.array([0.5] * 4)}, ["--probability", "p"], "--probability 'p': write CLASS=COLUMN"),
        (
            {"p": pa.array([0.5] * 4), "q": pa.array([0.5] * 4)},
            ["--probability", "a=p", "--probability", "a=q"],
            "two columns are of one class",
        ),
        (
            {"p": pa.array([0.5] * 4), "q": pa.array([0.5] * 4)},
            ["--prediction", "p", "--probability", "a=p", "--probability", "b=q"],
            "--prediction and --probability exclude each other",
        ),
        (
            {"p": pa.array(["x"] * 4), "q": pa.array([0.5] * 4)},
            ["--probability", "a=p", "--probability", "b=q"],
            "column 'p, q'",
        ),
    ],
)
def test_answers_that_cannot_be_read_are_refused_by_name(
    tmp_path: Path, columns: dict[str, Any], options: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    profiled(table(tmp_path, columns), *options, status=2)
    assert says in capsys.readouterr().err


def test_a_segment_may_be_excluded_from_the_features(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pd.DataFrame({"x": [1, 2], "region": ["eu", "us"]}).to_parquet(path)
    assert profiled(path, "--segment", "region").features.keys() == {"x", "region"}
    assert profiled(path, "--segment", "region", "--exclude", "region").features.keys() == {"x"}
    assert {key.segment for key, _ in read_reference(tmp_path / "out.jsonl")} == {
        (("region", "eu"),),
        (("region", "us"),),
    }


def test_a_million_probabilities_are_read_by_columns(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    p = rng.random(200_000)
    path = tmp_path / "rows.parquet"
    pd.DataFrame({"p_0": 1 - p, "p_1": p}).to_parquet(path)
    profile = profiled(path, "--probability", "0=p_0", "--probability", "1=p_1")
    counts = profile.outputs["prediction"].categorical
    assert counts is not None
    assert counts.counts() == {"1": int((p > 0.5).sum()), "0": int((p <= 0.5).sum())}
    assert orjson.loads((tmp_path / "out.jsonl").read_bytes())["rows"] == 200_000
