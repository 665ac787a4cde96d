"""What comes from outside, fuzzed as far as seconds go: the kept inputs, and others made of them in each reader's form.

`make fuzz` looks further; what it finds becomes an input of `bench/fuzz/corpus`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.fuzz.targets import CORPUS, TARGETS

KEPT = [(name, path.name) for name, target in TARGETS.items() for path in target.corpus]
EXAMPLES = {"bulk": 15, "settings_agent": 60, "tables_csv": 25, "tables_parquet": 25}
"""Of the slow ones; 150 of the others."""


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """What is refused is logged, line by line."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(before)


@pytest.mark.parametrize(("name", "file"), KEPT, ids=[f"{name}/{file}" for name, file in KEPT])
def test_a_kept_input_breaks_no_promise(name: str, file: str) -> None:
    TARGETS[name].run((CORPUS / name / file).read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_made_of_the_kept_ones_breaks_a_promise(name: str) -> None:
    target = TARGETS[name]
    kept = [path.read_bytes() for path in target.corpus if path.stat().st_size <= target.most_bytes]

    @settings(
        max_examples=EXAMPLES.get(name, 150), deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    @given(st.sampled_from(kept), st.integers(1, 6), st.randoms(use_true_random=False))
    def run(data: bytes, changes: int, chance: Random) -> None:
        for _ in range(changes):
            data = target.mutated(data, chance)
        target.run(data[: target.most_bytes])

    run()


def test_every_folder_of_the_corpus_is_a_target() -> None:
    assert sorted(path.name for path in CORPUS.iterdir()) == sorted(TARGETS)
