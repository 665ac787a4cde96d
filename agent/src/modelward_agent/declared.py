"""The types that a file declares: `features` of a model's file, or `types` of an `agent.yml`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field

from modelward_agent.settings import load_yaml_settings, read_yaml
from modelward_agent.values import ValueType

Declared = dict[str, dict[str, ValueType]]
"""By model and feature."""


class _Feature(BaseModel):
    type: Literal["categorical", "numeric", "boolean", "embedding"] | None = None


class _ModelFile(BaseModel):
    model: str
    features: dict[str, _Feature] = Field(default_factory=dict)


class _AgentFile(BaseModel):
    types: Declared = Field(default_factory=dict)


def declared_types(path: Path) -> Declared:
    """What the file says of types; whatever else is in it is not looked at. `SettingsError` when it cannot be read."""
    if "model" not in read_yaml(path):
        return load_yaml_settings(path, _AgentFile).types
    file = load_yaml_settings(path, _ModelFile)
    kinds = {name: feature.type for name, feature in file.features.items()}
    return {file.model: {name: ValueType(kind) for name, kind in kinds.items() if kind and kind != "embedding"}}
