"""Logs: how many, how bad, from where, and the lines themselves."""

from __future__ import annotations

from kibana.panels import (
    AMBER,
    CHART_HEIGHT,
    GREEN,
    LEVELS,
    METRIC_HEIGHT,
    RED,
    Chart,
    Control,
    Dashboard,
    DataView,
    Measure,
    Metric,
    Search,
    Table,
    count,
    share,
    top,
)

VIEW = DataView.LOGS
ENTRIES = "not kind: heartbeat"
"""Heartbeats of agents are kept beside the logs."""

BAD = "log.level: (error or critical)"

DASHBOARD = Dashboard(
    id="modelward-logs",
    title="Modelward: logs",
    description="What applications and models logged, by level, host, model and logger, and the lines themselves.",
    controls=(
        Control("Model", VIEW, "model"),
        Control("Version", VIEW, "version"),
        Control("Level", VIEW, "log.level"),
        Control("Host", VIEW, "host.name"),
        Control("Logger", VIEW, "log.logger"),
    ),
    rows=(
        (
            Metric(
                "Entries",
                "Log entries in the range that is shown.",
                12,
                METRIC_HEIGHT,
                VIEW,
                count("Log entries"),
                ENTRIES,
            ),
            Metric(
                "Errors",
                "Entries of level error or worse. The alert is at more than 100 in 5 minutes.",
                12,
                METRIC_HEIGHT,
                VIEW,
                count("Errors"),
                BAD,
            ),
            Metric(
                "Error share",
                "Errors as a share of all entries.",
                12,
                METRIC_HEIGHT,
                VIEW,
                share("Share of errors", BAD),
                ENTRIES,
                steps=((0, GREEN), (0.01, AMBER), (0.05, RED)),
            ),
            Metric(
                "Hosts",
                "Hosts that logged something.",
                12,
                METRIC_HEIGHT,
                VIEW,
                Measure("Hosts that log", "unique_count", "host.name"),
                ENTRIES,
                trend=False,
            ),
        ),
        (
            Chart(
                "Entries by level",
                "A rise of errors or warnings that traffic does not explain wants a look.",
                48,
                CHART_HEIGHT,
                VIEW,
                (count("Entries"),),
                split=top("log.level", "Level", colours=LEVELS),
                where=ENTRIES,
            ),
        ),
        (
            Chart(
                "Errors by model",
                "Which model's errors rise. Entries without a model are left out.",
                24,
                CHART_HEIGHT,
                VIEW,
                (count("Errors"),),
                mark="line",
                split=top("model", "Model"),
                where=BAD,
            ),
            Chart(
                "Errors by host",
                "One host alone points at the host; all of them point at the code.",
                24,
                CHART_HEIGHT,
                VIEW,
                (count("Errors"),),
                mark="line",
                split=top("host.name", "Host"),
                where=BAD,
            ),
        ),
        (
            Table(
                "Exceptions",
                "The types of exceptions that were logged, and since when each is new.",
                24,
                12,
                VIEW,
                (
                    count("Entries"),
                    Measure("First", "min", "@timestamp"),
                    Measure("Last", "max", "@timestamp"),
                ),
                (top("error.type", "Exception", 20),),
            ),
            Table(
                "Loggers",
                "Who writes most, and how much of it is bad.",
                24,
                12,
                VIEW,
                (count("Entries"), count("Errors", BAD)),
                (top("log.logger", "Logger", 20),),
                where=ENTRIES,
            ),
        ),
        (
            Search(
                "Errors, newest first",
                "Every error with its message; open one for its stack trace.",
                48,
                16,
                VIEW,
                ("host.name", "model", "log.level", "log.logger", "error.type", "message"),
                BAD,
            ),
        ),
        (
            Search(
                "All entries, newest first",
                "Every entry that the controls leave.",
                48,
                16,
                VIEW,
                ("host.name", "model", "log.level", "message"),
                ENTRIES,
            ),
        ),
    ),
)
