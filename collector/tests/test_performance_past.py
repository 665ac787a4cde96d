"""Performance against a model's own past, through engine and store: a fall that lasts stays said."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from collector.tests.collecting import a_collector
from collector.tests.test_estimated import START, serve
from modelward_collector.accepting import Asked, accept, proposed
from modelward_collector.app import Collector
from modelward_collector.checks.result import CheckKind, CheckResult, Finding, Status
from modelward_collector.store.protocol import Alias

DAY = timedelta(days=1)
FELL = 30
EVENTS_KEPT = {Alias.EVENTS: 30 * DAY}
MODEL = "task: regression\nchecks: {drift: {enabled: false}, performance: {window: 3d}}"

Started = Callable[[], Collector]


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Started]:
    """A collector over the same store each time, as after a restart."""
    made: list[Collector] = []

    def start() -> Collector:
        made.append(a_collector(tmp_path, {"delay": MODEL}, clock="replay"))
        return made[-1]

    yield start
    for collector in made:
        collector.stop()


def check(started: Started, day: int) -> CheckResult:
    """As of the end of that day, with what has been kept for a month."""
    context = started().context
    at = START + (day + 1) * DAY
    context.store.retain(EVENTS_KEPT, at)
    (result,) = context.engine.run("delay", CheckKind.PERFORMANCE, at)
    return result


def flagged(result: CheckResult) -> dict[str, Finding]:
    return {finding.test: finding for finding in result.findings if finding.status.flagged}


def worlds(started: Started, days: range, random: np.random.Generator, labels: bool = True, **world: float) -> None:
    store = started().context.store
    for day in days:
        serve(store, day, random, labels=labels, **world)


def test_a_fall_that_lasts_stays_said_until_it_is_accepted(started: Started) -> None:
    random = np.random.default_rng(3)
    worlds(started, range(22, FELL), random)
    assert not flagged(check(started, FELL - 1))
    worlds(started, range(FELL, FELL + 2), random, offset=8.0)
    first = flagged(check(started, FELL + 1))
    assert first.keys() == {"reference", "concept_drift"}
    since = first["reference"].since
    assert since is not None
    assert START + (FELL - 1) * DAY <= since <= START + (FELL + 1) * DAY
    for begin, day in ((34, 36), (88, 90)):
        worlds(started, range(begin, day + 1), random, offset=8.0)
        result = check(started, day)
        said = flagged(result)["reference"]
        assert (said.since, said.status) == (since, Status.WARNING), day
        assert said.detail["reference"] == first["reference"].detail["reference"], "as it was before"
    assert f"for {(START + 91 * DAY - since).days}d, since " in said.message
    context = started().context
    (one, *others) = proposed(context, Asked("delay", "ada"))
    assert (one.feature, one.since) == ("mae", since) or {item.feature for item in others} >= {"mae"}
    accepted = accept(context, [one, *others])
    assert {result.check for result in accepted.results} == {CheckKind.DRIFT, CheckKind.PERFORMANCE}
    assert not flagged(accepted.results[-1])
    worlds(started, range(91, 95), random, offset=8.0)
    assert not flagged(check(started, 94)), "what came since is what it is compared with"


def test_it_is_over_when_labels_show_it_and_few_labels_end_nothing(started: Started) -> None:
    random = np.random.default_rng(4)
    worlds(started, range(22, FELL), random)
    worlds(started, range(FELL, FELL + 3), random, offset=8.0)
    first = flagged(check(started, FELL + 2))["reference"]
    worlds(started, range(FELL + 6, FELL + 9), random, labels=False)
    silent = check(started, FELL + 8)
    assert silent.status is Status.WARNING, "no label of these days is in"
    assert flagged(silent)["reference"].since == first.since
    assert "not over as far as 0 labels can tell" in silent.summary
    worlds(started, range(FELL + 9, FELL + 13), random)
    assert not flagged(check(started, FELL + 12))
    worlds(started, range(FELL + 13, FELL + 16), random, offset=8.0)
    again = flagged(check(started, FELL + 15))["reference"]
    assert again.since is not None
    assert again.since > START + (FELL + 11) * DAY


def test_while_little_is_known_nothing_is_remembered(started: Started) -> None:
    random = np.random.default_rng(5)
    worlds(started, range(4), random)
    worlds(started, range(4, 7), random, offset=8.0)
    said = flagged(check(started, 6))
    assert said.keys() >= {"reference"}
    assert said["reference"].since is None
