"""`modelward suggest-rules`: from where the reference is to a file for `models.d`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from modelward_collector.checks.result import CheckKind
from modelward_collector.checks.window import ReferenceProfile
from modelward_collector.models import ModelSpec
from modelward_collector.store.windows import file_reference
from modelward_collector.suggest import suggest
from modelward_collector.suggest_yaml import to_yaml


class SuggestError(Exception):
    """What was asked for cannot be done; the message says what to do."""


def suggested_file(model: str, reference: Path | None, output: Path | None, config: Path) -> str:
    """The suggested file, written to `output` unless that is None; it validates as a model's file.

    The reference is that file, or what `models.d` beside `config` names for the model. `SuggestError` for an unknown
    model, one without a reference yet, and an output that exists; `SettingsError`, `ReferenceFileError` and OSError.
    """
    if output is not None and output.exists():
        raise SuggestError(f"{output} exists; name another file, and carry over what you want")
    base = Path.cwd() if output is None else output.resolve().parent
    if reference is not None:
        known = file_reference(reference)
        source: dict[str, Any] | None = {"kind": "file", "path": os.path.relpath(reference.resolve(), base)}
    else:
        known, source = _configured(model, config)
    text = to_yaml(suggest(known), model, source)
    ModelSpec.model_validate(yaml.safe_load(text), context={"folder": base})
    if output is not None:
        with output.open("x", encoding="utf-8") as file:
            file.write(text)
    return text


def _configured(model: str, config: Path) -> tuple[ReferenceProfile, dict[str, Any] | None]:
    """The reference of the version seen last, and how the model's file names it, which is None for the default."""
    from modelward_collector.app import build
    from modelward_collector.config import load_config

    collector = build(load_config(config))
    try:
        collector.context.store.setup()
        registry, engine = collector.context.registry, collector.context.engine
        spec = registry.spec(model)
        if spec is None:
            known = ", ".join(spec.model for spec in registry.specs()[:20]) or "none yet"
            raise SuggestError(f'there is no model "{model}"; the models are: {known}')
        versions = registry.versions(model)
        version = versions[0].version if versions else ""
        reference = engine.reference(model, version, engine.span(model, CheckKind.QUALITY))
    finally:
        collector.stop()
    if reference is None:
        raise SuggestError(f'"{model}" has no reference yet; wait for traffic, or give one with --reference FILE')
    if spec.reference == ModelSpec.unconfigured(model).reference:
        return reference, None
    return reference, _absolute(spec.reference.model_dump(mode="json"))


def _absolute(reference: dict[str, Any]) -> dict[str, Any]:
    if "path" in reference:
        return {**reference, "path": str(Path(reference["path"]).resolve())}
    return {key: value for key, value in reference.items() if value is not None}
