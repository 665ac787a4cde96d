"""The drift verdict on features that no longer move together: what is said, and that nothing else changes."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from modelward_agent.profile import FeatureProfile, NumericSketch, Profile, merged
from modelward_collector.checks.drift import check_drift
from modelward_collector.checks.drift_joint import joint_change
from modelward_collector.checks.drift_reference import PreparedReference, prepare_reference
from modelward_collector.checks.result import CheckResult, Finding, Status
from modelward_collector.checks.window import ReferenceProfile, Window
from modelward_collector.models import ModelSpec
from modelward_collector.span import Span

DAY = timedelta(days=1)
START = datetime(2026, 3, 2, tzinfo=UTC)
NAMES = ("age", "amount", "income", "tenure")


@pytest.fixture
def draw() -> np.random.Generator:
    return np.random.default_rng(20260302)


def traffic(draw: np.random.Generator, n: int, rho: float = 0.7, shift: float = 0.0) -> Profile:
    """Rows of four features of which amount and income have the correlation rho."""
    columns = dict(zip(NAMES, draw.normal(size=(4, n)), strict=True))
    columns["income"] = rho * columns["amount"] + np.sqrt(1 - rho**2) * columns["income"]
    columns["age"] = columns["age"] + shift
    made = Profile()
    made.rows = n
    for name, values in columns.items():
        made.features[name] = FeatureProfile()
        sketch = made.features[name].numeric = NumericSketch()
        sketch.update(values)
    made.fold_together(NAMES, np.array([columns[name] for name in NAMES]))
    return made


def check(
    reference: PreparedReference, current: Profile, history: Sequence[CheckResult] = (), day: int = 0, **drift: Any
) -> CheckResult:
    window = Window("credit", Span(START + day * DAY, START + (day + 1) * DAY), {("v1", ()): current})
    spec = ModelSpec.model_validate({"model": "credit", "checks": {"drift": drift}})
    return check_drift(spec, "v1", reference, window, history)


def reference_of(made: Profile, windows: tuple[tuple[Span, Profile], ...] = ()) -> PreparedReference:
    return prepare_reference(ReferenceProfile("the first month", made, windows))


def joint_of(result: CheckResult) -> Finding:
    return next(finding for finding in result.findings if finding.test == "joint")


def test_features_that_no_longer_move_together_are_named_although_none_drifts(draw: np.random.Generator) -> None:
    result = check(reference_of(traffic(draw, 20_000)), traffic(draw, 1_000, rho=0.0))
    found = result.findings[0]
    assert (found.subject, found.test, found.status) == ("(joint)", "joint", Status.WARNING)
    assert found.message.startswith("amount and income moved together in the reference (r = 0.6")
    assert " and no longer do (" in found.message
    assert found.value is not None
    assert found.threshold is not None
    assert found.p_value is not None
    assert 0.025 < found.threshold + 0.001 < found.value <= 1
    assert found.p_value < 1e-6
    assert found.since == START
    [pair] = found.detail["contributors"]
    assert (pair["a"], pair["b"], pair["rows"]) == ("amount", "income", 1_000)
    assert pair["reference"] > 0.5 > 0.15 > abs(pair["current"])
    assert result.status is Status.WARNING
    assert result.summary.startswith("none of 4 features drifted; jointly: amount and income moved together")
    assert (result.numbers["drifted"], result.numbers["pairs"], result.numbers["pairs_drifted"]) == (0, 6, 1)
    assert all(finding.status is Status.OK for finding in result.findings if finding.test == "drift")
    assert CheckResult.from_document(result.to_document()) == result


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (0.7, -0.7, "moved together in the reference (r = 0.6"),
        (-0.7, 0.0, "moved against each other in the reference (r = -0.6"),
        (0.0, 0.7, "were unrelated in the reference"),
        (0.9, 0.5, "move together less than in the reference"),
        (-0.5, -0.9, "move against each other more than in the reference"),
    ],
)
def test_every_way_to_change_is_said(draw: np.random.Generator, before: float, after: float, words: str) -> None:
    found = joint_of(check(reference_of(traffic(draw, 20_000, before)), traffic(draw, 2_000, after)))
    assert found.message.startswith(f"amount and income {words}")


def test_as_many_rows_as_are_said_to_be_needed_show_it_again(draw: np.random.Generator) -> None:
    reference = reference_of(traffic(draw, 20_000))
    span = Span(START, START + DAY)
    found = joint_change(reference, traffic(draw, 5_000, 0.5), span, (), 1e-4)
    assert found is not None
    assert 100 < found.rows_needed < 2_500
    again = [joint_change(reference, traffic(draw, found.rows_needed, 0.5), span, (), 1e-4) for _ in range(20)]
    assert sum(one is not None and one.drifts for one in again) >= 17


def test_unchanged_features_and_one_that_drifts_by_itself_are_no_joint_drift(draw: np.random.Generator) -> None:
    reference = reference_of(traffic(draw, 20_000))
    for n in (200, 1_000, 50_000):
        found = joint_of(check(reference, traffic(draw, n)))
        assert (found.status, found.since, found.detail["contributors"]) == (Status.OK, None, [])
        assert found.message == "features move together as in the reference"
    result = check(reference, traffic(draw, 1_000, shift=0.5))
    assert [finding.subject for finding in result.findings if finding.status is not Status.OK] == ["age"]
    assert result.numbers["pairs_drifted"] == 0


def test_nothing_changes_where_either_side_does_not_know_how_features_move_together(draw: np.random.Generator) -> None:
    reference, current = traffic(draw, 20_000), traffic(draw, 1_000, rho=0.0)
    before, after = reference.joint, current.joint

    def sides(joint_before: bool, joint_after: bool) -> CheckResult:
        reference.joint = before if joint_before else None
        current.joint = after if joint_after else None
        return check(reference_of(reference), current)

    assert joint_of(sides(True, True)).status is Status.WARNING
    neither = sides(False, False)
    for result in (sides(True, False), sides(False, True)):
        assert result.findings == neither.findings
        assert (result.status, result.summary, result.numbers) == (neither.status, neither.summary, neither.numbers)
    assert [finding.test for finding in neither.findings] == ["drift"] * 4


def test_an_ignored_feature_has_no_pairs(draw: np.random.Generator) -> None:
    result = check(reference_of(traffic(draw, 20_000)), traffic(draw, 1_000, rho=0.0), ignore=["income"])
    assert joint_of(result).status is Status.OK
    assert result.numbers["pairs"] == 3


def test_persistence_and_since_hold_for_joint_drift_too(draw: np.random.Generator) -> None:
    reference = reference_of(traffic(draw, 20_000))
    history = [check(reference, traffic(draw, 1_000), day=0, persistence=[2, 3])]
    first = check(reference, traffic(draw, 1_000, rho=0.0), history, day=1, persistence=[2, 3])
    assert joint_of(first).message.endswith("; not yet persistent")
    assert (joint_of(first).detail["drifted"], joint_of(first).detail["persistent"]) == (True, False)
    second = check(reference, traffic(draw, 1_000, rho=0.0), [*history, first], day=2, persistence=[2, 3])
    assert joint_of(second).detail["persistent"]
    assert joint_of(second).since == START + DAY
    assert joint_of(second).detail["changed_between"] == ["2026-03-02T00:00:00Z", "2026-03-04T00:00:00Z"]
    third = check(reference, traffic(draw, 1_000), [*history, first, second], day=3, persistence=[2, 3])
    assert joint_of(third).message.endswith("; not in this window, but in enough of the last ones")


def test_a_pattern_that_the_reference_contains_is_no_drift(draw: np.random.Generator) -> None:
    days = [traffic(draw, 2_000, rho=0.1 if number % 7 > 4 else 0.7) for number in range(28)]
    spans = [Span(START - (28 - number) * DAY, START - (27 - number) * DAY) for number in range(28)]
    reference = reference_of(merged(days), windows=tuple(zip(spans, days, strict=True)))
    for number in range(14):
        found = joint_of(check(reference, traffic(draw, 2_000, rho=0.1 if number % 7 > 4 else 0.7), day=number))
        assert found.status is Status.OK, found.message
    assert joint_of(check(reference, traffic(draw, 2_000, rho=-0.7))).status is Status.WARNING


def test_how_features_move_together_is_compared_with_what_was_accepted(draw: np.random.Generator) -> None:
    before, since = reference_of(traffic(draw, 20_000)), reference_of(traffic(draw, 20_000, rho=0.0))
    now = traffic(draw, 1_000, rho=0.0)
    assert joint_of(check(before.renewed(frozenset({"features/amount"}), since), now)).status is Status.WARNING
    assert joint_of(check(before.renewed(frozenset({"(joint)"}), since), now)).status is Status.OK
    assert joint_of(check(before.renewed(None, since), now)).status is Status.OK


def days_of(draw: np.random.Generator, levels: Sequence[float]) -> list[Profile]:
    """Days on which amount and income are of one level, and unrelated beside it."""
    days = []
    for level in levels:
        columns = {name: draw.normal(size=2_000) for name in NAMES}
        columns["amount"] += level
        columns["income"] += level
        made = Profile()
        made.rows = 2_000
        made.fold_together(NAMES, np.array([columns[name] for name in NAMES]))
        days.append(made)
    return days


def test_a_week_moves_together_as_its_days_let_it(draw: np.random.Generator) -> None:
    days = days_of(draw, [0.8, -0.8] * 7)
    windows = tuple((Span(START + n * DAY, START + (n + 1) * DAY), day) for n, day in enumerate(days))
    reference = prepare_reference(ReferenceProfile("two weeks", merged(days), windows, begun=START, horizon=28 * DAY))
    week = Span(START + 14 * DAY, START + 21 * DAY)
    # A week in which all days are alike: of two weeks alone it would be unlike both.
    found = joint_change(reference, merged(days_of(draw, [0.0] * 7)), week, (), 1e-4)
    assert found is not None
    assert not found.drifts
    # What no day was like is found.
    found = joint_change(reference, merged([traffic(draw, 2_000, -0.9) for _ in range(7)]), week, (), 1e-4)
    assert found is not None
    assert found.changed[0].current < -0.8
