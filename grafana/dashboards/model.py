"""For who owns one model: how it stands, how good it is with and before labels, what drifts, and what comes next."""

from __future__ import annotations

from grafana.dashboards.look import (
    ANY_IS_NEWS,
    BAD,
    BAD_FILL,
    BLUE,
    LIGHT,
    NONE_IS_BEST,
    OK_FILL,
    PLAIN,
    STANDING,
    TEAL,
    VIOLET,
    WARNING,
    WARNING_FILL,
    Column,
    Line,
    Page,
    Query,
    Section,
    Steps,
    Style,
    bars,
    line,
    lines,
    listing,
    number,
    states,
    to_console,
    to_kibana,
    to_technical,
)
from grafana.dashboards.measures import leading
from grafana.dashboards.page import ALERTS
from grafana.dashboards.variables import Variable, datasource, labels, newest_version, one_model

_OF = 'model="$model", version="$version"'
_STATUS = 'model="$model", version=~"|$version"'
"""Health is about all versions, and has none."""
_METRIC = f'{_OF}, metric="$metric"'
_SERIES = f'{_OF}, series="$series"'
_SEGMENT = f'{_OF}, segment=~"$segment"'
_CONSOLE = "/models/${model:percentencode}"
_FEATURE = f"{_CONSOLE}/features/${{__data.fields.Feature:percentencode}}"

_DRIFT = {
    "name": "Drift",
    "enable": True,
    "iconColor": WARNING,
    "datasource": {"type": "prometheus", "uid": "${datasource}"},
    "expr": f"modelward_drift_detected{{{_OF}}} > 0",
    "step": "60s",
    "titleFormat": "Drift of {{model}} {{version}}",
    "textFormat": "",
    "tagKeys": "version",
}
"""While features drifted, as spans."""


def page() -> Page:
    """The dashboard."""
    alerts = {**ALERTS, "expr": 'ALERTS{alertstate="firing", severity=~"1|2|3", model="$model"}'}
    return Page(
        uid="modelward-model",
        title="Model monitoring",
        description="One model: performance with and before labels, drift, quality, segments, what comes next.",
        variables=(datasource(), one_model(), newest_version(), _metric(), _segment(), _series()),
        annotations=(alerts, _DRIFT),
        links=(
            to_console(_CONSOLE, "Console: this model"),
            to_kibana("modelward-results", "Kibana: results"),
            to_technical("${model:percentencode}"),
        ),
        sections=(
            Section("", (_answer(), _performance())),
            Section("Drift and data quality", (_drift(), _checks())),
            Section("Segments", (_segments(),)),
            Section("What is expected", (_expected(), _all_series())),
        ),
    )


def _metric() -> Variable:
    series = '{__name__=~"modelward_performance|modelward_performance_estimated", model="$model", version="$version"}'
    return labels("metric", "Metric", series, "metric", "The performance metric that is drawn.", several=False)


def _segment() -> Variable:
    series = '{__name__=~"modelward_segment_.+", model="$model", version="$version"}'
    return labels("segment", "Segment", series, "segment", "The segments that are shown.")


def _series() -> Variable:
    series = f"modelward_series_forecast{{{_OF}}}"
    return labels("series", "Series", series, "series", "The series whose forecast is drawn.", several=False)


def _answer() -> Line:
    return line(
        4,
        (
            4,
            number(
                "$model $version",
                "The worst outcome of the latest drift, quality, performance and health check. A check without data "
                "counts only where there is no other.",
                Query(f"max(modelward_check_status{{{_STATUS}}} != 1) or max(modelward_check_status{{{_STATUS}}})"),
                mappings=STANDING,
                filled=True,
                no_value="Not checked",
                links=[to_console(_CONSOLE, "Console: this model")],
            ),
        ),
        (
            4,
            number(
                "Drifting features",
                "Features found drifting by the latest run: beyond chance, and by more than the reference itself "
                "wanders.",
                Query(f"sum(modelward_drift_detected{{{_OF}}})"),
                decimals=0,
                steps=NONE_IS_BEST,
                no_value="Not checked",
            ),
        ),
        (
            4,
            number(
                "Rules broken",
                "Rules of data quality broken in the latest run.",
                Query(f"sum(modelward_quality_violations{{{_OF}}})"),
                decimals=0,
                steps=NONE_IS_BEST,
                no_value="Not checked",
            ),
        ),
        (
            4,
            number(
                "$metric, realised",
                "Of the newest window whose labels are in.",
                Query(f"max(modelward_performance{{{_METRIC}}})"),
                unit="none",
                decimals=3,
                no_value="No labels yet",
                graph=True,
            ),
        ),
        (
            4,
            number(
                "$metric, estimated",
                "Of the newest window, before its labels are in: learned from how the model errs in its reference.",
                Query(f"max(modelward_performance_estimated{{{_METRIC}}})"),
                unit="none",
                decimals=3,
                steps=Steps(TEAL),
                no_value="No estimate",
                graph=True,
            ),
        ),
        (
            4,
            number(
                "Unusual series",
                "Series whose newest point is more than 3.5 standard deviations out, given the hour, the day and the "
                "trend.",
                Query(
                    f"count(abs(modelward_series_anomaly{{{_OF}}}) > 3.5) or 0 * "
                    f"count(modelward_series_anomaly{{{_OF}}})"
                ),
                decimals=0,
                steps=NONE_IS_BEST,
                no_value="No history yet",
            ),
        ),
    )


def _performance() -> Line:
    def ends(kind: str, bound: str) -> str:
        return f'max(modelward_performance_{kind}{{{_METRIC}, bound="{bound}"}})'

    threshold = 'max(modelward_performance_threshold{model="$model", metric="$metric"})'
    return line(
        9,
        (
            15,
            lines(
                "$metric: realised, and estimated before labels are in",
                "Each with its 95% interval. The estimate is of now, the realised metric of the newest window "
                "with labels, which may be days earlier. Where the realised one leaves the estimate's band, how "
                "inputs become outcomes has changed: concept drift. The dashed red line is the threshold.",
                Query(ends("interval", "high"), "Realised, high"),
                Query(ends("interval", "low"), "Realised, low"),
                Query(ends("estimated_interval", "high"), "Estimated, high"),
                Query(ends("estimated_interval", "low"), "Estimated, low"),
                Query(f"max(modelward_performance{{{_METRIC}}})", "Realised"),
                Query(f"max(modelward_performance_estimated{{{_METRIC}}})", "Estimated"),
                Query(threshold, "Threshold"),
                unit="none",
                decimals=3,
                minimum=None,
                styles=[
                    Style("Realised, high", BLUE, width=0, below="Realised, low", hidden_from_legend=True),
                    Style("Realised, low", BLUE, width=0, hidden_from_legend=True),
                    Style("Estimated, high", TEAL, width=0, below="Estimated, low", hidden_from_legend=True),
                    Style("Estimated, low", TEAL, width=0, hidden_from_legend=True),
                    Style("Realised", BLUE),
                    Style("Estimated", TEAL, dashed=True),
                    Style("Threshold", BAD, dashed=True, width=1),
                ],
                no_value="Neither labels nor an estimate yet",
            ),
        ),
        (
            9,
            listing(
                "All metrics",
                "Realised on the newest labels, estimated before they are in, the threshold where there is one, "
                "and by how much estimates were off once labels came.",
                Column("Metric", label="metric"),
                Column("Realised", f"max by (metric) (modelward_performance{{{_OF}}})", unit="none", decimals=3),
                Column(
                    "Estimated", f"max by (metric) (modelward_performance_estimated{{{_OF}}})", unit="none", decimals=3
                ),
                Column(
                    "Off by",
                    f"max by (metric) (modelward_performance_estimate_error{{{_OF}}})",
                    unit="none",
                    decimals=3,
                ),
                Column(
                    "Threshold",
                    'max by (metric) (modelward_performance_threshold{model="$model"})',
                    unit="none",
                    decimals=3,
                ),
                sort="Metric",
                descending=False,
                no_value="Neither labels nor an estimate yet",
            ),
        ),
    )


def _drift() -> Line:
    effect = f'modelward_drift_score{{{_OF}, test="effect"}}'

    def score(test: str) -> str:
        return f'max by (feature) (modelward_drift_score{{{_OF}, test="{test}"}})'

    return line(
        9,
        (
            12,
            lines(
                "How far features have moved",
                "The effect of drift on a scale from 0 to 1 that all tests share, of the eight features that "
                "moved most. "
                "From 0.5 on (the dashed line) a drift is critical; below, it is judged against what the "
                "reference shows.",
                Query(leading(f"max by (feature) ({effect})", 8), "{{feature}}"),
                unit="none",
                decimals=2,
                maximum=1,
                ranked=True,
                steps=Steps("transparent", ((0.5, BAD),)),
                no_value="Not checked for drift",
            ),
        ),
        (
            12,
            listing(
                "Features",
                "The latest run: the effect, and the single tests in their own units. A click on a feature shows "
                "its two distributions.",
                Column("Feature", label="feature", width=170, links=(to_console(_FEATURE, "Console: this feature"),)),
                Column("Effect", score("effect"), unit="none", decimals=2, cell="bar", maximum=1, steps=Steps(BLUE)),
                Column("KS", score("ks"), unit="none", decimals=3, width=80),
                Column("PSI", score("psi"), unit="none", decimals=3, width=80),
                Column("JS distance", score("js"), unit="none", decimals=3, width=100),
                Column("Wasserstein", score("wasserstein"), unit="none", decimals=3, width=105),
                sort="Effect",
                no_value="Not checked for drift",
            ),
        ),
    )


def _checks() -> Line:
    missing = 'sum by (feature) (increase(modelward_feature_missing_total{model="$model"}[$__range]))'
    rows = 'scalar(sum(increase(modelward_predictions_total{model="$model"}[$__range])))'
    return line(
        8,
        (
            10,
            states(
                "How each check stood",
                "The outcome of drift, quality, performance and health over time.",
                Query(f"max by (check) (modelward_check_status{{{_STATUS}}})", "{{check}}"),
                mappings=STANDING,
            ),
        ),
        (
            7,
            lines(
                "Findings",
                "Features found drifting and rules of data quality broken, by the latest run at each moment.",
                Query(f"sum(modelward_drift_detected{{{_OF}}})", "Drifting features"),
                Query(f"sum(modelward_quality_violations{{{_OF}}})", "Rules broken"),
                decimals=0,
                styles=[Style("Drifting features", WARNING), Style("Rules broken", LIGHT)],
                no_value="Not checked",
            ),
        ),
        (
            7,
            bars(
                "Missing values",
                "Share of a feature's values that were null or absent in the time that is shown: the eight "
                "features with most.",
                Query(f"topk(8, {missing} / {rows})", "{{feature}}"),
                unit="percentunit",
                decimals=1,
                maximum=0.2,
                no_value="Nothing was missing",
            ),
        ),
    )


def _segments() -> Line:
    metric = f'modelward_segment_performance{{{_SEGMENT}, metric="$metric"}}'
    return line(
        8,
        (
            12,
            lines(
                "$metric by segment",
                "Realised, of the eight segments where it is lowest. Segments with too few labels are left out.",
                Query(leading(f"max by (segment) ({metric})", 8, lowest=True), "{{segment}}"),
                unit="none",
                decimals=3,
                minimum=None,
                ranked=True,
                no_value="No segment has labels enough",
            ),
        ),
        (
            12,
            listing(
                "Segments now",
                "Features that drift in a segment, and the chosen metric there. A segment may drift while the "
                "whole does not.",
                Column("Segment", label="segment"),
                Column(
                    "Drifting features",
                    f"max by (segment) (modelward_segment_drift_detected{{{_SEGMENT}}})",
                    decimals=0,
                    steps=ANY_IS_NEWS,
                    empty="0",
                ),
                Column("$metric", f"max by (segment) ({metric})", unit="none", decimals=3),
                sort="Drifting features",
                no_value="No segment drifts or has labels enough",
            ),
        ),
    )


def _expected() -> Line:
    def ahead(quantile: str) -> str:
        return f'modelward_series_forecast{{{_SERIES}, quantile="{quantile}"}} offset 1h'

    return line(
        9,
        (
            15,
            lines(
                "$series: what was, and what was expected an hour before",
                "The band is what 95% of points were expected in, an hour earlier. A point outside of it is "
                "unusual; many are a change.",
                Query(ahead("0.975"), "Expected, high"),
                Query(ahead("0.025"), "Expected, low"),
                Query(ahead("0.5"), "Expected"),
                Query(f"modelward_series_value{{{_SERIES}}}", "Was"),
                unit="short",
                minimum=None,
                styles=[
                    Style("Expected, high", VIOLET, width=0, below="Expected, low", hidden_from_legend=True),
                    Style("Expected, low", VIOLET, width=0, hidden_from_legend=True),
                    Style("Expected", VIOLET, dashed=True),
                    Style("Was", BLUE),
                ],
                no_value="Too little history for a forecast",
            ),
        ),
        (
            9,
            states(
                "How unusual each series is",
                "How rare the newest point was at every moment, in standard deviations of a normal value as rare: from "
                "2 on one in twenty, from 3.5 on one in two thousand. The eight series that are furthest out now.",
                Query(leading(f"abs(modelward_series_anomaly{{{_OF}}})", 8), "{{series}}"),
                spans=(
                    (None, 2, "As expected", OK_FILL),
                    (2, 3.5, "Rare", WARNING_FILL),
                    (3.5, None, "Unusual", BAD_FILL),
                ),
                no_value="Too little history",
            ),
        ),
    )


def _all_series() -> Line:
    def ahead(quantile: str) -> str:
        return f'max by (series) (modelward_series_forecast{{{_OF}, quantile="{quantile}"}})'

    return line(
        8,
        (
            24,
            listing(
                "Every series, and where it will be in an hour",
                "The newest point, how unusual it is, and the forecast for 60 minutes later with its 95% band.",
                Column("Series", label="series"),
                Column("Newest", f"max by (series) (modelward_series_value{{{_OF}}})"),
                Column(
                    "Unusual",
                    f"max by (series) (modelward_series_anomaly{{{_OF}}})",
                    unit="none",
                    decimals=1,
                    steps=Steps(BAD, ((-3.5, PLAIN), (3.5, BAD))),
                ),
                Column("In an hour", ahead("0.5"), steps=Steps(LIGHT)),
                Column("At least", ahead("0.025")),
                Column("At most", ahead("0.975")),
                sort="Series",
                descending=False,
                no_value="Too little history",
            ),
        ),
    )
