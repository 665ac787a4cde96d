"""What `modelward-agent profile` says of a table, a column or a name that it cannot use."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelward_agent.cli import main


def profiled(table: str, folder: Path, *options: str, model: str = "fraud", output: str = "out.jsonl") -> int:
    (folder / "table.csv").write_text(table)
    return main(["profile", str(folder / "table.csv"), "--model", model, "-o", str(folder / output), *options])


@pytest.mark.parametrize(
    ("times", "says"),
    [
        (("2026-03-01", "soon"), "'soon'; write ISO 8601, for example 2026-03-01 14:30:00Z"),
        (("01.03.2026", "02.03.2026"), "'01.03.2026'; write ISO 8601"),
    ],
)
def test_the_time_that_is_none_is_named(
    times: tuple[str, str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = "amount,at\n" + "".join(f"1,{time}\n" for time in times)
    assert profiled(table, tmp_path, "--timestamp", "at") == 2
    assert f"table.csv: column 'at' is no time: {says}" in capsys.readouterr().err


def test_a_reference_of_nobody_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert profiled("amount\n1\n", tmp_path, model="") == 2
    assert capsys.readouterr().err == "modelward: --model: write the model's name, as its Recorder has it\n"


def test_a_folder_that_is_not_there_is_named_and_not_a_file_of_our_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert profiled("amount\n1\n", tmp_path, output="none/out.jsonl") == 2
    assert capsys.readouterr().err == (
        f"modelward: --output {tmp_path}/none/out.jsonl: there is no folder {tmp_path}/none\n"
    )


def test_one_profile_is_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert profiled("amount\n1\n", tmp_path) == 0
    assert "out.jsonl: 1 profile of fraud" in capsys.readouterr().out
