"""Tables that cannot be profiled as asked say why; those that can are, whatever Arrow calls their types."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from modelward_agent.profile.reference import TableError, profile_file
from modelward_agent.profile.sample import Reservoir


def table(folder: Path, **columns: Any) -> Path:
    path = folder / "rows.parquet"
    parquet.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize("content", ['""\n1\n2\n', "Unnamed: 0\n1\n"], ids=["unnamed", "pandas"])
def test_a_table_of_nothing_but_an_index_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(content)
    with pytest.raises(TableError, match=r"rows\.csv: no column is left"):
        list(profile_file(path, model="m"))


def test_lists_are_no_segments(tmp_path: Path) -> None:
    path = table(tmp_path, a=[["x"], ["y"]], b=[1.0, 2.0])
    with pytest.raises(TableError, match="column 'a' cannot be a segment"):
        list(profile_file(path, model="m", segments=["a"]))


def test_texts_are_no_probabilities(tmp_path: Path) -> None:
    path = table(tmp_path, a=[{"yes": "often"}], b=[1.0])
    with pytest.raises(TableError, match="column 'a': 'often' is no probability"):
        list(profile_file(path, model="m", prediction="a"))


def test_views_of_strings_are_sampled_as_strings(tmp_path: Path) -> None:
    path = table(tmp_path, a=pa.array(["x", "y"], pa.string_view()), b=[1.0, 2.0], c=[0, 1])
    sample = Reservoir(10, prediction="b", actual="c", timestamp=None)
    list(profile_file(path, model="m", prediction="b", actual="c", sample=sample))
    assert len(sample) == 2


def test_the_year_0_is_no_moment(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("t,x\n0000-01-01,1\n2026-03-01,2\n")
    with pytest.raises(TableError, match="'0000-01-01'; write ISO 8601"):
        list(profile_file(path, model="m", timestamp="t"))
