"""What a verdict was judged by, and how verdicts by earlier settings stand back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from collector.tests.console_fixture import FLIGHTS, Filled, app_of
from modelward_agent.profile import Profile
from modelward_agent.profile.profile import ProfileKey
from modelward_agent.profile.reference import write_reference
from modelward_agent.profile.wire import to_document
from modelward_collector.checks.basis import basis_of
from modelward_collector.checks.result import CheckKind, CheckResult, Status
from modelward_collector.console.links import Links
from modelward_collector.models import ModelSpec


def basis(check: CheckKind = CheckKind.DRIFT, **spec: Any) -> str:
    return basis_of(ModelSpec.model_validate({"model": "m", **spec}), check)


def test_who_owns_a_model_and_when_it_is_checked_are_no_matter() -> None:
    assert re.fullmatch("[0-9a-f]{12}", basis())
    assert basis(owner="risk@example.org", tier=1) == basis()
    assert basis(checks={"drift": {"every": "5m"}}) == basis(checks={"drift": {"cron": "0 6 * * *"}}) == basis()
    assert basis(checks={"quality": {"freshness": "1h"}}) == basis()
    bounded: dict[str, Any] = {"features": {"x": {"type": "numeric", "max": 1}}}
    assert basis(**bounded) == basis(features={"x": {"type": "numeric"}})
    assert basis(CheckKind.QUALITY, **bounded) != basis(CheckKind.QUALITY, features={"x": {"type": "numeric"}})


@pytest.mark.parametrize(
    "spec",
    [
        {"features": {"x": {"type": "categorical"}}},
        {"task": "regression"},
        {"output": {"labels": "loose"}},
        {"reference": {"window": "7d"}},
        {"timezone": "Europe/Berlin"},
        {"checks": {"drift": {"ignore": ["x"]}}},
        {"checks": {"drift": {"min_rows": 7}}},
    ],
)
def test_what_verdicts_depend_on_changes_it(spec: dict[str, Any]) -> None:
    assert basis(**spec) != basis()


def test_another_reference_file_changes_it(tmp_path: Path) -> None:
    path = tmp_path / "m.profile.jsonl"
    key = ProfileKey("reference", "m", "", (), 0, 86_400)
    write_reference(path, [to_document(key, Profile(), part="1")])
    reference = {"path": str(path)}
    before = basis(reference=reference)
    assert basis(reference=reference) == before
    write_reference(path, [to_document(key, Profile(), part="another")])
    assert basis(reference=reference) != before
    spec = ModelSpec.model_validate({"model": "m", "reference": reference})
    path.unlink()
    assert basis_of(spec, CheckKind.DRIFT) != before


def test_a_result_keeps_it(tmp_path: Path) -> None:
    from collector.tests.store_documents import result

    made = replace(result(), basis="abc")
    assert CheckResult.from_document(made.to_document()) == made
    old = {name: value for name, value in made.to_document().items() if name != "basis"}
    assert CheckResult.from_document(old).basis == ""


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[Filled]:
    made = Filled(tmp_path / "store.db", days=4, extra=0)
    yield made
    made.store.close()


def test_a_false_verdict_of_settings_that_were_mended_stands_back(filled: Filled) -> None:
    def page() -> str:
        with TestClient(app_of(filled.context()), base_url="http://collector.test") as client:
            return str(client.get(Links().model(FLIGHTS)).text)

    assert "by earlier settings" not in page()
    latest = [one for one in filled.store.latest_results() if one.model == FLIGHTS and one.check is CheckKind.DRIFT]
    assert latest
    for one in latest:
        flagged = tuple(replace(finding, status=Status.CRITICAL) for finding in one.findings)
        filled.store.save_result(replace(one, findings=flagged, basis="0" * 12))
    shown = page()
    assert 'class="otherwise"' in shown
    assert "by earlier settings" in shown
    assert "judged by other settings or another reference than now" in shown
