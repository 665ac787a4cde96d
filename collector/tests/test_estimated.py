"""Performance without labels: from rows of the reference, through the check and the engine, to the series."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from collector.tests.store_documents import actual, part, prediction
from modelward_agent.profile import FeatureProfile, NumericSketch, Profile
from modelward_agent.profile.profile import ProfileKey
from modelward_agent.profile.reference import write_reference
from modelward_agent.profile.sample import sample_path
from modelward_agent.profile.wire import to_document
from modelward_collector.checks.estimated import Estimates, learn
from modelward_collector.checks.inputs import Inputs
from modelward_collector.checks.performance import check_performance
from modelward_collector.checks.result import CheckKind, CheckResult, Finding, Status
from modelward_collector.engine import Loader, Task
from modelward_collector.estimating import Estimating
from modelward_collector.metrics import series_of
from modelward_collector.models import ModelSpec
from modelward_collector.span import Span
from modelward_collector.stats.intervals import Interval
from modelward_collector.store.protocol import Document, Labelled, Sampled, Store
from modelward_collector.store.sqlite import SqliteStore

START = datetime(2026, 3, 2, tzinfo=UTC)
DAY = timedelta(days=1)
WEEK = Span(START, START + 7 * DAY)


def rows(
    n: int, random: np.random.Generator, *, storm: float = 0.2, offset: float = 0.0
) -> tuple[list[dict[str, Any]], np.ndarray, np.ndarray]:
    """Features, predictions, actuals: in a storm, of that share, the model errs three times as much."""
    stormy = random.random(n) < storm
    distance = random.uniform(0, 10, n)
    error = random.normal(0, np.where(stormy, 9.0, 3.0))
    features = [
        {"distance": float(d), "weather": "storm" if s else "calm"} for d, s in zip(distance, stormy, strict=True)
    ]
    return features, 5 * distance, 5 * distance + error + offset


def sampled(features: list[dict[str, Any]], predicted: np.ndarray, came: np.ndarray | None, **changes: Any) -> Sampled:
    n = len(features)
    nothing = np.full(n, np.nan)
    known = Labelled(
        timestamp=START.timestamp() + np.arange(n, dtype=np.float64),
        version=["1"] * n,
        segment=[{}] * n,
        predicted_value=predicted,
        predicted_label=[""] * n,
        probabilities=[None] * n,
        labelled=np.full(n, came is not None),
        actual_value=nothing if came is None else came,
        actual_label=[""] * n,
        total=n,
        total_labelled=0 if came is None else n,
    )
    return Sampled(replace(known, **changes), list(features))


def spec(**changes: Any) -> ModelSpec:
    return ModelSpec.model_validate({"model": "delay", "task": "regression", **changes})


def everything(rows_of: Sampled) -> np.ndarray:
    return np.arange(len(rows_of.features))


# -- learning and estimating ----------------------------------------------------------------------------------------


def test_more_storms_are_a_larger_error_before_any_label_is_in() -> None:
    random = np.random.default_rng(0)
    estimator = learn(spec(), sampled(*rows(4_000, random)))
    assert estimator is not None
    features, predicted, came = rows(4_000, random, storm=0.8)
    window = sampled(features, predicted, None)
    estimate = estimator.estimate(window, everything(window))["mae"]
    truth = float(np.abs(predicted - came).mean())
    assert estimate.low <= truth <= estimate.high
    assert estimate.estimate == pytest.approx(truth, rel=0.08)
    assert estimator.realised["mae"].estimate < 0.7 * truth


def test_a_reference_with_too_few_labels_estimates_nothing() -> None:
    random = np.random.default_rng(1)
    assert learn(spec(), sampled(*rows(99, random))) is None
    features, predicted, _ = rows(2_000, random)
    assert learn(spec(), sampled(features, predicted, None)) is None


def classified(n: int, random: np.random.Generator, low: float, high: float) -> tuple[Sampled, np.ndarray]:
    """An overconfident classifier: it says more than the truth is, which `x` tells."""
    x = random.uniform(low, high, n)
    late = random.random(n) < 1 / (1 + np.exp(-x))
    stated = 1 / (1 + np.exp(-2.5 * x))
    made = sampled([{"x": float(value)} for value in x], np.full(n, np.nan), np.full(n, np.nan))
    labels = replace(
        made.labelled,
        probabilities=[{"no": 1 - float(p), "yes": float(p)} for p in stated],
        actual_label=["yes" if one else "no" for one in late],
    )
    return Sampled(labels, made.features), late


def test_a_classifiers_metrics_follow_the_window() -> None:
    random = np.random.default_rng(2)
    reference, _ = classified(5_000, random, -4, 4)
    classifier = spec(task="classification")
    estimator = learn(classifier, reference)
    assert estimator is not None
    window, late = classified(3_000, random, -1.5, 1.5)
    estimate = estimator.estimate(window, everything(window))
    assert {"accuracy", "precision", "recall", "f1", "roc_auc"} <= estimate.keys()
    right = np.array([p["yes"] > 0.5 for p in window.labelled.probabilities if p]) == late
    assert estimate["accuracy"].low <= right.mean() <= estimate["accuracy"].high
    assert estimate["accuracy"].estimate < estimator.realised["accuracy"].estimate - 0.05
    gap = estimator.gap(window, everything(window))
    assert gap is not None
    assert gap.low <= 0 <= gap.high


def test_a_calibration_that_no_longer_holds_is_told() -> None:
    random = np.random.default_rng(3)
    reference, _ = classified(5_000, random, -4, 4)
    estimator = learn(spec(task="classification"), reference)
    assert estimator is not None
    window, _ = classified(3_000, random, -4, 4)
    labels = ["yes" if random.random() < 0.8 else label for label in window.labelled.actual_label]
    gap = estimator.gap(Sampled(replace(window.labelled, actual_label=labels), window.features), everything(window))
    assert gap is not None
    assert gap.low > 0.2


def test_accuracy_is_estimated_from_the_profile_where_no_rows_are_kept() -> None:
    random = np.random.default_rng(4)
    reference, _ = classified(5_000, random, -4, 4)
    estimator = learn(spec(task="classification"), reference)
    assert estimator is not None
    window, late = classified(3_000, random, -1.5, 1.5)
    top = np.array([max(p.values()) for p in window.labelled.probabilities if p])
    profile = Profile()
    sketch = NumericSketch()
    sketch.update(top)
    profile.outputs["score"] = FeatureProfile()
    profile.outputs["score"].numeric = sketch
    accuracy = estimator.from_scores(profile)["accuracy"]
    right = np.array([p["yes"] > 0.5 for p in window.labelled.probabilities if p]) == late
    assert accuracy.low <= right.mean() <= accuracy.high
    assert estimator.from_scores(Profile()) == {}


def test_features_become_columns_and_what_is_unknown_is_missing() -> None:
    known = Inputs.of([{"a": 1, "b": "x"}, {"a": "NaN", "b": "y"}, {"a": True, "b": "x", "c": None}], {"b": 1.0})
    assert known.names == ("b", "a", "c")
    columns = known.matrix([{"a": 2.5, "b": "x"}, {"a": "Infinity", "b": "new"}, {"b": "y", "z": 1}])
    np.testing.assert_array_equal(columns, [[0, 2.5, np.nan], [np.nan, np.nan, np.nan], [1, np.nan, np.nan]])
    assert known.matrix([]).shape == (0, 3)


# -- what the check says --------------------------------------------------------------------------------------------


def judged(offset: float, storm: float, **performance: Any) -> CheckResult:
    """A week whose labels are in; the reference had 20% storms and no offset."""
    random = np.random.default_rng(5)
    model = spec(checks={"performance": performance})
    estimator = learn(model, sampled(*rows(4_000, random)))
    assert estimator is not None
    window = sampled(*rows(4_000, random, storm=storm, offset=offset))
    estimate = estimator.estimate(window, everything(window))
    estimates = Estimates(
        span=Span(WEEK.start + DAY, WEEK.end + DAY),
        newest=estimate,
        judged=estimate,
        realised=estimator.realised,
        wander=estimator.wander,
        rows=estimator.rows,
    )
    return check_performance(model, "1", WEEK, window.labelled, None, estimates)


def one(result: CheckResult, test: str, subject: str = "mae") -> Finding:
    (found,) = [finding for finding in result.findings if (finding.test, finding.subject) == (test, subject)]
    return found


def test_unchanged_traffic_is_as_good_as_the_reference() -> None:
    result = judged(0.0, 0.2)
    assert result.status is Status.OK
    assert one(result, "reference").status is one(result, "concept_drift").status is Status.OK


def test_a_loss_that_the_inputs_explain_is_data_drift() -> None:
    result = judged(0.0, 0.8)
    assert one(result, "reference").status is Status.WARNING
    concept = one(result, "concept_drift")
    assert concept.status is Status.OK
    assert concept.detail["data_drift"] > 5 * abs(concept.detail["concept_drift"])


def test_a_loss_that_the_inputs_do_not_explain_is_concept_drift() -> None:
    result = judged(6.0, 0.2)
    concept = one(result, "concept_drift")
    assert (result.status, concept.status) == (Status.WARNING, Status.WARNING)
    assert "concept drift" in concept.message
    assert concept.detail["concept_drift"] > 5 * abs(concept.detail["data_drift"])


def test_an_estimate_beyond_the_threshold_warns_and_never_more() -> None:
    result = judged(0.0, 0.8, thresholds={"mae": {"max": 1000}, "rmse": {"max": 3}})
    assert one(result, "estimated").status is Status.OK
    assert one(result, "estimated", "rmse").status is Status.WARNING
    assert "the threshold is 3" in one(result, "estimated", "rmse").message


def test_without_labels_the_result_still_has_the_estimate() -> None:
    random = np.random.default_rng(6)
    model = spec(checks={"performance": {"thresholds": {"mae": {"max": 3}}}})
    features, predicted, _ = rows(500, random)
    window = sampled(features, predicted, None)
    mae = Interval(4.0, 3.5, 4.5)
    estimates = Estimates(WEEK, {"mae": mae}, {}, {"mae": mae}, {}, 1_000)
    result = check_performance(model, "1", WEEK, window.labelled, None, estimates)
    assert result.status is Status.WARNING
    assert "mae is estimated at 4 (3.5 to 4.5)" in result.summary
    assert (result.numbers["estimated.mae"], result.numbers["estimated.mae.high"]) == (4.0, 4.5)
    fine = replace(estimates, newest={"mae": Interval(2.0, 1.5, 2.5)})
    assert check_performance(model, "1", WEEK, window.labelled, None, fine).status is Status.NO_DATA
    exported = [(name, labels["metric"], value) for name, labels, value in series_of(result, 50) if "metric" in labels]
    assert exported == [
        ("modelward_performance_estimated", "mae", 4.0),
        ("modelward_performance_estimated_interval", "mae", 3.5),
        ("modelward_performance_estimated_interval", "mae", 4.5),
    ]


def test_labels_of_the_same_window_decide_and_not_the_estimate() -> None:
    random = np.random.default_rng(7)
    model = spec(checks={"performance": {"thresholds": {"mae": {"max": 5}}}})
    window = sampled(*rows(1_000, random))
    mae = Interval(9.0, 8.0, 10.0)
    estimates = Estimates(WEEK, {"mae": mae}, {}, {}, {}, 1_000)
    result = check_performance(model, "1", WEEK, window.labelled, None, estimates)
    assert (result.status, one(result, "estimated").status) == (Status.OK, Status.OK)


def test_past_errors_are_averaged_with_the_newest() -> None:
    random = np.random.default_rng(8)
    window = sampled(*rows(1_000, random))
    mae = Interval(4.0, 3.0, 5.0)
    realised = float(np.abs(window.labelled.predicted_value - window.labelled.actual_value).mean())
    estimates = Estimates(
        WEEK, {"mae": mae}, {}, {}, {}, 1_000, earlier={"mae": realised + 1.0}, errors={"mae": [2.0, 3.0]}
    )
    result = check_performance(spec(), "1", WEEK, window.labelled, None, estimates)
    assert result.numbers["estimated.mae.error"] == pytest.approx(1.0)
    assert result.numbers["estimated.mae.past_error"] == pytest.approx(2.0)
    assert "off by 2" in one(result, "estimated").message
    exported = {name: value for name, _, value in series_of(result, 50)}
    assert exported["modelward_performance_estimate_error"] == pytest.approx(2.0)


# -- through a store ------------------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "modelward.db")
    opened.setup()
    yield opened
    opened.close()


def serve(store: Store, day: int, random: np.random.Generator, *, labels: bool = True, **world: float) -> None:
    """300 predictions of one day, with their labels."""
    features, predicted, came = rows(300, random, **world)
    documents: list[Document] = []
    at = START + day * DAY
    for number, (asked, said, truth) in enumerate(zip(features, predicted, came, strict=True)):
        name = f"{day}-{number}"
        made = prediction(name, at + number * timedelta(minutes=4), float(said))
        documents.append(replace(made, source={**made.source, "features": asked}))
        if labels:
            documents.append(actual(name, at + DAY, float(truth)))
    store.create([*documents, part(f"part-{day}", at, [1.0] * 300, seconds=86_400)])


def run(store: SqliteStore, model: ModelSpec, judged_end: datetime) -> CheckResult:
    window = model.checks.performance.window
    task = Task(model, CheckKind.PERFORMANCE, Span(judged_end - window, judged_end), judged_end, False)
    (result,) = Loader(store).run(task)
    store.save_result(result)
    return result


ROLLING = {
    "reference": {"kind": "rolling", "window": "10d"},
    "checks": {"performance": {"every": "1d", "window": "2d", "label_delay": "2d"}},
}


def test_the_newest_window_is_estimated_and_later_held_against_its_labels(store: SqliteStore) -> None:
    random = np.random.default_rng(9)
    model = spec(**ROLLING)
    for day in range(10):
        serve(store, day, random)
    serve(store, 10, random, storm=0.8)
    serve(store, 11, random, storm=0.8)
    early = run(store, model, START + 10 * DAY)
    assert early.status is Status.OK
    estimate = early.numbers["estimated.mae"]
    assert estimate > 1.5 * early.numbers["mae"], "the storms of the days after are seen before their labels"
    assert "estimated.mae.error" not in early.numbers
    late = run(store, model, START + 12 * DAY)
    assert late.numbers["mae"] > 1.5 * early.numbers["mae"]
    assert late.numbers.get("estimated.mae") is None, "no traffic came after"
    assert abs(estimate - late.numbers["mae"]) < 0.15 * late.numbers["mae"]
    assert one(late, "concept_drift").status is Status.OK
    serve(store, 12, random)
    serve(store, 13, random)
    with_newest = run(store, model, START + 12 * DAY)
    error = with_newest.numbers["estimated.mae.error"]
    assert error == pytest.approx(abs(estimate - with_newest.numbers["mae"]))
    assert with_newest.numbers["estimated.mae.past_error"] == pytest.approx(error)


def test_a_reference_file_has_its_labelled_sample_beside_it(store: SqliteStore, tmp_path: Path) -> None:
    random = np.random.default_rng(10)
    file = tmp_path / "delay.profile.jsonl"
    write_reference(file, [to_document(ProfileKey("reference", "delay", "", (), 0, 86_400), Profile(), part="1")])
    features, predicted, came = rows(3_000, random)
    lines = [
        orjson.dumps({"features": asked, "prediction": said, "actual": truth})
        for asked, said, truth in zip(features, predicted.tolist(), came.tolist(), strict=True)
    ]
    model = spec(reference={"kind": "file", "path": str(file)})
    serve(store, 0, random, labels=False, storm=0.8)
    day = Span(START, START + DAY)
    assert Estimating(store).estimates(model, "1", day) is None, "no sample"
    sample_path(file).write_bytes(b"\n".join(lines))
    estimating = Estimating(store)
    found = estimating.estimates(model, "1", day)
    assert found is not None
    assert found.newest["mae"].low > found.realised["mae"].high
    assert found.judged == {}
    assert estimating.young_versions(model, day, []) == ["1"]
    assert estimating.young_versions(model, day, ["1"]) == []


def test_a_damaged_sample_costs_the_estimate_and_not_the_check(
    store: SqliteStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    random = np.random.default_rng(11)
    file = tmp_path / "delay.profile.jsonl"
    write_reference(file, [to_document(ProfileKey("reference", "delay", "", (), 0, 86_400), Profile(), part="1")])
    sample_path(file).write_text("{")
    serve(store, 0, random)
    model = spec(reference={"kind": "file", "path": str(file)}, checks={"performance": {"window": "1d"}})
    result = run(store, model, START + DAY)
    assert result.status is Status.OK
    assert not any(name.startswith("estimated") for name in result.numbers)
    assert "delay.profile.sample.jsonl: line 1" in caplog.text
