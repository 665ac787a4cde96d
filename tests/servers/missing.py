"""What to say, and do, when a server that tests need is not on this machine."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SERVERS = ROOT / "build" / "servers"
"""Where `tools/install-servers` puts what is no Debian package."""

INSTALL = "make servers"


class ServerMissingError(Exception):
    """A server cannot be started here; the message names it, what is lacking and the command that mends it."""

    def __init__(self, server: str, lacking: str, install: str = INSTALL) -> None:
        super().__init__(f"{server} is not here ({lacking}); run: {install}")


def program(server: str, *names: str, install: str = INSTALL) -> Path:
    """The first of the named programs that is installed; ServerMissingError of none, with what to run."""
    for name in names:
        if found := shutil.which(name):
            return Path(found)
    raise ServerMissingError(server, f"no program {' or '.join(names)}", install)


def in_ci() -> bool:
    """Whether a missing server is a failure rather than a skip."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false")
