"""One class, one spelling: predictions, probabilities, labels and configurations that mean the same are the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from collector.tests.test_performance import WEEK, finding, labelled
from modelward_agent.profile import FeatureProfile, Profile
from modelward_collector.checks.performance import Joined, check_performance
from modelward_collector.checks.result import CheckResult, Status
from modelward_collector.checks.window import ReferenceProfile
from modelward_collector.models import ModelSpec
from modelward_collector.store.protocol import Strangers


def check(
    predictions: list[Any],
    actuals: list[Any],
    *,
    reference: ReferenceProfile | None = None,
    joined: Joined | None = None,
    **spec: Any,
) -> CheckResult:
    model = ModelSpec.model_validate({"model": "m", **spec})
    return check_performance(model, "1", WEEK, labelled(predictions, actuals), reference, joined=joined)


ONES = [1, 1.0, "1", "1.0", "true", "True", " 1"]
ZEROS = [0, 0.0, "0", "0.0", "false", "FALSE", "-0.0"]


@pytest.mark.parametrize("one", ONES, ids=map(repr, ONES))
@pytest.mark.parametrize(("true", "false"), list(zip(ONES, ZEROS, strict=True)), ids=map(repr, ONES))
def test_spellings_of_one_class_are_one_class(one: Any, true: Any, false: Any) -> None:
    zero = ZEROS[ONES.index(one)]
    result = check([one, zero] * 30, [true, false] * 30, task="classification")
    assert finding(result, "accuracy").value == 1.0
    assert len(finding(result, "accuracy").detail["confusion"]["classes"]) == 2
    assert result.status is Status.OK


@pytest.mark.parametrize("names", [("0.0", "1.0"), ("0", "1"), ("false", "true"), ("False", "True")])
@pytest.mark.parametrize("actuals", [[1, 0], [1.0, 0.0], ["1", "0"], ["true", "false"], ["1.0", "0.0"]])
def test_probabilities_classes_are_the_labels_ones(names: tuple[str, str], actuals: list[Any]) -> None:
    zero, one = names
    result = check([{zero: 0.1, one: 0.9}, {zero: 0.7, one: 0.3}] * 30, actuals * 30)
    assert finding(result, "accuracy").value == 1.0
    assert finding(result, "roc_auc").value == 1.0
    assert finding(result, "precision").value == 1.0


@pytest.mark.parametrize(
    ("actuals", "positive"),
    [
        ([1, 0], None),
        (["true", "false"], None),
        (["1", "0"], None),
        (["yes", "no"], None),
        (["Y", "N"], None),
        (["positive", "negative"], None),
        (["good", "bad"], "good"),
        (["a", "b"], "a"),
    ],
)
@pytest.mark.parametrize("as_text", [False, True])
def test_a_score_against_any_two_classes_is_a_score(actuals: list[Any], positive: str | None, as_text: bool) -> None:
    scores: list[Any] = [0.9, 0.2]
    if as_text:
        scores = [str(score) for score in scores]
    performance = {"positive": positive} if positive else {}
    result = check(scores * 30, actuals * 30, task="classification", checks={"performance": performance})
    assert finding(result, "accuracy").value == 1.0
    assert finding(result, "roc_auc").value == 1.0


def test_booleans_make_a_classifier_of_scores_without_a_word_in_the_models_file() -> None:
    result = check([0.9, 0.2] * 30, ["true", "false"] * 30)
    assert finding(result, "roc_auc").value == 1.0


def test_a_score_whose_labels_are_all_of_one_class_is_a_score_where_the_reference_knows_the_other() -> None:
    total = Profile()
    labels = total.outputs["actual"] = FeatureProfile()
    labels.update_counts({"fraud": 10, "good": 90})
    reference = ReferenceProfile("file", total)
    checks = {"performance": {"positive": "fraud"}}
    result = check([0.1, 0.2, 0.9] * 20, ["good"] * 60, reference=reference, task="classification", checks=checks)
    assert finding(result, "accuracy").value == pytest.approx(2 / 3)


def test_whole_numbers_as_text_are_classes_and_fractions_are_values() -> None:
    classes = check(["3", "4", "5"] * 20, [3, 4, 5] * 20)
    assert finding(classes, "accuracy").value == 1.0
    values = check(["12.5", "7.25", "3"] * 20, [12.5, 7.25, 4] * 20)
    assert finding(values, "mae").value == pytest.approx(1 / 3)


def test_numbers_that_were_sent_as_text_are_numbers_to_a_regression() -> None:
    result = check([1, "2.5", 4.0] * 20, ["1", 2.5, "5"] * 20, task="regression")
    assert finding(result, "mae").value == pytest.approx(1 / 3)
    assert not [one for one in result.findings if one.subject == "unusable"]


def test_classes_are_shown_as_they_are_written_most_or_as_the_models_file_has_them() -> None:
    result = check(["true", "false"] * 30, [1, 0] * 10 + ["true", "false"] * 20)
    assert finding(result, "accuracy").detail["confusion"]["classes"] == ["false", "true"]
    named = check([1, 0] * 30, ["true", "false"] * 30, task="classification", output={"classes": ["False", "True"]})
    assert finding(named, "accuracy").detail["confusion"]["classes"] == ["False", "True"]


def test_numbered_classes_are_in_the_order_of_their_numbers() -> None:
    result = check(["2", "10", "9"] * 20, [2, 10, 9] * 20)
    assert finding(result, "accuracy").detail["confusion"]["classes"] == ["2", "9", "10"]


def test_the_positive_class_may_be_written_otherwise_than_the_labels() -> None:
    result = check([1, 0] * 30, [1, 0] * 30, task="classification", checks={"performance": {"positive": True}})
    assert finding(result, "precision").value == 1.0
    assert finding(result, "precision").detail["positive"] == "1"


def test_case_and_blanks_matter_unless_the_model_says_otherwise() -> None:
    answers, labels = ["Cat", "Dog "] * 30, ["cat", "dog"] * 30
    exact = check(answers, labels)
    assert exact.status is Status.WARNING
    assert "no class is in both; labels: loose under output makes such spellings one" in exact.summary
    loose = check(answers, labels, output={"labels": "loose"})
    assert finding(loose, "accuracy").value == 1.0
    assert loose.status is Status.OK


def test_a_spelling_of_a_few_labels_is_told() -> None:
    result = check(["cat", "dog", "cat"] * 30, ["cat", "dog", "Cat"] * 30)
    assert result.status is Status.WARNING
    assert '"Cat" of labels and "cat" of answers count as two classes' in finding(result, "spelling").message
    assert finding(result, "spelling").value == pytest.approx(1 / 3)


# -- what no metric may hide -----------------------------------------------------------------------------------------


def test_labels_of_other_classes_are_told_instead_of_an_accuracy_of_0() -> None:
    result = check(["cat", "dog"] * 30, [0, 1] * 30)
    assert result.status is Status.WARNING
    assert 'labels are "0", "1" and answers "cat", "dog": no class is in both' in result.summary
    assert "accuracy" not in result.numbers


def test_a_model_that_is_always_wrong_is_wrong_and_not_mislabelled() -> None:
    always = check([0] * 60, [1] * 60, task="classification")
    assert finding(always, "accuracy").value == 0.0
    known = check(["a"] * 60, ["b"] * 60, output={"classes": ["a", "b"]})
    assert finding(known, "accuracy").value == 0.0
    stated = check([{"a": 0.9, "b": 0.1}] * 60, ["b"] * 60)
    assert finding(stated, "accuracy").value == 0.0


@pytest.mark.parametrize(
    ("joined", "status", "says"),
    [
        (Joined(Strangers(500, 500, "17.0", "0198-a")), Status.WARNING, "500 of the newest 500 labels (100%) find no"),
        (Joined(Strangers(500, 500, "17", "")), Status.WARNING, 'label "17", no prediction is kept'),
        (Joined(Strangers(500, 20, "17", "0198-a")), Status.OK, "20 of the newest 500 labels (4%)"),
        (Joined(Strangers(0, 0), repeats=30, predictions=60), Status.WARNING, "30 predictions (50.0%) repeat an id"),
        (Joined(Strangers(0, 0), repeats=1, predictions=1000), Status.OK, "1 predictions (0.1%) repeat an id"),
    ],
)
def test_ids_that_do_not_join_are_told(joined: Joined, status: Status, says: str) -> None:
    for labels in (60, 5):  # with and without labels enough
        result = check([1, 0] * 30, [1, 0] * (labels // 2) + [None] * (60 - 2 * (labels // 2)), joined=joined)
        [found] = [one for one in result.findings if one.test == "ids"]
        assert found.status is status
        assert says in found.message
        assert (result.status is Status.WARNING) == (status is Status.WARNING)


def test_the_same_rows_in_any_spelling_give_the_same_metrics() -> None:
    random = np.random.default_rng(3)
    truth = random.random(400) < 0.4
    p = np.clip(truth * 0.3 + random.random(400) * 0.7, 0.01, 0.99)
    plain = check([{"0": 1 - x, "1": x} for x in p.tolist()], [int(t) for t in truth.tolist()])
    for actuals in ([str(t) for t in truth.tolist()], [float(t) for t in truth.tolist()]):
        other = check([{"0.0": 1 - x, "1.0": x} for x in p.tolist()], actuals)
        assert other.numbers == plain.numbers
    scored = check(p.tolist(), ["true" if t else "false" for t in truth.tolist()])
    assert scored.numbers == pytest.approx(plain.numbers)
