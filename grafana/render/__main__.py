"""Draw the dashboards: of a Prometheus that runs, or of a made-up day (`--example`, needs Prometheus's programs)."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from grafana.dashboards import dashboards
from grafana.render import example
from grafana.render.ask import Asked, Span, chosen
from grafana.render.draw import CANVAS, FAINT, GAP, TEXT, UNIT, WIDTH, Box, Canvas, Painter

HEADER = 64


def seconds(text: str) -> float:
    """`now-6h` as seconds before now."""
    return float(text.removeprefix("now-")[:-1]) * {"m": 60, "h": 3600, "d": 86_400}[text[-1]]


def draw(
    content: Mapping[str, Any], asked: Asked, end: float, path: Path, wanted: Mapping[str, str], scrape: float
) -> list[str]:
    """Write the dashboard's picture; the titles of panels that had nothing to show."""
    length = seconds(content["time"]["from"])
    span = Span(end - length, end, max(scrape, length / 360), scrape)
    variables = chosen(content, asked, span, wanted)
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in content["panels"])
    canvas = Canvas(WIDTH, HEADER + height * (UNIT + GAP) + GAP)
    painter = Painter(canvas, asked, span, variables, [])
    _header(canvas, content, variables)
    cell = (WIDTH - GAP) / 24
    for panel in content["panels"]:
        place = panel["gridPos"]
        y = HEADER + place["y"] * (UNIT + GAP)
        if panel["type"] == "row":
            canvas.text(GAP + 6, y + UNIT / 2, f"▾  {panel['title']}", 16, TEXT, weight="bold")
            continue
        box = Box(GAP + place["x"] * cell, y, place["w"] * cell - GAP, place["h"] * (UNIT + GAP) - GAP)
        painter.panel(panel, box)
    canvas.save(str(path))
    return painter.empty


def _header(canvas: Canvas, content: Mapping[str, Any], variables: Mapping[str, str]) -> None:
    canvas.text(GAP + 4, 20, content["title"], 20, TEXT, weight="bold")
    x = GAP + 4.0
    for variable in content["templating"]["list"]:
        value = variables.get(variable["name"], "")
        words = f"{variable['label']}  {'All' if value == '.*' else value}"
        width = canvas.width_of(words, 13) + 20
        canvas.rectangle(Box(x, 36, width, 24), "#22252B", radius=2)
        canvas.text(x + 10, 48, words, 13, TEXT)
        x += width + 8
    words = f"{content['time']['from'].replace('now-', 'Last ')}   ·   refreshed every {content['refresh']}"
    canvas.text(WIDTH - GAP - 4, 20, words, 13, FAINT, ha="right")
    assert CANVAS


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 1 when some panel had nothing to show."""
    parser = argparse.ArgumentParser(prog="python -m grafana.render", description=__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--prometheus", metavar="URL", help="one that runs, for example http://127.0.0.1:9090")
    source.add_argument("--example", action="store_true", help="one that is started on a made-up day")
    parser.add_argument("--out", type=Path, default=Path("build/dashboards"), help="where the pictures go")
    parser.add_argument("--end", type=float, default=None, help="Unix time that is the dashboards' now")
    parser.add_argument("--scrape", type=float, default=10.0, help="seconds between scrapes")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a variable's value")
    parser.add_argument("uids", nargs="*", help="which dashboards; all of them by default")
    given = parser.parse_args(arguments)
    wanted = dict(one.split("=", 1) for one in given.set)
    given.out.mkdir(parents=True, exist_ok=True)
    if not given.example:
        return _draw_all(given, given.prometheus, given.end or time.time(), given.scrape, wanted)
    day = example.Day(example.NOON)
    with example.answering(day) as url:
        return _draw_all(given, url, day.end, example.STEP, {**example.CHOSEN, **wanted})


def _draw_all(given: argparse.Namespace, url: str, end: float, scrape: float, wanted: Mapping[str, str]) -> int:
    empty = 0
    for uid, content in dashboards().items():
        if given.uids and uid not in given.uids:
            continue
        # A variable that offers everything shows everything, unless it was asked for.
        several = {one["name"] for one in content["templating"]["list"] if one.get("includeAll")}
        asked_for = {one.split("=", 1)[0] for one in given.set}
        mine = {name: value for name, value in wanted.items() if name not in several or name in asked_for}
        path = given.out / f"grafana-{uid.removeprefix('modelward-')}.png"
        without = draw(content, Asked(url), end, path, mine, scrape)
        print(f"{path}" + (f": nothing to show in {', '.join(without)}" if without else ""))
        empty += len(without)
    return int(bool(empty))


if __name__ == "__main__":
    sys.exit(main())
