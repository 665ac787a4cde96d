"""The agent as a child of `modelward up`: it ends when its parent is gone, and reads features as models.d declares.

python -m modelward_collector.embedded_agent <the parent's pid> agent.yml models.d
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path

from modelward_agent.cli import run
from modelward_agent.config import AgentConfig, load_config
from modelward_agent.declared import Declared, declared_types
from modelward_agent.settings import SettingsError

logger = logging.getLogger("modelward_agent.types")

LOOK_EVERY_SECONDS = 0.5
ENDS_WITHIN_SECONDS = 10.0


class Declarations:
    """What the files of a folder declare now; of a file that cannot be read, what it declared before."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, tuple[tuple[int, int], Declared]] = {}
        self.in_use: Declared = {}

    def now(self) -> Declared:
        """By model and feature; as in the registry the first file of a model is the one that counts."""
        read = {}
        for path in sorted(self._folder.glob("*")):
            if path.suffix in (".yml", ".yaml"):
                with contextlib.suppress(OSError):  # it went meanwhile
                    read[path] = self._of(path)
        self._read = read
        return {model: types for _, declared in reversed(read.values()) for model, types in declared.items()}

    def _of(self, path: Path) -> tuple[tuple[int, int], Declared]:
        stat = path.stat()
        signature = (stat.st_mtime_ns, stat.st_size)
        before, declared = self._read.get(path, ((0, 0), {}))
        if signature != before:
            try:
                declared = declared_types(path)
            except SettingsError as error:
                logger.warning("its features are read as before: %s", error)
        return signature, declared

    def configure(self, path: Path) -> AgentConfig:
        """The agent's configuration with these types beside its own, which come first."""
        self.in_use = self.now()
        config = load_config(path)
        types = {
            model: {**self.in_use.get(model, {}), **config.types.get(model, {})}
            for model in self.in_use.keys() | config.types.keys()
        }
        return config.model_copy(update={"types": types})


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_EVERY_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(ENDS_WITHIN_SECONDS)
    os._exit(1)


def _watch(declarations: Declarations) -> None:
    while True:
        time.sleep(LOOK_EVERY_SECONDS)
        if declarations.now() != declarations.in_use and signal.getsignal(signal.SIGHUP) is not signal.SIG_DFL:
            os.kill(os.getpid(), signal.SIGHUP)


def main() -> int:
    """Run the agent; its exit code."""
    parent, path, declarations = int(sys.argv[1]), Path(sys.argv[2]), Declarations(Path(sys.argv[3]))
    threading.Thread(target=_end_with, args=(parent,), name="parent", daemon=True).start()
    threading.Thread(target=_watch, args=(declarations,), name="types", daemon=True).start()
    try:
        return run(path, lambda: declarations.configure(path))
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
