"""Variables and the files of the site become settings; what is wrong is said at once, each with its fix."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.tests.sites import DIRECTORY, example, place
from modelward_agent.settings import SettingsError
from modelward_appliance.context import context
from modelward_appliance.services import BY_NAME
from modelward_appliance.settings import NOT_OURS, PREFIX, Settings, load_site


def errors(tmp_path: Path, **variables: str) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        load_site({**DIRECTORY, **variables}, tmp_path)
    return raised.value.lines


def test_the_example_is_valid_and_names_every_variable(tmp_path: Path) -> None:
    site = load_site(example(), tmp_path)
    assert site.settings.hosts == ("localhost",)
    ours = {PREFIX + name.upper() for name in Settings.model_fields}
    # Where Elasticsearch keeps things is the image's to say; only bare metal sets it.
    assert ours - set(example()) == {f"{PREFIX}ELASTICSEARCH_{name}" for name in ("DATA", "LOGS", "SNAPSHOTS")}
    assert {name for name in example() if name.startswith(PREFIX)} <= ours | NOT_OURS


def test_defaults_in_the_example_are_those_of_the_settings(tmp_path: Path) -> None:
    given = load_site(example(), tmp_path).settings
    alone = load_site({"MODELWARD_HOSTS": "localhost", "COMPOSE_PROFILES": "openldap"}, tmp_path).settings
    assert given == alone


def test_every_error_is_said_at_once(tmp_path: Path) -> None:
    found = errors(
        tmp_path,
        MODELWARD_HOSTS="model ward!",
        MODELWARD_PORT="99999",
        MODELWARD_LDAP_URLS="ldap://ldap.example.org",
        MODELWARD_QUIET_DAYS="caturday",
        MODELWARD_TIME_ZONE="Europe/Berln",
        MODELWARD_HOLIDAYS="2026-12-25,26.12.2026",
        MODELWARD_TEAM_EMAILS="team",
        MODELWARD_SMPT_HOST="mail.example.org",
        COMPOSE_PROFILES="kibanna",
    )
    lines = """
        COMPOSE_PROFILES: "kibanna" is not known; write some of grafana, kibana, logstash, openldap, scale, tools
        MODELWARD_HOSTS[1]: "ward!" is not a host name; write for example modelward.example.org
        MODELWARD_PORT: "99999" is above 65535; write a value of at most 65535
        MODELWARD_TIME_ZONE: "Europe/Berln" is not a time zone; write for example Europe/Berlin
        MODELWARD_HOLIDAYS[1]: "26.12.2026" is not a date; write for example 2026-12-25
        MODELWARD_TEAM_EMAILS[0]: "team" is not an e-mail address; write for example ml-team@example.org
        MODELWARD_QUIET_DAYS[0]: "caturday" is not a day; write for example monday,tuesday
        MODELWARD_SMPT_HOST: is not a key here; did you mean MODELWARD_SMTP_HOST?
        MODELWARD_LDAP_URLS: "ldap://ldap.example.org" sends passwords in the clear; use ldaps://, or MODELWARD_LDAP_START_TLS=true
    """  # noqa: E501 - as they are printed
    assert found == [f"modelward: .env: {line.strip()}" for line in lines.strip().splitlines()]


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"MODELWARD_LDAP_URLS": ""}, "MODELWARD_LDAP_URLS: is missing"),
        ({"MODELWARD_LDAP_URLS": "https://ldap"}, "is not an LDAP URL"),
        ({"MODELWARD_LDAP_URLS": "ldaps://user@ldap"}, "is not an LDAP URL"),
        ({"MODELWARD_LDAP_BASE_DN": ""}, "MODELWARD_LDAP_BASE_DN: is missing"),
        ({"MODELWARD_LDAP_BASE_DN": "example.org"}, "is not a distinguished name"),
        ({"MODELWARD_LDAP_ADMIN_GROUPS": ""}, "MODELWARD_LDAP_ADMIN_GROUPS: is missing"),
        ({"MODELWARD_LDAP_USER_DN_TEMPLATE": ""}, "MODELWARD_LDAP_BIND_DN: is missing"),
        ({"MODELWARD_LDAP_USER_DN_TEMPLATE": "uid=me"}, "has no {username}"),
        ({"MODELWARD_LDAP_USER_FILTER": "(uid=me)"}, "has no {username}"),
        ({"MODELWARD_LDAP_GROUP_FILTER": "(member=me)"}, "has neither {user_dn} nor {username}"),
        (
            {"MODELWARD_LDAP_BIND_DN": "cn=a,dc=b", "MODELWARD_LDAP_USER_DN_TEMPLATE": ""},
            "needs the file site/ldap-bind-password",
        ),
        ({"MODELWARD_SMTP_HOST": "mail"}, "MODELWARD_SMTP_FROM: is missing"),
        (
            {"MODELWARD_SMTP_HOST": "mail", "MODELWARD_SMTP_FROM": "a@b", "MODELWARD_SMTP_USERNAME": "a"},
            "needs the file site/smtp-password",
        ),
        ({"MODELWARD_TEAM_EMAILS": "a@b.example"}, "MODELWARD_TEAM_EMAILS: needs a mail server"),
        ({"MODELWARD_TEAM_SLACK_CHANNEL": "#ml"}, "needs the file site/slack-team-url"),
        ({"MODELWARD_QUIET_FROM": "24:00"}, "is not a time of the day"),
        ({"MODELWARD_RETENTION_EVENTS": "30 parsecs"}, "is not a duration"),
        ({"MODELWARD_ADDRESS_ELASTIC": "10.0.0.1:9200"}, "MODELWARD_ADDRESS_ELASTIC: is no service"),
        ({"MODELWARD_ADDRESS_KIBANA": "10.0.0.1"}, "is not an address; write for example 10.0.0.5:9200"),
        ({"MODELWARD_SITE_NAME": "a\x1bb"}, "has a line break or control character"),
    ],
)
def test_what_cannot_be_is_refused_with_the_fix(tmp_path: Path, variables: dict[str, str], said: str) -> None:
    found = errors(tmp_path, **variables)
    assert len(found) == 1, found
    assert said in found[0]


def test_half_of_an_own_certificate_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tls.crt").write_text("…")
    assert errors(tmp_path) == [
        "modelward: .env: site/tls.crt: is there without site/tls.key; put the pair there, or neither"
    ]


def test_links_leave_out_the_port_that_https_has_anyway(tmp_path: Path) -> None:
    site = load_site({**DIRECTORY, "MODELWARD_GRAFANA_PORT": "8443"}, tmp_path)
    seen = context(site, BY_NAME["grafana"], "/etc/modelward")["site"]
    assert seen["url"] == "https://modelward.example.org"
    assert seen["grafana_url"] == "https://modelward.example.org:8443"
    assert seen["ingest_url"] == "https://modelward.example.org:9243"


def test_active_directory_has_its_own_filters_and_walks_groups_of_groups(tmp_path: Path) -> None:
    site = load_site({**DIRECTORY, "MODELWARD_LDAP_DIRECTORY": "active-directory"}, tmp_path)
    ldap = context(site, BY_NAME["collector"], "/c")["ldap"]
    assert ldap["active_directory"] is True
    assert ldap["nested_groups"] is True
    assert ldap["user_attribute"] == "sAMAccountName"
    assert "userAccountControl" in ldap["user_filter"]
    assert ldap["groups"]["admin"] == ["cn=ops,ou=groups,dc=example,dc=org", "cn=ml,dc=example,dc=org"]
    assert ldap["bind_dn"] is None
    assert ldap["bind_password_file"] is None


def test_without_a_directory_people_are_those_of_the_development_one(tmp_path: Path) -> None:
    ldap = context(load_site(example(), tmp_path), BY_NAME["collector"], "/c")["ldap"]
    assert ldap["urls"] == ["ldaps://openldap:1636"]
    assert ldap["ca_file"] == "/c/tls/ca.crt"


def test_a_service_may_be_elsewhere(tmp_path: Path) -> None:
    site = load_site({**DIRECTORY, "MODELWARD_ADDRESS_NODE_EXPORTER": "[fd00::1]:9101"}, tmp_path)
    assert context(site, BY_NAME["agent"], "/c")["services"]["node_exporter"] == {"host": "fd00::1", "port": 9101}


def test_receivers_are_what_variables_and_files_say(tmp_path: Path) -> None:
    made = place(tmp_path)
    (made.state / "site").mkdir()
    for name in ("slack-team-url", "pagerduty-management-key", "smtp-password"):
        (made.state / "site" / name).write_text("x")
    site = made.site(
        MODELWARD_SMTP_HOST="mail.example.org",
        MODELWARD_SMTP_FROM="modelward@example.org",
        MODELWARD_SMTP_USERNAME="modelward",
        MODELWARD_TEAM_EMAILS="a@example.org, b@example.org",
        MODELWARD_TEAM_SLACK_CHANNEL="#ml",
        MODELWARD_QUIET_DAYS="saturday,sunday",
    )
    alerting = context(site, BY_NAME["alertmanager"], "/c")["alerting"]
    assert alerting["smtp"]["password_file"] == "/c/secrets/smtp-password"
    assert alerting["team"]["emails"] == ["a@example.org", "b@example.org"]
    assert alerting["team"]["slack_url_file"] == "/c/secrets/slack-team-url"
    assert alerting["management"]["pagerduty_key_file"] == "/c/secrets/pagerduty-management-key"
    assert alerting["executive"]["slack_url_file"] is None
    assert alerting["quiet_hours"] == {
        "days": ["saturday", "sunday"],
        "from": "22:00",
        "to": "06:00",
        "time_zone": "UTC",
    }
