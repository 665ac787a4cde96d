"""A bounded sample of labelled rows beside the reference profile."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from modelward_agent.cli import main
from modelward_agent.profile.reference import profile_file
from modelward_agent.profile.sample import Reservoir, SampleFileError, read_sample, sample_path
from modelward_agent.profile.table import TableError


def table(path: Path, n: int = 1_000) -> Path:
    """Every tenth row has no actual yet."""
    row = np.arange(n)
    columns = {
        "when": pa.array((1_357_000_000 + row * 60).astype("datetime64[s]")),
        "row": row.astype(np.float64),
        "carrier": pa.array(["AA", None, "UA", "DL"][number % 4] for number in row.tolist()),
        "late": row % 2 == 0,
        "odd": np.where(row == 3, np.nan, 1.0),
        "place": pa.array([[1.0, 2.0]] * n),
        "said": row * 2.0,
        "came": pa.array([None if number % 10 == 0 else number * 3.0 for number in row.tolist()]),
    }
    parquet.write_table(pa.table(columns), path)
    return path


def sampled(path: Path, size: int) -> Reservoir:
    reservoir = Reservoir(size, prediction="said", actual="came", timestamp="when")
    wanted = {"model": "m", "prediction": "said", "actual": "came", "timestamp": "when"}
    assert list(profile_file(path, sample=reservoir, **wanted))  # type: ignore[arg-type]
    return reservoir


def test_the_command_writes_the_sample_beside_the_reference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = table(tmp_path / "rows.parquet")
    reference = tmp_path / "m.profile.jsonl"
    command = ["profile", str(rows), "--model", "m", "--timestamp", "when", "--prediction", "said", "--actual", "came"]
    assert main([*command, "--sample", "100", "--output", str(reference)]) == 0
    assert "a sample of 100 labelled rows" in capsys.readouterr().out
    kept = read_sample(tmp_path / "m.profile.sample.jsonl")
    assert sample_path(reference) == tmp_path / "m.profile.sample.jsonl"
    assert len(kept) == 100
    for row in kept:
        number = row["features"]["row"]
        assert (row["prediction"], row["actual"]) == (number * 2, number * 3)
        assert row["features"]["carrier"] == ["AA", None, "UA", "DL"][int(number) % 4]
        assert row["features"]["late"] is (number % 2 == 0)
        assert set(row["features"]) == {"row", "carrier", "late", "odd"}
        assert row["@timestamp"].startswith("2013-01-01T")


def test_no_row_without_an_actual_is_kept_and_all_others_are_where_there_is_room(tmp_path: Path) -> None:
    import orjson

    kept = [orjson.loads(line) for line in sampled(table(tmp_path / "rows.parquet"), 5_000).lines()]
    assert [row["features"]["row"] for row in kept] == [number for number in range(1_000) if number % 10]
    assert kept[2]["features"]["odd"] == "NaN"


def test_every_labelled_row_is_as_likely_whatever_batch_it_is_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import orjson

    monkeypatch.setattr("modelward_agent.profile.table.BATCH_ROWS", 1_000)
    path = table(tmp_path / "rows.parquet", 10_000)
    first, again = (list(sampled(path, 2_000).lines()) for _ in range(2))
    assert first == again
    numbers = np.array([orjson.loads(line)["features"]["row"] for line in first])
    assert len(set(numbers.tolist())) == 2_000
    by_thousand = np.bincount((numbers // 1_000).astype(int), minlength=10)
    # 200 expected in each; 60 is more than four standard deviations
    assert np.abs(by_thousand - 200).max() < 60


def test_a_sample_without_predictions_or_actuals_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = str(table(tmp_path / "rows.parquet"))
    with pytest.raises(TableError, match="name both columns"):
        Reservoir(10, prediction="said", actual=None, timestamp=None)
    output = tmp_path / "m.profile.jsonl"
    command = ["profile", rows, "--model", "m", "--prediction", "said", "--actual", "came", "-o", str(output)]
    assert main([*command, "--sample", "0"]) == 2
    assert "--sample 0: write how many rows" in capsys.readouterr().err
    assert not output.exists()


def test_a_damaged_sample_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "m.sample.jsonl"
    path.write_text('{"features": {}, "prediction": 1, "actual": 2}\n{"features": {')
    with pytest.raises(SampleFileError, match=r"m\.sample\.jsonl: line 2: not JSON"):
        read_sample(path)
    path.write_text('{"prediction": 1}\n')
    with pytest.raises(SampleFileError, match="line 1: not a row of a sample"):
        read_sample(path)
