"""What one value means: moments, numerals, classes, and numbers that are few enough to be told one by one."""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelward_agent.profile import Profile, from_bytes
from modelward_agent.profile.arrow import text_as_times
from modelward_agent.profile.exact import MAX_VALUES
from modelward_agent.profile.feature import FeatureProfile
from modelward_agent.profile.numeric import NumericSketch
from modelward_agent.profile.wire import to_bytes
from modelward_agent.values import class_of, moment_of, number_in_text, number_name, number_of

FIRST = 1_356_998_400  # 2013-01-01


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2013-01-01", FIRST),
        ("2013-01-01T00:00", FIRST),
        ("2013-01-01 00:00:01Z", FIRST + 1),
        ("2013-01-01T00:00:01.25", FIRST + 1.25),
        ("2013-01-01T00:00:01,25Z", FIRST + 1.25),
        ("2013-01-01T00:00:01.123456789Z", FIRST + 1.123456),
        ("2013-01-01T02:00:00+02:00", FIRST),
        ("2013-01-01T02:00:00+0200", FIRST),
        ("2013-01-01T02:00:00+02", FIRST),
        ("2013-01-01 02:00:00 +02:00", FIRST),
        ("2013-01-01 00:00:00 UTC", FIRST),
        ("1912-06-23", -1815350400),
    ],
)
def test_a_whole_iso_8601_text_is_a_moment(text: str, seconds: float) -> None:
    assert moment_of(text) == seconds
    assert number_in_text(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "2013", "2013-01", "2013-13-01", "2013-02-30", "2013-01-01T25:00", "2013-01-01x", "on 2013-01-01", "20130101",
     "2013-01-01T", "2013-01-01T00:00:00+99:99", "٢٠١٣-٠١-٠١", "2013-01-01\n", "0000-01-01"],
)  # fmt: skip
def test_any_other_text_is_no_moment(text: str) -> None:
    assert moment_of(text) is None


@given(st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1)), st.sampled_from(["T", " "]))  # noqa: DTZ001
def test_a_file_and_a_line_read_the_same_moment(at: dt.datetime, separator: str) -> None:
    text = at.isoformat(separator)
    [read] = text_as_times(pa.array([text])).cast(pa.int64()).to_pylist()
    assert moment_of(text) == pytest.approx(read / 1e6, abs=1e-6)


@given(st.text(max_size=40))
def test_no_text_raises(text: str) -> None:
    moment_of(text), number_of(text), class_of(text), class_of(text, loose=True)


@pytest.mark.parametrize("text", ["1", "1.0", "1.", "+1", "01.0e0"[1:], " 1 ", "true", "True", "TRUE", "1e0"])
def test_one_is_one_class_however_it_is_written(text: str) -> None:
    assert class_of(text) == "1"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("false", "0"),
        ("-0", "0"),
        ("-0.0", "0"),
        ("2.50", "2.5"),
        ("007", "007"),
        ("1_000", "1_000"),
        ("0x1", "0x1"),
        ("NaN", "NaN"),
        ("nan", "nan"),
        ("Cat", "Cat"),
        (" Cat", " Cat"),
        ("9007199254740993", "9007199254740993"),
        ("12345678901234567890", "12345678901234567890"),
    ],
)
def test_other_classes_keep_their_names(text: str, key: str) -> None:
    assert class_of(text) == key


def test_case_and_blanks_are_no_matter_where_the_model_says_so() -> None:
    assert {class_of(text, loose=True) for text in ("Great  Dane", "great dane", " GREAT DANE ")} == {"great dane"}
    assert class_of("TRUE ", loose=True) == class_of("1")


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_and_its_text_are_one_class(value: float) -> None:
    assert class_of(repr(value)) == class_of(number_name(value))


@given(st.lists(st.lists(st.integers(-300, 300).map(lambda n: n / 7 if n % 2 else float(n)), max_size=40), max_size=8))
def test_few_numbers_are_counted_exactly_through_merges_and_the_wire(parts: list[list[float]]) -> None:
    counts = Counter(value for part in parts for value in part)
    total = Profile()
    for part in parts:
        profile = Profile()
        feature = profile.features["x"] = FeatureProfile()
        feature.update_numbers(np.array(part))
        profile.rows = len(part)
        read = from_bytes(to_bytes(profile)) if len(set(part)) <= 16 else profile
        total.merge(read)
    numeric = total.features["x"].numeric if parts else None
    if numeric is not None:
        assert numeric.values == (dict(sorted(counts.items())) if len(counts) <= MAX_VALUES else None)


def test_many_numbers_are_not_told_one_by_one() -> None:
    sketch = NumericSketch()
    sketch.update(np.arange(MAX_VALUES, dtype=np.float64))
    assert sketch.values is not None
    sketch.update(np.array([math.pi]))
    assert sketch.values is None
    other = NumericSketch()
    other.update(np.ones(3))
    other.merge(sketch)
    assert other.values is None
    assert other.n == MAX_VALUES + 4


def test_a_profile_of_an_older_agent_tells_no_numbers_one_by_one() -> None:
    profile = Profile()
    feature = profile.features["x"] = FeatureProfile()
    feature.update_numbers(np.array([1.0, 2.0]))
    known = to_bytes(profile)
    numeric = from_bytes(known).features["x"].numeric
    assert numeric is not None
    assert numeric.values == {1.0: 1, 2.0: 1}
    assert feature.numeric is not None
    feature.numeric.exact.forget()
    numeric = from_bytes(to_bytes(profile)).features["x"].numeric
    assert numeric is not None
    assert numeric.values is None
