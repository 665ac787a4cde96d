"""`compose/.env` as Compose reads it, and where things are on this server."""

from __future__ import annotations

import difflib
import os
import re
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TOP: Final = Path(__file__).resolve().parents[4]
"""The repository, or the release that was unpacked."""

COMPOSE_FOLDER: Final = TOP / "compose"
DEFAULT_FILE: Final = COMPOSE_FOLDER / ".env"
EXAMPLE: Final = COMPOSE_FOLDER / ".env.example"

DEFAULT_PROJECT: Final = "modelward"
_OTHERS: Final = frozenset({"COMPOSE_PROJECT_NAME", "COMPOSE_PROFILES"})
"""Variables of Compose itself that may be set, beside those of `.env.example`."""

_DOCUMENTED = re.compile(r"#? ?([A-Z][A-Z0-9_]*)=(.*)")
_ASSIGNMENT = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")
_ADDRESS = re.compile(r"MODELWARD_ADDRESS_[A-Z0-9_]+")
_PROJECT = re.compile(r"[a-z0-9][a-z0-9_-]*")


class EnvironmentFileError(Exception):
    """`.env` cannot be used; `lines` has every reason, each with file, line, variable and fix."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


class NotDeployedError(Exception):
    """There is nothing here to do it with; the message says what to do first."""


@dataclass(frozen=True, slots=True)
class Environment:
    """The site's variables. One that is not set, or empty, has the default of `.env.example` where Compose has one."""

    file: Path
    variables: Mapping[str, str]
    is_new: bool = False
    """There is no file yet; the variables are those of `.env.example`, for this machine."""

    @classmethod
    def load(cls, file: Path = DEFAULT_FILE) -> Environment:
        """Read the file; without one, what `make deploy` would write. `EnvironmentFileError` with every error."""
        file = file.absolute()
        if not file.exists():
            if file != DEFAULT_FILE:
                raise EnvironmentFileError([f"modelward: {file}: is not there; copy {EXAMPLE} and set what differs"])
            return cls(file, _parse(file, first_version()), is_new=True)
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise EnvironmentFileError([f"modelward: {file}: cannot be read ({error})"]) from error
        return cls(file, _parse(file, text))

    def get(self, name: str, default: str = "") -> str:
        """The value of a variable; the default when it is not set or empty."""
        return self.variables.get(name) or default

    @property
    def project(self) -> str:
        """Compose's name of the stack; containers, networks and volumes begin with it."""
        return self.get("COMPOSE_PROJECT_NAME", DEFAULT_PROJECT)

    @property
    def state(self) -> Path:
        """The state folder."""
        return (COMPOSE_FOLDER / self.get("MODELWARD_STATE", "state")).resolve()

    def require_deployed(self) -> None:
        """`NotDeployedError` where no deploy has begun; a half-finished one counts, since its logs are wanted."""
        if not self.state.is_dir():
            raise NotDeployedError(f"nothing is deployed here, {self.state} is not there; make deploy does that")

    @property
    def profiles(self) -> frozenset[str]:
        """What `COMPOSE_PROFILES` switches on."""
        return frozenset(part for part in re.split(r"[,\s]+", self.get("COMPOSE_PROFILES")) if part)

    @property
    def hosts(self) -> list[str]:
        """The site's names and addresses; the first is the canonical one."""
        return [part for part in re.split(r"[,\s]+", self.get("MODELWARD_HOSTS")) if part]

    @property
    def port(self) -> int:
        """Where the gateway is published."""
        return int(self.get("MODELWARD_PORT", "443"))

    @property
    def grafana_port(self) -> int:
        """Where Grafana is published."""
        return int(self.get("MODELWARD_GRAFANA_PORT", "3000"))

    @property
    def ingest_port(self) -> int:
        """Where agents ship to."""
        return int(self.get("MODELWARD_INGEST_PORT", "9243"))

    @property
    def url(self) -> str:
        """Where people open the console, without a slash at the end."""
        return self._published(self.port)

    @property
    def grafana_url(self) -> str:
        """Where people open Grafana, without a slash at the end."""
        return self._published(self.grafana_port)

    def _published(self, port: int) -> str:
        host = self.hosts[0] if self.hosts else "localhost"
        host = f"[{host}]" if ":" in host else host
        return f"https://{host}" + ("" if port == 443 else f":{port}")

    def for_compose(self) -> dict[str, str]:
        """The variables of a process that runs Compose: what the site is, the file says, and no shell's leftovers."""
        known = {*documented(), *_OTHERS}
        kept = {name: value for name, value in os.environ.items() if name not in known}
        return kept | {"MODELWARD_ENV_FILE": str(self.file)}


def documented() -> dict[str, str]:
    """Every variable of `.env.example`, to its default or example there."""
    found: dict[str, str] = {}
    for line in EXAMPLE.read_text(encoding="utf-8").splitlines():
        if match := _DOCUMENTED.fullmatch(line):
            found[match[1]] = match[2]
    return found


def first_version() -> str:
    """`.env.example` with this machine's name, as a first `.env`."""
    own = dict.fromkeys(name.lower() for name in (socket.getfqdn(), socket.gethostname()))
    names = [name for name in own if re.fullmatch(r"[a-z0-9][a-z0-9.-]*", name) and not name.startswith("localhost")]
    hosts = ",".join([*names, "localhost"])
    return EXAMPLE.read_text(encoding="utf-8").replace("\nMODELWARD_HOSTS=localhost\n", f"\nMODELWARD_HOSTS={hosts}\n")


def values_of(text: str) -> dict[str, str]:
    """The variables of a file that was found valid before. ValueError for a value that is none."""
    lines = (line.strip() for line in text.splitlines())
    matches = (_ASSIGNMENT.fullmatch(line) for line in lines if line and not line.startswith("#"))
    return {match[1]: _value(match[2]) for match in matches if match}


def _parse(file: Path, text: str) -> dict[str, str]:
    values: dict[str, str] = {}
    errors: list[str] = []
    known = {*documented(), *_OTHERS}
    for number, line in enumerate(text.splitlines(), 1):
        where = f"modelward: {file.name}:{number}"
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        match = _ASSIGNMENT.fullmatch(stripped)
        if match is None:
            errors.append(f'{where}: "{stripped}" is no NAME=value; correct it or begin the line with #')
            continue
        name, raw = match[1], match[2]
        if name not in known and not _ADDRESS.fullmatch(name):
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
            advice = f"did you mean {near[0]}?" if near else f"{EXAMPLE.name} lists those that are"
            errors.append(f"{where}: {name} is not known; {advice}")
            continue
        try:
            values[name] = _value(raw)
        except ValueError as error:
            errors.append(f"{where}: {name}: {error}")
    errors += [f"modelward: {file.name}: {problem}" for problem in _of_values(values)]
    if errors:
        raise EnvironmentFileError(errors)
    return values


def _value(raw: str) -> str:
    """The value as Compose takes it. ValueError for what Compose would read as something else than it looks."""
    if raw[:1] in ("'", '"'):
        quote = raw[0]
        end = raw.find(quote, 1)
        if end < 0 or (raw[end + 1 :].strip() and not raw[end + 1 :].lstrip().startswith("#")):
            raise ValueError(f"the quote {quote} is not closed at the end of the value; close it")
        inner = raw[1:end]
        if quote == '"' and ("$" in inner or "\\" in inner):
            raise ValueError("has $ or \\ between double quotes, where they mean something else; use single quotes")
        return inner
    value = re.split(r"\s#", raw, maxsplit=1)[0].strip()
    if "$" in value:
        raise ValueError("has a $, which would be taken for a variable; put the value into single quotes")
    return value


def _of_values(values: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with those that Compose itself uses; the others are for `setup` to judge."""
    for name in ("MODELWARD_PORT", "MODELWARD_GRAFANA_PORT", "MODELWARD_INGEST_PORT"):
        value = values.get(name)
        if value and not (value.isdecimal() and 0 < int(value) < 65536):
            yield f'{name}: "{value}" is no port; write a number from 1 to 65535'
    for name, value in values.items():
        if name.endswith("_MEMORY") and value and not re.fullmatch(r"\d+(\.\d+)?[kmg]b?", value.lower()):
            yield f'{name}: "{value}" is no amount of memory; write for example 512m or 2g'
    project = values.get("COMPOSE_PROJECT_NAME")
    if project and not _PROJECT.fullmatch(project):
        yield f'COMPOSE_PROJECT_NAME: "{project}" may have only a-z, 0-9, - and _, and begins with a letter or digit'
