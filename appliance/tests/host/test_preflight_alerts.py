"""Before a deploy: does anybody hear of alerts?"""

from __future__ import annotations

from pathlib import Path

import pytest

from modelward_appliance.host.environment import Environment
from modelward_appliance.host.findings import Level
from modelward_appliance.host.preflight import Preflight


def finding(folder: Path, **variables: str) -> tuple[Level, str, str]:
    environment = Environment(folder / ".env", {"MODELWARD_STATE": str(folder / "state"), **variables})
    (found,) = Preflight(environment)._alerts()
    return found.level, found.seen, found.fix


def test_when_nobody_is_named_it_says_so_and_which_variable_would_change_it(tmp_path: Path) -> None:
    level, seen, fix = finding(tmp_path, MODELWARD_TEAM_EMAILS="", MODELWARD_SMTP_HOST="mail.example.org")
    assert level is Level.WARNING
    assert "nobody will be told" in seen
    assert "MODELWARD_TEAM_EMAILS" in fix


@pytest.mark.parametrize("name", ["TEAM_EMAILS", "EXECUTIVE_WEBHOOKS", "MANAGEMENT_SLACK_CHANNEL"])
def test_one_who_is_told_is_enough(tmp_path: Path, name: str) -> None:
    assert finding(tmp_path, **{f"MODELWARD_{name}": "x"})[0] is Level.OK


def test_a_pagerduty_key_is_enough(tmp_path: Path) -> None:
    (tmp_path / "state" / "site").mkdir(parents=True)
    (tmp_path / "state" / "site" / "pagerduty-team-key").write_text("key")
    level, seen, _ = finding(tmp_path)
    assert level is Level.OK
    assert "pagerduty-team-key" in seen
