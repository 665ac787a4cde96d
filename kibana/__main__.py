"""Writes `content/` from the definitions, or with `--check` says whether it is current."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from kibana.dashboards import DASHBOARDS
from kibana.views import data_views

CONTENT: Final = Path(__file__).resolve().parent / "content"


def content() -> Mapping[str, Any]:
    """What each file of `content/` holds."""
    files: dict[str, Any] = {"data-views.json": data_views()}
    files |= {f"dashboards/{dashboard.id}.json": dashboard.to_json() for dashboard in DASHBOARDS}
    return files


def written(value: Any) -> str:
    """As a file has it."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def main(arguments: list[str]) -> int:
    """Write the files, or with `--check` compare them; 1 when they are not current."""
    expected = {CONTENT / name: written(value) for name, value in content().items()}
    there = set(CONTENT.rglob("*.json"))
    if arguments == ["--check"]:
        stale = [path for path, text in expected.items() if path not in there or path.read_text("utf-8") != text]
        stale += sorted(there - set(expected))
        for path in stale:
            print(f"modelward: {path.relative_to(CONTENT.parents[1])} is not current; run: python -m kibana")
        return 1 if stale else 0
    for path in there - set(expected):
        path.unlink()
    for path, text in expected.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
