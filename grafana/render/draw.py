"""A panel on a canvas of pixels, close to how Grafana draws it in its dark theme."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

import matplotlib as mpl
import numpy as np

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

from grafana.render.ask import Asked, Series, Span, filled, legend
from grafana.render.units import shown

CANVAS: Final = "#111217"
PANEL: Final = "#181B1F"
EDGE: Final = "#25272D"
TEXT: Final = "#CCCCDC"
FAINT: Final = "#8E8E9A"
GRID: Final = "#2A2D33"
UNFILLED: Final = "#22252B"

WIDTH: Final = 1600
UNIT: Final = 30
GAP: Final = 8
TITLE: Final = 32

_NAMED: Final = {"transparent": "none", "blue": "#5794F2", "green": "#73BF69", "red": "#F2495C", "text": TEXT}
_BLUE_TO_PURPLE: Final = LinearSegmentedColormap.from_list("blpu", ["#5794F2", "#8F7BE8", "#B877D9"])

mpl.rcParams["font.family"] = ["Liberation Sans", "DejaVu Sans"]
mpl.rcParams["text.parse_math"] = False


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels from the top left."""

    x: float
    y: float
    w: float
    h: float

    def inner(self, left: float, top: float, right: float, bottom: float) -> Box:
        """Smaller by so much at each side."""
        return Box(self.x + left, self.y + top, self.w - left - right, self.h - top - bottom)


class Canvas:
    """A figure whose unit is a pixel, the origin at the top left."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.figure: Figure = plt.figure(figsize=(width / 100, height / 100), dpi=100, facecolor=CANVAS)
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set(xlim=(0, width), ylim=(height, 0))
        self.axes.axis("off")

    def text(self, x: float, y: float, words: str, size: float, colour: str = TEXT, **more: Any) -> None:
        """Words at a place; `size` in pixels."""
        self.axes.text(x, y, words, fontsize=size * 0.72, color=colour, **{"va": "center", **more})

    def width_of(self, words: str, size: float, weight: str = "normal") -> float:
        """How wide words are."""
        made = self.axes.text(0, 0, words, fontsize=size * 0.72, fontweight=weight)
        extent = made.get_window_extent(self.figure.canvas.get_renderer())  # type: ignore[attr-defined]
        made.remove()
        return float(extent.width)

    def cut(self, words: str, size: float, width: float) -> str:
        """The words, or as many as fit and an ellipsis."""
        if self.width_of(words, size) <= width:
            return words
        while words and self.width_of(words + "…", size) > width:
            words = words[:-1]
        return words + "…"

    def rectangle(self, box: Box, colour: str, *, radius: float = 0, edge: str = "none", alpha: float = 1) -> None:
        """A filled rectangle."""
        if radius:
            shape: Any = FancyBboxPatch(
                (box.x + radius, box.y + radius), max(0.1, box.w - 2 * radius), max(0.1, box.h - 2 * radius),
                boxstyle=f"round,pad={radius}", facecolor=colour, edgecolor=edge, alpha=alpha, linewidth=0.8,
            )  # fmt: skip
        else:
            shape = Rectangle(
                (box.x, box.y), box.w, box.h, facecolor=colour, edgecolor=edge, alpha=alpha, linewidth=0.8
            )
        self.axes.add_patch(shape)

    def plot(self, box: Box) -> Any:
        """Axes of their own at a place."""
        place = (box.x / self.width, 1 - (box.y + box.h) / self.height, box.w / self.width, box.h / self.height)
        return self.figure.add_axes(place, facecolor="none")

    def save(self, path: str) -> None:
        """Write a PNG with a palette of 200 colours, which shrinks it to a third."""
        import io

        from PIL import Image

        buffer = io.BytesIO()
        self.figure.savefig(buffer, facecolor=CANVAS)
        plt.close(self.figure)
        Image.open(buffer).convert("RGB").quantize(200).save(path, optimize=True)


@dataclass(frozen=True, slots=True)
class Named:
    """A series with its name, and the properties that overrides give it."""

    name: str
    series: Series
    properties: Mapping[str, Any]


@dataclass(slots=True)
class Painter:
    """Draws one dashboard's panels."""

    canvas: Canvas
    asked: Asked
    span: Span
    variables: Mapping[str, str]
    empty: list[str]
    """Titles of panels that had nothing to show."""

    def panel(self, panel: Mapping[str, Any], box: Box) -> None:
        """Its frame, its title, and what is in it."""
        self.canvas.rectangle(box, PANEL, radius=3, edge=EDGE)
        title = filled(panel["title"], self.variables)
        inside = box.inner(10, TITLE, 10, 8)
        kind = panel["type"]
        draw = {
            "stat": self._stat,
            "timeseries": self._lines,
            "table": self._table,
            "bargauge": self._bars,
            "state-timeline": self._states,
            "heatmap": self._heatmap,
        }.get(kind)
        if panel["datasource"]["type"] == "elasticsearch":
            self._nothing(inside, "Asked of Elasticsearch, which this picture has none of")
        elif draw is None:
            raise ValueError(f"{title}: panels of type {kind} cannot be drawn")
        else:
            draw(panel, inside)
        self.canvas.text(box.x + 10, box.y + TITLE / 2 + 1, self.canvas.cut(title, 14, box.w - 20), 14, weight="bold")

    def _nothing(self, box: Box, words: str) -> None:
        self.canvas.text(box.x + box.w / 2, box.y + box.h / 2, words, 14, FAINT, ha="center")

    # -- what is asked --------------------------------------------------------------------------------------------
    def _named(self, panel: Mapping[str, Any], *, instant: bool = False) -> list[Named]:
        found = []
        span = self._span(panel)
        for target in panel["targets"]:
            expression = filled(target["expr"], {**self.variables, **span.variables()})
            if instant or target.get("instant"):
                answered = self.asked.instant(expression, span.end)
            else:
                answered = self.asked.over(expression, span)
            for series in answered:
                name = legend(target["legendFormat"], series.labels).strip()
                found.append(Named(name, series, _overrides(panel, name)))
        return found

    def _span(self, panel: Mapping[str, Any]) -> Span:
        """What is shown, in the panel's own steps."""
        least = panel.get("interval", "0s")
        step = max(self.span.step, float(least[:-1]) * {"s": 1, "m": 60, "h": 3600}[least[-1]])
        return replace(self.span, step=step)

    # -- stat -----------------------------------------------------------------------------------------------------
    def _stat(self, panel: Mapping[str, Any], box: Box) -> None:
        defaults, options = panel["fieldConfig"]["defaults"], panel["options"]
        named = [one for one in self._named(panel) if not np.isnan(one.series.last)]
        area = Box(box.x - 9, box.y - TITLE + 1, box.w + 18, box.h + TITLE + 6)
        if not named:
            self.empty.append(panel["title"])
            self.canvas.text(box.x + box.w / 2, box.y + box.h / 2 - 4, defaults["noValue"], 24, FAINT, ha="center")
            return
        for place, one in enumerate(named):
            text, colour = _value(one.series.last, defaults)
            part = Box(box.x + place * box.w / len(named), box.y, box.w / len(named), box.h)
            onto = TEXT
            if options["colorMode"].startswith("background"):
                self.canvas.rectangle(area, colour, radius=3)
                onto, colour = "#111217" if _light(colour) else "#FFFFFF", "none"
            if options["graphMode"] == "area" and len(one.series.values) > 1:
                self._sparkline(Box(area.x, area.y + area.h * 0.66, area.w, area.h * 0.34), one.series, colour)
            words = text if options["textMode"] == "value" else f"{text} {one.name}"
            size = 44.0
            while size > 12 and self.canvas.width_of(words, size, "bold") > part.w - 8:
                size -= 1
            middle = part.y + part.h / 2 - (6 if options["graphMode"] == "area" else 4)
            shade = onto if colour == "none" else colour
            self.canvas.text(part.x + part.w / 2, middle, words, size, shade, ha="center", weight="bold")
            if colour == "none":
                title = self.canvas.cut(filled(panel["title"], self.variables), 14, box.w)
                self.canvas.text(box.x, box.y - TITLE / 2 + 1, title, 14, onto, weight="bold", zorder=9)

    def _sparkline(self, box: Box, series: Series, colour: str) -> None:
        axes = self.canvas.plot(box)
        axes.axis("off")
        low = np.nanmin(series.values)
        axes.fill_between(series.seconds, series.values, low, color=colour, alpha=0.25, linewidth=0)
        axes.plot(series.seconds, series.values, color=colour, linewidth=1.2)
        axes.set_xlim(series.seconds[0], series.seconds[-1])
        axes.margins(y=0.02)

    # -- time series ----------------------------------------------------------------------------------------------
    def _lines(self, panel: Mapping[str, Any], box: Box) -> None:
        defaults = panel["fieldConfig"]["defaults"]
        named = [one for one in self._named(panel) if not np.isnan(one.series.last)]
        if not named:
            self.empty.append(panel["title"])
            self._nothing(box, defaults["noValue"])
            return
        keyed = [one for one in named if not _hidden(one)] if panel["options"]["legend"]["showLegend"] else []
        colours = _colours(named, defaults)
        right = [one for one in named if one.properties.get("custom.axisPlacement") == "right"]
        below = beside = 0.0
        if panel["options"]["legend"]["placement"] == "right":
            beside = float(panel["options"]["legend"]["width"])
            self._ranking(Box(box.x + box.w - beside, box.y, beside, box.h), keyed, colours, defaults)
        else:
            below = self._legend(box, [(one.name, colours[one.name]) for one in keyed])
        axes = self.canvas.plot(box.inner(58, 4, (60 if right else 10) + beside, 22 + below))
        other = axes.twinx() if right else None
        self._curves(axes, other, named, colours, defaults, self._span(panel).step)
        self._axis(axes, defaults, named)
        if other is not None:
            self._right(other, right, defaults)

    def _ranking(
        self, box: Box, named: Sequence[Named], colours: Mapping[str, str], defaults: Mapping[str, Any]
    ) -> None:
        self.canvas.text(box.x + box.w - 8, box.y + 10, "Last ⌄", 12, "#6E9FFF", ha="right", weight="bold")
        for place, one in enumerate(sorted(named, key=lambda one: -one.series.last)):
            y = box.y + 32 + 24 * place
            text = shown(one.series.last, defaults["unit"], defaults.get("decimals"))
            room = box.w - 40 - self.canvas.width_of(text, 12)
            self.canvas.rectangle(Box(box.x + 10, y - 2, 14, 4), colours[one.name], radius=2)
            self.canvas.text(box.x + 30, y, self.canvas.cut(one.name, 12, room), 12, TEXT)
            self.canvas.text(box.x + box.w - 8, y, text, 12, TEXT, ha="right")

    def _curves(
        self,
        axes: Any,
        other: Any,
        named: Sequence[Named],
        colours: Mapping[str, str],
        defaults: Mapping[str, Any],
        step: float,
    ) -> None:
        custom = defaults["custom"]
        stacked = custom.get("stacking", {}).get("mode") == "normal"
        by_name = {one.name: one for one in named}
        floor = np.zeros(len(named[0].series.values))
        for one in named:
            onto = other if one.properties.get("custom.axisPlacement") == "right" and other is not None else axes
            seconds, values, colour = one.series.seconds, one.series.values, colours[one.name]
            width = one.properties.get("custom.lineWidth", custom.get("lineWidth", 1)) * 0.9
            style = "--" if one.properties.get("custom.lineStyle") else "-"
            band = one.properties.get("custom.fillBelowTo")
            if band in by_name:
                onto.fill_between(seconds, by_name[band].series.values, values, color=colour, alpha=0.16, linewidth=0)
            if custom.get("drawStyle") == "bars":
                height = np.nan_to_num(values)
                onto.bar(seconds, height, step * 0.85, bottom=floor, color=colour, alpha=0.85, linewidth=0)
                floor = floor + np.nan_to_num(values)
                continue
            if stacked:
                top = floor + np.nan_to_num(values)
                onto.fill_between(seconds, floor, top, color=colour, alpha=0.35, linewidth=0)
                onto.plot(seconds, top, color=colour, linewidth=width)
                floor = top
                continue
            if custom.get("spanNulls"):
                there = ~np.isnan(values)
                seconds, values = seconds[there], values[there]
            if width and not band and not _hidden(one):
                base = 0 if defaults.get("min") == 0 else np.nanmin(values)
                if style == "-" and len(named) < 4 and defaults.get("min") == 0:
                    onto.fill_between(seconds, values, base, color=colour, alpha=0.08, linewidth=0)
                onto.plot(seconds, values, color=colour, linewidth=width, linestyle=style)
        if custom.get("thresholdsStyle", {}).get("mode") == "dashed":
            low, high = axes.get_ylim()  # Grafana does not stretch the axis to a threshold
            for step_ in defaults["thresholds"]["steps"]:
                if step_["value"] is not None:
                    axes.axhline(step_["value"], color=step_["color"], linewidth=1, linestyle=(0, (6, 4)))
            axes.set_ylim(low, high)

    def _axis(self, axes: Any, defaults: Mapping[str, Any], named: Sequence[Named]) -> None:
        custom = defaults["custom"]
        axes.set_xlim(self.span.start, self.span.end)
        low, high = axes.get_ylim()
        if defaults.get("min") is not None:
            low = defaults["min"]
        if custom.get("axisSoftMin") is not None:
            low = min(low, custom["axisSoftMin"])
        if defaults.get("max") is not None:
            high = defaults["max"]
        if high <= low:
            high = low + 1
        axes.set_ylim(low, high)
        self._times(axes)
        axes.yaxis.set_major_locator(_ticks(defaults, low, high))
        unit, decimals = defaults["unit"], defaults.get("decimals")
        axes.yaxis.set_major_formatter(mpl.ticker.FuncFormatter(lambda value, _: shown(value, unit, decimals)))
        _plain(axes)
        axes.grid(True, color=GRID, linewidth=0.7)
        axes.set_axisbelow(True)

    def _right(self, axes: Any, named: Sequence[Named], defaults: Mapping[str, Any]) -> None:
        unit = named[0].properties.get("unit", defaults["unit"])
        axes.set_ylim(0, max(axes.get_ylim()[1], 1e-9))
        axes.yaxis.set_major_locator(_ticks({"unit": unit}, *axes.get_ylim()))
        axes.yaxis.set_major_formatter(mpl.ticker.FuncFormatter(lambda value, _: shown(value, unit, None)))
        _plain(axes)

    def _times(self, axes: Any) -> None:
        hours = (self.span.end - self.span.start) / 3600
        apart = 3600 if hours <= 8 else 3 * 3600
        first = np.ceil(self.span.start / apart) * apart
        ticks = np.arange(first, self.span.end, apart)
        axes.set_xticks(ticks, [datetime.fromtimestamp(at, UTC).strftime("%H:%M") for at in ticks])

    def _legend(self, box: Box, entries: Sequence[tuple[str, str]]) -> float:
        """Entries at the bottom of the box, in lines; how high they are."""
        lines: list[list[tuple[str, str, float]]] = [[]]
        room = box.w
        for name, colour in entries:
            width = self.canvas.width_of(name, 12) + 34
            if width > room and lines[-1]:
                lines.append([])
                room = box.w
            lines[-1].append((name, colour, width))
            room -= width
        height = 18.0 * len(lines) if entries else 0.0
        for row, line in enumerate(lines if entries else []):
            x, y = box.x + 4, box.y + box.h - height + 18 * row + 9
            for name, colour, width in line:
                self.canvas.rectangle(Box(x, y - 2, 14, 4), colour, radius=2)
                self.canvas.text(x + 20, y, name, 12, TEXT)
                x += width
        return height

    # -- table ----------------------------------------------------------------------------------------------------
    def _table(self, panel: Mapping[str, Any], box: Box) -> None:
        header, rows = self._rows(panel)
        if not rows:
            self.empty.append(panel["title"])
            self._nothing(box, panel["fieldConfig"]["defaults"]["noValue"])
            return
        properties = {name: _overrides(panel, name) for name in header}
        fixed = {name: float(found["custom.width"]) for name, found in properties.items() if "custom.width" in found}
        share = (box.w - sum(fixed.values())) / max(1, len(header) - len(fixed))
        room = int((box.h - 34 - 4) // 36)
        pages = len(rows) > room
        if pages:
            room = int((box.h - 34 - 36) // 36)
        x = box.x
        for name in header:
            width, found = fixed.get(name, share), properties[name]
            title = self.canvas.cut(filled(name, self.variables), 13, width - 12)
            align = found.get("custom.align", "left")
            self.canvas.text(*_at(x, width, box.y + 17, align), title, 13, "#6E9FFF", ha=align, weight="bold")
            for place, row in enumerate(rows[:room]):
                y = box.y + 34 + 36 * place
                self._cell(Box(x, y, width, 36), row.get(name), found, align)
            x += width
        for place in range(min(room, len(rows)) + 1):
            y = box.y + 34 + 36 * place
            self.canvas.axes.plot([box.x, box.x + box.w], [y, y], color=EDGE, linewidth=0.8)
        if pages:
            words = f"1 – {room} of {len(rows)} rows      ‹ 1 2 ›"
            self.canvas.text(box.x + box.w, box.y + box.h - 12, words, 12, FAINT, ha="right")

    def _rows(self, panel: Mapping[str, Any]) -> tuple[list[str], list[dict[str, Any]]]:
        organize = panel["transformations"][1]["options"]
        renamed, order = organize["renameByName"], organize["indexByName"]
        merged: dict[tuple[tuple[str, str], ...], dict[str, Any]] = {}
        for target in panel["targets"]:
            column = "Value" if len(panel["targets"]) == 1 else f"Value #{target['refId']}"
            for series in self.asked.instant(filled(target["expr"], self.variables), self.span.end):
                labels = {name: value for name, value in series.labels.items() if name != "__name__"}
                row = merged.setdefault(tuple(sorted(labels.items())), {})
                row |= {renamed[name]: value for name, value in labels.items()}
                row[renamed[column]] = series.last
        header = [renamed[name] for name in sorted(order, key=lambda name: order[name])]
        rows = list(merged.values())
        for by in panel["options"].get("sortBy", []):
            rows.sort(key=lambda row: _key(row.get(by["displayName"])), reverse=bool(by.get("desc")))
        return header, rows

    def _cell(self, box: Box, value: Any, properties: Mapping[str, Any], align: str) -> None:
        if isinstance(value, str):
            text, colour = _mapped(value, properties) or (value, TEXT)
        elif value is None:
            text, colour = str(properties.get("noValue", "")), FAINT
        else:
            text, colour = _value(value, properties)
        kind = properties.get("custom.cellOptions", {}).get("type")
        middle = box.y + box.h / 2
        if kind == "color-background" and value is not None:
            self.canvas.rectangle(box.inner(1, 1, 1, 1), colour)
            colour = "#111217" if _light(colour) else "#FFFFFF"
        elif kind == "gauge" and value is not None:
            whole = box.inner(6, 9, 64, 9)
            self.canvas.rectangle(whole, UNFILLED)
            share = max(0.0, min(1.0, value / properties.get("max", 1)))
            self.canvas.rectangle(Box(whole.x, whole.y, whole.w * share, whole.h), colour)
            align = "right"
        elif properties.get("links"):
            colour = "#6E9FFF" if colour == TEXT else colour
        self.canvas.text(*_at(box.x, box.w, middle, align), self.canvas.cut(text, 13, box.w - 12), 13, colour, ha=align)

    # -- bars -----------------------------------------------------------------------------------------------------
    def _bars(self, panel: Mapping[str, Any], box: Box) -> None:
        defaults = panel["fieldConfig"]["defaults"]
        named = [one for one in self._named(panel, instant=True) if not np.isnan(one.series.last)]
        if not named:
            self.empty.append(panel["title"])
            self._nothing(box, defaults["noValue"])
            return
        values = [one.series.last for one in named]
        low = defaults["min"] if defaults.get("min") is not None else min(0.0, *values) if len(values) > 1 else 0.0
        high = defaults["max"] if defaults.get("max") is not None else max(values)
        high = high if high > low else low + 1
        height = min(28.0, (box.h - 6 * len(named)) / len(named))
        names = max(self.canvas.width_of(one.name, 13) for one in named) + 12
        numbers = max(self.canvas.width_of(_value(one, defaults)[0], 16) for one in values) + 16
        y = box.y + (box.h - (height + 6) * len(named)) / 2
        for one in named:
            text, colour = _value(one.series.last, defaults)
            whole = Box(box.x + names, y, box.w - names - numbers, height)
            share = max(0.0, min(1.0, (one.series.last - low) / (high - low)))
            self.canvas.text(box.x, y + height / 2, one.name, 13, TEXT)
            self.canvas.rectangle(whole, UNFILLED)
            self.canvas.rectangle(Box(whole.x, whole.y, whole.w * share, whole.h), colour, alpha=0.85)
            self.canvas.text(box.x + box.w - 2, y + height / 2, text, 16, colour, ha="right")
            y += height + 6

    # -- states ---------------------------------------------------------------------------------------------------
    def _states(self, panel: Mapping[str, Any], box: Box) -> None:
        defaults = panel["fieldConfig"]["defaults"]
        named = sorted((one for one in self._named(panel) if not np.isnan(one.series.last)), key=lambda one: one.name)
        if not named:
            self.empty.append(panel["title"])
            self._nothing(box, defaults["noValue"])
            return
        seen = sorted({value for one in named for value in one.series.values if not np.isnan(value)})
        entries = list(dict.fromkeys(_state(value, defaults) for value in seen))
        below = self._legend(box, entries)
        names = max(self.canvas.width_of(one.name, 12) for one in named) + 12
        inside = box.inner(names, 2, 6, 22 + below)
        axes = self.canvas.plot(inside)
        for place, one in enumerate(named):
            for start, end, colour in _stretches(one.series, defaults, self.span.step):
                axes.add_patch(Rectangle((start, place + 0.1), end - start, 0.8, facecolor=colour, linewidth=0))
            y = inside.y + (place + 0.5) * inside.h / len(named)
            self.canvas.text(box.x + names - 10, y, one.name, 12, TEXT, ha="right")
        axes.set_ylim(len(named), 0)
        axes.set_xlim(self.span.start, self.span.end)
        axes.set_yticks([])
        self._times(axes)
        _plain(axes)

    # -- heat map -------------------------------------------------------------------------------------------------
    def _heatmap(self, panel: Mapping[str, Any], box: Box) -> None:
        found = self._named(panel)
        buckets = sorted(found, key=lambda one: float(one.series.labels["le"]))
        counts = np.diff(np.array([np.nan_to_num(one.series.values) for one in buckets]), axis=0, prepend=0)
        if not len(buckets) or not counts.any():
            self.empty.append(panel["title"])
            self._nothing(box, panel["fieldConfig"]["defaults"]["noValue"])
            return
        used = np.flatnonzero(counts.sum(axis=1) > 0)
        first, last = max(0, used[0] - 1), min(len(buckets) - 1, used[-1] + 1)
        axes = self.canvas.plot(box.inner(60, 4, 10, 22))
        shade = np.where(counts > 0, counts, np.nan)[first : last + 1] ** 0.5
        seconds = np.append(found[0].series.seconds, found[0].series.seconds[-1] + self.span.step)
        scheme = LinearSegmentedColormap.from_list("blues", ["#10243F", "#1F60C4", "#8AB8FF", "#DCEBFF"])
        axes.pcolormesh(seconds, np.arange(last - first + 2), shade, cmap=scheme, linewidth=0)
        unit = panel["options"]["yAxis"]["unit"]
        names = [shown(float(one.series.labels["le"]), unit) for one in buckets[first : last + 1]]
        axes.set_yticks(np.arange(last - first + 1) + 1, names)
        axes.set_xlim(self.span.start, self.span.end)
        self._times(axes)
        _plain(axes)


def _ticks(field: Mapping[str, Any], low: float, high: float) -> Any:
    """Where the axis has its marks: whole numbers of what is counted, powers of two of bytes."""
    if field["unit"] == "bytes" and high > low:
        return mpl.ticker.MultipleLocator(2.0 ** np.ceil(np.log2((high - low) / 5)))
    return mpl.ticker.MaxNLocator(5, integer=field.get("decimals") == 0 and field["unit"] == "short")


def _plain(axes: Any) -> None:
    axes.tick_params(colors=FAINT, labelsize=8.2, length=0)
    for side in axes.spines.values():
        side.set_visible(False)


def _at(x: float, width: float, y: float, align: str) -> tuple[float, float]:
    return {"left": x + 6, "right": x + width - 8, "center": x + width / 2}[align], y


def _key(value: Any) -> tuple[int, Any]:
    return (0, 0) if value is None else (1, value)


def _hidden(one: Named) -> bool:
    return bool(one.properties.get("custom.hideFrom", {}).get("legend"))


def _light(colour: str) -> bool:
    red, green, blue = to_rgb(_NAMED.get(colour, colour))
    return 0.3 * red + 0.59 * green + 0.11 * blue > 0.45


def _overrides(panel: Mapping[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for override in panel["fieldConfig"].get("overrides", []):
        matcher = override["matcher"]
        wanted = matcher["options"]
        if matcher["id"] == "byRegexp":
            pattern = wanted.strip("/")
            matches = re.search(pattern, name) is not None
        else:
            matches = name == wanted
        if matches:
            found |= {one["id"]: one.get("value") for one in override["properties"]}
    return found


def _state(value: float, field: Mapping[str, Any]) -> tuple[str, str]:
    return _mapped(f"{value:g}", field) or (f"{value:g}", TEXT)


def _stretches(series: Series, field: Mapping[str, Any], step: float) -> list[tuple[float, float, str]]:
    """(start, end, colour) of the spans in which the state was the same."""
    found: list[tuple[float, float, str]] = []
    for at, value in zip(series.seconds.tolist(), series.values.tolist(), strict=True):
        if np.isnan(value):
            continue
        colour = _state(value, field)[1]
        if found and found[-1][2] == colour and found[-1][1] >= at - step / 10:
            found[-1] = (found[-1][0], at + step, colour)
        else:
            found.append((at, at + step, colour))
    return found


def _mapped(value: str, field: Mapping[str, Any]) -> tuple[str, str] | None:
    for mapping in field.get("mappings", []):
        if mapping["type"] == "range":
            low, high = mapping["options"].get("from"), mapping["options"].get("to")
            inside = (low is None or float(value) >= low) and (high is None or float(value) <= high)
            result = mapping["options"]["result"] if inside else None
        else:
            result = mapping["options"].get(value)
        if result is not None:
            return result["text"], result.get("color") or TEXT
    return None


def _value(value: float, field: Mapping[str, Any]) -> tuple[str, str]:
    """How a number is written, and its colour."""
    mapped = _mapped(f"{value:g}", field)
    if mapped is not None:
        return mapped
    colour = TEXT
    for step in field.get("thresholds", {"steps": []})["steps"]:
        if step["value"] is None or value >= step["value"]:
            colour = step["color"]
    return shown(value, field.get("unit", "short"), field.get("decimals")), colour


def _colours(named: Sequence[Named], defaults: Mapping[str, Any]) -> dict[str, str]:
    lasts = [one.series.last for one in named]
    low, high = min(lasts), max(lasts)
    found = {}
    for one in named:
        own = one.properties.get("color")
        if own:
            found[one.name] = _NAMED.get(own["fixedColor"], own["fixedColor"])
        elif defaults["color"]["mode"] == "fixed":
            found[one.name] = defaults["color"]["fixedColor"]
        else:
            share = (one.series.last - low) / (high - low) if high > low else 0.0
            found[one.name] = mpl.colors.to_hex(_BLUE_TO_PURPLE(share))
    return found
