"""What each of Elasticsearch's users may do, and may not, on the real node with the folder of the setup."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import ApiError, AuthenticationException, AuthorizationException
from elasticsearch import Elasticsearch as Client

from appliance.tests.node import SetupNode
from modelward_appliance.after import After
from modelward_appliance.backup.parts.elasticsearch import ElasticsearchPart, probe, restore_documents
from modelward_appliance.backup.settings import ElasticsearchSettings
from modelward_appliance.elasticsearch_users import USERS, hashed
from modelward_collector.store.elastic import ElasticStore
from modelward_collector.store.protocol import Alias, Document, Outcome

pytestmark = pytest.mark.server("elasticsearch")

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
EVENT = {"@timestamp": "2026-03-01T12:00:00Z", "kind": "error", "model": "fraud", "message": "no"}
ALIASES = [str(alias) for alias in Alias]


@pytest.fixture(scope="module")
def node() -> Iterator[SetupNode]:
    """A node after both halves of the setup."""
    with SetupNode() as running:
        after = After(running.site(), running.state, time.monotonic() + 60)
        after.run()
        assert after.changes == [
            f"elasticsearch: {len(USERS)} users answer to their passwords",
            "elasticsearch: templates and indices are there",
        ]
        with running.client("modelward_collector") as collector:
            for alias in ALIASES:
                collector.index(index=alias, id="1", document=EVENT, refresh=True, op_type="create")
        yield running


def refused(ask: Callable[..., Any], **arguments: Any) -> bool:
    """Whether it is the user's rights that forbid it."""
    try:
        ask(**arguments)
    except AuthorizationException:
        return True
    return False


def test_again_after_changes_nothing(node: SetupNode) -> None:
    with node.client("modelward_collector") as collector:
        before = collector.indices.get(index="modelward-*")
        After(node.site(), node.state, time.monotonic() + 60).run()
        assert collector.indices.get(index="modelward-*") == before


def test_there_is_no_superuser_and_no_anonymous(node: SetupNode) -> None:
    with Client(node.url, ca_certs=str(node.ca)) as nobody, pytest.raises(AuthenticationException):
        nobody.cluster.health()
    for name in ("elastic", "kibana_system"):
        with (
            Client(node.url, basic_auth=(name, "changeme"), ca_certs=str(node.ca)) as reserved,
            pytest.raises(AuthenticationException),
        ):
            reserved.security.authenticate()
    for user in USERS:
        with node.client(user) as client:
            rights = client.security.has_privileges(cluster=["all", "manage_security"], index=[])
            assert rights["cluster"] == {"all": False, "manage_security": False}, user


def test_nobody_but_the_collector_changes_or_deletes_documents(node: SetupNode) -> None:
    for user in USERS:
        if user == "modelward_collector":
            continue
        with node.client(user) as client:
            for alias in ALIASES:
                assert refused(client.delete, index=alias, id="1"), (user, alias)
                assert refused(client.update, index=alias, id="1", doc={"x": 1}), (user, alias)
                assert refused(client.index, index=alias, id="1", document=EVENT), (user, alias)


def test_an_agent_creates_and_does_nothing_else(node: SetupNode) -> None:
    with node.client("modelward_agent") as agent:
        for alias in ("modelward-events", "modelward-logs", "modelward-profiles"):
            (index,) = agent.indices.get_alias(name=alias)
            answer = agent.bulk(operations=[{"create": {"_index": index, "_id": "agent"}}, EVENT])
            assert answer["items"][0]["create"]["status"] == 201
            again = agent.bulk(operations=[{"create": {"_index": index, "_id": "agent"}}, EVENT])
            assert again["items"][0]["create"]["status"] == 409
            over = agent.bulk(operations=[{"index": {"_index": index, "_id": "agent"}}, EVENT])
            assert over["items"][0]["index"]["status"] == 403
            assert refused(agent.search, index=index)
            assert refused(agent.get, index=index, id="agent")
            assert refused(agent.count, index=index)
            assert refused(agent.indices.delete, index=index)
        for alias in ("modelward-results", "modelward-incidents", "modelward-audit", "modelward-state"):
            answer = agent.bulk(operations=[{"create": {"_index": alias, "_id": "agent"}}, EVENT])
            assert answer["items"][0]["create"]["status"] == 403, alias
            assert refused(agent.indices.get, index=alias)
        assert refused(agent.indices.create, index="modelward-events-000099")
        assert refused(agent.indices.create, index="other")
        assert refused(agent.cluster.health)


def test_the_collector_does_its_whole_work(node: SetupNode) -> None:
    store = ElasticStore(
        [node.url],
        ca_file=node.ca,
        username="modelward_collector",
        password=node.password("modelward_collector"),
    )
    try:
        store.setup()
        store.ping()
        document = Document(Alias.EVENTS, "collector", {**EVENT, "host": {"name": "h"}})
        assert [created.outcome for created in store.create([document, document])] == [
            Outcome.CREATED,
            Outcome.CONFLICT,
        ]
    finally:
        store.close()
    with node.client("modelward_collector") as collector:
        assert (
            collector.indices.rollover(alias="modelward-logs", conditions={"max_docs": 1_000_000})["rolled_over"]
            is False
        )
        assert refused(collector.indices.create, index="other")
        assert refused(collector.security.get_user)
        assert refused(collector.snapshot.get_repository)


def test_the_setup_makes_and_does_not_read(node: SetupNode) -> None:
    with node.client("modelward_setup") as setup:
        assert refused(setup.search, index="modelward-events")
        assert refused(setup.snapshot.create_repository, name="x", repository={"type": "fs", "settings": {}})


@pytest.mark.parametrize(
    ("role", "unseen"),
    [("viewer", {"modelward-audit", "modelward-state"}), ("editor", {"modelward-state"}), ("admin", set())],
)
def test_people_read_what_is_modelwards_and_nothing_else(node: SetupNode, role: str, unseen: set[str]) -> None:
    with node.client(f"modelward_kibana_{role}") as person:
        for index in [*ALIASES, "modelward-state"]:
            assert refused(person.search, index=index) is (index in unseen), index
        # A pattern means what the person may see of it.
        found = {hit["_index"] for hit in person.search(index="modelward-*", size=100)["hits"]["hits"]}
        assert {name.rpartition("-")[0] for name in found} >= set(ALIASES) - unseen
        assert not any(name.startswith(tuple(unseen)) for name in found if unseen)
        assert refused(person.search, index=".security")
        assert refused(person.indices.create, index="modelward-x")


def test_people_have_their_kibana_privileges(node: SetupNode) -> None:
    wanted = {"viewer": {"read": True, "all": False}, "editor": {"all": True}, "admin": {"all": True}}
    for role, privileges in wanted.items():
        with node.client(f"modelward_kibana_{role}") as person:
            seen = person.security.get_user_privileges()["applications"]
            granted = {
                privilege
                for item in seen
                if item["application"] == "kibana-.kibana"
                for privilege in item["privileges"]
            }
            assert {name: name in granted for name in privileges} == privileges


def test_kibana_presents_its_service_token(node: SetupNode) -> None:
    token = (node.state / "secrets" / "kibana-service-token").read_text().strip()
    with Client(node.url, bearer_auth=token, ca_certs=str(node.ca)) as kibana:
        who = kibana.security.authenticate()
        assert (who["username"], who["token"]["name"]) == ("elastic/kibana", "modelward")
        assert refused(kibana.search, index="modelward-events")
        kibana.indices.create(index=".kibana_test")
        kibana.indices.delete(index=".kibana_test")
    wrong = token[:-4] + "AAAA"
    with Client(node.url, bearer_auth=wrong, ca_certs=str(node.ca)) as stranger, pytest.raises(AuthenticationException):
        stranger.security.authenticate()


def test_the_gateway_may_make_people_and_read_nothing(node: SetupNode) -> None:
    with node.client("modelward_gateway") as gateway:
        assert refused(gateway.search, index="modelward-events")
        assert refused(gateway.cluster.health)
        assert refused(gateway.security.put_role, name="x")
        # The minimal distribution cannot store native users; it is not the rights that lack.
        with pytest.raises(ApiError) as raised:
            gateway.security.put_user(username="jo", password="a-password-of-jo", roles=["modelward_kibana_viewer"])
        assert raised.value.status_code != 403


def test_a_backup_is_taken_tried_and_restored_without_reading_a_document(node: SetupNode, tmp_path: Path) -> None:
    password_file = node.state / "secrets" / USERS["modelward_backup"]
    snapshots = node.folder / "snapshots"
    settings = ElasticsearchSettings(
        urls=(node.url,),
        ca_file=node.ca,
        username="modelward_backup",
        password_file=password_file,
        repositories=snapshots,
        repositories_there=str(snapshots),
    )
    assert "came back from a snapshot" in probe(settings)
    with ElasticsearchPart(settings).frozen() as frozen:
        shutil.copytree(snapshots / "modelward", snapshots / "unpacked")
        facts = dict(frozen.facts)
    for path in [snapshots / "unpacked", *(snapshots / "unpacked").rglob("*")]:
        shutil.chown(path, snapshots.stat().st_uid, snapshots.stat().st_gid)
    with node.client("modelward_backup") as backup, node.client("modelward_collector") as collector:
        assert refused(backup.search, index="modelward-events")
        assert refused(backup.indices.delete, index="modelward-events-000001")
        before = collector.count(index="modelward-*")["count"]
        collector.indices.delete(index=",".join(collector.indices.get(index="modelward-*")))
        restore_documents(settings, facts, "unpacked")
        assert collector.count(index="modelward-*")["count"] == before
        assert collector.indices.exists_alias(name="modelward-events")


def test_an_enrolled_host_is_known_in_seconds_and_forgotten_as_fast(node: SetupNode) -> None:
    enrolment = node.state / "agents" / "model-1.json"
    enrolment.write_text(
        json.dumps({"host": "model-1", "user": "agent_model-1", "password_hash": hashed("of model 1", bytes(32))})
    )
    assert "config: users changed" in node.render()
    with Client(node.url, basic_auth=("agent_model-1", "of model 1"), ca_certs=str(node.ca)) as agent:

        def known() -> bool:
            try:
                return bool(agent.security.authenticate()["roles"] == ["modelward_agent"])
            except AuthenticationException:
                return False

        def wait_for(wanted: bool) -> None:
            deadline = time.monotonic() + 30
            while known() is not wanted:
                assert time.monotonic() < deadline
                time.sleep(0.2)

        wait_for(True)
        assert refused(agent.search, index="modelward-events")
        enrolment.unlink()
        node.render()
        wait_for(False)
