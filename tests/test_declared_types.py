"""What a model's file declares is read so at the edge: an integer post code of thousands of values is a category."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from modelward_agent.declared import Declared
from modelward_agent.values import ValueType
from modelward_collector.checks.result import CheckKind
from tests.recorded import NOON, Site, a_site, moments

CODES = 3_000
DAYS, A_DAY = 28, 1_000
TYPES: Declared = {"m": {"zip": ValueType.CATEGORICAL}}
FEATURES = "features: {zip: {type: categorical}}"


def codes(seed: int, n: int = A_DAY, first: int = 10_000) -> Any:
    """Post codes as people live: some have many of them."""
    return first + (CODES * np.random.default_rng(seed).beta(1, 2, n)).astype(int)


def a_past(site: Site, form: str = "parquet", **columns: Any) -> None:
    """A reference of four weeks, made by what the model's file declares."""
    n = DAYS * A_DAY
    frame = pd.DataFrame({"zip": codes(1, n), "age": np.random.default_rng(2).normal(40, 10, n), **columns})
    frame["at"] = moments(n, hours=24 * DAYS, until=NOON - timedelta(days=1))
    table = site.folder / f"past.{form}"
    frame.to_parquet(table) if form == "parquet" else frame.to_csv(table, index=False)
    site.configure(FEATURES)
    site.profile(table, "--timestamp", "at", "--types", str(site.models / "m.yml"))
    site.configure(f"reference: {{kind: file, path: m.profile.jsonl}}\n{FEATURES}")


def record(site: Site, zips: Any, **columns: Any) -> None:
    frame = {"zip": zips, "age": np.random.default_rng(3).normal(40, 10, len(zips)), **columns}
    site.recorder().predict_batch(frame, [0.0] * len(zips), timestamps=moments(len(zips)))
    site.deliver()


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_a_post_code_of_thousands_of_values_is_the_same_in_a_file_and_in_traffic(tmp_path: Path, form: str) -> None:
    with a_site(tmp_path, TYPES) as site:
        a_past(site, form)
        record(site, codes(4))
        assert site.flagged() == []


def test_as_text_they_are_the_same_too(tmp_path: Path) -> None:
    with a_site(tmp_path, TYPES) as site:
        a_past(site)
        record(site, codes(4).astype(str))
        assert site.flagged() == []


def test_other_post_codes_are_drift(tmp_path: Path) -> None:
    with a_site(tmp_path, TYPES) as site:
        a_past(site)
        record(site, codes(4, first=40_000))
        [(_, finding)] = site.flagged("m", CheckKind.DRIFT)
        assert finding.subject == "zip"
        assert "never seen in the reference" in finding.message


def test_what_the_agent_was_not_told_of_is_said_with_what_to_do(tmp_path: Path) -> None:
    with a_site(tmp_path) as site:
        a_past(site)
        record(site, codes(4, 20 * A_DAY))
        found = dict(site.flagged())
        assert found["quality"].message == (
            "zip: expected categorical, 100% numbers of too many values to be told apart as categories afterwards; "
            "write types: {m: {zip: categorical}} in agent.yml, or record it as text"
        )
        assert "most are numeric (if they are categories, name it under types in agent.yml)" in found["drift"].message


def test_the_agents_own_file_declares_for_a_reference_too(tmp_path: Path) -> None:
    with a_site(tmp_path, TYPES) as site:
        a_past(site)
        (tmp_path / "agent.yml").write_text("types: {m: {zip: categorical}}\n")
        site.profile(tmp_path / "past.parquet", "--timestamp", "at", "--types", str(tmp_path / "agent.yml"))
        record(site, codes(4))
        assert site.flagged() == []
