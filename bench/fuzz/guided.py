"""One target under atheris, in this process: `python -m bench.fuzz.guided TARGET [libFuzzer's options]`."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from random import Random

import atheris

from bench.fuzz.targets import TARGETS, Target

_AS_BYTES = 4
"""One input of so many is made by libFuzzer, which knows what the code compares its bytes with; the rest in form."""


def main() -> None:
    """Fuzz until libFuzzer's options say that it is enough, or an input breaks a promise."""
    target = TARGETS[sys.argv[1]]
    logging.disable(logging.CRITICAL)
    with atheris.instrument_imports(include=["modelward_agent", "modelward_collector"]):
        run = target.run
    atheris.Setup([sys.argv[0], *sys.argv[2:]], run, custom_mutator=_mutator(target))
    atheris.Fuzz()


def _mutator(target: Target) -> Callable[[bytes, int, int], bytes]:
    def mutated(data: bytes, most_bytes: int, seed: int) -> bytes:
        chance = Random(seed)
        if chance.randrange(_AS_BYTES) == 0:
            found: bytes = atheris.Mutate(data, most_bytes)
            return found
        for _ in range(chance.choice((1, 1, 1, 2, 4))):
            data = target.mutated(data, chance)
        return data[:most_bytes]

    return mutated


if __name__ == "__main__":
    main()
