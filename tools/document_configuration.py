"""Writes docs/configuration.md from the settings' own definitions: every key, its type, its default, what it does.

`python tools/document_configuration.py --check` says whether the page is current.
"""

from __future__ import annotations

import socket
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from modelward_agent.config import ENV_PREFIX as AGENT_PREFIX
from modelward_agent.config import AgentConfig, EventsPolicy
from modelward_agent.durations import format_duration
from modelward_collector.config import ENV_PREFIX as COLLECTOR_PREFIX
from modelward_collector.config import CollectorConfig
from modelward_collector.models import ModelSpec

PAGE = Path(__file__).resolve().parent.parent / "docs" / "configuration.md"

INTRODUCTION = """\
# Configuration

Made from the settings' own definitions by `tools/document_configuration.py`.

Files are YAML. Durations are written `30s`, `5m`, `1h30m`, `7d`; sizes `500MB`, `10GiB`; moments with their zone,
`2026-03-01T00:00:00Z`. Relative paths start from the folder of the file that names them. Secrets come from files only
(`…_file`), which other users must not be able to read. `check-config` names every error at once, with file, key, value
and what to write instead; a running service that is given a bad file (SIGHUP) says so and keeps what it had.
"""


AS_TEXT: Mapping[type, str] = {EventsPolicy: "all, none or sample 0.01"}
"""Settings that are written as one word, whatever they are inside."""


@dataclass(frozen=True, slots=True)
class Line:
    """One key of a table."""

    key: str
    kind: str
    default: str
    what: str


def lines(model: type[BaseModel], prefix: str = "") -> Iterator[Line]:
    """Every key of the settings, nested ones by their dotted names."""
    for name, field in model.model_fields.items():
        if field.exclude:
            continue
        key = f"{prefix}{field.alias or name}"
        nested = list(_models(field.annotation))
        if len(nested) == 1 and not _many(field.annotation):
            yield from lines(nested[0], f"{key}.")
            continue
        yield Line(key, _kind(field.annotation), _default(field), field.description or _first_line(nested))
        for one in nested:
            marker = "[]" if _many(field.annotation) and not _mapping(field.annotation) else ""
            marker = ".NAME" if _mapping(field.annotation) else marker
            yield from lines(one, f"{key}{marker}{_variant(one)}.")


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if annotation in AS_TEXT:
        return
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        return
    for argument in typing.get_args(annotation):
        yield from _models(argument)


def _mapping(annotation: Any) -> bool:
    origin = typing.get_origin(annotation)
    return (isinstance(origin, type) and issubclass(origin, Mapping)) or any(
        _mapping(argument) for argument in typing.get_args(annotation) if not isinstance(argument, str)
    )


def _many(annotation: Any) -> bool:
    origin = typing.get_origin(annotation)
    if origin in (list, tuple) or _mapping(annotation):
        return True
    return any(_many(argument) for argument in typing.get_args(annotation) if not isinstance(argument, str))


def _variant(model: type[BaseModel]) -> str:
    """The value of the key that tells one form of a setting from the others."""
    for name, field in model.model_fields.items():
        if typing.get_origin(field.annotation) is Literal:
            return f"({name}: {typing.get_args(field.annotation)[0]})"
    return ""


def _kind(annotation: Any) -> str:
    if annotation in AS_TEXT:
        return AS_TEXT[annotation]
    origin = typing.get_origin(annotation)
    arguments = [argument for argument in typing.get_args(annotation) if argument is not type(None)]
    if origin is Annotated:
        return _kind(arguments[0])
    if origin is Literal:
        return " or ".join(str(argument) for argument in arguments)
    if origin in (types.UnionType, typing.Union):
        return " or ".join(dict.fromkeys(_kind(argument) for argument in arguments))
    if origin is tuple and arguments[-1] is not Ellipsis:
        return f"[{', '.join(_kind(argument) for argument in arguments)}]"
    if origin in (list, tuple):
        return f"list of {_kind(arguments[0])}"
    if _mapping(annotation):
        return f"{{name: {_kind(arguments[-1])}}}"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return " or ".join(str(member.value) for member in annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "settings"
    names = {timedelta: "duration", Path: "path", str: "text", bool: "true or false", int: "integer", float: "number"}
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default_factory is socket.gethostname:
        return "the machine's name"
    value = field.default if field.default is not PydanticUndefined else field.get_default(call_default_factory=True)
    return f"`{_written(value)}`" if value not in (None, "", (), {}) else "unset"


def _written(value: Any) -> str:
    if isinstance(value, timedelta):
        return format_duration(value)
    if type(value) in AS_TEXT:
        return str(value)
    if isinstance(value, BaseModel):
        given = value.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
        tag = {name: getattr(value, name) for name in ("kind",) if hasattr(value, name)}
        return ", ".join(f"{name}: {item}" for name, item in {**tag, **given}.items())
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(_written(item) for item in value)}]"
    return str(value.value if isinstance(value, Enum) else value)


def _first_line(models: list[type[BaseModel]]) -> str:
    return (models[0].__doc__ or "").split("\n")[0] if len(models) == 1 else ""


def section(title: str, model: type[BaseModel], note: str) -> str:
    """One file's heading and table."""
    rows = [
        f"| `{line.key}` | {line.kind} | {line.default} | {line.what} |".replace("|  |", "| |") for line in lines(model)
    ]
    return "\n".join(
        [f"\n## {title}\n", note, "", "| key | type | default | |", "| --- | --- | --- | --- |", *rows, ""]
    )


def page() -> str:
    """The whole page."""
    return INTRODUCTION + "".join(
        (
            section(
                "`agent.yml`",
                AgentConfig,
                f"Variables override: `{AGENT_PREFIX}__METRICS__LISTEN=0.0.0.0:9478` sets `metrics.listen`.",
            ),
            section(
                "`collector.yml`",
                CollectorConfig,
                f"Variables override: `{COLLECTOR_PREFIX}__LISTEN__PORT=9000` sets `listen.port`.",
            ),
            section(
                "`models.d/*.yml`",
                ModelSpec,
                "One file a model. A model without one is watched too, against its own recent past.",
            ),
        )
    )


def main(arguments: list[str]) -> int:
    """Write the page, or with `--check` compare it; 1 when it is not current."""
    current = page()
    if arguments == ["--check"]:
        if PAGE.read_text() == current:
            return 0
        print("modelward: docs/configuration.md is not current; run: make docs", file=sys.stderr)
        return 1
    PAGE.write_text(current)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
