"""As whom Kibana asks a real Elasticsearch on behalf of people."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from elasticsearch import Elasticsearch as Client

from modelward_collector.auth.kibana import KibanaUnavailableError, PersonalUsers, SharedUsers, usable_name
from modelward_collector.auth.role import Role
from modelward_collector.auth.session import Session
from modelward_collector.auth.settings import KibanaSettings
from modelward_collector.auth.signing import Signer
from tests.servers import native_realm
from tests.servers.elasticsearch import Elasticsearch
from tests.servers.missing import ServerMissingError
from tests.servers.ports import free_port

ADA = Session("id", "ada", "ada", "Ada Lovelace", "ada@example.org", Role.EDITOR, 0.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def node() -> Iterator[Elasticsearch]:
    try:
        home = native_realm.home()
    except ServerMissingError as error:
        pytest.skip(str(error))
    with Elasticsearch(home) as running:
        running.wait_until(lambda: has_people(running), "the native realm")
        yield running


def has_people(node: Elasticsearch) -> bool:
    """Whether the realm's index takes people: Elasticsearch makes it after it has begun to answer."""
    try:
        node.ask("/_security/user/first", "PUT", {"password": "first-of-the-realm", "roles": []})
    except urllib.error.HTTPError as error:
        if error.code != 503:
            raise
        return False
    return True


def users(node: Elasticsearch, folder: Path, key: str = "k" * 64, **settings: Any) -> PersonalUsers:
    password = folder / "password"
    password.write_text(node.admin.password)
    password.chmod(0o600)
    content = {
        "users": "personal",
        "urls": [node.url],
        "ca_file": str(node.ca),
        "username": node.admin.name,
        "password_file": str(password),
        **settings,
    }
    return PersonalUsers(KibanaSettings.model_validate(content), Signer([key]))


def whoami(node: Elasticsearch, authorization: str) -> dict[str, Any] | None:
    """Who Elasticsearch takes the header for; None of nobody."""
    request = urllib.request.Request(f"{node.url}/_security/_authenticate", headers={"Authorization": authorization})
    try:
        trust = ssl.create_default_context(cafile=str(node.ca))
        with urllib.request.urlopen(request, timeout=30, context=trust) as answer:
            found: dict[str, Any] = orjson.loads(answer.read())
    except urllib.error.HTTPError as error:
        if error.code != 401:
            raise
        return None
    return found


@pytest.mark.server("elasticsearch")
def test_a_person_is_an_own_user_with_name_mail_and_the_roles_rights(node: Elasticsearch, tmp_path: Path) -> None:
    found = whoami(node, users(node, tmp_path).authorization(ADA))
    assert found is not None
    assert (found["username"], found["full_name"], found["email"]) == ("ada", "Ada Lovelace", "ada@example.org")
    assert found["roles"] == ["modelward_kibana_editor"]
    assert found["authentication_realm"]["type"] == "native"


@pytest.mark.server("elasticsearch")
def test_another_role_or_name_is_written_at_the_next_request(node: Elasticsearch, tmp_path: Path) -> None:
    personal = users(node, tmp_path)
    personal.authorization(ADA)
    found = whoami(node, personal.authorization(replace(ADA, role=Role.ADMIN, full_name="Countess")))
    assert found is not None
    assert (found["roles"], found["full_name"]) == (["modelward_kibana_admin"], "Countess")


@pytest.mark.server("elasticsearch")
def test_two_collectors_of_one_key_give_the_same_credential(node: Elasticsearch, tmp_path: Path) -> None:
    first, second = users(node, tmp_path), users(node, tmp_path)
    assert first.authorization(ADA) == second.authorization(ADA)
    assert whoami(node, first.authorization(ADA)) is not None


@pytest.mark.server("elasticsearch")
def test_with_another_key_the_old_credential_is_worth_nothing(node: Elasticsearch, tmp_path: Path) -> None:
    old = users(node, tmp_path).authorization(ADA)
    new = users(node, tmp_path, "n" * 64).authorization(ADA)
    assert whoami(node, new) is not None
    assert whoami(node, old) is None


@pytest.mark.server("elasticsearch")
def test_who_leaves_is_disabled_and_who_returns_is_let_in_again(node: Elasticsearch, tmp_path: Path) -> None:
    personal = users(node, tmp_path)
    authorization = personal.authorization(ADA)
    personal.withdraw("ada")
    assert whoami(node, authorization) is None
    assert whoami(node, personal.authorization(ADA)) is not None
    personal.withdraw("never-seen")


@pytest.mark.server("elasticsearch")
def test_a_name_with_everything_that_a_name_may_have_works(node: Elasticsearch, tmp_path: Path) -> None:
    name = "o'brien+ml@example.org"
    found = whoami(node, users(node, tmp_path).authorization(replace(ADA, username=name)))
    assert found is not None
    assert found["username"] == name


@pytest.mark.server("elasticsearch")
@pytest.mark.parametrize(
    "name", ["elastic", "modelward_collector", "Agent_host-1", "kibana_system", "_x", "größe", "a b", ""]
)
def test_a_name_of_a_service_or_that_elasticsearch_does_not_take_is_refused(
    node: Elasticsearch, tmp_path: Path, name: str
) -> None:
    assert not usable_name(name)
    personal = users(node, tmp_path)
    with pytest.raises(KibanaUnavailableError, match="cannot be a user of Elasticsearch"):
        personal.authorization(replace(ADA, username=name))
    personal.withdraw(name)


@pytest.mark.server("elasticsearch")
def test_a_user_that_may_not_write_users_is_named(node: Elasticsearch, tmp_path: Path) -> None:
    personal = users(node, tmp_path, username=node.collector.name)
    (tmp_path / "password").write_text(node.collector.password)
    with pytest.raises(KibanaUnavailableError, match="the user ada cannot be written"):
        personal.authorization(ADA)


@pytest.mark.server("elasticsearch")
def test_a_user_that_someone_else_made_is_left_as_it_is(node: Elasticsearch, tmp_path: Path) -> None:
    with Client(node.url, basic_auth=node.admin.auth, ca_certs=str(node.ca)) as client:
        client.security.put_user(username="bob", password="made by hand", roles=["superuser"])
        personal = users(node, tmp_path)
        with pytest.raises(KibanaUnavailableError, match="that was not made here"):
            personal.authorization(replace(ADA, username="bob"))
        personal.withdraw("bob")
        there = client.security.get_user(username="bob")["bob"]
    assert (there["roles"], there["enabled"]) == (["superuser"], True)


@pytest.mark.server("elasticsearch")
def test_while_elasticsearch_is_away_that_is_said(node: Elasticsearch, tmp_path: Path) -> None:
    personal = users(node, tmp_path, urls=[f"https://127.0.0.1:{free_port()}"])
    with pytest.raises(KibanaUnavailableError, match="the user ada cannot be written"):
        personal.authorization(ADA)
    with pytest.raises(KibanaUnavailableError, match="the user ada cannot be disabled"):
        personal.withdraw("ada")


def test_shared_users_are_one_for_each_role(tmp_path: Path) -> None:
    content: dict[str, str] = {}
    for role in Role:
        file = tmp_path / role
        file.write_text(f"password of {role}\n")
        file.chmod(0o600)
        content[f"{role}_password_file"] = str(file)
    shared = SharedUsers(KibanaSettings.model_validate(content))
    headers = {shared.authorization(replace(ADA, role=role)) for role in Role}
    assert len(headers) == 3
    shared.withdraw("ada")
