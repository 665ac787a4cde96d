"""Rules on the answers: classes, ranges, probabilities, NaN."""

from __future__ import annotations

from dataclasses import replace

from modelward_agent.profile import CategoricalSketch, FeatureProfile, NumericSketch
from modelward_agent.profile.categorical import category_name
from modelward_collector.checks.quality.expectation import Bound, majority_type, percent
from modelward_collector.checks.quality.judged import Judged
from modelward_collector.checks.quality.shares import (
    allowed_categories,
    infinite,
    nan,
    outside_set,
    share_outside,
    wrong_type,
)
from modelward_collector.checks.reading import are_scores, classes_against_scores
from modelward_collector.checks.result import Finding, Status
from modelward_collector.models import FeatureType, Task

SUM_TOLERANCE = 1e-3
"""How far probabilities may add up beside 1: float32 models round."""

CRITICAL_INVALID = 0.05


def outputs(judged: Judged) -> list[Finding]:
    """Whether predictions, scores and probabilities are what an answer of this model can be."""
    outputs = judged.profile.outputs
    known = judged.known.outputs if judged.known else {}
    findings: list[Finding] = []
    if (prediction := outputs.get("prediction")) is not None and prediction.present:
        findings += _predictions(judged, prediction, known.get("prediction"))
    if (score := outputs.get("score")) is not None and score.numeric is not None and score.numeric.n:
        findings += _invalid("score", score.numeric, 0.0, 1.0, "a probability is from 0 to 1")
    total = outputs.get("probability_sum")
    if total is not None and total.numeric is not None and total.numeric.n:
        said = f"probabilities add up to 1 within {SUM_TOLERANCE:g}"
        findings += _invalid("probability_sum", total.numeric, 1 - SUM_TOLERANCE, 1 + SUM_TOLERANCE, said)
    return findings


def _predictions(judged: Judged, prediction: FeatureProfile, known: FeatureProfile | None) -> list[Finding]:
    output, findings = judged.spec.output, []
    broken = nan(prediction) + infinite(prediction)
    if prediction.numbers:
        share = broken / prediction.numbers
        said = f"{percent(share)} of predictions are NaN or infinite" if broken else "no prediction is NaN or infinite"
        findings.append(Finding("prediction", "nan", _severity(share), said, value=share, threshold=0.0))
    if known is not None and classes_against_scores(known, prediction):
        findings.append(_of_another_form(known, prediction))
    elif judged.spec.task is Task.REGRESSION:
        findings += wrong_type("prediction", FeatureType.NUMERIC, prediction, None)[1]
    elif known is not None and output.classes is None and (usual := majority_type(known)) is not None:
        judged.shares["type", "prediction"], found = wrong_type("prediction", usual, prediction, known)
        findings += found
    if prediction.numeric is not None and prediction.numeric.n and (output.min is not None or output.max is not None):
        bounds = " to ".join("…" if end is None else f"{end:g}" for end in (output.min, output.max))
        findings += _invalid(
            "prediction", prediction.numeric, output.min, output.max, f"the output's range is {bounds}"
        )
    if prediction.categorical is not None and prediction.strings:
        findings += _classes(judged, prediction.categorical, known.categorical if known else None)
    return findings


def _of_another_form(known: FeatureProfile, prediction: FeatureProfile) -> Finding:
    now, before = ("scores", "classes") if are_scores(prediction) else ("classes", "scores")
    said = (
        f"predictions are {now} and the reference's are {before}, so that they are not compared; make the reference of "
        f"{now} too (modelward-agent profile --prediction), or record both: {{class: probability}}"
    )
    return Finding("prediction", "form", Status.WARNING, said, value=1.0, threshold=0.0)


def _classes(judged: Judged, predicted: CategoricalSketch, known: CategoricalSketch | None) -> list[Finding]:
    classes = judged.spec.output.classes
    if classes is not None:
        # the list is the whole truth about a model's answers: one more is one too many
        allowed: tuple[frozenset[str], Bound] | None = (frozenset(map(category_name, classes)), Bound(0.0, "classes"))
    else:
        allowed = allowed_categories(None, known, judged.spec.checks.quality.unseen_max)
    if allowed is None:
        return []
    share, found = outside_set("prediction", "classes", "classes", predicted, *allowed)
    judged.shares["classes", "prediction"] = share
    if not found:
        return [Finding("prediction", "classes", Status.OK, "every class is known", value=share)]
    return [replace(found[0], status=_severity(share))]


def _invalid(subject: str, sketch: NumericSketch, low: float | None, high: float | None, rule: str) -> list[Finding]:
    share = share_outside(sketch, low, high)
    said = f"{subject}: {rule}"
    if share:
        said = f"{subject}: {percent(share)} invalid, from {sketch.minimum:g} to {sketch.maximum:g}; {rule}"
    detail = {"minimum": sketch.minimum, "maximum": sketch.maximum}
    return [Finding(subject, "validity", _severity(share), said, value=share, threshold=0.0, detail=detail)]


def _severity(invalid: float) -> Status:
    if not invalid:
        return Status.OK
    return Status.CRITICAL if invalid > CRITICAL_INVALID else Status.WARNING
