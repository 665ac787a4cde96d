"""For who runs the models: traffic, errors, latency and missing values, by model, version and host, and the logs."""

from __future__ import annotations

from grafana.dashboards.look import (
    BAD,
    BLUE,
    LIGHT,
    SERIES_MODEL,
    VIOLET,
    Line,
    Page,
    Query,
    Section,
    Steps,
    Style,
    at_most,
    bars,
    density,
    levels,
    line,
    lines,
    log_lines,
    number,
    to_dashboard,
    to_kibana,
    to_model,
)
from grafana.dashboards.measures import error_share, errors, latency, leading, predictions, slow_share
from grafana.dashboards.page import ALERTS
from grafana.dashboards.variables import datasource, hosts, models, versions

_CHOSEN = 'model=~"$model", version=~"$version", host=~"$host"'
_OF_MODEL = 'model=~"$model", host=~"$host"'
_NOW = "$__rate_interval"

_IN_LOGS = "host.name:/${host:regex}/ AND (model:/${model:regex}/ OR (NOT _exists_:model))"


def page() -> Page:
    """The dashboard."""
    return Page(
        uid="modelward-technical",
        title="Technical",
        description="Traffic, errors, latency and missing values of the models, by version and host, and their logs.",
        variables=(datasource(), models(), versions(), hosts()),
        annotations=(ALERTS,),
        links=(
            to_kibana("modelward-logs", "Kibana: logs"),
            to_kibana("modelward-predictions", "Kibana: predictions"),
            to_dashboard("modelward-model", "Model monitoring"),
        ),
        sections=(
            Section("", (_answer(), _traffic())),
            Section("Latency", (_latency(),)),
            Section("Inputs and hosts", (_inputs(),)),
            Section("Logs", (_logs(),)),
        ),
    )


def _answer() -> Line:
    return line(
        4,
        (
            4,
            number(
                "Predictions a second",
                "Predictions that the agents read, now.",
                Query(f"sum(rate(modelward_predictions_total{{{_CHOSEN}}}[{_NOW}]))"),
                unit="reqps",
                graph=True,
            ),
        ),
        (
            4,
            number(
                "Errors",
                "Share of requests that failed in the last five minutes. The objective is at most 0.1%.",
                Query(error_share(_CHOSEN, "5m")),
                unit="percentunit",
                decimals=2,
                steps=at_most(0.001, 0.01),
                graph=True,
                no_value="No requests",
            ),
        ),
        (
            4,
            number(
                "Slow answers",
                "Share of answers of the last five minutes that took longer than their model's objective: "
                "checks.health.latency_p99_ms_max of its file, up to the next bucket of the histogram, or half a "
                "second. At most 0.1% should.",
                Query(slow_share(_CHOSEN, "5m")),
                unit="percentunit",
                decimals=2,
                steps=at_most(0.001, 0.01),
                graph=True,
                no_value="No latencies",
            ),
        ),
        (
            4,
            number(
                "99th percentile",
                "One answer in a hundred of the last five minutes was slower. How slow it may be is the model's own.",
                Query(latency(0.99, _CHOSEN, "5m")),
                unit="s",
                decimals=1,
                graph=True,
                no_value="No latencies",
            ),
        ),
        (
            4,
            number(
                "Failed requests",
                "How many failed in the time that is shown.",
                Query(f"{errors(_CHOSEN, '$__range')} or vector(0)", instant=True),
                no_value="0",
            ),
        ),
        (
            4,
            number(
                "Labels a second",
                "Actuals that came in, now: what real performance is computed from.",
                Query(f"sum(rate(modelward_actuals_total{{{_CHOSEN}}}[{_NOW}]))"),
                unit="ops",
                graph=True,
                no_value="No labels",
            ),
        ),
    )


def _traffic() -> Line:
    by = "sum by (model, version)"
    return line(
        8,
        (
            12,
            lines(
                "Predictions a second by version",
                "The eight versions with most traffic: a new version taking over shows here.",
                Query(
                    leading(f"{by} (rate(modelward_predictions_total{{{_CHOSEN}}}[{_NOW}]))", 8),
                    "{{model}} {{version}}",
                ),
                unit="reqps",
                stacked=True,
                ranked=True,
                links=[to_model(SERIES_MODEL)],
            ),
        ),
        (
            12,
            lines(
                "Errors by version",
                "Share of requests that failed, over five minutes, of the eight versions where it is largest. "
                "The dashed line is the objective of 0.1%.",
                Query(leading(error_share(_CHOSEN, "5m", "model, version"), 8), "{{model}} {{version}}"),
                unit="percentunit",
                decimals=2,
                steps=Steps("transparent", ((0.001, BAD),)),
                ranked=True,
                links=[to_model(SERIES_MODEL)],
            ),
        ),
    )


def _latency() -> Line:
    allowed = 'modelward_series_threshold{model=~"$model", series="latency_p99_seconds", bound="max"}'
    return line(
        8,
        (
            12,
            lines(
                "Quantiles",
                "Of the latency of all chosen predictions. The dashed red line is what the 99th should not be above: "
                "where that is the same for all chosen models, and once the 99th is a fifth of it.",
                Query(latency(0.99, _CHOSEN), "99th"),
                Query(latency(0.9, _CHOSEN), "90th"),
                Query(latency(0.5, _CHOSEN), "Median"),
                # Far above everything it would only flatten the rest.
                Query(f"(max({allowed}) == min({allowed})) < 5 * {latency(0.99, _CHOSEN)}", "Threshold"),
                unit="s",
                styles=[
                    Style("99th", VIOLET),
                    Style("90th", BLUE),
                    Style("Median", LIGHT),
                    Style("Threshold", BAD, dashed=True, width=1),
                ],
                no_value="No latencies",
            ),
        ),
        (
            12,
            density(
                "Distribution",
                "How many predictions took how long: the brighter, the more. Two bands are two kinds of "
                "requests, a band that rises is a model that slows down.",
                Query(f"sum by (le) (increase(modelward_prediction_latency_seconds_bucket{{{_CHOSEN}}}[{_NOW}]))"),
            ),
        ),
    )


def _inputs() -> Line:
    missing = f"sum by (model, feature) (increase(modelward_feature_missing_total{{{_OF_MODEL}}}[$__range]))"
    asked = f"group_left () {predictions(_OF_MODEL, '$__range', 'model')}"
    return line(
        8,
        (
            8,
            bars(
                "Missing values",
                "Share of a feature's values that were null or absent in the time that is shown: the eight "
                "features with most. A feature that used to be complete is an upstream that broke.",
                Query(f"topk(8, {missing} / on (model) {asked})", "{{model}} · {{feature}}"),
                unit="percentunit",
                decimals=1,
                maximum=0.2,
                no_value="Nothing was missing",
            ),
        ),
        (
            8,
            lines(
                "Predictions a second by host",
                "The six busiest model servers: uneven load, or one that stopped, shows here.",
                Query(
                    leading(f"sum by (host) (rate(modelward_predictions_total{{{_CHOSEN}}}[{_NOW}]))", 6), "{{host}}"
                ),
                unit="reqps",
            ),
        ),
        (
            8,
            lines(
                "Matches of log filters",
                "Log entries a minute that a configured filter matched, of the six filters and models with most.",
                Query(
                    leading(
                        f'sum by (filter, model) (rate(modelward_log_matches_total{{host=~"$host"}}[{_NOW}]) * 60)', 8
                    ),
                    "{{filter}} {{model}}",
                ),
                unit="cpm",
                no_value="No filter has matched",
            ),
        ),
    )


def _logs() -> Line:
    return line(
        9,
        (
            8,
            levels(
                "Entries by level",
                "Log and error entries of the chosen hosts, and of the chosen models where an entry names one.",
                _IN_LOGS,
            ),
        ),
        (
            16,
            log_lines(
                "Newest errors",
                "Entries of level error or worse, of the chosen hosts and models; a click shows all of an entry.",
                f"log.level:(error OR ERROR OR critical OR CRITICAL OR fatal OR FATAL) AND {_IN_LOGS}",
            ),
        ),
    )
