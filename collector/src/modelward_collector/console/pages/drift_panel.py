"""Drift over time: a heatmap of features, the share of them that drift, and the distributions behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup

from modelward_collector.checks.result import CheckResult, Finding, Status
from modelward_collector.console import human
from modelward_collector.console.charts import (
    Axis,
    Cell,
    HeatRow,
    Line,
    Mark,
    Point,
    categories,
    density,
    line_chart,
    time_axis_strip,
)
from modelward_collector.console.history import Past
from modelward_collector.console.site import VERDICT_WORDS, Moment, Site
from modelward_collector.console.standings import DRIFT, drift_counts, drift_findings, flagged, is_output

ROWS = 20
"""Features of the heatmap unless all are asked for."""

MULTIPLES = 6


@dataclass(frozen=True, slots=True)
class FeatureRow:
    """A feature's (or an output's) strip of the heatmap: `flagged` of `judged` stretches, and the finding now."""

    feature: str
    href: str
    strip: Markup
    flagged: int
    judged: int
    latest: Finding | None
    output: bool


@dataclass(frozen=True, slots=True)
class Heatmap:
    """Features by time; `hidden` of them are not shown."""

    rows: Sequence[FeatureRow]
    axis: Markup
    hidden: int
    features: int
    learning: bool
    otherwise: bool


@dataclass(frozen=True, slots=True)
class Multiple:
    """A feature's finding and its two distributions, small; `chart` is None when there is nothing to draw."""

    finding: Finding
    href: str
    chart: Markup | None
    numeric: bool


def heatmap(
    site: Site,
    past: Past,
    model: str,
    moment: Moment,
    *,
    latest: CheckResult | None,
    everything: bool,
    basis: str = "",
) -> Heatmap | None:
    """The heatmap, features with the most flagged stretches first; None when no feature was judged in the span.

    What was judged by another `basis` than now is no evidence of drift any more, and is drawn so.
    """
    ranks = {status: status.rank for status in Status}
    worst: dict[str, dict[int, tuple[tuple[int, int, int, float], Finding, CheckResult]]] = {}
    for index, stretch in enumerate(past.stretches):
        for result in stretch.results:
            for finding in result.findings:
                if finding.test != DRIFT or finding.segment:
                    continue
                # A verdict by what is judged by now weighs more than any by something else.
                now_so = not _otherwise(result, basis)
                rank = (int(now_so), int(flagged(finding) and now_so), ranks[finding.status], finding.value or 0.0)
                cells = worst.setdefault(finding.subject, {})
                if index not in cells or rank >= cells[index][0]:
                    cells[index] = (rank, finding, result)
    if not worst:
        return None
    now = {finding.subject: finding for finding in drift_findings(latest)} if latest else {}
    several = len({result.version for result in past.results}) > 1

    def order(name: str) -> tuple[bool, int, float, str]:
        cells = worst[name].values()
        drifting = name in now and flagged(now[name])
        count = sum(rank[1] for rank, _, _ in cells)
        return not drifting, -count, -sum(rank[3] for rank, _, _ in cells) / len(cells), name

    windows = {id(result): human.span(result.start, result.end, moment.year) for result in past.results}
    outputs = {name: any(is_output(finding) for _, finding, _ in cells.values()) for name, cells in worst.items()}
    names = sorted(worst, key=order)
    shown = names if everything else names[:ROWS]
    rows = []
    for name in shown:
        strip_cells = [
            Cell(
                index,
                _level(finding),
                flagged(finding) and not _otherwise(result, basis),
                site.links.result(past.id_of(result)),
                _says(finding, result, windows[id(result)], several)
                + ("\njudged by other settings or another reference than now" if _otherwise(result, basis) else ""),
                finding.status is Status.LEARNING,
                _otherwise(result, basis),
            )
            for index, (_, finding, result) in sorted(worst[name].items())
        ]
        count = sum(cell.flagged for cell in strip_cells)
        strip = HeatRow(strip_cells, len(past.stretches)).draw(
            f"Drift of {name}: flagged in {count} of {human.plural(len(strip_cells), 'stretch', 'stretches')} of time"
        )
        rows.append(
            FeatureRow(
                name, site.links.feature(model, name), strip, count, len(strip_cells), now.get(name), outputs[name]
            )
        )
    axis = time_axis_strip(past.span, year=moment.year, label="Time, UTC")
    learning = any(finding.status is Status.LEARNING for name in shown for _, finding, _ in worst[name].values())
    otherwise = any(_otherwise(result, basis) for name in shown for _, _, result in worst[name].values())
    return Heatmap(rows, axis, len(names) - len(shown), len(names), learning, otherwise)


def _otherwise(result: CheckResult, basis: str) -> bool:
    """Whether a result was judged by something else than what is judged by now, as far as both are known."""
    return bool(result.basis and basis and result.basis != basis)


def _level(finding: Finding) -> float:
    """Shade within its scale: of a quiet cell how near it is to its floor, of a flagged one how far beyond."""
    value = finding.value if finding.value is not None and finding.value == finding.value else 0.0
    floor = finding.threshold or 0.0
    if flagged(finding):
        room = 1.0 - floor
        # Most drift is a small part of what is possible; a square root keeps its shades apart.
        return min(0.999, max(0.0, (value - floor) / room) ** 0.5) if room > 0 else 0.999
    return min(0.999, value / floor) if floor > 0 else 0.0


def _says(finding: Finding, result: CheckResult, window: str, several: bool) -> str:
    version = f", {result.version}" if several else ""
    floor = f", floor {human.score(finding.threshold)}" if finding.threshold is not None else ""
    state = "drifting" if flagged(finding) else VERDICT_WORDS[finding.status].lower()
    return f"{window}{version}\n{state}, score {human.score(finding.value)}{floor}"


def share_line(
    site: Site, past: Past, moment: Moment, moments: Sequence[Mark] = (), *, basis: str = ""
) -> Markup | None:
    """The share of a model's features that drift, over time; of several versions at one moment the largest.

    `moments` are drawn across it. What was judged by another `basis` than now is left out.
    """
    shares: dict[datetime, tuple[float, int, int, CheckResult]] = {}
    for result in past.results:
        count, judged = drift_counts(result)
        if _otherwise(result, basis):
            continue
        if judged and (result.end not in shares or count / judged > shares[result.end][0]):
            shares[result.end] = (count / judged, count, judged, result)
    points = [
        Point(at, share, note=f"{count} of {total} features", href=site.links.result(past.id_of(result)))
        for at, (share, count, total, result) in sorted(shares.items())
    ]
    return line_chart(
        [Line("drifting", points, "current")],
        label="Share of features that drift, over time",
        span=past.span,
        year=moment.year,
        axis=Axis(text=human.percent, low=0.0, zero=True),
        moments=moments,
        height=130,
        gap=past.step * 4,
    )


def multiples(site: Site, result: CheckResult, most: int = MULTIPLES) -> list[Multiple]:
    """The distributions of the features that drift most, or when none does, of those nearest to it."""
    found = drift_findings(result)
    chosen = [finding for finding in found if flagged(finding)] or sorted(found, key=_level, reverse=True)[:3]
    made = []
    for finding in chosen[:most]:
        shown = site.comparisons.distribution(result, finding.subject)
        label = f"{finding.subject}: reference and current distribution"
        chart = None
        if shown is not None:
            chart = (
                density(shown, label=label, height=130, small=True)
                if shown.numeric
                else categories(shown, label=label, most=5, small=True)
            )
        href = site.links.feature(result.model, finding.subject, result=result.id)
        made.append(Multiple(finding, href, chart, shown is not None and shown.numeric))
    return made
