"""What is wrong in the section `auth` is said before anybody logs in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from modelward_agent.settings import SettingsError
from modelward_collector.auth.settings import AuthSettings
from modelward_collector.config import load_config

LDAP: dict[str, Any] = {
    "urls": ["ldaps://ldap.example.org"],
    "bind_dn": "cn=modelward,dc=example,dc=org",
    "bind_password_file": "bind",
    "user_base_dn": "ou=people,dc=example,dc=org",
    "group_base_dn": "ou=groups,dc=example,dc=org",
    "groups": {"admin": ["cn=admins,ou=groups,dc=example,dc=org"]},
}


def loaded(folder: Path, ldap: dict[str, Any] | None = None, **auth: Any) -> AuthSettings:
    for name, secret in (("bind", "secret"), ("key", "k" * 64), ("short", "k" * 31), ("password", "p")):
        (folder / name).write_text(secret)
        (folder / name).chmod(0o600)
    section = {"ldap": {**LDAP, **(ldap or {})}, "session": {"key_file": "key"}, **auth}
    section["ldap"] = {name: value for name, value in section["ldap"].items() if value is not None}
    path = folder / "collector.yml"
    path.write_text(yaml.safe_dump({"auth": section}))
    config = load_config(path, {}).auth
    assert config is not None
    return config


def wrong(folder: Path, ldap: dict[str, Any] | None = None, **auth: Any) -> str:
    with pytest.raises(SettingsError) as error:
        loaded(folder, ldap, **auth)
    return "\n".join(error.value.lines)


def test_without_the_section_nobody_logs_in(tmp_path: Path) -> None:
    path = tmp_path / "collector.yml"
    path.write_text("")
    assert load_config(path, {}).auth is None


def test_the_least_that_is_needed_is_enough(tmp_path: Path) -> None:
    auth = loaded(tmp_path)
    assert auth.ldap.user_filter == "(uid={username})"
    assert auth.session.idle.total_seconds() == 15 * 60
    assert auth.kibana is None


@pytest.mark.parametrize(
    ("ldap", "said"),
    [
        ({"urls": ["ldap://ldap.example.org"]}, "would send passwords in the clear; write ldaps://, or set start_tls"),
        ({"start_tls": True}, "is TLS from the start; write ldap://, or set start_tls: false"),
        ({"urls": ["https://ldap.example.org"]}, "is not the URL of a directory"),
        ({"urls": ["ldaps://"]}, "is not the URL of a directory"),
        ({"urls": ["ldaps://host:port"]}, "is not the URL of a directory"),
        ({"urls": []}, "auth.ldap.urls"),
        ({"bind_password_file": None}, "bind_dn and bind_password_file belong together"),
        ({"user_dn_template": "uid={username},dc=x"}, "give bind_dn (a service account), or user_dn_template"),
        ({"bind_dn": None, "bind_password_file": None}, "give bind_dn (a service account), or user_dn_template"),
        ({"user_filter": "(uid=ada)"}, "lacks {username}; without it everyone would match"),
        ({"user_filter": "(uid={user})"}, "has {user}; here only {username} can stand"),
        ({"user_filter": "(uid={username.__class__})"}, "has {username.__class__}"),
        ({"group_filter": "(member={dn})"}, "has {dn}; here only {user_dn} and {username} can stand"),
        ({"user_filter": "(uid={username"}, "is no template"),
        ({"groups": {}}, "no group is named, so nobody could log in"),
        ({"groups": {"admin": ["admins"]}}, '"admins" is no distinguished name'),
        ({"bind_password_file": "missing"}, "is not a file"),
        ({"ca_file": "missing"}, "is not a file"),
    ],
)
def test_what_cannot_work_is_said_with_its_fix(tmp_path: Path, ldap: dict[str, Any], said: str) -> None:
    message = wrong(tmp_path, ldap)
    assert said in message
    assert "auth.ldap" in message


def test_people_may_bind_directly(tmp_path: Path) -> None:
    direct = {"bind_dn": None, "bind_password_file": None, "user_dn_template": "{username}@example.org"}
    assert loaded(tmp_path, direct).ldap.bind_dn is None


def test_a_key_that_could_be_guessed_is_refused(tmp_path: Path) -> None:
    assert "holds fewer than 32 characters; run: openssl rand -hex 32" in wrong(tmp_path, session={"key_file": "short"})


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    loaded(tmp_path)
    (tmp_path / "key").chmod(0o644)
    path = tmp_path / "collector.yml"
    with pytest.raises(SettingsError, match="can be read by everyone on this host; run: chmod 600"):
        load_config(path, {})


def test_a_session_cannot_be_idle_for_longer_than_it_lasts(tmp_path: Path) -> None:
    session = {"key_file": "key", "idle": "2h", "absolute": "1h"}
    assert "idle is not above zero and at most absolute" in wrong(tmp_path, session=session)


def test_kibanas_users_need_what_they_need(tmp_path: Path) -> None:
    assert "users: shared needs viewer_password_file" in wrong(tmp_path, kibana={})
    assert "users: personal needs urls, username and password_file" in wrong(tmp_path, kibana={"users": "personal"})
    shared = {f"{role}_password_file": "password" for role in ("viewer", "editor", "admin")}
    assert loaded(tmp_path, kibana=shared).kibana is not None


def test_no_message_shows_a_secret(tmp_path: Path) -> None:
    assert "kkkk" not in wrong(tmp_path, session={"key_file": "short"})
