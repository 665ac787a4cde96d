"""Draws each dashboard from the answers of its searches as a picture, to be looked at where there is no Kibana.

    python -m kibana.render OUT --url https://127.0.0.1:9200 --ca-file ca.crt --user elastic --password-file secret

It is no Kibana: it shows whether panels say something, fit beside each other, and read well.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from elasticsearch import Elasticsearch
from matplotlib import dates
from matplotlib import pyplot as plt
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator

from kibana.__main__ import CONTENT
from kibana.aggregations import Request, Row, Span, requests
from kibana.panels import COUNT, PERCENT

PALETTE: Final = (
    "#16C5C0", "#61A2FF", "#EE72A6", "#F6726A", "#EAAE01", "#A6EDEA", "#BFDBFF", "#FFC7DB", "#FFC9C2", "#FCD883",
)  # fmt: skip
BACKGROUND, PANEL, BORDER, INK, FAINT = "#F6F9FC", "#FFFFFF", "#E3E8F2", "#1D2A3E", "#5A6D8C"

COLUMN_INCHES: Final = 0.46
ROW_INCHES: Final = 0.29
CONTROLS_ROWS: Final = 4
GAP: Final = 0.35
"""Between panels, in columns and rows."""

Rows = Sequence[Row]
Answers = Mapping[str, tuple[Request, Rows]]


def draw(dashboard: Mapping[str, Any], answers: Answers, path: Path) -> None:
    """One picture of the whole dashboard."""
    mpl.rcParams.update({"font.family": "DejaVu Sans", "font.size": 8, "text.color": INK, "axes.edgecolor": BORDER})
    height = CONTROLS_ROWS + max(panel["grid"]["y"] + panel["grid"]["h"] for panel in dashboard["panels"])
    figure = plt.figure(figsize=(48 * COLUMN_INCHES, height * ROW_INCHES), facecolor=BACKGROUND)
    _controls(figure, dashboard, answers, height)
    for panel in dashboard["panels"]:
        grid, config = panel["grid"], panel["config"]
        left, width = (grid["x"] + GAP / 2) / 48, (grid["w"] - GAP) / 48
        bottom = 1 - (CONTROLS_ROWS + grid["y"] + grid["h"] - GAP / 2) / height
        tall = (grid["h"] - GAP) / height
        figure.add_artist(Rectangle((left, bottom), width, tall, facecolor=PANEL, edgecolor=BORDER, zorder=-1))
        box = (left, bottom, width, tall)
        request, rows = answers[panel["id"]]
        if panel["type"] == "discover_session":
            _title(figure, box, config["title"])
            _grid(figure, box, list(request.columns), [[_cell(value) for value in row.keys] for row in rows], grid)
        elif config["type"] == "metric":
            trend = answers.get(f"{panel['id']} (trend)")
            _metric(figure, box, config["metrics"][0], rows, trend[1] if trend else ())
        elif config["type"] == "data_table":
            _title(figure, box, config["title"])
            head = [*request.buckets, *(metric["label"] for metric in request.measures)]
            _grid(figure, box, head, [_table_row(row, request) for row in rows], grid)
        else:
            _title(figure, box, config["title"])
            _chart(figure, box, config, request, rows, height)
    figure.savefig(path, dpi=80, facecolor=BACKGROUND)
    plt.close(figure)


def _controls(figure: Any, dashboard: Mapping[str, Any], answers: Answers, height: float) -> None:
    figure.text(0.006, 1 - 0.9 / height, dashboard["title"], fontsize=14, fontweight="bold", va="center")
    figure.text(0.006, 1 - 1.9 / height, dashboard["description"], fontsize=8, color=FAINT, va="center")
    controls = dashboard["pinned_panels"]
    for number, control in enumerate(controls):
        title = control["config"]["title"]
        values = [str(row.keys[0]) for row in answers[f"control {title}"][1]]
        text = f"{title}:  Any   ({', '.join(values)})"
        box = Rectangle(
            ((number + 0.02) / len(controls), 1 - 3.7 / height), 0.96 / len(controls), 1.2 / height, facecolor=PANEL,
            edgecolor=BORDER,
        )  # fmt: skip
        figure.add_artist(box)
        figure.text((number + 0.04) / len(controls), 1 - 3.1 / height, text[: 220 // len(controls)], va="center")


def _title(figure: Any, box: Sequence[float], text: str) -> None:
    left, bottom, _, tall = box
    inches = figure.get_size_inches()
    figure.text(
        left + 0.1 / inches[0], bottom + tall - 0.16 / inches[1], text, fontsize=9, fontweight="bold", va="center"
    )


def _inside(figure: Any, box: Sequence[float], left: float, bottom: float, right: float, top: float) -> Any:
    """Axes within the box, with margins in inches."""
    wide, high = figure.get_size_inches()
    x, y, width, tall = box
    return figure.add_axes(
        (x + left / wide, y + bottom / high, width - (left + right) / wide, tall - (bottom + top) / high)
    )


def _metric(figure: Any, box: Sequence[float], metric: Mapping[str, Any], rows: Rows, trend: Rows) -> None:
    value = rows[0].values[0] if rows else None
    steps = metric.get("color", {}).get("steps", ())
    ink = next((step["color"] for step in reversed(steps) if (value or 0) >= step["gte"]), INK)
    colour = PALETTE[6]
    x, y, width, tall = box
    if trend:
        axes = _inside(figure, box, 0, 0, 0, 0.55)
        axes.fill_between(
            range(len(trend)), [row.values[0] or 0 for row in trend], color=colour, alpha=0.6, linewidth=0
        )
        axes.set_ylim(bottom=0)
        axes.margins(x=0)
        axes.axis("off")
    wide, high = figure.get_size_inches()
    figure.text(x + 0.1 / wide, y + tall - 0.18 / high, metric["label"], fontsize=9, fontweight="bold", va="center")
    shown = _formatted(value, metric)
    figure.text(
        x + width - 0.12 / wide,
        y + 0.3 / high,
        shown,
        fontsize=22,
        fontweight="bold",
        ha="right",
        va="center",
        color=ink,
    )


def _chart(
    figure: Any, box: Sequence[float], config: Mapping[str, Any], request: Request, rows: Rows, height: float
) -> None:
    del height
    (layer,) = config["layers"]
    horizontal = layer["type"].startswith("bar_horizontal")
    shown = config["legend"]["visibility"] == "visible"
    axes = _inside(figure, box, 1.3 if horizontal else 0.6, 0.55 if shown else 0.35, 0.15, 0.4)
    axes.set_facecolor(PANEL)
    measure = layer["y"][0]
    axis = axes.xaxis if horizontal else axes.yaxis
    if layer["type"].endswith("percentage"):
        measure = {"format": PERCENT}
    axis.set_major_formatter(FuncFormatter(lambda value, _: _formatted(value, measure)))
    axis.set_major_locator(MaxNLocator(5, integer=measure["format"] == COUNT if "format" in measure else False))
    for spine in ("top", "right", "left" if not horizontal else "bottom"):
        axes.spines[spine].set_visible(False)
    axes.tick_params(length=0, colors=FAINT, labelsize=7)
    axes.grid(axis="x" if horizontal else "y", color=BORDER, linewidth=0.8)
    axes.set_axisbelow(True)
    if horizontal:
        names = [_cell(row.keys[-1])[:26] for row in rows]
        axes.barh(names, [row.values[0] or 0 for row in rows], color=PALETTE[0], height=0.7)
        axes.invert_yaxis()
        return
    _series(axes, layer, _lines(layer, rows))
    axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(axes.xaxis.get_major_locator()))  # type: ignore[no-untyped-call]
    axes.set_ylim(bottom=0)
    if shown:
        axes.legend(loc="upper left", bbox_to_anchor=(0, -0.1), ncols=8, frameon=False, fontsize=7)


def _lines(layer: Mapping[str, Any], rows: Rows) -> dict[str, dict[datetime, float | None]]:
    """By series: value by time."""
    found: dict[str, dict[datetime, float | None]] = defaultdict(dict)
    for row in rows:
        at = datetime.fromtimestamp(row.keys[-1] / 1000, UTC)
        for measure, value in zip(layer["y"], row.values, strict=True):
            name = _cell(row.keys[0]) if "breakdown_by" in layer else measure["label"]
            found[name][at] = value
    return found


def _series(axes: Any, layer: Mapping[str, Any], lines: Mapping[str, Mapping[datetime, float | None]]) -> None:
    times = sorted({at for line in lines.values() for at in line})
    mapping = layer.get("breakdown_by", {}).get("color", {}).get("mapping", ())
    given = {value: entry["color"]["value"] for entry in mapping for value in entry["values"]}
    colours = [given.get(name, colour) for name, colour in zip(lines, PALETTE * 3, strict=False)]
    if layer["type"] == "line":
        for colour, (name, line) in zip(colours, lines.items(), strict=False):
            points = [(at, line[at]) for at in times if line.get(at) is not None]
            axes.plot([at for at, _ in points], [value for _, value in points], label=name, color=colour, linewidth=1.4)
        return
    width = 0.85 * min((b - a for a, b in pairwise(times)), default=timedelta(hours=1))
    total = {at: sum(line.get(at) or 0 for line in lines.values()) for at in times}
    base = dict.fromkeys(times, 0.0)
    for colour, (name, line) in zip(colours, lines.items(), strict=False):
        values = {at: line.get(at) or 0.0 for at in times}
        if layer["type"].endswith("percentage"):
            values = {at: value / total[at] if total[at] else 0.0 for at, value in values.items()}
        axes.bar(times, list(values.values()), width, bottom=list(base.values()), label=name, color=colour)
        base = {at: base[at] + values[at] for at in times}


def _table_row(row: Row, request: Request) -> list[str]:
    values = [_formatted(value, metric) for value, metric in zip(row.values, request.measures, strict=True)]
    return [*(_cell(key) for key in row.keys), *values]


def _grid(
    figure: Any, box: Sequence[float], head: Sequence[str], cells: Sequence[Sequence[str]], grid: Mapping[str, int]
) -> None:
    axes = _inside(figure, box, 0.1, 0.05, 0.1, 0.38)
    axes.set_xlim(0, 1)
    axes.axis("off")
    lines = int(grid["h"] * ROW_INCHES / 0.23) - 3
    axes.set_ylim(lines + 1, 0)
    longest = [max([len(title), *(len(line[number]) for line in cells[:lines])]) for number, title in enumerate(head)]
    widths = [min(length, 70) + 3 for length in longest]
    starts = [sum(widths[:number]) / sum(widths) for number in range(len(widths))]
    room = grid["w"] * COLUMN_INCHES / 0.078
    for number, title in enumerate(head):
        most = max(4, int(room * widths[number] / sum(widths)) - 1)
        axes.text(starts[number], 0.5, title[:most], fontweight="bold", va="center", fontsize=7.5)
        for index, line in enumerate(cells[:lines]):
            axes.text(starts[number], index + 1.5, line[number][:most], va="center", fontsize=7.5)
    for index in range(min(lines, len(cells)) + 1):
        axes.axhline(index + 1, color=BORDER, linewidth=0.6)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3f}"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


_UNITS: Final = ((86_400_000.0, "d"), (3_600_000.0, "h"), (60_000.0, "min"), (1_000.0, "s"), (1.0, "ms"))


def _duration(milliseconds: float) -> str:
    length, unit = next((one for one in _UNITS if milliseconds >= one[0]), _UNITS[-1])
    return f"{milliseconds / length:.3g} {unit}"


def _compact(value: float) -> str:
    return f"{value:,.0f}" if value < 10_000 else f"{value / 1000:,.1f}k"


_FORMATS: Final[Mapping[str, Callable[[float, Mapping[str, Any]], str]]] = {
    "percent": lambda value, options: f"{value:.{options['decimals']}%}",
    "duration": lambda value, options: _duration(value * (1000 if options["from"] == "s" else 1)),
    "bytes": lambda value, options: f"{value:,.0f} B",
    "number": lambda value, options: _compact(value) if options["compact"] else f"{value:,.{options['decimals']}f}",
}


def _formatted(value: float | None, metric: Mapping[str, Any]) -> str:
    if value is None:
        return "-"
    if metric.get("field") == "@timestamp":
        return datetime.fromtimestamp(value / 1000, UTC).strftime("%b %d, %H:%M:%S")
    options = metric.get("format")
    return f"{value:,.6g}" if options is None else _FORMATS[options["type"]](value, options)


def answers(client: Elasticsearch, dashboard: Mapping[str, Any], span: Span) -> Answers:
    """What every panel and control finds, by its name."""
    found = {}
    for request in requests(dashboard, span):
        found[request.panel] = (request, request.rows(client.search(index=request.index, **request.body).body))
    return found


def draw_all(client: Elasticsearch, span: Span, folder: Path) -> list[Path]:
    """A picture of each committed dashboard."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for source in sorted((CONTENT / "dashboards").glob("*.json")):
        dashboard = json.loads(source.read_text(encoding="utf-8"))
        paths.append(folder / f"{source.stem}.png")
        draw(dashboard, answers(client, dashboard, span), paths[-1])
    return paths


def main(arguments: Sequence[str]) -> int:
    """Draw all dashboards."""
    parser = argparse.ArgumentParser(prog="python -m kibana.render", description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--url", required=True)
    parser.add_argument("--ca-file", type=Path, required=True)
    parser.add_argument("--user", required=True)
    parser.add_argument("--password-file", type=Path, required=True)
    parser.add_argument("--hours", type=float, default=24.0, help="how far back, %(default)g by default")
    given = parser.parse_args(arguments)
    now = datetime.now(UTC)
    login = (given.user, given.password_file.read_text(encoding="utf-8").rstrip("\n"))
    with Elasticsearch(given.url, ca_certs=str(given.ca_file), basic_auth=login) as client:
        for path in draw_all(client, Span(now - timedelta(hours=given.hours), now), given.folder):
            print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
