"""Every model and every host on one page: the worst first."""

from __future__ import annotations

from grafana.dashboards.look import (
    ANY_IS_NEWS,
    BAD,
    FIELD_MODEL,
    FILLED_NONE_IS_GOOD,
    PLAIN,
    SERIES_MODEL,
    STANDING,
    UP,
    WARNING,
    Column,
    Line,
    Page,
    Query,
    Section,
    Steps,
    line,
    lines,
    listing,
    number,
    states,
    to_console,
    to_dashboard,
    to_model,
)
from grafana.dashboards.measures import (
    age,
    critical_models,
    error_share,
    latency,
    leading,
    model_standing,
    slow_share,
    watched_models,
)
from grafana.dashboards.page import ALERTS
from grafana.dashboards.variables import datasource, hosts, models

_MODEL = 'model=~"$model"'
_HOST = 'host=~"$host"'
_AGENTS = f'job=~"agents|appliance-agent", {_HOST}'
_SHORT = tuple((value, text.replace("Check failed", "Failed"), colour) for value, text, colour in STANDING)


def page() -> Page:
    """The dashboard."""
    return Page(
        uid="modelward-fleet",
        title="Fleet",
        description="Every model and every model server, the worst first.",
        variables=(datasource(), models(), hosts()),
        annotations=(ALERTS,),
        links=(to_console("/models", "Console: models"), to_console("/agents", "Console: agents")),
        sections=(
            Section("", (_answer(), _models())),
            Section("Over time", (_courses(),)),
            Section("Model servers", (_hosts(), _load())),
        ),
    )


def _answer() -> Line:
    return line(
        4,
        (
            4,
            number(
                "Critical models",
                "Models of which some check found something critical in its latest run. Good is 0.",
                Query(critical_models(_MODEL)),
                steps=FILLED_NONE_IS_GOOD,
                filled=True,
            ),
        ),
        (
            4,
            number(
                "Silent hosts",
                "Model servers whose agent Prometheus does not reach. Good is 0.",
                Query(f"count(up{{{_AGENTS}}} == 0) or vector(0)"),
                steps=FILLED_NONE_IS_GOOD,
                filled=True,
            ),
        ),
        (
            4,
            number(
                "Models",
                "Models that are checked.",
                Query(watched_models(_MODEL)),
                links=[to_dashboard("modelward-model", "Model monitoring")],
            ),
        ),
        (
            4,
            number(
                "Versions with traffic",
                "Versions of models that answered in the last hour.",
                Query(
                    f"count(sum by (model, version) (increase(modelward_predictions_total{{{_MODEL}, "
                    f"{_HOST}}}[1h])) > 0)"
                ),
                no_value="None",
            ),
        ),
        (
            4,
            number(
                "Hosts",
                "Model servers with an agent that answers.",
                Query(f"count(up{{{_AGENTS}}} == 1)"),
                no_value="None",
            ),
        ),
        (
            4,
            number(
                "Predictions a second",
                "Of all chosen models on all chosen hosts.",
                Query(f"sum(rate(modelward_predictions_total{{{_MODEL}, {_HOST}}}[$__rate_interval]))"),
                unit="reqps",
                graph=True,
            ),
        ),
    )


def _models() -> Line:
    def check(name: str) -> str:
        return f'max by (model) (modelward_check_status{{{_MODEL}, check="{name}"}})'

    def heat(name: str) -> Column:
        return Column(name.capitalize(), check(name), mappings=_SHORT, cell="background", width=112)

    return line(
        11,
        (
            24,
            listing(
                "Models",
                "Every model: the latest outcome of its four checks, drifting features, and its traffic, errors and "
                "latency over the last five minutes; slow is what took longer than the model's objective. A click "
                "opens it.",
                Column("Model", label="model", links=(to_model(FIELD_MODEL),)),
                Column("Standing", model_standing(_MODEL), mappings=_SHORT, cell="background", width=112),
                heat("drift"),
                heat("quality"),
                heat("performance"),
                heat("health"),
                Column(
                    "Drifting features",
                    f"sum by (model) (modelward_drift_detected{{{_MODEL}}})",
                    decimals=0,
                    steps=ANY_IS_NEWS,
                ),
                Column(
                    "Predictions a second",
                    f"sum by (model) (rate(modelward_predictions_total{{{_MODEL}}}[5m]))",
                    unit="reqps",
                ),
                Column(
                    "Errors",
                    error_share(_MODEL, "5m", "model"),
                    unit="percentunit",
                    decimals=2,
                    steps=Steps(PLAIN, ((0.001, WARNING), (0.01, BAD))),
                ),
                Column("99th percentile", latency(0.99, _MODEL, "5m", "model"), unit="s", decimals=1),
                Column(
                    "Slow answers",
                    slow_share(_MODEL, "5m", "model"),
                    unit="percentunit",
                    decimals=2,
                    steps=Steps(PLAIN, ((0.001, WARNING), (0.01, BAD))),
                ),
                sort="Standing",
                no_value="No model yet",
            ),
        ),
    )


def _courses() -> Line:
    return line(
        10,
        (
            12,
            states(
                "How models stood",
                "The worst outcome of a model's checks at every moment; the twelve models that stood worst in "
                "this time.",
                Query(leading(model_standing(_MODEL), 12), "{{model}}"),
                mappings=STANDING,
                links=[to_model(SERIES_MODEL)],
            ),
        ),
        (
            12,
            lines(
                "Drifting features by model",
                "Of the eight models with most, now.",
                Query(leading(f"sum by (model) (modelward_drift_detected{{{_MODEL}}})", 8), "{{model}}"),
                decimals=0,
                stacked=True,
                ranked=True,
                no_value="No model is checked for drift",
                links=[to_model(SERIES_MODEL)],
            ),
        ),
    )


def _hosts() -> Line:
    return line(
        10,
        (
            24,
            listing(
                "Hosts",
                "Every model server: whether its agent answers, what it carries and has not yet delivered, and "
                "what the agent itself takes.",
                Column("Host", label="host"),
                Column("Agent", f"max by (host) (up{{{_AGENTS}}})", mappings=UP, cell="background", width=90),
                Column(
                    "Models",
                    f"count by (host) (count by (host, model) (modelward_predictions_total{{{_HOST}}}))",
                    decimals=0,
                ),
                Column(
                    "Predictions a second",
                    f"sum by (host) (rate(modelward_predictions_total{{{_HOST}}}[5m]))",
                    unit="reqps",
                ),
                Column(
                    "Delivered a second",
                    f"sum by (host) (rate(modelward_events_shipped_total{{{_HOST}}}[5m]))",
                    unit="ops",
                ),
                Column(
                    "Waiting",
                    f"max by (host) (modelward_journal_lag_bytes{{{_HOST}}})",
                    unit="bytes",
                    decimals=1,
                    steps=Steps(PLAIN, ((50e6, WARNING), (500e6, BAD))),
                ),
                Column(
                    "Last commit",
                    age(f"max by (host) (modelward_last_commit_timestamp_seconds{{{_HOST}}} > 0)"),
                    unit="s",
                    decimals=0,
                    steps=Steps(PLAIN, ((600, WARNING),)),
                    empty="never",
                ),
                Column(
                    "CPU",
                    f"sum by (host) (rate(process_cpu_seconds_total{{{_AGENTS}}}[5m]))",
                    unit="percentunit",
                    decimals=1,
                ),
                Column(
                    "Memory", f"sum by (host) (process_resident_memory_bytes{{{_AGENTS}}})", unit="bytes", decimals=0
                ),
                sort="Agent",
                descending=False,
                no_value="No agent yet",
            ),
        ),
    )


def _load() -> Line:
    return line(
        8,
        (
            12,
            lines(
                "Predictions a second by host",
                "The eight busiest model servers.",
                Query(
                    leading(f"sum by (host) (rate(modelward_predictions_total{{{_HOST}}}[$__rate_interval]))", 8),
                    "{{host}}",
                ),
                unit="reqps",
                stacked=True,
                ranked=True,
            ),
        ),
        (
            12,
            lines(
                "Waiting by host",
                "Bytes not yet delivered, of the eight hosts with most.",
                Query(leading(f"max by (host) (modelward_journal_lag_bytes{{{_HOST}}})", 8), "{{host}}"),
                unit="bytes",
                ranked=True,
            ),
        ),
    )
