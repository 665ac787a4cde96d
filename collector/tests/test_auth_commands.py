"""`modelward check-ldap` and `modelward revoke-sessions`, on a real directory."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelward_collector.auth.revocations import Revocations
from modelward_collector.auth.role import Role
from modelward_collector.auth.session import Session
from modelward_collector.cli import main
from modelward_collector.store.sqlite import SqliteStore
from tests.servers.certificates import Authority
from tests.servers.ports import free_port
from tests.servers.slapd import GROUPS, PEOPLE, SERVICE, SERVICE_PASSWORD, Slapd, cn, group, person, uid

pytestmark = pytest.mark.server("slapd")

PASSWORD = "right"
TREE: dict[str, Any] = {
    uid("vera"): person("vera", PASSWORD, full_name="Vera Viewer"),
    uid("otto"): person("otto", PASSWORD),
    cn("viewers"): group(uid("vera")),
}


@pytest.fixture(scope="module")
def server(authority: Authority) -> Iterator[Slapd]:
    with Slapd(authority, tree=TREE) as running:
        yield running


@pytest.fixture
def config(server: Slapd, tmp_path: Path) -> Path:
    for name, secret in (("bind", SERVICE_PASSWORD), ("key", "k" * 64), ("right", PASSWORD), ("wrong", "x")):
        (tmp_path / name).write_text(secret)
        (tmp_path / name).chmod(0o600)
    write(tmp_path, server)
    return tmp_path / "collector.yml"


def write(folder: Path, server: Slapd, **ldap: Any) -> None:
    section = {
        "urls": [server.ldaps_url],
        "ca_file": str(server.ca),
        "bind_dn": SERVICE,
        "bind_password_file": "bind",
        "user_base_dn": PEOPLE,
        "group_base_dn": GROUPS,
        "groups": {"viewer": [cn("viewers")]},
        **ldap,
    }
    auth = {"ldap": section, "session": {"key_file": "key"}}
    (folder / "collector.yml").write_text(yaml.safe_dump({"auth": auth}))


def test_it_says_who_someone_is_and_comes_in_as(
    config: Path, server: Slapd, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check-ldap", "vera", "--config", str(config)]) == 0
    url = server.ldaps_url
    assert capsys.readouterr().out.splitlines() == [
        f"{url}: its certificate is trusted, and {SERVICE} may bind",
        f"{url}: vera found: {uid('vera')}",
        f"{url}: vera: name Vera Viewer, mail vera@example.org, groups 1",
        f"  {cn('viewers')}",
        f"{url}: vera comes in as viewer",
    ]


def test_without_a_user_it_says_that_the_directory_can_be_asked(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check-ldap", "--config", str(config)]) == 0
    assert "may bind" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["otto"], "would not be let in"),
        (["nobody"], 'there is no one "nobody" below'),
        (["vera", "--password-file", "wrong"], '"vera" is refused: Invalid credentials'),
    ],
)
def test_who_would_not_be_let_in_is_said_and_fails(
    config: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(config.parent)
    assert main(["check-ldap", *arguments, "--config", str(config)]) == 1
    assert said in capsys.readouterr().out


def test_a_password_from_a_file_is_tried_and_not_shown(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    password = config.parent / "right"
    assert main(["check-ldap", "vera", "--password-file", str(password), "--config", str(config)]) == 0
    out = capsys.readouterr().out
    assert "vera logged in" in out
    assert PASSWORD not in out.replace("bright", "")


def test_a_group_that_is_not_there_is_named(config: Path, server: Slapd, capsys: pytest.CaptureFixture[str]) -> None:
    write(config.parent, server, groups={"viewer": [cn("viewers")], "admin": [cn("typo")]})
    assert main(["check-ldap", "vera", "--config", str(config)]) == 1
    assert f"there is no group {cn('typo')}" in capsys.readouterr().out


def test_each_server_is_looked_at_for_itself(config: Path, server: Slapd, capsys: pytest.CaptureFixture[str]) -> None:
    dead = f"ldaps://127.0.0.1:{free_port()}"
    write(config.parent, server, urls=[dead, server.ldaps_url])
    assert main(["check-ldap", "vera", "--config", str(config)]) == 1
    out = capsys.readouterr().out
    assert f"{dead}: no connection (Connection refused)" in out
    assert "vera comes in as viewer" in out


def test_with_direct_binds_the_certificate_is_looked_at(
    config: Path, server: Slapd, capsys: pytest.CaptureFixture[str]
) -> None:
    template = f"uid={{username}},{PEOPLE}"
    write(config.parent, server, bind_dn=None, bind_password_file=None, user_dn_template=template)
    assert main(["check-ldap", "vera", "--config", str(config)]) == 0
    assert "its certificate is trusted" in capsys.readouterr().out


def test_without_the_section_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "collector.yml"
    path.write_text("")
    for command in (["check-ldap"], ["revoke-sessions", "vera"]):
        assert main([*command, "--config", str(path)]) == 2
    assert "auth: is not there" in capsys.readouterr().err


def test_a_users_sessions_end_at_every_collector_on_the_store(config: Path) -> None:
    store = SqliteStore(config.parent / "modelward.db")
    store.setup()
    now = datetime.now(UTC).timestamp()
    session = Session("s", "Vera", "vera", "", "", Role.VIEWER, now - 60, now, now)
    assert main(["revoke-sessions", "vera", "--config", str(config)]) == 0
    revocations = Revocations(store, timedelta(hours=12), lambda: datetime.now(UTC).timestamp())
    revocations.read()
    assert revocations.ended(session)
    store.close()
