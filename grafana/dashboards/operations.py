"""For who is on duty: what fires, what is late, whether all that was recorded is delivered, how pipelines run."""

from __future__ import annotations

from grafana.dashboards.look import (
    ANY_IS_BAD,
    BAD,
    BAD_FILL,
    BLUE,
    FIELD_MODEL,
    FILLED_NONE_IS_BEST,
    NONE_IS_BEST,
    NONE_IS_GOOD,
    OK_FILL,
    PLAIN,
    SILENT_FILL,
    TEAL,
    VIOLET,
    WARNING,
    WARNING_FILL,
    Column,
    Line,
    Link,
    Page,
    Query,
    Section,
    Steps,
    Style,
    at_least,
    at_most,
    line,
    lines,
    listing,
    number,
    states,
    to_console,
    to_dashboard,
    to_kibana,
    to_model,
)
from grafana.dashboards.measures import ALERT, age, leading
from grafana.dashboards.page import ALERTS
from grafana.dashboards.variables import datasource, hosts, labels

_HOST = 'host=~"$host"'
_PIPELINE = 'pipeline=~"$pipeline"'
_NOW = "$__rate_interval"
_SEVERITY = (
    ("1", "1 · now", BAD_FILL),
    ("2", "2 · today", BAD_FILL),
    ("3", "3 · this week", WARNING_FILL),
    ("4", "4 · to know", SILENT_FILL),
)


def page() -> Page:
    """The dashboard."""
    return Page(
        uid="modelward-operations",
        title="Operations",
        description="What fires, what is late, whether all that was recorded is delivered, and how pipelines run.",
        variables=(
            datasource(),
            hosts(),
            labels("pipeline", "Pipeline", "modelward_stage_runs_total", "pipeline", "The pipelines that are shown."),
        ),
        annotations=(ALERTS,),
        links=(
            to_console("/alertmanager/", "Alertmanager"),
            to_console("/checks", "Console: checks"),
            to_kibana("modelward-incidents", "Kibana: incidents and audit"),
            to_dashboard("modelward-appliance", "Appliance"),
        ),
        sections=(
            Section("", (_answer(), _alerts())),
            Section("Delivery from the model servers", (_delivery(),)),
            Section("Pipelines", (_pipelines(), _runs())),
        ),
    )


def _answer() -> Line:
    return line(
        4,
        (
            4,
            number(
                "Alerts that fire",
                "Of severity 1 to 3; 4 is only to know. Good is 0.",
                Query(f'count({ALERT}{{alertstate="firing", severity=~"1|2|3"}}) or vector(0)'),
                steps=FILLED_NONE_IS_BEST,
                filled=True,
            ),
        ),
        (
            4,
            number(
                "Agents that answer",
                "Share of the agents that Prometheus reaches. Below 100% the traffic of some model server is not seen.",
                Query(f'avg(up{{job=~"agents|appliance-agent", {_HOST}}})'),
                unit="percentunit",
                decimals=0,
                steps=at_least(1, 0.9),
            ),
        ),
        (
            4,
            number(
                "Not yet delivered",
                "Bytes of journals and logs that wait on the model servers. It falls back to about 0 within "
                "seconds; if it grows, Elasticsearch or the way to it is slow.",
                Query(f"sum(modelward_journal_lag_bytes{{{_HOST}}})"),
                unit="bytes",
                decimals=0,
                steps=at_most(50e6, 500e6),
                graph=True,
            ),
        ),
        (
            4,
            number(
                "Lost",
                "Events that will never be delivered, in the time that is shown: a journal grew beyond its bound. Good "
                "is 0.",
                Query(f"sum(increase(modelward_events_dropped_total{{{_HOST}}}[$__range])) or vector(0)", instant=True),
                decimals=0,
                steps=NONE_IS_GOOD,
            ),
        ),
        (
            4,
            number(
                "Checks overdue",
                "Checks without a success for more than two of their intervals. Good is 0.",
                Query("sum(modelward_checks_overdue)"),
                decimals=0,
                steps=NONE_IS_BEST,
            ),
        ),
        (
            4,
            number(
                "Failed stages",
                "Stages of the chosen pipelines that failed in the time that is shown. Good is 0.",
                Query(
                    f'sum(increase(modelward_stage_runs_total{{status="failed", {_PIPELINE}}}[$__range])) or vector(0)',
                    instant=True,
                ),
                decimals=0,
                steps=NONE_IS_GOOD,
            ),
        ),
    )


def _alerts() -> Line:
    firing = f'max by (alertname, severity, model, team) ({ALERT}{{alertstate="firing", severity=~"1|2|3"}})'
    since = f'time() - min by (alertname, severity, model, team) ({ALERT}_FOR_STATE{{severity=~"1|2|3"}})'
    return line(
        9,
        (
            14,
            listing(
                "What fires now",
                "Alerts of severity 1 to 3 and how long they have held. A click on an alert opens what to do.",
                Column(
                    "Alert",
                    label="alertname",
                    links=(
                        to_console("/runbooks/${__value.text:percentencode}", "Runbook"),
                        Link("Silence it", to_console("/alertmanager/#/alerts").url, new_tab=True),
                    ),
                ),
                Column("Severity", label="severity", mappings=_SEVERITY, cell="background", width=120),
                Column("Model", label="model", links=(to_model(FIELD_MODEL),)),
                Column("Team", label="team", width=110),
                Column("For", f"({since}) and {firing}", unit="s", decimals=0, width=90),
                sort="Severity",
                descending=False,
                no_value="Nothing fires",
            ),
        ),
        (
            10,
            states(
                "Agents",
                "Whether Prometheus reached each agent; those that are silent come first, twelve at most.",
                Query(
                    leading(f'min by (host) (up{{job=~"agents|appliance-agent", {_HOST}}})', 12, lowest=True),
                    "{{host}}",
                ),
                mappings=((0, "Silent", BAD_FILL), (1, "Answers", OK_FILL)),
            ),
        ),
    )


def _delivery() -> Line:
    return line(
        8,
        (
            8,
            lines(
                "Delivered and waiting",
                "Documents that Elasticsearch acknowledged a second, and the bytes that wait on the model servers.",
                Query(f"sum(rate(modelward_events_shipped_total{{{_HOST}}}[{_NOW}]))", "Delivered a second"),
                Query(f"sum(modelward_journal_lag_bytes{{{_HOST}}})", "Waiting"),
                unit="short",
                styles=[Style("Delivered a second", BLUE), Style("Waiting", VIOLET, right=True, unit="bytes")],
            ),
        ),
        (
            8,
            lines(
                "Waiting by host",
                "Bytes not yet delivered, of the six hosts with most.",
                Query(leading(f"max by (host) (modelward_journal_lag_bytes{{{_HOST}}})", 6), "{{host}}"),
                unit="bytes",
            ),
        ),
        (
            8,
            lines(
                "Trouble on the way",
                "Attempts a minute that failed and are repeated, lines a minute that could not be used and wait in the "
                "quarantine, and events that were lost.",
                Query(f"sum(rate(modelward_ship_failures_total{{{_HOST}}}[{_NOW}]) * 60) or vector(0)", "Repeated"),
                Query(
                    f"sum(rate(modelward_events_quarantined_total{{{_HOST}}}[{_NOW}]) * 60) or vector(0)", "Quarantined"
                ),
                Query(f"sum(rate(modelward_events_dropped_total{{{_HOST}}}[{_NOW}]) * 60) or vector(0)", "Lost"),
                unit="cpm",
                styles=[Style("Repeated", BLUE), Style("Quarantined", WARNING), Style("Lost", BAD)],
            ),
        ),
    )


def _pipelines() -> Line:
    by = "by (pipeline, stage)"
    return line(
        9,
        (
            24,
            listing(
                "Stages",
                "Every stage of the chosen pipelines: when it last succeeded, its runs in the time that is "
                "shown, those that failed, how long the slowest tenth takes, and its rows.",
                Column("Pipeline", label="pipeline"),
                Column("Stage", label="stage"),
                Column(
                    "Last success",
                    f"{age(f'max {by} (modelward_stage_last_success_timestamp_seconds{{{_PIPELINE}}})')}",
                    unit="s",
                    decimals=0,
                    steps=Steps(PLAIN, ((86_400 * 2, WARNING),)),
                    empty="never",
                ),
                Column(
                    "Runs",
                    f'sum {by} (increase(modelward_stage_runs_total{{status=~"succeeded|failed", '
                    f"{_PIPELINE}}}[$__range]))",
                    decimals=0,
                ),
                Column(
                    "Failed",
                    f'sum {by} (increase(modelward_stage_runs_total{{status="failed", {_PIPELINE}}}[$__range]))',
                    decimals=0,
                    steps=ANY_IS_BAD,
                    empty="0",
                ),
                Column(
                    "90th percentile",
                    f"histogram_quantile(0.9, sum by (pipeline, stage, le) "
                    f"(increase(modelward_stage_duration_seconds_bucket{{{_PIPELINE}}}[$__range]))) > 0",
                    unit="s",
                    decimals=1,
                ),
                Column("Rows", f"sum {by} (increase(modelward_stage_rows_total{{{_PIPELINE}}}[$__range]))"),
                sort="Failed",
                no_value="No pipeline reports its stages",
            ),
        ),
    )


def _runs() -> Line:
    mean = (
        f"sum by (pipeline, stage) (rate(modelward_stage_duration_seconds_sum{{{_PIPELINE}}}[30m]))"
        f" / (sum by (pipeline, stage) (rate(modelward_stage_duration_seconds_count{{{_PIPELINE}}}[30m])) > 0)"
    )
    runs = 'sum(increase(modelward_stage_runs_total{{status="{status}", {chosen}}}[$__interval]))'
    return line(
        8,
        (
            12,
            lines(
                "Runs",
                "Stages that ended, by outcome.",
                Query(runs.format(status="succeeded", chosen=_PIPELINE), "Succeeded"),
                Query(f"{runs.format(status='failed', chosen=_PIPELINE)} or vector(0)", "Failed"),
                bars=True,
                stacked=True,
                every="10m",
                decimals=0,
                styles=[Style("Succeeded", TEAL), Style("Failed", BAD)],
                no_value="No pipeline reports its stages",
            ),
        ),
        (
            12,
            lines(
                "Duration",
                "How long a stage took on average over half an hour, of the eight that take longest.",
                Query(leading(mean, 8), "{{pipeline}} · {{stage}}"),
                unit="s",
                ranked=True,
                no_value="No pipeline reports its stages",
                gaps=False,
            ),
        ),
    )
