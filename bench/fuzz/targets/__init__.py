"""What is fuzzed: of each reader a function that takes bytes and raises when a promise of that reader is broken.

Promises are asserted, so `python -O` would find nothing. How each target reads its bytes is said in its module.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from random import Random

from bench.fuzz import mutate

CORPUS = Path(__file__).resolve().parents[1] / "corpus"

Run = Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class Target:
    """One reader. `mutated` makes another input out of one, in the form that the reader reads."""

    name: str
    mutated: Callable[[bytes, Random], bytes]
    most_bytes: int = 1 << 14

    @property
    def run(self) -> Run:
        """The function; what it fuzzes is imported here, so that a fuzzer can watch the import."""
        module, _, function = self.name.partition("_")
        found: Run = getattr(import_module(f"bench.fuzz.targets.{module}"), function or module)
        return found

    @property
    def corpus(self) -> list[Path]:
        """The inputs that are kept, by name."""
        return sorted(path for path in (CORPUS / self.name).iterdir() if path.is_file())


TARGETS = {
    target.name: target
    for target in (
        Target("journal", mutate.json_lines),
        Target("logs", mutate.log_lines),
        Target("profiles", mutate.profile, 1 << 17),
        Target("bulk", mutate.json_lines),
        Target("settings_agent", mutate.settings),
        Target("settings_model", mutate.settings),
        Target("settings_collector", mutate.settings),
        Target("tables_csv", mutate.csv_table),
        Target("tables_parquet", mutate.parquet, 1 << 16),
        Target("bodies", mutate.exchange),
        Target("values", mutate.text),
    )
}
