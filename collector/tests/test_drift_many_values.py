"""What the drift check says of a feature of many different strings."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from numpy.typing import NDArray

from modelward_agent.profile import FeatureProfile, Profile, merged
from modelward_collector.checks.drift import check_drift
from modelward_collector.checks.result import Finding, Status
from modelward_collector.checks.window import ReferenceProfile, Window
from modelward_collector.models import ModelSpec
from modelward_collector.span import Span

START, DAY = datetime(2026, 3, 2, tzinfo=UTC), timedelta(days=1)
SPEC = ModelSpec.model_validate({"model": "m"})
ROWS = 10_000


def profile(ids: NDArray[np.int64]) -> Profile:
    feature = FeatureProfile()
    names, counts = np.unique(ids, return_counts=True)
    feature.update_counts({f"u{name}": count for name, count in zip(names.tolist(), counts.tolist(), strict=True)})
    made = Profile()
    made.rows, made.features = len(ids), {"user_id": feature}
    return made


def finding(days: list[Profile], now: Profile) -> Finding:
    spans = [Span(START + index * DAY, START + (index + 1) * DAY) for index in range(len(days))]
    reference = ReferenceProfile("r", merged(days), tuple(zip(spans, days, strict=True)))
    end = START + 70 * DAY
    return check_drift(SPEC, "v1", reference, Window("m", Span(end - DAY, end), {("v1", ()): now})).findings[0]


@pytest.mark.parametrize(
    ("low", "high", "decided", "words"),
    [
        (10**6, 10**6 + 5_000, "new_values", "of values were never seen in the reference ("),
        (2_500, 7_500, "new_values", "of values were never seen in the reference (0% in its own windows)"),
        (0, 500, "distinct", "user_id has fewer different values: 4,"),
    ],
)
def test_other_values_and_fewer_are_findings_and_said(low: int, high: int, decided: str, words: str) -> None:
    draw = np.random.default_rng(3)
    one = finding([profile(draw.integers(0, 5_000, ROWS)) for _ in range(14)], profile(draw.integers(low, high, ROWS)))
    assert one.status is not Status.OK
    assert one.detail["decided_by"] == decided
    assert words in one.message


def test_more_different_values_are_a_finding() -> None:
    draw = np.random.default_rng(4)
    one = finding([profile(draw.integers(0, 5_000, ROWS)) for _ in range(14)], profile(draw.integers(0, 250_000, ROWS)))
    assert one.status is not Status.OK
    assert set(one.detail["tests"]) >= {"new_values", "distinct", "hashed"}


def test_values_that_are_new_every_day_are_normal() -> None:
    days = [profile(np.arange(ROWS) + day * ROWS) for day in range(14)]
    assert finding(days, profile(np.arange(ROWS) + 10**8)).status is Status.OK


def test_values_of_few_kinds_are_judged_by_name_as_before() -> None:
    draw = np.random.default_rng(5)
    one = finding([profile(draw.integers(0, 50, ROWS)) for _ in range(14)], profile(draw.integers(0, 60, ROWS)))
    assert one.status is not Status.OK
    assert "new_values" not in one.detail["tests"]


@pytest.mark.parametrize("rows", [1_000, 10_000])
def test_sessions_of_many_rows_with_an_id_each_are_normal(rows: int) -> None:
    """Each window has large categories that no other has, which is no drift where every window has."""
    draw = np.random.default_rng(rows)

    def sessions(day: int) -> Profile:
        return profile(np.repeat(np.arange(rows) + day * rows, draw.geometric(1 / 20, rows))[:rows])

    days = [sessions(day) for day in range(14)]
    assert all(finding(days, sessions(20 + run)).status is Status.OK for run in range(8))
    assert finding(days, profile(np.arange(rows) + 10**8)).status is not Status.OK


def test_customers_that_join_every_day_are_normal_also_after_a_weekend() -> None:
    draw = np.random.default_rng(7)
    days = [profile(draw.integers(0, 5_000 + 250 * day, ROWS)) for day in range(14)]
    for missed in range(3):
        assert finding(days, profile(draw.integers(0, 5_000 + 250 * (14 + missed), ROWS))).status is Status.OK
