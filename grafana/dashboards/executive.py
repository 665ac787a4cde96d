"""For who answers for the models: do they all work, are they good, and what do they bring."""

from __future__ import annotations

from grafana.dashboards.look import (
    ANY_IS_NEWS,
    BAD,
    BLUE,
    FIELD_MODEL,
    FILLED_NONE_IS_GOOD,
    GOOD,
    NONE_IS_BEST,
    PLAIN,
    SERIES_MODEL,
    STANDING,
    Column,
    Line,
    Page,
    Query,
    Section,
    Steps,
    Style,
    at_least,
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
    ALERT,
    availability,
    critical_models,
    leading,
    model_standing,
    net_value,
    performance_margin,
    watched_models,
)
from grafana.dashboards.page import ALERTS
from grafana.dashboards.variables import datasource, models

_CHOSEN = 'model=~"$model"'


def page() -> Page:
    """The dashboard."""
    return Page(
        uid="modelward-executive",
        title="Executive",
        description="Whether the models work, how good they are, and what they bring.",
        variables=(datasource(), models()),
        annotations=(ALERTS,),
        links=(to_dashboard("modelward-business", "Business"), to_dashboard("modelward-fleet", "Fleet")),
        sections=(Section("", (_answer(), _standing())), Section("Service and value", (_service(), _value()))),
    )


def _answer() -> Line:
    return line(
        4,
        (
            4,
            number(
                "Critical models",
                "Models of which some check found something critical in its latest run. Good is 0; the timeline below "
                "says which, and since when.",
                Query(critical_models(_CHOSEN)),
                steps=FILLED_NONE_IS_GOOD,
                filled=True,
            ),
        ),
        (
            4,
            number(
                "Models watched",
                "Models that the collector checks, configured or only seen.",
                Query(watched_models(_CHOSEN)),
                links=[to_dashboard("modelward-fleet", "Fleet")],
            ),
        ),
        (
            4,
            number(
                "Availability",
                "Share of requests that got an answer, in the time that is shown. The objective is 99.9%.",
                Query(availability(_CHOSEN, "$__range"), instant=True),
                unit="percentunit",
                decimals=3,
                steps=at_least(0.999, 0.99),
                no_value="No requests",
            ),
        ),
        (
            4,
            number(
                "Predictions a second",
                "How much all models are used.",
                Query(f"sum(rate(modelward_predictions_total{{{_CHOSEN}}}[$__rate_interval]))"),
                unit="reqps",
                graph=True,
            ),
        ),
        (
            4,
            number(
                "Urgent alerts",
                "Alerts of severity 1 and 2 that fire now. Good is 0.",
                Query(f'count({ALERT}{{alertstate="firing", severity=~"1|2"}}) or vector(0)'),
                steps=NONE_IS_BEST,
                links=[to_dashboard("modelward-operations", "Operations")],
            ),
        ),
        (
            4,
            number(
                "Net value",
                "Revenue less cost that the models reported in the time that is shown, by currency.",
                Query(net_value(_CHOSEN, "$__range", "currency"), "{{currency}}", instant=True),
                unit="short",
                steps=Steps(BAD, ((0, GOOD),)),
                named=True,
                no_value="Not reported",
                links=[to_dashboard("modelward-business", "Business")],
            ),
        ),
    )


def _standing() -> Line:
    return line(
        9,
        (
            14,
            states(
                "How each model stood",
                "The worst outcome of a model's checks (drift, quality, performance, health) at every moment. A model "
                "without data for a check is judged by its others. The twelve that stand worst now.",
                Query(leading(model_standing(_CHOSEN), 12), "{{model}}"),
                mappings=STANDING,
                links=[to_model(SERIES_MODEL)],
            ),
        ),
        (
            10,
            listing(
                "What needs attention",
                "Models by how they stand now, the worst first, with what was found: drifting features, broken rules "
                "of data quality, and how far the main performance metric is on the good side of its threshold.",
                Column("Model", label="model", links=(to_model(FIELD_MODEL), to_console("/models", "Console: models"))),
                Column("Standing", model_standing(_CHOSEN), mappings=STANDING, cell="background", width=100),
                Column(
                    "Drifting",
                    f"sum by (model) (modelward_drift_detected{{{_CHOSEN}}})",
                    steps=ANY_IS_NEWS,
                    decimals=0,
                    width=80,
                ),
                Column(
                    "Rules broken",
                    f"sum by (model) (modelward_quality_violations{{{_CHOSEN}}})",
                    steps=ANY_IS_NEWS,
                    decimals=0,
                    width=105,
                ),
                Column(
                    "Margin",
                    f"min by (model) ({performance_margin(_CHOSEN)})",
                    unit="percentunit",
                    decimals=1,
                    steps=Steps(BAD, ((0, PLAIN),)),
                    width=80,
                ),
                sort="Standing",
            ),
        ),
    )


def _service() -> Line:
    return line(
        8,
        (
            12,
            lines(
                "Availability by model",
                "Share of requests that got an answer, over half an hour, of the eight models with least. The dashed "
                "line is the objective of 99.9%.",
                Query(leading(availability(_CHOSEN, "30m", "model"), 8, lowest=True), "{{model}}"),
                unit="percentunit",
                decimals=2,
                steps=Steps("transparent", ((0.999, GOOD),)),
                minimum=None,
                maximum=1,
                ranked=True,
                links=[to_model(SERIES_MODEL)],
            ),
        ),
        (
            12,
            lines(
                "Predictions a second by model",
                "How much each model is used: the eight that are used most.",
                Query(
                    leading(f"sum by (model) (rate(modelward_predictions_total{{{_CHOSEN}}}[$__rate_interval]))", 8),
                    "{{model}}",
                ),
                unit="reqps",
                stacked=True,
                ranked=True,
                links=[to_model(SERIES_MODEL)],
            ),
        ),
    )


def _value() -> Line:
    return line(
        8,
        (
            12,
            listing(
                "Performance against its threshold",
                "Each judged metric of the newest window with labels, and how far it is on the good side of its "
                "threshold, as a share of the threshold: what is below 0 is worse than was agreed.",
                Column("Model", label="model", links=(to_model(FIELD_MODEL),)),
                Column("Metric", label="metric"),
                Column(
                    "Realised",
                    f"max by (model, metric) (modelward_performance{{{_CHOSEN}}}) and {performance_margin(_CHOSEN)}",
                    unit="none",
                    decimals=3,
                ),
                Column(
                    "Threshold",
                    f"max by (model, metric) (modelward_performance_threshold{{{_CHOSEN}}}) and "
                    f"{performance_margin(_CHOSEN)}",
                    unit="none",
                    decimals=3,
                ),
                Column(
                    "Margin",
                    performance_margin(_CHOSEN),
                    unit="percentunit",
                    decimals=1,
                    steps=Steps(BAD, ((0, GOOD),)),
                ),
                sort="Margin",
                descending=False,
                no_value="No model has labels and a threshold yet",
            ),
        ),
        (
            12,
            lines(
                "Value an hour",
                "Revenue less cost that the models reported, over an hour, by currency.",
                Query(net_value(_CHOSEN, "1h", "currency"), "{{currency}}"),
                styles=[Style(".*", BLUE)],
                minimum=None,
                soft_minimum=0,
                steps=Steps("transparent", ((0, BAD),)),
                no_value="No model reports value or cost",
            ),
        ),
    )
