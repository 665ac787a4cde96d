"""YAML settings: the bytes are a file's."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from pydantic import BaseModel

from modelward_agent.config import AgentConfig
from modelward_agent.settings import SettingsError, load_yaml_settings
from modelward_collector.config import CollectorConfig
from modelward_collector.models import ModelSpec

M = TypeVar("M", bound=BaseModel)

_LONGEST_LINE = 4096


def agent(data: bytes) -> None:
    """`agent.yml`: only `SettingsError` comes, and its lines are whole and name the file."""
    loaded = _loaded(data, AgentConfig)
    if loaded is not None:
        assert [one.name for one in loaded.filters]
        str(loaded.events.default)


def collector(data: bytes) -> None:
    """`collector.yml`, the same."""
    loaded = _loaded(data, CollectorConfig)
    if loaded is not None:
        loaded.listen.url()
        loaded.retention.by_alias()


def model(data: bytes) -> None:
    """A file of `models.d`, the same."""
    loaded = _loaded(data, ModelSpec)
    if loaded is not None:
        loaded.model_dump_json()


def _loaded(data: bytes, model_class: type[M]) -> M | None:
    path = _file()
    path.write_bytes(data)
    try:
        return load_yaml_settings(path, model_class, "MODELWARD_FUZZED", {})
    except SettingsError as error:
        assert error.lines
        for line in error.lines:
            assert line.startswith(f"modelward: {path}: "), line
            assert line.isprintable(), line
            assert len(line) < _LONGEST_LINE, line
            line.encode()
        return None


@cache
def _file() -> Path:
    folder = TemporaryDirectory(prefix="modelward-fuzz-")
    _KEPT.append(folder)
    return Path(folder.name) / "fuzzed.yml"


_KEPT: list[TemporaryDirectory[str]] = []
