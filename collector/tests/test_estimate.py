import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits, make_friedman1
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LinearRegression, LogisticRegression

from modelward_collector.stats.boosting import BoostedTrees
from modelward_collector.stats.calibration import Reliability
from modelward_collector.stats.estimate import estimate_accuracy, estimate_classifier, estimate_regression
from modelward_collector.stats.intervals import Interval
from modelward_collector.stats.performance import confusion_matrix, label_metrics, probability_metrics

Floats = NDArray[np.float64]


def test_calibration_is_the_isotonic_regression_at_its_blocks() -> None:
    random = np.random.default_rng(0)
    score = np.round(random.random(500), 2)
    outcome = random.random(500) < score**2
    calibration = Reliability.of(score, outcome).calibration()
    fitted = IsotonicRegression().fit(score, outcome).predict(score)
    assert sorted(set(np.round(calibration.shares, 9))) == sorted(set(np.round(fitted, 9)))
    assert (np.diff(calibration.shares) >= 0).all()
    assert (np.diff(calibration.points) > 0).all()
    for share, point in zip(calibration.shares, calibration.points, strict=True):
        assert point == pytest.approx(score[np.isclose(fitted, share)].mean())
    assert calibration.of(np.array([-1.0, 2.0])).tolist() == [calibration.shares[0], calibration.shares[-1]]


def test_calibration_finds_the_truth_behind_an_overconfident_score() -> None:
    random = np.random.default_rng(1)
    score = random.random(20_000)
    truth = 0.25 + 0.5 * score
    calibration = Reliability.of(score, random.random(20_000) < truth).calibration()
    grid = np.linspace(0.05, 0.95, 19)
    assert calibration.of(grid) == pytest.approx(0.25 + 0.5 * grid, abs=0.04)


def test_a_resample_has_as_many_rows_and_the_same_mean() -> None:
    random = np.random.default_rng(2)
    curve = Reliability.of(np.round(random.random(400), 1), random.random(400) < 0.3)
    drawn = [curve.resampled(random) for _ in range(300)]
    assert {one.rows.sum() for one in drawn} == {400}
    assert np.mean([one.positive.sum() for one in drawn]) == pytest.approx(curve.positive.sum(), abs=2)


def test_boosted_trees_learn_a_surface_and_no_noise() -> None:
    features, target = make_friedman1(3000, noise=0.5, random_state=0)
    fresh, truth = make_friedman1(1000, noise=0, random_state=1)
    trees = BoostedTrees.fit(features, target)
    assert 1 - np.var(truth - trees.of(fresh)) / np.var(truth) > 0.85
    nothing = BoostedTrees.fit(features, np.random.default_rng(0).normal(size=3000))
    assert np.std(nothing.of(fresh)) < 0.4
    assert BoostedTrees.fit(features, np.ones(3000)).of(fresh) == pytest.approx(1.0)
    assert BoostedTrees.fit(np.empty((50, 0)), np.arange(50.0)).of(np.empty((2, 0))).tolist() == [24.5, 24.5]


def test_boosted_trees_take_missing_values_as_values() -> None:
    random = np.random.default_rng(0)
    features = random.random((2000, 2))
    features[::4, 0] = np.nan
    target = np.where(np.isnan(features[:, 0]), 5.0, 1.0)
    assert BoostedTrees.fit(features, target).of(features) == pytest.approx(target, abs=0.1)


# -- classifiers ----------------------------------------------------------------------------------------------------


def population(n: int, low: float, high: float, random: np.random.Generator) -> tuple[Floats, NDArray[np.int64]]:
    """An overconfident binary model: what it is unsure of depends on x, whose range a window shifts."""
    x = random.uniform(low, high, n)
    truth = 1 / (1 + np.exp(-x))
    stated = 1 / (1 + np.exp(-2.5 * x - 0.3))
    return np.column_stack([1 - stated, stated]), (random.random(n) < truth).astype(np.int64)


def realised(probabilities: Floats, actual: NDArray[np.int64]) -> dict[str, float]:
    predicted = probabilities.argmax(axis=1)
    metrics = label_metrics(confusion_matrix(actual, predicted, probabilities.shape[1]), 1)
    metrics |= probability_metrics(actual, probabilities, 1, calibration=False)
    return {name: metric.estimate for name, metric in metrics.items()}


def test_the_interval_holds_the_realised_metrics_of_a_shifted_window() -> None:
    random = np.random.default_rng(3)
    names = ("accuracy", "precision", "recall", "f1", "f1_macro", "recall_macro", "precision_macro", "roc_auc")
    held = dict.fromkeys(names, 0)
    trials = 50
    for trial in range(trials):
        known, actual = population(2000, -4, 4, random)
        window, truth = population(500, -1.5, 1.5, random)
        estimate = estimate_classifier(known, actual, window, window.argmax(axis=1), 1, draws=60, seed=trial)
        came = realised(window, truth)
        for name in names:
            held[name] += estimate[name].low <= came[name] <= estimate[name].high
    for name, count in held.items():
        assert count / trials >= 0.85, (name, count)


def test_the_estimate_follows_the_shift_where_the_references_performance_does_not() -> None:
    random = np.random.default_rng(4)
    known, actual = population(5000, -4, 4, random)
    before = realised(known, actual)
    off, still = [], []
    for high in (3.0, 2.0, 1.0):
        window, truth = population(5000, -high, high, random)
        estimate = estimate_classifier(known, actual, window, window.argmax(axis=1), 1, draws=20)
        came = realised(window, truth)
        for name in ("accuracy", "f1", "roc_auc"):
            off.append(abs(estimate[name].estimate - came[name]))
            still.append(abs(before[name] - came[name]))
    assert max(off) < 0.03
    assert np.mean(off) < np.mean(still) / 5


def test_the_models_own_probabilities_would_have_promised_too_much() -> None:
    random = np.random.default_rng(5)
    known, actual = population(5000, -4, 4, random)
    window, truth = population(5000, -1.5, 1.5, random)
    estimate = estimate_classifier(known, actual, window, window.argmax(axis=1), 1, draws=20)["accuracy"]
    came = realised(window, truth)["accuracy"]
    promised = window.max(axis=1).mean()
    assert abs(estimate.estimate - came) < 0.03
    assert promised - came > 0.08


@pytest.fixture(scope="module")
def digits() -> tuple[LogisticRegression, Floats, NDArray[np.int64]]:
    """A model of clean pictures, and blurred ones that it has not seen."""
    pixels, digit = load_digits(return_X_y=True)
    random = np.random.default_rng(0)
    order = random.permutation(len(digit))
    pixels, digit = pixels[order] / 16, digit[order].astype(np.int64)
    model = LogisticRegression(C=0.1, max_iter=500).fit(pixels[:400], digit[:400])
    blur = random.normal(size=pixels.shape) * random.uniform(0, 0.6, (len(pixels), 1))
    return model, (pixels + blur)[400:], digit[400:]


def test_windows_of_the_harder_pictures(digits: tuple[LogisticRegression, Floats, NDArray[np.int64]]) -> None:
    model, pixels, digit = digits
    names = ("accuracy", "f1_macro", "recall_macro", "precision_macro", "roc_auc")
    off, still, held = np.empty((12, 5)), np.empty((12, 5)), np.empty((12, 5))
    for split in range(12):
        random = np.random.default_rng(split)
        order = random.permutation(len(digit))
        probabilities, actual = model.predict_proba(pixels[order]), digit[order]
        hard = 700 + np.flatnonzero(random.random(len(digit) - 700) < 1 - probabilities[700:].max(axis=1))
        known, window = probabilities[:700], probabilities[hard]
        estimate = estimate_classifier(known, actual[:700], window, window.argmax(axis=1), draws=60)
        came, before = realised(window, actual[hard]), realised(known, actual[:700])
        off[split] = [estimate[name].estimate - came[name] for name in names]
        still[split] = [before[name] - came[name] for name in names]
        held[split] = [estimate[name].low <= came[name] <= estimate[name].high for name in names]
    assert (np.abs(off.mean(axis=0)) < 0.02).all()
    assert (np.abs(off).mean(axis=0) < np.abs(still).mean(axis=0) / 2).all()
    assert held.mean() > 0.8


def test_noise_that_the_reference_never_had_is_beyond_any_estimate(
    digits: tuple[LogisticRegression, Floats, NDArray[np.int64]],
) -> None:
    model, pixels, digit = digits
    known = model.predict_proba(pixels[:700])
    window = model.predict_proba(pixels[700:] + np.random.default_rng(2).normal(size=pixels[700:].shape))
    estimate = estimate_classifier(known, digit[:700], window, window.argmax(axis=1), draws=20)["accuracy"]
    assert estimate.estimate - realised(window, digit[700:])["accuracy"] > 0.1


def test_the_accuracy_from_a_distribution_of_scores_is_that_from_the_rows() -> None:
    random = np.random.default_rng(6)
    known, actual = population(3000, -4, 4, random)
    window, _ = population(3000, -1, 1, random)
    right = known.argmax(axis=1) == actual
    score, counts = np.unique(np.round(window.max(axis=1), 3), return_counts=True)
    estimate = estimate_accuracy(known.max(axis=1), right, score, counts / 3000, 3000)
    rows = estimate_classifier(known, actual, window, window.argmax(axis=1), 1)["accuracy"]
    assert estimate.estimate == pytest.approx(rows.estimate, abs=0.02)
    assert estimate.high - estimate.low == pytest.approx(rows.high - rows.low, rel=0.35)


def test_more_reference_and_more_rows_narrow_the_interval() -> None:
    random = np.random.default_rng(7)

    def width(reference: int, rows: int) -> float:
        known, actual = population(reference, -4, 4, random)
        window, _ = population(rows, -1, 1, random)
        estimate = estimate_classifier(known, actual, window, window.argmax(axis=1), 1)["accuracy"]
        return estimate.high - estimate.low

    assert width(200, 200) > width(1000, 1000) > width(5000, 5000)


def test_nothing_known_is_nothing_estimated() -> None:
    none, some = np.empty((0, 2)), np.full((3, 2), 0.5)
    codes = np.empty(0, dtype=np.int64)
    assert estimate_classifier(none, codes, some, np.zeros(3, np.int64)) == {}
    assert estimate_classifier(some, np.zeros(3, np.int64), none, codes) == {}
    assert not estimate_accuracy(np.empty(0), np.empty(0, np.bool_), np.ones(1), np.ones(1), 5).defined


# -- regression -----------------------------------------------------------------------------------------------------


def noisy(n: int, random: np.random.Generator, tilt: float) -> tuple[Floats, Floats]:
    """Friedman's surface, whose noise grows with the fourth input; `tilt` makes large inputs likelier."""
    inputs = random.random((n, 5))
    inputs[:, 3] = inputs[:, 3] ** (1 / (1 + tilt))
    surface = 10 * np.sin(np.pi * inputs[:, 0] * inputs[:, 1]) + 20 * (inputs[:, 2] - 0.5) ** 2
    surface += 10 * inputs[:, 3] + 5 * inputs[:, 4]
    return inputs, surface + random.normal(size=n) * (0.3 + 4 * inputs[:, 3] ** 2)


def regression_trial(seed: int, tilt: float) -> tuple[dict[str, Interval], dict[str, float], dict[str, float]]:
    random = np.random.default_rng(seed)
    trained, target = noisy(1000, random, 0)
    model = LinearRegression().fit(trained, target)
    known, actual = noisy(1500, random, 0)
    window, truth = noisy(600, random, tilt)
    estimate = estimate_regression(known, model.predict(known), actual, window, model.predict(window))
    return estimate, _errors(model.predict(window) - truth), _errors(model.predict(known) - actual)


def _errors(error: Floats) -> dict[str, float]:
    return {"mae": float(np.abs(error).mean()), "rmse": float(np.sqrt(np.square(error).mean()))}


def test_the_loss_follows_the_shift() -> None:
    off, still = [], []
    for seed in range(4):
        estimate, came, before = regression_trial(seed, tilt=4)
        for name, metric in estimate.items():
            off.append(abs(metric.estimate / came[name] - 1))
            still.append(abs(before[name] / came[name] - 1))
    assert max(off) < 0.12
    assert np.mean(off) < np.mean(still) / 3


def test_the_loss_interval_holds_the_realised_loss() -> None:
    held = [
        estimate[name].low <= came[name] <= estimate[name].high
        for seed in range(6)
        for estimate, came, _ in [regression_trial(100 + seed, tilt=1)]
        for name in estimate
    ]
    assert np.mean(held) >= 0.8


def test_too_small_a_reference_estimates_nothing() -> None:
    x = np.zeros((99, 1))
    assert estimate_regression(x, x[:, 0], x[:, 0], x, x[:, 0]) == {}


def test_a_model_without_error_is_expected_to_stay_so() -> None:
    x = np.random.default_rng(0).random((300, 2))
    estimate = estimate_regression(x, x[:, 0], x[:, 0], x, x[:, 0])
    assert estimate["mae"].estimate == pytest.approx(0, abs=1e-12)
