"""The variables that dashboards share: what a person chooses at the top."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard as model

from grafana.dashboards.look import PROMETHEUS

Variable = Builder[model.VariableModel]

ALL: Final = model.VariableOption(selected=True, text="All", value="$__all")


def datasource() -> Variable:
    """Which Prometheus is asked: the appliance's own, or the long-term store beside it."""
    chosen = model.VariableOption(selected=True, text="Prometheus", value="prometheus")
    made = dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus").current(chosen)
    return made.description("The Prometheus that is asked.")


def labels(name: str, label: str, series: str, of: str, description: str, *, several: bool = True) -> Variable:
    """The values of the label `of` on the series of a selector. With `several` any number of them, at first all."""
    made = dashboard.QueryVariable(name).label(label).description(description).datasource(PROMETHEUS)
    made.query({"query": f"label_values({series}, {of})", "refId": name, "qryType": 1})
    made.refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(model.VariableSort.ALPHABETICAL_CASE_INSENSITIVE_ASC)
    made.allow_custom_value(False)
    if several:
        # Every value, and none: a version may be empty.
        made.multi(True).include_all(True).all_value(".*").current(ALL)
    return made


def models() -> Variable:
    """Any number of models."""
    series = '{__name__=~"modelward_predictions_total|modelward_check_status", model!=""}'
    return labels("model", "Model", series, "model", "The models that are shown.")


def one_model() -> Variable:
    """One model."""
    series = '{__name__=~"modelward_predictions_total|modelward_check_status", model!=""}'
    return labels("model", "Model", series, "model", "The model that is shown.", several=False)


def versions() -> Variable:
    """Versions of the chosen models."""
    series = 'modelward_predictions_total{model=~"$model"}'
    return labels("version", "Version", series, "version", "The versions of the model that are shown.")


def hosts() -> Variable:
    """Hosts with an agent."""
    return labels("host", "Host", "modelward_agent_info", "host", "The model servers that are shown.")


def newest_version() -> Variable:
    """One version of the chosen model, at first the newest."""
    series = '{__name__=~"modelward_predictions_total|modelward_drift_detected", model="$model"}'
    made = labels("version", "Version", series, "version", "The version that is shown.", several=False)
    assert isinstance(made, dashboard.QueryVariable)
    return made.sort(model.VariableSort.NATURAL_DESC)
