import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from modelward_collector.stats import performance


def _regression(n: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    actual = random.normal(10, 5, n)
    return actual, actual + random.standard_t(5, n) + 0.3


def test_regression_metrics_are_scikit_learns() -> None:
    actual, predicted = _regression()
    ours = performance.regression_metrics(actual, predicted)
    expected = {
        "mae": sk.mean_absolute_error(actual, predicted),
        "rmse": sk.root_mean_squared_error(actual, predicted),
        "r2": sk.r2_score(actual, predicted),
        "mape": sk.mean_absolute_percentage_error(actual, predicted),
        "bias": float(np.mean(predicted - actual)),
        "median_ae": sk.median_absolute_error(actual, predicted),
    }
    assert {name: metric.estimate for name, metric in ours.items()} == pytest.approx(expected)
    for metric in ours.values():
        assert metric.low < metric.estimate < metric.high


def test_an_actual_of_zero_has_no_percentage() -> None:
    actual, predicted = np.array([0.0, 2.0, 4.0]), np.array([5.0, 3.0, 5.0])
    assert performance.regression_metrics(actual, predicted)["mape"].estimate == pytest.approx((0.5 + 0.25) / 2)
    assert "mape" not in performance.regression_metrics(np.zeros(3), predicted)


def test_a_constant_target_has_no_r2_and_exact_predictions_no_error() -> None:
    same = performance.regression_metrics(np.full(9, 3.0), np.arange(9.0))
    assert "r2" not in same
    actual = np.arange(9.0)
    exact = performance.regression_metrics(actual, actual)
    assert (exact["rmse"].estimate, exact["r2"].estimate, exact["mae"].high) == (0.0, 1.0, 0.0)


def test_no_rows_have_no_metrics() -> None:
    nothing = np.empty(0)
    assert performance.regression_metrics(nothing, nothing) == {}
    assert performance.label_metrics(np.zeros((2, 2), np.int64)) == {}
    assert performance.probability_metrics(np.empty(0, np.int64), np.empty((0, 2))) == {}


@pytest.mark.parametrize("n", [40, 300])
def test_regression_intervals_cover(n: int) -> None:
    random = np.random.default_rng(n)
    # y ~ N(0, 2²), error ~ N(0.5, 1²)
    folded = math.sqrt(2 / math.pi) * math.exp(-0.125) + 0.5 * math.erf(0.5 / math.sqrt(2))
    truth = {"mae": folded, "rmse": math.sqrt(1.25), "bias": 0.5, "r2": 1 - 1.25 / 4}
    covered = dict.fromkeys(truth, 0)
    for _ in range(500):
        actual = random.normal(0, 2, n)
        answer = performance.regression_metrics(actual, actual + random.normal(0.5, 1, n))
        for name, value in truth.items():
            covered[name] += answer[name].low <= value <= answer[name].high
    for name, count in covered.items():
        assert 0.91 <= count / 500 <= 0.985, name


LABELS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60)


@given(LABELS)
@settings(max_examples=60, deadline=None)
def test_label_metrics_are_scikit_learns_for_any_labels(pairs: list[tuple[int, int]]) -> None:
    actual, predicted = (np.array(column) for column in zip(*pairs, strict=True))
    confusion = performance.confusion_matrix(actual, predicted, 4)
    assert np.array_equal(confusion, sk.confusion_matrix(actual, predicted, labels=range(4)))
    ours = performance.label_metrics(confusion, positive=1)
    macro = {"average": "macro", "zero_division": 0}
    expected = {
        "accuracy": sk.accuracy_score(actual, predicted),
        "precision_macro": sk.precision_score(actual, predicted, **macro),
        "recall_macro": sk.recall_score(actual, predicted, **macro),
        "f1_macro": sk.f1_score(actual, predicted, **macro),
    }
    one = {"labels": [1], "average": None, "zero_division": np.nan}
    for name, score in (("precision", sk.precision_score), ("recall", sk.recall_score), ("f1", sk.f1_score)):
        value = float(score(actual, predicted, **one)[0])
        if not math.isnan(value):
            expected[name] = value
    assert {name: metric.estimate for name, metric in ours.items()} == pytest.approx(expected)
    for metric in ours.values():
        assert -1e-12 <= metric.low <= metric.estimate + 1e-12
        assert metric.estimate - 1e-12 <= metric.high <= 1 + 1e-12


def test_f1_intervals_cover() -> None:
    random = np.random.default_rng(8)
    cells = np.array([0.55, 0.1, 0.05, 0.3])  # actual x predicted, positive last
    f1 = 2 * 0.3 / (2 * 0.3 + 0.1 + 0.05)
    other = 2 * 0.55 / (2 * 0.55 + 0.15)
    covered = {"f1": 0, "f1_macro": 0}
    for trial in range(400):
        confusion = random.multinomial(80, cells).reshape(2, 2)
        answer = performance.label_metrics(confusion, positive=1, seed=trial)
        covered["f1"] += answer["f1"].low <= f1 <= answer["f1"].high
        covered["f1_macro"] += answer["f1_macro"].low <= (f1 + other) / 2 <= answer["f1_macro"].high
    assert 0.92 <= covered["f1"] / 400 <= 0.98
    assert 0.91 <= covered["f1_macro"] / 400 <= 0.98


def test_thirty_right_answers_are_not_certainty() -> None:
    answer = performance.label_metrics(np.array([[15, 0], [0, 15]]), positive=1)
    for name in ("accuracy", "f1", "f1_macro", "precision", "recall_macro"):
        assert answer[name].estimate == 1.0
        assert 0.7 < answer[name].low < 0.95, name


def _probabilities(n: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    logits = random.normal(0, 1.5, (n, classes))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    actual = (p.cumsum(axis=1) < random.random(n)[:, None]).sum(axis=1)
    return np.minimum(actual, classes - 1), p


def test_binary_probability_metrics_are_scikit_learns() -> None:
    actual, p = _probabilities(500, 2)
    ours = performance.probability_metrics(actual, p, positive=1)
    expected = {
        "roc_auc": sk.roc_auc_score(actual, p[:, 1]),
        "log_loss": sk.log_loss(actual, p),
        "brier": sk.brier_score_loss(actual, p[:, 1]),
    }
    for name, value in expected.items():
        assert ours[name].estimate == pytest.approx(value)
        assert ours[name].low < value < ours[name].high


def test_multiclass_probability_metrics_are_scikit_learns() -> None:
    actual, p = _probabilities(600, 4)
    ours = performance.probability_metrics(actual, p)
    assert ours["roc_auc"].estimate == pytest.approx(sk.roc_auc_score(actual, p, multi_class="ovr"))
    assert ours["log_loss"].estimate == pytest.approx(sk.log_loss(actual, p))
    assert ours["brier"].estimate == pytest.approx(np.square(p - np.eye(4)[actual]).sum(axis=1).mean())


def test_a_certain_and_wrong_answer_costs_much_but_not_infinitely() -> None:
    ours = performance.probability_metrics(np.array([0, 1, 1]), np.array([[1.0, 0.0], [1.0, 0.0], [0.5, 0.5]]), 1)
    assert ours["log_loss"].estimate == pytest.approx(sk.log_loss([0, 1, 1], [[1.0, 0.0], [1.0, 0.0], [0.5, 0.5]]))


def test_the_multiclass_area_covers() -> None:
    truth = performance.macro_auc(*_probabilities(400_000, 3, seed=99)).estimate
    covered = 0
    for seed in range(300):
        answer = performance.macro_auc(*_probabilities(150, 3, seed=seed))
        covered += answer.low <= truth <= answer.high
    assert 0.91 <= covered / 300 <= 0.985


def test_calibration_error_by_its_definition() -> None:
    stated, right = np.array([0.71, 0.72, 0.95, 0.99, 0.34]), np.array([True, False, True, True, False])
    bins = np.minimum((stated * 15).astype(int), 14)
    expected = sum(
        (bins == b).mean() * abs(stated[bins == b].mean() - right[bins == b].mean()) for b in np.unique(bins)
    )
    assert performance.calibration_error(stated, right).estimate == pytest.approx(expected)


def test_calibration_error_of_a_calibrated_model_may_be_none_and_of_an_overconfident_one_is_not() -> None:
    actual, p = _probabilities(1000, 2, seed=3)
    calibrated = performance.probability_metrics(actual, p, 1)["calibration_error"]
    assert calibrated.low < 0.01
    sharper = p**3 / (p**3).sum(axis=1, keepdims=True)
    overconfident = performance.probability_metrics(actual, sharper, 1)["calibration_error"]
    assert overconfident.low > 0.05
    assert overconfident.low <= overconfident.estimate <= overconfident.high


def test_the_same_rows_have_the_same_intervals() -> None:
    actual, p = _probabilities(200, 3)
    assert performance.probability_metrics(actual, p) == performance.probability_metrics(actual, p)
