"""Profiles read as what models.d and the reference file say: by declared type, and classes as classes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelward_agent.journal.parse import Kind, Record
from modelward_agent.profile import FeatureProfile, Profile
from modelward_agent.profile.fold import Folder
from modelward_agent.profile.profile import ProfileKey
from modelward_agent.profile.reference import write_reference
from modelward_agent.profile.wire import to_document
from modelward_collector.checks.reading import Reading, read_as
from modelward_collector.engine import Loader
from modelward_collector.models import FeatureType, ModelSpec
from modelward_collector.span import Span
from modelward_collector.store.protocol import Alias, Document
from modelward_collector.store.sqlite import SqliteStore


def folded(values: Sequence[Any], predictions: Sequence[Any] | None = None) -> Profile:
    """What an agent folds of rows with one feature `x`."""
    folder = Folder("h", 3600)
    given = predictions if predictions is not None else [1.0] * len(values)
    rows = [
        Record(Kind.PREDICTION, 1e9, {"model": "m", "version": "1", "features": {"x": x}, "prediction": p})
        for x, p in zip(values, given, strict=True)
    ]
    folder.fold(rows)
    [(_, profile)] = folder.take()
    return profile


def spec(kind: str | None = None, **fields: Any) -> ModelSpec:
    features = {} if kind is None else {"x": {"type": kind}}
    return ModelSpec.model_validate({"model": "m", "features": features, **fields})


def counts(feature: FeatureProfile) -> dict[str, int]:
    return {} if feature.categorical is None else dict(feature.categorical.counts())


# -- features ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ([7, 7.0, 8, None], {"7": 2, "8": 1}),
        ([7, "7", "x"], {"7": 2, "x": 1}),
        ([True, False, True, "maybe"], {"true": 2, "false": 1, "maybe": 1}),
        ([1.5, 2.25, 1.5], {"1.5": 2, "2.25": 1}),
        (["NaN", "NaN", "a"], {"NaN": 2, "a": 1}),
        (["Infinity", "-Infinity"], {"Infinity": 1, "-Infinity": 1}),
    ],
)
def test_a_declared_category_is_one_whatever_it_is_sent_as(values: list[Any], named: dict[str, int]) -> None:
    read = Reading.of(spec("categorical")).profile(folded(values)).features["x"]
    assert counts(read) == named
    assert (read.numbers, read.booleans) == (0, 0)
    assert read.rows == len(values)


def test_a_category_of_numbers_is_spelled_as_the_reference_file_spells_it() -> None:
    file = folded(["1.0", "2.0", "true", "red"])
    read = Reading.of(spec(), file).profile(folded([1, 2, 2, 3])).features["x"]
    assert counts(read) == {"true": 1, "2.0": 2, "3": 1} or counts(read) == {"1.0": 1, "2.0": 2, "3": 1}


def test_too_many_numbers_to_tell_one_by_one_stay_numbers() -> None:
    profile = folded(np.random.default_rng(0).normal(size=1000).tolist())
    assert Reading.of(spec("categorical")).profile(profile) is profile


@pytest.mark.parametrize("values", [[1, 0, 1, None], ["true", "false", "True", None], ["1", 0, True, None]])
def test_a_declared_boolean_is_one_whatever_it_is_sent_as(values: list[Any]) -> None:
    read = Reading.of(spec("boolean")).profile(folded(values)).features["x"]
    assert (read.true, read.false, read.missing, read.numbers, read.strings) == (2, 1, 1, 0, 0)


@pytest.mark.parametrize("values", [[1, 0, 2], ["true", "perhaps"], [0.5, 1]])
def test_what_is_no_boolean_stays_what_it_is(values: list[Any]) -> None:
    profile = folded(values)
    assert Reading.of(spec("boolean")).profile(profile) is profile


def test_a_declared_number_is_one_whatever_it_is_sent_as() -> None:
    read = Reading.of(spec("numeric")).profile(folded(["12.5", "7", 3, True, None, "7"])).features["x"]
    assert read.numeric is not None
    assert read.numeric.values == {1.0: 1, 3.0: 1, 7.0: 2, 12.5: 1}
    assert (read.strings, read.booleans, read.missing) == (0, 0, 1)
    words = folded(["12.5", "seven"])
    assert Reading.of(spec("numeric")).profile(words) is words


def test_what_is_as_it_should_be_is_not_touched() -> None:
    for kind, values in (("numeric", [1.0, 2.5]), ("categorical", ["a", "b"]), ("boolean", [True, None])):
        profile = folded(values)
        assert Reading.of(spec(kind)).profile(profile) is profile


@given(
    st.lists(
        st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.sampled_from(["a", "1", "NaN", "true", "2.50"])),
        min_size=1,
        max_size=30,
    ),
    st.sampled_from(list(FeatureType)),
)
def test_reading_loses_no_row_and_is_done_once(values: list[Any], kind: FeatureType) -> None:
    feature = folded(values).features["x"]
    before = (feature.rows, feature.missing, feature.strings, feature.numbers, feature.booleans)
    read = read_as(feature, kind, words=True)
    assert (read.rows, read.missing) == before[:2]
    assert read_as(read, kind, words=True) is read
    assert (feature.rows, feature.missing, feature.strings, feature.numbers, feature.booleans) == before


# -- answers ----------------------------------------------------------------------------------------------------------

FORMS: dict[str, list[Any]] = {
    "texts": ["1", "0", "1"],
    "texts of floats": ["1.0", "0.0", "1.0"],
    "numbers": [1, 0, 1.0],
    "booleans as the Recorder writes them": ["true", "false", "true"],
    "booleans of another writer": [True, False, True],
    "probabilities": [{"0": 0.2, "1": 0.8}, {"0": 0.6, "1": 0.4}, {"0": 0.1, "1": 0.9}],
    "probabilities of float classes": [{"0.0": 0.2, "1.0": 0.8}, {"0.0": 0.6, "1.0": 0.4}, {"0.0": 0.1, "1.0": 0.9}],
}


@pytest.mark.parametrize("traffic", FORMS)
@pytest.mark.parametrize("file", FORMS)
def test_answers_of_one_class_are_the_same_in_a_file_and_in_traffic(file: str, traffic: str) -> None:
    known = folded([1.0] * 3, FORMS[file])
    reading = Reading.of(spec(), known)
    expected = counts(reading.profile(known).outputs["prediction"])
    assert sorted(expected.values()) == [1, 2]
    assert counts(reading.profile(folded([1.0] * 3, FORMS[traffic])).outputs["prediction"]) == expected


def test_the_models_file_spells_its_classes() -> None:
    reading = Reading.of(spec(output={"classes": ["no", "Yes "], "labels": "loose"}))
    assert counts(reading.profile(folded([1] * 4, ["NO", "no", "yes", " YES"])).outputs["prediction"]) == {
        "no": 2,
        "Yes ": 2,
    }


def test_scores_are_no_classes() -> None:
    profile = folded([1] * 3, [0.25, 0.5, 1.0])
    assert Reading.of(spec(task="classification")).profile(profile) is profile


def test_a_regressions_answers_are_numbers() -> None:
    profile = folded([1] * 3, [0, 1, 1])
    assert Reading.of(spec(task="regression"), profile).profile(profile) is profile
    assert Reading.of(spec(), folded([1] * 3, [0.0, 2.5, 1.0])).profile(profile) is profile


def test_a_changed_list_of_values_counts_at_once(tmp_path: Path) -> None:
    path = tmp_path / "m.profile.jsonl"
    write_reference(path, [to_document(ProfileKey("reference", "m", "", (), 0, 86_400), folded(["a"]), part="1")])
    store = SqliteStore(tmp_path / "store.db")
    store.setup()
    loader = Loader(store)
    span = Span(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC))
    at = to_document(ProfileKey("h", "m", "1", (), int(span.start.timestamp()), 60), folded([1, 1, 2]), part="2")
    store.create([Document(Alias.PROFILES, "p", at)])
    for values, named in ((["1", "2"], {"1": 2, "2": 1}), (["1.0", "2.0"], {"1.0": 2, "2.0": 1})):
        features = {"x": {"type": "categorical", "values": values}}
        asked = ModelSpec.model_validate({"model": "m", "features": features, "reference": {"path": str(path)}})
        assert counts(loader.window(asked, span).profile("1").features["x"]) == named
    store.close()
