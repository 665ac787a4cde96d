import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import orjson
import pytest
from sklearn import metrics as sk

from modelward_collector.checks.performance import check_performance, verdict
from modelward_collector.checks.result import CheckKind, CheckResult, Finding, Status
from modelward_collector.models import ModelSpec, Threshold
from modelward_collector.span import Span
from modelward_collector.stats.intervals import Interval
from modelward_collector.store.protocol import Labelled

START = datetime(2026, 3, 2, tzinfo=UTC)
WEEK = Span(START, START + timedelta(days=7))


def labelled(
    predictions: Sequence[Any],
    actuals: Sequence[Any],
    *,
    segment: Sequence[Mapping[str, str]] | None = None,
    version: Sequence[str] | None = None,
    total: int | None = None,
) -> Labelled:
    """What a store joins: predictions as journalled (number, word or {class: p}), actuals with None for not yet."""
    n = len(predictions)
    known = np.array([actual is not None for actual in actuals], dtype=np.bool_)

    def number(value: Any) -> float:
        return float(value) if isinstance(value, int | float) else math.nan

    def word(value: Any) -> str:
        return value if isinstance(value, str) else ""

    return Labelled(
        timestamp=START.timestamp() + np.linspace(0, 7 * 86_400, n, endpoint=False),
        version=list(version or ["1"] * n),
        segment=list(segment or [{}] * n),
        predicted_value=np.array([number(p) for p in predictions]),
        predicted_label=[word(p) for p in predictions],
        probabilities=[p if isinstance(p, dict) else None for p in predictions],
        labelled=known,
        actual_value=np.array([number(a) for a in actuals]),
        actual_label=[word(a) for a in actuals],
        total=total or n,
        total_labelled=int(known.sum()) * (total or n) // max(n, 1),
    )


def check(rows: Labelled, task: str | None = None, **performance: Any) -> CheckResult:
    spec = ModelSpec.model_validate({"model": "m", "task": task, "checks": {"performance": performance}})
    return check_performance(spec, "1", WEEK, rows)


def finding(result: CheckResult, test: str, segment: Mapping[str, str] | None = None) -> Finding:
    found = [f for f in result.findings if f.test == test and f.segment == segment]
    assert len(found) == 1, [(f.subject, f.test, f.segment) for f in result.findings]
    return found[0]


def flights(n: int = 700, seed: int = 0) -> tuple[list[float], list[float]]:
    random = np.random.default_rng(seed)
    actual = random.normal(10, 30, n)
    return (actual + random.normal(0, 10, n)).tolist(), actual.tolist()


def loans(n: int = 700, seed: int = 0) -> tuple[list[dict[str, float]], list[str]]:
    random = np.random.default_rng(seed)
    p = random.beta(1, 1, n)
    actual = np.where(random.random(n) < p, "yes", "no")
    return [{"no": 1 - x, "yes": x} for x in p.tolist()], actual.tolist()


# -- regression -----------------------------------------------------------------------------------------------------


def test_regression_metrics_with_their_intervals() -> None:
    predicted, actual = flights()
    result = check(labelled(predicted, actual))
    assert (result.check, result.version, result.rows) == (CheckKind.PERFORMANCE, "1", 700)
    assert result.status is Status.OK
    numbers = result.numbers
    assert numbers["mae"] == pytest.approx(sk.mean_absolute_error(actual, predicted))
    assert numbers["rmse"] == pytest.approx(sk.root_mean_squared_error(actual, predicted))
    assert numbers["r2"] == pytest.approx(sk.r2_score(actual, predicted))
    for name in ("mae", "rmse", "r2", "bias", "mape", "median_ae"):
        assert numbers[f"{name}.low"] < numbers[name] < numbers[f"{name}.high"]
    assert (numbers["labels"], numbers["predictions"], numbers["labels_share"]) == (700, 700, 1)
    assert "mae" in result.summary


def test_residuals_and_the_course_of_the_error_are_drawn() -> None:
    predicted, actual = flights()
    result = check(labelled(predicted, actual))
    residuals = finding(result, "bias").detail["residuals"]
    assert sum(residuals["counts"]) == 700
    assert len(residuals["edges"]) == len(residuals["counts"]) + 1
    course = finding(result, "mae").detail["course"]
    assert [point["start"] for point in course][:2] == ["2026-03-02T00:00:00Z", "2026-03-03T00:00:00Z"]
    assert len(course) == 7
    first = np.abs(np.subtract(predicted, actual))[:100]
    assert course[0]["value"] == pytest.approx(first.mean())
    assert course[0]["labels"] == 100


def test_what_is_not_a_finite_number_is_left_out_and_said() -> None:
    predicted, actual = flights()
    result = check(labelled([math.nan, math.inf, *predicted[2:]], [*actual[:-1], "late"]), task="regression")
    assert result.numbers["mae"] == pytest.approx(sk.mean_absolute_error(actual[2:-1], predicted[2:-1]))
    assert "3 labelled predictions" in next(f for f in result.findings if f.subject == "unusable").message


# -- labels ---------------------------------------------------------------------------------------------------------


def test_too_few_labels_judge_nothing_but_say_how_many_are_in() -> None:
    predicted, actual = flights(100)
    result = check(labelled(predicted, [*actual[:29], *[None] * 71]), thresholds={"mae": {"max": 0.001}})
    assert result.status is Status.NO_DATA
    assert result.numbers == {"labels": 29, "predictions": 100, "labels_share": 0.29}
    assert "29 labels of 100 predictions" in result.summary
    assert "30 are needed" in result.summary


def test_no_predictions_at_all() -> None:
    result = check(labelled([], []))
    assert (result.status, result.rows, result.numbers["labels_share"]) == (Status.NO_DATA, 0, 0)


def test_labels_that_are_late_do_not_count_against_the_model() -> None:
    predicted, actual = flights()
    result = check(labelled(predicted, [a if i % 2 else None for i, a in enumerate(actual)]))
    assert result.numbers["labels_share"] == pytest.approx(0.5)
    assert result.numbers["mae"] == pytest.approx(sk.mean_absolute_error(actual[1::2], predicted[1::2]))


def test_another_versions_rows_are_not_mixed_in() -> None:
    predicted, actual = flights()
    wrong = [p + 1000 if i % 2 else p for i, p in enumerate(predicted)]
    result = check(labelled(wrong, actual, version=["2" if i % 2 else "1" for i in range(700)]))
    assert result.rows == 350
    assert result.numbers["mae"] == pytest.approx(sk.mean_absolute_error(actual[::2], predicted[::2]))


def test_a_sample_is_counted_up_to_all_of_it() -> None:
    predicted, actual = flights()
    result = check(labelled(predicted, [*actual[:350], *[None] * 350], total=7000))
    assert (result.numbers["predictions"], result.numbers["labels"]) == (7000, 3500)
    assert "350 of them read" in finding(result, "labels").message


# -- classification -------------------------------------------------------------------------------------------------


def test_binary_probabilities_give_every_metric() -> None:
    predicted, actual = loans()
    result = check(labelled(predicted, actual))
    score = [p["yes"] for p in predicted]
    answer = ["yes" if s > 0.5 else "no" for s in score]
    expected = {
        "accuracy": sk.accuracy_score(actual, answer),
        "precision": sk.precision_score(actual, answer, pos_label="yes"),
        "recall": sk.recall_score(actual, answer, pos_label="yes"),
        "f1": sk.f1_score(actual, answer, pos_label="yes"),
        "f1_macro": sk.f1_score(actual, answer, average="macro"),
        "roc_auc": sk.roc_auc_score([a == "yes" for a in actual], score),
        "log_loss": sk.log_loss(actual, [[1 - s, s] for s in score], labels=["no", "yes"]),
        "brier": sk.brier_score_loss([a == "yes" for a in actual], score),
    }
    for name, value in expected.items():
        assert result.numbers[name] == pytest.approx(value), name
        assert result.numbers[f"{name}.low"] < value < result.numbers[f"{name}.high"], name
    assert result.numbers["calibration_error.low"] < 0.02
    assert finding(result, "f1").detail["positive"] == "yes"


def test_the_configured_class_is_the_positive_one() -> None:
    predicted, actual = loans()
    result = check(labelled(predicted, actual), positive="no")
    answer = ["yes" if p["yes"] > 0.5 else "no" for p in predicted]
    assert result.numbers["recall"] == pytest.approx(sk.recall_score(actual, answer, pos_label="no"))
    assert result.numbers["roc_auc"] == pytest.approx(
        sk.roc_auc_score([a == "no" for a in actual], [p["no"] for p in predicted])
    )


def test_words_alone_and_many_classes() -> None:
    random = np.random.default_rng(3)
    actual = random.choice(["cat", "dog", "owl"], 300)
    predicted = np.where(random.random(300) < 0.8, actual, "cat")
    result = check(labelled(predicted.tolist(), actual.tolist()))
    assert result.numbers["recall_macro"] == pytest.approx(sk.recall_score(actual, predicted, average="macro"))
    assert "precision" not in result.numbers
    assert "roc_auc" not in result.numbers
    confusion = finding(result, "accuracy").detail["confusion"]
    assert confusion["classes"] == ["cat", "dog", "owl"]
    assert confusion["counts"] == sk.confusion_matrix(actual, predicted).tolist()


def test_the_confusion_of_very_many_classes_keeps_the_frequent_ones() -> None:
    random = np.random.default_rng(3)
    actual = [f"c{i:02}" for i in np.minimum(random.geometric(0.05, 3000), 60)]
    result = check(labelled(actual, actual))
    confusion = finding(result, "accuracy").detail["confusion"]
    assert confusion["classes"][-1] == "(other)"
    assert len(confusion["classes"]) == len(confusion["counts"]) == 21
    assert sum(map(sum, confusion["counts"])) == 3000


def test_free_text_has_only_accuracy() -> None:
    texts = [f"answer {i}" for i in range(400)]
    result = check(labelled(texts, [*texts[:300], *["no"] * 100]))
    assert result.numbers["accuracy"] == 0.75
    assert set(result.numbers) >= {"accuracy", "labels"}
    assert "f1_macro" not in result.numbers


def test_a_number_between_0_and_1_is_the_probability_of_1() -> None:
    predicted, actual = loans()
    score, truth = [p["yes"] for p in predicted], [float(a == "yes") for a in actual]
    result = check(labelled(score, truth))
    assert result.numbers["roc_auc"] == pytest.approx(sk.roc_auc_score(truth, score))
    assert result.numbers["accuracy"] == pytest.approx(np.mean((np.array(score) > 0.5) == np.array(truth)))


def test_classes_written_as_numbers() -> None:
    random = np.random.default_rng(3)
    actual = random.integers(0, 2, 200).astype(float)
    predicted = np.where(random.random(200) < 0.9, actual, 1 - actual)
    result = check(labelled(predicted.tolist(), actual.tolist()))
    assert result.numbers["f1"] == pytest.approx(sk.f1_score(actual, predicted))
    assert finding(result, "f1").detail["positive"] == "1"


def test_counts_are_no_classes_unless_the_file_says_so() -> None:
    counts = [float(i % 5) for i in range(100)]
    assert "mae" in check(labelled(counts, counts)).numbers
    assert "accuracy" in check(labelled(counts, counts), task="classification").numbers


def test_probabilities_that_do_not_add_up_are_scaled_and_broken_ones_do_not_count() -> None:
    predicted, actual = loans(200)
    doubled: list[Any] = [{name: 2 * p for name, p in each.items()} for each in predicted]
    assert check(labelled(doubled, actual)).numbers["brier"] == check(labelled(predicted, actual)).numbers["brier"]
    doubled[0] = {"yes": math.nan, "no": 0.5}
    result = check(labelled(doubled, actual))
    assert "1 labelled prediction" in next(f for f in result.findings if f.subject == "unusable").message


# -- thresholds -----------------------------------------------------------------------------------------------------


def test_beyond_the_threshold_for_certain_is_critical_and_perhaps_is_a_warning() -> None:
    predicted, actual = flights()
    mae = sk.mean_absolute_error(actual, predicted)
    sure = check(labelled(predicted, actual), thresholds={"mae": {"max": mae / 2}})
    assert (sure.status, finding(sure, "mae").status) == (Status.CRITICAL, Status.CRITICAL)
    assert "above the threshold" in sure.summary
    perhaps = check(labelled(predicted, actual), thresholds={"mae": {"max": mae - 0.05}})
    assert finding(perhaps, "mae").status is Status.WARNING
    assert "within what chance allows" in perhaps.summary
    fine = check(labelled(predicted, actual), thresholds={"mae": {"max": mae + 0.05}})
    assert (fine.status, finding(fine, "mae").threshold) == (Status.OK, mae + 0.05)


def test_both_sides_of_a_threshold() -> None:
    band = Threshold(min=0.2, max=0.8)
    assert verdict(Interval(0.1, 0.05, 0.15), band) == (Status.CRITICAL, 0.2)
    assert verdict(Interval(0.15, 0.1, 0.25), band) == (Status.WARNING, 0.2)
    assert verdict(Interval(0.5, 0.1, 0.9), band) == (Status.OK, 0.8)
    assert verdict(Interval(0.9, 0.7, 1.0), band) == (Status.WARNING, 0.8)
    assert verdict(Interval(0.9, 0.85, 1.0), band) == (Status.CRITICAL, 0.8)
    assert verdict(Interval(0.1, math.nan, math.nan), band) == (Status.WARNING, 0.2)


def test_a_threshold_on_a_metric_that_such_answers_never_have_is_said() -> None:
    predicted, actual = flights()
    result = check(labelled(predicted, actual), thresholds={"roc_auc": {"min": 0.7}})
    assert result.status is Status.WARNING
    assert "use one of bias, mae" in result.summary


def test_a_threshold_on_a_metric_that_these_rows_do_not_define_waits() -> None:
    predicted = [{"no": 0.9, "yes": 0.1}] * 50
    result = check(labelled(predicted, ["no"] * 50), thresholds={"roc_auc": {"min": 0.7}})
    assert result.status is Status.OK
    assert finding(result, "roc_auc").status is Status.NO_DATA


# -- segments -------------------------------------------------------------------------------------------------------


def test_a_segment_that_is_worse_is_pointed_at() -> None:
    predicted, actual = flights(900)
    where = [{"region": ("eu", "us", "ap")[i % 3]} for i in range(900)]
    worse = [p + 60 if i % 3 == 1 else p for i, p in enumerate(predicted)]
    result = check(labelled(worse, actual, segment=where), thresholds={"mae": {"max": 35}})
    assert finding(result, "mae").status is Status.OK
    us = finding(result, "mae", {"region": "us"})
    assert us.status is Status.WARNING
    assert us.detail["worse_than_overall"] is True
    assert us.message.startswith("region=us: mae 61.29 (59.96 to 62.62), above")
    assert finding(result, "mae", {"region": "eu"}).status is Status.OK
    assert finding(result, "mae", {"region": "eu"}).detail["worse_than_overall"] is False
    assert result.status is Status.WARNING


def test_segments_with_too_few_labels_are_not_judged() -> None:
    predicted, actual = flights(100)
    where = [{"region": "eu"} if i < 29 else {"region": "us"} for i in range(100)]
    result = check(labelled(predicted, actual, segment=where))
    assert {f.segment["region"] for f in result.findings if f.segment} == {"us"}


def test_equal_segments_seldom_look_worse() -> None:
    flagged = 0
    for seed in range(40):
        predicted, actual = flights(600, seed)
        where = [{"cell": str(i % 10)} for i in range(600)]
        result = check(labelled(predicted, actual, segment=where))
        flagged += any(f.detail.get("worse_than_overall") for f in result.findings)
    assert flagged <= 5


# -- the result -----------------------------------------------------------------------------------------------------


def test_a_result_survives_its_json_form_and_repeats_itself() -> None:
    predicted, actual = loans()
    where = [{"region": ("eu", "us")[i % 2]} for i in range(700)]
    result = check(labelled(predicted, actual, segment=where))
    document = orjson.loads(orjson.dumps(result.to_document()))
    again = check(labelled(predicted, actual, segment=where))
    assert CheckResult.from_document(document).findings == result.findings == again.findings
