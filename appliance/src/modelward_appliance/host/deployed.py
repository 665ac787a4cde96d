"""What was deployed last, as Compose had it: the way back from an upgrade, whose folder has the new release's files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from modelward_appliance.host.docker import Compose
from modelward_appliance.host.environment import Environment

FILE: Final = "deployed.json"


def record(environment: Environment) -> None:
    """Keep the configuration of what runs now."""
    write(environment.state / FILE, configuration(Compose(environment)))


def recorded(environment: Environment) -> dict[str, Any]:
    """The configuration that was kept; the present one when none was."""
    path = environment.state / FILE
    if not path.is_file():
        return configuration(Compose(environment))
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def configuration(compose: Compose) -> dict[str, Any]:
    """Everything that Compose would start now, complete in itself."""
    found = compose.config()
    for service in found["services"].values():
        # Only those that are switched on are in it, and they are to be.
        service.pop("profiles", None)
    return found


def write(path: Path, content: Any) -> None:
    """Write it as JSON for the owner alone, whole or not at all."""
    aside = path.with_name(f".{path.name}.new")
    aside.touch(0o600)
    aside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    aside.rename(path)
