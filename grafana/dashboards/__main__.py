"""Write the dashboards' files, or with `--check` say whether those that are there are current."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from grafana.dashboards import dashboards
from grafana.dashboards.page import text

FOLDER = Path(__file__).parent.parent / "config" / "dashboards"


def files() -> dict[Path, str]:
    """The text of each file by its path."""
    return {FOLDER / f"{uid}.json.j2": text(content) for uid, content in dashboards().items()}


def main() -> int:
    """Exit code 1 when `--check` finds a difference."""
    parser = argparse.ArgumentParser(prog="python -m grafana.dashboards", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args().check
    wanted = files()
    there = set(FOLDER.glob("*"))
    stale = sorted(path for path, content in wanted.items() if path not in there or path.read_text() != content)
    stale += sorted(there - wanted.keys())
    if check:
        for path in stale:
            print(f"{path}: is not what the code emits; run python -m grafana.dashboards", file=sys.stderr)
        return int(bool(stale))
    FOLDER.mkdir(exist_ok=True)
    for path in there - wanted.keys():
        path.unlink()
    for path, content in wanted.items():
        path.write_text(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
