"""What a feature is declared to be is what its values are read as: in traffic, in a Parquet and in a CSV file."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.tests.test_one_profile import described, frames, of_file, plain_frames, same
from modelward_agent import Recorder
from modelward_agent.cli import main
from modelward_agent.declared import declared_types
from modelward_agent.journal.parse import Kind, Record, parse_lines
from modelward_agent.profile import FeatureProfile, Profile, merged
from modelward_agent.profile.fold import Folder
from modelward_agent.profile.reference import read_reference
from modelward_agent.profile.wire import from_bytes, to_bytes
from modelward_agent.settings import SettingsError
from modelward_agent.values import ValueType, class_of, read_as

CATEGORICAL, NUMERIC, BOOLEAN = ValueType.CATEGORICAL, ValueType.NUMERIC, ValueType.BOOLEAN

WORDS = st.sampled_from(["NaN", "Infinity", "2026-03-01", "1", "0", " 1.0", "01067", "12.50", "True", "tRUE", "no", ""])
FINITE = st.floats(allow_nan=False, allow_infinity=False)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.sampled_from([0, 1, 1.0, -0.0])
    | FINITE
    | WORDS
    | st.text(max_size=8)
)
JSON = SCALARS | st.lists(FINITE, max_size=3)


# -- one value ------------------------------------------------------------------------------------------------------


@given(JSON, st.sampled_from(ValueType))
def test_a_value_is_of_its_type_or_as_it_came_and_is_read_once(value: Any, kind: ValueType) -> None:
    read = read_as(value, kind)
    assert read is value or type(read) is {CATEGORICAL: str, NUMERIC: float, BOOLEAN: bool}[kind]
    again = read_as(read, kind)
    assert again is read


@given(JSON)
def test_every_number_and_every_boolean_has_a_category(value: Any) -> None:
    read = read_as(value, CATEGORICAL)
    if isinstance(value, int | float):
        assert isinstance(read, str)
        assert read
        if abs(value) < 2**53:
            assert class_of(read) == class_of("true" if value is True else "false" if value is False else repr(value))


@pytest.mark.parametrize(
    ("value", "category", "number", "boolean"),
    [
        (1067, "1067", 1067, 1067),
        (1067.0, "1067", 1067.0, 1067.0),
        (12.5, "12.5", 12.5, 12.5),
        (1, "1", 1, True),
        (0.0, "0", 0.0, False),
        (True, "true", 1.0, True),
        (False, "false", 0.0, False),
        ("1", "1", 1.0, True),
        ("0", "0", 0.0, False),
        ("1.0", "1.0", 1.0, True),
        ("TRUE", "TRUE", "TRUE", True),
        ("fAlse", "fAlse", "fAlse", False),
        (" 12.50 ", " 12.50 ", 12.5, " 12.50 "),
        ("01067", "01067", "01067", "01067"),
        ("NaN", "NaN", "NaN", "NaN"),
        ("2026-03-01", "2026-03-01", "2026-03-01", "2026-03-01"),
        ("", "", "", ""),
        (None, None, None, None),
        ([1.0], [1.0], [1.0], [1.0]),
        (math.inf, "Infinity", math.inf, math.inf),
        (2**60 + 1, "1152921504606846977", 2**60 + 1, 2**60 + 1),
    ],
)
def test_what_a_value_is_read_as(value: Any, category: Any, number: Any, boolean: Any) -> None:
    read = [read_as(value, kind) for kind in (CATEGORICAL, NUMERIC, BOOLEAN)]
    assert [(type(one), one) for one in read] == [(type(one), one) for one in (category, number, boolean)]


# -- in traffic -----------------------------------------------------------------------------------------------------


def folded(rows: list[dict[str, Any]], types: dict[str, ValueType], host: str = "h") -> Profile:
    folder = Folder(host, types={"m": types})
    folder.fold(
        Record(Kind.PREDICTION, 1e9, {"model": "m", "features": row, "prediction": 0.5, "id": "a"}) for row in rows
    )
    [(_, profile)] = folder.take()
    return from_bytes(to_bytes(profile))


def feature(values: list[Any], kind: ValueType) -> FeatureProfile:
    return folded([{"x": value} for value in values], {"x": kind}).features["x"]


def test_categories_are_literally_what_they_are() -> None:
    found = feature([1067, 1067.0, "NaN", "Infinity", "2026-03-01", "01067", True, None], CATEGORICAL)
    assert found.categorical is not None
    assert found.categorical.counts() == {
        "1067": 2,
        "NaN": 1,
        "Infinity": 1,
        "2026-03-01": 1,
        "01067": 1,
        "true": 1,
    }
    assert (found.numbers, found.nan, found.booleans, found.missing) == (0, 0, 0, 1)


def test_numbers_are_read_from_text_and_what_is_none_stays() -> None:
    found = feature([1.5, "2.5", True, "n/a", "NaN", None], NUMERIC)
    assert (found.numbers, found.nan, found.strings, found.booleans, found.missing) == (4, 1, 1, 0, 1)


def test_booleans_are_read_from_numbers_and_words_and_what_is_none_stays() -> None:
    found = feature([True, 1, "1", "TRUE", 0, "false", 2, "maybe", None], BOOLEAN)
    assert (found.true, found.false, found.numbers, found.strings, found.missing) == (4, 2, 1, 1, 1)


def test_rows_that_are_shipped_stay_as_they_were_recorded() -> None:
    row = {"zip": 1067, "age": 3.0}
    folded([row, {"zip": "x", "age": 1.0}], {"zip": CATEGORICAL, "nowhere": NUMERIC})
    assert row == {"zip": 1067, "age": 3.0}
    assert type(row["zip"]) is int


def test_other_models_and_other_features_are_read_as_ever() -> None:
    folder = Folder("h", types={"m": {"x": CATEGORICAL}})
    for model in ("m", "n"):
        document = {"model": model, "features": {"x": 1, "y": "NaN"}, "id": "a"}
        folder.fold([Record(Kind.PREDICTION, 1e9, document)])
    mine, other = (profile for _, profile in folder.take())
    assert (mine.features["x"].strings, other.features["x"].strings) == (1, 0)
    assert (mine.features["y"].nan, other.features["y"].nan) == (1, 1)


def test_categories_that_look_like_moments_move_with_nothing() -> None:
    rows: list[dict[str, Any]] = [{"day": f"2026-03-{1 + n % 9:02}", "a": float(n), "b": float(n)} for n in range(50)]
    joint = folded(rows, {"day": CATEGORICAL}).joint
    assert joint is not None
    assert "day" not in joint.names


@settings(max_examples=50, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from("abcdefgh"), SCALARS, max_size=8), min_size=1, max_size=12), st.data())
def test_rows_of_any_layout_are_read_alike(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    types = data.draw(st.dictionaries(st.sampled_from("abcdefghi"), st.sampled_from(ValueType), max_size=4))
    whole = folded(rows, types)
    single = merged(folded([row], types) for row in rows)
    for name, one in whole.features.items():
        ours, theirs = described(one), described(single.features[name])
        # A profile of one row does not know of a feature that only others have.
        assert {**ours, "missing": 0} == {**theirs, "missing": 0}, name


# -- in files -------------------------------------------------------------------------------------------------------


def of_lines(journal: Path, types: dict[str, ValueType]) -> Profile:
    folder = Folder("h", 86_400, types={"m": types})
    lines = [line for path in sorted(journal.glob("*")) for line in path.read_bytes().splitlines()]
    folder.fold(record for record in parse_lines(lines) if isinstance(record, Record))
    return merged(from_bytes(to_bytes(profile)) for _, profile in folder.take())


@settings(max_examples=150, deadline=None)
@given(frames(), st.data())
def test_a_frame_of_declared_types_is_one_as_a_file_and_in_traffic(frame: pd.DataFrame, data: st.DataObject) -> None:
    types = {str(name): kind for name in frame if (kind := data.draw(st.sampled_from([*ValueType, None]))) is not None}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        frame.to_parquet(path / "rows.parquet")
        Recorder("m", journal=path / "batch").predict_batch(frame, [0.0] * len(frame))
        same(of_file(path / "rows.parquet", declared=types), of_lines(path / "batch", types))


@settings(max_examples=80, deadline=None)
@given(plain_frames(), st.data())
def test_a_csv_of_declared_types_is_what_the_frame_is_in_traffic(frame: pd.DataFrame, data: st.DataObject) -> None:
    # A file without types has moments as texts; as categories they have another name than their seconds.
    kinds = {name: [NUMERIC, BOOLEAN] if frame[name].dtype.kind == "M" else [*ValueType] for name in frame}
    types = {str(name): data.draw(st.sampled_from(kinds[name])) for name in frame}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        frame.to_csv(path / "rows.csv", index=False)
        if not all(frame[name].notna().any() for name in frame):
            return  # nothing tells the type of an empty column
        Recorder("m", journal=path / "batch").predict_batch(frame, [0.0] * len(frame))
        same(of_file(path / "rows.csv", declared=types), of_lines(path / "batch", types))


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_post_codes_are_categories_with_gaps_or_without(tmp_path: Path, form: str, gaps: bool) -> None:
    codes = [float("nan") if gaps and n % 5 == 0 else 10_000.0 + n % 40 for n in range(200)]
    frame = pd.DataFrame({"zip": codes if gaps else [int(code) for code in codes]})
    path = tmp_path / f"t.{form}"
    frame.to_parquet(path) if form == "parquet" else frame.to_csv(path, index=False)
    found = of_file(path, declared={"zip": CATEGORICAL}).features["zip"]
    assert found.categorical is not None
    assert set(found.categorical.counts()) <= {str(10_000 + n) for n in range(40)}
    assert found.missing == (40 if gaps else 0)


# -- where types are declared ---------------------------------------------------------------------------------------

MODEL = """
model: fraud
task: regression of a kind that is not looked at here
features:
  zip: {type: categorical, values: [x]}
  member: {type: boolean}
  image: {type: embedding, dimension: 3}
  amount: {min: 0}
"""


def test_a_models_file_and_an_agents_declare_types(tmp_path: Path) -> None:
    (tmp_path / "fraud.yml").write_text(MODEL)
    assert declared_types(tmp_path / "fraud.yml") == {"fraud": {"zip": CATEGORICAL, "member": BOOLEAN}}
    (tmp_path / "agent.yml").write_text("window: 1m\ntypes: {fraud: {zip: numeric}, churn: {}}\n")
    assert declared_types(tmp_path / "agent.yml") == {"fraud": {"zip": NUMERIC}, "churn": {}}
    (tmp_path / "bad.yml").write_text("model: m\nfeatures: {zip: {type: category}}\n")
    with pytest.raises(SettingsError, match=r'features\.zip\.type: "category" is not known; write'):
        declared_types(tmp_path / "bad.yml")


def profiled(folder: Path, *options: str, model: str = "fraud") -> int:
    frame = pd.DataFrame(
        {"zip": np.arange(3000), "member": ["yes", "1", "0"] * 1000, "amount": ["1", "2.5", "x"] * 1000}
    )
    frame.to_parquet(folder / "t.parquet")
    output = folder / "out.jsonl"
    return main(["profile", str(folder / "t.parquet"), "--model", model, "-o", str(output), *options])


def test_a_reference_is_profiled_by_the_models_file(tmp_path: Path) -> None:
    (tmp_path / "fraud.yml").write_text(MODEL)
    assert profiled(tmp_path, "--types", str(tmp_path / "fraud.yml")) == 0
    [(_, profile)] = read_reference(tmp_path / "out.jsonl")
    assert profile.features["zip"].strings == 3000
    assert (profile.features["member"].booleans, profile.features["member"].strings) == (2000, 1000)
    assert profile.features["amount"].strings == 3000  # no type is declared of it


def test_what_the_command_line_says_of_a_column_wins(tmp_path: Path) -> None:
    (tmp_path / "fraud.yml").write_text(MODEL)
    options = ("--types", str(tmp_path / "fraud.yml"), "--numeric", "zip", "--categorical", "member")
    assert profiled(tmp_path, *options) == 0
    [(_, profile)] = read_reference(tmp_path / "out.jsonl")
    assert (profile.features["zip"].numbers, profile.features["member"].strings) == (3000, 3000)


def test_a_file_of_another_model_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "fraud.yml").write_text(MODEL)
    assert profiled(tmp_path, "--types", str(tmp_path / "fraud.yml"), model="churn") == 2
    assert capsys.readouterr().err == (
        f"modelward: --types {tmp_path}/fraud.yml: declares types of fraud, and not of churn; "
        "correct --model or --types\n"
    )
    assert profiled(tmp_path, "--types", str(tmp_path / "none.yml")) == 2
    assert "none.yml: there is no such file" in capsys.readouterr().err


def test_a_sample_has_what_was_read(tmp_path: Path) -> None:
    (tmp_path / "fraud.yml").write_text(MODEL)
    frame = pd.DataFrame({"zip": [1, 2], "member": ["true", "perhaps"], "p": [0.5, 0.5], "y": [1, 0]})
    frame.to_parquet(tmp_path / "t.parquet")
    options = ("--types", str(tmp_path / "fraud.yml"), "--prediction", "p", "--actual", "y", "--sample", "10")
    output = tmp_path / "out.jsonl"
    assert main(["profile", str(tmp_path / "t.parquet"), "--model", "fraud", "-o", str(output), *options]) == 0
    rows = [orjson.loads(line) for line in (tmp_path / "out.sample.jsonl").read_bytes().splitlines()]
    assert [row["features"] for row in rows] == [{"zip": "1", "member": True}, {"zip": "2", "member": "perhaps"}]
