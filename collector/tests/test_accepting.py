"""Accepting a drift: what somebody asks for becomes acceptances, or an error that says why not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from collector.tests.collecting import HOUR, a_collector, send_traffic
from collector.tests.store_documents import NOON
from collector.tests.store_documents import result as a_result
from modelward_collector.accepting import (
    LONGEST_REASON,
    Asked,
    NotAcceptedError,
    NothingDriftsError,
    UnknownModelError,
    accept,
    drifting,
    propose,
    proposed,
    stretch,
)
from modelward_collector.app import Collector
from modelward_collector.checks.acceptance import AcceptanceKind
from modelward_collector.checks.result import CheckKind, CheckResult, Finding, Status
from modelward_collector.cli import main
from modelward_collector.span import Span
from modelward_collector.store.acceptances import acceptances
from modelward_collector.store.protocol import StoreUnavailableError

DAY = timedelta(days=1)
BEGAN = NOON - 22 * HOUR


def finding(subject: str, status: Status = Status.WARNING, since: datetime | None = BEGAN, **changes: Any) -> Finding:
    test = "joint" if subject == "(joint)" else "drift"
    return Finding(subject, test, status, f"{subject} says", 0.3, 0.05, since=since, **changes)


def drift(*findings: Finding, version: str = "3", end: datetime = NOON) -> CheckResult:
    return replace(a_result(end, version=version, status=Status.WARNING), findings=findings)


def asked(**changes: Any) -> Asked:
    return replace(Asked("delay", "ada"), **changes)


# -- what is proposed --------------------------------------------------------------------------------------------------
def test_what_drifts_is_accepted_since_it_drifts() -> None:
    result = drift(
        finding("distance", Status.CRITICAL),
        finding("prediction", since=NOON - HOUR),
        finding("(joint)", since=NOON - 2 * HOUR),
        finding("carrier", Status.OK, None),
        finding("hour", Status.NO_DATA, None),
        replace(finding("rows"), test="volume"),
    )
    said = propose([result], asked(reason=" the new\n routes "), NOON)
    assert [(one.feature, one.since) for one in said] == [
        ("distance", BEGAN),
        ("prediction", NOON - HOUR),
        ("(joint)", NOON - 2 * HOUR),
    ]
    assert {(one.model, one.by, one.at, one.version, one.reason, one.kind) for one in said} == {
        ("delay", "ada", NOON, None, "the new routes", AcceptanceKind.NEW_NORMAL)
    }
    assert len({one.id for one in said}) == 3


def test_one_feature_is_accepted_alone() -> None:
    result = drift(finding("distance"), finding("carrier", since=NOON - HOUR))
    (said,) = propose([result], asked(feature="carrier", version="3"), NOON)
    assert (said.feature, said.version, said.since) == ("carrier", "3", NOON - HOUR)


def test_of_several_versions_it_is_the_latest_moment_and_of_retired_ones_nothing() -> None:
    results = [
        drift(finding("distance", since=BEGAN), version="3"),
        drift(finding("distance", since=BEGAN + HOUR), version="4"),
        drift(finding("carrier"), version="2", end=NOON - 30 * DAY),
    ]
    assert [(one.feature, one.since) for one in propose(results, asked(), NOON)] == [("distance", BEGAN + HOUR)]
    assert [one.since for one in propose(results, asked(version="3"), NOON)] == [BEGAN]
    assert [one.feature for one in propose(results, asked(version="2"), NOON)] == ["carrier"]


def test_a_segment_counts_where_its_feature_does_not_drift_as_a_whole() -> None:
    eu, us = {"region": "eu"}, {"region": "us"}
    result = drift(
        finding("distance"),
        finding("distance", since=NOON - HOUR, segment=eu),
        finding("carrier", Status.OK, None),
        finding("carrier", since=NOON - 3 * HOUR, segment=eu),
        finding("carrier", since=NOON - 2 * HOUR, segment=us),
    )
    assert drifting([result]) == {"distance": BEGAN, "carrier": NOON - 2 * HOUR}


def test_a_drift_that_has_no_moment_began_with_its_window() -> None:
    assert drifting([drift(finding("distance", since=None))]) == {"distance": NOON - DAY}


def test_a_named_moment_is_of_one_feature_or_of_everything_and_needs_no_drift() -> None:
    result = drift(finding("distance", Status.OK, None))
    assert [(one.feature, one.since) for one in propose([result], asked(since=BEGAN), NOON)] == [(None, BEGAN)]
    (said,) = propose([result], asked(since=BEGAN, feature="distance"), NOON)
    assert said.feature == "distance"
    assert [one.feature for one in propose([], asked(since=BEGAN), NOON)] == [None]


def test_a_stretch_of_the_reference_is_put_back() -> None:
    window = Span(NOON - 9 * DAY, NOON - 8 * DAY)
    (said,) = propose([drift(finding("distance"))], asked(feature="distance", put_back=window), NOON)
    assert (said.kind, said.window, said.since) == (AcceptanceKind.PUT_BACK, window, window.start)


@pytest.mark.parametrize(
    ("changes", "about", "says"),
    [
        (
            {"feature": "distanse"},
            "feature",
            'no feature "distanse" in its newest drift result; did you mean distance?',
        ),
        ({"feature": "x"}, "feature", "its features are: carrier, distance"),
        ({"version": "9"}, "version", 'delay has no version "9"; its versions are: 3'),
        ({"since": NOON + HOUR}, "since", "2026-03-01 13:00 UTC is in the future; it is 2026-03-01 12:00 UTC"),
        ({"since": datetime(1960, 1, 1, tzinfo=UTC)}, "since", "before 1970"),
        ({"put_back": Span(NOON - HOUR, NOON + HOUR)}, "put_back", "in the future"),
        ({"put_back": Span(NOON - HOUR, NOON), "since": BEGAN}, "since", "leave one of the two out"),
        ({"put_back": Span(NOON - HOUR, NOON), "feature": "no"}, "feature", "no feature"),
        ({"feature": "carrier"}, "since", "carrier of delay does not drift; say --since to begin the reference anew"),
        ({"reason": "x" * (LONGEST_REASON + 1)}, "reason", "501 characters; say it in 500"),
    ],
)
def test_what_makes_no_sense_is_said(changes: dict[str, Any], about: str, says: str) -> None:
    result = drift(finding("distance"), finding("carrier", Status.OK, None))
    with pytest.raises(NotAcceptedError) as refused:
        propose([result], asked(**changes), NOON)
    assert refused.value.about == about
    assert says in str(refused.value)


def test_where_nothing_drifts_a_moment_has_to_be_named() -> None:
    with pytest.raises(NothingDriftsError, match="nothing of delay drifts; say --since to begin the reference anew"):
        propose([drift(finding("distance", Status.OK, None))], asked(), NOON)
    with pytest.raises(NothingDriftsError, match="nothing of delay drifts; say"):
        propose([], asked(), NOON)
    failed = replace(drift(), status=Status.ERROR, summary="the reference cannot be read")
    with pytest.raises(NothingDriftsError, match=r"drifts as far as is known \(the reference cannot be read\); say"):
        propose([failed], asked(), NOON)


def test_before_any_check_no_feature_and_no_version_is_known() -> None:
    with pytest.raises(NotAcceptedError, match="judged no feature"):
        propose([], asked(feature="distance", since=BEGAN), NOON)
    with pytest.raises(NotAcceptedError, match="no drift check of it has run yet"):
        propose([], asked(version="3", since=BEGAN), NOON)


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2026-03-10", "2026-03-10T00:00", "2026-03-11T00:00"),
        ("2026-03-10/2026-03-12", "2026-03-10T00:00", "2026-03-13T00:00"),
        ("2026-03-10T08:00/2026-03-10T09:30", "2026-03-10T08:00", "2026-03-10T09:30"),
        (" 2026-03-10T08:00+02:00 / 2026-03-10 ", "2026-03-10T06:00", "2026-03-11T00:00"),
    ],
)
def test_a_stretch_is_a_day_or_two_ends(text: str, start: str, end: str) -> None:
    assert stretch(text) == Span(
        datetime.fromisoformat(start).replace(tzinfo=UTC), datetime.fromisoformat(end).replace(tzinfo=UTC)
    )


@pytest.mark.parametrize("text", ["", "/", "tuesday", "2026-03-10T08:00", "2026-03-10/", "/2026-03-10", "2026-13-01"])
def test_what_is_no_stretch_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no stretch of time; write a day, 2026-03-10, or FROM/TO"):
        stretch(text)


def test_a_stretch_ends_after_it_begins() -> None:
    with pytest.raises(ValueError, match="ends before it begins"):
        stretch("2026-03-10/2026-03-08")


# -- over a collector --------------------------------------------------------------------------------------------------
QUIET = "\n".join(["checks:", *(f"  {kind}: {{enabled: false}}" for kind in CheckKind)])
LAST_MONTH = "reference: {kind: span, start: 2026-02-01T00:00:00Z, end: 2026-02-02T00:00:00Z}"


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    made = a_collector(tmp_path, {"delay": f"{LAST_MONTH}\n{QUIET}"}, clock="replay")
    send_traffic(made.context.store, datetime(2026, 2, 1, tzinfo=UTC), 60)
    send_traffic(made.context.store, NOON - HOUR, 61, mean=2.0)
    made.context.engine.run("delay", CheckKind.DRIFT)
    yield made
    made.stop()


@pytest.fixture
def config(collector: Collector, tmp_path: Path) -> Path:
    path = tmp_path / "collector.yml"
    path.write_text("store: {kind: sqlite, path: modelward.db}\nclock: replay\n")
    return path


def test_an_acceptance_is_stored_and_the_drift_is_checked_at_once(collector: Collector) -> None:
    context = collector.context
    said = proposed(context, asked())
    assert [one.feature for one in said] == ["distance"]
    accepted = accept(context, said)
    assert acceptances(context.store, "delay") == said == list(accepted.acceptances)
    (result,) = accepted.results
    assert (result.check, result.on_demand, accepted.problem) == (CheckKind.DRIFT, False, "")
    (latest,) = context.store.latest_results()
    assert latest.id == result.id


def test_nobody_is_not_a_model(collector: Collector) -> None:
    with pytest.raises(UnknownModelError, match='there is no model "nobody"; the models are: delay'):
        proposed(collector.context, asked(model="nobody"))


@pytest.mark.parametrize("error", [StoreUnavailableError("the store is away"), RuntimeError("out of luck")])
def test_a_check_that_fails_loses_no_acceptance(
    collector: Collector, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = collector.context
    said = proposed(context, asked())

    def fails(*_: object, **__: object) -> list[CheckResult]:
        raise error

    monkeypatch.setattr(context.engine, "run", fails)
    accepted = accept(context, said)
    assert (accepted.results, str(error) in accepted.problem) == ((), True)
    assert acceptances(context.store, "delay") == said


# -- on the command line -----------------------------------------------------------------------------------------------
def test_a_drift_is_accepted_on_the_command_line(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["accept", "delay", "--config", str(config)]
    assert main([*command, "--feature", "distance", "--reason", "the new routes"]) == 0
    shown = capsys.readouterr().out
    assert " on " in shown.splitlines()[0]
    assert shown.startswith("accepted by ")
    assert ": delay: new normal of distance since 2026-0" in shown
    assert ": the new routes\n" in shown
    assert "\ndistance is compared with its traffic since 2026-0" in shown
    assert "from now on; the reference begins anew there\n" in shown
    assert "\ndrift of delay 1: " in shown
    assert main([*command, "--list"]) == 0
    head, line = capsys.readouterr().out.splitlines()
    assert head.split() == ["AT", "BY", "WHAT", "OF", "VERSION", "REASON"]
    assert "new normal since 2026-0" in line
    assert line.endswith("distance  all      the new routes")


def test_as_json(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["accept", "delay", "--json", "--config", str(config)]
    assert main([*command, "--since", "2026-03-01T11:00:00Z", "--version", "1"]) == 0
    shown = json.loads(capsys.readouterr().out)
    (said,) = shown["acceptances"]
    assert (said["feature"], said["version"], said["since"]) == (None, "1", "2026-03-01T11:00:00.000000Z")
    assert said["by"]
    assert [result["check"] for result in shown["results"]] == ["drift"]
    assert main([*command, "--list"]) == 0
    assert json.loads(capsys.readouterr().out) == shown["acceptances"]


def test_a_day_is_put_back_on_the_command_line(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["accept", "delay", "--config", str(config)]
    assert main([*command, "--put-back", "2026-02-01"]) == 0
    assert "2026-02-01 00:00 to 2026-02-02 00:00 UTC belongs to the reference of everything again" in (
        capsys.readouterr().out
    )
    assert main([*command, "--list"]) == 0
    assert "put back 2026-02-01 00:00 to 2026-02-02 00:00  everything" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nobody"], 'there is no model "nobody"; the models are: delay'),
        (["delay", "--feature", "distanc"], "did you mean distance?"),
        (["delay", "--since", "2036-03-01T11:00:00Z"], "is in the future"),
    ],
)
def test_what_cannot_be_accepted_is_said_on_the_command_line(
    arguments: list[str], says: str, config: Path, collector: Collector, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["accept", *arguments, "--config", str(config)]) == 2
    assert says in capsys.readouterr().err
    assert acceptances(collector.context.store, "delay") == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["--since", "noon"], '"noon" is not a moment'), (["--put-back", "noon"], '"noon" is no stretch of time')],
)
def test_wrong_arguments_are_explained(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["accept", "delay", *arguments])
    assert says in capsys.readouterr().err


def test_nothing_was_ever_accepted(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["accept", "delay", "--list", "--config", str(config)]) == 0
    assert capsys.readouterr().out == "Nothing of delay was ever accepted.\n"
