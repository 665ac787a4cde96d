"""One model: how it stands and since when, and everything that says so over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from markupsafe import Markup

from modelward_collector.accepting import drifting, violating
from modelward_collector.checks.acceptance import Acceptance
from modelward_collector.checks.basis import basis_of
from modelward_collector.checks.estimated import names_of
from modelward_collector.checks.result import CheckKind, CheckResult, Finding, Status
from modelward_collector.console import human
from modelward_collector.console.accepted import accepted_lines, accepted_marks, of_version
from modelward_collector.console.changes import changes, learning_of, odd_windows
from modelward_collector.console.charts import Axis, Column, Line, Point, columns, line_chart
from modelward_collector.console.charts.line import finite, value_range
from modelward_collector.console.history import Past
from modelward_collector.console.pages import drift_panel
from modelward_collector.console.pages.missing import missing
from modelward_collector.console.pages.series_panel import series_charts
from modelward_collector.console.site import Moment, PageView, Site, metric_words
from modelward_collector.console.standings import (
    DRIFT,
    Performance,
    Standing,
    drift_counts,
    drift_findings,
    flagged,
    joint_finding,
    metrics,
    performance,
    since,
    standing_of,
    worst_first,
)
from modelward_collector.context import Entry
from modelward_collector.models import Threshold
from modelward_collector.span import Span
from modelward_collector.store.acceptances import acceptances

RANGES = {
    "24h": ("24 hours", timedelta(days=1)),
    "7d": ("7 days", timedelta(days=7)),
    "30d": ("30 days", timedelta(days=30)),
    "1y": ("1 year", timedelta(days=365)),
    "all": ("All", None),
}
"""What the window picker offers."""

_VERSIONS = 4
_KINDS = ("current", "second", "third", "fourth")
_SEGMENTS = 30


@dataclass(frozen=True, slots=True)
class Verdict:
    """A check's current result, beside when it runs."""

    check: CheckKind
    result: CheckResult | None
    since: datetime | None
    entry: Entry | None

    @property
    def checked(self) -> datetime | None:
        """When it last ran by the collector's clock; its window may have ended long before, waiting for labels."""
        if self.entry is not None and self.entry.last_success is not None:
            return self.entry.last_success
        return self.result.end if self.result else None


@dataclass(frozen=True, slots=True)
class PerformancePanel:
    """A metric over time, its threshold in words, and how many of the predictions have labels."""

    metric: str
    choices: Sequence[str]
    chart: Markup | None
    labels: Markup | None
    latest: Performance | None
    threshold: str


@dataclass(frozen=True, slots=True)
class TrafficPanel:
    """Rows, errors and latency over time; each None when there is nothing to draw."""

    rows: Markup | None
    total: int
    errors: Markup | None
    latency: Markup | None
    step: str


@dataclass(frozen=True, slots=True)
class VersionCard:
    """One version beside the others, drawn on the same axes."""

    version: str
    first_seen: datetime
    last_seen: datetime
    rows: int
    drifting: int | None
    judged: int
    drift: Markup | None
    performance: Performance | None
    chart: Markup | None


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """What the checks say of one segment."""

    name: str
    rows: int | None
    drifting: Sequence[Finding]
    others: Sequence[Finding]

    @property
    def prefix(self) -> str:
        """What messages about the segment begin with; its row says so already."""
        return f"{self.name.replace(' = ', '=')}: "


def model_page(site: Site, name: str, query: Mapping[str, str]) -> PageView:
    """The page over the `window` of the query; `metric` picks the performance metric, `features=all` shows all."""
    standing = standing_of(site.context, name)
    if standing is None:
        return missing(site, f"There is no model called “{human.short(name)}”.")
    moment = site.moment()
    chosen = range_of(site, query)
    span = span_of(standing, chosen, moment)
    several = max(1, min(_VERSIONS, len({result.version for result in standing.results})))

    def past(check: CheckKind) -> Past:
        every = getattr(standing.spec.checks, check.value).every
        return site.history.past(name, check, span, versions=several, least=every)

    drift, scored, health = (past(check) for check in (CheckKind.DRIFT, CheckKind.PERFORMANCE, CheckKind.HEALTH))
    quality = standing.verdicts.get(CheckKind.QUALITY)
    said = acceptances(site.context.store, name)
    version_names = [version.version for version in standing.versions]
    return PageView(
        "model.html",
        name,
        {
            "standing": standing,
            "verdicts": [_verdict(standing, check) for check in CheckKind if _has(standing, check)],
            "ranges": RANGES,
            "range": chosen,
            "span": span,
            "query": {"window": query.get("window"), "metric": query.get("metric"), "features": query.get("features")},
            "heatmap": drift_panel.heatmap(
                site,
                drift,
                name,
                moment,
                latest=standing.drift,
                everything=query.get("features") == "all",
                basis=basis_of(standing.spec, CheckKind.DRIFT),
            ),
            "share": drift_panel.share_line(
                site, drift, moment, accepted_marks(said, moment), basis=basis_of(standing.spec, CheckKind.DRIFT)
            ),
            "accepted": accepted_lines(said),
            "acceptable": _acceptable(standing.results),
            "unchecked": query.get("unchecked") == "1",
            "drift_past": drift,
            "multiples": drift_panel.multiples(site, standing.drift) if standing.drift else [],
            "drift": standing.drift,
            "drifting": standing.drifting,
            "changes": changes(standing.drift) if standing.drift else [],
            "odd": odd_windows(_drift_of(standing)),
            "learning": learning_of(_drift_of(standing)),
            "judged": len(_drift_of(standing)),
            "feature_names": {*standing.spec.features, *(item.subject for item in _drift_of(standing))},
            "quality": quality,
            "quality_issues": worst_first(item for item in quality.findings if flagged(item)) if quality else [],
            "quality_fine": [item for item in quality.findings if not flagged(item)] if quality else [],
            "performance": _performance(site, standing, scored, query.get("metric", ""), moment, version_names),
            "traffic": _traffic(site, name, span, health, moment),
            "versions": _versions(standing, drift, scored, moment, said),
            "series": series_charts(site, name, moment),
            "segments": _segments(site, standing),
            "joint": joint_finding(standing.drift) if standing.drift else None,
        },
        section="models",
    )


def _drift_of(standing: Standing) -> Sequence[Finding]:
    """Of every feature and output that a drift check has judged, which therefore has a page."""
    return drift_findings(standing.drift) if standing.drift else ()


def range_of(site: Site, query: Mapping[str, str]) -> str:
    """The choice in the query; else the last month, or all when data is replayed, which is looked at as a whole."""
    wanted = query.get("window", "")
    if wanted in RANGES:
        return wanted
    return "all" if site.context.clock.replays else "30d"


def span_of(standing: Standing, chosen: str, moment: Moment) -> Span:
    """What a choice of the window picker means now."""
    length = RANGES[chosen][1]
    if length is None:
        first = standing.first_seen
        length = max(moment.now - first, timedelta(hours=1)) if first else timedelta(days=1)
    return Span(moment.now - length, moment.now)


def _has(standing: Standing, check: CheckKind) -> bool:
    return check in standing.verdicts or getattr(standing.spec.checks, check.value).enabled


def _acceptable(results: Sequence[CheckResult]) -> list[str]:
    """What can be accepted as the new normal: what drifts, and what of quality and performance is not as it was."""
    drifts = drifting(item for item in results if item.check is CheckKind.DRIFT)
    return list({**drifts, **violating(item for item in results if item.check is not CheckKind.DRIFT)})


def _verdict(standing: Standing, check: CheckKind) -> Verdict:
    result = standing.verdicts.get(check)
    return Verdict(check, result, since(result) if result else None, standing.entries.get(check))


def _by_version(past: Past, order: Sequence[str]) -> list[tuple[str, list[CheckResult]]]:
    """The results of the newest versions, apart; newest version first."""
    grouped: dict[str, list[CheckResult]] = {}
    for result in past.results:
        grouped.setdefault(result.version, []).append(result)
    rank = {version: index for index, version in enumerate(order)}
    return sorted(grouped.items(), key=lambda item: rank.get(item[0], len(rank)))[:_VERSIONS]


def _metric_points(site: Site | None, past: Past, results: Sequence[CheckResult], metric: str) -> list[Point]:
    return [
        Point(
            result.end,
            result.numbers.get(metric),
            result.numbers.get(f"{metric}.low"),
            result.numbers.get(f"{metric}.high"),
            flagged=any(flagged(finding) for finding in result.findings if finding.subject == metric),
            href=site.links.result(past.id_of(result)) if site else "",
            note=f"{human.count(result.numbers['labels'])} labels" if "labels" in result.numbers else "",
        )
        for result in results
    ]


def _performance(
    site: Site, standing: Standing, past: Past, wanted: str, moment: Moment, order: Sequence[str]
) -> PerformancePanel | None:
    latest = standing.verdicts.get(CheckKind.PERFORMANCE)
    found = [*past.results, *([latest] if latest else [])]
    choices = metrics(found, standing.spec) or sorted({name for one in found for name in names_of(one.numbers)})
    if not choices:
        return None
    metric = wanted if wanted in choices else choices[0]
    versions = [item for item in _by_version(past, order) if any(metric in result.numbers for result in item[1])]
    lines = [
        Line(version or "all", _metric_points(site, past, results, metric), _KINDS[index])
        for index, (version, results) in enumerate(versions)
    ]
    estimated = _estimated_line(standing, past, order, metric)
    bound = standing.spec.checks.performance.thresholds.get(metric)
    words = metric_words(metric)
    gap = past.step * 4
    chart = line_chart(
        [*estimated, *lines],
        label=f"{words} over time with its confidence interval"
        + (", and as estimated before labels are in" if estimated else ""),
        span=past.span,
        year=moment.year,
        thresholds=_bounds(bound),
        height=220,
        gap=gap,
        named=len(lines) + len(estimated) > 1,
    )
    shares = [
        Line(
            f"labels of {version}" if len(versions) > 1 else "labels",
            [
                Point(result.end, result.numbers.get("labels_share"), href=site.links.result(past.id_of(result)))
                for result in results
            ],
            "quiet",
        )
        for version, results in versions
    ]
    labels = line_chart(
        shares,
        label="Share of predictions whose label is in, over time",
        span=past.span,
        year=moment.year,
        axis=Axis(text=human.percent, low=0.0, high=1.0),
        height=96,
        gap=gap,
    )
    summary = performance(latest, standing.spec) if latest else None
    if latest and metric in latest.numbers:
        numbers = latest.numbers
        summary = Performance(
            metric,
            numbers[metric],
            numbers.get(f"{metric}.low"),
            numbers.get(f"{metric}.high"),
            numbers.get("labels"),
            numbers.get("labels_share"),
            latest.status,
        )
    return PerformancePanel(metric, choices, chart, labels, summary, _bound_words(bound))


def _estimated_line(standing: Standing, past: Past, order: Sequence[str], metric: str) -> list[Line]:
    """The newest version's estimates, each where the window that it is of ends; none where there is no estimate."""
    delay = standing.spec.checks.performance.label_delay
    for _, results in _by_version(past, order):
        points = [
            Point(
                result.end + delay,
                result.numbers.get(f"estimated.{metric}"),
                result.numbers.get(f"estimated.{metric}.low"),
                result.numbers.get(f"estimated.{metric}.high"),
                note=_past_error(result, metric),
            )
            for result in results
            if result.end + delay <= past.span.end and f"estimated.{metric}" in result.numbers
        ]
        if points:
            return [Line("estimated", points, "estimated")]
    return []


def _past_error(result: CheckResult, metric: str) -> str:
    past = result.numbers.get(f"estimated.{metric}.past_error")
    return "" if past is None else f"past estimates were off by {human.number(past)}"


def _bounds(bound: Threshold | None) -> list[tuple[float, str]]:
    if bound is None:
        return []
    made = []
    if bound.min is not None:
        made.append((bound.min, f"at least {human.number(bound.min)}"))
    if bound.max is not None:
        made.append((bound.max, f"at most {human.number(bound.max)}"))
    return made


def _bound_words(bound: Threshold | None) -> str:
    return " and ".join(words for _, words in _bounds(bound))


def _traffic(site: Site, model: str, span: Span, health: Past, moment: Moment) -> TrafficPanel:
    step = health.step
    counted = site.traffic.rows(model, span, step)
    whole = Span(counted[0][0].start, counted[-1][0].end) if counted else span
    rows = columns(
        [Column(bound, rows) for bound, rows in counted],
        label=f"Rows in {human.each(step)}",
        span=whole,
        year=moment.year,
        unit="rows",
    )
    gap = step * 4
    errors = line_chart(
        [Line("error rate", _numbers(site, health, "error_rate"), "bad")],
        label="Share of requests that failed, over time",
        span=health.span,
        year=moment.year,
        axis=Axis(text=human.percent, low=0.0, zero=True, least=0.01),
        height=130,
        gap=gap,
        ticks=4,
    )
    latency = line_chart(
        [
            Line("p99", _numbers(site, health, "p99_ms"), "second"),
            Line("p50", _numbers(site, health, "p50_ms"), "current"),
        ],
        label="Latency, median and 99th percentile, over time",
        span=health.span,
        year=moment.year,
        axis=Axis(text=human.milliseconds, low=0.0, zero=True),
        height=130,
        gap=gap,
        ticks=4,
        named=True,
    )
    return TrafficPanel(rows, round(sum(rows for _, rows in counted)), errors, latency, human.each(step))


def _numbers(site: Site, past: Past, name: str) -> list[Point]:
    """The last value of each stretch."""
    found = []
    for stretch in past.stretches:
        having = [result for result in stretch.results if finite(result.numbers.get(name))]
        if having:
            found.append(
                Point(having[-1].end, having[-1].numbers[name], href=site.links.result(past.id_of(having[-1])))
            )
    return found


def _versions(
    standing: Standing, drift: Past, scored: Past, moment: Moment, said: Sequence[Acceptance]
) -> list[VersionCard]:
    """The newest versions; none when there is only one."""
    if len(standing.versions) < 2:
        return []
    shown = standing.versions[:_VERSIONS]
    order = [version.version for version in shown]
    names = metrics(scored.results, standing.spec)
    metric = names[0] if names else ""
    by_metric = {
        version: Line(version, _metric_points(None, scored, results, metric))
        for version, results in _by_version(scored, order)
    }
    by_drift = dict(_by_version(drift, order))
    extent = value_range(list(by_metric.values()), Axis()) or (None, None)
    cards = []
    for version in shown:
        judged = by_drift.get(version.version, [])
        shares = [(result, *drift_counts(result)) for result in judged]
        last = shares[-1] if shares else None
        labelled = [
            result for result in scored.results if result.version == version.version and metric in result.numbers
        ]
        cards.append(
            VersionCard(
                version.version,
                version.first_seen,
                version.last_seen,
                version.rows,
                last[1] if last else None,
                last[2] if last else 0,
                line_chart(
                    [
                        Line(
                            "drifting",
                            [
                                Point(result.end, drifted / features, note=f"{drifted} of {features} features")
                                for result, drifted, features in shares
                                if features
                            ],
                        )
                    ],
                    label=f"Share of features that drift, version {version.version}",
                    span=drift.span,
                    year=moment.year,
                    axis=Axis(text=human.percent, low=0.0, high=1.0),
                    moments=accepted_marks(of_version(said, version.version), moment),
                    height=96,
                    gap=drift.step * 4,
                    ticks=3,
                ),
                performance(labelled[-1], standing.spec) if labelled else None,
                line_chart(
                    [by_metric[version.version]],
                    label=f"{metric_words(metric)}, version {version.version}",
                    span=scored.span,
                    year=moment.year,
                    axis=Axis(low=extent[0], high=extent[1]),
                    height=110,
                    gap=scored.step * 4,
                    ticks=3,
                )
                if version.version in by_metric
                else None,
            )
        )
    return cards


def _segments(site: Site, standing: Standing) -> list[SegmentRow]:
    """What the latest results say of segments, those with the most drift first."""
    grouped: dict[str, tuple[dict[str, str], list[Finding]]] = {}
    for result in standing.verdicts.values():
        for finding in result.findings:
            if finding.segment:
                pairs = dict(finding.segment)
                name = ", ".join(f"{key} = {value}" for key, value in sorted(pairs.items()))
                grouped.setdefault(name, (pairs, []))[1].append(finding)
    counts: dict[str, int] = {}
    if standing.drift is not None:
        window = site.comparisons.of(standing.drift).window
        version = standing.drift.version or None
        for key, values in window.segments(version).items():
            for value in values:
                if key and len(counts) < _SEGMENTS:
                    name = f"{key} = {value}"
                    grouped.setdefault(name, ({key: value}, []))
        for name, (pairs, _) in grouped.items():
            wanted = set(pairs.items())
            counts[name] = sum(
                profile.rows
                for (mine, segment), profile in window.profiles.items()
                if (version is None or mine == version) and wanted <= set(segment)
            )
    rows = []
    for name, (_, findings) in grouped.items():
        drift = [finding for finding in findings if finding.test == DRIFT]
        rows.append(
            SegmentRow(
                name,
                counts.get(name),
                sorted((item for item in drift if flagged(item)), key=lambda item: -(item.value or 0.0)),
                [finding for finding in findings if finding.test != DRIFT and finding.status is not Status.NO_DATA],
            )
        )
    rows.sort(key=lambda row: (-len(row.drifting), -sum(map(flagged, row.others)), -(row.rows or 0), row.name))
    return rows[:_SEGMENTS]
