"""The drift verdict on features that depend on each other otherwise although every correlation stayed: what is said."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from modelward_agent.profile import FeatureProfile, NumericSketch, Profile, Segment, from_bytes, merged, to_bytes
from modelward_collector.checks.drift import check_drift
from modelward_collector.checks.drift_reference import PreparedReference, prepare_reference
from modelward_collector.checks.result import CheckResult, Finding, Status
from modelward_collector.checks.window import ReferenceProfile, Window
from modelward_collector.models import ModelSpec
from modelward_collector.span import Span

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
START = datetime(2026, 3, 2, tzinfo=UTC)
NAMES = ("age", "amount", "income", "tenure")


@pytest.fixture
def draw() -> np.random.Generator:
    return np.random.default_rng(20260302)


def profile_of(columns: NDArray[np.float64]) -> Profile:
    """As it comes from agents that send a minute of 250 rows."""
    parts = []
    for start in range(0, columns.shape[1], 250):
        made = Profile()
        rows = columns[:, start : start + 250]
        made.rows = rows.shape[1]
        for name, values in zip(NAMES, rows, strict=True):
            made.features[name] = FeatureProfile()
            sketch = made.features[name].numeric = NumericSketch()
            sketch.update(values)
        made.fold_together(NAMES, rows)
        parts.append(from_bytes(to_bytes(made)))
    return merged(parts)


def parity(draw: np.random.Generator, n: int, *, depends: bool = True) -> Profile:
    """Tenure has the sign of age times amount, or any."""
    columns = draw.normal(size=(4, n))
    columns[3] = np.sign(columns[0] * columns[1] if depends else draw.normal(size=n)) * np.abs(columns[3])
    return profile_of(columns + 10)


def curve(draw: np.random.Generator, n: int, *, depends: bool = True, related: float = 0.0) -> Profile:
    """Income is the square of amount, or of something else; `related` is the correlation of age and tenure."""
    columns = draw.normal(size=(4, n))
    columns[2] = (columns[1] if depends else draw.normal(size=n)) ** 2 + 0.2 * columns[2]
    columns[3] = related * columns[0] + np.sqrt(1 - related**2) * columns[3]
    return profile_of(columns)


def check(
    reference: PreparedReference, current: Profile, history: Sequence[CheckResult] = (), **drift: Any
) -> CheckResult:
    window = Window("credit", Span(START, START + DAY), {("v1", ()): current})
    spec = ModelSpec.model_validate({"model": "credit", "checks": {"drift": drift}})
    return check_drift(spec, "v1", reference, window, history)


def reference_of(made: Profile, windows: tuple[tuple[Span, Profile], ...] = ()) -> PreparedReference:
    return prepare_reference(ReferenceProfile("the first month", made, windows))


def joint_of(result: CheckResult) -> Finding:
    return next(finding for finding in result.findings if finding.test == "joint")


def test_three_features_of_which_no_two_are_related_are_named(draw: np.random.Generator) -> None:
    result = check(reference_of(parity(draw, 10_000)), parity(draw, 1_000, depends=False))
    found = joint_of(result)
    assert found.status is Status.WARNING
    assert found.message.startswith("age, amount and tenure no longer depend on each other as in the reference (")
    assert " and the product of " in found.message
    assert found.detail["contributors"] == []
    [one] = found.detail["dependences"]
    assert one["features"] == ["age", "amount", "tenure"]
    assert sorted([*one["of"], *one["on"]]) == one["features"]
    assert one["rows"] == 1_000
    assert abs(one["reference"]) > 0.5 > 0.15 > abs(one["current"])
    assert found.value == one["effect"]
    assert found.p_value is not None
    assert found.p_value < 1e-6
    assert found.since == START
    assert all(finding.status is Status.OK for finding in result.findings if finding.test == "drift")
    assert CheckResult.from_document(result.to_document()) == result


def test_a_curve_that_comes_is_told_as_new(draw: np.random.Generator) -> None:
    result = check(reference_of(curve(draw, 10_000, depends=False)), curve(draw, 1_000))
    found = joint_of(result)
    assert found.message.startswith(
        "amount and income depend on each other and did not in the reference (income and the square of amount: r = "
    )
    [one] = found.detail["dependences"]
    assert (one["of"], one["on"]) == (["amount", "amount"], ["income"])


def test_pairs_are_told_first_and_what_shows_there_is_not_told_again(draw: np.random.Generator) -> None:
    before = curve(draw, 10_000, related=0.8)
    both = joint_of(check(reference_of(before), curve(draw, 1_000, depends=False)))
    assert both.message.startswith("age and tenure moved together in the reference")
    assert "; amount and income no longer depend on each other as in the reference (" in both.message
    [pair], [one] = both.detail["contributors"], both.detail["dependences"]
    assert (pair["a"], pair["b"]) == ("age", "tenure")
    assert one["features"] == ["amount", "income"]
    assert both.value == pair["effect"]


@pytest.mark.parametrize("made", [parity, curve])
def test_unchanged_traffic_says_nothing(draw: np.random.Generator, made: Any) -> None:
    reference = reference_of(made(draw, 10_000))
    for _ in range(5):
        found = joint_of(check(reference, made(draw, 1_000)))
        assert (found.status, found.detail["dependences"]) == (Status.OK, [])
        assert found.message == "features move together as in the reference"


def test_ignored_features_depend_on_nothing(draw: np.random.Generator) -> None:
    result = check(reference_of(parity(draw, 10_000)), parity(draw, 1_000, depends=False), ignore=["tenure"])
    assert joint_of(result).status is Status.OK


def test_a_side_from_before_is_judged_by_its_pairs_alone(draw: np.random.Generator) -> None:
    reference, current = parity(draw, 10_000), parity(draw, 1_000, depends=False)
    reference.dependence = None
    found = joint_of(check(reference_of(reference), current))
    assert found.status is Status.OK
    assert found.detail["pairs"] == 6
    current.dependence = None
    assert joint_of(check(reference_of(parity(draw, 10_000)), current)).status is Status.OK


def test_what_the_references_own_days_vary_is_allowed(draw: np.random.Generator) -> None:
    days = [parity(draw, 2_000, depends=day % 3 != 0) for day in range(9)]
    before = START - 30 * DAY
    windows = tuple((Span(before + i * DAY, before + (i + 1) * DAY), one) for i, one in enumerate(days))
    known = reference_of(merged(days), windows)
    assert joint_of(check(known, parity(draw, 2_000, depends=False))).status is Status.OK
    assert joint_of(check(reference_of(merged(days)), parity(draw, 2_000, depends=False))).status is Status.WARNING


def test_it_is_told_since_when(draw: np.random.Generator) -> None:
    window = Span(START, START + 3 * HOUR)
    began = START + 70 * MINUTE
    minutes = {
        at: parity(draw, 30, depends=at < began)
        for at in (window.start - 3 * HOUR + index * MINUTE for index in range(360))
    }

    def steps(wanted: Span, step: timedelta) -> list[tuple[Span, dict[Segment, Profile]]]:
        found: dict[datetime, Profile] = {}
        for at, made in minutes.items():
            if wanted.start <= at < wanted.end:
                start = window.start + (at - window.start) // step * step
                found.setdefault(start, Profile()).merge(made)
        return [(Span(start, start + step), {(): made}) for start, made in sorted(found.items())]

    inside = merged(made for at, made in minutes.items() if at >= window.start)
    spec = ModelSpec.model_validate({"model": "credit"})
    reference = reference_of(parity(draw, 20_000))
    result = check_drift(spec, "v1", reference, Window("credit", window, {("v1", ()): inside}), (), steps)
    found = joint_of(result)
    [one] = found.detail["dependences"]
    for change in (one["change"], found.detail["change"]):
        assert abs(datetime.fromisoformat(change["at"]) - began) <= 15 * MINUTE
        assert datetime.fromisoformat(change["low"]) <= began <= datetime.fromisoformat(change["high"])
    assert ", since about 01:" in found.message
    # The next window begins after all that: what is known of it is kept.
    later = Window("credit", Span(window.end, window.end + 3 * HOUR), {("v1", ()): inside})
    again = joint_of(check_drift(spec, "v1", reference, later, [result]))
    assert again.detail["dependences"][0]["change"] == one["change"]
