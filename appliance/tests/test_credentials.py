"""Secrets are made once, are for their owner alone, and go to the services that name them."""

from __future__ import annotations

import base64
import stat
from pathlib import Path

from modelward_appliance.credentials import SECRETS, SITE_SECRETS, Credentials, handed_to
from modelward_appliance.elasticsearch_users import USERS
from modelward_appliance.services import BY_NAME
from modelward_appliance.settings import SiteFiles


def test_each_is_made_once(tmp_path: Path) -> None:
    made = Credentials(tmp_path)
    assert len(made.changes) == len(SECRETS)
    again = Credentials(tmp_path)
    assert again.changes == []
    assert {name: again[name] for name in SECRETS} == {name: made[name] for name in SECRETS}


def test_each_is_its_own_and_long_enough(tmp_path: Path) -> None:
    made = Credentials(tmp_path)
    values = [made[name] for name in SECRETS]
    assert len(set(values)) == len(values)
    assert min(len(value) for value in values) >= 32
    assert len(base64.b64decode(made["backup-key"])) == 32


def test_they_are_for_their_owner_alone_and_not_shown(tmp_path: Path) -> None:
    made = Credentials(tmp_path)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    assert not any(made[name] in repr(made) for name in SECRETS)


def test_one_that_everybody_could_read_is_closed_again(tmp_path: Path) -> None:
    Credentials(tmp_path)
    (tmp_path / "backup-key").chmod(0o644)
    Credentials(tmp_path)
    assert stat.S_IMODE((tmp_path / "backup-key").stat().st_mode) == 0o600


def test_one_that_was_emptied_by_a_full_disk_is_made_anew(tmp_path: Path) -> None:
    Credentials(tmp_path)
    (tmp_path / "collector-api-key").write_text("")
    assert Credentials(tmp_path).changes == ["secrets/collector-api-key: made"]


def test_a_service_gets_its_own_and_no_others(tmp_path: Path) -> None:
    made = Credentials(tmp_path)
    site = SiteFiles(tmp_path / "site")
    handed = handed_to("agent", made, site, development_directory=False)
    assert handed == {name: made[name] for name in ("elasticsearch-agent-password", "agent-metrics-password")}
    assert {name for secret in SECRETS.values() for name in secret.services} <= set(BY_NAME)
    assert {name for services in SITE_SECRETS.values() for name in services} <= set(BY_NAME)


def test_every_user_of_elasticsearch_has_a_password_and_every_password_a_user() -> None:
    assert {name for name in SECRETS if name.startswith("elasticsearch-")} == set(USERS.values())


def test_a_password_of_the_operator_may_have_any_character(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "secrets").mkdir()
    password = '  $HOME `x` "quo\'ted" #% ü\\n '
    (tmp_path / "site" / "ldap-bind-password").write_text(f"{password}\n")
    made = Credentials(tmp_path / "secrets")
    handed = handed_to("collector", made, SiteFiles(tmp_path / "site"), development_directory=False)
    assert handed["ldap-bind-password"] == password


def test_the_development_directory_has_a_password_of_ours(tmp_path: Path) -> None:
    made = Credentials(tmp_path)
    handed = handed_to("grafana", made, SiteFiles(tmp_path / "site"), development_directory=True)
    assert handed["ldap-bind-password"] == made["openldap-bind-password"]
