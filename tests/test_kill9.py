"""The application and the agent are killed at random instants, against a real Elasticsearch. `bench/kill9.py` does
it two hundred times."""

from __future__ import annotations

from pathlib import Path

from bench.kill9 import run
from tests.servers.elasticsearch import Elasticsearch


def test_killed_at_random_instants_nothing_is_lost_and_nothing_counted_twice(
    tmp_path: Path, elasticsearch: Elasticsearch
) -> None:
    outcome = run(elasticsearch, tmp_path, kills=10, seed=7)
    assert outcome.recorded > 100
    assert outcome.holds, outcome
