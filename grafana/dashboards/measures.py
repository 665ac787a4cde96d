"""What several dashboards measure, as PromQL. `chosen` is the inside of a selector, as `model=~"$model"`."""

from __future__ import annotations

from typing import Final

ALERT: Final = "ALERTS"


def leading(expression: str, count: int, *, lowest: bool = False) -> str:
    """Those series that lead at the end of the time shown, over all of it: which they are does not change on "
    "the way."""
    return f"({expression}) and {'bottomk' if lowest else 'topk'}({count}, {at_the_end(expression)})"


def at_the_end(expression: str) -> str:
    """The same as it is at the end of the time shown: every selector gets `@ end()`."""
    found, place = [], 0
    while place < len(expression):
        close = _selector_end(expression, place)
        if close is None:
            found.append(expression[place:])
            break
        found.append(f"{expression[place:close]} @ end()")
        place = close
    return "".join(found)


def _selector_end(expression: str, start: int) -> int | None:
    """Where the next selector with braces, and the range that may follow it, ends."""
    opening = expression.find("{", start)
    if opening < 0:
        return None
    place, quoted = opening, False
    while quoted or expression[place] != "}":
        quoted ^= expression[place] == '"'
        place += 1
    place += 1
    return expression.index("]", place) + 1 if expression[place : place + 1] == "[" else place


def _by(*labels: str) -> str:
    named = ", ".join(label for label in labels if label)
    return f" by ({named})" if named else ""


def both(first: str, second: str) -> str:
    """Their sum where both are, and the one where only one is."""
    return f"(({first}) + ({second}) or ({first}) or ({second}))"


def predictions(chosen: str, span: str, by: str = "") -> str:
    """Predictions over a span."""
    return f"sum{_by(by)} (increase(modelward_predictions_total{{{chosen}}}[{span}]))"


def errors(chosen: str, span: str, by: str = "") -> str:
    """Requests without an answer over a span."""
    return f"sum{_by(by)} (increase(modelward_prediction_errors_total{{{chosen}}}[{span}]))"


def error_share(chosen: str, span: str, by: str = "") -> str:
    """Share of requests without an answer, 0 to 1; 0 also for who never had an error."""
    answered, failed = predictions(chosen, span, by), errors(chosen, span, by)
    return f"(({failed}) or ({answered}) * 0) / ({both(answered, failed)} > 0)"


def availability(chosen: str, span: str, by: str = "") -> str:
    """Share of requests with an answer, 0 to 1."""
    return f"1 - {error_share(chosen, span, by)}"


def latency(quantile: float, chosen: str, span: str = "$__rate_interval", by: str = "") -> str:
    """A quantile of the predictions' latency, in seconds."""
    buckets = f"sum{_by('le', by)} (rate(modelward_prediction_latency_seconds_bucket{{{chosen}}}[{span}]))"
    return f"histogram_quantile({quantile:g}, {buckets})"


def slow_share(chosen: str, span: str, by: str = "") -> str:
    """Share of answers that took longer than their model's objective, 0 to 1."""
    objective = 'topk by (model) (1, model:modelward_latency_objective:info{model!=""})'
    buckets = f"rate(modelward_prediction_latency_seconds_bucket{{{chosen}}}[{span}])"
    fast = f"sum{_by(by)} ({buckets} and on (model, le) {objective})"
    timed = f"sum{_by(by)} (rate(modelward_prediction_latency_seconds_count{{{chosen}}}[{span}]))"
    return f"clamp_min(1 - {fast} / ({timed} > 0), 0)"


def model_standing(chosen: str, by: str = "model") -> str:
    """The worst status of a model's checks, 0 to 4; no verdict yet counts only where there is nothing else."""
    status = f'modelward_check_status{{{chosen}, model!=""}}'
    return f"max by ({by}) ({status} != 1) or max by ({by}) ({status})"


def critical_models(chosen: str) -> str:
    """How many models have something critical."""
    return f'count(max by (model) (modelward_check_status{{{chosen}, model!=""}} == 3)) or vector(0)'


def watched_models(chosen: str) -> str:
    """How many models are checked."""
    return f'count(count by (model) (modelward_check_status{{{chosen}, model!=""}}))'


def performance_margin(chosen: str) -> str:
    """How far a metric is on the good side of its threshold, as a share of the threshold, by model and metric."""
    value = f"modelward_performance{{{chosen}}}"
    least = f'max by (model, metric) (modelward_performance_threshold{{{chosen}, bound="min"}})'
    most = f'min by (model, metric) (modelward_performance_threshold{{{chosen}, bound="max"}})'
    low, high = f"min by (model, metric) ({value})", f"max by (model, metric) ({value})"
    return f"(({low} - {least}) / {least} or ({most} - {high}) / {most})"


def business(event: str, chosen: str, span: str, *by: str) -> str:
    """Sum of a business event's values over a span; what was taken back is subtracted."""
    which = f'event="{event}", {chosen}' if chosen else f'event="{event}"'
    added = f"sum{_by(*by)} (increase(modelward_business_value_total{{{which}}}[{span}]))"
    taken = f"sum{_by(*by)} (increase(modelward_business_negative_value_total{{{which}}}[{span}]))"
    return f"({added} - {taken})"


def net_value(chosen: str, span: str, *by: str) -> str:
    """Revenue less cost over a span."""
    revenue, cost = business("revenue", chosen, span, *by), business("cost", chosen, span, *by)
    return f"({revenue} - {cost} or {revenue} or 0 - {cost})"


def age(timestamp: str) -> str:
    """Seconds since a Unix time."""
    return f"time() - {timestamp}"
