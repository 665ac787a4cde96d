"""Who hears of what: Alertmanager's own tool on the configuration that the appliance renders."""

from __future__ import annotations

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from tests.servers.appliance import Rendered

pytestmark = pytest.mark.server("alertmanager")

HOSTS = "modelward.example.org"
EVERY_CHANNEL = {
    f"MODELWARD_{who}_{what}": value
    for who in ("EXECUTIVE", "MANAGEMENT", "TEAM")
    for what, value in (
        ("EMAILS", f"{who.lower()}@example.org,second@example.org"),
        ("WEBHOOKS", "https://hooks.example.org/a?b=c&d='e'"),
        ("SLACK_CHANNEL", f"#{who.lower()}"),
    )
}
SITE_FILES = {
    "smtp-password": "a'b\"c: #{{d}} $e",
    **{f"slack-{who}-url": "https://hooks.slack.com/services/x" for who in ("executive", "management", "team")},
    **{f"pagerduty-{who}-key": "0123456789abcdef" for who in ("executive", "management", "team")},
}
MAIL = {
    "MODELWARD_SMTP_HOST": "mail.example.org",
    "MODELWARD_SMTP_FROM": "modelward@example.org",
    "MODELWARD_SMTP_USERNAME": "modelward",
}


def rendered(folder: Path, files: dict[str, str] | None = None, /, **variables: str) -> Path:
    appliance = Rendered(folder / "appliance", files, MODELWARD_HOSTS=HOSTS, COMPOSE_PROFILES="openldap", **variables)
    return appliance.folder("alertmanager") / "alertmanager.yml"


def amtool(*arguments: str | Path) -> str:
    done = subprocess.run(["amtool", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that can be configured is."""
    quiet = {"MODELWARD_QUIET_DAYS": "friday,sunday", "MODELWARD_TIME_ZONE": "Europe/Berlin"}
    hooks = {
        "MODELWARD_TEST_WEBHOOK": "https://hooks.example.org/t",
        "MODELWARD_HEARTBEAT_WEBHOOK": "https://beat.example.org",
    }
    return rendered(tmp_path_factory.mktemp("full"), SITE_FILES, **EVERY_CHANNEL, **MAIL, **quiet, **hooks)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nobody is configured to hear anything."""
    return rendered(tmp_path_factory.mktemp("bare"))


# -- is it accepted ------------------------------------------------------------------------------------------------
def test_everything_at_once_is_accepted(full: Path) -> None:
    assert "SUCCESS" in amtool("check-config", full)
    receivers = {one["name"]: one for one in yaml.safe_load(full.read_text())["receivers"]}
    assert set(receivers["team-page"]) == {
        "name",
        "email_configs",
        "webhook_configs",
        "slack_configs",
        "pagerduty_configs",
    }
    assert [one["to"] for one in receivers["team"]["email_configs"]] == ["team@example.org", "second@example.org"]
    assert receivers["team"]["webhook_configs"][0]["url"] == "https://hooks.example.org/a?b=c&d='e'"
    assert yaml.safe_load(full.read_text())["global"]["smtp_auth_password"] == SITE_FILES["smtp-password"]


def test_only_who_must_act_now_is_paged(full: Path) -> None:
    receivers = yaml.safe_load(full.read_text())["receivers"]
    paged = {one["name"] for one in receivers if "pagerduty_configs" in one}
    assert paged == {"executive", "management", "team-page"}


def test_nobody_configured_is_accepted_and_nobody_is_told(bare: Path) -> None:
    assert "SUCCESS" in amtool("check-config", bare)
    receivers = yaml.safe_load(bare.read_text())["receivers"]
    assert [one["name"] for one in receivers if len(one) > 1] == ["verify"]


def test_a_mail_server_without_a_login_or_tls_is_accepted(tmp_path: Path) -> None:
    file = rendered(
        tmp_path,
        MODELWARD_SMTP_HOST="mail.example.org",
        MODELWARD_SMTP_FROM="modelward@example.org",
        MODELWARD_SMTP_START_TLS="false",
        MODELWARD_TEAM_EMAILS="team@example.org",
    )
    assert "SUCCESS" in amtool("check-config", file)
    assert "smtp_auth_username" not in yaml.safe_load(file.read_text())["global"]


# -- who hears -----------------------------------------------------------------------------------------------------
OF_A_MODEL = ("availability", "errors", "latency", "drift", "quality", "performance", "forecast", "logs", "check")
OF_THE_APPLIANCE = (
    "delivery",
    "agent",
    "store",
    "service",
    "certificate",
    "backup",
    "host",
    "monitor",
    "probe",
    "configuration",
)
KINDS = dict.fromkeys(OF_A_MODEL, "fraud") | dict.fromkeys(OF_THE_APPLIANCE, "")
"""Each kind of alert with the model that it is about."""

HEAR: dict[tuple[str, str], list[str]] = {
    ("1", "executive"): ["executive", "management", "team-page"],
    ("1", "management"): ["executive", "management", "team-page"],
    ("1", "team"): ["executive", "management", "team-page"],
    ("1", "platform"): ["executive", "management", "team-page"],
    ("2", "executive"): ["executive-digest", "management", "team-page"],
    ("2", "management"): ["management", "team-page"],
    ("2", "team"): ["management", "team-page"],
    ("2", "platform"): ["management", "team-page"],
    ("3", "executive"): ["executive-digest", "team"],
    ("3", "management"): ["team"],
    ("3", "team"): ["team"],
    ("3", "platform"): ["team"],
    ("4", "executive"): ["executive-digest", "team"],
    ("4", "management"): ["team"],
    ("4", "team"): ["team"],
    ("4", "platform"): ["team"],
}


def receivers(file: Path, **labels: str) -> list[str]:
    said = amtool("config", "routes", "test", f"--config.file={file}", *(f"{k}={v}" for k, v in labels.items() if v))
    return said.strip().split(",")


@pytest.mark.parametrize(("severity", "stakeholder"), HEAR)
def test_by_severity_and_stakeholder(full: Path, severity: str, stakeholder: str) -> None:
    labels = {"alertname": "X", "severity": severity, "stakeholder": stakeholder, "team": "risk"}
    with ThreadPoolExecutor(4) as pool:
        heard = {kind: pool.submit(receivers, full, kind=kind, model=model, **labels) for kind, model in KINDS.items()}
    assert {kind: answer.result() for kind, answer in heard.items()} == dict.fromkeys(
        KINDS, HEAR[severity, stakeholder]
    )


@pytest.mark.parametrize(("severity", "own"), [("1", "owner"), ("2", "owner"), ("3", "owner"), ("4", "owner")])
def test_an_owner_that_is_an_address_is_written_to_besides(full: Path, severity: str, own: str) -> None:
    heard = receivers(full, alertname="ModelDrift", severity=severity, stakeholder="team", team="risk@example.org")
    expected = HEAR[(severity, "team")]
    assert heard == [*expected[:-1], own, expected[-1]]


@pytest.mark.parametrize("team", ["risk", "risk@", "a@b,c@d", "Risk <risk@example.org>"])
def test_an_owner_that_is_no_address_is_not_written_to(full: Path, team: str) -> None:
    assert "owner" not in receivers(full, alertname="ModelDrift", severity="3", stakeholder="team", team=team)


def test_test_alerts_and_the_heartbeat_reach_nobody_else(full: Path) -> None:
    assert receivers(full, alertname="X", verify="true", severity="1", stakeholder="executive") == ["verify"]
    heartbeat = {"alertname": "DeadMansSwitch", "kind": "heartbeat", "severity": "4", "stakeholder": "platform"}
    assert receivers(full, **heartbeat) == ["heartbeat"]


# -- when ----------------------------------------------------------------------------------------------------------
def test_a_quiet_night_that_begins_on_a_friday_ends_on_the_saturday(full: Path) -> None:
    intervals = yaml.safe_load(full.read_text())["time_intervals"][0]["time_intervals"]
    assert [(one["weekdays"], one["times"][0], one["location"]) for one in intervals] == [
        (["friday", "sunday"], {"start_time": "22:00", "end_time": "24:00"}, "Europe/Berlin"),
        (["saturday", "monday"], {"start_time": "00:00", "end_time": "06:00"}, "Europe/Berlin"),
    ]


def test_quiet_hours_of_one_day_are_one_interval(tmp_path: Path) -> None:
    hours = {"MODELWARD_QUIET_DAYS": "saturday", "MODELWARD_QUIET_FROM": "09:00", "MODELWARD_QUIET_TO": "17:30"}
    file = rendered(tmp_path, **hours)
    assert "SUCCESS" in amtool("check-config", file)
    (interval,) = yaml.safe_load(file.read_text())["time_intervals"][0]["time_intervals"]
    assert interval["times"] == [{"start_time": "09:00", "end_time": "17:30"}]


def test_the_worse_it_is_the_sooner_and_the_more_often_it_is_said(full: Path) -> None:
    config = yaml.safe_load(full.read_text())["route"]
    team = next(route for route in config["routes"] if route["receiver"] == "team")["routes"]
    assert [route["matchers"] for route in team] == [[f'severity="{n}"'] for n in "1234"]
    assert [route["group_wait"] for route in team] == ["5s", "15s", "2m", "10m"]
    assert [route["repeat_interval"] for route in team] == ["1h", "4h", "1d", "3d"]
    assert ["mute_time_intervals" in route for route in team] == [False, False, True, True]


def test_no_text_of_the_site_can_end_a_template(tmp_path: Path) -> None:
    file = rendered(tmp_path, MODELWARD_SITE_NAME='{{ end }} "quoted" <b>')
    amtool("check-config", file)
    shown = amtool(
        "template",
        "render",
        f"--template.glob={file.parent}/templates/*.tmpl",
        '--template.text={{ template "modelward.name" . }}',
    )
    assert shown.strip().endswith('{{ end }} "quoted" <b>')


def test_the_notification_of_every_severity_renders_in_every_form(full: Path, tmp_path: Path) -> None:
    data = tmp_path / "data.json"
    for severity in "1234":
        for status in ("firing", "resolved"):
            alert = {
                "status": status,
                "labels": {"alertname": "ModelDrift", "severity": severity, "model": "a/b <i>", "team": "risk"},
                "annotations": {
                    "summary": "2 drifting features",
                    "description": "What it is asked differs.",
                    "runbook_url": "/runbooks/ModelDrift",
                    "dashboard": "d/modelward-model?var-model=a%2Fb",
                },
                "startsAt": "2026-11-21T10:00:00Z",
                "endsAt": "2026-11-21T12:00:00Z",
            }
            common = {"commonLabels": alert["labels"], "commonAnnotations": alert["annotations"]}
            data.write_text(json.dumps({"status": status, "alerts": [alert], **common}))
            for name in (
                "subject",
                "slack.text",
                "slack.color",
                "pagerduty.severity",
                "link",
                "email.text",
                "email.html",
            ):
                form = ["--template.type=html"] if name == "email.html" else []
                shown = amtool(
                    "template",
                    "render",
                    f"--template.glob={full.parent}/templates/*.tmpl",
                    f"--template.data={data}",
                    *form,
                    f'--template.text={{{{ template "modelward.{name}" . }}}}',
                )
                assert shown.strip()
                if name in ("link", "slack.text", "email.text", "email.html"):
                    until = "now" if status == "firing" else "1795263000000"
                    address = f"https://{HOSTS}:3000/d/modelward-model?var-model=a%2Fb&from=1795251600000&to={until}"
                    assert address in shown.replace("&amp;", "&")
                if name in ("slack.text", "email.text", "email.html"):
                    assert f"https://{HOSTS}/runbooks/ModelDrift" in shown
                if name == "email.html":
                    assert "<i>" not in shown
