"""When a level changed: the likeliest step, an interval that covers as often as it says, and what the check tells."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from collector.tests.columns import Draws, Values, rows
from modelward_agent.profile import Profile, Segment, merged
from modelward_collector.checks.drift import check_drift
from modelward_collector.checks.drift_reference import prepare_reference
from modelward_collector.checks.result import CheckResult, Finding, Status
from modelward_collector.checks.window import ReferenceProfile, Window
from modelward_collector.models import ModelSpec
from modelward_collector.span import Span
from modelward_collector.stats.change_point import ChangePoint, change_point

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
START = datetime(2026, 3, 2, tzinfo=UTC)
FAR_BACK = 10_000.0


@pytest.fixture
def draw() -> np.random.Generator:
    return np.random.default_rng(20260302)


# -- the statistic --------------------------------------------------------------------------------------------------


def likelihood(values: Values, weights: Values, before: tuple[float, float], first: int) -> float:
    """Its definition: log-likelihood of normal steps at the best level on either side of a change, by hand."""
    old_y, old_w = np.append(before[0], values[:first]), np.append(min(before[1], weights.sum()), weights[:first])
    new_y, new_w = values[first:], weights[first:]
    sides = ((old_y, old_w), (new_y, new_w))
    return -0.5 * sum(float((w * (y - np.average(y, weights=w)) ** 2).sum()) for y, w in sides)


def located(values: Values, weights: Values, before: tuple[float, float]) -> ChangePoint:
    found = change_point(values, weights, before)
    assert found is not None
    return found


def test_the_moment_is_that_of_maximal_likelihood_and_the_set_is_all_within_the_bound(
    draw: np.random.Generator,
) -> None:
    weights = draw.uniform(50, 150, 40)
    values = np.where(np.arange(40) < 27, 0.0, 0.25) + draw.normal(size=40) / np.sqrt(weights)
    found = located(values, weights, (0.0, FAR_BACK))
    by_hand = np.array([likelihood(values, weights, (0.0, FAR_BACK), first) for first in range(40)])
    assert found.first == by_hand.argmax()
    # The steps here vary as they sample and not together, so that nothing widens the set but what chance makes of it.
    within = np.flatnonzero(by_hand.max() - by_hand <= 3.676)
    assert found.low <= within[0] <= found.first <= within[-1] <= found.high


@pytest.mark.parametrize("steps", [8, 24, 200])
@pytest.mark.parametrize("size", [1.0, 2.5, 6.0])
@pytest.mark.parametrize("excess", [0.0, 1.0])
def test_the_interval_holds_the_moment_as_often_as_it_says(
    draw: np.random.Generator, steps: int, size: float, excess: float
) -> None:
    """A change of `size` standard errors of a step, inside of one; `excess` is noise that the weights do not know."""
    held, runs = 0, 300
    for _ in range(runs):
        moment = draw.uniform(0.2 * steps, 0.9 * steps)
        weights = draw.uniform(50.0, 200.0, steps)
        after = np.clip(np.arange(steps) + 1 - moment, 0, 1)
        noise = draw.normal(size=steps) / np.sqrt(weights) + excess * draw.normal(size=steps) / 10
        found = located(size / 10 * after + noise, weights, (0.0, FAR_BACK))
        low = found.low - 1 if found.low else -1
        held += low <= moment <= found.high + 1
    # 95%, less what 300 runs leave to chance.
    assert held / runs >= 0.95 - 2.33 * np.sqrt(0.95 * 0.05 / runs)


def test_noise_that_goes_on_from_step_to_step_widens_the_interval(draw: np.random.Generator) -> None:
    def series(together: float) -> Values:
        noise = draw.normal(size=100)
        for i in range(1, 100):
            noise[i] = together * noise[i - 1] + np.sqrt(1 - together**2) * noise[i]
        return 0.3 * (np.arange(100) >= 60) + 0.2 * noise

    def width(together: float) -> float:
        found = [located(series(together), np.full(100, 25.0), (0.0, FAR_BACK)) for _ in range(50)]
        return float(np.mean([one.high - one.low for one in found]))

    assert width(0.6) > 1.5 * width(0.0)


def test_a_level_that_was_new_all_along_changed_before_the_first_step(draw: np.random.Generator) -> None:
    found = located(0.5 + draw.normal(0, 0.1, 24), np.full(24, 100.0), (0.0, FAR_BACK))
    assert (found.first, found.low, found.high) == (0, 0, 0)


@pytest.mark.parametrize("steps", [8, 48, 288])
def test_without_a_known_level_before_one_level_throughout_may_have_begun_before_all(
    draw: np.random.Generator, steps: int
) -> None:
    weights, runs = np.full(steps, 100.0), 300
    flat = [located(draw.normal(0, 0.1, steps), weights, (0.0, 0.0)) for _ in range(runs)]
    assert np.mean([found.low == 0 for found in flat]) >= 0.95 - 2.33 * np.sqrt(0.95 * 0.05 / runs)
    moved = 0.5 * (np.arange(steps) >= steps // 2)
    stepped = [located(moved + draw.normal(0, 0.1, steps), weights, (7.0, 0.0)) for _ in range(runs)]
    assert np.mean([found.low <= steps // 2 <= found.high for found in stepped]) >= 0.95
    assert np.mean([found.low > 0 for found in stepped]) >= 0.95


def test_steps_without_rows_are_passed_over() -> None:
    values, weights = np.array([0, 0, 0, np.nan, 5, 5, 5.0]), np.array([9, 9, 9, 0, 9, 9, 9.0])
    found = located(values, weights, (0.0, FAR_BACK))
    assert (found.first, found.low, found.high) == (4, 4, 4)


def test_three_steps_are_too_few() -> None:
    assert change_point(np.array([0.0, 0, 1]), np.full(3, 9.0), (0.0, 1.0)) is None


# -- the check ------------------------------------------------------------------------------------------------------


class Traffic:
    """Profiles minute by minute, read in steps as the store would, counting what is read."""

    def __init__(self, minutes: Mapping[datetime, Profile]) -> None:
        self.minutes = minutes
        self.read = 0

    def __call__(self, span: Span, step: timedelta) -> list[tuple[Span, Mapping[Segment, Profile]]]:
        steps: dict[datetime, list[Profile]] = {}
        for start, profile in self.minutes.items():
            if span.start <= start and start + MINUTE <= span.end:
                at = datetime.fromtimestamp(start.timestamp() // step.total_seconds() * step.total_seconds(), UTC)
                steps.setdefault(at, []).append(profile)
        self.read += len(steps)
        return [(Span(at, at + step), {(): merged(parts)}) for at, parts in sorted(steps.items())]

    def window(self, span: Span) -> Window:
        inside = [one for start, one in self.minutes.items() if span.start <= start < span.end]
        return Window("fraud", span, {("v1", ()): merged(inside)})


KINDS: dict[str, tuple[Draws, Draws]] = {
    "mean": (lambda d, n: d.normal(0, 1, n), lambda d, n: d.normal(1, 1, n)),
    "variance": (lambda d, n: d.normal(0, 1, n), lambda d, n: d.normal(0, 2, n)),
    "shape": (lambda d, n: d.normal(0, 1, n), lambda d, n: d.choice([-1.0, 1.0], n) + d.normal(0, 0.05, n)),
    "missing": (lambda d, n: d.normal(0, 1, n), lambda d, n: np.where(d.random(n) < 0.5, np.nan, d.normal(0, 1, n))),
    "zeros": (lambda d, n: d.exponential(1, n), lambda d, n: np.where(d.random(n) < 0.3, 0.0, d.exponential(1.4, n))),
    "category": (lambda d, n: d.choice(["a", "b", "c"], n), lambda d, n: d.choice(["a", "b", "z"], n)),
    "mix": (
        lambda d, n: d.choice(list("abcdef"), n),
        lambda d, n: d.choice(list("abcdef"), n, p=[0.3, 0.05, 0.3, 0.05, 0.25, 0.05]),
    ),
}


def two_days(draw: np.random.Generator, before: Draws, after: Draws, change: float, each: int = 20) -> Traffic:
    """Every minute of two days; what comes from `change` on (seconds after the start) is drawn from `after`."""
    minutes = {}
    for number in range(2 * 1440):
        draws = after if 60 * number >= change else before
        minutes[START + number * MINUTE] = rows({"x": draws(draw, each), "y": draw.normal(0, 1, each)})
    return Traffic(minutes)


def checked(
    draw: np.random.Generator, traffic: Traffic, before: Draws, span: Span, history: Sequence[CheckResult] = ()
) -> CheckResult:
    reference = prepare_reference(
        ReferenceProfile("before", rows({"x": before(draw, 30_000), "y": draw.normal(0, 1, 30_000)}))
    )
    spec = ModelSpec.model_validate({"model": "fraud"})
    return check_drift(spec, "v1", reference, traffic.window(span), history, traffic)


def since_of(finding: Finding) -> datetime:
    assert finding.since is not None
    return finding.since


@pytest.mark.parametrize("kind", KINDS)
def test_since_when_is_told_to_minutes_whatever_changed(draw: np.random.Generator, kind: str) -> None:
    before, after = KINDS[kind]
    change = START + DAY + timedelta(hours=9, minutes=41)
    traffic = two_days(draw, before, after, (change - START).total_seconds())
    found = checked(draw, traffic, before, Span(START + DAY, START + 2 * DAY)).findings[0]
    assert found.subject == "x"
    low, high = (datetime.fromisoformat(found.detail["change"][name]) for name in ("low", "high"))
    assert low <= change <= high
    since = since_of(found)
    assert low <= since <= high
    assert high - low <= timedelta(minutes=45)
    assert abs(since - change) <= timedelta(minutes=20)
    assert f"since about 3 Mar {since:%H:%M}" in found.message
    assert "changed_between" not in found.detail
    assert traffic.read <= 48 + 240


def test_a_change_before_the_window_is_found_there_and_one_before_all_that_is_read_is_said_to_be(
    draw: np.random.Generator,
) -> None:
    before, after = KINDS["mean"]
    traffic = two_days(draw, before, after, 15 * 3600 + 1800)
    found = checked(draw, traffic, before, Span(START + DAY, START + 2 * DAY)).findings[0]
    assert abs(since_of(found) - (START + timedelta(hours=15, minutes=30))) <= timedelta(minutes=10)

    always = two_days(draw, before, after, 0)
    found = checked(draw, always, before, Span(START + DAY, START + 2 * DAY)).findings[0]
    assert found.detail["change"]["at"] is None
    assert found.since == START
    assert found.message.endswith("since before 2 Mar 00:00")


def test_what_was_found_is_kept_when_the_change_is_long_ago(draw: np.random.Generator) -> None:
    before, after = KINDS["mean"]
    traffic = two_days(draw, before, after, 5 * 3600)
    first = checked(draw, traffic, before, Span(START + 2 * HOUR, START + 8 * HOUR))
    stored = CheckResult.from_document(first.to_document())
    traffic.read = 0
    later = checked(draw, traffic, before, Span(START + 30 * HOUR, START + 36 * HOUR), [stored])
    assert later.findings[0].since == first.findings[0].since
    assert later.findings[0].detail["change"] == first.findings[0].detail["change"]
    assert traffic.read == 0


def test_nothing_is_read_when_nothing_drifts(draw: np.random.Generator) -> None:
    before = KINDS["mean"][0]
    traffic = two_days(draw, before, before, 0)
    result = checked(draw, traffic, before, Span(START + DAY, START + 2 * DAY))
    assert result.status is Status.OK
    assert traffic.read == 0
