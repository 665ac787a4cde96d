"""For who pays: what the models bring and cost, in money and in people's satisfaction."""

from __future__ import annotations

from grafana.dashboards.look import (
    BAD,
    BAD_FILL,
    BLUE,
    FIELD_MODEL,
    GOOD,
    OK_FILL,
    PLAIN,
    SERIES_MODEL,
    TEAL,
    VIOLET,
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
    to_dashboard,
    to_model,
)
from grafana.dashboards.measures import business, leading, net_value, predictions
from grafana.dashboards.page import ALERTS
from grafana.dashboards.variables import datasource, labels, models

_MONEY = 'model=~"$model", currency=~"$currency"'
_CHOSEN = 'model=~"$model"'
_NOT_REPORTED = "Not reported"
_PROFIT = Steps(BAD, ((0, GOOD),))


def page() -> Page:
    """The dashboard."""
    return Page(
        uid="modelward-business",
        title="Business",
        description="What the models bring and cost: revenue, cost, what a prediction costs, and satisfaction.",
        variables=(
            datasource(),
            models(),
            labels(
                "currency",
                "Currency",
                'modelward_business_value_total{event=~"revenue|cost"}',
                "currency",
                "Amounts of one currency are added up.",
                several=False,
            ),
        ),
        annotations=(ALERTS,),
        links=(to_dashboard("modelward-executive", "Executive"),),
        time_from="now-24h",
        sections=(
            Section("", (_answer(), _course())),
            Section("By model", (_by_model(), _table())),
        ),
    )


def _satisfaction(span: str, *by: str) -> str:
    which = f'{{event="satisfaction", {_CHOSEN}}}'
    grouped = f" by ({', '.join(by)})" if by else ""
    total = business("satisfaction", _CHOSEN, span, *by)
    return f"{total} / (sum{grouped} (increase(modelward_business_events_total{which}[{span}])) > 0)"


def _of_a_thousand(event: str, span: str, by: str = "") -> str:
    made = predictions(_CHOSEN, span, by)
    return f"1000 * {business(event, _MONEY, span, by)} / ({made} > 0)"


def _answer() -> Line:
    span = "$__range"
    cost = business("cost", _MONEY, span)
    revenue = business("revenue", _MONEY, span)
    return line(
        4,
        (
            4,
            number(
                "Net value, $currency",
                "Revenue less cost in the time that is shown.",
                Query(net_value(_MONEY, span), instant=True),
                steps=Steps(BAD_FILL, ((0, OK_FILL),)),
                decimals=1,
                filled=True,
                no_value=_NOT_REPORTED,
            ),
        ),
        (
            4,
            number(
                "Revenue, $currency",
                "The sum of `revenue` events in the time that is shown, less what was taken back.",
                Query(revenue, instant=True),
                decimals=1,
                no_value=_NOT_REPORTED,
            ),
        ),
        (
            4,
            number(
                "Cost, $currency",
                "The sum of `cost` events in the time that is shown.",
                Query(cost, instant=True),
                steps=Steps(VIOLET),
                decimals=1,
                no_value=_NOT_REPORTED,
            ),
        ),
        (
            4,
            number(
                "Cost of 1,000 predictions",
                "Cost over predictions in the time that is shown, times a thousand, in the chosen currency.",
                Query(_of_a_thousand("cost", span), instant=True),
                steps=Steps(VIOLET),
                decimals=2,
                no_value=_NOT_REPORTED,
            ),
        ),
        (
            4,
            number(
                "Revenue of 1,000 predictions",
                "Revenue over predictions in the time that is shown, times a thousand, in the chosen currency.",
                Query(_of_a_thousand("revenue", span), instant=True),
                decimals=2,
                no_value=_NOT_REPORTED,
            ),
        ),
        (
            4,
            number(
                "Satisfaction",
                "The mean of `satisfaction` events in the time that is shown, on the scale that they are reported on.",
                Query(_satisfaction(span), instant=True),
                decimals=2,
                no_value=_NOT_REPORTED,
            ),
        ),
    )


def _course() -> Line:
    hour = "1h"
    return line(
        9,
        (
            12,
            lines(
                "Revenue and cost an hour, $currency",
                "What all chosen models brought and cost over the hour before each moment.",
                Query(business("revenue", _MONEY, hour), "Revenue"),
                Query(business("cost", _MONEY, hour), "Cost"),
                styles=[Style("Revenue", BLUE), Style("Cost", VIOLET)],
                no_value=_NOT_REPORTED,
            ),
        ),
        (
            12,
            lines(
                "Net value an hour, $currency",
                "Revenue less cost over the hour before each moment; below the dashed line the models cost more than "
                "they bring.",
                Query(net_value(_MONEY, hour), "Net value"),
                styles=[Style("Net value", TEAL)],
                steps=Steps("transparent", ((0, BAD),)),
                minimum=None,
                soft_minimum=0,
                no_value=_NOT_REPORTED,
            ),
        ),
    )


def _by_model() -> Line:
    return line(
        8,
        (
            8,
            bars(
                "Net value, $currency",
                "Revenue less cost in the time that is shown: the eight models that bring most.",
                Query(f"topk(8, {net_value(_MONEY, '$__range', 'model')})", "{{model}}"),
                steps=_PROFIT,
                decimals=1,
                minimum=None,
                links=[to_model(SERIES_MODEL)],
                no_value=_NOT_REPORTED,
            ),
        ),
        (
            8,
            lines(
                "Cost of 1,000 predictions, $currency",
                "Over an hour, of the six models that cost most.",
                Query(
                    leading(_of_a_thousand("cost", "1h", "model"), 6),
                    "{{model}}",
                ),
                links=[to_model(SERIES_MODEL)],
                no_value=_NOT_REPORTED,
            ),
        ),
        (
            8,
            lines(
                "Satisfaction",
                "The mean over an hour, of the six models where it is lowest.",
                Query(leading(_satisfaction("1h", "model"), 6, lowest=True), "{{model}}"),
                minimum=None,
                links=[to_model(SERIES_MODEL)],
                no_value=_NOT_REPORTED,
            ),
        ),
    )


def _table() -> Line:
    span = "$__range"
    revenue, cost = business("revenue", _MONEY, span, "model"), business("cost", _MONEY, span, "model")
    net = net_value(_MONEY, span, "model")
    return line(
        8,
        (
            24,
            listing(
                "Every model",
                "Amounts in the chosen currency, in the time that is shown. Margin is net value over revenue.",
                Column("Model", label="model", links=(to_model(FIELD_MODEL),)),
                Column("Predictions", predictions(_CHOSEN, span, "model")),
                Column("Revenue", revenue, decimals=1),
                Column("Cost", cost, decimals=1),
                Column("Net value", net, decimals=1, steps=Steps(BAD, ((0, PLAIN),))),
                Column(
                    "Margin",
                    f"({net}) / ({revenue} > 0)",
                    unit="percentunit",
                    decimals=0,
                    steps=Steps(BAD, ((0, PLAIN),)),
                ),
                Column(
                    "Cost of 1,000",
                    _of_a_thousand("cost", span, "model"),
                    decimals=2,
                ),
                Column("Satisfaction", _satisfaction(span, "model"), decimals=2),
                sort="Net value",
            ),
        ),
    )
