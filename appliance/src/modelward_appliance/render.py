"""A room's `config/` to the files of a service: `*.j2` rendered, everything else as it is, subfolders kept."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import jinja2
import yaml

from modelward_appliance.context import context
from modelward_appliance.services import Service
from modelward_appliance.settings import Site

CONFIG: Final = "/etc/modelward"
"""Where a service finds its configuration in its container."""

CONTENT_VARIABLE: Final = "MODELWARD_CONTENT"
_SUFFIX: Final = ".j2"


class RenderError(Exception):
    """A template that cannot be rendered; the message names it, the line and what is wrong."""


def content_root() -> Path:
    """Where the rooms are: `MODELWARD_CONTENT`, else the repository that this is part of."""
    if given := os.environ.get(CONTENT_VARIABLE):
        return Path(given)
    return Path(__file__).resolve().parents[3]


@dataclass(frozen=True, slots=True)
class Renderer:
    """Renders the rooms below `root` for one site."""

    root: Path
    site: Site

    def render(self, service: Service, secrets: Mapping[str, str], config: str = CONFIG) -> dict[str, bytes]:
        """By relative name: the service's own files; RenderError when a template fails."""
        room = self.root / service.room
        environment = _environment(room)
        names = context(self.site, service, config) | {"secret": _lookup(service, secrets)}
        found: dict[str, bytes] = {}
        for path in sorted(room.rglob("*")):
            if not path.is_file() or path.name.startswith(".") or "__pycache__" in path.parts:
                continue
            name = path.relative_to(room).as_posix()
            if name.endswith(_SUFFIX):
                found[name.removesuffix(_SUFFIX)] = self._rendered(environment, service, name, names)
            else:
                found[name] = path.read_bytes()
        return found

    def _rendered(
        self, environment: jinja2.Environment, service: Service, name: str, names: Mapping[str, Any]
    ) -> bytes:
        try:
            return environment.get_template(name).render(names).encode()
        except jinja2.TemplateSyntaxError as error:
            raise RenderError(f"{service.room}/{name}: line {error.lineno}: {error.message}; correct it") from error
        except jinja2.TemplateError as error:
            raise RenderError(f"{service.room}/{name}: {error.message}; correct the template") from error


def _environment(room: Path) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(room),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - configuration files, whose quoting is that of the filters below
    )
    environment.filters["yaml"] = _yaml
    environment.filters["toml"] = _toml
    return environment


def _yaml(value: Any) -> str:
    """A value on one line of YAML; text always in quotes."""
    if isinstance(value, str):
        return json.dumps(value)
    return yaml.safe_dump(value, default_flow_style=True, width=float("inf")).removesuffix("\n").removesuffix("\n...")


def _toml(value: Any) -> str:
    """A text, number, truth value or list of them in TOML, whose basic strings are quoted as JSON's are."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _lookup(service: Service, secrets: Mapping[str, str]) -> Any:
    def secret(name: str) -> str:
        if name not in secrets:
            raise jinja2.UndefinedError(
                f'{service.name} is handed no secret "{name}"; name the service at that secret in credentials.py'
            )
        return secrets[name]

    return secret
