"""Real scikit-learn models, watched."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse
from sklearn.datasets import load_iris, make_regression
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import TfidfVectorizer
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


def test_classes_of_any_type_are_named_as_labels_are(recorder: Recorder, tmp_path: Path) -> None:
    rows = pd.DataFrame({"x": [0.0, 1.0, 2.0, 3.0]})
    for target, names in (
        (np.array([0.0, 0.0, 1.0, 1.0]), ["0", "1"]),
        (np.array([False, False, True, True]), ["false", "true"]),
        (np.array(["no", "no", "yes", "yes"]), ["no", "yes"]),
        (np.array([3, 3, 7, 7]), ["3", "7"]),
    ):
        model = watch(LogisticRegression().fit(rows, target), recorder)
        model.predict_proba(rows[:1])
        model.predict(rows[:1])
        probabilities, label = (line["prediction"] for line in recorded(tmp_path)[-2:])
        assert list(probabilities) == names
        assert label in (names[0], target[0])


def test_several_outputs_are_refused_in_words(recorder: Recorder, caplog: pytest.LogCaptureFixture) -> None:
    rows = pd.DataFrame({"x": [0.0, 1.0, 2.0, 3.0]})
    target = np.array([[0, 1], [0, 1], [1, 0], [1, 0]])
    model = watch(RandomForestClassifier(2).fit(rows, target), recorder)
    assert len(model.predict_proba(rows)) == 2
    assert model.last_ids == []
    assert "classes: there are those of several outputs; record each output as a model of its own" in caplog.text
    model.predict(rows)
    assert "predictions: 2 values a row that nothing names" in caplog.text
    assert (recorder.stats.written, recorder.stats.failed) == (0, 8)


def test_a_model_of_texts_has_one_feature(recorder: Recorder, tmp_path: Path) -> None:
    texts = ["good film", "bad film", "good", "bad"]
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, [1, 0, 1, 0])
    watch(model, recorder).predict(texts[:2])
    watch(model, recorder, ["review"]).predict_proba(np.array(texts[:2]))
    watch(model, recorder).predict(pd.Series(texts[:2], name="text"))
    found = [line["features"] for line in recorded(tmp_path)]
    assert found[::2] == [{"x0": "good film"}, {"review": "good film"}, {"text": "good film"}]


def test_a_model_of_dicts_has_their_names(recorder: Recorder, tmp_path: Path) -> None:
    rows = [{"city": "Oslo", "n": 1.0}, {"city": "Rome", "n": 2.0}]
    model = watch(make_pipeline(DictVectorizer(), LogisticRegression()).fit(rows, [0, 1]), recorder)
    model.predict(rows)
    assert [line["features"] for line in recorded(tmp_path)] == rows


def test_a_sparse_matrix_and_a_polars_frame_are_recorded(recorder: Recorder, tmp_path: Path) -> None:
    rows = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 0.0]])
    model = watch(LogisticRegression().fit(rows, [0, 1, 1]), recorder)
    model.predict(sparse.csr_array(rows[:2]))
    model.predict_proba(pl.DataFrame(rows[:2], schema=["a", "b"]))
    found = [line["features"] for line in recorded(tmp_path)]
    assert found == [{"x0": 0.0, "x1": 1.0}, {"x0": 1.0, "x1": 0.0}, {"a": 0.0, "b": 1.0}, {"a": 1.0, "b": 0.0}]


def test_an_answer_may_be_a_table(recorder: Recorder, tmp_path: Path) -> None:
    class Tabular:
        classes_: ClassVar = ["cat", "dog"]

        def predict(self, rows: Any) -> Any:
            return pl.DataFrame({"price": rows["x"] * 2})

        def predict_proba(self, rows: Any) -> Any:
            return pd.DataFrame({"p0": 1 - rows["x"], "p1": rows["x"]})

    rows = pd.DataFrame({"x": [0.25, 0.5]}, index=[8, 9])
    model = watch(Tabular(), recorder)
    model.predict(rows)
    model.predict_proba(rows)
    assert [line["prediction"] for line in recorded(tmp_path)] == [
        0.5,
        1.0,
        {"cat": 0.75, "dog": 0.25},
        {"cat": 0.5, "dog": 0.5},
    ]


def test_rows_without_a_shape_of_their_own_are_counted(recorder: Recorder, caplog: pytest.LogCaptureFixture) -> None:
    class Matrix:
        pass

    class Booster:
        def predict(self, rows: Any) -> Any:
            return np.zeros(3)

    watch(Booster(), recorder).predict(Matrix())
    assert "features: a Matrix has no rows" in caplog.text
    assert (recorder.stats.written, recorder.stats.failed) == (0, 3)
