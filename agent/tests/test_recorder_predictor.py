"""Real scikit-learn models, watched."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris, make_regression
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from agent.tests.recorded import recorded
from modelward_agent import Recorder
from modelward_agent.recorder.predictor import watch


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder("iris", "1", journal=tmp_path)


@pytest.fixture(scope="module")
def iris() -> Any:
    return load_iris(as_frame=True)


@pytest.fixture(scope="module")
def classifier(iris: Any) -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(iris.data, iris.target_names[iris.target])


def test_a_watched_classifier_answers_as_itself_and_is_recorded(
    recorder: Recorder, tmp_path: Path, iris: Any, classifier: Any
) -> None:
    model = watch(classifier, recorder)
    answer = model.predict(iris.data[:5])
    assert (answer == classifier.predict(iris.data[:5])).all()
    lines = recorded(tmp_path)
    assert [line["prediction"] for line in lines] == list(answer)
    assert [line["features"] for line in lines] == iris.data[:5].to_dict("records")
    assert [line["id"] for line in lines] == model.last_ids
    assert all(line["latency_ms"] > 0 for line in lines)


def test_probabilities_are_recorded_by_class(recorder: Recorder, tmp_path: Path, iris: Any, classifier: Any) -> None:
    answer = watch(classifier, recorder).predict_proba(iris.data[:2])
    lines = recorded(tmp_path)
    assert [list(line["prediction"].values()) for line in lines] == answer.tolist()
    assert list(lines[0]["prediction"]) == ["setosa", "versicolor", "virginica"]


def test_an_array_takes_its_names_from_caller_model_or_position(recorder: Recorder, tmp_path: Path) -> None:
    rows, target = make_regression(n_samples=20, n_features=2, random_state=0)
    model = LinearRegression().fit(rows, target)
    watch(model, recorder, ["a", "b"]).predict(rows[:1])
    watch(model, recorder).predict(rows[:1].tolist())
    named = LinearRegression().fit(pd.DataFrame(rows, columns=["c", "d"]), target)
    with pytest.warns(UserWarning, match="feature names"):
        watch(named, recorder).predict(rows[:1])
    names = [list(line["features"]) for line in recorded(tmp_path)]
    assert names == [["a", "b"], ["x0", "x1"], ["c", "d"]]


def test_a_column_of_predictions_is_one_prediction_a_row(recorder: Recorder, tmp_path: Path) -> None:
    rows, target = make_regression(n_samples=20, n_features=2, random_state=0)
    model = watch(LinearRegression().fit(rows, target.reshape(-1, 1)), recorder)
    answer = model.predict(rows[:3])
    assert answer.shape == (3, 1)
    assert [line["prediction"] for line in recorded(tmp_path)] == answer[:, 0].tolist()


def test_other_attributes_are_the_models_own(recorder: Recorder, iris: Any, classifier: Any) -> None:
    model = watch(classifier, recorder)
    assert list(model.classes_) == list(classifier.classes_)
    assert model.score(iris.data, iris.target_names[iris.target]) > 0.9
    assert not hasattr(model, "no_such_thing")
    assert not hasattr(watch(LinearRegression(), recorder), "predict_proba")
    assert repr(model).startswith("watch(Pipeline(")


def test_a_watched_model_can_be_pickled(recorder: Recorder, tmp_path: Path, iris: Any, classifier: Any) -> None:
    again = pickle.loads(pickle.dumps(watch(classifier, recorder)))
    again.predict(iris.data[:1])
    assert len(recorded(tmp_path)) == 1


def test_an_exception_of_the_model_is_recorded_and_goes_on(
    recorder: Recorder, tmp_path: Path, iris: Any, classifier: Any
) -> None:
    broken = pd.DataFrame(np.full((1, 4), np.nan), columns=iris.data.columns)
    with pytest.raises(ValueError, match="NaN"):
        watch(classifier, recorder).predict(broken)
    (line,) = recorded(tmp_path)
    assert (line["kind"], line["error.type"]) == ("error", "ValueError")


def test_rows_that_cannot_be_recorded_do_not_disturb_the_model(recorder: Recorder) -> None:
    class Echo:
        def predict(self, rows: Any) -> Any:
            return rows

    model = watch(Echo(), recorder)
    assert model.predict(3) == 3
    assert model.predict(np.zeros((2, 2, 2))).shape == (2, 2, 2)
    assert model.last_ids == []
    assert recorder.stats.written == 0
    assert recorder.stats.failed > 0
