"""A verification says of every check how it went, and never passes what was not seen."""

from __future__ import annotations

import io
import json
import threading

import pytest

from modelward_appliance.host.verify.check import Check, CheckError, NotCheckedError, Outcome, Verdict, run_all, run_one
from modelward_appliance.host.verify.command import CHECKS, choose
from modelward_appliance.host.verify.report import as_json, line, show, summary

SITE = "a site"


def passing(site: str) -> str:
    return f"{site} is well"


def failing(_: str) -> str:
    raise CheckError("port 443 is silent", "run make deploy")


def impossible(_: str) -> str:
    raise NotCheckedError("there is no account", "write one into site/verify-viewer")


def broken(_: str) -> str:
    raise KeyError("status")


def outcome(verdict: Verdict = Verdict.PASSED, detail: str = "detail", fix: str = "") -> Outcome:
    return Outcome("name", "what it proves", verdict, 1.234, detail, fix)


def test_a_check_that_passes_has_its_detail() -> None:
    found = run_one(Check("well", "proves", passing), SITE)
    assert (found.verdict, found.detail, found.fix) == (Verdict.PASSED, "a site is well", "")


def test_a_check_that_fails_has_what_was_seen_and_what_to_do() -> None:
    found = run_one(Check("ill", "proves", failing), SITE)
    assert (found.verdict, found.detail, found.fix) == (Verdict.FAILED, "port 443 is silent", "run make deploy")


def test_what_cannot_be_checked_is_not_passed() -> None:
    assert run_one(Check("unknown", "proves", impossible), SITE).verdict is Verdict.SKIPPED


def test_a_check_that_breaks_is_a_failure_that_names_the_error() -> None:
    found = run_one(Check("broken", "proves", broken), SITE)
    assert found.verdict is Verdict.FAILED
    assert "KeyError: 'status'" in found.detail


def test_a_check_that_waits_holds_up_no_other() -> None:
    released = threading.Event()

    def waits(_: str) -> str:
        assert released.wait(30)
        return ""

    def releases(_: str) -> str:
        released.set()
        return ""

    names = [found.name for found in run_all([Check("waits", "", waits), Check("releases", "", releases)], SITE)]
    assert sorted(names) == ["releases", "waits"]


def test_the_table_has_the_fix_below_what_failed() -> None:
    lines = line(outcome(Verdict.FAILED, "port 443 is silent", "run make deploy")).splitlines()
    assert lines[0].startswith("FAILED  name")
    assert "1.23 s  what it proves" in lines[0]
    assert [text.strip() for text in lines[1:]] == ["port 443 is silent", "fix: run make deploy"]


def test_quiet_prints_nothing_when_all_is_well() -> None:
    to = io.StringIO()
    show([outcome(), outcome(Verdict.SKIPPED)], to, quiet=True)
    assert to.getvalue() == ""


def test_quiet_prints_what_failed_and_the_count() -> None:
    to = io.StringIO()
    show([outcome(), outcome(Verdict.FAILED, "broken", "mend it")], to, quiet=True)
    assert "broken" in to.getvalue()
    assert to.getvalue().endswith("modelward: 1 passed, 1 failed\n")


def test_the_summary_counts_what_was_not_checked() -> None:
    assert summary([outcome(), outcome(Verdict.SKIPPED)]) == "1 passed, 0 failed, 1 not checked"


@pytest.mark.parametrize(
    ("verdict", "passed"), [(Verdict.PASSED, True), (Verdict.SKIPPED, True), (Verdict.FAILED, False)]
)
def test_json_says_whether_anything_failed(verdict: Verdict, passed: bool) -> None:
    found = json.loads(as_json([outcome(verdict)]))
    assert found["passed"] is (verdict is not Verdict.FAILED)
    assert found["checks"][0]["verdict"] == verdict.value


def test_checks_are_chosen_by_pattern() -> None:
    assert {check.name for check in choose(["tls-*"])} < {check.name for check in CHECKS}
    assert [check.name for check in choose(["alert"])] == ["alert"]
    assert choose(["nothing"]) == []
    assert len(choose([])) == len(CHECKS)


def test_every_check_has_a_name_of_its_own_and_says_what_it_proves() -> None:
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    assert all(check.proves for check in CHECKS)
