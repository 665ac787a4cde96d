"""A collector over a temporary SQLite file, and traffic for it, for the tests of the shell."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from collector.tests.store_documents import part
from modelward_collector.app import Collector, build
from modelward_collector.config import CollectorConfig
from modelward_collector.store.protocol import Store

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def a_collector(folder: Path, models: Mapping[str, str] | None = None, **settings: Any) -> Collector:
    """Every part over a fresh store in the folder; nothing is started. `models` is {name: rest of its YAML}."""
    models_dir = folder / "models.d"
    models_dir.mkdir(exist_ok=True)
    for number, (name, rest) in enumerate((models or {}).items()):
        (models_dir / f"{number}.yml").write_text(f"model: {name}\n{rest}\n", encoding="utf-8")
    content = {
        "store": {"kind": "sqlite", "path": str(folder / "modelward.db")},
        "models_dir": str(models_dir),
        **settings,
    }
    collector = build(CollectorConfig.model_validate(content))
    collector.context.store.setup()
    return collector


def send_traffic(
    store: Store,
    start: datetime,
    minutes: int,
    *,
    model: str = "delay",
    version: str = "1",
    rows: int = 50,
    mean: float = 0.0,
    seconds: int = 60,
) -> None:
    """Profiles of so many windows, each of normally distributed rows of the feature `distance`."""
    chance = np.random.default_rng([minutes, rows, int(start.timestamp())])
    documents = []
    for number in range(minutes):
        at = start + number * timedelta(seconds=seconds)
        values = chance.normal(mean, 1.0, rows).tolist()
        documents.append(
            part(f"{model}-{version}-{at:%Y%m%d%H%M%S}", at, values, model=model, version=version, seconds=seconds)
        )
    store.create(documents)


def wait_until(holds: Callable[[], object], what: str, seconds: float = 20.0) -> None:
    """Return as soon as it holds; fail, naming what was waited for, when it does not in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
        time.sleep(0.02)
