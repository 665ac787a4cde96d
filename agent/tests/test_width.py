"""Of a model with more features than `max_features` the same ones are kept everywhere, and the rest is said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from modelward_agent.cli import main
from modelward_agent.journal.parse import Kind, Record
from modelward_agent.profile import Profile, from_bytes, merged, to_bytes
from modelward_agent.profile.fold import Folder, Tally
from modelward_agent.profile.reference import profile_file
from modelward_agent.profile.table import Types, read_batches
from modelward_agent.profile.wire import profile_of_document

AT = 1_760_000_000.0

NAMES = st.text("abcxyzÄ0", min_size=1, max_size=3)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.floats(-1e6, 1e6),
    st.sampled_from(["x", "y", "NaN"]),
    st.lists(st.floats(-1, 1), min_size=2, max_size=2),
)
ROWS = st.lists(st.dictionaries(NAMES, VALUES, max_size=12), max_size=30)


def folded(rows: Sequence[dict[str, Any]], chunk: int, max_features: int) -> tuple[Profile, Tally]:
    folder = Folder("host", max_features=max_features)
    tally = Tally()
    for start in range(0, len(rows), chunk):
        documents = [{"model": "wide", "features": row} for row in rows[start : start + chunk]]
        tally = folder.fold([Record(Kind.PREDICTION, AT, document) for document in documents])
    taken = folder.take()
    return (taken[0][1] if taken else Profile(max_features)), tally


def counts(profile: Profile) -> dict[str, tuple[int, int, int, int, int]]:
    return {
        name: (feature.missing, feature.numbers, feature.strings, feature.booleans, feature.vectors)
        for name, feature in profile.features.items()
    }


@given(ROWS, st.integers(1, 8), st.integers(1, 31), st.integers(1, 31))
def test_what_is_kept_does_not_depend_on_how_rows_come(
    rows: list[dict[str, Any]], most: int, chunk: int, other: int
) -> None:
    names = {name for row in rows for name in row}
    one, _ = folded(rows, chunk, most)
    again, _ = folded([dict(reversed(row.items())) for row in reversed(rows)], other, most)
    everything, _ = folded(rows, 31, 100_000)
    assert set(one.features) == set(sorted(names)[:most])
    assert counts(one) == counts(again) == {name: counts(everything)[name] for name in one.features}
    assert (one.beyond > 0) == (again.beyond > 0) == (len(names) > most)
    assert one.beyond <= len(names)


@given(ROWS, st.integers(1, 8), st.integers(1, 31))
def test_parts_that_are_merged_keep_what_the_whole_would(rows: list[dict[str, Any]], most: int, chunk: int) -> None:
    whole, _ = folded(rows, 31, most)
    parts = [folded(rows[start : start + chunk], chunk, most)[0] for start in range(0, len(rows), chunk)]
    for order in (parts, parts[::-1]):
        total = merged([from_bytes(to_bytes(part)) for part in order])
        assert counts(total) == counts(whole)
        assert (total.beyond > 0) == (whole.beyond > 0)


def test_features_beyond_the_bound_are_counted_and_shipped() -> None:
    row = {f"f{index:02d}": float(index) for index in range(25)}
    profile, tally = folded([row] * 7, 3, 20)
    assert tally.features_beyond_limit == {"wide": 5}
    read = from_bytes(to_bytes(profile))
    assert (read.max_features, read.beyond) == (20, 5)
    assert read.not_told_of(["a", "f0x", "f19", "f20", "g"]) == {"f20", "g"}


def test_a_profile_within_the_bound_tells_of_every_name() -> None:
    profile, tally = folded([{"a": 1.0, "b": 2.0}], 1, 2)
    assert tally.features_beyond_limit == {}
    assert not from_bytes(to_bytes(profile)).not_told_of(["z"])


def test_a_profile_of_an_agent_without_bounds_merges_as_it_did() -> None:
    old, new = Profile(), folded([{"a": 1.0}], 1, 2)[0]
    old.admit(["z"])
    old.rows = 3
    old.features["z"].update_numbers(np.array([1.0, 2.0, 3.0]))
    assert old.max_features is None
    total = merged([old, new])
    assert counts(total) == {"a": (3, 1, 0, 0, 0), "z": (1, 3, 0, 0, 0)}
    assert (total.max_features, total.beyond) == (2, 0)


@pytest.mark.parametrize("width", [2_500, 5_000])
def test_so_many_columns_are_profiled_by_default(width: int) -> None:
    row = {f"f{index}": index / 3 for index in range(width)}
    folder = Folder("host")
    tally = folder.fold([Record(Kind.PREDICTION, AT, {"model": "wide", "features": row})] * 3)
    [(_, profile)] = folder.take()
    assert set(profile.features) == set(row)
    assert (profile.beyond, tally.features_beyond_limit) == (0, {})


def of_versions(folder: Folder, versions: Sequence[str], at: float = AT) -> Counter[str]:
    tally = folder.fold([Record(Kind.PREDICTION, at, {"model": "m", "version": v, "features": {}}) for v in versions])
    assert bool(tally.versions_beyond_limit) == (("m", "other") in tally.predictions)
    rows = Counter({key.version: profile.rows for key, profile in folder.take()})
    assert rows == {version: count for (_, version), count in tally.predictions.items()}
    return rows


def test_a_version_for_each_request_is_one_version() -> None:
    folder = Folder("host", max_versions=3)
    assert of_versions(folder, [f"{n}" for n in range(1000)]) == {"0": 1, "1": 1, "2": 1, "other": 997}
    assert of_versions(folder, ["1", "new"]) == {"1": 1, "other": 1}


def test_a_new_deployment_is_told_apart_however_many_there_were_before() -> None:
    folder = Folder("host", max_versions=3)
    for number in range(50):
        rows = of_versions(folder, [f"v{number}", "steady"], AT + 3600 * number)
        assert rows == {f"v{number}": 1, "steady": 1}


def table(path: Path, width: int, rows: int = 40) -> Path:
    values = np.random.default_rng(1).normal(size=(rows, width)).round(3)
    parquet.write_table(pa.table({f"f{i}": values[:, i] for i in range(width)}), path)
    return path


@pytest.mark.parametrize(("width", "most"), [(2_500, 5_000), (5_000, 5_000), (60, 50)])
def test_a_reference_and_the_traffic_of_the_same_columns_have_the_same_features(
    tmp_path: Path, width: int, most: int
) -> None:
    path = table(tmp_path / "rows.parquet", width)
    warnings: list[str] = []
    [document] = profile_file(path, model="wide", max_features=most, warn=warnings.append)
    reference = profile_of_document(document)
    traffic, _ = folded(parquet.read_table(path).to_pylist(), 17, most)
    assert counts(reference) == counts(traffic)
    assert (reference.max_features, reference.beyond) == (traffic.max_features, traffic.beyond)
    assert len(warnings) == (1 if width > most else 0)


def test_profiling_a_file_says_once_what_it_leaves_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, output = table(tmp_path / "rows.parquet", 60), tmp_path / "reference.jsonl"
    arguments = ["profile", str(path), "--model", "m", "-o", str(output)]
    assert main([*arguments, "--max-features", "50"]) == 0
    assert capsys.readouterr().err == (
        f"modelward: {path}: of 60 features the last 10 by name, from 'f54' on, are left out; --max-features N "
        "profiles more, up to 10,000 (set max_features in agent.yml alike), --exclude fewer\n"
    )
    assert main([*arguments, "--max-features", "0"]) == 2
    assert "--max-features 0: write a number from 1 to 10000" in capsys.readouterr().err
    assert main(arguments) == 0
    assert capsys.readouterr().err == ""


def test_a_wide_table_is_read_in_few_rows_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelward_agent.profile.table.BATCH_VALUES", 500)
    path = table(tmp_path / "rows.parquet", 50)
    [document] = profile_file(path, model="wide")
    assert profile_of_document(document).rows == 40
    assert [batch.rows for batch in read_batches(path, (), (), Types())] == [10] * 4
