"""The audit trail and ended sessions in a real Elasticsearch."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from elasticsearch import Elasticsearch as Client

from collector.tests.collecting import wait_until
from collector.tests.elastic import emptied, opened
from modelward_collector.auth.audit import Action, AuditTrail, Record
from modelward_collector.auth.revocations import Revocations
from modelward_collector.auth.role import Role
from modelward_collector.auth.session import Session
from modelward_collector.store.protocol import Alias
from tests.servers.elasticsearch import Elasticsearch

ADDRESS = "2001:db8::7"


def session(user: str, began: float) -> Session:
    return Session(f"id of {user}", user, user, "", "", Role.VIEWER, began, began, began)


def test_ended_sessions_are_known_to_every_collector_within_seconds(elasticsearch: Elasticsearch) -> None:
    opened(elasticsearch).setup()
    store = emptied(elasticsearch)
    now = datetime.now(UTC).timestamp()
    here = AuditTrail(store)
    here.start()
    here.record(Record(Action.LOGOUT, True, "ada", ADDRESS, session="id of ada", revokes=True))
    here.record(Record(Action.REVOKED, True, "bob", ADDRESS, by="ada", revokes=True))
    here.stop()
    there = Revocations(opened(elasticsearch), timedelta(hours=12), lambda: datetime.now(UTC).timestamp())

    def known() -> bool:
        there.read()
        return there.ended(session("ada", now - 60)) and there.ended(session("bob", now - 60))

    wait_until(known, "the other collector to know")
    assert not there.ended(session("eve", now - 60))
    store.close()


def test_the_trail_can_be_asked_for_reasons_and_addresses(elasticsearch: Elasticsearch) -> None:
    opened(elasticsearch).setup()
    store = emptied(elasticsearch)
    trail = AuditTrail(store)
    trail.start()
    trail.record(Record(Action.LOGIN, False, "ada", ADDRESS, "wrong_password"))
    trail.record(Record(Action.LOGIN, False, "ada", "10.1.2.3", "disabled"))
    trail.record(Record(Action.LOGIN, True, "ada", ADDRESS, role="admin"))
    trail.stop()
    with Client(elasticsearch.url, basic_auth=elasticsearch.admin.auth, ca_certs=str(elasticsearch.ca)) as client:
        client.indices.refresh(index=Alias.AUDIT)

        def count(**term: str) -> int:
            query = {"term": {name.replace("_", "."): value for name, value in term.items()}}
            found: int = client.count(index=Alias.AUDIT, query=query)["count"]
            return found

        assert count(source_ip="2001:db8::/32") == 2
        assert count(event_outcome="failure") == 2
        assert count(event_reason="disabled") == 1
        assert count(user_roles="admin") == 1
    store.close()
